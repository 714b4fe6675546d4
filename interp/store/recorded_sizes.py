"""Whether what a run's folder says of its size can be held here: asked before anything of that size is made."""

from __future__ import annotations

from interp import machine
from interp.errors import DataError

# Bytes for each of the p^2 pairs that whoever looks at a run makes first: their tokens, answers, order and places.
_PAIR = 64
# What any machine has: up to here it is not asked, which takes longer than reading a small run.
_ALWAYS = 64 * 10**6


def check_pairs(p: int, *, where: str) -> None:
    """Refuse a modulus whose p^2 pairs alone are more than this machine's memory: whoever wrote it does not mean this machine.

    Args:
        p: as a file says it.
        where: names the file in the error.

    Raises:
        DataError: with what the pairs take, what there is, and the largest p whose pairs it holds.

    >>> check_pairs(113, where="run.json")
    """
    needed = _PAIR * p * p
    if needed <= _ALWAYS:
        return
    there = machine.available_memory()
    if there is not None and needed > there:
        fits = int((there / _PAIR) ** 0.5)
        raise DataError(
            f"{where}: says p = {p:,}, whose pairs alone take {machine.in_bytes(needed)} of memory, "
            f"{machine.in_bytes(there)} are free (enough for p = {fits:,}); "
            "look at it on a larger machine, or restore the file from a copy"
        )
