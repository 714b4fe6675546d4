"""interp.recording where a loop does what recordings do not expect: what was recorded stays, and nothing untrue is kept."""

from __future__ import annotations

import os
import random
from functools import partial

import numpy as np
import pytest
import torch
from own_loops import SPLIT, TASK, Tokens, own_loop, seeded
from torch import nn

import interp
from interp.errors import UsageError
from interp.loops import unchanged
from interp.loops.library_callbacks import _Teller
from interp.store.run_log import MISHAP, noted


@pytest.fixture
def recorded(tmp_path):
    return partial(interp.recording, task=TASK, split=SPLIT, root=tmp_path, checkpoints=[0, 10, 20])


def fused(model: nn.Module) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    model(torch.from_numpy(TASK.inputs)).square().sum().backward()
    optimizer.step()


def by_data(model: nn.Module) -> None:
    model.embed.weight.data.add_(1)


def replaced(model: nn.Module) -> None:
    model.unembed = nn.Linear(16, 7)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("change", [fused, by_data, replaced])
def test_a_model_that_was_updated_past_its_versions_is_not_saved_as_the_last(recorded, monkeypatch, caplog, change, whole):
    if not whole:
        monkeypatch.setattr(unchanged, "WHOLE", 100)
    model = seeded(Tokens)
    with recorded("last", model) as log:
        log.step(0)
        log.step(7)
        change(model)
    assert log.run.steps == (0,)
    assert "was updated after step 7" in caplog.text
    with recorded("same", model) as log:
        log.step(0)
        log.step(7)
        with torch.no_grad():
            model(torch.from_numpy(TASK.inputs))
    assert log.run.steps == (0, 7)


@pytest.mark.parametrize("change", ["added", "wrapped"])
def test_a_model_with_other_tensors_is_left_out_and_all_else_is_kept(recorded, caplog, change):
    model = seeded(Tokens)
    with recorded("changed", model) as log:
        own_loop(model, log=log, steps=15)
        if change == "added":
            model.register_buffer("seen", torch.zeros(3))
        else:
            model.mlp[1] = nn.Sequential(nn.Linear(32, 32), nn.ReLU())
        for step in range(16, 31):
            log.step(step, train_loss=1.5)
    run = log.run
    assert run.steps == (0, 10)
    assert (run.status, run.manifest.step) == ("finished", 30)
    assert run.history.test_loss.sel(step=20).item() > 0
    assert run.history.train_loss.sel(step=30).item() > 0
    assert run.verify() == ()
    assert caplog.text.count("the model was not saved") == 1
    assert noted(log.path, MISHAP)[0]["step"] == 20


# What is given


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"step": 10**12 + 5}, "step: given 1000000000005, expected an integer from 0 to 1,000,000,000,000"),
        ({"step": 2**63 + 5}, "step: given 9223372036854775813"),
        ({"step": -1}, "step: given -1"),
        ({"step": 1.0}, "step: given 1.0, expected an integer"),
        ({"step": True}, "step: given True"),
        ({"step": 1, "train_loss": torch.ones(2)}, r"train_loss: given Tensor of shape \(2,\), expected one number"),
        ({"step": 1, "train_loss": "low"}, "train_loss: given 'low'"),
    ],
)
def test_a_step_that_is_none_is_refused_and_nothing_is_written(recorded, given, told):
    with recorded("steps", seeded(Tokens)) as log:
        log.step(0)
        with pytest.raises(UsageError, match=told):
            log.step(**given)
        log.step(1)
    assert log.run.steps == (0, 1)
    assert log.run.verify() == ()


def complex_one() -> nn.Module:
    model = Tokens()
    model.phase = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    return model


def sparse_one() -> nn.Module:
    model = Tokens()
    model.register_buffer("table", torch.eye(3).to_sparse())
    return model


def short() -> nn.Module:
    return nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 7))  # there are eight tokens


