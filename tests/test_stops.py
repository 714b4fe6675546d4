"""Ctrl-Z and `fg`: the time in between is not the work's, and the terminal is the shell's meanwhile."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time

from interp.stops import working_clock

CLOCK = """
import time
from interp.stops import working_clock
with working_clock() as clock:
    begun, really = clock(), time.monotonic()
    print("begun", flush=True)
    while time.monotonic() < really + 2:
        pass
    print(clock() - begun, time.monotonic() - really, flush=True)
"""
BAR = """
import sys, time
from interp.bars import training_progress
from interp.training.stream import Step
with training_progress("run", total=10**9, done=0, until_settled=False) as show:
    for index in range(10**9):
        show(Step(index, 1.0, None))
        time.sleep(0.01)
"""


def state_of(process: int) -> str:
    return open(f"/proc/{process}/stat").read().rpartition(")")[2].split()[0]


def wait_for(holds, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_no_time_passes_while_it_is_stopped() -> None:
    process = subprocess.Popen([sys.executable, "-c", CLOCK], stdout=subprocess.PIPE, text=True, process_group=0)
    try:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTSTP)
        wait_for(lambda: state_of(process.pid) == "T")
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
        worked, passed = map(float, process.stdout.readline().split())
        assert passed - worked > 2.9
        assert worked > 0
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_it_is_left_alone_where_somebody_else_handles_it() -> None:
    before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        with working_clock() as clock:
            assert signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN
            assert abs(clock() - time.monotonic()) < 1
    finally:
        signal.signal(signal.SIGTSTP, before)
    with working_clock():
        assert signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL


def test_a_bar_gives_the_terminal_its_cursor_back_and_goes_on() -> None:
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
    process = subprocess.Popen([sys.executable, "-c", BAR], stdin=theirs, stderr=theirs, env=environment, process_group=0)
    os.close(theirs)
    try:
        assert "\x1b[?25l" in read_until(ours, r"steps/s")
        process.send_signal(signal.SIGTSTP)
        wait_for(lambda: state_of(process.pid) == "T")
        read_until(ours, r"\x1b\[\?25h")
        assert not select.select([ours], [], [], 0.5)[0]
        process.send_signal(signal.SIGCONT)
        said = read_until(ours, r"\x1b\[\?25l.*steps/s")
        assert "Traceback" not in said
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(descriptor: int, pattern: str, seconds: float = 90) -> str:
    """What comes from a terminal, until something is in it."""
    said, end = "", time.monotonic() + seconds
    while not re.search(pattern, said, re.DOTALL):
        assert time.monotonic() < end, said
        if select.select([descriptor], [], [], 1)[0]:
            said += os.read(descriptor, 10_000).decode(errors="replace")
    return said
