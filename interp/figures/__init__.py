"""Figures: labelled series in, plotly Figures out. One theme, fixed colours, cells, a slider where things move.

`figure(run, name)` is one of the report's figures, `save` writes it to a file. An analysis' figure is a call of `draw` with some
cells and traces; traces are plain dicts of plotly attributes. `line` and `curve` draw over time; traces returned by `moving(i)`
show checkpoint i. Plotly is imported when the first figure is drawn.
"""

from interp.figures.draw import Trace, bands, curve, draw, label, last_step, level, line, phase_bands, phases, remark, slider
from interp.figures.files import save
from interp.figures.grid import Cell, in_rows, on
from interp.figures.runs import at_step, figure, titled
from interp.figures.theme import (
    CYCLE,
    EXCLUDED,
    IN_TITLE,
    NEUTRAL,
    RESTRICTED,
    TEST,
    TRAIN,
    WHEEL,
    faded,
    frequency_colours,
    frequency_dashes,
    key,
    steps_of_colour,
    template,
)

__all__ = [
    "CYCLE", "EXCLUDED", "IN_TITLE", "NEUTRAL", "RESTRICTED", "TEST", "TRAIN", "WHEEL", "Cell", "Trace", "at_step", "bands",
    "curve", "draw", "faded", "figure", "frequency_colours", "frequency_dashes", "in_rows", "key", "label", "last_step", "level",
    "line", "on", "phase_bands", "phases", "remark", "save", "slider", "steps_of_colour", "template", "titled",
]  # fmt: skip
