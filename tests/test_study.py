"""Studies: every run once, equal to its single run, whatever is interrupted; outcomes that forget nobody."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_study import planted_row
from small_study import MEASURES, in_turn, run_bytes, small_base, small_study

from interp import Study, observe, open_run, open_study, record
from interp.cli import main
from interp.errors import UsageError
from interp.observing.thinning_out import thin_measured
from interp.reporting.study_page import study_page
from interp.reporting.study_source import source_of
from interp.reporting.study_story import SEEDS_SET
from interp.studies.going import FAILURES, shard_of
from interp.studies.outcomes import counts, rows
from interp.studies.study_cells import cell_table, cells_of
from interp.studies.worker import RUNS


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study whose runs are all there."""
    made = small_study(tmp_path_factory.mktemp("studies"))
    assert made.run(executor=in_turn, progress=False).finished == 8
    return made


def test_every_run_equals_its_single_run(study: Study, tmp_path: Path) -> None:
    for number, point in enumerate(study.points[:3]):
        alone = record(point.config, tmp_path, f"run{number}", progress=False, keep_last=False)
        thin_measured(alone, measures=MEASURES)
        mine, single = run_bytes(study.path_of(point.name)), run_bytes(alone.path)
        for name in single:
            if not name.startswith("results/"):
                assert mine[name] == single[name], name
        assert not study[point.name].verify()


def test_processes_give_the_same_bytes_and_nothing_is_trained_twice(study: Study, tmp_path: Path) -> None:
    other = small_study(tmp_path)
    tally = other.run(workers=2, progress=False)
    assert (tally.finished, tally.trained, dict(tally.failed)) == (8, 8, {})
    for point in study.points:
        assert run_bytes(other.path_of(point.name)) == run_bytes(study.path_of(point.name))
    stamps = {path: path.stat().st_mtime_ns for path in (other.folder / RUNS).rglob("*") if path.is_file()}
    assert other.run(workers=1, progress=False).trained == 0
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_more_seeds_cost_only_what_is_new(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.folder, tmp_path / study.name)
    wider = small_study(tmp_path, seeds=range(3))
    assert wider.run(executor=in_turn, progress=False).trained == 4


@pytest.mark.parametrize("n", [1, 3, 8, 20])
def test_shards_are_a_partition(study: Study, n: int) -> None:
    parts = [shard_of(study.points, (k, n)) for k in range(1, n + 1)]
    assert sorted(point.name for part in parts for point in part) == sorted(point.name for point in study.points)


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (-1, 1)])
def test_shards_that_are_none(study: Study, shard: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="shard"):
        study.run(shard=shard, progress=False)


def test_one_that_fails_takes_no_other_along_and_is_tried_again(tmp_path: Path) -> None:
    broken = small_study(tmp_path)
    name = broken.points[2].name
    broken.save()
    blocked = broken.path_of(name)
    blocked.mkdir(parents=True)
    (blocked / "mine.txt").write_text("not a run")
    tally = broken.run(executor=in_turn, progress=False)
    assert (tally.finished, list(tally.failed)) == (7, [name])
    row = next(row for row in rows(broken) if row["run"] == name)
    assert (row["status"], row["grokked"]) == ("failed", None)
    assert "mine.txt" in row["why"]
    (blocked / "mine.txt").unlink()
    tally = broken.run(executor=in_turn, progress=False)
    assert (tally.finished, tally.trained, dict(tally.failed)) == (8, 1, {})
    assert not list((broken.folder / FAILURES).glob("*.json"))


def test_a_loss_that_is_not_finite_ends_one_run(tmp_path: Path) -> None:
    wild = small_study(tmp_path, vary={"optimizer.lr": [1e-3, 1e30]}, seeds=range(2))
    tally = wild.run(executor=in_turn, progress=False)
    assert (tally.finished, tally.stopped) == (2, 2)
    assert {row["status"] for row in rows(wild) if row["optimizer.lr"] == 1e30} == {"stopped"}
    assert {row["why"] for row in rows(wild) if row["optimizer.lr"] == 1e30} == {"non-finite"}
    assert wild.run(executor=in_turn, progress=False).trained == 0
    assert counts(rows(wild))["broke off"] == 2
    assert [cell.runs is None for cell in cells_of(wild, rows(wild))] == [False, True]


