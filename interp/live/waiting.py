"""The page that is shown until there is something to show."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

import interp.reporting
from interp.reporting.render import policy

_HERE = Path(interp.reporting.__file__).parent / "page"


_HEADING = "The report begins with the first checkpoint"
_PROMISE = "It appears here by itself, and grows as the run is trained."


def waiting_page(run: str, line: str, *, heading: str = _HEADING, promise: str = _PROMISE) -> str:
    """A page that says what it is waiting for, and becomes the report as soon as there is one."""
    environment = jinja2.Environment(autoescape=True, loader=jinja2.FileSystemLoader(_HERE), undefined=jinja2.StrictUndefined)
    script = (_HERE / "waiting.js").read_text(encoding="utf-8")
    return environment.get_template("waiting.html.jinja").render(
        run=run, line=line, heading=heading, promise=promise, policy=policy(script, connect=True), script=Markup(script)
    )
