"""Thinning a run out: measure at every checkpoint, make what was measured part of the run, then delete checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from interp.errors import DataError
from interp.observing.analysis import builtin_names, find_analyses
from interp.observing.fingerprint import cache_key, key_of, toolkit_digest
from interp.observing.kept_series import kept_bytes
from interp.observing.observe import observe
from interp.observing.run_keys import run_keys
from interp.observing.series import about
from interp.store.durable import sha256
from interp.store.kept import SERIES_SEAL
from interp.store.kept import keep as remember
from interp.store.manifest import RESULTS, series_name
from interp.store.results import Results
from interp.store.run import Run
from interp.store.thinning import thin
from interp.wording import listed


def thin_measured(
    run: Run,
    keep: Iterable[int] = (),
    *,
    measures: Iterable[str],
    threads: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Run:
    """Measure a finished run at every checkpoint, make that part of the run, and delete the checkpoints but some.

    Args:
        run: a finished run; one that was thinned before keeps what was measured then.
        keep: steps whose checkpoints stay besides the first and the last.
        measures: names of built-in analyses.
        threads: checkpoints that are measured at once.
        on_step: called with (checkpoints done, checkpoints in all).

    Raises:
        UsageError: if the run is unfinished.
        DataError: if an analysis fails, or the run cannot be written: then nothing is deleted.
    """
    if run.manifest.thinned:
        return thin(run.path, keep)
    series = _packed(run, list(measures), threads=threads, on_step=on_step)
    hashes = {series_name(name): sha256(data) for name, data in series.items()}
    remember(run.path, SERIES_SEAL, hashes, key=key_of(sorted(hashes.items())))
    for name in series:  # the same numbers once more; first, so that none stay behind where this is interrupted
        for beside in (run.path / RESULTS).glob(f"{name}-*.safetensors"):
            beside.unlink(missing_ok=True)
    return thin(run.path, keep, series=series)


def _packed(run: Run, names: list[str], *, threads: int | None, on_step: Callable[[int, int], None] | None) -> dict[str, bytes]:
    asked = find_analyses(names)
    if others := [a.name for a in asked if a.name not in builtin_names() or a.at == "last"]:
        raise DataError(f"measures: given {listed(others)}, expected built-in analyses that are measured at every checkpoint")
    found = about(observe(run, names, threads=threads, on_step=on_step))
    if found.failures:
        raise DataError(
            f"run {run.path}: nothing was thinned out, since " + "; ".join(f"{n} failed {w}" for n, w in found.failures.items())
        )
    if found.not_finite:
        told = "; ".join(f"{name} at {why}" for name, why in found.not_finite.items())
        raise DataError(f"run {run.path}: nothing was thinned out, since not every checkpoint could be measured: {told}")
    keys = run_keys(run, "unembedding").names
    packed = {}
    for analysis in asked:
        if analysis.name in found.left_out:
            continue
        if kept_bytes(run, analysis, run.steps) is not None:
            continue  # part of the run already, as its loop was recorded
        results = Results(run.path, analysis.name, key=cache_key(analysis, keys, run, brief=False))
        if not all(results.has(step, run.sha256(step)) for step in run.steps):
            raise DataError(
                f"run {run.path}: nothing was thinned out, since what was measured cannot be kept there; is the disk full?"
            )
        packed[analysis.name] = results.packed({"keys": list(keys), "toolkit": toolkit_digest()})
    return packed
