"""A figure as it leaves the page: under a title that names its run, with phases named and colours explained, for its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.figures.band_names import with_band_names
from interp.figures.held import still, titled
from interp.figures.map_scales import with_map_scales
from interp.figures.paper_sizes import Size, fitted

if TYPE_CHECKING:
    import plotly.graph_objects as go


def dressed(drawn: go.Figure, title: str | None = None, *, place: Size | None = None) -> go.Figure:
    """A copy of a figure with a title, names of its phases, scales of its maps, and cells and letters for a place, see `fitted`.

    Args:
        title: stands above it.
        place: ``slide``, ``half`` of one, or ``column`` of a paper, without the slider; by default as it was drawn.

    Raises:
        UsageError: for an unknown place.
    """
    made = drawn if title is None else titled(drawn, title, is_broken=place is None)
    return with_band_names(with_map_scales(made if place is None else fitted(still(made), place)))
