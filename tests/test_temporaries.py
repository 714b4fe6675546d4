"""What killed writers leave: cleared by the next one, if it is ours and its writer is gone; and nothing else, ever."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading

import pytest

from interp.errors import DataError
from interp.store import durable, temporaries
from interp.store.kept import keep, recall

# Begins to write a file, says so, and stands still with the temporary file in place.
STUCK = """
import os, sys
from pathlib import Path
from interp.store import durable
def stuck(source, target):
    print("held", flush=True)
    sys.stdin.read()
os.replace = stuck
durable.write_atomically(Path(sys.argv[1]), b"theirs")
"""


@pytest.fixture(autouse=True)
def _nothing_cleared_yet(monkeypatch):
    monkeypatch.setattr(temporaries, "_cleared", set())


@pytest.fixture
def stuck(tmp_path):
    """A process that is writing `file` and has not given it its name."""
    command = [sys.executable, "-c", STUCK, str(tmp_path / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_file_of_a_writer_that_works_stays_and_goes_once_it_is_killed(tmp_path, stuck):
    (theirs,) = names(tmp_path)
    durable.write_output(tmp_path / "other", b"mine")
    assert names(tmp_path) == sorted([theirs, "other"])
    stuck.kill()
    stuck.wait()
    temporaries._cleared.clear()  # as in a process that starts now
    durable.write_output(tmp_path / "other", b"mine")
    assert names(tmp_path) == ["other"]


def test_results_clear_what_was_left_there(tmp_path):
    (tmp_path / "results").mkdir()
    left = tmp_path / "results" / ".summary-0123456789abcdef.json.interp-0123abcd.tmp"
    left.write_bytes(b"half")
    os.utime(left, (2**33, 2**33))  # in the future by any clock
    keep(tmp_path, "summary", 1, key="0" * 64)
    assert not left.exists()
    assert recall(tmp_path, "summary", key="0" * 64) == 1


def test_files_of_others_stay(tmp_path):
    theirs = [
        ".report.html.0123abcd.tmp",  # of a version that did not lock them, or of another program
        ".report.html.swp",
        "report.html.interp-0123abcd.tmp",
        ".report.html.interp-0123abcd.tmp.bak",
        ".report.html.interp-0123ABCD.tmp",
        ".report.html.interp-0123abc.tmp",
        ".interp-0123abcd.tmp",
        "~.tmp",
    ]
    for name in theirs:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".folder.interp-0123abcd.tmp").mkdir()
    (tmp_path / ".link.interp-0123abcd.tmp").symlink_to(tmp_path / theirs[0])
    before = names(tmp_path)
    temporaries.clear_temporaries(tmp_path)
    assert names(tmp_path) == before


def test_where_locks_are_refused_nothing_is_known_and_nothing_goes(tmp_path, monkeypatch):
    (tmp_path / ".a.interp-0123abcd.tmp").write_bytes(b"")

    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    durable.write_atomically(tmp_path / "b", b"mine")
    assert names(tmp_path) == [".a.interp-0123abcd.tmp", "b"]


def test_a_file_that_is_cleared_before_it_could_be_locked_is_made_anew(tmp_path, monkeypatch):
    real, cleared = fcntl.flock, []

    def late(descriptor, operation):
        if not cleared:
            cleared.append(descriptor)
            os.unlink(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    durable.write_atomically(tmp_path / "file", b"mine")
    assert (names(tmp_path), (tmp_path / "file").read_bytes()) == (["file"], b"mine")


def test_many_that_write_and_clear_at_once_lose_nothing(tmp_path):
    def work(number):
        for _ in range(30):
            temporaries.clear_temporaries(tmp_path)
            durable.write_atomically(tmp_path / f"{number}", b"mine")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(tmp_path) == [str(number) for number in range(6)]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_an_output_that_cannot_be_written_leaves_the_one_before_and_nothing_else(tmp_path, monkeypatch, call, number):
    path = tmp_path / "report.html"
    durable.write_output(path, b"before")
    real = getattr(os, call)

    def refuse(first, *rest, **named):
        is_reading = call == "open" and not rest[0] & os.O_CREAT
        if is_reading or (call == "fsync" and os.path.isdir(f"/proc/self/fd/{first}")):
            return real(first, *rest, **named)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(DataError, match=rf"cannot be written \({os.strerror(number)}\); the file that was there is as it was"):
        durable.write_output(path, b"after")
    monkeypatch.undo()
    assert (names(tmp_path), path.read_bytes()) == (["report.html"], b"before")
