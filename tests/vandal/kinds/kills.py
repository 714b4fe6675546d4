"""SIGKILL at random moments of a training, again and again, then on to the end: every byte is that of a run left alone."""

from __future__ import annotations

import signal
import time

from small_study import run_bytes

from interp.keeping import session
from interp.store.run import open_run
from vandal.originals import LONG, differing
from vandal.rounds import Round


def often() -> None:
    """Commit every few steps, so that there is more to lose."""
    session.COMMIT_SECONDS, session.COMMIT_SHARE = 0.02, float("inf")


def one(at: Round) -> None:
    """A training that is killed one to four times."""
    original = at.originals.long
    path = at.room / "runs" / "run"
    train = ("train", at.originals.config(LONG, "long.json"), "--name", "run", "--root", path.parent)
    before = (often,) if at.draw.random() < 0.7 else ()
    committed = -1
    for _ in range(at.draw.randint(1, 4)):
        is_begun = (path / "manifest.json").exists()
        command = ("resume", path) if is_begun and at.draw.random() < 0.5 else train
        training = at.start(*command, before=before)
        time.sleep(at.draw.random() * 2.0)
        training.signal(at.draw.choice([signal.SIGKILL] * 4 + [signal.SIGTERM, signal.SIGINT]))
        at.end(training, killed=True)
        if not (path / "manifest.json").exists():
            continue
        at.succeed("verify", path)
        step = open_run(path).manifest.step
        now = -1 if step is None else step
        at.expect(now >= committed, "lost", f"step {committed} was committed, and after a kill only {now} is")
        committed = now
    at.succeed(*train)
    if (path / "manifest.json").exists():
        wrong = differing(run_bytes(path), run_bytes(original))
        at.expect(not wrong, "lost", f"other bytes than without the kills: {wrong}")
