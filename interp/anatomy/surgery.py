"""One look or one cut, one call: a frequency taken away, an activation put in another's place, one neuron over all pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from interp.errors import UsageError, as_list, unknown
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import Name
from interp.losses import correct, cross_entropy
from interp.measures.exclusion import excluded_logits
from interp.networks.one_layer import Weights
from interp.networks.weights_given import as_weights
from interp.observing.circuit import Circuit, Model, means
from interp.observing.neuron_maps import NeuronMap, neuron_map
from interp.store.checkpoint import Checkpoint
from interp.store.run import Run, RunLike, as_run
from interp.tasks.modular import ModularTask
from interp.tasks.splits import Split
from interp.tasks.task import Task
from interp.wording import listed, number

Where = Literal["logits", "embedding"]


@dataclass(frozen=True, eq=False)
class Ablated:
    """A model without some frequencies.

    Args:
        frequencies: those that were taken away.
        at: where.
        loss: cross-entropy then, in nats: mean over ``all`` rows of the task's harmonics, and ``train`` and ``test`` where they
            are known. (Of products and quotients modulo p these are the pairs without 0, and the answers other than 0: 0 has no
            exponent.)
        loss_before: the same of the whole model.
        accuracy: share of right answers then.
        accuracy_before: the same of the whole model.
        logits: then, over the rows and in the order of the task's harmonics (of addition: of all pairs).
    """

    frequencies: tuple[Name, ...]
    at: Where
    loss: Mapping[str, float | None]
    loss_before: Mapping[str, float | None]
    accuracy: Mapping[str, float | None]
    accuracy_before: Mapping[str, float | None]
    logits: Float64[Tensor, "row n"]

    def __repr__(self) -> str:
        told = f"loss {number(self.loss_before['all'])} -> {number(self.loss['all'])}"
        right = f"accuracy {number(self.accuracy_before['all'])} -> {number(self.accuracy['all'])}"
        return f"Ablated({self.at} without {listed(self.frequencies)}: {told}, {right})"


@torch.no_grad()
def ablate(
    model: RunLike | Checkpoint | Weights,
    frequencies: Name | Integral | Iterable[Any],
    *,
    at: Where = "logits",
    step: int | None = None,
) -> Ablated:
    """A model without some frequencies of its circuit, and what it then answers.

    Args:
        model: a run, its directory or its name; a checkpoint; or weights, which are taken to have learned addition.
        frequencies: one, or several.
        at: ``logits``: without their projection on cos w_k(a+b), sin w_k(a+b), as in the excluded loss; ``embedding``: the
            residues' rows of W_E without these frequencies, whose mean stays; the rest of the model computes on.
        step: which checkpoint of a run; the last by default.

    Raises:
        UsageError: for a frequency that does not exist, a task without waves, or a model that is none.

    >>> from interp.synthetic import clock_weights
    >>> found = ablate(clock_weights(7, [2, 3], amplitude=20.0), [2, 3])
    >>> found.accuracy_before["all"], round(found.loss["all"], 4)  # ln 7: nothing is known any more
    (1.0, 1.9459)
    """
    if at not in get_args(Where):
        raise unknown("at", at, get_args(Where))
    weights, task, split = _subject(model, step)
    chosen = _names(frequencies)
    if task.harmonics is None:
        raise UsageError(f"ablate: the answers of {task.name!r} have no waves, so that there is no frequency to take away")
    circuit = Circuit.of(Model(weights, task, split), task.harmonics, chosen)
    if at == "logits":
        after = excluded_logits(circuit.logits, harmonics=task.harmonics, keys=chosen)
    else:
        edited = Circuit.of(Model(_without(weights, task, chosen), task, split), task.harmonics, chosen)
        after = edited.logits.double()
    before, labels = circuit.logits.double(), circuit.labels
    (loss, loss_before), (right, right_before) = (
        [_means(function(logits, labels), circuit) for logits in (after, before)] for function in (cross_entropy, _right)
    )
    return Ablated(tuple(chosen), at, loss, loss_before, right, right_before, after)


def _names(frequencies: Name | Integral | Iterable[Any]) -> list[Name]:
    """Frequencies as numbers or names of Python's, whatever kind of numbers they were."""
    given: list[Any] = as_list(frequencies, "frequencies", of=(Integral, str))
    found = [one if isinstance(one, str) else one.item() if hasattr(one, "item") else one for one in given]
    if not found or not all(isinstance(one, int | str) and not isinstance(one, bool) for one in found):
        raise UsageError(f"frequencies: given {frequencies!r}, expected at least one frequency, or the name of a representation")
    return found


@dataclass(frozen=True, eq=False)
class Patched:
    """What a model answers one pair when one of its activations is that of another pair.

    Args:
        site: whose value was put in its place.
        pair: that was asked.
        source: that the value came from.
        answer: the model's, when it is patched.
        moved: how far the logits' difference between the two right answers went from that of `pair` (0) to that of `source` (1).
        logits: at the last position, patched.
        before: of `pair`, not patched.
    """

    site: str
    pair: tuple[int, int]
    source: tuple[int, int]
    answer: int
    moved: float
    logits: Float[Tensor, " p"]
    before: Float[Tensor, " p"]

    def __repr__(self) -> str:
        return f"Patched({self.site} of {self.source} in {self.pair}: answers {self.answer}, moved {self.moved:.2f})"


