"""Finding the boundary by placing runs: planted ones are found with a third of an even grid's runs; real runs are trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_study import in_turn, small_base, small_study

from interp.errors import UsageError
from interp.studies import placed_runs
from interp.studies.placed_runs import find_boundary


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs that are not trained: whether one groks is drawn from a logistic in split.fraction, once for each run."""

    def plant(centre: float, slope: float, *, seed: int = 0) -> dict[str, bool]:
        trained: dict[str, bool] = {}
        rng = np.random.default_rng(seed)

        def go(_study: Any, points: Any, **_: Any) -> Any:
            for point in points:
                assert point.name not in trained
                share = 1 / (1 + np.exp(-slope * (point.values["split.fraction"] - centre)))
                trained[point.name] = bool(rng.random() < share)
            return type("Tally", (), {"failed": {}})

        def rows(study: Any) -> list[dict[str, Any]]:
            return [
                {
                    "run": point.name, **point.values, "status": "finished" if point.name in trained else "missing",
                    "grokked": 100 if trained.get(point.name) else None,
                }
                for point in study.points
            ]  # fmt: skip

        monkeypatch.setattr(placed_runs, "go", go)
        monkeypatch.setattr(placed_runs, "rows", rows)
        return trained

    return plant


def a_study(root: Path, seeds: int = 40) -> Any:
    return small_study(root, vary={"split.fraction": "0.1:0.9:33"}, seeds=range(seeds))


def test_a_planted_boundary_is_found_where_it_is(planted: Any, tmp_path: Path) -> None:
    inside, used = 0, []
    for number, centre in enumerate(np.linspace(0.25, 0.75, 12)):
        trained = planted(float(centre), 80.0, seed=number)
        found = find_boundary(a_study(tmp_path / str(number)), width=0.05, workers=2, progress=False)
        assert found.is_found
        assert found.value.high - found.value.low <= 0.05
        assert found.runs == len(trained)
        inside += bool(found.value.low <= centre <= found.value.high)
        used.append(len(trained))
    assert inside >= 10
    # An even grid with 16 intervals of this width needs runs at each: at a third of its runs two a value would be left.
    assert np.median(used) < 33 * 4 / 3


@pytest.mark.parametrize(
    ("centre", "slope", "falling", "told"),
    [
        (5.0, 80.0, False, "none of them grokked; it lies above 0.9, if anywhere"),
        (-5.0, 80.0, False, "all of them grokked; it lies below 0.1, if anywhere"),
        (5.0, -80.0, True, "all of them grokked; it lies above 0.9, if anywhere"),
        (-5.0, -80.0, True, "none of them grokked; it lies below 0.1, if anywhere"),
        (0.5, -80.0, False, "they grok at small values and not at large ones; ask with falling=True (--falling)"),
        (0.5, 80.0, True, "they grok at large values and not at small ones; ask with not falling=True (leave --falling out)"),
    ],
)
def test_no_boundary_is_made_up_where_there_is_none(planted: Any, tmp_path: Path, centre, slope, falling, told) -> None:
    trained = planted(centre, slope)
    found = find_boundary(a_study(tmp_path), width=0.05, falling=falling, workers=2, progress=False)
    assert not found.is_found
    assert found.value.value is found.value.low is found.value.high is None
    assert told in str(found)
    assert len(trained) < 60  # of 1,320: that there is none is known soon


@pytest.mark.parametrize(("values", "centre"), [("0.2:0.4:21", 0.395), ([0.3, 0.4, 0.5, 0.6], 0.55)])
@pytest.mark.parametrize("falling", [False, True])
def test_a_boundary_between_the_last_two_values_is_no_boundary_beyond_them(
    planted: Any, tmp_path, values, centre, falling
) -> None:
    if falling:  # the first two
        planted({0.395: 0.205, 0.55: 0.35}[centre], -1e3)
    else:
        planted(centre, 1e3)
    study = small_study(tmp_path, vary={"split.fraction": values}, seeds=range(40))
    width = (max(point.values["split.fraction"] for point in study.points) - 0.2) / 10
    found = find_boundary(study, width=width, falling=falling, workers=2, progress=False)
    assert not found.doubt
    assert found.value.low <= {0.395: 0.205, 0.55: 0.35}[centre] + 1e-9 if falling else found.value.high >= centre - 1e-9


def failing_go(monkeypatch: pytest.MonkeyPatch, is_bad: Any) -> list[str]:
    """Planted runs some of which fail; the names of those that did."""
    go, bad = placed_runs.go, []

    def failing(study: Any, points: Any, **how: Any) -> Any:
        now = [point for point in points if is_bad(point)]
        bad.extend(point.name for point in now)
        go(study, [point for point in points if point not in now], **how)
        return type("Tally", (), {"failed": {point.name: "no disk" for point in now}})

    monkeypatch.setattr(placed_runs, "go", failing)
    return bad


