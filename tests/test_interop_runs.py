"""Whole runs from other people's files: epochs, losses, split, settings, and in words whatever is not stored."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import legacy_state_by_hand, official_state, save
from random_models import assert_same, memorizer, random_weights

import interp
from interp.anatomy.source import open_source
from interp.errors import DataError, UsageError
from interp.interop import Known, import_run, load_run, load_weights
from interp.interop.split import pair_losses
from interp.networks.bridge import to_bridge
from interp.networks.one_layer import Weights
from interp.tasks.modular import ModularTask
from interp.tasks.splits import Split, SplitConfig

P = 7
MLP = ["b_in", "b_out"]
TASK = ModularTask(P)
SPLIT = SplitConfig("python", seed=3, fraction=0.3)


def official_model(seed: int) -> Weights:
    return random_weights(P, biases=MLP, equals_class=True, n_heads=2, d_head=3, d_model=6, d_mlp=8, seed=seed)


def losses(weights: Weights, split: Split, task: ModularTask = TASK) -> tuple[float, float]:
    every = pair_losses(weights, task)
    return float(every[split.train].mean()), float(every[split.test].mean())


def official_run(**changes: object) -> dict[str, object]:
    """A file as the official code's notebook reads it: every state dict, epochs, losses of every epoch, settings."""
    models = [official_model(seed) for seed in range(3)]
    train, test = losses(models[-1], SPLIT.draw(TASK))
    content: dict[str, object] = {
        "name": "grok_1",
        "model": official_state(models[-1]),
        "state_dicts": [official_state(model) for model in models],
        "epochs": [0, 100, 200],
        "train_losses": [*np.linspace(2, 1, 200).tolist(), train],
        "test_losses": [*np.linspace(3, 2, 200).tolist(), test],
        "config": {"lr": 0.002, "weight_decay": 1.0, "p": P, "fn_name": "add", "frac_train": 0.3, "seed": 3},
    }
    return {name: value for name, value in (content | changes).items() if value is not None}


def test_official_run_becomes_a_series(tmp_path: Path) -> None:
    run = load_run(save(official_run(), tmp_path / "full_run_data.pth"))
    assert run.format == "official"
    assert [step for step, _ in run.checkpoints] == [0, 100, 200]
    for seed, (_, weights) in enumerate(run.checkpoints):
        assert_same(weights, official_model(seed))
    assert run.weights is run.checkpoints[-1][1]
    assert run.task == TASK
    assert run.config.split == SPLIT
    np.testing.assert_array_equal(run.split.train, SPLIT.draw(TASK).train)
    assert len(run.train_losses) == len(run.test_losses) == 201
    assert run.train_losses[0] == 2.0
    rows = [*run.history_rows()]
    assert rows[1] == {"step": 1, "train_loss": run.train_losses[1], "test_loss": run.test_losses[1]}
    # At checkpoints everything is measured on the weights themselves.
    for (step, weights), row in zip(run.checkpoints, (rows[0], rows[100], rows[200]), strict=True):
        train, test = losses(weights, SPLIT.draw(TASK))
        assert row["step"] == step
        assert (row["train_loss"], row["test_loss"]) == (pytest.approx(train, rel=1e-9), pytest.approx(test, rel=1e-9))
        assert row["sum_squared_weights"] == pytest.approx(sum(float((t**2).sum()) for t in weights.tensors().values()))
        assert {"train_accuracy", "test_accuracy"} < row.keys()
    assert (run.config.optimizer.lr, run.config.optimizer.weight_decay, run.config.optimizer.warmup_steps) == (0.002, 1.0, 10)
    assert (run.config.recipe, run.config.steps, run.config.dtype, run.config.model.biases) == ("imported", 200, "float64", "mlp")
    assert "split python:3:0.3: its losses agree with the published ones within 0.00%" in run.notes
    assert "not read from the file: name" in run.notes
    assert not any("final model" in note for note in run.notes)  # it is the last checkpoint
    assert json.loads(json.dumps(run.provenance))["config"]["seed"] == 3
    assert run.provenance["file"] == "full_run_data.pth"


