"""A log as the history of an imported run: beside the model or inside its file, with the steps that it means."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import official_state, save
from one_log import COLUMNS, STEPS, as_columns, write, written
from random_models import memorizer
from written_logs import wandb

import interp
from interp.errors import DataError, UsageError
from interp.interop import Known, import_run, load_run
from interp.interop.imported import measured_row
from interp.interop.logs.training_log import read_log
from interp.interop.split_file import read_split
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

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
    written(folder.with_name("run.v1.csv"), "step,test_acc\n3,0.5\n")
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
    log = written(tmp_path / "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    run = import_run(saved(tmp_path, epoch=200), tmp_path / "runs", known=Known(log=log))
    series = interp.observe(run, ["loss_curves"])
    for name, at in LOGGED[form].items():
        curve = series[f"history_{name.replace('_acc', '_accuracy')}"].dropna("history_step")
        assert curve["history_step"].values.tolist() == [*at, 200]
    assert any("share no step" in note for note in run.provenance["notes"]) == (form in ("disjoint", "crossed"))


def test_training_losses_between_many_evaluations_are_left_out(tmp_path: Path) -> None:
    rows = [{"step": s, "train_loss": 0.5} | ({"test_loss": 0.25} if s % 10 == 0 else {}) for s in range(300)]
    log = written(tmp_path / "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
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
        "two masks": {"train_indices": mask, "test_indices": ~mask},
        "square masks": {"train_mask": mask.reshape(P, P), "test_mask": ~mask.reshape(P, P)},
        "zeros and ones": {"train_mask": mask.int()},
        "bytes": {"train_data": mask.byte(), "test_data": (~mask).byte()},
        "listed zeros and ones": {"train_mask": mask.int().reshape(P, P).tolist()},
        "floats": {"train_indices": train.double(), "test_indices": test.double()},
        "a list that fits beside one that does not": {"train_data": "a.csv", "test_data": "b.csv", "train_idx": train},
        "names of two kinds": {"train_indices": train, "test_idx": test},
    }[form]


FORMS = [
    "idx", "train alone", "train_indices alone", "train_data alone", "pairs", "mask", "table", "two masks", "square masks",
    "zeros and ones", "bytes", "listed zeros and ones", "floats", "a list that fits beside one that does not",
    "names of two kinds",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_pairs_in_the_file_are_its_split(tmp_path: Path, form: str) -> None:
    run = load_run(saved(tmp_path, epoch=3, **stored_pairs(form)))
    assert run.split is not None
    assert {*run.split.train.tolist()} == {*SPLIT.draw(TASK).train.tolist()}
    assert any(note.startswith("the split is stored: ") for note in run.notes)


@pytest.mark.parametrize("value", [torch.rand(9, 4), torch.tensor([1, 999]), torch.rand(3).bfloat16(), [1, 1], "a"])
def test_pairs_that_do_not_fit_are_said(tmp_path: Path, value: object) -> None:
    run = load_run(saved(tmp_path, epoch=3, train_idx=value))
    assert any(note.startswith("train_idx of the file was not read as its split: ") for note in run.notes)


@pytest.mark.parametrize("names", [("train_indices", "test_indices"), ("train_data", "test_data")])
@pytest.mark.parametrize(
    ("train", "test", "why"),
    [
        ("a.csv", "b.csv", "train: given str, expected a list of indices or pairs"),
        (torch.zeros(5, 4, dtype=torch.int64), torch.zeros(5, 4, dtype=torch.int64), r"given an array \(5, 4\), expected"),
        ([[0, 1, P]], [[0, 1, P]], r"row 0 is the pair \(0, 1\), which row 0 of train is too"),
        ([[0, 0, P]], [[0, 1, P]], r"given 1 train and 1 test pairs, expected all 121"),
        ([[0], [1, 2]], [], r"row 1 is \[1, 2\], expected rows of one form"),
        ([0.5, 1.0], [2.0], r"row 0 is 0\.5, expected integers"),
    ],
)
def test_two_lists_that_do_not_fit_are_said(
    tmp_path: Path, names: tuple[str, str], train: object, test: object, why: str
) -> None:
    run = load_run(saved(tmp_path, epoch=3, **dict(zip(names, (train, test), strict=True))))
    assert any(re.match(f"{' and '.join(names)} of the file was not read as its split: .*{why}", note) for note in run.notes)


@pytest.mark.parametrize("name", ["mask.json", "square.json", "mask.npy", "numbered.csv", "unnamed.csv"])
def test_masks_of_zeros_and_ones_and_numbered_rows_are_split_files(tmp_path: Path, name: str) -> None:
    train = SPLIT.draw(TASK).train
    mask = np.isin(np.arange(P * P), train)
    rows = "".join(f"{row},{pair // P},{pair % P}\n" for row, pair in enumerate(train.tolist()))
    texts = {
        "mask.json": json.dumps(mask.astype(int).tolist()),
        "square.json": json.dumps(mask.astype(int).reshape(P, P).tolist()),
        "numbered.csv": f"index,a,b\n{rows}",
        "unnamed.csv": f",a,b\n{rows}",
    }
    if name in texts:
        (tmp_path / name).write_text(texts[name])
    else:
        np.save(tmp_path / name, mask.astype(np.uint8))
    np.testing.assert_array_equal(np.sort(read_split(tmp_path / name, TASK).train), np.sort(train))


def test_no_difference_from_published_losses_is_told_where_none_are(tmp_path: Path) -> None:
    config = {"seed": SPLIT.seed, "frac_train": SPLIT.fraction, "p": P}
    run = load_run(saved(tmp_path, epoch=3, config=config))
    assert any("the losses on the single pairs tell it" in note for note in run.notes)
    assert not any("published ones differ" in note for note in run.notes)
