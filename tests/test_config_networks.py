"""Configurations of other networks and optimizers: what they leave out, keep, and refuse."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from other_networks import MODELS, OPTIMIZERS, SMALL, small

from interp.cli import main
from interp.config.recipes import RECIPES, recipe, recipes
from interp.config.run_config import ModelConfig, OptimizerConfig, RunConfig
from interp.errors import UsageError
from interp.keeping.naming import run_name
from interp.keeping.recorder import record
from interp.store.run import open_run
from interp.studies.plan_files import base_of, plan_from_dict
from interp.studies.vary import make_axis
from interp.tasks.modular import ModularTask
from interp.tasks.named import task
from interp.tasks.splits import SplitConfig
from interp.training.loop import Training


def test_what_is_as_by_default_is_not_written() -> None:
    written = json.loads(RunConfig().to_json())
    assert list(written["model"]) == [
        "d_model", "n_heads", "d_mlp", "activation", "biases", "equals_class", "attention_rate", "init", "init_scale",
    ]  # fmt: skip
    assert list(written["optimizer"]) == [
        "lr", "weight_decay", "beta1", "beta2", "eps", "warmup_steps", "loss", "grokfast_lambda", "grokfast_alpha",
        "perpendicular_gradient", "norm_constraint",
    ]  # fmt: skip
    other = json.loads(small(ModelConfig(n_layers=2), OptimizerConfig(batch_size=8)).to_json())
    assert other["model"]["n_layers"] == 2
    assert other["optimizer"]["batch_size"] == 8
    assert "normalization" not in other["model"]
    assert "name" not in other["optimizer"]


@pytest.mark.parametrize("config", [*map(small, MODELS.values()), *(small(optimizer=one) for one in OPTIMIZERS.values())])
def test_a_configuration_survives_json(config: RunConfig) -> None:
    assert RunConfig.from_json(config.to_json()) == config
    assert config.unusual


def test_older_recipes_are_usual() -> None:
    for name in ("demo", "nanda", "transformer-lens", "pizza"):
        assert recipe(name).unusual is None
    assert {"power", "s5", "mlp"} <= RECIPES.keys()


def test_recipes_of_tables_are_what_their_papers_have() -> None:
    power, s5 = recipe("power"), recipe("s5")
    assert (power.task.name, power.split.count_of(power.task)) == ("x/y mod 97", 97 * 96 // 2)
    assert (power.model.n_layers, power.model.normalization, power.optimizer.batch_size) == (2, "post", 512)
    assert (s5.task.name, s5.split.count_of(s5.task), s5.model.n_layers) == ("S5", 120**2 // 2, 1)


def test_names_of_runs_say_what_differs() -> None:
    config = replace(
        recipe("demo"),
        model=replace(recipe("demo").model, n_layers=2),
        optimizer=OptimizerConfig(weight_decay=2.0, batch_size=64),
    )
    assert run_name(config) == "demo-n-layers2-batch-size64"
    assert run_name(recipe("demo")) == "demo"
    patterns = replace(recipe("demo"), optimizer=replace(recipe("demo").optimizer, decay_only=("blocks.*", "[a-c]?")))
    assert run_name(patterns) == "demo-decay-only-blocks..a-c"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"n_layers": 0}, r"model\.n_layers: given 0, expected an integer in 1\.\.4"),
        ({"n_layers": 5}, r"model\.n_layers: given 5, expected an integer in 1\.\.4"),
        ({"normalization": "batch"}, r"model\.normalization: unknown .*none"),
        ({"architecture": "cnn"}, "unknown model.architecture 'cnn'"),
        ({"dropout": 1.0}, r"model\.dropout: given 1\.0, expected a number in \[0, 1\)"),
        ({"architecture": "mlp", "n_layers": 2}, r"model\.n_layers: given 2 with architecture 'mlp'"),
        ({"architecture": "mlp", "tied_unembedding": True}, r"model\.tied_unembedding: given True with architecture 'mlp'"),
        ({"tied_embeddings": True}, "a transformer has one embedding; it is for architecture 'mlp'"),
        ({"tied_unembedding": 1}, r"model\.tied_unembedding: given 1, expected true or false"),
    ],
)
def test_senseless_networks_are_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said if "unknown" not in said else "architecture|normalization"):
        ModelConfig(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("architecture", "recipe_name"),
    [("attention-only", "demo"), ("mlp", "demo"), ("mlp", "nanda"), ("mlp", "pizza"), ("mlp", "transformer-lens")],
)
def test_what_an_architecture_has_no_use_for_is_ignored(architecture: str, recipe_name: str) -> None:
    """A recipe's own widths do not refuse another architecture, and equal networks have equal configurations."""
    config = replace(recipe(recipe_name), model=replace(recipe(recipe_name).model, architecture=architecture))
    assert RunConfig.from_json(config.to_json()) == config
    unused = {"attention-only": {"d_mlp": 64, "activation": "gelu"}, "mlp": {"n_heads": 7, "d_model": 30, "attention_rate": 0.5}}
    assert ModelConfig(architecture=architecture, **unused[architecture]) == ModelConfig(architecture=architecture)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "lion"}, "lion"),
        ({"batch_size": 0}, r"optimizer\.batch_size: given 0, expected an integer >= 1"),
        ({"momentum": 0.5}, r"optimizer\.momentum: given 0\.5 with adamw, whose first moment decays by optimizer\.beta1"),
        ({"momentum": 1.0, "name": "sgd"}, r"optimizer\.momentum: given 1\.0, expected a number in \[0, 1\)"),
        ({"decay_only": "matrices"}, r"optimizer\.decay_only: given 'matrices', expected names of tensors or patterns"),
    ],
)
def test_senseless_optimizers_are_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        OptimizerConfig(**fields)  # type: ignore[arg-type]


