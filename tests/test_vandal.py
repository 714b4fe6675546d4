"""The vandals' own judgement: each sort of fault is seen in a command that has it, and a worse build is noticed by every kind.

What the rounds find is the table in the README (`make vandal`); a short form of it runs here, in the slow part.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from vandal.commands import Said, resident, start
from vandal.judging import faults_of
from vandal.kinds import KINDS
from vandal.outcome import Fault, Outcome
from vandal.table import markdown, row, rows
from vandal.weakened import WEAKENED

HERE = Path(__file__).parent
SLOW_MINUTES = 2.5


def said(folder: Path, before: Callable[[], None], *, seconds: float = 60) -> Said:
    """What a command says and does that first does something else."""
    room = folder / "room"
    room.mkdir()
    return start(["--help"], folder / "said" / "000", room=room, before=(before,)).wait(seconds)


def kinds_of(found: Said) -> list[str]:
    return sorted({fault.kind for fault in faults_of(found)})


def raises() -> None:
    raise KeyError("planted")


def executes() -> None:
    os.system("true")


def writes() -> None:
    Path("../beside").write_text("")


def writes_by_a_link() -> None:
    Path("inside").symlink_to(Path("..").resolve())
    Path("inside/beside").write_text("")


def swallows() -> None:
    """A little more than is allowed, and less than what ends a command, however much this process has already."""
    assert len(b"x" * max(1, 1_200_000_000 - resident(os.getpid()))) > 0


def hangs() -> None:
    time.sleep(60)


def colours() -> None:
    sys.stdout.write("\x1b[31m")


def turns() -> None:
    sys.stderr.write("a\u202eb\n")


def ends_anyhow() -> None:
    os._exit(3)


def ends_in_silence() -> None:
    os._exit(1)


def crashes() -> None:
    os.abort()


def is_sound() -> None:
    Path("inside").write_text("")


@pytest.mark.parametrize(
    ("planted", "kinds"),
    [
        (raises, ["traceback"]), (crashes, ["traceback", "wrong"]), (executes, ["executed"]), (writes, ["outside"]),
        (writes_by_a_link, ["outside"]), (swallows, ["memory"]), (colours, ["wrong"]), (turns, ["wrong"]),
        (ends_anyhow, ["wrong"]), (ends_in_silence, ["wrong"]), (is_sound, []),
    ],
)  # fmt: skip
def test_each_fault_is_seen_and_nothing_else(tmp_path: Path, planted: Callable[[], None], kinds: list[str]) -> None:
    assert kinds_of(said(tmp_path, planted)) == kinds


def test_a_command_that_does_not_end_is_ended_and_named(tmp_path: Path) -> None:
    found = said(tmp_path, hangs, seconds=0.3)
    assert found.hung
    assert [fault.what for fault in faults_of(found)] == ["`interp --help` did not end"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_is_ended_before_it_does_anything_ends_as_a_command_does(tmp_path: Path, number: signal.Signals) -> None:
    room = tmp_path / "room"
    room.mkdir()
    command = start(["--help"], tmp_path / "said" / "000", room=room)
    command.signal(number)  # held back until the process is set up
    ended = command.wait()
    assert (ended.code, ended.err) == {signal.SIGINT: (130, "interrupted\n"), signal.SIGTERM: (-signal.SIGTERM, "")}[number]
    assert faults_of(ended) == []


def test_one_that_was_killed_need_not_have_said_anything(tmp_path: Path) -> None:
    assert faults_of(said(tmp_path, hangs, seconds=0.1), killed=True) == []


def outcome(*faults: Fault, refused: bool = False, peak: int = 10**6) -> Outcome:
    return Outcome("flips", 0, refused, faults, peak, 1.0)


def test_rounds_are_counted_by_what_became_of_them() -> None:
    lost, trace = Fault("lost", "a"), Fault("traceback", "b")
    found = [outcome(), outcome(refused=True), outcome(lost, lost), outcome(lost, trace, refused=True, peak=3 * 10**8)]
    assert row("flips", found) == ("flips", "4", "1", "1", "1", "2", "0", "0", "300")
    assert len(rows(found)) == 1
    text = markdown(found, command="make vandal", seconds=120)
    assert "| flips | 4 | 1 | 1 | 1 | 2 | 0 | 0 | 300 |" in text
    assert text.endswith("(`make vandal`: 2 minutes)")


def vandal(*arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(HERE), str(HERE.parent)])
    command = [sys.executable, "-m", "vandal", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})


def test_every_kind_has_a_worse_build() -> None:
    assert WEAKENED.keys() == KINDS.keys()


@pytest.mark.slow
def test_a_worse_build_is_noticed_by_every_kind() -> None:
    done = vandal("--weakened", "--minutes", "0", "--workers", "2")  # two rounds of each
    table = {line.split("  ")[0]: line.split()[-8:] for line in done.stdout.splitlines() if line.split("  ")[0] in KINDS}
    assert table.keys() == KINDS.keys(), done.stdout + done.stderr
    unnoticed = [kind for kind, (rounds, refused, survived, *_) in table.items() if int(refused) + int(survived) == int(rounds)]
    assert unnoticed == []


@pytest.mark.slow
def test_nothing_is_lost_executed_or_left_unexplained() -> None:
    done = vandal("--minutes", str(SLOW_MINUTES))
    # How many rounds there are depends on the machine. What is merely said in another way than expected is for `make vandal`.
    kinds = ("traceback:", "lost:", "executed:", "outside:")
    grave = [line for line in done.stdout.splitlines() if line.strip().startswith(kinds)]
    assert not grave, done.stdout + done.stderr
    assert done.returncode in (0, 1), done.stderr
