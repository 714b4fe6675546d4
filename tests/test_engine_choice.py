"""Which engine a run gets, and what the error says when the requested one cannot do the run."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch
from engines import SMALL

from interp.config.recipes import recipe
from interp.config.run_config import ModelConfig
from interp.errors import UsageError
from interp.tasks.modular import ModularTask
from interp.training.choice import make_engine
from interp.training.cpu.cpu_engine import is_worth_it
from interp.training.many import train_many
from interp.training.stacked.graphs import is_worth_it as cuda_is_worth_it


def test_auto_takes_the_cpu_engine() -> None:
    assert make_engine(SMALL).name == "cpu"
    for name in ("demo", "nanda", "transformer-lens"):
        assert is_worth_it(recipe(name)), name


def test_auto_leaves_few_pairs_of_a_wide_model_to_the_reference_engine(caplog: pytest.LogCaptureFixture) -> None:
    config = replace(SMALL, model=ModelConfig(d_model=256, n_heads=2, d_mlp=2048))
    with caplog.at_level(logging.INFO, logger="interp"):
        assert make_engine(config).name == "reference"
    assert "few training pairs" in caplog.text
    assert make_engine(replace(config, engine="cpu")).name == "cpu"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": replace(SMALL.model, activation="gelu")}, "activation 'gelu'"),
        ({"dtype": "float64"}, "dtype 'float64'"),
    ],
)
def test_what_the_cpu_engine_cannot_do_is_named(change: dict, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    config = replace(SMALL, **change)
    with pytest.raises(UsageError, match=reason):
        make_engine(replace(config, engine="cpu"))
    with caplog.at_level(logging.INFO, logger="interp"):
        assert make_engine(config).name == "reference"
    assert reason in caplog.text


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is available here")
def test_a_missing_cuda_device_is_named() -> None:
    with pytest.raises(UsageError, match="no CUDA device"):
        make_engine(replace(SMALL, device="cuda"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is available here")
def test_without_a_cuda_device_train_many_says_so_and_does_the_others() -> None:
    results = dict(train_many([replace(SMALL, steps=1), replace(SMALL, steps=1, device="cuda")], workers=2))
    assert results[0].index == 1
    assert "no CUDA device is available here" in str(results[1])


def test_a_gpu_is_not_asked_for_products_that_cost_more_than_they_save() -> None:
    assert cuda_is_worth_it(recipe("nanda"))
    assert cuda_is_worth_it(replace(recipe("nanda"), task=ModularTask(2)))
    assert cuda_is_worth_it(replace(recipe("nanda"), task=ModularTask(1009)))  # measured: 1.5 times as fast
    assert not cuda_is_worth_it(replace(recipe("nanda"), task=ModularTask(2003)))
