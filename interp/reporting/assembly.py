"""The page: a series and its figures in, one self-contained HTML text out. Needs neither torch nor a run's files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.errors import UsageError
from interp.figures.banding import bands, last_step
from interp.figures.neuron_pictures import Neurons
from interp.figures.tabled import Table, Tables
from interp.figures.theme import template
from interp.observing.analysis import Kind, find_definitions
from interp.observing.definitions import Definition
from interp.observing.series import FREQUENCIES, About, about, as_attributes
from interp.observing.users_code import RAISED, raised
from interp.reporting.blocks import Blocks
from interp.reporting.columns import tables
from interp.reporting.explorer import Explorer
from interp.reporting.extract import ROUNDED, extract
from interp.reporting.fact_tables import facts_of
from interp.reporting.page_head import head_of
from interp.reporting.readout import readings, readings_of_runs
from interp.reporting.render import as_json, render
from interp.reporting.story import Story, run_name, tell
from interp.reporting.ways_to_make import Made, made

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr


@dataclass(frozen=True)
class Panel:
    """One figure of the page, or the reason why there is none.

    Args:
        name: of the analysis.
        title: what is asked.
        caption: what to look for, paragraphs separated by blank lines; one that begins with "Measured:" is shown on demand.
        draw: makes what is shown from the series: a plotly Figure, or what its kind says.
        failure: why the analysis could not be measured.
        left_out: why it does not apply to this run: then it is named on the page, and not drawn.
        definitions: those that it links to, or names of built-in ones.
        kind: see `interp.Analysis`; tables come after all figures.
        folded: why it is shown on demand only; nothing for a panel that is open.
        made: how a reader makes it; by default as a built-in analysis is.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[xr.Dataset], go.Figure | Tables | Neurons]
    failure: str | None = None
    definitions: tuple[Definition | str, ...] = ()
    kind: Kind = "figure"
    left_out: str | None = None
    folded: str = ""
    made: Made | None = None


@dataclass(frozen=True)
class Page:
    """A finished page.

    Args:
        html: the whole text, to be written to one file.
        headline: the story of the run in plain text.
        failures: name of a panel -> why it is not shown.
        left_out: of several runs, the path of one that is not on the page -> why.
        path: the file that it was written to, if it was.
    """

    html: str
    headline: str
    failures: Mapping[str, str]
    left_out: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None

    def __repr__(self) -> str:
        where = f"{str(self.path)!r}: " if self.path is not None else ""
        odd = f", {len(self.failures)} panels not shown" if self.failures else ""
        return f"Page({where}{len(self.html) / 1e6:.1f} MB{odd}; {self.headline.split('. ')[0].rstrip('.')})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the headline, and a link to the file."""
        said = f"<p>{escape(self.headline)}</p>"
        if self.path is None:
            return said
        return f'{said}<p><a href="{escape(self.path.resolve().as_uri())}" target="_blank">{escape(str(self.path))}</a></p>'


def page(  # noqa: PLR0913  each is a part of the page
    series: xr.Dataset,
    panels: Sequence[Panel],
    *,
    story: Story | None = None,
    facts: Sequence[Table] | None = None,
    origin: Sequence[Table] = (),
    live: int | None = None,
    looks: Sequence[Mapping[str, str]] | None = None,
    opening: int | None = None,
    on_panel: Callable[[int, int], None] | None = None,
) -> Page:
    """Build the page of a series (as `interp.observe` returns it) from its panels.

    A panel whose figure cannot be drawn is shown as such, with the reason; the others are not affected. Everything from names,
    configurations and analyses is escaped; the page allows no script but its own and no request to anywhere.

    Args:
        story: the headline; told from the series' measures if left out.
        facts: tables at the end; the series' configuration and facts if left out.
        origin: tables before the facts.
        live: version of a page that is served while its run goes on, and may ask its server for the next; None for a file.
        looks: colour and dash of each run of a series that has several, along its dimension ``run``.
        opening: the step at which it opens; by default a moment of the run's story, or the last.
        on_panel: called with (parts made, parts in all), first with none: a part for each panel, and the text as a whole.

    Raises:
        UsageError: if the series has no checkpoints.
    """
    if not series.sizes.get("step"):
        raise UsageError("report: given a series without checkpoints, expected at least one")
    blocks, head = Blocks(), head_of(series) if story is None else None
    story = tell(series) if story is None else story
    asked = sorted((panel for panel in panels if panel.left_out is None), key=lambda panel: panel.kind == "tables")
    tabled = tables(series, [panel.name for panel in asked if panel.kind == "figure"], blocks)
    shown: list[dict[str, Any]] = []
    for panel in asked:
        if on_panel is not None:
            on_panel(len(shown), len(asked) + 1)
        shown.append(_shown(panel, series, blocks, tabled))
    data = {
        "run": run_name(series),
        "steps": [int(step) for step in series["step"].values],
        "last_step": last_step(series),
        "knows_step": about(series).knows_step,
        "bands": bands(series),
        "milestones": [{"label": m.label, "step": m.first.step} for m in story.milestones if m.first],
        "panels": [one["source"] for one in shown],
        "readout": readings(series, blocks) if looks is None else readings_of_runs(series, looks, blocks),
        "tables": tabled,
        "notes": _notes(about(series)),
        "live": live,
        "opening": opening if head is None or live is not None else head.opening,
        "templates": {"light": template("light"), "dark": template("dark")},
    }
    facts = [*origin, *(facts_of(about(series)) if facts is None else facts)]
    html = render(series, story, shown, left_out=left_out(panels), facts=facts, data=data, blocks=blocks, head=head)
    if on_panel is not None:
        on_panel(len(asked) + 1, len(asked) + 1)
    return Page(html, str(story), {one["name"]: one["failure"] for one in shown if one["failure"]})


