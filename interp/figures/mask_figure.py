"""How much the masks of successive checkpoints have in common, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from interp.figures.theme import CYCLE, template

if TYPE_CHECKING:
    import plotly.graph_objects as go

_CHANCE = " (by chance)"
_LAST = " with last"


def mask_figure(
    steps: Sequence[int], columns: Mapping[str, Sequence[float]], *, theme: Literal["light", "dark"] = "light"
) -> go.Figure:
    """Jaccard's index of each mask with the one before (left) and with the last (right); dotted what chance would give.

    Args:
        steps: of the rows of `interp.mask_overlap`.
        columns: its columns, by their names.
        theme: light or dark.
    """
    import plotly.graph_objects as go

    rules = [name for name in columns if not name.endswith(_CHANCE) and not name.endswith(_LAST)]
    lines = []
    for name, values in columns.items():
        rule = next(each for each in rules if name.startswith(each))
        is_last, is_chance = _LAST in name, name.endswith(_CHANCE)
        lines.append(
            go.Scatter(
                x=list(steps),
                y=list(values),
                name=f"{rule}{_CHANCE if is_chance else ''}",
                mode="lines" if is_chance else "lines+markers",
                line={"color": CYCLE[rules.index(rule) % len(CYCLE)], "dash": "dot" if is_chance else "solid", "width": 2},
                marker={"size": 5},
                showlegend=not is_last,
                legendgroup=f"{rule}{is_chance}",
                xaxis="x2" if is_last else "x",
                yaxis="y2" if is_last else "y",
                hovertemplate="step %{x:,d}: %{y:.3f}",
            )
        )
    at_end = [f"{rule} {columns[rule][-1]:.2f}" for rule in rules]
    y: dict[str, Any] = {"range": [-0.02, 1.02], "title": {"text": "Jaccard's index"}}
    layout = {
        "template": template(theme),
        "width": 960,
        "height": 420,
        "title": {"text": "What masks have in common", "x": 0.01},
        "margin": {"t": 92, "l": 60, "r": 20, "b": 50},
        "xaxis": {"domain": [0, 0.46], "title": {"text": "step; with the checkpoint before"}},
        "yaxis": y,
        "xaxis2": {"domain": [0.54, 1], "title": {"text": "step; with the last checkpoint"}, "anchor": "y2"},
        "yaxis2": {**y, "title": {"text": ""}, "anchor": "x2"},
        "meta": {"alt": f"Jaccard's index of the last mask with the one before: {', '.join(at_end)}."},
    }
    return go.Figure(data=lines, layout=layout)
