"""Buffers for what the passes of the fast CPU engine compute."""

from __future__ import annotations

import numpy as np
import torch

from interp.training.cpu import kernels
from interp.training.token_tables import Shape

# Added between the rows of a buffer: rows a power of two apart would compete for a few lines of the first-level cache.
_GAP = kernels.LANES


def _zeros(*size: int) -> np.ndarray:
    """Zeros that start on a cache line, which torch guarantees."""
    return torch.zeros(size).numpy()


def allocate(
    shape: Shape, p: int, *, d_model: int, heads: int, threads: int, train: kernels.Pairs, test: kernels.Pairs
) -> tuple[kernels.Tables, list[kernels.Chunk], kernels.Gradients]:
    """Buffers for the tables, for each thread's chunk of pairs, and for the gradient of the tables."""
    t, d_head, equals = threads, d_model // heads, shape.equals_sign
    neurons, logits, columns = shape.neuron_columns, shape.logit_columns, shape.neuron_columns + shape.logit_columns
    room = max(int(np.diff(pairs.chunk).max()) for pairs in (train, test))
    most, width = int(np.diff(train.tokens).max()), heads * d_head
    own, keys = (1, (1, d_model)) if equals else (p, (p + 1, d_head))  # rows of the base; shape of a head's keys
    scores = (1, p + 1) if equals else (p, p)
    tables = kernels.Tables(
        x=_zeros(p + 2, d_model),
        to_columns=_zeros(d_model, columns),
        turned=_zeros(3, heads, d_head, d_model),
        v=_zeros(heads, p + 1, d_head),
        fixed_v=_zeros(heads, d_head),
        q=_zeros(heads, own, d_head),
        k=_zeros(heads, *keys),
        k_turned=_zeros(heads, d_head, 0 if equals else p),
        resid=_zeros(own, d_model),
        head_to_columns=_zeros(width, columns),
        far=_zeros(heads, p + 1, columns),
        near=_zeros(heads, p, columns),
        base=_zeros(own, columns),
        scores=_zeros(heads, *scores),
        W_U=_zeros(d_model, logits),
        W_U_turned=_zeros(logits, d_model),
        W_L=_zeros(neurons, logits + _GAP),
    )
    chunks = [
        kernels.Chunk(
            active=np.zeros((room, -(-neurons // kernels.WORD)), dtype=np.int64),
            columns=_zeros(room, columns + _GAP),
            softmax=_zeros(2, heads, room),
            weights=torch.ones(2, heads + 1, room).numpy(),
            d_scores=_zeros(2, heads, room),
            d_neurons=_zeros((room if kernels.needs_strips(shape.classes) else 0) + 1, neurons + _GAP),
        )
        for _ in range(threads)
    ]
    gradients = kernels.Gradients(
        near=_zeros(heads + equals, p, columns),
        far=_zeros(t, heads + (not equals), p, columns),
        both=_zeros(t, most + 1, columns),
        v=_zeros(heads, p + 1, d_head),
        last_v=_zeros(t, heads, d_head),
        parts=_zeros(t, width + 1, columns),
        columns=_zeros(width + own, columns),
        scores=_zeros(t if equals else 1, heads, *scores),
        W_L=_zeros(t, neurons, logits + _GAP),
        direct=_zeros(d_model, logits),
        linear=_zeros(shape.d_mlp, logits),
        rows=_zeros(width + own, d_model),
        base=_zeros(t, columns),
        resid=_zeros(t, d_model),
        fixed_v=_zeros(t, heads, d_head),
        q=_zeros(heads, own, d_head),
        k=_zeros(heads, *keys),
        asking=_zeros(heads, d_model),
        tokens=_zeros(t, d_model),
    )
    return tables, chunks, gradients