def test_a_batch_is_no_larger_than_what_is_trained_on() -> None:
    assert small(optimizer=OptimizerConfig(batch_size=29)).optimizer.batch_size == 29
    with pytest.raises(UsageError, match="given 30, but only 29 examples are trained on; expected at most 29, or none"):
        small(optimizer=OptimizerConfig(batch_size=30))


def test_a_batch_of_a_table_is_measured_by_its_own_pairs() -> None:
    division = replace(small(), task=task("x/y mod 11"), split=SplitConfig(fraction=0.3))
    assert replace(division, optimizer=OptimizerConfig(batch_size=33)).optimizer.batch_size == 33
    with pytest.raises(UsageError, match="given 34, but only 33 examples are trained on"):
        replace(division, optimizer=OptimizerConfig(batch_size=34))
    large = replace(small(), task=task("S5"), split=SplitConfig(fraction=0.5), optimizer=OptimizerConfig(batch_size=7000))
    assert RunConfig.from_json(large.to_json()) == large  # of the 113^2 pairs of the default task, half are fewer
    assert RunConfig.from_dict(large.to_dict(), task=large.task) == large


def test_a_batch_of_whole_blocks_is_measured_by_those_that_are_drawn() -> None:
    """Of the residues of a modulo 2 the even ones have 28 of 49 pairs, the odd ones 21; which are drawn, the seed says."""
    trained = set()
    for seed in range(6):
        split = SplitConfig(fraction=0.5, seed=seed, blocks="a mod 2")
        n = len(split.draw(ModularTask(7)).train)
        trained.add(n)
        config = replace(small(), split=split, optimizer=OptimizerConfig(batch_size=n))
        assert Training(config).plan.split.train.size == n
        with pytest.raises(UsageError, match=rf"optimizer\.batch_size: given {n + 1}, but only {n} examples are trained on"):
            Training(replace(config, optimizer=OptimizerConfig(batch_size=n + 1)))
    assert trained == {21, 28}


def test_a_batch_of_whole_blocks_that_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    split = SplitConfig(fraction=0.5, blocks="a mod 2")
    with pytest.raises(UsageError, match=r"optimizer\.batch_size: given 29, but only"):
        record(replace(small(), split=split, optimizer=OptimizerConfig(batch_size=29)), tmp_path / "runs", "it", progress=False)
    assert not (tmp_path / "runs").exists()


