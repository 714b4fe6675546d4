"""Training logs of other people's runs: every format into the same columns, and every decision said."""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import official_state, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_log import COLUMNS, FORMS, STEPS, write
from random_models import memorizer
from written_logs import crc32c, event, framed, leveldb, masked, session, tensorboard, text, trackio, wandb, whole

import interp
from interp.errors import DataError, UsageError
from interp.interop import Known, import_run, load_run
from interp.interop.imported import measured_row
from interp.interop.logs import log_rows
from interp.interop.logs.column_names import meaning
from interp.interop.logs.training_log import read_log
from interp.interop.logs.wandb_log import MAGIC
from interp.interop.split_file import read_split
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig


def _text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def as_columns(path: Path, run: str | None = None) -> dict[str, dict[int, float]]:
    return {name: dict(values) for name, values in read_log(path, run).columns.items()}


@pytest.mark.parametrize("form", FORMS)
def test_every_format_gives_the_same_columns(tmp_path: Path, form: str) -> None:
    found = read_log(write(tmp_path, form))
    assert found.columns.keys() == COLUMNS.keys()
    for name, values in COLUMNS.items():
        assert [*found.columns[name]] == STEPS
        wanted = np.float32(values) if form == "tensorboard" else values
        np.testing.assert_array_equal([*found.columns[name].values()], wanted)  # NaN is NaN
    assert any(
        "train_loss from 'train/loss'; test_loss from 'val/loss'; train_accuracy from 'train/acc'" in n for n in found.notes
    )
    assert any("float32" in note for note in found.notes) == (form == "tensorboard")
    assert ("steps are its column 'epoch' (it also has '_step')" in found.notes) == (form == "wandb")


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("train_loss", "train_loss"), ("loss/train", "train_loss"), ("Loss/Train", "train_loss"), ("trainLoss", "train_loss"),
        ("training loss", "train_loss"), ("epoch_loss", "train_loss"), ("loss", "train_loss"),
        ("train_cross_entropy", "train_loss"),
        ("val_loss", "test_loss"), ("validation/loss", "test_loss"), ("eval_loss", "test_loss"), ("test/ce", "test_loss"),
        ("test_losses", "test_loss"), ("Test Accuracy (%)", "test_accuracy"), ("val_acc", "test_accuracy"),
        ("accuracy", "train_accuracy"), ("train/acc_pct", "train_accuracy"), ("sum_squared_weights", "sum_squared_weights"),
        ("train_log_loss", None), ("log_train_loss", None), ("batch_loss", None), ("lr", None), ("excluded_loss", None),
        ("train_loss_std", None), ("test_error", None), ("grad_norm", None), ("val_perplexity", None),
        ("loss_ratio_train_test", None),
        ("closs", None), ("accelerator", None), ("weight_norm", None),
    ],
)  # fmt: skip
def test_columns_are_known_by_their_words(name: str, column: str | None) -> None:
    found = meaning(name)
    assert (found and found.column) == column


def test_of_several_columns_of_one_meaning_the_surest_is_taken(tmp_path: Path) -> None:
    found = read_log(
        _text(tmp_path / "l.csv", "step,val_loss,test_loss,loss,train_loss_step,train_loss_epoch,lr\n0,1,2,3,4,5,6\n")
    )
    assert {name: [*values.values()] for name, values in found.columns.items()} == {"test_loss": [2.0], "train_loss": [5.0]}
    assert "test_loss: 'val_loss' would be one too, and was left out" in found.notes
    assert "train_loss: 'train_loss_step' would be one too, and was left out" in found.notes
    assert "not read from the log: 'lr'" in found.notes
    assert as_columns(_text(tmp_path / "l.csv", "step,dev_loss,test_loss\n0,1,2\n")) == {"test_loss": {0: 2.0}}
    found = read_log(_text(tmp_path / "l.csv", "epoch,loss,val_loss\n0,1,2\n"))
    assert "CSV: read train_loss from 'loss', taken to be of training; test_loss from 'val_loss'" in found.notes
    assert "steps are its column 'epoch'" in found.notes


def test_the_last_of_a_step_counts_and_what_a_resumed_training_had_beyond_is_void(tmp_path: Path) -> None:
    twice = _text(tmp_path / "l.csv", "step,train_loss\n" + "".join(f"{s},{v}\n" for s, v in [(0, 1), (1, 2), (1, 3), (2, 4)]))
    assert as_columns(twice) == {"train_loss": {0: 1.0, 1: 3.0, 2: 4.0}}
    assert "train_loss: 1 steps were logged again, of which the last counts" in read_log(twice).notes
    resumed = [(s, s) for s in range(0, 100, 10)] + [(s, -s) for s in range(50, 80, 10)]
    path = _text(tmp_path / "l.csv", "step,train_loss\n" + "".join(f"{s},{v}\n" for s, v in resumed))
    assert as_columns(path) == {"train_loss": {s: float(s if s < 50 else -s) for s in range(0, 80, 10)}}
    assert any("resumed 1 times; 5 values logged beyond and again are void" in note for note in read_log(path).notes)
    rows = [(s, s) for s in range(50)]
    path = _text(tmp_path / "l.csv", "step,train_loss\n" + "".join(f"{s},{v}\n" for s, v in rows[::-1]))
    assert as_columns(path) == {"train_loss": {s: float(s) for s in range(50)}}
    assert "train_loss: its rows are in no order: sorted by step" in read_log(path).notes


