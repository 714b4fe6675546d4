"""Whether run.json says what it must, each value of its type: everything that reads it relies on this. And its larger budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from interp.errors import DataError
from interp.reading import JSON_BYTES
from interp.store.manifest import MOST_STEPS, Extension, check_format

_MOST = 10**15  # parameters, threads: above it, no machine


def check_record(values: Any, *, where: str) -> None:
    """Refuse the content of a run.json that is not this format's.

    Args:
        values: what was read.
        where: names the file in errors.

    Raises:
        DataError: for another format; naming the first field that is missing or of the wrong type.
    """
    check_format(values, where=where)
    for name, (expected, test) in (_ALWAYS | (_CONFIGURED if "config" in values else _OWN_LOOP)).items():
        if name not in values:
            raise DataError(f"{where}: damaged or foreign: {name} is missing, expected {expected}")
        if not test(values[name]):
            raise DataError(f"{where}: damaged or foreign: {name}: given {values[name]!r:.80}, expected {expected}")
    for name, (expected, test) in _SOMETIMES.items():
        if name in values and not test(values[name]):
            raise DataError(f"{where}: damaged or foreign: {name}: given {values[name]!r:.80}, expected {expected}")


def with_extension(record: Mapping[str, Any], extended: Extension | None) -> Mapping[str, Any]:
    """The content of run.json with the larger budget: a run that was begun with this has the same bytes."""
    if extended is None or "config" not in record:
        return record
    config = dict(record["config"])
    saved = dict(config.get("checkpoints", {}))
    saved["moments"] = sorted({*saved.get("moments", ()), *extended.at})
    return {**record, "config": {**config, "steps": extended.steps, "until_settled": False, "checkpoints": saved}}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= JSON_BYTES


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_truth(value: object) -> bool:
    return isinstance(value, bool)


def _counts(least: int, most: int = _MOST) -> Callable[[object], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(map(_counts(0, MOST_STEPS), value))


def _is_provenance(value: object) -> bool:
    """Anything by name; the notes and the unknown fields of an imported run, texts."""
    lists = [value[name] for name in ("notes", "unknown") if name in value] if isinstance(value, Mapping) else [None]
    return all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists)


_Tests = dict[str, tuple[str, Callable[[object], bool]]]
_ALWAYS: _Tests = {
    "engine": ("a text", _is_text),
    "threads": ("a number of threads, or null", lambda value: value is None or _counts(1, 2**16)(value)),
    "n_parameters": ("a number of parameters", _counts(0)),
    "provenance": ("facts by name, of them notes and unknown lists of texts", _is_provenance),
}
_CONFIGURED: _Tests = {"config": ("a configuration's fields", _is_table)}
_OWN_LOOP: _Tests = {
    "settings": ("what it was made from, by name", _is_table),
    "task": ("a task's fields", _is_table),
    "steps": ("a number of steps", _counts(0, MOST_STEPS)),
    "saved": ("steps", _are_counts),
    "moments": ("steps", _are_counts),
    "may_end_early": ("true or false", _is_truth),
}
_SOMETIMES: _Tests = {
    "kind": ("a text", _is_text),
    "batch": ("a number of runs", _counts(1)),
    "start": ("facts by name", _is_table),
}
