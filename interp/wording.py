"""Numbers of things in words, for whoever reads what the toolkit says."""

from __future__ import annotations

from collections.abc import Sequence


def counted(n: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "checkpoint"), counted(12_000, "step"), counted(0, "spike")
    ('1 checkpoint', '12,000 steps', '0 spikes')
    """
    return f"{signed(n)} {noun}{'' if abs(n) == 1 else 's'}"


def signed(n: int) -> str:
    """A whole number that may be negative, with the sign of mathematics for minus.

    >>> signed(-1_234), signed(17)
    ('\u22121,234', '17')
    """
    return f"{n:,}".replace("-", "\u2212")


def checkpoints(steps: Sequence[int]) -> str:
    """How many checkpoints, and from where to where.

    >>> checkpoints([0, 5, 10]), checkpoints([5])
    ('3 checkpoints, steps 0 to 10', '1 checkpoint, step 5')
    """
    span = "" if not steps else f", step {steps[0]}" if len(steps) == 1 else f", steps {steps[0]} to {steps[-1]}"
    return f"{counted(len(steps), 'checkpoint')}{span}"


def percent(share: float) -> str:
    """A share as a percentage that never rounds up to 100 or down to 0.

    >>> percent(0.99996), percent(1.0), percent(0.1234)
    ('> 99.9 %', '100 %', '12 %')
    """
    if 0.999 < share < 1:
        return "> 99.9 %"
    if 0 < share < 0.001:
        return "< 0.1 %"
    digits = 1 if share > 0.99 or share < 0.095 else 0
    return f"{100 * share:.{digits}f} %".replace(".0 %", " %")
