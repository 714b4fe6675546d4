"""Figures for a slide or a paper: cells placed anew for the width there is, and letters that can be read at that size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from interp.errors import unknown
from interp.figures.held import broken, title_place

if TYPE_CHECKING:
    import plotly.graph_objects as go

Size = Literal["slide", "half", "column"]
SIZES: tuple[Size, ...] = get_args(Size)
_FLATTEST = 3.2  # letters that the lowest line of plots is high at least
_USUAL = 12  # pixels of a letter for which figures are drawn


@dataclass(frozen=True)
class _Paper:
    """Width and height in CSS pixels, 96 to the inch, and the size of a letter; a height that is None follows from the cells."""

    width: int
    height: int | None
    letter: float


# A whole slide of 16 : 9, one half of it beside text, and a column of a paper, 3.4 inches wide, with letters of 7 points.
_PAPERS: dict[Size, _Paper] = {
    "slide": _Paper(1280, 720, 18),
    "half": _Paper(624, 600, 15),
    "column": _Paper(326, None, 9.5),
}


def fitted(drawn: go.Figure, size: Size) -> go.Figure:
    """A copy of a figure for a place: ``slide`` (1280 x 720), ``half`` of one (624 x 600), ``column`` of a paper (326 wide).

    Cells of a row are put under each other where they or their titles would become too narrow, and the figure is higher where
    they would become too flat; letters have the size that the place needs. A figure that was not drawn by `interp.figures.draw`
    keeps its cells.

    Raises:
        UsageError: for an unknown size.
    """
    import plotly.graph_objects as go

    if size not in SIZES:
        raise unknown("size", size, SIZES)
    paper, layout = _PAPERS[size], drawn.layout.to_plotly_json()
    scale = paper.letter / _USUAL
    meta = layout.get("meta")
    rows = meta.get("grid") if isinstance(meta, dict) else None
    _write_larger(layout, scale, width=paper.width)
    layout["width"] = paper.width
    if rows:
        _place(layout, rows, paper, legend_rows=_legend_rows(drawn, paper))
    else:
        layout["height"] = paper.height or layout.get("height")
    traces = [_thicker(trace.to_plotly_json(), scale) for trace in drawn.data]
    return go.Figure(traces, layout)


def _write_larger(layout: dict[str, Any], scale: float, *, width: int) -> None:
    """All letters of a layout, its titles broken to the width."""
    letter = _USUAL * scale
    layout["font"] = {**layout.get("font", {}), "size": letter}
    for name, axis in layout.items():
        if name.startswith(("xaxis", "yaxis")):
            # Plotly draws powers a quarter larger.
            axis["tickfont"] = {**axis.get("tickfont", {}), "size": (0.68 if axis.get("type") == "log" else 0.85) * letter}
            axis["title"] = {**axis.get("title", {}), "font": {"size": 0.95 * letter}, "standoff": 0.4 * letter}
    layout["annotations"] = [
        {
            **note,
            "font": {**note.get("font", {}), "size": scale * note.get("font", {}).get("size", _USUAL)},
            **({"yshift": scale * note["yshift"]} if "yshift" in note else {}),
        }
        for note in layout.get("annotations", ())
    ]
    layout["legend"] = {**layout.get("legend", {}), "font": {"size": 0.9 * letter}}
    if (layout.get("title") or {}).get("text"):
        text = broken(layout["title"]["text"], int(width / (0.62 * letter)))
        place = title_place(text, letter=1.15 * letter, pad=0.7 * letter)
        layout["title"] = {**layout["title"], "text": text, "font": {"size": 1.15 * letter}, **place}


def _place(layout: dict[str, Any], rows: Sequence[dict[str, Any]], paper: _Paper, *, legend_rows: int) -> None:
    """Domains of all cells, from the top left, and margins that hold titles, legend and labels."""
    letter = paper.letter
    left, right, bottom = 4.6 * letter, 1.2 * letter, 3.6 * letter
    title = (layout.get("title") or {}).get("text") or ""
    top = 2.2 * letter + 1.6 * letter * legend_rows + (1.5 * letter * (title.count("<br>") + 1) if title else 0.0)
    width, between = paper.width - left - right, (5.2 * letter, 5.4 * letter)
    titles = _titles(layout, letter)
    lines = [line for row in rows for line in _lines(row, titles, width=width, letter=letter, between=between[0])]
    natural = [height for _, height in lines]
    free = sum(natural) if paper.height is None else paper.height - top - bottom - between[1] * (len(lines) - 1)
    if paper.height is not None:  # where a line would be too flat, the whole becomes higher
        free = max(free, _FLATTEST * letter * sum(natural) / min(natural))
    heights = [free * one / sum(natural) for one in natural]
    total = sum(heights) + between[1] * (len(lines) - 1)
    done = 0.0
    for (cells, _), height in zip(lines, heights, strict=True):
        weights, start = sum(cell["weight"] for cell in cells), 0.0
        for cell in cells:
            wide = (width - between[0] * (len(cells) - 1)) * cell["weight"] / weights
            suffix = "" if cell["n"] == 1 else str(cell["n"])
            layout[f"xaxis{suffix}"]["domain"] = [start / width, min(1.0, (start + wide) / width)]
            layout[f"yaxis{suffix}"]["domain"] = [max(0.0, 1 - (done + height) / total), 1 - done / total]
            start += wide + between[0]
        done += height + between[1]
    layout["margin"] = {"l": left, "r": right, "t": top, "b": bottom}
    layout["legend"] = {**layout["legend"], "y": 1 + 1.9 * letter / total}
    layout["height"] = total + top + bottom


def _titles(layout: dict[str, Any], letter: float) -> dict[str, float]:
    """How wide the title of each cell is, by the cell's horizontal axis."""
    found = {}
    for note in layout["annotations"]:
        if str(note.get("yref", "")).endswith(" domain") and str(note.get("text", "")).startswith("<b>"):
            found[str(note["xref"]).split(" ")[0]] = 0.58 * letter * len(re.sub(r"<[^>]*>", "", note["text"]))
    return found


