"""Repairing a run: what is damaged is set aside and never deleted, the rest opens, is sound, and goes on where it can."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_every_byte import every_bit, flipped, runs, shown  # noqa: F401 - the fixture

import interp
from interp.cli import main
from interp.errors import DataError, UsageError
from interp.keeping.session import Session
from interp.store.beginning import begin
from interp.store.manifest import Entry, Manifest
from interp.store.mending import repair
from interp.store.resume import ResumeState, read_resume, write_resume
from interp.store.run import open_run
from interp.store.salvage import salvaged_manifest
from interp.store.writer import RunWriter, writing

FIRST = "checkpoints/step_00000000.safetensors"
HARMED = (
    (FIRST, "resume.safetensors"),
    (FIRST, "manifest.jsonl"),
    ("manifest.json", "manifest.jsonl"),
    ("manifest.jsonl", "resume.safetensors"),
)


@pytest.fixture
def copies(runs: Path, tmp_path: Path) -> Path:  # noqa: F811
    return Path(shutil.copytree(runs, tmp_path / "copies"))


def harm(path: Path, share: float = 0.6) -> bytes:
    """Flip a bit; returns what the file holds then."""
    path.write_bytes(flipped(share, 0)(path.read_bytes()))
    return path.read_bytes()


def everything(path: Path) -> list[bytes]:
    return [file.read_bytes() for file in path.rglob("*") if file.is_file()]


def opens(path: Path) -> bool:
    """Whether every reader of a finished run shows something."""
    return "refused" not in repr({name: value for name, value in shown(path).items() if name != "state"})


def step_file(path: Path, step: int, folder: str = "checkpoints") -> Path:
    return path / folder / f"step_{step:08d}.safetensors"


def test_a_sound_run_is_left_alone(copies):
    for path in copies.iterdir():
        before = everything(path)
        found = repair(path)
        assert (found.done, found.left) == ((), ())
        assert everything(path) == before


@pytest.mark.parametrize("kind", ["finished", "interrupted"])
def test_a_damaged_checkpoint_leaves_a_hole_and_the_rest_is_a_run(copies, kind):
    path = copies / kind
    damaged = harm(step_file(path, 5))
    found = repair(path)
    assert [str(one) for one in found.done] == [
        "checkpoints/step_00000005.safetensors: set aside: the series of checkpoints has a hole at step 5"
    ]
    assert found.left == ()
    assert 5 not in found.run.steps
    assert (path / "damaged/checkpoints/step_00000005.safetensors").read_bytes() == damaged
    assert opens(path)
    assert any("set aside earlier" in str(note) for note in found.run.examine().notes)
    if kind == "interrupted":
        finished = interp.resume(path, progress=False)
        assert (finished.status, finished.verify(), finished.steps) == ("finished", (), (0, 10, 12))
        assert "checkpoints/step_00000005.safetensors" in finished.manifest.set_aside
        whole = open_run(copies / "finished")
        np.testing.assert_array_equal(finished.columns["train_loss"], whole.columns["train_loss"])


def test_a_file_that_is_restored_from_a_copy_is_taken_again(copies):
    path, whole = copies / "finished", copies / "sound"
    shutil.copytree(path, whole)
    before = (path / "manifest.json").read_bytes()
    for name in ("history.jsonl", "checkpoints/step_00000005.safetensors"):
        harm(path / name)
    assert repair(path).left == ()
    assert (open_run(path).columns["step"].size, open_run(path).steps) == (0, (0, 10, 12))
    for name in ("history.jsonl", "checkpoints/step_00000005.safetensors"):
        shutil.copy(whole / name, path / name)
    found = repair(path)
    assert all("taken again" in str(one) for one in found.done)
    assert (path / "manifest.json").read_bytes() == before
    assert found.left == ()


def test_what_lies_under_another_name_is_put_back(copies):
    path = copies / "finished"
    whole = (path / "manifest.json").read_bytes()
    one, other = step_file(path, 5), step_file(path, 10)
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)
    step_file(path, 12).rename(path / "final.safetensors")
    found = repair(path)
    assert found.left == ()
    assert {str(finding).split(": ")[1] for finding in found.done} == {"put back"} | {"set aside"}
    assert (path / "manifest.json").read_bytes() == whole
    assert open_run(path).steps == (0, 5, 10, 12)


@pytest.mark.parametrize("kind", ["finished", "interrupted", "thinned"])
def test_small_files_without_which_there_is_no_run_are_mended(copies, kind):
    path = copies / kind
    before = {name: (path / name).read_bytes() for name in ("run.json", "split.safetensors")}
    for name in before:
        harm(path / name)
    with pytest.raises(DataError):
        open_run(path)
    found = repair(path)
    assert {finding.file for finding in found.done} == set(before)
    assert {name: (path / name).read_bytes() for name in before} == before
    assert found.left == ()


def test_a_split_is_drawn_again_and_a_lost_record_is_said(copies):
    path = copies / "finished"
    split = (path / "split.safetensors").read_bytes()
    (path / "split.safetensors").write_bytes(b"nothing like it")
    assert repair(path).left == ()
    assert (path / "split.safetensors").read_bytes() == split
    (path / "run.json").write_bytes(b"{}")
    with pytest.raises(DataError, match=r"run\.json: damaged.*restore it from a copy"):
        repair(path)


def test_a_history_with_too_much_at_its_end_loses_only_that(copies):
    path = copies / "finished"
    before = shown(path)
    with (path / "history.jsonl").open("ab") as file:
        file.write(b'{"step": 13, "train_loss": 0.1}\n')
    found = repair(path)
    assert [str(one) for one in found.done] == ["history.jsonl: set aside: what followed its end; the history itself is sound"]
    assert (path / "damaged/history.jsonl").read_bytes() == b'{"step": 13, "train_loss": 0.1}\n'
    assert shown(path) == before
    assert found.left == ()


def test_a_run_whose_history_is_lost_can_be_read(copies):
    for kind in ("finished", "interrupted", "thinned"):
        harm(copies / kind / "history.jsonl")
        found = repair(copies / kind)
        assert "the run has no losses" in str(found.done[0])
        assert found.left == ()
        assert opens(copies / kind)
    with pytest.raises(DataError, match=r"history\.jsonl: was set aside"):
        interp.resume(copies / "interrupted", progress=False)


def test_a_run_whose_resume_state_is_lost_goes_on_from_the_last_state_that_was_kept(copies):
    path = copies / "interrupted"
    damaged = harm(path / "resume.safetensors")
    with pytest.raises(DataError, match="damaged"):
        interp.resume(path, progress=False)
    found = repair(path)
    assert [str(one) for one in found.done] == [
        "resume.safetensors: set aside: resuming goes on from step 5, the last state that is sound"
    ]
    assert damaged in everything(path / "damaged")
    assert (found.run.manifest.step, found.run.steps, found.left) == (5, (0, 5), ())
    finished = interp.resume(path, progress=False)
    whole = open_run(copies / "finished")
    assert (finished.verify(), finished.manifest.files) == (
        (),
        whole.manifest.files | {"run.json": finished.manifest.files["run.json"]},
    )


def test_without_a_kept_state_it_can_be_read_but_not_resumed(copies):
    path = copies / "interrupted"
    harm(path / "resume.safetensors")
    step_file(path, 5, "moments").unlink()
    found = repair(path)
    told = "\n".join(map(str, found.done))
    assert "resume.safetensors: set aside: no kept state is there to go back to" in told
    assert "moments/step_00000005.safetensors: missing: no run can begin from this state" in told
    assert found.left == ()
    assert open_run(path).columns["step"].tolist() == list(range(8))
    with pytest.raises(DataError, match="can be read but not resumed"):
        interp.resume(path, progress=False)


def test_series_results_and_log(copies):
    path = copies / "thinned"
    harm(path / "series" / "weight_norms.safetensors")
    result = next((path / "results").glob("summary-*"))
    harm(result)
    lines = (path / "log.jsonl").read_bytes().splitlines(keepends=True)
    (path / "log.jsonl").write_bytes(lines[0] + lines[1].replace(b"finished", b"finishes") + lines[2])
    found = repair(path)
    assert [finding.file for finding in found.done] == [
        "log.jsonl", f"results/{result.name}", "series/weight_norms.safetensors"
    ]  # fmt: skip
    assert found.left == ()
    assert (path / "log.jsonl").read_bytes().startswith(lines[0])
    series = interp.observe(open_run(path), ["progress_measures", "weight_norms"])
    assert "not measured before" in interp.about(series).left_out["weight_norms"]


@pytest.mark.parametrize("kind", ["finished", "thinned", "interrupted"])
def test_a_damaged_manifest_is_made_again_from_what_it_proves(copies, kind):
    """Whatever bit of it is wrong: no file is lost, and what the run says of itself is what it said."""
    path = copies / kind
    data = (path / "manifest.json").read_bytes()
    whole = Manifest.from_json(data, where="x")
    for number, changed in enumerate(every_bit(data)):
        if number % 23 or number > 8 * len(data):
            continue
        found = salvaged_manifest(path, changed)
        gone = {name: replace(entry, size=whole.thinned[name].size) for name, entry in found.thinned.items()}  # nothing has them
        if kind == "interrupted":  # while a run grows its manifest.json says no more than that it was begun
            found = replace(found, status="running")
        assert replace(found, set_aside={}, thinned=gone) == whole, changed
    files = open_run(path).manifest.files
    (path / "manifest.json").write_bytes(flipped(0.5, 0)(data))
    before = shown(path)
    found = repair(path)
    assert (path / "manifest.json").read_bytes() == data or found.run.manifest.set_aside or kind == "interrupted"
    assert found.run.manifest.set_aside or found.run.manifest.files == files
    assert found.left == ()
    assert before == {"opened": "refused: DataError"}
    assert opens(path)


def test_an_older_manifest_that_lies_about_its_step_is_made_again(copies):
    path = copies / "finished"
    text = (path / "manifest.json").read_text()
    older = text[: text.index(',\n "sha256"')] + "\n}\n"
    for lie in (older.replace('"step": 12', '"step": 13'), older.replace('"budget"', '"settled"')):
        assert lie != older
        (path / "manifest.json").write_text(lie)
        assert [problem.file for problem in open_run(path).verify()] == ["manifest.json"]
        assert repair(path).left == ()
        assert (path / "manifest.json").read_text() == text


def test_a_lost_manifest_is_made_again_from_the_resume_state_or_not_at_all(copies):
    data = (copies / "interrupted" / "manifest.json").read_bytes()
    for kind in ("interrupted", "finished"):
        (copies / kind / "manifest.json").unlink()
    assert repair(copies / "interrupted").left == ()
    assert (copies / "interrupted" / "manifest.json").read_bytes() == data
    with pytest.raises(DataError, match=r"no hash in it fits run\.json"):
        repair(copies / "finished")


def journal_lines(path: Path) -> list[bytes]:
    return (path / "manifest.jsonl").read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("kept", [0, 40])
def test_a_commit_that_lacks_its_line_is_completed_first(copies, kept):
    """A process was killed after its resume state was there: that state is newer, and stays what it is."""
    path = copies / "interrupted"
    lines = journal_lines(path)
    (path / "manifest.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:kept])
    run = open_run(path)
    assert (run.verify(), run.manifest.step) == ((), 5)
    assert any("cut off: resuming completes it" in str(note) for note in run.examine().notes)
    harm(step_file(path, 0))
    found = repair(path)
    assert (found.left, found.run.manifest.step, found.run.steps) == ((), 7, (5,))
    assert interp.resume(path, progress=False).verify() == ()


def test_a_commit_of_an_earlier_version_that_lacks_its_manifest_is_completed_first(copies):
    """Its resume state has the whole manifest, and there are no lines."""
    path = copies / "interrupted"
    whole = open_run(path).manifest
    files = {name: entry for name, entry in whole.files.items() if name != "history.jsonl" and "000005" not in name}
    older = replace(whole, step=0, status="running", files={**files, "history.jsonl": first_line_of(path)})
    write_resume(path, ResumeState(read_resume(path).tensors, whole))
    (path / "manifest.json").write_bytes(older.to_json())
    (path / "manifest.jsonl").unlink()
    assert open_run(path).verify() == ()
    harm(step_file(path, 0))
    found = repair(path)
    assert (found.left, found.run.manifest.step, found.run.steps) == ((), 7, (5,))
    assert interp.resume(path, progress=False).verify() == ()


@pytest.mark.parametrize("share", [0.02, 0.2, 0.33, 0.4, 0.5, 0.62, 0.66, 0.67, 0.8, 0.97, 1])
@pytest.mark.parametrize("also", [(), ("manifest.json",)])
def test_a_line_in_which_a_bit_is_wrong_costs_nothing(copies, share, also):
    """The damaged lines are set aside; what they said is proved by the files, and by the resume state."""
    path = copies / "interrupted"
    whole = open_run(path).manifest
    damaged = harm(path / "manifest.jsonl", share)
    for name in also:
        harm(path / name)
    found = repair(path)
    assert (found.left, found.run.manifest) == ((), whole)
    assert damaged in everything(path / "damaged")
    assert repair(path).done == ()
    finished, uninterrupted = interp.resume(path, progress=False), open_run(copies / "finished").manifest.files
    assert finished.verify() == ()
    assert finished.manifest.files == uninterrupted | {"run.json": finished.manifest.files["run.json"]}


@pytest.mark.parametrize("change", ["missing", "swapped", "only the first", "none", "cut", "foreign"])
def test_lines_that_are_lost_cost_what_only_they_knew(copies, change):
    path = copies / "interrupted"
    first, second, third = journal_lines(path)
    changed = {
        "missing": [first, third], "swapped": [second, first, third], "only the first": [first], "none": [],
        "cut": [first, second[:50] + b"\n", third], "foreign": [first, second, third, b"{}\n"],
    }  # fmt: skip
    (path / "manifest.jsonl").write_bytes(b"".join(changed[change]))
    found = repair(path)
    assert (found.left, found.run.manifest.step) == ((), 7)
    holes = {"missing": (0,), "cut": (0,), "only the first": (0,), "none": ()}
    assert found.run.steps == holes.get(change, (0, 5))
    assert repair(path).done == ()
    assert interp.resume(path, progress=False).verify() == ()


def test_without_lines_and_state_it_goes_back_to_the_last_state_that_was_kept(copies):
    path = copies / "interrupted"
    harm(path / "manifest.jsonl", 0.5)
    harm(path / "resume.safetensors")
    found = repair(path)
    assert (found.left, found.run.manifest.step, found.run.steps) == ((), 5, (0, 5))
    assert interp.resume(path, progress=False).verify() == ()


def test_a_resume_state_of_another_run_is_set_aside(copies):
    path, other = copies / "interrupted", copies / "other"
    config = replace(open_run(path).config, seed=3)
    training = interp.Training(config)
    with writing(other):
        begin(other, training.plan, provenance={})
        session = Session(RunWriter(other), training.plan, training.state)
        session.take(next(iter(training)))
        session.interrupt(2)
    shutil.copy(other / "resume.safetensors", path / "resume.safetensors")
    found = repair(path)
    assert (found.left, found.run.manifest.step, found.run.steps) == ((), 5, (0, 5))
    assert interp.resume(path, progress=False).verify() == ()


def first_line_of(path: Path) -> Entry:
    return Entry.of((path / "history.jsonl").read_bytes().splitlines(keepends=True)[0])


def test_only_one_process_repairs_and_only_a_run(copies, tmp_path):
    with writing(copies / "finished"), pytest.raises(UsageError, match="another process"):
        repair(copies / "finished")
    with pytest.raises(UsageError, match="no run at"):
        repair(tmp_path / "nothing")


@pytest.mark.parametrize("files", HARMED)
def test_killed_at_any_moment_it_is_repaired_by_the_same_call(runs, tmp_path, monkeypatch, files):  # noqa: F811
    class Killed(BaseException):
        pass

    def harmed(name: str) -> Path:
        path = Path(shutil.copytree(runs / "interrupted", tmp_path / name))
        for file in files:
            harm(path / file)
        return path

    real = {name: getattr(os, name) for name in ("replace", "rename", "truncate", "unlink")}
    calls, last, total = 0, -1, None

    def guarded(name: str) -> object:
        def call(*arguments: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls == last:
                raise Killed
            return real[name](*arguments, **options)

        return call

    number = 0
    while total is None or number <= total:
        path = harmed(f"run{number}")
        calls, last = 0, number if total is not None else -1
        with monkeypatch.context() as patched:
            for name in real:
                patched.setattr(os, name, guarded(name))
            if total is None:
                repair(path, threads=1)
                total = calls
            else:
                with pytest.raises(Killed):
                    repair(path, threads=1)
        found = repair(path, threads=1)
        steps, step = (5,) if FIRST in files else (0, 5), 5 if "resume.safetensors" in files else 7
        assert (found.left, found.run.steps, found.run.manifest.step) == ((), steps, step), number
        number += 1
    assert total > 3
    assert interp.resume(path, progress=False).status == "finished"


def test_the_command_says_what_was_set_aside(copies, capsys):
    path = copies / "finished"
    harm(step_file(path, 5))
    with pytest.raises(SystemExit) as end:
        main(["verify", str(path)])
    assert end.value.code == 1
    assert f"`interp verify --repair {path}` sets damaged files aside" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["verify", str(path), "--repair"])
    printed = capsys.readouterr().out
    assert end.value.code == 0
    assert "hole at step 5" in printed
    assert "sound; 3 checkpoints" in printed
    for words in (["verify", str(path)], ["show", str(path)], ["analyze", str(path), "-a", "weight_norms"]):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert not end.value.code
