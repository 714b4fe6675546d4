"""The documentation as a site: what it is made of is there, whether or not Sphinx is installed here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import interp

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = {"reference", *(f"notebooks/{path.stem}" for path in (DOCS / "notebooks").glob("*.ipynb"))}


def listed() -> list[str]:
    """The pages that the index names, in its order."""
    blocks = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith(":")]


def test_every_page_is_named_once_and_exists():
    pages = [page for page in listed() if "*" not in page]
    assert len(pages) == len(set(pages))
    for page in pages:
        assert page in MADE or (DOCS / f"{page}.md").is_file(), page
    assert set(pages) >= MADE
    assert {path.stem for path in DOCS.glob("*.md")} - {"index"} <= set(pages)


def test_the_kinds_of_documentation_are_there():
    text = (DOCS / "index.md").read_text()
    assert re.findall(r":caption: (.*)", text) == ["Tutorial", "How to", "Reference", "Explanation"]


@pytest.mark.skipif(find_spec("sphinx") is None, reason="Sphinx is not installed: pip install 'interp[docs]'")
def test_the_site_is_built_without_a_warning_and_has_every_public_name(tmp_path):
    shutil.copytree(DOCS, tmp_path / "pages")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "-c", DOCS / "site", "-b", "html", "pages", "site"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr[-2000:]
    reference = (tmp_path / "site" / "reference.html").read_text()
    modules = {"anatomy", "errors", "figures", "harmonics", "measures", "studies", "synthetic", "wording", "__version__"}
    for name in set(interp.__all__) - modules:
        assert f'id="interp.{name}"' in reference or f"interp.{name}" in reference, name
    assert (tmp_path / "site" / "searchindex.js").is_file()
    for page in ("index.html", "reference.html"):
        text = (tmp_path / "site" / page).read_text()
        assert not re.search(r'<(script|link)[^>]+(src|href)="https?://', text)  # nothing is fetched
