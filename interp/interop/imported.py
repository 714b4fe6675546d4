"""Someone else's model or whole run as values of this toolkit, with notes on everything that was not stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, nan
from typing import cast

import torch

from interp.config.model_config import Biases, ModelConfig
from interp.config.run_config import OptimizerConfig, RunConfig
from interp.errors import DataError, UsageError
from interp.interop.account import Account
from interp.interop.held_network import Held, HeldTask, all_logits
from interp.interop.logs.training_log import TrainingLog
from interp.losses import correct, cross_entropy
from interp.networks.one_layer import Weights
from interp.tasks.splits import Split, SplitConfig


@dataclass(frozen=True, eq=False)
class Imported:
    """A model, or a whole training run, from someone else's file.

    Attributes:
        format: the format as which the file was read.
        checkpoints: (step, weights), ascending; the step is the file's own epoch.
        task: the task that the model learned.
        config: what is known of the run; `notes` say which parts the file does not contain.
        split: train and test pairs; None if neither the file nor the caller gives them.
        train_losses: published training loss by epoch; empty if there are none.
        test_losses: published test loss by epoch.
        notes: what was inferred, assumed, left out or found wrong, in words.
        provenance: file name, hash, format, stored configuration and notes, as JSON values.
        unknown: fields of `config` that the file does not contain, and that have their defaults.
        account: what was made of the file, tensor by tensor, and how well the last model works.
        log: the training log that was given with it, or lies beside it; None if there is none.
        accuracies: published accuracies by epoch, by the names of a history: ``train_accuracy``, ``test_accuracy``.
        unplaced: whether nothing tells the step of its only model, which has the number 0 then.
        refuted: in words, how the published losses contradict the split that the caller gave; empty if they do not.
    """

    format: str
    checkpoints: tuple[tuple[int, Held], ...]
    task: HeldTask
    config: RunConfig
    split: Split | None
    train_losses: Mapping[int, float]
    test_losses: Mapping[int, float]
    notes: tuple[str, ...]
    provenance: Mapping[str, object]
    account: Account
    unknown: tuple[str, ...] = ()
    refuted: str = ""
    log: TrainingLog | None = None
    unplaced: bool = False
    accuracies: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    @property
    def weights(self) -> Held:
        """The last model."""
        return self.checkpoints[-1][1]

    def history_rows(self) -> Iterator[dict[str, float]]:
        """One row per epoch about which anything is known, ascending.

        At checkpoints everything is measured on their weights, if the split is known; other rows have the values of the training
        log, or else the published losses and accuracies. A model whose step nothing tells does not replace what a log has at
        step 0.
        """
        rows: dict[int, dict[str, float]] = {}
        logged = self.log.columns if self.log is not None else {}
        for columns in ({"train_loss": self.train_losses, "test_loss": self.test_losses}, self.accuracies, logged):
            for name, values in columns.items():
                for step, value in values.items():
                    rows.setdefault(step, {})[name] = value
        if self.split is not None:
            for step, weights in self.checkpoints:
                if self.unplaced and any(step in values for values in logged.values()):
                    continue
                rows[step] = measured_row(weights, self.task, self.split)
        for step in sorted(rows):
            yield {"step": step, **rows[step]}


@torch.no_grad()
def measured_row(weights: Held, task: HeldTask, split: Split) -> dict[str, float]:
    """The columns of a history, measured on one model: losses over all output classes, accuracies, sum of squared weights."""
    labels = torch.from_numpy(task.labels)
    logits = all_logits(weights, task)
    losses, right = cross_entropy(logits, labels), correct(logits, labels).double()
    row: dict[str, float] = {}
    for name, index in (("train", split.train), ("test", split.test)):
        row |= {f"{name}_loss": float(losses[index].mean()), f"{name}_accuracy": float(right[index].mean())}
    return row | {"sum_squared_weights": sum(float(t.double().square().sum()) for t in weights.tensors().values())}


def disagreements(log: TrainingLog, checkpoints: Sequence[tuple[int, Held]], task: HeldTask, split: Split | None) -> list[str]:
    """Where a log says clearly something else than what is measured at a checkpoint, column by column, in words.

    Losses may differ by 5 % and by 1e-6, which is what float32 loses, accuracies by .05.
    """
    if split is None:
        return []
    measured = {step: measured_row(weights, task, split) for step, weights in checkpoints if _has(log, step)}
    notes = []
    for name, values in log.columns.items():
        shared = {step: (values[step], row[name]) for step, row in measured.items() if step in values and name in row}
        off = {step: both for step, both in shared.items() if isfinite(both[0]) and not agree(name, *both)}
        if off:
            step = max(off, key=lambda each: abs(off[each][0] - off[each][1]))
            notes.append(
                f"{name}: the log differs from what is measured at {len(off)} of {len(shared)} checkpoints, most at step {step}: "
                f"{off[step][0]:.6g}, measured {off[step][1]:.6g}, which is kept; is it the log of this run, with these steps?"
            )
    return notes


def fits_end(log: TrainingLog, measured: Mapping[str, float]) -> tuple[int, str]:
    """The last step of a log, and in words the first column whose value there is not what is measured; empty if all are.

    A loss must be among them: accuracies alone are often 1 long before the end.
    """
    last = max(max(values) for values in log.columns.values())
    ends = {name: values[last] for name, values in log.columns.items() if name in measured and isfinite(values.get(last, nan))}
    off = [name for name, value in ends.items() if not agree(name, value, measured[name])]
    if off:
        return last, f"{off[0]} {ends[off[0]]:.6g} at its last step {last}, measured {measured[off[0]]:.6g}"
    return last, "" if any(name.endswith("loss") for name in ends) else f"it has no loss at its last step {last}"


def _has(log: TrainingLog, step: int) -> bool:
    return any(step in values for values in log.columns.values())


def agree(name: str, logged: float, measured: float) -> bool:
    """Whether a logged value is what was measured, as far as `disagreements` lets them differ."""
    slack = 0.05 if name.endswith("accuracy") else 0.05 * abs(measured) + 1e-6
    return abs(logged - measured) <= slack


def run_config(
    weights: Held,
    task: HeldTask,
    *,
    split: SplitConfig | None,
    optimizer: Mapping[str, object],
    steps: int,
    seed: int | None = None,
) -> tuple[RunConfig, tuple[str, ...]]:
    """A RunConfig with what is known of an imported run, and the names of the fields that are not known.

    Raises:
        DataError: if a RunConfig cannot describe the architecture.
    """
    unknown = (
        *(["split"] if split is None else []),
        *(f"optimizer.{name}" for name in ("lr", "weight_decay", "beta1", "beta2", "eps") if name not in optimizer),
        *(["seed"] if seed is None else []),
        "model.init",
    )
    try:
        config = RunConfig(
            task=task,
            split=split or SplitConfig(),
            model=_model_config(weights),
            optimizer=replace(OptimizerConfig(), **optimizer),  # type: ignore[arg-type] # from a file; checked by the class
            recipe="imported",
            steps=steps,
            seed=seed or 0,
            dtype="float64" if next(iter(weights.tensors().values())).element_size() == 8 else "float32",
        )
    except (UsageError, TypeError) as error:
        raise DataError(f"a run's configuration cannot describe this model: {error}") from error
    if isinstance(weights, Weights) and weights.d_head * weights.n_heads != weights.d_model:
        raise DataError(f"a run's configuration cannot describe {weights.n_heads} heads of {weights.d_head} in {weights.d_model}")
    return config, unknown


def _model_config(weights: Held) -> ModelConfig:
    if not isinstance(weights, Weights):
        neurons = weights.tensors()["unembed.W_U"].shape[0]
        return ModelConfig(architecture="mlp", d_mlp=neurons, activation=weights.activation, biases="none")
    biases = {name for name in weights.tensors() if name.startswith("b_")}
    kind = "none" if not biases else "mlp" if biases <= {"b_in", "b_out"} else "all"
    return ModelConfig(
        d_model=weights.d_model,
        n_heads=weights.n_heads,
        d_mlp=weights.d_mlp,
        activation=weights.activation,
        biases=cast(Biases, kind),
        equals_class=weights.classes > weights.p,
        attention_rate=weights.attention_rate,
    )
