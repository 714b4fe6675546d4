"""Parts that hand-built models share: a residual stream divided into equal blocks, and heads that each copy one position.

Block 0 holds the embedding, block 1 + h the output of head h, the last block the output of the neurons.
"""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

# A difference of attention scores at which the smaller attention is exactly 0, in float32 and in float64.
CERTAIN = 2000.0


def embedding_block(embedding: Float64[Tensor, "p width"], *, blocks: int, tokens: int) -> Float64[Tensor, "d_vocab d_model"]:
    """W_E that writes an embedding of the residues into block 0; the ``=`` token, where there is one, is zero."""
    p, width = embedding.shape
    W_E = torch.zeros(tokens, blocks * width, dtype=torch.float64)
    W_E[:p, :width] = embedding
    return W_E


def read_blocks(parts: list[Float64[Tensor, "width out"]], *, first: int, blocks: int) -> Float64[Tensor, "d_model out"]:
    """A map that reads consecutive blocks of the residual stream, from block `first` on, and nothing else."""
    width, out = parts[0].shape
    rows = torch.zeros(blocks * width, out, dtype=torch.float64)
    rows[first * width : (first + len(parts)) * width] = torch.cat(parts)
    return rows


def write_block(part: Float64[Tensor, "in width"], *, block: int, blocks: int) -> Float64[Tensor, "in d_model"]:
    """A map that writes one block of the residual stream and nothing else."""
    return read_blocks([part.T], first=block, blocks=blocks).T.contiguous()


def copying_heads(width: int, *, positions: int, blocks: int) -> dict[str, Tensor]:
    """Attention of two heads: head 0 copies the embedding of position 0 into block 1, head 1 that of position 1 into block 2.

    Queries are only a bias, and keys read only a mark of the position, so that attention is exactly one-hot for every pair. The
    mark is in block 1; the last position, whose residual stream is read, has none.
    """
    d_model = blocks * width
    W_pos = torch.zeros(positions, d_model, dtype=torch.float64)
    W_pos[0, width] = 1.0
    if positions == 3:
        W_pos[1, width] = -1.0
    W_K = torch.zeros(2, d_model, width, dtype=torch.float64)
    W_K[:, width, 0] = 1.0
    b_Q = torch.zeros(2, width, dtype=torch.float64)
    b_Q[0, 0], b_Q[1, 0] = CERTAIN * width**0.5, -CERTAIN * width**0.5
    identity = torch.eye(width, dtype=torch.float64)
    return {
        "W_pos": W_pos,
        "W_Q": torch.zeros(2, d_model, width, dtype=torch.float64),
        "W_K": W_K,
        "W_V": read_blocks([identity], first=0, blocks=blocks).expand(2, -1, -1).clone(),
        "W_O": torch.stack([write_block(identity, block=block, blocks=blocks) for block in (1, 2)]),
        "b_Q": b_Q,
    }
