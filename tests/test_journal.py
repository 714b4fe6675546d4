"""The manifest of a run that grows: one line a commit, whole or not there, and nothing changed unnoticed."""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from begun import begin_planted
from growing import SPLIT, growing, scores
from growing_run import CONFIG

from interp.errors import DataError
from interp.store import journal
from interp.store.journal import Commit, manifest_digest, read_journal
from interp.store.manifest import FORMAT, GROWING, JOURNAL, MANIFEST, RESUME, Manifest
from interp.store.resume import read_resume
from interp.store.run import open_run
from interp.store.writer import RunWriter, writing


def write(path: Path, steps: range, *, finish: bool = False) -> None:
    """Commit steps one by one, as a session does; the same steps give the same bytes."""
    with writing(path):
        if not (path / MANIFEST).is_file():
            begin_planted(path, CONFIG, n_parameters=growing(0.0).n_parameters, split=SPLIT)
        writer = RunWriter(path)
        for step in steps:
            writer.save(step, growing(step / 100))
            writer.add_history(step, scores(step / 100))
            if finish and step == steps[-1]:
                writer.finish(step, status="finished", reason="settled")
            else:
                writer.commit(step, {})


@pytest.fixture
def run(tmp_path):
    write(tmp_path / "run", range(5))
    return tmp_path / "run"


def lines(run: Path) -> list[bytes]:
    return (run / JOURNAL).read_bytes().splitlines(keepends=True)


def test_a_commit_adds_a_line_and_the_manifest_stays(run):
    before, manifest = lines(run), (run / MANIFEST).read_bytes()
    write(run, range(5, 7))
    assert lines(run)[:5] == before
    assert len(lines(run)) == 7
    assert len({len(line) for line in lines(run)}) <= 3  # a line names what is new, and no more
    assert (run / MANIFEST).read_bytes() == manifest
    assert json.loads(manifest)["format"] == GROWING
    assert open_run(run).steps == tuple(range(7))
    assert open_run(run).verify() == ()


def test_a_finished_run_is_of_the_first_format_and_has_no_lines(run, tmp_path):
    write(run, range(5, 8), finish=True)
    write(tmp_path / "at-once", range(8), finish=True)
    assert {p.name for p in run.iterdir()} == {p.name for p in (tmp_path / "at-once").iterdir()}
    assert not (run / JOURNAL).exists()
    assert (run / MANIFEST).read_bytes() == (tmp_path / "at-once" / MANIFEST).read_bytes()
    assert json.loads((run / MANIFEST).read_bytes())["format"] == FORMAT


@pytest.mark.parametrize("kept", range(0, 200, 7))
def test_a_torn_last_line_is_dropped_by_readers_and_completed_by_the_next_writer(run, kept):
    whole = lines(run)
    (run / JOURNAL).write_bytes(b"".join(whole[:-1]) + whole[-1][:kept])
    found = open_run(run)
    assert (found.manifest.step, found.steps) == (3, tuple(range(4)))
    assert found.verify() == ()
    with writing(run):
        assert RunWriter(run).manifest.step == 4
    assert lines(run) == whole


def test_the_hash_of_a_line_is_that_of_what_stands_before_it(run):
    after = read_journal(run).start
    for line in lines(run):
        body, _, rest = line.rpartition(b', "sha256": "')
        values = json.loads(line)
        assert values["after"] == after
        after = sha256(body).hexdigest()
        assert rest == after.encode() + b'"}\n'


@pytest.mark.parametrize("position", range(0, 600, 29))
def test_a_bit_that_flips_before_the_last_line_is_named(run, position):
    data = bytearray((run / JOURNAL).read_bytes())
    assert position < len(data) - len(lines(run)[-1])
    data[position] ^= 1
    (run / JOURNAL).write_bytes(data)
    with pytest.raises(DataError, match=r"manifest\.jsonl: line \d is damaged"):
        open_run(run)


@pytest.mark.parametrize("change", ["missing", "swapped", "twice", "of another run"])
def test_lines_that_are_not_in_their_place_are_named(run, tmp_path, change):
    first, second, *rest = lines(run)
    if change == "of another run":
        with writing(tmp_path / "other"):
            begin_planted(tmp_path / "other", replace(CONFIG, seed=7))
        shutil.copy(tmp_path / "other" / MANIFEST, run / MANIFEST)
    changed = {"missing": [first, *rest], "swapped": [second, first, *rest], "twice": [first, first, second, *rest]}
    (run / JOURNAL).write_bytes(b"".join(changed.get(change, [first, second, *rest])))
    with pytest.raises(DataError, match=r"manifest\.jsonl: line \d is damaged, missing or in the wrong place"):
        open_run(run)


def test_a_last_line_that_was_changed_is_found_by_verify(run):
    whole = lines(run)
    (run / JOURNAL).write_bytes(b"".join(whole).replace(b'"step": 4, "status": "running"', b'"step": 9, "status": "running"'))
    assert open_run(run).manifest.step == 3
    assert [problem.file for problem in open_run(run).verify()] == [JOURNAL]
    (run / JOURNAL).write_bytes(b"".join(whole) + b"{}\n")
    assert [problem.file for problem in open_run(run).verify()] == [JOURNAL]
    (run / JOURNAL).write_bytes(b"".join(whole[:2]))
    assert [problem.file for problem in open_run(run).verify()] == [RESUME]


