"""Ablations of a model: what its loss becomes without a part, each beside the same done to something random of equal size.

A control removes as much, in a random direction: another set of frequencies, another subspace, or the same vectors turned by a
random rotation. What counts is where the loss lies in the distribution of the controls, not one draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float, Float64
from torch import Generator, Tensor

from interp.anatomy.controls import Controls
from interp.anatomy.setting import Piece, Setting
from interp.cores import check_threads, side_by_side, torch_threads
from interp.errors import UsageError
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import line_means
from interp.losses import cross_entropy
from interp.measures import excluded_losses, line_sums, neuron_frequencies, restricted_loss
from interp.measures.neurons import Terms, fit_blocks
from interp.networks.one_layer import Weights
from interp.networks.pair_tables import PairTables, pair_logits, pair_tables

# How many controls read the same fits, which are made anew for each of their pieces.
_READ_AT_ONCE = 8
# How many sets of frequencies are removed together.
_SETS_AT_ONCE = 32


@dataclass(frozen=True)
class Ablation:
    """The loss in nats without a part, and without random things of equal size; means over all pairs of the harmonics."""

    loss: float
    controls: tuple[float, ...]


def ablations(
    weights: Weights,
    *,
    harmonics: CyclicHarmonics,
    keys: Sequence[int],
    controls: int = 0,
    seed: int = 0,
    tables: PairTables | None = None,
    threads: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> dict[str, Ablation]:
    """Every ablation by name, and ``nothing``, the full model.

    - ``logits: only/without the key frequencies`` (and ``without k`` for each): restricted and excluded logits.
    - ``neurons: only/without ...``: the same waves in a + b at the neurons; the rest of the model stays.
    - ``embedding: only/without ...``: the same frequencies at the residues' rows of W_E, whose mean stays.
    - ``neurons: degree-2 fit`` and ``a+b part of the fit``: clustered neurons replaced by their fits.
    - ``MLP: only/without the key directions``: neurons projected on the key rows of F W_L, or on their complement.
    - ``head h: zero`` or ``mean``, ``all heads: zero``, ``attention skip: zero``, ``MLP skip: zero``.

    Args:
        harmonics: of what the model learned.
        keys: the key frequencies.
        controls: number of random controls for each.
        seed: of the controls.
        tables: `pair_tables` of the weights, where they are at hand, to save time and memory.
        threads: how many share the work; all cores that this process may use by default. No loss depends on it.
        on_step: called with (pieces of the work done, pieces in all).

    Raises:
        UsageError: if controls is negative, or threads is less than 1.
    """
    if controls < 0:
        raise UsageError(f"controls: given {controls}, expected a number >= 0")
    threads = check_threads(threads)
    with torch_threads(1):  # pieces are shared out, not operations
        drawn = Controls(controls, Generator().manual_seed(seed))
        setting = Setting.of(weights, pair_tables(weights) if tables is None else tables, harmonics, tuple(keys), drawn)
        pieces = [Piece(["nothing"], lambda: [setting.loss(lambda rows: setting.logits[rows])])]
        for part in (_at_logits, _at_neurons, _at_embedding, _neuron_fits, _mlp_directions, _heads, _skips):
            pieces += part(setting)
    found: dict[str, list[float]] = {}
    done = side_by_side(lambda piece: list(piece.losses()), pieces, threads=threads)
    for i, (piece, losses) in enumerate(zip(pieces, done, strict=True)):
        for name, loss in zip(piece.names, losses, strict=True):
            found.setdefault(name, []).append(loss)
        if on_step is not None:
            on_step(i + 1, len(pieces))
    return {name: Ablation(losses[0], tuple(losses[1:])) for name, losses in found.items()}


def _at_logits(s: Setting) -> list[Piece]:
    line, means = s.harmonics.line, line_means(s.logits, s.harmonics, dtype=torch.float64)
    only, without = (f"logits: {what} the key frequencies" for what in ("only", "without"))
    key_sets: list[Sequence[int]] = [s.keys, *s.random_keys(len(s.keys))]
    removed: list[tuple[str, Sequence[int]]] = [(without, keys) for keys in key_sets]
    for k in s.keys:
        removed += [(f"logits: without {k}", keys) for keys in ([k], *s.random_keys(1))]

    def restricted() -> Iterable[float]:
        for keys in key_sets:
            yield float(restricted_loss(s.logits, line, harmonics=s.harmonics, keys=keys, means=means).mean())

    def excluded(some: Sequence[tuple[str, Sequence[int]]]) -> Iterable[float]:
        losses = excluded_losses(s.logits, line, [keys for _, keys in some], harmonics=s.harmonics, means=means)
        return losses.mean(dim=1).tolist()

    parts = [removed[i : i + _SETS_AT_ONCE] for i in range(0, len(removed), _SETS_AT_ONCE)]
    return [
        Piece([only] * len(key_sets), restricted),
        *(Piece([name for name, _ in some], partial(excluded, some)) for some in parts),
    ]


def _at_neurons(s: Setting) -> list[Piece]:
    # What the neurons' waves in a + b become behind W_L needs only their p means on the lines of equal a + b.
    means = line_means(s.neurons, s.harmonics, dtype=torch.float64) @ s.W_L.double().T
    line, centre = s.harmonics.line, s.from_neurons.mean(dim=0)

    def only(keys: Sequence[int]) -> float:
        waves = s.harmonics.projector(keys) @ means
        return s.loss(lambda rows: s.logits[rows].double() - (s.from_neurons[rows] - centre) + waves[line[rows]])

    def without(keys: Sequence[int]) -> float:
        waves = s.harmonics.projector(keys) @ means
        return s.loss(lambda rows: s.logits[rows].double() - waves[line[rows]])

    return _by_frequencies(s, "neurons", only, without)


def _at_embedding(s: Setting) -> list[Piece]:
    rows = s.weights.W_E[s.residues].double()
    identity = torch.eye(s.basis.p, dtype=torch.float64)
    mean = torch.full_like(identity, 1 / s.basis.p)

    def edited(keep: Float64[Tensor, "residue residue"]) -> float:
        W_E = s.weights.W_E.clone()
        W_E[s.residues] = (keep @ rows).to(W_E.dtype)
        return s.model_loss(pair_logits(replace(s.weights, W_E=W_E)))

    def only(keys: Sequence[int]) -> float:
        return edited(mean + s.harmonics.projector(keys))

    def without(keys: Sequence[int]) -> float:
        return edited(identity - s.harmonics.projector(keys))

    return _by_frequencies(s, "embedding", only, without)


def _by_frequencies(
    s: Setting, where: str, only: Callable[[Sequence[int]], float], without: Callable[[Sequence[int]], float]
) -> list[Piece]:
    names = [f"{where}: {what} the key frequencies" for what in ("only", "without")]

    def losses(keys: Sequence[int]) -> Iterable[float]:
        return only(keys), without(keys)

    return [Piece(names, partial(losses, keys)) for keys in (s.keys, *s.random_keys(len(s.keys)))]


def _neuron_fits(s: Setting) -> list[Piece]:
    sums = line_sums(s.neurons, harmonics=s.harmonics)
    found = neuron_frequencies(sums, harmonics=s.harmonics)
    # Of neurons in no cluster nothing is replaced: their change is read with zeros.
    clustered, turns = found.in_cluster[:, None], s.rotations(s.weights.d_mlp)
    readings = [torch.where(clustered, reading, 0) for reading in (s.W_L.T, *(turn @ s.W_L.T for turn in turns))]
    line = s.harmonics.line

    def losses(terms: Terms, readings: Sequence[Float[Tensor, "neuron residue"]]) -> Iterable[float]:
        total = torch.zeros(len(readings), dtype=torch.float64)
        for rows, fit in fit_blocks(sums, harmonics=s.harmonics, frequency=found.frequency, terms=terms):
            change = (fit - s.neurons[rows]).to(s.logits.dtype)
            for i, reading in enumerate(readings):
                total[i] += cross_entropy(torch.addmm(s.logits[rows], change, reading), line[rows]).sum(dtype=torch.float64)
        return (total / len(line)).tolist()

    names: dict[str, Terms] = {"degree-2 fit": "degree_two", "a+b part of the fit": "sum"}
    return [
        Piece([f"neurons: {name}"] * len(some), partial(losses, terms, some))
        for name, terms in names.items()
        for some in (readings[i : i + _READ_AT_ONCE] for i in range(0, len(readings), _READ_AT_ONCE))
    ]


def _mlp_directions(s: Setting) -> list[Piece]:
    wanted = torch.isin(s.basis.row_frequency, torch.tensor(s.keys, dtype=torch.int64))
    keys = _span((s.basis.rows @ s.W_L.double())[wanted]).to(s.neurons.dtype)

    def losses(space: Float[Tensor, "direction d_mlp"]) -> Iterable[float]:
        inside, read = s.neurons @ space.T, space @ s.W_L.T
        yield s.loss(lambda rows: s.logits[rows] - s.from_neurons[rows] + inside[rows] @ read)
        yield s.loss(lambda rows: s.logits[rows] - inside[rows] @ read)

    names = [f"MLP: {what} the key directions" for what in ("only", "without")]
    spaces = [keys, *(turn[: len(keys)] for turn in s.rotations(s.weights.d_mlp))]
    return [Piece(names, partial(losses, space)) for space in spaces]


def _heads(s: Setting) -> list[Piece]:
    w, turns = s.weights, s.rotations(s.weights.d_model)
    means, zero = s.mean_head_outputs(), torch.zeros_like(w.W_E[0])

    def edited(kept: Float[Tensor, "head d_head d_model"], more: Float[Tensor, " d_model"] = zero) -> float:
        return s.model_loss(pair_logits(replace(w, W_O=kept, b_O=more + (zero if w.b_O is None else w.b_O))))

    def zeroed(heads: slice, turn: Tensor | None) -> Float[Tensor, "head d_head d_model"]:
        """Without some heads; a control takes as much out of the residual stream, in another direction."""
        kept = w.W_O.clone()
        kept[heads] -= w.W_O[heads] if turn is None else w.W_O[heads] @ turn
        return kept

    def one_head(head: int, turn: Tensor | None) -> Iterable[float]:
        kept = zeroed(slice(head, head + 1), turn)
        return edited(kept), edited(kept, means[head] if turn is None else means[head] @ turn)

    def all_heads(turn: Tensor | None) -> Iterable[float]:
        yield edited(zeroed(slice(None), turn))

    pieces = [Piece(["all heads: zero"], partial(all_heads, turn)) for turn in (None, *turns)]
    for head in range(w.n_heads):
        names = [f"head {head}: zero", f"head {head}: mean"]
        pieces += [Piece(names, partial(one_head, head, turn)) for turn in (None, *turns)]
    return pieces


def _skips(s: Setting) -> list[Piece]:
    identity = torch.eye(s.weights.d_model, dtype=s.weights.W_E.dtype)

    def losses(kept: Float[Tensor, "d_model d_model"]) -> Iterable[float]:
        yield s.model_loss(pair_logits(s.weights, attention_skip=kept))
        yield s.model_loss(pair_logits(s.weights, mlp_skip=kept))

    names = ["attention skip: zero", "MLP skip: zero"]
    turned = [identity * 0, *(identity - turn for turn in s.rotations(s.weights.d_model))]
    return [Piece(names, partial(losses, kept)) for kept in turned]


def _span(rows: Float64[Tensor, "row n"]) -> Float64[Tensor, "rank n"]:
    """An orthonormal basis of what rows span; directions of mere rounding are left out."""
    _, sizes, directions = torch.linalg.svd(rows, full_matrices=False)
    return directions[sizes > 1e-12 * sizes.max()] if len(sizes) else directions
