"""Losses that a file stores as bare lists, placed at epochs that the file itself names; what fits nothing is kept apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from numbers import Real
from typing import Literal

import numpy as np
from torch import Tensor

from interp.errors import DataError
from interp.interop.containers import limits
from interp.interop.logs.column_names import Meaning, meaning
from interp.interop.stored_curves import Curve, curve_in
from interp.networks.tensor_layout import describe

# A spacing is inferred from lengths alone only for lists of at least this many values: short ones fit by chance.
_ENOUGH = 10
TABLES = ("history", "metrics", "logs", "log", "losses", "results", "stats")
_COUNTERS = ("epoch", "step", "iter", "update")

Kind = Literal["loss", "accuracy"]
KINDS: tuple[Kind, Kind] = ("loss", "accuracy")


@dataclass(frozen=True)
class Placed:
    """A list of losses.

    Attributes:
        values: every one of them, in order; empty if there is no list.
        epochs: the epoch of each, ascending; empty if the file does not tell.
        note: how their epochs were found, or that they were not, in words; None where nothing was inferred.
        by: the name of the list of epochs that tells theirs; empty if none does.
    """

    values: tuple[float, ...] = ()
    epochs: tuple[int, ...] = ()
    note: str | None = None
    by: str = ""

    @property
    def by_epoch(self) -> dict[int, float]:
        """The losses by epoch; empty if their epochs are not known."""
        return dict(zip(self.epochs, self.values, strict=True)) if self.epochs else {}

    def carried(self, to: int | None = None) -> float | None:
        """The last loss carried on at the rate of the last two, to an epoch, by default one further; None if it cannot be.

        A stored loss is that of the weights before the update of its epoch, and the weights beside it have had that update.
        """
        if len(self.values) < 2 or not all(isfinite(value) and value > 0 for value in self.values[-2:]):
            return None
        before, last = self.values[-2:]
        gap = self.epochs[-1] - self.epochs[-2] if self.epochs else 1
        ahead = 1 if to is None or not self.epochs else max(to - self.epochs[-1], 0)
        return float(last * np.exp(np.clip(np.log(last / before) * ahead / gap, -1, 1)))


@dataclass(frozen=True)
class Clues:
    """What a file says about its epochs.

    Attributes:
        saved: the epochs of its state dicts, where it names them.
        lists: its ascending lists of integers, by name, such as ``epochs``.
        budgets: numbers of epochs or steps in its configuration.
    """

    saved: tuple[int, ...] = ()
    lists: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    budgets: frozenset[int] = frozenset()


def clues(rest: Mapping[str, object], config: Mapping[str, object], saved: Sequence[int | None]) -> Clues:
    """What the entries of a file, its configuration and its state dicts say about epochs."""
    entries = {
        **rest,
        **{name: value for table in TABLES if isinstance(inner := rest.get(table), Mapping) for name, value in inner.items()},
    }
    lists = {name: found for name, value in entries.items() if _counts(str(name)) and (found := _ascending(value))}
    budgets = {int(value) for name, value in config.items() if _counts(name) and isinstance(value, int)}
    return Clues(tuple(epoch for epoch in saved if epoch is not None), lists, frozenset(budgets))


def place(rest: Mapping[str, object], which: str, known: Clues, kind: Kind = "loss") -> Placed:
    """The ``train`` or ``test`` losses or accuracies of a file, at the epochs that it names.

    Values whose steps stand beside them have these. A list as long as a stored list of epochs belongs to it. A list of training
    losses without such a one has one for every epoch from 0, if it is as long as the training was; other lists without have the
    epochs of the training losses, or every k-th.
    """
    name, curve = next(iter(curve_lists(rest, which, kind).items()), ("", None))
    if curve is None:
        return Placed()
    values = curve.values
    if curve.steps:
        return Placed(values, curve.steps, f"{name}: {len(values)}, at the steps that stand beside them")
    fitting = {key: epochs for key, epochs in known.lists.items() if len(epochs) == len(values)}
    fitting = {key: epochs for key, epochs in fitting.items() if which in key.lower()} or fitting
    if len(set(fitting.values())) == 1:
        key, epochs = next(iter(fitting.items()))
        note = f"{name}: {len(values)}, as many as the {key} of the file, which they were placed at"
        return Placed(values, epochs, note, key)
    if fitting:
        return _apart(name, values, f"{' and '.join(sorted(fitting))} of the file are all as many, and differ")
    leading = next((each for each in KINDS if curve_lists(rest, "train", each)), kind)
    if (which, kind) == ("train", leading):
        return _one_each(name, values, known)
    return _beside(name, values, place(rest, "train", known, leading))


def place_shares(rest: Mapping[str, object], which: str, known: Clues) -> Placed:
    """The ``train`` or ``test`` accuracies of a file as `place` has them, those in per cent divided by 100: by a % in their name,
    or because one of those without it is above 1.

    What is no list of accuracies is left out, with a note: nothing but the history depends on them.
    """
    found = place(rest, which, known, "accuracy")
    top = max(filter(isfinite, found.values), default=0.0)
    name = next(iter(curve_lists(rest, which, "accuracy")), "")
    if top > 100 * (1 + 1e-6) or min(filter(isfinite, found.values), default=0.0) < -1e-6:
        return Placed(note=f"not read from the file: {name}, whose values are no accuracies (up to {top:g})")
    if not found.values or not _in_per_cent(rest, name):
        return found
    note = f"{name}: in per cent (up to {top:g}): divided by 100"
    shares = tuple(value / 100 for value in found.values)
    return Placed(shares, found.epochs, f"{found.note}; {note}" if found.note else note, found.by)


def _in_per_cent(rest: Mapping[str, object], name: str) -> bool:
    """Whether accuracies are in per cent: by their name, or else by the greatest of all whose names do not say so."""
    if _says_per_cent(name):
        return True
    beside = [next(iter(curve_lists(rest, which, "accuracy").items()), None) for which in ("train", "test")]
    unmarked = [one[1].values for one in beside if one is not None and not _says_per_cent(one[0])]
    return max((value for values in unmarked for value in values if isfinite(value)), default=0.0) > 1 + 1e-6


def _says_per_cent(name: str) -> bool:
    means = meaning(name.rpartition("/")[2])
    return means is not None and means.percent


def curve_lists(rest: Mapping[str, object], which: str, kind: Kind = "loss") -> dict[str, Curve]:
    """The curves of ``train`` or ``test`` values by their names, the surest first: at the top or in a table such as ``history``.

    >>> curve_lists({"history": {"val_loss": [3.0, 2.0], "lr": [0.1, 0.1]}}, "test")
    {'history/val_loss': Curve(values=(3.0, 2.0), steps=())}
    """
    usual = (f"{which}_losses", f"{which}_loss") if kind == "loss" else (f"{which}_accs", f"{which}_acc")
    found = {name: curve for name in usual if (curve := curve_in(rest.get(name)))}
    others = {
        ((means.bare, *means.rank), name): curve
        for name, means, value in _entries(rest)
        if means.column == f"{which}_{kind}" and (curve := curve_in(value))
    }
    return found | {name: others[rank, name] for rank, name in sorted(others)}


def with_curves(rest: Mapping[str, object]) -> dict[str, object]:
    """The entries of a file with what is a curve by its name and its form as a `Curve`, at the top and in tables."""
    return {**_with_curves(rest), **{name: _with_curves(rest[name]) for name in _tables(rest)}}


def unread_curves(rest: Mapping[str, object]) -> list[str]:
    """The names of losses and accuracies that are neither curves nor single values, in tables as ``history/val_loss``."""
    return [name for name, _, value in _entries(rest) if curve_in(value) is None and not is_single(value)]


def is_single(value: object) -> bool:
    """Whether a stored value is a number or a text, and no list or table."""
    return (isinstance(value, Tensor) and value.numel() == 1) or not isinstance(value, Tensor | Mapping | list | tuple)


def _with_curves(entries: object) -> dict[str, object]:
    named = {str(name): value for name, value in entries.items()} if isinstance(entries, Mapping) else {}
    return {name: (curve_in(value) or value) if meaning(name) else value for name, value in named.items()}


def _tables(rest: Mapping[str, object]) -> list[str]:
    """The names of tables such as ``history``; ``losses`` may be one, or a curve by step."""
    return [name for name, value in rest.items() if name.lower() in TABLES and isinstance(value, Mapping) and not curve_in(value)]


def _entries(rest: Mapping[str, object]) -> Iterator[tuple[str, Meaning, object]]:
    """What is a loss or an accuracy by its name, at the top and in tables."""
    named: dict[str, object] = {"": rest, **{name: rest[name] for name in _tables(rest)}}
    for table, entries in named.items():
        for name, value in entries.items() if isinstance(entries, Mapping) else ():
            if means := meaning(str(name)):
                yield f"{table}/{name}" if table else str(name), means, value


def stored_rows(rest: Mapping[str, object]) -> tuple[Mapping[str, object], ...]:
    """The rows of the only table that a file stores as a list of rows, as ``history: [{"step": 0, "train_loss": 5.0}, ...]``."""
    found = [
        value
        for name, value in rest.items()
        if name.lower() in TABLES and isinstance(value, list | tuple) and value and all(isinstance(row, Mapping) for row in value)
    ]
    return tuple(found[0]) if len(found) == 1 else ()


def number(value: object, name: str) -> float:
    """A stored number as a float.

    Raises:
        DataError: if it is something else.
    """
    if isinstance(value, Tensor) and value.numel() == 1:
        return float(value.detach())
    if isinstance(value, bool) or not isinstance(value, Real):
        raise DataError(f"{name}: given {describe(value)}, expected a number")
    return float(value)


def _one_each(name: str, values: tuple[float, ...], known: Clues) -> Placed:
    """Training losses one for every epoch, if the length of the training says so."""
    count, saved = len(values), known.saved
    every = tuple(range(count))
    if not saved:
        return Placed(values, every, f"{name}: {count}, taken to be one for each update")
    last = saved[-1]
    gap = max((after - before for before, after in pairwise(saved)), default=1)
    if last <= count <= last + gap or {count, count - 1} & known.budgets:
        return Placed(values, every)
    if stride := _stride(count, last + 1):
        return Placed(values, tuple(range(0, last + 1, stride)), _spaced(name, count, last + 1, stride))
    return _apart(name, values, f"the epochs go to {last}")


def _beside(name: str, values: tuple[float, ...], train: Placed) -> Placed:
    """Test losses at the epochs of the training losses, or at every k-th of them."""
    count, every = len(values), train.epochs
    if not every:
        return _apart(name, values, "the epochs of the training losses are not known" if train.values else "nothing says when")
    if count == len(every):
        return Placed(values, every, train.note and f"{name}: {count}, at the epochs of the training losses")
    if stride := _stride(count, len(every)):
        return Placed(values, every[::stride], _spaced(name, count, len(every), stride))
    shown = _summary(values)
    text = f"{name}: {count} for {len(every)} epochs, which no even spacing explains: kept apart, not placed in time ({shown})"
    return Placed(values, (), text)


def _stride(count: int, epochs: int) -> int:
    """The k for which every k-th of the epochs from 0 are so many; 0 if there is none, or too few to tell."""
    stride = round(epochs / count)
    return stride if count >= _ENOUGH and stride > 1 and len(range(0, epochs, stride)) == count else 0


def _spaced(name: str, count: int, epochs: int, stride: int) -> str:
    return f"{name}: {count} for {epochs} epochs, taken to be every {stride}th from 0"


def _apart(name: str, values: tuple[float, ...], why: str) -> Placed:
    return Placed(
        values, (), f"{name}: {len(values)}, which fit no epochs ({why}): kept apart, not placed in time ({_summary(values)})"
    )


def _summary(values: tuple[float, ...]) -> str:
    return f"first {values[0]:.6g}, last {values[-1]:.6g}, least {min(values):.6g}, greatest {max(values):.6g}"


def _counts(name: str) -> bool:
    return any(word in name.lower() for word in _COUNTERS)


def _listed(value: object) -> Sequence[object]:
    if isinstance(value, Tensor) and value.ndim == 1:
        return list(value.tolist())
    return value if isinstance(value, list | tuple) else ()


def _ascending(value: object) -> tuple[int, ...]:
    """A list of ascending integers from 0 to the largest step; empty if it is something else."""
    numbers = _listed(value)
    if not all(isinstance(each, int | float) and not isinstance(each, bool) and each >= 0 and each % 1 == 0 for each in numbers):
        return ()
    if any(each > limits.STEP for each in numbers if isinstance(each, int | float)):
        return ()
    found = tuple(int(each) for each in numbers if isinstance(each, int | float))
    return found if all(after > before for before, after in pairwise(found)) else ()
