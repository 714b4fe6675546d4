"""One run in plain values: what it is, what happened in it and when, how large it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from interp.networks.one_layer import KIND as ONE_LAYER
from interp.observing.described import evaluated_history
from interp.observing.numerics import run_health
from interp.observing.observe import observe
from interp.observing.series import about
from interp.store.run import Run


def summary(run: Run, *, on_step: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """A run's facts, configuration, last losses, phases, outcome, numerical health and key frequencies, as JSON-ready values.

    The onset of circuit formation needs the excluded loss of every checkpoint: it is measured the first time and cached. Where
    the answers have no harmonics there are neither onset nor key frequencies.

    Args:
        run: a recorded run.
        on_step: called with (checkpoints done, checkpoints in all) while measuring.
    """
    curves = evaluated_history(run)
    known = {str(name).removeprefix("history_"): values.dropna("history_step").values for name, values in curves.items()}
    last = {name: float(values[-1]) for name, values in known.items() if len(values)}
    found = about(observe(run, ["progress_measures"], on_step=on_step))
    phases = {} if found.phases is None else asdict(found.phases)
    phases.pop("outcome", None)
    keys = {"rule": found.key_rule, "step": found.key_step, "frequencies": list(found.key_frequencies or ())}
    return {
        **run.facts(),
        "steps": list(run.steps),
        "last": last,
        "outcome": found.outcome,
        "phases": phases,
        **({"health": run_health(run)} if run.has_config and run.kind == ONE_LAYER else {}),
        **({"key_frequencies": keys} if found.has_waves else {}),
        "config" if run.has_config else "settings": run.settings,
    }
