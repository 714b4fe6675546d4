"""What a step of the general reference engine keeps and computes, from the configuration alone. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator

from interp.config.run_config import RunConfig

# Rows that an evaluation computes at once.
EVALUATED_AT_ONCE = 4096


def trained_pairs(config: RunConfig) -> int:
    """Number of pairs that are trained on, without drawing them."""
    return config.split.count_of(config.task)


def rows_of_a_step(config: RunConfig) -> int:
    """Number of examples of which an update computes the gradient."""
    return config.optimizer.batch_size or trained_pairs(config)


def general_numbers(config: RunConfig) -> float:
    """Numbers that autograd keeps over the rows of a step, or that an evaluation has at once, whichever are more; and the logits
    of all test and training rows that an evaluation collects.
    """
    trained, rows = trained_pairs(config), config.task.n_pairs
    at_once = min(EVALUATED_AT_ONCE, max(trained, rows - trained))
    return max(rows_of_a_step(config) * _kept(config), at_once * _passing(config)) + 4.0 * max(trained, rows) * config.classes


def general_work(config: RunConfig) -> tuple[float, float]:
    """Multiplications of a forward pass over the rows of a step, and numbers moved in it and its gradient."""
    rows, model = rows_of_a_step(config), config.model
    if model.architecture == "mlp":
        return float(rows * model.d_mlp * config.classes), 3.0 * rows * _kept(config)
    multiplied = model.d_model * config.classes
    for positions, read in _layers(config):
        multiplied += model.d_model**2 * 2 * (positions + read)
        multiplied += 2 * model.d_model * model.d_mlp * read if model.architecture == "transformer" else 0
    return float(rows * multiplied), 3.0 * rows * _kept(config)


def _layers(config: RunConfig) -> Iterator[tuple[int, int]]:
    """For each layer, the positions whose keys it has, and those that go on: in the last layer the last alone."""
    positions, last = config.task.n_ctx, config.model.n_layers - 1
    yield from ((positions, 1 if number == last else positions) for number in range(config.model.n_layers))


def _kept(config: RunConfig) -> float:
    """Numbers of a row that autograd keeps."""
    model = config.model
    if model.architecture == "mlp":
        return 5.0 * model.d_mlp + 7 * config.classes
    normed = 0 if model.normalization == "none" else 2
    found = 7.0 * config.classes
    for positions, read in _layers(config):
        found += model.d_model * ((8 + normed) * positions + (4 + normed) * read) + 4 * model.n_heads * positions * read
        found += (3.5 if model.architecture == "transformer" else 0) * model.d_mlp * read
        found += 2 * model.d_model * read if model.dropout else 0
    return found


def _passing(config: RunConfig) -> float:
    """Numbers of a row that a forward pass has at once."""
    model = config.model
    if model.architecture == "mlp":
        return 3.0 * model.d_mlp + 4 * config.classes
    positions = config.task.n_ctx
    return 6.0 * model.d_model * positions + 2.5 * model.d_mlp * (positions if model.n_layers > 1 else 1) + 4 * config.classes
