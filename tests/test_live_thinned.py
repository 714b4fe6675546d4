"""A page beside a training costs no more because many checkpoints were saved since the last one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import pairwise

import pytest
from growing import STEPS
from growing_run import a_growing_run

import interp
from interp.live import follower as following
from interp.live.attendant import attended
from interp.live.follower import Follower, _with_some
from interp.live.viewers import Published


def test_so_many_new_checkpoints_and_always_the_newest() -> None:
    saved = tuple(range(0, 10_000, 7))
    shown: tuple[int, ...] = ()
    for _ in range(100):
        more = _with_some(shown, saved)
        assert set(shown) <= set(more) <= set(saved)
        assert len(more) <= len(shown) + following._MOST_NEW
        assert more[-1] == saved[-1]
        assert list(more) == sorted(more)
        if more == shown:
            break
        shown = more
    assert shown == saved  # what was left out comes later
    first = _with_some((), saved)
    gaps = [b - a for a, b in pairwise(first)]
    assert max(gaps) - min(gaps) <= 7
    assert first[0] == 0


def test_the_pages_of_a_run_take_in_some_at_a_time_and_the_last_has_all(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(following, "_MOST_NEW", 2)
    with a_growing_run(tmp_path / "run") as run:
        published = Published()
        follower = Follower(run.path, published, analyses=["weight_norms"], key_rule=[2, 3])
        published.seen("somebody", 0)
        run.grow(5)
        shown = []
        while follower._wanted(opened := interp.open_run(run.path), is_last=False) and len(shown) < 10:
            follower._publish(opened, is_last=False)
            follower._next = 0.0
            shown.append(follower._shown)
        assert shown == [(0, 300), (0, 10, 200, 300), tuple(STEPS[:5])]
        run.grow(1, finish=True)
        follower._publish(interp.open_run(run.path), is_last=True)
        assert follower._shown == tuple(STEPS)


def test_the_first_page_comes_sooner_than_the_others(tmp_path) -> None:
    calls = []
    with a_growing_run(tmp_path / "run") as run:
        published = Published()
        follower = Follower(run.path, published, analyses=["weight_norms"], key_rule=[2, 3], on_first=lambda: calls.append(1))
        for _ in range(2):
            run.grow(2)
            follower._publish(interp.open_run(run.path), is_last=False)
    assert calls == [1]


def test_priorities_are_raised_once_and_once_more() -> None:
    code = "import os; from interp.live.follower import give_way; more = give_way(); a = os.nice(0); more(); print(a, os.nice(0))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, later = map(int, done.stdout.split())
    assert (first - os.nice(0), later - os.nice(0)) == (5, min(15, 19 - os.nice(0)))


@pytest.mark.skipif(not hasattr(os, "getsid"), reason="no sessions here")
def test_its_process_shares_the_session_of_the_training_so_that_its_priority_counts(tmp_path) -> None:
    """Linux shares the processor out between sessions first; and not the process group, which is what Ctrl-C is sent to."""
    with attended(tmp_path / "run"):
        children = subprocess.run(
            ["pgrep", "-P", str(os.getpid()), "-f", "interp.live"], capture_output=True, text=True, check=True
        ).stdout.split()
        child = int(children[0])
        assert os.getsid(child) == os.getsid(0)
        assert os.getpgid(child) == child
        os.kill(child, signal.SIGTERM)
