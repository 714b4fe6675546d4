"""Circuits in a group whose answer is known: characters of chosen representations, and cosets of a subgroup."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from interp.errors import UsageError, unknown
from interp.groups.cayley import Group
from interp.harmonics.harmonics import Name
from interp.harmonics.of_group import parts
from interp.harmonics.representations import irreps
from interp.networks.one_layer import Weights
from interp.synthetic.copying import copying_heads, embedding_block, read_blocks, write_block

Members = Int[Tensor, " member"] | Sequence[int | str]


def character_logits(group: Group, names: Collection[Name] | Name, *, amplitude: float = 1.0) -> Float64[Tensor, "pair n"]:
    """A circuit of representations: logits ``A sum_rho tr(rho(a) rho(b) rho(c)^-1)`` for all pairs, exact.

    That is the sum of characters at a b c^-1, largest where c is the product, if the representations together are faithful. Of a
    pair of complex conjugates, which are one part, both are summed.

    Args:
        names: parts of the group's harmonics, such as ``(4,1)``; one or several.
        amplitude: A.

    Raises:
        UsageError: for a name that is not one of them.

    >>> from interp.groups.by_name import group
    >>> character_logits(group("S3"), ["(2,1)"])[0].round(decimals=6).tolist()
    [2.0, 0.0, 0.0, -1.0, -1.0, 0.0]
    """
    known = {pair[0].name: torch.stack([rho.character.real for rho in pair]).sum(dim=0) for pair in parts(irreps(group))[1:]}
    total = torch.zeros(group.order, dtype=torch.float64)
    for name in dict.fromkeys([names] if isinstance(names, str | int) else names):
        if name not in known:
            raise unknown("irreducible representation", name, map(str, known))
        total += amplitude * known[name]
    quotients = torch.tensor(group.table[:, group.inverses])
    return total[quotients][torch.tensor(group.table).flatten()]


def coset_logits(group: Group, members: Members, *, amplitude: float = 1.0) -> Float64[Tensor, "pair n"]:
    """A circuit of cosets: the logit of c is A times the number of left cosets x H that c moves where a b moves them.

    That is the character of the permutations of the cosets at a b c^-1: a sum of the trivial one and of those representations
    that leave vectors fixed under H, each as often as it has such vectors. For S_n and the permutations that fix one thing it is
    the number of things at which c and a b agree.

    Args:
        members: the elements of the subgroup H, by their numbers or names.
        amplitude: A.

    Raises:
        UsageError: if the members are no subgroup, or more than one element moves all cosets alike.

    >>> from interp.groups.by_name import group
    >>> coset_logits(group("S3"), group("S3").subgroup(["213"]).tolist())[0].tolist()
    [3.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    """
    moves = _moves(group, members)
    return amplitude * (moves @ moves.T)[torch.tensor(group.table).flatten()]


def coset_weights(group: Group, members: Members, *, amplitude: float = 1.0, equals_sign: bool = True) -> Weights:
    """A model whose logits are `coset_logits` with the same arguments, exactly.

    With m cosets the embedding of a is the m x m matrix of how a moves them. Two heads copy those of a and b; m^3 neurons
    ``relu([a: k -> i] + [b: j -> k] - 1)`` are 1 where b moves j to k and a moves k to i, and write that a b moves j to i. Each
    is constant on left cosets of one conjugate of H in a, and on right cosets of it in b.

    Raises:
        UsageError: as `coset_logits`.

    >>> from interp.groups.by_name import group
    >>> from interp.networks.one_layer import forward
    >>> s3 = group("S3")
    >>> pairs = torch.cartesian_prod(torch.arange(6), torch.arange(6)).numpy()
    >>> made = forward(coset_weights(s3, s3.subgroup(["213"]).tolist()), pairs).logits
    >>> torch.equal(made, coset_logits(s3, s3.subgroup(["213"]).tolist()))
    True
    """
    moves = _moves(group, members)
    m = round(moves.shape[1] ** 0.5)
    one = torch.eye(m * m, dtype=torch.float64)
    i, k, j = (index.flatten() for index in torch.meshgrid(*[torch.arange(m)] * 3, indexing="ij"))
    tensors = {
        "W_E": embedding_block(moves, blocks=4, tokens=group.order + int(equals_sign)),
        "W_in": read_blocks([one[:, i * m + k], one[:, k * m + j]], first=1, blocks=4),
        "b_in": torch.full((m**3,), -1.0, dtype=torch.float64),
        "W_out": write_block(one[i * m + j], block=3, blocks=4),
        "W_U": read_blocks([amplitude * moves.T], first=3, blocks=4),
    }
    return Weights.from_tensors(tensors | copying_heads(m * m, positions=3 if equals_sign else 2, blocks=4))


def _numbers(group: Group, members: Members) -> Int[Tensor, " member"]:
    """Elements by their numbers, whether they were given by numbers or by names."""
    given = members.tolist() if isinstance(members, Tensor) else [members] if isinstance(members, str) else list(members)
    numbers = [group.index(one) if isinstance(one, str) else int(one) for one in given]
    if any(not 0 <= one < group.order for one in numbers):
        raise UsageError(f"members: given {numbers!s:.80}, expected numbers of elements of {group.name}, in 0..{group.order - 1}")
    return torch.tensor(numbers, dtype=torch.int64)


def _moves(group: Group, members: Members) -> Float64[Tensor, "n moves"]:
    """For each element the flat matrix M[i, k] = 1 where it moves coset k to coset i."""
    table, inside = torch.tensor(group.table), _numbers(group, members)
    is_inside = torch.zeros(group.order, dtype=torch.bool)
    is_inside[inside] = True
    if not len(inside) or not bool(is_inside[table[inside][:, inside]].all()):
        raise UsageError(
            f"members: given {len(inside)} elements of {group.name}, expected a subgroup, such as Group.subgroup gives"
        )
    first, coset = torch.unique(table[:, inside].amin(dim=1), return_inverse=True)
    m = len(first)
    moves = torch.zeros(group.order, m, m, dtype=torch.float64)
    moves[torch.arange(group.order)[:, None], coset[table[:, first]], torch.arange(m)] = 1.0
    flat = moves.reshape(group.order, m * m)
    if len(torch.unique(flat, dim=0)) < group.order:
        raise UsageError(
            f"members: several elements of {group.name} move all {m} cosets alike (the subgroup contains a normal one), so that "
            "no circuit of these cosets tells them apart; expected another subgroup"
        )
    return flat