def test_a_damaged_run_is_shown_with_its_reason(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.folder, tmp_path / study.name)
    there = open_study(tmp_path / study.name)
    one, other = (there.path_of(there.points[i].name) for i in (0, 1))
    (one / "manifest.json").write_bytes(b"{")
    (other / "history.jsonl").write_bytes(b"\0")
    found = {row["run"]: row for row in rows(there)}
    assert "damaged" in found[one.name]["why"]
    # What was worked out while it was sound is not believed any more.
    (there.folder / "outcomes.json").unlink()
    assert "history.jsonl" in {row["run"]: row for row in rows(there)}[other.name]["why"]
    assert sum(row["status"] == "finished" for row in rows(there)) == 6


def test_outcomes_come_from_the_runs_alone(study: Study) -> None:
    frame = study.outcomes()
    assert len(frame) == 8
    assert set(frame["seeds_are"]) == {"both"}
    for point in study.points:
        columns, row = study[point.name].columns, frame.loc[point.name]
        assert row["test_loss"] == columns["test_loss"][-1]
        assert row["split.fraction"] == point.config.split.fraction
        right = columns["train_accuracy"] >= 0.99
        expected = columns["step"][right][0] if right.any() else np.nan
        assert row["memorized_first"] == expected or (np.isnan(expected) and np.isnan(row["memorized_first"]))
    kept = study.folder / "outcomes.json"
    kept.unlink(missing_ok=True)
    assert study.outcomes().equals(frame)
    values = json.loads(kept.read_bytes())
    values["rows"][study.points[0].name][1]["test_loss"] = 7.0
    kept.write_text(json.dumps(values))  # tampered with: not believed
    assert study.outcomes().equals(frame)


def test_a_study_without_runs_has_rows(tmp_path: Path) -> None:
    frame = small_study(tmp_path).outcomes()
    assert set(frame["status"]) == {"missing"}
    assert frame["grokked"].isna().all()
    with pytest.raises(UsageError, match="none of its runs has a checkpoint"):
        small_study(tmp_path).series("test_loss")


def test_series_are_those_of_the_runs(study: Study) -> None:
    found = study.series("restricted_loss")
    assert found.dims == ("run", "step")
    for point in study.points:
        mine = observe(study[point.name], MEASURES)["restricted_loss"]
        assert (found.sel(run=point.name).values == mine.values).all()
    assert found.coords["split.fraction"].dims == ("run",)
    curve = study.series("test_accuracy")
    assert (curve.sel(run=study.points[0].name).values == study[study.points[0].name].columns["test_accuracy"]).all()
    with pytest.raises(UsageError, match="did you mean 'restricted_loss'"):
        study.series("restrictd_loss")


def test_censored_runs_are_counted_as_such(study: Study) -> None:
    """No run is dropped, and none counts as if it had grokked at its budget."""
    found = rows(study)
    assert counts(found)["not grokked within the budget"] == 8
    for cell in cells_of(study, found):
        assert cell.runs is not None
        assert (cell.runs.n, cell.runs.events) == (2, 0)
        assert cell.share is not None
        assert cell.share.value == 0
        assert cell.median is not None
        assert cell.median.value is None
        assert cell.runs.few
    planted = [{**row, "grokked": 10} if row["seed"] == 0 else row for row in found]
    for cell in cells_of(study, planted):
        assert cell.runs is not None
        assert cell.runs.events == 1
        assert sorted(cell.runs.time) == [10, 12]


