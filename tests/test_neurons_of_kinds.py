"""Questions about neurons, asked of every kind of network that has some; and what is said where they cannot be asked."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from begun import begin_planted

import interp
from interp import about, measures, observe, open_run, report
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import UsageError
from interp.groups.by_name import group
from interp.harmonics import group_harmonics
from interp.networks.layered import Layered
from interp.networks.two_embeddings import TwoEmbeddings
from interp.observing.view import View
from interp.store.run import Run
from interp.store.writer import RunWriter, writing
from interp.synthetic import coset_logits
from interp.tasks.known_forms import group_task
from interp.tasks.splits import SplitConfig

BOTH = ["representations", "cosets_or_representations"]


def recorded(root: Path, task: str, **model: object) -> Run:
    """A short run."""
    config = RunConfig(
        task=interp.task(task), split=SplitConfig(fraction=0.6, seed=1),
        model=ModelConfig(d_model=16, n_heads=2, **{"d_mlp": 24, **model}),
        checkpoints=CheckpointConfig(log=0, every=20), steps=40, engine="reference", threads=1,
    )  # fmt: skip
    return interp.record(config, root=root, name="run", progress=False)


def last_view(run: Run) -> View:
    """Its last checkpoint as an analysis sees it."""
    return View(run.steps[-1], run.last.network, run.task, run.split, (), {})


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub("<[^>]+>", "", html)).split())


def mlp_of_cosets(name: str, members: list[str]) -> TwoEmbeddings:
    """relu([a: k -> i] + [b: j -> k] - 1) for all i, j, k, each writing j -> i, where an element moves coset k to i."""
    made = group(name)
    inside = made.subgroup(members)
    cosets = sorted({frozenset(made.table[x, inside].tolist()) for x in range(made.order)}, key=min)
    m = len(cosets)
    moves = torch.tensor(
        [
            [[float(frozenset(made.table[x, sorted(coset)].tolist()) == target) for coset in cosets] for target in cosets]
            for x in range(made.order)
        ]
    ).double()
    i, j, k = (index.flatten() for index in torch.meshgrid(*[torch.arange(m)] * 3, indexing="ij"))
    tensors = {
        "embed_a.W_E": moves[:, i, k],
        "embed_b.W_E": moves[:, k, j],
        "mlp.b_in": -torch.ones(m**3).double(),
        "unembed.W_U": moves[:, i, j].T.contiguous(),
    }
    return TwoEmbeddings(tensors)


@pytest.mark.parametrize(
    ("name", "members", "subgroup", "reading"),
    [("S4", ["2134", "2314"], "S3", "both"), ("D5", ["s"], "Z2", "cosets alone")],
)
def test_a_circuit_of_cosets_is_found_in_an_mlp_of_two_embeddings(
    name: str, members: list[str], subgroup: str, reading: str, tmp_path: Path
) -> None:
    network, task = mlp_of_cosets(name, members), group_task(group(name))
    inside = torch.from_numpy(group(name).subgroup(members))
    assert torch.equal(network.logits(torch.from_numpy(task.pairs)), coset_logits(group(name), inside))
    path = tmp_path / "run"
    config = RunConfig(
        task=task, split=SplitConfig(fraction=0.5), engine="reference", threads=1, steps=20, dtype="float64",
        model=ModelConfig(architecture="mlp", d_mlp=network.embeddings[0].shape[1]),
        checkpoints=CheckpointConfig(log=0, every=20),
    )  # fmt: skip
    with writing(path):
        begin_planted(path, config, n_parameters=network.n_parameters, kind=network.kind)
        writer = RunWriter(path)
        for step in (0, 20):
            writer.save(step, network)
            writer.add_history(step, dict.fromkeys(("train_loss", "test_loss", "train_accuracy", "test_accuracy"), 1.0))
        writer.finish(20, status="finished", reason="budget")
    run = open_run(path)
    series = observe(run, BOTH)
    assert about(series).left_out == {}
    last = series.isel(step=-1)
    assert float(last["neurons_by_subgroup"].sel(subgroup=subgroup)) == 1
    assert float(last["neurons_by_reading"].sel(reading=reading)) == 1
    page = report(run, tmp_path / "page.html", analyses=BOTH)
    assert not page.failures
    assert f"At the end 100 % of the neurons are on cosets of a subgroup ({subgroup} 100 %)" in text_of(page.html)


@pytest.mark.parametrize(("layers", "normalization"), [(1, "pre"), (2, "pre"), (2, "post"), (2, "none"), (3, "none")])
def test_neurons_of_a_layered_transformer_are_the_last_layers(layers: int, normalization: str, tmp_path: Path) -> None:
    run = recorded(tmp_path, "S3", n_layers=layers, normalization=normalization)
    network, made = run.last.network, group("S3")
    assert isinstance(network, Layered)
    with torch.no_grad():
        values = network.activations(run.task.inputs)
    view = last_view(run)
    neurons = view.neurons
    assert torch.allclose(neurons, values[f"blocks.{layers - 1}.mlp.hook_post"][:, -1], atol=1e-6)
    assert torch.allclose(view.logits, values["logits"][:, :6], atol=1e-5)
    assert torch.equal(view.circuit.neurons, neurons)
    series = observe(run, BOTH)
    assert about(series).left_out == {}
    last = series.isel(step=-1)
    cosets, parts = measures.neuron_cosets(neurons, group=made), measures.neuron_parts(neurons, harmonics=group_harmonics(made))
    alive = int((~cosets.dead).sum())
    for subgroup in measures.coset_names(made):
        assert float(last["neurons_by_subgroup"].sel(subgroup=subgroup)) == cosets.counts.get(subgroup, 0) / alive
    for name in group_harmonics(made).names:
        assert int(last["part_neurons"].sel(representation=name)) == parts.counts.get(name, 0)
    assert ("part_share_W_L" in series) == (normalization == "none")
    page = report(run, tmp_path / "page.html", analyses=BOTH)
    assert not page.failures
    assert ("Neuron-logit map W_L" in page.html) == (normalization == "none")


@pytest.mark.parametrize("tied", [False, True])
def test_the_map_from_neurons_to_logits_is_what_the_last_neurons_add(tied: bool, tmp_path: Path) -> None:
    run = recorded(tmp_path, "S3", n_layers=2, tied_unembedding=tied)
    network = run.last.network
    silent = {name: torch.zeros_like(one) if name == "blocks.1.mlp.W_out" else one for name, one in network.tensors().items()}
    inputs = run.task.inputs
    with torch.no_grad():
        added = network.activations(inputs)["logits"] - network.with_tensors(silent).activations(inputs)["logits"]
    assert network.W_L is not None
    assert torch.allclose(network.at_the_end(inputs)[1] @ network.W_L.T, added, atol=1e-6)
    assert torch.equal(last_view(run).circuit.W_L, network.W_L[:6])


def test_without_a_linear_map_or_neurons_it_is_said(tmp_path: Path) -> None:
    normed = recorded(tmp_path / "normed", "S3", normalization="pre")
    assert not last_view(normed).circuit.has_W_L
    with pytest.raises(UsageError, match="no linear map leads from the neurons"):
        _ = last_view(normed).circuit.W_L
    bare = recorded(tmp_path / "bare", "S3", architecture="attention-only", n_layers=2, d_mlp=ModelConfig().d_mlp)
    assert not last_view(bare).circuit.has_W_L
    with pytest.raises(UsageError, match="expected one that has an MLP"):
        _ = last_view(bare).neurons


def test_what_the_kind_of_network_leaves_out_is_not_said_to_have_no_meaning(tmp_path: Path) -> None:
    run = recorded(tmp_path, "S3", architecture="attention-only", n_layers=2, d_mlp=ModelConfig().d_mlp)
    page = report(run, tmp_path / "page.html")
    assert not page.failures
    text = text_of(page.html)
    why = "It reads neurons, and the layers of this transformer have no MLP."
    asked = (
        "These questions, which are asked of other runs, are not measured here: Which representations of the group is it made of?"
    )
    assert f"{why} {asked}" in text
    assert "no meaning" not in text
    assert "Cosets of a subgroup, or representations?" in text.partition(why)[2]


@pytest.mark.parametrize(("name", "commutes"), [("S3", False), ("x*y*x^-1 in S3", False), ("Z6", True), ("Z2xZ2", True)])
def test_of_a_table_that_commutes_is_spoken_where_the_operation_does(name: str, commutes: bool, tmp_path: Path) -> None:
    run = recorded(tmp_path, name)
    table = run.task.labels.reshape(run.task.p, run.task.p)
    assert np.array_equal(table, table.T) == commutes
    text = text_of(report(run, tmp_path / "page.html", analyses=["accuracy_by_split"]).html)
    assert "The pairs that are held out are not all alike." in text
    assert ("table that has noticed that the operation commutes" in text) == commutes
