"""Measures at their edges: differences and answers without pairs, logits that are all equal, rounding of every precision."""

from __future__ import annotations

import math

import pytest
import torch

from interp.groups.by_name import group
from interp.harmonics import addition
from interp.harmonics.harmonics import GroupHarmonics
from interp.harmonics.of_group import isotypic_projectors
from interp.measures import (
    circularity,
    clock_share,
    cos_fit,
    distance_irrelevance,
    excluded_loss,
    excluded_losses,
    generalization_verdict,
    loss_from_unseen,
    pair_agreement,
    restricted_logits,
    restricted_loss,
    restricted_loss_neurons,
    shift_agreement,
)
from interp.synthetic import character_logits, clock_logits, lookup_logits, pizza_logits

PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@pytest.mark.parametrize("seen", [3, 26, 100])
@pytest.mark.parametrize("logits", [clock_logits(23, [1, 5]), pizza_logits(23, [1, 5])], ids=["clock", "pizza"])
def test_an_ideal_circuit_agrees_by_however_few_training_pairs(logits: torch.Tensor, seen: int) -> None:
    """Pairs with a difference that no training pair has are not asked: nothing is predicted for them."""
    drawn = torch.randperm(23**2, generator=torch.Generator().manual_seed(seen))
    harmonics = addition(23)
    assert len(harmonics.difference[drawn[:seen]].unique()) < 23 or seen == 100
    assert float(shift_agreement(logits, harmonics=harmonics, train=drawn[:seen])) == pytest.approx(1, abs=1e-9)
    table = lookup_logits(23, drawn[:seen], amplitude=9.0, seed=0)
    assert abs(float(shift_agreement(table, harmonics=harmonics, train=drawn[:seen]))) < 0.3


def test_where_no_difference_is_shared_the_agreement_is_not_known_and_no_memorizer_is_made_of_a_clock() -> None:
    p, harmonics = 12, addition(12)
    a, b = torch.arange(p * p) // p, torch.arange(p * p) % p
    train = torch.nonzero((a - b) % 2 == 0).flatten()
    clock = clock_logits(p, [1, 5], amplitude=20.0)
    assert math.isnan(shift_agreement(clock, harmonics=harmonics, train=train))
    found = generalization_verdict(clock, harmonics.line, train=train, harmonics=harmonics, keys=[1, 5])
    assert found.verdict == "between"
    assert "cannot be asked" in found.reasons[0]
    assert "nan" not in " ".join(found.reasons)


def test_answers_without_an_unseen_pair_are_predicted_from_the_others() -> None:
    """Two answers are trained on whole; a clock's other lines still say what theirs are."""
    p, harmonics = 13, addition(13)
    train = torch.nonzero(harmonics.line < 2).flatten()
    clock = clock_logits(p, [2, 5], amplitude=20.0)
    given = {"train": train, "harmonics": harmonics, "keys": [2, 5]}
    assert float(loss_from_unseen(clock, harmonics.line, **given).mean()) < 1e-6
    assert float(
        loss_from_unseen(lookup_logits(p, train, amplitude=9.0, seed=0), harmonics.line, **given).mean()
    ) > 0.9 * math.log(p)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("value", [0.1, 0.3, 7.7, -300.0])
