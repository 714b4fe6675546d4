"""A configuration with some of its fields set, each by its dotted name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from interp.config.run_config import RunConfig
from interp.errors import UsageError, unknown
from interp.tasks.task import TableTask


def with_fields(config: RunConfig, given: Mapping[str, Any]) -> RunConfig:
    """The configuration with other values of some fields, by dotted name (or with ``__`` in place of the dot).

    Raises:
        UsageError: for a field that is not there, with the nearest one that is, and for a value that the field refuses.

    >>> with_fields(RunConfig(), {"optimizer.weight_decay": 0.0, "steps": 100}).optimizer.weight_decay
    0.0
    """
    for name, value in given.items():
        config = _with(config, name.replace("__", ".").replace("-", "_").split("."), value, name)
    return config


def _with(config: Any, path: list[str], value: Any, name: str) -> Any:
    known = {field.name for field in fields(config)} if _has_fields(config) else set()
    if path[0] not in known:
        raise UsageError(f"{name}: {unknown('field', name, known if len(path) == 1 and known else _names(RunConfig()))}")
    inner = getattr(config, path[0])
    if len(path) > 1:
        return replace(config, **{path[0]: _with(inner, path[1:], value, name)})
    if _has_fields(inner) and not _has_fields(value) and not isinstance(value, TableTask):
        raise UsageError(f"{name}: given {value!r}, expected a {type(inner).__name__}, or one of its fields, such as "
                         f"{name}.{fields(inner)[0].name}")  # fmt: skip
    return replace(config, **{path[0]: tuple(value) if isinstance(value, list) else value})


def _has_fields(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type) and not isinstance(value, TableTask)


def _names(config: Any, prefix: str = "") -> Iterator[str]:
    for field in fields(config):
        value = getattr(config, field.name)
        yield from _names(value, f"{prefix}{field.name}.") if _has_fields(value) else [f"{prefix}{field.name}"]
