"""One look for every figure: fixed colours with fixed meanings, and the light and dark plotly templates.

The colours are safe for the common kinds of colour blindness (after Okabe and Ito) and have a contrast of at least 3 : 1 on
both the light and the dark paper, so that a curve keeps its colour when the page changes its theme.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

TRAIN = "#0072b2"
TEST = "#d55e00"
RESTRICTED = "#009e73"
EXCLUDED = "#b35fa3"
NEUTRAL = "#7d8590"

# Everything that is not train, test, restricted or excluded: frequencies, heads, tensors.
CYCLE = ("#4477aa", "#bb5566", "#8c7a1e", "#2f8f83", "#9659b8", "#a8622d", "#5b7f2b", "#7a6fc4")

# A colour wheel of nearly constant lightness, for angles: the same colour at both ends.
WHEEL = (
    (0.0, "#c65a6e"), (1 / 6, "#b3762f"), (2 / 6, "#6f8b2c"), (3 / 6, "#1f917f"),
    (4 / 6, "#3a82c0"), (5 / 6, "#8f68bd"), (1.0, "#c65a6e"),
)  # fmt: skip

PAPER = {"light": "#fbfbf9", "dark": "#15191e"}

# Zero has the colour of the paper, and is not seen; the far end is the darkest or the brightest thing on the page.
SEQUENTIAL_LIGHT = ((0.0, PAPER["light"]), (0.15, "#d5e5ec"), (0.4, "#7fb2c9"), (0.7, "#2c728f"), (1.0, "#0b2c40"))
SEQUENTIAL_DARK = ((0.0, PAPER["dark"]), (0.15, "#1c3444"), (0.4, "#2c6f8c"), (0.7, "#79b8c6"), (1.0, "#f3f8ee"))

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"


def frequency_colours(frequencies: Iterable[int | str]) -> dict[int | str, str]:
    """A colour for each of a run's key frequencies (or representations), the same in every figure.

    >>> frequency_colours([5, 9])
    {5: '#4477aa', 9: '#bb5566'}
    """
    return {k: CYCLE[i % len(CYCLE)] for i, k in enumerate(_in_order(frequencies))}


def _in_order(frequencies: Iterable[int | str]) -> list[int | str]:
    """Frequencies ascending, then names of representations as they come."""
    given = list(frequencies)
    return [*sorted(int(k) for k in given if not isinstance(k, str)), *(k for k in given if isinstance(k, str))]


# A key of up to this many frequencies stands in a cell's title; more go into the legend.
IN_TITLE = 6


_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "9px,3px,3px,3px,3px,3px")


def frequency_dashes(frequencies: Iterable[int | str]) -> dict[int | str, str]:
    """A line for each of a run's key frequencies, so that no two of the first 56 look alike: as many as p = 113 has.

    >>> frequency_dashes(range(1, 10))[1], frequency_dashes(range(1, 10))[9]
    ('solid', 'dash')
    """
    return {k: _DASHES[i // len(CYCLE) % len(_DASHES)] for i, k in enumerate(_in_order(frequencies))}


def key(colours: Mapping[str, str]) -> str:
    """Names in their colours, for a cell's title: a legend where the eye is already.

    >>> key({"W_E": "#4477aa"})
    '<span style="color:#4477aa">W_E</span>'
    """
    return " ".join(f'<span style="color:{colour}">{name}</span>' for name, colour in colours.items())


def faded(colour: str, opacity: float) -> str:
    """A ``#rrggbb`` colour with an opacity in 0..1.

    >>> faded("#0072b2", 0.25)
    'rgba(0, 114, 178, 0.25)'
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def steps_of_colour(colours: Sequence[str]) -> list[list[Any]]:
    """A plotly colour scale of equal bands, so that colours can be given as the small numbers 0, 1, 2, ...

    With ``cmin=-0.5, cmax=len(colours) - 0.5`` number i has the i-th colour.

    >>> steps_of_colour(["#000000", "#ffffff"])
    [[0.0, '#000000'], [0.5, '#000000'], [0.5, '#ffffff'], [1.0, '#ffffff']]
    """
    return [[edge / len(colours), colour] for i, colour in enumerate(colours) for edge in (i, i + 1)]


def template(theme: Literal["light", "dark"] = "light") -> dict[str, Any]:
    """The plotly template of a theme: paper, ink, grid, colour scales."""
    dark = theme == "dark"
    ink, faint, grid = ("#d5d9de", "#949ca6", "#2a3037") if dark else ("#24292e", "#666d75", "#e7e7e2")
    scale = [list(stop) for stop in (SEQUENTIAL_DARK if dark else SEQUENTIAL_LIGHT)]
    axis = {
        "gridcolor": grid, "linecolor": grid, "zerolinecolor": grid, "zeroline": False, "ticks": "", "automargin": False,
        "separatethousands": True,
        "tickfont": {"size": 11, "color": faint}, "title": {"font": {"size": 12, "color": faint}, "standoff": 6},
    }  # fmt: skip
    bar = {"outlinewidth": 0, "thickness": 8, "tickfont": {"size": 10, "color": faint}}
    return {
        # Curves are the data: plotly would leave out points that hardly bend a line, and are missed by whoever points at them.
        "data": {"heatmap": [{"colorscale": scale, "colorbar": bar}], "scatter": [{"line": {"simplify": False}}]},
        "layout": {
            "font": {"family": FONT, "size": 12, "color": ink},
            "paper_bgcolor": PAPER[theme],
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(CYCLE),
            "colorscale": {"sequential": scale, "sequentialminus": scale[::-1]},
            "coloraxis": {"colorbar": bar},
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {
                "bgcolor": "#20262d" if dark else "#ffffff", "bordercolor": grid, "font": {"size": 12, "color": ink},
            },
            "hovermode": "closest",
            "legend": {
                "orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom", "font": {"size": 12, "color": ink},
                "bgcolor": "rgba(0,0,0,0)",
            },
            "annotationdefaults": {"font": {"size": 12, "color": ink}, "arrowcolor": faint, "showarrow": False},
            "margin": {"l": 56, "r": 18, "t": 40, "b": 44},
        }
    }  # fmt: skip
