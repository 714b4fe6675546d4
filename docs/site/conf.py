"""The documentation as a site, by `make docs`: pages are docs/, the reference is made of docstrings, search needs no server."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from sphinx.application import Sphinx  # noqa: E402  after the path is set

import interp  # noqa: E402  from this checkout

project = "interp"
release = interp.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
root_doc = "index"
exclude_patterns = ["site"]
html_theme = "furo"
html_title = "interp"
html_show_sphinx = False
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
# Pages lie beside the code, and link to it; what is no page of the site is a file of the checkout.
suppress_warnings = ["myst.xref_missing", "myst.header", "misc.highlighting_failure"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
add_module_names = False

_PUBLIC = re.compile(r"^from \.(?P<module>[\w.]+) import (?P<name>\w+) as \w+$", re.MULTILINE)
_ROOMS = {
    "config": "Configurations",
    "recording": "Recording runs",
    "training": "Training",
    "store": "Runs",
    "observing": "Looking inside",
    "anatomy": "Cutting and reading",
    "forecasting": "Foresight",
    "reporting": "Pages",
    "studies": "Studies",
    "interop": "Other people's files",
    "networks": "Models",
    "tasks": "Tasks and splits",
    "harmonics": "Waves",
}


def reference() -> str:
    """The page of the public names, one section a room, from the list that the package has."""
    found: dict[str, list[str]] = {}
    for match in _PUBLIC.finditer((ROOT / "interp" / "__init__.pyi").read_text()):
        if match["name"] != "__version__":
            found.setdefault(match["module"].split(".")[0], []).append(match["name"])
    lines = [
        "# Reference",
        "",
        "Every public name, with its formulas, shapes, units and errors. `import interp` has them all.",
        "",
    ]
    for room in (*_ROOMS, *sorted(found.keys() - _ROOMS.keys())):
        if room in found:
            lines += [f"## {_ROOMS.get(room, room)}", "", "```{eval-rst}"]
            for name in sorted(found[room], key=str.lower):
                kind = "autoclass" if isinstance(getattr(interp, name), type) else "autofunction"
                lines += [f".. {kind}:: interp.{name}", *(["   :members:"] if kind == "autoclass" else []), ""]
            lines += ["```", ""]
    return "\n".join(lines)


def page_of_notebook(path: Path) -> str:
    """A notebook as a page: its text, and its cells as code; it is run where it is opened."""
    parts = []
    for cell in json.loads(path.read_text())["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    title, _, rest = "\n\n".join(parts).partition("\n")
    return f"{title}\n\n{{download}}`The notebook <{path.name}>`, to run and to change.\n{rest}\n"


def write_pages(app: Sphinx) -> None:
    """Make the pages that are made, the reference and the notebooks, where the copy of docs/ lies that is built."""
    folder = Path(app.srcdir)
    (folder / "reference.md").write_text(reference())
    for path in sorted((folder / "notebooks").glob("*.ipynb")):
        path.with_suffix(".md").write_text(page_of_notebook(path))


def setup(app: Sphinx) -> None:
    """What Sphinx calls."""
    app.connect("builder-inited", write_pages)
