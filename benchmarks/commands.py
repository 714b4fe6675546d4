"""What a user waits for: whole commands on a recorded run, this version and another in turns; alone, and on a busy machine.

    python benchmarks/commands.py [RUN] --against COMMIT [--rounds 3] [--only report show] [--beside 2] [--json]
    python benchmarks/commands.py [RUN] --at-once 8 --only none

Without RUN, the nanda recipe is trained first, which takes some minutes.

The other version is checked out into a temporary folder, with the same libraries. Each command runs in a process of its own on
its version's own copy of the run: `nothing cached` before every round, `cached` after a round that does not count. Seconds are
medians of wall clock and of processor time (of all processes that a command starts); memory is the largest resident set.
With --beside, every command of this version is also timed beside so many processes that do nothing but count. With --at-once,
so many commands are started together, and compared with the same commands one after the other.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from timing import machine, options, show
from versions import ROOT, checked_out, usage_of

# What is typed after `interp`, with {run} and {out} for paths; whether the run's results are deleted before every round.
COMMANDS = {
    "--help": (["--help"], False),
    "runs": (["runs", "--root", "{root}"], False),
    "verify": (["verify", "{run}"], False),
    "show, cached": (["show", "{run}"], False),
    "show, nothing cached": (["show", "{run}"], True),
    "report, cached": (["report", "{run}", "-o", "{out}/page.html"], False),
    "report, nothing cached": (["report", "{run}", "-o", "{out}/page.html"], True),
    "analyze, nothing cached": (["analyze", "{run}"], True),
    "figure, cached": (["figure", "{run}", "progress_measures", "-o", "{out}/figure.svg"], False),
    "anatomy, of a checkpoint": (["anatomy", "{checkpoint}"], False),
    "demo": (["demo", "--root", "{out}/demo", "-o", "{out}/demo.html"], False),
}


@dataclass(frozen=True)
class Version:
    """A version of the toolkit, and its own copy of the run."""

    name: str
    source: Path
    folder: Path
    run: Path

    def measured(self, name: str) -> dict[str, float]:
        """Run one command to its end."""
        words, is_fresh = COMMANDS[name]
        if is_fresh:
            shutil.rmtree(self.run / "results", ignore_errors=True)
        return usage_of(self.words(words), folder=self.folder, source=self.source)

    def words(self, words: list[str]) -> list[str]:
        """A command with its paths; what it writes goes to an empty folder."""
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        last = sorted((self.run / "checkpoints").iterdir())[-1]
        paths = {"run": self.run, "root": self.run.parent, "out": out, "checkpoint": last}
        return [word.format(**paths) for word in words]


def copied(run: Path, to: Path) -> Path:
    """A copy of a run without results; its files, which are never changed, are shared."""
    return Path(shutil.copytree(run, to, copy_function=os.link, ignore=shutil.ignore_patterns("results", ".lock")))


def trained(folder: Path) -> Path:
    """A run of the nanda recipe."""
    usage_of(["train", "nanda", "--root", str(folder), "--name", "nanda"], folder=folder)
    return folder / "nanda"


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that count, as long as the context lasts."""
    counting = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in counting:
            process.kill()
            process.wait()


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: statistics.median(row[name] for row in rounds) for name in rounds[0]}


def in_turns(versions: list[Version], names: list[str], *, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Medians by command and version; the versions take turns."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows: dict[str, list[dict[str, float]]] = {version.name: [] for version in versions}
        if not COMMANDS[name][1]:
            for version in versions:
                version.measured(name)  # fills caches, and does not count
        for _ in range(rounds):
            for version in versions:
                rows[version.name].append(version.measured(name))
        found[name] = {version: medians(of_version) for version, of_version in rows.items()}
    return found


def at_once(version: Version, count: int) -> dict[str, float]:
    """Seconds of so many commands together, and one after the other; each on a copy of the run of its own, nothing cached."""
    words = [["show", "{run}"], ["report", "{run}", "-o", "{out}/page.html"], ["analyze", "{run}"], ["anatomy", "{checkpoint}"]]
    found = {}
    for way in ("together", "in turn"):
        with TemporaryDirectory() as folder:
            runs = [copied(version.run, Path(folder) / str(i) / "run") for i in range(count)]
            own = [Version(version.name, version.source, run.parent, run) for run in runs]
            command = [sys.executable, "-m", "interp"]
            begun, started = time.perf_counter(), []
            for i, one in enumerate(own):
                given = [*command, *one.words(words[i % len(words)])]
                env = {**os.environ, "PYTHONPATH": str(one.source)}
                started.append(subprocess.Popen(given, cwd=one.folder, env=env, stdout=subprocess.DEVNULL))
                if way == "in turn":
                    started[-1].wait()
            if any(process.wait() for process in started):
                raise SystemExit("a command failed")
            found[way] = time.perf_counter() - begun
    return {"commands": count, **found, "ratio": found["together"] / found["in turn"]}


def line(name: str, rows: dict[str, dict[str, float]]) -> str:
    """One command's figures, and how many times the other version's time it takes."""
    told = [
        f"{version} {row['seconds']:6.2f} s, {row['processor_seconds']:6.2f} s of processor time, {row['peak_mib']:5.0f} MiB"
        for version, row in rows.items()
    ]
    if "other" in rows:
        told.append(f"{rows['other']['seconds'] / rows['this']['seconds']:.2f} times as fast")
    if "busy" in rows:
        ratios = [rows["busy"][unit] / rows["this"][unit] for unit in ("seconds", "processor_seconds")]
        told.append(f"busy: {ratios[0]:.2f} times the time, {ratios[1]:.2f} times the processor time")
    return f"{name:26} " + "; ".join(told)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("run", type=Path, nargs="?", metavar="RUN", help="a recorded run; it is copied")
    parser.add_argument("--against", metavar="COMMIT", help="another version of the toolkit")
    parser.add_argument("--only", nargs="+", default=list(COMMANDS), metavar="NAME", help=f"among {', '.join(COMMANDS)}")
    parser.add_argument("--beside", type=int, default=0, metavar="N", help="also beside so many busy processes")
    parser.add_argument("--at-once", type=int, default=0, metavar="N", help="also so many commands at once")
    given = parser.parse_args()
    names = [name for name in COMMANDS if any(name.startswith(asked) for asked in given.only)]
    facts = machine()
    with TemporaryDirectory() as folder, checked_out(given.against) as other:
        run, versions = given.run or trained(Path(folder)), []
        for name, source in (("other", other), ("this", ROOT)):
            if source is not None:
                own = Path(folder) / name
                own.mkdir()
                versions.append(Version(name, source, own, copied(run, own / "runs" / run.name)))
        found = in_turns(versions, names, rounds=given.rounds)
        if given.beside:
            with busy(given.beside):
                again = in_turns(versions[-1:], names, rounds=given.rounds)
            found = {name: {**rows, "busy": again[name]["this"]} for name, rows in found.items()}
        together = at_once(versions[-1], given.at_once) if given.at_once else None
    result = {"machine": facts, "rounds": given.rounds, "beside": given.beside, "commands": found, "at_once": together}
    show(result, as_json=given.json, text=lambda: "\n".join([*(line(name, rows) for name, rows in found.items()), str(together)]))


if __name__ == "__main__":
    main()
