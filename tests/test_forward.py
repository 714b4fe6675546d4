"""The reference forward pass against an independent one over all positions, and the invariances it must have."""

from __future__ import annotations

from math import erf, sqrt

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import all_pairs, architectures, random_weights
from torch import Tensor

from interp.errors import UsageError
from interp.networks.one_layer import Weights, forward, tokens


def straightforward(w: Weights, a: int, b: int) -> dict[str, np.ndarray]:
    """One pair at a time, head by head and position by position, in numpy, at EVERY position with a causal mask."""
    t = {name: tensor.numpy() for name, tensor in w.tensors().items()}
    bias = lambda name, shape: t.get(name, np.zeros(shape))  # noqa: E731
    row = [a, b, w.p][: w.n_ctx]
    x = np.stack([t["W_E"][token] + t["W_pos"][i] for i, token in enumerate(row)])
    attn = np.zeros_like(x)
    pattern = np.zeros((w.n_heads, w.n_ctx, w.n_ctx))
    for h in range(w.n_heads):
        q, k, v = (x @ t[f"W_{n}"][h] + bias(f"b_{n}", (w.n_heads, w.d_head))[h] for n in "QKV")
        for i in range(w.n_ctx):
            seen = w.n_ctx if w.attention_rate < 1 else i + 1
            scores = np.array([q[i] @ k[j] / sqrt(w.d_head) for j in range(seen)])
            weight = np.exp(scores - scores.max())
            pattern[h, i, :seen] = w.attention_rate * weight / weight.sum() + (1 - w.attention_rate)
        attn += (pattern[h] @ v) @ t["W_O"][h]
    mid = x + attn + bias("b_O", w.d_model)
    pre = mid @ t["W_in"] + bias("b_in", w.d_mlp)
    gelu = np.vectorize(lambda y: y * (1 + erf(y / sqrt(2))) / 2)
    post = np.maximum(pre, 0) if w.activation == "relu" else gelu(pre)
    resid = mid + post @ t["W_out"] + bias("b_out", w.d_model)
    logits = resid @ t["W_U"] + bias("b_U", w.classes)
    return {"pattern": pattern, "resid_mid": mid, "neurons": post, "resid_post": resid, "all_logits": logits}


@given(architectures(), st.data())
@settings(max_examples=60)
def test_equals_a_straightforward_implementation_over_all_positions(weights: Weights, data: st.DataObject) -> None:
    a, b = data.draw(st.integers(0, weights.p - 1)), data.draw(st.integers(0, weights.p - 1))
    got, want = forward(weights, torch.tensor([[a, b]])), straightforward(weights, a, b)
    for name in ("resid_mid", "neurons", "resid_post", "all_logits"):
        np.testing.assert_allclose(getattr(got, name)[0].numpy(), want[name][-1], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.pattern[0].numpy(), want["pattern"][:, -1], rtol=1e-9, atol=1e-12)


@given(architectures())
def test_pairs_are_independent_of_each_other(weights: Weights) -> None:
    pairs = all_pairs(weights.p)
    together = forward(weights, pairs).all_logits
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(forward(weights, pairs[order]).all_logits, together[order])
    alone = torch.cat([forward(weights, pair[None]).all_logits for pair in pairs[:5]])
    torch.testing.assert_close(alone, together[:5])
    assert forward(weights, pairs[:0]).all_logits.shape == (0, weights.classes)


@given(architectures())
def test_parts_add_up(weights: Weights) -> None:
    acts = forward(weights, all_pairs(weights.p))
    zero = torch.zeros((), dtype=torch.float64)
    torch.testing.assert_close(acts.resid_mid, acts.embed[:, -1] + acts.attn_out)
    torch.testing.assert_close(acts.resid_post, acts.resid_mid + acts.mlp_out)
    heads = torch.einsum("nhe,hed->nhd", acts.z, weights.W_O).sum(1) + (zero if weights.b_O is None else weights.b_O)
    torch.testing.assert_close(acts.attn_out, heads)
    assert torch.equal(acts.logits, acts.all_logits[:, : weights.p])
    sums = acts.pattern.sum(-1)
    torch.testing.assert_close(sums, torch.full_like(sums, weights.attention_rate + (1 - weights.attention_rate) * weights.n_ctx))


