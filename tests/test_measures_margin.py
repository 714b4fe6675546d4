"""The margins of circuit and table: mixtures are split exactly, parts add up, a table is no circuit."""

import numpy as np
import pytest
import torch

from interp.errors import UsageError
from interp.harmonics import addition, subtraction, take_logits
from interp.measures import margin_parts, margins
from interp.synthetic import clock_logits, lookup_logits, mixture, pizza_logits

P = 31
HARMONICS = addition(P)
LABELS = HARMONICS.line
TRAIN = torch.randperm(P * P, generator=torch.Generator().manual_seed(3))[: P * P // 2]


def parts(logits, **changes):
    return margin_parts(logits, LABELS, **{"harmonics": HARMONICS, "train": TRAIN} | changes)


@pytest.mark.parametrize("dial", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("circuit", [clock_logits, pizza_logits])
def test_mixtures_are_split_exactly(circuit, dial):
    table, waves = lookup_logits(P, TRAIN, amplitude=8.0), circuit(P, [3, 7], amplitude=5.0)
    found = parts(mixture(dial, table, waves))
    assert found.table_seen == pytest.approx((1 - dial) * 8.0, abs=1e-9)
    assert found.circuit_seen == pytest.approx(dial * float(margins(waves, LABELS)[TRAIN].mean()), abs=1e-9)
    assert found.noise_unseen == pytest.approx(0, abs=1e-9)
    if dial in (0.0, 1.0):
        assert found.table_share == pytest.approx(1 - dial, abs=1e-9)


def test_the_parts_add_up_and_are_linear():
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(P * P, P, generator=generator, dtype=torch.float64) for _ in range(2))
    first, second, both = parts(one), parts(other), parts(2 * one + other)
    assert first.circuit_seen + first.table_seen == pytest.approx(float(margins(one, LABELS)[TRAIN].mean()), abs=1e-12)
    for name in ("circuit_seen", "table_seen", "circuit_unseen"):
        assert getattr(both, name) == pytest.approx(2 * getattr(first, name) + getattr(second, name), abs=1e-12)
    # What all classes of a pair share does not matter.
    shifted = parts(one + torch.arange(P * P, dtype=torch.float64)[:, None])
    assert shifted.table_seen == pytest.approx(first.table_seen, abs=1e-9)


def test_a_table_that_guesses_is_noise():
    found = parts(lookup_logits(P, TRAIN, amplitude=8.0, seed=1))
    # A right guess has the margin 8, a wrong one -8 / (p - 1); about one in p is right.
    assert abs(found.circuit_unseen) < 0.5
    assert found.noise_unseen == pytest.approx(8.0 * P / (P - 1) * (1 / P) ** 0.5, rel=0.35)
    assert found.table_seen == pytest.approx(8.0, abs=0.6)


def test_subtraction_is_read_as_addition():
    p, harmonics = 13, subtraction(13)
    train = torch.arange(0, p * p, 2)
    logits = take_logits(harmonics, clock_logits(p, [2, 5], amplitude=4.0, operation="subtract"))
    found = margin_parts(logits, harmonics.line, harmonics=harmonics, train=train)
    assert found.table_seen == pytest.approx(0, abs=1e-9)
    assert found.circuit_seen == pytest.approx(8.0 * p / (p - 1), rel=1e-9)


@pytest.mark.parametrize("p", [2, 3, 4])
def test_small_and_even_moduli(p):
    train = torch.arange(0, p * p - 1)
    found = margin_parts(clock_logits(p, [1]), addition(p).line, harmonics=addition(p), train=train)
    assert found.table_seen == pytest.approx(0, abs=1e-9)


def test_what_is_no_number_gives_none_and_bad_pairs_are_refused():
    assert np.isnan(parts(torch.full((P * P, P), torch.nan)).table_seen)
    with pytest.raises(UsageError, match="expected some of both"):
        parts(clock_logits(P, [3]), train=torch.arange(P * P))
