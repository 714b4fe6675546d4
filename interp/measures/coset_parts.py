"""Whether the units of a circuit in a group go by cosets: which subgroup's, and how much of each unit they explain."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor

from interp.errors import UsageError
from interp.groups.cayley import Group
from interp.groups.subgroups import subgroup_classes
from interp.harmonics.primes import is_prime
from interp.measures.checks import check_finite
from interp.measures.group_parts import DEAD

# Of a share: what sums of squares may be off by.
_ROUNDING = 1e-9
Cosets = Int64[Tensor, "coset member"]
Members = Int64[np.ndarray, " member"]


@dataclass(frozen=True, eq=False)
class NeuronCosets:
    """The largest subgroup on whose cosets each neuron is concentrated.

    Args:
        subgroup: its name, one of `coset_names`; None for neurons that are on no cosets, and for dead ones.
        share: how much of the neuron's variance its cosets explain, above the threshold; NaN where there are none.
        dead: whether the neuron is constant over all pairs.
        counts: number of neurons of each subgroup; those without one are left out.
    """

    subgroup: tuple[str | None, ...]
    share: Float64[Tensor, " d_mlp"]
    dead: Bool[Tensor, " d_mlp"]
    counts: dict[str, int]


def coset_concentration(
    x: Float[Tensor, "pair unit"], *, group: Group, members: Int[Tensor, " member"]
) -> Float64[Tensor, " unit"]:
    """Share of each unit's variance over all pairs that cosets of a subgroup, or of a conjugate of it, explain; NaN if dead.

    For a subgroup K the unit is averaged over the pairs whose a lies in one left coset x K and whose b in one right coset K y:
    the product of such a pair is in x K y. The largest share over all conjugates K of the given subgroup is taken.

    Args:
        members: the elements of a subgroup, such as `Group.subgroup` gives.

    Raises:
        UsageError: if x is not over all pairs of elements, or the members are no subgroup.

    Source: the circuits of Stander et al. 2023 (arXiv 2312.06581).

    >>> from interp.groups.by_name import group
    >>> s3 = group("S3")
    >>> fixes_3 = torch.tensor([[a in (0, 2) and b in (0, 2)] for a in range(6) for b in range(6)]).double()
    >>> coset_concentration(fixes_3, group=s3, members=torch.from_numpy(s3.subgroup(["213"]))).round(decimals=6).tolist()
    [1.0]
    """
    units, table, given = _Units.of(x, group), group.table, members.cpu().numpy()
    if not len(given) or not np.isin(table[np.ix_(given, given)], given).all():
        raise UsageError(
            f"members: given {len(given)} elements of {group.name}, expected a subgroup, such as Group.subgroup gives"
        )
    moved = table[table[:, given], group.inverses[:, None]]  # [g, k] -> g k g^-1
    conjugates = np.unique(np.sort(moved, axis=1), axis=0)
    shares = torch.stack([units.shares(group, one, ~units.dead) for one in conjugates])
    return torch.where(units.dead, torch.nan, shares.max(dim=0).values)


def coset_names(group: Group) -> tuple[str, ...]:
    """The subgroups that `neuron_cosets` tells apart, one name for each class of conjugates, the largest first.

    A name is the structure, such as ``S4`` or ``Z2xZ2``, with elements that generate it where several classes have the same.

    Raises:
        UsageError: if the group has more than 600 subgroups.

    >>> from interp.groups.by_name import group
    >>> coset_names(group("S4"))[:4]
    ('A4', 'D4', 'S3', 'Z2xZ2 ⟨1243, 2134⟩')
    """
    return tuple(one.name for one in subgroup_classes(group))


def neuron_cosets(neurons: Float[Tensor, "pair d_mlp"], *, group: Group, threshold: float = 0.85) -> NeuronCosets:
    """The largest subgroup, other than the group, whose `coset_concentration` exceeds the threshold, for each neuron.

    A neuron on cosets of K is on those of every subgroup of K as well, and every neuron is on those of the identity alone: so the
    largest says most, and the identity is not asked about. Of several subgroups of one size the one that explains most is taken.
    By chance the m = n / |K| cosets explain (m^2 - 1) / (n^2 - 1) of numbers without structure: at most 1/4.

    Subgroups of prime order are asked about first: a neuron that is not on their cosets is not on those of a larger one. And
    no blocks of pairs are averaged where the means over a alone and over b alone show that the share is too small: what cosets
    leave of these is left of the whole.

    Raises:
        UsageError: if the neurons are not over all pairs of elements, an activation is not finite, or the group has more than 600
            subgroups.

    >>> from interp.groups.by_name import group
    >>> s3 = group("S3")
    >>> fixes_3 = torch.tensor([[a in (0, 2) and b in (0, 2)] for a in range(6) for b in range(6)]).double()
    >>> found = neuron_cosets(fixes_3, group=s3)
    >>> found.subgroup, found.share.round(decimals=6).tolist()
    (('Z2',), [1.0])
    """
    check_finite(neurons, "neurons")
    units, classes = _Units.of(neurons, group), subgroup_classes(group)
    least = {_other_than_one(members, group): members for one in classes if is_prime(one.order) for members in one.members}
    of_least = {g: units.shares(group, members, ~units.dead, threshold) for g, members in least.items()}
    chosen = torch.full((len(units.whole),), -1)
    best = torch.full((len(units.whole),), torch.nan, dtype=torch.float64)
    for order, alike in groupby(enumerate(classes), key=lambda one: one[1].order):
        is_open = ~units.dead & (chosen < 0)
        for number, members in ((number, members) for number, one in alike for members in one.members):
            inside = torch.stack([shares for g, shares in of_least.items() if g in members])
            asked = is_open & (inside > threshold).all(dim=0)
            found = inside[0] if is_prime(order) else units.shares(group, members, asked, threshold)
            better = asked & (found > threshold) & ~(found <= best)
            best[better], chosen[better] = found[better], number
    names = tuple(classes[i].name if i >= 0 else None for i in chosen.tolist())
    counts = Counter(name for name in names if name is not None)
    return NeuronCosets(names, best, units.dead, {one.name: counts[one.name] for one in classes if counts[one.name]})


@dataclass(frozen=True, eq=False)
class _Units:
    """Units over all pairs about their means: as tables over (a, b), and summed over one of both."""

    centred: Float64[Tensor, "n n unit"]
    whole: Float64[Tensor, " unit"]
    dead: Bool[Tensor, " unit"]
    by_a: Float64[Tensor, "n unit"]
    by_b: Float64[Tensor, "n unit"]

    @classmethod
    def of(cls, x: Float[Tensor, "pair unit"], group: Group) -> _Units:
        n = group.order
        if x.ndim != 2 or len(x) != n * n:
            raise UsageError(f"units: given shape {tuple(x.shape)}, expected ({n * n}, ...): a row per pair of elements")
        grid = x.detach().cpu().double().reshape(n, n, -1)
        centred = grid - grid.mean(dim=(0, 1))
        whole, scale = (values.square().sum(dim=(0, 1)) for values in (centred, grid))
        return cls(centred, whole, whole <= DEAD * scale, centred.sum(dim=1), centred.sum(dim=0))

    def shares(
        self, group: Group, members: Members, asked: Bool[Tensor, " unit"], threshold: float = 0.0
    ) -> Float64[Tensor, " unit"]:
        """Shares of the variance that cosets explain, of units that are asked about and can exceed a threshold; NaN elsewhere."""
        left, right = _cosets(group, members)
        lost = _lost(self.by_a, left) + _lost(self.by_b, right)
        some = torch.nonzero(asked & (lost <= (1 - threshold + _ROUNDING) * self.whole)).flatten()
        shares = torch.full_like(self.whole, torch.nan)
        if len(some):
            centred = self.centred if len(some) == len(shares) else self.centred[:, :, some]
            shares[some] = _block_energy(centred, left, right) / self.whole[some]
        return shares


def _other_than_one(members: Members, group: Group) -> int:
    """The first element that is not the identity: in a subgroup of prime order it generates all."""
    return int(members[members != group.identity][0])


def _cosets(group: Group, members: Members) -> tuple[Cosets, Cosets]:
    """The elements by left cosets x K, and by right cosets K y."""
    table = group.table
    first, other = np.unique(table[:, members].min(axis=1)), np.unique(table[members].min(axis=0))
    return torch.from_numpy(table[np.ix_(first, members)]), torch.from_numpy(table[np.ix_(members, other)].T.copy())


def _lost(sums: Float64[Tensor, "n unit"], cosets: Cosets) -> Float64[Tensor, " unit"]:
    """Of the means over a or over b, given as sums, the sum of squares that is lost when each is replaced by its coset's."""
    return (sums.square().sum(dim=0) - sums[cosets].sum(dim=1).square().sum(dim=0) / cosets.shape[1]) / len(sums)


def _block_energy(centred: Float64[Tensor, "n n unit"], left: Cosets, right: Cosets) -> Float64[Tensor, " unit"]:
    """Sum of squares of the means over blocks x K times K y, each as often as it has pairs."""
    total = centred.new_zeros(centred.shape[2])
    for coset in left:  # one after the other, so that sums stay in the cache
        rows = centred[coset[0]].clone()
        for member in coset[1:]:
            rows += centred[member]
        sums = rows[right[:, 0]]
        for column in right.T[1:]:
            sums += rows[column]
        total += sums.square().sum(dim=0)
    return total / left.shape[1] ** 2
