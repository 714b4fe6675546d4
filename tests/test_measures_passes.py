"""Measures in few passes: tables over lines, shared terms and products of exponentials give what the definitions say."""

from __future__ import annotations

import math

import pytest
import torch
from planted import MODULI, labels, plain_loss, random_logits, slow_projection, some_frequencies
from random_models import random_weights

from interp.anatomy import ablations
from interp.harmonics.frames import addition
from interp.harmonics.grid import LINES, line_index
from interp.harmonics.harmonics import line_means
from interp.measures import (
    centred_energy,
    cos_coefficients,
    cos_fit,
    excluded_loss,
    excluded_losses,
    formula_fit,
    logit_spectrum,
    loss_from_unseen,
    neuron_logit_map,
    restricted_loss,
    shift_agreement,
)
from interp.measures.turned import turned, turned_sums
from interp.networks.pair_tables import pair_tables


def close(found: torch.Tensor, expected: torch.Tensor | float) -> bool:
    return torch.allclose(found, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def some_pairs(p: int) -> torch.Tensor:
    """About half of all pairs, and never all."""
    return torch.randperm(p * p, generator=torch.Generator().manual_seed(5))[: p * p // 2 + 1]


@pytest.mark.parametrize("p", MODULI)
def test_every_line_of_the_grid_is_what_its_name_says(p):
    says = {"a": lambda a, b: a, "b": lambda a, b: b, "sum": lambda a, b: (a + b) % p, "difference": lambda a, b: (a - b) % p}
    for line in LINES:
        assert line_index(p, line).tolist() == [says[line](a, b) for a in range(p) for b in range(p)]


@pytest.mark.parametrize("p", [2, 5, 6, 59])
def test_turned_logits_count_classes_from_the_answer(p):
    logits = random_logits(p)
    grid = turned(logits.reshape(p, p, p))
    for a, b, e in torch.randint(p, (20, 3), generator=torch.Generator().manual_seed(1)).tolist():
        assert grid[a, b, e] == logits[a * p + b, (a + b + e) % p]
    group = addition(p).difference
    sums, norms = turned_sums(logits, group, p)
    assert close(sums, torch.zeros(p, p, dtype=torch.float64).index_add_(0, group, grid.flatten(0, 1)))
    assert close(norms, logits.norm(dim=1))


@pytest.mark.parametrize("p", MODULI)
def test_shift_agreement_is_the_cosine_of_its_definition(p):
    logits, train = random_logits(p), some_pairs(p)
    x = logits - logits.mean(dim=1, keepdim=True)
    x = turned((x - x.mean(dim=0)).reshape(p, p, p)).flatten(0, 1)
    seen = torch.zeros(p * p, dtype=torch.bool)
    seen[train] = True
    difference, predicted, actual = addition(p).difference, [], []
    for pair in torch.nonzero(~seen).flatten().tolist():
        alike = x[seen & (difference == difference[pair])]
        predicted.append(alike.mean(dim=0) if len(alike) else torch.zeros_like(x[0]))
        actual.append(x[pair])
    expected = torch.nn.functional.cosine_similarity(torch.cat(predicted), torch.cat(actual), dim=0, eps=1e-300)
    assert close(shift_agreement(logits, harmonics=addition(p), train=train), expected)


@pytest.mark.parametrize("p", MODULI)
def test_formulas_are_fitted_cube_by_cube(p):
    logits, keys = random_logits(p), some_frequencies(p)
    fit = formula_fit(logits, harmonics=addition(p), keys=keys)
    a, b, c = (x.double() for x in torch.meshgrid(*[torch.arange(p)] * 3, indexing="ij"))
    x = (logits - logits.mean(dim=1, keepdim=True)).reshape(p, p, p)
    for i, k in enumerate(keys):
        clock = torch.cos(2 * torch.pi * k * (a + b - c) / p)
        pizza = torch.cos(torch.pi * k * (a - b) / p).abs() * clock
        for cube, found in ((clock, fit.clock_single[i]), (pizza, fit.pizza_single[i])):
            # The cubes of a frequency have no mean over the classes, save the alternating wave of p = 2 or 2 k = p: none either.
            assert close(found, (x * cube).sum() ** 2 / cube.square().sum() / x.square().sum())


@pytest.mark.parametrize("p", [5, 6, 59])
def test_single_precision_leaves_the_spectrum_as_exact_as_the_logits(p):
    logits = random_logits(p)
    exact = logit_spectrum(logits.float().double(), harmonics=addition(p))
    assert torch.allclose(logit_spectrum(logits.float(), harmonics=addition(p)), exact, rtol=0, atol=1e-6 * float(exact.norm()))


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3, 1e6])
@pytest.mark.parametrize("p", [2, 5, 12])
def test_several_exclusions_in_one_pass_are_each_by_itself(p, scale):
    """At any size of the logits: beyond a few hundred nats products of exponentials would be 0 or infinite."""
    logits, answers, how = scale * random_logits(p), labels(p), {"harmonics": addition(p)}
    chosen = torch.tensor([0, p * p - 1, 1, 1])
    key_sets = [[], [1], some_frequencies(p), [p // 2]]
    for pairs in (None, chosen):
        found = excluded_losses(logits, answers, key_sets, pairs=pairs, **how)
        for keys, losses in zip(key_sets, found, strict=True):
            expected = plain_loss(logits - slow_projection(logits, p, keys), answers)[slice(None) if pairs is None else pairs]
            assert torch.allclose(losses, expected, rtol=1e-9, atol=1e-9 * scale)
            alone = excluded_loss(logits, answers, keys=keys, pairs=pairs, **how)
            assert torch.allclose(losses, alone, rtol=1e-9, atol=1e-12 * scale)
    assert excluded_losses(logits, answers, [], **how).shape == (0, p * p)


def test_tiny_excluded_losses_keep_their_digits():
    harmonics = addition(7)
    sure = torch.full((49, 7), -20.0, dtype=torch.float64)
    sure[torch.arange(49), harmonics.line] = 20.0
    found = excluded_loss(sure, harmonics.line, harmonics=harmonics, keys=[])
    assert found[0].item() == pytest.approx(6 * math.exp(-40), rel=1e-12)


def test_a_logit_that_is_no_number_is_seen_in_its_rows():
    logits = random_logits(5)
    logits[3, 2] = torch.nan
    assert excluded_loss(logits, labels(5), harmonics=addition(5), keys=[1])[3].isnan()


@pytest.mark.parametrize("p", [2, 7, 10])
def test_what_measures_share_changes_none_of_them(p):
    logits, answers, how = random_logits(p), labels(p), {"harmonics": addition(p), "keys": some_frequencies(p)}
    means, energy = line_means(logits, addition(p)), centred_energy(logits)
    assert close(energy, (logits - logits.mean(dim=1, keepdim=True)).square().sum())
    for measure in (restricted_loss, excluded_loss):
        assert torch.equal(measure(logits, answers, **how), measure(logits, answers, means=means, **how))
    assert torch.equal(*(cos_coefficients(logits, harmonics=addition(p), means=given) for given in (None, means)))
    alone, shared = cos_fit(logits, answers, **how), cos_fit(logits, answers, means=means, energy=energy, **how)
    assert torch.equal(alone.fve, shared.fve)
    assert torch.equal(formula_fit(logits, **how).pizza, formula_fit(logits, energy=energy, **how).pizza)
    train = some_pairs(p)
    assert torch.equal(*(loss_from_unseen(logits, answers, train=train, means=given, **how) for given in (None, means)))


@pytest.mark.parametrize("p", MODULI)
def test_the_loss_from_unseen_pairs_sees_no_other(p):
    logits, answers, train, keys = random_logits(p), labels(p), some_pairs(p), some_frequencies(p)
    unseen = torch.ones(p * p, dtype=torch.bool)
    unseen[train] = False
    known = [s for s in range(p) if bool((unseen & (answers == s)).any())]
    table = torch.stack([logits[unseen & (answers == s)].mean(dim=0) for s in known])
    # By least squares on the answers that some unseen pair has: of all of them it is the projection.
    functions = torch.cat([torch.ones(p, 1, dtype=torch.float64), addition(p).projector(keys)], dim=1)
    kept = functions @ torch.linalg.lstsq(functions[known], table, driver="gelsd", rcond=1e-9).solution
    found = loss_from_unseen(logits, answers, train=train, harmonics=addition(p), keys=keys)
    assert close(found, plain_loss(kept[answers[train]], answers[train]))


@pytest.mark.parametrize("p", [5, 8])
def test_key_directions_are_read_from_the_neurons_part_of_the_logits(p):
    weights = random_weights(p, equals_class=True)
    tables, how = pair_tables(weights), {"harmonics": addition(p), "keys": [1, p // 2]}
    one = neuron_logit_map(weights.W_L, tables.neurons, **how)
    other = neuron_logit_map(weights.W_L, tables.neurons, read=tables.from_neurons[:, :p], **how)
    for k in how["keys"]:
        assert one.fve[k] == pytest.approx(other.fve[k], rel=1e-9, nan_ok=True)


def test_ablations_depend_on_no_number_of_threads():
    seen: list[tuple[int, int]] = []
    how = {"harmonics": addition(6), "keys": (1, 3), "controls": 2}
    alone = ablations(random_weights(6), threads=1, on_step=lambda done, total: seen.append((done, total)), **how)
    assert ablations(random_weights(6), threads=3, **how) == alone
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]
    with pytest.raises(Exception, match="threads: given 0"):
        ablations(random_weights(6), threads=0, **how)
