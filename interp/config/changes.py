"""Changes while a run trains: each a frozen value, written as a short text such as ``1500:optimizer.weight_decay=0``.

The text is ``FROM:WHAT=VALUE`` or ``FROM..UNTIL:WHAT=VALUE``. FROM is a step, or ``memorized`` or ``grokked``: the first
evaluation at which train, test accuracy is 99 %. A change acts on the updates that follow; UNTIL is the step from which it no
longer does.

    optimizer.FIELD=VALUE        another value of one of `OptimizerConfig`'s fields
    norm=RHO, norm=RHO*W         the total norm is scaled to RHO times that at FROM, or RHO times W, after every update
    lr.TENSOR=FACTOR             what an update changes in a tensor, times a factor; 0 freezes it
    decay.TENSOR=VALUE           another weight decay for a tensor
    ablate.SITE=FREQUENCIES      frequencies are taken out: at ``logits`` (of W_U over the answers), ``embedding`` (of W_E over
                                 the tokens) or ``neurons`` (of their activations over all pairs). FREQUENCIES is a list such
                                 as 5,9; ``keys``: the key frequencies at FROM; ``newest``: at every evaluation those that stand
                                 out then, besides those before; or ``random/N/SEED``: N of them, a control.
                                 With ``S*`` before it a share S is taken out
    labels=SHARE[/SEED]          the labels of a share of the training pairs are swapped among them
    pairs=FRACTION[/SEED]        so many of all pairs are trained on: some are taken out, or added
    noise=SIGMA[/SEED]           normal noise of this standard deviation is added to every entry of the gradient
    symmetry=STRENGTH            a penalty: STRENGTH times the mean square of logits(a, b) - logits(b, a) over training pairs

Nothing here imports torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, cast, get_args

from interp.errors import UsageError, unknown

Phase = Literal["memorized", "grokked"]
Site = Literal["logits", "embedding", "neurons"]
_MOST = 10**12  # steps
_FORM = "expected FROM:WHAT=VALUE, such as 1500:optimizer.weight_decay=0 or memorized:norm=1.15"


@dataclass(frozen=True)
class SetField:
    """Another value of an optimizer's field."""

    field: str
    value: Any

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, str) else json.dumps(self.value)
        return f"optimizer.{self.field}={value}"


@dataclass(frozen=True)
class ClampNorm:
    """The total norm of all weights is ``rho`` times ``of``, or times what it is at the beginning."""

    rho: float
    of: float | None = None

    def __str__(self) -> str:
        return f"norm={self.rho!r}" if self.of is None else f"norm={self.rho!r}*{self.of!r}"


@dataclass(frozen=True)
class ScaleTensor:
    """What an update changes in a tensor, times a factor."""

    tensor: str
    factor: float

    def __str__(self) -> str:
        return f"lr.{self.tensor}={self.factor!r}"


@dataclass(frozen=True)
class DecayTensor:
    """Another weight decay for a tensor."""

    tensor: str
    decay: float

    def __str__(self) -> str:
        return f"decay.{self.tensor}={self.decay!r}"


@dataclass(frozen=True)
class RandomSet:
    """So many frequencies, drawn at random."""

    number: int
    seed: int = 0

    def __str__(self) -> str:
        return f"random/{self.number}/{self.seed}"


@dataclass(frozen=True)
class Ablate:
    """Frequencies are taken out at a site, a share of them."""

    site: Site
    frequencies: tuple[int, ...] | RandomSet | Literal["keys", "newest"]
    share: float = 1.0

    def __str__(self) -> str:
        named = self.frequencies
        listed = ",".join(map(str, named)) if isinstance(named, tuple) else str(named)
        return f"ablate.{self.site}={'' if self.share == 1 else f'{self.share!r}*'}{listed}"


@dataclass(frozen=True)
class SwapLabels:
    """The labels of a share of the training pairs are swapped among them."""

    share: float
    seed: int = 0

    def __str__(self) -> str:
        return f"labels={self.share!r}/{self.seed}"


@dataclass(frozen=True)
class TrainOn:
    """A fraction of all pairs is trained on."""

    fraction: float
    seed: int = 0

    def __str__(self) -> str:
        return f"pairs={self.fraction!r}/{self.seed}"


@dataclass(frozen=True)
class GradientNoise:
    """Normal noise on every entry of the gradient."""

    sigma: float
    seed: int = 0

    def __str__(self) -> str:
        return f"noise={self.sigma!r}/{self.seed}"


@dataclass(frozen=True)
class Symmetry:
    """A penalty on the difference between the logits of (a, b) and (b, a)."""

    strength: float

    def __str__(self) -> str:
        return f"symmetry={self.strength!r}"


What = SetField | ClampNorm | ScaleTensor | DecayTensor | Ablate | SwapLabels | TrainOn | GradientNoise | Symmetry


@dataclass(frozen=True)
class Change:
    """What is changed, from when on, and until when.

    Args:
        start: a step or a phase.
        what: the change.
        until: the step from which it no longer acts; None for the end of the run.
    """

    start: int | Phase
    what: What
    until: int | None = None

    def __str__(self) -> str:
        return f"{self.start}{'' if self.until is None else f'..{self.until}'}:{self.what}"


