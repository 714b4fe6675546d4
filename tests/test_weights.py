"""Weights: a frozen record whose shapes fit together, or an error that names the tensor and both shapes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_models import BIASES, architectures, assert_same, random_weights

from interp.errors import DataError, UsageError
from interp.networks.one_layer import Weights
from interp.networks.shapes import REQUIRED, SHAPES


@given(architectures())
def test_tensors_and_from_tensors_are_inverse(weights: Weights) -> None:
    again = Weights.from_tensors(
        weights.tensors(), activation=weights.activation, attention_rate=weights.attention_rate
    )  # fmt: skip
    assert_same(again, weights)
    assert list(weights.tensors()) == [name for name in SHAPES if name in weights.tensors()]


@given(architectures())
def test_dimensions_are_those_of_the_tensors(weights: Weights) -> None:
    sizes = {
        "d_vocab": weights.p + int(weights.equals_sign), "n_ctx": weights.n_ctx, "d_model": weights.d_model,
        "n_heads": weights.n_heads, "d_head": weights.d_head, "d_mlp": weights.d_mlp, "classes": weights.classes,
    }  # fmt: skip
    for name, tensor in weights.tensors().items():
        assert tuple(tensor.shape) == tuple(sizes[axis] for axis in SHAPES[name])
    assert weights.n_ctx == 2 + weights.equals_sign
    assert weights.classes - weights.p in (0, 1)
    assert weights.n_parameters == sum(tensor.numel() for tensor in weights.tensors().values())
    assert torch.equal(weights.residue_embedding, weights.W_E[: weights.p])


@given(architectures())
def test_neuron_logit_map(weights: Weights) -> None:
    want = torch.einsum("dc,md->cm", weights.W_U, weights.W_out)[: weights.p]
    assert weights.W_L.shape == (weights.p, weights.d_mlp)
    torch.testing.assert_close(weights.W_L, want)


def test_map_clone_and_to_give_new_models_and_keep_the_function() -> None:
    weights = random_weights(activation="gelu", attention_rate=0.25)
    doubled = weights.map(lambda tensor: 2 * tensor)
    assert torch.equal(doubled.W_Q, 2 * weights.W_Q)
    assert (doubled.activation, doubled.attention_rate) == ("gelu", 0.25)
    live = weights.map(lambda tensor: tensor.clone().requires_grad_())
    snapshot = live.clone()
    with torch.no_grad():
        live.W_E.add_(1)
    assert_same(snapshot, weights)
    assert not snapshot.W_E.requires_grad
    single = weights.to(dtype=torch.float32)
    assert {tensor.dtype for tensor in single.tensors().values()} == {torch.float32}
    assert (single.activation, single.attention_rate) == ("gelu", 0.25)


def test_weights_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        random_weights().activation = "gelu"


@given(st.sampled_from([*SHAPES]), st.data())
def test_a_wrong_shape_names_the_tensor_and_both_shapes(name: str, data: st.DataObject) -> None:
    tensors = random_weights(7, n_heads=2, d_head=3, d_model=10, d_mlp=12).tensors()
    axis = data.draw(st.integers(0, tensors[name].ndim - 1))
    size = data.draw(st.integers(1, 20).filter(lambda n: n != tensors[name].shape[axis]))
    shape = list(tensors[name].shape)
    shape[axis] = size
    changed = tensors | {name: torch.zeros(shape, dtype=torch.float64)}
    if (name, axis, size) == ("W_E", 0, 7):
        assert _unchecked(changed).p == 6  # one residue fewer, and an `=` class: another model, and a right one
        return
    with pytest.raises(DataError, match=r"given .*, .*expected "):
        _unchecked(changed)


def _unchecked(tensors: dict[str, torch.Tensor]) -> Weights:
    """Weights without the run-time annotations that tests add, which would notice a wrong shape before Weights does."""
    import jaxtyping

    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        return Weights.from_tensors(tensors)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("W_pos", lambda t: t[:, :-1], r"W_pos: given shape \(3, 9\), expected \(n_ctx, d_model=10\)"),
        ("W_Q", lambda t: t.mT, r"W_Q: given shape \(2, 3, 10\), expected \(n_heads, d_model=10, d_head\)"),
        ("W_Q", lambda t: t[0], r"W_Q: given shape \(10, 3\), expected \(n_heads, d_model=10, d_head\)"),
        ("W_V", lambda t: t[:1], r"W_V: given shape \(1, 10, 3\), expected \(n_heads=2, d_model=10, d_head=3\)"),
        ("W_out", lambda t: t.T, r"W_out: given shape \(10, 12\), expected \(d_mlp=12, d_model=10\)"),
        ("b_in", lambda t: t[:-1], r"b_in: given shape \(11,\), expected \(d_mlp=12\)"),
        ("W_U", lambda t: t[:, :-1], r"W_U: given 6 classes, expected p = 7 or p \+ 1 = 8"),
        ("W_pos", lambda t: t[:1], "W_pos: given 1 positions, expected 2 .* or 3"),
        ("W_E", lambda t: t[:2], "W_E: given 2 tokens with 3 positions, which leaves p = 1; expected p >= 2"),
        ("W_E", lambda t: t.long(), r"W_E: given torch\.int64, expected a floating-point tensor"),
        ("W_E", lambda t: t.tolist(), "W_E: given list, expected a floating-point tensor"),
        ("W_E", lambda t: t * 1j, r"W_E: given torch\.complex128"),
    ],
)
def test_misfits_are_named(name: str, change: object, message: str) -> None:
    tensors = random_weights(7, n_heads=2, d_head=3, d_model=10, d_mlp=12).tensors()
    if name == "W_U":
        del tensors["b_U"]
    with pytest.raises(DataError, match=message):
        _unchecked(tensors | {name: change(tensors[name])})


def test_missing_and_surplus_tensors_are_named() -> None:
    tensors = random_weights().tensors()
    del tensors["W_E"], tensors["b_Q"]
    with pytest.raises(DataError, match=r"missing tensors \['W_E'\], surplus tensors \['ln'\]"):
        Weights.from_tensors(tensors | {"ln": torch.ones(1)})
    with pytest.raises(DataError, match=r"missing tensors none, surplus tensors \['ln'\]"):
        Weights.from_tensors(random_weights().tensors() | {"ln": torch.ones(1)})
    assert {name for name in SHAPES if name not in BIASES} == REQUIRED


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), float("inf")])
def test_bad_attention_rates_are_refused(rate: float) -> None:
    with pytest.raises(UsageError, match=r"attention_rate: given .*, expected a number in 0"):
        random_weights(attention_rate=rate)


def test_unknown_activations_name_the_nearest() -> None:
    import jaxtyping

    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(UsageError, match="unknown activation 'gleu'; did you mean 'gelu'"):
            random_weights(activation="gleu")
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def test_smallest_and_even_moduli() -> None:
    assert random_weights(2).p == 2
    assert random_weights(2, equals_sign=False).p == 2
    assert random_weights(10, equals_class=True).classes == 11
