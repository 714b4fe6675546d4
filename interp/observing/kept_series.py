"""What was measured before checkpoints were thinned out, taken from the files of the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from interp.errors import UsageError, as_list
from interp.observing.analysis import Analysis, Asked, builtin_names, find_analyses
from interp.store.manifest import series_name
from interp.store.packed import unpack_arrays
from interp.store.run import Run
from interp.wording import listed

if TYPE_CHECKING:
    from interp.harmonics.harmonics import Name
    from interp.observing.view import View


Files: TypeAlias = str | Path | Iterable[str | Path]


def is_kept(run: Run, analysis: Analysis) -> bool:
    """Whether the series of an analysis is part of a run whose checkpoints were thinned out, or of a recorded loop's."""
    is_asked_there = run.is_loop or (bool(run.manifest.thinned) and analysis.is_built_in)
    return is_asked_there and analysis.name in run.manifest.series


def needs_nothing(run: Run, analysis: Analysis) -> bool:
    """Whether an analysis of a recorded loop can be had whatever it needs, as it was measured while the loop went on."""
    return run.is_loop and is_kept(run, analysis)


def kept_keys(run: Run) -> tuple[Name, ...] | None:
    """The key frequencies with which a recorded loop was measured; None where there are none, or it is no such run."""
    for name in run.manifest.series if run.is_loop else ():
        _, facts = unpack_arrays(run.read(series_name(name)), where=series_name(name))
        if facts.get("chosen"):
            return tuple(facts["keys"])
    return None


def kept_own(run: Run) -> list[Analysis]:
    """A user's analyses that a recorded loop was measured with, as far as reading them goes: their code is not stored."""
    found = []
    for name in run.manifest.series if run.is_loop else ():
        if name not in builtin_names():
            _, facts = unpack_arrays(run.read(series_name(name)), where=series_name(name))
            found.append(Analysis(name, question=str(facts.get("question", name)), measure=_gone))
    return found


def with_kept(run: Run, asked: Asked, *, files: Files = ()) -> Asked:
    """What is asked, and in the place of names of a user's analyses what reads them; all of them where nothing is named."""
    own = {analysis.name: analysis for analysis in kept_own(run)} if run.is_loop else {}
    if not own:
        return asked
    if asked is None:
        return [*find_analyses(), *own.values()] if not as_list(files, "files", of=(str, Path)) else None
    if isinstance(asked, str | Analysis) or callable(asked):
        asked = [asked]
    return [own.get(one, one) if isinstance(one, str) else one for one in as_list(asked, "analyses", of=(str, Analysis))]


def _gone(view: View) -> NoReturn:
    raise UsageError(f"step {view.step}: it was not measured there while the loop went on, and its code is not stored")


def kept_bytes(run: Run, analysis: Analysis, steps: Sequence[int]) -> bytes | None:
    """The kept series of an analysis, if steps are asked for whose checkpoints are gone; always of a recorded loop."""
    if not is_kept(run, analysis) or (set(steps) <= set(run.steps) and not run.is_loop):
        return None
    return run.read(series_name(analysis.name))


def no_longer_there(run: Run, analysis: Analysis, steps: Sequence[int], keys: tuple[Name, ...]) -> str | None:
    """Why an analysis cannot be had at all of some steps; None if it can."""
    gone = len(set(steps) - set(run.steps))
    if not gone or analysis.at == "last":
        return None
    if not is_kept(run, analysis):
        there = listed(run.steps[:5])
        return f"it was not measured before {gone} of the run's checkpoints were thinned out; those of steps {there} are there"
    _, facts = unpack_arrays(run.read(series_name(analysis.name)), where=series_name(analysis.name))
    if list(keys) != facts["keys"]:
        return f"it was measured with the key frequencies {listed(facts['keys'])} before checkpoints were thinned out"
    return None
