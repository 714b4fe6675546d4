"""The local learning coefficient of runs: losses and gradients of every kind of network, what is kept, what is told and drawn."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

from interp import (
    CheckpointConfig,
    Langevin,
    ModelConfig,
    ModularTask,
    Run,
    RunConfig,
    SplitConfig,
    learning_coefficients,
    record,
    report,
)
from interp.cli.entry import main
from interp.errors import UsageError
from interp.figures.coefficient_figure import coefficient_figure
from interp.landscape import learning_coefficient as module
from interp.landscape.chains import chain
from interp.landscape.kept_coefficients import MOST_STEPS, SETTINGS, kept_coefficients, name_of, results_for, settings_of
from interp.landscape.training_loss import TrainingLoss
from interp.losses import LOSSES
from interp.networks.initial import initial_network
from interp.reporting.coefficient_panel import coefficient_panel
from interp.store.thinning import thin
from tests.other_networks import MODELS, small

CONFIG = RunConfig(
    task=ModularTask(11), split=SplitConfig(fraction=0.5, seed=1), model=ModelConfig(d_model=8, n_heads=2, d_mlp=16),
    checkpoints=CheckpointConfig(log=0, every=20), steps=60, engine="reference", threads=1,
)  # fmt: skip
FEW = Langevin(chains=3, draws=12, burn_in=5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(CONFIG, tmp_path_factory.mktemp("runs"), "run", progress=False)


@pytest.mark.parametrize("name", ["one layer", "float64", "stablemax", *sorted(MODELS)])
def test_the_training_loss_and_its_gradient_are_those_of_the_network(name: str, tmp_path: Path) -> None:
    ours = {
        "one layer": CONFIG,
        "float64": replace(CONFIG, dtype="float64"),
        "stablemax": replace(CONFIG, optimizer=replace(CONFIG.optimizer, loss="stablemax")),
    }
    config = ours[name] if name in ours else small(MODELS[name])
    run = record(replace(config, steps=20), tmp_path, "run", progress=False)
    loss = TrainingLoss(run, run.split, run[0].network)
    for network in (run[20].network, initial_network(replace(config, seed=7)), run[20].network):
        loss.move_to(network)
        found = loss.gradient()
        leaves = {n: t.detach().double().requires_grad_() for n, t in network.tensors().items()}
        precise = network.with_tensors(leaves) if hasattr(network, "with_tensors") else None
        assert precise is not None
        rows = torch.from_numpy(run.split.train)
        inputs, labels = torch.from_numpy(run.task.inputs)[rows], torch.from_numpy(run.task.labels)[rows]
        logits = _logits(precise, inputs)
        expected = LOSSES[config.optimizer.loss](logits, labels).mean()
        gradients = torch.autograd.grad(expected, list(leaves.values()), materialize_grads=True, allow_unused=True)
        assert found == pytest.approx(float(expected.detach()), rel=1e-5)
        for tensor, theirs in zip(leaves, gradients, strict=True):
            mine = loss.parameters.gradients[tensor].double()
            assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-5 * float(theirs.abs().max()) + 1e-8), tensor


def _logits(network: object, inputs: Tensor) -> Tensor:
    from interp.networks.one_layer import Weights, forward

    return forward(network, inputs[:, :2]).all_logits if isinstance(network, Weights) else network.logits(inputs)  # type: ignore[attr-defined]


def test_a_networks_coefficient_is_that_of_its_curvature(tmp_path: Path) -> None:
    # Held so strongly that the loss is a quadratic function of what is drawn: the closed form with its gradient and Hessian.
    config = replace(
        CONFIG, task=ModularTask(3), split=SplitConfig(fraction=0.7, seed=0), dtype="float64", steps=20,
        model=ModelConfig(d_model=2, n_heads=1, d_mlp=3, biases="none"),
    )  # fmt: skip
    run = record(config, tmp_path, "run", progress=False)
    how = Langevin(chains=4, draws=700, burn_in=100, step_size=2e-5, localization=4e3, n_beta=400.0)
    found = learning_coefficients(run, steps=20, sampler=how)
    weights = run[20].weights
    names, shapes = list(weights.tensors()), [t.shape for t in weights.tensors().values()]
    rows = torch.from_numpy(run.split.train)

    def loss(flat: Tensor) -> Tensor:
        parts = flat.split([shape.numel() for shape in shapes])
        made = weights.with_tensors({n: p.reshape(s) for n, p, s in zip(names, parts, shapes, strict=True)})
        logits = _logits(made, torch.from_numpy(run.task.inputs)[rows])
        return LOSSES["cross_entropy"](logits, torch.from_numpy(run.task.labels)[rows]).mean()

    flat = torch.cat([t.flatten() for t in weights.tensors().values()])
    slope = torch.autograd.functional.jacobian(loss, flat)
    bend, turned = torch.linalg.eigh(torch.autograd.functional.hessian(loss, flat))
    along, a = turned.T @ slope, how.n_beta * bend + how.localization
    mean = -how.n_beta * along / a
    expected = float(how.n_beta * (along * mean + bend * (1 / (a * (1 - how.step_size * a / 4)) + mean**2) / 2).sum())
    error = float(found["llc_std"][0]) / how.chains**0.5
    assert abs(expected) > 0.1
    assert float(found["llc"][0]) == pytest.approx(expected, abs=4 * error + 0.03 * abs(expected))
    assert error < 0.2 * abs(expected)


def test_directions_that_change_nothing_have_no_coefficient(tmp_path: Path) -> None:
    config = replace(CONFIG, model=replace(CONFIG.model, attention_rate=0.0), steps=20)  # constant attention asks no query
    run = record(config, tmp_path, "run", progress=False)
    found = learning_coefficients(run, steps=20, sampler=FEW, tensors=["W_Q"])
    assert found["llc_by_chain"].values == pytest.approx(0.0, abs=1e-4)
    assert found.attrs["tensors"] == "W_Q"
    assert abs(float(learning_coefficients(run, steps=20, sampler=FEW)["llc"][0])) > 1e-3


def test_neurons_that_say_nothing_have_no_coefficient(run: Run) -> None:
    loss, weights = TrainingLoss(run, run.split, run[0].network), run[60].weights
    loss.move_to(weights.with_tensors({**weights.tensors(), "W_out": torch.zeros_like(weights.W_out)}))
    where = torch.zeros_like(loss.parameters.flat)
    loss.parameters.views(where)["W_in"].fill_(1)
    start, losses, _ = chain(loss, FEW, n_beta=10.0, noise=FEW.noise(0), where=where)
    assert losses == pytest.approx(start, rel=1e-6)


def test_numbers_depend_neither_on_threads_nor_on_what_else_is_asked(run: Run) -> None:
    alone = {step: learning_coefficients(run, steps=step, sampler=FEW, threads=1) for step in (0, 40)}
    _forget(run)
    together = learning_coefficients(run, steps=[0, 20, 40], sampler=FEW, threads=3)
    for step, found in alone.items():
        np.testing.assert_array_equal(found["draw_loss"].sel(step=step), together["draw_loss"].sel(step=step))
    assert together["draw_loss"].dims == ("step", "chain", "draw")
    assert together["draw_loss"].shape == (3, FEW.chains, FEW.draws)
    each = together["llc_by_chain"].values
    np.testing.assert_allclose(each.mean(axis=1), together["llc"].values)
    np.testing.assert_allclose(each.std(axis=1, ddof=1), together["llc_std"].values)
    assert len(np.unique(each)) == each.size  # no two chains have the same noise
    other = learning_coefficients(run, steps=40, sampler=replace(FEW, seed=1))
    assert not np.allclose(other["draw_loss"].values, alone[40]["draw_loss"].values)


def test_forked_processes_find_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from interp.forked_workers import may_fork

    _forget(run)
    expected = learning_coefficients(run, sampler=FEW, threads=1)["draw_loss"].values
    _forget(run)
    monkeypatch.setattr("interp.cores.may_fork", may_fork)
    np.testing.assert_array_equal(learning_coefficients(run, sampler=FEW, threads=2)["draw_loss"].values, expected)


def test_what_was_drawn_is_kept_and_goes_on_after_an_interruption(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _forget(run)
    drawn: list[int] = []
    plain = module.chain

    def spy(loss: TrainingLoss, how: Langevin, **given: Any) -> tuple[float, np.ndarray, np.ndarray]:
        drawn.append(given["noise"])
        return plain(loss, how, **given)

    monkeypatch.setattr(module, "chain", spy)

    def stop(done: int, total: int) -> None:
        if done > 1.5 * FEW.chains:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learning_coefficients(run, steps=[0, 20, 40], sampler=FEW, threads=1, on_step=stop)
    drawn.clear()
    seen: list[tuple[int, int]] = []
    learning_coefficients(run, steps=[0, 20, 40], sampler=FEW, threads=1, on_step=lambda *one: seen.append(one))
    assert len(drawn) == 2 * FEW.chains  # the first step was kept
    assert len(set(drawn)) == len(drawn)
    assert seen[0] == (FEW.chains, 3 * FEW.chains)
    assert seen[-1] == (3 * FEW.chains, 3 * FEW.chains)
    drawn.clear()
    learning_coefficients(run, steps=[20, 0], sampler=FEW)
    assert not drawn
    learning_coefficients(run, steps=[20], sampler=replace(FEW, localization=500.0))
    assert drawn


def test_at_most_so_many_steps_by_default(tmp_path: Path) -> None:
    run = record(replace(CONFIG, checkpoints=CheckpointConfig(log=0, every=1)), tmp_path, "run", progress=False)
    found = learning_coefficients(run, sampler=Langevin(chains=1, draws=1, burn_in=0))
    assert len(found.step) == MOST_STEPS
    assert (found.step[0], found.step[-1]) == (0, 60)
    assert np.isnan(found["llc_std"]).all()  # of one chain nothing is known


def test_what_cannot_be_asked_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"W_inn.*W_in"):
        learning_coefficients(run, sampler=FEW, tensors=["W_inn"])
    with pytest.raises(UsageError, match="30"):
        learning_coefficients(run, steps=30, sampler=FEW)
    with pytest.raises(UsageError, match="tensors: given none"):
        learning_coefficients(run, sampler=FEW, tensors=[])


@pytest.mark.parametrize("change", ["20:labels=0.5", "20:optimizer.loss=stablemax", "memorized:labels=0.5"])
def test_steps_trained_on_other_answers_or_by_another_loss_are_refused(change: str, tmp_path: Path) -> None:
    run = record(replace(CONFIG, changes=(change,)), tmp_path, "run", progress=False)
    with pytest.raises(UsageError, match="acts or may act"):
        learning_coefficients(run, sampler=FEW)
    if change.startswith("20:"):
        assert float(learning_coefficients(run, steps=0, sampler=FEW)["start_loss"][0]) > 0
        with pytest.raises(UsageError, match="given step 20"):
            learning_coefficients(run, steps=20, sampler=FEW)


def test_the_distance_is_a_share_of_the_tensors_that_are_drawn(run: Run) -> None:
    how = Langevin(chains=2, draws=40, burn_in=200, step_size=2e-4, localization=1_000.0, n_beta=1e-6)
    found, weights = learning_coefficients(run, steps=60, sampler=how, tensors=["W_in", "W_U"]), run[60].weights
    drawn = [weights.W_in, weights.W_U]
    size = sum(float(tensor.double().square().sum()) for tensor in drawn) ** 0.5
    expected = (sum(tensor.numel() for tensor in drawn) / 1_000.0) ** 0.5 / size
    assert float(found["draw_distance"].mean()) == pytest.approx(expected, rel=0.1)


def test_no_settings_take_the_place_of_others(run: Run) -> None:
    _forget(run)
    first = learning_coefficients(run, steps=[0, 20], sampler=FEW)
    for seed in range(1, 7):
        learning_coefficients(run, steps=0, sampler=replace(FEW, seed=seed), tensors=["W_U"])
    kept = kept_coefficients(run)
    assert kept is not None
    assert kept.identical(first)


def test_two_that_draw_at_once_keep_what_both_have_drawn(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _forget(run)
    plain, begun = module.chain, []

    def beside(loss: TrainingLoss, how: Langevin, **given: Any) -> tuple[float, np.ndarray, np.ndarray]:
        if not begun:  # another process draws other steps meanwhile
            begun.append(1)
            learning_coefficients(run, steps=[0, 20], sampler=FEW, threads=1)
        return plain(loss, how, **given)

    monkeypatch.setattr(module, "chain", beside)
    learning_coefficients(run, steps=[40, 60], sampler=FEW, threads=1)
    results = results_for(run, settings_of(FEW, None))
    assert [step for step in run.steps if results.has(step, run.sha256(step))] == [0, 20, 40, 60]


def test_what_was_drawn_outlives_its_checkpoint(tmp_path: Path) -> None:
    run = record(CONFIG, tmp_path, "run", progress=False)
    before = learning_coefficients(run, sampler=FEW)
    run = thin(run.path, [0, 60])
    assert run.steps == (0, 60)
    kept = kept_coefficients(run)
    assert kept is not None
    assert kept.identical(before)
    assert learning_coefficients(run, steps=[20, 40], sampler=FEW).step.values.tolist() == [20, 40]
    with pytest.raises(UsageError, match="thinned out"):
        learning_coefficients(run, steps=[20], sampler=replace(FEW, seed=3))


def test_what_means_little_is_told(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    learning_coefficients(run, steps=0, sampler=Langevin(chains=3, draws=40, burn_in=60, n_beta=5_000.0))
    assert "step 0 the coefficient is negative" in caplog.text
    caplog.clear()
    learning_coefficients(run, steps=[0, 20], sampler=Langevin(chains=2, draws=200, burn_in=0, step_size=0.9, localization=4.0))
    assert "at steps 0, 20 a chain diverged" in caplog.text or "negative" in caplog.text


def test_the_command_prints_a_table_or_json_and_draws(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--chains", "2", "--draws", "4", "--burn-in", "1", "--steps", "0,40", "--tensors", "W_in,W_U"]
    with pytest.raises(SystemExit, match="0"):
        main(["llc", str(run.path), *flags, "-o", str(tmp_path / "llc.html")])
    table = capsys.readouterr().out
    assert "std over chains" in table
    assert "wrote" in table
    page = (tmp_path / "llc.html").read_text(encoding="utf-8")
    assert "Local learning coefficient of W_in,W_U" in page
    with pytest.raises(SystemExit, match="0"):
        main(["llc", str(run.path), *flags, "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["step"] for row in rows] == [0, 40]
    assert np.shape([row["draw_loss"] for row in rows]) == (2, 2, 4)
    with pytest.raises(SystemExit, match="2"):
        main(["llc", str(run.path), "-o", str(tmp_path / "llc.txt")])
    assert ".txt" in capsys.readouterr().err


def test_the_figure_has_every_chain_and_leaves_out_what_a_logarithm_cannot_show(run: Run) -> None:
    found = learning_coefficients(run, sampler=FEW)
    history = {name: run.columns[name].tolist() for name in ("step", "train_loss", "test_loss")}
    each = np.array([[-2.0, 1.0, 4.0], [0.1, 0.1, 0.1], [50.0, 60.0, 70.0], [2.0, 3.0, 4.0]])
    planted = found.assign(llc_by_chain=(("step", "chain"), each), llc=("step", [-1.0, 0.1, 60.0, 3.0]))
    figure = coefficient_figure(planted, history)
    dots, line, train, test = figure.data
    assert figure.layout.yaxis.type == "log"
    assert np.isnan(line.y[0])
    assert np.isnan(dots.y[0])
    assert list(dots.y[1:3]) == [1.0, 4.0]
    assert list(dots.x[:3]) == [0, 0, 0]
    assert list(train.x) == run.columns["step"].tolist()
    assert len(test.x) < len(train.x)  # not every step is evaluated
    assert "60 at step 40, its largest, and 3 at 60" in figure.layout.meta["alt"]
    flat = coefficient_figure(planted.assign(llc=("step", [1.0, 2.0, 3.0, 4.0])), history, theme="dark")
    assert flat.layout.yaxis.type != "log"
    assert (flat.data[1].y >= 1).all()


def test_the_page_has_a_panel_where_coefficients_were_drawn(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _forget(run)
    assert coefficient_panel(run) is None
    learning_coefficients(run, steps=[0, 40], sampler=replace(FEW, n_beta=30.0), tensors=["W_U"])
    assert kept_coefficients(run) is None  # of one tensor alone
    found = learning_coefficients(run, steps=[0, 20, 60], sampler=replace(FEW, n_beta=30.0))
    learning_coefficients(run, steps=60, sampler=FEW)
    kept = kept_coefficients(run)
    assert kept is not None
    assert kept.identical(found)
    panel = coefficient_panel(run)
    assert panel is not None
    assert panel.made is not None
    assert panel.made.command == "interp llc run --steps 0,20,60 --chains 3 --draws 12 --burn-in 5 --n-beta 30.0 -o llc.svg"
    assert "by 3 chains of 12 draws after 5 steps" in panel.caption
    page = report(run, tmp_path / "page.html", threads=1).html
    assert 'id="panel-learning_coefficients"' in page
    (damaged,) = (path for path in (run.path / "results").glob("learning_coefficient_*") if path.name == _name(run, found))
    damaged.write_bytes(damaged.read_bytes()[:-7])
    other = kept_coefficients(run)
    assert other is not None
    assert other.step.values.tolist() == [60]  # those of the other settings
    monkeypatch.setattr("interp.landscape.kept_coefficients.toolkit_digest", lambda: "another version")
    assert kept_coefficients(run) is None


def test_a_page_needs_no_torch_for_coefficients() -> None:
    code = "import sys; import interp.reporting.coefficient_panel; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _name(run: Run, found: xr.Dataset) -> str:
    """The file in which coefficients of these settings are kept."""
    settings = json.loads(found["llc"].attrs[SETTINGS])
    (path,) = (run.path / "results").glob(f"{name_of(settings)}-*.safetensors")
    return path.name


def _forget(run: Run) -> None:
    for path in (run.path / "results").glob("learning_coefficient_*"):
        path.unlink()
