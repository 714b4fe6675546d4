"""File systems that refuse locks, or to flush the names in a folder: reading, the choice of a lease, two writers."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from begun import begin_planted
from recorded import CONFIG, content
from small_study import in_turn, small_study

from interp.errors import DataError, UsageError
from interp.keeping.recorder import record
from interp.store import durable, leases, noted
from interp.store.locking import LEASE, LOCK, is_locked, locked
from interp.store.run import open_run
from interp.store.writer import RunWriter, writing

REFUSALS = [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS]


@pytest.fixture(autouse=True)
def _nothing_said_yet(monkeypatch):
    monkeypatch.setattr(noted, "_said", set())


def refuse_locks(monkeypatch, number=errno.ENOLCK):
    def flock(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return record(CONFIG, tmp_path_factory.mktemp("whole"), "run", progress=False)


def interrupted(tmp_path):
    """A run that was begun and not ended."""
    with writing(tmp_path / "run"):
        begin_planted(tmp_path / "run", CONFIG)
    return tmp_path / "run"


@contextmanager
def elsewhere(code, *arguments):
    """Another process, which says `held` once it has what it wants."""
    code = "import fcntl, os, sys, time\nfrom pathlib import Path\n" + code
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


HOLD = """
from interp.store.locking import locked
with locked(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""
WITHOUT_LOCKS = """
def refused(descriptor, operation):
    raise OSError(37, "No locks available")
fcntl.flock = refused
"""


@pytest.mark.parametrize("number", REFUSALS)
def test_an_unfinished_run_is_read_without_a_lock_and_that_is_said_once(tmp_path, monkeypatch, caplog, number):
    path = interrupted(tmp_path)
    refuse_locks(monkeypatch, number)
    assert [open_run(path).status for _ in range(3)] == ["interrupted"] * 3
    assert caplog.text.count("refuses locks") == 1


@pytest.mark.parametrize("number", REFUSALS)
def test_writing_is_refused_and_the_choice_named(tmp_path, monkeypatch, number):
    refuse_locks(monkeypatch, number)
    with pytest.raises(DataError, match=r"refuses locks \(.+\).+Reading needs none.+--lock lease"):
        record(CONFIG, tmp_path, "run", progress=False)


def test_with_a_lease_the_bytes_are_those_of_any_other_run(whole, tmp_path, monkeypatch):
    refuse_locks(monkeypatch)
    run = record(CONFIG, tmp_path, "run", progress=False, lock="lease")
    assert {name: data for name, data in content(run).items() if not name.startswith(f"{LEASE}.")} == content(whole)
    assert run.verify() == ()
    assert json.loads((run.path / f"{LEASE}.1").read_bytes())["released"]


def test_the_environment_chooses_too_and_nonsense_is_named(tmp_path, monkeypatch):
    refuse_locks(monkeypatch)
    monkeypatch.setenv("INTERP_LOCK", "lease")
    with locked(tmp_path):
        pass
    monkeypatch.setenv("INTERP_LOCK", "leese")
    with pytest.raises(UsageError, match="unknown lock in INTERP_LOCK 'leese'; did you mean 'lease'"), locked(tmp_path):
        pass


@pytest.mark.parametrize("mine", ["system", "lease"])
@pytest.mark.parametrize("theirs", ["system", "lease"])
def test_two_writers_exclude_each_other_whatever_each_has_chosen(tmp_path, mine, theirs):
    with elsewhere(HOLD, tmp_path, theirs) as other:
        assert is_locked(tmp_path)
        with pytest.raises(UsageError, match="being written by another process"), locked(tmp_path, mine):
            pass
        other.stdin.close()
        other.wait()
    assert not is_locked(tmp_path)
    with locked(tmp_path, mine):
        assert is_locked(tmp_path)


@pytest.mark.parametrize("theirs", ["system", "lease"])
def test_a_writer_without_locks_respects_one_with_and_one_without(tmp_path, monkeypatch, theirs):
    refuse_locks(monkeypatch)
    code = HOLD if theirs == "system" else WITHOUT_LOCKS + HOLD
    with elsewhere(code, tmp_path, theirs) as other:
        assert is_locked(tmp_path)
        with pytest.raises(UsageError, match="being written by another process"), locked(tmp_path, "lease"):
            pass
        other.kill()
        other.wait()
        assert not is_locked(tmp_path)  # of a process of this machine it is known that it has ended
        with locked(tmp_path, "lease"):
            assert is_locked(tmp_path)


def test_a_lock_of_another_machine_is_not_broken(tmp_path, monkeypatch):
    (tmp_path / LOCK).write_text(json.dumps({"host": "elsewhere", "pid": 7, "started": "1"}))
    refuse_locks(monkeypatch)
    with pytest.raises(UsageError, match=r"process 7 on elsewhere.+If it was killed, delete .+\.lock"), locked(tmp_path, "lease"):
        pass


def test_a_lease_of_another_machine_is_waited_for_and_taken_once_it_has_run_out(tmp_path):
    (tmp_path / f"{LEASE}.1").write_text(json.dumps({"host": "elsewhere", "pid": 7, "started": "1"}))
    with pytest.raises(UsageError, match=r"process 7 on elsewhere, by a lease.+--lock lease takes over"), locked(tmp_path):
        pass
    begun = time.monotonic()
    with locked(tmp_path, "lease", seconds=0.3):
        assert time.monotonic() - begun > 0.3


def test_a_lease_that_is_renewed_elsewhere_is_not_taken(tmp_path):
    code = """
for beat in range(1000):
    Path(sys.argv[1], ".new").write_text('{"host": "elsewhere", "pid": 7, "beat": %d}' % beat)
    os.replace(Path(sys.argv[1], ".new"), Path(sys.argv[1], ".lease.1"))
    if not beat:
        print("held", flush=True)
    time.sleep(0.05)
"""
    refused = pytest.raises(UsageError, match="being written by another process")
    with elsewhere(code, tmp_path), refused, locked(tmp_path, "lease", seconds=5):
        pass


def test_who_has_lost_the_lease_writes_nothing_more(tmp_path, monkeypatch):
    refuse_locks(monkeypatch)
    monkeypatch.setattr(leases, "_renew", lambda held, done: None)  # a process that stands still
    path = tmp_path / "run"
    with writing(path, "lease") as allowed:
        begin_planted(path, CONFIG)
        writer = RunWriter(path, allowed)
        writer.add_history(0, {"train_loss": 1.0})
        writer.commit(0, {})
        (path / f"{LEASE}.2").write_text("{}")  # another process was faster
        before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
        writer.add_history(1, {"train_loss": 0.5})
        with pytest.raises(DataError, match="another process writes it now"):
            writer.commit(1, {})
        with pytest.raises(DataError, match="another process writes it now"):
            writer.save_moments(1, {})
        assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before


def test_a_lease_works_without_hard_links(tmp_path, monkeypatch):
    def refuse(source, target, **_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    first = leases.Leases(tmp_path).take("run")
    assert isinstance(first, leases.Lease)
    assert isinstance(leases.Leases(tmp_path).take("run"), leases.Held)
    with first.kept():
        pass
    assert isinstance(leases.Leases(tmp_path).take("run"), leases.Lease)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.ENOTSUP])
