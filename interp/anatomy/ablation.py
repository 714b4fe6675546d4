"""Ablations of a model: what its loss becomes without a part, each beside the same done to something random of equal size.

A control removes as much, in a random direction: another set of frequencies, another subspace, or the same vectors turned by a
random rotation. What counts is where the loss lies in the distribution of the controls, not one draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor

from interp.anatomy.controls import Controls
from interp.errors import UsageError
from interp.harmonics.cyclic import CyclicHarmonics, FourierBasis
from interp.harmonics.harmonics import line_means, take_classes, take_logits, take_rows
from interp.losses import cross_entropy
from interp.measures import degree_two_fit, excluded_loss, neuron_frequencies, restricted_loss
from interp.measures.neurons import Terms
from interp.networks.one_layer import Weights
from interp.networks.pair_tables import PairTables, pair_logits, pair_tables


@dataclass(frozen=True)
class Ablation:
    """The loss in nats without a part, and without random things of equal size; means over all pairs of the harmonics."""

    loss: float
    controls: tuple[float, ...]


def ablations(
    weights: Weights, *, harmonics: CyclicHarmonics, keys: Sequence[int], controls: int = 0, seed: int = 0
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

    Raises:
        UsageError: if controls is negative.
    """
    if controls < 0:
        raise UsageError(f"controls: given {controls}, expected a number >= 0")
    setting = _Setting.of(weights, harmonics, tuple(keys), Controls(controls, Generator().manual_seed(seed)))
    found = {"nothing": Ablation(setting.loss(setting.logits), ())}
    for part in (_at_logits, _at_neurons, _at_embedding, _neuron_fits, _mlp_directions, _heads, _skips):
        found |= part(setting)
    return found


@dataclass(frozen=True, eq=False)
class _Setting:
    """The model in the order of the harmonics: pairs, classes and the rows of W_L."""

    weights: Weights
    full: PairTables
    harmonics: CyclicHarmonics
    keys: tuple[int, ...]
    controls: Controls
    logits: Float[Tensor, "pair residue"]
    neurons: Float[Tensor, "pair d_mlp"]
    W_L: Float[Tensor, "residue d_mlp"]

    @classmethod
    def of(cls, weights: Weights, harmonics: CyclicHarmonics, keys: tuple[int, ...], controls: Controls) -> _Setting:
        full = pair_tables(weights)
        return cls(
            weights=weights, full=full, harmonics=harmonics, keys=keys, controls=controls,
            logits=take_logits(harmonics, full.logits), neurons=take_rows(harmonics, full.neurons),
            W_L=take_classes(harmonics, weights.W_L),
        )  # fmt: skip

    @property
    def basis(self) -> FourierBasis:
        return self.harmonics.basis

    @property
    def residues(self) -> Int64[Tensor, " residue"]:
        """The rows of W_E that belong to the group elements."""
        return torch.arange(self.harmonics.n) if self.harmonics.classes is None else self.harmonics.classes

    def loss(self, logits: Float[Tensor, "pair residue"]) -> float:
        return float(cross_entropy(logits, self.harmonics.line).double().mean())

    def model_loss(self, logits: Float[Tensor, "all_pairs p"]) -> float:
        """Loss of a changed model, from its logits on all pairs."""
        return self.loss(take_logits(self.harmonics, logits))

    def random_keys(self, size: int) -> list[list[int]]:
        return self.controls.frequencies(size, [k for k in self.basis.frequencies if k not in self.keys])

    def rotations(self, size: int) -> list[Float[Tensor, "size size"]]:
        return [turn.to(self.weights.W_E.dtype) for turn in self.controls.rotations(size)]


def _at_logits(s: _Setting) -> dict[str, Ablation]:
    def only(keys: Sequence[int]) -> float:
        return float(restricted_loss(s.logits, s.harmonics.line, harmonics=s.harmonics, keys=keys).mean())

    def without(keys: Sequence[int]) -> float:
        return float(excluded_loss(s.logits, s.harmonics.line, harmonics=s.harmonics, keys=keys).mean())

    found = _by_frequencies(s, "logits", only, without)
    for k in s.keys:
        found[f"logits: without {k}"] = Ablation(without([k]), tuple(without(other) for other in s.random_keys(1)))
    return found


def _at_neurons(s: _Setting) -> dict[str, Ablation]:
    # What the neurons' waves in a + b become behind W_L needs only their p means on the lines of equal a + b.
    means = line_means(s.neurons.double(), s.harmonics) @ s.W_L.double().T
    line = s.harmonics.line
    logits, varying = s.logits.double(), (s.neurons - s.neurons.mean(dim=0)) @ s.W_L.T

    def waves(keys: Sequence[int]) -> Float64[Tensor, "pair residue"]:
        return (s.harmonics.projector(keys) @ means)[line]

    return _by_frequencies(
        s, "neurons", lambda keys: s.loss(logits - varying + waves(keys)), lambda keys: s.loss(logits - waves(keys))
    )


def _at_embedding(s: _Setting) -> dict[str, Ablation]:
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
    s: _Setting, where: str, only: Callable[[Sequence[int]], float], without: Callable[[Sequence[int]], float]
) -> dict[str, Ablation]:
    others = s.random_keys(len(s.keys))
    return {
        f"{where}: only the key frequencies": Ablation(only(s.keys), tuple(map(only, others))),
        f"{where}: without the key frequencies": Ablation(without(s.keys), tuple(map(without, others))),
    }


