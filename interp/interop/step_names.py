"""The steps that names of files tell: ``model_1000.pt``, ``step-000500.safetensors``, ``epoch=3-step=900.ckpt``, ``1000.pth``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from interp.errors import DataError
from interp.interop.containers import limits

# A thousand may be written as a k: 2k is 2000.
_NUMBER = re.compile(r"\d+(?:[kK](?![a-zA-Z0-9]))?")
_LABEL = re.compile(r"([a-z_]+?)[-_=. ]*$", re.IGNORECASE)
# Words before a number that make it a step; updates before epochs, both before words that only say what the file is.
_WORDS = {
    **dict.fromkeys(("global_step", "step", "steps", "update", "updates"), 0),
    **dict.fromkeys(("iter", "iters", "iteration", "iterations", "it"), 1),
    **dict.fromkeys(("epoch", "epochs", "ep"), 2),
    **dict.fromkeys(("checkpoint", "ckpt", "chkpt", "cp"), 3),
}
# What tells one training from another: files that differ in it are several runs, whatever else they differ in.
_TRAININGS = frozenset({
    "seed", "run", "trial", "rep", "repeat", "replica", "replicate", "fold", "exp", "experiment", "init", "try", "attempt",
    "sweep", "wd", "weight_decay", "decay", "lr", "learning_rate", "beta", "dropout", "temp", "temperature", "bs", "batch",
    "batch_size", "p", "mod", "modulus", "prime", "frac", "fraction", "train_frac", "d_model", "d_mlp", "dim", "width", "depth",
    "n_layers", "n_layer", "n_heads", "n_head",
})  # fmt: skip
# What tells parts and editions of one model from each other, and values that were measured; none is a step.
_PARTS = frozenset({
    "layer", "block", "head", "id", "index", "idx", "v", "ver", "version", "part", "shard", "rank", "gpu", "worker", "of", "loss",
    "acc", "accuracy",
})  # fmt: skip

_SHOWN = 20  # names in an error


@dataclass(frozen=True)
class _Field:
    """A number in a name: the word before it, its digits, and whether it can be a whole number of its own."""

    word: str
    digits: str
    whole: bool

    @property
    def rank(self) -> int | None:
        return _WORDS.get(self.word) if self.whole else None

    @property
    def value(self) -> int:
        thousands = self.digits[-1] in "kK"
        return int(self.digits[:-1]) * 1000 if thousands else int(self.digits)


def template(name: str) -> str:
    """A name with a sign in place of each number: files of one series have one template.

    >>> template("epoch=3-step=900"), template("ckpt_500") == template("ckpt_1k")
    ('epoch=#-step=#', True)
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

    >>> step_in_name("epoch=3-step=900"), step_in_name("ckpt_1k"), step_in_name("wd_0.1_final"), step_in_name("seed1")
    (900, 1000, None, None)
    """
    fields = _fields(name)
    if len(fields) == 1 and fields[0].digits == name:
        return _checked(fields[0], name)
    chosen = _of_best_rank(fields)
    return _checked(fields[chosen[0]], name) if len(chosen) == 1 else None


def give_steps(order: str) -> str:
    """What a caller can do whose files tell no steps: give them, in an order that is said in words."""
    return f"give the steps, {order}, with --steps (known.steps)"


def apart_in(word: str, names: Sequence[str], order: str) -> str:
    """That files differ in a word that tells trainings apart, and what to do."""
    return f"the files differ in {word} ({_shown(names)}): import each by itself, or {give_steps(order)}"


def steps_in_names(names: Sequence[str], *, order: str = "in this order") -> list[int]:
    """The steps of several files of one series: by the words before the numbers, or else by the only number that differs.

    >>> steps_in_names(["model_p113_0", "model_p113_1000"])
    [0, 1000]

    Args:
        names: in the order in which the caller would give the steps.
        order: that order in words, for errors.

    Raises:
        DataError: if no number or several could be the step, or one that differs tells trainings apart; with what was seen.
    """
    rows = [_fields(name) for name in names]
    shown = _shown(names)
    words = {tuple(field.word for field in row) for row in rows}
    if len(words) != 1:
        raise DataError(f"the names tell no steps: {shown}; {give_steps(order)}")
    chosen = _of_best_rank(rows[0])
    varying = _varying(rows)
    if apart := differing_trainings(names):
        raise DataError(apart_in(apart, names, order))
    if len(chosen) != 1:
        chosen = varying
        if len(chosen) == 1 and (word := rows[0][chosen[0]].word.rpartition("_")[2]) in _PARTS:
            raise DataError(
                f"the names tell no steps: they differ in {word} ({shown}); give the files of one model, or {give_steps(order)}"
            )
    if len(chosen) != 1:
        said = "no number differs" if not chosen else f"{len(chosen)} numbers differ"
        raise DataError(f"the names tell no steps for certain ({said} between them: {shown}); {give_steps(order)}")
    return [_checked(row[chosen[0]], name) for row, name in zip(rows, names, strict=True)]


def differing_trainings(names: Sequence[str]) -> str:
    """The word before a number in which names differ as those of several trainings do, such as ``seed``; empty if there is none.

    >>> differing_trainings(["p13_seed0", "p13_seed1"]), differing_trainings(["seed1_step0", "seed1_step9"])
    ('seed', '')
    """
    rows = [_fields(name) for name in names]
    if len({tuple(field.word for field in row) for row in rows}) != 1:
        return ""
    words = [_training(rows[0][at].word) for at in _varying(rows)]
    return next(filter(None, words), "")


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _training(word: str) -> str:
    """The word for a training at the end of a label: ``seed`` of ``model_seed`` and ``modelseed``; empty if there is none."""
    ends = (word.removesuffix("s"), word)
    known = [each for each in _TRAININGS for end in ends if end == each or end.endswith(f"_{each}")]
    return max(known, key=len, default="seed" if word.endswith("seed") else "")


def _varying(rows: Sequence[Sequence[_Field]]) -> list[int]:
    return [at for at, column in enumerate(zip(*rows, strict=True)) if len({field.digits for field in column}) > 1]


def _fields(name: str) -> list[_Field]:
    found: list[_Field] = []
    end = -1
    for match in _NUMBER.finditer(name):
        # The digits after the point or the exponent of a number have the word of that number.
        goes_on = end >= 0 and re.fullmatch(r"\.|e[-+]?", name[end : match.start()], re.IGNORECASE)
        label = _LABEL.search(name[: match.start()])
        end = match.end()
        if goes_on:
            found.append(_Field(found[-1].word, match[0], whole=False))
            continue
        word = (label[1] if label else "").lower().strip("_")
        known = next((w for w in sorted(_WORDS, key=len, reverse=True) if word == w or word.endswith(f"_{w}")), word)
        decimal = re.search(r"\d\.$", name[: match.start()]) or re.match(r"\.\d|[a-zA-Z]", name[match.end() :])
        found.append(_Field(known, match[0], not decimal))
    return found


def _of_best_rank(fields: Sequence[_Field]) -> list[int]:
    ranks = [field.rank for field in fields if field.rank is not None]
    return [at for at, field in enumerate(fields) if ranks and field.rank == min(ranks)]


def _checked(field: _Field, name: str) -> int:
    if not field.whole or len(field.digits) > 18 or field.value > limits.STEP:
        raise DataError(f"{name[: limits.TEXT]}: {field.digits[:20]!r} is no step, expected an integer from 0 to {limits.STEP:,}")
    return field.value
