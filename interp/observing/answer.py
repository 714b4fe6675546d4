"""What became of a run, in one sentence: how it ended, when it grokked, what it is, and by how many frequencies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite

from interp.errors import DataError, NotFiniteError, UsageError
from interp.measures.dating import Phases
from interp.observing.series import About, about
from interp.store.run import Run
from interp.wording import key_nouns, listed, percent

_LAST = ("memorizer_or_generalizer", "clock_or_pizza")
_GENERALIZATION = {
    "generalizer": "a generalizer", "memorizer": "a memorizer", "between": "between memorizer and generalizer",
    "untrained": "training pairs not learned",
}  # fmt: skip
_ALGORITHM = {"clock": "a clock", "pizza": "a pizza", "neither": "neither clock nor pizza"}


@dataclass(frozen=True)
class Answer:
    """What became of a run.

    Args:
        outcome: see `interp.measures.Phases`.
        grokked: from which step on it answers the test pairs, in words; None if it does not.
        generalization: what its last checkpoint is, by the verdict on it; None where it was not asked or cannot be told.
        algorithm: likewise.
        key_frequencies: how many there are, where they stand out.
        sentence: all of it.
        why_unknown: why there is no outcome, or no verdict, where there is none.
    """

    outcome: str
    grokked: str | None
    generalization: str | None
    algorithm: str | None
    key_frequencies: int | None
    sentence: str
    why_unknown: str | None = None


def answer(run: Run) -> Answer:
    """What became of a run: its history dates it, and its last checkpoint is measured.

    Where that cannot be measured (it takes more memory than there is, it is damaged, the network is another), the sentence says
    what the history does.
    """
    found = at_the_last(run)
    return replace(found, sentence=at_present(run, found.sentence))


def at_the_last(run: Run) -> Answer:
    """The same as of the last checkpoint, whether or not the run goes on."""
    from interp.observing.described import history_series  # takes half a second

    known, why = about(history_series(run)), None
    last: About | None = None
    try:
        last = _at_the_end(run)
    except (UsageError, DataError, NotFiniteError) as error:
        why = str(error)
    return told(run, known.phases, last, why=why)


def at_present(run: Run, sentence: str) -> str:
    """A sentence about a run, and that it is not finished, if it is not."""
    if run.manifest.final:
        return sentence
    step = run.manifest.step or 0
    return f"{sentence}, {'still training' if run.status == 'running' else 'interrupted'} at step {step:,}"


def told(run: Run, phases: Phases | None, last: About | None, *, why: str | None = None) -> Answer:
    """The answer that follows from a run's phases and from what was seen of its last checkpoint."""
    verdicts = {} if last is None else {name: since.verdict for name, since in last.verdicts.items()}
    keys = len(last.key_frequencies) if last is not None and last.key_frequencies and last.stands_out else None
    general, algorithm = verdicts.get("generalization"), verdicts.get("algorithm")
    parts = [_ending(run, phases)]
    if general is not None and (general != "untrained" or phases is None or phases.memorized is not None):
        parts.append(_GENERALIZATION[general])
    if general == "generalizer" and algorithm in _ALGORITHM:
        parts.append(_ALGORITHM[algorithm])
    if keys is not None and general != "memorizer" and last is not None:
        names = last.key_frequencies or ()
        parts.append(f"{keys} key {key_nouns(names)[keys > 1]} ({listed(names)})")
    date = None if phases is None or phases.grokked is None else str(phases.grokked)
    return Answer(
        "unknown" if phases is None else phases.outcome,
        date,
        general,
        algorithm,
        keys,
        ", ".join(parts),
        why or _why(run, phases),
    )


def _at_the_end(run: Run) -> About | None:
    if not run.steps:
        return None
    from interp.observing.observe import observe  # takes a second or two

    return about(observe(run, list(_LAST), steps=run.steps[-1]))


def _ending(run: Run, phases: Phases | None) -> str:
    """How it ended, of which test accuracy is the measure."""
    if phases is None or phases.undated:
        return "when it learned what is not known"
    right = run.columns.get("test_accuracy")
    seen = [] if right is None else [float(value) for value in right if isfinite(value)]
    at_end = f"test accuracy {percent(seen[-1])}" if seen else "test accuracy not known"
    if phases.grokked is not None:
        known = phases.reached.get("grokked")
        since = str(known) if known is not None and known.dips else str(phases.grokked)
        together = " (with its training pairs, without a plateau)" if phases.outcome == "comprehension" else ""
        return f"grokked at {since}{together}"
    if known := phases.reached.get("grokked"):
        return (
            f"grokked, but lost again: {at_end} at the end" if known.is_lost else f"grokked before its history begins, {at_end}"
        )
    grokked = "not grokked" if seen else "whether it grokked is not known"
    if phases.memorized is not None:
        return f"{grokked}: memorized at {phases.memorized}, {at_end} at the end"
    if known := phases.reached.get("memorized"):
        since = "it lost its training pairs again" if known.is_lost else "memorized before its history begins"
        return f"{grokked}: {since}, {at_end} at the end"
    return f"not memorized: {at_end} at the end"


def _why(run: Run, phases: Phases | None) -> str | None:
    """Why the outcome is not known, if it is not."""
    if phases is None:
        return "its history has no accuracies"
    if phases.undated:
        return phases.undated
    if phases.outcome != "unknown":
        return None
    for part in ("train", "test"):
        right = run.columns.get(f"{part}_accuracy")
        count = 0 if right is None else sum(map(isfinite, right))
        if count < 2:  # a crossing lies between two
            return f"its history has {'one' if count else 'no'} {part} accuracy{' alone' if count else ''}"
    return "the measurements around the crossings lie too far apart to tell grokking from comprehension"
