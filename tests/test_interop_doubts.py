"""What a file says of itself and its tensors do not bear out; what is not certain, and is said so."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import legacy_state_by_hand, official_state, save
from foreign_forms import plain_linear
from random_models import random_weights
from wide_clock import wide_clock

from interp.anatomy.source import open_source
from interp.cli.entry import main
from interp.errors import DataError, UsageError
from interp.interop import Known, explain, import_run, load_run, load_weights
from interp.interop.unsaid_activation import chosen_activation
from interp.interop.working import Working
from interp.networks.bridge import BRIDGE
from interp.networks.one_layer import Weights
from interp.tasks.splits import SplitConfig

SPLIT = SplitConfig("python", 0, 0.3)


@pytest.fixture
def clock() -> Weights:
    return wide_clock()


# The sizes that a configuration names


@pytest.mark.parametrize("p", [12, 14, 113, 12.0, "12"])
def test_a_modulus_that_is_not_the_tensors_is_refused_with_both(p: object, clock: Weights, tmp_path: Path) -> None:
    for state in (plain_linear(clock), legacy_state_by_hand(clock)):
        path = save({"model": state, "config": {"n_heads": 4, "modulus": p}}, tmp_path / "m.pt")
        with pytest.raises(DataError, match=rf"p: the configuration says {int(float(p))}, the tensors have 14 tokens.*p = 13"):
            load_weights(path)


def test_more_tokens_than_residues_and_equals_are_no_larger_modulus(tmp_path: Path) -> None:
    weights = random_weights(14, d_model=16, n_heads=4, d_head=4)
    config = {"n_heads": 4, "p": 13}
    path = save({"model": plain_linear(weights), "config": config}, tmp_path / "m.pt")
    with pytest.raises(DataError, match=r"says 13, the tensors have 15 tokens.*; what can be held has p tokens and `=`"):
        load_weights(path, known=Known(orientation="linear"))


@pytest.mark.parametrize(("field", "size"), [("d_model", 64), ("d_mlp", 7), ("d_head", 9), ("n_ctx", 5), ("vocab_size", 99)])
def test_another_size_in_the_configuration_is_said(field: str, size: int, clock: Weights, tmp_path: Path) -> None:
    path = save({"model": plain_linear(clock), "config": {"n_heads": 4, "p": 13, field: size}}, tmp_path / "m.pt")
    assert any(f"the configuration says {size}, the tensors have" in note for note in load_run(path).notes)
    right = save({"model": plain_linear(clock), "config": {"n_heads": 4, "p": 13, "d_model": 16}}, tmp_path / "right.pt")
    assert not any("the configuration says" in note for note in load_run(right).notes)


# A model that works neither well nor by chance


def noisy(weights: Weights, scale: float) -> Weights:
    """With a disturbed embedding, so that it is right for a part of the pairs."""
    noise = torch.randn(weights.W_E.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Weights.from_tensors({**weights.tensors(), "W_E": weights.W_E + scale * noise})


@pytest.fixture
def poor(clock: Weights) -> Weights:
    return noisy(clock, 0.6)


def test_the_refusal_for_want_of_a_split_says_how_well_the_model_works(clock: Weights, poor: Weights, tmp_path: Path) -> None:
    for weights, words in ((clock, "accuracy 1 and loss"), (poor, "WARNING: the model is right for")):
        path = save(legacy_state_by_hand(weights), tmp_path / "m.pt")
        with pytest.raises(UsageError, match=r"interp anatomy and interp\.load_weights do not") as error:
            import_run(path, tmp_path / "runs")
        assert words in str(error.value)
        assert "the page would call pairs seen that were not" in str(error.value)
    nothing = save(legacy_state_by_hand(random_weights(11, d_model=6, n_heads=2, d_head=3, d_mlp=6)), tmp_path / "n.pt")
    with pytest.raises(UsageError, match=r"a constant answer would be.*square, so that no shape tells"):
        import_run(nothing, tmp_path / "runs")


def test_a_model_far_from_chance_and_from_good_is_warned_of(clock: Weights, poor: Weights, tmp_path: Path) -> None:
    path = save(legacy_state_by_hand(poor), tmp_path / "m.pt")
    whole = load_run(path)
    assert not whole.account.performance.working.is_near_chance
    assert whole.account.performance.accuracy < 0.5
    assert "of all pairs, far more than by chance and fewer than a trained model" in whole.account.warnings[0]
    split = load_run(path, known=Known(split=SPLIT))
    assert "of its training pairs" in split.account.warnings[0]
    for known in (Known(), Known(split=SPLIT)):
        assert not load_run(save(legacy_state_by_hand(clock), tmp_path / "good.pt"), known=known).account.warnings


def test_a_published_training_loss_as_large_explains_it(poor: Weights, tmp_path: Path) -> None:
    known = Known(split=SPLIT)
    state = legacy_state_by_hand(poor)
    loss = load_run(save(state, tmp_path / "m.pt"), known=known).account.performance.train[0]
    content = {"model": state, "train_losses": [2 * loss, loss]}
    assert not load_run(save(content, tmp_path / "early.pt"), known=known).account.warnings
    assert load_run(save(content | {"train_losses": [loss / 9]}, tmp_path / "other.pt"), known=known).account.warnings


def test_only_the_last_model_of_a_series_is_judged(clock: Weights, poor: Weights, tmp_path: Path) -> None:
    states = [legacy_state_by_hand(poor), legacy_state_by_hand(clock)]
    path = save({"checkpoints": states, "checkpoint_epochs": [0, 9]}, tmp_path / "m.pt")
    assert not load_run(path).account.warnings


def test_a_reading_is_not_said_to_work_if_it_does_not(clock: Weights, poor: Weights, tmp_path: Path) -> None:
    path = save(plain_linear(poor), tmp_path / "m.pt")
    text = explain(path, known=Known(n_heads=4)).text
    assert "because the model works so" not in text
    assert "in which the model does best, though not well: right for" in text
    good = save(plain_linear(clock), tmp_path / "good.pt")
    assert "because the model works so" in explain(good, known=Known(n_heads=4)).text


def test_a_given_orientation_is_said_to_be_given(clock: Weights, tmp_path: Path) -> None:
    path = save(plain_linear(clock), tmp_path / "m.pt")
    guesses = explain(path, known=Known(n_heads=4, orientation="linear")).guesses
    assert next(guess.why for guess in guesses if guess.what == "orientation") == "as given"


# A split that nothing confirms


def test_the_stored_seed_of_an_official_final_model_is_taken_with_a_note(tmp_path: Path) -> None:
    weights = random_weights(13, biases=["b_in", "b_out"], equals_class=True, n_heads=2, d_head=3, d_model=6, d_mlp=8)
    config = {"seed": 5, "frac_train": 0.4, "fn_name": "add", "p": 13}
    run = load_run(save({"model": official_state(weights), "config": config, "epoch": 9}, tmp_path / "final.pth"))
    assert run.config.split == SplitConfig("python", 5, 0.4)
    assert any("by the stored seed and fraction; there is no loss that confirms it" in note for note in run.notes)
    del config["frac_train"]
    unsaid = load_run(save({"model": official_state(weights), "config": config, "epoch": 9}, tmp_path / "final.pth"))
    assert unsaid.split is None


# Numbers that a caller gives


@pytest.mark.parametrize("wrong", [
    {"n_heads": -4}, {"n_heads": 0}, {"n_heads": 1.5}, {"n_heads": True}, {"attention_rate": 2.0},
    {"attention_rate": float("nan")}, {"steps": (-1,)}, {"activation": "silu"}, {"operation": "divide"}, {"orientation": "up"},
])  # fmt: skip
def test_what_cannot_be_known_is_refused_at_once(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Known(**wrong)


def test_a_number_of_heads_that_does_not_divide_is_refused_with_those_that_do(clock: Weights, tmp_path: Path) -> None:
    for state in (plain_linear(clock), BRIDGE.write(clock)):
        path = save(state, tmp_path / "m.pt")
        with pytest.raises(UsageError, match=r"n_heads: given 5, which does not divide the axis of 16.*1, 2, 4, 8, 16"):
            load_weights(path, known=Known(n_heads=5))
    stored = save({"model": plain_linear(clock), "config": {"n_heads": 0}}, tmp_path / "m.pt")
    with pytest.raises(DataError, match="n_heads of the configuration: given 0"):
        load_weights(stored)


def test_a_wrong_number_on_the_command_line_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["import", str(tmp_path / "m.pt"), "--n-heads", "-4"])
    assert ended.value.code == 2
    assert "n_heads: given -4, expected an integer >= 1" in " ".join(capsys.readouterr().err.split())


# What a configuration says of the training


def test_every_single_setting_that_is_not_stored_is_named(clock: Weights, tmp_path: Path) -> None:
    path = save({"model": plain_linear(clock), "config": {"n_heads": 4, "lr": 0.1, "seed": 0}}, tmp_path / "m.pt")
    run = load_run(path)
    assert run.config.optimizer.lr == 0.1
    optimizer = (f"optimizer.{name}" for name in ("weight_decay", "beta1", "beta2", "eps"))
    assert run.unknown == ("split", *optimizer, "model.init", "steps")
    assert open_source(path).weight_decay is None
    more = save({"model": plain_linear(clock), "config": {"n_heads": 4, "wd": 0.3, "seed": 7}}, tmp_path / "more.pt")
    assert open_source(more).weight_decay == 0.3
    assert load_run(more).config.seed == 7
    imported = import_run(path, tmp_path / "runs", known=Known(split=SPLIT))
    assert open_source(imported.path).weight_decay is None


def test_another_optimizer_is_said_and_normalization_is_refused(clock: Weights, tmp_path: Path) -> None:
    def with_config(**config: object) -> Path:
        return save({"model": plain_linear(clock), "config": {"n_heads": 4, **config}}, tmp_path / "m.pt")

    assert any("the configuration says 'SGD'" in note for note in load_run(with_config(optimizer="SGD")).notes)
    assert not any("AdamW" in note for note in load_run(with_config(optimizer="torch.optim.AdamW")).notes)
    for said in ({"normalization": "LN"}, {"use_ln": True}, {"norm": "rms"}):
        with pytest.raises(DataError, match=r"a network with normalization \(the configuration says") as error:
            load_run(with_config(**said))
        assert "what can be held is" in str(error.value)
    for said in ({"normalization": None}, {"use_ln": False}, {"norm": "none"}, {"norm": 1.0}):
        load_run(with_config(**said))


# How a file is read


def test_a_setting_beside_the_tensors_that_is_used_is_not_said_to_be_unread(clock: Weights, tmp_path: Path) -> None:
    path = save({"model": plain_linear(clock), "n_heads": 4, "colour": "red"}, tmp_path / "m.pt")
    notes = [note for note in load_run(path).notes if note.startswith("not read from the file")]
    assert notes == ["not read from the file: colour"]


def test_names_for_arrays_that_have_names_are_refused(clock: Weights, tmp_path: Path) -> None:
    path = save(plain_linear(clock), tmp_path / "m.pt")
    np.savez(tmp_path / "m.npz", **{name: tensor.numpy() for name, tensor in plain_linear(clock).items()})
    for file in (path, tmp_path / "m.npz"):
        with pytest.raises(UsageError, match="leaves: given 'a,b', but"):
            load_weights(file, known=Known(n_heads=4, leaves="a,b"))


def test_two_precisions_are_widened_with_a_note(clock: Weights, tmp_path: Path) -> None:
    state = plain_linear(clock)
    path = save({**state, "embed.weight": state["embed.weight"].float()}, tmp_path / "m.pt")
    run = load_run(path, known=Known(n_heads=4))
    assert {tensor.dtype for tensor in run.weights.tensors().values()} == {torch.float64}
    assert "stored in float32 and float64: all was widened to the widest as it was read" in run.notes
    assert not any("widened" in note for note in load_run(save(state, path), known=Known(n_heads=4)).notes)


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "zero.pt").symlink_to("/dev/zero")
    (tmp_path / "lost.pt").symlink_to("nowhere.pt")
    said = {
        "pipe.pt": "is a named pipe", "zero.pt": "is a link to /dev/zero, a device", "none.pt": "does not exist",
        "lost.pt": r"is a link to nowhere\.pt, which does not exist",
    }  # fmt: skip
    for name, words in said.items():
        with pytest.raises(UsageError, match=words):
            load_weights(tmp_path / name)


# Heads and activations that nothing tells


def test_several_numbers_of_heads_that_work_are_all_named(tmp_path: Path) -> None:
    path = save(plain_linear(wide_clock(operation="subtract")), tmp_path / "m.pt")
    with pytest.raises(UsageError, match="about as well do 4 with relu") as error:
        load_weights(path)
    assert "8 with relu (100 %), 16 with relu (100 %)" in str(error.value)
    assert "so that this does not tell which it is" in str(error.value)
    with pytest.raises(UsageError, match=r"about as well do 4 \(100 %\), 8 \(100 %\), 16 \(100 %\), so"):
        load_weights(path, known=Known(activation="relu"))


@pytest.mark.parametrize(("right", "taken"), [
    ({"relu": 1.0, "gelu": 0.9}, "relu"), ({"relu": 0.88, "gelu": 1.0}, "gelu"),
    ({"relu": 0.86, "gelu": 0.88}, "relu"), ({"relu": 0.05, "gelu": 0.1}, "relu"),
])  # fmt: skip
def test_the_activation_is_the_one_with_which_the_model_clearly_works(right: dict[str, float], taken: str) -> None:
    likely = chosen_activation({name: Working("add", share, 1 / 13, 169) for name, share in right.items()})
    assert likely.activation == taken
    assert any(note.startswith(f"the activation is not stored: {taken} was") for note in likely.notes)
    assert any("WARNING" in note for note in likely.notes) == (0.2 < max(right.values()) < 0.9)
