"""Tasks that are tables in configurations: files say them by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from interp.config.parsing import checked_config
from interp.errors import UsageError
from interp.tasks.named import task
from interp.tasks.task import TableTask

T = TypeVar("T")


def checked_with_task(kind: type[T], values: object, *, where: str) -> T:
    """`checked_config` of values whose ``task`` may be a name.

    Raises:
        UsageError: with every problem, of the task's name too.
    """
    given = values.get("task") if isinstance(values, Mapping) else None
    if not isinstance(values, Mapping) or not _is_named(given):
        return checked_config(kind, values, where=where)
    problems, table, rest = [], None, None
    try:
        table = _of_name(given)
    except UsageError as error:
        problems.append(str(error))
    try:
        rest = checked_config(kind, _without_batch(without_task(values)), where=where)
    except UsageError as error:
        problems.append(str(error).removeprefix(f"{where}:\n  "))
    if table is None or rest is None:
        raise UsageError(f"{where}:\n  " + "\n  ".join(problems))
    return _with_table(rest, table, values)


def checked_of_table(kind: type[T], values: Mapping[str, Any], table: TableTask, *, where: str) -> T:
    """`checked_config` of all values but the task, which is this table.

    Raises:
        UsageError: with every problem.
    """
    return _with_table(checked_config(kind, _without_batch(without_task(values)), where=where), table, values)


def without_task(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config's values without its task."""
    return {name: value for name, value in values.items() if name != "task"}


def _batch(values: Mapping[str, Any]) -> int | None:
    """The size of a batch, if it is one: how large it may be depends on the task."""
    optimizer = values.get("optimizer")
    size = optimizer.get("batch_size") if isinstance(optimizer, Mapping) else None
    return size if isinstance(size, int) and not isinstance(size, bool) and size >= 1 else None


def _without_batch(values: dict[str, Any]) -> dict[str, Any]:
    return values if _batch(values) is None else {**values, "optimizer": {**values["optimizer"], "batch_size": None}}


def _with_table(config: Any, table: TableTask, values: Mapping[str, Any]) -> Any:
    return replace(config, task=table, optimizer=replace(config.optimizer, batch_size=_batch(values)))


def _is_named(given: object) -> bool:
    """Whether a task is given by its name, or as `RunConfig.to_dict` writes a table."""
    return isinstance(given, str) or (isinstance(given, Mapping) and bool({"name", "table"} & given.keys()))


def _of_name(given: Any) -> TableTask:
    if isinstance(given, str):
        return task(given)
    if "table" in given:
        return _of_digest(given)
    name, equals_sign = given["name"], given.get("equals_sign", True)
    if surplus := sorted(given.keys() - {"name", "equals_sign"}):
        raise UsageError(f"task.{surplus[0]}: not a field of a task that is named; expected name and equals_sign")
    if not isinstance(equals_sign, bool):
        raise UsageError(f"task.equals_sign: given {equals_sign!r}, expected true or false")
    return task(name, equals_sign=equals_sign)


def _of_digest(given: Mapping[str, Any]) -> TableTask:
    """The table of a name and a hash: with or without ``=``."""
    name, sha256 = given["table"], given.get("sha256")
    for equals_sign in (True, False):
        try:
            found = task(str(name), equals_sign=equals_sign)
        except UsageError:
            break
        if found.digest == sha256:
            return found
    raise UsageError(
        f"task: given the table {name!r} by its name and hash alone, expected one that `interp.task` makes by this name; "
        "its run has the table (in Python: from_dict(values, task=run.task))"
    )
