"""Neurons, heads, spectra, W_L and sums of squares: planted circuits, literal definitions, bad input."""

from __future__ import annotations

import math
from inspect import unwrap

import pytest
import torch
from planted import MODULI, grid_waves, labels, random_logits, slow_projection, slow_share, some_frequencies

from interp.errors import UsageError
from interp.harmonics.cyclic import FourierBasis
from interp.harmonics.frames import addition, subtraction
from interp.harmonics.harmonics import take_logits
from interp.measures import (
    circle,
    cos_coefficients,
    cos_fit,
    degree_two_fit,
    embedding_spectrum,
    frequency_shares,
    head_frequencies,
    key_frequencies_from_neurons,
    logit_spectrum,
    neuron_frequencies,
    neuron_logit_map,
    sum_squared_weights,
    top_components,
)
from interp.networks.one_layer import forward
from interp.synthetic import clock_logits, clock_weights, lookup_logits, lookup_weights, mixture, pizza_logits, pizza_weights
from interp.tasks.modular import ModularTask


def random_units(p: int, units: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(p * p, units, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).relu()


# Neurons


@pytest.mark.parametrize("p", MODULI)
def test_shares_agree_with_the_literal_definition(p):
    units = random_units(p)
    shares = frequency_shares(units, harmonics=addition(p))
    assert shares.shape == (p // 2, 5)
    for k in range(1, p // 2 + 1):
        for j in range(5):
            expected = slow_share(units[:, j], p, k)
            assert shares[k - 1, j].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("p", MODULI)
def test_a_pure_neuron_has_share_one_wherever_its_wave_runs(p):
    basis = FourierBasis(p)
    for k in some_frequencies(p):
        for combination in ("a", "b", "sum", "difference"):
            units = torch.stack(grid_waves(p, k, combination), dim=1) + 3.0
            found = neuron_frequencies(units, harmonics=addition(basis.p))
            assert (found.frequency == k).all()
            assert torch.allclose(found.share, torch.ones(1, dtype=torch.float64), atol=1e-9)
            assert found.counts == {k: units.shape[1]}
            assert key_frequencies_from_neurons(found) == (k,)


def test_a_mixed_neuron_has_the_shares_it_was_mixed_from():
    p, basis = 11, FourierBasis(11)
    first, second = grid_waves(p, 2, "sum")[0], grid_waves(p, 5, "a")[1]
    mixed = (0.9**0.5 * first + 0.1**0.5 * second)[:, None]
    shares = frequency_shares(mixed, harmonics=addition(basis.p))[:, 0]
    assert shares.tolist() == pytest.approx([0, 0.9, 0, 0, 0.1], abs=1e-12)
    assert neuron_frequencies(mixed, harmonics=addition(basis.p)).in_cluster.tolist() == [True]
    assert neuron_frequencies(mixed, harmonics=addition(basis.p), threshold=0.95).counts == {}


def test_waves_that_mix_frequencies_belong_to_none():
    p = 7
    unit = (grid_waves(p, 1, "a")[0] * grid_waves(p, 2, "b")[0])[:, None]
    assert frequency_shares(unit, harmonics=addition(p)).abs().max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dead_neurons_are_counted_apart(dtype):
    units = torch.stack([torch.zeros(49), torch.full((49,), 0.1), torch.arange(49.0), torch.full((49,), 1e-8)], dim=1).to(dtype)
    units[3, 3] = 2e-8
    found = neuron_frequencies(units, harmonics=addition(7))
    assert found.dead.tolist() == [True, True, False, False]
    assert found.frequency[:2].tolist() == [0, 0]
    assert found.share[:2].isnan().all()
    assert not found.in_cluster[:2].any()


@pytest.mark.parametrize("p", [5, 8])
def test_neurons_of_the_built_circuits(p):
    basis, keys = FourierBasis(p), some_frequencies(p)
    for weights in (clock_weights(p, keys), pizza_weights(p, keys)):
        neurons = forward(weights, ModularTask(p).pairs).neurons
        shares = frequency_shares(neurons, harmonics=addition(basis.p))
        alive = ~shares.isnan().any(dim=0)
        found = neuron_frequencies(neurons, harmonics=addition(basis.p))
        assert (found.dead == ~alive).all()
        assert set(found.frequency[alive].tolist()) <= {
            k * m % p if k * m % p <= p / 2 else p - k * m % p for k in keys for m in (1, 2)
        }


@pytest.mark.parametrize("p", MODULI)
def test_degree_two_fit_explains_the_share_and_is_a_projection(p):
    units, basis = random_units(p), FourierBasis(p)
    frequency = torch.tensor([1, p // 2, 1, 0, p // 2])
    fit = degree_two_fit(units, harmonics=addition(basis.p), frequency=frequency)
    left, energy = (units - fit).square().sum(dim=0), (units - units.mean(dim=0)).square().sum(dim=0)
    for j, k in enumerate(frequency.tolist()):
        expected = slow_share(units[:, j], p, k) if k else 0.0
        assert 1 - (left[j] / energy[j]).item() == pytest.approx(expected, abs=1e-9)
    assert torch.allclose(degree_two_fit(fit, harmonics=addition(basis.p), frequency=frequency), fit, atol=1e-12)


@pytest.mark.parametrize("p", MODULI)
@pytest.mark.parametrize("terms", ["sum", "difference"])
def test_fit_by_one_combination_is_the_plain_projection(p, terms):
    units, basis = random_units(p), FourierBasis(p)
    for k in some_frequencies(p):
        fit = degree_two_fit(units, harmonics=addition(basis.p), frequency=torch.full((5,), k), terms=terms)
        assert torch.allclose(fit, units.mean(dim=0) + slow_projection(units, p, [k], terms), atol=1e-12)


def test_neurons_that_are_not_finite_are_refused():
    units = random_units(5)
    units[3, 1] = math.nan
    assert frequency_shares(units, harmonics=addition(5))[:, 1].isnan().all()
    with pytest.raises(UsageError, match="1 of 5 values are NaN or infinite"):
        neuron_frequencies(units, harmonics=addition(5))
    with pytest.raises(UsageError, match="a row per input"):
        neuron_frequencies(random_units(5)[1:], harmonics=addition(5))
    with pytest.raises(UsageError, match=r"expected values in 0\.\.2"):
        degree_two_fit(units, harmonics=addition(5), frequency=torch.full((5,), 3))
    with pytest.raises(UsageError, match="unknown terms of the fit"):
        unwrap(degree_two_fit)(units, harmonics=addition(5), frequency=torch.ones(5).long(), terms="degree")


# Heads


def test_heads_follow_the_frequency_they_were_given():
    p, basis = 9, FourierBasis(9)
    to_a = 0.5 + 2 * grid_waves(p, 4, "a")[1] * 0.8**0.5 + 2 * grid_waves(p, 2, "b")[0] * 0.2**0.5
    flat = torch.full((p * p,), 0.3, dtype=torch.float64)
    pattern = torch.stack([torch.stack([to_a, 1 - to_a, flat], dim=1), torch.stack([flat, flat, flat], dim=1)], dim=1)
    heads = head_frequencies(pattern, harmonics=addition(basis.p))
    assert heads.frequency.tolist() == [[4, 4, 0], [0, 0, 0]]
    assert heads.fve[0, :2].tolist() == pytest.approx([0.8, 0.8], abs=1e-9)
    assert heads.fve.isnan().tolist() == [[False, False, True], [True, True, True]]
    assert torch.allclose(heads.mean, pattern.mean(dim=0))
    pattern[0, 0, 0] = math.nan
    with pytest.raises(UsageError, match="attention"):
        head_frequencies(pattern, harmonics=addition(basis.p))


def test_constant_attention_has_no_frequency():
    pattern = forward(pizza_weights(5, [1]), ModularTask(5).pairs).pattern
    assert head_frequencies(pattern, harmonics=addition(5)).frequency.tolist() == [[0, 0]]


# Spectra


@pytest.mark.parametrize("p", MODULI)
def test_embedding_spectrum_of_known_waves(p):
    basis = FourierBasis(p)
    matrix = torch.outer(basis.cos(p // 2), torch.tensor([3.0, 4.0], dtype=torch.float64)) + 2 * torch.ones(p, 2) / p**0.5
    spectrum = embedding_spectrum(matrix, harmonics=addition(p))
    expected = torch.zeros(p // 2, dtype=torch.float64)
    expected[-1] = 5
    assert torch.allclose(spectrum.frequencies, expected, atol=1e-9)
    assert spectrum.rows[0].item() == pytest.approx(8**0.5)
    assert spectrum.rows[basis.names.index(f"cos {p // 2}")].item() == pytest.approx(5)
    assert spectrum.rows.square().sum().item() == pytest.approx(33)


def test_a_built_clock_embeds_its_frequencies_only():
    weights = clock_weights(11, [2, 5])
    norms = embedding_spectrum(weights.residue_embedding, harmonics=addition(11)).frequencies
    assert norms.tolist() == pytest.approx([0, 11**0.5, 0, 0, 11**0.5], abs=1e-9)


@pytest.mark.parametrize("p", [5, 8, 13])
def test_a_circle_is_a_regular_polygon(p):
    basis, weights = FourierBasis(p), clock_weights(p, [1, 2])
    points = circle(weights.residue_embedding, harmonics=addition(basis.p), frequency=2)
    angle = 2 * torch.pi * 2 * torch.arange(p).double() / p
    assert torch.allclose(points, torch.stack([angle.cos(), angle.sin()], dim=1), atol=1e-9)


def test_the_alternating_wave_draws_a_line_and_nothing_draws_a_point():
    basis = FourierBasis(6)
    points = circle(torch.outer(basis.cos(3), torch.ones(2)).double(), harmonics=addition(basis.p), frequency=3)
    assert points[:, 1].abs().max() == 0
    assert points[:, 0].abs().min() > 0.1
    assert torch.equal(circle(torch.zeros(6, 2), harmonics=addition(basis.p), frequency=1), torch.zeros(6, 2).double())


@pytest.mark.parametrize("p", MODULI)
def test_logit_spectrum_is_the_2d_transform_of_every_class(p):
    logits, basis = random_logits(p), FourierBasis(p)
    F = basis.rows
    expected = sum((F @ logits[:, c].reshape(p, p) @ F.T).square() for c in range(p))
    assert torch.allclose(logit_spectrum(logits, harmonics=addition(p)).square(), expected)
    assert logit_spectrum(logits, harmonics=addition(p)).square().sum().item() == pytest.approx(logits.square().sum().item())


def test_the_paper_s_components_of_a_clock():
    p = 13
    logits = clock_logits(p, [1, 3, 6], amplitude=[3.0, 2.0, 1.0]) + torch.arange(p)
    top = top_components(logit_spectrum(logits, harmonics=addition(p)), harmonics=addition(p), n=20)
    assert {(c.a, c.b) for c in top[:4]} == {(f"{x} 1", f"{y} 1") for x in ("cos", "sin") for y in ("cos", "sin")}
    assert sum(c.share for c in top[:12]) == pytest.approx(1)
    assert [c.share for c in top[:12]] == pytest.approx([9 / 56] * 4 + [4 / 56] * 4 + [1 / 56] * 4)
    assert top[12].norm < 1e-9
    assert len(top_components(logit_spectrum(logits, harmonics=addition(p)), harmonics=addition(p), n=10**6)) == p * p - 1
    with pytest.raises(UsageError, match="logit spectrum"):
        top_components(torch.full((p, p), math.nan, dtype=torch.float64), harmonics=addition(p))


def test_nothing_at_all_has_no_shares():
    assert top_components(torch.zeros(3, 3).double(), harmonics=addition(3), n=1)[0].share == 0


# Cosine fit


@pytest.mark.parametrize("p", MODULI)
@pytest.mark.parametrize("make", [addition, subtraction])
def test_coefficients_of_a_clock(p, make):
    keys, harmonics = some_frequencies(p), make(p)
    operation = "add" if make is addition else "subtract"
    logits = take_logits(harmonics, clock_logits(p, keys, amplitude=[1.0 + k for k in keys], operation=operation))
    alpha = cos_coefficients(logits, harmonics=harmonics)
    for k in harmonics.names:
        expected = (1 + k) * (p**3 / (1 if 2 * k == p else 2)) ** 0.5 if k in keys else 0.0
        assert alpha[k - 1].item() == pytest.approx(expected, abs=1e-9)
    fit = cos_fit(logits + 5, harmonics.line, harmonics=harmonics, keys=keys)
    assert fit.fve.item() == pytest.approx(1, abs=1e-9)
    plain = logits.logsumexp(dim=1) - logits.gather(1, harmonics.line[:, None]).squeeze(1)
    assert torch.allclose(fit.loss, plain, atol=1e-9)


@pytest.mark.parametrize(("p", "published"), [(59, 0.810761), (113, 0.810622)])
def test_a_clock_explains_four_fifths_of_a_pizza(p, published):
    fit = cos_fit(pizza_logits(p, [3], amplitude=2.0), labels(p), harmonics=addition(p), keys=[3])
    closed = 2 / (p * math.sin(math.pi / (2 * p))) ** 2
    assert fit.fve.item() == pytest.approx(closed, abs=1e-9)
    assert closed == pytest.approx(published, abs=5e-7)


def test_coefficients_of_a_mixture():
    p, train, dial, A, B = 11, list(range(0, 121, 3)), 0.3, 4.0, 7.0
    logits = mixture(dial, lookup_logits(p, train, amplitude=B), clock_logits(p, [2], amplitude=A))
    alpha = cos_coefficients(logits, harmonics=addition(p))
    from_table = (1 - dial) * B * len(train) * (2 / p**3) ** 0.5
    expected = [from_table + dial * A * (p**3 / 2) ** 0.5 * (k == 2) for k in range(1, 6)]
    assert alpha.tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("p", [4, 7])
def test_cosine_fit_agrees_with_the_literal_definition(p):
    logits, basis = random_logits(p), FourierBasis(p)
    a, b, c = torch.meshgrid(*[torch.arange(p)] * 3, indexing="ij")
    fitted = torch.zeros(p, p, p, dtype=torch.float64)
    for k in some_frequencies(p):
        cube = (2 * torch.pi * k * (a + b - c).double() / p).cos()
        cube = cube / cube.norm()
        alpha = (logits.reshape(p, p, p) * cube).sum()
        assert cos_coefficients(logits, harmonics=addition(basis.p))[k - 1].item() == pytest.approx(alpha.item(), abs=1e-9)
        fitted += alpha * cube
    fit = cos_fit(logits, labels(p), harmonics=addition(basis.p), keys=some_frequencies(p))
    centred = logits - logits.mean(dim=1, keepdim=True)
    residual = (centred - fitted.reshape(p * p, p)).square().sum() / centred.square().sum()
    assert fit.fve.item() == pytest.approx(1 - residual.item(), abs=1e-9)
    flat = fitted.reshape(p * p, p)
    assert torch.allclose(fit.loss, flat.logsumexp(dim=1) - flat.gather(1, labels(p)[:, None]).squeeze(1), atol=1e-9)


def test_cosine_fit_of_what_is_not_finite_or_nothing():
    logits = random_logits(5)
    logits[0, 0] = math.nan
    fit = cos_fit(logits, labels(5), harmonics=addition(5), keys=[1])
    assert fit.alpha.isnan().all()
    assert fit.fve.isnan()
    assert cos_fit(torch.zeros(25, 5), labels(5), harmonics=addition(5), keys=[1]).fve.isnan()


# W_L and sums of squares


@pytest.mark.parametrize("p", [5, 8, 11])
def test_neuron_logit_map_of_built_clocks(p):
    keys, basis = [1, 2], FourierBasis(p)
    weights = clock_weights(p, keys)
    neurons = forward(weights, ModularTask(p).pairs).neurons
    found = neuron_logit_map(weights.W_L, neurons, harmonics=addition(basis.p), keys=keys)
    assert found.share.item() == pytest.approx(1, abs=1e-9)
    assert found.residual.item() == pytest.approx(0, abs=1e-9)
    assert found.fve == {k: pytest.approx((1, 1), abs=1e-9) for k in keys}
    half = neuron_logit_map(weights.W_L, neurons, harmonics=addition(basis.p), keys=[2])
    assert half.share.item() == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("p", [4, 7])
def test_neuron_logit_map_agrees_with_the_literal_definition(p):
    generator = torch.Generator().manual_seed(2)
    neurons, W_L = random_units(p), torch.randn(p, 5, generator=generator, dtype=torch.float64)
    basis, keys = FourierBasis(p), some_frequencies(p)
    found = neuron_logit_map(W_L, neurons, harmonics=addition(basis.p), keys=keys)
    for k in keys:
        for place, (row, wave) in enumerate(zip(basis.waves(k), grid_waves(p, k, "sum"), strict=True)):
            value = neurons @ (W_L.T @ row)
            centred = value - value.mean()
            expected = (wave @ centred) ** 2 / centred.square().sum()
            assert found.fve[k][place] == pytest.approx(expected.item(), rel=1e-9)
    if p % 2 == 0:
        assert math.isnan(found.fve[p // 2][1])


def test_sum_of_squares_per_tensor_and_in_all():
    tensors = {"W_E": torch.full((2, 2), 3.0), "b_in": torch.tensor([1e-4])}
    found = sum_squared_weights(tensors)
    assert found["W_E"] == 36
    assert found["total"] == pytest.approx(36 + 1e-8, rel=1e-12)
    assert math.isnan(sum_squared_weights({"W_E": torch.tensor([math.nan])})["total"])
    with pytest.raises(UsageError, match="named 'total'"):
        sum_squared_weights({"total": torch.ones(1)})


def test_a_lookup_table_has_no_clusters_worth_the_name():
    p = 13
    train = torch.randperm(p * p, generator=torch.Generator().manual_seed(0))[:60]
    neurons = forward(lookup_weights(p, train, amplitude=9.0), ModularTask(p).pairs).neurons
    assert neuron_frequencies(neurons, harmonics=addition(p)).counts == {}
