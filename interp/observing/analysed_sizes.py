"""Whether a run's models can be measured here: neurons and logits over all p^2 pairs, of each checkpoint measured at once.

Asked before any is computed, and without torch.
"""

from __future__ import annotations

import logging

from interp import machine
from interp.errors import UsageError
from interp.wording import counted

log = logging.getLogger("interp")

# Bytes for each pair, in float32: neurons are kept about 5 times over, logits about 45 times, by the measures together.
_NEURON, _CLASS, _FIXED = 5.5, 45, 60e6


def measuring_bytes(p: int, d_mlp: int, *, at_once: int = 1, width: int = 4) -> float:
    """Bytes that measuring takes at its peak, by estimate.

    Args:
        p: the modulus; there are p^2 pairs and about p classes.
        d_mlp: number of neurons.
        at_once: checkpoints that are measured at once.
        width: bytes of a number.

    >>> measuring_bytes(997, 512) > 40e9
    True
    """
    return _FIXED + at_once * p**2 * (_NEURON * d_mlp + _CLASS * p) * width / 4


def room_for_measuring(p: int, d_mlp: int, *, wanted: int = 1, width: int = 4, force: bool = False) -> int:
    """How many checkpoints can be measured at once: as many as are wanted, or fewer where memory is short.

    Args:
        p: the modulus.
        d_mlp: number of neurons.
        wanted: as many at most.
        width: bytes of a number.
        force: one at a time even if the memory does not suffice for one.

    Raises:
        UsageError: if it does not suffice for one: with what is needed, what there is, and the largest p for which it would.
    """
    there = machine.available_memory()
    sizes = {"d_mlp": d_mlp, "width": width}
    if there is None or measuring_bytes(p, at_once=wanted, **sizes) <= there:
        return wanted
    needed = measuring_bytes(p, **sizes)
    if needed <= there:
        fits = int((there - _FIXED) / (needed - _FIXED))
        log.info("memory is short: %s measured at once", counted(fits, "checkpoint"))
        return fits
    problem = (
        f"task.p: p = {p:,} and {d_mlp:,} neurons: neurons and logits over all {p**2:,} pairs take, by estimate, "
        f"{machine.in_bytes(needed)} of memory to be measured, {machine.in_bytes(there)} are free"
    )
    if not force:
        raise UsageError(f"{problem}; {_largest(there, d_mlp, width)}insist with --force (in Python, force=True)")
    log.warning("%s; measured all the same, as insisted", problem)
    return 1


def _largest(there: float, d_mlp: int, width: int) -> str:
    low, high = 1, 2**31
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if measuring_bytes(middle, d_mlp, width=width) <= there else (low, middle)
    return f"the largest p that fits is {low:,}; or " if low > 1 else ""
