"""Units, zero divisors and the discrete logarithm: a circuit of multiplication is one of addition over exponents."""

from __future__ import annotations

import math
from math import gcd

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import labels

from interp.errors import UsageError
from interp.harmonics import (
    FourierBasis,
    addition,
    both_units,
    discrete_logarithm,
    multiplication,
    positions,
    powers,
    take_logits,
    take_rows,
    unit_pairs,
    units,
    zero_divisors,
)
from interp.measures import cos_fit, excluded_loss, key_frequencies_from_matrix, neuron_frequencies, restricted_loss
from interp.synthetic import clock_logits

PRIMES = [3, 5, 7, 11, 59, 113]


@pytest.mark.parametrize("p", PRIMES)
def test_logarithms_turn_products_into_sums(p):
    log, power = discrete_logarithm(p), powers(p)
    a, b = torch.meshgrid(torch.arange(1, p), torch.arange(1, p), indexing="ij")
    assert torch.equal(log[a * b % p], (log[a] + log[b]) % (p - 1))
    assert torch.equal(power[log[1:]], torch.arange(1, p))
    assert log[0] == -1
    assert sorted(power.tolist()) == list(range(1, p))


@pytest.mark.parametrize("n", [1, 2, 4, 6, 9, 15, 57, -7])
def test_other_moduli_say_why_not(n):
    with pytest.raises(UsageError, match="expected a prime greater than 2"):
        powers(n)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 60))
def test_every_residue_is_a_unit_or_a_zero_divisor(n):
    assert sorted([*units(n).tolist(), *zero_divisors(n).tolist()]) == list(range(n))
    for a in units(n).tolist():
        assert any(a * b % n == 1 for b in range(n))
    for a in zero_divisors(n).tolist():
        assert any(a * b % n == 0 for b in range(1, n))
    pairs = both_units(n).reshape(n, n)
    assert pairs.sum() == len(units(n)) ** 2
    assert all(bool(pairs[a, b]) == (gcd(a, n) == gcd(b, n) == 1) for a in range(n) for b in range(n))


def planted(p: int, frequencies: list[int]) -> torch.Tensor:
    """Logits of a clock of multiplication: a clock over exponents, put back in the order of residues; 0 answers 0."""
    logits = torch.zeros(p * p, p, dtype=torch.float64)
    logits[unit_pairs(p)[:, None], powers(p)] = clock_logits(p - 1, frequencies, amplitude=2.0)
    zero = (torch.arange(p * p) // p == 0) | (torch.arange(p * p) % p == 0)
    logits[zero, 0] = 5.0
    return logits


@pytest.mark.parametrize("p", [5, 7, 13])
def test_a_circuit_of_multiplication_is_found_over_exponents(p):
    keys = sorted({1, (p - 1) // 2})
    harmonics = multiplication(p)
    logits, answers, how = take_logits(harmonics, planted(p, keys)), harmonics.line, {"harmonics": harmonics, "keys": keys}
    plain = logits.logsumexp(dim=1) - logits.gather(1, answers[:, None]).squeeze(1)
    assert torch.allclose(restricted_loss(logits, answers, **how), plain, atol=1e-9)
    assert torch.allclose(excluded_loss(logits, answers, **how), torch.full_like(plain, math.log(p - 1)), atol=1e-9)
    assert cos_fit(logits, answers, **how).fve.item() == pytest.approx(1, abs=1e-9)
    assert torch.equal(logits.argmax(dim=1), answers)


def test_the_additive_waves_do_not_see_it():
    p = 13
    found = cos_fit(planted(p, [1, 3]), labels(p, "multiply"), harmonics=addition(p), keys=range(1, 7))
    assert found.fve.item() < 0.2


def test_embeddings_and_neurons_are_reordered_alike():
    p, basis = 11, FourierBasis(10)
    log = discrete_logarithm(p)
    W_E = torch.zeros(p, 2, dtype=torch.float64)
    W_E[1:] = basis.waves(3).T[log[1:]]
    assert key_frequencies_from_matrix(W_E[powers(p)], harmonics=addition(basis.p)) == (3,)
    neuron = (W_E[:, None, 0] + W_E[None, :, 0]).reshape(-1, 1)
    assert neuron_frequencies(neuron[unit_pairs(p)], harmonics=addition(basis.p)).counts == {3: 1}


@pytest.mark.parametrize("p", PRIMES)
def test_answers_of_multiplication_are_sums_of_exponents(p):
    harmonics = multiplication(p)
    right = torch.nn.functional.one_hot(labels(p, "multiply"), p).double()
    assert torch.equal(take_logits(harmonics, right).argmax(dim=1), harmonics.line)
    assert torch.equal(harmonics.classes[harmonics.line], take_rows(harmonics, labels(p, "multiply")))


def test_pairs_with_a_zero_have_no_position():
    harmonics = multiplication(5)
    assert positions(harmonics, torch.tensor([0, 3, 5, 24])).tolist() == [int((harmonics.rows == 24).nonzero())]
    assert torch.equal(positions(harmonics, harmonics.rows), torch.arange(16))
