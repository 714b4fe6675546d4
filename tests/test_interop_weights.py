"""Models in everyone's formats: read back exactly, with the function they had there, every tensor accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from foreign import legacy_state_by_hand, official_logits, official_state, rows, save
from hypothesis import HealthCheck, given, settings
from random_models import all_pairs, architectures, assert_same, random_weights

import interp
from interp.errors import DataError, UsageError
from interp.interop import Known, export_weights, legacy_state, load_weights
from interp.interop.mapping import mapping_layout
from interp.networks.bridge import to_bridge
from interp.networks.one_layer import Weights, forward
from interp.networks.tensor_layout import is_causal_mask
from interp.synthetic import pizza_weights

MLP = ["b_in", "b_out"]
in_files = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def weights() -> Weights:
    return random_weights(biases=MLP, equals_class=True)


@given(weights=architectures(biases=MLP, attention_rate=1.0, activation="relu", equals_sign=True))
@in_files
def test_official_files_keep_tensors_and_function(weights: Weights, tmp_path: Path) -> None:
    state = official_state(weights)
    loaded = load_weights(save(state, tmp_path / "final.pth"))
    assert_same(loaded, weights)
    torch.testing.assert_close(forward(loaded, all_pairs(weights.p)).all_logits, official_logits(state, rows(weights)))


@given(weights=architectures(biases=MLP, activation="relu"))
@in_files
def test_pizza_files_keep_tensors_function_and_rate(weights: Weights, tmp_path: Path) -> None:
    state, rate = official_state(weights), weights.attention_rate
    config = {"funcs": f"lambda x: (x[0]+x[1])%{weights.p}", "C": weights.p, "attn_coeff": rate, "eqn_sign": weights.equals_sign}
    (tmp_path / "config_abc.json").write_text(json.dumps(config))
    loaded = load_weights(save(state, tmp_path / "model_abc.pt"))
    assert_same(loaded, weights)
    torch.testing.assert_close(forward(loaded, all_pairs(weights.p)).all_logits, official_logits(state, rows(weights), rate=rate))


@given(weights=architectures(attention_rate=1.0, activation="relu"))
@in_files
def test_transformer_lens_files_with_any_biases(weights: Weights, tmp_path: Path) -> None:
    assert_same(load_weights(save(legacy_state_by_hand(weights), tmp_path / "model.pth")), weights)


def test_a_state_dict_without_its_buffers_or_in_float32_loads_too(tmp_path: Path) -> None:
    weights = random_weights(biases=[]).to(dtype=torch.float32)
    state = {name: tensor for name, tensor in legacy_state_by_hand(weights).items() if ".W_" in name}
    assert_same(load_weights(save(state, tmp_path / "m.pt")), weights)
    assert_same(load_weights(save({"model": state}, tmp_path / "n.pt"), "transformer-lens"), weights)


@given(weights=architectures(attention_rate=1.0, activation="relu"))
@in_files
def test_bridge_state_dicts_need_only_the_number_of_heads(weights: Weights, tmp_path: Path) -> None:
    path = save(to_bridge(weights).state_dict(), tmp_path / "bridge.pt")
    loaded = load_weights(path, known=Known(n_heads=weights.n_heads))
    torch.testing.assert_close(
        forward(loaded, all_pairs(weights.p)).all_logits, forward(weights, all_pairs(weights.p)).all_logits
    )
    for name, tensor in loaded.tensors().items():  # a state dict cannot tell a bias that is zero from one that is not there
        assert torch.equal(tensor, weights.tensors().get(name, torch.zeros_like(tensor)))
    with pytest.raises(UsageError, match=r"n_heads: a TransformerLens 4 state dict merges the heads .*Known\(n_heads="):
        load_weights(path)


@given(weights=architectures())
@in_files
def test_our_own_checkpoints_lose_nothing(weights: Weights, tmp_path: Path) -> None:
    path = export_weights(weights, tmp_path / "m.safetensors", step=7)
    assert_same(load_weights(path), weights)
    assert_same(interp.load_weights(str(path), "safetensors", step=7), weights)
    path.rename(tmp_path / "renamed.pt")
    assert_same(load_weights(tmp_path / "renamed.pt"), weights)


def test_safetensors_of_other_code_are_known_by_their_names(weights: Weights, tmp_path: Path) -> None:
    state = {name: tensor.contiguous() for name, tensor in official_state(weights).items()}
    safetensors.torch.save_file(state, tmp_path / "other.safetensors")
    assert_same(load_weights(tmp_path / "other.safetensors"), weights)
    with pytest.raises(DataError, match="not a safetensors file of this toolkit"):
        load_weights(tmp_path / "other.safetensors", "safetensors")


def test_orientation_is_by_format_even_where_every_size_is_the_same(tmp_path: Path) -> None:
    # p + 1 = d_model = d_mlp = classes = 8 = 2 heads x 4: no shape tells a matrix from its transpose.
    square = random_weights(7, equals_class=True, n_heads=2, d_head=4, d_model=8, d_mlp=8, biases=MLP)
    assert_same(load_weights(save(official_state(square), tmp_path / "official.pth")), square)
    assert_same(load_weights(save(legacy_state_by_hand(square), tmp_path / "tl.pth")), square)


def test_a_format_that_is_not_the_files_is_refused(weights: Weights, tmp_path: Path) -> None:
    official = save(official_state(weights), tmp_path / "official.pth")
    legacy = save(legacy_state_by_hand(random_weights()), tmp_path / "tl.pth")
    with pytest.raises(DataError, match=r"blocks\.0\.attn\.W_O: given shape \(10, 6\), expected \(n_heads, d_head, d_model=8\)"):
        load_weights(official, "transformer-lens")
    with pytest.raises(DataError, match=r"surplus unembed\.b_U: given shape \(7,\)") as error:
        load_weights(legacy, "official")
    assert str(error.value).startswith(f"{legacy}: ")
    assert "surplus blocks.0.attn.b_Q: given shape (2, 3), expected no such tensor" in str(error.value)
    assert "surplus blocks.0.attn.IGNORE: given shape ()" in str(error.value)


W_Q, W_O, MASK, W_IN = (f"blocks.0.{name}" for name in ("attn.W_Q", "attn.W_O", "attn.mask", "mlp.W_in"))
W_E, W_U, W_POS = "embed.W_E", "unembed.W_U", "pos_embed.W_pos"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (W_POS, None, r"missing pos_embed\.W_pos: expected \(n_ctx d_model\)"),
        (W_O, None, r"missing blocks\.0\.attn\.W_O: expected \(d_model \(n_heads d_head\)\)"),
        ("extra", lambda _: torch.zeros(3, 4), r"surplus extra: given shape \(3, 4\), expected no such tensor"),
        ("blocks.1.attn.W_Q", lambda _: torch.zeros(1), r"bad\.pth: a network of 2 layers; what can be held is one layer"),
        ("blocks.0.ln1.w_ln", lambda _: torch.ones(10), r"a network with LayerNorm or RMSNorm \(blocks\.0\.ln1\.w_ln\)"),
        (W_U, lambda t: t.T, r"unembed\.W_U: given shape \(8, 10\), expected \(d_model=10, classes\)"),
        (W_IN, lambda t: t.T, r"W_in: given shape \(10, 12\), expected \(d_mlp, d_model=10\)"),
        (W_E, lambda t: t[:, :-1], r"W_U: given 8 classes, expected p = 6 or p \+ 1 = 7"),
        (W_O, lambda t: t[:, :-1], r"given shape \(10, 5\), expected \(d_model=10, n_heads=2 x d_head=3\)"),
        (W_Q, lambda t: t[:, :, 0], r"W_Q: given shape \(2, 3\), expected \(n_heads, d_head, d_model=10\)"),
        (MASK, torch.ones_like, "expected a causal mask"),
        (MASK, lambda t: t[:2, :2], r"mask: given shape \(2, 2\), expected a causal mask \(3, 3\)"),
        (W_E, lambda t: t.long(), r"embed\.W_E: given shape \(10, 8\) torch.int64, expected a dense floating"),
        (W_E, lambda t: t.to_sparse(), "expected a dense floating-point tensor"),
        (W_E, lambda t: t.log(), r"W_E: \d+ of 80 values are not finite"),
        (W_E, lambda t: t[:0], r"embed\.W_E|pos_embed\.W_pos: given shape \(3, 10\), expected \(n_ctx, d_model=0\)"),
    ],
)
def test_wrong_missing_and_surplus_tensors_are_named(
    weights: Weights, tmp_path: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor] | None, message: str
) -> None:
    state = official_state(weights)
    if change is None:
        del state[name]
    else:
        state[name] = change(state.get(name))
    with pytest.raises(DataError, match=message):
        load_weights(save(state, tmp_path / "bad.pth"))


def test_a_model_with_one_position_is_none_of_ours(weights: Weights, tmp_path: Path) -> None:
    state = official_state(weights) | {W_POS: weights.W_pos[:1], MASK: torch.ones(1, 1)}
    with pytest.raises(DataError, match="given 1 positions"):
        load_weights(save(state, tmp_path / "bad.pth"))


def test_several_problems_are_reported_at_once(weights: Weights, tmp_path: Path) -> None:
    state = official_state(weights) | {"extra": torch.zeros(1), "unembed.W_U": torch.zeros(3, 3)}
    del state["blocks.0.mlp.b_in"], state["pos_embed.W_pos"]
    with pytest.raises(DataError) as error:
        load_weights(save(state, tmp_path / "bad.pth"))
    for part in ("missing pos_embed.W_pos", "surplus extra", "unembed.W_U: given shape (3, 3)", "--map theirs=ours"):
        assert part in str(error.value)


def test_other_kinds_of_model_are_named(tmp_path: Path) -> None:
    path = save(torch.nn.Linear(3, 4).state_dict(), tmp_path / "linear.pt")
    with pytest.raises(DataError, match=r"(?s)given tensors named bias, weight, which is no known format .*--map"):
        load_weights(path)


def test_pizza_files_need_their_json(weights: Weights, tmp_path: Path) -> None:
    model = random_weights(biases=MLP, equals_sign=False)
    path = save(official_state(model), tmp_path / "model.pt")
    with pytest.raises(
        DataError, match=r"keeps the attention rate \(attn_coeff\) in a \.json beside the \.pt, and there is none"
    ):
        load_weights(path)
    assert load_weights(path, known=Known(attention_rate=0.25)).attention_rate == 0.25
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(DataError, match="and there is none"):
        load_weights(path)


PIZZA = {"funcs": "lambda x: (x[0]+x[1])%7", "C": 7, "n_heads": 2, "d_model": 10, "n_layers": 1, "attn_coeff": 0, "eqn_sign": 0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attn_coeff": 2}, r"attn_coeff: given 2, expected a number in 0\.\.1"),
        ({"attn_coeff": True}, "attn_coeff: given True"),
        ({"attn_coeff": "0"}, "attn_coeff: given '0'"),
        ({"n_layers": 2}, "n_layers: given 2, expected 1"),
        ({"diff_vocab": 1}, "diff_vocab: given 1, expected false"),
        ({"use_linear": True}, "use_linear"),
        ({"act_fn": "Tanh"}, "act_fn: given 'Tanh', expected ReLU or GeLU"),
        ({"C": 11, "funcs": "lambda x: (x[0]+x[1])%11"}, "C: the .json has 11, the tensors have 7"),
        ({"n_heads": 4}, "n_heads: the .json has 4, the tensors have 2"),
        ({"eqn_sign": True}, "eqn_sign: the .json has True, the tensors have 2 positions"),
        ({"funcs": "lambda x: (x[0]+x[1])%8"}, r"funcs: given .* with C = 7"),
        ({"funcs": "__import__('os').system('true')"}, "read as text and never evaluated"),
        ({"funcs": None}, "funcs: given None"),
    ],
)
def test_pizza_configs_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = save(official_state(random_weights(biases=MLP, equals_sign=False)), tmp_path / "m.pt")
    (tmp_path / "m.json").write_text(json.dumps(PIZZA))
    assert load_weights(path).attention_rate == 0
    (tmp_path / "m.json").write_text(json.dumps(PIZZA | changes))
    with pytest.raises(DataError, match=message):
        load_weights(path)


def test_a_json_with_the_attention_rate_of_another_model_is_refused(tmp_path: Path) -> None:
    # With softmax attention the pizza's two tokens weigh half as much, and its logits are half as large.
    pizza = pizza_weights(7, [1, 2, 3], amplitude=30.0)
    path = save(official_state(pizza), tmp_path / "model_a.pt")
    (tmp_path / "config_a.json").write_text(json.dumps({"funcs": "lambda x: (x[0]+x[1])%7", "attn_coeff": 0}))
    assert_same(load_weights(path), pizza)
    (tmp_path / "config_a.json").write_text(json.dumps({"funcs": "lambda x: (x[0]+x[1])%7", "attn_coeff": 1}))
    with pytest.raises(DataError, match=r"model_a\.pt: the \.json belongs to another model: .* rate, 1, this one has loss"):
        load_weights(path)


def test_a_json_that_is_none_is_named(tmp_path: Path) -> None:
    path = save(official_state(random_weights(biases=MLP, equals_sign=False)), tmp_path / "m.pt")
    for text in ("{", "\x00", "[" * 100_000):
        (tmp_path / "m.json").write_text(text)
        with pytest.raises(DataError, match=r"m\.json: not a JSON file"):
            load_weights(path)


def test_what_the_caller_knows_may_not_contradict_the_file(tmp_path: Path) -> None:
    path = save(official_state(random_weights(biases=MLP, equals_sign=False)), tmp_path / "m.pt")
    (tmp_path / "m.json").write_text(json.dumps(PIZZA))
    assert load_weights(path, known=Known(attention_rate=0)).attention_rate == 0
    with pytest.raises(UsageError, match="attention_rate: given 1, but the file says 0; leave it out"):
        load_weights(path, known=Known(attention_rate=1))
    own = export_weights(random_weights(), tmp_path / "own.safetensors")
    with pytest.raises(UsageError, match="activation: given 'gelu', but the file says 'relu'"):
        load_weights(own, known=Known(activation="gelu"))


def test_activation_comes_from_the_file_or_the_caller(weights: Weights, tmp_path: Path) -> None:
    path = save({"model": official_state(weights), "config": {"act_type": "GeLU"}}, tmp_path / "m.pth")
    assert load_weights(path).activation == "gelu"
    assert load_weights(save(official_state(weights), tmp_path / "n.pth"), known=Known(activation="gelu")).activation == "gelu"
    with pytest.raises(DataError, match="activation: the file says 'Tanh', expected one of relu, gelu"):
        load_weights(save({"model": official_state(weights), "config": {"act_type": "Tanh"}}, tmp_path / "o.pth"))


# The plain mapping


def strange_state(w: Weights) -> dict[str, torch.Tensor]:
    """A file of nobody's code: other names, some transposed, heads merged."""
    heads, d_head, d_model = w.W_O.shape
    return {
        "tok": w.W_E.T, "pos": w.W_pos, "q": w.W_Q.permute(1, 0, 2).reshape(d_model, heads * d_head), "k": w.W_K.mT, "v": w.W_V,
        "o": w.W_O.reshape(heads * d_head, d_model).T, "up": w.W_in.T, "down": w.W_out, "out": w.W_U.T, "up_bias": w.b_in,
        "table": torch.zeros(3),
    }  # fmt: skip


