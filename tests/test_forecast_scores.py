"""How forecasts are scored on runs that nothing was fitted on: closed forms, and a law that is planted."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "docs/forecast"))

import score_unseen

KEY = "4"


def run_of(grokked: int | None, *, said: int, decay: float = 1.0, squares: float = 100.0, kind: float = 0.4) -> dict:
    """A run that memorized at 100 and was said, at 400, to grok at a step, give or take a factor 2."""
    config = {
        "task.p": 59, "task.operation": "add", "optimizer.lr": 1e-3, "optimizer.weight_decay": decay, "split.fraction": kind,
    }  # fmt: skip
    chance = 0.9 if said < 5000 else 0.1
    return {
        "config": config, "memorized": 100, "for_good": grokked, "last": 5000, "budget": 5000, "squares": squares,
        "multiples": {KEY: [400]}, "multiples_issued": {KEY: ["groks", said, said // 2, 2 * said, chance, "law"]},
    }  # fmt: skip


@pytest.mark.parametrize(("chances", "expected"), [([0.9, 0.8, 0.1], 1.0), ([0.1, 0.2, 0.9], 0.0), ([0.5, 0.5, 0.5], 0.5)])
def test_auroc_of_a_perfect_a_reversed_and_no_forecast(chances, expected):
    assert score_unseen.auroc(np.array(chances), np.array([True, True, False])) == expected


def test_the_c_index_counts_pairs_of_one_kind_that_tell():
    runs = [
        run_of(1000, said=900), run_of(2000, said=1800), run_of(None, said=1500),  # the last was seen to 5,000
        run_of(3000, said=100, kind=0.5),  # alone in its kind
    ]  # fmt: skip
    rows = [score_unseen.dated_row(run, KEY) for run in runs]
    # Of the three pairs, the second before the third is the one that was said the other way round.
    assert score_unseen.c_index(rows) == (pytest.approx(2 / 3), 3)
    assert np.isnan(score_unseen.c_index(rows[3:])[0])


def test_the_first_passage_law_is_found_where_it_holds():
    kappa, end, rng = 0.6, 20.0, np.random.default_rng(0)
    runs = []
    for _ in range(40):
        decay, squares = rng.uniform(0.5, 4), rng.uniform(60, 300)
        after = np.log(squares / end) / (2 * kappa * 1e-3 * decay)
        runs.append(run_of(round(100 + after), said=1000, decay=decay, squares=squares))
    way = score_unseen.first_passage(runs)
    for run in runs:
        assert way(run, "multiples", KEY)[0] == pytest.approx(run["for_good"], rel=0.01)
    assert way(run_of(None, said=1000, decay=0.0), "multiples", KEY) is None  # nothing decays


def test_errors_are_those_of_runs_that_grokked_after_the_landmark():
    runs = [run_of(2000, said=1000), run_of(2000, said=4100), run_of(None, said=900), run_of(300, said=900)]
    found = score_unseen.errors(runs, score_unseen.as_issued, "multiples", KEY)
    assert found[:, 0].tolist() == pytest.approx([np.log(0.5), np.log(2.05)])
    assert found[:, 1].tolist() == [1, 0]
    assert found[:, 2].tolist() == pytest.approx([4, 4])


def test_no_progress_is_no_chance_and_silence_is_no_answer():
    run = run_of(None, said=1000)
    for verdict, expected in (("no progress", 0.0), ("generalizes already", 1.0), ("too young", None)):
        run["multiples_issued"] = {KEY: [verdict, None, None, None, 0.3, None]}
        assert score_unseen.chance_at(run, KEY) == expected
    assert score_unseen.chance_at(run_of(None, said=1000), KEY) == 0.9
