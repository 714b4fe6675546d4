"""Clock or pizza: symmetricity, distance irrelevance, circularity, formulas; closed forms, literal definitions, edge cases."""

from __future__ import annotations

import math
import random
from inspect import unwrap

import pytest
import torch
from planted import MODULI, labels, random_logits

from interp.errors import UsageError
from interp.harmonics.cyclic import FourierBasis
from interp.harmonics.frames import addition, subtraction
from interp.harmonics.harmonics import take_logits
from interp.measures import (
    circularity,
    cos_fit,
    distance_irrelevance,
    formula_fit,
    gradient_symmetricity,
    symmetricity_triples,
)
from interp.measures.triples import shuffled_head
from interp.networks.one_layer import Weights, forward_embedded
from interp.synthetic import clock_logits, clock_weights, lookup_weights, mixture, pizza_logits, pizza_weights


def model_logits(weights: Weights, width: int | None = None):
    """A model as a function from (the first `width` numbers of) its two embedding vectors to logits."""
    used = torch.zeros(weights.d_model, dtype=torch.float64)
    used[:width] = 1

    def logits(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        rest = [weights.W_E[weights.p].expand_as(a)] if weights.equals_sign else []
        return forward_embedded(weights, torch.stack([a * used, b * used, *rest], dim=1) + weights.W_pos).logits

    return logits


# Symmetricity


@pytest.mark.parametrize("p", [5, 8, 13])
def test_a_built_pizza_is_symmetric_and_a_built_clock_is_not(p):
    pizza, clock = pizza_weights(p, [1, 2]), clock_weights(p, [1, 2])
    # The last residual stream also carries b past attention; only the embedding's own block is part of the circuit.
    found = gradient_symmetricity(model_logits(pizza, 4), pizza.residue_embedding)
    assert torch.allclose(found, torch.ones(1, dtype=torch.float64), atol=1e-9)
    assert gradient_symmetricity(model_logits(clock, 4), clock.residue_embedding).mean() < 0.9


def test_symmetricity_of_known_gradients():
    W_E = torch.eye(4, 2, dtype=torch.float64)
    slopes_a, slopes_b = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).double(), torch.tensor([[0.0, 2.0], [3.0, 3.0]]).double()
    triples = torch.tensor([[0, 1, 0], [2, 3, 1]])
    found = gradient_symmetricity(lambda a, b: a @ slopes_a.T + b @ slopes_b.T, W_E, triples=triples)
    assert found.tolist() == pytest.approx([0.0, 0.5**0.5])


def test_symmetricity_of_nothing_is_not_a_number():
    W_E = torch.ones(3, 2, dtype=torch.float64)
    assert gradient_symmetricity(lambda a, b: 0 * (a @ W_E.T + b @ W_E.T), W_E).isnan().all()


def test_symmetricity_agrees_with_finite_differences():
    from random_models import random_weights

    weights = random_weights(p=5, seed=3, activation="gelu")
    logits, triples = model_logits(weights), torch.tensor([[1, 4, 2], [0, 0, 3]])
    found = gradient_symmetricity(logits, weights.residue_embedding, triples=triples)
    for (a, b, c), cosine in zip(triples.tolist(), found.tolist(), strict=True):
        gradients = []
        for which in (0, 1):
            steps = []
            for i in range(weights.d_model):
                pair = [weights.W_E[[a]].clone(), weights.W_E[[b]].clone()]
                pair[which][0, i] += 1e-6
                up = logits(*pair)[0, c].item()
                pair[which][0, i] -= 2e-6
                steps.append((up - logits(*pair)[0, c].item()) / 2e-6)
            gradients.append(torch.tensor(steps))
        assert cosine == pytest.approx(torch.nn.functional.cosine_similarity(*gradients, dim=0).item(), abs=1e-5)


@pytest.mark.parametrize("p", [2, 3, 7, 20, 59])
def test_triples_are_python_s_shuffle(p):
    every = [(a, b, c) for a in range(p) for b in range(p) for c in range(p)]
    random.Random(42).shuffle(every)
    assert [tuple(triple) for triple in symmetricity_triples(p).tolist()] == every[:100]


