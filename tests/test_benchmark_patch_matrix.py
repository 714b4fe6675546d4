"""The patch matrix is what TransformerLens makes of the same checkpoints with hooks, by either way of scoring."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from interp import CheckpointConfig, ModelConfig, ModularTask, Run, RunConfig, SplitConfig, patch_matrix, record
from interp.interventions import scoring

FOLDER = Path(__file__).parents[1] / "benchmarks"
CONFIG = RunConfig(
    task=ModularTask(11), split=SplitConfig(fraction=0.4, seed=2),
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=24, equals_class=True),
    checkpoints=CheckpointConfig(log=0, every=10), steps=30, engine="reference", threads=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    sys.path.insert(0, str(FOLDER))  # it imports `timing`
    try:
        spec = spec_from_file_location("patch_matrix_benchmark", FOLDER / "patch_matrix.py")
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(CONFIG, tmp_path_factory.mktemp("runs"), "run", progress=False)


@pytest.mark.parametrize("worth_it", [0, 10**9])
def test_a_bridge_with_hooks_gives_the_same_cells(benchmark, run, worth_it, monkeypatch) -> None:
    monkeypatch.setattr(scoring, "WORTH_IT", worth_it)
    steps = list(run.steps)
    bridges, found = benchmark.Bridges(run, steps), patch_matrix(run, parts=benchmark.PARTS, threads=1)
    for into in steps:
        for giver in steps:
            loss, accuracy = bridges.cell(into, giver)
            cell = found.sel(into=into, from_=giver)
            assert float(cell["test_loss"]) == pytest.approx(loss, rel=1e-5)
            assert float(cell["test_accuracy"]) == accuracy


def test_the_benchmark_compares_what_it_times(benchmark, run, monkeypatch) -> None:
    result = benchmark.compared(run, steps=list(run.steps), chosen=[0, 30], rounds=1)
    assert [(cell["into"], cell["from"]) for cell in result["cells"]] == [(0, 0), (0, 30), (30, 0), (30, 30)]
    assert all(np.isfinite(cell["here"]) and np.isfinite(cell["bridge"]) for cell in result["cells"])
    assert result["apart"] < 1e-5
    text = benchmark.text({**result, "ratio": 2.0, "machine": {}, "whole_seconds": 3.0, "steps": 4, "p": 11})
    assert "all 16 cells: 3.0 s" in text
    monkeypatch.setattr(benchmark, "HOOKS", ("embed.hook_out",))  # the givers' positions are left out: it is another patch
    with pytest.raises(AssertionError, match=r"step 30 in 0: loss .* here, .* there"):
        benchmark.compared(run, steps=list(run.steps), chosen=[0, 30], rounds=1)


def test_steps_are_spread_from_first_to_last(benchmark) -> None:
    assert benchmark.spread_out(list(range(0, 100, 10)), 4) == [0, 30, 60, 90]
    assert benchmark.spread_out([3, 7], 5) == [3, 7]
    assert benchmark.spread_out([3, 7], 1) == [3]