def test_runs_that_fail_at_an_end_do_not_stand_for_it(planted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(0.35, -1e3)
    failing_go(monkeypatch, lambda point: point.values["split.fraction"] == 0.3 and point.seed < 2)
    study = small_study(tmp_path, vary={"split.fraction": [0.3, 0.4, 0.5, 0.6]}, seeds=range(12))
    found = find_boundary(study, width=0.1, workers=2, progress=False)
    assert len(found.failed) == 2
    assert "ask with falling=True" in found.doubt


def test_another_seed_stands_in_for_a_run_that_fails(planted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(0.5, 80.0)
    bad = failing_go(monkeypatch, lambda point: point.seed == 0)
    found = find_boundary(a_study(tmp_path), width=0.05, workers=1, progress=False)
    assert found.is_found
    assert found.runs > 10
    assert sorted(found.failed) == sorted(bad)  # each was tried once
    assert len(set(bad)) == len(bad) > 1


def test_without_a_run_at_its_end_no_number_is_named(planted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(0.5, 80.0)
    failing_go(monkeypatch, lambda _: True)
    study = small_study(tmp_path, vary={"split.fraction": [0.3, 0.4, 0.5, 0.6]}, seeds=range(2))
    said: list[str] = []
    found = find_boundary(study, width=0.1, workers=3, progress=False, on_round=lambda known: said.append(str(known)))
    assert len(found.failed) == 8
    assert found.value.value is found.value.low is found.value.high is None
    assert not found.is_found
    assert said == ["P(grok) = 0.5 along split.fraction: not known, by 0 runs: none came to its end"] == [str(found)]


def test_nothing_is_known_before_there_is_a_run(planted: Any, tmp_path: Path) -> None:
    trained = planted(0.5, 80.0)
    found = find_boundary(a_study(tmp_path), width=5.0, workers=2, progress=False)  # wider than the axis
    assert found.runs == len(trained) > 0


def test_runs_that_grok_by_chance_have_no_boundary(planted: Any, tmp_path: Path) -> None:
    said = []
    for seed in range(5):
        planted(0.5, 0.0, seed=seed)
        said.append(find_boundary(a_study(tmp_path / str(seed), seeds=4), width=0.05, workers=4, progress=False))
    assert sum("could as well be the same everywhere" in str(found) for found in said) >= 3
    assert not any(found.is_found for found in said)


def test_without_seeds_left_it_says_so(planted: Any, tmp_path: Path) -> None:
    planted(0.5, 8.0)
    found = find_boundary(a_study(tmp_path, seeds=1), width=0.02, workers=4, progress=False)
    assert not found.is_found
    assert "add seeds" in str(found)
    assert found.runs == 33


def test_real_runs_are_placed_and_those_that_are_there_count(tmp_path: Path) -> None:
    study = small_study(tmp_path, base=small_base(steps=6), vary={"split.fraction": [0.2, 0.4, 0.6, 0.8]}, seeds=range(2))
    seen: list[int] = []
    how: dict[str, Any] = {"width": 0.1, "executor": in_turn, "workers": 2, "progress": False}
    found = find_boundary(study, **how, on_round=lambda known: seen.append(known.runs))
    assert found.runs == len(list(study.folder.glob("runs/*/manifest.json"))) == seen[-1]
    again = find_boundary(study, **how)
    assert again.runs == found.runs
    assert again.value == found.value


def test_an_axis_of_factors_is_taken_by_factors(planted: Any, tmp_path: Path) -> None:
    study = small_study(tmp_path, vary={"optimizer.lr": "1e-4:1e-1:4:log"})
    assert placed_runs.axis_width(study) == pytest.approx(3)


@pytest.mark.parametrize(
    ("vary", "width", "said"),
    [
        ({}, 0.1, "expected one axis"),
        ({"split.fraction": [0.4, 0.5], "optimizer.lr": [1e-3, 1e-2]}, 0.1, "expected one axis"),
        ({"split.fraction": [0.4]}, 0.1, "at least two numbers"),
        ({"optimizer.loss": ["cross_entropy", "stablemax"]}, 0.1, "at least two numbers"),
        ({"split.fraction": [0.4, 0.8]}, 1e-9, "width"),
    ],
)
def test_studies_without_a_boundary(tmp_path: Path, vary: dict[str, Any], width: float, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_boundary(small_study(tmp_path, vary=vary), width=width)
    assert not list(tmp_path.glob("*/runs/*"))


def test_on_the_way_nothing_is_said_that_the_next_runs_may_refute(planted: Any, tmp_path: Path) -> None:
    planted(0.2, 1e3)
    said: list[str] = []
    how: dict[str, Any] = {"width": 0.05, "workers": 2, "progress": False}
    found = find_boundary(a_study(tmp_path), **how, on_round=lambda known: said.append(str(known)))
    assert said[0] == "P(grok) = 0.5 along split.fraction: not known yet, by 2 runs; going on"
    assert all(line.endswith("; going on") for line in said[:-1])
    assert said[-1] == str(found)
    assert not said[-1].endswith("going on")
