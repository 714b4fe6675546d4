"""`interp` whose training rests after each step: the page beside it gives way to it, and on one core would wait for its turn.

python tests/unhurried.py COMMAND...
"""

from __future__ import annotations

import time

from interp.cli import main
from interp.training.loop import Training

REST_SECONDS = 0.01


def rest() -> None:
    """Let every training of this process rest after each of its steps."""
    original = Training._step

    def step(training, train_loss):
        found = original(training, train_loss)
        time.sleep(REST_SECONDS)
        return found

    Training._step = step


if __name__ == "__main__":
    rest()
    main()
