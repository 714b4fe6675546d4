"""Subgroups, neurons on their cosets, and the panel that shows them beside representations."""

from __future__ import annotations

import re
from collections import Counter
from html import unescape
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from begun import begin_planted
from planted_run import saved

from interp import about, measures, observe, open_run, report
from interp.cli import main
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import UsageError
from interp.groups.by_name import group
from interp.groups.cayley import Group
from interp.groups.subgroup_names import structure_of
from interp.groups.subgroups import orders_of, subgroup_classes
from interp.harmonics import group_harmonics, irreps
from interp.networks.one_layer import Weights
from interp.networks.pair_tables import pair_tables
from interp.store.run import Run
from interp.store.writer import RunWriter, writing
from interp.synthetic import clock_weights, coset_weights, lookup_weights
from interp.tasks.known_forms import group_task
from interp.tasks.named import task
from interp.tasks.splits import SplitConfig

# Group, generators of the subgroup H, its name, whether its cosets need several representations.
CIRCUITS = {
    "S4, a point": ("S4", ["2134", "2314"], "S3", False),
    "S5, a point": ("S5", ["21345", "23415"], "S4", False),
    "S5, order 20": ("S5", ["23451", "13524"], "F20", False),
    "A5, a point": ("A5", ["23145", "21435"], "A4", False),
    "D5, a mirror": ("D5", ["s"], "Z2", True),
}
# How many subgroups there are, and classes of conjugates, with the group itself and the identity alone: of textbooks.
SUBGROUPS = {"S3": (6, 4), "S4": (30, 11), "S5": (156, 19), "A4": (10, 5), "A5": (59, 9), "Q8": (6, 6), "D4": (10, 8)}


@pytest.mark.parametrize("name", SUBGROUPS)
def test_subgroups_are_as_many_as_textbooks_have(name: str) -> None:
    made, classes = group(name), subgroup_classes(group(name))
    assert (sum(len(one.members) for one in classes) + 2, len(classes) + 2) == SUBGROUPS[name]
    every = [tuple(members) for one in classes for members in one.members.tolist()]
    assert len(set(every)) == len(every)
    for one in classes:
        assert one.order * one.index == made.order
        assert one.name in measures.coset_names(made)
        for members in one.members:
            assert np.isin(made.table[np.ix_(members, members)], members).all()
    assert len({one.name for one in classes}) == len(classes)


@pytest.mark.parametrize("name", ["S3", "Q8", "D5", "Z2xZ4", "A4"])
def test_every_subgroup_is_found(name: str) -> None:
    made = group(name)
    found = {tuple(members) for one in subgroup_classes(made) for members in one.members.tolist()}
    generated = {tuple(made.subgroup(few).tolist()) for k in (1, 2, 3) for few in combinations(range(made.order), k)}
    assert found == {members for members in generated if 1 < len(members) < made.order}


@pytest.mark.parametrize(
    "name", ["Z6", "D5", "D6", "Q8", "Q12", "S4", "A4", "A5", "S5", "Z2xZ4", "Z2xZ2xZ3", "Z3xZ3", "S3", "D3"]
)
def test_structures_have_the_names_of_the_groups(name: str) -> None:
    made = group(name)
    expected = {"Z2xZ2xZ3": "Z2xZ6", "D3": "S3"}.get(name, name)
    assert structure_of(made.table, np.arange(made.order), orders_of(made)) == expected


def test_what_few_numbers_do_not_settle_is_named_by_its_order() -> None:
    made = group("S3xZ3")
    assert structure_of(made.table, np.arange(18), orders_of(made)) == "order 18"
    assert measures.coset_names(group("Q8")) == ("Z4 ⟨i⟩", "Z4 ⟨j⟩", "Z4 ⟨k⟩", "Z2")


def test_too_many_subgroups_are_refused() -> None:
    with pytest.raises(UsageError, match=r"group Z2xZ2xZ2xZ2xZ2xZ2: it has more than 600 subgroups"):
        measures.coset_names(group("Z2xZ2xZ2xZ2xZ2xZ2"))


def circuit(name: str) -> tuple[Group, Weights, str, bool]:
    of, generators, subgroup, mixes = CIRCUITS[name]
    made = group(of)
    return made, coset_weights(made, torch.from_numpy(made.subgroup(generators)), amplitude=4.0), subgroup, mixes


