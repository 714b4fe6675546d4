"""Other ways of training: against the reference engine, plain torch loops and themselves when interrupted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from other_networks import MODELS, OPTIMIZERS, SMALL, small

from interp.config.run_config import OptimizerConfig, RunConfig
from interp.errors import UsageError
from interp.losses import cross_entropy
from interp.networks.layered import Layered
from interp.training.batch_order import Batches, dropping
from interp.training.choice import engine_name, make_engine
from interp.training.general import GeneralEngine
from interp.training.loop import Training
from interp.training.reference import ReferenceEngine
from interp.training.torch_optimizers import decayed

CASES = {
    **{name: small(model) for name, model in MODELS.items()},
    **{name: small(optimizer=optimizer) for name, optimizer in OPTIMIZERS.items()},
    "dropout, batches": small(replace(MODELS["one layer, pre"], dropout=0.2), OPTIMIZERS["batches"]),
    "one layer, dropout": small(replace(SMALL.model, dropout=0.3)),
    "one layer, muon": small(SMALL.model, OPTIMIZERS["muon"]),
    "one layer, interventions": small(
        SMALL.model, OptimizerConfig(batch_size=8, grokfast_lambda=0.5, perpendicular_gradient="project", norm_constraint=True)
    ),
    "mlp, dropout": small(replace(MODELS["mlp"], dropout=0.2), OPTIMIZERS["sgd"]),
}  # fmt: skip


def losses(training: Training, *, until: int) -> list[float]:
    found = []
    for step in training:
        found.append(step.train_loss)
        if step.index == until:
            break
    return found


def test_without_anything_unusual_it_is_the_reference_engine_step_by_step() -> None:
    config = replace(SMALL, engine="reference")
    plain, general = ReferenceEngine(config), GeneralEngine(config)
    for _ in range(10):
        assert general.gradient() == pytest.approx(plain.gradient(), rel=1e-5)
        for name, gradient in plain.parameters.gradients.items():
            assert torch.allclose(general.parameters.gradients[name], gradient, atol=1e-6), name
        one, other = general.evaluate(), plain.evaluate()
        assert one.test_loss == pytest.approx(other.test_loss, rel=1e-5)
        assert (one.train_accuracy, one.test_accuracy) == (other.train_accuracy, other.test_accuracy)
        plain.update()
        general.update()
    for name, tensor in plain.parameters.weights.tensors().items():
        assert torch.allclose(general.parameters.weights.tensors()[name], tensor, atol=1e-5), name


@pytest.mark.parametrize("name", CASES)
def test_a_resumed_training_goes_on_bit_for_bit(name: str) -> None:
    config = CASES[name]
    whole = Training(config)
    expected = losses(whole, until=20)
    first = Training(config)
    losses(first, until=7)
    state = {key: value.clone() for key, value in first.state().items()}
    second = Training(config)
    second.load(state)
    assert losses(second, until=20) == expected[7:]
    assert torch.equal(second.engine.parameters.flat, whole.engine.parameters.flat)


@pytest.mark.parametrize("name", CASES)
def test_nothing_that_is_not_in_the_state_matters(name: str) -> None:
    """A state without the optimizer's memory goes on otherwise, where it has one: the test above can fail."""
    config, first = CASES[name], Training(CASES[name])
    losses(first, until=7)
    state = {key: value.clone() for key, value in first.state().items()}
    without = {key: value for key, value in state.items() if not key.endswith(("exp_avg", "momentum_buffer", "memory"))}
    without |= {key: torch.zeros_like(state[key]) for key in state.keys() - without.keys()}
    assert without.keys() == state.keys()
    both = []
    for given in (state, without):
        training = Training(config)
        training.load(given)
        losses(training, until=9)
        both.append(training.engine.parameters.flat.clone())
    assert not torch.equal(*both)


# The optimizers


PLAIN = {
    "adamw": lambda tensors, config: torch.optim.AdamW(
        tensors, lr=config.lr, weight_decay=config.weight_decay, betas=(0.9, 0.98)
    ),
    "adam": lambda tensors, config: torch.optim.Adam(tensors, lr=config.lr, weight_decay=config.weight_decay, betas=(0.9, 0.98)),
    "sgd": lambda tensors, config: torch.optim.SGD(tensors, lr=config.lr, weight_decay=config.weight_decay, momentum=0.8),
}


