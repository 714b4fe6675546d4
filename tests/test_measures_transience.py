"""Frequencies that come and go: a series in which one rises and falls at known steps."""

from __future__ import annotations

import numpy as np
import pytest

from interp.errors import UsageError
from interp.measures import Spell, energy_shares, spells

K = 10
STEPS = np.arange(0, 2000, 100)


def planted(name: int, rise: int, fall: int, *, high: float = 0.5) -> np.ndarray:
    """Shares of ten frequencies, all alike but that one has `high` from step `rise` until before step `fall`."""
    shares = np.full((len(STEPS), K), 1 / K)
    on = (rise <= STEPS) & (fall > STEPS)
    shares[on] = (1 - high) / (K - 1)
    shares[on, name - 1] = high
    return shares


def test_a_planted_transient_is_found_at_its_steps() -> None:
    shares = planted(4, 300, 1200)
    shares[-8:, 3], shares[-8:, 6] = 0.01, 0.19  # at the end it has less than an even share
    assert spells(STEPS, shares) == (Spell(4, 300, 1200, 300, 0.5),)
    assert spells(STEPS, shares)[0].is_transient


def test_what_falls_to_the_even_share_alone_has_not_fallen() -> None:
    assert [each.fell for each in spells(STEPS, planted(4, 300, 1200))] == [None]  # 1 / K is the limit, not below it


def test_what_lasts_is_no_transient_and_what_wavers_counts_once() -> None:
    shares = planted(2, 500, 10**6)
    shares[8::2, 1] = 0.15  # between the limits
    (found,) = spells(STEPS, shares)
    assert (found.name, found.rose, found.fell, found.is_transient) == (2, 500, None, False)
    assert len(spells(STEPS, shares, rises=2.0, falls=2.0)) > 1


def test_a_frequency_that_comes_back_has_two_spells() -> None:
    shares = np.full((len(STEPS), K), 0.05)
    shares[2:5, 8], shares[9:, 8] = 0.6, 0.4
    shares[5:9, 8] = 0.01
    found = spells(STEPS, shares, names=[f"f{k}" for k in range(K)])
    assert [(each.name, each.rose, each.fell, each.share) for each in found] == [("f8", 200, 500, 0.6), ("f8", 900, None, 0.4)]


def test_peak_is_the_largest_share_of_the_spell() -> None:
    shares = planted(1, 200, 900)
    shares[5, 0] = 0.7
    shares[9:, 0] = 0.0
    (found,) = spells(STEPS, shares)
    assert (found.peak, found.share) == (500, 0.7)


def test_a_random_start_has_no_spell() -> None:
    norms = np.sqrt(np.random.default_rng(0).chisquare(2 * 128, size=(20, 56)))  # of Gaussian weights of width 128
    assert spells(STEPS, energy_shares(norms)) == ()


def test_shares_add_up_do_not_depend_on_scale_and_lose_steps_that_are_not_finite() -> None:
    norms = np.random.default_rng(1).random((5, 7))
    assert np.allclose(energy_shares(norms).sum(axis=-1), 1)
    assert np.allclose(energy_shares(norms * 3), energy_shares(norms))
    assert np.isnan(energy_shares(np.zeros((1, 3)))).all()
    shares = planted(4, 300, 1200)
    shares[3], shares[12:, 3] = np.nan, 0.0
    assert [(each.rose, each.fell) for each in spells(STEPS, shares)] == [(400, 1200)]


def test_what_has_no_spells_is_refused() -> None:
    with pytest.raises(UsageError, match="norms: given -1, expected none to be negative"):
        energy_shares([-1.0, 2.0])
    with pytest.raises(UsageError, match=r"norms: given shape \(\), expected the norm of at least one part"):
        energy_shares(np.array(2.0))
    with pytest.raises(UsageError, match=r"shares: given shape \(2,\) for 2 steps, expected \(step, frequency\)"):
        spells([0, 1], [0.5, 0.5])
    with pytest.raises(UsageError, match="steps: given steps that do not ascend"):
        spells([1, 1], [[1.0], [1.0]])
    with pytest.raises(UsageError, match="limits: given rises 1 and falls 2, expected 0 < falls <= rises"):
        spells([0], [[1.0]], rises=1.0, falls=2.0)
    with pytest.raises(UsageError, match="names: given 1 for 2 frequencies"):
        spells([0], [[0.5, 0.5]], names=[3])
