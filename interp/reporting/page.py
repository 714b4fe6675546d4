"""The page: a series and its figures in, one self-contained HTML text out. Needs neither torch nor a run's files."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup, escape

from interp.errors import UsageError
from interp.figures.draw import bands, last_step
from interp.figures.theme import template
from interp.reporting.blocks import Blocks
from interp.reporting.extract import extract
from interp.reporting.story import Story, run_name, tell
from interp.reporting.tables import HISTORY, tables

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

    from interp.reporting.dissection import Section

_HERE = Path(__file__).parent
_SCRIPTS = ("decode.js", "swift.js", "cells.js", "panels.js", "explorer.js", "parquet.js", "tables.js", "transport.js", "main.js")
_STYLES = ("page.css",)
# What a page has besides that is served while its run goes on.
_LIVE_SCRIPTS, _LIVE_STYLES = ("../live/live.js",), ("../live/live.css",)

# What the slider's readout says: variable, label, colour, is it a share, how it is sketched behind the slider, is it spoken.
_READINGS = (
    ("train_loss", "train loss", "train", False, None, False),
    ("test_loss", "test loss", "test", False, None, True),
    ("restricted_loss", "restricted", "restricted", False, "of its start", True),
    ("train_accuracy", "train acc.", "train", True, "share", False),
    ("test_accuracy", "test acc.", "test", True, "share", True),
    ("excluded_loss", "excluded", "excluded", False, None, False),
)

# Facts that say something about the machine's user and nothing about the run.
_PRIVATE = ("path",)

# Terms with a fixed colour, wherever the page says them.
_TERMS = {
    "train": r"train (?:loss|accuracy)|training pairs",
    "test": r"test (?:loss|accuracy)",
    "restricted": r"restricted loss",
    "excluded": r"excluded loss",
}


@dataclass(frozen=True)
class Panel:
    """One figure of the page, or the reason why there is none.

    Args:
        name: of the analysis.
        title: what is asked.
        caption: what to look for, paragraphs separated by blank lines; one that begins with "Measured:" is shown on demand.
        draw: makes the figure from the series.
        failure: why the analysis could not be measured.
        extra: further data for a panel that the page draws itself; puts its arrays into the blocks.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[xr.Dataset], go.Figure]
    failure: str | None = None
    extra: Callable[[Blocks], Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Table:
    """A table at the end of the page: a header (may be empty) and rows, their first column being names.

    A `wide` one has a line of its own.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wide: bool = False


@dataclass(frozen=True)
class Page:
    """A finished page.

    Args:
        html: the whole text, to be written to one file.
        headline: the story of the run in plain text.
        failures: name of a panel -> why it is not shown.
    """

    html: str
    headline: str
    failures: Mapping[str, str]


def page(
    series: xr.Dataset,
    panels: Sequence[Panel],
    *,
    story: Story | None = None,
    facts: Sequence[Table] | None = None,
    sections: Sequence[Section] = (),
    origin: Sequence[Table] = (),
    live: int | None = None,
) -> Page:
    """Build the page of a series (as `interp.observe` returns it) from its panels.

    A panel whose figure cannot be drawn is shown as such, with the reason; the others are not affected. Everything from names,
    configurations and analyses is escaped; the page allows no script but its own and no request to anywhere.

    Args:
        story: the headline; told from the series' measures if left out.
        facts: tables at the end; the series' configuration and facts if left out.
        sections: tables after the panels.
        origin: tables before the facts.
        live: version of a page that is served while its run goes on, and may ask its server for the next; None for a file.

    Raises:
        UsageError: if the series has no checkpoints.
    """
    if not series.sizes.get("step"):
        raise UsageError("report: given a series without checkpoints, expected at least one")
    blocks, story = Blocks(), tell(series) if story is None else story
    tabled = tables(series, [panel.name for panel in panels], blocks)
    shown = [_shown(panel, series, blocks, tabled) for panel in panels]
    data = {
        "run": run_name(series),
        "steps": [int(step) for step in series["step"].values],
        "last_step": last_step(series),
        "bands": bands(series),
        "milestones": [{"label": m.label, "step": m.boundary.step} for m in story.milestones if m.boundary],
        "panels": [one["source"] for one in shown],
        "readings": _readings(series, blocks),
        "tables": tabled,
        "notes": _notes(series.attrs),
        "live": live,
        "templates": {"light": template("light"), "dark": template("dark")},
    }
    facts = [*origin, *(_facts(series.attrs) if facts is None else facts)]
    html = _render(series, story, shown, sections=sections, facts=facts, data=data, blocks=blocks)
    return Page(html, str(story), {one["name"]: one["failure"] for one in shown if one["failure"]})


def _shown(panel: Panel, series: xr.Dataset, blocks: Blocks, tabled: Mapping[str, Any]) -> dict[str, Any]:
    """What template and script need of a panel."""
    paragraphs = [text for text in panel.caption.split("\n\n") if text.strip()]
    measured = [text.removeprefix("Measured:").strip() for text in paragraphs if text.startswith("Measured:")]
    failure, source = panel.failure, None
    if failure is None:
        try:
            source = extract(panel.draw(series), blocks)
            if panel.extra is not None:
                source["extra"] = panel.extra(blocks)
        except Exception as error:  # a user's figure may raise anything; the other panels go on
            failure = f"its figure raised {type(error).__name__}: {error}"
    meta = (source or {}).get("layout", {}).get("meta") or {}
    return {
        "name": panel.name,
        "title": panel.title,
        "paragraphs": [text for text in paragraphs if not text.startswith("Measured:")],
        "measured": " ".join(measured),
        "failure": failure,
        "source": source,
        "switchable": bool(isinstance(meta, dict) and meta.get("log_axis")),
        "alt": str(meta.get("alt") or f"Figure: {panel.title}") if isinstance(meta, dict) else f"Figure: {panel.title}",
        "table": panel.name if panel.name in tabled else None,
        "left": tabled.get(panel.name, {}).get("left", []),
    }


def _notes(attributes: Mapping[str, Any]) -> dict[str, str]:
    """What a table that is taken away says about where it comes from."""
    names = ("run", "p", "operation", "key_frequencies", "key_rule", "key_step", "outcome", "phases", "config")
    texts = {name: attributes[name] for name in names if name in attributes}
    return {name: value if isinstance(value, str) else _json(value) for name, value in texts.items()}


def _readings(series: xr.Dataset, blocks: Blocks) -> list[dict[str, Any]]:
    """The readout's curves over the checkpoints; the history fills in where the series itself has nothing."""
    found = []
    for name, label, kind, share, sketch, spoken in _READINGS:
        values = _at_checkpoints(series, name)
        if values is not None and np.isfinite(values).any():
            block = blocks.add(values.astype(np.float32))
            found.append({"label": label, "kind": kind, "share": share, "sketch": sketch, "spoken": spoken, "block": block})
    return found


def _at_checkpoints(series: xr.Dataset, name: str) -> np.ndarray | None:
    if name in series and series[name].dims == ("step",):
        values = np.asarray(series[name].values, dtype=np.float64)
        if np.isfinite(values).all():
            return values
    history = f"history_{name}"
    if history not in series:
        return None
    table = dict(zip(series["history_step"].values.tolist(), series[history].values.tolist(), strict=True))
    return np.array([table.get(step, np.nan) for step in series["step"].values.tolist()], dtype=np.float64)


def _render(
    series: xr.Dataset,
    story: Story,
    shown: list[dict[str, Any]],
    *,
    sections: Sequence[Section],
    facts: Sequence[Table],
    data: dict[str, Any],
    blocks: Blocks,
) -> str:
    environment = jinja2.Environment(autoescape=True, loader=jinja2.FileSystemLoader(_HERE), undefined=jinja2.StrictUndefined)
    environment.filters |= {"terms": _coloured, "steps": _linked}
    data = {**data, "blocks": blocks.header}
    is_live = data["live"] is not None
    script = _joined(_SCRIPTS + _LIVE_SCRIPTS if is_live else _SCRIPTS)
    library, packed, notice = _plotly()
    attributes = series.attrs
    return environment.get_template("page.html.jinja").render(
        run=run_name(series),
        story=story,
        panels=shown,
        sections=sections,
        facts=facts,
        history=HISTORY if HISTORY in data["tables"] else None,
        key_step=int(attributes.get("key_step", data["steps"][-1])),
        key_rule=str(attributes.get("key_rule", "")),
        policy=policy(script, library, connect=is_live),
        css=Markup(_joined(_STYLES + _LIVE_STYLES if is_live else _STYLES)),
        script=Markup(script),
        data=Markup(_json(data)),
        blocks=blocks.payload(),
        plotly=packed,
        notice=notice,
    )


def _joined(names: Sequence[str]) -> str:
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


def policy(*scripts: str, connect: bool = False) -> str:
    """The Content-Security-Policy: these very scripts, styles, images made in the page; nothing from anywhere else.

    With `connect`, the page may ask the server it came from.
    """
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts)
    own_server = "connect-src 'self'; " if connect else ""
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; {own_server}"
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _plotly() -> tuple[str, str, str]:
    """plotly.js as packaged with plotly, the same as it stands in the page, and the copyright notice at its head."""
    from plotly.offline import get_plotlyjs

    library = get_plotlyjs().replace("\r\n", "\n")
    notice = re.match(r"\s*/\*(.*?)\*/", library, re.DOTALL)
    packed = base64.b64encode(gzip.compress(library.encode(), 6, mtime=0)).decode()
    return library, packed, " ".join(notice.group(1).replace("*", " ").split()) if notice else "plotly.js, MIT license"


