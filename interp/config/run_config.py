"""RunConfig: everything that determines a run, as frozen values.

Nothing here imports torch, so that the command line can show its help at once.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from interp.config.parsing import parse_config, read_config
from interp.config.saved_steps import SavedSteps
from interp.errors import UsageError, unknown
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.tasks.task import TableTask

if TYPE_CHECKING:
    RunTask = ModularTask | TableTask
else:
    # What files and the command line can say: they read the fields' types.
    RunTask = ModularTask

EngineName = Literal["auto", "reference", "cpu", "cuda"]
Biases = Literal["none", "mlp", "all"]
Init = Literal["nanda", "transformer-lens"]
LossName = Literal["cross_entropy", "stablemax"]
PerpendicularGradient = Literal["off", "project", "rescale"]

# The largest number of steps, neurons, points ...: far beyond any machine, and products of a few of them are still floats.
MOST = 10**18
MOST_THREADS = 1024
# The largest number of each precision.
_LARGEST = {"float32": (2 - 2**-23) * 2.0**127, "float64": sys.float_info.max}


@dataclass(frozen=True)
class ModelConfig:
    """The one-layer transformer.

    Args:
        d_model: width of the residual stream.
        n_heads: number of attention heads; must divide d_model (each head has d_model / n_heads dimensions).
        d_mlp: number of neurons.
        activation: of the neurons.
        biases: trained biases: none, those of the MLP only (the official code), or all of them. They start at zero.
        equals_class: give the output a class for the `=` token too (p + 1 classes, as the official code has).
        attention_rate: alpha in A' = alpha softmax + (1 - alpha) ones; 1 is ordinary attention, 0 is constant attention.
        init: `nanda`: N(0, 1/d_model), W_U N(0, 1/d_vocab); `transformer-lens`: N(0, 0.64/d_model) throughout.
        init_scale: factor on every initial weight (Omnigrok's alpha).
    """

    d_model: int = 128
    n_heads: int = 4
    d_mlp: int = 512
    activation: Literal["relu", "gelu"] = "relu"
    biases: Biases = "mlp"
    equals_class: bool = False
    attention_rate: float = 1.0
    init: Init = "nanda"
    init_scale: float = 1.0

    def __post_init__(self) -> None:
        _refuse(
            *(_integer(f"model.{name}", getattr(self, name), least=1) for name in ("d_model", "n_heads", "d_mlp")),
            _one_of("model.activation", self.activation, ("relu", "gelu")),
            _one_of("model.biases", self.biases, get_args(Biases)),
            _one_of("model.init", self.init, get_args(Init)),
            _number("model.attention_rate", self.attention_rate, "a number in 0..1", lambda x: 0 <= x <= 1),
            _number("model.init_scale", self.init_scale, "a finite number > 0", lambda x: x > 0 and isfinite(x)),
            _truth("model.equals_class", self.equals_class),
        )
        _without_negative_zeros(self)
        if self.d_model % self.n_heads:
            raise UsageError(
                f"model.d_model: given {self.d_model}, expected a multiple of model.n_heads = {self.n_heads} "
                f"(for example {self.n_heads * max(1, self.d_model // self.n_heads)})"
            )


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW on the full batch, and the interventions that can be composed with it.

    Args:
        lr: learning rate.
        weight_decay: decoupled weight decay, on every tensor.
        beta1: decay of AdamW's first moment.
        beta2: decay of AdamW's second moment.
        eps: AdamW's epsilon.
        warmup_steps: the learning rate rises linearly over this many updates; 0 means none.
        loss: what is minimised, `cross_entropy` or `stablemax` (Prieto et al. 2025).
        grokfast_lambda: strength of Grokfast's slow gradients, g' = g + lambda h; 0 switches the filter off.
        grokfast_alpha: memory of Grokfast's filter, h <- alpha h + (1 - alpha) g.
        perpendicular_gradient: remove from each tensor's gradient its part along the weights; `rescale` restores its norm.
        norm_constraint: after every update scale all weights back to their initial total norm (Omnigrok).
    """

    lr: float = 1e-3
    weight_decay: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.98
    eps: float = 1e-8
    warmup_steps: int = 0
    loss: LossName = "cross_entropy"
    grokfast_lambda: float = 0.0
    grokfast_alpha: float = 0.98
    perpendicular_gradient: PerpendicularGradient = "off"
    norm_constraint: bool = False

    def __post_init__(self) -> None:
        groups: tuple[tuple[tuple[str, ...], str, Callable[[float], bool]], ...] = (
            (("lr", "eps"), "a finite number > 0", lambda x: isfinite(x) and x > 0),
            (("weight_decay", "grokfast_lambda"), "a finite number >= 0", lambda x: isfinite(x) and x >= 0),
            (("beta1", "beta2", "grokfast_alpha"), "a number in [0, 1)", lambda x: 0 <= x < 1),
        )
        _refuse(
            *(_number(f"optimizer.{name}", getattr(self, name), what, test) for names, what, test in groups for name in names),
            _integer("optimizer.warmup_steps", self.warmup_steps, least=0),
            _one_of("optimizer.loss", self.loss, get_args(LossName)),
            _one_of("optimizer.perpendicular_gradient", self.perpendicular_gradient, get_args(PerpendicularGradient)),
            _truth("optimizer.norm_constraint", self.norm_constraint),
        )
        _without_negative_zeros(self)


@dataclass(frozen=True)
class CheckpointConfig:
    """Which steps are saved: logarithmically dense early, then evenly; step 0 and the last step always.

    Args:
        log: number of logarithmically spaced steps, from 1 to 10 times `every` or the last step, whichever is less.
        every: spacing of the evenly spaced steps; 0 means none.
        moments: steps at which the whole state of the training is kept too, with the optimizer's moments, so that a run can
            begin there (about three times a checkpoint's size each); they are saved steps as well.
    """

    log: int = 30
    every: int = 100
    moments: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        whole = isinstance(self.moments, tuple) and not any(_integer("", step, least=0) for step in self.moments)
        _refuse(
            *(_integer(f"checkpoints.{name}", getattr(self, name), least=0) for name in ("log", "every")),
            None if whole else f"checkpoints.moments: given {self.moments!r}, expected a tuple of integers >= 0 (steps)",
        )
        object.__setattr__(self, "moments", tuple(sorted(set(self.moments))))

    def steps(self, last: int) -> SavedSteps:
        """The steps to save in a run of `last` updates, ascending: a rule, of which no list is made unless it is asked for.

        >>> list(CheckpointConfig(log=4, every=100).steps(300))
        [0, 1, 7, 45, 100, 200, 300]
        """
        return SavedSteps(last, self.log, self.every, tuple(self.moments_of(last)))

    def moments_of(self, last: int) -> list[int]:
        """The steps at which the whole state is kept in a run of `last` updates, ascending."""
        return [step for step in self.moments if step <= last]


@dataclass(frozen=True)
class RunConfig:
    """One run. Two runs with equal configs, engine and thread count have equal bytes.

    Args:
        task: what is learned: from Python any `Task` that is a binary operation, in files and on the command line a modular one.
        split: which pairs are trained on.
        model: the transformer.
        optimizer: how it is trained.
        checkpoints: which steps are saved.
        recipe: name of the recipe this config came from.
        seed: seed of the initial weights.
        steps: budget, the most updates made.
        until_settled: stop before the budget once the run has settled (see `interp.measures.dating`).
        evaluate_every: spacing of the steps at which test loss and accuracies are measured (and at every checkpoint).
        engine: what computes the updates; `auto` picks the fastest that can.
        device: `cpu` or a CUDA device such as `cuda:0`.
        dtype: precision of weights and updates.
        threads: CPU threads; none means all cores this process may use.
    """

    task: RunTask = field(default_factory=ModularTask)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    checkpoints: CheckpointConfig = field(default_factory=CheckpointConfig)
    recipe: str = "custom"
    seed: int = 0
    steps: int = 20_000
    until_settled: bool = False
    evaluate_every: int = 25
    engine: EngineName = "auto"
    device: str = "cpu"
    dtype: Literal["float32", "float64"] = "float32"
    threads: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.task, ModularTask):
            object.__setattr__(self, "task", TableTask.of(self.task))
            if self.task.classes != self.task.p:  # p raises if it is not a binary operation
                raise UsageError(
                    f"task {self.task.name!r}: given {self.task.classes} answers, expected {self.task.p}, the number of its "
                    "elements: the one-layer transformer answers with one of them"
                )
        _refuse(
            _integer("steps", self.steps, least=0),
            _integer("evaluate_every", self.evaluate_every, least=1),
            _integer("seed", self.seed, least=0, most=2**63 - 1),
            None if self.threads is None else _integer("threads", self.threads, least=1, most=MOST_THREADS),
            _one_of("engine", self.engine, get_args(EngineName)),
            _one_of("dtype", self.dtype, ("float32", "float64")),
            _device(self.device),
            _truth("until_settled", self.until_settled),
            None if isinstance(self.recipe, str) else f"recipe: given {self.recipe!r}, expected a name",
        )
        _refuse(*(_holdable(name, value, self.dtype) for name, value in self._scales()))
        if self.model.equals_class and not self.task.equals_sign:
            raise UsageError("model.equals_class: given True, but task.equals_sign is False: there is no `=` token to be a class")

    def _scales(self) -> Iterator[tuple[str, float]]:
        """The numbers without an upper bound that tensors are multiplied by, or compared with, in the run's precision."""
        yield "model.init_scale", self.model.init_scale
        for name in ("lr", "weight_decay", "eps", "grokfast_lambda"):
            yield f"optimizer.{name}", getattr(self.optimizer, name)

    @property
    def classes(self) -> int:
        """Number of output classes: the task's answers and, with `model.equals_class`, one for `=`."""
        return self.task.classes + int(self.model.equals_class)

    def to_json(self) -> str:
        """The config as JSON, every field written out; `from_json` gives back an equal config.

        Of a task that is a table it has only name and hash: `from_json` must be given the table.
        """
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The config as nested plain values, as `to_json` writes them."""
        is_modular = isinstance(self.task, ModularTask)
        values = asdict(self if is_modular else replace(self, task=ModularTask()))
        if not self.checkpoints.moments:  # runs without have the bytes and names that they had before there were any
            del values["checkpoints"]["moments"]
        if isinstance(self.task, ModularTask):
            return values
        return {"task": {"table": self.task.name, "sha256": self.task.digest}, **without_task(values)}

    @classmethod
    def from_json(cls, text: str, *, task: TableTask | None = None) -> RunConfig:
        """Read a config from JSON. Fields left out have their defaults.

        Args:
            task: the table, where the config names one.

        Raises:
            UsageError: with all problems at once, each with the path of its field; for a table that is missing or wrong.
        """
        if task is None:
            return parse_config(cls, text, "JSON", where="config")
        values = json.loads(text)
        named = values.get("task")
        if named != {"table": task.name, "sha256": task.digest}:
            raise UsageError(f"task: given the table {task.name!r} ({task.digest[:12]}...), but the config has {named!r}")
        return replace(parse_config(cls, json.dumps(without_task(values)), "JSON", where="config"), task=task)

    @classmethod
    def from_file(cls, path: str | Path) -> RunConfig:
        """Read a config from a .json or .toml file, as `from_json`."""
        return read_config(cls, Path(path))


def without_task(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config's values without its task."""
    return {name: value for name, value in values.items() if name != "task"}