def in_background(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "interp", "study", "run", str(folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def long_study(root: Path, name: str = "long") -> Study:
    """Eight runs of some seconds."""
    made = small_study(root, base=small_base(steps=600), name=name)
    made.save()
    return made


def wait_for(condition: Any, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not condition() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    assert condition()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The long study, trained without any interruption."""
    made = long_study(tmp_path_factory.mktemp("undisturbed"))
    made.run(executor=in_turn, progress=False)
    return made


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_and_gone_on_with(how: signal.Signals, undisturbed: Study, tmp_path: Path) -> None:
    study = long_study(tmp_path)
    process = in_background(study.folder, "--workers", "2")
    wait_for(lambda: len(list(study.folder.glob("runs/*/manifest.json"))) >= 3, process)
    process.send_signal(how)
    said = process.communicate(timeout=60)[0].decode()
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "go on with: interp study run" in said
    else:
        assert process.returncode == -how
    # Its workers save and end by themselves, also when nobody could tell them to.
    deadline = time.monotonic() + 30
    while any(_alive(path) for path in (study.folder / "leases").glob("*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(_alive(path) for path in (study.folder / "leases").glob("*"))
    assert study.run(executor=in_turn, progress=False).finished == 8
    for point in study.points:
        assert run_bytes(study.path_of(point.name)) == run_bytes(undisturbed.path_of(point.name))


def _alive(lease: Path) -> bool:
    try:
        os.kill(json.loads(lease.read_bytes())["pid"], 0)
    except (ProcessLookupError, FileNotFoundError, ValueError):
        return False
    return True


@pytest.mark.parametrize("at", ["checkpoints", "results"])
def test_thinning_that_was_interrupted_is_ended_by_the_next_command(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Between the manifest, in which files are gone, and the files."""
    other = small_study(tmp_path)
    unlink = Path.unlink

    def interrupted(path: Path, missing_ok: bool = False) -> None:
        if path.parent.name == at and path.suffix == ".safetensors":
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        other.run(executor=in_turn, progress=False)
    monkeypatch.undo()
    assert other.run(executor=in_turn, progress=False).finished == 8
    for point in study.points:
        assert run_bytes(other.path_of(point.name)) == run_bytes(study.path_of(point.name))
        events = [json.loads(line)["event"] for line in (other.path_of(point.name) / "log.jsonl").read_text().splitlines()]
        assert events == ["begun", "finished", "thinned"]


def test_the_same_command_given_twice_at_once(undisturbed: Study, tmp_path: Path) -> None:
    study = long_study(tmp_path)
    both = [in_background(study.folder, "--workers", "2") for _ in range(2)]
    texts = [process.communicate(timeout=180)[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], texts
    for point in study.points:
        assert run_bytes(study.path_of(point.name)) == run_bytes(undisturbed.path_of(point.name))
        events = [json.loads(line)["event"] for line in (study.path_of(point.name) / "log.jsonl").read_text().splitlines()]
        assert events == ["begun", "finished", "thinned"]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "small.json"
    config.write_text(small_base().to_json())
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["study", *arguments])
        out = capsys.readouterr()
        return int(caught.value.code or 0), out.out, out.err

    code, out, _ = run("new", "wd", "--recipe", str(config), "--vary", "optimizer.weight-decay=0.5,1", "--seeds", "0-1")
    assert code == 0
    assert "4 runs to train, 48 steps at most" in out
    assert "Next: interp study run wd" in out
    assert "4 missing" in run("show", "wd")[1]
    code, out, _ = run("run", "wd", "--on", "shard:1/2")
    assert code == 0
    assert "2 of 4 runs finished" in out
    code, out, _ = run("run", "wd", "--workers", "1")
    assert "2 of them while this command ran" in out
    code, out, _ = run("show", "wd")
    assert "not reached" in out
    assert out.count("fewer than 10 seeds") == 2  # of each cell
    assert "2 seeds (both weights and split)" in out
    assert len(json.loads(run("show", "wd", "--json")[1])) == 4
    for suffix in ("csv", "parquet", "json"):
        assert run("export", "wd", "-o", f"x.{suffix}")[0] == 0
        assert (tmp_path / f"x.{suffix}").stat().st_size
    assert "wd" in run("list")[1]
    for arguments, said in (
        (("run", "wd", "--on", "moon"), "expected here, cuda, ray, or shard:K/N"),
        (("run", "wd", "--on", "shard:3/2"), "expected K/N"),
        (("show", "we"), "did you mean 'wd'"),
        (("export", "wd", "-o", "x.doc"), ".csv, .parquet or .json"),
        (("new", "x", "--plan", "none.toml", "--vary", "a=1"), "one or the other"),
        (("new", "x", "--plan", "none.toml"), "does not exist"),
        (("new", "x", "--vary", "optimizer.wd=1"), "did you mean"),
        (("new", "x", "--keep", "some"), "--keep"),
        (("new", "wd", "--recipe", str(config)), "holds another study"),
    ):
        code, _, err = run(*arguments)
        assert code == 2, arguments
        assert said in err


def test_a_run_folder_that_was_emptied_is_trained_again(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.folder, tmp_path / study.name)
    there = open_study(tmp_path / study.name)
    point = there.points[0]
    shutil.rmtree(there.path_of(point.name))
    assert there.run(executor=in_turn, progress=False).trained == 1
    assert run_bytes(there.path_of(point.name)) == run_bytes(study.path_of(point.name))
    assert open_run(there.path_of(point.name)).config == replace(point.config)


# ---- Series of runs that differ ----


def test_series_of_runs_with_other_steps_have_nan_where_a_run_has_none(tmp_path: Path) -> None:
    made = small_study(tmp_path, vary={"steps": [6, 12]}, seeds=range(1))
    made.run(executor=in_turn, progress=False)
    short, long = (point.name for point in made.points)
    for variable in ("test_loss", "restricted_loss"):
        found = made.series(variable)
        assert set(found.step.values) == {*made[short].config.checkpoints.steps(6), *found.step.values[found.step.values > 6]} | (
            set(range(13)) if variable == "test_loss" else {*made[long].config.checkpoints.steps(12)}
        )
        assert found.sel(run=long).dropna("step").step.values[-1] == 12
        assert found.sel(run=short).dropna("step").step.values[-1] == 6
        assert found.sel(run=short, step=slice(7, None)).isnull().all()
        assert found.coords["steps"].values.tolist() == [6, 12]


def test_series_over_moduli_have_the_labels_of_all(tmp_path: Path) -> None:
    measures = ("embedding_spectrum",)
    made = small_study(tmp_path, vary={"task.p": [7, 11]}, seeds=range(1), measures=measures)
    made.run(executor=in_turn, progress=False)
    found = made.series("embedding_norm")
    assert found.dims == ("run", "step", "frequency")
    for point in made.points:
        mine = observe(made[point.name], measures)["embedding_norm"]
        there = found.sel(run=point.name, frequency=mine.frequency)
        assert (there.values == mine.values).all()
        others = found.sel(run=point.name).drop_sel(frequency=mine.frequency.values)
        assert others.isnull().all()
    assert found.sizes["frequency"] == 5


def test_series_of_a_measure_that_does_not_apply_to_a_run_are_nan_there(tmp_path: Path) -> None:
    made = small_study(tmp_path, vary={"task.operation": ["add", "x2xyy2"]}, seeds=range(1))
    made.run(executor=in_turn, progress=False)
    with_waves, without = (point.name for point in made.points)
    found = made.series("restricted_loss")
    assert found.sel(run=with_waves).notnull().all()
    assert found.sel(run=without).isnull().all()
    assert found.coords["task.operation"].values.tolist() == ["add", "x2xyy2"]
    with pytest.raises(UsageError, match="did you mean 'restricted_loss'"):
        made.series("restricted_los")
    only = small_study(tmp_path, vary={"task.operation": ["x2xyy2"]}, seeds=range(1), name="only")
    only.run(executor=in_turn, progress=False)
    with pytest.raises(UsageError, match="unknown variable 'restricted_loss'"):
        only.series("restricted_loss")


def test_series_leave_out_a_run_that_cannot_be_read(study: Study, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(study.folder, tmp_path / study.name)
    there = open_study(tmp_path / study.name)
    lost, other = (there.points[i].name for i in (0, 1))
    (there.path_of(lost) / "manifest.json").write_bytes(b"{")
    next((there.path_of(other) / "series").iterdir()).write_bytes(b"")
    found = there.series("restricted_loss")
    assert lost not in found.run.values
    assert found.sizes["run"] == 6
    assert lost in caplog.text
    assert other in caplog.text


# ---- Folders that were changed between two calls ----


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as caught:
        main(["study", *map(str, arguments)])
    told = capsys.readouterr()
    return int(caught.value.code or 0), told.out + told.err


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda plan: plan["vary"].update({"optimizer.weight_decay": [0.5]}), 4),
        (lambda plan: plan["vary"].update({"optimizer.beta1": [0.8]}), 8),
        (lambda plan: plan["base"].update(steps=13), 8),
        (lambda plan: plan.update(seeds=[0]), 4),
    ],
)
def test_a_plan_that_was_changed_on_disk_trains_nothing_anew(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any, left: int
) -> None:
    shutil.copytree(study.folder, tmp_path / study.name)
    where = tmp_path / study.name / "study.json"
    good = where.read_bytes()
    plan = json.loads(good)
    change(plan)
    where.write_text(json.dumps(plan))
    code, said = called(capsys, "run", "small", "--root", tmp_path, "--workers", 1)
    assert code == 2
    assert f"has {left} runs that the plan does not have" in said
    assert "Put it back" in said
    for words in (
        ["show", "small"],
        ["report", "small", "-o", tmp_path / "x.html"],
        ["export", "small", "-o", tmp_path / "x.csv"],
    ):
        code, said = called(capsys, *words, "--root", tmp_path)
        assert (code, f"{left} runs in" in said, "no number here is drawn from" in said) == (0, True, True)
    where.write_bytes(good)
    assert open_study(tmp_path / "small").run(executor=in_turn, progress=False).trained == 0


def test_values_added_to_the_plan_on_disk_are_trained(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.folder, tmp_path / study.name)
    where = tmp_path / study.name / "study.json"
    plan = json.loads(where.read_bytes())
    plan["vary"]["optimizer.weight_decay"].append(2.0)
    where.write_text(json.dumps(plan))
    assert open_study(tmp_path / study.name).run(executor=in_turn, progress=False).trained == 4


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda run: (run / "manifest.json").write_bytes(b"{"), "manifest.json: damaged"),
        (lambda run: (run / "history.jsonl").write_bytes(b"x"), "history.jsonl: damaged: 1 byte,"),
        (lambda run: next((run / "checkpoints").iterdir()).unlink(), "missing"),
        (lambda run: shutil.rmtree(run / "series"), "missing"),
    ],
)
def test_a_run_that_was_damaged_fails_alone_and_can_be_trained_anew(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: Any, said: str
) -> None:
    shutil.copytree(study.folder, tmp_path / study.name)
    there = open_study(tmp_path / study.name)
    run = there.path_of(there.points[3].name)
    shutil.rmtree(there.path_of(there.points[5].name))  # one that is not there is trained
    harm(run)
    tally = there.run(executor=in_turn, progress=False)
    assert (tally.finished, tally.trained, list(tally.failed)) == (7, 1, [run.name])
    assert said in tally.failed[run.name]
    code, told = called(capsys, "show", "small", "--root", tmp_path)
    assert (code, "1 failed" in told, f"{run.name} (optimizer.weight_decay" in told) == (1, True, True)
    code, told = called(capsys, "run", "small", "--root", tmp_path, "--workers", 1)
    assert (code, "1 run failed" in told) == (1, True)
    shutil.rmtree(run)
    assert there.run(executor=in_turn, progress=False).trained == 1
    assert run_bytes(run) == run_bytes(study.path_of(run.name))


