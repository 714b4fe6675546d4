"""What was measured before checkpoints were thinned out, taken from the files of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from interp.observing.analysis import Analysis
from interp.store.manifest import series_name
from interp.store.packed import unpack_arrays
from interp.store.run import Run
from interp.wording import listed

if TYPE_CHECKING:
    from interp.harmonics.harmonics import Name


def is_kept(run: Run, analysis: Analysis) -> bool:
    """Whether the series of an analysis is part of a run whose checkpoints were thinned out."""
    return bool(run.manifest.thinned) and analysis.is_built_in and analysis.name in run.manifest.series


def kept_bytes(run: Run, analysis: Analysis, steps: Sequence[int]) -> bytes | None:
    """The kept series of an analysis, if steps are asked for whose checkpoints are gone."""
    if not is_kept(run, analysis) or set(steps) <= set(run.steps):
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