def test_a_given_split_that_the_published_losses_refute_is_not_taken_in_silence(tmp_path: Path) -> None:
    path = save(official_run(), tmp_path / "run.pth")
    wrong, right = Known(split=SplitConfig("torch", 1, 0.3)), Known(split=SPLIT)
    train, test = losses(official_model(2), wrong.split.draw(TASK))
    published = losses(official_model(2), SPLIT.draw(TASK))
    misfit = max(abs(mine / theirs - 1) for mine, theirs in zip((train, test), published, strict=True))
    said = f"split torch:1:0.3, as given: the losses on it differ from the published ones by {misfit:.0%}"
    assert said in load_run(path, known=wrong).notes
    assert said in open_source(path, known=wrong).notes
    with pytest.raises(UsageError, match=f"{re.escape(said)}, and the run would be measured on it"):
        import_run(path, tmp_path, "wrong", known=wrong)
    assert not (tmp_path / "wrong").exists()
    assert not any("as given" in note for note in load_run(path, known=right).notes)
    assert len(import_run(path, tmp_path, "right", known=right).steps) == 3
    silent = save(official_run(train_losses=None, test_losses=None), tmp_path / "silent.pth")
    assert not any("as given" in note for note in load_run(silent, known=wrong).notes)


def test_one_checkpoint_of_a_series(tmp_path: Path) -> None:
    path = save(official_run(), tmp_path / "run.pth")
    assert_same(load_weights(path, step=100), official_model(1))
    assert_same(load_weights(path), official_model(2))
    with pytest.raises(UsageError, match=r"unknown step '101'; did you mean '100'\? Known: 0, 100, 200"):
        load_weights(path, step=101)


def test_test_losses_taken_every_few_epochs_are_placed(tmp_path: Path) -> None:
    _, test = losses(official_model(2), SPLIT.draw(TASK))
    run = load_run(save(official_run(test_losses=[3.0] * 20 + [test]), tmp_path / "run.pth"))
    assert [*run.test_losses] == [*range(0, 201, 10)]
    assert "test_losses: 21 for 201 epochs, taken to be every 10th from 0" in run.notes
    rows = [*run.history_rows()]
    assert rows[10] == {"step": 10, "train_loss": rows[10]["train_loss"], "test_loss": 3.0}
    assert rows[11].keys() == {"step", "train_loss"}
    run = load_run(save(official_run(test_losses=[3.0] * 17 + [test]), tmp_path / "run.pth"))
    assert run.test_losses == {}
    assert any("test_losses: 18 for 201 epochs, which no even spacing explains" in note for note in run.notes)


def test_settings_in_the_optimizers_state_win_over_the_configuration(tmp_path: Path) -> None:
    group = {"lr": 0.002, "betas": (0.9, 0.95), "eps": 1e-7, "weight_decay": 0.1}
    run = load_run(save(official_run(optimizer={"state": {}, "param_groups": [group]}), tmp_path / "run.pth"))
    optimizer = run.config.optimizer
    assert (optimizer.weight_decay, optimizer.beta1, optimizer.beta2, optimizer.eps) == (0.1, 0.9, 0.95, 1e-7)
    assert "weight_decay: the configuration says 1.0, the optimizer's state 0.1, which was taken" in run.notes


