"""A disk that gets full while a run is written to it: what was saved can be looked at, and with more room it goes on."""

from __future__ import annotations

import resource
from pathlib import Path

from small_study import run_bytes

from vandal.disks import mounted, resize
from vandal.kinds.kills import often
from vandal.originals import LONG, differing
from vandal.rounds import Round

_PAGE = 4096


def one(at: Round) -> None:
    """A run on a disk that is too small, or on one that is full later."""
    original = at.originals.long
    needed = sum(path.stat().st_size for path in original.rglob("*") if path.is_file())
    room = int(at.draw.choice([at.draw.uniform(0, 0.1), at.draw.uniform(0, 1.3)]) * needed) // _PAGE * _PAGE + _PAGE
    with mounted(at.folder / "room" / "disk", room) as disk:
        if disk is None:
            at.makeshift = "no tmpfs could be mounted: files were limited in size instead (RLIMIT_FSIZE)"
            _limited(at, original)
            return
        path = disk / "runs" / "run"
        train = ("train", at.originals.config(LONG, "long.json"), "--name", "run", "--root", path.parent)
        at.interp(*train, before=(often,))
        _look(at, path)
        resize(disk, 64 * 2**20)
        _to_the_end(at, train, path, original)


def _look(at: Round, path: Path) -> None:
    """Looking works on a disk that is full."""
    if not (path / "manifest.json").exists():
        at.listed(path.parent)
        return
    at.succeed("verify", path)
    at.listed(path.parent)
    if any((path / "checkpoints").glob("step_*")):
        at.succeed("show", path)
        at.succeed("analyze", path, "-a", "weight_norms")
        at.succeed("report", path, "-a", "weight_norms", "-o", at.room / "report.html")
        at.refuse("report", path, "-a", "weight_norms", "-o", path.parent / "report.html")
        at.expect(not (path.parent / "report.html").exists(), "lost", "half a report was left on the full disk")


def _to_the_end(at: Round, train: tuple[object, ...], path: Path, original: Path) -> None:
    at.succeed(*train)
    if (path / "manifest.json").exists():
        wrong = differing(run_bytes(path), run_bytes(original))
        at.expect(not wrong, "lost", f"other bytes than with enough room: {wrong}")


def _limited(at: Round, original: Path) -> None:
    """No file may grow beyond a size."""
    size = at.draw.randrange(1000, 100_000)
    path = at.room / "runs" / "run"
    train = ("train", at.originals.config(LONG, "long.json"), "--name", "run", "--root", path.parent)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    at.interp(*train, before=(often, limit))
    if (path / "manifest.json").exists():
        at.succeed("verify", path)
    _to_the_end(at, train, path, original)
