"""The models that interp.recording takes: what is refused with the reason, and a module as a network."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch
from own_loops import SPLIT, TASK, Output, Pairs, Tokens, Wrapped, own_loop, seeded
from torch import nn

import interp
from interp.errors import DataError, UsageError
from interp.networks.module_network import ModuleNetwork, module_maker
from interp.store.run_log import MISHAP, noted


@pytest.fixture
def recorded(tmp_path):
    return partial(interp.recording, task=TASK, split=SPLIT, root=tmp_path, checkpoints=[0, 10, 20])


# What is refused


@pytest.mark.parametrize(
    ("model", "how", "told"),
    [
        (nn.Embedding(8, 4), {}, r"logits of shape \(2, 4\).*at least the 7 classes"),
        (nn.Sequential(nn.Embedding(8, 5), nn.Flatten(), nn.Linear(15, 6)), {}, r"logits of shape \(2, 6\)"),
        (nn.Linear(3, 7), {}, "cannot be called with tokens of shape"),
        (nn.Sequential(nn.Embedding(8, 7), nn.Flatten(0)), {}, r"float32 of shape \(42,\) for 2 rows"),
        (Pairs(), {}, "cannot be called.*inputs="),
        (Tokens(), {"position": 3}, "position: given 3, but the model answers at 3 positions"),
        (Tokens(), {"sites": ["mpl"]}, "unknown site 'mpl'; did you mean 'mlp'"),
        (Tokens(), {"matrices": {"W_E": "embed.wieght"}}, "did you mean 'embed.weight'"),
        (Tokens(), {"matrices": {"b": "unembed.bias"}}, "expected a name and a matrix"),
        (Tokens(), {"loss": "cross-entropy"}, "did you mean 'cross_entropy'"),
        (Tokens(), {"loss": lambda logits, labels: 3.0}, "loss: given float"),
        (Tokens(), {"keys": [9]}, "9"),
        (Tokens(), {"split": interp.SplitConfig().draw(interp.ModularTask(5))}, "of the 49 rows"),
        (Tokens(), {"checkpoints": interp.CheckpointConfig(every=0)}, "without steps="),
        (Tokens(), {"checkpoints": interp.CheckpointConfig(moments=(3,))}, "your optimizer is not seen"),
        (Tokens(), {"checkpoints": [1.5]}, "expected a CheckpointConfig, or steps"),
        (Tokens(), {"analyses": "attention_patterns"}, "analyses: attention_patterns: it reads a one-layer"),
        (Tokens(), {"steps": 0}, "steps: given 0"),
        (Tokens(), {"task": 59}, "task: given int"),
        (nn.Identity(), {}, "has no tensors"),
        (3, {}, "model: given int"),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_anything_is_written(tmp_path, model, how, told):
    with pytest.raises(UsageError, match=told):
        interp.recording("refused", model, **{"task": TASK, "split": SPLIT, "root": tmp_path, **how})
    assert list(tmp_path.iterdir()) == []


def test_steps_outside_the_block_and_steps_that_do_not_ascend_are_errors(recorded):
    log = recorded("order", seeded(Tokens))
    with pytest.raises(UsageError, match="given step 3 before it was opened"):
        log.step(3)
    with log:
        log.step(3)
        with pytest.raises(UsageError, match="given step 3, expected one of at least 4: steps ascend"):
            log.step(3)
        with pytest.raises(UsageError, match=r"step: given 3\.5, expected an integer"):
            log.step(3.5)
    with pytest.raises(UsageError, match="'order': given step 4 after the run was closed at step 3"):
        log.step(4)
    with pytest.raises(UsageError, match="opened before"), log:
        pass


# The network


def test_a_module_is_a_network_of_its_tensors_and_sites():
    model = seeded(Wrapped).eval()
    network = ModuleNetwork(model, lambda tokens: {"input_ids": tokens}, sites=("mlp.0",))
    found = network.activations(TASK.inputs)
    tokens = torch.from_numpy(TASK.inputs)
    with torch.no_grad():
        assert torch.equal(found["logits"], model(tokens).logits[:, -1])
        assert torch.equal(found["mlp.0"], model.mlp[0](model.embed(tokens).cumsum(dim=1)))
    assert isinstance(network, interp.Network)
    assert not model.mlp[0]._forward_hooks
    json.dumps(network.facts())


def test_many_rows_go_through_in_parts_with_the_same_answers(monkeypatch):
    from interp.networks import module_network

    network = ModuleNetwork(seeded(Tokens), sites=("mlp",))
    whole = network.activations(TASK.inputs)
    monkeypatch.setattr(module_network, "_ROWS", 10)
    parts = network.activations(TASK.inputs)
    assert all(torch.allclose(parts[name], whole[name], atol=1e-6) for name in whole)


def test_a_maker_refuses_another_module(recorded):
    with recorded("maker", seeded(Tokens)) as log:
        log.step(0)
    with pytest.raises(DataError, match=r"tensor 'embed.weight': \(8, 16\) is stored, the module that was built has \(8, 8\)"):
        interp.open_run(log.path, network=module_maker(lambda: Tokens(width=8)))[0]
    opened = interp.open_run(log.path, network=interp.module_maker(Tokens))
    logits = opened[0].network.activations(TASK.inputs)["logits"]
    assert torch.equal(logits, log.run[0].network.activations(TASK.inputs)["logits"])


def test_an_output_that_holds_no_logits_is_described():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(1))

        def forward(self, tokens):
            return [Output(tokens), {"a": 1}]

    with pytest.raises(UsageError, match=r"a list of \(Output with logits int64 of shape \(49, 3\), dict\)"):
        ModuleNetwork(Odd()).activations(TASK.inputs)


def test_a_model_whose_copy_is_no_copy_is_recorded_and_not_asked_again(recorded):
    model = seeded(Tokens)
    plain = model.forward
    model.forward = lambda tokens: plain(tokens)  # noqa: PLW0108  a function that holds on to this model
    with recorded("patched", model) as log:
        own_loop(model, log=log)
    assert log.run.status == "finished"
    assert len(log.run.steps) == 4
    assert "goes on answering with the weights that it was copied from" in noted(log.path, MISHAP)[0]["error"]
    with pytest.raises(UsageError, match="goes on answering"):
        log.run[10]
    series = interp.observe(log.path)  # what was measured as it went on
    assert series.sum_squared_total.shape == (4,)
    assert "restricted_loss" not in series
    assert not interp.about(series).failures
