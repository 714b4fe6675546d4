"""A run whose cores are busy goes on with one thread, and computes the same."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch

from interp.config.run_config import ModelConfig, RunConfig
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.training.cpu.contention import Contention
from interp.training.cpu.cpu_engine import CpuEngine
from interp.training.cpu.openmp import can_be_parallel

SMALL = RunConfig(
    task=ModularTask(p=13), split=SplitConfig(fraction=0.4), model=ModelConfig(d_model=16, n_heads=2, d_mlp=24), threads=2
)


def started(alone: float) -> Contention:
    """One that knows how long a call takes in one thread."""
    contention = Contention()
    for seconds in (99.0, alone):
        assert not contention.use_threads()
        contention.note(seconds)
    return contention


def test_threads_are_used_while_they_are_faster() -> None:
    contention = started(1.0)
    for i in range(1000):
        assert contention.use_threads()
        contention.note(3.0 if i % 4 == 0 else 0.6)


def test_busy_cores_are_left_alone_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    contention = started(1.0)
    with caplog.at_level(logging.INFO, logger="interp"):
        for _ in range(8):
            contention.note(5.0)
        assert "one is faster at present" in caplog.text
        rests = 0
        while not contention.use_threads():
            contention.note(1.0)
            rests += 1
        assert rests == 200
        for _ in range(8):
            contention.note(5.0)
    assert not contention.use_threads()
    assert caplog.text.count("one is faster at present") == 1


@pytest.mark.skipif(not can_be_parallel(2), reason="numba has no OpenMP layer here")
def test_switching_changes_no_byte() -> None:
    one, other = CpuEngine(SMALL), CpuEngine(SMALL)
    assert one._launch.is_parallel
    assert other._launch.is_parallel
    for step in range(30):
        if step % 10 == 5:
            for _ in range(8):
                other._launch.note(1e9)
        losses = one.gradient(), other.gradient()
        assert losses[0] == losses[1]
        assert torch.equal(one.parameters.gradient, other.parameters.gradient)
        one.update()
        other.update()
    assert not other._launch.is_parallel
    assert one.evaluate() == other.evaluate()


def test_one_thread_never_asks() -> None:
    engine = CpuEngine(replace(SMALL, threads=1))
    assert not engine._launch.can_be_parallel
    assert not engine._launch.is_parallel