@pytest.mark.parametrize("name", CIRCUITS)
def test_every_neuron_of_a_circuit_of_cosets_is_on_its_cosets(name: str) -> None:
    made, weights, subgroup, mixes = circuit(name)
    neurons = pair_tables(weights).neurons
    found = measures.neuron_cosets(neurons, group=made)
    assert found.counts == {subgroup: neurons.shape[1]}
    assert torch.allclose(found.share, torch.ones_like(found.share))
    parts = measures.neuron_parts(neurons, harmonics=group_harmonics(made))
    assert bool(parts.in_cluster.any()) != mixes


@pytest.mark.parametrize(("name", "irrep"), [("S4", "(3,1)"), ("S5", "(3,1,1)"), ("A5", "(4,1)"), ("Q8", "E1")])
def test_neurons_of_one_representation_are_on_no_cosets(name: str, irrep: str) -> None:
    made = group(name)
    rho = next(one for one in irreps(made) if one.name == irrep)
    matrices = rho.matrices.real if irrep != "E1" else rho.matrices
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(2, rho.dimension, 8, generator=generator, dtype=torch.float64) for _ in "ab")
    a = torch.einsum("xij,iu->xju", matrices, torch.complex(*left) if matrices.is_complex() else left[0].to(matrices.dtype))
    b = torch.einsum("xjk,ku->xju", matrices, torch.complex(*right) if matrices.is_complex() else right[0].to(matrices.dtype))
    neurons = torch.einsum("aju,bju->abu", a, b).reshape(made.order**2, 8)
    neurons = neurons.real if neurons.is_complex() else neurons
    parts = measures.neuron_parts(neurons, harmonics=group_harmonics(made))
    assert parts.counts == {irrep: 8}
    assert measures.neuron_cosets(neurons, group=made).counts == {}


@pytest.mark.parametrize("name", ["S3", "D5", "Q8", "A4", "S4"])
def test_the_largest_subgroup_is_that_of_asking_all_of_them(name: str) -> None:
    """Neurons between cosets and noise, each on other cosets, so that every shortcut has something to leave out."""
    made, generator = group(name), torch.Generator().manual_seed(1)
    n, classes = made.order, subgroup_classes(made)
    neurons = torch.randn(n * n, 60, generator=generator, dtype=torch.float64)
    for unit in range(60):
        members = classes[unit % len(classes)].members[0]
        low = torch.randn(n, n, generator=generator, dtype=torch.float64)
        table = torch.tensor(made.table)
        low = low[table[:, members].amin(dim=1)][:, table[members].amin(dim=0)]  # the same all over x K and K y
        neurons[:, unit] = low.flatten() + (unit / 60) * neurons[:, unit]
    found = measures.neuron_cosets(neurons, group=made)
    shares = {
        one.name: measures.coset_concentration(neurons, group=made, members=torch.from_numpy(one.members[0])) for one in classes
    }
    for unit in range(60):
        over = [(one.order, float(shares[one.name][unit]), one.name) for one in classes if shares[one.name][unit] > 0.85]
        assert found.subgroup[unit] == (max(over)[2] if over else None)
        assert not over or float(found.share[unit]) == pytest.approx(max(over)[1])
    assert found.counts == {name: number for name, number in Counter(found.subgroup).items() if name is not None}
    assert None in found.subgroup
    assert len(found.counts) > 1


def test_random_neurons_are_on_no_cosets() -> None:
    made, generator = group("S4"), torch.Generator().manual_seed(0)
    a, b = (torch.randn(24, 64, generator=generator) for _ in "ab")
    neurons = torch.relu(a[:, None] + b[None]).reshape(576, 64)
    neurons[:, 0] = 1.0
    found = measures.neuron_cosets(neurons, group=made)
    assert found.counts == {}
    assert found.dead.tolist() == [True] + [False] * 63
    assert bool(found.share.isnan().all())


