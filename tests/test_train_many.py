"""Many runs at once: each is its single run, bit for bit, and one that fails disturbs no other."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from interp.config.run_config import ModelConfig, OptimizerConfig, RunConfig
from interp.errors import TrainingError, UsageError
from interp.tasks.modular import ModularTask
from interp.training.many import last_step, train_many

RUN = RunConfig(task=ModularTask(p=7), model=ModelConfig(d_model=8, n_heads=2, d_mlp=8), steps=30)
DIVERGES = replace(RUN, optimizer=OptimizerConfig(lr=1e30))


def marked(config: RunConfig, *, folder: Path) -> str:
    """A job that leaves a file behind, ends its process for seed 1 and raises for seed 2."""
    if config.seed == 1:
        os._exit(3)
    if config.seed == 2:
        raise ValueError("seed 2")
    (folder / str(config.seed)).touch()
    return f"{config.seed} {config.threads} {torch.get_num_threads()}"


def endless(config: RunConfig, *, folder: Path) -> None:
    (folder / str(config.seed)).touch()
    while config.seed:
        time.sleep(0.1)


def test_each_equals_its_single_run_and_failures_stay_alone() -> None:
    configs = [replace(RUN, seed=seed) for seed in range(3)]
    configs.insert(1, DIVERGES)
    results = dict(train_many(configs, workers=2))
    assert sorted(results) == [0, 1, 2, 3]
    assert isinstance(results[1], TrainingError)
    assert "not finite" in str(results[1]) or "nan" in str(results[1])
    for index in (0, 2, 3):
        single = last_step(replace(configs[index], threads=1))
        together = results[index]
        assert not isinstance(together, Exception), together
        assert replace(together, weights=single.weights) == single
        for name, tensor in single.weights.tensors().items():
            assert torch.equal(together.weights.tensors()[name], tensor), name


class TwoParts(Exception):  # noqa: N818  it stands for anyone's
    """Pickles, but cannot be made again from what was pickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


def raises_two_parts(config: RunConfig) -> int:
    if config.seed == 0:
        raise TwoParts("this", "that")
    return config.seed


def test_an_exception_that_cannot_be_unpickled_stays_alone() -> None:
    results = dict(train_many([replace(RUN, seed=seed) for seed in range(2)], raises_two_parts, workers=1))
    assert isinstance(results[0], TrainingError)
    assert "TwoParts: this and that" in str(results[0])
    assert results[1] == 1


def test_a_dying_process_and_an_exception_are_results(tmp_path: Path) -> None:
    configs = [replace(RUN, seed=seed, threads=4) for seed in range(5)]
    results = dict(train_many(configs, partial(marked, folder=tmp_path), workers=1))
    assert {index: result for index, result in results.items() if isinstance(result, str)} == {
        seed: f"{seed} 1 1" for seed in (0, 3, 4)
    }
    assert "exit code 3" in str(results[1])
    assert isinstance(results[2], ValueError)
    assert "in marked" in "".join(results[2].__notes__)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "3", "4"]


def test_leaving_early_ends_every_process(tmp_path: Path) -> None:
    before = set(multiprocessing.active_children())
    iterator = train_many([replace(RUN, seed=seed) for seed in range(2)], partial(endless, folder=tmp_path), workers=2)
    assert next(iterator) == (0, None)
    started = set(multiprocessing.active_children()) - before
    assert started
    iterator.close()
    assert not set(multiprocessing.active_children()) - before


def test_nothing_to_do() -> None:
    assert list(train_many([])) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"configs": ["nanda"]}, "item 0 is 'nanda'"),
        ({"configs": [RUN], "workers": 0}, "workers: given 0"),
        ({"configs": [RUN], "job": lambda config: config}, "cannot be sent to another process"),
    ],
)
def test_bad_arguments_are_named_before_anything_starts(arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        train_many(**arguments)
