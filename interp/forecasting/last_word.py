"""What a run's last checkpoint lets expect, kept beside the run, so that it is said again without measuring."""

from __future__ import annotations

from interp.errors import DataError, UsageError
from interp.observing.fingerprint import key_of, run_state, toolkit_digest
from interp.store.history_phases import ended
from interp.store.kept import keep, recall
from interp.store.run import Run

_NAME = "expected"
_NOTHING = ("not memorized", "cannot be said")


def expected_of(run: Run) -> str | None:
    """The forecast at the last checkpoint, of a run that has not grokked; None of one that has, or that cannot be asked."""
    if run.is_imported or not run.steps or not run.has_config or run.makers is not None or ended(run)[1] is not None:
        return None
    key = key_of(toolkit_digest(), run_state(run))
    found = recall(run.path, _NAME, key=key)
    if not isinstance(found, dict) or not isinstance(found.get("said"), str | None):
        found = {"said": _asked(run)}
        keep(run.path, _NAME, found, key=key)
    said: str | None = found["said"]
    return said


def _asked(run: Run) -> str | None:
    from interp.forecasting.measured import forecast  # takes a second or two

    try:
        said = forecast(run)
    except (UsageError, DataError):
        return None
    return None if said.verdict in _NOTHING else str(said)
