"""Cells over time of a run with one checkpoint: what was measured once is drawn by its name, as there is no time to go along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interp.figures.theme import NEUTRAL, faded

Trace = dict[str, Any]


def without_time(layout: dict[str, Any], traces: Sequence[Trace]) -> list[Trace]:
    """The traces with those of every step axis that has one point at most put side by side; the axes lose their steps and phases.

    Levels that curves are compared with become lines across the cell. `layout` is changed.
    """
    single = [axis for axis in layout["meta"]["step_axis"] if _is_single(axis, traces)]
    if not single:
        return list(traces)
    used = {trace.get("xaxis", "x") for trace in traces}
    single += [axis for axis in layout["meta"]["step_axis"] if axis not in used]  # nothing is drawn over them
    layout["meta"]["step_axis"] = [axis for axis in layout["meta"]["step_axis"] if axis not in single]
    layout["shapes"] = [shape for shape in layout["shapes"] if shape.get("xref") not in single]
    for axis in single:
        key = f"xaxis{axis[1:]}"
        kept = {name: layout[key][name] for name in ("domain", "anchor")}
        layout[key] = {**kept, "type": "category", "showgrid": False, "title": {"text": ""}}
    made = []
    for trace in traces:
        axis = trace.get("xaxis", "x")
        if axis not in single:
            made.append(trace)
        elif _is_level(trace):
            layout["shapes"].append(_across(trace, axis))
        elif trace.get("type") == "scatter":
            made.append({**trace, "mode": "markers", "x": [str(trace.get("name", ""))] * len(trace["x"]), "showlegend": False})
        else:
            made.append({**trace, "x": [""] * len(trace["x"])})
    return made


def _is_single(axis: str, traces: Sequence[Trace]) -> bool:
    """Whether what is drawn over a step axis has one step at most."""
    drawn = [trace for trace in traces if trace.get("xaxis", "x") == axis and not _is_level(trace)]
    return bool(drawn) and len(np.unique(np.concatenate([_steps(trace) for trace in drawn]))) <= 1


def _steps(trace: Trace) -> np.ndarray:
    """The steps at which a trace shows something."""
    x, y = (np.ravel(trace.get(name, ())) for name in "xy")
    shown = np.isfinite(y.astype(float)) if trace.get("type") == "scatter" and len(x) == len(y) else np.ones(len(x), dtype=bool)
    return x[shown].astype(float)


def _is_level(trace: Trace) -> bool:
    return trace.get("name") == "level" and trace.get("hoverinfo") == "skip"


def _across(trace: Trace, axis: str) -> dict[str, Any]:
    y, line = float(trace["y"][0]), {"color": faded(NEUTRAL, 0.8), "width": 1, "dash": "dot"}
    place = {"xref": f"{axis} domain", "x0": 0, "x1": 1, "yref": trace.get("yaxis", "y"), "y0": y, "y1": y}
    return {"type": "line", "line": line, **place}