def test_curves_written_one_after_the_other_are_no_resumed_training(tmp_path: Path) -> None:
    events = [event(s, tag, s) for tag in ("train_loss", "test_loss") for s in range(5)]
    assert as_columns(tensorboard(tmp_path / "events.tfevents.1", events)) == {
        tag: {s: float(s) for s in range(5)} for tag in ("train_loss", "test_loss")
    }


@pytest.mark.parametrize("names", [("train_acc", "test_acc"), ("train_acc", "val_acc_pct")])
def test_accuracies_in_per_cent_become_shares(tmp_path: Path, names: tuple[str, str]) -> None:
    path = _text(tmp_path / "l.csv", f"step,{names[0]},{names[1]}\n0,1,0.5\n9,100,0.5\n")
    found = read_log(path)
    assert as_columns(path) == {"train_accuracy": {0: 0.01, 9: 1.0}, "test_accuracy": {0: 0.005, 9: 0.005}}
    assert f"{names[0]} and {names[1]}: in per cent (up to 100): divided by 100" in found.notes
    for wrong in ("101", "-1", "inf"):
        with pytest.raises(DataError, match=r"train_acc: given .* at step 9, expected a share in 0\.\.1 or per cent"):
            read_log(_text(tmp_path / "l.csv", f"step,train_acc\n0,1\n9,{wrong}\n"))


