"""What became of a study's runs: one row each, derived from the runs alone and kept only to save time."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from interp.errors import DataError, UsageError, unknown
from interp.measures.dating import phases
from interp.measures.outcome import Outcome
from interp.observing.fingerprint import toolkit_digest
from interp.reading import JSON_BYTES, parsed_json, read_file
from interp.store import history
from interp.store.durable import sha256, write_atomically
from interp.store.journal import manifest_digest, read_manifest
from interp.store.manifest import HISTORY, MANIFEST, MOST_STEPS, Reason
from interp.store.noted import kept_if_possible
from interp.store.run import Run, open_run
from interp.studies.going import failures
from interp.studies.study_plan import Keep, Point
from interp.studies.timed import NOT_MEASURED
from interp.studies.worker import check_whole, is_measured

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from interp.studies.study import Study

Row = dict[str, Any]

log = logging.getLogger("interp")

_KEPT = "outcomes.json"


def outcomes(study: Study) -> pd.DataFrame:
    """A row for each run of a study's plan, indexed by the run's name.

    Columns: the fields that vary and ``seed``; ``status`` (``missing``, ``unfinished``, ``finished``, ``stopped``: its loss was
    not finite, ``failed``: it could not be trained) and ``why`` (also what failed after the last step, if anything);
    ``last_step``, up to which it was watched, and its ``budget``; ``memorized_first`` and ``grokked_first``, the first step at
    which train and test accuracy are 99 % or more; ``memorized`` and ``grokked``, that from which on they are so for good;
    ``memorized_dips`` and ``grokked_dips``, how often they are not between the two; ``delay_first`` and ``delay``, from
    memorizing to grokking; ``outcome``; last losses and accuracies. Times and outcome are those of `interp.measures.phases`.

    A time that was not seen is NaN: the run is right-censored at ``last_step``. It is neither left out nor counted as if it had
    grokked then.
    """
    import pandas as pd

    frame = pd.DataFrame(rows(study)).set_index("run")
    return frame.astype({**dict.fromkeys(_NUMBERS, "float64"), "outcome": "category", "status": "category"})


def rows(study: Study, *, on_run: Callable[[int, int], None] | None = None) -> list[Row]:
    """The same as a list of plain rows, without pandas; None where nothing was seen."""
    kept, failed = KeptRows(study.folder), failures(study.folder)
    found = []
    for number, point in enumerate(study.points, start=1):
        found.append(
            {**_place(point, study.seeds_are), **_state(study.path_of(point.name), kept, failed.get(point.name), keep=study.keep)}
        )
        if on_run is not None:
            on_run(number, len(study.points))
    kept.save()
    return found


class KeptRows:
    """Rows that were worked out before, by the hash of the run's manifest and of this toolkit's source.

    Args:
        folder: the study's.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._changed = folder / _KEPT, False
        self._rows: dict[str, tuple[str, Row]] = {}
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            found = parsed_json(read_file(self._path, at_most=JSON_BYTES, inside=folder))
            if found["toolkit"] == toolkit_digest() and found["sha256"] == _hash(found["rows"]):
                rows = {name: (manifest, row) for name, (manifest, row) in found["rows"].items()}
                self._rows = {name: kept for name, kept in rows.items() if _is_row(kept[1])}

    def of(self, path: Path) -> Row:
        """The row of the run in a folder.

        Raises:
            DataError: if the run is damaged.
        """
        manifest = manifest_digest(path)
        known = self._rows.get(path.name)
        if known is None or known[0] != manifest:
            known = self._rows[path.name] = (manifest, row_of(open_run(path)))
            self._changed = True
        return known[1]

    def save(self) -> None:
        """Write them, if there is something new. If that cannot be written, they are worked out again next time."""
        if self._changed:
            values = {"toolkit": toolkit_digest(), "sha256": _hash(self._rows), "rows": self._rows}
            with kept_if_possible(self._path.parent):
                write_atomically(self._path, json.dumps(values).encode())
            self._changed = False


