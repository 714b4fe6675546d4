"""The notebooks of docs/notebooks: every cell runs, in order, as a kernel runs it, in under three minutes together."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))


def cells(path: Path, kind: str) -> list[str]:
    found = json.loads(path.read_text())
    assert found["nbformat"] == 4
    return ["".join(cell["source"]) for cell in found["cells"] if cell["cell_type"] == kind]


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Run a cell; returns the value of its last line, as a notebook shows it."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs_and_shows_itself(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for source in cells(path, "code"):
        value = run_cell(source, names)
        if value is not None:
            shape = getattr(value, "_repr_html_", None)
            shown.append(shape() if shape is not None else repr(value))
            assert shown[-1]
    assert len(shown) > 3
    if path.stem == "from-sum-to-circle":
        run, keys, p = names["run"], names["keys"], names["p"]
        assert run.columns["test_accuracy"][-1] >= 0.99  # the lesson is about a run that groks
        assert 0 < len(keys) <= p // 4
        assert names["known"].lead.steps > 100  # exercise 7
        assert names["clock"](17, 30, keys).argmax() == (17 + 30) % p
        assert "answers 14, moved" in capsys.readouterr().out  # exercise 6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_that_was_shown_is_kept(path):
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_every_exercise_has_a_folded_answer():
    told = "\n".join(cells(NOTEBOOKS[0], "markdown"))
    assert NOTEBOOKS[0].stem == "from-sum-to-circle"
    assert told.count("**Exercise") == told.count("<details><summary>Answer</summary>") == told.count("</details>") >= 8