def read_change(text: object) -> Change:
    """The change that a text stands for; see the module.

    Raises:
        UsageError: for a text of another form, or a value that cannot be.

    >>> read_change("memorized:norm=1.15")
    Change(start='memorized', what=ClampNorm(rho=1.15, of=None), until=None)
    >>> str(read_change("500..900:ablate.logits=5,9"))
    '500..900:ablate.logits=5,9'
    """
    if isinstance(text, Change):
        return text
    where = f"changes: given {f'{text!r:.200}' if isinstance(text, str) else f'a value of type {type(text).__name__}'}"
    when, colon, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
    name, equals, value = (part.strip() for part in rest.partition("="))
    if not colon or not equals or not value or not isinstance(text, str):
        raise UsageError(f"{where}, {_FORM}")
    first, dots, last = (part.strip() for part in when.partition(".."))
    start = first if first in get_args(Phase) else _step(first, where)
    until = _step(last, where) if dots else None
    if until is not None and not isinstance(start, str) and until <= start:
        raise UsageError(f"{where}: it ends at step {until}, expected one after {start}, at which it begins")
    kind, _, of = name.partition(".")
    if kind not in _READERS:
        raise UsageError(f"{where}: {unknown('change', kind, _READERS)}")
    return Change(cast("int | Phase", start), _READERS[kind](of.strip(), value, where), until)


def _step(text: str, where: str) -> int:
    if not re.fullmatch("[0-9]{1,13}", text) or int(text) > _MOST:
        raise UsageError(f"{where}: it begins or ends at {text!r}, expected a step, or memorized or grokked at its beginning")
    return int(text)


def _numbers(text: str, where: str, what: str, *, least: float = 0.0, most: float = float("inf")) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not (isfinite(number) and least <= number <= most):
        bounds = f">= {least:g}" if most == float("inf") else f"in {least:g}..{most:g}"
        raise UsageError(f"{where}: {what} is {text!r}, expected a number {bounds}")
    return number + 0.0  # -0.0 is 0.0


def _seeded(text: str, where: str) -> tuple[str, int]:
    value, slash, seed = text.partition("/")
    if slash and not re.fullmatch("[0-9]{1,10}", seed.strip()):
        raise UsageError(f"{where}: the seed is {seed!r}, expected a whole number of at most ten digits")
    return value.strip(), int(seed) if slash else 0


def _field(of: str, value: str, where: str) -> SetField:
    if not of:
        raise UsageError(f"{where}: expected optimizer.FIELD=VALUE, such as optimizer.weight_decay=0")
    try:
        found = json.loads(value.lower() if value.lower() in ("true", "false") else value)
    except ValueError:
        found = value
    return SetField(of.replace("-", "_"), found)


def _norm(of: str, value: str, where: str) -> ClampNorm:
    _alone("norm", of, where)
    rho, star, norm = value.partition("*")
    found = ClampNorm(_numbers(rho, where, "rho"), _numbers(norm, where, "the norm") if star else None)
    if found.rho == 0 or found.of == 0:
        raise UsageError(f"{where}: a norm of 0 leaves no weights, expected one > 0")
    return found


def _lr(of: str, value: str, where: str) -> ScaleTensor:
    return ScaleTensor(_tensor(of, "lr", where), _numbers(value, where, "the factor"))


def _decay(of: str, value: str, where: str) -> DecayTensor:
    return DecayTensor(_tensor(of, "decay", where), _numbers(value, where, "the weight decay"))


def _ablate(of: str, value: str, where: str) -> Ablate:
    if of not in get_args(Site):
        raise UsageError(f"{where}: {unknown('site', of, get_args(Site))}")
    share, star, named = value.rpartition("*")
    part = _numbers(share, where, "the share", most=1) if star else 1.0
    named = named.removeprefix("frequencies=").strip()
    if named in ("keys", "newest"):
        return Ablate(cast(Site, of), cast(Literal["keys", "newest"], named), part)
    if (drawn := re.fullmatch("random/([0-9]{1,9})(?:/([0-9]{1,10}))?", named)) and int(drawn[1]) > 0:
        return Ablate(cast(Site, of), RandomSet(int(drawn[1]), int(drawn[2] or 0)), part)
    if not re.fullmatch("[0-9]{1,9}( *, *[0-9]{1,9})*", named):
        expected = "expected a list such as 5,9, keys, newest, or random/NUMBER/SEED"
        raise UsageError(f"{where}: the frequencies are {named!r}, {expected}")
    return Ablate(cast(Site, of), tuple(sorted({int(k) for k in named.split(",")})), part)


def _labels(of: str, value: str, where: str) -> SwapLabels:
    _alone("labels", of, where)
    share, seed = _seeded(value, where)
    return SwapLabels(_numbers(share, where, "the share", most=1), seed)


def _pairs(of: str, value: str, where: str) -> TrainOn:
    _alone("pairs", of, where)
    share, seed = _seeded(value, where)
    found = TrainOn(_numbers(share, where, "the fraction", most=1), seed)
    if found.fraction in (0, 1):
        raise UsageError(
            f"{where}: the fraction is {share}, expected one between 0 and 1, so that there are train and test pairs"
        )
    return found


def _noise(of: str, value: str, where: str) -> GradientNoise:
    _alone("noise", of, where)
    sigma, seed = _seeded(value, where)
    return GradientNoise(_numbers(sigma, where, "sigma"), seed)


def _symmetry(of: str, value: str, where: str) -> Symmetry:
    _alone("symmetry", of, where)
    return Symmetry(_numbers(value, where, "the strength"))


def _alone(name: str, of: str, where: str) -> None:
    if of:
        raise UsageError(f"{where}: {name} has no part {of!r}, expected {name}=VALUE")


def _tensor(of: str, name: str, where: str) -> str:
    if not re.fullmatch("[Wb]_[A-Za-z]{1,4}", of):
        raise UsageError(f"{where}: expected {name}.TENSOR=VALUE, such as {name}.W_E=0")
    return of


_READERS: dict[str, Callable[[str, str, str], What]] = {
    "optimizer": _field,
    "norm": _norm,
    "lr": _lr,
    "decay": _decay,
    "ablate": _ablate,
    "labels": _labels,
    "pairs": _pairs,
    "noise": _noise,
    "symmetry": _symmetry,
}