def test_a_final_model_of_its_own_is_the_last_checkpoint(tmp_path: Path) -> None:
    run = load_run(save(official_run(model=official_state(official_model(9)), epoch=250), tmp_path / "run.pth"))
    assert [step for step, _ in run.checkpoints] == [0, 100, 200, 250]
    assert_same(run.weights, official_model(9))
    for epoch in (None, 150, 200):  # not said, or not after the last
        run = load_run(save(official_run(model=official_state(official_model(9)), epoch=epoch), tmp_path / "run.pth"))
        assert [step for step, _ in run.checkpoints] == [0, 100, 200]
    assert any("the final model is none of the checkpoints" in note for note in run.notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": [0, 100]}, "epochs: given 2 epochs for 3 state dicts"),
        ({"epochs": [0, 200, 100]}, "epochs: given 100 after 200, expected ascending"),
        ({"epochs": [0, 100, 100]}, "epochs: given 100 after 100"),
        ({"epochs": [0, 0.5, 1]}, r"epochs: given 0\.5, expected an integer"),
        ({"epochs": [0, float("nan"), 1]}, "epochs: given nan"),
        ({"epochs": [-1, 0, 1]}, r"epochs: given -1\.0"),
        ({"epochs": None}, "state_dicts: 3 models without their steps; give them, in their order, with --steps"),
        ({"epochs": "012"}, "epochs: given str, expected a list"),
        ({"state_dicts": []}, "state_dicts: given list, expected a list of state dicts"),
        ({"state_dicts": [1, 2, 3]}, "state_dicts: given list, expected a list of state dicts"),
        ({"state_dicts": torch.zeros(3)}, r"state_dicts: given shape \(3,\), expected a list of state dicts"),
        ({"config": {"fn_name": "rand"}}, "operation: the file says 'rand'"),
    ],
)  # fmt: skip
def test_damaged_series_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_run(save(official_run() | changes, tmp_path / "bad.pth"))


def test_a_series_that_is_one_model_over_and_over_is_refused(tmp_path: Path) -> None:
    state = official_state(official_model(0))
    with pytest.raises(DataError, match=r"all 3 state dicts are one and the same tensors .*without being copied"):
        load_run(save(official_run(state_dicts=[state, state, state]), tmp_path / "aliased.pth"))


def test_a_stored_split_is_used_and_its_rule_named(tmp_path: Path) -> None:
    split = SPLIT.draw(TASK)
    pairs = {
        name: [[a, b, P] for a, b in TASK.pairs[i].tolist()]
        for name, i in (("train_data", split.train), ("test_data", split.test))
    }
    run = load_run(save(official_run(**pairs, config=None), tmp_path / "init.pth"))
    np.testing.assert_array_equal(run.split.train, split.train)
    np.testing.assert_array_equal(run.split.test, split.test)
    assert run.config.split.fraction == pytest.approx(14 / 49)  # seed 3 is no published split: only the fraction is known


def test_the_split_is_found_by_the_losses_where_the_seed_is_wrong(tmp_path: Path) -> None:
    task = ModularTask(11)
    model = memorizer(SPLIT.draw(task).train, 11)
    train, test = losses(model, SPLIT.draw(task), task)
    content = {"model": official_state(model), "train_losses": [train], "test_losses": [test], "epoch": 5, "config": {"seed": 0}}
    run = load_run(save(content, tmp_path / "final.pth"))
    assert run.config.split == SPLIT
    assert any(re.fullmatch(r"split python:3:0.3: found: .*; python:0:0.3 does not fit", note) for note in run.notes)
    assert run.checkpoints[0][0] == 5
    run = load_run(save(content | {"train_losses": [train * 3]}, tmp_path / "final.pth"))
    assert run.config.split == SPLIT  # its losses on the single pairs tell it, whatever was published
    assert any("the published losses differ from those of the model on python:3:0.3 by 67%" in note for note in run.notes)
    run = load_run(tmp_path / "final.pth", known=Known(split=SPLIT))
    np.testing.assert_array_equal(run.split.train, SPLIT.draw(task).train)


# TransformerLens' demo


def demo(models: list[Weights], split: Split, config: object = None) -> dict[str, object]:
    """A file as TransformerLens' grokking demo writes it."""
    return {
        "model": legacy_state_by_hand(models[-1]),
        "config": config,
        "checkpoints": [legacy_state_by_hand(model) for model in models],
        "checkpoint_epochs": [99, 199],
        "train_losses": [1.0] * 200,
        "test_losses": [2.0] * 200,
        "train_indices": torch.from_numpy(split.train),
        "test_indices": torch.from_numpy(split.test),
    }


