"""Weights over a run in little space: what comes back, what it costs, and that neurons made from it state their error."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from exploring import neurons_of
from growing import DIALS, STEPS, growing
from hypothesis import given, settings
from hypothesis import strategies as st
from page_parts import decoded
from random_models import random_weights

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.networks.neuron_tables import neuron_tables
from interp.reporting.blocks import TOLERANCE, Blocks
from interp.reporting.explorer import Explorer
from interp.reporting.modes import modes
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig


def drifting(steps: int = 60, size: int = 4000, *, seed: int = 0) -> np.ndarray:
    """Values that move smoothly from one place to another, of very different sizes at the start and at the end."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, steps)[:, None]
    ways = rng.normal(size=(3, size))
    return (0.01 + time) * (ways[0] + time * ways[1] + np.sin(4 * time) * ways[2])


@pytest.mark.parametrize("factor", [1e-30, 1e-25, 1e-18, 1e18, 1e20, 1e30])
def test_one_step_of_another_size_spoils_no_other(factor: float) -> None:
    """Squares of such values are 0 or infinite in single precision."""
    stack = np.random.default_rng(0).standard_normal((6, 50))
    stack[3] *= factor
    (found,) = modes([stack.astype(np.float32)], budget=10**6)
    for i, step in enumerate(stack):
        assert np.abs(found.at(i) - step).max() <= 0.05 * np.abs(step).max()


def errors(stack: np.ndarray) -> np.ndarray:
    """Root mean square error of every step that comes back, as a share of the step's own root mean square."""
    (found,) = modes([stack], budget=10**9)
    back = np.stack([found.at(i) for i in range(len(stack))])
    return np.sqrt(np.mean((back - stack) ** 2, axis=1) / np.mean(stack**2, axis=1))


def louder(steps: int, size: int, *, scale: float, seed: int) -> np.ndarray:
    """Noise, at every step larger."""
    return np.random.default_rng(seed).normal(size=(steps, size)) * scale * np.logspace(0, 3, steps)[:, None]


@pytest.mark.parametrize("steps", [1, 2, 5, 12])
def test_every_step_comes_back_to_a_twentieth_of_its_root_mean_square(steps: int) -> None:
    assert errors(louder(steps, 3000, scale=1, seed=0)).max() < 0.051


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 300), st.floats(1e-6, 1e6), st.integers(0, 2**32 - 1))
def test_few_numbers_are_off_by_no_more_than_rounding_can_make_them(steps: int, size: int, scale: float, seed: int) -> None:
    # Evenly spread, rounding errors have a root mean square of the largest by the root of 3; of few numbers all may be large.
    assert errors(louder(steps, size, scale=scale, seed=seed)).max() < 0.051 * 3**0.5


def test_a_slow_drift_costs_a_few_patterns_however_many_steps_it_has() -> None:
    (found,) = modes([drifting()], budget=10**9)
    assert len(found.codes) <= 3
    assert np.abs(found.at(30) - drifting()[30]).max() < 0.2 * drifting()[30].std()


def test_a_small_budget_makes_the_steps_wider() -> None:
    noise = np.random.default_rng(0).normal(size=(40, 3000))
    (fine,), (coarse,) = modes([noise], budget=10**9), modes([noise], budget=30_000)
    errors = [np.abs(one.at(7) - noise[7]).max() for one in (fine, coarse)]
    assert errors[0] < errors[1] / 2


def test_nothing_at_all_is_kept_too() -> None:
    (found,) = modes([np.zeros((4, 5, 2))], budget=1000)
    assert np.array_equal(found.at(3), np.zeros((5, 2)))


def test_modes_come_back_from_a_block() -> None:
    blocks, (found,) = Blocks(), modes([drifting()], budget=10**9)
    number = blocks.add_modes(found)
    back = decoded(blocks, number)
    assert back.shape == found.shape
    assert np.allclose(back[12], found.at(12), rtol=1e-5, atol=1e-6)


def without_equals(steps: int = 120, p: int = 40) -> np.ndarray:
    """Attention to a of a head that cannot look at `=`, while its scores change: it has no factors."""
    rng = np.random.default_rng(2)
    scores = np.stack([rng.normal(size=(p, 6)) @ rng.normal(size=(6, p)) for _ in range(3)])
    time = np.linspace(0, 1, steps)[:, None, None]
    return (1 / (1 + np.exp(scores[0] + time * scores[1] + np.sin(5 * time) * scores[2]))).astype(np.float32)


def test_shares_that_are_coarse_are_kept_within_tolerance_in_a_third_of_the_space() -> None:
    fine, coarse, maps = Blocks(), Blocks(), without_equals()
    assert fine.header[fine.add(maps, drawn=True)]["codec"] == "q2"
    number = coarse.add(maps, drawn=True, coarse=True)
    assert coarse.header[number]["codec"] == "modes"
    assert 0 < np.abs(decoded(coarse, number) - maps).max() <= TOLERANCE * 1.001
    assert len(coarse.payload()) < len(fine.payload()) / 3


def test_shares_that_do_not_drift_are_kept_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp.reporting.modes.MOST", 3)
    blocks, maps = Blocks(), np.random.default_rng(0).random((20, 20, 20))
    assert blocks.header[blocks.add(maps, drawn=True, coarse=True)]["codec"] == "q2"


def test_attention_without_the_equals_sign_is_stored_once_for_both_figures() -> None:
    """To b goes what does not go to a, and the figure of all heads has the same maps."""
    tables = [neuron_tables(random_weights(20, equals_sign=False, seed=seed)) for seed in range(8)]
    blocks = Blocks()
    heads = [np.stack([one.attention[head, 0] for one in tables]) for head in range(len(tables[0].attention))]
    shown = [[blocks.add(maps, drawn=True, coarse=True)] for maps in heads]
    assert Explorer(neurons_of(range(8), tables)).extra(blocks)["attention"] == shown


@pytest.mark.parametrize("equals_sign", [True, False])
def test_the_caption_says_how_wrong_the_maps_are(equals_sign: bool) -> None:
    tables = [neuron_tables(random_weights(6, equals_sign=equals_sign, seed=seed)) for seed in range(3)]
    caption = Explorer(neurons_of([0, 1, 2], tables)).remark
    typical, worst = map(float, re.search(r"typically (\S+) % and at worst (\S+) %", caption).groups())
    assert 0 < typical < worst < 15


def test_an_explorer_of_planted_models_is_nearly_exact() -> None:
    caption = Explorer(neurons_of(STEPS, [neuron_tables(growing(dial)) for dial in DIALS])).remark
    assert float(re.search(r"typically (\S+) %", caption).group(1)) < 2


@pytest.mark.parametrize("operation", ["add", "multiply"])
def test_neurons_of_multiplication_are_fitted_over_exponents(tmp_path: Path, operation: str) -> None:
    config = RunConfig(
        task=ModularTask(7, operation), split=SplitConfig(fraction=0.5), model=ModelConfig(d_model=8, n_heads=2, d_mlp=8),
        checkpoints=CheckpointConfig(log=0, every=5), steps=5, engine="reference", threads=1,
    )  # fmt: skip
    run = interp.record(config, root=tmp_path, name="run", progress=False)
    html = interp.report(run, tmp_path / "page.html", analyses=["neuron_explorer"]).html
    assert ("counted by their exponents to a primitive root (modulo 6)" in html) == (operation == "multiply")
