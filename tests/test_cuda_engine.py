"""The CUDA engine, on a CUDA device: graphs, precision, states and stacked runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from engines import SMALL, assert_equals_float64_autograd, configs, needs_cuda
from hypothesis import HealthCheck, given, settings

from interp.config.run_config import ModelConfig, OptimizerConfig, RunConfig
from interp.errors import TrainingError
from interp.training.loop import Training
from interp.training.many import train_many
from interp.training.stacked.graphs import CudaEngine
from interp.training.start import FromState

GPU_RUN = replace(SMALL, device="cuda", optimizer=OptimizerConfig(warmup_steps=5, grokfast_lambda=1.0))


@needs_cuda
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(configs())
def test_cuda_engine_equals_float64_autograd(config: RunConfig) -> None:
    config = replace(config, device="cuda")
    assert_equals_float64_autograd(CudaEngine(config), config)


@needs_cuda
def test_cuda_graphs_give_the_same_steps_as_the_reference_engine() -> None:
    config = replace(GPU_RUN, dtype="float64")
    mine, theirs = Training(replace(config, engine="auto")), Training(replace(config, engine="reference"))
    assert mine.engine.name == "cuda"
    for one, other in zip(mine, theirs, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-9)
        assert one.test_accuracy == other.test_accuracy
    again = Training(replace(config, engine="cuda"))
    for _ in again:
        pass
    assert torch.equal(again.engine.parameters.flat, mine.engine.parameters.flat)


@needs_cuda
def test_the_cuda_engine_goes_on_bit_for_bit_from_a_state() -> None:
    whole = Training(GPU_RUN)
    state = {}
    for step in whole:
        if step.index == 7:
            state = {name: tensor.clone() for name, tensor in whole.state().items()}
    rest = Training(GPU_RUN, FromState(state))
    assert [step.index for step in rest] == list(range(7, GPU_RUN.steps + 1))
    assert torch.equal(rest.engine.parameters.flat, whole.engine.parameters.flat)


@needs_cuda
@pytest.mark.parametrize("engine", ["cuda", "reference"])
def test_tensorfloat_is_not_used_even_where_torch_is_told_to(engine: str) -> None:
    config = replace(GPU_RUN, model=ModelConfig(), engine=engine)
    before = torch.get_float32_matmul_precision()
    weights = []
    try:
        for precision in ("highest", "high"):
            torch.set_float32_matmul_precision(precision)
            training = Training(config)
            for _ in training:
                pass
            weights.append(training.engine.parameters.flat)
            assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(*weights)


@needs_cuda
def test_train_many_stacks_runs_on_a_cuda_device() -> None:
    """Each equals its single run to rounding, and twice the same gives the same bytes; a run that diverges ends alone."""
    members = [replace(GPU_RUN, dtype="float64", seed=seed) for seed in range(4)]
    members[1] = replace(members[1], optimizer=replace(members[1].optimizer, lr=1e38, warmup_steps=0))
    once, twice = dict(train_many(members)), dict(train_many(members))
    assert isinstance(once[1], TrainingError)
    for number in (0, 2, 3):
        *_, alone = Training(members[number])
        assert once[number].train_loss == pytest.approx(alone.train_loss, rel=1e-9)
        for name, tensor in once[number].weights.tensors().items():
            assert torch.equal(tensor, twice[number].weights.tensors()[name])
