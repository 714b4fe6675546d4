"""Leases: one worker at a time has a run, a dead one loses it, and nobody compares clocks."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from interp.errors import DataError
from interp.store.leases import Held, Lease, Leases


def taken(leases: Leases, name: str = "run") -> Lease:
    lease = leases.take(name)
    assert isinstance(lease, Lease)
    return lease


def test_one_at_a_time_and_again_after_it_is_released(tmp_path: Path) -> None:
    mine, others = Leases(tmp_path), Leases(tmp_path)
    with taken(mine).kept():
        held = others.take("run")
        assert isinstance(held, Held)
        assert str(os.getpid()) in held.owner
        assert not others.free("run")
        assert isinstance(others.take("another"), Lease)
    assert others.free("run")
    with taken(others).kept():
        assert isinstance(mine.take("run"), Held)
    assert len(list(tmp_path.glob("run.*"))) == 1


def test_a_lease_is_released_also_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), taken(Leases(tmp_path)).kept():
        raise RuntimeError
    assert Leases(tmp_path).free("run")


def test_a_dead_owner_on_this_machine_loses_it_at_once(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from interp.store.leases import Leases;"
        "Leases(Path(sys.argv[1])).take('run'); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert list(tmp_path.glob("run.1"))
    assert isinstance(Leases(tmp_path).take("run"), Lease)


def test_a_number_that_another_process_has_now_is_not_its_owner(tmp_path: Path) -> None:
    taken(Leases(tmp_path))
    (path,) = tmp_path.glob("run.1")
    content = json.loads(path.read_bytes())
    path.write_text(json.dumps({**content, "started": "1"}))  # the same number, another process
    assert isinstance(Leases(tmp_path).take("run"), Lease)


def elsewhere(path: Path, **facts: object) -> None:
    path.write_text(json.dumps({"host": "another", "pid": 1, "beat": 0, "seconds": 0.2, **facts}))


def test_an_owner_elsewhere_loses_it_when_it_is_not_renewed(tmp_path: Path) -> None:
    leases = Leases(tmp_path, seconds=0.2)
    elsewhere(tmp_path / "run.1")
    assert isinstance(leases.take("run"), Held)
    time.sleep(0.15)
    elsewhere(tmp_path / "run.1", beat=1)  # renewed in time
    assert isinstance(leases.take("run"), Held)
    time.sleep(0.3)
    assert leases.free("run")  # seen to run out, and said so to everybody
    assert isinstance(Leases(tmp_path, seconds=60).take("run"), Lease)


def test_a_lease_is_renewed_while_it_is_kept(tmp_path: Path) -> None:
    others = Leases(tmp_path, seconds=0.3)
    with taken(Leases(tmp_path, seconds=0.3)).kept():
        before = (tmp_path / "run.1").read_bytes()
        for _ in range(8):
            assert isinstance(others.take("run"), Held)
            time.sleep(0.1)
        assert (tmp_path / "run.1").read_bytes() != before


@pytest.mark.parametrize("number", [2, 3], ids=["taken over", "taken over twice"])  # of the latter only the last is left
def test_who_lost_it_is_told_to_save_and_end(tmp_path: Path, number: int) -> None:
    received = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: received.set())
    try:
        with taken(Leases(tmp_path, seconds=0.3)).kept():
            elsewhere(tmp_path / f"run.{number}")
            deadline = time.monotonic() + 20
            while not received.is_set() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert received.is_set()
    finally:
        signal.signal(signal.SIGTERM, before)


def attempt(directory: str, barrier: object, won: object) -> None:
    leases = Leases(Path(directory), seconds=60)
    for number in range(40):
        barrier.wait()  # type: ignore[attr-defined]
        if isinstance(leases.take(f"run{number}"), Lease):
            won.append(number)  # type: ignore[attr-defined]


def test_of_many_that_take_it_at_once_one_gets_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        barrier, won = manager.Barrier(4), manager.list()
        # Half of the leases were left by processes that are dead, so that they are taken over.
        for number in range(0, 40, 2):
            elsewhere(tmp_path / f"run{number}.1", released=True)
        workers = [context.Process(target=attempt, args=(str(tmp_path), barrier, won)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert sorted(won) == list(range(40))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"host": 3, "pid": "x"}', b"\xff\xfe"])
def test_a_damaged_lease_runs_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.1").write_bytes(content)
    leases = Leases(tmp_path, seconds=0.05)
    leases.take("run")
    time.sleep(0.1)
    assert isinstance(leases.take("run"), Lease) or leases.free("run")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="leases cannot be read or written"):
        Leases(tmp_path / "file" / "leases").take("run")
