"""What the built-in analyses import is public: a user's own file can do all that they do."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import interp
from interp import measures
from interp.observing.analysis import builtin_directory

PUBLIC = ("interp", "interp.figures", "interp.wording")
FILES = sorted(builtin_directory().glob("*.py"))


def imported(path: Path) -> list[tuple[str, str]]:
    """Module and name of everything of the toolkit that a file imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "interp":
            found += [(str(node.module), alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names if alias.name.split(".")[0] == "interp"]
    return found


def reached(path: Path, module: str) -> set[str]:
    """Names that a file takes from a module by a dot."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_analyses_import_what_is_public_and_nothing_else(path: Path) -> None:
    found = imported(path)
    assert found
    for module, name in found:
        assert module in PUBLIC, f"{path.name} imports from {module}"
        if module == "interp.wording":
            assert inspect.isfunction(getattr(import_module(module), name)), name
        elif name:
            assert name in import_module(module).__all__, f"{path.name} imports {name} from {module}"
    for module, public in (("interp", interp.__all__), ("measures", measures.__all__), ("anatomy", interp.anatomy.__all__)):
        assert reached(path, module) <= set(public)


def test_what_is_not_public_would_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text("def measure(view):\n    from interp.networks.one_layer import forward\n    import interp.store.run\n")
    assert imported(path) == [("interp.networks.one_layer", "forward"), ("interp.store.run", "")]
