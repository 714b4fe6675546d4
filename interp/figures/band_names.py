"""Names of the phases over the bands that tint a figure, for figures that leave the page, which writes them itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.figures.theme import NEUTRAL

if TYPE_CHECKING:
    import plotly.graph_objects as go

_PREFIX, _LETTER, _WIDTH = "phase: ", 6.0, 900  # of a shape's name; pixels of a small letter; where a figure has no width


def with_band_names(drawn: go.Figure) -> go.Figure:
    """A copy whose bands have their names at their upper end, wherever there is room for them and no name yet."""
    import plotly.graph_objects as go

    layout = drawn.layout.to_plotly_json()
    bands = [shape for shape in layout.get("shapes", ()) if str(shape.get("name") or "").startswith(_PREFIX)]
    known = {(note.get("name"), note.get("xref")) for note in layout.get("annotations", ())}
    ends = _ends(drawn)
    notes = [note for shape in bands if (note := _name(shape, layout, ends)) and (note["name"], note["xref"]) not in known]
    if not notes:
        return drawn
    copy = go.Figure(drawn)
    copy.update_layout(annotations=[*layout.get("annotations", ()), *notes])
    return copy


def _ends(drawn: go.Figure) -> dict[str, tuple[float, float]]:
    """By horizontal axis, what lies furthest left and right on it; what is no number (the names of bars) has no place."""
    places: dict[str, list[float]] = {}
    for trace in drawn.data:
        given = getattr(trace, "x", None)
        values = np.asarray(() if given is None else given)
        if values.dtype.kind in "fiu" and (found := values[np.isfinite(values)]).size:
            places.setdefault(getattr(trace, "xaxis", None) or "x", []).extend((float(found.min()), float(found.max())))
    for shape in drawn.layout.shapes:
        if str(shape.xref) in places or str(shape.name or "").startswith(_PREFIX):
            places.setdefault(str(shape.xref), []).extend((float(shape.x0), float(shape.x1)))
    return {axis: (min(values), max(values)) for axis, values in places.items()}


def _name(shape: dict[str, Any], layout: dict[str, Any], ends: Mapping[str, tuple[float, float]]) -> dict[str, Any] | None:
    """The name of a band where it fits between its ends."""
    axis, name = shape["xref"], str(shape["name"])
    own, suffix = layout.get(f"xaxis{axis[1:]}", {}), axis[1:]
    first, last = own.get("range") or ends[axis]
    domain, margin = own.get("domain") or (0, 1), layout.get("margin", {})
    width = (layout.get("width") or _WIDTH) - margin.get("l", 80) - margin.get("r", 80)
    text = name.removeprefix(_PREFIX)
    letter = _LETTER * (layout.get("font") or {}).get("size", 12) / 12
    room = width * (domain[1] - domain[0]) * (shape["x1"] - shape["x0"]) / max(last - first, 1)
    if own.get("type") == "log" or room < letter * len(text):
        return None
    return {
        "name": name, "text": text, "x": (shape["x0"] + shape["x1"]) / 2, "xref": axis, "y": 1, "yref": f"y{suffix} domain",
        "yanchor": "top", "showarrow": False, "font": {"size": round(10 * letter / _LETTER, 1), "color": NEUTRAL},
    }  # fmt: skip