@given(architectures(attention_rate=0.0))
def test_at_rate_zero_queries_and_keys_do_not_matter(weights: Weights) -> None:
    tensors = weights.tensors() | {"W_Q": 9 * weights.W_Q, "W_K": -weights.W_K}
    other = Weights(**tensors, activation=weights.activation, attention_rate=0.0)
    pairs = all_pairs(weights.p)
    acts = forward(weights, pairs)
    assert torch.equal(forward(other, pairs).all_logits, acts.all_logits)
    assert bool((acts.pattern == 1).all())
    torch.testing.assert_close(acts.z, acts.v.sum(1))


@given(architectures(attention_rate=0.0, equals_sign=False))
def test_constant_attention_without_positions_is_symmetric(weights: Weights) -> None:
    tensors = weights.tensors()
    # The residual stream at b is the only thing that tells a from b: with the read-out from it removed, a and b are alike.
    tensors["W_pos"] = tensors["W_pos"][:1].expand(2, -1)
    tensors["W_in"] = torch.zeros_like(tensors["W_in"])
    acts = forward(Weights(**tensors, activation=weights.activation, attention_rate=0.0), all_pairs(weights.p))
    swapped = all_pairs(weights.p).flip(1)
    index = swapped[:, 0] * weights.p + swapped[:, 1]
    torch.testing.assert_close(acts.attn_out[index], acts.attn_out)


def test_intermediate_rates_mix_the_patterns_linearly() -> None:
    at = {rate: forward(random_weights(attention_rate=rate), all_pairs(7)).pattern for rate in (0.0, 0.25, 1.0)}
    torch.testing.assert_close(at[0.25], 0.25 * at[1.0] + 0.75 * at[0.0])


@given(architectures(attention_rate=1.0))
def test_softmax_ignores_what_is_the_same_for_every_position(weights: Weights) -> None:
    tensors = weights.tensors()
    shifted = Weights(
        **(tensors | {"b_K": tensors.get("b_K", torch.zeros_like(weights.W_K[:, 0])) + 3.0}), activation=weights.activation
    )
    pairs = all_pairs(weights.p)
    torch.testing.assert_close(forward(shifted, pairs).all_logits, forward(weights, pairs).all_logits)


@given(architectures(activation="relu", attention_rate=1.0), st.floats(0.1, 10))
def test_relu_neurons_can_be_rescaled(weights: Weights, scale: float) -> None:
    tensors = weights.tensors()
    changed = {name: scale * tensor for name, tensor in tensors.items() if name in ("W_in", "b_in")}
    rescaled = Weights(**(tensors | changed | {"W_out": weights.W_out / scale}))
    pairs = all_pairs(weights.p)
    torch.testing.assert_close(forward(rescaled, pairs).all_logits, forward(weights, pairs).all_logits)


@given(architectures())
def test_the_order_of_heads_and_neurons_does_not_matter(weights: Weights) -> None:
    heads, neurons = torch.arange(weights.n_heads).flip(0), torch.arange(weights.d_mlp).roll(1)
    tensors = weights.tensors()
    for name in tensors:
        if name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V"):
            tensors[name] = tensors[name][heads]
    for name in tensors.keys() & {"W_in", "b_in"}:
        tensors[name] = tensors[name][..., neurons]
    tensors["W_out"] = tensors["W_out"][neurons]
    shuffled = Weights(**tensors, activation=weights.activation, attention_rate=weights.attention_rate)
    pairs = all_pairs(weights.p)
    torch.testing.assert_close(forward(shuffled, pairs).all_logits, forward(weights, pairs).all_logits)


