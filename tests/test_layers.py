"""The house: who imports whom, and what an import must not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def loaded_by(statement: str) -> set[str]:
    """Top-level names of all modules loaded by a statement in a fresh interpreter."""
    code = f"{statement}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_import_table_holds():
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("statement", ["import interp", "import interp; interp.recipe('demo').to_json()", "import interp.cli"])
def test_light_imports_load_no_heavy_library(statement):
    heavy = {"torch", "transformer_lens", "plotly", "numba", "xarray", "pandas", "scipy"}
    assert not heavy & loaded_by(statement)


def test_measures_and_training_load_neither_hooks_nor_pictures():
    loaded = loaded_by("import interp.measures, interp.training.loop, interp.keeping.recorder, interp.observing.observe")
    assert "torch" in loaded
    assert not {"transformer_lens", "plotly"} & loaded


def test_public_names_all_resolve():
    code = "import interp\nfor name in dir(interp):\n    getattr(interp, name)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_unknown_public_name_is_an_attribute_error():
    import interp

    with pytest.raises(AttributeError, match="nonsense"):
        interp.nonsense  # noqa: B018  (the access itself is what is tested)


def test_no_module_bears_the_name_of_a_public_function():
    import interp

    modules = {path.stem for path in (ROOT / "interp").iterdir()} - {"__init__", "__pycache__"}
    functions = {name for name in dir(interp) if callable(getattr(interp, name))}
    assert not modules & functions


# What Python prepares and the page draws is one thing in two languages: it has one name.
DRAWN_ON_THE_PAGE = {"cells", "definitions", "explorer", "study_page", "waiting"}


def test_a_file_stem_names_one_thing():
    files = [path for path in (ROOT / "interp").rglob("*.py") if not path.stem.startswith("__")]
    modules = [path.stem for path in files]
    assert [stem for stem in modules if modules.count(stem) > 1] == []
    page = {path.name.partition(".")[0] for kind in ("js", "css", "jinja") for path in (ROOT / "interp").rglob(f"*.{kind}")}
    assert page & set(modules) <= DRAWN_ON_THE_PAGE
