"""Memorizer or generalizer without a test label; clock, pizza or neither: closed forms, mixtures, negative controls."""

from __future__ import annotations

import math

import pytest
import torch
from planted import MODULI, labels, random_logits

from interp.errors import UsageError
from interp.harmonics.frames import addition, division, multiplication, subtraction
from interp.harmonics.harmonics import positions, take_logits
from interp.losses import correct
from interp.measures import (
    algorithm_verdict,
    generalization_verdict,
    gini,
    loss_from_unseen,
    pair_agreement,
    restricted_loss,
    shift_agreement,
)
from interp.networks.pair_tables import pair_tables
from interp.synthetic import clock_logits, clock_weights, lookup_logits, lookup_weights, mixture, mixture_weights, pizza_logits

P, KEYS = 31, [3, 7, 12]
HARMONICS, LABELS = addition(P), labels(P)
OPERATIONS = {"add": addition, "subtract": subtraction}


def training_pairs(p: int = P, fraction: float = 0.4) -> torch.Tensor:
    return torch.randperm(p * p, generator=torch.Generator().manual_seed(2))[: max(1, int(fraction * p * p))]


TRAIN = training_pairs()


def verdict(logits: torch.Tensor, **changes: object):
    how = {"train": TRAIN, "harmonics": HARMONICS, "keys": KEYS} | changes
    return generalization_verdict(logits, LABELS, **how)


