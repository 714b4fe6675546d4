"""Which irreducible representations a circuit in a group is made of.

Harmonics name the parts of functions on the group: representations or, for addition, frequencies, of which these measures are the
generalisation: spectra of matrices over elements, shares of neurons, and the share of logits that characters explain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from interp.errors import UsageError
from interp.harmonics.harmonics import Harmonics, Name, line_means
from interp.losses import cross_entropy
from interp.measures.checks import check_finite, check_grid, check_logits
from interp.measures.cosine_fit import centred_energy

# Of its mean square: a unit whose variance is less is constant up to rounding.
DEAD = 1e-12


@dataclass(frozen=True, eq=False)
class NeuronParts:
    """The part that each neuron follows.

    Args:
        part: name of the part with the largest share; None for dead neurons.
        share: that share, in 0..1; NaN for dead neurons.
        dead: whether the neuron is constant over all pairs.
        in_cluster: whether the share exceeds the threshold.
        counts: number of neurons in each part's cluster; parts without one are left out.
    """

    part: tuple[Name | None, ...]
    share: Float64[Tensor, " d_mlp"]
    dead: Bool[Tensor, " d_mlp"]
    in_cluster: Bool[Tensor, " d_mlp"]
    counts: dict[Name, int]


@dataclass(frozen=True, eq=False)
class CharacterFit:
    """The best approximation of logits by ``sum_rho alpha_rho cube_rho`` over some representations.

    Args:
        names: of the representations.
        alpha: their coefficients on the unit cubes chi_rho(a b c^-1).
        fve: fraction of the logits' variance that the fit explains.
        loss: cross-entropy in nats of the fitted logits alone, one value per row.
    """

    names: tuple[Name, ...]
    alpha: Float64[Tensor, " name"]
    fve: Float64[Tensor, ""]
    loss: Float64[Tensor, " row"]


def part_shares(x: Float[Tensor, "n rest"], *, harmonics: Harmonics) -> Float64[Tensor, " name"]:
    """Share of each part in a matrix over group elements (W_E, W_L) about its mean over them: ``||P_rho x||^2`` over the whole.

    Shares sum up to 1; NaN for a matrix that is the same for all elements.

    Raises:
        UsageError: if x has not one row for each element.

    >>> from interp.groups.by_name import group
    >>> from interp.harmonics import group_harmonics
    >>> signs = torch.tensor([[1.0], [-1.0], [-1.0], [1.0], [1.0], [-1.0]])
    >>> harmonics = group_harmonics(group("S3"))
    >>> dict(zip(harmonics.names, part_shares(signs, harmonics=harmonics).round(decimals=6).tolist()))
    {'(2,1)': 0.0, '(1,1,1)': 1.0}
    """
    if x.ndim != 2 or len(x) != harmonics.n:
        raise UsageError(f"matrix: given shape {tuple(x.shape)}, expected ({harmonics.n}, ...): a row per group element")
    energy = harmonics.norms(x).square()
    return energy / (x.double() - x.double().mean(dim=0)).square().sum()


def unit_shares(x: Float[Tensor, "pair unit"], *, harmonics: Harmonics) -> Float64[Tensor, "name unit"]:
    """Share of each unit's variance over all pairs that each part explains, NaN for dead units.

    A part's functions of the pair are those of a, of b, and products of both: ``(1 + P_rho) f (1 + P_rho)`` without the constant,
    f being the unit's table over (a, b). For addition these are the eight waves of `frequency_shares`. Shares of different parts
    add up to at most 1.

    Raises:
        UsageError: if x does not have a row for each row of the harmonics, or these are not all pairs of elements.

    >>> from interp.harmonics import addition
    >>> from interp.measures import frequency_shares
    >>> x = torch.rand(49, 3, generator=torch.Generator().manual_seed(0))
    >>> torch.allclose(unit_shares(x, harmonics=addition(7)), frequency_shares(x, harmonics=addition(7)), atol=1e-5)
    True
    """
    check_grid(x, harmonics, "units")
    grid = _grid(x, harmonics)
    mean = grid.mean(dim=(0, 1))
    whole = (grid - mean).square().sum(dim=(0, 1))
    scale = grid.square().sum(dim=(0, 1))
    shares = []
    for name in harmonics.names:
        basis = _basis(harmonics, name).to(x.device)
        part = torch.einsum("bm,nbu->nmu", basis, torch.einsum("an,abu->nbu", basis, grid))
        shares.append((part.square().sum(dim=(0, 1)) - part[0, 0].square()) / whole)
    return torch.where(whole <= DEAD * scale, torch.nan, torch.stack(shares))


def neuron_parts(neurons: Float[Tensor, "pair d_mlp"], *, harmonics: Harmonics, threshold: float = 0.85) -> NeuronParts:
    """The part of each neuron, its share there (see `unit_shares`), which neurons are dead, and the clusters.

    Raises:
        UsageError: as `unit_shares`, and if an activation is not finite.
    """
    check_finite(neurons, "neurons")
    shares = unit_shares(neurons, harmonics=harmonics)
    dead = shares[0].isnan()
    share, best = shares.max(dim=0)
    in_cluster = ~dead & (share > threshold)
    part = tuple(None if is_dead else harmonics.names[i] for i, is_dead in zip(best.tolist(), dead.tolist(), strict=True))
    found = Counter(name for name, is_in in zip(part, in_cluster.tolist(), strict=True) if is_in)
    return NeuronParts(part, share, dead, in_cluster, {name: found[name] for name in harmonics.names if found[name]})


def character_coefficients(
    logits: Float[Tensor, "row n"], *, harmonics: Harmonics, means: Float64[Tensor, "n n"] | None = None
) -> Float64[Tensor, " name"]:
    """alpha_rho for each part: inner products of the logits with the cubes ``chi_rho(s c^-1)``, s the answer, scaled to norm 1.

    The norm is over all rows and classes c. For addition they are `cos_coefficients`.

    Args:
        means: `interp.harmonics.line_means` of the logits in float64, where they are at hand, to save time.

    Raises:
        UsageError: if logits are not those of the harmonics' rows and classes.

    >>> from interp.harmonics import addition
    >>> from interp.synthetic import clock_logits
    >>> found = character_coefficients(clock_logits(5, [2], amplitude=3.0), harmonics=addition(5))
    >>> (found / (5**3 / 2) ** 0.5).round(decimals=6).tolist()
    [0.0, 3.0]
    """
    check_logits(logits, harmonics)
    means = line_means(logits, harmonics, dtype=torch.float64) if means is None else means
    cubes, norms, counts = _cubes(harmonics, harmonics.names)
    sums = torch.nan_to_num(means) * counts[:, None].to(means.device)  # an answer that no row has adds nothing
    return torch.einsum("psc,sc->p", cubes.to(means.device), sums) / norms.to(means.device)


def character_fit(
    logits: Float[Tensor, "row n"],
    labels: Int[Tensor, " row"],
    *,
    harmonics: Harmonics,
    keys: Collection[Name],
) -> CharacterFit:
    """Fit logits by the characters of some representations; the fraction of variance explained and the loss of the fit.

    ``fve = sum_rho alpha_rho^2 / sum (l - mean_c l)^2``: logits are centred over the classes of each row, which changes no loss.
    For addition it is `cos_fit`.

    Raises:
        UsageError: if logits are not those of the harmonics' rows and classes, or a key is not one of their names.

    >>> from interp.groups.by_name import group
    >>> from interp.harmonics import group_harmonics
    >>> from interp.synthetic import character_logits
    >>> harmonics = group_harmonics(group("S3"))
    >>> fit = character_fit(character_logits(group("S3"), ["(2,1)"]), harmonics.line, harmonics=harmonics, keys=["(2,1)"])
    >>> round(fit.fve.item(), 6)
    1.0
    """
    check_logits(logits, harmonics)
    harmonics.projector(keys)  # the error for a name that is not one of theirs
    chosen = [i for i, name in enumerate(harmonics.names) if name in set(keys)]
    names = tuple(harmonics.names[i] for i in chosen)
    alpha = character_coefficients(logits, harmonics=harmonics)[chosen]
    cubes, norms, _ = _cubes(harmonics, names)
    profile = torch.einsum("p,psc->sc", alpha / norms.to(alpha.device), cubes.to(alpha.device))
    loss = cross_entropy(profile[harmonics.line.to(alpha.device)], labels)
    return CharacterFit(names, alpha, alpha.square().sum() / centred_energy(logits), loss)


def _cubes(
    harmonics: Harmonics, names: Collection[Name]
) -> tuple[Float64[Tensor, "name n n"], Float64[Tensor, " name"], Float64[Tensor, " n"]]:
    """chi_rho(s c^-1) up to a factor, its norm over all rows and classes, and the number of rows of each answer."""
    counts = torch.bincount(harmonics.line.cpu(), minlength=harmonics.n).double()
    cubes = torch.stack([harmonics.projector([name]) for name in names])
    return cubes, torch.einsum("psc,s->p", cubes.square(), counts).sqrt(), counts


def _grid(x: Float[Tensor, "pair unit"], harmonics: Harmonics) -> Float64[Tensor, "n n unit"]:
    n = harmonics.n
    if len(x) != n * n:
        raise UsageError(f"units: the harmonics have {len(x)} rows, expected all {n * n} pairs of their {n} elements, row-major")
    return x.double().reshape(n, n, -1)


def _basis(harmonics: Harmonics, name: Name) -> Float64[Tensor, "n dimension"]:
    """Orthonormal functions that span the constant (first) and a part."""
    n = harmonics.n
    values, vectors = torch.linalg.eigh(harmonics.projector([name]))
    return torch.cat([torch.full((n, 1), n**-0.5, dtype=torch.float64), vectors[:, values > 0.5]], dim=1)
