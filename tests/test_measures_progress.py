"""Restricted and excluded loss, key frequencies, Gini: theorems, planted circuits, literal definitions, traps."""

from __future__ import annotations

import math
from inspect import unwrap
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import MODULI, labels, plain_loss, random_logits, slow_products, slow_projection, some_frequencies

from interp.errors import UsageError
from interp.harmonics.cyclic import FourierBasis
from interp.harmonics.frames import addition, subtraction
from interp.harmonics.harmonics import take_logits, take_rows
from interp.measures import (
    excluded_logits,
    excluded_loss,
    excluded_loss_single,
    gini,
    key_frequencies_from_coefficients,
    key_frequencies_from_matrix,
    restricted_logits,
    restricted_loss,
    restricted_loss_neurons,
)
from interp.synthetic import clock_logits, mixture, pizza_logits

# How each operation is read as addition, and the combination of a and b whose waves its answers are.
OPERATIONS = {"add": (addition, "sum"), "subtract": (subtraction, "difference")}


def close(found: torch.Tensor, expected: torch.Tensor | float) -> bool:
    return torch.allclose(found, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("p", MODULI)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_exact_clock(p, operation):
    harmonics = OPERATIONS[operation][0](p)
    logits = take_logits(harmonics, clock_logits(p, some_frequencies(p), amplitude=2.5, operation=operation))
    how = {"harmonics": harmonics, "keys": some_frequencies(p)}
    answers = take_rows(harmonics, labels(p, operation))
    assert torch.equal(answers, harmonics.line)
    assert close(restricted_loss(logits, answers, **how), plain_loss(logits, answers))
    assert close(excluded_loss(logits, answers, **how), math.log(p))


@pytest.mark.parametrize("p", [5, 7, 12])
def test_clock_seen_through_the_wrong_frequency(p):
    logits, answers, basis = clock_logits(p, [1], amplitude=3.0), labels(p), FourierBasis(p)
    assert close(restricted_loss(logits, answers, harmonics=addition(basis.p), keys=[2]), math.log(p))
    assert close(excluded_loss(logits, answers, harmonics=addition(basis.p), keys=[2]), plain_loss(logits, answers))
    # Read as subtraction, its waves are those of a - b, of which it has none.
    other = subtraction(p)
    reordered = take_logits(other, logits), take_rows(other, answers)
    assert close(restricted_loss(*reordered, harmonics=other, keys=[1]), math.log(p))


@pytest.mark.parametrize("p", [5, 7, 9, 59])
def test_pizza_keeps_the_mean_of_its_modulation(p):
    # Mean over d of |cos(pi d / p)|, which is what averaging over the pairs with one a + b leaves of a pizza.
    mean = 1 / (p * math.sin(math.pi / (2 * p)))
    kept = restricted_logits(pizza_logits(p, [2]), harmonics=addition(p), keys=[2])
    assert close(kept, mean * clock_logits(p, [2]))


@pytest.mark.parametrize("p", MODULI)
def test_kept_and_removed_make_the_logits(p):
    logits, how = random_logits(p), {"harmonics": addition(p), "keys": some_frequencies(p)}
    kept, left = restricted_logits(logits, **how), excluded_logits(logits, **how)
    assert close(kept + left, logits + logits.mean(dim=0))
    assert close(restricted_logits(kept, **how), kept)
    assert close(excluded_logits(left, **how), left)
    everything = restricted_logits(kept, harmonics=addition(p), keys=FourierBasis(p).frequencies)
    assert close(everything, kept)


@pytest.mark.parametrize("p", MODULI)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_agrees_with_the_literal_definition(p, operation):
    make, combination = OPERATIONS[operation]
    harmonics, keys = make(p), some_frequencies(p)
    logits, answers = take_logits(harmonics, random_logits(p)), take_rows(harmonics, labels(p))
    how = {"harmonics": harmonics, "keys": keys}
    projection = take_rows(harmonics, slow_projection(random_logits(p), p, keys, combination))
    assert close(restricted_logits(logits, **how), logits.mean(dim=0) + projection)
    assert close(restricted_loss(logits, answers, **how), plain_loss(logits.mean(dim=0) + projection, answers))
    assert close(excluded_loss(logits, answers, **how), plain_loss(logits - projection, answers))
    for k, loss in excluded_loss_single(logits, answers, **how).items():
        alone = take_rows(harmonics, slow_projection(random_logits(p), p, [k], combination))
        assert close(loss, plain_loss(logits - alone, answers))


@pytest.mark.parametrize("p", MODULI)
def test_products_agree_with_the_literal_definition(p):
    logits, answers, keys = random_logits(p), labels(p), some_frequencies(p)
    kept = logits.mean(dim=0) + slow_products(logits, p, keys)
    how = {"harmonics": addition(p), "keys": keys, "variant": "products"}
    assert close(restricted_logits(logits, **how), kept)
    assert close(restricted_loss(logits, answers, **how), plain_loss(kept, answers))


@pytest.mark.parametrize("p", [4, 7])
def test_neurons_variant_agrees_with_the_literal_definition(p):
    generator = torch.Generator().manual_seed(1)
    neurons = torch.randn(p * p, 6, generator=generator, dtype=torch.float64).relu()
    W_L = torch.randn(p, 6, generator=generator, dtype=torch.float64)
    logits, answers, keys = random_logits(p), labels(p), some_frequencies(p)
    approximate = (neurons.mean(dim=0) + slow_projection(neurons, p, keys)) @ W_L.T
    approximate += logits.mean(dim=0) - approximate.mean(dim=0)
    found = restricted_loss_neurons(neurons, W_L, logits, answers, harmonics=addition(p), keys=keys)
    assert close(found, plain_loss(approximate, answers))


def test_chosen_pairs_are_those_of_the_full_result():
    logits, answers, how = random_logits(7), labels(7), {"harmonics": addition(7), "keys": [1, 3]}
    chosen = torch.tensor([3, 40, 7])
    assert close(excluded_loss(logits, answers, pairs=chosen, **how), excluded_loss(logits, answers, **how)[chosen])
    for k, loss in excluded_loss_single(logits, answers, pairs=chosen, **how).items():
        assert close(loss, excluded_loss(logits, answers, harmonics=addition(7), keys=[k])[chosen])


def test_one_excluded_frequency_leaves_the_clock_of_the_others():
    both, answers = clock_logits(11, [2, 5], amplitude=[3.0, 1.0]), labels(11)
    single = excluded_loss_single(both, answers, harmonics=addition(11), keys=[5, 2])
    assert list(single) == [2, 5]
    assert close(single[2], plain_loss(clock_logits(11, [5], amplitude=1.0), answers))
    assert close(single[5], plain_loss(clock_logits(11, [2], amplitude=3.0), answers))


@settings(max_examples=30, deadline=None)
@given(p=st.integers(2, 12), shift=st.integers(0, 11), seed=st.integers(0, 9))
def test_shifting_a_relabels_and_changes_nothing(p, shift, seed):
    logits, answers, basis = random_logits(p, seed), labels(p), FourierBasis(p)
    shifted = logits.reshape(p, p, p).roll(shift, dims=0).reshape(p * p, p)
    moved = answers.reshape(p, p).roll(shift, dims=0).flatten()
    for measure in (restricted_loss, excluded_loss):
        before = measure(logits, answers, harmonics=addition(basis.p), keys=[1]).reshape(p, p)
        assert close(measure(shifted, moved, harmonics=addition(basis.p), keys=[1]).reshape(p, p), before.roll(shift, dims=0))


def test_no_frequency_at_all():
    logits, answers = random_logits(5), labels(5)
    assert close(excluded_loss(logits, answers, harmonics=addition(5), keys=[]), plain_loss(logits, answers))
    mean = logits.mean(dim=0).expand(25, 5)
    assert close(restricted_loss(logits, answers, harmonics=addition(5), keys=[]), plain_loss(mean, answers))


def test_labels_need_not_follow_the_sum():
    logits, answers = random_logits(7), labels(7, "x2xyy2")
    kept = restricted_logits(logits, harmonics=addition(7), keys=[2])
    assert close(restricted_loss(logits, answers, harmonics=addition(7), keys=[2]), plain_loss(kept, answers))


# Traps of reference implementations


def test_tiny_losses_of_float32_logits_keep_their_precision():
    logits = clock_logits(7, [1, 2, 3], amplitude=12.0)
    found = restricted_loss(logits.float(), labels(7), harmonics=addition(7), keys=[1, 2, 3])
    assert found.dtype == torch.float64
    assert torch.allclose(found, torch.log1p(6 * torch.exp(torch.tensor(-42.0, dtype=torch.float64))), rtol=1e-4, atol=0)


def test_the_mean_is_that_of_the_logits_given():
    logits, bias = clock_logits(5, [1]), torch.arange(5.0, dtype=torch.float64)
    kept = restricted_logits(logits + bias, harmonics=addition(5), keys=[1])
    assert close(kept, logits + bias)


def test_key_frequencies_are_never_chosen_silently():
    with pytest.raises(TypeError, match="keys"):
        restricted_loss(random_logits(5), labels(5), harmonics=addition(5))


@pytest.mark.parametrize("p", [7, 8, 113, 114])
def test_the_highest_frequency_takes_part(p):
    basis = FourierBasis(p)
    matrix = torch.outer(basis.cos(p // 2), torch.tensor([1.0, -2.0], dtype=torch.float64))
    assert key_frequencies_from_matrix(matrix, harmonics=addition(basis.p)) == (p // 2,)


def test_residues_are_the_first_axis_even_of_a_square_matrix():
    basis = FourierBasis(7)
    wave_and_noise = torch.outer(basis.sin(3), torch.arange(7.0, dtype=torch.float64) ** 2)
    assert key_frequencies_from_matrix(wave_and_noise, harmonics=addition(basis.p)) == (3,)
    assert key_frequencies_from_matrix(wave_and_noise.T, harmonics=addition(basis.p)) != (3,)


def test_inputs_are_left_as_they_are():
    logits, answers = random_logits(6), labels(6)
    kept = logits.clone()
    for variant in ("nanda", "products"):
        restricted_loss(logits, answers, harmonics=addition(6), keys=[1, 3], variant=variant)
    excluded_loss(logits, answers, harmonics=addition(6), keys=[1, 3])
    assert torch.equal(logits, kept)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_shows(bad):
    logits, answers = clock_logits(5, [1, 2]), labels(5)
    logits[7, 3] = bad
    how = {"harmonics": addition(5), "keys": [1]}
    assert restricted_loss(logits, answers, **how).isnan().any()
    assert excluded_loss(logits, answers, **how).isnan().any()
    with pytest.raises(UsageError, match="NaN or infinite"):
        key_frequencies_from_matrix(logits[5:10], harmonics=addition(5))


def test_wrong_shapes_and_names_are_refused():
    basis, answers = FourierBasis(5), labels(5)
    with pytest.raises(UsageError, match="leave out the `=` class"):
        restricted_loss(torch.zeros(25, 6), answers, harmonics=addition(basis.p), keys=[1])
    with pytest.raises(UsageError, match="all pairs"):
        excluded_loss(torch.zeros(24, 5), answers[:24], harmonics=addition(basis.p), keys=[1])
    with pytest.raises(ValueError, match=r"frequency: given 3, expected 1\.\.2"):
        restricted_loss(torch.zeros(25, 5), answers, harmonics=addition(basis.p), keys=[3])
    with pytest.raises(UsageError, match="unknown variant of the restricted loss 'product'; did you mean 'products'"):
        unwrap(restricted_logits)(torch.zeros(25, 5), harmonics=addition(basis.p), keys=[1], variant="product")


# Key frequencies


def test_key_frequencies_are_those_over_a_quarter():
    basis = FourierBasis(9)
    sizes = torch.tensor([1.0, 0.2500001, 0.25, 0.1], dtype=torch.float64)
    matrix = sum(size * basis.waves(k).T for k, size in zip(basis.frequencies, sizes, strict=True))
    assert key_frequencies_from_matrix(matrix * (1 + 1e-12), harmonics=addition(basis.p))[:2] == (1, 2)
    assert 4 not in key_frequencies_from_matrix(matrix, harmonics=addition(basis.p))
    assert key_frequencies_from_matrix(torch.zeros(9, 2), harmonics=addition(basis.p)) == ()


def test_key_frequencies_from_coefficients_of_a_clock():
    from interp.measures import cos_coefficients

    for p in (7, 8):
        logits = clock_logits(p, [1, p // 2], amplitude=[1.0, 2.0])
        alpha = cos_coefficients(logits, harmonics=addition(p))
        assert key_frequencies_from_coefficients(alpha) == (1, p // 2)
        assert key_frequencies_from_coefficients(-alpha) == ()


# Gini


@pytest.mark.parametrize("n", [1, 2, 5, 113])
def test_gini_of_what_is_known(n):
    one_hot = torch.zeros(n)
    one_hot[n // 2] = 3.0
    assert close(gini(torch.ones(n)), 0.0)
    assert close(gini(one_hot), 1 - 1 / n)
    assert close(gini(torch.arange(1, n + 1).double().flip(0)), (n - 1) / (3 * n))


def test_gini_is_half_the_relative_mean_difference():
    values = torch.rand(4, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    difference = (values[:, :, None] - values[:, None, :]).abs().mean(dim=(1, 2))
    assert close(gini(values), difference / (2 * values.mean(dim=1)))
    assert close(gini(7 * values), gini(values))


def test_gini_without_an_answer():
    assert gini(torch.zeros(5)).isnan()
    assert gini(torch.tensor([1.0, math.nan])).isnan()
    with pytest.raises(UsageError, match="not negative"):
        gini(torch.tensor([1.0, -0.5]))


def test_a_circuit_growing_inside_a_memorizer_shows_before_it_matters():
    from interp.synthetic import lookup_logits

    p, basis, answers = 11, FourierBasis(11), labels(11)
    train = torch.randperm(p * p, generator=torch.Generator().manual_seed(0))[: p * p // 2]
    memorizer, clock = lookup_logits(p, train, amplitude=30.0, seed=0), clock_logits(p, [1, 3, 4], amplitude=4.0)
    dial = [0.0, 0.1, 0.2, 0.3]
    losses = [
        float(restricted_loss(mixture(d, memorizer, clock), answers, harmonics=addition(basis.p), keys=[1, 3, 4]).mean())
        for d in dial
    ]
    assert all(later < earlier for earlier, later in pairwise(losses))
