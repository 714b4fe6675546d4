"""Langevin dynamics around given weights: closed forms of quadratic and homogeneous losses, settings, noise."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from interp import Langevin
from interp.errors import UsageError
from interp.landscape.chains import chain
from interp.landscape.kept_coefficients import settings_of
from interp.landscape.learning_coefficient import learning_coefficient

FEW = Langevin(chains=3, draws=12, burn_in=5)


@dataclass
class Vectors:
    flat: Tensor
    gradient: Tensor


@dataclass
class Polynomial:
    """``sum_i slope_i w_i + bend_i |w_i|^degree / degree``, at w* = 0."""

    bend: Tensor
    degree: int = 2
    slope: float = 0.0
    parameters: Vectors = field(init=False)

    def __post_init__(self) -> None:
        self.parameters = Vectors(torch.zeros_like(self.bend), torch.zeros_like(self.bend))

    def gradient(self) -> float:
        w = self.parameters.flat
        self.parameters.gradient.copy_(self.slope + self.bend * w ** (self.degree - 1))
        return float((self.slope * w + self.bend * w**self.degree / self.degree).sum())


def drawn(loss: Polynomial, how: Langevin, n_beta: float) -> tuple[float, float]:
    """The coefficient, mean over chains, and its standard error."""
    where, found = torch.ones_like(loss.bend), []
    for number in range(how.chains):
        start, losses, _ = chain(loss, how, n_beta=n_beta, noise=how.noise(number), where=where)
        found.append(float(learning_coefficient(losses, start, n_beta=n_beta)))
    return float(np.mean(found)), float(np.std(found, ddof=1) / len(found) ** 0.5)


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_a_quadratic_loss_has_the_coefficient_of_its_closed_form(slope: float) -> None:
    # Of a linear recursion w <- (1 - step a / 2) w - step / 2 n_beta slope + sqrt(step) noise, with a = n_beta h + localization,
    # the mean is -n_beta slope / a and the variance 1 / (a (1 - step a / 4)).
    bend = torch.tensor([4.0, 2.0, 0.5, 0.1, 0.0, 0.0], dtype=torch.float64)
    n_beta, how = 50.0, Langevin(chains=16, draws=1_500, burn_in=300, step_size=2e-3, localization=20.0)
    a = n_beta * bend + how.localization
    mean, variance = -n_beta * slope / a, 1 / (a * (1 - how.step_size * a / 4))
    expected = float(n_beta * (slope * mean + bend * (variance + mean**2) / 2).sum())
    found, error = drawn(Polynomial(bend, slope=slope), how, n_beta)
    assert error < 0.02 * max(1.0, abs(expected))
    assert found == pytest.approx(expected, abs=4 * error)
    assert (expected < 0) == (slope > 0)  # where the loss can still fall, the coefficient is negative


@pytest.mark.parametrize("degree", [2, 4, 6])
def test_a_homogeneous_loss_has_its_dimension_over_its_degree(degree: int) -> None:
    # Equipartition: without localization, of any loss that is homogeneous of this degree, whatever its temperature.
    how = Langevin(chains=16, draws=2_500, burn_in=500, step_size=5e-3, localization=0.0)
    found, error = drawn(Polynomial(torch.tensor([1.0, 3.0, 0.2], dtype=torch.float64), degree), how, n_beta=30.0)
    assert found == pytest.approx(3 / degree, abs=4 * error + 0.05)
    assert error < 0.05


def test_weights_are_put_back_and_those_that_stay_are_not_drawn() -> None:
    loss = Polynomial(torch.ones(4, dtype=torch.float64))
    loss.parameters.flat.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    where, seen = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64), []
    plain = loss.gradient
    loss.gradient = lambda: (seen.append(loss.parameters.flat.clone()), plain())[1]  # type: ignore[method-assign]
    chain(loss, FEW, n_beta=2.0, noise=FEW.noise(0), where=where)
    assert loss.parameters.flat.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert all(w[1] == 2.0 and w[3] == 4.0 for w in seen)
    assert len({float(w[0]) for w in seen}) == len(seen) == 1 + FEW.burn_in + FEW.draws


def test_draws_lie_as_far_as_they_are_held() -> None:
    loss = Polynomial(torch.zeros(4_000, dtype=torch.float64))
    how = Langevin(chains=1, draws=300, burn_in=200, step_size=1e-2, localization=5.0)
    _, _, distances = chain(loss, how, n_beta=1.0, noise=how.noise(0), where=torch.ones(4_000, dtype=torch.float64))
    expected = (4_000 / (how.localization * (1 - how.step_size * how.localization / 4))) ** 0.5
    assert distances.mean() == pytest.approx(expected, rel=0.02)


def test_a_chain_that_diverges_is_nan() -> None:
    loss = Polynomial(torch.full((3,), 1e6, dtype=torch.float64))
    how = Langevin(chains=1, draws=400, burn_in=0, step_size=1e-2, localization=0.0)
    start, losses, _ = chain(loss, how, n_beta=10.0, noise=how.noise(0), where=torch.ones(3, dtype=torch.float64))
    assert start == 0.0
    assert np.isnan(losses[-1])
    assert np.isnan(learning_coefficient(losses, start, n_beta=10.0))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"chains": 0}, "chains: given 0, expected an integer >= 1"),
        ({"draws": 2.5}, "draws: given 2.5"),
        ({"burn_in": -1}, "burn_in: given -1"),
        ({"seed": True}, "seed: given True"),
        ({"step_size": 0.0}, "step_size: given 0.0, expected a number > 0"),
        ({"localization": float("nan")}, "localization: given nan, expected a finite number"),
        ({"n_beta": -3.0}, "n_beta: given -3.0"),
        ({"step_size": np.float32("inf")}, "expected a finite number"),
        ({"step_size": 1e-2, "localization": 500.0}, "their product is 5, expected less than 4"),
    ],
)
def test_settings_out_of_range_are_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        Langevin(**given)  # type: ignore[arg-type]


def test_equal_settings_are_one() -> None:
    assert Langevin(localization=1000, draws=np.int64(200)) == Langevin()  # type: ignore[arg-type]
    written = json.dumps(settings_of(Langevin(localization=1000, n_beta=200, seed=np.int32(0)), None))  # type: ignore[arg-type]
    assert written == json.dumps(settings_of(Langevin(localization=1000.0, n_beta=200.0), None))


def test_one_pair_has_no_temperature_of_its_own() -> None:
    with pytest.raises(UsageError, match="give n_beta"):
        Langevin().n_beta_for(1)
    assert Langevin(n_beta=3.0).n_beta_for(1) == 3.0
    assert Langevin().n_beta_for(100) == pytest.approx(100 / np.log(100))


def test_every_chain_of_every_checkpoint_has_noise_of_its_own() -> None:
    seeds = [Langevin(seed=seed).noise(step, number) for seed in (0, 1) for step in (0, 1) for number in (0, 1)]
    assert len(set(seeds)) == len(seeds)