@pytest.mark.parametrize("name", PLAIN)
def test_an_optimizer_is_torchs_in_a_loop_written_by_hand(name: str) -> None:
    momentum = {"momentum": 0.8} if name == "sgd" else {}
    config = small(optimizer=OptimizerConfig(name=name, weight_decay=0.1, lr=0.01, **momentum))  # type: ignore[arg-type]
    training = Training(config)
    network = training.engine.parameters.weights
    tensors = {one: tensor.clone().requires_grad_() for one, tensor in network.tensors().items()}
    optimizer = PLAIN[name](list(tensors.values()), config.optimizer)
    train = config.split.draw(config.task).train
    inputs, labels = torch.from_numpy(config.task.inputs[train]), torch.from_numpy(config.task.labels[train])
    expected = []
    for _ in range(11):
        loss = cross_entropy(Layered(tensors, network.layout).logits(inputs), labels).mean()
        expected.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses(training, until=10) == pytest.approx(expected, rel=1e-4)


def test_muon_acts_on_the_matrices_inside_the_layers_and_adamw_on_the_rest() -> None:
    config = small(optimizer=OptimizerConfig(name="muon", weight_decay=0.1, lr=0.02))
    engine = make_engine(config)
    heads = {"attn.W_Q": lambda x: x.transpose(0, 1).flatten(1), "attn.W_O": lambda x: x.flatten(0, 1), "mlp.W_in": lambda x: x}
    now = engine.parameters.weights.tensors
    # The heads of W_Q side by side are one matrix, those of W_O one below the other.
    mine = {name: merged(now()[f"blocks.1.{name}"]).clone() for name, merged in heads.items()}
    muon = torch.optim.Muon(mine.values(), lr=0.02, momentum=0.9, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    embedding = now()["embed.W_E"].clone()
    adamw = torch.optim.AdamW([embedding], lr=0.02, betas=(0.9, 0.98), weight_decay=0.1)
    for _ in range(3):
        engine.gradient()
        for name, merged in heads.items():
            mine[name].grad = merged(engine.parameters.gradients[f"blocks.1.{name}"]).clone()
        embedding.grad = engine.parameters.gradients["embed.W_E"].clone()
        muon.step()
        adamw.step()
        engine.update()
    for name, merged in heads.items():
        assert torch.equal(merged(now()[f"blocks.1.{name}"]), mine[name]), name
    assert torch.allclose(now()["embed.W_E"], embedding, atol=1e-6)
    names = engine.state().keys()
    assert "adamw.blocks.0.attn.W_Q.momentum_buffer" in names
    assert "adamw.embed.W_E.exp_avg" in names
    assert "adamw.blocks.0.mlp.b_in.exp_avg" in names


def test_muon_needs_a_matrix_inside_a_layer() -> None:
    with pytest.raises(UsageError, match="given 'muon', but this network has no matrix inside a layer"):
        make_engine(small(MODELS["mlp"], OPTIMIZERS["muon"]))


def test_weight_decay_of_some_tensors_leaves_the_others() -> None:
    """Where the gradient is zero, decay alone changes a tensor."""
    config = small(optimizer=OptimizerConfig(decay_only=("matrices",), weight_decay=2.0, lr=0.01))
    engine = make_engine(config)
    for tensor in engine.parameters.weights.tensors().values():
        tensor.fill_(1.0)
    engine.parameters.gradient.zero_()
    engine.update()
    for name, tensor in engine.parameters.weights.tensors().items():
        assert torch.allclose(tensor, torch.full_like(tensor, 0.98 if ".W_" in name else 1.0)), name


def test_patterns_of_decayed_tensors() -> None:
    names = ["embed.W_E", "blocks.0.ln1.w", "blocks.0.mlp.b_in", "blocks.1.attn.W_Q"]
    assert decayed(names, OptimizerConfig()) == set(names)
    assert decayed(names, OptimizerConfig(decay_only=("blocks.*",))) == set(names[1:])
    assert decayed(names, OptimizerConfig(decay_only=("matrices",))) == {"embed.W_E", "blocks.1.attn.W_Q"}
    with pytest.raises(UsageError, match=r"given 'blocks\.7\.\*', which no tensor is named; expected matrices, or names"):
        decayed(names, OptimizerConfig(decay_only=("blocks.7.*",)))


# Batches and dropout


@pytest.mark.parametrize(("n", "size"), [(10, 3), (10, 10), (7, 1), (9, 8)])
def test_every_example_comes_once_in_an_epoch(n: int, size: int) -> None:
    batches = Batches(n, size=size, seed=4)
    per_epoch = -(-n // size)
    epochs = [[batches.rows(epoch * per_epoch + one) for one in range(per_epoch)] for epoch in range(3)]
    for epoch in epochs:
        assert sorted(torch.cat(epoch).tolist()) == list(range(n))
        assert {len(rows) for rows in epoch[:-1]} <= {size}
    if n > 5:
        assert torch.cat(epochs[0]).tolist() != torch.cat(epochs[1]).tolist()
    assert torch.equal(Batches(n, size=size, seed=4).rows(per_epoch + 0), epochs[1][0])
    assert Batches(100, size=50, seed=5).rows(0).tolist() != Batches(100, size=50, seed=4).rows(0).tolist()


def test_a_batch_s_gradient_is_that_of_its_rows() -> None:
    config = small(optimizer=OPTIMIZERS["batches"])
    engine, full = make_engine(config), make_engine(replace(config, optimizer=OptimizerConfig()))
    rows = Batches(len(config.split.draw(config.task).train), size=8, seed=0).rows(0)
    train = config.split.draw(config.task).train[rows.numpy()]
    inputs, labels = torch.from_numpy(config.task.inputs[train]), torch.from_numpy(config.task.labels[train])
    expected = cross_entropy(full.parameters.weights.logits(inputs), labels).mean()
    assert engine.gradient() == pytest.approx(float(expected), rel=1e-5)
    assert engine.gradient() != pytest.approx(full.gradient(), rel=1e-3)


def test_dropout_keeps_the_mean_and_depends_on_seed_and_update() -> None:
    ones = torch.ones(200, 200)
    drop = dropping(0.25, seed=1, update=3)
    assert drop is not None
    found = drop(ones)
    assert found.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float(found.mean()) == pytest.approx(1, abs=0.02)
    again, other = dropping(0.25, seed=1, update=3), dropping(0.25, seed=1, update=4)
    assert again is not None
    assert other is not None
    assert torch.equal(again(ones), found)
    assert not torch.equal(other(ones), found)
    assert dropping(0.0, seed=1, update=3) is None


def test_evaluation_drops_nothing() -> None:
    dropped = make_engine(small(replace(MODELS["two layers"], dropout=0.5)))
    plain = make_engine(small())
    assert dropped.evaluate() == plain.evaluate()
    assert dropped.gradient() != pytest.approx(plain.gradient(), rel=1e-3)


def test_evaluations_in_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make_engine(small())
    whole = engine.evaluate()
    monkeypatch.setattr("interp.training.general.EVALUATED_AT_ONCE", 5)
    parts = engine.evaluate()
    assert parts.test_loss == pytest.approx(whole.test_loss, rel=1e-5)
    assert (parts.train_accuracy, parts.test_accuracy) == (whole.train_accuracy, whole.test_accuracy)


# Which engine


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (small(), "2 layers"),
        (small(MODELS["mlp"]), "architecture 'mlp'"),
        (small(replace(SMALL.model, dropout=0.1)), r"dropout \(0\.1\)"),
        (small(SMALL.model, OPTIMIZERS["batches"]), r"batches \(of 8\)"),
        (small(SMALL.model, OPTIMIZERS["matrices"]), r"weight decay of some tensors only \(matrices\)"),
    ],
)
def test_fast_engines_refuse_with_the_reason(config: RunConfig, why: str) -> None:
    assert engine_name(config) == "reference"
    with pytest.raises(UsageError, match=f"engine 'cpu' cannot do this: {why}"):
        make_engine(replace(config, engine="cpu"))


def test_the_usual_run_keeps_its_engine() -> None:
    assert isinstance(make_engine(replace(SMALL, engine="reference")), ReferenceEngine)


def test_learning_rate_warms_up() -> None:
    config = small(optimizer=replace(OPTIMIZERS["sgd"], warmup_steps=5))
    training, seen = Training(config), []
    for step in training:
        seen.append(np.concatenate([tensor.detach().numpy().ravel() for tensor in step.weights.tensors().values()]))
        if step.index == 2:
            break
    assert np.array_equal(seen[0], seen[1])  # the first update has lr 0
    assert not np.array_equal(seen[1], seen[2])