@pytest.mark.parametrize("biases", [[], ["b_Q", "b_K", "b_V", "b_O", "b_in", "b_out", "b_U"]])
def test_transformer_lens_demo_run(tmp_path: Path, biases: list[str]) -> None:
    models = [random_weights(P, d_model=6, biases=biases, seed=seed) for seed in (1, 2)]
    rule = SplitConfig("torch", seed=598, fraction=0.3)
    config = {"n_layers": 1, "normalization_type": None, "act_fn": "relu", "attn_scale": 3**0.5, "d_head": 3, "n_heads": 2}
    run = load_run(save(demo(models, rule.draw(TASK), config), tmp_path / "grokking_demo.pth"))
    assert run.format == "transformer-lens"
    assert [step for step, _ in run.checkpoints] == [99, 199]
    assert_same(run.weights, models[-1])
    assert run.config.split == rule  # recognised by its indices
    np.testing.assert_array_equal(run.split.train, rule.draw(TASK).train)
    assert run.config.model.biases == ("all" if biases else "none")
    assert any(
        "defaults for: optimizer.lr, optimizer.weight_decay, optimizer.beta1, optimizer.beta2, optimizer.eps, seed, model.init"
        in note
        for note in run.notes
    )
    assert not any("activation" in note for note in run.notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_layers": 2}, "n_layers: given 2, expected 1"),
        ({"normalization_type": "LN"}, "normalization_type: given 'LN', expected None"),
        ({"act_fn": "gelu_new"}, "activation: the file says 'gelu_new', expected one of relu, gelu"),
        ({"attention_dir": "bidirectional"}, "attention_dir"),
        ({"attn_scale": 8.0, "d_head": 3}, r"attn_scale: given 8\.0, expected sqrt\(d_head\)"),
        ({"n_heads": 3}, r"W_Q: given shape \(2, 6, 3\), expected \(n_heads=3, d_model=6, d_head\)"),
        ({"gated_mlp": True, "attn_only": True}, "attn_only: given True.*\n.*gated_mlp: given True"),
    ],
)
def test_transformer_lens_models_with_another_function_are_refused(tmp_path: Path, changes: object, message: str) -> None:
    models = [random_weights(P, d_model=6, seed=seed) for seed in (1, 2)]
    with pytest.raises(DataError, match=message):
        load_run(save(demo(models, SPLIT.draw(TASK), changes), tmp_path / "demo.pth"))


def test_transformer_lens_4_run_with_its_pickled_config(tmp_path: Path) -> None:
    models = [random_weights(P, d_model=6, activation="gelu", seed=seed) for seed in (1, 2)]
    bridges = [to_bridge(model) for model in models]
    content = demo(models, SPLIT.draw(TASK), bridges[-1].cfg) | {
        "model": bridges[-1].state_dict(),
        "checkpoints": [bridge.state_dict() for bridge in bridges],
    }
    run = load_run(save(content, tmp_path / "demo4.pth"))
    assert run.format == "bridge"
    for model, (_, weights) in zip(models, run.checkpoints, strict=True):
        assert_same(weights, model)  # heads and activation come from the config, which stays a stand-in


def test_a_bare_state_dict_says_what_it_does_not_tell(tmp_path: Path) -> None:
    run = load_run(save(official_state(official_model(0)), tmp_path / "bare.pth"))
    assert run.checkpoints[0][0] == 0
    assert run.split is None
    assert [*run.history_rows()] == []
    for part in (
        "after how many updates",
        "relu was assumed",
        "addition was assumed",
        "train and test are unknown",
        "defaults for: split",
    ):
        assert any(part in note for note in run.notes), part
    known = Known(operation="subtract", split=SPLIT, activation="gelu")
    run = load_run(tmp_path / "bare.pth", known=known)
    assert (run.task.operation, run.config.split, run.weights.activation) == ("subtract", SPLIT, "gelu")


