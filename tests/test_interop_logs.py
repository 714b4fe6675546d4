"""Training logs of other people's runs: every format into the same columns, and every decision said."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from one_log import COLUMNS, FORMS, STEPS, as_columns, write, written
from written_logs import event, tensorboard, trackio

from interp.errors import DataError, UsageError
from interp.interop.logs.column_names import meaning
from interp.interop.logs.training_log import read_log


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
        written(tmp_path / "l.csv", "step,val_loss,test_loss,loss,train_loss_step,train_loss_epoch,lr\n0,1,2,3,4,5,6\n")
    )
    assert {name: [*values.values()] for name, values in found.columns.items()} == {"test_loss": [2.0], "train_loss": [5.0]}
    assert "test_loss: 'val_loss' would be one too, and was left out" in found.notes
    assert "train_loss: 'train_loss_step' would be one too, and was left out" in found.notes
    assert "not read from the log: 'lr'" in found.notes
    assert as_columns(written(tmp_path / "l.csv", "step,dev_loss,test_loss\n0,1,2\n")) == {"test_loss": {0: 2.0}}
    found = read_log(written(tmp_path / "l.csv", "epoch,loss,val_loss\n0,1,2\n"))
    assert "CSV: read train_loss from 'loss', taken to be of training; test_loss from 'val_loss'" in found.notes
    assert "steps are its column 'epoch'" in found.notes


def test_the_last_of_a_step_counts_and_what_a_resumed_training_had_beyond_is_void(tmp_path: Path) -> None:
    twice = written(tmp_path / "l.csv", "step,train_loss\n" + "".join(f"{s},{v}\n" for s, v in [(0, 1), (1, 2), (1, 3), (2, 4)]))
    assert as_columns(twice) == {"train_loss": {0: 1.0, 1: 3.0, 2: 4.0}}
    assert "train_loss: 1 steps were logged again, of which the last counts" in read_log(twice).notes
    resumed = [(s, s) for s in range(0, 100, 10)] + [(s, -s) for s in range(50, 80, 10)]
    path = written(tmp_path / "l.csv", "step,train_loss\n" + "".join(f"{s},{v}\n" for s, v in resumed))
    assert as_columns(path) == {"train_loss": {s: float(s if s < 50 else -s) for s in range(0, 80, 10)}}
    assert any("resumed 1 times; 5 values logged beyond and again are void" in note for note in read_log(path).notes)
    rows = [(s, s) for s in range(50)]
    path = written(tmp_path / "l.csv", "step,train_loss\n" + "".join(f"{s},{v}\n" for s, v in rows[::-1]))
    assert as_columns(path) == {"train_loss": {s: float(s) for s in range(50)}}
    assert "train_loss: its rows are in no order: sorted by step" in read_log(path).notes


def test_curves_written_one_after_the_other_are_no_resumed_training(tmp_path: Path) -> None:
    events = [event(s, tag, s) for tag in ("train_loss", "test_loss") for s in range(5)]
    assert as_columns(tensorboard(tmp_path / "events.tfevents.1", events)) == {
        tag: {s: float(s) for s in range(5)} for tag in ("train_loss", "test_loss")
    }


@pytest.mark.parametrize("names", [("train_acc", "test_acc"), ("train_acc", "val_acc_pct")])
def test_accuracies_in_per_cent_become_shares(tmp_path: Path, names: tuple[str, str]) -> None:
    path = written(tmp_path / "l.csv", f"step,{names[0]},{names[1]}\n0,1,0.5\n9,100,0.5\n")
    found = read_log(path)
    assert as_columns(path) == {"train_accuracy": {0: 0.01, 9: 1.0}, "test_accuracy": {0: 0.005, 9: 0.005}}
    assert f"{names[0]} and {names[1]}: in per cent (up to 100): divided by 100" in found.notes
    for wrong in ("101", "-1", "inf"):
        with pytest.raises(DataError, match=r"train_acc: given .* at step 9, expected a share in 0\.\.1 or per cent"):
            read_log(written(tmp_path / "l.csv", f"step,train_acc\n0,1\n9,{wrong}\n"))


@pytest.mark.parametrize("shares", [(0.5, 1.0), (0.1, 0.25)])
def test_per_cent_in_one_name_says_nothing_of_a_share_beside_it(tmp_path: Path, shares: tuple[float, float]) -> None:
    path = written(tmp_path / "l.csv", f"step,Train Accuracy (%),test_acc\n0,25,{shares[0]}\n9,100,{shares[1]}\n")
    assert as_columns(path) == {"train_accuracy": {0: 0.25, 9: 1.0}, "test_accuracy": {0: shares[0], 9: shares[1]}}
    assert "Train Accuracy (%): in per cent (up to 100): divided by 100" in read_log(path).notes
    both = written(tmp_path / "l.csv", "step,train_acc,test_acc\n0,50,0.5\n9,100,0.5\n")
    assert "test_acc: none above 1, and taken to be in per cent as the other is" in read_log(both).notes


def test_two_columns_of_one_name_are_refused_if_they_would_be_read(tmp_path: Path) -> None:
    for name in ("train_loss", "step"):
        path = written(tmp_path / "l.csv", f"step,train_loss,{name}\n0,1,2\n")
        with pytest.raises(
            DataError, match=f"given '{name}' as the name of 2 columns, which differ in line [23], expected another"
        ):
            read_log(path)
    assert as_columns(written(tmp_path / "l.csv", "step,lr,train_loss,lr,,\n0,1,2,1,,\n")) == {"train_loss": {0: 2.0}}


def test_columns_that_say_the_same_under_one_name_are_read(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("step,train_loss,step,test_loss,lr,lr\n0,4.5,0 ,5,1,2\n10,0.5,10,4,1,3\n")
    assert {name: dict(values) for name, values in read_log(path).columns.items()} == {
        "train_loss": {0: 4.5, 10: 0.5}, "test_loss": {0: 5.0, 10: 4.0},
    }  # fmt: skip
    path.write_text("step,train_loss,step,test_loss\n0,4.5,0,5\n10,0.5,20,4\n")
    with pytest.raises(DataError, match="given 'step' as the name of 2 columns, which differ in line 3, expected another name"):
        read_log(path)


def test_missing_values_are_missing_and_nan_is_nan(tmp_path: Path) -> None:
    path = written(tmp_path / "l.csv", "step,train_loss,val_loss\n0,1.5,\n1,nan,\n2,inf,3\n,7,\n")
    found = as_columns(path)
    assert math.isnan(found["train_loss"].pop(1))
    assert found == {"train_loss": {0: 1.5, 2: math.inf}, "test_loss": {2: 3.0}}
    assert "1 of 4 rows have no 'step': left out" in read_log(path).notes
    rows = [{"step": 0, "train_loss": 1, "val_loss": None}, {"step": 1, "train_loss": math.nan}, {"step": 2, "train_loss": "NaN"}]
    found = as_columns(written(tmp_path / "l.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    assert [math.isnan(value) for value in found["train_loss"].values()] == [False, True, True]


def test_lists_of_a_table_belong_to_the_steps_that_are_as_many(tmp_path: Path) -> None:
    table = {
        "epoch": [0, 1, 2, 3],
        "train_losses": [4, 3, 2, 1],
        "eval/epoch": [0, 2],
        "test_losses": [5, 4],
        "val_acc": [0.5] * 3,
    }
    path = written(tmp_path / "l.json", json.dumps(table))
    assert as_columns(path) == {"train_loss": {0: 4, 1: 3, 2: 2, 3: 1}, "test_loss": {0: 5, 2: 4}}
    assert "val_acc: 3 values, and no list of as many steps (step, epoch): left out" in read_log(path).notes
    with pytest.raises(DataError, match="train_loss: 3 values, and no list of as many steps"):
        read_log(written(path, json.dumps({"train_loss": [1, 2, 3]})))


def test_long_tables_are_spread(tmp_path: Path) -> None:
    lines = "step,split,loss\n0,train,1\n0,val,2\n5,train,3\n5,val,4\n"
    assert as_columns(written(tmp_path / "l.csv", lines)) == {"train_loss": {0: 1, 5: 3}, "test_loss": {0: 2, 5: 4}}
    lines = "step,tag,value\n0,loss/train,1\n0,lr,7\n5,loss/train,3\n"
    assert as_columns(written(tmp_path / "l.csv", lines)) == {"train_loss": {0: 1, 5: 3}}


# Several runs


def test_several_runs_are_refused_with_their_names_and_one_can_be_chosen(tmp_path: Path) -> None:
    path = written(tmp_path / "l.csv", "run,step,train_loss\na,0,1\nb,0,2\na,1,3\n")
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
