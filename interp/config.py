"""RunConfig: everything that determines a run, as frozen values; the recipes; JSON and TOML in and out.

Nothing here imports torch, so that the command line can show its help at once.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from interp.errors import UsageError, unknown
from interp.task import ModularTask, SplitConfig

EngineName = Literal["auto", "reference", "cpu", "cuda"]
Biases = Literal["none", "mlp", "all"]
Init = Literal["nanda", "transformer-lens"]
LossName = Literal["cross_entropy", "stablemax"]
PerpendicularGradient = Literal["off", "project", "rescale"]


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
        for name in ("d_model", "n_heads", "d_mlp"):
            _require(f"model.{name}", getattr(self, name), "an integer >= 1", lambda x: isinstance(x, int) and x >= 1)
        if self.d_model % self.n_heads:
            raise UsageError(
                f"model.d_model: given {self.d_model}, expected a multiple of model.n_heads = {self.n_heads} "
                f"(for example {self.n_heads * max(1, self.d_model // self.n_heads)})"
            )
        _require_one_of("model.activation", self.activation, ("relu", "gelu"))
        _require_one_of("model.biases", self.biases, get_args(Biases))
        _require_one_of("model.init", self.init, get_args(Init))
        _require("model.attention_rate", self.attention_rate, "a number in 0..1", lambda x: 0 <= x <= 1)
        _require("model.init_scale", self.init_scale, "a finite number > 0", lambda x: x > 0 and isfinite(x))


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
        for name in ("lr", "eps"):
            _require(f"optimizer.{name}", getattr(self, name), "a finite number > 0", lambda x: isfinite(x) and x > 0)
        for name in ("weight_decay", "grokfast_lambda"):
            _require(f"optimizer.{name}", getattr(self, name), "a finite number >= 0", lambda x: isfinite(x) and x >= 0)
        for name in ("beta1", "beta2", "grokfast_alpha"):
            _require(f"optimizer.{name}", getattr(self, name), "a number in [0, 1)", lambda x: 0 <= x < 1)
        _require("optimizer.warmup_steps", self.warmup_steps, "an integer >= 0", lambda x: isinstance(x, int) and x >= 0)
        _require_one_of("optimizer.loss", self.loss, get_args(LossName))
        _require_one_of("optimizer.perpendicular_gradient", self.perpendicular_gradient, get_args(PerpendicularGradient))


@dataclass(frozen=True)
class CheckpointConfig:
    """Which steps are saved: logarithmically dense early, then evenly; step 0 and the last step always.

    Args:
        log: number of logarithmically spaced steps, from 1 to `every` x 10.
        every: spacing of the evenly spaced steps; 0 means none.
    """

    log: int = 30
    every: int = 100

    def __post_init__(self) -> None:
        for name in ("log", "every"):
            _require(f"checkpoints.{name}", getattr(self, name), "an integer >= 0", lambda x: isinstance(x, int) and x >= 0)

    def steps(self, last: int) -> list[int]:
        """The steps to save in a run of `last` updates, ascending.

        >>> CheckpointConfig(log=4, every=100).steps(300)
        [0, 1, 10, 100, 200, 300]
        """
        top = min(last, 10 * self.every or last)
        logarithmic = np.geomspace(1, max(top, 1), self.log).round().astype(int).tolist() if self.log else []
        even = range(0, last + 1, self.every) if self.every else []
        return sorted({0, last, *(step for step in logarithmic if step <= last), *even})


@dataclass(frozen=True)
class RunConfig:
    """One run. Two runs with equal configs, engine and thread count have equal bytes.

    Args:
        task: what is learned.
        split: which pairs are trained on.
        model: the transformer.
        optimizer: how it is trained.
        checkpoints: which steps are saved.
        recipe: name of the recipe this config came from.
        seed: seed of the initial weights.
        steps: budget, the most updates that are made.
        until_settled: stop before the budget once the run has settled (see `interp.measures.phases`).
        evaluate_every: spacing of the steps at which test loss and accuracies are measured (and at every checkpoint).
        engine: what computes the updates; `auto` picks the fastest that can.
        device: `cpu` or a CUDA device such as `cuda:0`.
        dtype: precision of weights and updates.
        threads: CPU threads; none means all cores this process may use.
    """

    task: ModularTask = field(default_factory=ModularTask)
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
        _require("steps", self.steps, "an integer >= 0", lambda x: isinstance(x, int) and x >= 0)
        _require("evaluate_every", self.evaluate_every, "an integer >= 1", lambda x: isinstance(x, int) and x >= 1)
        _require("seed", self.seed, "an integer in 0..2^63-1", lambda x: isinstance(x, int) and 0 <= x < 2**63)
        if self.threads is not None:
            _require("threads", self.threads, "an integer >= 1", lambda x: isinstance(x, int) and x >= 1)
        _require_one_of("engine", self.engine, get_args(EngineName))
        _require_one_of("dtype", self.dtype, ("float32", "float64"))
        if not isinstance(self.device, str) or (self.device != "cpu" and not self.device.startswith("cuda")):
            raise UsageError(f"device: given {self.device!r}, expected cpu, cuda or cuda:N")
        if self.model.equals_class and not self.task.equals_sign:
            raise UsageError("model.equals_class: given True, but task.equals_sign is False: there is no `=` token to be a class")

    @property
    def classes(self) -> int:
        """Number of output classes, p or p + 1."""
        return self.task.p + int(self.model.equals_class)

    def to_json(self) -> str:
        """The config as JSON, every field written out; `from_json` gives back an equal config."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RunConfig:
        """Read a config from JSON. Fields left out have their defaults; all errors are reported at once, each with its path."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise UsageError(f"config: not JSON ({error})") from error
        return _validate(values)

    @classmethod
    def from_file(cls, path: str | Path) -> RunConfig:
        """Read a config from a .json or .toml file, as `from_json`."""
        path = Path(path)
        if not path.is_file():
            raise UsageError(f"config file {path} does not exist")
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return cls.from_json(text)
        if path.suffix != ".toml":
            raise UsageError(f"config file {path}: given suffix {path.suffix!r}, expected .json or .toml")
        try:
            return _validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"config file {path}: not TOML ({error})") from error


def _validate(values: object) -> RunConfig:
    from pydantic import TypeAdapter, ValidationError

    try:
        config: RunConfig = TypeAdapter(RunConfig).validate_python(values)
    except ValidationError as error:
        problems = [f"  {'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']} (given {e['input']!r})" for e in error.errors()]
        raise UsageError("config:\n" + "\n".join(problems)) from error
    if surplus := _surplus(values, config):
        raise UsageError(f"config: unknown fields {', '.join(surplus)}")
    return config


def _surplus(values: Any, config: Any, prefix: str = "") -> list[str]:
    """Names in a nested mapping that are not fields of the dataclass they describe."""
    known = {f.name: getattr(config, f.name) for f in fields(config)}
    found = [prefix + name for name in values if name not in known]
    for name, value in known.items():
        if is_dataclass(value) and name in values:
            found += _surplus(values[name], value, f"{prefix}{name}.")
    return found


def _require(name: str, value: Any, expected: str, test: Callable[[Any], bool]) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not test(value):
        raise UsageError(f"{name}: given {value!r}, expected {expected}")


def _require_one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise unknown(name, value, choices)


def _demo() -> RunConfig:
    """p = 59 with half of all pairs: a clear plateau, then grokking, in seconds."""
    return RunConfig(
        recipe="demo",
        task=ModularTask(p=59),
        split=SplitConfig(rule="torch", seed=0, fraction=0.4),
        model=ModelConfig(d_mlp=256),
        checkpoints=CheckpointConfig(log=30, every=50),
        steps=10_000,
        until_settled=True,
    )


def _nanda() -> RunConfig:
    """The mainline model of Nanda et al. 2023: p = 113, 30 % of pairs, official split rule, 114 classes, biases in the MLP."""
    return RunConfig(
        recipe="nanda",
        split=SplitConfig(rule="python", seed=0, fraction=0.3),
        model=ModelConfig(equals_class=True),
        optimizer=OptimizerConfig(warmup_steps=10),
        steps=15_000,
    )


def _transformer_lens() -> RunConfig:
    """The run of TransformerLens' grokking demo: p = 113, its split, its initialisation, no biases, 25,000 updates."""
    return RunConfig(
        recipe="transformer-lens",
        split=SplitConfig(rule="torch", seed=598, fraction=0.3),
        model=ModelConfig(biases="none", init="transformer-lens"),
        seed=999,
        steps=25_000,
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {"demo": _demo, "nanda": _nanda, "transformer-lens": _transformer_lens}


def recipe(name: str) -> RunConfig:
    """A named, complete RunConfig: `demo`, `nanda` or `transformer-lens`.

    >>> recipe("nanda").task.p
    113
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]()
