"""What mending a run has done with each of its files, and what follows from it, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from interp.store.findings import Finding
from interp.store.manifest import HISTORY, LOG, MOMENTS, RESULTS, RESUME, SERIES, Manifest, step_of


@dataclass(frozen=True)
class Changes:
    """What was changed.

    Args:
        before: what the run held.
        after: what it holds now.
        wrong: the files of which something was wrong, but for those without which it makes no sense.
        there: those of them that were there at all.
    """

    before: Manifest
    after: Manifest
    wrong: frozenset[str]
    there: frozenset[str]


def explain(changes: Changes) -> Iterator[Finding]:
    """A line for each file that was set aside, is missing, was put back or taken again."""
    before, after = changes.before, changes.after
    for name in sorted(changes.wrong | after.set_aside.keys() | before.set_aside.keys()):
        if name in before.set_aside and name in after.files:
            yield _note(name, "taken again: it is the file that was set aside earlier")
        elif name in before.files and name in after.files and name in changes.wrong and name != HISTORY:
            yield _note(name, "put back: it lay under another name")
        elif name in changes.wrong or (name in after.set_aside and name not in before.set_aside):
            yield _note(name, f"{'set aside' if name in changes.there else 'missing'}: {_meaning(name, changes)}")


def _meaning(name: str, changes: Changes) -> str:
    after, step = changes.after, step_of(name)
    if name == RESUME:
        is_back = RESUME not in after.set_aside
        lost = "no kept state is there to go back to, so the run can be read but not resumed"
        return f"resuming goes on from step {after.step}, the last state that is sound" if is_back else lost
    if name == HISTORY:
        lost = "the run has no losses, and nothing in it can be dated" + ("" if after.final else "; it cannot be resumed")
        return "what followed its end; the history itself is sound" if name in after.files else lost
    if step is not None and name in after.set_aside:
        return f"the series of checkpoints has a hole at step {step}"
    is_own = name in after.set_aside or not name.startswith((f"{MOMENTS}/", f"{SERIES}/"))
    return next((told for start, told in _MEANINGS.items() if is_own and name.startswith(start)), "it is none of the run's files")


_MEANINGS = {
    LOG: "what follows the damage; the lines before stay",
    f"{RESULTS}/": "it is measured anew when it is asked for",
    f"{MOMENTS}/": "no run can begin from this state",
    f"{SERIES}/": "what was measured is lost, since its checkpoints are gone",
}


def _note(name: str, what: str) -> Finding:
    return Finding(name, what, "note")
