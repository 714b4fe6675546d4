"""Studies whose runs are trained in batches, as on a GPU: on the CPU, where a batch computes the same without graphs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engines import needs_cuda
from small_study import in_turn, run_bytes, small_base, small_study

from interp import ModelConfig, RunConfig, Study, open_run, record, record_batch
from interp.cli import main
from interp.errors import DataError, UsageError
from interp.store.leases import Leases
from interp.store.manifest import MANIFEST
from interp.store.writer import writing
from interp.studies import batches
from interp.studies.batches import Batches
from interp.studies.effort import effort
from interp.studies.outcomes import counts, rows
from interp.studies.worker import LEASES
from interp.training import loop
from interp.training.stacked.graphs import is_asked

BATCHES = Batches(measuring=in_turn)


def of_batches(root: Path, **changes: Any) -> Study:
    """Eight runs for the engine of batches, in two shapes: two fractions."""
    base = {"engine": "cuda", "dtype": "float64", **changes.pop("base", {})}
    return small_study(root, base=small_base(**base), **changes)


@pytest.fixture
def trained_together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of each batch that is recorded."""
    sizes: list[int] = []

    def noted(configs: list[RunConfig], *arguments: Any, **named: Any) -> Any:
        sizes.append(len(configs))
        return record_batch(configs, *arguments, **named)

    monkeypatch.setattr(batches, "record_batch", noted)
    return sizes


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The study, never interrupted."""
    made = of_batches(tmp_path_factory.mktemp("whole"))
    made.run(executor=BATCHES, progress=False)
    return made


def at_step(wanted: int, do: Callable[[], None]) -> Callable[..., Any]:
    """A step of a training that does something when a step of the first seed at the first cell is computed."""
    original = loop.Training._step

    def step(training: Any, train_loss: float) -> Any:
        found = original(training, train_loss)
        if found.index == wanted and training.config.seed == 0 and training.config.optimizer.weight_decay == 0.5:
            do()
        return found

    return step


# ---- What a batch is, and what becomes of it ----


def test_runs_of_one_shape_are_trained_together_and_kept_as_every_other(tmp_path: Path, trained_together: list[int]) -> None:
    study = of_batches(tmp_path)
    tally = study.run(executor=BATCHES, progress=False)
    assert (tally.finished, tally.trained, dict(tally.failed)) == (8, 8, {})
    assert trained_together == [4, 4]  # two fractions have two numbers of training pairs
    for point in study.points:
        run = study[point.name]
        assert (run.config, run.engine, run.record["batch"], run.verify()) == (point.config, "cuda", 4, ())
        assert run.manifest.thinned
        assert run.steps == (0, 12)
    assert not any(json.loads(path.read_bytes()).get("released") is None for path in (study.folder / LEASES).iterdir())
    assert study.run(executor=BATCHES, progress=False).trained == 0
    assert trained_together == [4, 4]


def test_each_equals_its_single_run_to_rounding(whole: Study, tmp_path: Path) -> None:
    for number, point in enumerate(whole.points):
        alone = record(replace(point.config, engine="reference"), tmp_path, f"run{number}", progress=False)
        mine = whole[point.name]
        for name, tensor in mine[12].weights.tensors().items():
            torch.testing.assert_close(tensor, alone[12].weights.tensors()[name], rtol=1e-6, atol=1e-8)
        for column in ("train_loss", "test_loss"):
            np.testing.assert_allclose(mine.columns[column], alone.columns[column], rtol=1e-6)
    assert whole.series("restricted_loss").notnull().all()


def test_what_the_engine_is_not_meant_for_is_trained_one_by_one(tmp_path: Path, trained_together: list[int]) -> None:
    """A run for the CPU that names no engine keeps its bytes, whatever executes it."""
    ordinary = small_study(tmp_path / "one", base=small_base(engine="auto"), vary={}, seeds=range(2))
    ordinary.run(executor=in_turn, progress=False)
    other = small_study(tmp_path / "two", base=small_base(engine="auto"), vary={}, seeds=range(2))
    other.run(executor=BATCHES, progress=False)
    assert trained_together == []
    for point in ordinary.points:
        assert run_bytes(ordinary.path_of(point.name)) == run_bytes(other.path_of(point.name))


def test_which_runs_are_left_to_the_engine() -> None:
    base = small_base()
    on_card = replace(base, device="cuda", engine="auto")
    assert is_asked(on_card)
    assert is_asked(replace(base, engine="cuda"))
    assert not is_asked(replace(base, engine="auto"))
    assert not is_asked(replace(on_card, engine="reference"))
    assert not is_asked(replace(on_card, model=ModelConfig(d_model=16, n_heads=2, d_mlp=16, activation="gelu")))


@pytest.mark.parametrize(("most", "sizes"), [(3, [3, 1]), (1, [1] * 3), (64, [3])])
def test_batches_have_at_most_so_many_runs(tmp_path: Path, trained_together: list[int], most: int, sizes: list[int]) -> None:
    study = of_batches(tmp_path, vary={}, seeds=range(sum(sizes)), keep="all")
    assert study.run(executor=Batches(most=most, measuring=in_turn), progress=False).finished == sum(sizes)
    assert trained_together == sizes


def test_one_that_fails_takes_no_other_of_its_batch_along(tmp_path: Path) -> None:
    study = of_batches(tmp_path, vary={"split.fraction": [0.4]}, seeds=range(5), keep="all")
    study.save()
    blocked = study.path_of(study.points[2].name)
    blocked.mkdir(parents=True)
    (blocked / "mine.txt").write_text("not a run")
    tally = study.run(executor=BATCHES, progress=False)
    assert (tally.finished, list(tally.failed)) == (4, [blocked.name])
    assert "mine.txt" in tally.failed[blocked.name]
    (blocked / "mine.txt").unlink()
    assert study.run(executor=BATCHES, progress=False).trained == 1


def test_a_loss_that_is_not_finite_ends_one_run(tmp_path: Path) -> None:
    wild = of_batches(tmp_path, vary={"optimizer.lr": [1e-3, 1e38]}, seeds=range(2))
    tally = wild.run(executor=BATCHES, progress=False)
    assert (tally.finished, tally.stopped, dict(tally.failed)) == (2, 2, {})
    assert {row["why"] for row in rows(wild) if row["optimizer.lr"] == 1e38} == {"non-finite"}
    assert counts(rows(wild))["broke off"] == 2


def test_runs_that_others_hold_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has a run keeps it; the others of its batch are trained meanwhile, and it once it is given back."""
    monkeypatch.setattr("interp.studies.going._PATIENCE", 0.01)
    study = of_batches(tmp_path, vary={}, seeds=range(3), keep="all")
    study.save()
    lease = Leases(study.folder / LEASES).take(study.points[1].name)
    told: list[list[Any]] = []

    def watched(runs: Any, job: Any) -> Any:
        told.append([])
        for number, result in BATCHES(runs, job):
            told[-1].append(result)
            yield number, result
        lease.release()

    assert study.run(executor=watched, progress=False).finished == 3
    assert told == [["held", "finished", "finished"], ["finished"]]


