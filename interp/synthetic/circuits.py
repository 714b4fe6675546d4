"""A clock and a pizza as Weights: trigonometry with one layer of ReLU neurons.

The residual stream is divided into blocks: the embedding (cos and sin of each frequency), the output of attention, and the output
of the neurons, which is all that W_U reads; so nothing bypasses the neurons. The neurons' directions lie on the same grid of
angles as the residues; a sum over such a grid commutes with shifting a or b, which makes the result exact and not merely close.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from interp.errors import UsageError
from interp.networks.one_layer import Weights
from interp.synthetic.copying import copying_heads, embedding_block, read_blocks, write_block
from interp.synthetic.formulas import sizes
from interp.tasks.modular import Operation


def clock_weights(
    p: int,
    frequencies: Collection[int],
    *,
    amplitude: float | Sequence[float] = 1.0,
    operation: Operation = "add",
    equals_sign: bool = True,
    directions: int | None = None,
) -> Weights:
    """A model whose logits are `clock_logits` with the same arguments.

    Two heads copy the embeddings of a and b; for each frequency, neurons ``relu(cos(w a - x) + cos(w b - y))`` over all
    (x, y) of a grid of angles, read with cos(x + y) and sin(x + y), give cos and sin of w(a + b).

    Args:
        directions: number of angles along each axis of that grid. The default p is exact and takes p^2 neurons for each
            frequency; any other number is approximate, with an error of no logit above 4.03 / directions^2 of the amplitude
            (measured for 6 and more directions; 16 take 256 neurons for each frequency and give 1.5 %).

    Raises:
        UsageError: if a frequency does not exist or occurs twice, amplitudes do not match, the operation is neither
            ``add`` nor ``subtract``, or there are fewer than 3 directions.

    >>> from interp.networks.one_layer import forward
    >>> from interp.synthetic import clock_logits
    >>> from interp.tasks.modular import ModularTask
    >>> made = forward(clock_weights(5, [1, 2]), ModularTask(5).pairs).logits
    >>> torch.allclose(made, clock_logits(5, [1, 2]), rtol=0, atol=1e-12)
    True
    """
    if operation not in ("add", "subtract"):
        raise UsageError(f"operation: given {operation!r}, expected add or subtract: a clock adds angles")
    n = p if directions is None else directions
    if n < 3 and n != p:
        raise UsageError(f"directions: given {directions}, expected at least 3")
    angle = torch.arange(n, dtype=torch.float64) * (2 * torch.pi / n)
    x, y = (axis.flatten() for axis in torch.meshgrid(angle, angle, indexing="ij"))
    answer = x + y if operation == "add" else x - y
    # Reading the neurons at a = b = 0 with the cosine of the answer's angle gives the factor to divide by.
    gain = float(((x.cos() + y.cos()).relu() * answer.cos()).sum())
    read_a, read_b = torch.stack([x.cos(), x.sin()]), torch.stack([y.cos(), y.sin()])
    write = torch.stack([answer.cos(), answer.sin()], dim=1) / gain
    chosen = sizes(p, frequencies, amplitude)
    embedding = _waves(p, chosen)
    tensors = {
        "W_E": embedding_block(embedding, blocks=4, tokens=p + int(equals_sign)),
        "W_in": read_blocks([_repeat(read, chosen) for read in (read_a, read_b)], first=1, blocks=4),
        "W_out": write_block(_repeat(write, chosen), block=3, blocks=4),
        "W_U": _unembedding(embedding, chosen, blocks=4),
    }
    return Weights.from_tensors(tensors | copying_heads(embedding.shape[1], positions=3 if equals_sign else 2, blocks=4))


def pizza_weights(p: int, frequencies: Collection[int], *, amplitude: float | Sequence[float] = 1.0) -> Weights:
    """A model whose logits are `pizza_logits` with the same arguments: constant attention (rate 0), input ``a b``, addition.

    The one head adds the embeddings of a and b to a vector of length 2 |cos(w (a-b)/2)| and angle w (a+b)/2; for each
    frequency, 2 p neurons over equally spaced directions x, read with cos 2x and sin 2x, double that angle and keep the length.

    Raises:
        UsageError: if a frequency does not exist or occurs twice, or amplitudes do not match.

    >>> from interp.networks.one_layer import forward
    >>> from interp.synthetic import pizza_logits
    >>> from interp.tasks.modular import ModularTask
    >>> made = forward(pizza_weights(5, [1, 2]), ModularTask(5).pairs).logits
    >>> torch.allclose(made, pizza_logits(5, [1, 2]), rtol=0, atol=1e-12)
    True
    """
    x = torch.arange(2 * p, dtype=torch.float64) * (torch.pi / p)
    gain = 2 * float((x.cos().relu() * (2 * x).cos()).sum())
    read, write = torch.stack([x.cos(), x.sin()]), torch.stack([(2 * x).cos(), (2 * x).sin()], dim=1) / gain
    chosen = sizes(p, frequencies, amplitude)
    embedding = _waves(p, chosen)
    width = embedding.shape[1]
    identity = torch.eye(width, dtype=torch.float64)
    no_scores = torch.zeros(1, 3 * width, width, dtype=torch.float64)
    return Weights(
        W_E=embedding_block(embedding, blocks=3, tokens=p),
        W_pos=torch.zeros(2, 3 * width, dtype=torch.float64),
        W_Q=no_scores,
        W_K=no_scores.clone(),
        W_V=read_blocks([identity], first=0, blocks=3)[None],
        W_O=write_block(identity, block=1, blocks=3)[None],
        W_in=read_blocks([_repeat(read, chosen)], first=1, blocks=3),
        W_out=write_block(_repeat(write, chosen), block=2, blocks=3),
        W_U=_unembedding(embedding, chosen, blocks=3),
        attention_rate=0.0,
    )


def _waves(p: int, chosen: list[tuple[int, float]]) -> Float64[Tensor, "p width"]:
    """cos and sin of w_k a, two columns for each frequency."""
    step = torch.arange(p)
    angles = [((k * step) % p).double() * (2 * torch.pi / p) for k, _ in chosen]
    return torch.stack([wave for angle in angles for wave in (angle.cos(), angle.sin())], dim=1)


def _repeat(part: Float64[Tensor, "rows columns"], chosen: list[tuple[int, float]]) -> Float64[Tensor, "all_rows all_columns"]:
    """The same part for every frequency, along the diagonal."""
    return torch.kron(torch.eye(len(chosen), dtype=torch.float64), part)


def _unembedding(
    embedding: Float64[Tensor, "p width"], chosen: list[tuple[int, float]], *, blocks: int
) -> Float64[Tensor, "d_model p"]:
    """W_U that reads the last block: the cosine of the angle between what the neurons wrote and each residue."""
    size = torch.tensor([size for _, size in chosen for _ in range(2)], dtype=torch.float64)
    return read_blocks([(embedding * size).T], first=blocks - 1, blocks=blocks)