@pytest.mark.parametrize("p", [5, 8, 13, 15])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_ideal_circuits_agree_with_their_shifts_entirely(p, operation):
    harmonics = OPERATIONS[operation](p)
    train = training_pairs(p, 0.8)
    mine = positions(harmonics, train)
    for logits in (clock_logits(p, [1, 2], operation=operation), pizza_logits(p, [1, 2], operation=operation)):
        # Every a - b must occur among the training pairs.
        difference = (train // p - train % p) % p if operation == "add" else (train // p + train % p) % p
        assert len(difference.unique()) == p
        read = take_logits(harmonics, logits + torch.arange(p))
        assert shift_agreement(read, harmonics=harmonics, train=mine).item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_a_lookup_table_does_not_agree_with_its_shifts(seed):
    assert abs(shift_agreement(lookup_logits(P, TRAIN, amplitude=9.0, seed=seed), harmonics=HARMONICS, train=TRAIN).item()) < 0.05
    assert abs(shift_agreement(random_logits(P), harmonics=HARMONICS, train=TRAIN).item()) < 0.05
    assert shift_agreement(torch.zeros(P * P, P), harmonics=HARMONICS, train=TRAIN).item() == 0


@pytest.mark.parametrize("p", [4, 7])
def test_agreement_agrees_with_the_literal_definition(p):
    logits, train = random_logits(p), training_pairs(p, 0.5)
    seen = {int(i) for i in train}
    x = logits - logits.mean(dim=1, keepdim=True)
    x = x - x.mean(dim=0)
    predicted, actual = [], []
    for i in set(range(p * p)) - seen:
        for c in range(p):
            like = [
                x[j, d].item()
                for j in seen
                for d in range(p)
                if (j // p - j % p - i // p + i % p) % p == 0 and (j // p + j % p - d - i // p - i % p + c) % p == 0
            ]
            predicted.append(sum(like) / len(like) if like else 0.0)
            actual.append(x[i, c].item())
    expected = torch.nn.functional.cosine_similarity(torch.tensor(predicted), torch.tensor(actual), dim=0)
    assert shift_agreement(logits, harmonics=addition(p), train=train).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("p", [p for p in MODULI if p >= 5])
def test_what_a_clock_says_about_unseen_pairs_answers_the_seen(p):
    logits, train = clock_logits(p, [1, 2], amplitude=6.0), training_pairs(p, 0.3)
    how = {"harmonics": addition(p), "keys": [1, 2]}
    found = loss_from_unseen(logits, labels(p), train=train, **how)
    assert torch.allclose(found, restricted_loss(logits, labels(p), **how)[train], atol=1e-9)


def test_a_silent_table_says_nothing_about_unseen_pairs():
    """... although its ordinary restricted loss on the training pairs is small, if every frequency is key."""
    table = lookup_logits(P, TRAIN, amplitude=30.0)
    found = loss_from_unseen(table, LABELS, train=TRAIN, harmonics=HARMONICS, keys=HARMONICS.names)
    assert torch.allclose(found, torch.tensor(math.log(P), dtype=torch.float64), atol=1e-9)
    assert restricted_loss(table, LABELS, harmonics=HARMONICS, keys=HARMONICS.names)[TRAIN].mean() < 0.1


# The verdict on mixtures


def test_the_dial_from_memorizer_to_generalizer():
    for seed in (None, 0):
        for circuit in (clock_logits(P, KEYS, amplitude=12.0), pizza_logits(P, KEYS, amplitude=12.0)):
            table = lookup_logits(P, TRAIN, amplitude=30.0, seed=seed)
            found = [verdict(mixture(dial, table, circuit)) for dial in (0.0, 0.2, 0.35, 0.8, 1.0)]
            assert found[0].verdict == "memorizer"
            assert {v.verdict for v in found[1:3]} == {"between"}
            assert [v.verdict for v in found][-2:] == ["generalizer", "generalizer"]
            assert sorted(v.agreement for v in found) == [v.agreement for v in found]


@pytest.mark.parametrize("dial", [i / 10 for i in range(11)])
def test_a_model_that_fails_on_unseen_pairs_is_never_called_a_generalizer(dial):
    unseen = torch.ones(P * P, dtype=torch.bool)
    unseen[TRAIN] = False
    logits = mixture(dial, lookup_logits(P, TRAIN, amplitude=30.0, seed=0), clock_logits(P, KEYS, amplitude=12.0))
    accuracy = correct(logits, LABELS)[unseen].double().mean()
    found = verdict(logits).verdict
    assert found != "generalizer" or accuracy > 0.8
    assert found != "memorizer" or accuracy < 0.2


@pytest.mark.parametrize(("dial", "expected"), [(0.0, "memorizer"), (1.0, "generalizer")])
def test_built_models_with_their_weights_as_evidence(dial, expected):
    weights = mixture_weights(
        dial, lookup_weights(P, TRAIN, amplitude=12.0), clock_weights(P, KEYS, amplitude=6.0, directions=12)
    )
    found = verdict(pair_tables(weights).logits, concentration=gini(HARMONICS.basis.row_norms(weights.W_L)).item())
    assert found.verdict == expected
    assert len(found.reasons) == 3


def test_contradicting_weights_make_it_between():
    clock, table = clock_logits(P, KEYS, amplitude=9.0), lookup_logits(P, TRAIN, amplitude=30.0)
    assert verdict(clock, concentration=0.05).verdict == "between"
    assert verdict(table, concentration=0.9).verdict == "between"
    assert verdict(clock, concentration=0.9).verdict == "generalizer"
    assert verdict(clock, concentration=0.3).verdict == "generalizer"


def test_no_test_label_is_looked_at():
    logits = mixture(0.5, lookup_logits(P, TRAIN, amplitude=30.0, seed=0), clock_logits(P, KEYS, amplitude=12.0))
    hidden = torch.full_like(LABELS, 0)
    hidden[TRAIN] = LABELS[TRAIN]
    how = {"train": TRAIN, "harmonics": HARMONICS, "keys": KEYS}
    assert generalization_verdict(logits, hidden, **how) == generalization_verdict(logits, LABELS, **how)


def test_an_untrained_model_is_untrained():
    found = verdict(random_logits(P) - torch.arange(P))
    assert found.verdict == "untrained"
    assert "of the training pairs" in found.reasons[0]


# Where the training pairs are not known


@pytest.mark.parametrize("p", [4, 7])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_agreement_of_each_pair_agrees_with_the_literal_definition(p, operation):
    logits, sign, harmonics = random_logits(p), 1 if operation == "add" else -1, OPERATIONS[operation](p)
    x = logits - logits.mean(dim=1, keepdim=True)
    x = x - x.mean(dim=0)
    found = pair_agreement(take_logits(harmonics, logits), harmonics=harmonics)[
        harmonics.rows if operation == "subtract" else slice(None)
    ]
    for i in range(p * p):
        predicted = torch.zeros(p, dtype=torch.float64)
        for c in range(p):
            like = [
                x[j, d].item()
                for j in range(p * p)
                for d in range(p)
                if j != i
                and (j // p - sign * (j % p) - i // p + sign * (i % p)) % p == 0
                and (j // p + sign * (j % p) - d - i // p - sign * (i % p) + c) % p == 0
            ]
            predicted[c] = sum(like) / len(like)
        assert found[i].item() == pytest.approx(torch.cosine_similarity(predicted, x[i], dim=0).item(), abs=1e-9)


@pytest.mark.parametrize("p", MODULI[1:])
def test_ideal_circuits_agree_on_every_pair(p):
    for logits in (clock_logits(p, [1, p // 2] if p > 3 else [1]), pizza_logits(p, [1])):
        agreement = pair_agreement(logits + torch.arange(p), harmonics=addition(p))
        silent = logits.norm(dim=1) < 1e-9  # where a and b are half a turn apart an ideal pizza says nothing
        assert torch.allclose(agreement[~silent], torch.ones_like(agreement[~silent]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("share", [0.15, 0.4, 0.8])
def test_pairs_of_a_table_agree_and_the_others_do_not(share):
    train = training_pairs(fraction=share)
    unseen = torch.ones(P * P, dtype=torch.bool)
    unseen[train] = False
    for seed in (None, 0):
        found = pair_agreement(lookup_logits(P, train, amplitude=9.0, seed=seed), harmonics=HARMONICS)
        assert found[train].median() > 0.5
        assert abs(found[unseen].median()) < 0.1


def test_without_training_pairs_the_verdict_says_what_it_leaves_out():
    for circuit in (clock_logits(P, KEYS, amplitude=12.0), pizza_logits(P, KEYS, amplitude=12.0)):
        found = verdict(circuit, train=None, concentration=0.8)
        assert (found.verdict, found.unseen_loss) == ("generalizer", None)
        assert any("training pairs are not known" in reason for reason in found.reasons)
        assert verdict(circuit, train=None, concentration=0.05).verdict == "between"
        nothing = verdict(0.01 * circuit, train=None)
        assert nothing.verdict == "untrained"
        assert "probability" in nothing.reasons[0]
    for share in (0.15, 0.4, 0.8):
        table = lookup_logits(P, training_pairs(fraction=share), amplitude=30.0, seed=0)
        assert verdict(table, train=None, concentration=0.05).verdict == "memorizer"
        assert verdict(table, train=None, concentration=0.8).verdict == "between"


@pytest.mark.parametrize("dial", [i / 10 for i in range(11)])
def test_without_training_pairs_a_model_that_fails_is_never_called_a_generalizer(dial):
    logits = mixture(dial, lookup_logits(P, TRAIN, amplitude=30.0, seed=0), clock_logits(P, KEYS, amplitude=12.0))
    accuracy, found = correct(logits, LABELS).double().mean(), verdict(logits, train=None).verdict
    assert found != "generalizer" or accuracy > 0.8
    assert found != "memorizer" or accuracy < 0.6


def test_without_training_pairs_no_label_is_looked_at():
    logits = mixture(0.5, lookup_logits(P, TRAIN, amplitude=30.0, seed=0), clock_logits(P, KEYS, amplitude=12.0))
    how = {"train": None, "harmonics": HARMONICS, "keys": KEYS}
    assert generalization_verdict(logits, torch.zeros_like(LABELS), **how) == generalization_verdict(logits, LABELS, **how)


def test_bad_input_to_the_verdict():
    logits = clock_logits(P, KEYS)
    logits[5, 5] = math.nan
    with pytest.raises(UsageError, match="NaN or infinite"):
        verdict(logits)
    with pytest.raises(UsageError, match="some to be unseen"):
        verdict(clock_logits(P, KEYS), train=torch.arange(P * P))
    with pytest.raises(UsageError, match="given 0 indices"):
        verdict(clock_logits(P, KEYS), train=torch.arange(0))
    with pytest.raises(UsageError, match=r"in 0\.\.960"):
        shift_agreement(clock_logits(P, KEYS), harmonics=HARMONICS, train=torch.tensor([P * P]))


# Clock or pizza


@pytest.mark.parametrize(
    ("symmetricity", "irrelevance", "accuracy", "expected"),
    [
        (0.334, 0.848, 1.0, "clock"),
        (0.994, 0.172, 1.0, "pizza"),
        (0.99, 0.85, 1.0, "neither"),
        (0.3, 0.85, 0.5, "not generalizing"),
        (0.5, 0.4, 0.99, "clock"),
        (math.nan, 0.85, 1.0, "neither"),
        (0.3, math.nan, 1.0, "neither"),
        (0.3, 0.85, math.nan, "not generalizing"),
    ],
)
def test_readings_of_the_published_bounds(symmetricity, irrelevance, accuracy, expected):
    found, evidence = algorithm_verdict(symmetricity=symmetricity, irrelevance=irrelevance, accuracy=accuracy)
    assert found == expected
    assert evidence


def test_pairs_of_units_are_named_where_the_others_are_left_out():
    for harmonics in (multiplication(P), division(P)):
        logits = 0.01 * clock_logits(harmonics.n, [3])
        found = generalization_verdict(logits, harmonics.line, train=None, harmonics=harmonics, keys=[3])
        assert "% of the pairs of units get an answer" in found.reasons[0]
    assert "% of all pairs get" in verdict(0.01 * clock_logits(P, KEYS), train=None).reasons[0]
    known = {"symmetricity": 0.3, "irrelevance": 0.85, "accuracy": 0.5}
    assert algorithm_verdict(**known, over="the pairs of units")[1] == "50.0 % of the pairs of units are answered correctly"
