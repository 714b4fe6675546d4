"""Bytes that survive a crash: atomic writes, locks, short writes, file systems without hard links."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from contextlib import contextmanager, nullcontext

import pytest

from interp.errors import DataError, UsageError
from interp.store import durable as files
from interp.store.locking import LOCK, is_locked, locked


def test_modes_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_atomically(tmp_path / "a", b"1")
        files.write_new(tmp_path / "b", b"2")
        files.append(tmp_path / "c", b"3")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "abc"] == [0o640] * 3


def test_an_existing_file_is_never_overwritten(tmp_path):
    path = tmp_path / "step"
    files.write_new(path, b"first")
    inode = path.stat().st_ino
    files.write_new(path, b"first")
    with pytest.raises(DataError, match="holds other bytes"):
        files.write_new(path, b"other")
    assert (path.read_bytes(), path.stat().st_ino) == (b"first", inode)
    assert [p.name for p in tmp_path.iterdir()] == ["step"]


def test_a_file_that_appears_in_the_meantime_is_not_overwritten(tmp_path, monkeypatch):
    path, link = tmp_path / "step", os.link

    def late(source, target):
        path.write_bytes(b"theirs")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(DataError, match="holds other bytes"):
        files.write_new(path, b"mine")
    assert path.read_bytes() == b"theirs"


def test_file_systems_without_hard_links(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    files.write_new(tmp_path / "step", b"first")
    assert [p.name for p in tmp_path.iterdir()] == ["step"]
    with pytest.raises(DataError, match="holds other bytes"):
        files.write_new(tmp_path / "step", b"other")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path, write = tmp_path / "file", os.write
    files.write_atomically(path, b"old")

    def full(descriptor, data):
        write(descriptor, bytes(data)[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_short_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
    files.write_atomically(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


@contextmanager
def holder_of(path):
    """Another process that holds the lock of a directory."""
    code = "import sys, pathlib\nfrom interp.store.locking import locked\n"
    code += "with locked(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_one_writer_at_a_time_and_no_stale_lock(tmp_path):
    assert not is_locked(tmp_path)
    with holder_of(tmp_path) as holder:
        assert is_locked(tmp_path)
        with pytest.raises(UsageError, match="being written by another process"), locked(tmp_path):
            pass
        holder.kill()
        holder.wait()
        assert not is_locked(tmp_path)
        with locked(tmp_path):
            assert is_locked(tmp_path)


def test_processes_that_only_ask_do_not_take_each_other_for_a_writer(tmp_path):
    """Several readers that ask all the time, of a directory in which nobody writes: none of them sees a writer."""
    with locked(tmp_path):
        pass
    code = "import sys, pathlib\nfrom interp.store.locking import is_locked\npath = pathlib.Path(sys.argv[1])\n"
    code += "print('ready', flush=True)\nsys.stdin.readline()\nprint(sum(is_locked(path) for _ in range(4000)))"
    command = [sys.executable, "-c", code, str(tmp_path)]
    readers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for reader in readers:
        assert reader.stdout.readline() == "ready\n"
    for reader in readers:
        reader.stdin.write("go\n")
        reader.stdin.flush()
    assert [reader.communicate()[0] for reader in readers] == ["0\n"] * 4


def test_those_who_ask_do_not_keep_a_writer_out_and_see_it(tmp_path):
    with locked(tmp_path):
        assert is_locked(tmp_path)
        assert is_locked(tmp_path)
    asking = os.open(tmp_path / LOCK, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    assert not is_locked(tmp_path)  # somebody else asks at this moment
    os.close(asking)
    with locked(tmp_path):
        assert is_locked(tmp_path)


@pytest.mark.parametrize("hold", [locked, lambda path: nullcontext(is_locked(path))])
def test_a_lock_ends_although_a_process_was_forked_off_meanwhile(tmp_path, monkeypatch, hold):
    """The child has the descriptor too, and its copy holds the lock unless that is given back."""
    with locked(tmp_path):
        pass
    copies, open_ = [], os.open

    def forking(*arguments, **options):
        descriptor = open_(*arguments, **options)
        copies.append(os.dup(descriptor))
        return descriptor

    monkeypatch.setattr(os, "open", forking)
    with hold(tmp_path):
        pass
    monkeypatch.undo()
    with locked(tmp_path):
        pass
    for copy in copies:
        os.close(copy)
