"""A run's curves for other tools, read back by our own readers, and by the tools' own where they are installed."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from recorded import CONFIG
from written_logs import wandb

import interp
from interp.cli import main
from interp.errors import DataError, UsageError
from interp.interop import exported_logs, read_log
from interp.interop.logs.event_writer import event_file
from interp.interop.logs.tensorboard_log import read_tensorboard


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return interp.record(replace(CONFIG, steps=20), tmp_path_factory.mktemp("runs"), "exported", progress=False)


def expected(run, *, exact=False):
    """The history by column, step and value, in the precision of the format."""
    known = {name: run.columns[name] for name in run.columns if name != "step"}
    return {
        name: {
            int(step): float(value if exact else np.float32(value))
            for step, value in zip(run.columns["step"], values, strict=True)
            if np.isfinite(value)
        }
        for name, values in known.items()
    }


def test_tensorboard_reads_what_was_written(run, tmp_path):
    series = interp.observe(run, ["progress_measures", "weight_norms"])
    written = interp.export_log(run, tmp_path / "board", series=series)
    assert dict(read_log(written).columns) == expected(run)
    assert dict(read_log(tmp_path / "board").columns) == expected(run)
    rows = next(iter(read_tensorboard(written).runs.values()))
    last = {name: value for row in rows if row.values["step"] == 20 for name, value in row.values.items()}
    assert last["restricted_loss"] == float(np.float32(series.restricted_loss[-1]))
    assert interp.export_log(run, tmp_path / "again", series=series).read_bytes() == written.read_bytes()


def test_tensorboards_own_reader_gives_the_same(run, tmp_path):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed")
    interp.export_log(run, tmp_path / "board")
    found = reading.EventAccumulator(str(tmp_path / "board"), size_guidance={"scalars": 0})
    found.Reload()
    tags = {"loss/train": "train_loss", "loss/test": "test_loss", "accuracy/train": "train_accuracy"}
    tags |= {"accuracy/test": "test_accuracy", "sum_squared_weights": "sum_squared_weights"}
    assert set(found.Tags()["scalars"]) == set(tags)
    for tag, column in tags.items():
        assert {event.step: event.value for event in found.Scalars(tag)} == expected(run)[column]


def test_wandb_reads_what_was_written_and_nothing_else_is_touched(run, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed: pip install 'interp[wandb]'")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    before = dict(os.environ)
    written = interp.export_log(run, tmp_path / "wandb-logs", "wandb")
    assert written.suffix == ".wandb"
    assert dict(read_log(written).columns) == expected(run, exact=True)
    assert {name: value for name, value in os.environ.items() if name in before} == before
    assert list(home.iterdir()) == []
    with pytest.raises(UsageError, match="has a log already"):
        interp.export_log(run, tmp_path / "wandb-logs", "wandb")


def test_what_wandbs_own_process_has_not_written_yet_is_waited_for(tmp_path, monkeypatch):
    path = wandb(tmp_path / "r.wandb", [{"_step": step, "train_loss": step} for step in range(20)])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])  # in the middle of a row
    later = threading.Timer(0.5, path.write_bytes, [whole])
    later.start()
    began = time.monotonic()
    exported_logs._wait_for_values(path, 20)
    later.join()
    assert time.monotonic() - began > 0.4
    monkeypatch.setattr(exported_logs, "_PATIENCE", 0)
    with pytest.raises(DataError, match="wandb has not written its values within 0 seconds: 20 of 21 rows are there"):
        exported_logs._wait_for_values(path, 21)


def test_large_steps_and_values_are_written_whole(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(event_file([(0, {"loss/train": 1e300}), (2**40, {"loss/train": -np.inf, "loss/test": 0.25})]))
    rows = next(iter(read_tensorboard(path).runs.values()))
    assert [row.values for row in rows] == [
        {"step": 0, "loss/train": np.inf},
        {"step": 2**40, "loss/train": -np.inf},
        {"step": 2**40, "loss/test": 0.25},
    ]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match="does not have its checksum"):
        read_tensorboard(path)


def test_what_cannot_be_written_is_said(run, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="unknown log format 'tensorbord'; did you mean 'tensorboard'"):
        interp.export_log(run, tmp_path, "tensorbord")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataError, match="cannot be made"):
        interp.export_log(run, tmp_path / "file" / "inside")
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match=r"pip install 'interp\[wandb\]'"):
        interp.export_log(run, tmp_path / "w", "wandb")


def test_the_command_writes_logs(run, tmp_path, capsys):
    with pytest.raises(SystemExit) as done:
        main(["export", str(run.path), "-o", str(tmp_path / "logs"), "--to", "tensorboard"])
    assert done.value.code == 0
    assert "events.out.tfevents" in capsys.readouterr().out
    with pytest.raises(SystemExit) as refused:
        main(["export", str(run.path), "-o", str(tmp_path / "more"), "--to", "tensorboard", "--step", "3"])
    assert refused.value.code == 2
    assert "--to: given with --format or --step" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["export", str(run.path), "-o", str(tmp_path / "w.safetensors"), "--to", "tensorboard"])
    assert "expected a folder for its log" in capsys.readouterr().err
    assert not (tmp_path / "w.safetensors").exists()
