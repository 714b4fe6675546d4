"""What a run will take of memory, disk and time, from its configuration alone: before anything is allocated, without torch.

An estimate, to an order of magnitude for the time and within a factor of 1.5 for the memory (docs/limits.md has it beside what
was measured). Memory is counted by what an engine keeps at once: numbers of weights, of tables over tokens, of activations over
pairs. Time is arithmetic over an assumed rate, and bytes over another; each engine has its own formula.
"""

from __future__ import annotations

from dataclasses import dataclass

from interp.config.run_config import RunConfig
from interp.cores import available_threads
from interp.networks.initial_shapes import n_parameters
from interp.training.general_demand import general_numbers, general_work, rows_of_a_step, trained_pairs

# Copies of all weights: the live ones, their gradient, two moments, the sum of squares in float64, what a commit packs.
_COPIES = 8
# Bytes for each of the p^2 pairs while task and split are drawn: pairs, answers, their order, and what sorting takes.
_PAIR_BYTES = {"reference": 130, "cpu": 100, "cuda": 130}
# What libraries and compiled code take that a first step loads.
_FIXED = {"reference": 120e6, "cpu": 110e6, "cuda": 2e9}
# Multiplications and additions per second and thread, and bytes per second, of steps as they were measured on one machine.
_FLOPS, _BYTES = {"reference": 6.5e10, "cpu": 1.2e11, "cuda": 2e13}, {"reference": 1e10, "cpu": 2e10, "cuda": 2e12}
_OVERHEAD = {"reference": 1.5e-3, "cpu": 1e-4, "cuda": 5e-4}  # seconds of a step of a tiny model
_SAVING, _WRITTEN = 5e-3, 2e8  # seconds to make one file permanent; bytes written per second
_LINE, _NAMED = 75, 400  # bytes of a step in the history, and of a checkpoint in the manifest and in its own header
_SERIES = 160_000  # bytes of what is measured by default at some hundred checkpoints, of a run that is thinned out
_EVALUATED = 250  # bytes in memory of what one evaluation leaves
_LANE = 16  # columns of the fast engines' tables are padded to a multiple of this
_CHUNK = 256  # pairs of a chunk of the CPU engine: 128 are aimed at


@dataclass(frozen=True)
class Demand:
    """What a run takes.

    Attributes:
        memory: bytes at its peak, of this machine.
        disk: bytes of its folder.
        seconds: of the whole budget.
        on_device: bytes at its peak on a CUDA device; 0 for other engines.
    """

    memory: float
    disk: float
    seconds: float
    on_device: float = 0.0


def demand(config: RunConfig, engine: str, *, threads: int | None = None) -> Demand:
    """What one run takes with an engine (``reference``, ``cpu`` or ``cuda``), if it uses its whole budget.

    >>> round(demand(RunConfig(), "cpu", threads=2).seconds / 20_000, 3) < 0.1
    True
    """
    threads = threads or config.threads or available_threads()
    weights, width = n_parameters(config), 8 if config.dtype == "float64" else 4
    saved = config.checkpoints.steps(config.steps).count
    evaluations = config.steps // config.evaluate_every + saved
    state = weights * width * _COPIES + config.task.n_pairs * _PAIR_BYTES[engine] + _FIXED[engine]
    kept = _EVALUATED * evaluations + 2 * _NAMED * saved + _LINE * config.steps
    on_pairs = {"reference": _reference_bytes, "cpu": _cpu_bytes, "cuda": _cuda_bytes}[engine](config, threads) * width
    step = _step_seconds(config, engine, threads)
    # An evaluation is a forward pass over all pairs; a step is about three of them over the training pairs.
    fixed = _OVERHEAD[engine] if config.unusual else 0.0  # of batches, a step is little more than that
    evaluation = fixed + (step - fixed) * config.task.n_pairs / max(1, 3 * rows_of_a_step(config))
    return Demand(
        memory=state + kept + (0.0 if engine == "cuda" else on_pairs),
        disk=disk_bytes(config),
        seconds=config.steps * step + evaluations * evaluation + saved * (_SAVING + weights * width / _WRITTEN),
        on_device=on_pairs + 6 * weights * width + 3e8 if engine == "cuda" else 0.0,
    )


def disk_bytes(config: RunConfig, *, kept: int | None = None) -> float:
    """Bytes of a run's folder: its checkpoints, whole states, history, split, and the state to resume from (twice while it is
    replaced; at the end it is once the state that is kept of the last step).

    Args:
        kept: number of checkpoints that stay, of a run that is thinned out at its end; all by default.
    """
    weights = n_parameters(config) * (8 if config.dtype == "float64" else 4)
    saved = config.checkpoints.steps(config.steps).count
    staying = saved if kept is None else min(kept, saved)
    states = 3 * len(config.checkpoints.moments) + (6 if kept is None else 0)
    measured = 0 if kept is None else _SERIES + _NAMED * saved
    return staying * (weights + _NAMED) + states * weights + _LINE * config.steps + 8 * config.task.n_pairs + measured


