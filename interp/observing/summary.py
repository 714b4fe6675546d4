"""One run in plain values: what it is, what happened in it and when, how large it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.errors import NotFiniteError
from interp.networks.shapes import KIND as ONE_LAYER
from interp.observing.answer import at_present, at_the_last
from interp.observing.dips_in_words import outcome_in_words, phases_in_words
from interp.observing.fingerprint import key_of, run_state, toolkit_digest
from interp.observing.series import about, boundaries_of, plain
from interp.store.kept import keep, recall
from interp.store.run import Run

if TYPE_CHECKING:
    import xarray as xr

# Of a run with more checkpoints than this, the onset is dated from so few, evenly among them, and from all around the minimum.
DATED_WHOLE, DATED_FROM = 1000, 300


def summary(
    run: Run, *, threads: int | None = None, on_step: Callable[[int, int], None] | None = None, force: bool = False
) -> dict[str, Any]:
    """A run's facts, configuration, last losses, phases, outcome, numerical health and key frequencies, as JSON-ready values.

    The onset of circuit formation needs the excluded loss of the checkpoints: it is measured the first time. Of a run with more
    than 1,000 checkpoints it is measured at 300, evenly among them, and at every one around its minimum; ``dated_from`` says at
    how many. What follows from checkpoints and history is kept beside the run. Where the answers have no harmonics there are
    neither onset nor key frequencies. ``answer`` says it all in a sentence, with the verdicts on the last checkpoint. ``phases``
    has the boundaries; ``reached`` when each was first reached, from when on for good, and the dips between; ``phases_in_words``
    says both in a line each, ``outcome_in_words`` also whether the answer was lost again; ``undated`` why nothing is dated,
    where nothing can be.

    Args:
        run: a recorded run.
        threads: checkpoints that are measured at once, see `interp.observe`.
        on_step: called with (checkpoints done, checkpoints in all) while measuring.
        force: measure even if that takes more memory than this machine has, by estimate.
    """
    key = None if run.makers is not None else key_of(toolkit_digest(), run_state(run))
    found: Any = None if key is None else recall(run.path, "summary", key=key)
    if not _is_summary(found):
        found, is_whole = _worked_out(run, on_step=on_step, threads=threads, force=force)
        found = plain(found)
        if key is not None and is_whole:
            keep(run.path, "summary", found, key=key)
    ending = found.pop("ending")
    return {
        "answer": at_present(run, ending["sentence"]),
        **run.facts(),
        **{name: ending[name] for name in ("generalization", "algorithm", "why_unknown")},
        "steps": list(run.steps),
        **found,
        "config" if run.has_config else "settings": run.settings,
    }


def _health(run: Run) -> dict[str, Any]:
    """Of a run whose loss and optimizer are known: its numerical health, or why that cannot be told."""
    from interp.observing.numerics import run_health

    if not run.has_config or run.kind != ONE_LAYER:
        return {}
    try:
        return {"health": run_health(run)}
    except NotFiniteError as error:
        return {"health": {"warnings": [f"unknown at step {run.steps[-1]:,}: {error}"]}}


def _is_summary(found: Any) -> bool:
    """Whether what was kept has the form of what is worked out."""
    tables = ("last", "phases", "reached", "phases_in_words", "ending")
    texts = ("outcome", "outcome_in_words")
    is_whole = isinstance(found, dict) and all(isinstance(found.get(name), dict) for name in tables)
    return is_whole and "undated" in found and all(isinstance(found.get(name), str) for name in texts)


def _worked_out(
    run: Run, *, on_step: Callable[[int, int], None] | None, threads: int | None, force: bool
) -> tuple[dict[str, Any], bool]:
    """What follows from the run's checkpoints and history, and whether nothing failed, which may be otherwise another time."""
    from interp.observing.described import evaluated_history
    from interp.observing.observe import observe

    curves = evaluated_history(run)
    known = {str(name).removeprefix("history_"): values.dropna("history_step").values for name, values in curves.items()}
    measured = [name for name, values in known.items() if len(values)]
    series = _dating_series(
        run, lambda steps: observe(run, ["progress_measures"], steps=steps, on_step=on_step, threads=threads, force=force)
    )
    found, n_all = about(series), len(run.steps) + len(run.manifest.thinned_steps)
    phases, reached = boundaries_of(found.phases)
    keys = {"rule": found.key_rule, "step": found.key_step, "frequencies": list(found.key_frequencies or ())}
    worked_out = {
        "last": {name: float(values[-1]) for name, values in known.items() if len(values)},
        "ending": asdict(at_the_last(run)),
        "outcome": found.outcome,
        "outcome_in_words": found.outcome if found.phases is None else outcome_in_words(found.phases),
        "phases": phases,
        "reached": reached,
        "undated": None if found.phases is None else found.phases.undated or None,
        "phases_in_words": {} if found.phases is None else phases_in_words(found.phases, known=measured),
        **_health(run),
        **({"not_finite": {**found.not_finite, "last_finite_step": found.key_step}} if found.not_finite else {}),
        **({"key_frequencies": keys} if found.has_waves else {}),
        **({"dated_from": {"checkpoints": series.sizes["step"], "of": n_all}} if series.sizes["step"] < n_all else {}),
    }
    return worked_out, not found.failures


def _dating_series(run: Run, measured: Callable[[Sequence[int] | None], xr.Dataset]) -> xr.Dataset:
    """Progress measures at every checkpoint or, of very many, at some and at all between the onset's neighbours."""
    steps = run.steps
    if len(steps) <= DATED_WHOLE or run.manifest.thinned:
        return measured(None)
    some = [steps[i] for i in np.linspace(0, len(steps) - 1, DATED_FROM).round().astype(int)]
    found = measured(some)
    dated = about(found).phases
    if dated is None or dated.onset is None:
        return found
    at = some.index(dated.onset.step)
    first, last = some[max(at - 1, 0)], some[min(at + 1, len(some) - 1)]
    return measured(sorted({*some, *(step for step in steps if first <= step <= last)}))
