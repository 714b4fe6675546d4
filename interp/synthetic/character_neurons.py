"""Representations of a group as weights of an MLP of two embeddings: neurons that multiply their matrices."""

from __future__ import annotations

from collections.abc import Collection

import torch
from jaxtyping import Float64
from torch import Tensor

from interp.errors import unknown
from interp.groups.cayley import Group
from interp.harmonics.harmonics import Name
from interp.harmonics.of_group import parts
from interp.harmonics.representations import Irrep, irreps
from interp.networks.two_embeddings import TwoEmbeddings


def character_weights(group: Group, names: Collection[Name] | Name, *, amplitude: float = 1.0) -> TwoEmbeddings:
    """An MLP of two embeddings with x^2 whose logits are `character_logits` with the same arguments, up to rounding.

    Of a representation with real matrices rho of dimension d it has 2 d^3 neurons, one for each i, j, k and sign:

        (rho(a)_ij + s rho(b)_jk)^2,   read out by   s A rho(c)_ik / 4

    so that those of a pair of signs add up to ``A rho(a)_ij rho(b)_jk rho(c)_ik``, and all of them to
    ``A tr(rho(a b) rho(c)^T)``. Complex matrices are taken as real ones of twice the dimension.

    Args:
        group: whose products it gives.
        names: parts of the group's harmonics, such as ``(4,1)``; one or several.
        amplitude: A.

    Raises:
        UsageError: for a name that is not one of them.

    Source: the algorithm of Chughtai et al. 2023 (arXiv 2302.03025), section 4, with exact products in place of ReLUs.

    >>> from interp.groups.by_name import group
    >>> from interp.synthetic.group_circuits import character_logits
    >>> s3 = group("S3")
    >>> pairs = torch.cartesian_prod(torch.arange(6), torch.arange(6))
    >>> made = character_weights(s3, ["(2,1)"]).logits(pairs)
    >>> torch.allclose(made, character_logits(s3, ["(2,1)"]))
    True
    """
    known = {pair[0].name: pair for pair in parts(irreps(group))[1:]}
    blocks = []
    for name in dict.fromkeys([names] if isinstance(names, str | int) else names):
        if name not in known:
            raise unknown("irreducible representation", name, map(str, known))
        blocks.append(_block(known[name], amplitude))
    first, second, out = (torch.cat(tensors, dim=1) for tensors in zip(*blocks, strict=True))
    return TwoEmbeddings({"embed_a.W_E": first, "embed_b.W_E": second, "unembed.W_U": out.T.contiguous()}, activation="square")


def _block(pair: tuple[Irrep, ...], amplitude: float) -> tuple[Tensor, Tensor, Tensor]:
    """For each element its row of both embeddings and of the transposed output."""
    rho, is_doubled = _real(pair[0].matrices)
    d = rho.shape[1]
    i, j, k = (index.flatten() for index in torch.meshgrid(*[torch.arange(d)] * 3, indexing="ij"))
    a, b = rho[:, i, j], rho[:, j, k]
    # The trace of doubled matrices is that of both conjugates; where they are one part it is counted once.
    c = rho[:, i, k] * (amplitude / (4 * (2 if is_doubled and len(pair) == 1 else 1)))
    return torch.cat([a, a], dim=1), torch.cat([b, -b], dim=1), torch.cat([c, -c], dim=1)


def _real(matrices: Tensor) -> tuple[Float64[Tensor, "n d d"], bool]:
    """Real matrices, and whether they were made of complex ones, of half the dimension."""
    if not matrices.is_complex():
        return matrices, False
    if float(matrices.imag.abs().max()) < 1e-12:
        return matrices.real.contiguous(), False
    upper = torch.cat([matrices.real, -matrices.imag], dim=2)
    return torch.cat([upper, torch.cat([matrices.imag, matrices.real], dim=2)], dim=1), True