def row_of(run: Run) -> Row:
    """What a run's manifest and history say of it, see `outcomes`."""
    data = run.read(HISTORY) if HISTORY in run.manifest.files else b""
    columns = history.decode_evaluated(data, where=f"{run.path / HISTORY}")
    curves = {name: columns[name] for name in history.COLUMNS}
    whole = np.isfinite([curves[name] for name in history.COLUMNS[:4]]).all(axis=0)
    steps = columns["step"][whole]
    last_step = int(columns["step"][-1]) if len(columns["step"]) else None
    found: Row = {
        "status": run.manifest.status if run.manifest.final else "unfinished",
        "why": run.reason,
        "last_step": last_step,
        "budget": run.budget,
    }
    dated = phases(steps, *(curves[name][whole] for name in history.COLUMNS[:4])) if len(steps) else None
    times: dict[str, int | None] = {}
    for what in ("memorized", "grokked"):
        reached = None if dated is None else dated.reached.get(what)
        times[f"{what}_first"] = None if reached is None or reached.first is None else reached.first.step
        times[what] = None if reached is None or reached.for_good is None else reached.for_good.step
        times[f"{what}_dips"] = None if reached is None else len(reached.dips)
    found |= times
    for delay, of in (("delay_first", "_first"), ("delay", "")):
        begun, ended = times[f"memorized{of}"], times[f"grokked{of}"]
        found[delay] = None if begun is None or ended is None else ended - begun
    found["outcome"] = "unknown" if dated is None else dated.outcome
    return found | {name: float(curves[name][whole][-1]) if len(steps) else None for name in history.COLUMNS}


def unread(study: Study, found: Iterable[Row]) -> dict[str, str]:
    """The runs of which a row can say nothing since they are damaged, with the reason, by their names."""
    silent = (row for row in found if row["status"] == "failed" and row["budget"] is None)
    return {str(row["run"]): str(row["why"]) for row in silent if (study.path_of(row["run"]) / MANIFEST).exists()}


def series(study: Study, variable: str) -> xr.DataArray:
    """A measure (``restricted_loss``) or a curve of the history (``test_accuracy``) over runs and steps.

    Runs are named and have the fields that vary and the seed as coordinates. Steps are those of any run, and so are the labels of
    a measure's other dimensions: where the modulus varies, ``frequency`` has those of the largest one. NaN stands where a run has
    no such step or label, and throughout a run to which the measure does not apply, as to some operations. Runs that have no
    checkpoint yet, or cannot be read, are left out; `outcomes` says which and why.

    Raises:
        UsageError: for a variable that no run of this study has, or if no run has a checkpoint yet.
    """
    import xarray as xr

    points, found, known = [], [], [*history.COLUMNS]
    for point in study.points:
        path = study.path_of(point.name)
        try:
            if not (path / MANIFEST).is_file() or not (run := open_run(path)).steps:
                continue
            values, names = _of_run(run, variable, study.measures)
        except (DataError, OSError) as error:
            log.warning("series: run %s is left out: %s", point.name, error)
            continue
        points.append(point)
        known = list(dict.fromkeys([*known, *names]))
        if values is not None:
            found.append(values.expand_dims(run=[point.name]))
    if not points:
        raise UsageError(
            f"study {study.folder}: none of its runs has a checkpoint yet; train them with: interp study run {study.name}"
        )
    if not found:
        raise unknown("variable", variable, known)
    whole = xr.concat(found, dim="run", join="outer", coords="minimal", compat="override", combine_attrs="override")
    places = [_place(point, study.seeds_are) for point in points]
    coords = {name: ("run", [place[name] for place in places]) for name in places[0]}
    return whole.reindex(run=[point.name for point in points]).rename(variable).assign_coords(coords)


def _of_run(run: Run, variable: str, measures: Iterable[str]) -> tuple[xr.DataArray | None, list[str]]:
    """The variable of a run, None if it does not have it, and the names of those that it has."""
    import xarray as xr

    if variable in history.COLUMNS:
        values = run.columns[variable]
        known = np.isfinite(values)
        return xr.DataArray(values[known], dims="step", coords={"step": run.columns["step"][known]}), []
    from interp.observing.observe import observe

    measured = observe(run, list(measures))
    names = [str(name) for name, values in measured.data_vars.items() if "step" in values.dims]
    return (measured[variable] if variable in names else None), names


