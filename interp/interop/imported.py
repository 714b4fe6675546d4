"""Someone else's model or whole run as values of this toolkit, with notes on everything that was not stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch

from interp.config.run_config import Biases, ModelConfig, OptimizerConfig, RunConfig
from interp.errors import DataError, UsageError
from interp.interop.account import Account
from interp.interop.content import Content
from interp.interop.known import Known
from interp.interop.split import fits, recover_split
from interp.losses import correct, cross_entropy
from interp.networks.one_layer import Weights
from interp.networks.pair_tables import pair_tables
from interp.tasks.modular import ModularTask
from interp.tasks.splits import Split, SplitConfig

# Published splits with which stored indices are compared, to find the rule they came from.
_PUBLISHED = (SplitConfig("torch", 598), SplitConfig("python", 0))
# Stored losses are from before the last update, so that the right split fits closely but not always exactly.
_TIGHT, _LOOSE = 0.002, 0.05


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
        refuted: in words, how the published losses contradict the split that the caller gave; empty if they do not.
    """

    format: str
    checkpoints: tuple[tuple[int, Weights], ...]
    task: ModularTask
    config: RunConfig
    split: Split | None
    train_losses: Mapping[int, float]
    test_losses: Mapping[int, float]
    notes: tuple[str, ...]
    provenance: Mapping[str, object]
    account: Account
    unknown: tuple[str, ...] = ()
    refuted: str = ""

    @property
    def weights(self) -> Weights:
        """The last model."""
        return self.checkpoints[-1][1]

    def history_rows(self) -> Iterator[dict[str, float]]:
        """One row per epoch about which anything is known, ascending.

        At checkpoints everything is measured on their weights, if the split is known; other rows have the published losses.
        """
        rows: dict[int, dict[str, float]] = {}
        for name, losses in (("train_loss", self.train_losses), ("test_loss", self.test_losses)):
            for step, loss in losses.items():
                rows.setdefault(step, {})[name] = loss
        if self.split is not None:
            for step, weights in self.checkpoints:
                rows[step] = measured_row(weights, self.task, self.split)
        for step in sorted(rows):
            yield {"step": step, **rows[step]}


@torch.no_grad()
def measured_row(weights: Weights, task: ModularTask, split: Split) -> dict[str, float]:
    """The columns of a history, measured on one model: losses over all output classes, accuracies, sum of squared weights."""
    labels = torch.from_numpy(task.labels)
    logits = pair_tables(weights.to(device="cpu", dtype=torch.float64)).all_logits
    losses, right = cross_entropy(logits, labels), correct(logits, labels).double()
    row: dict[str, float] = {}
    for name, index in (("train", split.train), ("test", split.test)):
        row |= {f"{name}_loss": float(losses[index].mean()), f"{name}_accuracy": float(right[index].mean())}
    return row | {"sum_squared_weights": sum(float(t.double().square().sum()) for t in weights.tensors().values())}


def find_split(
    content: Content, weights: Weights, task: ModularTask, *, known: Known, drawn: SplitConfig | None
) -> tuple[SplitConfig | None, Split | None, list[str]]:
    """The split of a run, with the rule it came from if there is one, and notes on how certain it is.

    Tried in this order: the caller's; the stored indices; the format's rule with the stored seed, if the published losses agree
    with it; the one among the rule's first 100 seeds with which they agree.
    """
    if known.split is not None:
        return known.split, known.split.draw(task), []
    if stored := content.split(task.p):
        split = _checked_split(*stored, task)
        return *_name_rule(split, task), []
    train_loss, test_loss = content.final_loss("train"), content.final_loss("test")
    if drawn is None or not train_loss:
        return None, None, ["the split is not stored and there is no published loss to find it by: train and test are unknown"]
    try:
        misfit = fits(weights, task, drawn.draw(task), train_loss=train_loss, test_loss=test_loss)
    except ValueError as error:
        raise DataError(str(error)) from error
    if misfit <= _LOOSE:
        return drawn, drawn.draw(task), [f"split {_name(drawn)}: its losses agree with the published ones within {misfit:.2%}"]
    why = ""
    for tolerance in (_TIGHT, _LOOSE):
        try:
            found = recover_split(weights, task, rule=drawn, tolerance=tolerance, train_loss=train_loss, test_loss=test_loss)
        except DataError as error:
            why = str(error)
        else:
            return found, found.draw(task), [f"split {_name(found)}: found by the published losses; {_name(drawn)} does not fit"]
    return None, None, [f"split {_name(drawn)} gives other losses than the published ones, by {misfit:.0%}; {why}"]