def test_missing_values_are_missing_and_nan_is_nan(tmp_path: Path) -> None:
    path = _text(tmp_path / "l.csv", "step,train_loss,val_loss\n0,1.5,\n1,nan,\n2,inf,3\n,7,\n")
    found = as_columns(path)
    assert math.isnan(found["train_loss"].pop(1))
    assert found == {"train_loss": {0: 1.5, 2: math.inf}, "test_loss": {2: 3.0}}
    assert "1 of 4 rows have no 'step': left out" in read_log(path).notes
    rows = [{"step": 0, "train_loss": 1, "val_loss": None}, {"step": 1, "train_loss": math.nan}, {"step": 2, "train_loss": "NaN"}]
    found = as_columns(_text(tmp_path / "l.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    assert [math.isnan(value) for value in found["train_loss"].values()] == [False, True, True]


def test_lists_of_a_table_belong_to_the_steps_that_are_as_many(tmp_path: Path) -> None:
    table = {
        "epoch": [0, 1, 2, 3],
        "train_losses": [4, 3, 2, 1],
        "eval/epoch": [0, 2],
        "test_losses": [5, 4],
        "val_acc": [0.5] * 3,
    }
    path = _text(tmp_path / "l.json", json.dumps(table))
    assert as_columns(path) == {"train_loss": {0: 4, 1: 3, 2: 2, 3: 1}, "test_loss": {0: 5, 2: 4}}
    assert "val_acc: 3 values, and no list of as many steps (step, epoch): left out" in read_log(path).notes
    with pytest.raises(DataError, match="train_loss: 3 values, and no list of as many steps"):
        read_log(_text(path, json.dumps({"train_loss": [1, 2, 3]})))


def test_long_tables_are_spread(tmp_path: Path) -> None:
    lines = "step,split,loss\n0,train,1\n0,val,2\n5,train,3\n5,val,4\n"
    assert as_columns(_text(tmp_path / "l.csv", lines)) == {"train_loss": {0: 1, 5: 3}, "test_loss": {0: 2, 5: 4}}
    lines = "step,tag,value\n0,loss/train,1\n0,lr,7\n5,loss/train,3\n"
    assert as_columns(_text(tmp_path / "l.csv", lines)) == {"train_loss": {0: 1, 5: 3}}


# Several runs


def test_several_runs_are_refused_with_their_names_and_one_can_be_chosen(tmp_path: Path) -> None:
    path = _text(tmp_path / "l.csv", "run,step,train_loss\na,0,1\nb,0,2\na,1,3\n")
    with pytest.raises(UsageError, match=r"a log of 2 runs \('a', 'b'\), expected one; choose it with log_run \(--log-run\)"):
        read_log(path)
    assert as_columns(path, "a") == {"train_loss": {0: 1, 1: 3}}
    with pytest.raises(UsageError, match="unknown run of the log 'c'"):
        read_log(path, "c")
    path = trackio(tmp_path / "p.db", {"one": [(0, {"train_loss": 1.0})], "two": [(0, {"train_loss": 2.0})]})
    with pytest.raises(UsageError, match=r"2 runs \('one', 'two'\)"):
        read_log(path)
    assert as_columns(path, "two") == {"train_loss": {0: 2.0}}
    for name in ("one", "two/deeper"):
        tensorboard(tmp_path / "tb" / name / "events.out.tfevents.1", [event(0, "train_loss", 1)])
    with pytest.raises(UsageError, match=r"2 runs \('one', 'two/deeper'\)"):
        read_log(tmp_path / "tb")
    assert as_columns(tmp_path / "tb", "two/deeper") == {"train_loss": {0: 1.0}}


# TensorBoard


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of its catalogue
    assert masked(b"") == (0xA282EAD8).to_bytes(4, "little")


@pytest.mark.parametrize("kind", ["simple", "floats", "content", "double"])
def test_scalars_of_every_kind_are_read(tmp_path: Path, kind: str) -> None:
    path = tensorboard(tmp_path / "tfevents", [event(7, "train_loss", 0.25, kind=kind), event(7, "h", 1, kind="histogram")])
    assert as_columns(path) == {"train_loss": {7: 0.25}}


def test_a_session_voids_what_was_logged_from_its_step_on(tmp_path: Path) -> None:
    first = [event(s, "train_loss", s) for s in range(0, 100, 10)]
    tensorboard(tmp_path / "events.tfevents.1", first)
    tensorboard(tmp_path / "events.tfevents.2", [session(50), event(50, "train_loss", -1)])
    assert as_columns(tmp_path) == {"train_loss": {0: 0, 10: 10, 20: 20, 30: 30, 40: 40, 50: -1}}
    assert "resumed at step 50: 5 values from that step on are void" in read_log(tmp_path).notes


def test_folders_named_after_the_sets_are_one_run(tmp_path: Path) -> None:
    for name, value in (("train", 1.0), ("validation", 2.0)):
        tensorboard(tmp_path / name / "events.tfevents.1", [event(3, "epoch_loss", value)])
    assert as_columns(tmp_path) == {"train_loss": {3: 1.0}, "test_loss": {3: 2.0}}


def test_records_without_scalars_are_passed_over_whatever_their_size(tmp_path: Path) -> None:
    path = tensorboard(tmp_path / "tfevents", [b"\xff" * 5000, event(1, "train_loss", 2)])
    assert as_columns(path) == {"train_loss": {1: 2.0}}


def test_a_record_that_claims_gigabytes_is_refused_and_a_damaged_one_named(tmp_path: Path) -> None:
    path = tensorboard(tmp_path / "tfevents", [event(s, "train_loss", s) for s in range(3)])
    good = path.read_bytes()
    length = (2**40).to_bytes(8, "little")
    path.write_bytes(good + length + masked(length) + b"\0" * 100)
    with pytest.raises(DataError, match=rf"the record at byte {len(good)} claims 1,099,511,627,776 bytes"):
        read_log(path)
    place = good.index(b"train_loss", good.index(b"train_loss") + 1)
    path.write_bytes(good[:place] + b"T" + good[place + 1 :])
    with pytest.raises(DataError, match=r"the record at byte \d+ is damaged: it does not have its checksum"):
        read_log(path)
    path.write_bytes(good + framed(b"\x0a\xff"))  # a checksum of its own, and no message
    with pytest.raises(DataError, match=rf"the record at byte {len(good)} is no event"):
        read_log(path)


# Weights & Biases


def test_records_over_many_blocks_are_put_together(tmp_path: Path) -> None:
    rows = [{"_step": s, "train_loss": 1 / (s + 1), "test/loss": math.nan} for s in range(300)]
    path = wandb(tmp_path / "r.wandb", rows, name="mine", padding=1013)
    assert path.stat().st_size > 8 * 32768
    found = read_log(path)
    assert found.columns["train_loss"] == {s: 1 / (s + 1) for s in range(300)}
    assert len(found.columns["test_loss"]) == 300
    assert "run mine" in found.notes
    assert read_log(tmp_path).columns.keys() == found.columns.keys()  # the folder that wandb made
    long = [{"_step": 0, "train_loss": 1.0, "note": "x" * 100_000}]
    assert as_columns(wandb(tmp_path / "r.wandb", long)) == {"train_loss": {0: 1.0}}


@pytest.mark.parametrize("left", range(16))
def test_blocks_end_wherever_their_records_do(tmp_path: Path, left: int) -> None:
    rows = [text(2, text(1, text(1, "train_loss") + text(16, "1")) + text(1, text(1, "step") + text(16, str(s)))) for s in (0, 1)]
    path = tmp_path / "r.wandb"
    path.write_bytes(leveldb([text(3, bytes(32768 - 7 - 7 - 4 - left)), *rows]))
    assert as_columns(path) == {"train_loss": {0: 1.0, 1: 1.0}}


def test_steps_that_were_given_are_kept_before_other_counters(tmp_path: Path) -> None:
    path = wandb(tmp_path / "r.wandb", [{"_step": 100 * s, "epoch": s // 2, "train_loss": s} for s in range(6)])
    assert [*as_columns(path)["train_loss"]] == [0, 100, 200, 300, 400, 500]


def test_damaged_records_of_wandb_are_named(tmp_path: Path) -> None:
    path = wandb(tmp_path / "r.wandb", [{"_step": s, "train_loss": s} for s in range(20)])
    good = path.read_bytes()
    place = good.index(b"train_loss")
    path.write_bytes(good[:place] + b"T" + good[place + 1 :])
    with pytest.raises(DataError, match=r"the record at byte \d+ is damaged: it does not have its checksum"):
        read_log(path)
    path.write_bytes(good[:11] + b"\xff\xff" + good[13:])
    with pytest.raises(DataError, match=r"the record at byte 7 is damaged: it claims 65535 bytes"):
        read_log(path)
    path.write_bytes(leveldb([text(2, text(1, text(1, "train_loss") + text(16, "not json")))]))
    with pytest.raises(DataError, match=r"the record at byte 7 is none of a run"):
        read_log(path)
    path.write_bytes(good + bytes(40_000))  # space that was set aside
    assert len(read_log(path).columns["train_loss"]) == 20
    path.write_bytes(MAGIC)
    with pytest.raises(DataError, match="a Weights & Biases log without a single value"):
        read_log(path)


# trackio


def test_what_was_written_last_is_read_from_the_file_beside_the_database(tmp_path: Path) -> None:
    path = trackio(tmp_path / "p.db", {"a": [(0, {"train_loss": 1.0})]})
    with closing(sqlite3.connect(path)) as writing:
        writing.execute("PRAGMA journal_mode = WAL")
        writing.execute(
            "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES ('', '', 'a', 1, '{\"train_loss\": 2}')"
        )
        writing.commit()
        before = sorted(each.name for each in tmp_path.iterdir())
        assert as_columns(path) == {"train_loss": {0: 1.0, 1: 2.0}}
        assert sorted(each.name for each in tmp_path.iterdir()) == before


def test_databases_that_are_none_of_trackios_or_run_on_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    endless = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT 'a' run_name, i step, '{}' metrics FROM n"
    for statement in ("CREATE TABLE other (x)", "CREATE TABLE metrics (x)", f"CREATE VIEW metrics AS {endless}"):
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(statement)
        with pytest.raises(DataError, match="without trackio's table of metrics"):
            read_log(path)
    trackio(path, {"a": [(0, {"train_loss": 1.0})]})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE metrics SET metrics = '[1'")
    with pytest.raises(DataError, match="row 1 of its metrics is not JSON"):
        read_log(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match="a damaged SQLite database"):
        read_log(path)


# Damaged and foreign files


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.csv", "step,train_loss\n0,1\n1,x\n", r"line 3: train_loss: given 'x', expected a number"),
        ("l.csv", "step,train_loss\n0,1\n1.5,2\n", r"line 3: step: given '1\.5', expected an integer >= 0"),
        ("l.csv", "step,train_loss\n0,1\n-1,2\n", "line 3: step: given '-1'"),
        ("l.csv", "step,train_loss\n0,1\nnan,2\n", "line 3: step: given 'nan'"),
        ("l.csv", "step,train_loss\n0,1\n1,2,3\n", "line 3 has 3 cells, expected 2"),
        ("l.csv", "0,1\n1,2\n", "given '0,1' as its first line, expected a header"),
        ("l.csv", "time,train_loss\n0,1\n", "expected one of steps: step, global_step"),
        ("l.csv", "step,lr\n0,1\n", "given columns 'step', 'lr', expected some like train_loss"),
        ("l.csv", "step,train_loss\n0,\n", "none of its columns train_loss has a value with a step"),
        ("l.csv", b"step,train_loss\n0,\xff\n", "byte 18 is no text"),
        ("l.csv", b"step,train_loss\n0,\0\n", "not a CSV file|expected a number"),
        ("l.csv", "", "an empty file"),
        ("l.jsonl", '{"step": 0, "train_loss": 1}\n{"step": 1,\n{"step": 2, "train_loss": 1}\n', "line 2: not JSON"),
        ("l.jsonl", "[1]\n", "line 1: given list, expected an object"),
        ("l.jsonl", '{"step": 0, "train_loss": {"mean": [1]}}\n', "expected a number"),
        ("l.jsonl", '{"step": 0, "train_loss": true}\n', "given True, expected a number"),
        ("l.json", "[{]", "not JSON"),
        ("l.json", "[" * 100_000, "not JSON that is read"),
        ("l.json", "7", "given int, expected a list of rows"),
        ("l.json", '{"lr": 1}', "expected lists of losses"),
        ("l.xyz", "hello", "a file that begins with b'hello', expected a training log"),
    ],
)  # fmt: skip
def test_damaged_logs_are_refused(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message) as raised:
        read_log(path)
    assert str(raised.value).startswith(str(path))


def test_logs_that_are_too_large_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("l.csv", "l.json", "l.jsonl", "tfevents", "l.wandb", "l.db"):
        with (path := tmp_path / name).open("wb") as file:
            file.write({"l.wandb": MAGIC, "l.db": b"SQLite format 3\0"}.get(name, b"step"))
            file.truncate(2**40)
        with pytest.raises(DataError, match=r"given 1,099,511,627,776 bytes, expected at most"):
            read_log(path)
        path.unlink()
    for form in FORMS:
        monkeypatch.setattr(log_rows, "MOST_ROWS", 4)
        with pytest.raises(DataError, match="given more than 4 rows, expected a training log"):
            read_log(write(tmp_path, form))
        for path in tmp_path.iterdir():
            path.unlink()
    with pytest.raises(UsageError, match="does not exist; expected a training log"):
        read_log(tmp_path / "none.csv")
    with pytest.raises(DataError, match="without a single value"):
        read_log(tmp_path)


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("rows", "lists", "trackio")])
def test_a_last_record_that_is_cut_off_is_left_out_and_said(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, form)
    good = path.read_bytes()
    path.write_bytes(good[: -20 if form == "wandb" else -3])  # in wandb's a short record follows every row
    found = read_log(path)
    left = [len(values) for values in found.columns.values()]
    assert sum(left) < sum(map(len, COLUMNS.values()))
    assert any("cut off" in note and note.endswith("left out") for note in found.notes)


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_logs_end_in_a_clear_error_or_in_a_log(tmp_path: Path, form: str, data: st.DataObject) -> None:
    read_mutated(tmp_path, form, data)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_thousands_of_mutated_logs(tmp_path: Path, form: str, data: st.DataObject) -> None:
    read_mutated(tmp_path, form, data)


def read_mutated(tmp_path: Path, form: str, data: st.DataObject) -> None:
    """Cut, flipped, doubled, overwritten: an error of ours that names the file, or numbers at steps; nothing left behind."""
    path = write(tmp_path, form)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1)) if content else 0
        match data.draw(st.sampled_from(["cut", "flip", "double", "overwrite"])):
            case "cut":
                del content[at:]
            case "flip" if content:
                content[at] ^= 1 << data.draw(st.integers(0, 7))
            case "double":
                content[at:at] = content[at : at + data.draw(st.integers(1, 64))]
            case "overwrite":
                content[at : at + 8] = data.draw(st.binary(min_size=0, max_size=8))
    path.write_bytes(content)
    begun = time.process_time()
    try:
        found = read_log(path)
    except (DataError, UsageError) as error:
        failed = str(error)
    else:
        failed = ""
        for values in found.columns.values():
            assert all(isinstance(step, int) and step >= 0 and isinstance(value, float) for step, value in values.items())
            assert [*values] == sorted(values)
    assert not failed or failed.startswith(str(path))
    assert time.process_time() - begun < 2
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    path.unlink()


