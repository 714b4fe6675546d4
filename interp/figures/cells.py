"""Cells: how several small plots share one figure, in the notebook (here) and at any width of the page (from `meta`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_WIDTH = 960  # pixels the fractions below are computed for; the page computes its own from `meta`
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 18, 64, 46
_BETWEEN_COLUMNS, _BETWEEN_ROWS = 62, 74

# What is counted in whole numbers; on an axis narrower than WHOLE_BELOW plotly would put ticks between them.
_COUNTED = ("a", "b", "frequency", "frequency in a", "frequency in b", "neurons", "distance")
WHOLE_BELOW = 8


@dataclass(frozen=True)
class Cell:
    """One small plot. Traces are put on it by `on(n)`, cells being numbered from 1 in reading order.

    Args:
        title: what is seen, in a few words; shown above the plot.
        x: title of the horizontal axis; a `time` cell has "step".
        y: title of the vertical axis.
        time: the horizontal axis is the training step: the report draws the phases, the cursor and the log switch on it.
        log: the vertical axis is logarithmic at first, and can be switched.
        weight: width relative to the other cells of its row.
        square: as high as wide.
        x_range: fixed range of the horizontal axis; needed wherever traces move, so that the axes hold still.
        y_range: fixed range of the vertical axis (exponents of ten where `log`).
        bare: no ticks and no grid, for maps that explain themselves.
    """

    title: str = ""
    x: str = ""
    y: str = ""
    time: bool = False
    log: bool = False
    weight: float = 1.0
    square: bool = False
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    bare: bool = False


def on(cell: int) -> dict[str, str]:
    """The axes of a cell, to be merged into a trace.

    >>> on(1), on(2)
    ({'xaxis': 'x', 'yaxis': 'y'}, {'xaxis': 'x2', 'yaxis': 'y2'})
    """
    suffix = "" if cell == 1 else str(cell)
    return {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}


def heading(title: str) -> str:
    """A cell's title as it is shown: bold, what stands after a colon lighter.

    >>> heading("Loss"), heading("head 0: frequency 4")
    ('<b>Loss</b>', '<b>head 0</b>: frequency 4')
    """
    name, colon, rest = title.partition(": ")
    return f"<b>{name}</b>{colon}{rest}"


def in_rows(cells: Sequence[Cell], *, most: int) -> list[Sequence[Cell]]:
    """Cells in as few rows as hold them, at most `most` to a row, all rows nearly equally long.

    >>> [len(row) for row in in_rows([Cell()] * 12, most=5)]
    [4, 4, 4]
    """
    n = max(1, -(-len(cells) // most))
    edges = [len(cells) * i // n for i in range(n + 1)]
    return [cells[start:stop] for start, stop in pairwise(edges)]


def grid(rows: Sequence[Sequence[Cell]], heights: Sequence[int]) -> dict[str, Any]:
    """The plotly layout of rows of cells, `heights` being those of the plots in pixels.

    ``layout.meta`` says which axes are steps, which can be switched to logarithms, and how cells may be arranged anew.
    """
    total = sum(heights) + _BETWEEN_ROWS * (len(rows) - 1)
    layout: dict[str, Any] = {
        "height": total + _TOP + _BOTTOM,
        "margin": {"l": _LEFT, "r": _RIGHT, "t": _TOP, "b": _BOTTOM},
        "legend": {"y": 1 + 24 / total},
        "annotations": [],
        "meta": {"step_axis": [], "log_axis": [], "grid": []},
    }
    number, top = 1, 0.0
    for row, height in zip(rows, heights, strict=True):
        vertical = (1 - (top + height) / total, 1 - top / total)
        for cell, horizontal in zip(row, _columns(row), strict=True):
            _add_cell(layout, cell, number, domains=(horizontal, vertical))
            number += 1
        cells = [{"n": number - len(row) + i, "weight": cell.weight, "square": cell.square} for i, cell in enumerate(row)]
        layout["meta"]["grid"].append({"height": height, "cells": cells})
        top += height + _BETWEEN_ROWS
    return layout


def _columns(row: Sequence[Cell]) -> list[tuple[float, float]]:
    """Horizontal domains of a row's cells: widths by weight, with room for axis labels between them while there is any."""
    width = _WIDTH - _LEFT - _RIGHT
    between = min(_BETWEEN_COLUMNS, width / (2 * len(row)))
    free = width - between * (len(row) - 1)
    edges, left = [], 0.0
    for cell in row:
        right = left + free * cell.weight / sum(c.weight for c in row)
        edges.append((left / width, min(1.0, right / width)))
        left = right + between
    return edges


def _add_cell(layout: dict[str, Any], cell: Cell, number: int, *, domains: tuple[Any, Any]) -> None:
    names = on(number)
    x: dict[str, Any] = {"domain": domains[0], "anchor": names["yaxis"], "title": {"text": "step" if cell.time else cell.x}}
    y: dict[str, Any] = {"domain": domains[1], "anchor": names["xaxis"], "title": {"text": cell.y}}
    if cell.x_range is not None:
        x |= {"range": list(cell.x_range), "autorange": False}
    if cell.y_range is not None:
        y |= {"range": list(cell.y_range), "autorange": False}
    for axis, title, shown in ((x, cell.x, cell.x_range), (y, cell.y, cell.y_range)):
        if title in _COUNTED and shown is not None and shown[1] - shown[0] < WHOLE_BELOW:
            axis |= {"dtick": 1, "tick0": 0}
    if cell.log:
        y |= {"type": "log", "exponentformat": "power", "tickfont": {"size": 9}}  # plotly draws powers a quarter larger
        layout["meta"]["log_axis"].append(names["yaxis"])
    if cell.time:
        x |= {"showgrid": False, "unifiedhovertitle": {"text": "step %{x:,d}"}}
        layout["meta"]["step_axis"].append(names["xaxis"])
    if cell.square:
        y |= {"scaleanchor": names["xaxis"], "constrain": "domain", "constraintoward": "top"}
        x |= {"constrain": "domain", "constraintoward": "left"}
    if cell.bare:
        for axis in (x, y):
            axis |= {"showgrid": False, "showticklabels": False, "zeroline": False}
    layout[f"xaxis{names['xaxis'][1:]}"], layout[f"yaxis{names['yaxis'][1:]}"] = x, y
    if cell.title:
        layout["annotations"].append(
            {
                "text": heading(cell.title), "xref": f"{names['xaxis']} domain", "yref": f"{names['yaxis']} domain",
                "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom", "yshift": 4, "showarrow": False, "font": {"size": 12},
            }
        )  # fmt: skip
