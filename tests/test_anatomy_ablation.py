"""Ablations: closed forms on built circuits, literal recomputation on random models, and what controls must not do."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from random_models import random_weights

from interp.anatomy import ablations
from interp.errors import UsageError
from interp.harmonics.cyclic import FourierBasis
from interp.harmonics.frames import addition, multiplication
from interp.losses import cross_entropy
from interp.networks.one_layer import forward
from interp.synthetic import clock_weights, lookup_weights, pizza_weights
from interp.tasks.modular import ModularTask

P, KEYS = 11, (2, 5)


@pytest.fixture(scope="module")
def clock():
    weights = clock_weights(P, KEYS, amplitude=6.0)
    return ablations(weights, harmonics=addition(P), keys=KEYS, controls=20)


def plain_loss(weights) -> float:
    task = ModularTask(weights.p)
    return cross_entropy(forward(weights, task.pairs).logits, torch.from_numpy(task.labels)).mean().item()


def test_the_circuit_is_the_key_frequencies_and_nothing_else(clock):
    full, chance = clock["nothing"].loss, math.log(P)
    for where in ("logits", "neurons", "embedding"):
        assert clock[f"{where}: only the key frequencies"].loss == pytest.approx(full, rel=1e-9), where
        assert clock[f"{where}: without the key frequencies"].loss == pytest.approx(chance, rel=1e-9), where
    assert clock["MLP: only the key directions"].loss == pytest.approx(full, rel=1e-9)
    assert clock["MLP: without the key directions"].loss == pytest.approx(chance, rel=1e-9)


def test_controls_at_the_logits_do_the_opposite(clock):
    """A built clock has nothing at other frequencies: keeping them leaves chance, dropping them changes nothing."""
    assert clock["logits: only the key frequencies"].controls == pytest.approx([math.log(P)] * 20)
    assert clock["logits: without the key frequencies"].controls == pytest.approx([clock["nothing"].loss] * 20)
    assert clock["logits: without 2"].controls == pytest.approx([clock["nothing"].loss] * 20)


def test_one_frequency_less_leaves_the_other(clock):
    for gone, left in ((2, 5), (5, 2)):
        alone = plain_loss(clock_weights(P, [left], amplitude=6.0))
        assert clock[f"logits: without {gone}"].loss == pytest.approx(alone, rel=1e-9)


def test_a_random_subspace_is_not_the_circuit(clock):
    kept = clock["MLP: only the key directions"]
    assert min(kept.controls) > 10 * kept.loss
    gone = clock["MLP: without the key directions"]
    assert max(gone.controls) < 0.1 * gone.loss


def test_heads_and_skips_of_a_built_clock(clock):
    full = clock["nothing"].loss
    assert clock["all heads: zero"].loss == pytest.approx(math.log(P), rel=1e-9)
    # Its attention is constant, and it writes past the skips: cutting them changes nothing.
    for name in ("attention skip: zero", "MLP skip: zero"):
        assert clock[name].loss == pytest.approx(full, rel=1e-9)
    for head in (0, 1):
        assert clock[f"head {head}: zero"].loss > 100 * full


@pytest.mark.parametrize("equals_sign", [True, False])
def test_heads_and_skips_agree_with_a_recomputed_forward_pass(equals_sign):
    weights = random_weights(p=5, equals_sign=equals_sign, n_heads=3, seed=4)
    found = ablations(weights, harmonics=addition(5), keys=(1,))
    assert found["nothing"].loss == pytest.approx(plain_loss(weights), rel=1e-9)
    act = forward(weights, ModularTask(5).pairs)
    labels = torch.from_numpy(ModularTask(5).labels)

    def loss(resid_mid: torch.Tensor, past: torch.Tensor | None = None) -> float:
        neurons = (resid_mid @ weights.W_in + weights.b_in).relu()
        past = resid_mid if past is None else past
        logits = (past + neurons @ weights.W_out + weights.b_out) @ weights.W_U + weights.b_U
        return cross_entropy(logits[:, :5], labels).mean().item()

    heads = torch.einsum("nhe,hed->nhd", act.z, weights.W_O)
    for head in range(3):
        without = act.resid_mid - heads[:, head]
        assert found[f"head {head}: zero"].loss == pytest.approx(loss(without), rel=1e-9)
        assert found[f"head {head}: mean"].loss == pytest.approx(loss(without + heads[:, head].mean(dim=0)), rel=1e-9)
    assert found["all heads: zero"].loss == pytest.approx(loss(act.resid_mid - heads.sum(dim=1)), rel=1e-9)
    assert found["attention skip: zero"].loss == pytest.approx(loss(act.resid_mid - act.embed[:, -1]), rel=1e-9)
    assert found["MLP skip: zero"].loss == pytest.approx(loss(act.resid_mid, act.resid_mid * 0), rel=1e-9)


def test_neurons_agree_with_a_recomputed_forward_pass():
    weights, basis = random_weights(p=6, seed=1), FourierBasis(6)
    found = ablations(weights, harmonics=addition(6), keys=(1, 3))
    act, labels = forward(weights, ModularTask(6).pairs), torch.from_numpy(ModularTask(6).labels)
    from planted import slow_projection

    waves = slow_projection(act.neurons, 6, (1, 3))

    def loss(neurons: torch.Tensor) -> float:
        return cross_entropy(act.logits + (neurons - act.neurons) @ weights.W_L.T, labels).mean().item()

    assert found["neurons: without the key frequencies"].loss == pytest.approx(loss(act.neurons - waves), rel=1e-9)
    kept = act.neurons.mean(dim=0) + waves
    assert found["neurons: only the key frequencies"].loss == pytest.approx(loss(kept), rel=1e-9)
    rows = torch.cat([basis.waves(k) for k in (1, 3)]) @ weights.W_L
    onto = torch.linalg.pinv(rows) @ rows
    assert found["MLP: only the key directions"].loss == pytest.approx(loss(act.neurons @ onto), rel=1e-9)
    assert found["MLP: without the key directions"].loss == pytest.approx(loss(act.neurons - act.neurons @ onto), rel=1e-9)


@pytest.mark.parametrize("equals_sign", [True, False])
def test_embedding_agrees_with_a_recomputed_forward_pass(equals_sign):
    weights, basis = random_weights(p=7, equals_sign=equals_sign, seed=2), FourierBasis(7)
    found = ablations(weights, harmonics=addition(7), keys=(2,))
    rows, keys = weights.residue_embedding, basis.waves(2)
    removed = keys.T @ (keys @ rows)
    rest = weights.W_E[7:]
    without, only = torch.cat([rows - removed, rest]), torch.cat([rows.mean(dim=0) + removed, rest])
    assert found["embedding: without the key frequencies"].loss == pytest.approx(
        plain_loss(replace(weights, W_E=without)), rel=1e-9
    )
    assert found["embedding: only the key frequencies"].loss == pytest.approx(plain_loss(replace(weights, W_E=only)), rel=1e-9)


def test_degree_two_fit_replaces_clustered_neurons_only():
    weights = pizza_weights(13, [3], amplitude=8.0)
    found = ablations(weights, harmonics=addition(13), keys=(3,), controls=3)
    act, basis = forward(weights, ModularTask(13).pairs), FourierBasis(13)
    from interp.measures import degree_two_fit, neuron_frequencies

    clusters = neuron_frequencies(act.neurons, harmonics=addition(basis.p))
    fit = degree_two_fit(act.neurons, harmonics=addition(basis.p), frequency=clusters.frequency)
    neurons = torch.where(clusters.in_cluster, fit, act.neurons)
    logits = act.logits + (neurons - act.neurons) @ weights.W_L.T
    expected = cross_entropy(logits, torch.from_numpy(ModularTask(13).labels)).mean().item()
    assert found["neurons: degree-2 fit"].loss == pytest.approx(expected, rel=1e-9)
    assert len(set(found["neurons: degree-2 fit"].controls)) == (3 if clusters.counts else 1)


def test_multiplication_is_ablated_over_exponents():
    table = lookup_weights(7, range(49), amplitude=5.0, operation="multiply")
    found = ablations(table, harmonics=multiplication(7), keys=(1, 2, 3), controls=2)
    assert found["nothing"].loss == pytest.approx(math.log1p(5 * math.exp(-5)), rel=1e-9)
    assert found["logits: without the key frequencies"].loss == pytest.approx(math.log(6), rel=1e-9)
    # All frequencies are key: there are no others to draw as controls.
    assert found["logits: without the key frequencies"].controls == ()


def test_controls_are_drawn_from_a_seed_and_differ(clock):
    weights = clock_weights(5, [1], amplitude=3.0)
    how = {"harmonics": addition(5), "keys": (1,), "controls": 4}
    one, same, other = (ablations(weights, seed=seed, **how) for seed in (0, 0, 1))
    assert one == same
    assert one != other
    assert len(set(one["head 0: zero"].controls)) == 4
    before = torch.get_rng_state()
    ablations(weights, **how)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_controls_by_default_and_never_a_negative_number():
    weights = replace(clock_weights(5, [1]))
    found = ablations(weights, harmonics=addition(5), keys=(1,))
    assert all(ablation.controls == () for ablation in found.values())
    with pytest.raises(UsageError, match="controls: given -1"):
        ablations(weights, harmonics=addition(5), keys=(1,), controls=-1)
