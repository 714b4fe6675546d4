"""Mutated configurations and plans: each is trained or refused, and none takes too much memory or time."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mutants import RAW

from vandal.originals import CONFIG
from vandal.rounds import Round

_PATIENCE = 4.0  # seconds; a mutant that is trained by then is an ordinary run, and is ended
_VALUES = (
    0, -1, 1, 2, 2**31, 2**63, 10**30, 10**400, 0.5, -0.0, 1e-320, 1e308, float("inf"), float("nan"), True, None, "", "7", "auto",
    "x" * 5000, "\x1b[31m\x07", "../../outside", "\u202e", "\ud800", [], [1, [2, [3]]], {}, {"p": 5}, [10**6] * 1000,
    "0:1:1000000", "add", "cuda", "nan",
)  # fmt: skip


def configuration(at: Round) -> None:
    """`interp train` with a mutated configuration."""
    file = _file(at, json.loads(CONFIG.to_json()))
    training = at.start("train", file, "--name", "run", "--root", at.room / "runs")
    _patiently(at, training)
    path = at.room / "runs" / "run"
    if (path / "manifest.json").exists():
        at.succeed("verify", path)
        at.succeed("runs", "--root", path.parent)


def plan(at: Round) -> None:
    """`interp study new` with a mutated plan."""
    plan: dict[str, Any] = {
        "recipe": "demo", "seeds": "0-1", "base": {"steps": 10, "threads": 1, "engine": "reference", "task": {"p": 7}},
        "vary": {"optimizer.weight_decay": [0.5, 1.0], "split.fraction": [0.4, 0.8]},
    }  # fmt: skip
    file = _file(at, plan)
    planning = at.start("study", "new", "planned", "--plan", file, "--root", at.room / "studies")
    _patiently(at, planning)
    if (at.room / "studies" / "planned" / "study.json").exists():
        at.succeed("study", "show", at.room / "studies" / "planned")


def _patiently(at: Round, running) -> None:
    """Wait for a command that may be an ordinary, long one."""
    deadline = time.monotonic() + _PATIENCE
    while not running.over() and time.monotonic() < deadline:
        time.sleep(0.01)
    running.signal(signal.SIGTERM)
    at.end(running)


def _file(at: Round, values: dict[str, Any]) -> Path:
    """A file of values of which some were changed, by their structure or by their bytes."""
    for _ in range(at.draw.choice([1, 1, 1, 3])):
        _change(values, at)
    text = json.dumps(values)
    suffix = ".json"
    if at.draw.random() < 0.3 and (written := _toml(values)) is not None:
        text, suffix = written, ".toml"
    data = text.encode("utf-8", errors="surrogatepass")
    if at.draw.random() < 0.15:
        data = at.draw.choice(RAW)(data, at.draw)
    if at.draw.random() < 0.03:
        data = b"[" * 100_000
    path = at.room / f"mutant{suffix}"
    path.write_bytes(data)
    return path


def _change(values: dict[str, Any], at: Round) -> None:
    inner = values
    while (tables := [value for value in inner.values() if isinstance(value, dict)]) and at.draw.random() < 0.6:
        inner = at.draw.choice(tables)
    name = at.draw.choice([*inner]) if inner else "steps"
    ways: list[Callable[[], object]] = [
        lambda: inner.update({name: at.draw.choice(_VALUES)}),
        lambda: inner.update({name: at.draw.choice(_VALUES)}),
        lambda: inner.update({name: at.draw.choice(_VALUES)}),
        lambda: inner.pop(name, None),
        lambda: inner.update({name + at.draw.choice(["s", "_", "\x1b[2J", " "]): 1}),
        lambda: inner.update(
            {at.draw.choice(["__class__", "", "a.b", "task", "x" * 3000]): {"__reduce__": ["os.system", "true"]}}
        ),
    ]
    at.draw.choice(ways)()


def _toml(values: dict[str, Any]) -> str | None:
    """The same as TOML, where TOML can say it."""
    lines = []
    for name, value in values.items():
        if value is None:
            continue
        shown = json.dumps(value, ensure_ascii=False) if not isinstance(value, dict) else _inline(value)
        lines.append(f"{json.dumps(name)} = {shown}".replace("NaN", "nan").replace("Infinity", "inf"))
    text = "\n".join(lines)
    return None if "null" in text else text


def _inline(value: dict[str, Any]) -> str:
    inner = (
        (each, _inline(held) if isinstance(held, dict) else json.dumps(held)) for each, held in value.items() if held is not None
    )
    return "{" + ", ".join(f"{json.dumps(each)} = {shown}" for each, shown in inner) + "}"
