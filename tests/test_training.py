"""The loop: which steps there are, what each carries, going on from a saved state, and stopping."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig, RunConfig
from interp.errors import TrainingError
from interp.networks.initial import initial_weights
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.training.loop import Training, train
from interp.training.start import FromState
from interp.training.stream import Step

RUN = RunConfig(
    task=ModularTask(p=11),
    split=SplitConfig(fraction=0.5),
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=3, every=7),
    steps=20,
    evaluate_every=5,
    threads=1,
)
ENGINES = ["reference", "cpu"]


def measured(step: Step) -> bool:
    values = step.test_loss, step.train_accuracy, step.test_accuracy, step.sum_squared_weights
    assert len({value is None for value in values}) == 1
    return values[0] is not None


@pytest.mark.parametrize("engine", ENGINES)
def test_steps_are_numbered_and_measured_where_asked(engine: str) -> None:
    steps = list(train(replace(RUN, engine=engine)))
    assert [step.index for step in steps] == list(range(21))
    assert [step.index for step in steps if measured(step)] == [0, 1, 4, 5, 7, 10, 14, 15, 20]
    assert [step.index for step in steps if step.last] == [20]


def test_step_0_is_the_initial_model() -> None:
    first = next(train(RUN))
    initial = initial_weights(RUN).tensors()
    assert all(torch.equal(tensor, initial[name]) for name, tensor in first.weights.tensors().items())


def test_no_steps() -> None:
    (only,) = train(replace(RUN, steps=0))
    assert only.last
    assert measured(only)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_step_carries_the_losses_of_its_own_weights(engine: str) -> None:
    """The train loss of step n is the loss at the weights yielded with it, not at those before the update."""
    for step in itertools.islice(train(replace(RUN, engine=engine, evaluate_every=1)), 4):
        other = Training(replace(RUN, engine="reference", dtype="float64")).engine
        for name, tensor in step.weights.tensors().items():
            other.parameters.weights.tensors()[name].copy_(tensor)
        assert step.train_loss == pytest.approx(other.gradient(), rel=1e-5)
        evaluation = other.evaluate()
        assert step.test_loss == pytest.approx(evaluation.test_loss, rel=1e-5)
        assert step.sum_squared_weights == pytest.approx(other.parameters.sum_squared(), rel=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("at", [0, 1, 9, 20])
def test_going_on_from_a_state_is_bit_equal_to_no_interruption(engine: str, at: int) -> None:
    config = replace(RUN, engine=engine, optimizer=OptimizerConfig(grokfast_lambda=1.0, warmup_steps=4), seed=3)
    straight = Training(config)
    expected = [(replace(step, weights=None), step.weights.clone()) for step in straight]
    first = Training(config)
    next(itertools.islice(first, at, None))
    state = {name: tensor.clone() for name, tensor in first.state().items()}
    resumed = [(replace(step, weights=None), step.weights.clone()) for step in Training(config, FromState(state))]
    assert [step for step, _ in resumed] == [step for step, _ in expected[at:]]
    for (_, mine), (_, theirs) in zip(resumed, expected[at:], strict=True):
        assert all(torch.equal(tensor, theirs.tensors()[name]) for name, tensor in mine.tensors().items())


def test_a_settled_run_stops_early_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp.training.loop.is_settled", lambda steps, *curves: steps[-1] >= 14)
    assert [step.index for step in train(replace(RUN, until_settled=True))][-1] == 14
    assert [step.index for step in train(RUN)][-1] == 20


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_diverges_says_so_and_keeps_what_it_yielded(engine: str) -> None:
    steps: list[int] = []
    run = train(replace(RUN, engine=engine, optimizer=OptimizerConfig(lr=1e25)))
    with pytest.raises(TrainingError, match=r"training loss is (nan|inf) at step \d+.*optimizer.lr"):
        steps.extend(step.index for step in run)
    assert steps == list(range(len(steps)))
    assert steps


def test_initial_weights_follow_the_seed_and_the_recipe() -> None:
    big = replace(RUN, task=ModularTask(p=97), model=ModelConfig(d_model=64, d_mlp=256))
    one, same = initial_weights(big), initial_weights(replace(big, split=SplitConfig(seed=1)))
    other = initial_weights(replace(big, seed=1))
    assert torch.equal(one.W_in, same.W_in)
    assert not torch.equal(one.W_in, other.W_in)
    assert float(one.W_in.std()) == pytest.approx(64**-0.5, rel=0.05)
    assert float(one.W_U.std()) == pytest.approx(98**-0.5, rel=0.05)
    assert one.b_in is not None
    assert not one.b_in.any()
    lens = initial_weights(replace(big, model=replace(big.model, init="transformer-lens", init_scale=2.0, biases="none")))
    assert float(lens.W_U.std()) == pytest.approx(2 * 0.8 * 64**-0.5, rel=0.05)
    assert lens.b_in is None


LOSSES = """
import logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
from interp.config.run_config import ModelConfig, RunConfig
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.training.loop import Training

