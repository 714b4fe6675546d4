"""Steps that the caller gives to files: each belongs to the file beside which it stands in the caller's list."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from foreign import official_state, save
from random_models import assert_same, random_weights

from interp.errors import DataError, UsageError
from interp.interop import Known, export_weights, load_run
from interp.networks.one_layer import Weights

NAMES = ("init", "mid", "final")  # in another order by name
STEPS = (0, 300, 600)


def models() -> list[Weights]:
    return [random_weights(7, biases=["b_in", "b_out"], equals_class=True, d_model=6, seed=seed) for seed in range(3)]


def written(folder: Path, form: str) -> list[Path]:
    """Three models in files whose names tell no steps."""
    if form == "ours":
        return [
            export_weights(model, folder / f"{name}.safetensors", step=5) for name, model in zip(NAMES, models(), strict=True)
        ]
    return [save(official_state(model), folder / f"{name}.pt") for name, model in zip(NAMES, models(), strict=True)]


@pytest.mark.parametrize("form", ["theirs", "ours"])
def test_steps_belong_to_the_files_in_the_order_in_which_they_are_listed(tmp_path: Path, form: str) -> None:
    files = written(tmp_path, form)
    for order in ((0, 1, 2), (2, 0, 1)):
        run = load_run([files[at] for at in order], known=Known(steps=tuple(STEPS[at] for at in order)))
        assert tuple(step for step, _ in run.checkpoints) == STEPS
        for (_, weights), model in zip(run.checkpoints, models(), strict=True):
            for name, tensor in weights.tensors().items():
                torch.testing.assert_close(tensor, model.tensors()[name].to(tensor.dtype))
        told = ", ".join(f"{files[at].name} -> {STEPS[at]}" for at in order)
        assert f"steps: as given: {told}" in run.notes


def test_steps_of_a_folder_are_in_the_order_of_its_names(tmp_path: Path) -> None:
    written(tmp_path, "theirs")
    run = load_run(tmp_path, known=Known(steps=(600, 0, 300)))
    for (_, weights), model in zip(run.checkpoints, models(), strict=True):
        assert_same(weights, model)
    with pytest.raises(UsageError, match="steps: given 2 for 3 files, expected one for each, in the order of their names"):
        load_run(tmp_path, known=Known(steps=(0, 1)))


def test_a_file_that_is_listed_twice_cannot_have_two_steps(tmp_path: Path) -> None:
    first, second, _ = written(tmp_path, "theirs")
    with pytest.raises(UsageError, match=r"steps: given for a list with .*init\.pt twice, expected every file once"):
        load_run([first, second, first], known=Known(steps=STEPS))
    with pytest.raises(UsageError, match="steps: given 2 for 3 files, expected one for each, in the order in which"):
        load_run(written(tmp_path, "theirs"), known=Known(steps=(0, 1)))


def test_a_series_is_not_cut_to_its_first_model_by_a_step_for_its_file(tmp_path: Path) -> None:
    states = [official_state(model) for model in models()]
    series = save({"state_dicts": states[:2], "epochs": [0, 1]}, tmp_path / "series.pt")
    one = save(states[2], tmp_path / "one.pt")
    with pytest.raises(DataError, match=r"series\.pt has a series of models of its own; import it alone"):
        load_run([series, one], known=Known(steps=(0, 600)))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_the_order_in_which_steps_are_asked_for_is_that_in_which_they_count(tmp_path: Path, order: tuple[int, ...]) -> None:
    files = [written(tmp_path, "theirs")[at] for at in order]
    asked = rf"\(no number differs between them: {', '.join(NAMES[at] for at in order)}\); give the steps, in the order in which"
    with pytest.raises(DataError, match=asked) as refused:
        load_run(files)
    listed = str(refused.value).partition("between them: ")[2].partition(")")[0].split(", ")
    run = load_run(files, known=Known(steps=tuple(STEPS[NAMES.index(name)] for name in listed)))
    for (_, weights), model in zip(run.checkpoints, models(), strict=True):
        assert_same(weights, model)


def test_every_name_is_shown_where_steps_are_asked_for(tmp_path: Path) -> None:
    names = ["red", "green", "blue", "cyan", "black", "white"]
    files = [save(official_state(models()[0]), tmp_path / f"{name}.pt") for name in names]
    with pytest.raises(DataError, match=f"{', '.join(names)}\\); give the steps, in the order in which they are listed, with"):
        load_run(files)
    with pytest.raises(DataError, match=f"{', '.join(sorted(names))}\\); give the steps, in the order of their names, with"):
        load_run(tmp_path)
    seeds = [save(official_state(models()[0]), tmp_path / f"m_seed{at}.pt") for at in (2, 0, 1)]
    with pytest.raises(DataError, match=r"m_seed2, m_seed0, m_seed1\): import each by itself, or give the steps, in the order"):
        load_run(seeds)