def _json(value: Any) -> str:
    """JSON that may stand inside a script element: no `<`, and NaN as null."""
    text = json.dumps(_finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=_plain)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    """Numpy scalars as numbers, anything else by its text."""
    return _finite(value.item()) if isinstance(value, np.generic) else str(value)


def _facts(attributes: Mapping[str, Any]) -> list[Table]:
    """Tables of the configuration and of the facts."""
    titles = {"config": "Configuration", "facts": "Facts"}
    found = []
    for name, title in titles.items():
        value = attributes.get(name) or {}
        value = json.loads(value) if isinstance(value, str) else value
        value = {key: item for key, item in value.items() if key not in _PRIVATE}
        if rows := flat(value):
            found.append(Table(title, (), tuple(rows)))
    return found


def flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Names and values of a nested mapping as text, nested names joined by dots."""
    rows: list[tuple[str, str]] = []
    for name, item in value.items():
        if isinstance(item, Mapping):
            rows += flat(item, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, item)) if isinstance(item, list) else "none" if item is None else str(item)
            rows.append((f"{prefix}{name}".replace("_", " "), text))
    return rows


def _coloured(text: str) -> Markup:
    """Escaped text in which the terms with a fixed colour have it."""
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    pattern = "|".join(f"(?P<{kind}>{words})" for kind, words in _TERMS.items())
    return Markup(re.sub(pattern, lambda m: f'<b class="{m.lastgroup}">{m.group()}</b>', safe))


def _linked(text: str) -> Markup:
    """Steps that are named become links to the checkpoint."""
    safe = str(escape(text))

    def link(match: re.Match[str]) -> str:
        step = match.group(1).replace(",", "")
        return f'<a href="#step={step}" data-step="{step}">{match.group()}</a>'

    return Markup(re.sub(r"\b[Ss]tep (\d[\d,]*\d|\d)", link, safe))
