"""One run in plain values: what it is, what happened in it and when, how large it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from interp.networks.one_layer import KIND as ONE_LAYER
from interp.observing.derived import evaluated_history
from interp.observing.observe import observe
from interp.observing.run_health import run_health
from interp.store.run import Run


def summary(run: Run, *, on_step: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """A run's facts, configuration, last losses, phases, outcome, numerical health and key frequencies, as JSON-ready values.

    The onset of circuit formation needs the excluded loss of every checkpoint: it is measured the first time and cached.

    Args:
        run: a recorded run.
        on_step: called with (checkpoints done, checkpoints in all) while measuring.
    """
    curves = evaluated_history(run)
    known = {str(name).removeprefix("history_"): values.dropna("history_step").values for name, values in curves.items()}
    last = {name: float(values[-1]) for name, values in known.items() if len(values)}
    known_of_any = {**run.facts(), "steps": list(run.steps), "last": last}
    if not (run.has_config and run.kind == ONE_LAYER):
        return {**known_of_any, "settings": run.settings}
    series = observe(run, ["progress_measures"], on_step=on_step)
    return {
        **known_of_any,
        "outcome": series.attrs["outcome"],
        "phases": json.loads(series.attrs["phases"]),
        "health": run_health(run),
        "key_frequencies": {
            "rule": series.attrs["key_rule"],
            "step": series.attrs["key_step"],
            "frequencies": series.attrs["key_frequencies"],
        },
        "config": run.settings,
    }
