"""Figures: labelled series in, plotly Figures out. One theme, fixed colours, cells, a slider where things move.

`figure(run, name)` is one of the report's figures, `save` writes it to a file. An analysis' figure is a call of `draw` with some
cells and traces; traces are plain dicts of plotly attributes. `line` and `curve` draw over time; traces returned by `moving(i)`
show checkpoint i. Plotly is imported when the first figure is drawn.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
