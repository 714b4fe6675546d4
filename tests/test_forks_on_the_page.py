"""The forks of a run are found beside it, and drawn over it on its page."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import interp
from interp import ModularTask, Run, RunConfig, fork, forks_of, open_run, record
from interp.config.run_config import CheckpointConfig, ModelConfig
from interp.figures.fork_figure import DRAWN, ForkCurves, fork_figure
from interp.observing.analysis import builtin_names, find_analyses
from interp.reporting.fork_panel import TITLE, fork_panel
from interp.reporting.write import page_of

CONFIG = RunConfig(
    task=ModularTask(7),
    model=ModelConfig(d_model=8, n_heads=2, d_mlp=12),
    checkpoints=CheckpointConfig(log=3, every=10),
    steps=30,
    evaluate_every=5,
    engine="reference",
    threads=1,
)


@pytest.fixture
def parent(tmp_path: Path) -> Run:
    return record(CONFIG, tmp_path, "run", progress=False)


def child(parent: Run, step: int, decay: float) -> Run:
    return fork(parent, step, moments="fresh", progress=False, **{"optimizer.weight_decay": decay})


def test_forks_are_found_by_the_hash_of_their_parent(parent: Run, tmp_path: Path, caplog) -> None:
    assert forks_of(parent) == []
    later, sooner = child(parent, 20, 0.0), child(parent, 10, 3.0)
    record(replace(CONFIG, seed=1), tmp_path, "stranger", progress=False)
    fork(sooner, 20, moments="fresh", progress=False)  # of a fork: not this run's
    (tmp_path / "a file").write_text("no run")
    assert [one.name for one in forks_of(parent)] == [sooner.name, later.name]
    assert [one.name for one in forks_of(str(parent.path))] == [sooner.name, later.name]
    shutil.move(parent.path, tmp_path / "renamed")
    assert len(forks_of(tmp_path / "renamed")) == 2
    (sooner.path / "manifest.json").write_text("{")
    assert [one.name for one in forks_of(tmp_path / "renamed")] == [later.name]
    assert sooner.name in caplog.text
    (later.path / "run.json").write_text("[" * 10_000)
    assert forks_of(tmp_path / "renamed") == []


def test_a_fork_with_a_damaged_history_takes_no_page_along(parent: Run, caplog: pytest.LogCaptureFixture) -> None:
    made, whole = child(parent, 20, 0.0), child(parent, 10, 3.0)
    history = made.path / "history.jsonl"
    history.write_bytes(b"garbage\n" + history.read_bytes()[8:])
    assert [one.name for one in forks_of(parent)] == [whole.name]
    assert f"{made.path}, a fork of run, is left out" in caplog.text
    assert TITLE in interp.report(parent, parent.path.parent / "page.html").path.read_text()


def test_a_fork_is_drawn_from_its_first_step_on_over_the_run(parent: Run) -> None:
    series = interp.observe(parent, ["loss_curves"])
    columns = {
        "step": np.array([20, 25, 30]),
        "test_loss": np.array([3.0, np.nan, 1.0]),
        "test_accuracy": np.array([0.1, 0.2, 0.5]),
    }
    drawn = fork_figure(series, [ForkCurves("child", "from 20: lr", columns)])
    loss, accuracy = (trace for trace in drawn.data if trace.name == "from 20: lr")
    assert (list(loss.x), list(loss.y)) == ([20, 30], [3.0, 1.0])  # where it was measured
    assert (list(accuracy.x), list(accuracy.y)) == ([20, 25, 30], [0.1, 0.2, 0.5])
    assert {loss.line.dash, accuracy.line.dash} == {"dash"}
    own = next(trace for trace in drawn.data if trace.name == "this run")
    assert np.array_equal(own.y, series.history_test_loss.dropna("history_step"))
    assert drawn.layout.meta["alt"].endswith("from 20: lr: 50 %.")
    many = fork_figure(series, [ForkCurves(str(i), f"from 20: {i}", columns) for i in range(DRAWN + 3)])
    assert sum(trace.name.startswith("from 20") for trace in many.data) == 2 * DRAWN


def test_the_page_has_the_panel_where_there_are_forks(parent: Run) -> None:
    analyses = find_analyses(builtin_names())
    series = interp.observe(parent, analyses, threads=1)
    assert fork_panel(parent) is None
    assert TITLE not in page_of(parent, series, analyses).html
    made = child(parent, 20, 0.0)
    html = page_of(parent, series, analyses).html
    assert TITLE in html
    assert html.index('id="panel-loss_curves"') < html.index('id="panel-forks"') < html.index('id="panel-weight_norms"')
    assert f"interp report run {made.name} -o family.html" in html
    some = find_analyses(["loss_curves", "weight_norms"])
    assert TITLE not in page_of(parent, interp.observe(parent, some), some).html  # who names panels gets those
    assert open_run(made.path).verify() == ()
