"""Losses: exact in float32 where a log-softmax is not, gradients too; StableMax; accuracy."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.losses import correct, cross_entropy, stablemax_cross_entropy
from interp.measures.in_double import cross_entropy_in_double


def drawn(pairs: int, classes: int, *, scale: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(pairs, classes, generator=generator)
    return logits, torch.randint(classes, (pairs,), generator=generator)


def exact(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and its gradient in float64, from differences of logits, without subtracting from 1."""
    x = logits.double()
    others = torch.ones_like(x, dtype=torch.bool).scatter(1, labels[:, None], False)
    difference = x - x.gather(1, labels[:, None])
    odds = (difference.exp() * others).sum(dim=1, keepdim=True)
    gradient = difference.exp() * others / (1 + odds)
    return torch.log1p(odds).squeeze(1), gradient.scatter(1, labels[:, None], -gradient.sum(dim=1, keepdim=True))


@settings(max_examples=40, deadline=None)
@given(classes=st.integers(2, 120), scale=st.floats(0.1, 20.0), lead=st.floats(0.0, 60.0), seed=st.integers(0, 99))
def test_float32_loss_and_gradient_are_those_of_float64(classes, scale, lead, seed):
    logits, labels = drawn(20, classes, scale=scale, seed=seed)
    logits[torch.arange(20), labels] = logits.max(dim=1).values + lead
    logits.requires_grad_()
    loss = cross_entropy(logits, labels)
    loss.sum().backward()
    expected, gradient = exact(logits.detach(), labels)
    assert loss.dtype == torch.float32
    representable = expected > 1e-30
    assert torch.allclose(loss.detach().double()[representable], expected[representable], rtol=1e-5, atol=0)
    row = representable[:, None] & (gradient.abs() > 1e-30)
    assert torch.allclose(logits.grad.double()[row], gradient[row], rtol=1e-5, atol=0)


@pytest.mark.parametrize(("pairs", "classes"), [(0, 5), (1, 2), (3481, 59), (2000, 120), (3, 70_000)])
def test_in_double_block_by_block_it_is_the_loss_in_float64(pairs, classes):
    logits, labels = drawn(pairs, classes + 1, scale=12.0, seed=1)
    logits, labels = logits[:, :classes], labels.clamp(max=classes - 1)  # not contiguous, as without the class of `=`
    before = logits.clone()
    losses = cross_entropy_in_double(logits, labels)
    expected, _ = exact(logits, labels)
    assert losses.dtype == torch.float64
    assert losses.shape == (pairs,)
    assert torch.allclose(losses, expected, rtol=1e-12, atol=0)
    assert torch.equal(logits, before)  # the answers' logits are taken out of a copy


@pytest.mark.parametrize("gap", [0.0, 1.0, 17.0, 30.0, 60.0, 69.0])
def test_down_to_1e_minus_30(gap):
    loss = cross_entropy(torch.tensor([[gap, 0.0]]), torch.tensor([0]))
    assert loss.item() == pytest.approx(math.log1p(math.exp(-gap)), rel=1e-5)
    assert loss.item() > 0


def test_where_a_log_softmax_collapses():
    logits, label = torch.tensor([[30.0, 0.0]], requires_grad=True), torch.tensor([0])
    assert F.cross_entropy(logits, label).item() == 0
    cross_entropy(logits, label).sum().backward()
    assert logits.grad[0, 1].item() == pytest.approx(math.exp(-30.0), rel=1e-5)
    assert logits.grad[0, 0].item() == -logits.grad[0, 1].item()


@pytest.mark.parametrize("gap", [19.0, 21.0, 39.9, 40.1, 500.0, 5000.0])
def test_hopeless_pairs_are_exact_too(gap):
    loss = cross_entropy(torch.tensor([[0.0, gap]], dtype=torch.float64), torch.tensor([0]))
    assert loss.item() == pytest.approx(gap + math.log1p(math.exp(-gap)), rel=1e-15)


