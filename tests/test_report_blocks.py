"""A page's arrays: whatever goes into a block comes back, exactly or within half a step."""

from __future__ import annotations

import base64

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from page_parts import decoded

from interp.networks.scored_attention import attention_of, odds_of
from interp.reporting.blocks import LARGE, TOLERANCE, Blocks

SMALL = hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)


@given(hnp.arrays(st.sampled_from([np.int64, np.uint8, np.int16, np.bool_]), SMALL, elements=None))
def test_integers_come_back_exactly(array: np.ndarray) -> None:
    if array.dtype == np.int64 and np.abs(array.astype(float)).max() > 2**31 - 2:
        return
    blocks = Blocks()
    assert np.array_equal(decoded(blocks, blocks.add(array)), array)


@given(hnp.arrays(np.float32, SMALL))
def test_single_precision_comes_back_exactly(array: np.ndarray) -> None:
    blocks = Blocks()
    assert np.array_equal(decoded(blocks, blocks.add(array, drawn=True)), array, equal_nan=True)


@given(hnp.arrays(np.float64, SMALL))
def test_double_precision_to_be_taken_away_comes_back_bit_for_bit(array: np.ndarray) -> None:
    blocks = Blocks()
    assert decoded(blocks, blocks.add(array, exact=True)).tobytes() == array.tobytes()


@settings(max_examples=40)
@given(st.integers(2, 6), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3), st.integers(0, 2**32 - 1))
def test_what_is_only_drawn_is_kept_to_half_a_step_of_its_range(rows: int, scale: float, shift: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(rows, LARGE)) * scale + shift
    values[0, :7] = np.nan
    values[1, :3] = np.inf
    blocks = Blocks()
    number = blocks.add(values, drawn=True)
    assert blocks.header[number]["codec"] == "q2"
    back = decoded(blocks, number)
    finite = np.isfinite(values)
    step = (values[finite].max() - values[finite].min()) / 65_534
    assert np.isnan(back[~finite]).all()
    assert np.abs(back - values)[finite].max() <= 0.51 * step + 1e-9 * scale


def test_arrays_without_a_finite_value_or_without_any_difference_are_kept() -> None:
    blocks = Blocks()
    assert np.isnan(decoded(blocks, blocks.add(np.full((2, LARGE), np.nan), drawn=True))).all()
    assert np.array_equal(decoded(blocks, blocks.add(np.full((2, LARGE), 3.5), drawn=True)), np.full((2, LARGE), 3.5))


def attention(seed: int = 0, size: int = 40) -> np.ndarray:
    """Softmax over three positions of scores that depend on one token each: attention to the first."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 5, size)) * 4
    return np.exp(a)[:, :, None] / (np.exp(a)[:, :, None] + np.exp(b)[:, None, :] + 1)


def test_attention_over_pairs_is_stored_by_its_factors() -> None:
    blocks, maps = Blocks(), attention()
    number = blocks.add(maps, drawn=True)
    assert blocks.header[number]["codec"] == "odds"
    assert np.abs(decoded(blocks, number) - maps).max() < TOLERANCE + 1e-3
    assert len(base64.b64decode(blocks.payload())) < maps.size


def test_saturated_attention_is_stored_by_its_factors_too() -> None:
    """In single precision attention of nearly 1 says nothing about how nearly; most of this head's is."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 5, 40)) * 6
    maps = (np.exp(a)[:, :, None] / (np.exp(a)[:, :, None] + np.exp(b)[:, None, :] + 1e-3)).astype(np.float32)
    assert (maps == 1).any()
    blocks = Blocks()
    number = blocks.add(maps, drawn=True)
    assert blocks.header[number]["codec"] == "odds"
    assert np.abs(decoded(blocks, number) - maps).max() < 2 * TOLERANCE


def test_what_is_not_of_that_form_is_not_forced_into_it() -> None:
    blocks, maps = Blocks(), attention()
    maps[2, 3, 4] = 1 - maps[2, 3, 4]
    assert blocks.header[blocks.add(maps, drawn=True)]["codec"] == "q2"


def test_every_array_is_stored_once() -> None:
    blocks, array = Blocks(), np.arange(5.0)
    assert blocks.add(array) == blocks.add(array.copy()) != blocks.add(array + 1)
    assert blocks.add(np.arange(4.0).reshape(2, 2)) != blocks.add(np.arange(4.0))
    before = len(blocks.payload())
    blocks.add(array)
    assert len(blocks.payload()) == before


def scores_of(seed: int, *, reach: float = 4.0) -> np.ndarray:
    """Scores of a and of b less that of `=`, (step, 2, p)."""
    return np.random.default_rng(seed).normal(size=(12, 2, 40)).astype(np.float32) * reach


def test_attention_given_by_scores_is_stored_once_with_the_maps_that_are_made_of_them() -> None:
    blocks, scores = Blocks(), scores_of(0)
    rows, columns = odds_of(scores)
    numbers = [blocks.add_odds(rows[:, place], columns[:, place]) for place in (0, 1)]
    maps = attention_of(scores, 1.0)
    for place, number in enumerate(numbers):
        assert np.abs(decoded(blocks, number) - maps[:, place]).max() < TOLERANCE
        assert blocks.add(maps[:, place], drawn=True) == number
        assert blocks.add_odds(rows[:, place] + 1, columns[:, place] - 1) == number  # the same sums
    assert blocks.add(attention_of(scores_of(1), 1.0)[:, 0], drawn=True) not in numbers
    assert blocks.add_odds(rows[:, 0], rows[:, 1]) not in numbers


def test_scores_that_reach_too_far_are_left_to_the_maps() -> None:
    rows, columns = odds_of(scores_of(0, reach=400.0))
    assert Blocks().add_odds(rows[:, 0], columns[:, 0]) is None