def _refuse(*problems: str | None) -> None:
    """Raise all problems at once, if there are any."""
    if found := [problem for problem in problems if problem]:
        raise UsageError("\n".join(found))


def _number(name: str, value: object, expected: str, test: Callable[[float], bool]) -> str | None:
    try:
        right = isinstance(value, int | float) and not isinstance(value, bool) and test(value)
    except OverflowError:  # an integer that no float can hold
        right = False
    return None if right else f"{name}: given {_short(value)}, expected {expected}"


def _integer(name: str, value: object, *, least: int, most: int = MOST) -> str | None:
    above = isinstance(value, int) and value > most
    expected = f"an integer in {least}..{most:,}" if above or most != MOST else f"an integer >= {least}"
    return _number(name, value, expected, lambda x: isinstance(x, int) and least <= x <= most)


def _short(value: object) -> str:
    """A value as text; of an integer of thousands of digits, which Python does not write out, its length."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length():,} bits"
    return repr(value)


def _holdable(name: str, value: float, dtype: str) -> str | None:
    """Refuse what becomes infinite in the run's precision before anything was computed."""
    most = _LARGEST[dtype]
    return (
        None if value <= most else f"{name}: given {value!r}, which {dtype} cannot hold, expected at most {most:.5g}; "
        "choose a smaller one, or dtype float64"
    )  # fmt: skip


def _without_negative_zeros(config: ModelConfig | OptimizerConfig) -> None:
    """-0.0 is 0.0: equal configurations have equal bytes and names."""
    for field_ in fields(config):
        if isinstance(value := getattr(config, field_.name), float) and value == 0:
            object.__setattr__(config, field_.name, 0.0)


def _truth(name: str, value: object) -> str | None:
    return None if isinstance(value, bool) else f"{name}: given {value!r}, expected true or false"


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> str | None:
    return None if value in choices else str(unknown(name, value, choices))


def _device(value: object) -> str | None:
    right = isinstance(value, str) and re.fullmatch(r"cpu|cuda(:[0-9]{1,4})?", value)
    return None if right else f"device: given {value!r}, expected cpu, cuda or cuda:N"
