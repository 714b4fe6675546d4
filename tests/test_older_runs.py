"""Runs that version 0.1.0 wrote, kept in fixtures: they open, verify, go on, are measured and reported."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import interp
from interp.errors import DataError

RUNS = Path(__file__).parent / "fixtures" / "runs_0_1_0"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RUNS, tmp_path / "runs"))


@pytest.mark.parametrize("name", ["finished", "interrupted"])
def test_they_open_and_are_sound(runs, name):
    run = interp.open_run(runs / name)
    assert run.verify() == ()
    assert run.status == name
    assert run.task == interp.ModularTask(5)
    assert run.steps == ((0, 100, 200) if name == "finished" else (0, 100))
    assert run[100].weights.p == 5
    assert run.facts()["n_parameters"] == run[0].weights.n_parameters


def test_what_was_cached_with_another_toolkit_is_measured_anew(runs):
    before = {path.name for path in (runs / "finished" / "results").iterdir()}
    series = interp.observe(interp.open_run(runs / "finished"), ["progress_measures", "embedding_spectrum"])
    assert series.sizes["step"] == 3
    assert bool((series["restricted_loss"] > 0).all())
    assert before < {path.name for path in (runs / "finished" / "results").iterdir()}


def test_they_are_reported(runs):
    page = interp.report(runs / "finished", runs / "report.html")
    assert not page.failures
    assert "a + b" in page.html


def same_bytes(folder: Path, other: Path) -> bool:
    names = ["history.jsonl", *(f"checkpoints/step_{step:08d}.safetensors" for step in (0, 100, 200))]
    return all((folder / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_an_interrupted_one_goes_on_to_the_finished_one(runs):
    run, finished = interp.open_run(runs / "interrupted"), interp.open_run(runs / "finished")
    refused = None
    try:
        interp.resume(run.path, progress=False)
    except DataError as error:
        refused = str(error)
    if refused is not None:  # its last step, computed again, has other bytes here: then the whole run has
        assert "its bytes would not be those of an uninterrupted run" in refused
        interp.record(finished.config, runs, "elsewhere", progress=False)
        assert not same_bytes(runs / "elsewhere", runs / "finished")
        pytest.skip("this processor or library rounds otherwise than that of the fixture: it is not gone on with, as it should")
    run = interp.open_run(run.path)
    assert run.verify() == ()
    assert run.steps == finished.steps
    assert (run.path / "checkpoints/step_00000100.safetensors").read_bytes() == (
        finished.path / "checkpoints/step_00000100.safetensors"
    ).read_bytes()
    # In float64, so that what another processor or library rounds otherwise stays far below what any change of the rule would do.
    for name, values in finished.columns.items():
        np.testing.assert_allclose(run.columns[name], values, rtol=1e-9)
    for name, tensor in finished.last.weights.tensors().items():
        torch.testing.assert_close(run.last.weights.tensors()[name], tensor, rtol=1e-7, atol=1e-9)


def test_an_interrupted_one_goes_on_to_the_bytes_of_the_finished_one(runs):
    """Where this machine trains the whole run to the bytes that were written then, which depends on how it rounds."""
    interp.record(interp.open_run(runs / "finished").config, runs, "anew", progress=False)
    if not same_bytes(runs / "anew", runs / "finished"):
        pytest.skip("this processor or library rounds otherwise than that of the fixture: its bytes cannot be compared")
    interp.resume(runs / "interrupted", progress=False)
    assert same_bytes(runs / "interrupted", runs / "finished")