def refuted(content: Content, weights: Weights, task: ModularTask, split: SplitConfig | None) -> str:
    """In words, how the last model's losses under the caller's split differ from the published ones; empty if they do not.

    If no final training loss is published, no split can be refuted.
    """
    train_loss = content.final_loss("train")
    if split is None or not train_loss:
        return ""
    misfit = fits(weights, task, split.draw(task), train_loss=train_loss, test_loss=content.final_loss("test"))
    if misfit <= _LOOSE:
        return ""
    return f"split {_name(split)}, as given: the losses on it differ from the published ones by {misfit:.0%}"


def run_config(
    weights: Weights, task: ModularTask, *, split: SplitConfig | None, optimizer: Mapping[str, object], steps: int
) -> tuple[RunConfig, tuple[str, ...]]:
    """A RunConfig with what is known of an imported run, and the names of the fields that are not known.

    Raises:
        DataError: if a RunConfig cannot describe the architecture.
    """
    unknown = (*(["split"] if split is None else []), *([] if optimizer else ["optimizer"]), "seed", "model.init")
    biases = {name for name in weights.tensors() if name.startswith("b_")}
    kind = "none" if not biases else "mlp" if biases <= {"b_in", "b_out"} else "all"
    try:
        model = ModelConfig(
            d_model=weights.d_model,
            n_heads=weights.n_heads,
            d_mlp=weights.d_mlp,
            activation=weights.activation,
            biases=cast(Biases, kind),
            equals_class=weights.classes > weights.p,
            attention_rate=weights.attention_rate,
        )
        config = RunConfig(
            task=task,
            split=split or SplitConfig(),
            model=model,
            optimizer=replace(OptimizerConfig(), **optimizer),  # type: ignore[arg-type] # from a file; checked by the class
            recipe="imported",
            steps=steps,
            dtype="float64" if weights.W_E.element_size() == 8 else "float32",
        )
    except (UsageError, TypeError) as error:
        raise DataError(f"a run's configuration cannot describe this model: {error}") from error
    if weights.d_head * weights.n_heads != weights.d_model:
        raise DataError(f"a run's configuration cannot describe {weights.n_heads} heads of {weights.d_head} in {weights.d_model}")
    return config, unknown


def _checked_split(train: np.ndarray, test: np.ndarray, task: ModularTask) -> Split:
    try:
        split = Split(train=train, test=test)
    except ValueError as error:
        raise DataError(f"the stored split is damaged: {error}") from error
    if len(train) + len(test) != task.n_pairs:
        raise DataError(f"the stored split has {len(train)} + {len(test)} pairs, expected {task.n_pairs} (p = {task.p})")
    return split


def _name_rule(split: Split, task: ModularTask) -> tuple[SplitConfig, Split]:
    """The published rule that draws exactly this split, or else one with its fraction."""
    exact = len(split.train) / task.n_pairs
    fractions = [f for f in (round(exact, 1), round(exact, 2), exact) if 0 < f < 1 and int(f * task.n_pairs) == len(split.train)]
    for candidate in (replace(rule, fraction=f) for rule in _PUBLISHED for f in fractions):
        if np.array_equal(candidate.draw(task).train, split.train):
            return candidate, split
    return SplitConfig(fraction=exact), split


def _name(split: SplitConfig) -> str:
    return f"{split.rule}:{split.seed}:{split.fraction:g}"
