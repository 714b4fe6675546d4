"""Published models through our importers: their published losses, to the digits they were published with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from interp.errors import DataError
from interp.interop import import_run, load_run, load_weights, recover_split
from interp.interop.split import pair_losses
from interp.networks.hooked import HookedModel
from interp.networks.one_layer import forward
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

pytestmark = pytest.mark.reference
MAINLINE = "nanda_wd_0.1_final.pth"
PIZZA, CLOCK = "pizza_p99zdpze5l", "pizza_l8k1hzciux"


def test_official_final_model(reference: Path) -> None:
    run = load_run(reference / MAINLINE)
    assert (run.format, run.checkpoints[0][0]) == ("official", 107790)
    assert run.config.split == SplitConfig("python", 1, 0.3)
    assert run.config.optimizer.weight_decay == 0.1
    assert any("configuration says 1, the optimizer's state 0.1" in note for note in run.notes)
    losses = pair_losses(run.weights, run.task)
    assert losses[run.split.train].mean() == pytest.approx(9.2024e-9, rel=1e-4)
    assert losses[run.split.test].mean() == pytest.approx(4.9884e-7, rel=1e-4)
    assert float(sum(t.double().square().sum() for t in run.weights.tensors().values())) == pytest.approx(1180.966, rel=1e-6)
    assert len(run.train_losses) == 107791
    assert [*run.test_losses][-2:] == [107780, 107790]
    assert run.train_losses[107790] == pytest.approx(9.2025e-9, rel=1e-4)


def test_the_official_split_is_found_among_the_first_seeds(reference: Path) -> None:
    weights, task = load_weights(reference / MAINLINE), ModularTask(113)
    assert recover_split(weights, task, train_loss=9.2025e-9, seeds=range(20)) == SplitConfig("python", 1, 0.3)
    with pytest.raises(DataError, match="no seed fits"):
        recover_split(weights, task, train_loss=9.2025e-9, seeds=range(2, 6))


@pytest.mark.parametrize(("name", "rate", "loss"), [(PIZZA, 0.0, 1.38e-7), (CLOCK, 1.0, 1.56e-7)])
def test_clock_and_pizza_models(reference: Path, name: str, rate: float, loss: float) -> None:
    run = load_run(reference / f"{name}.pt")
    assert (run.format, run.weights.attention_rate, run.task) == ("pizza", rate, ModularTask(59, equals_sign=False))
    assert pair_losses(run.weights, run.task).mean() == pytest.approx(loss, abs=0.5e-9)  # published with three digits
    assert (run.config.optimizer.weight_decay, run.config.task, run.split) == (2.0, run.task, None)


def test_a_json_that_belongs_to_the_other_model_is_refused(reference: Path, tmp_path: Path) -> None:
    for weights, config in ((PIZZA, CLOCK), (CLOCK, PIZZA)):
        shutil.copy(reference / f"{weights}.pt", tmp_path / "model_x.pt")
        shutil.copy(reference / f"{config}.json", tmp_path / "config_x.json")
        with pytest.raises(DataError, match=r"the \.json belongs to another model"):
            load_weights(tmp_path / "model_x.pt")
    shutil.copy(reference / f"{CLOCK}.json", tmp_path / "config_x.json")
    assert load_weights(tmp_path / "model_x.pt").attention_rate == 1
    (tmp_path / "config_x.json").unlink()
    with pytest.raises(DataError, match="there is none"):
        load_weights(tmp_path / "model_x.pt")


def test_damaged_copies_of_published_files_are_refused(reference: Path, tmp_path: Path) -> None:
    whole = (reference / MAINLINE).read_bytes()
    copy = tmp_path / MAINLINE
    for data in (whole[: len(whole) // 2], whole[:-1], bytes([*whole[:200_000], whole[200_000] ^ 1, *whole[200_001:]])):
        copy.write_bytes(data)
        with pytest.raises(DataError, match=MAINLINE):
            load_weights(copy)
    (tmp_path / "renamed.json").write_bytes(whole)
    assert load_weights(tmp_path / "renamed.json").p == 113  # files are known by their bytes, not by their names


def test_published_models_are_ordinary_ones(reference: Path, tmp_path: Path) -> None:
    run = import_run(reference / MAINLINE, tmp_path, "published")
    assert run.verify() == ()
    assert json.loads(json.dumps(run.provenance))["format"] == "official"
    weights = run[107790].weights
    pairs = torch.from_numpy(run.config.task.pairs[:500])
    with torch.no_grad():
        reference_logits = forward(weights, pairs).all_logits
        hooked = HookedModel(weights)(pairs)[:, -1]
        bridge = HookedModel(weights).to_bridge()(torch.nn.functional.pad(pairs, (0, 1), value=113))[:, -1]
    scale = float(reference_logits.abs().max())
    np.testing.assert_allclose(hooked, reference_logits, atol=1e-6 * scale)
    np.testing.assert_allclose(bridge, reference_logits, atol=1e-6 * scale)
