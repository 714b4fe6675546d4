"""Learning coefficients that were drawn before, kept in the results of a run: they are read without what draws them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from interp.errors import DataError
from interp.landscape.langevin import Langevin
from interp.observing.fingerprint import key_of, toolkit_digest
from interp.observing.streaming import evenly
from interp.reading import read_file
from interp.store.manifest import RESULTS
from interp.store.results import Results
from interp.store.run import Run
from interp.store.sealed import unpack_measured

if TYPE_CHECKING:
    import xarray as xr

_NAME = "learning_coefficient"  # of the files of results, with a hash of the settings: few versions are kept of each name
MOST_STEPS = 24
SETTINGS = "settings"  # attribute of the coefficient: how it was drawn, as JSON


def usual_steps(steps: Sequence[int]) -> list[int]:
    """The steps at which coefficients are drawn where none are named: at most 24 of them, evenly chosen."""
    return evenly(steps, MOST_STEPS)


def settings_of(sampler: Langevin, tensors: Sequence[str] | None) -> dict[str, Any]:
    """All that coefficients depend on besides the run and this toolkit, as JSON values."""
    return {**asdict(sampler), "tensors": None if tensors is None else list(tensors)}


def results_for(run: Run, settings: Mapping[str, Any]) -> Results:
    """What was drawn with these settings by this version of the toolkit."""
    return Results(run.path, name_of(settings), key=key_of(json.dumps(settings, sort_keys=True), toolkit_digest()))


def name_of(settings: Mapping[str, Any]) -> str:
    """What the results of some settings are called: no other settings take their place."""
    return f"{_NAME}_{key_of(json.dumps(settings, sort_keys=True))[:12]}"


def described(found: Mapping[str, xr.DataArray], run: Run, settings: Mapping[str, Any], steps: Sequence[int]) -> xr.Dataset:
    """A series of coefficients, with its settings as attributes."""
    import xarray as xr

    named = {name: ",".join(value) if isinstance(value, list) else value for name, value in settings.items() if value is not None}
    return xr.Dataset(dict(found), coords={"step": list(steps)}).assign_attrs(run=run.name, **named)


def kept_coefficients(run: Run) -> xr.Dataset | None:
    """What this version has drawn at the checkpoints of a run, also at those that were thinned out since.

    Of several settings, those with most checkpoints are taken, then the last.

    Coefficients of single tensors are left out. None where nothing was drawn.
    """
    found: list[tuple[int, int, dict[str, Any]]] = []
    for path in (run.path / RESULTS).glob(f"{_NAME}_*.safetensors"):
        with suppress(DataError, OSError, KeyError, ValueError):  # damaged, or of a version that wrote something else
            header = unpack_measured(read_file(path, inside=run.path), where=str(path)).header
            settings = json.loads(header["labels"]["llc"]["attrs"][SETTINGS])
            if settings["tensors"] is None:
                found.append((len(header["steps"]), int(header["order"]), settings))
    for _, _, settings in sorted(found, key=lambda one: one[:2], reverse=True):
        results = results_for(run, settings)
        known = sorted({*run.steps, *run.manifest.thinned_steps})
        steps = [step for step in known if results.has(step, run.sha256(step))]
        if steps:
            return described(results.series(steps), run, settings, steps)
    return None
