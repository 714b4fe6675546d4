"""Runs to test the engines with, and the comparison of an engine with float64 autograd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from interp.config.run_config import ModelConfig, OptimizerConfig, RunConfig
from interp.networks.one_layer import forward
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.training.engine import Engine
from interp.training.loop import Training
from interp.training.reference import ReferenceEngine

SMALL = RunConfig(
    task=ModularTask(p=13),
    split=SplitConfig(fraction=0.4),
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    steps=20,
    threads=1,
)


ROWS = [(label, margin) for label in (0, 4) for margin in (-30.0, -3.0, 0.0, 3.0, 20.0, 38.0, 60.0)]


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@st.composite
def configs(draw: st.DrawFn) -> RunConfig:
    """Any run the CPU engine can do, with few pairs where p is large."""
    operation = draw(st.sampled_from(["add", "multiply", "x2xyy2"]))
    task = ModularTask(draw(st.integers(2, 127)), operation=operation, equals_sign=draw(st.booleans()))
    heads = draw(st.integers(1, 5))
    model = ModelConfig(
        d_model=heads * draw(st.integers(1, 9)),
        n_heads=heads,
        d_mlp=draw(st.integers(1, 70)),
        biases=draw(st.sampled_from(["none", "mlp", "all"])),
        equals_class=task.equals_sign and draw(st.booleans()),
        attention_rate=draw(st.sampled_from([1.0, 0.0, 0.4])),
    )
    # At least one pair on either side of the split, and not much more than a thousand to train on.
    fraction = draw(st.floats(1.01 / task.n_pairs, min(0.9, 1000 / task.n_pairs)))
    split = SplitConfig(seed=draw(st.integers(0, 99)), fraction=fraction)
    loss = OptimizerConfig(loss=draw(st.sampled_from(["cross_entropy", "stablemax"])))
    threads = draw(st.sampled_from([1, 2, 5]))
    return RunConfig(task=task, split=split, model=model, optimizer=loss, seed=draw(st.integers(0, 99)), threads=threads)


def same_weights(engine: Engine, config: RunConfig) -> ReferenceEngine:
    """A float64 reference engine with an engine's weights, every one of them random; no neuron is undecided.

    Where a neuron's input is so near 0 that float32 may round it to the other side, one of two gradients is as right as the
    other: such a neuron is cut off from the output.
    """
    reference = ReferenceEngine(replace(config, engine="reference", dtype="float64"))
    generator = torch.Generator().manual_seed(config.seed)
    for name, tensor in engine.parameters.weights.tensors().items():
        if name.startswith("b_"):
            tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
        reference.parameters.weights.tensors()[name].copy_(tensor)
    neurons = forward(reference.parameters.weights, config.task.pairs).neurons_pre.abs()
    undecided = (neurons < 1e-5).any(0)
    for each in (engine, reference):
        each.parameters.weights.W_out[undecided] = 0
    return reference


def assert_same_gradient(engine: Engine, config: RunConfig, reference: ReferenceEngine, *, tolerance: float = 1e-5) -> None:
    """Loss and the gradient of every tensor agree, relative to its norm.

    A small gradient may be what is left of large ones, and then a rounded one is wrong by a few units in the last place of the
    whole gradient. So a twentieth of the whole gradient's norm counts where it is larger. Models one number wide can be worse (1
    of 800 drawn at random was): there a fifth of it counts, or ten times what autograd in float32 is off by.
    """
    expected, given_ = reference.gradient(), engine.gradient()
    assert given_ == pytest.approx(expected, rel=tolerance)
    whole = float(reference.parameters.gradient.norm())
    for name, gradient in reference.parameters.gradients.items():
        error = float((engine.parameters.gradients[name].double() - gradient).norm())
        if error > tolerance * max(float(gradient.norm()), 5e-2 * whole):
            assert config.model.d_model < 4, name
            assert error <= max(tolerance * 0.2 * whole, 10 * error_of_float32(reference, config)[name]), name


def error_of_float32(reference: ReferenceEngine, config: RunConfig) -> dict[str, float]:
    """By how much the gradient of each tensor is wrong if autograd computes it in float32."""
    single = ReferenceEngine(replace(config, engine="reference", dtype="float32"))
    single.parameters.flat.copy_(reference.parameters.flat)
    single.gradient()
    exact = reference.parameters.gradients
    return {name: float((gradient.double() - exact[name]).norm()) for name, gradient in single.parameters.gradients.items()}


def assert_equals_float64_autograd(engine: Engine, config: RunConfig) -> None:
    """Loss, gradients and evaluation agree at random weights."""
    reference = same_weights(engine, config)
    assert_same_gradient(engine, config, reference)
    given_, expected = engine.evaluate(), reference.evaluate()
    assert given_.test_loss == pytest.approx(expected.test_loss, rel=1e-5)
    assert (given_.train_accuracy, given_.test_accuracy) == (expected.train_accuracy, expected.test_accuracy)


def trajectory(config: RunConfig) -> np.ndarray:
    return np.array([step.train_loss for step in Training(config)])
