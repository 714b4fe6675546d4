"""What configurations state in other words than ours: operations, activations, optimizers, and what no run's has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from foreign import official_state, save
from foreign_forms import plain_linear
from wide_clock import wide_clock

from interp.errors import DataError, UsageError
from interp.interop import Known, export_weights, load_run
from interp.interop.imported import Imported
from interp.interop.stored_words import activation_in, operation_in
from interp.networks.one_layer import Weights

WORDS = {
    "add": [
        "add",
        "Addition",
        "sum",
        "+",
        "a+b",
        "x + y",
        "(a+b)%p",
        "addition mod 113",
        "mod_add",
        "modular_addition",
        "add_mod",
    ],
    "subtract": ["sub", "minus", "a-b", "(x-y) % 97", "lambda x, y: (x - y) % p", "modular subtraction"],
    "multiply": ["mul", "times", "a*b", "x*y mod p", "mod_mul", "lambda x: (x[0]*x[1])%59"],
    "x2xyy2": ["x^2+xy+y^2", "a**2+a*b+b**2"],
    "divide": ["division", "x/y", "div"],
}
FIELDS = [
    "hidden_act", "activation_fn", "act_layer", "act_func", "mlp_act", "mlp_activation", "hidden_activation", "non_linearity",
    "act_name", "activation_type", "act_fn", "act_type",
]  # fmt: skip


@pytest.fixture
def clock() -> Weights:
    return wide_clock()


def loaded(folder: Path, model: Weights, known: Known | None = None, *, beside: dict | None = None, **config: object) -> Imported:
    content = {"model": plain_linear(model), "step": 600, "config": {"n_heads": 4, **config}, **(beside or {})}
    return load_run(save(content, folder / "model.pt"), known=known or Known())


@pytest.mark.parametrize(("ours", "word"), [(ours, word) for ours, words in WORDS.items() for word in words])
def test_operations_are_known_by_their_usual_words(ours: str, word: str) -> None:
    assert operation_in(word) == ours


@pytest.mark.parametrize("word", ["grokking", "modular_arithmetic", "lambda", "mod", "", "a" * 10**5, 3, None])
def test_other_words_are_no_operations(word: object) -> None:
    assert operation_in(word) is None


@pytest.mark.parametrize("field", ["task", "op", "operation", "fn"])
def test_a_word_that_names_no_operation_does_not_hinder(field: str, clock: Weights, tmp_path: Path) -> None:
    run = loaded(tmp_path, clock, **{field: "grokking"})
    assert run.task.operation == "add"
    assert f"config: {field} = 'grokking' names no operation that is known here: taken as not stored" in run.notes
    other = loaded(tmp_path, clock, Known(operation="subtract", orientation="linear"), **{field: "grokking"})
    assert other.task.operation == "subtract"


def test_a_word_that_names_no_operation_leaves_the_place_to_one_that_does(tmp_path: Path) -> None:
    model = wide_clock(operation="subtract")
    run = loaded(tmp_path, model, task="grokking", operation="a-b")
    assert run.task.operation == "subtract"
    assert not any("was assumed" in note and "operation" in note for note in run.notes)
    with pytest.raises(UsageError, match="operation: given 'add', but the file says 'subtract'"):
        loaded(tmp_path, model, Known(operation="add", orientation="linear"), operation="a-b")
    loose = load_run(save({"model": plain_linear(model), "n_heads": 4, "op": "a-b", "task": "grokking"}, tmp_path / "l.pt"))
    assert loose.task.operation == "subtract"
    assert any(note.startswith("not read from the file: task") for note in loose.notes)


def test_an_operation_that_is_none_of_ours_is_refused_unless_the_caller_says_another(clock: Weights, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"operation: the file says 'divide', expected one of add, .*give --operation"):
        loaded(tmp_path, clock, task="x/y")
    run = loaded(tmp_path, clock, Known(operation="add"), task="x/y")
    assert run.task.operation == "add"
    assert "operation: the file says 'divide', which no model is imported as; the given 'add' counts" in run.notes


# Activations


@pytest.mark.parametrize("field", FIELDS)
def test_the_activation_is_read_under_its_usual_names(field: str, clock: Weights, tmp_path: Path) -> None:
    run = loaded(tmp_path, clock, **{field: "gelu"})
    assert run.weights.activation == "gelu"
    assert not any("activation is not stored" in note for note in run.notes)


@pytest.mark.parametrize(
    "word", ["nn.ReLU()", "torch.nn.ReLU", "F.relu", "ReLU(inplace=True)", "<class 'torch.nn.modules.activation.ReLU'>"]
)
def test_modules_and_calls_around_an_activation_do_not_count(word: str, clock: Weights, tmp_path: Path) -> None:
    assert loaded(tmp_path, clock, act=word).weights.activation == "relu"
    assert activation_in(word.replace("ReLU", "SiLU").replace("relu", "silu")) not in ("relu", "gelu")
    with pytest.raises(DataError, match=r"activation: the file says 'nn\.SiLU', expected one of relu, gelu"):
        loaded(tmp_path, clock, act="nn.SiLU")


@pytest.mark.parametrize(
    ("field", "word"), [("hidden_act", "gelu_new"), ("hidden_act", "silu"), ("act_type", "swish"), ("act", "none")]
)
def test_an_activation_that_cannot_be_held_is_refused_unless_the_caller_says_another(
    field: str, word: str, clock: Weights, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=rf"activation: the file says '{word}', expected one of relu, gelu; .*give --activation"):
        loaded(tmp_path, clock, **{field: word})
    run = loaded(tmp_path, clock, Known(activation="relu"), **{field: word})
    assert run.weights.activation == "relu"
    assert f"activation: the file says '{word}', which no model can have here; the given 'relu' counts" in run.notes
    with pytest.raises(UsageError, match="activation: given 'relu', but the file says 'gelu'"):
        loaded(tmp_path, clock, Known(activation="relu"), **{field: "gelu"})


def test_a_given_activation_counts_in_the_layout_of_transformer_lens(clock: Weights, tmp_path: Path) -> None:
    exported = export_weights(clock, tmp_path / "clock.pt", format="transformer-lens")
    state = torch.load(exported, weights_only=True)
    path = save({"model": state, "config": {"hidden_act": "gelu_new", "normalization_type": None}}, tmp_path / "tl.pt")
    with pytest.raises(DataError, match=r"activation: the file says 'gelu_new', .*give --activation"):
        load_run(path)
    assert load_run(path, known=Known(activation="relu")).weights.activation == "relu"


@pytest.mark.parametrize(
    "fields",
    [
        {"mlp_activation": "none", "act": "gelu"},
        {"act_fn": "None", "hidden_act": "gelu"},
        {"hidden_act": "gelu", "act": ""},
        {"act": False, "training": {"activation": "gelu"}},
        {"act_type": "none", "act": "gelu"},
        {"act_layer": None, "hidden_act": "gelu"},
        {"activation": None, "hidden_act": "gelu"},
        {"act_fn": None, "activation": "gelu"},
        {"act_fn": None, "training": {"act": "gelu"}},
    ],
)
def test_a_field_that_names_no_activation_does_not_hide_one_that_does(fields: dict, clock: Weights, tmp_path: Path) -> None:
    run = loaded(tmp_path, clock, **fields)
    assert run.weights.activation == "gelu"
    assert not any("activation is not stored" in note for note in run.notes)
    if not any(isinstance(value, dict) for value in fields.values()):
        content = {
            "model": plain_linear(clock),
            "n_heads": 4,
            **{name: value for name, value in fields.items() if value is not None},
        }
        assert load_run(save(content, tmp_path / "loose.pt")).weights.activation == "gelu"
        beside = tmp_path / "folder"
        beside.mkdir()
        (beside / "config.json").write_text(json.dumps({"hidden_act": "gelu"}))
        inside = {name: value for name, value in fields.items() if value != "gelu"}
        save({"model": plain_linear(clock), "config": {"n_heads": 4, **inside}}, beside / "model.pt")
        assert load_run(beside).weights.activation == "gelu"


def test_fields_without_a_value_do_not_hide_those_with_one(clock: Weights, tmp_path: Path) -> None:
    run = loaded(
        tmp_path, clock, beside={"lr": 3e-3}, lr=None, weight_decay=None, wd=0.7, seed=None, random_seed=5, task=None, op="a+b"
    )
    assert (run.config.optimizer.lr, run.config.optimizer.weight_decay) == (3e-3, 0.7)
    assert run.provenance["config"]["seed"] == 5
    assert not any("= None" in note or "operation is not stored" in note for note in run.notes)


def test_a_field_that_may_name_the_activation_is_said(clock: Weights, tmp_path: Path) -> None:
    run = loaded(tmp_path, clock, ffn_kind="gelu", mlp_act_kind="swish", factor="none", active="yes")
    said = "ffn_kind = 'gelu', mlp_act_kind = 'swish': may name the activation, and was not read as it"
    assert any(note.startswith(said) for note in run.notes)
    stated = loaded(tmp_path, clock, ffn_kind="gelu", act="relu")
    assert not any("may name the activation" in note for note in stated.notes)


# Optimizers and their settings


def adamw(model: Weights) -> dict[str, object]:
    tensors = [torch.nn.Parameter(tensor) for tensor in plain_linear(model).values()]
    return torch.optim.AdamW(tensors, lr=5e-3, weight_decay=0.3, betas=(0.8, 0.95)).state_dict()


@pytest.mark.parametrize("name", ["optimizer", "optimizer_state_dict", "optim", "opt", "optimizer_state", "optimizer_states"])
def test_settings_in_the_state_of_an_optimizer_are_stored_settings(name: str, clock: Weights, tmp_path: Path) -> None:
    state = adamw(clock)
    run = loaded(tmp_path, clock, beside={name: [state] if name.endswith("s") else state}, weight_decay=1.0)
    optimizer = run.config.optimizer
    assert (optimizer.lr, optimizer.weight_decay, optimizer.beta1, optimizer.beta2) == (5e-3, 0.3, 0.8, 0.95)
    assert not {"optimizer.lr", "optimizer.weight_decay", "optimizer.beta1"} & {*run.unknown}
    assert "weight_decay: the configuration says 1.0, the optimizer's state 0.3, which was taken" in run.notes
    assert not any("not read from the file" in note for note in run.notes)


def test_what_is_called_an_optimizer_and_is_none_is_not_said_to_be_read(clock: Weights, tmp_path: Path) -> None:
    run = loaded(tmp_path, clock, beside={"optimizer_state_dict": {}, "optim": "SGD"})
    assert "not read from the file: optimizer_state_dict" in run.notes
    assert any(note.startswith("optimizer: the configuration says 'SGD'") for note in run.notes)


@pytest.mark.parametrize("betas", [[0.9, 0.99], (0.9, 0.99), torch.tensor([0.9, 0.99], dtype=torch.float64)])
def test_betas_in_a_configuration_are_read(betas: object, clock: Weights, tmp_path: Path) -> None:
    optimizer = loaded(tmp_path, clock, betas=betas).config.optimizer
    assert (optimizer.beta1, optimizer.beta2) == (0.9, 0.99)


def test_settings_that_no_run_has_are_listed(clock: Weights, tmp_path: Path) -> None:
    run = loaded(tmp_path, clock, batch_size=64, warmup_steps=10, loss="mse", dropout=0.0, lr=1e-3)
    said = "stated in the configuration, and not in that of the run: batch_size = 64, warmup_steps = 10, loss = 'mse'"
    assert said in run.notes
    official = {"model": official_state(clock), "config": {"p": 13, "frac_train": 0.3}, "epoch": 5}
    assert not any("stated in" in note for note in load_run(save(official, tmp_path / "o.pth")).notes)
