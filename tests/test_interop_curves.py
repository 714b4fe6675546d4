"""Curves inside files of weights: every form in which losses are stored becomes history, and what does not is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from foreign import official_state, save
from random_models import random_weights

from interp.interop import load_run
from interp.interop.imported import Imported
from interp.interop.stored_curves import curve_in

MODEL = random_weights(7, biases=["b_in", "b_out"], equals_class=True, d_model=6)
LOSSES = [4.0, 3.0, 2.0, 1.5]
STEPS = [0, 100, 200, 300]
DATED = {
    "table": dict(zip(STEPS, LOSSES, strict=True)),
    "table of texts": {f"step_{step}": loss for step, loss in zip(STEPS, LOSSES, strict=True)},
    "table in no order": {step: torch.tensor(loss) for step, loss in reversed([*zip(STEPS, LOSSES, strict=True)])},
    "pairs": [*zip(STEPS, LOSSES, strict=True)],
    "rows": torch.tensor([STEPS, LOSSES]).T,
}
BARE = {
    "array": torch.tensor(LOSSES),
    "column": torch.tensor(LOSSES)[:, None],
    "row": torch.tensor(LOSSES)[None],
    "rows of one": [[loss] for loss in LOSSES],
    "scalars": [torch.tensor(loss) for loss in LOSSES],
}
# None of them is one number a step.
MISFITS = [
    torch.tensor([[4.0, 0.1], [3.0, 0.2]]), [[4.0, 0.1], [3.0, 0.2]], ["a", "b"], [None, 2.0], {"mean": 1.0}, {0: "x"},
    {0: 1.0, "0": 2.0}, [[0, 1.0], [0, 2.0]], [[0, 1.0], [1]], {-1: 2.0}, {10**13: 2.0}, torch.zeros(2, 3), [True, False],
    {0: [1.0, 2.0]},
]  # fmt: skip


def loaded(folder: Path, **more: object) -> Imported:
    return load_run(save({"model": official_state(MODEL), "step": 300, **more}, folder / "model.pt"))


@pytest.mark.parametrize("form", DATED)
@pytest.mark.parametrize("where", ["top", "history"])
def test_losses_with_their_steps_are_history_at_these(form: str, where: str, tmp_path: Path) -> None:
    curves = {"train_losses": DATED[form], "test_losses": DATED[form]}
    run = loaded(tmp_path, **(curves if where == "top" else {"history": curves}))
    assert run.train_losses == run.test_losses == dict(zip(STEPS, LOSSES, strict=True))
    name = "train_losses" if where == "top" else "history/train_losses"
    assert f"{name}: 4, at the steps that stand beside them" in run.notes
    assert not any("not read from the file" in note for note in run.notes)


@pytest.mark.parametrize("form", BARE)
def test_losses_in_columns_are_lists_of_losses(form: str, tmp_path: Path) -> None:
    run = loaded(tmp_path, train_losses=BARE[form], test_losses=BARE[form], test_accs=BARE["column"] / 4, log_steps=STEPS)
    assert run.train_losses == run.test_losses == dict(zip(STEPS, LOSSES, strict=True))
    assert run.accuracies["test_accuracy"] == {step: loss / 4 for step, loss in zip(STEPS, LOSSES, strict=True)}


@pytest.mark.parametrize("value", MISFITS, ids=range(len(MISFITS)))
def test_what_is_no_curve_is_named_and_hinders_nothing(value: object, tmp_path: Path) -> None:
    assert curve_in(value) is None
    run = loaded(tmp_path, train_losses=value, history={"test_loss": value})
    assert not run.train_losses
    assert not run.test_losses
    assert "not read from the file: history, history/test_loss, train_losses" in run.notes


@pytest.mark.parametrize(
    ("train", "test", "share"),
    [
        ("train_acc", "test_acc", 0.005),
        ("train_acc_pct", "test_acc", 0.5),
        ("train_acc", "test_acc_pct", 0.005),
    ],
)
def test_accuracies_are_in_per_cent_by_name_or_with_those_beside_them(
    train: str, test: str, share: float, tmp_path: Path
) -> None:
    run = loaded(tmp_path, **{train: [1.0, 50.0, 100.0], test: [0.25, 0.5, 0.5], "eval_steps": [0, 5, 9]})
    assert run.accuracies["train_accuracy"] == {0: 0.01, 5: 0.5, 9: 1.0}
    assert run.accuracies["test_accuracy"][9] == share


def test_what_tells_the_steps_of_anything_is_not_said_to_be_unread(tmp_path: Path) -> None:
    run = loaded(tmp_path, train_losses=LOSSES, log_steps=STEPS, eval_steps=[1, 2])
    assert "train_losses: 4, as many as the log_steps of the file, which they were placed at" in run.notes
    assert "not read from the file: eval_steps" in run.notes
    models = [random_weights(7, biases=["b_in", "b_out"], equals_class=True, d_model=6, seed=seed) for seed in range(4)]
    content = {"checkpoints": [official_state(model) for model in models], "checkpoint_steps": STEPS, "train_losses": LOSSES}
    series = load_run(save(content, tmp_path / "series.pt"))
    assert [step for step, _ in series.checkpoints] == STEPS
    assert not any("not read from the file" in note for note in series.notes)
