"""What the page's sentences are made from: idle key frequencies, dates from losses, examples, settings of runs, labels."""

from __future__ import annotations

import json
import re
from operator import attrgetter

import numpy as np
import pytest
import xarray as xr
from retelling import saying

import interp
from interp.observing.analysis import Kind
from interp.observing.series import About
from interp.observing.work_of_keys import work_of_keys
from interp.reporting.dated_by_losses import dated_by_losses
from interp.reporting.learned import example
from interp.reporting.over_seeds import bands_of, settings
from interp.reporting.run_curves import Curves
from interp.reporting.run_labels import labels
from interp.reporting.story import tell
from interp.reporting.ways_to_make import made

P, KEYS = 59, (4, 18, 23)


def with_an_idle_key(**changes: object) -> xr.Dataset:
    """Three key frequencies of which 18 does nothing: no neuron, no share of the logits, no loss without it."""
    frequencies = np.arange(1, P // 2 + 1)

    def at(values: dict[int, float], dtype: type = float) -> list[list]:
        return [[dtype(values.get(int(k), 0)) for k in frequencies]]

    series = xr.Dataset(
        {
            "excluded_loss_single": (("step", "key_frequency"), [[0.5, 0.001, 0.9]]),
            "cos_coefficient": (("step", "frequency"), at({4: 0.6, 18: 0.03, 23: 0.7})),
            "cluster_size": (("step", "frequency"), at({4: 80, 23: 90}, int)),
            "embedding_norm": (("step", "frequency"), at({4: 3.0, 18: 1.0, 23: 3.5})),
        },
        coords={"step": [100], "frequency": frequencies, "key_frequency": list(KEYS)},
    )
    return saying(series, **{"p": P, "key_frequencies": list(KEYS), "key_rule": "unembedding", **changes})


def test_a_key_frequency_that_does_nothing_is_last_and_the_rules_that_omit_it_are_named() -> None:
    works = work_of_keys(with_an_idle_key())
    assert [work.name for work in works] == [23, 4, 18]
    assert [work.is_idle for work in works] == [False, False, True]
    assert works[-1].omitted_by == ("coefficients", "neurons")
    assert works[0].omitted_by == ()


def test_the_story_says_so_and_does_not_count_it_among_those_that_compute() -> None:
    grokked = {"step": 100, "earliest": 90, "latest": 100}
    phases = {**dict.fromkeys(("memorized", "onset", "cleanup", "settled")), "grokked": grokked}
    text = str(tell(with_an_idle_key(outcome="grokking", phases=json.dumps(phases))))
    assert "It computes with 2 of 29 frequencies (frequencies 23 and 4)" in text
    assert "The rule chooses 18 too, which does almost no work: no neuron follows it, it explains < 0.1 %" in text
    assert "Twice 18 is 23 modulo 59, up to the sign." in text
    assert "It is left out by the rules coefficients and neurons." in text


@pytest.mark.parametrize("operation", ["multiply", "x/y mod 59"])
def test_frequencies_of_products_and_quotients_are_modulo_one_less(operation: str) -> None:
    grokked = {"step": 100, "earliest": 90, "latest": 100}
    phases = {**dict.fromkeys(("memorized", "onset", "cleanup", "settled")), "grokked": grokked}
    known = {"outcome": "grokking", "phases": json.dumps(phases), "operation": operation}
    assert "Twice 18" not in str(tell(with_an_idle_key(**known)))  # 36 is 22 modulo 58, up to the sign
    sixty = str(tell(with_an_idle_key(**known, p=60)))
    assert "Twice 18 is 23 modulo 59, up to the sign." in sixty


def test_one_sign_alone_makes_no_frequency_idle() -> None:
    series = with_an_idle_key().drop_vars(["cos_coefficient", "cluster_size"])
    assert not any(work.is_idle for work in work_of_keys(series))
    assert [work.name for work in work_of_keys(series.drop_vars("excluded_loss_single"))] == list(KEYS)


def losses_only(test: list[float]) -> Curves:
    steps = [0, 100, 200, 300, 400]
    series = xr.Dataset(
        {
            "history_train_loss": ("history_step", [4.0, 0.3, 1e-3, 1e-4, 1e-5]),
            "history_test_loss": ("history_step", test),
            "history_train_accuracy": ("history_step", [np.nan] * 4 + [1.0]),
        },
        coords={"history_step": steps, "step": [400]},
    )
    phases = json.dumps(dict.fromkeys(("memorized", "onset", "cleanup", "grokked", "settled")))
    return Curves(saying(series, p=P, phases=phases, undated="not known: accuracies were measured at one step only"))


def test_losses_date_memorizing_and_cleanup_and_say_what_is_missing() -> None:
    found = dated_by_losses(losses_only([4.0, 8.0, 10.0, 4.0, 0.1]))
    assert {name: one.step for name, one in found.found.items()} == {"memorized": 100, "cleanup": 300}
    assert found.missing == ("train accuracy", "test accuracy")


@pytest.mark.parametrize("test", [[4.0, 8.0, 10.0, 4.0, 9.0], [4.0, 3.0, 2.0, 1.0, 0.1]])
def test_a_test_loss_that_does_not_stay_low_or_never_rose_dates_no_cleanup(test: list[float]) -> None:
    assert "cleanup" not in dated_by_losses(losses_only(test)).found


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        ("add", "17 + 50 = 8 modulo 59"),
        ("subtract", "17 \N{MINUS SIGN} 50 = 26 modulo 59"),
        ("multiply", "17 \N{MULTIPLICATION SIGN} 50 = 24 modulo 59"),
        ("x2xyy2", "17² + 17 · 50 + 50² = 40 modulo 59"),
    ],
)
def test_an_example_is_right(operation: str, text: str) -> None:
    assert example(About(operation=operation, p=P)).text == text
    assert example(About(operation="xor", p=16)) is None


