"""Configs: equal after any round trip, and every mistake named at once, with its path."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tracemalloc
from dataclasses import FrozenInstanceError, asdict, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.config.recipes import RECIPES, recipe
from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig, RunConfig
from interp.errors import UsageError
from interp.tasks.modular import OPERATIONS, ModularTask
from interp.tasks.splits import SplitConfig

positive = st.floats(1e-9, 1e9)
unit = st.floats(0, 0.999)
seeds = st.integers(0, 2**63 - 1)
heads = st.shared(st.integers(1, 8), key="heads")
configs = st.builds(
    RunConfig,
    task=st.builds(ModularTask, p=st.integers(2, 200), operation=st.sampled_from(OPERATIONS), equals_sign=st.just(True)),
    split=st.builds(SplitConfig, rule=st.sampled_from(["torch", "python"]), seed=seeds, fraction=st.floats(0.001, 0.999)),
    model=st.builds(
        ModelConfig,
        d_model=heads.map(lambda n: 8 * n),
        n_heads=heads,
        d_mlp=st.integers(1, 9999),
        activation=st.sampled_from(["relu", "gelu"]),
        biases=st.sampled_from(["none", "mlp", "all"]),
        equals_class=st.booleans(),
        attention_rate=st.floats(0, 1),
        init_scale=positive,
    ),
    optimizer=st.builds(OptimizerConfig, lr=positive, weight_decay=st.floats(0, 9), beta1=unit, norm_constraint=st.booleans()),
    checkpoints=st.builds(CheckpointConfig, log=st.integers(0, 50), every=st.integers(0, 500)),
    recipe=st.text(max_size=20),
    seed=seeds,
    until_settled=st.booleans(),
    device=st.sampled_from(["cpu", "cuda", "cuda:1"]),
    threads=st.none() | st.integers(1, 64),
)  # fmt: skip


@given(configs)
def test_json_round_trip_is_exact(config: RunConfig) -> None:
    assert RunConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_complete_and_survive_a_round_trip(name: str) -> None:
    config = recipe(name)
    assert config.recipe == name
    assert RunConfig.from_json(config.to_json()) == config
    written = asdict(config)
    # Left out where they are as by default: runs without have the bytes they always had.
    assert written["checkpoints"].pop("moments") == written.pop("changes") == ()
    assert written["split"].pop("blocks") == ""
    for room, usual in (("model", ModelConfig()), ("optimizer", OptimizerConfig())):
        for field in usual.later:
            if written[room][field] == getattr(usual, field):
                del written[room][field]
    if not isinstance(config.task, ModularTask):  # a table is written by its name and hash
        written["task"] = {"table": config.task.name, "sha256": config.task.digest}
    assert json.loads(config.to_json()) == written
    assert config.steps > 0


def test_recipes_are_the_published_ones() -> None:
    nanda, lens = recipe("nanda"), recipe("transformer-lens")
    assert (nanda.task, nanda.split, nanda.classes) == (ModularTask(113), SplitConfig("python", 0, 0.3), 114)
    assert (nanda.model.biases, nanda.model.init, nanda.optimizer.warmup_steps) == ("mlp", "nanda", 10)
    assert (lens.split, lens.classes, lens.model.biases) == (SplitConfig("torch", 598, 0.3), 113, "none")
    for config in (nanda, lens):
        assert (config.optimizer.lr, config.optimizer.weight_decay) == (1e-3, 1.0)
        assert (config.optimizer.beta1, config.optimizer.beta2) == (0.9, 0.98)
        assert (config.model.d_model, config.model.n_heads, config.model.d_mlp) == (128, 4, 512)
        assert len(config.split.draw(config.task).train) == 3830


def test_the_pizza_recipe_is_the_published_models_setting() -> None:
    pizza = recipe("pizza")
    assert (pizza.task.p, pizza.task.n_ctx, pizza.classes, pizza.split.fraction) == (59, 2, 59, 0.8)
    assert (pizza.model.attention_rate, pizza.model.biases, pizza.model.activation) == (0.0, "mlp", "relu")
    assert (pizza.model.d_model, pizza.model.n_heads, pizza.model.d_mlp) == (128, 4, 512)
    assert (pizza.optimizer.lr, pizza.optimizer.weight_decay, pizza.optimizer.warmup_steps) == (1e-3, 2.0, 10)
    assert (pizza.optimizer.beta1, pizza.optimizer.beta2, pizza.steps) == (0.9, 0.98, 20_000)


def test_unknown_recipes_name_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown recipe 'nada'; did you mean 'nanda'"):
        recipe("nada")


def test_fields_left_out_have_their_defaults() -> None:
    assert RunConfig.from_json("{}") == RunConfig()
    assert RunConfig.from_json('{"optimizer": {"lr": 1}}').optimizer == OptimizerConfig(lr=1.0)


def test_toml_and_json_files(tmp_path: Path) -> None:
    config = replace(recipe("nanda"), threads=2)
    (tmp_path / "c.json").write_text(config.to_json())
    assert RunConfig.from_file(tmp_path / "c.json") == config
    (tmp_path / "c.toml").write_text(
        'seed = 3\n[task]\np = 59\n[split]\nfraction = 0.4\n[optimizer]\nlr = 2e-3\nweight_decay = 1\n[model]\nbiases = "none"\n'
    )
    got = RunConfig.from_file(str(tmp_path / "c.toml"))
    assert (got.seed, got.task.p, got.split.fraction, got.optimizer.lr, got.model.biases) == (3, 59, 0.4, 2e-3, "none")


def test_all_problems_are_reported_at_once_with_their_paths() -> None:
    text = json.dumps({
        "steps": True, "stepps": 1, "device": "gpu", "task": {"p": 1}, "split": {"fraction": 2.0, "seed": 0.5},
        "optimizer": {"lr": "1e-3", "weight_decay": -1, "beta1": 2, "lrr": 1}, "model": {"activation": "rel", "d_mlp": 0},
    })  # fmt: skip
    with pytest.raises(UsageError) as error:
        RunConfig.from_json(text)
    lines = str(error.value).splitlines()
    assert lines[0] == "config:"
    assert {line.strip().split(":")[0] for line in lines[1:]} == {
        "steps", "stepps", "task.p", "split.seed", "split.fraction", "optimizer.lr", "optimizer.weight_decay", "optimizer.beta1",
        "optimizer.lrr", "model.activation", "model.d_mlp",
    }  # fmt: skip
    assert len(lines) == len(set(lines))
    for sentence in (
        "  stepps: unknown field 'stepps'; did you mean 'steps'?",
        "  optimizer.lrr: unknown field 'lrr'; did you mean 'lr'?",
        "  steps: given True, expected a valid integer",
        "  optimizer.lr: given '1e-3', expected a valid number",
        "  task.p: given 1, expected an integer >= 2 (the modulus)",
    ):
        assert any(line.startswith(sentence) for line in lines), sentence
    assert "Value error" not in str(error.value)
    assert "Input should be" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config: not JSON"),
        ("{", "config: not JSON"),
        ("[" * 100_000, "config: not JSON"),
        ("[1]", r"config: given \[1\], expected a table of fields"),
        ("null", "config: given None, expected a table of fields"),
        ('{"task": 5}', "task: given 5, expected a table of fields"),
        ('{"task": null}', "task: given None, expected a table of fields"),
        ('{"seed": 1.5}', r"seed: given 1\.5, expected a valid integer"),
        ('{"seed": "1"}', "seed: given '1', expected a valid integer"),
        ('{"seed": -1}', "seed: given -1, expected an integer in 0"),
        ('{"seed": 9223372036854775808}', "seed: given 9223372036854775808, expected an integer in 0"),
        ('{"until_settled": 1}', "until_settled: given 1, expected a valid boolean"),
        ('{"optimizer": {"lr": NaN}}', r"optimizer\.lr: given nan, expected a finite number > 0"),
        ('{"optimizer": {"lr": Infinity}}', r"optimizer\.lr: given inf, expected a finite number > 0"),
        ('{"optimizer": {"lr": true}}', r"optimizer\.lr: given True, expected a valid number"),
        ('{"model": {"activation": ["relu"]}}', r"model\.activation: given \['relu'\], expected 'relu', 'gelu' or 'square'"),
        ('{"device": "cuda:x"}', "device: given 'cuda:x', expected cpu, cuda or cuda:N"),
        ('{"engine": "gpu"}', "engine: given 'gpu', expected 'auto', 'reference'"),
        ('{"threads": 0}', "threads: given 0, expected an integer in 1..1,024"),
        ('{"recipe": 5}', "recipe: given 5, expected a valid string"),
    ],
)
def test_bad_texts(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RunConfig.from_json(text)


def test_bad_files_are_named(tmp_path: Path) -> None:
    for name, content, message in (
        ("a.toml", b"p = ", r"a\.toml: not TOML"),
        ("a.toml", b"when = 2020-01-01\n", r"a\.toml:\n  when: unknown field"),
        ("a.toml", b"[task]\np = 2020-01-01\n", r"a\.toml:\n  task\.p: given '2020-01-01', expected a valid integer"),
        ("a.json", b"{", r"a\.json: not JSON"),
        ("a.json", b"\xff\xfe", r"a\.json: cannot be read"),
        ("a.json", b'{"steps": -1}', r"config file .*a\.json:\n  steps: given -1, expected an integer >= 0"),
        ("a.yaml", b"", r"given suffix '\.yaml', expected \.json or \.toml"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=message):
            RunConfig.from_file(tmp_path / name)
    with pytest.raises(UsageError, match=r"nowhere\.toml does not exist"):
        RunConfig.from_file(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModelConfig(d_model=10, n_heads=3), r"d_model: given 10, expected a multiple of model\.n_heads = 3 .*example 9"),
        (lambda: ModelConfig(d_model=2, n_heads=3), "for example 3"),
        (lambda: ModelConfig(d_mlp=0), r"model\.d_mlp: given 0, expected an integer >= 1"),
        (lambda: ModelConfig(d_mlp=1.0), r"model\.d_mlp: given 1\.0"),
        (lambda: ModelConfig(d_mlp=True), r"model\.d_mlp: given True"),
        (lambda: ModelConfig(biases="mpl"), r"unknown model\.biases 'mpl'; did you mean 'mlp'"),
        (lambda: ModelConfig(attention_rate=1.01), r"model\.attention_rate: given 1\.01, expected a number in 0\.\.1"),
        (lambda: ModelConfig(attention_rate=float("nan")), r"model\.attention_rate: given nan"),
        (lambda: ModelConfig(attention_rate="1"), r"model\.attention_rate: given '1'"),
        (lambda: ModelConfig(equals_class=1), r"model\.equals_class: given 1, expected true or false"),
        (lambda: ModelConfig(init_scale=0), r"model\.init_scale: given 0, expected a finite number > 0"),
        (lambda: OptimizerConfig(beta2=1), r"optimizer\.beta2: given 1, expected a number in \[0, 1\)"),
        (lambda: OptimizerConfig(loss="mse"), r"unknown optimizer\.loss 'mse'"),
        (lambda: OptimizerConfig(warmup_steps=2.5), r"optimizer\.warmup_steps: given 2\.5"),
        (lambda: CheckpointConfig(every=-1), r"checkpoints\.every: given -1"),
        (lambda: RunConfig(dtype="float16"), "unknown dtype 'float16'; did you mean 'float"),
        (lambda: RunConfig(device=None), "device: given None"),
        (lambda: RunConfig(task=ModularTask(5, equals_sign=False), model=ModelConfig(equals_class=True)), "there is no `=`"),
    ],
)  # fmt: skip
def test_values_are_checked_where_they_are_made(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_problems_of_one_value_come_together() -> None:
    with pytest.raises(UsageError) as error:
        OptimizerConfig(lr=0, beta1=-1, loss="x")
    assert [re.sub("unknown ", "", line).split(":")[0].split(" ")[0] for line in str(error.value).splitlines()] == [
        "optimizer.lr", "optimizer.beta1", "optimizer.loss",
    ]  # fmt: skip


def test_configs_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        RunConfig().seed = 1


@given(st.integers(0, 40), st.integers(0, 300), st.integers(0, 5000))
def test_checkpoint_steps(log: int, every: int, last: int) -> None:
    steps = [*CheckpointConfig(log=log, every=every).steps(last)]
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (0, last)
    assert all(isinstance(step, int) for step in steps)
    if every:
        assert {*range(0, last + 1, every)} <= {*steps}
        assert len(steps) <= 2 + log + last // every
    if log and last:
        assert 1 in steps  # the first update is where most happens


def test_checkpoints_are_dense_early() -> None:
    steps = [*CheckpointConfig(log=30, every=100).steps(10_000)]
    assert steps[:5] == [0, 1, 2, 3, 4]
    assert len([s for s in steps if s < 100]) > 10
    assert [*CheckpointConfig(log=0, every=0).steps(7)] == [0, 7]


@given(
    st.integers(0, 60) | st.integers(0, 5000), st.integers(0, 300), st.integers(0, 3000) | st.integers(0, 100_000),
    st.lists(st.integers(0, 4000), max_size=3),
)  # fmt: skip
def test_the_rule_of_saved_steps_is_the_list(log: int, every: int, last: int, moments: list[int]) -> None:
    top = min(last, 10 * every or last)
    points = np.geomspace(1, max(top, 1), log).round().astype(int).tolist() if log else []
    even = range(0, last + 1, every) if every else []
    listed = sorted({0, last, *(n for n in points if n <= last), *even, *(n for n in moments if n <= last)})
    rule = CheckpointConfig(log, every, tuple(moments)).steps(last)
    assert [*rule] == listed
    assert len(rule) == len(listed)
    near = {*range(50), *(n + by for n in listed[:: max(1, len(listed) // 50)] for by in (-1, 0, 1))}
    assert {n for n in near if n in rule} == near & {*listed}


def test_a_thousand_million_saved_steps_are_counted_and_not_made() -> None:
    tracemalloc.start()
    rule = CheckpointConfig(log=10**9, every=0).steps(10**15)
    assert 10**8 < len(rule) < 10**9
    assert (1 in rule, 2 in rule, 10**15 in rule, 10**15 - 1 in rule, 10**15 + 1 in rule) == (True, True, True, False, False)
    assert [*islice(rule, 5)] == [0, 1, 2, 3, 4]
    assert CheckpointConfig(log=10**18, every=1).steps(10**18).count == 10**18 + 1
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def test_importing_the_config_loads_no_torch() -> None:
    loaded = "[name for name in ('torch', 'pydantic', 'plotly') if name in sys.modules]"
    code = f"import interp, sys; interp.recipe('demo').to_json(); print({loaded})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
