"""One bad run among good ones: the list has the others and names the bad one, and what compares runs says which it cannot."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from mutants import flipped_once, truncated

from vandal.rounds import Round


def one(at: Round) -> None:
    """Three runs, of which one is bad in one of many ways."""
    root = at.room / "runs"
    good = [at.originals.copy(at.originals.whole, root / name) for name in ("first", "third")]
    bad = at.originals.copy(at.originals.whole, root / "second")
    _WAYS[at.number % len(_WAYS)](at, bad)
    for arguments in ((), ("--json",)):
        said = at.listed(root, *arguments)
        at.expect("first" in said.out and "third" in said.out, "wrong", f"the good runs are not listed: {said.line}")
        if bad.exists() or bad.is_symlink():
            at.expect("second" in said.out + said.err, "wrong", f"the bad run is not named: {said.line}")
    at.interp("show", bad)
    at.interp("verify", bad)
    at.interp("resume", bad)
    at.interp("analyze", bad, "-a", "weight_norms")
    for path in good:
        at.succeed("verify", path)
    page = at.room / "all.html"
    said = at.interp("report", *good, bad, "-a", "weight_norms", "-o", page)
    at.expect(said.code == 0 or "second" in said.err, "wrong", f"the bad run is not named: {said.line}")


def _without(name: str) -> Callable[[Round, Path], None]:
    return lambda at, run: (run / name).unlink()


def _bytes(name: str) -> Callable[[Round, Path], None]:
    def change(at: Round, run: Path) -> None:
        data = (run / name).read_bytes()
        (run / name).write_bytes(
            at.draw.choice(
                [b"", b"{}", b"[]", b"null", b"\xff\xfe\0", truncated(data, at.draw), flipped_once(data, at.draw), data * 3]
            )
        )

    return change


def _values(name: str) -> Callable[[Round, Path], None]:
    """Valid JSON whose values are of another sort."""

    def change(at: Round, run: Path) -> None:
        values = json.loads((run / name).read_bytes())
        values[at.draw.choice([*values])] = at.draw.choice([None, [], {}, -1, "x", 10**400, [[]], True, {"a": {"b": 1}}])
        (run / name).write_text(json.dumps(values))

    return change


def _deep(at: Round, run: Path) -> None:
    (run / at.draw.choice(["manifest.json", "run.json"])).write_bytes(b'{"files":' + b"[" * 200_000)


def _escaping(at: Round, run: Path) -> None:
    """A manifest that names files elsewhere."""
    values = json.loads((run / "manifest.json").read_bytes())
    name = at.draw.choice(["../../../outside", "/etc/passwd", "checkpoints/../../first/run.json", "a\0b", "x" * 5000, ""])
    values["files"][name] = next(iter(values["files"].values()))
    (run / "manifest.json").write_text(json.dumps(values))


def _pipe(at: Round, run: Path) -> None:
    """A file that never ends, or that nobody writes to."""
    file = run / at.draw.choice(
        ["manifest.json", "run.json", "split.safetensors", "history.jsonl", "checkpoints/step_00000000.safetensors"]
    )
    file.unlink()
    os.mkfifo(file) if at.draw.random() < 0.5 else file.symlink_to("/dev/zero")


def _links(at: Round, run: Path) -> None:
    """Folders that are links: to themselves, or out of the run."""
    outside = at.folder / "elsewhere"
    outside.mkdir()
    shutil.rmtree(run / "results", ignore_errors=True)
    if at.draw.random() < 0.5:
        (run / "results").symlink_to(outside)
    else:
        (run / "results").symlink_to(run / "results")


def _list_kept(at: Round, run: Path) -> None:
    """What is kept beside the runs, so that they are listed sooner."""
    at.succeed("runs", "--root", run.parent)
    for file in [each for each in run.parent.iterdir() if each.is_file()]:
        file.write_bytes(
            at.draw.choice([b"", b"{}", b"[]", truncated(file.read_bytes(), at.draw), flipped_once(file.read_bytes(), at.draw)])
        )


def _lengths(at: Round, run: Path) -> None:
    """Tensors that claim sizes no file has."""
    file = at.draw.choice(sorted((run / "checkpoints").iterdir()))
    file.write_bytes(at.draw.choice([b"\xff" * 8, (2**40).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"{}"]))


_WAYS: tuple[Callable[[Round, Path], None], ...] = (
    _bytes("manifest.json"), _pipe, _links, _bytes("run.json"), _without("run.json"), _escaping, _without("split.safetensors"),
    _values("manifest.json"), _deep, _values("run.json"), _lengths, _without("history.jsonl"), _bytes("history.jsonl"),
    _bytes("split.safetensors"), _list_kept,
)  # fmt: skip
