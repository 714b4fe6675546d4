"""Mutants of other people's files, of every kind: each becomes a sound run, or is refused and leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import one_log
from foreign import official_state, save
from foreign_containers import FORMS, SPLIT, models, states
from mutants import RAW, mutate, right

from interp.interop import load_run
from vandal.rounds import Round

# Orbax' folders are written by tensorstore, after which nothing may be forked; test_interop_mutants.py spoils them.
_NAMES = [name for name in FORMS if "orbax" not in name]


def model(at: Round) -> None:
    """A mutant of a model, or of the models of some steps; the kinds of file take turns."""
    form = FORMS[_NAMES[at.number % len(_NAMES)]]
    given, flag = at.room / "given", at.room / "flag"
    given.mkdir()
    path = form.write(given, states())
    must_notice = mutate(path, at.draw, flag) and form.checked and path.is_file()
    options = ("--leaves", form.known.leaves) if form.known.leaves else ()
    how = (*options, "--split", f"{SPLIT.rule}:{SPLIT.seed}:{SPLIT.fraction}")
    before = at.draw.random()
    if before < 0.3:
        at.interp("import", "--explain", path, *how)
        at.expect(not (at.room / "runs").exists(), "wrong", "--explain wrote a run")
    if _imported(at, path, flag, how) and must_notice:
        _right(at, path, form)


def _right(at: Round, path: Path, form) -> None:
    try:
        right(load_run(path, known=replace(form.known, split=SPLIT)), form)
    except AssertionError:
        at.fault("wrong", f"a damaged {path.name} was read as other weights, though it has checksums")


def log(at: Round) -> None:
    """A mutant of a training log beside a sound model; the formats take turns."""
    given = at.room / "given"
    given.mkdir()
    form = one_log.FORMS[at.number % len(one_log.FORMS)]
    path = one_log.write(given, form)
    for _ in range(at.draw.randint(1, 3)):
        if data := path.read_bytes():
            path.write_bytes(at.draw.choice(RAW)(data, at.draw))
    state = save(official_state(models()[0]), at.room / "model.pt")
    _imported(at, state, at.room / "flag", ("--log", path))


def _imported(at: Round, path: Path, flag: Path, how: tuple[str | Path, ...]) -> bool:
    """Import a file; whether that was done."""
    root = at.room / "runs"
    done = at.interp("import", path, "--name", "made", "--root", root, *how).code == 0
    at.expect(not flag.exists(), "executed", f"something in {path.name} was executed")
    if not done:
        left = [each.name for each in root.rglob("*")] if root.exists() else []
        at.expect(not left, "wrong", f"a refused file left {', '.join(left)} behind")
        return False
    at.succeed("verify", root / "made")
    if at.draw.random() < 0.3:
        at.succeed("show", root / "made")
    if at.draw.random() < 0.2:
        at.succeed("report", root / "made", "-o", at.room / "report.html")
    return True
