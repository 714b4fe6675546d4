"""The steps that names of files tell: ``model_1000.pt``, ``step-000500.safetensors``, ``epoch=3-step=900.ckpt``, ``1000.pth``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from interp.errors import DataError
from interp.interop.containers import limits

_NUMBER = re.compile(r"\d+")
_LABEL = re.compile(r"([a-z_]+?)[-_=. ]*$", re.IGNORECASE)
# Words before a number that make it a step; updates before epochs, both before words that only say what the file is.
_WORDS = {
    **dict.fromkeys(("global_step", "step", "steps", "update", "updates"), 0),
    **dict.fromkeys(("iter", "iters", "iteration", "iterations", "it"), 1),
    **dict.fromkeys(("epoch", "epochs", "ep"), 2),
    **dict.fromkeys(("checkpoint", "ckpt", "chkpt", "cp"), 3),
}


@dataclass(frozen=True)
class _Field:
    """A number in a name: the word before it, its digits, and whether it can be a whole number of its own."""

    word: str
    digits: str
    whole: bool

    @property
    def rank(self) -> int | None:
        return _WORDS.get(self.word) if self.whole else None


def template(name: str) -> str:
    """A name with a sign in place of each number: files of one series have one template.

    >>> template("epoch=3-step=900")
    'epoch=#-step=#'
    """
    return _NUMBER.sub("#", name)


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """A key that sorts names as people do: 2 before 10.

    >>> sorted(["m10", "m2"], key=natural)
    ['m2', 'm10']
    """
    return tuple((text.lower(), int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d{0,4000})", name))


def step_in_name(name: str) -> int | None:
    """The step that one name tells: a number after a word for steps, or one that is the whole name; None if it tells none.

    >>> step_in_name("epoch=3-step=900"), step_in_name("1000"), step_in_name("wd_0.1_final"), step_in_name("seed1")
    (900, 1000, None, None)
    """
    fields = _fields(name)
    if len(fields) == 1 and fields[0].digits == name:
        return _checked(fields[0], name)
    chosen = _of_best_rank(fields)
    return _checked(fields[chosen[0]], name) if len(chosen) == 1 else None


def steps_in_names(names: Sequence[str]) -> list[int]:
    """The steps of several files of one series: by the words before the numbers, or else by the only number that differs.

    >>> steps_in_names(["model_p113_0", "model_p113_1000"])
    [0, 1000]

    Raises:
        DataError: if no number or several could be the step; with what was seen.
    """
    rows = [_fields(name) for name in names]
    shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    words = {tuple(field.word for field in row) for row in rows}
    if len(words) != 1:
        raise DataError(f"the names tell no steps: {shown}; give the steps, in this order, with --steps (known.steps)")
    chosen = _of_best_rank(rows[0])
    varying = [at for at, column in enumerate(zip(*rows, strict=True)) if len({field.digits for field in column}) > 1]
    if len(chosen) != 1:
        chosen = varying
    if len(chosen) != 1:
        said = "no number differs" if not chosen else f"{len(chosen)} numbers differ"
        raise DataError(
            f"the names tell no steps for certain ({said} between them: {shown}); give the steps, in this order, with --steps "
            "(known.steps)"
        )
    return [_checked(row[chosen[0]], name) for row, name in zip(rows, names, strict=True)]


def _fields(name: str) -> list[_Field]:
    found = []
    for match in _NUMBER.finditer(name):
        label = _LABEL.search(name[: match.start()])
        word = (label[1] if label else "").lower().strip("_")
        known = next((w for w in sorted(_WORDS, key=len, reverse=True) if word == w or word.endswith(f"_{w}")), word)
        decimal = re.search(r"\d\.$", name[: match.start()]) or re.match(r"\.\d|[a-zA-Z]", name[match.end() :])
        found.append(_Field(known, match[0], not decimal))
    return found


def _of_best_rank(fields: Sequence[_Field]) -> list[int]:
    ranks = [field.rank for field in fields if field.rank is not None]
    return [at for at, field in enumerate(fields) if ranks and field.rank == min(ranks)]


def _checked(field: _Field, name: str) -> int:
    if not field.whole or len(field.digits) > 18 or int(field.digits) > limits.STEP:
        raise DataError(f"{name[: limits.TEXT]}: {field.digits[:20]!r} is no step, expected an integer from 0 to {limits.STEP:,}")
    return int(field.digits)