def _reference_bytes(config: RunConfig, threads: int) -> float:  # noqa: ARG001  as the others
    """Numbers that autograd keeps over the training pairs, or an evaluation over the test pairs, whichever are more."""
    if config.unusual:
        return general_numbers(config)
    model, positions, classes = config.model, config.task.n_ctx, config.classes
    trained = trained_pairs(config)
    tested, scores = config.task.n_pairs - trained, model.n_heads * positions
    testing = model.d_model * (5 * positions + 7) + 2.4 * model.d_mlp + 4 * classes + 4 * scores
    return max(_differentiated(config), tested * testing + trained * classes)


def _differentiated(config: RunConfig) -> float:
    """Numbers that autograd keeps over the training pairs."""
    model, positions = config.model, config.task.n_ctx
    each = model.d_model * 11 * positions + 5 * model.d_mlp + 7 * config.classes + 5 * model.n_heads * positions
    return float(trained_pairs(config) * each)


def _cpu_bytes(config: RunConfig, threads: int) -> float:
    """Numbers in the buffers of `interp.training.cpu.buffers.allocate`."""
    task, model = config.task, config.model
    p, d, heads, equals = task.p, model.d_model, model.n_heads, task.equals_sign
    neurons, logits = _padded(model.d_mlp), _padded(config.classes)
    columns, own, d_head = neurons + logits, 1 if equals else p, d // heads
    keys, scores = (d if equals else (p + 1) * d_head), (p + 1 if equals else p * p)
    of_tokens = heads * (own * d_head + keys + 2 * p * d_head + scores) + (p + own) * d + d * d
    tables = of_tokens + heads * 2 * p * columns + d * columns * 3 + own * columns + 3 * d * d + 3 * d * logits + neurons * logits
    most = min(p, 4 * _ceil_div(p, threads))
    of_threads = (heads + 1) * p * columns + (most + 1) * columns + (d + 3) * columns + neurons * (logits + _LANE) + 2 * d
    chunk = _CHUNK * (columns + _LANE + neurons // 32 + 6 * heads + (neurons if config.classes > 1024 else 0))
    gradients = (heads + 1) * p * columns + (d + own) * (columns + d) + of_tokens + d * logits + model.d_mlp * logits
    of_scores = heads * scores * (threads if equals else 1)
    return tables + gradients + of_scores + threads * (of_threads + chunk)


def _cuda_bytes(config: RunConfig, threads: int) -> float:  # noqa: ARG001  as the others
    """Numbers of a batch of one run: rows of the training pairs, and of those that are evaluated at once."""
    model, heads, trained = config.model, config.model.n_heads, trained_pairs(config)
    base = 1 if config.task.equals_sign else config.task.p
    row = model.d_model + base + _padded(model.d_mlp)
    logits = _padded(config.classes)
    training = 1.3 * trained * (row + 5 * logits + _padded(model.d_mlp) + 6 * model.d_model + 40 * heads)
    evaluating = min(config.task.n_pairs, 2**17) * (row + 5 * logits + 4 * model.d_model)
    return training + evaluating + (8 * heads * config.task.n_pairs if not config.task.equals_sign else 0)


def _step_seconds(config: RunConfig, engine: str, threads: int) -> float:
    """Seconds of an update: arithmetic and bytes of a forward pass and of the two products of its gradient."""
    model, classes, trained = config.model, config.classes, trained_pairs(config)
    wide, heads, p = model.d_mlp + classes, model.n_heads, config.task.p
    through_width = model.d_model * (8 * model.d_model + 2 * model.d_mlp + classes)
    if engine == "reference":
        multiplied = float(trained * through_width)
        moved = 3 * _differentiated(config)
        if config.unusual:
            multiplied, moved = general_work(config)
    else:
        per_pair = 2 * heads * wide + model.d_mlp * classes
        tables = model.d_model * (model.d_model * (wide + p) + p * wide + 1.7 * model.d_mlp * classes)
        multiplied = trained * per_pair + tables
        moved = 2.0 * heads * p * wide + trained * heads * wide
    width = 8 if config.dtype == "float64" else 4
    # Cores share the arithmetic; memory is one for all. More threads than cores do not help.
    cores = 1 if engine == "cuda" else min(threads, available_threads())
    flops = 6.0 * multiplied * (width / 4) / (_FLOPS[engine] * cores)
    return flops + (moved * width + 10.0 * n_parameters(config) * width) / _BYTES[engine] + _OVERHEAD[engine]


def _padded(columns: int) -> int:
    return _ceil_div(columns, _LANE) * _LANE


def _ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)
