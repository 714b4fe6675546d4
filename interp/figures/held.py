"""Figures held still: at one checkpoint, without slider and frames, under a title."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interp.errors import UsageError
from interp.figures.theme import NEUTRAL

if TYPE_CHECKING:
    import plotly.graph_objects as go

_SLIDER_HEIGHT = 70  # what `draw` adds below the cells
_TITLE_HEIGHT, _TITLE_LINE, _TITLE_LETTER = 26, 20, 8.0  # of a title's first line and each other, and across a letter, in pixels
_WIDTH = 900  # of a figure that has none
LINE = 1.3  # lines of a text from each other, in letters


def at_step(drawn: go.Figure, step: int) -> go.Figure:
    """A figure held at one checkpoint, which is marked on every time axis: without slider and frames, for paper.

    Raises:
        UsageError: if the figure has moving parts and no such checkpoint.
    """
    import plotly.graph_objects as go

    frames = {frame.name: frame for frame in drawn.frames}
    if frames and str(step) not in frames:
        raise UsageError(f"step: given {step}, which this figure does not have; it has {', '.join(frames)}")
    held = go.Figure(drawn.data, still(drawn).layout)
    if frames:
        frame = frames[str(step)]
        for place, trace in zip(frame.traces or range(len(frame.data)), frame.data, strict=True):
            held.data[place].update(trace.to_plotly_json())
        held.update_layout(frame.layout.to_plotly_json())
    for axis in _step_axes(drawn):
        mark = {"type": "line", "xref": axis, "yref": f"y{axis[1:]} domain", "x0": step, "x1": step, "y0": 0, "y1": 1}
        held.add_shape(mark | {"line": {"color": NEUTRAL, "width": 1, "dash": "dot"}})
    return held


def still(drawn: go.Figure) -> go.Figure:
    """A figure as it stands, without slider and frames and the room they take."""
    import plotly.graph_objects as go

    if not drawn.frames:
        return drawn
    layout = drawn.layout.to_plotly_json()
    if layout.pop("sliders", None) and "height" in layout and "b" in layout.get("margin", {}):
        layout["height"] -= _SLIDER_HEIGHT
        layout["margin"] = {**layout["margin"], "b": layout["margin"]["b"] - _SLIDER_HEIGHT}
    layout.pop("updatemenus", None)
    return go.Figure(drawn.data, layout)


def titled(drawn: go.Figure, text: str, *, is_broken: bool = True) -> go.Figure:
    """A copy of a figure with a title, in as many lines as its width asks for unless that is done later, and room for it."""
    import plotly.graph_objects as go

    copy = go.Figure(drawn)
    top = copy.layout.margin.t
    text = broken(text, int((copy.layout.width or _WIDTH) / _TITLE_LETTER)) if is_broken else text
    height = _TITLE_HEIGHT + _TITLE_LINE * text.count("<br>")
    copy.update_layout(
        title={"text": text, "font": {"size": 15}, "x": 0.01, "xanchor": "left", **title_place(text, letter=15, pad=12)},
        margin_t=(80 if top is None else top) + height,
    )
    if copy.layout.height is not None:
        copy.layout.height += height
    return copy


def title_place(text: str, *, letter: float, pad: float) -> dict[str, Any]:
    """Where a title of these lines stands so that its first is wholly inside: plotly counts from the middle of them."""
    below = pad + 0.5 * LINE * letter * text.count("<br>")
    return {"y": 1, "yref": "container", "yanchor": "top", "pad": {"t": below}}


def broken(text: str, most: int) -> str:
    """A text in lines of at most so many characters, broken between words; inside a word where that alone is longer."""
    lines = [""]
    for word in text.split(" "):
        parts = [word] if "&" in word else [word[i : i + most] for i in range(0, len(word), most)]  # no entity is torn apart
        for part in parts:
            if lines[-1] and len(lines[-1]) + len(part) + 1 > most:
                lines.append(part)
            else:
                lines[-1] = f"{lines[-1]} {part}".strip()
    return "<br>".join(line for line in lines if line)


def _step_axes(drawn: go.Figure) -> list[str]:
    meta: Any = drawn.layout.meta
    return list(meta.get("step_axis", [])) if isinstance(meta, dict) else []