def test_a_bare_transformer_lens_state_dict_says_that_normalization_is_not_known(tmp_path: Path) -> None:
    run = load_run(save(legacy_state_by_hand(random_weights(P, d_model=6)), tmp_path / "bare.pt"))
    assert any("no configuration is stored: a model without normalization" in note for note in run.notes)


def test_pizza_facts_come_from_the_json(tmp_path: Path) -> None:
    model = random_weights(P, equals_sign=False, biases=MLP, d_model=6, attention_rate=0.5)
    config = {"funcs": "lambda x: (x[0]*x[1])%7", "C": P, "attn_coeff": 0.5, "epoch": 300, "lr": 0.003, "weight_decay": 2.0}
    (tmp_path / "m.json").write_text(json.dumps(config))
    run = load_run(save(official_state(model), tmp_path / "m.pt"))
    assert run.task == ModularTask(P, "multiply", equals_sign=False)
    assert run.config.task == run.task
    assert (run.checkpoints[0][0], run.config.optimizer.weight_decay, run.config.model.attention_rate) == (300, 2.0, 0.5)
    assert run.split is None
    (tmp_path / "m.json").write_text(json.dumps(config | {"epoch": "many"}))
    with pytest.raises(DataError, match="epoch: given str, expected a number"):
        load_run(tmp_path / "m.pt")


def test_a_model_no_run_can_describe_is_still_a_model(tmp_path: Path) -> None:
    odd = random_weights(P, biases=MLP, n_heads=2, d_head=5, d_model=6)
    path = save(official_state(odd), tmp_path / "odd.pth")
    assert_same(load_weights(path), odd)
    with pytest.raises(DataError, match="cannot describe 2 heads of 5 in 6"):
        load_run(path)


# As an ordinary run


def test_an_imported_run_is_an_ordinary_run(tmp_path: Path) -> None:
    path = save(official_run(), tmp_path / "full_run_data.pth")
    run = import_run(path, tmp_path / "runs")
    assert run.steps == (0, 100, 200)
    assert run.verify() == ()
    for seed, step in enumerate(run.steps):
        assert_same(run[step].weights, official_model(seed))
    np.testing.assert_array_equal(run.split.train, SPLIT.draw(TASK).train)
    assert float(run.history["train_loss"][0]) == pytest.approx(losses(official_model(0), SPLIT.draw(TASK))[0], rel=1e-9)
    series = interp.observe(run, ["loss_curves"])
    assert series.sizes["history_step"] == 201  # a loss for every epoch; accuracies of the checkpoints
    assert int(series["history_test_accuracy"].notnull().sum()) == 3
    again = interp.open_run(tmp_path / "runs" / "full_run_data")
    assert again.config == run.config
    for _, cache in interp.activations(again, "blocks.0.attn.hook_pattern"):
        assert cache["blocks.0.attn.hook_pattern"].shape == (49, 2, 3, 3)
    with pytest.raises(UsageError, match="exists already"):
        import_run(path, tmp_path / "runs")
    assert import_run(path, tmp_path / "runs", "other").name == "other"


def test_nothing_is_written_when_a_run_cannot_be_imported(tmp_path: Path) -> None:
    path = save(official_state(official_model(0)), tmp_path / "bare.pth")
    with pytest.raises(UsageError, match=r"train and test pairs are not known.*SplitConfig\('python'"):
        import_run(path, tmp_path / "runs")
    broken = official_run()
    broken["state_dicts"][1].pop("embed.W_E")
    with pytest.raises(DataError, match=r"missing embed\.W_E"):
        import_run(save(broken, tmp_path / "broken.pth"), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    assert import_run(path, tmp_path / "runs", known=Known(split=SPLIT)).steps == (0,)