@given(st.binary(max_size=300))
@settings(max_examples=100)
def test_checksums_alone_do_not_make_an_event(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    folder = tmp_path_factory.mktemp("logs")
    for path in (
        tensorboard(folder / "tfevents", [junk, event(0, "train_loss", 1.0)]),
        folder / "r.wandb",
    ):
        if path.suffix == ".wandb":
            path.write_bytes(leveldb([junk, text(2, junk), text(2, text(1, junk)), whole(3, 5)]))
        with suppress(DataError):  # and no other error
            read_log(path)


# As the history of an imported run

P = 11
TASK = ModularTask(P)
SPLIT = SplitConfig("python", 3, 0.3)


def saved(folder: Path, **more: object) -> Path:
    return save({"model": official_state(memorizer(SPLIT.draw(TASK).train, P)), **more}, folder / "model.pth")


def test_a_log_is_the_history_of_the_run(tmp_path: Path) -> None:
    path = saved(tmp_path, epoch=40)
    log = write(tmp_path, "tensorboard")
    run = import_run(path, tmp_path / "runs", known=Known(log=log))
    assert run.steps == (40,)
    measured = measured_row(run[40].weights, TASK, SPLIT.draw(TASK))
    history = run.history
    assert history["step"].values.tolist() == STEPS
    for name, values in COLUMNS.items():
        np.testing.assert_allclose(
            history[name].values, [*values[:-1], measured[name]], rtol=1e-6
        )  # at the checkpoint as measured
    assert np.isnan(history["sum_squared_weights"].values[:-1]).all()
    assert run.verify() == ()
    assert any(note.startswith(f"log {log.name}: TensorBoard: read train_loss") for note in run.provenance["notes"])
    assert run.provenance["log"] == {"file": log.name, "sha256": hashlib.sha256(log.read_bytes()).hexdigest()}
    assert interp.observe(run, ["loss_curves"]).sizes["history_step"] == 5  # one of them without a test loss


def test_a_clear_disagreement_at_a_checkpoint_is_said(tmp_path: Path) -> None:
    path = saved(tmp_path, epoch=40)
    row = measured_row(load_run(path).weights, TASK, SPLIT.draw(TASK))
    log = tmp_path / "other.csv"
    for factor, said in ((1.04, False), (1.06, True)):
        log.write_text(f"step,test_loss,test_acc\n40,{row['test_loss'] * factor},{row['test_accuracy'] + factor - 1}\n")
        notes = load_run(path, known=Known(log=log)).notes
        assert (
            any(note.startswith("test_loss: the log differs from what is measured at 1 of 1 checkpoints") for note in notes)
            == said
        )
        assert any(note.startswith("test_accuracy: the log differs") for note in notes) == said
    log.write_text(f"step,train_loss\n40,{row['train_loss'] + 9e-7}\n")  # what float32 loses
    assert not any("differs" in note for note in load_run(path, known=Known(log=log)).notes)


@pytest.mark.parametrize("form", ["csv", "jsonl", "wandb", "lists", "trackio"])
def test_a_log_with_the_same_stem_beside_is_found(tmp_path: Path, form: str) -> None:
    path = saved(tmp_path, epoch=40)
    log = write(tmp_path, form)
    beside = log.rename(log.with_stem("model"))
    run = load_run(path)
    assert run.log is not None
    assert [*run.log.columns["train_loss"]] == STEPS
    assert f"{beside.name}, which lies beside, was taken for its training log" in run.notes
    beside.rename(beside.with_stem("other"))
    assert load_run(path).log is None


def test_what_lies_beside_and_is_no_log_does_no_harm(tmp_path: Path) -> None:
    path = saved(tmp_path, epoch=40)
    (tmp_path / "model.json").write_text(json.dumps({"lr": 0.1, "seed": 3}))  # a configuration
    assert not any("beside" in note for note in load_run(path).notes)
    (tmp_path / "model.csv").write_text("step,lr\n0,1\n")
    assert any("model.csv, which lies beside, was not read as its training log" in note for note in load_run(path).notes)
    with pytest.raises(DataError, match="expected some like train_loss"):
        load_run(path, known=Known(log=tmp_path / "model.csv"))


def test_logged_values_come_before_those_in_the_file_and_measured_ones_before_both(tmp_path: Path) -> None:
    path = saved(tmp_path, epoch=4, train_losses=[5.0, 4.0, 3.0, 2.0])
    (tmp_path / "model.csv").write_text("step,train_loss,test_acc\n1,7,\n2,,0.5\n9,1,\n")
    rows = [*load_run(path).history_rows()]
    assert rows[:4] == [
        {"step": 0, "train_loss": 5.0}, {"step": 1, "train_loss": 7.0}, {"step": 2, "train_loss": 3.0, "test_accuracy": 0.5},
        {"step": 3, "train_loss": 2.0},
    ]  # fmt: skip
    assert (rows[4]["step"], rows[5]) == (4, {"step": 9, "train_loss": 1.0})
    assert "sum_squared_weights" in rows[4]
    assert import_run(path, tmp_path / "runs").history["step"].values.tolist() == [0, 1, 2, 3, 4, 9]


@pytest.mark.parametrize("given", [".", "./", ["a_0.pt", "a_500.pt"], ["./a_0.pt", "./a_500.pt"], ["./a_0.pt"], "a_0.pt"])
def test_files_are_read_from_within_their_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | list[str]
) -> None:
    folder = tmp_path / "run.v1"
    folder.mkdir()
    for step in (0, 500):
        state = official_state(memorizer(SPLIT.draw(TASK).train, P))
        save({n: tensor * (1 + step) if n == "unembed.W_U" else tensor for n, tensor in state.items()}, folder / f"a_{step}.pt")
    monkeypatch.chdir(folder)
    assert load_run(given).log is None
    assert load_run(given).provenance["file"] in ("run.v1", "a_0.pt")
    _text(folder.with_name("run.v1.csv"), "step,test_acc\n3,0.5\n")
    assert (load_run(given).log is not None) == (given in (".", "./") or len(given) == 2)


