"""The neuron explorer in a real browser: its maps are what the model computes, and what it says is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from exploring import explorer
from growing import DIALS, STEPS, P, built_in, growing
from playwright.sync_api import Browser
from random_models import random_weights
from visiting import AT_INDEX, COUNT, Visit, until, visit

from interp.harmonics import addition, multiplication, take_rows
from interp.measures import neuron_frequencies
from interp.networks.neuron_tables import neuron_tables
from interp.networks.one_layer import forward
from interp.reporting import page
from interp.tasks.modular import ModularTask

# What plotly has drawn a map from: its own copy, which is renewed when it takes the data for new.
DRAWN = """(place) => {
    const { calcdata } = document.querySelectorAll("#panel-neuron_explorer .graph")[place];
    return calcdata[0][0].z.map((row) => [...row].map((value) => value ?? NaN));
}"""


# The maps of a picture that is saved, with the ends of their colours.
SAVED = """() => shown.panels.find((one) => one.tables).now().data.map(
    ({ z, zmin, zmax }) => [[...z].map((row) => [...row]), zmin, zmax])"""


def shown_map(seen: Visit, place: int) -> np.ndarray:
    until(seen.page, "shown.cells(({ tables }) => tables).every((cell) => cell.shown === shown.index && cell.sketched < 0)")
    return np.array(seen.page.evaluate(DRAWN, place), dtype=float)


def choose(seen: Visit, neuron: object) -> None:
    seen.page.fill("#panel-neuron_explorer input", str(neuron))
    seen.page.press("#panel-neuron_explorer input", "Enter")


def test_the_first_neuron_that_is_chosen_is_drawn_and_the_scale_is_its_own(browser: Browser, explored: Path) -> None:
    seen = visit(browser, explored, fragment=f"#step={STEPS[-1]}")
    activations = forward(growing(DIALS[-1]), ModularTask(P).pairs).neurons.reshape(P, P, -1).double().numpy()
    brightest, near = np.argsort(activations.max(axis=(0, 1)))[-3:], 0.05 * float(activations.max())
    # At once, and again after all was drawn anew, by the theme and by the scale of steps: each time the first choice counts.
    for neuron, again in zip(brightest, (None, "#theme", "#stepscale"), strict=True):
        if again is not None:
            seen.page.evaluate(COUNT)
            before = seen.page.evaluate("shown.redraws")
            seen.page.click(again)
            until(seen.page, "before => shown.redraws > before", before)
        choose(seen, neuron)
        expected = activations[..., neuron]
        assert np.abs(shown_map(seen, 0) - expected).max() < near
        low, high = seen.page.locator("#panel-neuron_explorer .scalebar span").all_text_contents()
        assert (float(low), float(high)) == pytest.approx((0, float(expected.max())), abs=near)
        saved = seen.page.evaluate(SAVED)
        assert np.abs(np.array(saved[0][0]) - expected).max() < near
        assert [(low, high) for _, low, high in saved] == [(0, pytest.approx(float(expected.max()), abs=near))] * 2
    assert seen.said == []
    seen.leave()


def test_what_is_no_neuron_leaves_the_one_that_is_drawn(browser: Browser, explored: Path) -> None:
    seen = visit(browser, explored, fragment=f"#step={STEPS[-1]}")
    choose(seen, 3)
    choose(seen, 2.5)
    assert seen.page.input_value("#panel-neuron_explorer input") == "3"
    # A million pairs are no arguments of one function.
    assert seen.page.evaluate(
        "() => { const range = rangeOf(new Float32Array(997 * 997).fill(2)); return [range.zmin, range.zmax]; }"
    ) == [0, 2]
    assert seen.said == []
    seen.leave()


def test_a_neuron_is_chosen_by_click_and_its_map_is_what_the_model_computes_at_every_step(
    browser: Browser, explored: Path
) -> None:
    seen = visit(browser, explored)
    dots = seen.page.locator("#panel-neuron_frequencies .graph .scatterlayer .points path")
    dots.first.wait_for(state="attached")
    dots.nth(30).scroll_into_view_if_needed()
    dots.nth(30).click(force=True)
    until(seen.page, "document.querySelector('#panel-neuron_explorer input').value !== '0'")
    chosen = int(seen.page.input_value("#panel-neuron_explorer input"))
    for neuron in (chosen, 40):
        choose(seen, neuron)
        for step, dial in zip(STEPS[1:], DIALS[1:], strict=True):
            seen.page.evaluate(f"location.hash = '#step={step}'")
            until(seen.page, f"document.querySelector('#panel-neuron_explorer .about').textContent.startsWith('at step {step}:')")
            until(seen.page, AT_INDEX, arg=STEPS.index(step))
            assert_neuron(seen, neuron, dial)
    assert seen.said == []
    seen.leave()


def assert_neuron(seen: Visit, neuron: int, dial: float) -> None:
    """The maps and what is said of them are right for this neuron of this model."""
    activations = forward(growing(dial), ModularTask(P).pairs).neurons.reshape(P, P, -1).numpy()
    expected = activations[..., neuron]
    assert np.abs(shown_map(seen, 0) - expected).max() < 0.05 * activations.max()
    found = neuron_frequencies(torch.from_numpy(activations.reshape(P * P, -1)), harmonics=addition(P))
    frequency, share = int(found.frequency[neuron]), float(found.share[neuron])
    if frequency and expected.max() > 0.2 * activations.max():
        about = seen.page.inner_text("#panel-neuron_explorer .about")
        assert f"frequency {frequency} explains" in about
        assert float(about.split("explains ")[1].split(" %")[0]) == pytest.approx(100 * share, abs=3)
        fit = shown_map(seen, 1)
        energy = ((fit - fit.mean()) ** 2).sum() / ((expected - expected.mean()) ** 2).sum()
        assert energy == pytest.approx(share, abs=0.05)


def test_a_neuron_of_multiplication_is_fitted_over_exponents(browser: Browser, tmp_path: Path) -> None:
    waves = multiplication(P)
    weights = random_weights(P, dtype=torch.float32, seed=1)
    series, path = built_in()[1], tmp_path / "multiply.html"
    neurons = explorer(STEPS, [neuron_tables(weights)] * len(STEPS), order=waves.classes.tolist())
    html = page(series, [neurons]).html
    assert "counted by their exponents to a primitive root (modulo 6)" in html
    path.write_text(html, encoding="utf-8")
    activations = forward(weights, ModularTask(P, "multiply").pairs).neurons.reshape(P, P, -1).numpy()
    seen, alive = visit(browser, path), 0
    for neuron in range(weights.d_mlp):
        choose(seen, neuron)
        shown, fit = (shown_map(seen, place).astype(float) for place in (0, 1))
        assert np.abs(shown - activations[..., neuron]).max() < 0.1 * activations.max()
        found = neuron_frequencies(take_rows(waves, torch.from_numpy(shown.reshape(P * P, 1))), harmonics=waves)
        if bool(found.dead[0]):
            continue
        alive += 1
        about = seen.page.inner_text("#panel-neuron_explorer .about")
        assert f"frequency {int(found.frequency[0])} explains {100 * float(found.share[0]):.1f} %" in about
        assert np.isnan(fit[0]).all()
        assert np.isnan(fit[:, 0]).all()
        inner, fitted = shown[1:, 1:], fit[1:, 1:]
        residual = ((inner - fitted) ** 2).sum() / ((inner - inner.mean()) ** 2).sum()
        assert residual == pytest.approx(1 - float(found.share[0]), abs=1e-3)
    assert alive > 5
    assert seen.said == []
    seen.leave()


def test_a_neuron_of_a_model_without_the_equals_sign_is_what_the_model_computes(browser: Browser, tmp_path: Path) -> None:
    p, path = 20, tmp_path / "without.html"
    models = [random_weights(p, dtype=torch.float32, equals_sign=False, seed=seed) for seed in range(len(STEPS))]
    neurons = explorer(STEPS, [neuron_tables(model) for model in models])
    html = page(built_in()[1], [neurons]).html
    assert '"codec":"q2"' not in html
    path.write_text(html, encoding="utf-8")
    seen = visit(browser, path, fragment=f"#step={STEPS[2]}")
    activations = forward(models[2], ModularTask(p, equals_sign=False).pairs).neurons.reshape(p, p, -1).numpy()
    for neuron in (0, 3):
        choose(seen, neuron)
        assert np.abs(shown_map(seen, 0) - activations[..., neuron]).max() < 0.1 * activations.max()
    assert seen.said == []
    seen.leave()


def test_a_number_beyond_the_last_neuron_is_the_last_neuron(browser: Browser, explored: Path) -> None:
    seen = visit(browser, explored, fragment=f"#step={STEPS[0]}")
    seen.page.fill("#panel-neuron_explorer input", "999999")
    seen.page.press("#panel-neuron_explorer input", "Enter")
    assert int(seen.page.input_value("#panel-neuron_explorer input")) == growing(1.0).d_mlp - 1
    assert "at step 0:" in seen.page.inner_text("#panel-neuron_explorer .about")
    assert seen.said == []
    seen.leave()
