"""The task on the command line: by name, `--task S5`, or by its fields, `--task.p 97`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import tyro

from interp.config.run_config import RunConfig
from interp.errors import UsageError
from interp.tasks.modular import ModularTask

TaskName = Annotated[
    str | None,
    tyro.conf.arg(
        name="task",
        metavar="NAME",
        help="a task by name, in place of the fields of task: a group such as S5, D12, Z2xZ4; a formula such as 'x^2+y^2 mod 97' "
        "or 'x*y*x^-1 in S5'; 'random labels mod 97, seed 3'; a file of a table (docs/tasks.md)",
    ),
]

_P, _OPERATION = "--task.p", "--task.operation"


def with_fields_of_task(config: RunConfig) -> RunConfig:
    """The configuration that flags begin with: they can say nothing of a table, so that a modular task stands for it."""
    if isinstance(config.task, ModularTask):
        return config
    return replace(config, task=ModularTask(config.task.p, equals_sign=config.task.equals_sign))


def with_named_task(config: RunConfig, name: str | None, *, base: RunConfig, flags: Sequence[str]) -> RunConfig:
    """The configuration that flags gave, with the task that was named, or that of its base.

    Raises:
        UsageError: for a name beside fields, and for fields of a base whose task is a table, also where they say what they say by
            default; but p alone is another modulus of a formula that has one.
    """
    given = {word.partition("=")[0] for word in flags}
    gives_p, gives_operation = _P in given, _OPERATION in given
    if name is not None and (gives_p or gives_operation):
        raise UsageError(f"{_P}, {_OPERATION}: given with --task {name}, expected one or the other")
    if name is None and isinstance(base.task, ModularTask):
        return config
    if gives_p or gives_operation:
        name = None if gives_operation else _with_modulus(base.task.name, config.task.p)
        if name is None:
            raise UsageError(
                f"{_P}, {_OPERATION}: the task is the table {base.task.name!r}, which they do not describe; "
                f'name another with --task, such as --task "x+y mod {config.task.p}" or --task S4'
            )
    if name is None:
        if config.task.equals_sign != base.task.equals_sign:
            raise UsageError(f"--task.equals-sign: the task is the table {base.task.name!r}; name it again with --task")
        return replace(config, task=base.task)
    from interp.tasks.named import task

    return replace(config, task=task(name, equals_sign=config.task.equals_sign))


def _with_modulus(name: str, p: int) -> str | None:
    """The name of the same formula with another modulus; None for a task that has none.

    >>> _with_modulus("x/y mod 97", 59), _with_modulus("S5", 59)
    ('x/y mod 59', None)
    """
    formula, mod, rest = name.rpartition(" mod ")
    return f"{formula} mod {p}" if mod and rest.isdigit() else None