def _lines(
    row: dict[str, Any], titles: Mapping[str, float], *, width: float, letter: float, between: float
) -> list[tuple[list[dict[str, Any]], float]]:
    """The cells of a row on as many lines as they need, each with its height where nothing else says it."""
    cells = row["cells"]
    least = max(11 * letter, *(titles.get(f"x{cell['n'] if cell['n'] > 1 else ''}", 0.0) for cell in cells))
    most = max(1, int((width + between) / (least + between)))
    per_line = -(-len(cells) // -(-len(cells) // most))
    weights = [cell["weight"] for cell in cells]
    if (width - between * (per_line - 1)) * min(weights) / sum(weights) < 11 * letter and len(set(weights)) > 1:
        per_line = 1
    lines = [cells[i : i + per_line] for i in range(0, len(cells), per_line)]
    found = []
    for line in lines:
        wide = (width - between * (len(line) - 1)) / len(line)
        squares = all(cell.get("square") for cell in line)
        found.append((line, wide if squares else min(row["height"], 0.62 * width)))
    return found


def _legend_rows(drawn: go.Figure, paper: _Paper) -> int:
    """How many rows the legend needs; plotly gives every entry the width of the longest."""
    names = [
        str(trace.name or "")
        for trace in drawn.data
        if (trace.type == "scatter" if trace.showlegend is None else trace.showlegend)
    ]
    if len(names) < 2 or not drawn.layout.showlegend:
        return 0
    widest = max(len(name) for name in names) * 0.56 * paper.letter + 46
    return -(-len(names) // max(1, int((paper.width - 6 * paper.letter) / widest)))


def _thicker(trace: dict[str, Any], scale: float) -> dict[str, Any]:
    """Lines and dots that go with the letters."""
    for part, attribute in (("line", "width"), ("marker", "size")):
        value = (trace.get(part) or {}).get(attribute)
        if isinstance(value, int | float) and trace.get("type") == "scatter":
            trace[part] = {**trace[part], attribute: round(value * scale**0.6, 2)}
    return trace
