"""Circuits in groups whose parts are known: representations, cosets, tables; every measure of waves is exact on them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from begun import begin_planted
from groups import character_logits as by_hand
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_run import saved

from interp import about, measures, observe, open_run, report
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import NotFiniteError, UsageError
from interp.groups.by_name import group
from interp.groups.cayley import Group
from interp.harmonics import addition, group_harmonics
from interp.losses import cross_entropy
from interp.networks.one_layer import forward
from interp.networks.pair_tables import pair_tables
from interp.store.writer import RunWriter, writing
from interp.synthetic import (
    character_logits,
    clock_logits,
    clock_weights,
    coset_logits,
    coset_weights,
    lookup_logits,
    lookup_weights,
)
from interp.tasks.known_forms import group_task
from interp.tasks.splits import SplitConfig

# Group, subgroup by its generators, the representations other than the trivial one that leave something fixed under it.
COSETS = {
    "S4, a point": ("S4", ["2134", "2314"], ["(3,1)"]),
    "S5, a point": ("S5", ["21345", "23415"], ["(4,1)"]),
    "S5, order 20": ("S5", ["23451", "13524"], ["(2,2,1)"]),
    "A5, a point": ("A5", ["23145", "21435"], ["(4,1)"]),
    "D5, a mirror": ("D5", ["s"], ["E1", "E2"]),
    "Z2xS3, a point": ("Z2xS3", ["(0,213)"], ["0 x (2,1)", "1 x (3)", "1 x (2,1)"]),
}


def subgroup(name: str) -> tuple[Group, torch.Tensor, list[str]]:
    of, generators, names = COSETS[name]
    made = group(of)
    return made, torch.from_numpy(made.subgroup(generators)), names


@pytest.mark.parametrize("name", COSETS)
def test_the_cosets_circuit_is_exact_and_right(name: str) -> None:
    made, members, _ = subgroup(name)
    task = group_task(made)
    for equals_sign in (True, False):
        weights = coset_weights(made, members, amplitude=3.0, equals_sign=equals_sign)
        assert torch.equal(forward(weights, task.pairs).logits, coset_logits(made, members, amplitude=3.0))
    logits = coset_logits(made, members)
    assert torch.equal(logits.argmax(dim=1), torch.from_numpy(task.labels))
    # By the definition: how many cosets x H are moved alike.
    cosets = [frozenset(made.table[x, members].tolist()) for x in range(made.order)]
    different = sorted(set(cosets), key=min)
    moved = [[cosets[made.table[g, min(coset)]] for coset in different] for g in range(made.order)]
    for a, b, c in [(1, 3, 2), (made.order - 1, 4, 5)]:
        ab = made.table[a, b]
        assert logits[a * made.order + b, c] == sum(x == y for x, y in zip(moved[ab], moved[c], strict=True))


@pytest.mark.parametrize("name", COSETS)
def test_every_measure_finds_the_representations_of_the_cosets(name: str) -> None:
    made, members, names = subgroup(name)
    harmonics, weights = group_harmonics(made), coset_weights(made, members, amplitude=2.0)
    labels, logits = harmonics.line, coset_logits(made, members, amplitude=2.0)
    plain = cross_entropy(logits, labels)
    shares = dict(
        zip(harmonics.names, measures.part_shares(weights.W_E[: made.order], harmonics=harmonics).tolist(), strict=True)
    )
    assert {name for name, share in shares.items() if share > 1e-9} == set(names)
    assert sum(shares.values()) == pytest.approx(1)
    assert set(measures.key_frequencies_from_matrix(weights.W_L[: made.order], harmonics=harmonics)) <= set(names)
    how = {"harmonics": harmonics, "keys": names}
    assert torch.allclose(measures.restricted_loss(logits, labels, **how), plain, atol=1e-9)
    excluded = measures.excluded_loss(logits, labels, **how)
    assert torch.allclose(excluded, torch.full_like(excluded, math.log(made.order)), atol=1e-9)
    fit = measures.character_fit(logits, labels, **how)
    assert fit.fve.item() == pytest.approx(1)
    assert torch.allclose(fit.loss, plain, atol=1e-9)


@pytest.mark.parametrize("name", ["S4, a point", "D5, a mirror"])
def test_neurons_of_the_cosets_circuit_are_on_cosets_and_on_its_representations(name: str) -> None:
    made, members, names = subgroup(name)
    harmonics, weights = group_harmonics(made), coset_weights(made, members)
    neurons = pair_tables(weights).neurons
    concentration = measures.coset_concentration(neurons, group=made, members=members)
    assert torch.allclose(concentration, torch.ones_like(concentration))
    shares = measures.unit_shares(neurons, harmonics=harmonics)
    kept = [i for i, one in enumerate(harmonics.names) if one in names]
    assert float(shares[[i for i in range(len(shares)) if i not in kept]].max()) < 1e-9
    if len(names) == 1:
        found = measures.neuron_parts(neurons, harmonics=harmonics)
        assert found.counts == {names[0]: neurons.shape[1]}
        assert torch.allclose(found.share, torch.ones_like(found.share))
        assert set(found.part) == set(names)


KEYS = {
    "S4": ["(3,1)"],
    "S5": ["(4,1)", "(3,1,1)"],
    "Q8": ["E1"],
    "A4": ["(3,1)", "(2,2)+"],
    "Z2xZ4": ["1 x 1", "0 x 1"],
    "D5": ["E1", "A2"],
}


@pytest.mark.parametrize(("name", "keys"), KEYS.items())
def test_a_circuit_of_representations_is_found_exactly(name: str, keys: list[str]) -> None:
    made = group(name)
    harmonics, logits = group_harmonics(made), character_logits(made, keys, amplitude=4.0)
    labels, how = harmonics.line, {"harmonics": harmonics, "keys": keys}
    plain = cross_entropy(logits, labels)
    assert torch.equal(logits.argmax(dim=1), labels)
    assert torch.allclose(measures.restricted_loss(logits, labels, **how), plain, atol=1e-9)
    assert torch.allclose(measures.excluded_loss(logits, labels, **how), torch.full_like(plain, math.log(made.order)), atol=1e-9)
    alpha = measures.character_coefficients(logits, harmonics=harmonics)
    assert {one for one, value in zip(harmonics.names, alpha.tolist(), strict=True) if value > 1e-6} == set(keys)
    assert measures.character_fit(logits, labels, **how).fve.item() == pytest.approx(1)
    alone = measures.character_fit(logits, labels, harmonics=harmonics, keys=keys[:1])
    assert alone.fve.item() == pytest.approx(
        float(alpha[list(harmonics.names).index(keys[0])] ** 2 / measures.centred_energy(logits))
    )
    shown = measures.unit_shares(logits, harmonics=harmonics)
    assert torch.allclose(shown.sum(dim=0), torch.ones(made.order, dtype=torch.float64))


def test_the_formula_is_the_trace_of_matrices_and_what_is_written_by_hand() -> None:
    assert torch.allclose(character_logits(group("S4"), ["(3,1)"], amplitude=2.0), by_hand(4, ["standard"], amplitude=2.0))
    assert torch.allclose(character_logits(group("Z7"), [2], amplitude=3.0), 2 * clock_logits(7, [2], amplitude=3.0))
    with pytest.raises(UsageError, match=r"unknown irreducible representation '\(5,1\)'"):
        character_logits(group("S4"), ["(5,1)"])


def test_a_table_has_no_share_in_any_part_beyond_chance() -> None:
    made, rng = group("S4"), np.random.default_rng(0)
    task, harmonics = group_task(made), group_harmonics(made)
    train = np.sort(rng.permutation(576)[:288])
    logits = lookup_logits(24, train, amplitude=20.0, labels=task.labels)
    loss = cross_entropy(logits, harmonics.line)
    assert float(loss[train].max()) < 1e-6
    rest = np.setdiff1d(np.arange(576), train)
    assert torch.allclose(loss[rest], torch.full((288,), math.log(24), dtype=torch.float64))
    assert measures.character_fit(logits, harmonics.line, harmonics=harmonics, keys=harmonics.names).fve.item() == pytest.approx(
        0.5, abs=0.02
    )
    weights = lookup_weights(24, train, amplitude=20.0, labels=task.labels)
    assert torch.equal(forward(weights, task.pairs).logits, logits)
    # One neuron a pair: all parts alike, by their number of functions of the pair.
    neurons = pair_tables(weights).neurons
    sizes = torch.tensor([round(float(harmonics.projector([name]).trace())) for name in harmonics.names])
    expected = ((sizes + 1) ** 2 - 1) / (24**2 - 1)
    assert torch.allclose(measures.unit_shares(neurons, harmonics=harmonics), expected[:, None].double().expand(-1, 288))
    members = torch.from_numpy(made.subgroup(["2134", "2314"]))
    blocks = measures.coset_concentration(neurons, group=made, members=members)
    assert torch.allclose(blocks, torch.full_like(blocks, (1 / 36 - 1 / 576) / (1 - 1 / 576)))


@settings(max_examples=20)
@given(st.integers(2, 11), st.integers(0, 1000))
def test_for_addition_they_are_the_measures_of_frequencies(p: int, seed: int) -> None:
    harmonics = addition(p)
    x = torch.randn(p * p, p, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    keys = list(harmonics.names)[: 1 + seed % 3]
    ours = measures.character_fit(x, harmonics.line, harmonics=harmonics, keys=keys)
    theirs = measures.cos_fit(x, harmonics.line, harmonics=harmonics, keys=keys)
    assert torch.allclose(ours.alpha, theirs.alpha)
    assert torch.allclose(ours.loss, theirs.loss)
    assert torch.allclose(ours.fve, theirs.fve)
    assert torch.allclose(measures.unit_shares(x, harmonics=harmonics), measures.frequency_shares(x, harmonics=harmonics))
    shares = measures.part_shares(x[:p], harmonics=harmonics)
    norms = measures.embedding_spectrum(x[:p], harmonics=harmonics).frequencies.square()
    assert torch.allclose(shares, norms / norms.sum())


@pytest.mark.parametrize("name", ["S3", "Q8", "A4"])
def test_shares_do_not_change_when_both_sides_are_moved(name: str) -> None:
    made = group(name)
    harmonics, n = group_harmonics(made), made.order
    x = torch.randn(n * n, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    table, g = torch.tensor(made.table), n - 2
    moved = x.reshape(n, n, 4)[table[g]][:, table[:, g]].reshape(n * n, 4)
    assert torch.allclose(measures.unit_shares(moved, harmonics=harmonics), measures.unit_shares(x, harmonics=harmonics))
    assert float(measures.unit_shares(x, harmonics=harmonics).sum(dim=0).max()) <= 1 + 1e-9


def test_dead_units_and_bad_input() -> None:
    made = group("S3")
    harmonics = group_harmonics(made)
    x = torch.ones(36, 2)
    x[:, 1] = torch.arange(36)
    found = measures.neuron_parts(x, harmonics=harmonics)
    assert found.dead.tolist() == [True, False]
    assert found.part[0] is None
    members = torch.from_numpy(made.subgroup(["213"]))
    assert measures.coset_concentration(x, group=made, members=members).isnan().tolist() == [True, False]
    with pytest.raises(UsageError, match="expected a subgroup"):
        measures.coset_concentration(x, group=made, members=torch.tensor([1, 2]))
    with pytest.raises(UsageError, match=r"expected \(36, ...\): a row per pair"):
        measures.coset_concentration(x[:30], group=made, members=members)
    with pytest.raises(UsageError, match=r"expected \(6, ...\): a row per group element"):
        measures.part_shares(x, harmonics=harmonics)
    with pytest.raises(NotFiniteError):
        measures.neuron_parts(x * math.nan, harmonics=harmonics)
    few = replace(harmonics, line=harmonics.line[:30], rows=torch.arange(30))
    with pytest.raises(UsageError, match="have 30 rows, expected all 36 pairs"):
        measures.unit_shares(x[:30], harmonics=few)
    for members, message in (([0, 1, 3], "expected a subgroup"), ([0, 3, 4], "the subgroup contains a normal one")):
        with pytest.raises(UsageError, match=message):
            coset_weights(made, members)


def test_the_page_of_a_group_shows_its_representations_and_that_of_addition_does_not_speak_of_them(tmp_path: Path) -> None:
    made, members, _ = subgroup("S4, a point")
    weights = coset_weights(made, members, amplitude=4.0)
    config = RunConfig(
        task=group_task(made), split=SplitConfig(fraction=0.5), engine="reference", threads=1, steps=20,
        model=ModelConfig(d_model=weights.d_model, n_heads=2, d_mlp=weights.d_mlp),
        checkpoints=CheckpointConfig(log=0, every=20),
    )  # fmt: skip
    with writing(tmp_path / "cosets"):
        begin_planted(tmp_path / "cosets", config, n_parameters=weights.n_parameters)
        writer = RunWriter(tmp_path / "cosets")
        for step in (0, 20):
            writer.save(step, weights)
            writer.add_history(step, dict.fromkeys(("train_loss", "test_loss", "train_accuracy", "test_accuracy"), 1.0))
        writer.finish(20, status="finished", reason="budget")
    run = open_run(tmp_path / "cosets")
    series = observe(run, ["representations", "progress_measures"])
    last = series.isel(step=-1)
    assert float(last["part_share_W_E"].sel(representation="(3,1)")) == pytest.approx(1)
    assert float(last["part_share_W_L"].sel(representation="(3,1)")) == pytest.approx(1)
    assert int(last["part_neurons"].sel(representation="(3,1)")) == weights.d_mlp
    assert float(last["character_fve"]) == pytest.approx(1)
    assert about(series).key_frequencies == ("(3,1)",)
    page = report(run, tmp_path / "page.html")
    assert not page.failures
    assert "Which representations of the group is it made of" in page.html
    assert "characters explain" in re.sub("<[^>]+>", "", page.html)
    plain = saved(tmp_path / "clock", [clock_weights(7, [1, 2])] * 2)
    page = report(plain, tmp_path / "page.html")
    assert not page.failures
    assert "representations" not in page.html.replace("representations.py", "")
    assert about(observe(plain)).missed == {}
    assert "in the place of representations" in about(observe(plain, ["representations"])).left_out["representations"]