def test_a_run_that_a_stopped_process_still_writes_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease is over, and its lock is not."""
    monkeypatch.setattr("interp.studies.going._PATIENCE", 0.01)
    study = of_batches(tmp_path, vary={}, seeds=range(3), keep="all")
    study.save()
    held = ExitStack()
    held.enter_context(writing(study.path_of(study.points[1].name)))
    told: list[list[Any]] = []

    def watched(runs: Any, job: Any) -> Any:
        told.append([])
        for number, result in BATCHES(runs, job):
            told[-1].append(result)
            yield number, result
        held.close()

    assert study.run(executor=watched, progress=False).finished == 3
    assert told == [["held", "finished", "finished"], ["finished"]]


# ---- Interrupted ----


@pytest.mark.parametrize("received", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_every_run_of_the_batch(
    whole: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, received: signal.Signals
) -> None:
    study = of_batches(tmp_path)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(loop.Training, "_step", at_step(7, lambda: signal.raise_signal(received)))
            with pytest.raises(KeyboardInterrupt):
                study.run(executor=BATCHES, progress=False)
    finally:
        signal.signal(signal.SIGTERM, before)
    begun = [open_run(path.parent) for path in study.folder.glob(f"runs/*/{MANIFEST}")]
    assert [(run.status, run.manifest.step, run.verify()) for run in begun] == [("interrupted", 7, ())] * 4
    assert study.run(executor=BATCHES, progress=False).finished == 8
    for point in study.points:
        assert run_bytes(study.path_of(point.name)) == run_bytes(whole.path_of(point.name))


def test_a_process_that_is_killed_loses_a_few_seconds_and_no_run(whole: Study, tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from test_study_batches import BATCHES, at_step, of_batches
from interp.keeping import session
from interp.training import loop
session.COMMIT_SECONDS, session.COMMIT_SHARE = 0.0, float("inf")
loop.Training._step = at_step(9, lambda: os.kill(os.getpid(), signal.SIGKILL))
of_batches(Path(sys.argv[1])).run(executor=BATCHES, progress=False)
"""
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, env=environment)
    assert done.returncode == -signal.SIGKILL
    study = of_batches(tmp_path)
    begun = [row for row in rows(study) if row["status"] == "unfinished"]
    assert [row["last_step"] for row in begun] == [8] * 4
    # Its leases are those of a process that is gone.
    assert study.run(executor=BATCHES, progress=False).finished == 8
    for point in study.points:
        assert run_bytes(study.path_of(point.name)) == run_bytes(whole.path_of(point.name))


