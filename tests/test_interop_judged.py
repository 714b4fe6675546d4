"""What is said of a model that was read: how well it works, what was dropped, which matrix may be the wrong way round, what no
model of ours can be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from foreign import legacy_state_by_hand, official_state, save
from foreign_forms import State, nano_gpt, plain_linear
from random_models import random_weights
from wide_clock import wide_clock

from interp.anatomy.source import open_source
from interp.errors import DataError
from interp.interop import Known, explain, export_weights, load_run, load_weights
from interp.networks.bridge import BRIDGE
from interp.networks.one_layer import Weights
from interp.tasks.splits import SplitConfig

SPLIT = SplitConfig("python", 0, 0.3)


@pytest.fixture
def clock() -> Weights:
    return wide_clock()


def stated(w: Weights, **changes: str) -> tuple[str, ...]:
    """A map of a state with our names and axes; `changes` take the place of an entry."""
    return tuple(changes.get(name, f"{name}={name}") for name in w.tensors()) + tuple(
        entry for name, entry in changes.items() if name not in w.tensors()
    )


# How well the model works


def test_accuracy_and_loss_are_told_on_train_and_test_or_on_all_pairs(clock: Weights, tmp_path: Path) -> None:
    path = save(legacy_state_by_hand(clock), tmp_path / "clock.pt")
    found = load_run(path, known=Known(split=SPLIT))
    assert any("accuracy 1 and loss" in note and "on train, accuracy 1 and loss" in note for note in found.notes)
    assert found.account.performance.train[1] == found.account.performance.test[1] == 1
    whole = load_run(path)
    assert any("accuracy 1 and loss" in note and "on all pairs" in note for note in whole.notes)
    train, test = SPLIT.draw(found.task).train, SPLIT.draw(found.task).test
    mean = (len(train) * found.account.performance.train[0] + len(test) * found.account.performance.test[0]) / 169
    assert whole.account.performance.loss == pytest.approx(mean)
    assert not whole.account.warnings


def test_a_matrix_the_wrong_way_round_is_named(tmp_path: Path) -> None:
    square = wide_clock(71, n_heads=8, d_head=9, d_model=72, d_mlp=72, equals_class=True)
    path = save(dict(square.tensors()), tmp_path / "m.pt")
    right = load_run(path, "map", known=Known(map=stated(square)))
    assert not right.account.warnings
    for name in ("W_E", "W_U", "W_in", "W_out"):
        wrong = load_run(path, "map", known=Known(map=stated(square, **{name: f"{name}.T={name}"})))
        warned = " ".join(wrong.account.warnings)
        assert "WARNING: the model is right for" in warned, name
        assert "no shape tells their orientation: W_E, W_in, W_out, W_U" in warned
        assert f"with {name} transposed it would be right for 100.00% of the pairs" in warned
        assert any("WARNING" in note for note in wrong.notes)
        assert any("WARNING" in note for note in open_source(path, format="map", known=Known(
            map=stated(square, **{name: f"{name}.T={name}"})
        )).notes)  # fmt: skip
    two = load_run(path, "map", known=Known(map=stated(square, W_in="W_in.T=W_in", W_out="W_out.T=W_out")))
    assert "with W_in and W_out transposed it would be right for 100.00%" in " ".join(two.account.warnings)


def test_a_model_that_has_learned_nothing_is_warned_of_without_a_cure(tmp_path: Path) -> None:
    weights = random_weights(11, d_model=6, n_heads=2, d_head=3, d_mlp=6)
    warned = " ".join(load_run(save(legacy_state_by_hand(weights), tmp_path / "m.pt")).account.warnings)
    assert "a constant answer would be" in warned
    assert "transposing one, two or all of them makes no difference that matters" in warned


def test_what_a_map_drops_is_listed(clock: Weights, tmp_path: Path) -> None:
    path = save({**clock.tensors(), "extra": torch.zeros(3, 4)}, tmp_path / "m.pt")
    found = load_run(path, "map", known=Known(map=(*stated(clock), "extra=-")))
    assert "dropped, as the map says: extra (shape (3, 4))" in found.notes


@pytest.mark.parametrize("name", ["ln1.weight", "norm.bias", "blocks.0.ln_f.weight", "rms_norm.scale"])
def test_normalization_cannot_be_dropped(name: str, clock: Weights, tmp_path: Path) -> None:
    value = torch.zeros(16) if name.endswith("bias") else torch.ones(16)  # as it begins; it still divides by the size
    path = save({**clock.tensors(), name: value.double()}, tmp_path / "m.pt")
    known = Known(map=(*stated(clock), f"{name}=-"))
    for format in ("map", "auto"):
        with pytest.raises(DataError, match="cannot be dropped: normalization divides the activations by their size"):
            load_weights(path, format, known=known)


# What no model of ours can be


def with_norm(state: State) -> State:
    return state | {"transformer.h.0.ln_1.weight": torch.ones(16).double(), "transformer.h.0.ln_1.bias": torch.zeros(16).double()}


def two_layers(w: Weights) -> State:
    first = nano_gpt(w)
    return first | {name.replace("h.0.", "h.1."): tensor for name, tensor in first.items() if "h.0." in name}


def encoder_layer() -> State:
    layer = torch.nn.TransformerEncoderLayer(16, 4, 32)
    return {"embed.weight": torch.zeros(14, 16), **layer.state_dict(), "head.weight": torch.zeros(13, 16)}


def mlp_on_embeddings() -> State:
    sizes = {"embedding.weight": (13, 8), "fc1.weight": (32, 16), "fc1.bias": (32,), "fc2.weight": (13, 32), "fc2.bias": (13,)}
    return {name: torch.randn(*shape) for name, shape in sizes.items()}


def mlp_on_one_hot() -> State:
    return torch.nn.Sequential(torch.nn.Linear(26, 32), torch.nn.ReLU(), torch.nn.Linear(32, 13)).state_dict()


REFUSED = {
    "LayerNorm": (lambda w: with_norm(nano_gpt(w)), r"a network with LayerNorm \(transformer\.h\.0\.ln_1\.weight"),
    "RMSNorm": (lambda w: nano_gpt(w) | {"rms_norm.weight": torch.ones(16).double()}, r"a network with RMSNorm"),
    "batch normalization": (lambda w: plain_linear(w) | {"bn.running_mean": torch.zeros(16)}, "batch normalization"),
    "nn.TransformerEncoderLayer": (lambda _: encoder_layer(), r"a network with LayerNorm \(norm1\.weight"),
    "two layers": (two_layers, "a network of 2 layers"),
    "rotary positions": (lambda w: plain_linear(w) | {"attn.rotary_emb.inv_freq": torch.ones(2)}, "rotary positions"),
    "gated MLP": (lambda w: plain_linear(w) | {"mlp.gate_proj.weight": torch.zeros(72, 16)}, "a gated MLP"),
    "MLP of three matrices": (
        lambda w: plain_linear(w) | {"fc3.weight": torch.zeros(16, 72).double()}, "a gated MLP, or one of more than two matrices"
    ),
    "attention alone": (
        lambda w: {name: t for name, t in plain_linear(w).items() if not name.startswith("fc")}, "a network without an MLP"
    ),
    "two layers of heads": (
        lambda _: {f"blocks.{i}.attn.heads.{h}.{q}.weight": torch.zeros(4, 16) for i in (0, 1) for h in (0, 1) for q in "qkv"},
        "a network of 2 layers",
    ),
    "two vocabularies": (
        lambda w: {n: t for n, t in plain_linear(w).items() if "embed.w" not in n or "un" in n}
        | {"embed_a.weight": torch.zeros(13, 16), "embed_b.weight": torch.zeros(13, 16)},
        "an embedding for a and another for b",
    ),
    "MLP on embeddings": (lambda _: mlp_on_embeddings(), "an MLP on embeddings, a network without attention"),
    "MLP on one-hot inputs": (lambda _: mlp_on_one_hot(), r"an MLP on one-hot inputs.*0\.weight \(32, 26\)"),
    "four positions": (
        lambda w: plain_linear(w) | {"pos_embed.weight": 9 * torch.randn(4, 16).double()}, "reads up to 4 positions"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_networks_that_cannot_be_held_are_refused_in_one_sentence(kind: str, clock: Weights, tmp_path: Path) -> None:
    make, message = REFUSED[kind]
    path = save({name: tensor.clone() for name, tensor in make(clock).items()}, tmp_path / "m.pt")
    with pytest.raises(DataError, match=message) as error:
        load_weights(path, known=Known(n_heads=4))
    assert "; what can be held is one layer of attention and one MLP without normalization" in str(error.value)
    assert "--map" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_configuration_may_say_what_no_tensor_does(clock: Weights, tmp_path: Path) -> None:
    path = save({"model": plain_linear(clock), "config": {"num_layers": 3, "n_heads": 4}}, tmp_path / "m.pt")
    with pytest.raises(DataError, match="a network of 3 layers"):
        load_weights(path)


def test_other_sizes_than_those_of_a_modular_task_are_refused(clock: Weights, tmp_path: Path) -> None:
    state = plain_linear(clock) | {"unembed.weight": torch.zeros(9, 16).double(), "unembed.bias": torch.zeros(9).double()}
    with pytest.raises(DataError, match="a network of 14 tokens and 9 classes that reads 3 positions"):
        load_weights(save(state, tmp_path / "m.pt"), known=Known(n_heads=4))


# Formats by most of their names


def formats() -> dict[str, State]:
    mlp = random_weights(biases=["b_in", "b_out"], d_model=6)
    two = random_weights(biases=["b_in", "b_out"], d_model=6, equals_sign=False)
    full = random_weights(d_model=6)
    return {
        "official": official_state(mlp),
        "pizza": official_state(two),
        "transformer-lens": legacy_state_by_hand(full),
        "bridge": BRIDGE.write(full),
    }


@pytest.mark.parametrize("format", ["official", "pizza", "transformer-lens", "bridge"])
def test_a_tensor_too_few_or_too_many_does_not_hide_the_format(format: str, tmp_path: Path) -> None:
    state, known = formats()[format], Known(n_heads=2, attention_rate=0.5 if format == "pizza" else None)
    assert load_run(save(state, tmp_path / "whole.pt"), known=known).format == format
    required = [name for name in state if "W_" in name or (format == "bridge" and name.endswith("weight"))]
    for name in required:
        path = save({other: tensor for other, tensor in state.items() if other != name}, tmp_path / "few.pt")
        with pytest.raises(DataError, match=f"missing {name.replace('.', chr(92) + '.')}: expected") as error:
            load_weights(path, known=known)
        assert "not a model in the layout of" in str(error.value)
    path = save(state | {"surplus.thing": torch.zeros(2)}, tmp_path / "many.pt")
    with pytest.raises(DataError, match=r"surplus surplus\.thing: given shape \(2,\), expected no such tensor"):
        load_weights(path, known=known)


# What is explained


def test_an_explanation_tells_what_was_read_guessed_and_ignored_and_writes_nothing(clock: Weights, tmp_path: Path) -> None:
    state = plain_linear(clock) | {"attn.mask": torch.ones(3, 3).tril()}
    path = save({"model": state, "config": {"n_heads": 4, "lr": 0.1}, "extra": 1}, tmp_path / "m.pt")
    before = sorted(tmp_path.iterdir())
    text = explain(path).text
    assert sorted(tmp_path.iterdir()) == before
    for part in (
        "m.pt: format names, because it has the names of no known format",
        "checkpoints: 1 checkpoint, step unknown",
        "\nmodel: accuracy 1 and loss",
        "task: a + b modulo 13",
        "split: not known",
        "attn.q_proj.weight -> W_Q ((n_heads d_head) d_model)",
        "ignored:\n  attn.mask: shape (3, 3)",
        "n_heads: 4",
        "activation: relu (it is not stored); to change it: --activation gelu",
        "operation: addition (not stored); to change it: --operation subtract",
        "orientation: linear, of attn.q_proj.weight, attn.k_proj.weight, attn.v_proj.weight, attn.o_proj.weight (because the",
        "to change it: --orientation left",
        "split: not known (an imported run needs it); to change it: --split python:0:0.3",
        "not read from the file: extra",
        "to state what every tensor is: --format map --map 'embed.weight[d_vocab d_model]=W_E'",
        "accuracy 1 and loss",
    ):
        assert part in text, part
    assert str(explain(path)) == text


@pytest.mark.parametrize("format", ["safetensors", "transformer-lens", "bridge"])
def test_an_exported_model_says_its_step(format: str, tmp_path: Path) -> None:
    weights = random_weights(d_model=6, n_heads=2, d_head=3, activation="gelu")
    path = export_weights(weights, tmp_path / f"m.{'safetensors' if format == 'safetensors' else 'pt'}", format, step=4321)
    found = load_run(path)
    assert [step for step, _ in found.checkpoints] == [4321]
    assert found.weights.activation == "gelu"
    assert not any("step 0" in note for note in found.notes)
    if format != "safetensors":
        assert torch.load(path, weights_only=True)
