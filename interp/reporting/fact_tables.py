"""Tables of facts: what exactly was run, by the names of the configuration's fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from interp.figures.tabled import Table
from interp.observing.series import About
from interp.wording import plain

# Facts that say something about the machine's user and nothing about the run.
_PRIVATE = ("path",)


def facts_of(about: About) -> list[Table]:
    """Tables of the configuration and of the facts."""
    found = {"Configuration": about.config, "Facts": {key: item for key, item in about.facts.items() if key not in _PRIVATE}}
    return [Table(title, (), tuple(rows)) for title, value in found.items() if (rows := flat(value))]


def what_was_run(about: About) -> str:
    """What the tables are: all that repeats a run, or of an imported one what is known, and what is a default.

    >>> what_was_run(About(facts={"engine": "imported", "provenance": {"unknown": ["optimizer", "seed"]}}))
    'What is known of this imported run. Not known, so that the configuration shows defaults for it: optimizer, seed.'
    """
    if about.facts.get("engine") != "imported":
        return "The configuration and the facts needed to repeat this run, number for number."
    provenance = about.facts.get("provenance")
    unknown = provenance.get("unknown", ()) if isinstance(provenance, Mapping) else ()
    known = "What is known of this imported run."
    if not unknown:
        return known
    return f"{known} Not known, so that the configuration shows defaults for it: {', '.join(map(str, unknown))}."


def flat(value: Mapping[str, Any], prefix: str = "", *, say: Callable[[object], str] = plain) -> list[tuple[str, str]]:
    """Names and values of a nested mapping as text, nested names joined by dots."""
    rows: list[tuple[str, str]] = []
    for name, item in value.items():
        if isinstance(item, Mapping):
            rows += flat(item, f"{prefix}{name}.", say=say)
        else:
            text = ", ".join(map(say, item)) if isinstance(item, list) else say(item)
            rows.append((f"{prefix}{name}".replace("_", " "), text))
    return rows