def test_lines_after_the_commit_of_the_resume_state_are_undone(run):
    """A disk that flushes names when it likes may keep the lines of later commits and lose the later resume states."""
    earlier = (run / RESUME).read_bytes()
    write(run, range(5, 8))
    (run / RESUME).write_bytes(earlier)
    with writing(run):
        writer = RunWriter(run)
    assert writer.manifest.step == 4
    write(run, range(5, 8), finish=True)
    assert open_run(run).steps == tuple(range(8))
    assert open_run(run).verify() == ()


def test_the_resume_state_of_another_run_is_refused(run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    write(other, range(5, 9))
    write(run, range(5, 6))
    write(run, range(6, 7))
    (run / JOURNAL).write_bytes(b"".join(lines(run)[:2]))
    (run / RESUME).write_bytes((other / RESUME).read_bytes())
    with writing(run), pytest.raises(DataError, match="belongs to another run"):
        RunWriter(run)


def test_a_run_of_the_version_before_goes_on(tmp_path):
    """Its manifest.json was written whole at each commit, and its resume state had the whole manifest."""
    run = tmp_path / "run"
    write(run, range(3))
    manifest = read_journal(run).manifest()
    from interp.store.packed import digest
    from interp.store.tensors import pack

    facts = {"manifest": manifest.to_dict()}
    (run / RESUME).write_bytes(pack({}, {**facts, "sha256": digest({}, facts)}))
    (run / JOURNAL).unlink()
    (run / MANIFEST).write_bytes(manifest.to_json())
    assert isinstance(read_resume(run).commit, Manifest)
    assert (open_run(run).steps, open_run(run).verify()) == ((0, 1, 2), ())
    write(run, range(3, 5))
    assert (open_run(run).steps, open_run(run).verify()) == ((0, 1, 2, 3, 4), ())
    assert isinstance(read_resume(run).commit, Commit)
    write(run, range(5, 6), finish=True)
    write(tmp_path / "at-once", range(6), finish=True)
    assert (run / MANIFEST).read_bytes() == (tmp_path / "at-once" / MANIFEST).read_bytes()


def test_an_older_reader_refuses_a_run_that_grows(run):
    """Readers before this format compare `format` with 1."""
    assert json.loads((run / MANIFEST).read_bytes())["format"] != 1


def test_a_newer_format_is_refused_by_name(run):
    (run / MANIFEST).write_bytes((run / MANIFEST).read_bytes().replace(b'"format": 2', b'"format": 3'))
    with pytest.raises(DataError, match=r"manifest\.json: given format 3, expected 1 or 2"):
        open_run(run)


def test_a_run_that_ends_while_it_is_read_is_read_whole(run, monkeypatch):
    """A reader that has read the manifest and not yet its lines, which are gone by then, begins again."""
    read, ended = journal.read_file, []

    def reading(path, **options):
        data = read(path, **options)
        if path.name == MANIFEST and not ended:
            ended.append(True)
            write(run, range(5, 6), finish=True)
        return data

    monkeypatch.setattr(journal, "read_file", reading)
    assert open_run(run).manifest.step == 5


def test_white_space_in_the_manifest_changes_nothing(run):
    before = open_run(run).manifest
    (run / MANIFEST).write_text(json.dumps(json.loads((run / MANIFEST).read_bytes())))
    assert open_run(run).manifest == before
    write(run, range(5, 7))
    assert open_run(run).steps == tuple(range(7))


def test_the_digest_follows_every_commit(run):
    before = manifest_digest(run)
    write(run, range(5, 6))
    assert manifest_digest(run) != before


def test_what_a_commit_writes_does_not_grow(tmp_path, monkeypatch):
    """Bytes written by a commit, whatever the run holds: those of new files and lines."""
    written, real = [], os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: written.append(len(data)) or real(descriptor, data))
    write(tmp_path / "run", range(3))
    first = sum(written)
    del written[:]
    write(tmp_path / "run", range(3, 60))
    del written[:]
    write(tmp_path / "run", range(60, 63))
    assert sum(written) < 1.05 * first


def test_a_reader_beside_a_writer_sees_one_commit_after_another(tmp_path):
    path = tmp_path / "run"
    write(path, range(1))
    writer = threading.Thread(target=write, args=(path, range(1, 80)), kwargs={"finish": True})
    writer.start()
    seen = [0]
    while not (found := open_run(path)).manifest.final:
        assert found.steps == tuple(range(len(found)))
        assert found.manifest.step == found.steps[-1] >= seen[-1]
        assert found[found.steps[-1]].losses["train_loss"] is not None  # the file and its line of the history are there
        seen.append(found.steps[-1])
    writer.join()
    assert len(set(seen)) > 2
    assert open_run(path).steps == tuple(range(80))