STRANGE = (
    "tok.T=W_E", "pos=W_pos", "q[d_model (n_heads d_head)]=W_Q", "k.T=W_K", "v=W_V", "o[d_model (n_heads d_head)]=W_O",
    "up.T=W_in", "down=W_out", "out.T=W_U", "up_bias=b_in", "table=-",
)  # fmt: skip


@given(weights=architectures(biases=["b_in"], activation="relu"))
@in_files
def test_a_stated_mapping_reads_any_file(weights: Weights, tmp_path: Path) -> None:
    path = save(strange_state(weights), tmp_path / "strange.pt")
    known = Known(map=STRANGE, n_heads=weights.n_heads, attention_rate=weights.attention_rate)
    assert_same(load_weights(path, "map", known=known), weights)


def test_a_mapping_accounts_for_every_tensor_too(tmp_path: Path) -> None:
    path = save(strange_state(random_weights(biases=["b_in"])), tmp_path / "strange.pt")
    without_table = tuple(entry for entry in STRANGE if not entry.startswith("table"))
    with pytest.raises(DataError, match=r"surplus table: given shape \(3,\)"):
        load_weights(path, "map", known=Known(map=without_table))
    wrong = ("tok=W_E", *STRANGE[1:])
    with pytest.raises(DataError, match=r"given shape \(3, 10\), expected \(n_ctx, d_model=8\)"):
        load_weights(path, "map", known=Known(map=wrong))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (("tok",), "given 'tok', expected theirs=ours"),
        (("=W_E",), "given '=W_E', expected theirs=ours"),
        (("tok=W_EE",), "unknown tensor 'W_EE'; did you mean 'W_E'"),
        (("tok=W_E", "pos=W_E"), "W_E is given twice"),
        (("tok=W_E", "tok=W_pos"), "'tok' is given twice"),
        (("tok=-", "tok=W_E"), "'tok' is given twice"),
        (("b.T=b_in",), "b_in has one axis only"),
        (("o[d_model d_head]=W_O",), r"expected the axes of W_O \(n_heads d_head d_model\)"),
        (("o[d_model ((n_heads d_head)]=W_O",), "expected the axes of W_O"),
        (("o.T[d_model (n_heads d_head)]=W_O",), "no .T"),
        (("tok=W_E",), "nothing is mapped to W_K, W_O, W_Q, W_U"),
        ((), "nothing is mapped to W_E"),
    ],
)
def test_bad_mappings_are_refused(entries: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mapping_layout(entries)


def test_a_map_goes_with_names_and_with_no_format_of_its_own(weights: Weights, tmp_path: Path) -> None:
    path = save(official_state(weights), tmp_path / "m.pth")
    with pytest.raises(UsageError, match="given a map with format 'official', which has its own"):
        load_weights(path, "official", known=Known(map=("a=W_E",)))
    with pytest.raises(UsageError, match="map: given 'a', but there is no such tensor; there are blocks"):
        load_weights(path, known=Known(map=("a=W_E",)))


# TransformerLens' own tools, on what we export


@given(weights=architectures(attention_rate=1.0))
@settings(max_examples=10, deadline=None)
def test_exported_state_dicts_load_with_transformer_lens_own_converter(weights: Weights) -> None:
    from transformer_lens.utilities.tl_checkpoint_conversion import convert_tl_checkpoint

    bridge = to_bridge(weights)
    want = {name: tensor.clone() for name, tensor in bridge.state_dict().items()}
    with torch.no_grad():
        for parameter in bridge.parameters():
            parameter.zero_()
    bridge.load_state_dict(convert_tl_checkpoint(legacy_state(weights), bridge.cfg), strict=True)
    for name, tensor in bridge.state_dict().items():
        assert torch.equal(tensor, want[name]), name


def test_exported_state_dicts_come_back(weights: Weights, tmp_path: Path) -> None:
    path = export_weights(weights, tmp_path / "tl.pt", "transformer-lens")
    state = torch.load(path, weights_only=True)
    assert is_causal_mask(state["blocks.0.attn.mask"], 3)
    assert not torch.ones(3, 3).equal(state["blocks.0.attn.mask"].double())
    loaded = load_weights(path)
    assert len(loaded.tensors()) == 16  # a HookedTransformer always has its biases
    for name, tensor in loaded.tensors().items():
        assert torch.equal(tensor, weights.tensors().get(name, torch.zeros_like(tensor)))


def test_what_is_read_and_written_are_copies(weights: Weights, tmp_path: Path) -> None:
    live = {name: torch.nn.Parameter(tensor) for name, tensor in official_state(weights).items()}
    loaded = load_weights(save(live, tmp_path / "live.pth"))
    assert all(tensor.is_contiguous() and not tensor.requires_grad for tensor in loaded.tensors().values())
    before = weights.clone()
    for tensor in legacy_state(weights).values():
        tensor.fill_(0)
    assert_same(weights, before)


def test_transformer_lens_cannot_hold_an_attention_rate(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"attention_rate 0.5, expected 1.*export as safetensors"):
        export_weights(random_weights(attention_rate=0.5), tmp_path / "m.pt", "transformer-lens")
    assert not [*tmp_path.iterdir()]
