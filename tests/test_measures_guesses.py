"""Best guesses: ranks of the right answer on logits whose order is known, and what follows from them."""

from __future__ import annotations

import pytest
import torch

from interp.errors import NotFiniteError, UsageError
from interp.losses import correct
from interp.measures import answer_ranks, kth_right, top_k_right
from interp.synthetic import clock_logits
from interp.tasks.modular import ModularTask

P = 11


def placed(rank: int) -> torch.Tensor:
    """Logits in which exactly `rank` - 1 classes lie above the right answer, in another order for each row."""
    labels = torch.from_numpy(ModularTask(P).labels)
    generator = torch.Generator().manual_seed(rank)
    order = torch.stack([torch.randperm(P, generator=generator) for _ in labels])
    wrong = order[order != labels[:, None]].reshape(len(labels), P - 1)
    ranked = torch.cat([wrong[:, : rank - 1], labels[:, None], wrong[:, rank - 1 :]], dim=1)
    falling = torch.arange(P, 0, -1.0).expand(len(labels), P)
    return torch.empty(len(labels), P).scatter(1, ranked, falling)


@pytest.mark.parametrize("rank", [1, 2, 5, P])
def test_a_planted_rank_is_found_and_counts_from_there_on(rank: int) -> None:
    labels = torch.from_numpy(ModularTask(P).labels)
    ranks = answer_ranks(placed(rank), labels)
    assert (ranks == rank).all()
    assert top_k_right(ranks, most=P).double().mean(dim=0).tolist() == [float(k >= rank) for k in range(1, P + 1)]
    assert kth_right(ranks, most=P).double().mean(dim=0).tolist() == [float(k == rank) for k in range(1, P + 1)]


def test_right_answer_second_gives_top_1_of_0_and_top_2_of_1() -> None:
    logits = clock_logits(P, [1, 2], amplitude=5.0)
    labels = torch.from_numpy(ModularTask(P).labels)
    best = logits.argmax(dim=1)
    assert (best == labels).all()
    second = logits.scatter(1, ((labels + 3) % P)[:, None], float(logits.max()) + 1)  # a wrong class above the right one
    assert top_k_right(answer_ranks(second, labels), most=2).double().mean(dim=0).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("seed", range(5))
def test_rank_1_is_the_accuracys_right_also_among_ties(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randint(0, 3, (200, 7), generator=generator).float()  # ties in nearly every row
    labels = torch.randint(0, 7, (200,), generator=generator)
    ranks = answer_ranks(logits, labels)
    assert torch.equal(ranks == 1, correct(logits, labels))
    everyone = torch.stack([answer_ranks(logits, torch.full((200,), j)) for j in range(7)], dim=1)
    assert torch.equal(everyone.sort(dim=1).values, torch.arange(1, 8).expand(200, 7))  # ranks of all classes are a permutation
    assert torch.equal(answer_ranks(3 * logits - 8, labels), ranks)


def test_top_k_adds_up_the_guesses() -> None:
    ranks = torch.tensor([1, 3, 2, 9, 4, 2])
    assert torch.equal(top_k_right(ranks), kth_right(ranks).cumsum(dim=1).bool())
    assert top_k_right(ranks).shape == (6, 5)
    assert top_k_right(ranks[:0]).shape == (0, 5)


def test_what_cannot_be_ranked_is_refused() -> None:
    logits = torch.zeros(3, 4)
    with pytest.raises(UsageError, match=r"labels: given shape \(2,\) for logits of shape \(3, 4\), expected one per row"):
        answer_ranks(logits, torch.tensor([0, 1]))
    with pytest.raises(UsageError, match=r"labels: given 0\.\.4, expected classes in 0\.\.3"):
        answer_ranks(logits, torch.tensor([0, 1, 4]))
    with pytest.raises(NotFiniteError, match="largest logits: 1 of 3 values are NaN or infinite"):
        answer_ranks(logits.index_put((torch.tensor(0), torch.tensor(0)), torch.tensor(torch.nan)), torch.tensor([0, 1, 2]))
    for counted in (top_k_right, kth_right):
        with pytest.raises(UsageError, match="most: given 0, expected at least 1 guess"):
            counted(torch.tensor([1]), most=0)
        with pytest.raises(UsageError, match="ranks: expected those of"):
            counted(torch.tensor([0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_ranks_are_those_of_the_definition_in_every_precision_and_block(dtype: torch.dtype) -> None:
    """More rows than are compared at a time; few values, so that rows have ties; logits of minus infinity among them."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randint(-40, 40, (3_000, 97), generator=generator).to(dtype) / 8
    logits[:, 5] = -torch.inf
    labels = torch.randint(0, 97, (3_000,), generator=generator)
    right, classes = logits.gather(1, labels[:, None]), torch.arange(97)
    before = (logits > right) | ((logits == right) & (classes < labels[:, None]))
    assert torch.equal(answer_ranks(logits, labels), 1 + before.sum(dim=1))