def test_a_recipe_s_batch_is_half_of_a_small_training_set(tmp_path: Path) -> None:
    def trained(*flags: str) -> int | None:
        with pytest.raises(SystemExit) as exit_:
            main(["train", "power", "--steps", "0", "--root", str(tmp_path), "--name", str(len(flags)), *flags])
        assert not exit_.value.code
        return open_run(tmp_path / str(len(flags))).config.optimizer.batch_size

    assert trained("--task", "S3") == 9
    assert trained("--task", "S3", "--split.blocks", "a") == 9
    assert trained() == 512
    # Blocks are as large as they are drawn: the even residues a have 28 of 49 pairs, the odd ones 21.
    split = SplitConfig(fraction=0.5, seed=0, blocks="a mod 2")
    flags = ("--task=x+y mod 7", "--split.blocks", "a mod 2")
    assert trained(*flags) == len(split.draw(ModularTask(7)).train) // 2


def test_a_file_s_batch_is_fitted_beside_flags_as_a_recipe_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.json"
    file.write_text(replace(recipe("power"), steps=0).to_json())

    def trained(*flags: str, name: str = "it") -> int | None:
        name = f"{name}{len(flags)}"
        with pytest.raises(SystemExit) as exit_:
            main(["train", str(file), "--root", str(tmp_path), "--name", name, *flags])
        return open_run(tmp_path / name).config.optimizer.batch_size if not exit_.value.code else None

    assert trained() == 512
    assert trained("--task", "S3") == 9
    assert trained("--task", "S3", "--split.blocks", "a") == 9
    assert trained("--optimizer.batch-size", "511", name="given") == 511
    # Its own split of blocks, or a flag's, beside a batch that is given: refused alike.
    capsys.readouterr()
    assert trained("--task", "S3", "--split.blocks", "a", "--optimizer.batch-size", "19", name="both") is None
    by_flags = capsys.readouterr().err
    assert "optimizer.batch_size: given 19, but only 18 examples are trained on; expected at most 18" in by_flags
    file.write_text(json.dumps({"task": "S3", "split": {"blocks": "a", "fraction": 0.5},
                                "optimizer": {"batch_size": 19}, "steps": 0}))  # fmt: skip
    assert trained(name="blocks") is None
    assert "optimizer.batch_size: given 19, but only 18 examples are trained on; expected at most 18" in capsys.readouterr().err


def test_the_doctor_and_studies_fit_a_recipe_s_batch_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["doctor", "power", "--task", "S3"])
    assert not exit_.value.code, capsys.readouterr().err
    plan = {"recipe": "power", "base": {"task": "S3"}, "vary": {"optimizer.lr": [0.001]}}
    assert plan_from_dict(plan, where="plan").base.optimizer.batch_size == 9
    plan["base"]["optimizer"] = {"batch_size": 18}
    assert plan_from_dict(plan, where="plan").base.optimizer.batch_size == 18
    assert base_of("power", [make_axis("task", ["S3"])]).optimizer.batch_size == 9
    assert base_of("power", [make_axis("task", ["S3"]), make_axis("optimizer.batch_size", [7])]).optimizer.batch_size == 7


def test_help_and_recipes_say_how_a_batch_is_fitted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "power", "--help"])
    told = " ".join(re.sub("[^ -~]", " ", capsys.readouterr().out).split())
    assert "Where it is not given, the batch of a recipe or file is half of the training set of another task or split" in told
    assert "batches of at most 512" in recipes()["power"]


def test_a_batch_that_is_asked_for_is_taken_at_its_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["train", "power", "--task", "S3", "--optimizer.batch-size", "19", "--root", str(tmp_path)])
    assert exit_.value.code == 2
    assert "optimizer.batch_size: given 19, but only 18 examples are trained on; expected at most 18" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "change", "said"),
    [
        (small(), "5:ablate.logits=1", "made for the one-layer transformer, given 2 layers"),
        (small(), "5:symmetry=1", "made for the one-layer transformer, given 2 layers"),
        (small(), "5:lr.W_E=0", "made for the one-layer transformer, given 2 layers"),
        (small(), "5:optimizer.batch_size=4", "unknown field 'batch_size'"),
        (small(SMALL.model, OPTIMIZERS["batches"]), "5:ablate.neurons=1", "trains on the full batch without dropout"),
        (small(SMALL.model, OPTIMIZERS["sgd"]), "5:decay.W_E=0", "use optimizer.decay_only instead"),
    ],
)
def test_changes_made_for_another_training_are_refused(config: RunConfig, change: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        replace(config, changes=(change,))
