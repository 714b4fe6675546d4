"""Configurations that are far too large: refused before anything is written, with the size and the largest that fits."""

from __future__ import annotations

import re

from vandal.rounds import Round

_NUMBER = re.compile(r"\d")


def one(at: Round) -> None:
    """One field, or several, with a size that no machine has room for."""
    power = at.draw.randint(5, 12)
    big = 10**power
    fields = {
        "p": ("--task.p", big + 1),
        "d_model": ("--model.d-model", 4 * big),
        "d_mlp": ("--model.d-mlp", 100 * big),
        "heads": ("--model.n-heads", big, "--model.d-model", big),
        "steps": ("--steps", 10 ** max(power, 10)),
        "checkpoints": ("--checkpoints.every", 1, "--checkpoints.log", 0, "--steps", 10 ** max(power, 9)),
        "log": ("--checkpoints.log", big, "--steps", 10 ** max(power, 9)),
        "both": ("--task.p", 9973, "--model.d-mlp", 10**6),
    }
    name = [*fields, "seeds", "values"][at.number % (len(fields) + 2)]
    if name in ("seeds", "values"):
        _study(at, name, big)
        return
    said = at.refuse("train", "demo", *fields[name], "--name", "run", "--root", at.room / "runs")
    at.expect(bool(_NUMBER.search(said.err)), "wrong", f"no number is given: {said.line}")
    at.expect(not (at.room / "runs" / "run" / "manifest.json").exists(), "wrong", f"a run was begun: {said.line}")


def _study(at: Round, name: str, big: int) -> None:
    """A study with more runs than anybody can train."""
    vary = f"optimizer.weight-decay=0.1:9:{big}" if name == "values" else "optimizer.weight-decay=1,2"
    seeds = f"0-{big}" if name == "seeds" else "0"
    said = at.refuse("study", "new", "large", "--root", at.room / "studies", "--vary", vary, "--seeds", seeds)
    at.expect(bool(_NUMBER.search(said.err)), "wrong", f"no number is given: {said.line}")
    at.expect(not (at.room / "studies" / "large").exists(), "wrong", f"a plan was written: {said.line}")
