"""Where a run begins, and what was changed there, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interp.wording import plain


def lineage_in_words(start: Mapping[str, Any]) -> str | None:
    """Where a run begins and what was changed there; None for one that begins with a seed.

    >>> lineage_in_words({"from": "run", "parent": "demo", "step": 500, "changed": {"optimizer.lr": [0.1, 0.2]}})
    'a fork of demo at step 500, moments kept, with optimizer.lr 0.1 \u2192 0.2'
    """
    if not start:
        return None
    at = f"at step {start.get('step', 0):,}, moments {_moments(start)}"
    if start.get("from") != "run":
        return f"begun with {'given weights' if start.get('from') == 'weights' else 'the state of a training'} {at}"
    return f"a fork of {start.get('parent')} {at}, with {_changed(start)}"


def changes_in_words(start: Mapping[str, Any]) -> str:
    """When a fork begins and what was changed there, as short as a legend's entry.

    >>> changes_in_words({"step": 500, "moments": "fresh", "changed": {"optimizer.weight_decay": [2.0, 0.0]}})
    'from 500: optimizer.weight_decay 2 \u2192 0, moments fresh'
    """
    told = f"from {start.get('step', 0):,}: {_changed(start)}"
    moments = _moments(start)
    return told if moments == "kept" else f"{told}, moments {moments}"


def _moments(start: Mapping[str, Any]) -> str:
    if "moments_of" in start:
        return f"of {start['moments_of']} at step {start.get('moments_step', 0):,}"
    return str(start.get("moments", "kept"))


def _changed(start: Mapping[str, Any]) -> str:
    changed = [
        f"{name} {value_in_words(before)} \u2192 {value_in_words(after)}"
        for name, (before, after) in start.get("changed", {}).items()
    ]
    return ", ".join(changed) or "nothing changed"


def value_in_words(value: Any) -> str:
    """A value of a configuration, or several, for people."""
    return (", ".join(map(plain, value)) or "none") if isinstance(value, list | tuple) else plain(value)