def interrupted(root: Path, **changes: Any) -> Study:
    """A study of one cell that was interrupted at step 7."""
    study = of_batches(root, **{"vary": {"optimizer.weight_decay": [0.5]}, "seeds": range(2), **changes})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Training, "_step", at_step(7, lambda: signal.raise_signal(signal.SIGINT)))
        with pytest.raises(KeyboardInterrupt):
            study.run(executor=BATCHES, progress=False)
    return study


def test_an_executor_without_the_device_says_so_and_harms_nothing(tmp_path: Path) -> None:
    """What was begun in a batch goes on where its engine is, not elsewhere: the bytes would be another engine's."""
    study = interrupted(tmp_path)
    files = {point.name: run_bytes(study.path_of(point.name)) for point in study.points}
    tally = study.run(executor=in_turn, progress=False)
    assert tally.finished == 0
    assert all("CUDA" in why for why in tally.failed.values())
    assert {point.name: run_bytes(study.path_of(point.name)) for point in study.points} == files
    assert study.run(executor=BATCHES, progress=False).finished == 2


def test_a_run_that_was_begun_alone_is_not_put_into_a_batch(tmp_path: Path, trained_together: list[int]) -> None:
    """As one that `--on here` began on the study's device. (Here, on the CPU, its engine cannot go on with it alone.)"""
    study = interrupted(tmp_path, seeds=range(3))
    record_of = study.path_of(study.points[0].name) / "run.json"
    facts = json.loads(record_of.read_text())
    del facts["batch"]
    record_of.write_text(json.dumps(facts))
    trained_together.clear()
    tally = study.run(executor=BATCHES, progress=False)
    assert (trained_together, tally.finished, list(tally.failed)) == ([2], 2, [study.points[0].name])


# ---- What is missing ----


def test_without_a_card_it_is_said_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = small_study(tmp_path)
    study.save()

    def said() -> str:
        with pytest.raises(SystemExit) as caught:
            main(["study", "run", "small", "--root", str(tmp_path), "--on", "cuda"])
        assert caught.value.code == 2
        return capsys.readouterr().err

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "no CUDA device is available here" in (text := said())
    assert "was built without CUDA" in text
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "finds no card and driver" in said()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert "are for the device 'cpu'" in said()
    batches.check_card(small_study(tmp_path, base=small_base(device="cuda"), name="there"))
    with pytest.raises(UsageError, match="expected one of the 1 CUDA devices"):
        batches.check_card(small_study(tmp_path, base=small_base(device="cuda:3"), name="far"))
    assert not list(study.folder.glob("runs/*"))


def test_a_study_for_a_card_can_be_planned_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    study = small_study(tmp_path, base=small_base(device="cuda", engine="auto"))
    needed = effort(study)
    assert (needed.runs, needed.steps, needed.seconds) == (8, 96, None)
    assert "of which there is none here" in str(needed)
    tally = study.run(executor=in_turn, progress=False)
    assert len(tally.failed) == 8
    assert all("no CUDA device is available here" in why for why in tally.failed.values())
    tally = study.run(executor=BATCHES, progress=False)
    assert all("no CUDA device is available here" in why for why in tally.failed.values())


@pytest.mark.parametrize("most", [0, -1, "many"])
def test_a_batch_has_a_run(most: Any) -> None:
    with pytest.raises(UsageError, match="most: given"):
        Batches(most=most)


def test_the_job_is_that_of_a_study() -> None:
    with pytest.raises(UsageError, match="expected that of a study"):
        Batches()({0: small_base()}, str)


def test_a_full_disk_is_a_failure_of_each_and_the_study_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = of_batches(tmp_path, vary={}, seeds=range(3))

    def full(*_: Any, **__: Any) -> Any:
        raise DataError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(batches, "record_batch", full)
        tally = study.run(executor=BATCHES, progress=False)
    assert len(tally.failed) == 3
    assert study.run(executor=BATCHES, progress=False).finished == 3


# ---- On a card ----


@needs_cuda
def test_a_study_is_trained_on_a_card(tmp_path: Path) -> None:
    study = small_study(tmp_path, base=small_base(device="cuda", engine="auto"))
    batches.check_card(study)
    assert study.run(executor=BATCHES, progress=False).finished == 8
    assert {study[point.name].record["batch"] for point in study.points} == {4}
    for point in study.points[:2]:
        alone = record(point.config, tmp_path, point.name, progress=False)
        torch.testing.assert_close(study[point.name].columns["train_loss"], alone.columns["train_loss"], rtol=1e-4, atol=1e-6)
