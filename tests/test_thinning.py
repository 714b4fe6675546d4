"""Thinning a run: what was measured stays, bit for bit, whoever reads it later; what goes is said, nothing is lost halfway."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from small_study import MEASURES, run_bytes, small_base

import interp
from interp import Run, about, observe, open_run, record
from interp.errors import DataError, UsageError
from interp.keeping.session import Session
from interp.observing.thinning_out import thin_measured
from interp.store.beginning import begin
from interp.store.thinning import thin
from interp.store.writer import RunWriter, writing


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run with all its checkpoints."""
    return record(small_base(), tmp_path_factory.mktemp("whole"), "run", progress=False)


@pytest.fixture
def run(whole: Run, tmp_path: Path) -> Run:
    """A copy of it."""
    shutil.copytree(whole.path, tmp_path / "run")
    return open_run(tmp_path / "run")


def test_what_was_measured_stays_bit_for_bit(run: Run) -> None:
    before = observe(run, MEASURES)
    size = sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
    thinned = thin_measured(run, measures=MEASURES)
    assert thinned.steps == (run.steps[0], run.steps[-1])
    assert thinned.manifest.thinned_steps == run.steps[1:-1]
    assert len(list((run.path / "checkpoints").iterdir())) == 2
    assert thinned.manifest.series == tuple(sorted(MEASURES))
    after = observe(thinned, MEASURES)
    assert after.identical(before.assign_attrs(after.attrs))
    assert about(after).phases == about(before).phases
    assert not thinned.verify()
    assert sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file()) < size


def test_it_is_there_also_for_another_version(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = observe(run, MEASURES)
    thinned = thin_measured(run, measures=MEASURES)
    shutil.rmtree(run.path / "results", ignore_errors=True)
    monkeypatch.setattr("interp.observing.fingerprint.toolkit_digest", lambda: "another")
    assert observe(thinned, MEASURES).equals(before)


def test_what_was_not_measured_is_left_out_with_the_reason(run: Run) -> None:
    thinned = thin_measured(run, measures=MEASURES)
    found = observe(thinned, [*MEASURES, "embedding_spectrum"])
    assert "not measured before" in about(found).left_out["embedding_spectrum"]
    assert found.sizes["step"] == len(run.steps)
    alone = observe(thinned, ["embedding_spectrum"])  # where the checkpoints are, everything can be measured
    assert tuple(alone["step"].values) == thinned.steps
    assert alone.equals(
        observe(run.__class__(run.path, thinned.manifest, run.record), ["embedding_spectrum"], steps=thinned.steps)
    )
    keys = about(found).key_frequencies
    assert keys is not None
    other = observe(thinned, MEASURES, key_rule=[1 if keys != (1,) else 2])
    assert "key frequencies" in about(other).left_out["progress_measures"]


def test_named_steps_stay(run: Run) -> None:
    thinned = thin_measured(run, [5], measures=MEASURES)
    assert thinned.steps == (0, 5, 12)
    assert thinned[5].step == 5
    with pytest.raises(UsageError, match="thinned out"):
        thinned[10]
    with pytest.raises(UsageError, match="was not saved"):
        thinned[11]
    assert thin_measured(thinned, measures=MEASURES).steps == (0, 12)
    assert observe(open_run(run.path), MEASURES).sizes["step"] == len(run.steps)


def test_pages_and_commands_work_on_a_thinned_run(run: Run, tmp_path: Path) -> None:
    thinned = thin_measured(run, measures=MEASURES)
    interp.report([thinned], tmp_path / "page.html")
    assert "thinned out" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_an_unfinished_run_is_not_thinned(tmp_path: Path) -> None:
    training = interp.Training(small_base(steps=50))
    stream = iter(training)
    path = tmp_path / "run"
    with writing(path):
        begin(path, training.plan, provenance={})
        session = Session(RunWriter(path), training.plan, training.state)
        session.take(next(stream))
        session.commit(status="interrupted")
    before = run_bytes(path)
    with pytest.raises(UsageError, match="unfinished"):
        thin(path, ())
    assert run_bytes(path) == before


def test_nothing_goes_when_an_analysis_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path for path in run.path.rglob("*") if path.is_file()}
    monkeypatch.setattr("interp.observing.measuring.measured_by", lambda *_: RuntimeError("no"))
    with pytest.raises(DataError, match="nothing was thinned out"):
        thin_measured(run, measures=["weight_norms"])
    assert open_run(run.path).steps == run.steps
    assert before <= {path for path in run.path.rglob("*") if path.is_file()}


def test_killed_at_any_moment_nothing_is_lost(whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was done last: the run is sound, its series are the same, and the same call brings it to its end."""

    class Killed(BaseException):
        pass

    expected = observe(whole, MEASURES)
    real = {name: getattr(os, name) for name in ("replace", "link", "unlink")}
    done, allowed = 0, -1

    def guarded(name: str) -> object:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal done
            done += 1
            if done == allowed:
                raise Killed
            return real[name](*args, **kwargs)

        return call

    total = None
    number = 0
    while total is None or number <= total:
        path = tmp_path / f"run{number}"
        shutil.copytree(whole.path, path)
        run = open_run(path)
        done, allowed = 0, number if total is not None else -1
        with monkeypatch.context() as patched:
            for name in real:
                patched.setattr(os, name, guarded(name))
            with suppress(Killed):
                thin_measured(run, measures=MEASURES)
        if total is None:
            total, number = done, 1
            assert total > len(whole.steps) - 2
            continue
        found = open_run(path)
        assert not found.verify()
        assert observe(found, MEASURES).equals(expected)
        again = thin_measured(found, measures=MEASURES)
        assert again.steps == (0, 12)
        assert len(list((path / "checkpoints").glob("*.safetensors"))) == 2
        assert not again.verify()
        assert observe(again, MEASURES).equals(expected)
        number += 1


def test_a_damaged_series_is_found_and_not_believed(run: Run) -> None:
    thinned = thin_measured(run, measures=MEASURES)
    path = run.path / "series" / "weight_norms.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    assert [problem.file for problem in thinned.verify()] == ["series/weight_norms.safetensors"]
    with pytest.raises(DataError, match="damaged"):
        observe(thinned, MEASURES)
