"""Checks of a configuration's fields: each gives what is wrong in words, or None; `refuse` raises all of it at once.

Nothing here imports torch.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from interp.errors import UsageError, unknown

# The largest number of steps, neurons, points ...: far beyond any machine, and products of a few of them are still floats.
MOST = 10**18
MOST_THREADS = 1024
_LONGEST = 200  # letters of a value that is refused
# The largest number of each precision.
_LARGEST = {"float32": (2 - 2**-23) * 2.0**127, "float64": sys.float_info.max}


def refuse(*problems: str | None) -> None:
    """Raise all problems at once, if there are any."""
    if found := [problem for problem in problems if problem]:
        raise UsageError("\n".join(found))


def number(name: str, value: object, expected: str, test: Callable[[float], bool]) -> str | None:
    """Refuse what is no number, or not one that the test takes."""
    try:
        right = isinstance(value, int | float) and not isinstance(value, bool) and test(value)
    except OverflowError:  # an integer that no float can hold
        right = False
    return None if right else f"{name}: given {short(value)}, expected {expected}"


def integer(name: str, value: object, *, least: int, most: int = MOST) -> str | None:
    """Refuse what is no integer in the range."""
    above = isinstance(value, int) and value > most
    expected = f"an integer in {least}..{most:,}" if above or most != MOST else f"an integer >= {least}"
    return number(name, value, expected, lambda x: isinstance(x, int) and least <= x <= most)


def short(value: object) -> str:
    """A value as text; of an integer of thousands of digits, which Python does not write out, its length."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length():,} bits"
    try:
        said = repr(value)
    except ValueError:  # such an integer is inside
        return f"a {type(value).__name__} with an integer of thousands of digits"
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."


def holdable(name: str, value: float, dtype: str) -> str | None:
    """Refuse what becomes infinite in the run's precision before anything was computed."""
    most = _LARGEST[dtype]
    return (
        None if value <= most else f"{name}: given {value!r}, which {dtype} cannot hold, expected at most {most:.5g}; "
        "choose a smaller one, or dtype float64"
    )  # fmt: skip


def without_negative_zeros(config: Any) -> None:
    """-0.0 is 0.0: equal configurations have equal bytes and names."""
    for field_ in fields(config):
        if isinstance(value := getattr(config, field_.name), float) and value == 0:
            object.__setattr__(config, field_.name, 0.0)


def truth(name: str, value: object) -> str | None:
    """Refuse what is not true or false."""
    return None if isinstance(value, bool) else f"{name}: given {value!r}, expected true or false"


def one_of(name: str, value: object, choices: Sequence[str]) -> str | None:
    """Refuse what is not one of the choices, with the nearest."""
    return None if value in choices else str(unknown(name, value, choices))


def device(value: object) -> str | None:
    """Refuse what is no device's name."""
    right = isinstance(value, str) and re.fullmatch(r"cpu|cuda(:[0-9]{1,4})?", value)
    return None if right else f"device: given {value!r}, expected cpu, cuda or cuda:N"


def without_later(values: dict[str, Any], config: Any, later: Sequence[str]) -> dict[str, Any]:
    """A config's values without those of its later fields that have their default: runs that do not use them have the bytes and
    names that they had before there were any.
    """
    usual = {one.name: one.default for one in fields(config)}
    return {name: value for name, value in values.items() if name not in later or getattr(config, name) != usual[name]}
