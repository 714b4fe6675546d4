"""A report reads and hashes every checkpoint once, and measures the explorer and the dissection in the same pass."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from planted_run import STEPS, saved
from random_models import random_weights

import interp
from interp.store.run import Run


@pytest.fixture
def run(tmp_path) -> Run:
    return saved(tmp_path / "run", [random_weights(7, dtype=torch.float32, seed=seed) for seed in range(len(STEPS))])


@pytest.fixture
def reads(monkeypatch) -> Counter:
    """How often each file of a run is read."""
    counted, read = Counter(), Run.read

    def counting(self: Run, name: str) -> bytes:
        counted[name] += 1
        return read(self, name)

    monkeypatch.setattr(Run, "read", counting)
    return counted


def checkpoints(reads: Counter) -> list[int]:
    return [count for name, count in reads.items() if name.startswith("checkpoints/")]


def test_every_checkpoint_is_read_once(run, reads, tmp_path) -> None:
    made = interp.report(run, tmp_path / "page.html")
    assert made.failures == {}
    for part in ('id="panel-neuron_explorer"', 'id="panel-dissection"', "taken apart"):
        assert part in made.html
    assert checkpoints(reads) == [1] * len(STEPS)


def test_a_second_report_measures_nothing_and_is_the_same(run, reads, tmp_path) -> None:
    first = interp.report(run, tmp_path / "page.html").html
    reads.clear()
    assert interp.report(interp.open_run(run.path), tmp_path / "page.html").html == first
    assert checkpoints(reads) == []
    kept = {path.name.rsplit("-", 1)[0] for path in (run.path / "results").iterdir()}
    assert {"dissection", "neuron_explorer"} <= kept


def test_what_the_page_alone_shows_is_measured_when_it_is_asked_for(run) -> None:
    names = {array.attrs["analysis"] for array in interp.observe(run).data_vars.values() if "analysis" in array.attrs}
    assert not {"neuron_explorer", "dissection"} & names
    series = interp.observe(run, ["neuron_explorer", "dissection"])
    assert series["neuron_write"].sizes["step"] == len(STEPS)
    assert series["anatomy"].dims == ()


def test_a_text_of_the_last_checkpoint_can_be_taken_away(run, tmp_path) -> None:
    series = interp.observe(run, ["dissection"])
    for suffix in ("csv", "parquet", "nc"):
        assert interp.export_series(series, tmp_path / f"x.{suffix}").stat().st_size > len(series["anatomy"].item())


def test_analyses_of_the_last_checkpoint_see_the_whole_run_and_others_do_not(run) -> None:
    seen = {}

    def measuring(name: str):
        def measure(view) -> dict[str, float]:
            seen.setdefault(name, []).append((view.step, view.run))
            return {name: 1.0}

        return measure

    analyses = [
        interp.Analysis(name, "Seen?", measuring(name), lambda series: None, at=at)
        for name, at in (("all", "every"), ("one", "last"))
    ]
    series = interp.observe(run, analyses)
    assert seen["all"] == [(step, None) for step in STEPS]
    assert seen["one"] == [(STEPS[-1], run)]
    assert series["all"].dims == ("step",)
    assert series["one"].dims == ()


def test_unknown_kinds_and_places_are_refused() -> None:
    with pytest.raises(interp.errors.UsageError, match="did you mean 'tables'"):
        interp.Analysis("own", "?", dict, lambda series: None, kind="table")
    with pytest.raises(interp.errors.UsageError, match="did you mean 'last'"):
        interp.Analysis("own", "?", dict, lambda series: None, at="lasts")
