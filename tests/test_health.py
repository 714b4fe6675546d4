"""Numerical health of a recorded run: from its history, its last checkpoint, and the optimizer's state while it has one."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import pytest
import torch

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import NotFiniteError, TrainingError
from interp.keeping.recorder import record
from interp.losses import cross_entropy
from interp.measures import collapsed
from interp.observing.numerics import run_health
from interp.observing.summary import summary
from interp.store.resume import read_resume
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.training import loop

CONFIG = RunConfig(
    task=ModularTask(p=7),
    split=SplitConfig(fraction=0.5),
    model=ModelConfig(d_model=8, n_heads=2, d_mlp=12),
    checkpoints=CheckpointConfig(log=0, every=10),
    steps=20,
    evaluate_every=10,
    engine="reference",
    threads=1,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return record(CONFIG, tmp_path_factory.mktemp("health"), "run", progress=False)


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    original = loop.Training._step

    def step(training, train_loss):
        found = original(training, train_loss)
        if found.index == 13:
            signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(loop.Training, "_step", step)
    with pytest.raises(KeyboardInterrupt):
        record(CONFIG, tmp_path, "run", progress=False)
    return interp.open_run(tmp_path / "run")


@pytest.mark.parametrize("scale", [1.0, 5.0, 20.0, 60.0, 1e9, 1e30])
def test_collapsed_pairs_are_those_of_an_ordinary_loss(scale):
    generator = torch.Generator().manual_seed(3)
    logits, labels = scale * torch.randn(900, 114, generator=generator)[:, :113], torch.randint(113, (900,), generator=generator)
    logits[torch.arange(400), labels[:400]] += 5 * scale
    ordinary = torch.nn.functional.cross_entropy(logits, labels, reduction="none") == 0
    assert torch.equal(collapsed(logits, labels), ordinary)
    assert bool(ordinary.any()) == (scale > 1)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_nothing_is_said_of_pairs_whose_answers_are_no_numbers(bad):
    logits = torch.tensor([[1.0, 0.0], [bad, 0.0]])
    with pytest.raises(NotFiniteError, match="losses: 1 of 2 values"):
        collapsed(logits, torch.tensor([0, 0]))
    if bad == -torch.inf:  # an answer that is never given takes nothing from the others
        assert collapsed(logits, torch.tensor([0, 1])).tolist() == [False, True]


def test_a_young_run_is_healthy(run):
    found = run_health(run)
    assert (found["step"], found["collapsed"], found["spikes"], found["not_finite"], found["warnings"]) == (20, 0, [], None, [])
    assert found["epsilon_from"] == "gradient"
    assert 0 <= found["epsilon_share"] < 0.5
    assert json.loads(json.dumps(found)) == found


def test_the_gradient_is_that_of_the_training_loss(run):
    """Moving the weights against it lowers the loss by what its norm says."""
    found, weights, split = run_health(run, step=10), run[10].weights, run.split
    total = found["gradient_ratio"]["total"]
    norm = sum(float(t.double().square().sum()) for t in weights.tensors().values()) ** 0.5
    pairs, labels = (torch.from_numpy(values[split.train]) for values in (CONFIG.task.pairs, CONFIG.task.labels))
    leaves = weights.to(dtype=torch.float64).map(lambda tensor: tensor.requires_grad_())
    loss = cross_entropy(interp.forward(leaves, pairs).all_logits, labels).mean()
    gradients = torch.autograd.grad(loss, list(leaves.tensors().values()))
    assert total * norm == pytest.approx(sum(float(g.square().sum()) for g in gradients) ** 0.5, rel=1e-4)


def test_moments_are_taken_from_a_run_that_has_them(interrupted):
    found = run_health(interrupted)
    assert found["epsilon_from"] == "second moments"
    state = read_resume(interrupted.path).tensors
    below = (state["engine.adamw.exp_avg_sq"].double() / (1 - 0.98 ** int(state["index"]))).sqrt() < 1e-8
    assert found["epsilon_share"] == pytest.approx(below.double().mean().item())
    assert run_health(interrupted, step=0)["epsilon_from"] == "gradient"


def test_a_collapsed_run_is_called_so(run, monkeypatch):
    original = type(run).__getitem__

    def larger(self, step):
        found = original(self, step)
        return replace(found, network=replace(found.weights, W_U=found.weights.W_U * 1e4))

    monkeypatch.setattr(type(run), "__getitem__", larger)
    found = run_health(run)
    assert found["collapsed"] > 0.1
    assert "exactly 0" in found["warnings"][0]


def test_the_summary_has_it(run):
    assert summary(run)["health"] == run_health(run)


def test_training_itself_stops_where_a_loss_is_not_finite(tmp_path):
    with pytest.raises(TrainingError):
        record(replace(CONFIG, optimizer=replace(CONFIG.optimizer, lr=1e30)), tmp_path, "run", progress=False)