def seeded(seed: int, values: list[float], **optimizer: float) -> xr.Dataset:
    series = xr.Dataset({"history_test_loss": ("history_step", values)}, coords={"history_step": [0, 10, 20], "step": [0, 20]})
    return series.assign_attrs(about=About(run=f"wd-s{seed}", config={"seed": seed, "optimizer": dict(optimizer)}))


def test_runs_that_differ_in_their_seeds_have_a_mean_and_a_band_and_others_have_none() -> None:
    runs = [seeded(i, [1.0, 10.0**-i, 10.0 ** -(2 * i)]) for i in range(3)]
    other = seeded(9, [1.0, 1.0, 1.0], weight_decay=3.0)
    found = settings([*runs, other], [f"wd-s{i}" for i in range(3)] + ["other"])
    assert [(one.places, one.name) for one in found] == [((0, 1, 2), "wd")]
    low, high, mean = bands_of(found[0], runs, "history_test_loss", cell=1, log=True, legend=True)
    assert np.allclose(low["y"], [1, 1e-2, 1e-4])
    assert np.allclose(high["y"], [1, 1, 1])
    assert np.allclose(mean["y"], [1, 1e-1, 1e-2])  # of the logarithms
    assert mean["name"] == "wd: mean of 3"
    assert settings(runs[:2], ["a", "b"]) == []


def test_long_names_lose_what_all_of_them_share_and_stay_different() -> None:
    assert labels(["grokking-run-a-1", "grokking-run-b-1"]) == ["a", "b"]
    assert labels(["a-very-long-name", "a-very-long-name"]) == ["a-very-long-name"] * 2
    long = ["modular-addition-long", "modular-addition"]
    assert len(set(labels(long))) == 2


def test_what_makes_a_panel_is_said_of_the_built_in_ones_alone() -> None:
    found = made("a run's", "loss_curves", "figure")
    assert found.command.startswith("interp figure 'a run'\"'\"'s' loss_curves")
    assert 'interp.observe(run, ["loss_curves"])' in found.python
    assert len(found.python.splitlines()) <= 4
    assert made("run", "mine", "figure") is None


@pytest.mark.parametrize(
    ("panel", "kind"), [("loss_curves", "figure"), ("dissection", "tables"), ("neuron_explorer", "explorer")]
)
def test_what_makes_a_panel_calls_functions_that_there_are(panel: str, kind: Kind) -> None:
    called = re.findall(r"interp\.([a-z_.]+)\(", made("run", panel, kind).python)
    assert called
    assert all(callable(attrgetter(name)(interp)) for name in called)