@given(architectures())
def test_a_missing_bias_is_a_zero_bias(weights: Weights) -> None:
    tensors = weights.tensors()
    full = random_weights(
        weights.p, equals_sign=weights.equals_sign, equals_class=weights.classes > weights.p, n_heads=weights.n_heads,
        d_head=weights.d_head, d_model=weights.d_model, d_mlp=weights.d_mlp,
    ).map(torch.zeros_like)  # fmt: skip
    filled = Weights(**(full.tensors() | tensors), activation=weights.activation, attention_rate=weights.attention_rate)
    pairs = all_pairs(weights.p)
    torch.testing.assert_close(forward(filled, pairs).all_logits, forward(weights, pairs).all_logits)


def test_the_extra_class_changes_no_other_logit() -> None:
    weights = random_weights(equals_class=True)
    cut = Weights.from_tensors(weights.tensors() | {"W_U": weights.W_U[:, :7], "b_U": weights.b_U[:7]})
    torch.testing.assert_close(forward(weights, all_pairs(7)).logits, forward(cut, all_pairs(7)).all_logits)


@given(architectures(biases=["b_in"], attention_rate=0.5))
@settings(max_examples=10)
def test_gradients_are_those_of_finite_differences(weights: Weights) -> None:
    pairs = all_pairs(weights.p)[:3]
    live = weights.map(lambda tensor: tensor.clone().requires_grad_())

    def loss(model: Weights) -> Tensor:
        return forward(model, pairs).all_logits.sin().sum()

    loss(live).backward()
    generator = torch.Generator().manual_seed(1)
    directions = {
        name: torch.randn(tensor.shape, generator=generator, dtype=torch.float64) for name, tensor in weights.tensors().items()
    }
    along = sum(float((live.tensors()[name].grad * d).sum()) for name, d in directions.items())
    kinks = forward(weights, pairs).neurons_pre.abs().min()
    step = 1e-6
    moved = []
    for sign in (1, -1):
        tensors = {name: tensor + sign * step * directions[name] for name, tensor in weights.tensors().items()}
        moved.append(Weights(**tensors, activation=weights.activation, attention_rate=0.5))
    if weights.activation == "relu" and kinks < 1e-3:
        return  # a neuron at its kink has no derivative
    assert along == pytest.approx(float(loss(moved[0]) - loss(moved[1])) / (2 * step), rel=1e-5, abs=1e-6)


def test_precision_and_inputs_follow_the_weights() -> None:
    weights = random_weights()
    pairs = all_pairs(7)
    want = forward(weights, pairs).all_logits
    assert torch.equal(forward(weights, pairs.numpy()).all_logits, want)
    assert torch.equal(forward(weights, pairs.int()).all_logits, want)
    single = forward(weights.to(dtype=torch.float32), pairs).all_logits
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), want, rtol=1e-4, atol=1e-5)


def test_nan_weights_give_nan_logits_and_no_error() -> None:
    weights = random_weights().map(lambda tensor: tensor * torch.nan)
    assert bool(forward(weights, all_pairs(7)).all_logits.isnan().all())


@pytest.mark.parametrize(("equals_sign", "row"), [(True, [3, 5, 7]), (False, [3, 5])])
def test_tokens(equals_sign: bool, row: list[int]) -> None:
    assert tokens(random_weights(equals_sign=equals_sign), torch.tensor([[3, 5]])).tolist() == [row]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (torch.tensor([1, 2]), r"pairs: given \(2,\) of torch\.int64, expected integers of shape \(n, 2\)"),
        (torch.tensor([[1, 2, 7]]), r"given \(1, 3\)"),
        (torch.tensor([[1.0, 2.0]]), r"of torch\.float32, expected integers"),
        (np.array([[1.5, 2.0]]), r"of torch\.float64, expected integers"),
        (torch.tensor([[1, 7]]), r"given residues 1\.\.7, expected 0\.\.6"),
        (torch.tensor([[-1, 2]]), r"given residues -1\.\.2, expected 0\.\.6"),
    ],
)
def test_bad_pairs_are_refused(pairs: Tensor | np.ndarray, message: str) -> None:
    # Without the run-time annotations that tests add, which would refuse some of these before the code does.
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(UsageError, match=message):
            forward(random_weights(), pairs)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