def defined(asked: Sequence[Definition | str], known: About) -> list[Definition]:
    """Definitions as they are worded for a task whose answers have waves, representations, or neither."""
    found = [
        one.for_task(has_waves=known.has_waves, has_representations=known.has_representations) for one in find_definitions(asked)
    ]
    return [one for one in found if one is not None]


def left_out(panels: Sequence[Panel]) -> list[tuple[str, list[str]]]:
    """Each reason why panels are left out, with their titles."""
    found: dict[str, list[str]] = {}
    for panel in panels:
        if panel.left_out is not None and panel.left_out != FREQUENCIES:
            found.setdefault(panel.left_out, []).append(panel.title)
    return list(found.items())


def _shown(panel: Panel, series: xr.Dataset, blocks: Blocks, tabled: Mapping[str, Any]) -> dict[str, Any]:
    """What the template and the script need to know about a panel."""
    known = about(series)
    paragraphs = [text for text in panel.caption.split("\n\n") if text.strip()]
    measured = [text.removeprefix("Measured:").strip() for text in paragraphs if text.startswith("Measured:")]
    failure, source, drawn, linked = panel.failure, None, None, None
    if failure is None:
        try:
            drawn = panel.draw(series)
            if isinstance(drawn, Tables):
                paragraphs, linked = [*drawn.paragraphs, *paragraphs], drawn.definitions
            elif isinstance(drawn, Neurons):
                explorer = Explorer(drawn)
                source = {**extract(explorer.figure(series), blocks), "extra": explorer.extra(blocks)}
                del source["rounded"]
                measured.append(explorer.remark)
            else:
                source = extract(drawn, blocks)
                measured += [ROUNDED] if source.pop("rounded") else []
        except RAISED as error:  # a user's figure may raise anything; the other panels go on
            failure = f"its figure raised {raised(error)}"
    if source is not None:
        source["kind"] = panel.kind
    found = (source or {}).get("layout", {}).get("meta")
    meta = found if isinstance(found, dict) else {}
    return {
        "name": panel.name,
        "kind": panel.kind,
        "title": panel.title,
        "paragraphs": [text for text in paragraphs if not text.startswith("Measured:")],
        "said": [str(one) for one in meta.pop("said", ())],
        "measured": " ".join(measured),
        "definitions": defined(panel.definitions if linked is None else linked, known),
        "failure": failure,
        "source": source,
        "tables": drawn.tables if isinstance(drawn, Tables) else (),
        "switchable": bool(meta.get("log_axis")),
        "alt": str(meta.get("alt") or f"Figure: {panel.title}"),
        "folded": panel.folded,
        "made": panel.made or made(known.run, panel.name, panel.kind),
        "table": panel.name if tabled.get(panel.name, {}).get("variables") else None,
        "left": tabled.get(panel.name, {}).get("left", []),
    }


def _notes(known: About) -> dict[str, str]:
    """What a downloaded table says about where it comes from."""
    dates = ("outcome", "phases", "reached", "undated")
    names = ("run", "p", "operation", "key_frequencies", "key_rule", "key_step", *dates, "config")
    attributes = as_attributes(known)
    texts = {name: attributes[name] for name in names if name in attributes}
    return {name: value if isinstance(value, str) else as_json(value) for name, value in texts.items()}
