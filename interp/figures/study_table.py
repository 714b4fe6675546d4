"""A study as a table for figures: its axes in order, and its rows by their place on them. Plain values, no files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product, takewhile
from typing import Any

from interp.errors import UsageError, unknown
from interp.wording import DIGITS, digits_apart

Row = Mapping[str, Any]
Place = tuple[int, ...]

# An axis whose values reach further than this is logarithmic.
_LOG_FROM = 5.0
_LABELS = {"split.seed": "seed of the split"}  # where the last part alone says something else
_NONE = "none"  # as `interp.studies` says that a run has no changes
_TICKS = 12  # values that are all written beside an axis
_OTHER = 3  # of two values that are not alike in any way, see `_unlike`
_ROUNDING = 1e-12  # numbers that are less far apart, relatively, are meant to be one


@dataclass(frozen=True)
class StudyAxis:
    """An axis with its values, ascending where they are numbers.

    Args:
        fields: of the configuration, several if they move together.
        values: a tuple for each position, with a value for each field.
    """

    fields: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, fields: Sequence[str], rows: Sequence[Row]) -> StudyAxis:
        """The axis of some fields, with the values that rows have."""
        found = list(dict.fromkeys(tuple(_fixed(row[field]) for field in fields) for row in rows))
        if all(_is_number(value[0]) for value in found):
            found.sort(key=lambda value: float(value[0]))
        return cls(tuple(fields), tuple(found))

    @property
    def name(self) -> str:
        """Its fields, with `+` between those that move together."""
        return "+".join(self.fields)

    @property
    def label(self) -> str:
        """Its name for people: the last parts of the fields.

        >>> StudyAxis(("optimizer.weight_decay",), ((1.0,),)).label
        'weight decay'
        """
        return " and ".join(_LABELS.get(field) or field.rpartition(".")[2].replace("_", " ") for field in self.fields)

    @cached_property
    def digits(self) -> int:
        """How many digits tell its values apart: four, or as many more as that takes.

        >>> StudyAxis(("split.fraction",), ((0.612341,), (0.612343,))).texts
        ('0.612341', '0.612343')
        """
        fields = zip(*self.values, strict=True)
        return max(digits_apart(value for value in values if isinstance(value, float)) for values in fields)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Each value for people; no two are alike."""
        return tuple(map(self.text_of, self.values))

    def text_of(self, value: Sequence[Any]) -> str:
        """A value for people: that of each field, with a stroke between them."""
        return " / ".join(said(part, self.digits) for part in value)

    @cached_property
    def stem(self) -> str:
        """What texts, "none" apart, have in common at their beginning, up to a colon, a dot of names or an equals sign.

        Empty of fewer than two, of numbers, and where a text without it would say nothing.

        >>> StudyAxis(("changes",), (("none",), ("memorized:norm=0.6",), ("memorized:norm=0.85",))).stem
        'memorized:norm='
        """
        found = [text for text in self.texts if text != _NONE]
        if self.numbers is not None or len(found) < 2:
            return ""
        common = "".join(letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, zip(*found, strict=False)))
        stem = common[: max(common.rfind(sign) for sign in (":=" if "=" in common else ":.")) + 1]
        return "" if {"", _NONE} & {text.removeprefix(stem) for text in found} else stem

    @property
    def ticks(self) -> tuple[str, ...]:
        """Each value beside an axis whose title has their stem."""
        return tuple(text.removeprefix(self.stem) for text in self.texts)

    @property
    def title(self) -> str:
        """Its label, with the stem of its values where they have one.

        >>> StudyAxis(("changes",), (("none",), ("memorized:norm=0.6",), ("memorized:norm=0.85",))).title
        'changes: memorized:norm=…'
        """
        return f"{self.label}: {self.stem}…" if self.stem else self.label

    @cached_property
    def numbers(self) -> tuple[float, ...] | None:
        """Each value as a number (of the first field); None if one is not."""
        found = [value[0] for value in self.values]
        return tuple(float(value) for value in found) if all(map(_is_number, found)) else None

    @property
    def is_log(self) -> bool:
        """Whether its numbers are better spaced by their ratios."""
        found = self.numbers
        return found is not None and len(found) > 1 and found[0] > 0 and found[-1] / found[0] > _LOG_FROM

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """Where along an axis of its scale each value lies: 0 to 1."""
        found = self.numbers or range(len(self.values))
        on = [math.log(value) for value in found] if self.is_log else list(map(float, found))
        return tuple((value - on[0]) / ((on[-1] - on[0]) or 1.0) for value in on)

    @cached_property
    def ticked(self) -> tuple[int, ...]:
        """Positions of the values that have room beside an axis of its scale: all of a few, of more those that are far apart.

        >>> StudyAxis(("split.fraction",), tuple((round(0.1 + 0.01 * i, 2),) for i in range(61))).ticked
        (0, 2, 5, 8, 12, 16, 21, 27, 34, 42, 52)
        """
        places = range(len(self.values))
        return tuple(places) if len(self.values) <= _TICKS else apart(places, self.shares, 1 / _TICKS)


