"""Figures that leave the page: scales of maps, titles in lines, names of bands where there is room."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from interp.figures.band_names import with_band_names
from interp.figures.cells import Cell, grid, on
from interp.figures.dressing import dressed
from interp.figures.held import broken, titled
from interp.figures.map_scales import with_map_scales
from interp.figures.neuron_pictures import neuron_traces

TEN = np.arange(10.0).reshape(2, 5)


def drawn(rows: list[list[str]], *, tops: list[float], width: int = 900) -> go.Figure:
    """Rows of squares (maps) and plots (curves); maps of a row go from 0 to a number."""
    cells = [[Cell(kind, square=kind == "map") for kind in row] for row in rows]
    layout, data, n = grid(cells, [200] * len(rows)), [], 0
    for row, top in zip(rows, tops, strict=True):
        for kind in row:
            n += 1
            look = {"type": "heatmap", "z": TEN, "zmin": 0, "zmax": top, "showscale": False} if kind == "map" else {"y": [0, 1]}
            data.append({**look, **on(n)})
    return go.Figure(data, {**layout, "width": width})


def scales(figure: go.Figure) -> list[dict]:
    return [trace.colorbar.to_plotly_json() for trace in figure.data if trace.type == "heatmap" and trace.showscale]


def width_of(figure: go.Figure, n: int) -> float:
    left, right = figure.layout[f"xaxis{n if n > 1 else ''}"].domain
    return right - left


def test_maps_of_a_row_share_a_scale_at_its_end_and_stay_of_one_size():
    figure = with_map_scales(drawn([["map", "map", "map"], ["curve"]], tops=[9, 1], width=700))
    [bar] = scales(figure)
    assert figure.layout.xaxis3.domain[1] < bar["x"] < 1
    assert len({round(width_of(figure, n), 9) for n in (1, 2, 3)}) == 1
    assert bar["y"] == figure.layout.yaxis3.domain[1]
    assert 0 < bar["len"] <= figure.layout.yaxis3.domain[1] - figure.layout.yaxis3.domain[0] + 1e-9


def test_a_map_before_other_cells_makes_room_for_its_own_scale():
    before = drawn([["map", "curve"], ["map", "curve"]], tops=[9, 5], width=460)
    figure = with_map_scales(before)
    assert len(scales(figure)) == 2
    assert [width_of(figure, n) for n in (2, 4)] == [width_of(before, n) for n in (2, 4)]
    assert width_of(figure, 1) < width_of(before, 1)
    assert figure.layout.xaxis.domain[1] < scales(figure)[0]["x"] < figure.layout.xaxis2.domain[0]
    assert all(not trace.showscale for trace in before.data if trace.type == "heatmap"), "a copy"


@pytest.mark.parametrize(("width", "height"), [(900, 120), (400, 300)])
def test_a_scale_stands_beside_its_square_whatever_the_shape_of_the_cell(width, height):
    cells, gap = [Cell("map", square=True), Cell("curve")], 0.8 * 12
    maps = {"type": "heatmap", "z": TEN, "zmin": 0, "zmax": 9, "showscale": False}
    before = go.Figure([{**maps, **on(1)}, {"y": [0, 1], **on(2)}], {**grid([cells], [height]), "width": width})
    figure = with_map_scales(before)
    [bar], margin = scales(figure), figure.layout.margin
    plot = (width - margin.l - margin.r, figure.layout.height - margin.t - margin.b)
    left, right = figure.layout.xaxis.domain
    side = min((right - left) * plot[0], height)
    assert bar["x"] * plot[0] == pytest.approx(left * plot[0] + side + gap)
    assert bar["len"] * plot[1] == pytest.approx(side)
    assert bar["x"] * plot[0] + 40 < figure.layout.xaxis2.domain[0] * plot[0]
    assert (width_of(figure, 1) == width_of(before, 1)) == (width == 900), "there is room beside a square in a wide cell"


def test_maps_with_scales_of_their_own_or_none_are_left():
    other = drawn([["map", "map"]], tops=[9])
    other.data[1].zmax = 8
    assert with_map_scales(other) is other
    for figure in (drawn([["curve"]], tops=[1]), go.Figure(go.Heatmap(z=TEN))):
        assert with_map_scales(figure) is figure
    empty = drawn([["map"]], tops=[9])
    empty.data[0].z = np.full((2, 5), np.nan)
    assert not scales(with_map_scales(empty))


@pytest.mark.parametrize("size", [None, "slide", "half", "column"])
def test_a_long_title_is_broken_and_has_room(size):
    figure, name = drawn([["curve", "curve"]], tops=[1]), "a-run-with-a-name-" * 5
    text = f"{name}: What does it show, and how? (step 300)"
    made = dressed(figure, text, place=size)
    lines = made.layout.title.text.split("<br>")
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert len(lines) > 1
    letter = made.layout.title.font.size
    assert max(map(len, lines)) * 0.5 * letter <= made.layout.width
    # Plotly counts from the middle of the lines: the first begins half of the others above.
    assert made.layout.title.pad.t >= 0.65 * (len(lines) - 1) * letter
    assert made.layout.margin.t >= made.layout.title.pad.t + 0.65 * (len(lines) - 1) * letter
    assert titled(figure, "Short").layout.title.text == "Short"


@pytest.mark.parametrize("size", [None, "half", "column"])
def test_a_word_that_is_longer_than_a_line_is_broken_without_a_gap(size):
    made = dressed(drawn([["curve"]], tops=[1]), f"{'n' * 150}: How large?", place=size)
    lines = made.layout.title.text.split("<br>")
    assert "".join(lines).startswith("n" * 150 + ":")
    assert all(" " not in line for line in lines[:-1])


def test_a_text_is_broken_between_words_and_no_entity_is_torn():
    assert broken("one two three", 7) == "one two<br>three"
    assert broken("abcdefghij k", 4) == "abcd<br>efgh<br>ij k"
    assert broken("a&lt;b&gt;c", 4) == "a&lt;b&gt;c"


def test_a_band_has_its_name_where_it_fits_between_the_ends_of_the_axis():
    """The band takes 90 of 2,500 steps, whatever the largest end of a band is."""
    bands = [("phase: memorization", 0, 90), ("phase: circuit formation", 90, 975)]
    shapes = [{"name": name, "xref": "x", "yref": "y domain", "x0": x0, "x1": x1, "y0": 0, "y1": 1} for name, x0, x1 in bands]
    figure = go.Figure({"type": "scatter", "x": [0, 2500], "y": [0, 1]}, {"shapes": shapes, "width": 900})
    assert [note.text for note in with_band_names(figure).layout.annotations] == ["circuit formation"]
    figure.layout.xaxis.range = (0, 200)
    assert with_band_names(figure).layout.annotations[0].text == "memorization"
    figure.data[0].x = ["first", "second"]  # names have no place on it
    figure.layout.xaxis.range = None
    assert len(with_band_names(figure).layout.annotations) == 1


def test_the_scale_of_a_neuron_stands_beside_a_map_that_is_there():
    nothing = np.full((2, 5), np.nan)
    assert [trace["showscale"] for trace in neuron_traces(TEN, nothing, scale=True)] == [True, False]
    assert [trace["showscale"] for trace in neuron_traces(TEN, TEN, scale=True)] == [False, True]
    assert not any(trace["showscale"] for trace in neuron_traces(TEN, nothing))
