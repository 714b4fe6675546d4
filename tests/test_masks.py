"""Masks of tickets: the largest weights, the neurons of clusters; what successive ones have in common, and what chance gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from interp import ModularTask, Run, RunConfig, mask_overlap, open_run, record, synthetic, ticket
from interp.cli import main
from interp.config.run_config import CheckpointConfig, ModelConfig
from interp.errors import UsageError
from interp.figures.mask_figure import mask_figure
from interp.interventions import crossing
from interp.interventions.mask_course import overlap
from interp.interventions.masks import clustered, of_magnitude, of_neurons
from interp.interventions.trained_on import norm_of
from interp.networks.one_layer import Weights

CONFIG = RunConfig(
    task=ModularTask(11),
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=0, every=10),
    steps=30,
    engine="reference",
    threads=1,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(CONFIG, tmp_path_factory.mktemp("runs"), "run", progress=False)


def test_neurons_of_a_clocks_frequencies_are_its_clusters_and_dead_ones_are_not() -> None:
    clock = synthetic.clock_weights(11, [2, 4])
    found = clustered(clock, ModularTask(11))
    assert bool(found.any())
    dead = replace(clock, W_in=clock.W_in.index_fill(1, torch.tensor([0, 3]), 0.0), b_in=None)
    without = clustered(dead, ModularTask(11))
    assert not without[[0, 3]].any()
    assert torch.equal(without.index_fill(0, torch.tensor([0, 3]), False), without)
    mask = of_neurons(clock, found)
    assert mask["W_in"].shape == clock.W_in.shape
    assert torch.equal(mask["W_in"].any(dim=0), found)
    assert torch.equal(mask["W_out"].all(dim=1), found)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_random_masks_have_in_common_what_chance_says(share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = [
        {name: torch.rand(size, generator=generator) < share for name, size in (("A", 30_000), ("B", 500))} for _ in range(2)
    ]
    found, chance = overlap(*drawn)
    assert found == pytest.approx(chance, abs=0.01)
    assert chance == pytest.approx(share / (2 - share), abs=0.01)  # of equal shares


def test_overlap_is_jaccards_index_over_all_tensors() -> None:
    one = {"A": torch.tensor([True, True, False]), "B": torch.tensor([True, False])}
    other = {"A": torch.tensor([False, True, True]), "B": torch.tensor([True, True])}
    found, chance = overlap(one, other)
    assert found == pytest.approx(2 / 5)  # 2 in common of 5 in either
    expected = 2 * 2 / 3 + 1 * 2 / 2
    assert chance == pytest.approx(expected / (7 - expected))
    assert overlap(one, one)[0] == 1
    nothing = {name: torch.zeros_like(mask) for name, mask in one.items()}
    assert np.isnan(overlap(nothing, nothing)).all()
    assert overlap(one, nothing) == (0, 0)


def test_masks_over_a_run_are_those_of_its_checkpoints(run: Run) -> None:
    found = mask_overlap(run, keep=0.4)
    assert found.index.tolist() == list(run.steps) == [0, 10, 20, 30]
    assert found.iloc[0][["magnitude", "clusters", "magnitude (by chance)"]].isna().all()
    one, other = (of_magnitude(run[step].weights, 0.4) for step in (20, 30))
    assert found["magnitude"][30] == found["magnitude with last"][20] == overlap(other, one)[0]
    assert found["magnitude with last"][30] == 1
    assert found["magnitude (by chance)"][30] == pytest.approx(0.4 / 1.6, abs=0.01)
    few = mask_overlap(run, keep=0.4, steps=[30, 0])
    assert few["magnitude"][30] == overlap(of_magnitude(run[0].weights, 0.4), other)[0]


def test_where_answers_have_no_frequencies_there_are_no_clusters(tmp_path: Path) -> None:
    product = record(replace(CONFIG, task=ModularTask(11, operation="x2xyy2"), steps=1), tmp_path, "x", progress=False)
    assert not [name for name in mask_overlap(product) if "clusters" in name]
    with pytest.raises(UsageError, match=r"clusters: given a run of .*, expected addition, or what becomes it"):
        ticket(product, step=1, by="clusters", root=tmp_path, progress=False)


def test_a_ticket_of_clusters_has_their_neurons_beside_others_as_many(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = torch.zeros(24, dtype=torch.bool)
    kept[[1, 5, 6, 20]] = True
    monkeypatch.setattr(crossing, "clustered", lambda weights, task: kept)  # 30 steps make none
    table = ticket(run, step=30, by="clusters", seeds=[3], steps=5, root=tmp_path, progress=False).set_index("what")
    assert list(table.index) == ["ticket", "dense, of its norm", "largest entries", "random neurons"]
    assert np.allclose(table["keep"], 4 / 24)
    first = {what: open_run(tmp_path / name) for what, name in table["run"].items()}
    own = run[0].weights
    for step in (0, 5):
        weights = first["ticket"][step].weights
        assert torch.equal((weights.W_in != 0).any(dim=0), kept)
        assert torch.equal((weights.W_out != 0).any(dim=1), kept)
    assert torch.equal(first["ticket"][0].weights.W_E, own.W_E)
    assert torch.equal(first["ticket"][0].weights.W_in[:, kept], own.W_in[:, kept])
    assert norm_of(first["dense, of its norm"][0].weights) == pytest.approx(norm_of(first["ticket"][0].weights), rel=1e-6)
    assert int((first["largest entries"][0].weights.W_in != 0).sum()) == 4 * 16
    others = (first["random neurons"][0].weights.W_in != 0).any(dim=0)
    assert int(others.sum()) == 4
    assert not torch.equal(others, kept)


def test_what_has_no_mask_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"keep: given 1.5, expected a share in \(0, 1\]"):
        mask_overlap(run, keep=1.5)
    with pytest.raises(UsageError, match="steps: given none, expected saved steps"):
        mask_overlap(run, steps=[])
    with pytest.raises(UsageError, match="unknown by 'size'"):
        ticket(run, step=30, by="size", root=tmp_path, progress=False)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(UsageError, match="no neuron follows a key frequency at this step"):
        ticket(run, step=0, by="clusters", root=tmp_path, progress=False)


def test_the_figure_has_chance_dotted_and_the_command_writes_it(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = mask_overlap(run)
    drawn = mask_figure(found.index.tolist(), {str(name): values.tolist() for name, values in found.items()})
    assert {line.line.dash for line in drawn.data if "chance" in line.name} == {"dot"}
    assert {line.xaxis for line in drawn.data} == {"x", "x2"}
    assert [line.name for line in drawn.data if line.showlegend] == [
        "magnitude", "magnitude (by chance)", "clusters", "clusters (by chance)",
    ]  # fmt: skip
    out = run.path.parent.parent / "masks.html"
    with pytest.raises(SystemExit) as ended:
        main(["masks", "run", "--steps", "0,30", "-o", str(out), "--root", str(run.path.parent)])
    assert not ended.value.code
    assert out.is_file()
    assert "magnitude with last" in capsys.readouterr().out


def test_weights_of_a_mask_are_those_of_the_network() -> None:
    clock = synthetic.clock_weights(11, [2])
    assert set(of_magnitude(clock, 0.3)) == {name for name in clock.tensors() if name.startswith("W_")}
    assert isinstance(clock, Weights)
