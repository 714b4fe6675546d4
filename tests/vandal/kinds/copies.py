"""A run that is copied, file by file, or renamed, while a process trains it: whatever comes of it, nothing is lost."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from small_study import run_bytes

from vandal.commands import Running
from vandal.kinds.kills import often
from vandal.originals import LONG, differing
from vandal.rounds import Round


def one(at: Round) -> None:
    """Copied, or renamed, at a random moment."""
    path = at.room / "runs" / "run"
    training = at.start("train", at.originals.config(LONG, "long.json"), "--name", "run", "--root", path.parent, before=(often,))
    while not (path / "manifest.json").exists() and not training.over():
        time.sleep(0.002)
    time.sleep(at.draw.random() * 1.0)
    _renamed(at, path, training) if at.draw.random() < 0.4 else _copied(at, path, training)


def _copied(at: Round, path: Path, training: Running) -> None:
    copy = at.room / "copies" / "run"
    files = sorted(each for each in path.rglob("*") if each.is_file())
    at.draw.shuffle(files)
    for file in files:
        target = copy / file.relative_to(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            shutil.copyfile(file, target)
    verified = at.interp("verify", copy)
    if at.interp("resume", copy).code == 0 and verified.code == 0:
        _sound(at, copy)
    at.expect(at.end(training).code == 0, "wrong", "a training that was copied did not end well")
    _sound(at, path)


def _renamed(at: Round, path: Path, training: Running) -> None:
    """Whatever the training makes of it, what was saved is in the renamed folder, and can be gone on with."""
    moved = path.with_name("moved")
    try:
        path.rename(moved)
    except FileNotFoundError:
        return
    at.end(training)
    at.succeed("verify", moved)
    at.succeed("resume", moved)
    _sound(at, moved)
    at.interp("runs", "--root", path.parent)


def _sound(at: Round, path: Path) -> None:
    at.succeed("verify", path)
    wrong = differing(run_bytes(path), run_bytes(at.originals.long))
    at.expect(not wrong, "lost", f"other bytes in {path.name} than those of a run that nobody touched: {wrong}")
