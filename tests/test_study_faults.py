"""Studies whose plan is wrong, whose runs cannot be measured, or that others train at the same time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_study import planted_row
from small_study import in_turn, small_base, small_study

from interp import Study, recipe
from interp.cli import main
from interp.errors import UsageError
from interp.figures import law, phase_diagram
from interp.figures.study_table import StudyTable
from interp.figures.survival_figure import survival_of
from interp.reporting.study_page import study_page
from interp.reporting.study_source import source_of
from interp.reporting.study_story import study_story
from interp.studies import going
from interp.studies.comparing import paired
from interp.studies.effort import effort
from interp.studies.outcomes import reasons, rows
from interp.studies.plan_files import plan_from_dict, read_plan
from interp.studies.proportions import exact_share
from interp.studies.study_plan import StudyPlan
from interp.studies.timed import timed
from interp.studies.worker import Work

# ---- Plans: all that is wrong, before anything is trained ----

WRONG_FILE = """
recipe = "demo"
seeds = []
seeds_are = "x"
keep = "most"
measures = ["no_such"]
colour = 3
[base]
steps = -3
[vary]
"split.fraction" = []
"optimzer.wd" = [1, 2]
"task.p+split.fraction" = [[7, 0.4], [11]]
"""


def test_a_file_with_many_faults_has_all_of_them_said(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(WRONG_FILE)
    with pytest.raises(UsageError) as caught:
        read_plan(path)
    text = str(caught.value)
    for said in (
        "steps: given -3",
        "split.fraction: given no values",
        "optimzer.wd",
        "expected 2 values",
        "unknown field 'colour'",
    ):
        assert said in text, said
    path.write_text(WRONG_FILE.replace("steps = -3", "steps = 30").replace("colour = 3\n", ""))
    with pytest.raises(UsageError) as caught:
        read_plan(path)
    text = str(caught.value)
    for said in ("seeds: given []", "seeds_are", "keep: given 'most'", "optimzer.wd", "given no values"):
        assert said in text, said


def test_a_command_with_many_faults_has_all_of_them_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--vary", "optimzer.wd=1,2", "--vary", "split.fraction=0.3:0.8", "--vary", "=3", "--seeds", "3-1", "--keep", "foo"]
    with pytest.raises(SystemExit) as caught:
        main(["study", "new", "x", "--root", str(tmp_path), *words, "--set", "stepz=3", "--set", "steps=1,2"])
    assert caught.value.code == 2
    err = capsys.readouterr().err
    for said in ("optimzer.wd", "FIRST:LAST:COUNT", "expected FIELD=VALUES", "--seeds: given '3-1'", "--keep: given 'foo'"):
        assert said in err, said
    assert "did you mean 'steps'" in err
    assert "several values of steps" in err
    assert not list(tmp_path.iterdir())


def test_values_that_are_refused_are_said_beside_unknown_fields() -> None:
    with pytest.raises(UsageError) as caught:
        Study(recipe("demo"), {"split.fraction": [0.3, 1.7], "nosuch": [1], "steps": []}, seeds=[-1])
    for said in ("split.fraction: given 1.7", "nosuch", "axis steps: given no values", "seeds: given [-1]"):
        assert said in str(caught.value), said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"measures": ["no_such"]}, "unknown analysis 'no_such'"),
        ({"measures": ["dissection"]}, "measures: dissection: it is measured at the last checkpoint alone"),
        ({"measures": ["weight_norms", "weight_norms"]}, "more than once"),
        ({"measures": [1]}, "measures: given (1,), expected names of analyses"),
        ({"measures": 5}, "measures: given 5"),
        ({"keep": (7,)}, "keep: given step 7, at which no run saves a checkpoint"),
        ({"keep": (5, 5000)}, "keep: given step 5000"),
        ({"keep": (True,)}, "keep: given (True,)"),
        ({"keep": None}, "keep: given None"),
        ({"seeds_are": ["both"]}, "seeds_are"),
        ({"seeds": 3}, "seeds: given 3, expected several, such as range(10)"),
        ({"vary": ["steps"]}, "vary: given ['steps'], expected fields and their values"),
    ],
)
def test_what_would_be_found_out_once_runs_are_trained_is_said_before(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        small_study(tmp_path, **given)
    assert said in str(caught.value)


def test_what_is_wrong_is_said_once_and_nothing_beside_it_that_follows_from_it(tmp_path: Path) -> None:
    for given, lines in (
        ({"vary": {"optimizer.lr": [-1]}}, 1),
        ({"vary": {"steps": "1000:9000:x"}, "keep": (9000,)}, 1),
        ({"seeds_are": "wts", "vary": {"split.seed": [1, 2]}}, 1),
        ({"vary": {"optimizer.lr": [-1], "nosuch": [1]}}, 2),
    ):
        with pytest.raises(UsageError) as caught:
            small_study(tmp_path, **given)
        text = str(caught.value)
        assert text.count("plan:") == 1, text
        assert len(text.splitlines()) == (1 if lines == 1 else lines + 1), text


def test_without_a_configuration_the_rest_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--recipe", "demi", "--seeds", "a", "--keep", "b", "--measures", "foo", "--vary", "x=1"]
    with pytest.raises(SystemExit):
        main(["study", "new", "zz", "--root", str(tmp_path), *words])
    err = capsys.readouterr().err
    for said in ("did you mean 'demo'", "--seeds: given 'a'", "--keep: given 'b'", "unknown analysis 'foo'", "unknown field 'x'"):
        assert said in err, said


def test_measures_and_seeds_as_people_give_them(tmp_path: Path) -> None:
    study = small_study(tmp_path, measures="weight_norms", seeds=np.arange(2), keep=[5])
    assert (study.plan.measures, study.plan.seeds, study.plan.keep) == (("weight_norms",), (0, 1), (5,))
    assert small_study(tmp_path, seeds="0-2,7", keep=np.array([5, 10])).plan.seeds == (0, 1, 2, 7)


def test_a_study_that_was_begun_with_what_is_refused_now_can_be_looked_at(tmp_path: Path) -> None:
    values = {**small_study(tmp_path).plan.to_dict(), "measures": ["of_another_version"], "keep": [7]}
    plan = plan_from_dict(values, where="study.json")
    assert plan.measures == ("of_another_version",)
    with pytest.raises(UsageError, match="of_another_version"):
        plan_from_dict(values, where="plan.toml", is_new=True)


def test_a_plan_file_and_options_beside_it_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('recipe = "demo"\n')
    for words in (
        ["--seeds", "0-4"],
        ["--keep", "all"],
        ["--recipe", "nanda"],
        ["--seeds-are", "split"],
        ["--measures", "weight_norms"],
    ):
        with pytest.raises(SystemExit) as caught:
            main(["study", "new", "x", "--plan", str(path), "--root", str(tmp_path), *words])
        assert caught.value.code == 2
        assert f"--plan: given with {words[0]}" in capsys.readouterr().err


def test_a_run_that_breaks_off_while_it_is_timed_does_not_stop_the_plan(tmp_path: Path) -> None:
    needed = effort(small_study(tmp_path, vary={"optimizer.lr": [1e-3, 1e30]}))
    assert needed.is_measured
    assert needed.step_seconds is not None
    assert needed.step_seconds >= 0
    wild = effort(small_study(tmp_path, vary={"optimizer.lr": [1e30]}))
    assert not wild.is_measured
    assert "by estimate" in str(wild)


# ---- Runs that other workers train ----


def test_every_run_that_another_worker_has_is_looked_at_until_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = small_study(tmp_path, vary={"optimizer.weight_decay": [1, 2, 3]}, seeds=[0])
    asked: list[list[float]] = []
    looks = {1.0: 1, 2.0: 4, 3.0: 9}  # after how many looks each is free

    def executor(runs: Any, _job: Any) -> Any:
        asked.append(sorted(config.optimizer.weight_decay for config in runs.values()))
        for number in runs:
            yield number, "held" if len(asked) == 1 else "finished"

    def is_due(point: Any, _work: Any, _leases: Any) -> bool:
        decay = point.values["optimizer.weight_decay"]
        looks[decay] -= 1
        return looks[decay] <= 0

    monkeypatch.setattr(going, "_PATIENCE", 0.0)
    monkeypatch.setattr(going, "_is_due", is_due)
    found = list(going._results(study.points, {}, executor, Work(study.folder, "ends", ())))
    assert asked == [[1.0, 2.0, 3.0], [1.0], [2.0], [3.0]]
    assert [result for _, result in found] == ["held"] * 3 + ["finished"] * 3


# ---- Runs that cannot be measured ----


def test_a_run_that_fails_after_its_last_step_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = small_study(tmp_path, vary={}, seeds=[0, 1])
    name = study.points[0].name

    def full(run: Any, *args: Any, **how: Any) -> None:
        if run.path.name == name:
            raise OSError(28, "No space left on device")
        return thin(run, *args, **how)

    from interp.observing import thinning_out

    thin = thinning_out.thin_measured
    monkeypatch.setattr(thinning_out, "thin_measured", full)
    assert list(study.run(executor=in_turn, progress=False).failed) == [name]
    found = rows(study)
    row = next(row for row in found if row["run"] == name)
    assert row["status"] == "finished"
    assert row["why"] == "budget; not measured: OSError: [Errno 28] No space left on device"
    assert reasons(found, []) == [
        f"{name} (seed 0) was trained to its end, and not measured: OSError: [Errno 28] No space left on device"
    ]
    assert "1 run could not be measured after the last step" in study_page(source_of(study)).headline
    monkeypatch.undo()
    assert study.run(executor=in_turn, progress=False).failed == {}
    assert not reasons(rows(study), [])
    assert {row["why"] for row in rows(study)} == {"budget"}


def test_an_old_failure_of_a_run_that_is_complete_is_not_told(tmp_path: Path) -> None:
    study = small_study(tmp_path, vary={}, keep="all", seeds=[0])
    study.run(executor=in_turn, progress=False)
    going._write_failure(study.folder, study.points[0].name, "OSError: of another time")
    assert rows(study)[0]["why"] == "budget"


# ---- What is said of pairs, seeds and measures ----


def planted(pairs: int, *, seeds: int | None = None, left_out: int = 0) -> StudyTable:
    """Two cells, of which the second always groks earlier; the first lacks some seeds of the second."""
    made = [
        planted_row({"optimizer.weight_decay": decay}, seed, grokked=step + 25 * seed, name=f"{decay}{seed}")
        for decay, step in ((1.0, 3000), (2.0, 1000))
        for seed in range(pairs if decay == 2.0 else pairs - left_out)
    ]
    return StudyTable.of("pairs", [("optimizer.weight_decay",)], made)


@pytest.mark.parametrize(("pairs", "p"), [(3, 0.25), (5, 0.0625), (10, 2 / 2**10)])
def test_pairs_are_tested_exactly(pairs: int, p: float) -> None:
    known = planted(pairs)
    found = survival_of(known, "grokked", by=0, fixed={})
    assert found.within == paired(*(timed(known.at({0: i}), "grokked") for i in range(2)))
    assert found.within.p == pytest.approx(p)


def test_seeds_that_one_cell_lacks_are_left_out_of_the_pairs() -> None:
    found = survival_of(planted(6, left_out=2), "grokked", by=0, fixed={})
    assert found.within.n == (4, 4)
    assert found.within.p == pytest.approx(2 / 2**4)
    assert survival_of(planted(6, left_out=5), "grokked", by=0, fixed={}).within is None


@pytest.mark.parametrize("are", ["weights", "split"])
def test_a_seed_that_is_an_axis_is_not_said_to_be_the_same(are: str) -> None:
    field = {"weights": "split.seed", "split": "seed"}[are]
    made = [planted_row({field: value}, 0, grokked=500, name=str(value)) for value in (1, 2)]
    told = str(study_story(StudyTable.of("s", [(field,)], made, seeds_are=are)))
    assert "the same" not in told
    made = [planted_row({"steps": value}, 0, grokked=500, name=str(value)) for value in (1, 2)]
    assert "the same" in str(study_story(StudyTable.of("s", [("steps",)], made, seeds_are=are)))
    if are == "weights":
        assert "seed of the split (1, 2)" in told


def test_a_map_of_any_measure_of_the_runs(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    study.run(executor=in_turn, progress=False)
    drawn = phase_diagram(study, x="weight_decay", y="fraction", of="restricted_loss")
    assert np.isfinite(np.array(drawn.data[0].z, dtype=float)).all()
    with pytest.raises(UsageError, match="of: given None"):
        phase_diagram(study, of=None)
    with pytest.raises(UsageError, match="unknown measure 'restricted_lost'; did you mean 'restricted_loss'"):
        phase_diagram(study, x="weight_decay", of="restricted_lost")


def test_an_axis_that_moves_with_others_is_not_said_not_to_vary(tmp_path: Path) -> None:
    study = small_study(tmp_path, vary={"task.p+split.fraction": [(7, 0.5), (11, 0.4)]})
    study.run(executor=in_turn, progress=False)
    with pytest.raises(UsageError, match="by itself"):
        law(study)


@pytest.mark.parametrize("level", [0.0, 1.0, 1.5, -1, float("nan")])
def test_levels_that_are_none(level: float) -> None:
    with pytest.raises(UsageError, match="level: given"):
        exact_share(3, 10, level=level)


def test_points_of_a_plan_are_made_once() -> None:
    plan = StudyPlan(small_base())
    assert plan.points() is plan.points()
