"""Pairs that have no answer, such as those of a division by 0, are not unseen pairs: no map, curve or median has them."""

from __future__ import annotations

import numpy as np
from growing import SPLIT, STEPS, P, built_in

from interp.config.run_config import ModelConfig, RunConfig
from interp.networks.initial import initial_weights
from interp.observing.analysis import find_analyses
from interp.observing.view import View
from interp.tasks.named import task
from interp.tasks.splits import SplitConfig

PAIR_BY_PAIR = find_analyses(["pair_by_pair"])[0]
SEEN = np.isin(np.arange(P * P), SPLIT.train).reshape(P, P)


def test_a_division_says_which_pairs_it_has_no_answer_for() -> None:
    division = task("x/y mod 11")
    config = RunConfig(task=division, split=SplitConfig(fraction=0.3), model=ModelConfig(d_model=8, n_heads=2, d_mlp=8))
    split = config.split.draw(division)
    found = PAIR_BY_PAIR.measure(View(0, initial_weights(config), division, split, (), {}))
    seen, left_out = found["pair_seen"].values, found["pair_left_out"].values
    assert np.array_equal(left_out, np.arange(11)[None].repeat(11, axis=0) == 0)
    assert np.array_equal(np.flatnonzero(~(seen | left_out)), np.sort(split.test))


def test_pairs_without_an_answer_are_in_no_part_of_the_figure() -> None:
    series = built_in()[1]
    assert "pair_left_out" not in series
    holes = np.zeros((P, P), dtype=bool)
    holes[tuple(np.argwhere(~SEEN)[::2].T)] = True
    right = np.ones((len(STEPS), P, P), dtype=bool) & ~holes
    planted = series.assign(
        pair_right=(("step", "a", "b"), right), pair_left_out=(("step", "a", "b"), np.repeat(holes[None], len(STEPS), axis=0))
    )
    figure = PAIR_BY_PAIR.figure(planted)
    shown = [trace for trace in figure.data if trace.type == "heatmap" and trace.xaxis == "x2"]
    assert np.array_equal(np.isfinite(np.array([each.z for each in shown], dtype=float)).any(axis=0), ~SEEN & ~holes)
    curves = [trace for trace in figure.data if trace.xaxis == "x3" and "unseen" in trace.name]
    assert all(np.array_equal(each.y, np.ones(len(STEPS))) for each in curves)
    by_answer = next(trace for trace in figure.data if trace.xaxis == "x4" and trace.name == "answer")
    assert sum(count for count, _ in by_answer.customdata) <= int((~SEEN & ~holes).sum())
    assert all(never == 0 for _, never in by_answer.customdata)
    assert "Unseen pairs: 100 % right for good" in figure.layout.meta["alt"]
