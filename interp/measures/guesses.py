"""Best guesses: where the right answer stands among all answers, and how often it is among the first k."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from interp.errors import UsageError
from interp.harmonics.harmonics import copied
from interp.measures.checks import check_finite

# Guesses that are looked at unless another number is asked for.
MOST = 5


def answer_ranks(logits: Float[Tensor, "row classes"], labels: Int[Tensor, " label"]) -> Int64[Tensor, " row"]:
    """Rank of the right answer among all answers of each row, 1 where it is the best guess.

    rank = 1 + number of classes j with l_j > l_y, or with l_j = l_y and j < y: of equal logits the first counts as guessed first,
    as for the accuracy. It lies in 1..classes, and does not depend on scale or offset of the logits.

    Args:
        logits: of any task.
        labels: the right answer to each row.

    Raises:
        UsageError: for labels that are not one class per row.
        NotFiniteError: if the largest logit of a row is infinite, or one is NaN.

    >>> answer_ranks(torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [1.0, 1.0, 1.0]]), torch.tensor([0, 2, 1])).tolist()
    [1, 2, 2]
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise UsageError(
            f"labels: given shape {tuple(labels.shape)} for logits of shape {tuple(logits.shape)}, expected one per row"
        )
    if len(labels) and not bool(((labels >= 0) & (labels < logits.shape[1])).all()):
        raise UsageError(f"labels: given {int(labels.min())}..{int(labels.max())}, expected classes in 0..{logits.shape[1] - 1}")
    check_finite(logits.amax(dim=1), "largest logits")  # of which NaN is one, if a row has any
    chosen = labels.long()[:, None]
    right = logits.gather(1, chosen)
    # Comparisons that are written as numbers are counted thirty times as fast as those that are written as truth values.
    at_least, equal = (torch.empty(len(logits), dtype=torch.int64, device=logits.device) for _ in range(2))
    # In which classes can be counted, and all logits told apart.
    wide = torch.promote_types(logits.dtype, torch.float32 if logits.is_floating_point() else torch.float64)
    for rows, block in copied(logits, wide):
        its = right[rows].to(wide)
        equal[rows] = torch.eq(block, its, out=torch.empty_like(block)).sum(dim=1).long()
        at_least[rows] = torch.ge(block, its, out=block).sum(dim=1).long()
    if len(tied := torch.nonzero(equal > 1).flatten()):  # of those with the same logit, later ones do not count
        later = torch.arange(logits.shape[1], device=logits.device) > chosen[tied]
        at_least[tied] -= ((logits[tied] == right[tied]) & later).sum(dim=1)
    return at_least


def top_k_right(ranks: Int[Tensor, " row"], *, most: int = MOST) -> Bool[Tensor, "row k"]:
    """Whether the right answer is among the k best guesses, for k = 1..most; the mean over rows is the top-k accuracy.

    Column 1 is the ordinary accuracy, and columns never fall from left to right.

    Args:
        ranks: what `answer_ranks` returns.
        most: the largest k.

    Raises:
        UsageError: for a `most` below 1, or a rank below 1.

    >>> top_k_right(torch.tensor([1, 2, 4]), most=3).double().mean(dim=0)
    tensor([0.3333, 0.6667, 0.6667], dtype=torch.float64)
    """
    return ranks[:, None] <= _places(ranks, most)


def kth_right(ranks: Int[Tensor, " row"], *, most: int = MOST) -> Bool[Tensor, "row k"]:
    """Whether the k-th best guess is the right answer, for k = 1..most; the mean is the accuracy if that guess were the answer.

    Column k is what `top_k_right` gains from k - 1 to k.

    Args:
        ranks: what `answer_ranks` returns.
        most: the largest k.

    Raises:
        UsageError: for a `most` below 1, or a rank below 1.

    >>> kth_right(torch.tensor([1, 2, 4]), most=3).int().tolist()
    [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    """
    return ranks[:, None] == _places(ranks, most)


def _places(ranks: Tensor, most: int) -> Tensor:
    if most < 1:
        raise UsageError(f"most: given {most}, expected at least 1 guess")
    if ranks.ndim != 1 or bool((ranks < 1).any()):
        raise UsageError("ranks: expected those of interp.measures.answer_ranks, one per row and none below 1")
    return torch.arange(1, most + 1, device=ranks.device)
