"""Runs of other networks from the command line to the page: recorded, killed, resumed, verified, measured, told, written out."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from other_networks import MODELS, OPTIMIZERS, SMALL, small
from recorded import at_step, content

import interp
from interp.config.run_config import OptimizerConfig, RunConfig
from interp.errors import DataError, UsageError
from interp.harmonics.cyclic import CyclicHarmonics
from interp.interop import export_weights, load_weights
from interp.networks.layered import Layered
from interp.observing.key_rules import is_read, rule_for
from interp.observing.keys import key_frequencies
from interp.observing.summary import summary
from interp.store.tensors import unpack_network
from interp.training.demand import demand
from interp.training.fitting import Room, check_run

RUNS = {
    "layered": small(replace(MODELS["two layers, post"], dropout=0.1), OPTIMIZERS["batches"]),
    "mlp": small(MODELS["mlp"], OPTIMIZERS["sgd"]),
    "one layer, muon": small(SMALL.model, OPTIMIZERS["muon"]),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_killed_run_is_resumed_to_the_same_bytes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = interp.record(RUNS[name], tmp_path, "whole", progress=False)
    with monkeypatch.context() as patched:
        at_step(patched, 13, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            interp.record(RUNS[name], tmp_path, "cut", progress=False)
    assert interp.open_run(tmp_path / "cut").status == "interrupted"
    cut = interp.resume(tmp_path / "cut", progress=False)
    assert content(cut) == content(whole)
    assert cut.verify() == ()
    longer = interp.resume(cut, steps=40, progress=False)
    straight = interp.record(replace(RUNS[name], steps=40), tmp_path, "straight", progress=False)
    assert longer[40].sha256 == straight[40].sha256


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> interp.Run:
    config = replace(small(MODELS["three layers, pre"]), steps=200, checkpoints=interp.CheckpointConfig(log=0, every=100))
    return interp.record(config, tmp_path_factory.mktemp("runs"), "layered", progress=False)


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> interp.Run:
    config = replace(small(MODELS["mlp"]), steps=100, checkpoints=interp.CheckpointConfig(log=0, every=50))
    return interp.record(config, tmp_path_factory.mktemp("runs"), "mlp", progress=False)


def test_what_applies_is_measured_and_the_rest_left_out_with_a_reason(layered: interp.Run, mlp: interp.Run) -> None:
    for run in (layered, mlp):
        series = interp.observe(run)
        about = interp.about(series)
        assert not about.failures
        assert about.key_rule == "logits"
        assert {"restricted_loss", "excluded_loss", "logit_share", "sum_squared_total"} <= set(series.data_vars)
        assert ("embedding_norm" in series) == (run is layered)
        assert "neuron_logit_norm" not in series
        for name in ("attention_patterns", "clock_or_pizza", "neuron_frequencies", "forecast"):
            assert f"this is a network of kind {run.kind!r}" in about.left_out[name]


def test_the_figure_of_one_neuron_does_not_apply(layered: interp.Run, mlp: interp.Run) -> None:
    for run in (layered, mlp):
        for neuron in (0, 10**6):
            with pytest.raises(UsageError, match=f"figure neuron: it does not apply to this run, .* of kind '{run.kind}'"):
                interp.figures.figure(run, "neuron", neuron=neuron)


def test_key_frequencies_of_the_logits_are_those_that_were_planted() -> None:
    class Planted:
        kind = "planted"

        def tensors(self) -> dict[str, torch.Tensor]:
            return {}

        def facts(self) -> dict[str, object]:
            return {}

        def activations(self, inputs: np.ndarray) -> dict[str, torch.Tensor]:
            a, b = torch.from_numpy(inputs[:, :2]).T
            angle = 2 * torch.pi * ((a + b)[:, None] - torch.arange(11)) / 11
            noise = torch.randn(len(inputs), 11, generator=torch.Generator().manual_seed(0))
            return {"logits": 3 * (2 * angle).cos() + (5 * angle).cos() + 0.5 * (3 * angle).cos() + 0.1 * noise}

    task = interp.ModularTask(11)
    assert key_frequencies(Planted(), task=task) == (2, 5)  # 3 has a sixth of the largest norm
    assert key_frequencies(Planted(), "logits", task=task) == (2, 5)
    assert key_frequencies(Planted(), "coefficients", task=task) == (2, 5)
    assert key_frequencies(Planted(), "neurons", task=task) == ()


def test_the_rule_logits_reads_a_one_layer_transformer_too() -> None:
    from interp.synthetic import clock_weights

    weights = clock_weights(13, [2, 5])
    assert key_frequencies(weights, "logits") == key_frequencies(weights) == (2, 5)
    assert CyclicHarmonics(13).names == tuple(range(1, 7))


def test_which_rule_is_meant() -> None:
    assert rule_for("one-layer", "unembedding") == "unembedding"
    assert rule_for("other", "embedding") == "embedding"
    assert not is_read("other", "embedding", is_known=True)
    assert not is_read("other", "unembedding", is_known=False)
    assert is_read("other", [3], is_known=False)


def test_summary_and_page_tell_it(layered: interp.Run, mlp: interp.Run, tmp_path: Path) -> None:
    for run, told in (
        (layered, "A transformer of 3 layers (2 heads and 10 neurons each, LayerNorm before each part"),
        (mlp, "An MLP"),
    ):
        found = summary(run)
        assert found["key_frequencies"]["rule"] == "logits"
        page = interp.report(run, tmp_path / "page.html")
        assert not page.failures
        assert told in page.html


def test_activations_are_streamed_by_site(layered: interp.Run, mlp: interp.Run) -> None:
    found = list(interp.activations(layered, ["blocks.2.mlp.hook_post", "ln_final.hook_normalized"], steps=[0, 200]))
    assert [step for step, _ in found] == [0, 200]
    assert found[1][1]["blocks.2.mlp.hook_post"].shape == (49, 3, 10)
    pairs = np.array([[1, 2], [3, 4]])
    ((_, one),) = interp.activations(mlp, "mlp.hook_post", steps=100, pairs=pairs)
    ((_, both),) = interp.activations(mlp, None, steps=100)
    assert torch.equal(one["mlp.hook_post"], both["mlp.hook_post"][[1 * 7 + 2, 3 * 7 + 4]])
    with pytest.raises(UsageError, match=r"blocks\.2\.mlp\.hook_pos"):
        interp.activations(layered, "blocks.2.mlp.hook_pos")


def test_a_checkpoint_says_that_it_is_none_of_one_layer(layered: interp.Run) -> None:
    assert isinstance(layered.last.network, Layered)
    for wrong in (layered.last, layered.last.network):
        with pytest.raises(UsageError, match=r"given a network of kind 'layered-transformer', expected a one-layer transformer"):
            interp.HookedModel(wrong)


def test_exported_files_are_read_by_their_tools(layered: interp.Run, mlp: interp.Run, tmp_path: Path) -> None:
    checkpoint = layered.last
    file = export_weights(checkpoint, tmp_path / "own.safetensors")
    step, network = unpack_network(file.read_bytes(), where="file")
    logits = checkpoint.network.activations(SMALL.task.inputs)["logits"]
    assert step == 200
    assert torch.equal(network.activations(SMALL.task.inputs)["logits"], logits)
    legacy = torch.load(export_weights(checkpoint, tmp_path / "legacy.pt"), weights_only=True)
    assert torch.equal(legacy["blocks.2.ln1.w"], checkpoint.network.tensors()["blocks.2.ln1.w"])
    bridged = torch.load(export_weights(checkpoint, tmp_path / "bridge.pt", "bridge"), weights_only=True)
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources.native import boot

    bridge = boot(TransformerBridgeConfig(**bridged["config"]))
    bridge.load_state_dict(bridged["state_dict"], strict=False)
    head = bridged["state_dict"]["unembed.bias"]
    theirs = bridge(torch.from_numpy(SMALL.task.inputs))[:, -1]
    assert torch.allclose(theirs - bridge.unembed.original_component.bias + head, logits, atol=1e-4)
    with pytest.raises(UsageError, match="which TransformerLens does not have; export it as safetensors"):
        export_weights(mlp.last, tmp_path / "mlp.pt")
    with pytest.raises(DataError):
        load_weights(file)


def test_a_fork_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    config = replace(RUNS["layered"], checkpoints=replace(SMALL.checkpoints, moments=(10,)))
    parent = interp.record(config, tmp_path, "parent", progress=False)
    same = interp.fork(parent, 10, name="same", progress=False)
    assert same[30].sha256 == parent[30].sha256
    other = interp.fork(parent, 10, name="other", progress=False, optimizer__lr=1e-2)
    assert other[30].sha256 != parent[30].sha256
    fresh = interp.fork(parent, 20, moments="fresh", name="fresh", progress=False)
    assert fresh[20].sha256 == parent[20].sha256
    with pytest.raises(UsageError, match="its task and model are the same"):
        interp.fork(parent, 10, name="deeper", progress=False, model__n_layers=3)


def test_changes_that_mean_the_same_for_any_network_act() -> None:
    plain = interp.Training(small())
    noted = interp.Training(replace(small(), changes=("5:optimizer.lr=0.02", "10:norm=0.5", "12:noise=0.1", "3..9:pairs=0.4")))
    both = [[step.train_loss for step in training] for training in (plain, noted)]
    assert both[0][:3] == both[1][:3]
    assert both[0][15:] != both[1][15:]


def test_a_study_of_depths_trains(tmp_path: Path) -> None:
    base = replace(small(optimizer=OPTIMIZERS["sgd"]), steps=10)
    vary = {"model.n_layers": [1, 2]}
    study = interp.Study(base, vary=vary, seeds=[0], name="depths", root=tmp_path, measures=["progress_measures"])
    study.run(progress=False, workers=1)
    again = interp.open_study(tmp_path / "depths")
    assert len(again.outcomes()) == 2
    assert set(again.outcomes()["model.n_layers"]) == {1, 2}


@pytest.mark.parametrize("name", [*MODELS])
def test_demand_grows_with_what_makes_a_run_large(name: str) -> None:
    config = small(MODELS[name])
    least = demand(config, "reference", threads=1)
    larger = replace(config, task=interp.ModularTask(97), split=SMALL.split)
    more = demand(larger, "reference", threads=1)
    assert more.memory > least.memory
    assert more.seconds > least.seconds
    batched = demand(replace(larger, optimizer=OptimizerConfig(batch_size=8)), "reference", threads=1)
    assert batched.memory <= more.memory
    assert batched.seconds < more.seconds


def test_a_run_that_does_not_fit_is_refused_with_the_number_to_blame() -> None:
    large = replace(small(MODELS["two layers"]), model=replace(MODELS["two layers"], d_mlp=10**7))
    with pytest.raises(UsageError, match=r"model\.d_mlp: given 10,000,000: such a run takes, by estimate, .* of memory"):
        check_run(large, room=Room(4e9))


def test_training_is_logged_with_the_engine_and_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="interp"):
        interp.Training(small())
    assert "engine: reference, because the cpu engine cannot do 2 layers" in caplog.text


def test_epsilon_is_told_of_adam_alone(tmp_path: Path) -> None:
    run = interp.record(RUNS["one layer, muon"], tmp_path, "muon", progress=False)
    health = interp.run_health(run)
    assert health["epsilon_share"] is None
    assert 0 <= health["collapsed"] <= 1


def test_a_usual_config_is_untouched_by_all_this() -> None:
    assert RunConfig().unusual is None
    assert interp.Training(replace(SMALL, engine="reference")).engine.__class__.__name__ == "ReferenceEngine"
