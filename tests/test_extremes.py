"""Absurd but legal numbers in any field of a configuration: refused in words, or a run that ends, if need be by its loss."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from math import copysign
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interp import machine
from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig, RunConfig
from interp.errors import TrainingError, UsageError
from interp.keeping.recorder import record
from interp.store.run import open_run
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.training.fitting import Room, check_run
from interp.training.loop import Training
from interp.training.stacked.stacked_runs import StackedRuns

TINY = RunConfig(
    task=ModularTask(5), model=ModelConfig(d_model=8, n_heads=2, d_mlp=8), steps=3, engine="reference", threads=1,
    split=SplitConfig(fraction=0.5), checkpoints=CheckpointConfig(log=2, every=2),
)  # fmt: skip

INTEGERS = [
    -(2**80),
    -1,
    0,
    1,
    2,
    3,
    5,
    7,
    8,
    113,
    10**6,
    10**9,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    2**80,
    10**400,
    10**4000,
]
FLOATS = [
    0.0, -0.0, 5e-324, 1e-300, 1e-45, 1e-38, 1e-8, 0.3, 0.98, 1 - 1e-16, 1 - 1e-17, 1.0, 2.0, 1e10, 1e38, 3.4e38, 3.5e38, 1e300,
    1e308, float("inf"), float("-inf"), float("nan"), -1e-300, -1.0,
]  # fmt: skip


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Random and extreme values of a field's type."""
    if is_dataclass(kind) and isinstance(kind, type):
        return parts(kind)
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) in (types.UnionType, typing.Union):
        return st.one_of([values(each) for each in get_args(kind)])
    if get_origin(kind) is tuple:
        return st.lists(st.sampled_from(INTEGERS), max_size=3).map(tuple)
    strategies = {
        bool: st.booleans(), int: st.sampled_from(INTEGERS) | st.integers(), float: st.sampled_from(FLOATS) | st.floats(),
        str: st.sampled_from(["cpu", "cuda", "cuda:99999999999999999999", "custom", ""]), type(None): st.none(),
    }  # fmt: skip
    return strategies[kind]


def parts(kind: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some fields of a dataclass, most of them left as they are."""
    hints = typing.get_type_hints(kind)
    return st.dictionaries(st.sampled_from([each.name for each in fields(kind)]), st.none(), max_size=3).flatmap(
        lambda chosen: st.fixed_dictionaries({name: values(hints[name]) for name in chosen})
    )


def changed(config: Any, changes: dict[str, Any]) -> Any:
    """A configuration with other values, in its parts as well."""
    inner = {
        name: changed(getattr(config, name), value) if is_dataclass(getattr(config, name)) and isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return replace(config, **inner)


def ends(config: RunConfig, folder: Path) -> str:
    """How a run ends whose estimate says that it is short; anything but an end is the test's failure."""
    check_run(config, room=Room(memory=4e8, disk=1e7, seconds=3.0))
    with suppress(TrainingError):  # its loss is not finite, as the run then says
        record(config, folder, "run", progress=False)
    return open_run(folder / "run").status


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts(RunConfig))
def test_any_values_of_any_fields_are_refused_or_end(tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]) -> None:
    refused = "no"
    try:
        config = changed(TINY, changes)
        # The compiled engine has tests of its own below: here it would be compiled for every shape.
        ends(replace(config, engine="reference") if config.engine in ("auto", "cpu") else config, tmp_path_factory.mktemp("runs"))
    except UsageError as error:
        refused = str(error)
    assert 0 < len(refused) < 2000


EXTREMES: list[tuple[dict[str, Any], str]] = [
    ({"optimizer": {"grokfast_lambda": 1e308}}, "refused"),
    ({"optimizer": {"grokfast_lambda": 3e38}}, "finished"),
    ({"optimizer": {"grokfast_lambda": 1e308}, "dtype": "float64"}, "finished"),
    ({"optimizer": {"lr": 1e300}}, "refused"),
    ({"optimizer": {"lr": 1e300}, "dtype": "float64"}, "stopped"),
    ({"optimizer": {"lr": 3e38, "weight_decay": 3e38}}, "stopped"),
    ({"optimizer": {"weight_decay": 1e300}}, "refused"),
    ({"optimizer": {"lr": 10**400}}, "refused"),
    ({"optimizer": {"beta1": 1 - 1e-16, "beta2": 1 - 1e-16}}, "finished"),
    ({"optimizer": {"beta2": 1 - 1e-17}}, "refused"),
    ({"model": {"init_scale": 1e38}}, "stopped"),
    ({"model": {"init_scale": 1e39}}, "refused"),
    ({"optimizer": {"warmup_steps": 10**18}}, "finished"),
    ({"seed": 2**64}, "refused"),
    ({"split": {"seed": 2**64}}, "refused"),
    ({"split": {"seed": 2**63 - 1}, "seed": 2**63 - 1}, "finished"),
    ({"steps": 10**4000}, "refused"),
    ({"task": {"p": 10**4000}}, "refused"),
    ({"threads": 10**6}, "refused"),
]


@pytest.mark.parametrize(("changes", "expected"), EXTREMES, ids=range(19))
def test_what_becomes_of_extreme_numbers(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    try:
        found = ends(changed(TINY, changes), tmp_path)
    except UsageError:
        found = "refused"
    assert found == expected


@pytest.mark.parametrize("make", [Training, lambda config: StackedRuns([config])], ids=["compiled", "stacked"])
@pytest.mark.parametrize(
    "optimizer",
    [
        OptimizerConfig(lr=3e38, weight_decay=3e38), OptimizerConfig(grokfast_lambda=3e38), OptimizerConfig(eps=1e-300),
        OptimizerConfig(beta1=1 - 1e-16, beta2=1 - 1e-16, grokfast_alpha=1 - 1e-16), OptimizerConfig(lr=5e-324),
        OptimizerConfig(warmup_steps=10**18, perpendicular_gradient="rescale", norm_constraint=True),
    ],
    ids=range(6),
)  # fmt: skip
def test_the_fast_engines_take_extreme_optimizers(make: Callable[[RunConfig], Any], optimizer: OptimizerConfig) -> None:
    config = replace(TINY, optimizer=optimizer, engine="cpu")
    training = make(config)
    if isinstance(training, Training):
        steps: list[int] = []
        with suppress(TrainingError):
            steps.extend(step.index for step in training)
        assert steps == [*range(len(steps))]
        assert steps
        return
    for _ in range(3):
        training.gradient()
        training.update()
        training.evaluate()


def test_negative_zeros_are_zeros() -> None:
    config = replace(
        TINY, optimizer=OptimizerConfig(weight_decay=-0.0, beta1=-0.0), model=replace(TINY.model, attention_rate=-0.0)
    )
    assert copysign(1, config.optimizer.weight_decay) == copysign(1, config.model.attention_rate) == 1
    assert "-0.0" not in config.to_json()


def test_a_machine_without_memory_refuses_even_the_smallest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 1000)
    with pytest.raises(UsageError, match=r"such a run takes, by estimate, .* MB of memory, 1\.0 kB are free"):
        Training(TINY)
