"""How numbers and texts are read from the command line, with errors in words and without the names of Python's types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

_NONE = "none"
_Read = Callable[[str], Any]


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"given {text!r}, expected a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"given {text!r}, expected a number") from None


# What is read, and as what it is shown in the help.
_READERS: dict[Any, tuple[_Read, str]] = {
    int: (_whole, "INT"), float: (_number, "NUMBER"), str: (str, "TEXT"), Path: (Path, "PATH"),
}  # fmt: skip


def plain_types() -> ConstructorRegistry:
    """Rules for whole numbers, numbers, texts and paths, and for each of them or none."""
    registry = ConstructorRegistry()
    registry.primitive_rule(_one_value)
    registry.primitive_rule(_one_value_or_none)
    return registry


def _one_value(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    if info.type not in (int, float):  # texts and paths need no words of ours
        return None
    read, metavar = _READERS[info.type]
    kind = info.type

    def is_instance(value: object) -> bool:
        return isinstance(value, int | float if kind is float else kind) and not isinstance(value, bool)

    return PrimitiveConstructorSpec(1, metavar, lambda words: read(words[0]), is_instance, lambda value: [str(value)])


def _one_value_or_none(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    if get_origin(info.type) not in (Union, UnionType):
        return None
    kinds = [kind for kind in get_args(info.type) if kind is not NoneType]
    if len(kinds) != 1 or len(get_args(info.type)) != 2 or kinds[0] not in _READERS:
        return None
    read, metavar = _READERS[kinds[0]]

    def take(words: list[str]) -> Any:
        return None if words[0].lower() == _NONE else read(words[0])

    def is_instance(value: object) -> bool:
        return value is None or isinstance(value, kinds[0])

    return PrimitiveConstructorSpec(1, metavar, take, is_instance, lambda value: [_NONE if value is None else str(value)])