@pytest.mark.parametrize("size", [*range(1, 40), 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 4096, 5000, 200_000])
def test_the_head_of_a_shuffle_is_the_head_of_python_s_shuffle(size):
    for seed in (0, 42):
        every = list(range(size))
        random.Random(seed).shuffle(every)
        for n in (1, 7, 100):
            assert shuffled_head(size, n, seed=seed) == every[:n]


def test_triples_of_a_huge_modulus_are_drawn_without_shuffling():
    triples = symmetricity_triples(1009)
    assert triples.shape == (100, 3)
    assert len({tuple(triple) for triple in triples.tolist()}) == 100
    assert triples.max() < 1009


# Distance irrelevance


@pytest.mark.parametrize("p", MODULI)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_ideal_clock_is_wholly_irrelevant_to_distance(p, dtype):
    logits = clock_logits(p, range(1, p // 2 + 1), amplitude=3.0).to(dtype)
    assert distance_irrelevance(logits, labels(p), harmonics=addition(p)).item() == 1


@pytest.mark.parametrize("p", [3, 5, 8, 59])
def test_an_ideal_pizza_depends_on_distance_alone(p):
    assert distance_irrelevance(pizza_logits(p, [1]), labels(p), harmonics=addition(p)).item() == pytest.approx(0, abs=1e-9)


def test_noise_without_regard_to_distance_tends_to_one():
    p, generator = 59, torch.Generator().manual_seed(0)
    noise = torch.randn(p * p, p, generator=generator, dtype=torch.float64)
    assert distance_irrelevance(clock_logits(p, [1]) + noise, labels(p), harmonics=addition(p)).item() == pytest.approx(
        1, abs=0.03
    )


@pytest.mark.parametrize("p", [4, 7])
@pytest.mark.parametrize("target", ["correct", "runner_up"])
def test_irrelevance_agrees_with_the_literal_definition(p, target):
    logits, answers = random_logits(p), labels(p)
    value = torch.zeros(p, p, dtype=torch.float64)
    for i in range(p):
        for j in range(p):
            row, right = logits[i * p + j], answers[i * p + j]
            value[i, j] = row[right] if target == "correct" else max(row[c] for c in range(p) if c != right)
    within = [torch.stack([value[i, (i + d) % p] for i in range(p)]).std(correction=0) for d in range(p)]
    expected = torch.stack(within).mean() / value.std(correction=0)
    assert distance_irrelevance(logits, answers, harmonics=addition(p), target=target).item() == pytest.approx(
        expected.item(), rel=1e-9
    )


def test_irrelevance_of_bad_input():
    logits = random_logits(5)
    logits[3, :] = math.nan
    assert distance_irrelevance(logits, labels(5), harmonics=addition(5)).isnan()
    with pytest.raises(UsageError, match="unknown target 'wrong'"):
        unwrap(distance_irrelevance)(random_logits(5), labels(5), harmonics=addition(5), target="wrong")


# Circularity


@pytest.mark.parametrize("p", [3, 5, 8, 59])
def test_one_circle_is_circular(p):
    assert circularity(clock_weights(p, [1], directions=max(3, min(p, 8))).residue_embedding).item() == pytest.approx(1, abs=1e-9)


def test_two_circles_of_different_size_are_circular():
    basis = FourierBasis(13)
    W_E = torch.stack([2 * basis.cos(1), 2 * basis.sin(1), basis.cos(5), basis.sin(5)], dim=1)
    assert circularity(W_E).item() == pytest.approx(1, abs=1e-9)
    assert circularity(W_E + 7.0).item() == pytest.approx(1, abs=1e-9)
    half = torch.stack([(basis.cos(2) + basis.cos(3)) / 2**0.5], dim=1)
    assert circularity(half).item() == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("p", [2, 6])
def test_the_alternating_wave_counts_once(p):
    wave = FourierBasis(p).cos(p // 2)[:, None]
    assert circularity(torch.cat([wave, 3 * wave], dim=1)).item() == pytest.approx(1, abs=1e-9)


def test_circularity_agrees_with_the_literal_definition():
    import numpy as np

    W_E = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centred = (W_E - W_E.mean(dim=0)).numpy()
    _, vectors = np.linalg.eigh(centred.T @ centred)
    shares = []
    for direction in vectors[:, ::-1].T[:4]:
        v = centred @ direction
        shares.append(max(2 / (7 * (v**2).sum()) * abs(np.exp(2j * np.pi * np.arange(7) * k / 7) @ v) ** 2 for k in (1, 2, 3)))
    assert circularity(W_E).item() == pytest.approx(np.mean(shares), rel=1e-9)


def test_circularity_of_random_and_of_nothing():
    assert circularity(torch.randn(59, 128, generator=torch.Generator().manual_seed(0))).item() < 0.5
    assert circularity(torch.zeros(5, 3)).isnan()
    assert circularity(lookup_weights(7, [1]).residue_embedding).item() < 0.995


# Formulas


@pytest.mark.parametrize("p", [5, 7, 59])
def test_formulas_explain_their_own_circuits(p):
    basis, keys = FourierBasis(p), [1, 2]
    clock = formula_fit(clock_logits(p, keys, amplitude=[1.0, 2.0]) + 3, harmonics=addition(basis.p), keys=keys)
    pizza = formula_fit(pizza_logits(p, keys, amplitude=[1.0, 2.0]), harmonics=addition(basis.p), keys=keys)
    closed = 2 / (p * math.sin(math.pi / (2 * p))) ** 2
    assert clock.clock.item() == pytest.approx(1, abs=1e-9)
    assert clock.clock_single.tolist() == pytest.approx([0.2, 0.8], abs=1e-9)
    assert clock.pizza_single.tolist() == pytest.approx([0.2 * closed, 0.8 * closed], abs=1e-9)
    assert pizza.pizza.item() == pytest.approx(1, abs=1e-9)
    assert pizza.clock_single.tolist() == pytest.approx([0.2 * closed, 0.8 * closed], abs=1e-9)


def test_formulas_for_subtraction():
    harmonics = subtraction(7)
    how = {"harmonics": harmonics, "keys": [2]}
    clock, pizza = (take_logits(harmonics, make(7, [2], operation="subtract")) for make in (clock_logits, pizza_logits))
    assert formula_fit(clock, **how).clock.item() == pytest.approx(1, abs=1e-9)
    assert formula_fit(pizza, **how).pizza.item() == pytest.approx(1, abs=1e-9)
    assert formula_fit(take_logits(harmonics, clock_logits(7, [2])), **how).clock.item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("p", [4, 7])
def test_formulas_agree_with_least_squares_on_whole_cubes(p):
    logits, keys = random_logits(p), [1, 2]
    a, b, c = torch.meshgrid(*[torch.arange(p).double()] * 3, indexing="ij")
    centred = (logits - logits.mean(dim=1, keepdim=True)).reshape(-1, 1)
    found = formula_fit(logits, harmonics=addition(p), keys=keys)
    for name in ("clock", "pizza"):
        cubes = []
        for k in keys:
            w = 2 * math.pi * k / p
            cubes.append((w * (a + b - c)).cos() * ((w * (a - b) / 2).cos().abs() if name == "pizza" else 1))
        design = torch.stack(cubes).reshape(len(keys), -1).T
        solution = torch.linalg.lstsq(design, centred).solution
        expected = 1 - (centred - design @ solution).square().sum() / centred.square().sum()
        assert getattr(found, name).item() == pytest.approx(expected.item(), abs=1e-9)
    assert found.clock.item() == pytest.approx(cos_fit(logits, labels(p), harmonics=addition(p), keys=keys).fve.item())


def test_what_is_neither_is_explained_by_neither():
    logits = mixture(0.2, random_logits(7), pizza_logits(7, [1]))
    fit = formula_fit(logits, harmonics=addition(7), keys=[1])
    assert fit.pizza.item() < 0.2
    with pytest.raises(UsageError, match="given no frequency"):
        formula_fit(logits, harmonics=addition(7), keys=[])
    logits[0, 0] = math.nan
    assert formula_fit(logits, harmonics=addition(7), keys=[1]).clock.isnan()