def test_a_run_whose_loss_is_not_finite_is_shown_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = small_study(tmp_path, vary={"optimizer.lr": [1e-3, 1e30]}, seeds=range(1))
    wild.run(executor=in_turn, progress=False)
    name = wild.points[1].name
    code, said = called(capsys, "show", "small", "--root", tmp_path)
    assert code == 0
    assert f"{name} (optimizer.lr 1e+30, seed 0) broke off" in said
    assert "its loss was not finite" in said
    code, said = called(capsys, "run", "small", "--root", tmp_path, "--workers", 1)
    assert (code, "1 broke off (their loss was not finite)" in said) == (0, True)


def test_a_full_disk_is_said_and_the_study_goes_on_with_more_room(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file system that is full: every file that would be written is refused, at some point in the middle."""
    full = small_study(tmp_path)
    left = [30]
    opened = os.open

    def refused(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and str(tmp_path) in str(path):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return opened(path, flags, *rest, **named)

    full.save()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        tally = full.run(executor=in_turn, progress=False)
    assert left[0] < 0
    assert tally.failed
    assert full.run(executor=in_turn, progress=False).finished == 8
    for point in study.points:
        assert run_bytes(full.path_of(point.name)) == run_bytes(study.path_of(point.name))


# ---- What is said of few runs, and of what a seed sets ----


@pytest.mark.parametrize("seeds", [9, 10])
def test_every_cell_of_fewer_than_ten_runs_says_so(tmp_path: Path, seeds: int) -> None:
    study = small_study(tmp_path, vary={"split.fraction": [0.4, 0.5]}, seeds=range(seeds))
    found = [planted_row(point.values, point.seed, grokked=500, name=point.name) for point in study.points]
    table = cell_table(study, found)
    assert [row.get("", "") for row in table] == ["fewer than 10 seeds" if seeds < 10 else ""] * 2
    found[0]["status"] = "failed"  # a number is drawn from the runs that are finished, not from those that were planned
    assert "fewer than 10 seeds" in cell_table(study, found)[0][""]


@pytest.mark.parametrize(
    ("seeds_are", "said"), [("both", "both weights and split"), ("weights", "of the weights"), ("split", "of the split")]
)
def test_what_a_seed_sets_is_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str], seeds_are: Any, said: str) -> None:
    made = small_study(tmp_path, vary={}, seeds_are=seeds_are)
    made.save()
    assert f"seeds ({said})" in called(capsys, "show", "small", "--root", tmp_path)[1]
    assert set(made.outcomes()["seeds_are"]) == {seeds_are}
    page = study_page(source_of(made)).html
    assert f"A seed sets {SEEDS_SET[seeds_are]}." in page
