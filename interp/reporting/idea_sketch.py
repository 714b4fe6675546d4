"""The two small drawings at the head of a page: the network with one pair in it, and the idea of its circuit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from interp.harmonics.primes import powers_of_root
from interp.observing.series import About
from interp.observing.work_of_keys import work_of_keys
from interp.reporting.circumstances import is_memorizer
from interp.reporting.learned import Example, example
from interp.reporting.run_curves import Curves

_CENTRE, _RADIUS = 95.0, 72.0
_CENTRES = (_CENTRE, _CENTRE)
MINUS = "\N{MINUS SIGN}"
# What stands before the second number of a turn.
_SIGNS = {"add": "+", "subtract": MINUS, "multiply": "\N{MULTIPLICATION SIGN}"}
_LABELS = 12  # about so many numbers stand around the circle
Idea = Literal["clock", "pizza"]


@dataclass(frozen=True)
class Hand:
    """A hand from the middle, with a label at its end; an arc where it turns."""

    name: str
    x: float
    y: float
    label: str
    label_x: float
    label_y: float
    arc: str = ""


@dataclass(frozen=True)
class Face:
    """A circle of numbers with hands on it, and what is said of it."""

    numbers: tuple[tuple[str, float, float], ...]
    hands: tuple[Hand, ...]
    idea: Idea
    caption: str
    turn: Hand | None = None


@dataclass(frozen=True)
class Sketch:
    """What the drawings are made from; no face where the answers have no circle that can be drawn."""

    example: Example
    equals: bool
    heads: int | None
    neurons: int | None
    classes: int
    face: Face | None


def sketch(curves: Curves) -> Sketch | None:
    """The drawings of a run; None for one whose task shows no example."""
    known, shown = curves.about, example(curves.about)
    if shown is None:
        return None
    task, model = known.config.get("task"), known.config.get("model")
    equals = bool(task.get("equals_sign", True)) if isinstance(task, Mapping) else True
    heads, neurons = (model.get(name) if isinstance(model, Mapping) else None for name in ("n_heads", "d_mlp"))
    return Sketch(shown, equals, heads, neurons, known.p, _face(curves, shown))


def _face(curves: Curves, shown: Example) -> Face | None:
    """Addition and subtraction as turns of a circle, and multiplication as turns of the circle of powers."""
    known = curves.about
    if known.operation not in ("add", "subtract", "multiply") or not known.has_waves:
        return None
    around = _around(known)
    if shown.a not in around or shown.b not in around:  # 0 is no power
        return None
    n, sign = len(around), -1 if known.operation == "subtract" else 1
    one, other = around.index(shown.a) / n, sign * around.index(shown.b) / n
    verdict = known.verdicts.get("algorithm")
    idea: Idea = "pizza" if verdict is not None and verdict.verdict == "pizza" else "clock"
    turn: Hand | None = None
    every = max(1, round(n / _LABELS))
    numbers = tuple((str(around[i]), *_at(i / n, _RADIUS + 11)) for i in range(0, n - every // 2, every))
    turns = (one, one + other)
    if idea == "pizza":
        hands: tuple[Hand, ...] = (_hand("a", one, shown.a), _hand("b", other, shown.b), _sum(one, other))
    else:
        middle = (turns[0] + turns[1]) / 2
        turn = Hand("b", *_CENTRES, f"{_SIGNS[known.operation]}{shown.b}", *_at(middle, 55.0))
        hands = (
            _hand("a", turns[0], shown.a, arc=_arc(0.0, turns[0], 30.0)),
            _hand("answer", turns[1], shown.answer, arc=_arc(turns[0], turns[1], 42.0)),
        )
    return Face(numbers, hands, idea, _caption(curves, shown, idea), turn)


def _around(known: About) -> list[int]:
    """The numbers in the order in which they lie around the circle."""
    return powers_of_root(known.p) if known.operation == "multiply" else list(range(known.p))


def _told(known: About, shown: Example, idea: Idea) -> str:
    """The idea, for the example."""
    placed, whole = "", f"{known.p}"
    if known.operation == "multiply":
        root, whole = powers_of_root(known.p)[1], f"{known.p - 1} of these steps"
        placed = f"Every number but 0 is a power of {root}, and factors add exponents: here each step is a factor of {root}. "
    if idea == "pizza":
        return (
            f"{placed}The pizza's idea: put {shown.a} and {shown.b} on a circle and add the two directions. What comes out lies "
            "on the line half way between them, and twice its angle is the answer's. It is long or short: that depends on how "
            "far apart they are."
        )
    onwards = "back" if known.operation == "subtract" else "on"
    return (
        f"{placed}The clock's idea: {shown.a} is an angle. Turn by it, then turn {onwards} by that of {shown.b}, and read the "
        f"answer off. A full turn is {whole}, so that what is left over comes out by itself."
    )


def _caption(curves: Curves, shown: Example, idea: Idea) -> str:
    known = curves.about
    told = _told(known, shown, idea)
    if is_memorizer(curves):
        return f"What a circuit would do. {told} This network has no such thing: it knows single answers by heart."
    verdict = known.verdicts.get("algorithm")
    if not curves.generalizes or not known.stands_out or verdict is None or verdict.verdict != idea:
        return f"What a circuit can do. {told}"
    turns = [work.name for work in work_of_keys(curves.series) if not work.is_idle]
    named = ", ".join(map(str, turns[:-1])) + f" and {turns[-1]}" if len(turns) > 1 else "".join(map(str, turns))
    circles = (
        f"on {len(turns)} circles that go round {named} times" if len(turns) > 1 else f"on a circle that goes round {named} times"
    )
    over = f"exponents go from 0 to {known.p - 1}" if known.operation == "multiply" else f"numbers go from 0 to {known.p}"
    return f"{told} This network does so {circles} as the {over}."


def _hand(name: str, turn: float, number: int, *, reach: float = 1.0, arc: str = "") -> Hand:
    (x, y), (label_x, label_y) = _at(turn, reach * (_RADIUS - 4)), _at(turn, reach * (_RADIUS - 18))
    return Hand(name, x, y, str(number), label_x, label_y, arc)


def _sum(one: float, other: float) -> Hand:
    """Half the sum of two directions, as a hand without a number: it points half way between them, or the opposite way."""
    (x, y), (u, v) = _at(one, _RADIUS - 4), _at(other, _RADIUS - 4)
    return Hand("answer", round((x + u) / 2, 1), round((y + v) / 2, 1), "", 0.0, 0.0)


def _at(turn: float, radius: float) -> tuple[float, float]:
    """A place on the face, turns counted clockwise from the top."""
    angle = 2 * math.pi * turn
    return round(_CENTRE + radius * math.sin(angle), 1), round(_CENTRE - radius * math.cos(angle), 1)


def _arc(begin: float, end: float, radius: float) -> str:
    """The path of a turn of less than once around."""
    (x0, y0), (x1, y1) = _at(begin, radius), _at(end, radius)
    large, clockwise = int(abs(end - begin) > 1 / 2), int(end >= begin)
    return f"M{x0} {y0}A{radius} {radius} 0 {large} {clockwise} {x1} {y1}"