EVEN, ODD = range(0, 200, 2), range(1, 200, 2)
LOGGED = {
    "disjoint": {"train_loss": EVEN, "test_loss": ODD},
    "accuracies": {"train_acc": EVEN, "test_acc": EVEN},
    "test-accuracies": {"test_acc": ODD},
    "training": {"train_loss": EVEN},
    "test": {"test_loss": ODD},
    "crossed": {"train_loss": EVEN, "train_acc": ODD, "test_loss": ODD, "test_acc": EVEN},
}


@pytest.mark.parametrize("form", LOGGED)
def test_every_logged_value_is_drawn(tmp_path: Path, form: str) -> None:
    rows = [{"step": step, **{n: 0.25 for n, at in LOGGED[form].items() if step in at}} for step in range(200)]
    log = _text(tmp_path / "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    run = import_run(saved(tmp_path, epoch=200), tmp_path / "runs", known=Known(log=log))
    series = interp.observe(run, ["loss_curves"])
    for name, at in LOGGED[form].items():
        curve = series[f"history_{name.replace('_acc', '_accuracy')}"].dropna("history_step")
        assert curve["history_step"].values.tolist() == [*at, 200]
    assert any("share no step" in note for note in run.provenance["notes"]) == (form in ("disjoint", "crossed"))


def test_training_losses_between_many_evaluations_are_left_out(tmp_path: Path) -> None:
    rows = [{"step": s, "train_loss": 0.5} | ({"test_loss": 0.25} if s % 10 == 0 else {}) for s in range(300)]
    log = _text(tmp_path / "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    run = import_run(saved(tmp_path, epoch=300), tmp_path / "runs", known=Known(log=log))
    assert interp.observe(run, ["loss_curves"])["history_step"].values.tolist() == [*range(0, 301, 10)]


CALLS = {
    "after": (
        [{"train_loss": 3.0, "epoch": 0}, {"test_loss": 4.0}, {"train_loss": 2.0, "epoch": 50}, {"test_loss": 3.5}], "before",
    ),
    "before": (
        [{"train_loss": 3.0}, {"test_loss": 4.0, "epoch": 0}, {"train_loss": 2.0}, {"test_loss": 3.5, "epoch": 50}], "after",
    ),
    "two counters": (
        [{"train_loss": 3.0, "step": 0}, {"test_loss": 4.0, "epoch": 0}, {"train_loss": 2.0, "step": 50},
         {"test_loss": 3.5, "epoch": 1}],
        "before",
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", CALLS)
def test_rows_of_a_counter_of_calls_have_the_steps_of_their_neighbours(tmp_path: Path, form: str) -> None:
    rows, beside = CALLS[form]
    path = wandb(tmp_path / "r.wandb", [{"_step": at, **row} for at, row in enumerate(rows)])
    assert as_columns(path) == {"train_loss": {0: 3.0, 50: 2.0}, "test_loss": {0: 4.0, 50: 3.5}}
    assert any(f"2 others, which have none, have that of the row {beside} them" in note for note in read_log(path).notes)
    assert read_log(path).last_call is None


def test_several_calls_between_two_steps_lie_between_them(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"test_loss": 9.0, "step": 0}]
    for step in range(1, 201):
        rows += [{"train_loss": float(step)}] if step % 10 else [{"test_loss": 8.0, "step": step}]
    path = wandb(tmp_path / "r.wandb", [{"_step": at + 7, **row} for at, row in enumerate(rows)])
    found = as_columns(path)
    assert found["train_loss"] == {step: float(step) for step in range(1, 200) if step % 10}
    assert [*found["test_loss"]] == [*range(0, 201, 10)]


def test_calls_that_are_no_updates_are_said_with_the_models_step(tmp_path: Path) -> None:
    rows = [{"_step": at, "train_loss": 1.0, "test_loss": 2.0} for at in range(41)]
    log = wandb(tmp_path / "r.wandb", rows)
    imported = load_run(saved(tmp_path, epoch=4000), known=Known(log=log))
    notes = imported.notes
    assert imported.log is None  # its values would stand, and be dated, at steps that nobody measured
    assert imported.provenance["log"]["file"] == "r.wandb"
    assert any("its steps are its writer's count of calls, up to 40" in note for note in notes)
    assert any("its steps are calls, up to 40, and the model's step is 4000" in note for note in notes)
    imported = load_run(saved(tmp_path, epoch=40), known=Known(log=log))
    assert not any("the model's step is" in note for note in imported.notes)
    assert imported.log is not None


@pytest.mark.parametrize("read", [read_log, lambda path: read_split(path, ModularTask(5))])
def test_devices_and_pipes_are_named_and_not_read(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "device.csv").symlink_to("/dev/zero")
    for name, what in (("pipe.csv", "a named pipe"), ("device.csv", "a device")):
        with pytest.raises(UsageError, match=what):
            read(tmp_path / name)


@pytest.mark.parametrize(("factor", "name"), [(1.01, "test_loss"), (1.2, "test_loss"), (1.0, "test_accuracy")])
def test_a_model_of_no_known_step_is_the_end_of_its_log_if_it_agrees_with_it(tmp_path: Path, factor: float, name: str) -> None:
    path = saved(tmp_path)
    known = Known(split=SPLIT)
    row = measured_row(load_run(path, known=known).weights, TASK, SPLIT.draw(TASK))
    (tmp_path / "model.csv").write_text(
        f"step,{name},train_accuracy\n0,0.75,0.125\n900,{row[name] * factor},{row['train_accuracy']}\n"
    )
    run = import_run(path, tmp_path / "runs", known=known)
    first = run.history.isel(step=0)
    fits = factor == 1.01
    assert run.steps == ((900,) if fits else (0,))
    assert (float(first[name]), float(first["train_accuracy"])) == (0.75, 0.125)  # the log's own values in any case
    told = [note for note in run.provenance["notes"] if "after how many updates" in note]
    assert len(told) == 1
    assert ("agrees with the last values of the log" in told[0]) == fits
    assert ("not the model at the end of the log" in told[0]) != fits
    assert not any("the log differs" in note for note in run.provenance["notes"])


# Inside the file of weights

CURVES = {
    "lists": {"train_accs": [0.25, 0.5, 0.75], "test_accs": [0.0, 0.0, 0.5]},
    "singular": {"train_acc": [0.25, 0.5, 0.75], "test_acc": [0.0, 0.0, 0.5]},
    "tensors": {"train_accuracies": torch.tensor([0.25, 0.5, 0.75]), "test_accuracies": torch.tensor([0.0, 0.0, 0.5])},
    "per cent": {"train_accs": [25, 50.0, 75.0], "val_accs": [0.0, 0.0, 50.0]},
    "table": {"history": {"train_accuracy": [0.25, 0.5, 0.75], "val_accuracy": [0.0, 0.0, 0.5]}},
    "rows": {"history": [{"epoch": at, "train_acc": a, "test_acc": b} for at, a, b in ((0, .25, 0), (1, .5, 0), (2, .75, .5))]},
}  # fmt: skip


@pytest.mark.parametrize("form", CURVES)
def test_accuracies_in_the_file_are_its_history(tmp_path: Path, form: str) -> None:
    path = saved(tmp_path, epoch=3, train_losses=[4.0, 3.0, 2.0], **CURVES[form])
    run = import_run(path, tmp_path / "runs", known=Known(split=SPLIT, trust_split=True))
    history = run.history.sel(step=[0, 1, 2])
    assert history["train_accuracy"].values.tolist() == [0.25, 0.5, 0.75]
    assert history["test_accuracy"].values.tolist() == [0.0, 0.0, 0.5]
    assert history["train_loss"].values.tolist() == [4.0, 3.0, 2.0]
    assert not any("not read from the file" in note for note in run.provenance["notes"])


@pytest.mark.parametrize("values", [[1.0, 999.0, 3.0], ["a", "b", "c"], [-4.0, 0.0, 0.5]])
def test_what_is_no_list_of_accuracies_is_named(tmp_path: Path, values: list[object]) -> None:
    run = load_run(saved(tmp_path, epoch=3, train_losses=[4.0, 3.0, 2.0], test_accs=values))
    assert any(note.startswith("not read from the file: test_accs") for note in run.notes)
    assert not run.accuracies


def stored_pairs(form: str) -> dict[str, object]:
    split = SPLIT.draw(TASK)
    train, test = torch.from_numpy(split.train), torch.from_numpy(split.test)
    mask = torch.zeros(P * P, dtype=torch.bool)
    mask[train] = True
    return {
        "idx": {"train_idx": train, "test_idx": test.tolist()},
        "train alone": {"train_idx": train},
        "train_indices alone": {"train_indices": train},
        "train_data alone": {"train_data": torch.stack([train // P, train % P], 1)},
        "pairs": {"train_pairs": torch.stack([train // P, train % P], 1)},
        "mask": {"train_mask": mask},
        "table": {"split": {"train": train, "test": test}},
    }[form]


@pytest.mark.parametrize("form", ["idx", "train alone", "train_indices alone", "train_data alone", "pairs", "mask", "table"])
def test_pairs_in_the_file_are_its_split(tmp_path: Path, form: str) -> None:
    run = load_run(saved(tmp_path, epoch=3, **stored_pairs(form)))
    assert run.split is not None
    assert {*run.split.train.tolist()} == {*SPLIT.draw(TASK).train.tolist()}
    assert any(note.startswith("the split is stored: ") for note in run.notes)


@pytest.mark.parametrize("value", [torch.rand(9, 4), torch.tensor([1, 999]), torch.rand(3).bfloat16(), [1, 1], "a"])
def test_pairs_that_do_not_fit_are_said(tmp_path: Path, value: object) -> None:
    run = load_run(saved(tmp_path, epoch=3, train_idx=value))
    assert any(note.startswith("train_idx of the file was not read as its split: ") for note in run.notes)


def test_no_difference_from_published_losses_is_told_where_none_are(tmp_path: Path) -> None:
    config = {"seed": SPLIT.seed, "frac_train": SPLIT.fraction, "p": P}
    run = load_run(saved(tmp_path, epoch=3, config=config))
    assert any("the losses on the single pairs tell it" in note for note in run.notes)
    assert not any("published ones differ" in note for note in run.notes)
