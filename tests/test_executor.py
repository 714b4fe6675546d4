"""Executors: whichever does the jobs, the bytes are the same; and one that misbehaves is noticed."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from interp import ModularTask, Processes, Run, RunConfig, record, train_many
from interp.config.run_config import ModelConfig, OptimizerConfig
from interp.errors import TrainingError, UsageError

RUN = RunConfig(task=ModularTask(7), model=ModelConfig(d_model=8, n_heads=2, d_mlp=8), steps=20, engine="reference")
RUNS = [replace(RUN, seed=seed, threads=threads) for seed, threads in enumerate((None, 2, 1))]

Numbered = Mapping[int, RunConfig]
Job = Callable[[RunConfig], Any]


def in_turn(runs: Numbered, job: Job) -> Iterator[tuple[int, Any]]:
    """One after the other in this process, last first; the job goes through pickle as on its way to another machine."""
    for number, config in reversed(runs.items()):
        try:
            yield number, pickle.loads(pickle.dumps(job))(config)
        except Exception as error:
            yield number, error


def in_threads(runs: Numbered, job: Job) -> Iterator[tuple[int, Any]]:
    with ThreadPoolExecutor(2) as pool:
        futures = {pool.submit(job, config): number for number, config in runs.items()}
        for future in as_completed(futures):
            yield futures[future], future.exception() or future.result()


def recorded(config: RunConfig) -> tuple[int | None, str]:
    return config.threads, str(config.seed)


@pytest.fixture(scope="module")
def expected() -> dict[int, Any]:
    """What one process that is told nothing of executors makes of the runs."""
    return dict(train_many(RUNS, workers=1))


@pytest.mark.parametrize("executor", [in_turn, in_threads, Processes(2)], ids=["in turn", "threads", "processes"])
def test_every_executor_gives_the_same_bytes(executor: Any, expected: dict[int, Any]) -> None:
    found = dict(train_many(RUNS, executor=executor))
    assert found.keys() == expected.keys() == {0, 1, 2}
    for number, step in found.items():
        assert step.train_loss == expected[number].train_loss
        for name, tensor in step.weights.tensors().items():
            assert torch.equal(tensor, expected[number].weights.tensors()[name])


def test_a_job_gets_configs_with_one_thread_in_the_executors_order() -> None:
    assert list(train_many(RUNS, recorded, executor=in_turn)) == [(2, (1, "2")), (1, (1, "1")), (0, (1, "0"))]


def saved(config: RunConfig, *, root: Path) -> Run:
    return record(config, root, str(config.seed), progress=False)


def test_a_sweep_can_record_its_runs_wherever_they_are_executed(tmp_path: Path) -> None:
    from functools import partial

    found = dict(train_many(RUNS, partial(saved, root=tmp_path / "here"), executor=in_turn))
    there = dict(train_many(RUNS, partial(saved, root=tmp_path / "there"), executor=Processes(1)))
    assert {number: run.manifest for number, run in found.items()} == {number: run.manifest for number, run in there.items()}


def test_a_run_that_fails_disturbs_no_other() -> None:
    found = dict(train_many([RUN, replace(RUN, optimizer=OptimizerConfig(lr=1e30))], executor=in_turn))
    assert found[0].index == 20
    assert isinstance(found[1], TrainingError)


def test_an_executor_that_misbehaves_is_noticed() -> None:
    def forgets(runs: Numbered, job: Job) -> Iterator[tuple[int, Any]]:
        yield 1, job(runs[1])

    found = dict(train_many(RUNS, recorded, executor=forgets))
    assert found[1] == (1, "1")
    assert all("ended without a result" in str(found[number]) for number in (0, 2))

    def repeats(runs: Numbered, job: Job) -> Iterator[tuple[int, Any]]:
        yield from [(0, job(runs[0]))] * 2

    with pytest.raises(UsageError, match=r"given a result of run 0, expected one of each of \[1, 2\]"):
        list(train_many(RUNS, recorded, executor=repeats))


def test_workers_belong_to_the_processes_of_this_machine() -> None:
    with pytest.raises(UsageError, match="given workers 2 and an executor"):
        train_many(RUNS, workers=2, executor=in_turn)
    with pytest.raises(UsageError, match="workers: given 0"):
        Processes(0)


class Remains:
    """What Python takes apart, and tells a file, when a process ends with all its modules."""

    def __init__(self, path: Path) -> None:
        self._write = path.write_text

    def __del__(self) -> None:
        self._write("taken apart")


def leaving(config: RunConfig, *, path: Path) -> None:
    globals()["left"] = Remains(path)
    print(f"said by {config.seed}", end="")  # noqa: T201  without a line's end it waits in the process


def test_a_worker_ends_without_taking_all_its_modules_apart(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """On a busy machine that takes many seconds, for which the command that ends it waits; what was said is said."""
    dict(Processes(1)({3: replace(RUN, seed=3)}, partial(leaving, path=tmp_path / "remains")))
    assert "said by 3" in capfd.readouterr().out
    assert not (tmp_path / "remains").exists()