def without_the_last() -> nn.Module:
    return nn.Sequential(nn.Embedding(6, 4), nn.Flatten(), nn.Linear(8, 7))  # the first two rows have only 0 and 1


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"checkpoints": 5}, "checkpoints: given 5, expected a CheckpointConfig, or a list of steps"),
        ({"checkpoints": np.arange(3.0)}, r"checkpoints: given .*expected a CheckpointConfig, or steps: integers"),
        ({"checkpoints": [True]}, r"checkpoints: given \[True\], expected a CheckpointConfig, or steps"),
        ({"evaluate_every": 0.5}, "evaluate_every: given 0.5, expected a number of steps"),
        ({"steps": np.int64(0)}, "steps: given .*0.*, expected a number of steps of at least 1"),
        ({"keys": 3}, "keys: given 3, expected a list"),
        ({"matrices": ["0.weight"]}, r"matrices: given \['0.weight'\], expected names of tensors"),
        ({"loss": nn.CrossEntropyLoss}, r"loss: given the class CrossEntropyLoss, expected a function.*CrossEntropyLoss\(\)"),
        ({"name": 5}, "name: given 5, expected a text of at most 200 bytes"),
        ({"name": "n" * 300}, "expected a text of at most 200 bytes"),
        ({"position": "x"}, "position: given 'x', expected an integer"),
        ({"sites": "mlp"}, "sites: given 'mlp', expected a list"),
        ({"inputs": 3}, "inputs: given 3, expected a function"),
        ({"model": complex_one()}, "tensor 'phase': given complex64, strided, expected real numbers"),
        ({"model": sparse_one()}, "tensor 'table': given float32, sparse_coo, expected .* dense"),
        ({"model": short(), "task": interp.ModularTask(7, equals_sign=True)}, "cannot be called with tokens"),
        ({"model": without_the_last(), "task": interp.ModularTask(7, equals_sign=False)},
         "cannot be called with tokens"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_at_the_start(tmp_path, how, told):
    how = {"name": "refused", "model": Tokens(), "task": TASK, "root": tmp_path, **how}
    with pytest.raises(UsageError, match=told):
        interp.recording(**how)
    assert list(tmp_path.iterdir()) == []


def test_integers_of_other_libraries_are_integers(recorded):
    how = {"position": np.int64(-1), "evaluate_every": np.int64(5), "steps": torch.tensor(20), "keys": np.array([1, 2])}
    with recorded("numpy", seeded(Tokens), checkpoints=np.arange(0, 21, 10), **how) as log:
        for step in np.arange(21):
            log.step(step)
    assert (log.run.steps, log.run.reason, log.run.verify()) == ((0, 10, 20), "budget", ())
    assert log.run.settings["checkpoints"] == {"steps": [0, 10, 20]}
    assert log.run.history.test_loss.dropna("step").step.values.tolist() == [0, 5, 10, 15, 20]


def test_analyses_get_copies(recorded):
    def greedy(view):
        for tensor in view.network.tensors().values():
            tensor.zero_()
        for tensor in view.network.activations(TASK.inputs).values():
            tensor.zero_()
        return {"nothing": 0.0}

    losses = own_loop(seeded(Tokens))
    model = seeded(Tokens)
    with recorded("greedy", model, analyses=[greedy], sites=["embed"]) as log:
        assert own_loop(model, log=log) == losses
    assert interp.observe(log.path).nothing.shape == (4,)


# How a run ends, and goes on


def test_a_run_of_another_budget_is_sound(recorded):
    with pytest.raises(KeyboardInterrupt), recorded("budget", seeded(Tokens)) as log:  # noqa: PT012  the loop is what is interrupted
        log.step(0)
        raise KeyboardInterrupt
    with recorded("budget", seeded(Tokens), steps=4) as log:
        log.step(4)
    assert (log.run.reason, log.run.verify()) == ("ended", ())


def test_a_loss_of_ones_own_that_is_not_finite_stops_also_at_an_evaluated_step(recorded):
    with recorded("nan", seeded(Tokens)) as log:
        log.step(0)
        log.step(10, train_loss=float("nan"))
        log.step(20)
    assert (log.run.status, log.run.reason, log.run.steps) == ("stopped", "non-finite", (0,))
    assert log.run.verify() == ()


def test_a_loss_that_is_not_finite_changes_no_stream_where_nothing_else_is_due(recorded):
    def drawing(view):
        return {"drawn": float(torch.rand(())) + random.random()}

    with recorded("nan", seeded(Tokens), checkpoints=interp.CheckpointConfig(), analyses=[drawing]) as log:
        for step in range(58):
            log.step(step)
        before = torch.get_rng_state(), random.getstate()
        log.step(58, train_loss=float("nan"))  # what was put off is measured now
        assert torch.equal(torch.get_rng_state(), before[0])
        assert random.getstate() == before[1]
    assert (log.run.status, log.run.reason) == ("stopped", "non-finite")


@pytest.mark.parametrize("variable", ["sum_squared_total", "restricted_loss", "test_loss", "tensor"])
def test_a_measure_by_the_name_of_a_built_in_one_is_left_out(recorded, caplog, variable):
    def mine(view):
        return {variable: 1.0}

    with recorded("names", seeded(Tokens), analyses=["progress_measures", mine]) as log:
        own_loop(seeded(Tokens), log=log)
    assert f"it measures '{variable}'" in caplog.text
    series = interp.observe(log.path)
    assert not (series[variable].values == 1.0).all()
    assert log.run.verify() == ()


def test_a_forked_child_tells_nothing(recorded):
    with recorded("forked", seeded(Tokens)) as log:
        log.step(0)
        if (child := os.fork()) == 0:
            try:
                log.step(10)
                log.step("none")
                log.__exit__(None, None, None)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        log.step(10)
    assert (log.run.steps, log.run.verify()) == ((0, 10), ())


def test_a_callback_says_that_a_training_begins_again_and_refuses_after_the_end(recorded, caplog):
    with recorded("twice", seeded(Tokens)) as log:
        teller = _Teller(log)
        for step in (0, 5, 5, 0, 5):
            teller.tell(step)
    assert caplog.text.count("begins again at step 0 after step 5") == 1
    assert "goes on at" not in caplog.text
    with pytest.raises(UsageError, match="given step 0 after the run was closed"):
        teller.tell(0)


def test_a_callback_says_once_that_a_training_goes_on_behind_the_run(recorded, caplog):
    with pytest.raises(KeyboardInterrupt), recorded("behind", seeded(Tokens)) as log:  # noqa: PT012  the loop is what is interrupted
        log.step(0)
        log.step(10)
        raise KeyboardInterrupt
    with recorded("behind", seeded(Tokens)) as log:
        teller = _Teller(log)
        for step in range(3, 13):
            teller.tell(step)
    assert caplog.text.count("is recorded after step 10") == 1
    assert log.last == 12


# Copies of the model


class Keeping(Tokens):
    """Keeps what it computed last."""

    def forward(self, tokens):
        self.kept = super().forward(tokens)
        return self.kept


def zero_headed() -> nn.Module:
    model = Tokens()
    nn.init.zeros_(model.unembed.weight)
    nn.init.zeros_(model.unembed.bias)
    return model


@pytest.mark.parametrize("make", [Keeping, zero_headed])
def test_a_model_that_keeps_an_activation_or_begins_at_zero_can_be_asked_again(recorded, make):
    model = seeded(make)
    with recorded("copied", model) as log:
        log.step(0)
        model(torch.from_numpy(TASK.inputs)).sum().backward()
    assert log.run[0].network.activations(TASK.inputs)["logits"].shape == (49, 7)
    assert noted(log.path, MISHAP) == () or not [line for line in noted(log.path, MISHAP) if "cop" in line["error"]]


class Tied(Tokens):
    """Reads with what it writes with, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.unembed = nn.Linear(16, 8, bias=False)
        self.unembed.weight = self.embed.weight
        self.register_buffer("mean", torch.full((5,), 100.0))


def test_weight_norms_are_of_distinct_parameters(recorded):
    model = seeded(Tied)
    with recorded("tied", model) as log:
        log.step(0)
    expected = sum(parameter.detach().double().square().sum().item() for parameter in model.parameters())
    for run in (log.run, interp.open_run(log.path)):
        series = interp.observe(run, "weight_norms")
        assert series.sum_squared_total.item() == pytest.approx(expected)
        assert list(series.tensor.values) == [name for name, _ in model.named_parameters()]
    assert interp.open_run(log.path)[0].network.facts()["not_parameters"] == ["mean", "unembed.weight"]
