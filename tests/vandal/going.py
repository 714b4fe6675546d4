"""Rounds of every kind, one after another, until the time is up."""

from __future__ import annotations

import argparse
import os
import pickle
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vandal.kinds import KINDS
from vandal.originals import Originals
from vandal.outcome import Outcome
from vandal.rounds import Round
from vandal.table import markdown, plain
from vandal.weakened import WEAKENED

_MINUTES = 20.0


def main(given: Sequence[str] | None = None) -> int:
    """Parse, go, print; returns 1 if anything went wrong."""
    asked = _parser().parse_args(given)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="vandal-"))
    _load()
    begun = time.monotonic()
    kinds = asked.kinds.split(",") if asked.kinds else [*KINDS]
    if wrong := sorted({*kinds} - {*KINDS}):
        sys.stderr.write(f"given the kinds {', '.join(wrong)}, expected some of: {', '.join(KINDS)}\n")
        return 2
    if asked.only:
        kind, number = asked.only.rsplit(":", 1)
        outcomes = [one_round(kind, int(number), seed=asked.seed, folder=folder, weak=asked.weakened)]
    else:
        outcomes = by_workers(
            {name: KINDS[name].share for name in kinds}, seed=asked.seed, folder=folder, seconds=asked.minutes * 60,
            workers=asked.workers, weak=asked.weakened,
        )  # fmt: skip
    for outcome in outcomes:
        if outcome.failed:
            _tell(outcome, asked.seed, folder)
    show = markdown if asked.markdown else plain
    _say(show(outcomes, command=_command(asked), seconds=time.monotonic() - begun))
    failed = any(outcome.failed for outcome in outcomes)
    if not failed and asked.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    return int(failed)


def by_workers(
    kinds: Mapping[str, float], *, seed: int, folder: Path, seconds: float, workers: int, weak: bool = False
) -> list[Outcome]:
    """Rounds of some kinds by several processes at once; every worker does every so manieth round of each kind."""
    Originals(folder / "originals").make()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was begun is ended
    started = []
    try:
        for worker in range(workers):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    numbers = range(worker, sys.maxsize, workers)
                    mine = list(rounds(kinds, numbers=numbers, seed=seed, folder=folder, seconds=seconds, weak=weak))
                    (folder / f"outcomes-{worker}").write_bytes(pickle.dumps(mine))
                    code = 0
                except Exception:
                    traceback.print_exc()
                finally:
                    os._exit(code)
            started.append(pid)
        while started:
            code = os.waitstatus_to_exitcode(os.waitpid(started[0], 0)[1])
            started.pop(0)
            assert code == 0, "a worker ended before its time"
    finally:
        for pid in started:
            os.kill(pid, signal.SIGTERM)
    done = [pickle.loads((folder / f"outcomes-{worker}").read_bytes()) for worker in range(workers)]
    order = [*KINDS]
    return sorted((each for mine in done for each in mine), key=lambda each: (order.index(each.kind), each.number))


def rounds(
    kinds: Mapping[str, float], *, numbers: range, seed: int, folder: Path, seconds: float, weak: bool = False
) -> Iterator[Outcome]:
    """Rounds of some kinds; the one that is furthest behind its share of the time comes next, and each comes once."""
    spent = dict.fromkeys(kinds, 0.0)
    left = {kind: iter(numbers) for kind in kinds}
    waiting = {*kinds}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or waiting:
        kind = min(kinds, key=lambda name: (name not in waiting, spent[name] / kinds[name]))
        outcome = one_round(kind, next(left[kind]), seed=seed, folder=folder, weak=weak)
        spent[kind] += outcome.seconds
        if outcome.failed:
            sys.stderr.write(f"{kind}:{outcome.number}: {'; '.join(fault.what for fault in outcome.faults)[:2000]}\n")
        if outcome.makeshift and kind in waiting:
            sys.stderr.write(f"NOT AS IT SHOULD BE: {kind}: {outcome.makeshift}\n")
        waiting.discard(kind)
        yield outcome


def one_round(kind: str, number: int, *, seed: int, folder: Path, weak: bool = False) -> Outcome:
    """One round; its files stay only if it failed."""
    place = folder / f"{kind.replace(' ', '-')}-{number}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    originals = Originals(folder / "originals")
    at = Round(kind, number, random.Random(f"{seed} {kind} {number}"), place, _kept(originals), (WEAKENED[kind],) if weak else ())
    try:
        KINDS[kind].one(at)
    except Exception:
        at.fault("wrong", "the round itself failed:\n" + traceback.format_exc())
    finally:
        outcome = at.outcome()
    if not outcome.failed:
        shutil.rmtree(place, ignore_errors=True)
    return outcome


_ORIGINALS: dict[Path, Originals] = {}


def _kept(originals: Originals) -> Originals:
    """The same originals for every round in a folder: they are made once."""
    return _ORIGINALS.setdefault(originals.folder, originals)


def _load() -> None:
    """Import what commands import, so that those that are forked off need not."""
    import interp.anatomy
    import interp.cli
    import interp.cli.entry
    import interp.figures
    import interp.interop
    import interp.keeping.recorder
    import interp.live.follower
    import interp.live.server
    import interp.observing.observe
    import interp.observing.summary
    import interp.reporting.write
    import interp.studies.study  # noqa: F401


def _tell(outcome: Outcome, seed: int, folder: Path) -> None:
    _say(f"\n{outcome.kind}, round {outcome.number}:")
    for fault in outcome.faults:
        _say(f"  {fault.kind}: {fault.what}")
    _say(f"  its files: {folder / (outcome.kind.replace(' ', '-') + f'-{outcome.number}')}")
    _say(f"  only this round: make vandal ARGS='--seed {seed} --only \"{outcome.kind}:{outcome.number}\"'")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _command(asked: argparse.Namespace) -> str:
    chosen = f" --kinds '{asked.kinds}'" if asked.kinds else ""
    return f'make vandal ARGS="--minutes {asked.minutes:g} --seed {asked.seed}{chosen}"'


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vandal", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=_MINUTES, help="how long (default: %(default)g); each kind comes at least once"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: %(default)s)")
    parser.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), help="rounds at a time (default: %(default)s)"
    )
    parser.add_argument("--kinds", help=f"only these, with commas: {', '.join(KINDS)}")
    parser.add_argument("--only", metavar="KIND:NUMBER", help="one round")
    parser.add_argument("--folder", type=Path, help="where to work; it stays")
    parser.add_argument("--weakened", action="store_true", help="of a worse build for each kind, to see that it is noticed")
    parser.add_argument("--markdown", action="store_true", help="print the table as the README has it")
    return parser