@pytest.mark.parametrize("p", [2, 7, 59])
def test_logits_that_are_all_equal_vary_in_no_measure(p: int, value: float, dtype: torch.dtype) -> None:
    harmonics, logits = addition(p), torch.full((p * p, p), value, dtype=dtype)
    train, others = torch.arange(p * p // 2), torch.arange(p * p // 2, p * p)
    assert float(shift_agreement(logits, harmonics=harmonics, train=train)) == 0
    assert float(pair_agreement(logits, harmonics=harmonics).abs().max()) == 0
    assert float(clock_share(logits, harmonics=harmonics, pairs=others)) == 0
    assert math.isnan(cos_fit(logits, harmonics.line, harmonics=harmonics, keys=[1]).fve)
    assert float(distance_irrelevance(logits, harmonics.line, harmonics=harmonics)) == 1


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_a_pizza_is_no_clock_in_any_precision(dtype: torch.dtype, offset: float) -> None:
    harmonics = addition(59)
    pizza, clock = ((made(59, [4], amplitude=3.0) + offset).to(dtype) for made in (pizza_logits, clock_logits))
    assert float(distance_irrelevance(clock, harmonics.line, harmonics=harmonics)) == 1
    if dtype == torch.bfloat16 and offset:
        return  # of its 8 bits none is left for what varies
    assert float(distance_irrelevance(pizza, harmonics.line, harmonics=harmonics)) < 0.01


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_circle_is_circular_in_every_precision(dtype: torch.dtype) -> None:
    turn = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    circle = addition(59).basis.waves(4).T @ turn[:2]
    assert float(circularity(circle.to(dtype))) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_a_circuit_agrees_in_every_precision(dtype: torch.dtype) -> None:
    """Also with few unseen pairs, and where each class has an offset of its own."""
    p, harmonics, keys = 31, addition(31), [3, 5, 8, 11, 14]
    drawn = torch.randperm(p * p, generator=torch.Generator().manual_seed(0))
    offsets = 50 * torch.randn(p, generator=torch.Generator().manual_seed(1))
    for n in (300, 921):
        clock = clock_logits(p, keys, amplitude=9.0).to(dtype)
        assert float(shift_agreement(clock, harmonics=harmonics, train=drawn[:n])) == pytest.approx(1, abs=0.01)
    given = {"harmonics": harmonics, "keys": keys}
    assert generalization_verdict(clock, harmonics.line, train=drawn[:300], **given).verdict == "generalizer"
    assert generalization_verdict(clock, harmonics.line, train=None, **given).verdict == "generalizer"
    if dtype != torch.bfloat16:  # of its 8 bits the offsets leave 2
        moved = (clock_logits(p, keys, amplitude=9.0) + offsets).to(dtype)
        assert float(shift_agreement(moved, harmonics=harmonics, train=drawn[:300])) == pytest.approx(1, abs=0.01)


HOLES = {"one answer": lambda line: line != 7, "some pairs": lambda line: torch.arange(len(line)).remainder(100) > 5}


@pytest.mark.parametrize("holes", HOLES)
def test_restricted_and_excluded_loss_where_answers_lack_rows(holes: str) -> None:
    """Of a table with holes: all representations together are the logits, none taken out is the loss."""
    dihedral = group("D5")
    line = torch.tensor(dihedral.table).flatten()
    rows = torch.nonzero(HOLES[holes](line)).flatten()
    harmonics = GroupHarmonics(line[rows], dict(isotypic_projectors(dihedral)), rows=rows)
    logits, labels = character_logits(dihedral, ["E1", "E2"], amplitude=3.0)[rows], line[rows]
    loss = torch.nn.functional.cross_entropy(logits.double(), labels, reduction="none")
    everything = restricted_logits(logits, harmonics=harmonics, keys=harmonics.names)
    rest = everything - logits.double()  # where answers have unequally many rows, the mean of each class is that over the rows
    assert torch.allclose(rest, rest[:1].expand_as(rest), atol=1e-10)
    if holes == "one answer":
        assert float(rest.abs().max()) < 1e-10
        assert torch.allclose(restricted_loss(logits, labels, harmonics=harmonics, keys=["E1", "E2"]), loss, rtol=1e-6)
    W = torch.randn(10, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    neurons = torch.rand(len(rows), 20, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    linear, how = neurons @ W.T + torch.arange(10.0), {"harmonics": harmonics, "keys": ["E1"]}
    of_neurons = restricted_loss_neurons(neurons, W, linear, labels, **how)
    assert torch.allclose(of_neurons, restricted_loss(linear, labels, **how), rtol=1e-9)
    assert torch.allclose(excluded_loss(logits, labels, harmonics=harmonics, keys=[]), loss, rtol=1e-6)
    gone = excluded_losses(logits, labels, [["E1", "E2"], []], harmonics=harmonics)
    assert torch.allclose(gone[0], torch.full_like(gone[0], math.log(10)), rtol=1e-6)
    assert torch.allclose(gone[1], loss, rtol=1e-6)


def test_a_logit_that_is_not_a_number_is_not_taken_for_an_answer_without_rows() -> None:
    harmonics, logits = addition(7), clock_logits(7, [1], amplitude=5.0)
    logits[3, 2] = math.nan
    assert restricted_loss(logits, harmonics.line, harmonics=harmonics, keys=[1]).isnan().any()
    assert excluded_loss(logits, harmonics.line, harmonics=harmonics, keys=[1]).isnan().any()
