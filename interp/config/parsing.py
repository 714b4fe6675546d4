"""Reading a configuration from JSON or TOML: strictly, with every problem reported at once in this toolkit's words.

Nothing here knows what a configuration holds: the dataclass that is read is an argument.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from interp.errors import UsageError, unknown
from interp.reading import DEPTH, parsed_json, read_file

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")
# What makes a configuration of values, as `checked_config` does.
Check = Callable[..., Any]
# Fields of a dataclass, with those of the dataclasses in them.
Names = dict[str, "Names"]

# Bytes of a file that people write.
TEXT_BYTES = 2**22


def read_config(kind: type[T], path: Path, *, check: Check | None = None) -> T:
    """The config in a .json or .toml file.

    Args:
        kind: the dataclass.
        path: of the file.
        check: what makes the config of the file's values, in place of `checked_config`.

    Raises:
        UsageError: if the file cannot be read, or with every problem of its content.
    """
    if path.suffix not in (".json", ".toml"):
        raise UsageError(f"config file {path}: given suffix {path.suffix!r}, expected .json or .toml")
    if not path.exists():
        raise UsageError(f"config file {path} does not exist")
    where = f"config file {path}"
    try:
        text = read_file(path, at_most=TEXT_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{where}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: cannot be read (byte {error.start} is no text in UTF-8)") from error
    return parse_config(kind, text, "JSON" if path.suffix == ".json" else "TOML", where=where, check=check)


def parsed_text(data: bytes, *, is_json: bool) -> Any:
    """The values in the bytes of a JSON or TOML file.

    Raises:
        ValueError: if they are none.
    """
    return _PARSERS["JSON" if is_json else "TOML"](data.decode("utf-8-sig"))


def _parsed_toml(text: str) -> Any:
    """TOML, as strictly as JSON: nested as deep, with integers as long."""
    try:
        return parsed_json(json.dumps(tomllib.loads(text), default=str))
    except RecursionError:
        raise ValueError(f"nested more than {DEPTH} deep") from None


_PARSERS: dict[str, Callable[[str], Any]] = {"JSON": parsed_json, "TOML": _parsed_toml}


def parse_config(kind: type[T], text: str, language: Literal["JSON", "TOML"], *, where: str, check: Check | None = None) -> T:
    """The configuration in a text, as a dataclass of this kind; `where` names it in errors, `check` is as for `read_config`.

    Raises:
        UsageError: with every problem, each with the path of its field.
    """
    try:
        values = _PARSERS[language](text)
    except ValueError as error:
        raise UsageError(f"{where}: not {language} ({error})") from error
    return (check or checked_config)(kind, values, where=where)


def checked_config(kind: type[T], values: object, *, where: str) -> T:
    """The same of what a text says: nested JSON values.

    Raises:
        UsageError: as `parse_config`.
    """
    problems = list(_unknown_fields(values, _known_fields(kind)))  # type: ignore[arg-type]  # a class can be hashed
    config, found = _validate(kind, values)
    # A table with a value of the wrong type is not looked at any further: leave that value out to see the others.
    wrong = [one["loc"] for one in found if one["type"] != "value_error" and one["loc"]]
    if wrong:
        found += _validate(kind, _without(values, wrong))[1]
    for one in found:
        problems += _describe(one)
    if config is None or problems:
        raise UsageError(f"{where}:\n" + "\n".join(f"  {problem}" for problem in dict.fromkeys(problems)))
    return config


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # only here: help must not wait for it

    return TypeAdapter(kind)


def _validate(kind: type[Any], values: object) -> tuple[Any, list[Any]]:
    from pydantic import ValidationError

    try:
        adapter: TypeAdapter[Any] = _adapter(kind)  # type: ignore[arg-type]  # a class can be hashed
        # As JSON, because only there strict (nothing is converted: "3" and true are no numbers) takes nested tables.
        return adapter.validate_json(json.dumps(values, default=str), strict=True), []
    except ValidationError as error:
        return None, list(error.errors())


def _describe(error: Mapping[str, Any]) -> list[str]:
    """One of pydantic's errors in this toolkit's words."""
    if error["type"] == "value_error":  # from a dataclass of ours, whose message has the path already
        return str(error["ctx"]["error"]).splitlines()
    path, given = ".".join(map(str, error["loc"])) or "config", repr(error["input"])[:80]
    if error["type"].startswith("dataclass"):
        return [f"{path}: given {given}, expected a table of fields"]
    return [f"{path}: given {given}, expected {error['msg'].removeprefix('Input should be ')}"]


def _without(values: object, paths: Sequence[Sequence[str | int]]) -> object:
    """Nested tables with some fields left out."""
    if not isinstance(values, dict):
        return values
    left_out = {path[0] for path in paths if len(path) == 1}
    deeper = {name: [path[1:] for path in paths if path[0] == name and len(path) > 1] for name in values}
    return {name: _without(value, deeper[name]) for name, value in values.items() if name not in left_out}


@cache
def _known_fields(kind: Any) -> Names:
    """Names of a dataclass' fields; for each that is a dataclass itself, by its default, those of that one."""
    return _names_in(kind())


def _names_in(config: Any) -> Names:
    inner = {f.name: getattr(config, f.name) for f in fields(config)}
    return {name: _names_in(value) if is_dataclass(value) else {} for name, value in inner.items()}


def _unknown_fields(values: object, known: Names, prefix: str = "") -> Iterator[str]:
    """Names in a nested mapping that are not those of the fields it describes, each with the nearest one that is."""
    if not isinstance(values, dict):
        return
    for name, value in values.items():
        if name not in known:
            yield f"{prefix}{name}: {unknown('field', name, known)}"
        elif known[name]:
            yield from _unknown_fields(value, known[name], f"{prefix}{name}.")
