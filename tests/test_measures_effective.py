"""The effective number of frequencies and the clock's share: closed forms, invariances, planted circuits, bad input."""

import numpy as np
import pytest
import torch
from groups import harmonics as group_harmonics
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import UsageError
from interp.harmonics import addition
from interp.measures import clock_share, effective_number
from interp.synthetic import clock_logits, lookup_logits, mixture, pizza_logits

P = 31
UNSEEN = torch.arange(0, P * P, 3)


@pytest.mark.parametrize("m", [1, 2, 5, 15])
def test_m_equal_parts_count_as_m(m):
    norms = np.zeros((2, 15))
    norms[:, :m] = [[0.3], [7e200]]
    assert effective_number(norms) == pytest.approx([m, m], rel=1e-12)


def test_two_parts_of_unequal_energy():
    # Energies 1 and 3: 16 / 10.
    assert effective_number([1.0, 3.0**0.5]) == pytest.approx(1.6, rel=1e-14)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.floats(1e-3, 1e3), st.randoms(use_true_random=False))
def test_between_one_and_all_whatever_the_scale_and_order(norms, scale, random):
    found = float(effective_number(norms))
    if max(norms) < 1e-150:
        return
    assert 1 - 1e-12 <= found <= len(norms) * (1 + 1e-12)
    shuffled = random.sample(norms, len(norms))
    assert float(effective_number(np.array(shuffled) * scale)) == pytest.approx(found, rel=1e-9)


def test_of_another_groups_harmonics():
    harmonics = group_harmonics(3)
    # One direction of each of both irreps, of equal norm: the sign, and one row of the projector of the plane.
    plane, sign = harmonics.projector([harmonics.names[-1]]), harmonics.projector([harmonics.names[0]])
    x = torch.stack([plane[0] / plane[0].norm(), sign[0] / sign[0].norm()], dim=1)
    assert float(effective_number(harmonics.norms(x))) == pytest.approx(2, rel=1e-9)


def test_nothing_and_what_is_no_number_have_no_number_of_parts():
    assert np.isnan(effective_number([[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])).all()
    assert effective_number(np.full((3, 4), 1e-200)) == pytest.approx([4] * 3)


@pytest.mark.parametrize("norms", [np.array(3.0), [], [[1.0, -1.0]]])
def test_bad_norms_are_refused(norms):
    with pytest.raises(UsageError, match=r"norms: given .*, expected"):
        effective_number(norms)


@pytest.mark.parametrize("p", [2, 5, 8, 31])
def test_a_clock_is_all_clock_on_any_pairs(p):
    pairs = torch.arange(0, p * p, 2)
    # What all classes share is no matter.
    logits = clock_logits(p, range(1, p // 2 + 1), amplitude=3.0) + torch.arange(p * p)[:, None]
    assert float(clock_share(logits, harmonics=addition(p), pairs=pairs)) == pytest.approx(1, abs=1e-12)


def test_a_pizza_is_as_much_clock_as_the_mean_of_its_factor_says():
    # |cos(w (a - b) / 2)| cos w (a + b - c): the share is mean(f)^2 / mean(f^2) over the pairs, f the first factor.
    pairs = torch.arange(P * P)
    a, b = pairs // P, pairs % P
    factor = (np.pi * 3 * (a - b).double() / P).cos().abs()
    expected = float(factor.mean() ** 2 / factor.square().mean())
    found = float(clock_share(pizza_logits(P, [3]), harmonics=addition(P), pairs=pairs))
    assert found == pytest.approx(expected, abs=1e-12)
    assert expected == pytest.approx(0.81, abs=0.005)


@pytest.mark.parametrize("dial", [0.0, 0.3, 0.7, 1.0])
def test_a_mixture_of_a_clock_and_another_function_of_the_pairs(dial):
    # The waves of a - b - c are orthogonal to those of a + b - c over all pairs, so that energies add.
    clock, other = clock_logits(P, [3, 7]), clock_logits(P, [3, 7], operation="subtract")
    found = float(clock_share(mixture(dial, other, clock), harmonics=addition(P), pairs=torch.arange(P * P)))
    assert found == pytest.approx(dial**2 / (dial**2 + (1 - dial) ** 2), abs=1e-9)


def test_a_lookup_table_says_noise_about_unseen_pairs():
    train = torch.arange(0, P * P, 2)
    unseen = torch.arange(1, P * P, 2)
    logits = lookup_logits(P, train, amplitude=9.0, seed=0)
    assert float(clock_share(logits, harmonics=addition(P), pairs=unseen)) < 4 / len(unseen)
    assert float(clock_share(logits, harmonics=addition(P), pairs=train)) > 0.8  # its answers are those of the task


def test_silence_is_no_clock_and_bad_pairs_are_refused():
    assert float(clock_share(torch.ones(P * P, P), harmonics=addition(P), pairs=UNSEEN)) == 0
    assert np.isnan(float(clock_share(torch.full((P * P, P), torch.nan), harmonics=addition(P), pairs=UNSEEN)))
    with pytest.raises(UsageError, match="pairs: given none"):
        clock_share(torch.ones(P * P, P), harmonics=addition(P), pairs=UNSEEN[:0])
