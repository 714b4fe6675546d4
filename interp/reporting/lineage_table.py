"""What was changed where forks begin, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interp.figures.tabled import Table
from interp.observing.lineage import lineage_in_words, value_in_words
from interp.observing.series import About


def lineage_table(known: Sequence[About], names: Sequence[str]) -> list[Table]:
    """A row for each field that was changed at a fork, with each run's value from there on, if any of them is a fork."""
    starts: list[Mapping[str, Any]] = [one.facts.get("start", {}) for one in known]
    if not any(start.get("from") == "run" for start in starts):
        return []
    fields = dict.fromkeys(name for start in starts for name in start.get("changed", {}))
    rows = [(name, *(_at(one.config, name) for one in known)) for name in fields]
    rows.append(("begins", *(lineage_in_words(start) or "with a seed" for start in starts)))
    return [Table("What was changed", ("", *names), tuple(rows))]


def _at(config: Mapping[str, Any], name: str) -> str:
    value: Any = config
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value_in_words(value)
