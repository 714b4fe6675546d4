"""What a caller knows and a file does not contain: one list of options for everything that reads files of other people."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from interp.errors import UsageError, unknown
from interp.groups.published_orders import published_group
from interp.networks.shapes import Activation
from interp.tasks.modular import Operation
from interp.tasks.splits import SplitConfig

_MOST_HEADS = 64  # of which it is said that they divide a width


@dataclass(frozen=True)
class Known:
    """What the caller knows and a file does not contain. A file that contradicts it is refused, not overruled.

    Args:
        activation: of the neurons.
        attention_rate: alpha of the clock/pizza models.
        n_heads: number of heads, where a file merges them into one axis.
        operation: the operation that the model learned.
        group: the group whose products it learned, numbered as in the group-representation code of Chughtai et al. 2023: C113,
            D59, S5, A5 (docs/importing-groups.md).
        task: the task that it learned, by its name in `interp.task`, numbered as there: S3 for a model of this toolkit, or
            x*y*x^-1 in S5.
        split: how its train and test pairs were drawn: RULE:SEED:FRACTION, such as python:0:0.3; the rules are those of
            `interp.SplitConfig`.
        split_file: a file that lists its train pairs, or train and test; see `interp.interop.read_split`.
        trust_split: take the given split even where the losses speak against it.
        log: the training log that belongs to it; one beside it with the same stem is found without; see
            `interp.interop.read_log`.
        log_run: which run of the log, where it has several.
        leaves: names of arrays in their order, with commas between, for files that keep no names (equinox, numpy's arr_0 ...);
            - drops one.
        steps: the step of each model, where neither the file nor its name tells: of listed files in the order in which they are
            listed, of those in a folder in that of their names.
        within: where in a file the model is, such as trainer.net, if there are several.
        large: take a model whose function over all pairs needs more memory than the limit.
        map: an entry theirs=ours for each tensor whose name does not tell what it is, or for all with the format map; theirs.T
            if it is transposed, theirs[axes] if heads are merged in it, theirs=- to leave it out.
        orientation: how square matrices are stored, whose shapes do not tell: linear, (out, in), as nn.Linear does, or left, (in,
            out), as TransformerLens does.
    """

    activation: Activation | None = None
    attention_rate: float | None = None
    n_heads: int | None = None
    operation: Operation | None = None
    group: str | None = None
    split: SplitConfig | None = None
    split_file: Path | None = None
    trust_split: bool = False
    log: Path | None = None
    log_run: str | None = None
    map: tuple[str, ...] = ()
    orientation: Literal["linear", "left"] | None = None
    leaves: str | None = None
    steps: tuple[int, ...] = ()
    task: str | None = None
    within: str | None = None
    large: bool = False

    def __post_init__(self) -> None:
        check_heads("n_heads", self.n_heads)
        if self.split is not None and not isinstance(self.split, SplitConfig):
            raise UsageError(
                f"split: given {self.split!r}, expected how it was drawn, an interp.SplitConfig such as run.config.split; the "
                "training pairs themselves are read from a file: split_file"
            )
        for name, kind in (("activation", Activation), ("operation", Operation)):
            value = getattr(self, name)
            if value is not None and value not in get_args(kind):
                raise unknown(name, value, get_args(kind))
        if self.group is not None:
            published_group(self.group)  # the error for another name
            object.__setattr__(self, "group", self.group.replace("Z", "C"))
            if self.operation is not None:
                raise UsageError(f"group: given {self.group} and operation {self.operation}, expected one of them")
        if self.task is not None and (other := next((name for name in ("operation", "group") if getattr(self, name)), None)):
            raise UsageError(f"task: given {self.task!r} and {other} {getattr(self, other)}, expected one of them")
        if self.orientation not in (None, "linear", "left"):
            raise unknown("orientation", self.orientation, ("linear", "left"))
        rate = self.attention_rate
        if rate is not None and (not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 <= rate <= 1):
            raise UsageError(f"attention_rate: given {rate!r}, expected a number in 0..1")
        if wrong := [step for step in self.steps if not isinstance(step, int) or isinstance(step, bool) or step < 0]:
            raise UsageError(f"steps: given {wrong[0]!r}, expected integers >= 0")

    @property
    def leaf_names(self) -> tuple[str, ...]:
        """The names in `leaves`, in order."""
        return tuple(name.strip() for name in self.leaves.split(",")) if self.leaves else ()

    def given(self) -> dict[str, object]:
        """What the caller says, without what has its default."""
        values = {one.name: (getattr(self, one.name), one.default) for one in fields(self)}
        return {name: value for name, (value, default) in values.items() if value != default}

    def settle(self, name: str, stored: object) -> object:
        """The value of a fact, from the file or from the caller; None if neither has it.

        Raises:
            UsageError: if both have it and their values differ.
        """
        mine = getattr(self, name)
        if mine is not None and stored is not None and mine != stored:
            raise UsageError(f"{name}: given {mine!r}, but the file says {stored!r}; leave it out")
        return mine if stored is None else stored


def check_heads(what: str, number: object) -> None:
    """Error unless a number of heads can be one, or is None.

    Raises:
        UsageError: naming it.
    """
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
        raise UsageError(f"{what}: given {number!r}, expected an integer >= 1")


def check_divides(n_heads: int | None, width: int) -> None:
    """Error unless a number of heads divides the width of the axis in which they are merged.

    Raises:
        UsageError: naming the numbers that do.
    """
    if n_heads is not None and width % n_heads:
        raise UsageError(
            f"n_heads: given {n_heads}, which does not divide the axis of {width} in which the heads are merged; expected one of "
            f"{', '.join(map(str, divisors(width)))}"
        )


def divisors(width: int) -> list[int]:
    """The numbers of heads that divide a width, as far as anyone would have so many.

    >>> divisors(32)
    [1, 2, 4, 8, 16, 32]
    """
    return [n for n in range(1, min(width, _MOST_HEADS) + 1) if width % n == 0]


class UnknownFactError(UsageError):
    """A fact that a file does not contain and the caller did not give.

    Args:
        reason: what is not known, and what the file says of it.
        example: options that would settle it, by the names of `Known`.
    """

    def __init__(self, reason: str, example: Mapping[str, object]) -> None:
        super().__init__(f"{reason}; give it, for example {in_python(example)}")
        self.reason, self.example = reason, dict(example)

    def __reduce__(self) -> tuple[type[UnknownFactError], tuple[str, dict[str, object]]]:
        return UnknownFactError, (self.reason, self.example)

    def on_command_line(self) -> str:
        """The message for someone who types commands."""
        return f"{self.reason}; give it, for example {as_flags(self.example)}"


def in_python(options: Mapping[str, object]) -> str:
    """Options as a value in Python.

    >>> in_python({"n_heads": 4, "split": SplitConfig("python", 0, 0.3)})
    "Known(n_heads=4, split=SplitConfig('python', 0, 0.3))"
    """
    said = {
        name: f"SplitConfig({value.rule!r}, {value.seed}, {value.fraction:g})" if isinstance(value, SplitConfig) else repr(value)
        for name, value in options.items()
    }
    return f"Known({', '.join(f'{name}={value}' for name, value in said.items())})"


def as_flags(options: Mapping[str, object]) -> str:
    """Options as flags of a command; ``map`` is repeated for each of its entries, others that have several values take them all.

    >>> as_flags({"n_heads": 4, "split": SplitConfig("python", 0, 0.3), "map": ("a=W_E", "b=-")})
    '--n-heads 4 --split python:0:0.3 --map a=W_E --map b=-'
    """
    flags: list[str] = []
    for name, value in options.items():
        values = [_text(one) for one in value] if isinstance(value, tuple) else [_text(value)]
        told = values if name == "map" else [" ".join(values)]
        flags += [f"--{name.replace('_', '-')} {one}".strip() for one in told]
    return " ".join(flags)


def _text(value: object) -> str:
    if value is True:
        return ""
    return shlex.quote(f"{value.rule}:{value.seed}:{value.fraction:g}" if isinstance(value, SplitConfig) else str(value))
