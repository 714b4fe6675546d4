"""Studies whose workers or driver are killed, whose plan, runs or leases are damaged: the same command mends them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mutants import RAW, flipped_once
from small_study import run_bytes

from vandal.commands import Running
from vandal.originals import differing
from vandal.rounds import Round


def one(at: Round) -> None:
    """One study, spoiled in one way; the ways take turns."""
    _WAYS[at.number % len(_WAYS)](at)


def _killed(at: Round) -> None:
    """A worker, or the driver, at a random moment, once or twice."""
    study = at.originals.copy(at.originals.planned, at.room / "studies" / "small")
    for _ in range(at.draw.randint(1, 2)):
        running = at.start("study", "run", study, "--workers", "2")
        _wait_for_runs(study, running)
        time.sleep(at.draw.random() * 1.5)
        who = at.draw.choice(["driver", "worker"])
        victim = at.draw.choice(_children(running.pid) or [running.pid]) if who == "worker" else running.pid
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        at.end(running, killed=victim == running.pid)  # which it is, too, where no worker is there yet
        at.succeed("study", "show", study)
    _mended(at, study)


def _wait_for_runs(study: Path, running: Running) -> None:
    deadline = time.monotonic() + 60
    while not running.over() and time.monotonic() < deadline and not list(study.glob("leases/*")):
        time.sleep(0.01)


def _children(pid: int) -> list[int]:
    """Processes that a process started and that are training."""
    try:
        found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [child for child in found if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()]


def _run_damaged(at: Round) -> None:
    """A file of one of its runs is flipped or gone: the others are shown, and the bad one is named."""
    study = at.originals.copy(at.originals.study, at.room / "studies" / "small")
    run = at.draw.choice(sorted((study / "runs").iterdir()))
    file = at.draw.choice(
        sorted(each for each in run.rglob("*") if each.is_file() and each.stat().st_size and each.name != "log.jsonl")
    )
    file.unlink() if at.draw.random() < 0.2 else file.write_bytes(flipped_once(file.read_bytes(), at.draw))
    (study / "outcomes.json").unlink(missing_ok=True)
    shown = at.interp("study", "show", study)
    at.expect(shown.code == 0 or run.name in shown.err, "wrong", f"the damaged run is not named: {shown.line}")
    verified = at.interp("verify", run)
    if "results/" not in str(file):
        at.expect(verified.code != 0, "wrong", f"verify did not notice that {file.name} is damaged")
    at.interp("study", "report", study, "-o", at.room / "study.html")
    before = {each.name: run_bytes(each) for each in (study / "runs").iterdir() if each != run}
    again = at.interp("study", "run", study)
    at.expect(again.code == 0 or run.name in again.err, "wrong", f"the damaged run is not named: {again.line}")
    for name, data in before.items():
        wrong = differing(run_bytes(study / "runs" / name), data)
        at.expect(not wrong, "lost", f"in a run beside the damaged one, {wrong} changed")


def _plan_damaged(at: Round) -> None:
    """The plan's bytes, or its values, or what is cached beside it."""
    study = at.originals.copy(at.originals.study, at.room / "studies" / "small")
    file = study / at.draw.choice(["study.json", "study.json", "outcomes.json"])
    if file.exists() and at.draw.random() < 0.5:
        values = json.loads(file.read_bytes())
        if isinstance(values, dict):
            values[at.draw.choice([*values])] = at.draw.choice([None, [], {}, -1, "x", 10**400, {"a": 1}])
        file.write_text(json.dumps(values))
    elif file.exists():
        file.write_bytes(at.draw.choice(RAW)(file.read_bytes(), at.draw))
    before = {each.name: run_bytes(each) for each in (study / "runs").iterdir()}
    shown = at.interp("study", "show", study)
    if file.name == "outcomes.json":
        at.expect(shown.code == 0, "wrong", f"a cache that may be deleted was damaged, and: {shown.line}")
        beside = at.originals.copy(at.originals.study, at.room / "beside" / "small")
        expected = at.succeed("study", "show", beside).out.replace(str(beside), str(study))
        at.expect(shown.out == expected, "wrong", "other outcomes since the cache of outcomes is damaged")
    at.interp("study", "list", "--root", study.parent)
    at.interp("study", "report", study, "-o", at.room / "study.html")
    for name, data in before.items():
        wrong = differing(run_bytes(study / "runs" / name), data)
        at.expect(not wrong, "lost", f"looking at a study with a damaged {file.name} changed {wrong} in {name}")


def _plan_changed(at: Round) -> None:
    """Values that are added while it is trained, and a plan of the same name that says something else."""
    study = at.originals.copy(at.originals.planned, at.room / "studies" / "small")
    running = at.start("study", "run", study, "--workers", "2")
    _wait_for_runs(study, running)
    base = at.originals.folder / "base.json"
    new = ("study", "new", study.name, "--root", study.parent, "--recipe", base, "--measures", "progress_measures,weight_norms")
    at.succeed(*new, "--vary", "optimizer.weight-decay=0.5,1.0,2.0", "--seeds", "0-1")
    at.refuse(*new, "--vary", "model.d-mlp=8,16", "--seeds", "0-1")
    at.refuse(
        "study",
        "new",
        study.name,
        "--root",
        study.parent,
        "--recipe",
        "demo",
        "--vary",
        "optimizer.weight-decay=0.5",
        "--seeds",
        "0-1",
    )
    at.expect(at.end(running, 120).code == 0, "wrong", "a study whose plan grew did not end well")
    _mended(at, study)


def _leases_damaged(at: Round) -> None:
    """Leases and failures full of anything."""
    study = at.originals.copy(at.originals.planned, at.room / "studies" / "small")
    for folder in ("leases", "failures"):
        (study / folder).mkdir(exist_ok=True)
        for number in range(at.draw.randint(1, 4)):
            name = at.draw.choice([f"x{number}.1", f"{number}.json", "a.999999999999999999", ".1", "\x1b[31m.2"])
            (study / folder / name).write_bytes(
                at.draw.choice([b"", b"{", b"null", b'{"why": "\\u001b[2J"}', at.draw.randbytes(50)])
            )
    at.succeed("study", "show", study)
    _mended(at, study)


def _mended(at: Round, study: Path) -> None:
    """The same command again, and every run is as in a study that nobody disturbed."""
    done = at.end(at.start("study", "run", study, "--workers", "2"), 120)
    at.expect(done.code == 0, "wrong", f"the same command again does not go on: {done.line}")
    for whole in sorted((at.originals.study / "runs").iterdir()):
        run = study / "runs" / whole.name
        if not run.exists():
            at.fault("lost", f"{whole.name} is missing")
            continue
        wrong = differing(run_bytes(run), run_bytes(whole))
        at.expect(not wrong, "lost", f"other bytes in {whole.name} than in a study that nobody disturbed: {wrong}")
    at.succeed("study", "show", study)


_WAYS: tuple[Callable[[Round], None], ...] = (_killed, _run_damaged, _plan_damaged, _killed, _plan_changed, _leases_damaged)
