"""Which algorithm: clock, pizza, or neither. Source: Zhong et al. 2023 (arXiv 2306.17844), section 4 and appendices.

A clock multiplies the waves of a and b, a pizza adds them and takes an absolute value; the formulas are
``cos w(a + b - c)`` and ``|cos(w (a - b) / 2)| cos w(a + b - c)``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Float64, Int, Int64
from torch import Tensor

from interp.cores import torch_threads
from interp.errors import UsageError, unknown
from interp.harmonics.cyclic import CyclicHarmonics, FourierBasis
from interp.measures.checks import check_logits
from interp.measures.cosine_fit import centred_energy
from interp.measures.triples import symmetricity_triples
from interp.measures.turned import turned_sums

Target = Literal["correct", "runner_up"]
TARGETS: tuple[Target, ...] = get_args(Target)
LogitsFromEmbeddings = Callable[[Float[Tensor, "n d_model"], Float[Tensor, "n d_model"]], Float[Tensor, "n p"]]


@dataclass(frozen=True, eq=False)
class FormulaFit:
    """How much of the logits' variance the formulas explain.

    Args:
        frequencies: ascending.
        clock: fraction explained by the clock cubes of all frequencies together.
        pizza: the same for the pizza cubes.
        clock_single: for each frequency, fraction explained by its clock cube alone.
        pizza_single: the same for its pizza cube.
    """

    frequencies: tuple[int, ...]
    clock: Float64[Tensor, ""]
    pizza: Float64[Tensor, ""]
    clock_single: Float64[Tensor, " frequency"]
    pizza_single: Float64[Tensor, " frequency"]


@torch_threads(1)
def gradient_symmetricity(
    logits_from_embeddings: LogitsFromEmbeddings,
    embedding: Float[Tensor, "p d_model"],
    *,
    triples: Int[Tensor, "n 3"] | None = None,
) -> Float64[Tensor, " n"]:
    """Cosine of the angle between dQ_abc/dE_a and dQ_abc/dE_b for each triple (a, b, c), where Q_abc is the logit of c on (a, b).

    The paper's gradient symmetricity is the mean over its 100 triples (`symmetricity_triples`, the default). A pizza, which
    reads only the sum of the embeddings, has 1; a value above 0.98 excludes a clock. NaN where a gradient is zero.

    Args:
        logits_from_embeddings: maps the embedding vectors at the positions of a and b (without positional embeddings) to
            logits, differentiably.
        embedding: the residues' rows of W_E.

    >>> W_E = torch.eye(3, dtype=torch.float64)
    >>> adds = lambda a, b: (a + b) ** 2
    >>> round(gradient_symmetricity(adds, W_E, triples=torch.tensor([[0, 1, 1], [2, 2, 2]])).mean().item(), 6)
    1.0
    """
    p = len(embedding)
    chosen = symmetricity_triples(p) if triples is None else triples
    a, b, c = chosen.to(embedding.device).T
    with torch.enable_grad():
        at_a, at_b = (embedding.detach()[i].clone().requires_grad_() for i in (a, b))
        logits = logits_from_embeddings(at_a, at_b)
        # Rows do not interact, so the gradient of the sum holds the gradient of every row.
        to_a, to_b = torch.autograd.grad(logits.gather(1, c[:, None]).sum(), (at_a, at_b))
    to_a, to_b = to_a.double(), to_b.double()
    return (to_a * to_b).sum(dim=1) / (to_a.norm(dim=1) * to_b.norm(dim=1))


@torch_threads(1)
def distance_irrelevance(
    logits: Float[Tensor, "pair p"], labels: Int[Tensor, " pair"], *, harmonics: CyclicHarmonics, target: Target = "correct"
) -> Float64[Tensor, ""]:
    """How little the logit of the answer depends on the distance b - a.

    ``mean_d std_i L_{i,i+d} / std_{i,j} L_ij``, where L_ij is the logit of the correct answer on input (i, j), or with
    ``target="runner_up"`` the largest wrong logit (as in the paper's tables). Below 0.4 reads as pizza, above as clock. If L
    does not vary at all, as in an ideal clock (0/0), the value is 1, the limit for variation that does not depend on distance.

    Raises:
        UsageError: if logits are not those of the harmonics' rows and classes, or the target is unknown.

    >>> from interp.synthetic import clock_logits, pizza_logits
    >>> harmonics = CyclicHarmonics(7)
    >>> distance_irrelevance(clock_logits(7, [1]), harmonics.line, harmonics=harmonics).item()
    1.0
    >>> distance_irrelevance(pizza_logits(7, [1]), harmonics.line, harmonics=harmonics).item() < 1e-6
    True
    """
    check_logits(logits, harmonics)
    p = harmonics.n
    if target not in TARGETS:
        raise unknown("target", target, TARGETS)
    if target == "correct":
        value = logits.gather(1, labels[:, None])
    else:
        value = logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    value = value.double().reshape(p, p)
    i = torch.arange(p, device=logits.device)
    by_distance = value[i[:, None], (i[:, None] + i) % p]
    spread = value.std(correction=0)
    # Few of these values lie halfway between two numbers: what they differ by is real, or one unit in the last place.
    if spread <= (64 if logits.dtype.itemsize >= 4 else 0.5) * torch.finfo(logits.dtype).eps * value.abs().max():
        return torch.ones_like(spread)
    return by_distance.std(dim=0, correction=0).mean() / spread


@torch_threads(1)
def circularity(W_E: Float[Tensor, "p d_model"]) -> Float64[Tensor, ""]:
    """How circular the first four principal components of the embedding are; circular if at least 0.995.

    ``mean_l max_k 2 / (p sum_j v_lj^2) |sum_j v_lj e^(2 pi i j k / p)|^2``: the share of component l in its best frequency. The
    alternating wave of even p has one row instead of two and counts once, so that the share is at most 1. Components without
    variance are left out (p residues have at most p - 1); NaN if none is left. If two frequencies have equal variances, the
    components are an arbitrary mixture of them.

    >>> from interp.synthetic import clock_weights
    >>> round(circularity(clock_weights(7, [2]).residue_embedding).item(), 9)
    1.0
    """
    x = W_E.double()
    precision = 1e-12 if W_E.dtype == torch.float64 else 8 * torch.finfo(W_E.dtype).eps
    components = _principal_components(x - x.mean(dim=0), smallest=precision * float(x.norm()))
    basis = FourierBasis(len(x))
    energy = (basis.rows.to(x.device) @ components).square()
    shares = torch.zeros(basis.p // 2 + 1, components.shape[1], dtype=torch.float64, device=x.device)
    shares.index_add_(0, basis.row_frequency.to(x.device), energy)
    return shares[1:].amax(dim=0).mean()


def _principal_components(centred: Float64[Tensor, "p d_model"], *, smallest: float) -> Float64[Tensor, "p component"]:
    """Unit vectors over the rows, of the first four components that are larger than rounding."""
    energy, vectors = torch.linalg.eigh(centred @ centred.T)
    # In half the time of a singular value decomposition; but squares of small components are lost in the rounding of large ones.
    if len(energy) >= 4 and bool(energy[-4] > max(1e-8 * float(energy[-1]), smallest**2)):
        return vectors[:, -4:]
    u, sizes, _ = torch.linalg.svd(centred, full_matrices=False)
    return u[:, :4][:, (sizes[:4] > smallest) | sizes[:4].isnan()]


@torch_threads(1)
def formula_fit(
    logits: Float[Tensor, "pair p"],
    *,
    harmonics: CyclicHarmonics,
    keys: Collection[int],
    energy: Float64[Tensor, ""] | None = None,
) -> FormulaFit:
    """Fractions of the variance of the logits (centred over the classes of each pair) that clock and pizza cubes explain.

    For an ideal pizza the pizza cubes explain 1, the clock cubes ``2 / (p sin(pi / 2p))^2`` (odd p; about 0.81).

    Args:
        energy: `centred_energy` of the logits, where it is at hand, to save time.

    Raises:
        UsageError: if logits are not those of the harmonics' rows and classes, a frequency does not exist, or none is given.

    >>> from interp.synthetic import pizza_logits
    >>> fit = formula_fit(pizza_logits(59, [4]), harmonics=CyclicHarmonics(59), keys=[4])
    >>> round(fit.clock.item(), 6), round(fit.pizza.item(), 6)
    (0.810761, 1.0)
    """
    check_logits(logits, harmonics)
    p, frequencies = harmonics.n, tuple(sorted({harmonics.basis.check(k) for k in keys}))
    if not frequencies:
        raise UsageError("formula_fit: given no frequency, expected at least one")
    total = centred_energy(logits) if energy is None else energy
    residue = torch.arange(p)
    wave = _angles(frequencies, residue, period=p).cos().to(logits.device)
    # |cos| of half the angle of a - b: 1 for a clock.
    half = _angles(frequencies, residue, period=2 * p).cos().abs().to(logits.device)
    sums, _ = turned_sums(logits, harmonics.difference.to(logits.device), p)
    clock, pizza = (_explained(sums, size, wave) for size in (torch.ones_like(half), half))
    return FormulaFit(frequencies, clock.sum() / total, pizza.sum() / total, clock / total, pizza / total)


def _angles(keys: tuple[int, ...], steps: Int64[Tensor, " step"], *, period: int) -> Float64[Tensor, "frequency step"]:
    """2 pi k step / period for each frequency; the integers are reduced first."""
    return (torch.tensor(keys)[:, None] * steps % period).double() * (2 * torch.pi / period)


def _explained(
    sums: Float64[Tensor, "p p"], size: Float64[Tensor, "frequency p"], wave: Float64[Tensor, "frequency p"]
) -> Float64[Tensor, " frequency"]:
    """Energy of logits along each cube ``size(a - b) wave(a + b - c)``; cubes of different frequencies are orthogonal."""
    inner = ((size @ sums) * wave).sum(dim=1)
    # Each difference has p pairs. The sum of cos^2 over all classes is the same for each: p/2, and p for the alternating wave.
    square = len(sums) * size.square().sum(dim=1) * wave.square().sum(dim=1)
    return inner.square() / square
