"""Numbers of things in words, for what the toolkit says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

DIGITS, _ALL_DIGITS = 4, 17  # of a number for people, and those that no two numbers have in common


def counted(n: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "checkpoint"), counted(12_000, "step"), counted(0, "spike")
    ('1 checkpoint', '12,000 steps', '0 spikes')
    """
    return f"{signed(n)} {noun}{'' if abs(n) == 1 else 's'}"


def signed(n: int) -> str:
    """A whole number that may be negative, with the sign of mathematics for minus.

    >>> signed(-1_234), signed(17)
    ('\u22121,234', '17')
    """
    return f"{n:,}".replace("-", "\u2212")


def checkpoints(steps: Sequence[int], *, known: bool = True) -> str:
    """How many checkpoints, and from where to where, if that is known.

    >>> checkpoints([0, 5, 10]), checkpoints([5]), checkpoints([0], known=False)
    ('3 checkpoints, steps 0 to 10', '1 checkpoint, step 5', '1 checkpoint, step unknown')
    """
    span = f", step {steps[0]}" if len(steps) == 1 else f", steps {steps[0]} to {steps[-1]}" if steps else ""
    return f"{counted(len(steps), 'checkpoint')}{span if known else ', step unknown'}"


def knows_step(facts: Mapping[str, Any]) -> bool:
    """Whether it is known after how many updates a run's model was saved, from its facts or its record.

    A file of somebody else's may not say it. Its only model has the number 0 then, which is that of no step.

    >>> knows_step({"provenance": {"unknown": ["steps", "seed"]}}), knows_step({"provenance": {}})
    (False, True)
    """
    origin = facts.get("provenance")
    return not (isinstance(origin, Mapping) and "steps" in origin.get("unknown", ()))


def byte_size(n: int) -> str:
    """A number of bytes as people say it, in powers of a thousand.

    >>> byte_size(105_516_355), byte_size(2_400), byte_size(17)
    ('106 MB', '2.4 kB', '17 bytes')
    """
    size, unit = float(n), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return counted(n, "byte") if unit == 0 else f"{size:.{0 if size >= 99.5 else 1}f} {_UNITS[unit]}"


_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def percent(share: float) -> str:
    """A share as a percentage that never rounds up to 100 or down to 0.

    >>> percent(0.99996), percent(1.0), percent(0.1234)
    ('> 99.9 %', '100 %', '12 %')
    """
    if 0.999 < share < 1:
        return "> 99.9 %"
    if 0 < share < 0.001:
        return "< 0.1 %"
    digits = 1 if share > 0.99 or share < 0.095 else 0
    return f"{100 * share:.{digits}f} %".replace(".0 %", " %")


def number(value: float | None, digits: int = DIGITS) -> str:
    """A number with four digits, or others; a dash where there is none. A narrow column does not break it.

    >>> number(0.123456), number(2.41e-7), number(None)
    ('0.1235', '2.41e\u22127', '-')
    """
    return "-" if value is None else unbroken(f"{value:.{digits}g}")


def digits_apart(values: Iterable[float]) -> int:
    """How many digits tell numbers apart that differ: four, or as many more as that takes.

    >>> digits_apart([0.3, 0.35, 0.3]), digits_apart([0.612341, 0.612343])
    (4, 6)
    """
    known = set(values)
    return next((n for n in range(DIGITS, _ALL_DIGITS) if len({f"{value:.{n}g}" for value in known}) == len(known)), _ALL_DIGITS)


def about(steps: float) -> str:
    """A number of steps that is known roughly, with two digits.

    >>> about(89_522.3), about(2_202.0), about(7.0)
    ('90,000', '2,200', '7')
    """
    return f"{float(f'{steps:.2g}'):,.0f}"


def unbroken(text: str) -> str:
    """A text whose exponents have the sign of mathematics for minus, at which no line is broken."""
    return re.sub(r"e-0?", "e\u2212", text)


def spread(values: Sequence[float | None]) -> str:
    """The least and greatest of some numbers, or their common value.

    >>> spread([0.5, None, 0.25]), spread([1.0, 1.0])
    ('0.25 to 0.5', '1')
    """
    known = [value for value in values if value is not None]
    return " to ".join(dict.fromkeys([number(min(known)), number(max(known))])) if known else "-"


def reaching(low: str | None, high: str | None) -> str:
    """From where to where an interval reaches, of which an end may not be known.

    >>> reaching("900", "1,500"), reaching("900", None), reaching(None, "1,500"), reaching(None, None)
    ('900 to 1,500', '900 to beyond', 'up to 1,500', 'not bounded')
    """
    if low is None:
        return "not bounded" if high is None else f"up to {high}"
    return f"{low} to {'beyond' if high is None else high}"


def listed(values: Sequence[object]) -> str:
    """Values with commas between them."""
    return ", ".join(map(str, values))


def key_nouns(keys: Sequence[object]) -> tuple[str, str]:
    """The noun for key frequencies, singular and plural: those of a group that is not cyclic are representations, with names.

    >>> key_nouns((14, 35)), key_nouns(("E1",))
    (('frequency', 'frequencies'), ('representation', 'representations'))
    """
    named = any(isinstance(key, str) for key in keys)
    return ("representation", "representations") if named else ("frequency", "frequencies")


def pairs(values: Mapping[str, object]) -> str:
    """Names with their values.

    >>> pairs({"14": 44, "35": 93}), pairs({})
    ('14: 44, 35: 93', 'none')
    """
    return listed([f"{name}: {value}" for name, value in values.items()]) or "none"


# What a terminal obeys or nobody sees: control characters, marks of direction, what joins or fills without a width, tags, halves
# of a pair. Joiners stay within words and signs that need them.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]|(?<![^\x00-\x7f])[\u200c\u200d\ufe0f]"
    "|[\u200c\u200d](?![^\x00-\x7f])"
)
_UNSEEN_IN_LINES = re.compile(r"(?![\n\t])(?:" + _UNSEEN.pattern + ")")


def shown(text: object, *, lines: bool = False) -> str:
    r"""A text as it can be printed whoever wrote it: what commands a terminal, or cannot be seen, is written as an escape.

    Args:
        text: anything, as its text.
        lines: line breaks and tabs stay, where they are ours.

    >>> print(shown("W_E\x1b[2J\u202e"), shown("a\nb"))
    W_E\x1b[2J\u202e a\x0ab
    """
    found = str(text)
    return (_UNSEEN_IN_LINES if lines else _UNSEEN).sub(lambda match: _escaped(match[0]), found)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def plain(value: object) -> str:
    """A value for people.

    >>> [plain(value) for value in (True, None, 73648000, 1e10, 1e-8, 0.0, "relu")]
    ['yes', 'none', '73,648,000', '10,000,000,000', '1e-08', '0', 'relu']
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.12g}"
    return "none" if value is None else str(value)