def test_a_file_system_that_does_not_flush_names_is_written_and_what_is_lost_is_said_once(
    whole, tmp_path, monkeypatch, caplog, number
):
    fsync = os.fsync

    def refusing(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refusing)
    run = record(CONFIG, tmp_path, "run", progress=False)
    assert content(run) == content(whole)
    assert caplog.text.count("does not flush the names of files") == 1
    assert "after a power cut the last commits may be missing" in caplog.text


def test_a_disk_that_fails_to_flush_names_is_an_error(tmp_path, monkeypatch):
    def failing(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        durable.sync_directory(tmp_path)


@pytest.mark.parametrize("arguments", [["show", "run"], ["verify", "run"], ["runs"]])
def test_commands_that_look_need_no_lock(tmp_path, arguments):
    path = interrupted(tmp_path)
    refusing = Path(__file__).parent / "refusing.py"
    command = [sys.executable, str(refusing), "lock", "ENOLCK", str(tmp_path), *arguments, "--root", str(path.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if arguments[0] == "show":  # it has no checkpoint to show, which is what is said
        assert "no checkpoints yet" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert "interrupted" in done.stdout or "sound" in done.stdout
    assert "Errno" not in done.stderr


def test_a_study_is_trained_by_leases_where_locks_are_refused(tmp_path, monkeypatch):
    refuse_locks(monkeypatch)
    study = small_study(tmp_path, vary={"split.fraction": [0.4]}, seeds=range(1))
    assert study.run(executor=in_turn, progress=False).failed
    monkeypatch.setenv("INTERP_LOCK", "lease")
    assert study.run(executor=in_turn, progress=False).finished == 1


def test_the_next_writer_of_a_run_clears_it_by_its_lease_where_no_lock_tells(tmp_path, monkeypatch):
    left = interrupted(tmp_path) / "checkpoints" / ".step_00000000.safetensors.interp-0123abcd.tmp"
    left.write_bytes(b"half")
    refuse_locks(monkeypatch)
    with writing(tmp_path / "run", "lease") as allowed:
        RunWriter(tmp_path / "run", allowed)
    assert not left.exists()
