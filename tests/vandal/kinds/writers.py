"""Several processes that want to write one run: one does, the others say so or find it done; or all look at once."""

from __future__ import annotations

import time

from small_study import run_bytes

from vandal.originals import LONG, differing
from vandal.rounds import Round


def one(at: Round) -> None:
    """Two to four at once."""
    _looking(at) if at.draw.random() < 0.3 else _training(at)


def _training(at: Round) -> None:
    path = at.room / "runs" / "run"
    train = ("train", at.originals.config(LONG, "long.json"), "--name", "run", "--root", path.parent)
    started = []
    for _ in range(at.draw.randint(2, 4)):
        started.append(at.start(*(("resume", path) if (path / "run.json").exists() and at.draw.random() < 0.3 else train)))
        time.sleep(at.draw.choice([0.0, 0.0, at.draw.random()]))
    codes = [at.end(running).code for running in started]
    at.expect(0 in codes, "wrong", f"none of {len(codes)} that wanted to train it did: {codes}")
    at.succeed("verify", path)
    wrong = differing(run_bytes(path), run_bytes(at.originals.long))
    at.expect(not wrong, "lost", f"other bytes than one alone writes: {wrong}")


def _looking(at: Round) -> None:
    """Several measure at once, and what is stored afterwards is whole."""
    path = at.originals.copy(at.originals.whole, at.room / "runs" / "run")
    started = [at.start("analyze", path, "-a", "weight_norms") for _ in range(3)]
    said = [at.end(running) for running in started]
    at.expect(all(each.code == 0 for each in said), "wrong", "not all of three that measured at once could")
    at.expect(len({each.out for each in said}) == 1, "wrong", "three that measured at once found different numbers")
    at.succeed("verify", path)
    again = at.succeed("analyze", path, "-a", "weight_norms")
    at.expect(again.out == said[0].out, "wrong", "what was stored by several at once is not what they found")
