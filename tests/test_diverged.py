"""Runs that diverged: shown, measured and drawn as far as they are finite; where they are not, it is said, and why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_run import saved
from small_study import small_base
from strangers import call

import interp
from interp.errors import NotFiniteError, TrainingError
from interp.networks.network import not_finite
from interp.networks.one_layer import Weights
from interp.observing.run_keys import run_keys
from interp.synthetic import clock_weights

CLOCK = clock_weights(13, [2, 5])


def spoilt(kind: str) -> Weights:
    """The clock with one weight, or all of them, not finite."""
    if kind == "all":
        return CLOCK.map(lambda tensor: tensor * float("nan"))
    found = CLOCK.clone()
    found.W_in[0, 0] = float(kind)
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("diverged")
    for kind in ("nan", "inf", "all"):
        saved(root / kind, [CLOCK, spoilt(kind)])
    saved(root / "first", [spoilt("all"), CLOCK])
    saved(root / "never", [spoilt("all"), spoilt("all")])
    return root


def test_what_is_not_finite_is_named() -> None:
    assert not_finite(CLOCK) is None
    assert not_finite(spoilt("nan")) == "W_in: 1 of 5,408 weights are NaN or infinite"
    assert "224 of 224 weights" in str(not_finite(spoilt("all")))


@pytest.mark.parametrize("kind", ["nan", "inf", "all"])
def test_keys_are_those_of_the_last_finite_checkpoint(runs: Path, kind: str) -> None:
    for _ in range(2):  # worked out, and remembered
        found = run_keys(interp.open_run(runs / kind), "unembedding")
        assert (found.names, found.step) == ((2, 5), 0)
    found = run_keys(interp.open_run(runs / "never"), "unembedding")
    assert (found.names, found.step) == ((), None)


@pytest.mark.parametrize(("kind", "odd", "sound"), [("nan", 20, 0), ("all", 20, 0), ("first", 0, 20)])
def test_what_is_measured_is_nan_there_and_right_elsewhere(runs: Path, kind: str, odd: int, sound: int) -> None:
    series = interp.observe(interp.open_run(runs / kind))
    known = interp.about(series)
    assert not known.failures
    assert known.key_step == sound
    for why in known.not_finite.values():
        assert why.startswith(f"step {odd}: W_")
    alone = interp.observe(saved(runs / f"sound beside {kind}", [CLOCK, CLOCK]))
    for name, values in alone.data_vars.items():
        if "step" not in values.dims:
            continue
        assert np.isnan(series[name].sel(step=odd).values.astype(float)).all(), name
        np.testing.assert_array_equal(series[name].sel(step=sound).values, values.sel(step=sound).values, err_msg=str(name))
    again = interp.observe(interp.open_run(runs / kind))
    assert again.equals(series)
    assert interp.about(again).not_finite == known.not_finite


@pytest.mark.parametrize("kind", ["nan", "inf", "all", "first"])
def test_every_command_works_and_says_it(runs: Path, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd, sound = (0, 20) if kind == "first" else (20, 0)
    for command in (
        ("show", kind), ("analyze", kind), ("report", kind, "-o", tmp_path / "x.html"),
        ("figure", kind, "progress_measures", "-o", tmp_path / "x.json"),
        ("figure", kind, "--all", "--format", "json", "-o", tmp_path / kind),
    ):  # fmt: skip
        found = call(capsys, *command, "--root", runs)
        assert found.code == 0, (command, found.err)
        assert f"step {odd}: W_" in found.said
        if command[0] != "show":
            assert f"the last finite checkpoint is that of step {sound}" in found.err
        assert "RuntimeWarning" not in found.err
    assert "What is NaN, at which steps, and why" in (tmp_path / "x.html").read_text()
    found = call(capsys, "verify", kind, "--root", runs)
    assert (found.code, "sound" in found.out) == (0, True)
    assert (
        f"note: checkpoints: weights are NaN or infinite in 1 checkpoint, step {odd}; the last finite one is that of step {sound}"
        in found.out
    )
    told = json.loads(call(capsys, "show", kind, "--json", "--root", runs).out)
    assert told["not_finite"]["last_finite_step"] == sound


def test_a_run_that_never_was_finite_is_still_shown(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = call(capsys, "show", "never", "--root", runs)
    assert found.code == 0, found.err
    assert "none is finite" in call(capsys, "verify", "never", "--root", runs).out
    found = call(capsys, "analyze", "never", "--root", runs)
    assert found.code == 1
    assert "failed at 2 steps from 0 to 20: W_" in found.err
    assert call(capsys, "report", "never", "-o", tmp_path / "x.html", "--root", runs).code == 0
    with pytest.raises(NotFiniteError):
        interp.key_frequencies(spoilt("all"))


def test_a_run_that_broke_off_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = small_base()
    config = replace(base, optimizer=replace(base.optimizer, lr=1e4), threads=1)
    with pytest.raises(TrainingError):
        interp.record(config, root=tmp_path, name="broken")
    step = interp.open_run(tmp_path / "broken").steps[-1]
    for command in (("show", "broken"), ("analyze", "broken"), ("report", "broken", "-o", tmp_path / "x.html")):
        assert call(capsys, *command, "--root", tmp_path).code == 0
    found = call(capsys, "verify", "broken", "--root", tmp_path)
    assert found.code == 0
    assert f"note: manifest.json: the run broke off after step {step}: the training loss was no longer finite" in found.out
    assert call(capsys, "anatomy", tmp_path / "broken", "--controls", 0).code in (0, 1)
