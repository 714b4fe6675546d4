"""Names of several runs, short enough to be told apart in a legend on a narrow screen."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Up to so many characters fit beside a slider, or above a column.
SHORT = 12
_PARTS = re.compile(r"(?<=[-_. ])")


def labels(names: Sequence[str]) -> list[str]:
    """The names without the parts that all of them begin and end with, where they are long; as they are where they are short.

    >>> labels(["demo-addition-wd0.3-s1", "demo-addition-wd2.0-s1", "demo-addition-wd2.0-s2"])
    ['wd0.3-s1', 'wd2.0-s1', 'wd2.0-s2']
    >>> labels(["one", "another"])
    ['one', 'another']
    """
    parts = [_PARTS.split(name) for name in names]
    if len(names) < 2 or max(map(len, names)) <= SHORT or len(set(names)) < len(names):
        return list(names)
    begin = _shared(parts)
    end = _shared([list(reversed(one[begin:])) for one in parts])
    short = ["".join(one[begin : len(one) - end or None]).strip("-_. ") for one in parts]
    return short if all(short) and len(set(short)) == len(names) else list(names)


def _shared(parts: Sequence[Sequence[str]]) -> int:
    """How many parts all of them begin with; of none all, so that something is left."""
    most = min(map(len, parts)) - 1
    return next((i for i in range(most) if len({one[i] for one in parts}) > 1), max(most, 0))
