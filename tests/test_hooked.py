"""HookedModel computes what the reference computes, and its hooks read, replace, differentiate, and go away again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from random_models import all_pairs, architectures, assert_same, random_weights
from torch import Tensor

from interp.errors import DataError, UsageError
from interp.interop.transformer_lens import from_bridge
from interp.networks.bridge import to_bridge
from interp.networks.hooked import HOOKS, HookedModel
from interp.networks.one_layer import Weights, forward, tokens

PAIRS = all_pairs(7)


def hooks_left(model: HookedModel) -> list[str]:
    """Names of hook points with any hook on them, by TransformerLens' record and by torch's own."""
    recorded = set(model.list_hooks())
    torch_own = {n for n, point in model.hook_dict.items() if point._forward_hooks or point._backward_hooks}
    assert recorded == torch_own
    return sorted(recorded)


@given(architectures())
@settings(max_examples=40, deadline=None)
def test_equals_the_reference_forward_at_every_named_value(weights: Weights) -> None:
    pairs = all_pairs(weights.p)
    model, want = HookedModel(weights), forward(weights, pairs)
    logits, cache = model.run_with_cache(pairs)
    last = {
        "attn.hook_q": want.q, "attn.hook_z": want.z, "hook_attn_out": want.attn_out, "hook_resid_mid": want.resid_mid,
        "mlp.hook_pre": want.neurons_pre, "mlp.hook_post": want.neurons, "hook_mlp_out": want.mlp_out,
        "hook_resid_post": want.resid_post,
    }  # fmt: skip
    torch.testing.assert_close(logits[:, -1].detach(), want.all_logits)
    for name, value in last.items():
        torch.testing.assert_close(cache[f"blocks.0.{name}"][:, -1], value)
    for name, value in {"hook_resid_pre": want.embed, "attn.hook_k": want.k, "attn.hook_v": want.v}.items():
        torch.testing.assert_close(cache[f"blocks.0.{name}"], value)
    torch.testing.assert_close(cache["attn_scores", 0][:, :, -1], want.scores)
    torch.testing.assert_close(cache["pattern", 0][:, :, -1], want.pattern)


@given(architectures())
@settings(max_examples=20, deadline=None)
def test_map_of_hook_points_is_true(weights: Weights) -> None:
    model = HookedModel(weights)
    order: list[str] = []
    shapes = {}

    def note(activation: Tensor, hook: object) -> None:
        order.append(hook.name)
        shapes[hook.name] = tuple(activation.shape)

    model.run_with_hooks(all_pairs(weights.p), fwd_hooks=[(lambda name: True, note)])
    sizes = {axis: getattr(weights, axis) for axis in ("d_model", "n_heads", "d_head", "d_mlp")}
    sizes |= {"batch": weights.p**2} | dict.fromkeys(("pos", "query", "key"), weights.n_ctx)
    assert tuple(order) == model.hook_names == tuple(HOOKS)
    assert set(model.hook_dict) == set(HOOKS)
    assert shapes == {name: tuple(sizes[axis] for axis in axes) for name, axes in HOOKS.items()}


@pytest.mark.parametrize("attention_rate", [1.0, 0.5])
def test_attention_is_causal_unless_the_rate_is_below_one(attention_rate: float) -> None:
    weights = random_weights(attention_rate=attention_rate)
    model = HookedModel(weights)
    _, cache = model.run_with_cache(PAIRS)
    scores, pattern = cache["attn_scores", 0], cache["pattern", 0]
    future = torch.ones(3, 3, dtype=torch.bool).triu(1)
    if attention_rate == 1:
        assert bool((scores[..., future] == -torch.inf).all())
        assert bool((pattern[..., future] == 0).all())
    else:
        assert bool(scores.isfinite().all())
        assert bool((pattern >= 1 - attention_rate).all())
    torch.testing.assert_close(pattern.sum(-1), torch.full_like(pattern[..., 0], attention_rate + 3 * (1 - attention_rate)))


def test_earlier_positions_do_not_see_later_tokens() -> None:
    model = HookedModel(random_weights())
    logits = model(torch.tensor([[3, 5], [3, 6]])).detach()
    torch.testing.assert_close(logits[0, 0], logits[1, 0], rtol=0, atol=0)
    assert not torch.equal(logits[0, 1], logits[1, 1])


def test_pairs_and_tokens_are_the_same_input() -> None:
    weights = random_weights(equals_class=True)
    model = HookedModel(weights)
    want = model(PAIRS)
    assert want.shape == (49, 3, 8)
    assert torch.equal(model(tokens(weights, PAIRS)), want)
    assert torch.equal(model(PAIRS.numpy()), want)
    assert torch.equal(model(PAIRS.to(torch.int32)), want)
    assert model(torch.tensor([[7, 7, 0]])).shape == (1, 3, 8)  # `=` anywhere: any row of tokens will do
    assert model(torch.empty(0, 2, dtype=torch.long)).shape == (0, 3, 8)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.tensor([1, 2]), r"given \(2,\) of torch.int64, expected integers: pairs \(n, 2\) or tokens \(n, 3\)"),
        (torch.tensor([[1, 2, 3, 4]]), r"pairs \(n, 2\) or tokens \(n, 3\)"),
        (torch.tensor([[1.0, 2.0, 3.0]]), "expected integers"),
        (torch.tensor([[1.0, 2.0]]), "expected integers"),
        (torch.tensor([[1, 7]]), r"residues 1\.\.7, expected 0\.\.6"),
        (torch.tensor([[1, 2, 8]]), r"tokens: given 1\.\.8, expected 0\.\.7"),
        (torch.tensor([[-1, 2, 7]]), r"tokens: given -1\.\.7, expected 0\.\.7"),
    ],
)
def test_bad_input_is_refused(bad: Tensor, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        HookedModel(random_weights())(bad)


@given(architectures())
@settings(max_examples=20, deadline=None)
def test_weights_round_trip_exactly_and_are_copies(weights: Weights) -> None:
    model = HookedModel(weights)
    assert_same(model.weights, weights)
    with torch.no_grad():
        model.embed.W_E.add_(1)
    assert torch.equal(model.weights.W_E, weights.W_E + 1)


def test_parameters_bear_transformer_lens_names() -> None:
    names = {name for name, _ in HookedModel(random_weights()).named_parameters()}
    assert {"embed.W_E", "pos_embed.W_pos", "blocks.0.attn.W_Q", "blocks.0.attn.b_O", "blocks.0.mlp.b_in", "unembed.W_U"} < names
    assert len(names) == 16
    assert len(HookedModel(random_weights(biases=[])).state_dict()) == 9


def test_run_with_cache_keeps_what_is_asked_for_and_detached() -> None:
    model = HookedModel(random_weights())
    name = "blocks.0.mlp.hook_post"
    for names_filter in (name, [name], (name,), lambda n: n == name):
        _, cache = model.run_with_cache(PAIRS, names_filter=names_filter)
        assert list(cache) == [name]
        assert not cache[name].requires_grad
    _, everything = model.run_with_cache(PAIRS, device="cpu")
    assert set(everything) == set(HOOKS)
    assert hooks_left(model) == []


def test_transformer_lens_cache_tools_work() -> None:
    model = HookedModel(random_weights())
    _, cache = model.run_with_cache(PAIRS)
    parts, labels = cache.decompose_resid(return_labels=True)
    assert labels == ["embed", "pos_embed", "0_attn_out", "0_mlp_out"]
    torch.testing.assert_close(parts.sum(0), cache["resid_post", -1])


def test_result_is_per_head_and_changes_nothing() -> None:
    weights = random_weights()
    model = HookedModel(weights)
    _, cache = model.run_with_cache(PAIRS)
    torch.testing.assert_close(cache["result", 0].sum(2) + weights.b_O, cache["attn_out", 0])
    without = model.run_with_hooks(PAIRS, fwd_hooks=[("blocks.0.attn.hook_result", lambda x, hook: torch.zeros_like(x))])
    zero_heads = model.run_with_hooks(PAIRS, fwd_hooks=[("blocks.0.attn.hook_z", lambda x, hook: torch.zeros_like(x))])
    torch.testing.assert_close(without, zero_heads)


@pytest.mark.parametrize("name", [*HOOKS])
def test_every_hook_can_replace_its_value(name: str) -> None:
    model = HookedModel(random_weights())
    plain = model(PAIRS)
    changed = model.run_with_hooks(PAIRS, fwd_hooks=[(name, lambda x, hook: x.roll(1, dims=0) * 0.5)])
    assert not torch.allclose(plain, changed)
    assert torch.equal(model(PAIRS), plain)
    assert hooks_left(model) == []


def test_replacing_attention_has_the_closed_form_effect() -> None:
    weights = random_weights()
    model = HookedModel(weights)
    uniform = model.run_with_hooks(PAIRS, fwd_hooks=[("blocks.0.attn.hook_pattern", lambda x, hook: torch.full_like(x, 1 / 3))])
    constant = HookedModel(Weights(**weights.tensors(), attention_rate=0.0))  # pattern of ones
    scaled = constant.run_with_hooks(PAIRS, fwd_hooks=[("blocks.0.attn.hook_z", lambda z, hook: z / 3)])
    torch.testing.assert_close(uniform, scaled)


def test_the_residual_stream_goes_through_its_hooks() -> None:
    model = HookedModel(random_weights())
    zero = lambda x, hook: torch.zeros_like(x)  # noqa: E731
    no_input = model.run_with_hooks(PAIRS, fwd_hooks=[("blocks.0.hook_resid_pre", zero)])
    torch.testing.assert_close(no_input, model.run_with_hooks(PAIRS, fwd_hooks=[("hook_embed", zero), ("hook_pos_embed", zero)]))
    no_mlp = model.run_with_hooks(PAIRS, fwd_hooks=[("blocks.0.hook_mlp_out", zero)])
    _, cache = model.run_with_cache(PAIRS, names_filter="blocks.0.hook_resid_mid")
    torch.testing.assert_close(no_mlp, cache["resid_mid", 0] @ model.weights.W_U + model.weights.b_U)


def test_hooks_edit_in_place_as_they_do_in_transformer_lens() -> None:
    model = HookedModel(random_weights())

    def silence_head(pattern: Tensor, hook: object) -> Tensor:
        pattern[:, 0] = 0
        return pattern

    edited = model.run_with_hooks(PAIRS, fwd_hooks=[("blocks.0.attn.hook_pattern", silence_head)])
    edited.sum().backward()
    assert float(model.blocks[0].attn.W_V.grad[0].abs().sum()) == 0
    assert float(model.blocks[0].attn.W_V.grad[1].abs().sum()) > 0


@given(architectures())
@settings(max_examples=15, deadline=None)
def test_gradients_of_weights_are_those_of_the_reference(weights: Weights) -> None:
    pairs = all_pairs(weights.p)
    live = weights.map(lambda tensor: tensor.clone().requires_grad_())
    forward(live, pairs).all_logits.square().mean().backward()
    model = HookedModel(weights)
    model(pairs)[:, -1].square().mean().backward()
    for name, tensor in model.weights.tensors().items():
        want = live.tensors()[name].grad
        torch.testing.assert_close(torch.zeros_like(tensor) if tensor.grad is None else tensor.grad, want, atol=1e-12, rtol=1e-9)


def test_gradients_of_activations_through_hooks() -> None:
    weights = random_weights()
    model = HookedModel(weights)
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> object:
        return lambda tensor, hook: kept.__setitem__(name, tensor)

    backward = [("blocks.0.hook_resid_post", keep("backward"))]
    with model.hooks(fwd_hooks=[("blocks.0.mlp.hook_post", keep("post"))], bwd_hooks=backward):
        logits = model(PAIRS)
        (through,) = torch.autograd.grad(logits[:, -1, 0].sum(), kept["post"], retain_graph=True)
        logits[:, -1, 0].sum().backward()
    torch.testing.assert_close(through[:, -1], (weights.W_out @ weights.W_U[:, 0]).expand(49, -1))
    torch.testing.assert_close(kept["backward"][:, -1], weights.W_U[:, 0].expand(49, -1))
    assert hooks_left(model) == []


def test_hooks_are_gone_after_a_hook_that_raises() -> None:
    model = HookedModel(random_weights())
    plain = model(PAIRS)

    def explode(activation: Tensor, hook: object) -> None:
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        model.run_with_hooks(PAIRS, fwd_hooks=[("hook_embed", lambda x, hook: 2 * x), ("blocks.0.mlp.hook_pre", explode)])
    assert hooks_left(model) == []
    with pytest.raises(RuntimeError, match="boom"), model.hooks(fwd_hooks=[("hook_embed", explode)]):
        model(PAIRS)
    assert hooks_left(model) == []
    model.add_hook("blocks.0.hook_resid_mid", explode)
    with pytest.raises(RuntimeError, match="boom"):
        model.run_with_cache(PAIRS)
    assert hooks_left(model) == ["blocks.0.hook_resid_mid"]  # added on purpose, so it stays; the cache's own hooks are gone
    assert not model.is_caching
    model.reset_hooks()
    assert torch.equal(model(PAIRS), plain)


def test_nested_hooks_leave_in_order() -> None:
    model = HookedModel(random_weights())
    double = ("hook_embed", lambda x, hook: 2 * x)
    with model.hooks([double]):
        inside = model(PAIRS)
        with model.hooks([("blocks.0.hook_resid_post", lambda x, hook: 0 * x)]):
            assert hooks_left(model) == ["blocks.0.hook_resid_post", "hook_embed"]
        assert torch.equal(model(PAIRS), inside)
    assert hooks_left(model) == []


@pytest.mark.parametrize("name", ["blocks.0.attn.hook_patern", "hook_pattern", "blocks.0.attn", "", "blocks.1.attn.hook_pattern"])
def test_unknown_hook_names_are_refused_with_the_nearest(name: str) -> None:
    model = HookedModel(random_weights())
    near = "blocks.0.attn.hook_pattern" if "pat" in name else "Known: hook_embed"
    nothing = lambda x, hook: None  # noqa: E731
    uses = [
        lambda: model.add_hook(name, nothing),
        lambda: model.run_with_hooks(PAIRS, fwd_hooks=[("hook_embed", nothing), (name, nothing)]),
        lambda: model.run_with_hooks(PAIRS, bwd_hooks=[(name, nothing)], reset_hooks_end=True),
        lambda: model.run_with_cache(PAIRS, names_filter=name),
        lambda: model.run_with_cache(PAIRS, names_filter=["hook_embed", name]),
        lambda: model.hooks([(name, nothing)]).__enter__(),
    ]
    for use in uses:
        with pytest.raises(UsageError, match=near):
            use()
        assert hooks_left(model) == []


def test_other_devices_and_precisions_follow_the_weights() -> None:
    weights = random_weights().to(dtype=torch.float32)
    model = HookedModel(weights)
    assert model(PAIRS).dtype == torch.float32
    assert model.double()(PAIRS).dtype == torch.float64


# The bridge of TransformerLens 4


@given(architectures(attention_rates=(1.0,)))
@settings(max_examples=25, deadline=None)
def test_bridge_round_trip_is_exact_and_computes_the_same(weights: Weights) -> None:
    pairs = all_pairs(weights.p)
    model = HookedModel(weights)
    bridge = model.to_bridge()
    assert_same(from_bridge(bridge), weights)
    torch.testing.assert_close(bridge(tokens(weights, pairs)), model(pairs))


@pytest.mark.parametrize("settings_", [{}, {"biases": []}, {"equals_sign": False, "activation": "gelu"}, {"equals_class": True}])
def test_reference_hooked_and_bridge_agree_in_float32(settings_: dict[str, object]) -> None:
    weights = random_weights(59, d_model=128, n_heads=4, d_head=32, d_mlp=512, dtype=torch.float32, **settings_)
    pairs = all_pairs(59)
    model = HookedModel(weights)
    reference = forward(weights, pairs).all_logits
    with torch.no_grad():
        hooked, bridged = model(pairs)[:, -1], model.to_bridge()(tokens(weights, pairs))[:, -1]
    assert float((hooked - reference).abs().max()) < 1e-5
    assert float((bridged - reference).abs().max()) < 1e-5


def test_bridge_has_the_same_activations_under_the_same_names() -> None:
    weights = random_weights()
    model = HookedModel(weights)
    _, ours = model.run_with_cache(PAIRS)
    _, theirs = model.to_bridge().run_with_cache(tokens(weights, PAIRS))
    compared = [name for name in HOOKS if name in theirs]
    assert set(HOOKS) - set(compared) == {"blocks.0.attn.hook_result"}  # a bridge computes it on request only
    for name in compared:
        if name != "blocks.0.attn.hook_attn_scores":  # the bridge's are reconstructed from the pattern
            torch.testing.assert_close(ours[name], theirs[name])


def test_bridge_holds_copies_and_trains_only_what_the_model_has() -> None:
    weights = random_weights(biases=["b_in", "b_U"])
    before = weights.clone()
    bridge = to_bridge(weights)
    state = torch.random.get_rng_state()
    to_bridge(weights)
    assert torch.equal(torch.random.get_rng_state(), state)  # a bridge's construction draws numbers; ours are not spent
    trained = {name for name, tensor in bridge.state_dict(keep_vars=True).items() if tensor.requires_grad}
    assert {name for name in trained if name.endswith("bias")} == {"blocks.0.mlp.in.bias", "unembed.bias"}
    assert sum(parameter.numel() for parameter in bridge.parameters() if parameter.requires_grad) == weights.n_parameters
    with torch.no_grad():
        for parameter in bridge.parameters():
            parameter.add_(1)
    assert_same(weights, before)


def test_biases_of_a_frozen_bridge_are_not_lost() -> None:
    weights = random_weights()
    assert_same(from_bridge(to_bridge(weights).requires_grad_(False)), weights)


def test_zero_biases_that_are_trained_stay() -> None:
    weights = random_weights()
    weights = Weights.from_tensors(
        weights.tensors() | {"b_in": torch.zeros_like(weights.b_in), "b_U": torch.zeros_like(weights.b_U)}
    )
    assert_same(from_bridge(to_bridge(weights)), weights)


@pytest.mark.parametrize("attention_rate", [0.0, 0.999])
def test_what_a_bridge_cannot_hold_is_refused(attention_rate: float) -> None:
    with pytest.raises(UsageError, match=rf"attention_rate {attention_rate}, expected 1"):
        HookedModel(random_weights(attention_rate=attention_rate)).to_bridge()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalization_type": "LN"}, "normalization_type: given 'LN', expected None"),
        ({"n_layers": 2}, "n_layers: given 2, expected 1"),
        ({"attention_dir": "bidirectional"}, "attention_dir"),
        ({"act_fn": "silu"}, "act_fn: given 'silu', expected 'relu' or 'gelu'"),
        ({"gated_mlp": True, "act_fn": "silu"}, "gated_mlp"),
        ({"attn_only": True}, "attn_only"),
        ({"positional_embedding_type": "rotary"}, "positional_embedding_type"),
        ({"attn_scores_soft_cap": 5.0}, "attn_scores_soft_cap"),
    ],
)
def test_bridges_with_another_function_are_refused(changes: dict[str, object], message: str) -> None:
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources.native import boot

    settings_ = {"n_layers": 1, "d_model": 8, "n_heads": 2, "d_head": 4, "d_mlp": 8, "n_ctx": 3, "d_vocab": 8, "d_vocab_out": 7}
    settings_ |= {"act_fn": "relu", "normalization_type": None} | changes
    with pytest.raises(DataError, match=message):
        from_bridge(boot(TransformerBridgeConfig(**settings_)))


def test_numpy_pairs_of_any_integer_type() -> None:
    model = HookedModel(random_weights())
    assert torch.equal(model(np.array([[1, 2]], dtype=np.uint8)), model(torch.tensor([[1, 2]])))