@settings(max_examples=20, deadline=None)
@given(classes=st.integers(2, 30), seed=st.integers(0, 99))
def test_usual_losses_are_the_usual_ones(classes, seed):
    logits, labels = drawn(10, classes, scale=1.0, seed=seed)
    assert torch.allclose(cross_entropy(logits.double(), labels), F.cross_entropy(logits.double(), labels, reduction="none"))
    assert torch.allclose(cross_entropy(logits.double() + 100, labels), cross_entropy(logits.double(), labels))


def test_uniform_logits_cost_ln_of_the_classes():
    for classes in (2, 59, 114):
        loss = cross_entropy(torch.zeros(1, classes, dtype=torch.float64), torch.tensor([1]))
        assert loss.item() == pytest.approx(math.log(classes), rel=1e-14)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_not_a_number_is_not_hidden(bad, place):
    logits = torch.zeros(1, 3)
    logits[0, place] = bad
    loss = cross_entropy(logits, torch.tensor([0]))
    assert not (loss.isfinite() & (loss != 0)).any()
    if math.isnan(bad):
        assert loss.isnan().all()
        assert stablemax_cross_entropy(logits, torch.tensor([0])).isnan().all()


@settings(max_examples=30, deadline=None)
@given(classes=st.integers(2, 30), scale=st.floats(0.1, 50.0), seed=st.integers(0, 99))
def test_stablemax_is_a_softmax_of_a_log(classes, scale, seed):
    logits, labels = drawn(10, classes, scale=scale, seed=seed)
    x = logits.double()
    transformed = torch.where(x >= 0, torch.log1p(x.clamp(min=0)), -torch.log1p(-x.clamp(max=0)))
    assert torch.allclose(stablemax_cross_entropy(x, labels), F.cross_entropy(transformed, labels, reduction="none"))


def test_stablemax_gradient_is_finite_and_right():
    x = torch.tensor([[0.0, -3.0, 5.0], [1.0, -1e4, 1e4]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: stablemax_cross_entropy(y, torch.tensor([1, 0])), (x + 0.1,))
    stablemax_cross_entropy(x, torch.tensor([1, 0])).sum().backward()
    assert x.grad.isfinite().all()


def test_correct_is_the_largest_logit():
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert correct(logits, torch.tensor([1, 2])).tolist() == [True, False]


@settings(max_examples=60, deadline=None)
@given(
    classes=st.integers(1, 300), scale=st.sampled_from([0.0, 1e-30, 1.0, 20.0, 60.0, 300.0, 1e5, 1e30]), seed=st.integers(0, 999)
)
def test_without_a_gradient_the_loss_is_the_same_to_the_bit(classes, scale, seed):
    logits, labels = drawn(40, classes, scale=scale, seed=seed)
    logits[0] = -torch.inf
    alone = cross_entropy(logits, labels)
    with_gradient = cross_entropy(logits.clone().requires_grad_(), labels)
    assert torch.equal(alone.view(torch.int32), with_gradient.detach().view(torch.int32))


@pytest.mark.parametrize("classes", [1, 2, 3, 113])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_of_equal_logits_the_first_is_the_answer_and_nan_is_the_largest(classes, dtype):
    logits = torch.randint(-2, 3, (400, classes), generator=torch.Generator().manual_seed(classes)).to(dtype)
    logits[2, 0] = logits[3, -1] = math.nan
    labels = torch.randint(classes, (400,), generator=torch.Generator().manual_seed(1))
    first = (logits.double().nan_to_num(nan=9.0) == logits.double().nan_to_num(nan=9.0).amax(dim=1, keepdim=True)).int()
    expected = first.double().mul(torch.arange(classes, 0, -1)).argmax(dim=1) == labels
    assert torch.equal(correct(logits, labels), expected)
    assert torch.equal(correct(logits.T.contiguous().T, labels), expected)
    assert correct(logits[:0], labels[:0]).shape == (0,)
