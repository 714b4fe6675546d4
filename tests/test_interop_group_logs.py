"""Steps, logs and splits of the group-representation code's models: metrics.csv beside them, seed 0, no cfg.json."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from published_groups import config, coset_mlp, initial_state, written

import interp
from interp.cli import main
from interp.errors import DataError
from interp.interop import Known, import_run, load_run
from interp.interop.imported import measured_row
from interp.interop.known import UnknownFactError
from interp.tasks.published_groups import published_task
from interp.tasks.splits import SplitConfig

EPOCHS = 600
CONFIRMED = "the log's losses at step 599 agree with it"
CONTRADICTED = "WARNING: the log's losses at step 599 contradict it"
UNCONFIRMED = "there is no loss that confirms it"


def metrics(folder: Path, losses: dict[str, float], *, last: int = EPOCHS - 1) -> Path:
    """A metrics.csv as theirs: a first column without a name whose numbers are in no order, more columns, epochs at the end."""
    lines = [",train_loss,test_loss,train_acc,test_acc,all_loss,percent_x_embed_standard_rep,epoch"]
    for place, epoch in enumerate((0, last // 2, last)):
        share = epoch / last
        train, test = (losses[name] * share + 3.2 * (1 - share) for name in ("train_loss", "test_loss"))
        lines.append(f"{(7 * place + 3) % 5},{train!r},{test!r},1.0,1.0,{(train + test) / 2!r},0.3,{epoch}")
    path = folder / "metrics.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, dict[str, float]]:
    """A folder of theirs with a model that does every product, and what is measured on it."""
    folder = tmp_path / "S4_MLP_seed2"
    written(folder, coset_mlp("S4", amplitude=3.0))
    config(folder, "S4", num_epochs=EPOCHS)
    alone = load_run(folder)
    return folder, measured_row(alone.weights, alone.task, alone.split)


def test_the_last_model_has_the_step_of_the_last_epoch(published: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    folder, measured = published
    metrics(folder, measured)
    run = import_run(folder, tmp_path / "runs", "s4")
    assert run.steps == (EPOCHS - 1,)
    assert "steps are epochs: the state of epoch e has had e + 1 updates" in run.provenance["notes"]
    assert run.columns["step"].tolist() == [0, 299, 599]  # that of the model is that of the log, and no state is there twice
    written(folder / "checkpoints", coset_mlp("S4", amplitude=3.0), f"epoch_{EPOCHS - 1}.pt")
    assert load_run(folder / "checkpoints" / f"epoch_{EPOCHS - 1}.pt").checkpoints[-1][0] == run.steps[-1]


@pytest.mark.parametrize("given", ["folder", "file"])
def test_losses_of_the_log_confirm_the_split_or_contradict_it(published: tuple[Path, dict[str, float]], given: str) -> None:
    folder, measured = published
    path = folder if given == "folder" else folder / "model.pt"
    assert UNCONFIRMED in "\n".join(load_run(path).notes)
    metrics(folder, measured)
    imported = load_run(path)
    told = "\n".join(imported.notes)
    assert imported.log is not None
    assert imported.log.path == folder / "metrics.csv"
    assert f"split torch:2:0.4: by the stored seed and fraction; {CONFIRMED} (train_loss" in told
    assert not re.search(f"WARNING|{UNCONFIRMED}|differs from what is measured", told)
    metrics(folder, {"train_loss": 0.9, "test_loss": 2.5})
    told = "\n".join(load_run(path).notes)
    assert f"split torch:2:0.4: by the stored seed and fraction; {CONTRADICTED} (train_loss 0.9, measured" in told
    assert UNCONFIRMED not in told
    assert "train_loss: the log differs from what is measured at 1 of 1 checkpoints, most at step 599" in told


def test_a_log_without_the_last_epoch_confirms_nothing(published: tuple[Path, dict[str, float]]) -> None:
    folder, measured = published
    metrics(folder, measured, last=400)
    told = "\n".join(load_run(folder).notes)
    assert f"{UNCONFIRMED}: the log metrics.csv has none at step 599 (its last step is 400)" in told


def test_a_log_that_cannot_be_read_is_said(published: tuple[Path, dict[str, float]]) -> None:
    folder, _ = published
    (folder / "metrics.csv").write_text("epoch,loss_of_train\n0,1\n0\n")
    said = "metrics.csv, which lies beside its configuration, was not read as its training log"
    assert said in "\n".join(load_run(folder).notes)


@pytest.mark.parametrize(("epochs", "step"), [(1, 0), ("600", 599), (0, None), ("many", None)])
def test_a_number_of_epochs_tells_the_last_of_them(epochs: object, step: int | None, tmp_path: Path) -> None:
    path = written(tmp_path, coset_mlp("S3"))
    config(tmp_path, "S3", num_epochs=epochs)
    imported = load_run(path)
    assert (None if imported.unplaced else imported.checkpoints[-1][0]) == step
    config(tmp_path, "S3", num_epochs=10**30)
    with pytest.raises(DataError, match="num_epochs: given 999,999,"):
        load_run(path)


def test_with_seed_0_the_first_pairs_are_those_that_were_trained_on(tmp_path: Path) -> None:
    path = written(tmp_path, coset_mlp("S4"))
    config(tmp_path, "S4", seed=0, frac_train=0.4, num_epochs=EPOCHS)
    imported = load_run(path)
    assert imported.split.train.tolist() == list(range(230))  # int(.4 * 24^2)
    assert imported.split.test.tolist() == list(range(230, 576))
    first = "with the stored seed that code does not shuffle, and trains on pairs 0 to 229 in row-major order"
    assert f"split: {first}; {UNCONFIRMED}" in imported.notes
    metrics(tmp_path, measured_row(imported.weights, imported.task, imported.split))
    assert any(note.startswith(f"split: {first}; {CONFIRMED}") for note in load_run(path).notes)
    run = import_run(path, tmp_path / "runs", "s4")
    assert np.array_equal(run.split.train, np.arange(230))
    config(tmp_path, "S4", seed=0, frac_train=0.001)
    with pytest.raises(DataError, match=r"given frac_train 0.001, which leaves 0 of 576 pairs to train on"):
        load_run(path)


def test_losses_on_the_pairs_that_tell_another_split_than_the_first_pairs_are_said(tmp_path: Path) -> None:
    labels = torch.from_numpy(published_task("S4", equals_sign=False).labels)
    train = SplitConfig("torch", 5, 0.5).draw(published_task("S4", equals_sign=False)).train
    weights = {name: tensor.requires_grad_() for name, tensor in initial_state(24, 0, embed_dim=64, hidden_dim=128).items()}
    first, second = torch.arange(576) // 24, torch.arange(576) % 24
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-2, weight_decay=0)
    for _ in range(150):  # learned by heart
        stacked = torch.hstack((weights["W_x"][first], weights["W_y"][second]))[train]
        logits = (stacked @ weights["W"]).relu() @ weights["W_U"]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, labels[train]).backward()
        optimizer.step()
    path = written(tmp_path, {name: tensor.detach() for name, tensor in weights.items()})
    config(tmp_path, "S4", seed=0, frac_train=0.5)
    assert "the losses on the single pairs tell another, torch:5:0.5" in "\n".join(load_run(path).notes)


def test_without_a_configuration_the_split_is_asked_for_as_the_documentation_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, coset_mlp("S4"))
    with pytest.raises(UnknownFactError, match=r"its train and test pairs are not known.*SplitConfig\('torch', 1, 0.4\)"):
        import_run(path, tmp_path / "runs", "s4", known=Known(group="S4"))
    text = (Path(__file__).parents[1] / "docs" / "importing-groups.md").read_text()
    written_down = next(line for line in text.splitlines() if "--group S5" in line).split("#")[0].split()[1:]
    words = [{"other/model.pt": str(path), "S5": "S4"}.get(word, word) for word in written_down]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--root", str(tmp_path / "runs"), "--name", "s4"])
    assert ended.value.code == 0
    capsys.readouterr()
    assert interp.open_run(tmp_path / "runs" / "s4").config.split == SplitConfig("torch", 2, 0.4)
    with pytest.raises(SystemExit) as ended:
        main(["anatomy", str(path), "--group", "S4"])
    assert ended.value.code == 0


def test_where_a_group_is_not_stored_the_sentence_says_why(tmp_path: Path) -> None:
    path = written(tmp_path, coset_mlp("S4"))

    def notes() -> list[str]:
        return [note for note in load_run(path).notes if note.startswith("the group")]

    rest = "and the model is right for 100.0% of its products: S4 was assumed"
    assert notes() == [f"the group is not stored (no cfg.json), {rest}"]
    (tmp_path / "cfg.json").write_text("[1]")
    expected = "cfg.json was not understood: expected an object with group, group_parameter and model"
    assert notes() == [f"the group is not stored ({expected}), {rest}"]
    (tmp_path / "cfg.json").write_text(json.dumps({"model": "OneLayerMLP", "group_parameter": 4}))
    assert notes() == [f"the group is not stored (cfg.json does not name it: it has no group), {rest}"]
    (tmp_path / "cfg.json").write_text("[1]")
    untrained = written(tmp_path, initial_state(24, 0, embed_dim=8, hidden_dim=16), "untrained.pt")
    with pytest.raises(UnknownFactError, match=r"group: it is not stored \(cfg.json was not understood.*\), and the model gives"):
        load_run(untrained)
