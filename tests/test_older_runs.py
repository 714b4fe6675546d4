"""Runs that version 0.1.0 wrote, kept in fixtures: they open, verify, go on, are measured and reported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import interp
from interp.store.provenance import provenance

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


def test_an_interrupted_one_goes_on_to_the_bytes_of_the_finished_one(runs):
    run = interp.open_run(runs / "interrupted")
    here = provenance()
    if any(run.provenance[name] != here[name] for name in ("torch", "numpy", "python", "processor")):
        pytest.skip("bytes are compared with the libraries and the processor that they were made with")
    interp.resume(run.path, progress=False)
    for name in ["history.jsonl", *(f"checkpoints/step_{step:08d}.safetensors" for step in (0, 100, 200))]:
        assert (runs / "interrupted" / name).read_bytes() == (runs / "finished" / name).read_bytes(), name
    assert interp.open_run(run.path).verify() == ()