def losses(threads):
    config = RunConfig(task=ModularTask(p=11), split=SplitConfig(fraction=0.5), engine="cpu", steps=5, threads=threads,
                       model=ModelConfig(d_model=16, n_heads=2, d_mlp=24))
    return [step.train_loss for step in Training(config)]
"""


def python(code: str, folder: Path, **environment: str) -> str:
    """Output of a fresh interpreter; a fault of its own, such as an OpenMP library that ends the process, fails the test."""
    process = subprocess.run(
        [sys.executable, "-c", LOSSES + code],
        env={**os.environ, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_correct_after_a_fork(tmp_path: Path) -> None:
    """A forked process must not use OpenMP at all: it uses one thread and says so."""
    output = python(
        """
import os
two, one = losses(2), losses(1)
sys.stdout.flush()
child = os.fork()
if child == 0:
    assert losses(2) == one
    sys.stdout.flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert losses(2) == two
print("both")
""",
        tmp_path,
    )
    assert "forked process" in output
    assert output.endswith("both\n")


def test_an_engine_goes_on_after_a_fork(tmp_path: Path) -> None:
    """One made before the fork, with two threads, computes the same in the child, without OpenMP."""
    output = python(
        """
import os
from interp.training.cpu.cpu_engine import CpuEngine
config = RunConfig(task=ModularTask(p=11), split=SplitConfig(fraction=0.5), engine="cpu", threads=2)
engine = CpuEngine(config)
expected = engine.gradient(), engine.evaluate()
child = os.fork()
if child == 0:
    assert (engine.gradient(), engine.evaluate()) == expected
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print("same")
""",
        tmp_path,
    )
    assert output.endswith("same\n")


def test_a_fork_is_noticed_whatever_was_used_and_imported_before_it(tmp_path: Path) -> None:
    """Torch has used its threads in the parent; all but `interp` itself is imported in the child, whose model is large."""
    code = """
import os, signal, torch, interp
torch.set_num_threads(2)
a = torch.ones(2000, 2000)
a @ a
child = os.fork()
if child == 0:
    signal.alarm(120)
    from dataclasses import replace
    config = replace(interp.recipe("demo"), threads=2, steps=2, until_settled=False)
    print(len(list(interp.train(config))), flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("3\n")


def test_what_is_stored_does_not_depend_on_torchs_own_threads() -> None:
    config = replace(RunConfig(), threads=1, steps=0)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            training = Training(config)
            found.append((training.engine.parameters.sum_squared(), float(training.engine.state()["norm"])))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_initial_scale_multiplies_every_tensor() -> None:
    config = replace(RUN, model=replace(RUN.model, init_scale=1.0))
    one = initial_weights(config).tensors()
    for name, tensor in initial_weights(replace(config, model=replace(config.model, init_scale=0.5))).tensors().items():
        assert torch.equal(tensor, 0.5 * one[name]), name


def test_correct_beside_another_threading_layer(tmp_path: Path) -> None:
    """Someone else has already started numba with another layer, whose threads would fight with torch's."""
    output = python(
        """
import numba
numba.config.THREADING_LAYER = "workqueue"

@numba.njit(parallel=True)
def total(n):
    result = 0
    for i in numba.prange(n):
        result += i
    return result

assert total(10) == 45
assert losses(2) == losses(2)
assert numba.config.THREADING_LAYER == "workqueue"
assert total(10) == 45
print(numba.threading_layer())
""",
        tmp_path,
    )
    assert "threading layer is workqueue" in output
    assert output.endswith("workqueue\n")


def test_the_process_is_left_as_it_was(tmp_path: Path) -> None:
    output = python(
        """
import numba, torch
before = torch.get_num_threads(), numba.config.THREADING_LAYER
losses(2), losses(1)
assert (torch.get_num_threads(), numba.config.THREADING_LAYER) == before
print("same")
""",
        tmp_path,
    )
    assert output.endswith("same\n")


@pytest.mark.slow
def test_compiles_where_nothing_can_be_written(tmp_path: Path) -> None:
    """An installation and a home that cannot be written to: no cache, but a word about the wait, and it works."""
    shutil.copytree(Path(interp.__file__).parent, tmp_path / "interp", ignore=shutil.ignore_patterns("__pycache__"))
    # A file in its way: even root cannot write there.
    (tmp_path / "interp" / "training" / "cpu" / "kernels" / "__pycache__").touch()
    (tmp_path / "home").touch()
    home = str(tmp_path / "home")
    output = python(
        "import interp; print(losses(1)[0] > 0, interp.__file__)",
        tmp_path,
        HOME=home,
        XDG_CACHE_HOME=home,
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert "compiling the fast CPU engine" in output
    assert f"True {tmp_path}" in output


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_the_pizza_recipe_learns_with_and_without_attention(rate: float) -> None:
    config = interp.recipe("pizza")
    config = replace(config, model=replace(config.model, attention_rate=rate), steps=60, evaluate_every=60, threads=1)
    steps = list(train(config))
    assert steps[0].weights.attention_rate == rate
    assert steps[0].weights.n_ctx == 2
    assert steps[-1].train_loss < 0.8 * steps[0].train_loss
