"""What a live page with one viewer costs the training beside it, in pairs of moments of one and the same training.

    python benchmarks/live.py [--recipe demo] [--p P] [--threads N] [--rounds 10] [--seconds 5] [--json]

A run is trained in a process of its own, as `interp train --live` does it, and a viewer does what an open tab does: it asks every
second what is new, and fetches each new version of the page. From the first page on, the process that serves the page is stopped
for some seconds and let go for as many, in turns: how many steps the training made in these, per second and per second of its own
processor time. Whatever else the machine does falls on both. What serves the page as it starts is told apart: its processor time
until the first page is there, which is once a run.

On a busy machine use `--json`, which has every pair, and look at the spread.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from timing import machine, options, show

import interp
from interp.config.run_config import RunConfig

_ASK_SECONDS = 1.0
_SETTLE_SECONDS = 0.5  # after each change, which do not count
_PATIENCE = 300.0  # for the first page
# It trains, and says for every line that it reads how many steps it has made and how much processor time it has used.
_TRAIN = """
import sys, threading, time
from pathlib import Path
import interp
from interp.config.run_config import RunConfig
from interp.live.attendant import attended
from interp.training.loop import Training
made, step = [0], Training._step
def counted(training, loss):
    made[0] += 1
    return step(training, loss)
Training._step = counted
def answer():
    for _ in sys.stdin:
        print(made[0], time.process_time(), time.perf_counter(), flush=True)
with attended(Path(sys.argv[2]) / "run") as address:
    print(address, flush=True)
    threading.Thread(target=answer, daemon=True).start()
    interp.record(RunConfig.from_json(sys.argv[1]), sys.argv[2], "run", progress=False, force=True)
"""  # it is ended long before a disk is full


@dataclass
class Tab:
    """What an open tab asks for, until it is closed."""

    address: str
    versions: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Ask and fetch."""
        self._get("")
        while not self.closed.wait(_ASK_SECONDS):
            state = json.loads(self._get(f"state?viewer=benchmark&version={self.versions}"))
            if state["version"] != self.versions:
                self._get("update")
                self.versions = state["version"]

    def _get(self, path: str) -> bytes:
        while not self.closed.is_set():  # the server is stopped now and then
            try:
                with urllib.request.urlopen(self.address + path, timeout=60) as answer:
                    return bytes(answer.read())
            except OSError:
                time.sleep(_ASK_SECONDS)
        return b'{"version": 0}'


class Watched:
    """A training, the process that serves its page, and a viewer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process = process
        self.tab = Tab(process.stdout.readline().strip())
        threading.Thread(target=self.tab.look, daemon=True).start()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (self.server,) = [int(one) for one in children if b"interp.live" in Path(f"/proc/{one}/cmdline").read_bytes()]

    def sample(self) -> tuple[float, float, float]:
        """Steps, processor time of the training process, wall-clock time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        steps, used, now = map(float, self._process.stdout.readline().split())
        return steps, used, now

    def speed(self, seconds: float) -> dict[str, float]:
        """Steps in the next seconds, and what the page's server used of a core."""
        time.sleep(_SETTLE_SECONDS)
        before, served = self.sample(), used_by(self.server)
        time.sleep(seconds)
        after = self.sample()
        steps, used, wall = (b - a for a, b in zip(before, after, strict=True))
        return {"a second": steps / wall, "a CPU second": steps / used, "served": (used_by(self.server) - served) / wall}


def used_by(process: int) -> float:
    """Seconds of processor time of a process."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def watched(config: RunConfig) -> Iterator[Watched]:
    """A training with a page and a viewer, who has the first page."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as root, TemporaryFile("w+") as errors:
        command = [sys.executable, "-c", _TRAIN, config.to_json(), root]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        found = Watched(process)
        try:
            end = time.monotonic() + _PATIENCE
            while not found.tab.versions:
                if process.poll() is not None:
                    errors.seek(0)
                    raise SystemExit(f"the training ended: {errors.read()[-2000:]}")
                if time.monotonic() > end:
                    raise SystemExit("there was no page in time")
                time.sleep(0.1)
            yield found
        finally:
            found.tab.closed.set()
            with suppress(ProcessLookupError):
                os.kill(found.server, signal.SIGCONT)
            process.send_signal(signal.SIGINT)  # so that it waits for its page
            process.communicate()


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=10)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--p", type=int, help="another modulus than the recipe's")
    parser.add_argument("--threads", type=int, help="of the training (default: all cores)")
    parser.add_argument("--seconds", type=float, default=5.0, help="each moment's length")
    given = parser.parse_args()
    config = replace(interp.recipe(given.recipe), steps=10_000_000, until_settled=False, threads=given.threads)
    if given.p is not None:
        config = replace(config, task=replace(config.task, p=given.p))
    facts, rounds = machine(), []
    with watched(config) as training:
        begun, first = used_by(training.server), training.tab.versions
        for _ in range(given.rounds):
            row = {}
            for way, number in (("alone", signal.SIGSTOP), ("viewed", signal.SIGCONT)):
                os.kill(training.server, number)
                row[way] = training.speed(given.seconds)
            rounds.append(row)
        pages = training.tab.versions - first
    lost = {
        unit: statistics.median(1 - row["viewed"][unit] / row["alone"][unit] for row in rounds)
        for unit in ("a second", "a CPU second")
    }
    served = statistics.median(row["viewed"]["served"] for row in rounds)
    result = {
        "machine": facts, "p": config.task.p, "threads": given.threads, "until_first_page": begun, "pages": pages, "lost": lost,
        "served": served, "rounds": rounds,
    }  # fmt: skip
    show(result, as_json=given.json, text=lambda: told(result))


def told(result: dict[str, object]) -> str:
    """The figures as lines."""
    rounds: list[dict[str, dict[str, float]]] = result["rounds"]  # type: ignore[assignment]  # as `main` made it
    lost: dict[str, float] = result["lost"]  # type: ignore[assignment]  # likewise
    lines = []
    for unit, share in lost.items():
        alone, viewed = (statistics.median(row[way][unit] for row in rounds) for way in ("alone", "viewed"))
        each = sorted(1 - row["viewed"][unit] / row["alone"][unit] for row in rounds)
        lines.append(f"steps {unit}: {alone:.0f} alone, {viewed:.0f} viewed; lost {share:.1%} ({each[0]:.1%} to {each[-1]:.1%})")
    lines.append(f"the page used {result['served']:.1%} of a core; {result['pages']} pages in {len(rounds)} moments")
    lines.append(f"until the first page it used {result['until_first_page']:.1f} s; {result['machine']}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