@torch.no_grad()
def patch_activation(
    model: RunLike | Checkpoint | Weights,
    site: str,
    *,
    pair: tuple[int, int],
    source: tuple[int, int],
    position: int | None = None,
    step: int | None = None,
) -> Patched:
    """Ask a model one pair, with the activation at one site as it is for another pair (activation patching).

    Args:
        model: as in `ablate`.
        site: a hook point by TransformerLens' name, such as ``blocks.0.hook_resid_mid``.
        pair: what is asked.
        source: from where the activation is taken.
        position: put it in place at this position only; at all by default.
        step: which checkpoint of a run; the last by default.

    Raises:
        UsageError: for an unknown site, with the nearest that exists; a position that the site has not; pairs that are none,
            or have no answer.

    >>> from interp.synthetic import clock_weights
    >>> model = clock_weights(7, [2, 3], amplitude=20.0)
    >>> patch_activation(model, "blocks.0.mlp.hook_post", pair=(1, 2), source=(3, 3))
    Patched(blocks.0.mlp.hook_post of (3, 3) in (1, 2): answers 6, moved 1.00)
    """
    from interp.networks.hooked import HookedModel  # imports transformer_lens, which takes seconds

    weights, task, _ = _subject(model, step)
    hooked = HookedModel(weights)
    if site not in hooked.hook_dict:
        raise unknown("site", site, hooked.hook_dict)
    asked, taken = (_row(one, weights.p, task) for one in (pair, source))
    before, whole = hooked(asked)[0, -1, : weights.p], hooked(taken)[0, -1, : weights.p]
    value = hooked.run_with_cache(taken, names_filter=[site])[1][site]
    where = _place(value, position, site)

    def put(activation: Tensor, hook: object) -> Tensor:  # noqa: ARG001  as TransformerLens calls it
        changed = activation.clone()
        changed[where] = value[where]
        return changed

    logits = hooked.run_with_hooks(asked, fwd_hooks=[(site, put)])[0, -1, : weights.p]
    right = [int(task.labels[a * weights.p + b]) for a, b in (pair, source)]
    first, last, now = (float(one[right[1]] - one[right[0]]) for one in (before, whole, logits))
    moved = (now - first) / (last - first) if last != first else float("nan")
    return Patched(site, pair, source, int(logits.argmax()), moved, logits, before)


def neuron(model: RunLike | Checkpoint | Weights, number: int, *, step: int | None = None) -> NeuronMap:
    """One neuron over all pairs, and its best fit by the waves of one frequency, see `interp.observing.neuron_maps`.

    Args:
        model: as in `ablate`.
        number: which neuron.
        step: which checkpoint of a run; the last by default.

    Raises:
        UsageError: for a neuron that the model does not have.

    >>> from interp.synthetic import clock_weights
    >>> neuron(clock_weights(7, [2]), 0)
    NeuronMap(7 x 7: frequency 2 explains 97 %)
    """
    weights, task, _ = _subject(model, step)
    return neuron_map(weights, number, task.harmonics)


def _subject(model: RunLike | Checkpoint | Weights, step: int | None) -> tuple[Weights, Task, Split | None]:
    """The weights that are meant, what they learned, and from which pairs, where that is known."""
    if isinstance(model, Checkpoint | Weights) or (not isinstance(model, Run | str) and not hasattr(model, "__fspath__")):
        weights = as_weights(model)
        if step is not None:
            raise UsageError(f"step: given {step} with one model, expected it only with a run; leave it out")
        return weights, ModularTask(weights.p, equals_sign=weights.equals_sign), None
    run = as_run(model)
    checkpoint = run.last if step is None else run[step]
    return checkpoint.weights, run.task, run.split_at(checkpoint.step)


def _without(weights: Weights, task: Task, frequencies: Sequence[Name]) -> Weights:
    """The model whose embedding of the residues lacks some frequencies."""
    harmonics = task.harmonics
    if not isinstance(harmonics, CyclicHarmonics):
        raise UsageError(f"ablate: {task.name!r} is no addition in any order: at='embedding' needs one, at='logits' does not")
    residues = torch.arange(harmonics.n) if harmonics.classes is None else harmonics.classes
    rows = weights.W_E.detach()[residues].double()
    W_E = weights.W_E.detach().clone()
    W_E[residues] = (rows - harmonics.projector(frequencies) @ rows).to(W_E.dtype)
    return replace(weights, W_E=W_E)


def _right(logits: Tensor, labels: Tensor) -> Tensor:
    return correct(logits, labels).double()


def _means(values: Tensor, circuit: Circuit) -> dict[str, float | None]:
    found = means(values, circuit.train, circuit.test)
    return {name: None if value is None else float(value) for name, value in found.items()}


def _row(pair: Sequence[int], p: int, task: Task) -> Tensor:
    numbers = list(pair) if isinstance(pair, Sequence) and not isinstance(pair, str) else []
    if len(numbers) != 2 or not all(isinstance(one, int) and 0 <= one < p for one in numbers):
        raise UsageError(f"pair: given {pair!r}, expected two of the numbers 0..{p - 1}, such as (17, 50)")
    left_out = getattr(task, "left_out", None)
    if left_out is not None and numbers[0] * p + numbers[1] in left_out:
        raise UsageError(f"pair: given {pair!r}, which has no answer in {task.name}")
    return torch.tensor([numbers])


def _place(value: Tensor, position: int | None, site: str) -> tuple[slice | int, ...]:
    """Where an activation is replaced: everywhere, or at one position, which is the second axis."""
    if position is None:
        return (slice(None),)
    if not isinstance(position, int) or value.ndim < 3 or not -value.shape[1] <= position < value.shape[1]:
        raise UsageError(f"position: given {position!r}, expected one of the {value.shape[1]} positions of {site}")
    return slice(None), position