@dataclass(frozen=True)
class StudyTable:
    """The rows of a study by their place.

    Args:
        name: of the study.
        axes: what varies.
        rows: one for each run, see `interp.studies.outcomes.rows`.
        seeds_are: what a seed sets: both, weights, split.
    """

    name: str
    axes: tuple[StudyAxis, ...]
    rows: tuple[Row, ...]
    seeds_are: str = "both"

    @classmethod
    def of(cls, name: str, fields: Sequence[Sequence[str]], rows: Sequence[Row], *, seeds_are: str = "both") -> StudyTable:
        """The table of rows that vary in some fields, given by axis.

        Raises:
            UsageError: if there is no row.
        """
        if not rows:
            raise UsageError("study: given no run, expected at least one")
        return cls(name, tuple(StudyAxis.of(of, rows) for of in fields), tuple(rows), seeds_are)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Of each row: its position on every axis."""
        at = [{value: i for i, value in enumerate(axis.values)} for axis in self.axes]
        return tuple(
            tuple(known[tuple(_fixed(row[field]) for field in axis.fields)] for known, axis in zip(at, self.axes, strict=True))
            for row in self.rows
        )

    @cached_property
    def cells(self) -> dict[Place, list[Row]]:
        """The rows at every place that has some, in the order of the places."""
        found: dict[Place, list[Row]] = {}
        for place, row in zip(self.places, self.rows, strict=True):
            found.setdefault(place, []).append(row)
        return dict(sorted(found.items()))

    def find(self, name: str) -> int:
        """The number of the axis of a name: its whole name, that of a field, or a field's last part.

        Raises:
            UsageError: for a name that no axis has.
        """
        asked = name.replace("-", "_")
        for number, axis in enumerate(self.axes):
            if asked in (axis.name, *axis.fields, *(field.rpartition(".")[2] for field in axis.fields)):
                return number
        raise unknown("axis", name, [axis.name for axis in self.axes])

    def others(self, *numbers: int) -> list[dict[int, int]]:
        """Every combination of positions on the axes that are not among some."""
        rest = [number for number in range(len(self.axes)) if number not in numbers]
        return [
            dict(zip(rest, place, strict=True)) for place in product(*(range(len(self.axes[number].values)) for number in rest))
        ]

    def fixed(self, given: Mapping[str, Any], *numbers: int) -> dict[int, int]:
        """Positions on the axes that are not among some: those that are given, the first ones elsewhere.

        Args:
            given: values by the name of their axis.
            numbers: the axes that are free.

        Raises:
            UsageError: for an unknown axis, one that is free or given twice, or a value that it does not have.
        """
        found = self.others(*numbers)[0]
        asked = [(name, self.find(name), value) for name, value in given.items()]
        for name, number, value in asked:
            axis = self.axes[number]
            if number in numbers:
                raise UsageError(f"fixed: given {axis.name}, which is an axis of the figure; leave it out")
            if twice := [other for other, same, _ in asked if same == number and other != name]:
                raise UsageError(f"fixed: given {name} and {twice[0]}, which are one axis, expected one value for it")
            found[number] = _place_of(value, axis)
        return found

    def at(self, positions: Mapping[int, int]) -> list[Row]:
        """The rows of one cell, given by its position on every axis; none if it has none."""
        return self.cells.get(tuple(positions[number] for number in range(len(self.axes))), [])

    def told(self, positions: Mapping[int, int]) -> str:
        """Positions in words."""
        return ", ".join(f"{self.axes[number].label} {self.axes[number].texts[i]}" for number, i in sorted(positions.items()))


def said(value: Any, digits: int = DIGITS) -> str:
    """A value of an axis for people.

    >>> [said(value) for value in (0.30000001, 1200, True, None, "relu", [1, 2])]
    ['0.3', '1,200', 'yes', 'none', 'relu', '1, 2']
    """
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: _NONE}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return ", ".join(said(part, digits) for part in value) if isinstance(value, list | tuple) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def apart(places: Sequence[int], shares: Sequence[float], gap: float) -> tuple[int, ...]:
    """Those of some positions, in their order, that lie no nearer than a gap to the one before.

    >>> apart([0, 1, 2], [0.0, 0.1, 1.0], 0.2)
    (0, 2)
    """
    kept: list[int] = []
    for place in places:
        if not kept or shares[place] - shares[kept[-1]] >= gap:
            kept.append(place)
    return tuple(kept)


def _place_of(given: Any, axis: StudyAxis) -> int:
    """The position of a value on an axis: the one that equals it, or is said like it, or differs in rounding alone.

    Fields that move together are compared one by one: `59 / 0.3333` is (59, 1/3).

    Raises:
        UsageError: if the axis has no such value.
    """
    parts = tuple(map(_fixed, given)) if isinstance(given, list | tuple) and len(axis.fields) > 1 else (_fixed(given),)
    text = axis.text_of(parts)
    if len(parts) == len(axis.fields):
        unlike = [max(_unlike(*pair, axis.digits) for pair in zip(value, parts, strict=True)) for value in axis.values]
        if min(unlike) < _OTHER:
            return unlike.index(min(unlike))
    elif text in axis.texts:
        return axis.texts.index(text)
    is_whole = all(_is_whole(part, axis.digits) for part in parts)
    raise unknown(f"value of {axis.name}", text if is_whole else " / ".join(map(str, parts)), axis.texts)


def _unlike(held: Any, given: Any, digits: int) -> int:
    """How unlike a field's value and a given one are: 0 equal, 1 said alike, 2 alike but for rounding, 3 others."""
    if held == given:
        return 0
    if said(held, digits) == said(given, digits) and _is_whole(given, digits):
        return 1
    return 2 if _is_number(held) and _is_number(given) and math.isclose(held, given, rel_tol=_ROUNDING) else _OTHER


def _is_whole(given: Any, digits: int) -> bool:
    """Whether a value is what is said of it: a number with more digits is another than the one that is said so."""
    return not isinstance(given, float) or float(said(given, digits)) == given


def _fixed(value: Any) -> Any:
    """A value that can be a key."""
    return tuple(map(_fixed, value)) if isinstance(value, list) else value
