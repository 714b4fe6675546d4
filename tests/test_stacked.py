"""Many runs in one batch: each computes what it computes alone, and none suffers from another's end."""

from __future__ import annotations

import weakref
from dataclasses import replace

import pytest
import torch
from engines import SMALL, configs, needs_cuda
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interp.config.run_config import OptimizerConfig, RunConfig
from interp.errors import TrainingError, UsageError
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.training.engine import Evaluation
from interp.training.lockstep import train_stacked
from interp.training.loop import Training
from interp.training.many import train_many
from interp.training.reference import ReferenceEngine
from interp.training.stacked.graphs import GraphedRuns
from interp.training.stacked.stacked_runs import StackedRuns

DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(config=configs(), runs=st.integers(1, 3))
def test_stacked_runs_equal_float64_autograd(device: str, config: RunConfig, runs: int) -> None:
    """The algebra of the CUDA engine, in float64: each of several runs, with its own split."""
    config = replace(config, dtype="float64", device=device)
    members = [replace(config, seed=seed, split=replace(config.split, seed=seed)) for seed in range(runs)]
    stack = StackedRuns(members)
    references = [ReferenceEngine(member) for member in members]
    for number, (parameters, reference) in enumerate(zip(stack.parameters, references, strict=True)):
        generator = torch.Generator().manual_seed(number)
        for name, tensor in parameters.weights.tensors().items():
            tensor.add_(0.3 * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype).to(device))
            reference.parameters.weights.tensors()[name].copy_(tensor)
    losses, evaluations = stack.gradient().tolist(), [Evaluation(*each) for each in stack.evaluate().T.tolist()]
    for number, reference in enumerate(references):
        assert losses[number] == pytest.approx(reference.gradient(), rel=1e-12)
        expected = reference.evaluate()
        assert evaluations[number].test_loss == pytest.approx(expected.test_loss, rel=1e-12)
        assert replace(evaluations[number], test_loss=0) == replace(expected, test_loss=0)
        whole = float(reference.parameters.gradient.norm())
        for name, gradient in reference.parameters.gradients.items():
            error = float((stack.parameters[number].gradients[name] - gradient).norm())
            assert error <= 1e-10 * max(float(gradient.norm()), 1e-3 * whole), name


OWN = [
    OptimizerConfig(weight_decay=1.0, warmup_steps=5),
    OptimizerConfig(lr=3e-3, grokfast_lambda=2.0),
    OptimizerConfig(beta1=0.8, norm_constraint=True),
]


@pytest.mark.parametrize("mode", ["off", "project", "rescale"])
def test_stacked_training_equals_each_single_run(mode: str) -> None:
    """Runs in one batch, each with its own seed and optimizer, one of them diverging, give each single run's steps."""
    diverges = OptimizerConfig(lr=1e38)
    members = [
        replace(SMALL, dtype="float64", seed=seed, optimizer=replace(optimizer, perpendicular_gradient=mode))
        for seed, optimizer in enumerate([*OWN, diverges])
    ]
    together: dict[int, list] = {number: [] for number in range(len(members))}
    for number, step in train_stacked(members):
        together[number].append(step if isinstance(step, Exception) else replace(step, weights=None))
    for number, member in enumerate(members[:3]):
        alone = list(Training(replace(member, engine="reference")))
        assert [step.index for step in together[number]] == [step.index for step in alone]
        for mine, theirs in zip(together[number], alone, strict=True):
            assert mine.train_loss == pytest.approx(theirs.train_loss, rel=1e-6)
            assert mine.test_accuracy == theirs.test_accuracy
    assert isinstance(together[3][-1], TrainingError)
    assert all(step.index == place for place, step in enumerate(together[3][:-1]))


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["W_E", "W_Q", "W_V", "W_in", "W_U", "b_in"])
def test_a_stacked_run_whose_loss_is_not_finite_is_noticed_and_spoils_no_other(poison: float, name: str) -> None:
    members = [replace(SMALL, seed=seed) for seed in range(2)]
    stack, clean = StackedRuns(members), StackedRuns(members)
    stack.parameters[0].weights.tensors()[name].view(-1)[0] = poison
    losses, expected = stack.gradient(), clean.gradient()
    assert not losses[0].isfinite()
    assert losses[1] == expected[1]
    assert torch.equal(stack.parameters[1].gradient, clean.parameters[1].gradient)


def test_runs_that_differ_in_shape_are_not_stacked() -> None:
    with pytest.raises(UsageError, match="stacked runs may differ"):
        StackedRuns([SMALL, replace(SMALL, task=ModularTask(11))])


