"""Phases in words, one line each, and the dips of one: counted, dated, and named loss spikes where the training loss says so."""

from __future__ import annotations

from collections.abc import Collection

from interp.measures.dating import Phases
from interp.measures.dips import Dip, Reached
from interp.wording import counted, percent

# Up to so many dips are named one by one.
_NAMED = 4
_NAMES = ("memorized", "onset", "cleanup", "grokked", "settled")


# The accuracy that a phase is dated by, or needs.
NEEDS = {"memorized": "train_accuracy", "cleanup": "train_accuracy", "grokked": "test_accuracy"}


def phases_in_words(found: Phases, *, known: Collection[str] | None = None) -> dict[str, str]:
    """What is known of each phase: its first step with its interval, since when it has held for good, and the dips between.

    Args:
        known: the curves that the history has, by which a phase that has none is called unknown; by default all.
    """
    told = {name: _phase(found, name) for name in _NAMES}
    if known is None or found.undated:
        return told
    return told | {name: without(curve) for name, curve in NEEDS.items() if curve not in known}


def without(curve: str) -> str:
    """Why nothing is known that needs a curve which a history lacks.

    >>> without("train_accuracy")
    'not known: the history has no train accuracy'
    """
    return f"not known: the history has no {curve.replace('_', ' ')}"


def outcome_in_words(found: Phases) -> str:
    """Why nothing is dated, or the outcome, and that it was lost again where the last measurement says so.

    >>> dip = Dip(start=900, worst=900, end=None, value=0.4)
    >>> lost = Reached(None, None, (dip,), span=(0, 900))
    >>> outcome_in_words(Phases(None, None, None, None, None, "grokking", reached={"grokked": lost}))
    'grokking, but lost again at step 900'
    """
    if found.undated:
        return found.undated
    known = found.reached.get("grokked")
    if found.outcome in ("grokking", "comprehension") and known is not None and known.is_lost:
        return f"{found.outcome}, but lost again at step {known.dips[-1].start:,}"
    return found.outcome


def _phase(found: Phases, name: str) -> str:
    if found.undated:
        return found.undated
    known = found.reached.get(name)
    if known is not None and known.is_lost and len(known.dips) == 1:  # the step is said already
        spike = ", a loss spike" if known.dips[0].is_spike else ""
        return f"{known} ({_value(known.dips[0], is_share=name != 'cleanup')}{spike})"
    if known is not None and known.dips:
        return f"{known}: {dips_in_words(known, is_share=name != 'cleanup')}"
    boundary = getattr(found, name)
    return "-" if boundary is None else str(boundary)


def dips_in_words(found: Reached, *, is_share: bool) -> str:
    """The dips, each with its step and worst value; of many, how many there are, from where to where, and the worst.

    >>> dips = tuple(Dip(start=step, worst=step, end=step + 100, value=0.87, is_spike=step > 50) for step in (0, 200))
    >>> dips_in_words(Reached(None, None, dips, span=(0, 300)), is_share=True)
    'step 0 (87 %, back at step 100) and step 200 (87 %, back at step 300, a loss spike)'
    """
    dips = found.dips
    if len(dips) <= _NAMED:
        named = [_named(dip, is_share=is_share) for dip in dips]
        return " and ".join(part for part in (", ".join(named[:-1]), named[-1]) if part)
    worst = min(dips, key=lambda dip: dip.value if is_share else -dip.value)
    spikes = sum(bool(dip.is_spike) for dip in dips)
    known = f"; {spikes if spikes < len(dips) else 'all'} of them loss spikes" if spikes else ""
    between = f"{counted(len(dips), 'dip')} between step {dips[0].start:,} and step {dips[-1].start:,}"
    return f"{between}, the worst at step {worst.worst:,} ({_value(worst, is_share=is_share)}){known}"


def _named(dip: Dip, *, is_share: bool) -> str:
    back = "not back" if dip.end is None else f"back at step {dip.end:,}"
    parts = [_value(dip, is_share=is_share), back, *(["a loss spike"] if dip.is_spike else [])]
    return f"step {dip.start:,} ({', '.join(parts)})"


def _value(dip: Dip, *, is_share: bool) -> str:
    return percent(dip.value) if is_share else f"{dip.value:.3g} nats"
