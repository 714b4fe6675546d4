"""What a study's runs measured besides their row: every measure of one number a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.errors import DataError
from interp.store.manifest import MANIFEST, SERIES
from interp.store.packed import unpack_arrays
from interp.store.run import Run, open_run

if TYPE_CHECKING:
    from interp.studies.study import Study

# Steps and values.
Series = tuple[np.ndarray, np.ndarray]


def with_last_measured(study: Study, found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A study's rows with the last value of every measure, of the runs at their end; damaged ones as they were."""
    complete: list[Mapping[str, Any]] = []
    for row in found:
        path, last = study.path_of(row["run"]), {}
        if row["status"] in ("finished", "stopped") and (path / MANIFEST).is_file():
            try:
                series = measured_series(open_run(path), study.measures if study.keep == "all" else ())
                last = {name: float(values[-1]) for name, (_, values) in series.items()}
            except (DataError, OSError):
                last = {}
        complete.append({**row, **{name: value for name, value in last.items() if name not in row}})
    return complete


def measured_series(run: Run, measures: Sequence[str] = ()) -> dict[str, Series]:
    """Measures of one number a step: those that are part of a thinned run, or these, measured now (and kept beside the run)."""
    return _observed(run, measures) if measures else _kept(run)


def _kept(run: Run) -> dict[str, Series]:
    """Measures of one number a step that are part of a thinned run."""
    found = {}
    for name in sorted(name for name in run.manifest.files if name.startswith(f"{SERIES}/")):
        arrays, facts = unpack_arrays(run.read(name), where=f"{run.path / name}")
        for variable, values in arrays.items():
            if values.ndim == 1 and len(values) and values.dtype.kind == "f":
                found[variable] = (np.array(facts["steps"]), values)
    return found


def _observed(run: Run, measures: Sequence[str]) -> dict[str, Series]:
    """The same, measured now; what was measured before is in the run's cache."""
    from interp.observing.observe import observe

    if not run.steps:
        return {}
    series = observe(run, list(measures))
    return {
        str(name): (series.step.values, values.values)
        for name, values in series.data_vars.items()
        if values.dims == ("step",) and values.dtype.kind == "f"
    }