def test_a_batch_shrinks_when_half_of_its_runs_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those left go on, in batches half as large, as if nothing had happened."""
    sizes, made = [], GraphedRuns.__init__
    monkeypatch.setattr(GraphedRuns, "__init__", lambda self, runs: sizes.append(len(runs)) or made(self, runs))
    diverges, wild = OptimizerConfig(lr=1e38), OptimizerConfig(lr=1e38, warmup_steps=1)
    good = replace(SMALL, dtype="float64", optimizer=OptimizerConfig(warmup_steps=3, grokfast_lambda=2.0))
    members = [replace(good, optimizer=each) for each in (diverges, wild)] + [good, replace(good, optimizer=diverges)]
    last: dict[int, object] = dict(train_stacked(members))
    assert sizes == [4, 2, 1]
    assert [isinstance(last[number], TrainingError) for number in range(4)] == [True, True, False, True]
    *_, alone = Training(replace(good, engine="reference"))
    assert last[2].index == alone.index
    assert last[2].train_loss == pytest.approx(alone.train_loss, rel=1e-6)
    assert last[2].test_accuracy == alone.test_accuracy


def test_runs_that_do_not_fit_into_memory_are_trained_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    made, seeds = GraphedRuns.__init__, []

    def little_memory(self: GraphedRuns, runs: list[RunConfig]) -> None:
        if len(runs) > 2 or any(run.seed == 4 for run in runs):
            raise torch.cuda.OutOfMemoryError("planted")
        seeds.append([run.seed for run in runs])
        made(self, runs)

    monkeypatch.setattr(GraphedRuns, "__init__", little_memory)
    last = dict(train_stacked([replace(SMALL, seed=seed) for seed in range(5)]))
    assert seeds == [[0, 1], [2], [3]]
    assert [isinstance(last[number], TrainingError) for number in range(5)] == [False] * 4 + [True]
    assert "does not fit" in str(last[4])


def test_no_batch_outlives_its_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that has shrunk, nor one that has ended, nor one that could not be made: the next may need its memory."""
    made, alive = GraphedRuns.__init__, []

    def watched(self: GraphedRuns, runs: list[RunConfig]) -> None:
        alive[:] = [each for each in alive if each() is not None]
        assert len(alive) <= (len(runs) < 4), "only the batch that a smaller one is made of may still be there"
        made(self, runs)
        alive.append(weakref.ref(self.runs))
        if len(runs) > 4:
            raise torch.cuda.OutOfMemoryError("planted")

    monkeypatch.setattr(GraphedRuns, "__init__", watched)
    ends = [OptimizerConfig(lr=1e38, warmup_steps=n) for n in (0, 0, 3)]
    members = [replace(SMALL, optimizer=optimizer) for optimizer in [*ends, OptimizerConfig()] * 2]
    errors, steps = [], []
    for number, step in train_stacked(members):
        if isinstance(step, Exception):
            errors.append(step)  # kept, as train_many's caller keeps it
        elif step.last:
            steps.append(number)
    assert (len(errors), steps) == (6, [3, 7])


def test_a_batch_that_has_no_room_to_shrink_goes_on_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(self: GraphedRuns, numbers: list[int]) -> GraphedRuns:
        raise torch.cuda.OutOfMemoryError("planted")

    monkeypatch.setattr(GraphedRuns, "only", no_room)
    last = dict(train_stacked([SMALL, replace(SMALL, optimizer=OptimizerConfig(lr=1e38))]))
    assert (last[0].index, isinstance(last[1], TrainingError)) == (SMALL.steps, True)


def test_a_run_that_cannot_be_begun_does_not_take_its_stack_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interp.training.many._can_be_stacked", lambda config: True)
    none_to_train = replace(SMALL, split=SplitConfig(fraction=1e-9))
    results = dict(train_many([SMALL, none_to_train, replace(SMALL, seed=1)]))
    assert [isinstance(results[number], Exception) for number in range(3)] == [False, True, False]
    assert "fraction" in str(results[1])


def test_runs_with_betas_near_one_are_stacked_as_precisely_as_they_train_alone() -> None:
    members = [replace(SMALL, optimizer=OptimizerConfig(beta2=beta)) for beta in (0.999, 1 - 1e-9)]
    last = dict(train_stacked(members))
    for number, member in enumerate(members):
        *_, alone = Training(replace(member, engine="reference"))
        assert last[number].train_loss == pytest.approx(alone.train_loss, rel=1e-3)
