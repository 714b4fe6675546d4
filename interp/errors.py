"""The errors users see: each says what was given, what was expected, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class UsageError(ValueError):
    """The caller asked for something that cannot be: an unknown name, a value out of range. The command line exits with 2."""


class NotFiniteError(UsageError):
    """Nothing can be concluded from a model of which values are NaN or infinite. The command line exits with 1."""


class DataError(RuntimeError):
    """A file or run is damaged, foreign, or missing something. The command line exits with 1."""


class TrainingError(RuntimeError):
    """Training cannot go on, for example because the loss is no longer finite. What was saved stays. Exit code 1."""


def unknown(kind: str, given: object, choices: Iterable[str]) -> UsageError:
    """The error for a name that does not exist, with the nearest one that does.

    >>> print(unknown("recipe", "nada", ["demo", "nanda"]))
    unknown recipe 'nada'; did you mean 'nanda'? Known: demo, nanda
    """
    names = [str(choice) for choice in choices]
    near = get_close_matches(str(given), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return UsageError(f"unknown {kind} {str(given)!r}{hint} Known: {', '.join(names) or 'none'}")


def as_list(given: Any, what: str, *, of: type | tuple[type, ...]) -> list[Any]:
    """One value or several as a list.

    Args:
        given: what was given.
        what: it is called in the error.
        of: the type of one value.

    Raises:
        UsageError: for anything else.

    >>> as_list("demo", "recipes", of=str), as_list(["demo", "nanda"], "recipes", of=str)
    (['demo'], ['demo', 'nanda'])
    """
    if isinstance(given, of):
        return [given]
    if not isinstance(given, Iterable) or isinstance(given, str | bytes):
        kinds = of if isinstance(of, tuple) else (of,)
        raise UsageError(
            f"{what}: given {given!r}, expected {' or '.join(kind.__name__ for kind in kinds)}, one or a list of them"
        )
    return list(given)
