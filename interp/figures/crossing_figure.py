"""What came of networks made of parts of others: their test accuracy over steps, and when each grokked, arm by arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from interp.figures.theme import CYCLE, template
from interp.wording import counted

if TYPE_CHECKING:
    import plotly.graph_objects as go

Curve = tuple[Sequence[float], Sequence[float]]


def crossing_figure(
    rows: Sequence[Mapping[str, Any]], curves: Sequence[Curve], *, title: str, theme: Literal["light", "dark"] = "light"
) -> go.Figure:
    """Left a curve for each network, of its arm's colour; right the step at which each grokked, hollow where it did not.

    Args:
        rows: of the table that `interp.chimera`, `transplant` or `ticket` returned.
        curves: steps and test accuracies of each.
        title: of the figure.
        theme: light or dark.
    """
    import plotly.graph_objects as go

    names = [arm(row) for row in rows]
    arms = list(dict.fromkeys(names))
    colours = {name: CYCLE[number % len(CYCLE)] for number, name in enumerate(arms)}
    end = max((float(steps[-1]) for steps, _ in curves if len(steps)), default=1.0)
    seeds = [f"seed {row['seed']}" if "seed" in row else "" for row in rows]
    lines = []
    for name, seed, (steps, accuracies) in zip(names, seeds, curves, strict=True):
        known = np.isfinite(np.asarray(accuracies, dtype=float))  # not every step is evaluated
        x, y = np.asarray(steps)[known], np.asarray(accuracies, dtype=float)[known]
        words = f"{name}{f', {seed}' if seed else ''}<br>step %{{x:,d}}: %{{y:.3f}}<extra></extra>"
        lines.append(
            go.Scatter(x=x, y=y, name=name, mode="lines", line={"color": colours[name], "width": 2}, hovertemplate=words)
        )
    dots = []
    for name in arms:
        its = [(float(row["grokked"]), seed) for row, seed, its_name in zip(rows, seeds, names, strict=True) if its_name == name]
        dates = [date if isfinite(date) else end for date, _ in its]
        told = [f"{seed} grokked" if isfinite(date) else f"{seed} not within {end:,.0f} steps" for date, seed in its]
        marks = ["circle" if isfinite(date) else "circle-open" for date, _ in its]
        look = {"color": colours[name], "size": 10, "symbol": marks, "opacity": 0.8, "line": {"width": 2}}
        apart = min(0.12, 0.7 / len(its))  # so that networks of one date are seen beside each other
        heights = [arms.index(name) + apart * (number - (len(its) - 1) / 2) for number in range(len(its))]
        place = {"x": dates, "y": heights, "text": told, "xaxis": "x2", "yaxis": "y2"}
        hover = f"{name}<br>%{{text}}<br>step %{{x:,d}}<extra></extra>"
        dots.append(go.Scatter(**place, name=name, mode="markers", marker=look, showlegend=False, hovertemplate=hover))
    shown: set[str] = set()
    for line in lines:
        line.showlegend = line.name not in shown
        line.legendgroup = line.name
        shown.add(line.name)
    return go.Figure(data=[*lines, *dots], layout=_layout(title, theme=theme, arms=arms, end=end, words=_in_words(rows, names)))


def arm(row: Mapping[str, Any]) -> str:
    """What a network of the table is.

    >>> arm({"what": "ticket"}), arm({"direction of": "a", "length of": "b"})
    ('ticket', 'direction of a, length of b')
    """
    return str(row["what"]) if "what" in row else f"direction of {row['direction of']}, length of {row['length of']}"


def _in_words(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """How many of each arm grokked."""
    told = []
    for name in dict.fromkeys(names):
        its = [row for row, other in zip(rows, names, strict=True) if other == name]
        done = sum(isfinite(float(row["grokked"])) for row in its)
        told.append(f"{name}: {done} of {counted(len(its), 'network')} grokked within the budget")
    return "; ".join(told) + "."


def _layout(title: str, *, theme: Literal["light", "dark"], arms: Sequence[str], end: float, words: str) -> dict[str, Any]:
    return {
        "template": template(theme),
        "width": 960,
        "height": 420,
        "title": {"text": title, "x": 0.01},
        "margin": {"t": 110, "l": 60, "r": 20, "b": 50},
        "xaxis": {"domain": [0, 0.52], "title": {"text": "step"}},
        "yaxis": {"range": [-0.02, 1.02], "title": {"text": "test accuracy"}},
        "xaxis2": {
            "domain": [0.6, 1], "range": [-0.03 * end, 1.06 * end], "anchor": "y2",
            "title": {"text": "step of grokking; hollow: not within the budget"},
        },
        "yaxis2": {
            "tickmode": "array", "tickvals": [*range(len(arms))], "ticktext": [""] * len(arms), "anchor": "x2",
            "range": [len(arms) - 0.4, -0.6],
        },
        "meta": {"alt": words},
    }  # fmt: skip
