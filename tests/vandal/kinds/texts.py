"""Texts that mean to do harm, as names of runs, of studies, of columns of logs, and inside the files of a stranger's run.

A terminal must not be told anything by them, a page not get elements of theirs, and no path lead out of the folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from foreign import official_state, save
from foreign_containers import models

from vandal.originals import CONFIG
from vandal.rehashing import rehash
from vandal.rounds import Round

MARK = "vandal-mark"
_TEXTS = (
    f"<{MARK}>", f"</script><{MARK} onload=x>", f"\"><{MARK}>", f"'><{MARK}>", f"<!--<script><{MARK}>", "\x1b[2J\x1b]0;owned\x07",
    "a\nb", "a\rb", "\x9b31m", "\u202egnp.exe", "\u2066x\u2069", "\u2028", "[red]x[/red]", "[/]", "{0.__class__}", "%s%n",
    "{{7*7}}", "../../outside", "/tmp/outside", "..", ".", "-rf", "--help", "a" * 300, "con", "nul\x00", "\ud800", "é" * 200, " ",
    "", "$(touch flag)", "`touch flag`", "; touch flag", "\\u003c",
)  # fmt: skip


def one(at: Round) -> None:
    """A hostile text in one of the places where a stranger can put one."""
    text = at.draw.choice(_TEXTS)
    if at.draw.random() < 0.3:
        text += at.draw.choice(_TEXTS)
    (_named, _inside, _logged, _asked)[at.number % 4](at, text)
    at.expect(not list(at.folder.rglob("flag")), "executed", "a text was executed")


def _named(at: Round, text: str) -> None:
    """As the name of a run, given to a command, and found in a folder."""
    root = at.room / "runs"
    at.interp("train", at.originals.config(CONFIG), "--name", text, "--root", root)
    outside = [each.name for each in at.folder.iterdir() if each.name not in ("room", "said")]
    at.expect(not outside, "outside", f"the name {text!a} led out: {outside}")
    try:
        at.originals.copy(at.originals.whole, root / text.replace("/", "_").replace("\0", "")[:120])
    except OSError:  # the system has no such name, or it is taken
        return
    _look(at, root)


def _inside(at: Round, text: str) -> None:
    """In the files of a run that somebody sent, with right hashes."""
    path = at.originals.copy(at.originals.whole, at.room / "runs" / "run")
    facts = json.loads((path / "run.json").read_bytes())
    for _ in range(at.draw.randint(1, 3)):
        _put(facts, text, at)
    _write(path / "run.json", facts)
    if at.draw.random() < 0.3:
        manifest = json.loads((path / "manifest.json").read_bytes())
        manifest[at.draw.choice(["reason", "status"])] = text
        _write(path / "manifest.json", manifest)
    if at.draw.random() < 0.3:
        with (path / "log.jsonl").open("a") as file:
            file.write(json.dumps({"time": text, "event": text}) + "\n")
    rehash(path)
    _look(at, path.parent)


def _put(facts: dict[str, Any], text: str, at: Round) -> None:
    inner = facts
    while (tables := [value for value in inner.values() if isinstance(value, dict)]) and at.draw.random() < 0.7:
        inner = at.draw.choice(tables)
    inner[at.draw.choice([*inner])] = text


def _logged(at: Round, text: str) -> None:
    """In the header and the cells of somebody's training log, and in the names of a model's tensors."""
    cell = text.replace(",", "").replace("\n", "").replace("\r", "").replace("\ud800", "")
    (at.room / "log.csv").write_text(f"step,train_loss,{cell}\n0,1,{cell}\n10,0.5,2\n", encoding="utf-8")
    state = official_state(models()[0])
    if "\ud800" not in text:
        state[text] = next(iter(state.values()))
    path = save(state, at.room / "model.pt")
    at.interp("import", "--explain", path, "--log", at.room / "log.csv")
    if at.interp("import", path, "--log", at.room / "log.csv", "--root", at.room / "runs", "--name", "run").code == 0:
        _look(at, at.room / "runs")


def _asked(at: Round, text: str) -> None:
    """In whatever a command is asked for."""
    run = at.originals.copy(at.originals.whole, at.room / "runs" / "run")
    commands: tuple[tuple[object, ...], ...] = (
        ("show", text), ("verify", text), ("report", text, "-o", at.room / "r.html"), ("analyze", run, "-a", text),
        ("train", text), ("train", "demo", "--recipe", text, "--task.p", "3", "--steps", "1"), ("study", "show", text),
        ("import", text), (text,), ("figure", run, text), ("runs", "--root", text), ("report", run, "--key-rule", text),
        ("analyze", run, "--steps", text), ("study", text), ("resume", text), ("watch", text), ("export", run, "--format", text),
        ("figure", run, "--neuron", text),
    )  # fmt: skip
    for command in at.draw.sample(commands, 5):
        at.interp(*command)


def _look(at: Round, root: Path) -> None:
    """Everything that shows what is in a folder."""
    at.listed(root)
    at.listed(root, "--json")
    found = sorted(each for each in root.iterdir() if each.is_dir()) if root.is_dir() else []
    for path in found[:2]:
        at.interp("show", path)
        at.interp("verify", path)
        page = at.room / "report.html"
        page.unlink(missing_ok=True)
        at.interp("report", path, "-a", "weight_norms", "-o", page)
        if page.exists():
            at.expect(f"<{MARK}" not in page.read_text(encoding="utf-8"), "executed", "a text became an element of the page")


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))