def _neuron_fits(s: _Setting) -> dict[str, Ablation]:
    found = neuron_frequencies(s.neurons, harmonics=s.harmonics)
    clustered = torch.nonzero(found.in_cluster).flatten()
    neurons, own, turns = s.neurons[:, clustered], found.frequency[clustered], s.rotations(s.weights.d_mlp)
    names: dict[str, Terms] = {"degree-2 fit": "degree_two", "a+b part of the fit": "sum"}
    result = {}
    for name, terms in names.items():
        change = (degree_two_fit(neurons, harmonics=s.harmonics, frequency=own, terms=terms) - neurons).to(neurons.dtype)
        readings = [s.W_L[:, clustered].T, *(turn[clustered] @ s.W_L.T for turn in turns)]
        losses = [s.loss(s.logits + change @ reading) for reading in readings]
        result[f"neurons: {name}"] = Ablation(losses[0], tuple(losses[1:]))
    return result


def _mlp_directions(s: _Setting) -> dict[str, Ablation]:
    wanted = torch.isin(s.basis.row_frequency, torch.tensor(s.keys, dtype=torch.int64))
    keys = _span((s.basis.rows @ s.W_L.double())[wanted]).to(s.neurons.dtype)
    everything = s.neurons @ s.W_L.T
    only, without = [], []
    for space in [keys, *(turn[: len(keys)] for turn in s.rotations(s.weights.d_mlp))]:
        part = (s.neurons @ space.T) @ (space @ s.W_L.T)
        only.append(s.loss(s.logits - everything + part))
        without.append(s.loss(s.logits - part))
    return {
        "MLP: only the key directions": Ablation(only[0], tuple(only[1:])),
        "MLP: without the key directions": Ablation(without[0], tuple(without[1:])),
    }


def _heads(s: _Setting) -> dict[str, Ablation]:
    w, turns = s.weights, s.rotations(s.weights.d_model)

    def edited(kept: Float[Tensor, "head d_head d_model"], more: Tensor | float = 0.0) -> float:
        b_O = more + (torch.zeros_like(w.W_E[0]) if w.b_O is None else w.b_O)
        return s.model_loss(pair_logits(replace(w, W_O=kept, b_O=b_O)))

    found = {"all heads: zero": Ablation(edited(w.W_O * 0), tuple(edited(w.W_O - w.W_O @ turn) for turn in turns))}
    means = _mean_head_outputs(w, s.full)
    for head in range(w.n_heads):
        without = w.W_O.clone()
        without[head] = 0
        # A control takes as much out of the residual stream, in another direction.
        others = [torch.where(torch.arange(w.n_heads)[:, None, None] == head, w.W_O - w.W_O @ turn, w.W_O) for turn in turns]
        found[f"head {head}: zero"] = Ablation(edited(without), tuple(map(edited, others)))
        moved = [means[head] @ turn for turn in turns]
        found[f"head {head}: mean"] = Ablation(
            edited(without, means[head]), tuple(edited(other, more) for other, more in zip(others, moved, strict=True))
        )
    return found


def _skips(s: _Setting) -> dict[str, Ablation]:
    identity = torch.eye(s.weights.d_model, dtype=s.weights.W_E.dtype)
    turns = s.rotations(s.weights.d_model)

    def attention(kept: Tensor) -> float:
        return s.model_loss(pair_logits(s.weights, attention_skip=kept))

    def mlp(kept: Tensor) -> float:
        return s.model_loss(pair_logits(s.weights, mlp_skip=kept))

    return {
        "attention skip: zero": Ablation(attention(identity * 0), tuple(attention(identity - turn) for turn in turns)),
        "MLP skip: zero": Ablation(mlp(identity * 0), tuple(mlp(identity - turn) for turn in turns)),
    }


def _mean_head_outputs(w: Weights, full: PairTables) -> Float[Tensor, "head d_model"]:
    """Mean over all pairs of what each head writes."""
    p = w.p
    pattern = full.pattern.reshape(p, p, w.n_heads, w.n_ctx)
    at = [w.W_E[:p] + w.W_pos[0], w.W_E[:p] + w.W_pos[1]]
    attention = [pattern[..., 0].mean(dim=1) / p, pattern[..., 1].mean(dim=0) / p]
    if w.equals_sign:
        at.append(w.W_E[p:] + w.W_pos[2])
        attention.append(pattern[..., 2].mean(dim=(0, 1))[None])
    read = sum(
        torch.einsum("nh,nhe->he", weight, torch.einsum("nd,hde->nhe", x, w.W_V)) for x, weight in zip(at, attention, strict=True)
    )
    if w.b_V is not None:
        read = read + full.pattern.sum(dim=2).mean(dim=0)[:, None] * w.b_V
    return torch.einsum("he,hed->hd", read, w.W_O)


def _span(rows: Float64[Tensor, "row n"]) -> Float64[Tensor, "rank n"]:
    """An orthonormal basis of what rows span; directions of mere rounding are left out."""
    _, sizes, directions = torch.linalg.svd(rows, full_matrices=False)
    return directions[sizes > 1e-12 * sizes.max()] if len(sizes) else directions
