"""Logs of TensorBoard, Weights & Biases and trackio, record by record; logs that are damaged, cut off or too large."""

from __future__ import annotations

import math
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_log import COLUMNS, FORMS, as_columns, write
from written_logs import crc32c, event, framed, leveldb, masked, session, tensorboard, text, trackio, wandb, whole

from interp.errors import DataError, UsageError
from interp.interop.logs import log_rows
from interp.interop.logs.training_log import read_log
from interp.interop.logs.wandb_log import MAGIC

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


def test_the_folder_that_wandb_made_is_read_from_any_of_its_three(tmp_path: Path) -> None:
    run = tmp_path / "out" / "wandb" / "offline-run-20260101_000000-x1y2z3"
    run.mkdir(parents=True)
    wandb(run / "run-x1y2z3.wandb", [{"_step": s, "train_loss": s} for s in range(6)])
    (tmp_path / "out" / "wandb" / "latest-run").symlink_to(run.name)
    found = [read_log(folder).columns for folder in (run, run.parent, tmp_path / "out")]
    assert found[0] == found[1] == found[2]
    other = run.parent / "offline-run-20260102_000000-a1b2c3"
    other.mkdir()
    wandb(other / "run-a1b2c3.wandb", [{"_step": 0, "train_loss": 1.0}])
    with pytest.raises(DataError, match=r"given 2 \.wandb files \(.*run-a1b2c3.*\), expected one; name the file itself"):
        read_log(tmp_path / "out")


def test_a_folder_of_tensorboard_is_one_also_with_a_run_of_wandb_in_it(tmp_path: Path) -> None:
    write(tmp_path, "tensorboard")
    before = read_log(tmp_path).columns
    run = tmp_path / "wandb" / "run-1-x"
    run.mkdir(parents=True)
    wandb(run / "run-x.wandb", [{"_step": 0, "train_loss": 1.0}])
    found = read_log(tmp_path)
    assert {name: dict(values) for name, values in found.columns.items()}.keys() == before.keys()
    assert any("float32" in note for note in found.notes)