def planted(path: Path, made: Group, models: list[Weights]) -> Run:
    """A run of a group whose checkpoints are these models, 20 steps apart."""
    first, last = models[0], 20 * (len(models) - 1)
    config = RunConfig(
        task=group_task(made), split=SplitConfig(fraction=0.5), engine="reference", threads=1, steps=max(last, 1),
        model=ModelConfig(d_model=first.d_model, n_heads=2, d_mlp=first.d_mlp), checkpoints=CheckpointConfig(log=0, every=20),
    )  # fmt: skip
    with writing(path):
        begin_planted(path, config, n_parameters=first.n_parameters)
        writer = RunWriter(path)
        for i, model in enumerate(models):
            writer.save(20 * i, model)
            writer.add_history(20 * i, dict.fromkeys(("train_loss", "test_loss", "train_accuracy", "test_accuracy"), 1.0))
        writer.finish(last, status="finished", reason="budget")
    return open_run(path)


def shuffled(model: Weights) -> Weights:
    """The same network with the embeddings of elements exchanged: on cosets of nothing."""
    tensors = model.tensors()
    order = torch.randperm(24, generator=torch.Generator().manual_seed(3))
    return Weights.from_tensors({**tensors, "W_E": torch.cat([tensors["W_E"][:24][order], tensors["W_E"][24:]])})


@pytest.mark.parametrize("name", ["S4, a point", "D5, a mirror"])
def test_the_panel_has_curves_by_subgroup_beside_those_by_representation(name: str, tmp_path: Path, capsys) -> None:
    made, weights, subgroup, mixes = circuit(name)
    run = planted(tmp_path / "run", made, [shuffled(weights) if made.order == 24 else weights, weights])
    series = observe(run, ["cosets_or_representations"])
    last = series.isel(step=-1)
    assert float(last["neurons_by_subgroup"].sel(subgroup=subgroup)) == 1
    assert float(last["neurons_by_subgroup"].sum()) == 1
    assert float(last["neurons_by_representation"].sum()) == (0 if mixes else 1)
    assert float(last["neurons_by_reading"].sel(reading="cosets alone" if mixes else "both")) == 1
    if made.order == 24:
        assert float(series.isel(step=0)["neurons_by_subgroup"].sum()) == 0
        assert float(series.isel(step=0)["neurons_by_reading"].sel(reading="neither")) == 1
    page = report(run, tmp_path / "page.html", analyses=["representations", "cosets_or_representations"])
    assert not page.failures
    text = " ".join(unescape(re.sub("<[^>]+>", "", page.html)).split())
    for told in (
        "Cosets of a subgroup, or representations",
        f"At the end 100 % of the neurons are on cosets of a subgroup ({subgroup} 100 %)",
    ):
        assert told in text
    with pytest.raises(SystemExit) as ended:
        main(["analyze", str(run.path), "-a", "cosets_or_representations"])
    assert not ended.value.code
    [told] = re.findall(r"neurons_by_subgroup \(subgroup \d+\) at step 20: (.*)", capsys.readouterr().out)
    assert {one.rpartition(" ")[0] for one in told.split(", ") if one.endswith(" 1")} == {subgroup}


def test_a_table_is_neither_and_says_so(tmp_path: Path) -> None:
    made = group("S4")
    train = np.arange(0, 576, 2)
    run = planted(tmp_path / "run", made, [lookup_weights(24, train, amplitude=20.0, labels=group_task(made).labels)] * 2)
    series = observe(run, ["cosets_or_representations"])
    assert series["neurons_by_reading"].sel(reading="neither").values.tolist() == [1.0, 1.0]


def test_where_there_are_no_cosets_the_question_is_left_out_with_the_reason(tmp_path: Path) -> None:
    clock = saved(tmp_path / "clock", [clock_weights(7, [1, 2])] * 2)
    assert (
        "in the place of representations"
        in about(observe(clock, ["cosets_or_representations"])).left_out["cosets_or_representations"]
    )
    from interp.observing.analysis import find_analyses
    from interp.observing.applying import Nature, does_not_apply

    [asked] = find_analyses(["cosets_or_representations"])
    for name, why in (
        ("x*y*x^-1 in S3", "the answers of x·y·x^-1 in S3 are not the products of a group".replace("·", "*")),
        ("Z2xZ2xZ2xZ2xZ2xZ2", "Z2xZ2xZ2xZ2xZ2xZ2: it has more than 600 subgroups, too many to list"),
        ("S3", None),
    ):
        assert does_not_apply(asked, Nature("one-layer", task(name))) == why
