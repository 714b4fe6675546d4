"""The guides in docs/: their examples run, their tables of figures are those that were measured."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import interp
from interp.config.run_config import ModelConfig, OptimizerConfig
from interp.store.run import Run

ROOT = Path(__file__).parents[1]
INTERVENTIONS = (ROOT / "docs" / "interventions.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def publish() -> dict:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return runpy.run_path(str(ROOT / "benchmarks" / "publish.py"))
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def test_figures_in_the_pages_are_those_that_were_measured(publish: dict) -> None:
    measured = json.loads(publish["MEASURED"].read_text())
    assert set(measured) == set(publish["BENCHMARKS"])
    shown = set()
    for page in publish["PAGES"]:
        text = page.read_text(encoding="utf-8")
        assert publish["written"](text, measured) == text, f"{page.name}: write it again with benchmarks/publish.py --no-run"
        shown |= set(re.findall(r"<!-- measured: (\w+) -->", text))
        assert text.count("<!-- measured:") == text.count("<!-- end -->")
    assert shown == set(publish["WRITERS"])


def test_a_changed_figure_would_be_noticed(publish: dict) -> None:
    measured = json.loads(publish["MEASURED"].read_text())
    measured["many_runs"]["ratio"] += 0.5
    assert any(publish["written"](page.read_text(), measured) != page.read_text() for page in publish["PAGES"])


BENCHMARK_FILES = sorted((ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("file", BENCHMARK_FILES, ids=lambda file: file.stem)
def test_every_benchmark_finds_what_it_imports_and_explains_itself(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They measure parts of the engine that nobody else imports, and run too rarely to show that one was renamed."""
    monkeypatch.syspath_prepend(str(file.parent))
    monkeypatch.setattr(sys, "argv", [str(file), "--help"])
    for beside in BENCHMARK_FILES:  # what another one has imported is not found for this one
        monkeypatch.delitem(sys.modules, beside.stem, raising=False)
    if "__main__" not in file.read_text():  # others import it
        runpy.run_path(str(file), run_name="__main__")
        return
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(file), run_name="__main__")
    assert not exit_.value.code
    assert "usage:" in capsys.readouterr().out


def test_the_comparison_of_interventions_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", INTERVENTIONS, flags=re.DOTALL)
    path = tmp_path / "compare.py"
    path.write_text(example.replace("    main()\n", "    main(steps=3, rates=(1e-3,), seeds=(0, 1))\n"))
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["AdamW", "Grokfast", "StableMax"]
    assert all(line.count("4.") == 2 for line in lines), lines  # the loss of chance, ln 59, for either seed


def test_every_intervention_named_is_a_field() -> None:
    named = re.findall(r"`optimizer\.(\w+)`", INTERVENTIONS)
    assert len(named) >= 7
    for name in named:
        assert hasattr(OptimizerConfig(), name)
    of_the_model = re.findall(r"`model\.(\w+)`", INTERVENTIONS)
    assert of_the_model
    for name in of_the_model:
        assert hasattr(ModelConfig(), name)


def test_recording_is_a_job_of_train_many(tmp_path: Path) -> None:
    config = replace(interp.recipe("demo"), steps=2, until_settled=False)
    configs = [replace(config, seed=seed) for seed in range(2)]
    runs = dict(interp.train_many(configs, partial(interp.record, root=tmp_path, progress=False), workers=1))
    for index, run in runs.items():
        assert isinstance(run, Run), run
        assert run.config.seed == index
        assert run.steps[-1] == 2