def _place(point: Point, seeds_are: str) -> Row:
    return {"run": point.name, **point.values, "seed": point.seed, "seeds_are": seeds_are}


def _state(path: Path, kept: KeptRows, failure: str | None, *, keep: Keep) -> Row:
    """The row of a run that may not be there, or be damaged; one that was trained and then failed says both."""
    nothing: Row = dict.fromkeys(_COLUMNS)
    try:
        if (path / MANIFEST).is_file():
            found = kept.of(path)
            is_over = found["status"] in ("finished", "stopped")
            manifest = read_manifest(path) if is_over else None
            if manifest is not None:
                check_whole(path, manifest)
            if failure is None:
                return found
            if manifest is None:
                return {**found, "status": "failed", "why": failure}
            # Where all checkpoints stay nothing is measured that could fail.
            is_stale = found["status"] == "stopped" or keep == "all" or is_measured(manifest)
            return found if is_stale else {**found, "why": f"{found['why']}{NOT_MEASURED}{failure}"}
    except (DataError, UsageError, OSError) as error:
        return {**nothing, "status": "failed", "why": str(error), "outcome": "unknown"}
    missing = {"status": "missing"} if failure is None else {"status": "failed", "why": failure}
    return {**nothing, **missing, "outcome": "unknown"}


_NUMBERS = (
    "last_step", "budget", "memorized_first", "memorized", "memorized_dips", "grokked_first", "grokked", "grokked_dips",
    "delay_first", "delay", *history.COLUMNS,
)  # fmt: skip
_COLUMNS = ("status", "why", *_NUMBERS, "outcome")


def _is_row(row: Any) -> bool:
    """Whether what was kept has the columns of a row, each with a value that it can have; else it is worked out again."""
    if not isinstance(row, dict) or row.keys() != set(_COLUMNS):
        return False
    least = {"delay": -MOST_STEPS, "delay_first": -MOST_STEPS}  # of a run that grokked before it memorized
    numbers = {name: row[name] for name in _NUMBERS if row[name] is not None}
    if not all(type(one) in (int, float) and least.get(name, 0) <= one < inf for name, one in numbers.items()):
        return False
    words = {"status": ("finished", "stopped", "unfinished"), "why": (None, *get_args(Reason)), "outcome": get_args(Outcome)}
    return all(row[name] in allowed for name, allowed in words.items())


def _hash(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode())


def reasons(found: Iterable[Mapping[str, Any]], fields: Iterable[str]) -> list[str]:
    """A line for each run that broke off or failed: which it is, and why.

    >>> row = {"run": "0f", "lr": 9.0, "seed": 1, "status": "stopped", "why": "non-finite", "last_step": 7}
    >>> reasons([row], ["lr"])
    ['0f (lr 9.0, seed 1) broke off after step 7: its loss was not finite']
    """
    lines = []
    for row in found:
        which = f"{row['run']} ({', '.join(f'{field} {row[field]}' for field in (*fields, 'seed'))})"
        if row["status"] == "stopped":
            at = "at once" if row["last_step"] is None else f"after step {row['last_step']}"
            lines.append(f"{which} broke off {at}: its loss was not finite")
        elif row["status"] == "failed":
            lines.append(f"{which} failed: {row['why']}")
        elif NOT_MEASURED in str(row["why"]):
            lines.append(f"{which} was trained to its end, and not measured: {row['why'].partition(NOT_MEASURED)[2]}")
    return lines


def counts(found: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many runs grokked for good, how many did not within their budget (censored), and what became of the others."""
    told = {"grokked": 0, "not grokked within the budget": 0, "broke off": 0, "failed": 0, "unfinished": 0, "missing": 0}
    named = {"stopped": "broke off"}
    for row in found:
        status = row["status"]
        if status == "finished":
            told["grokked" if row["grokked"] is not None else "not grokked within the budget"] += 1
        else:
            told[named.get(status, status)] += 1
    return told
