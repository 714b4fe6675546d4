"""Figures as data: cells, colours, moving traces, phases. No picture is compared with a picture."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from itertools import combinations

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from page_parts import decoded, resolved
from retelling import saying

from interp import figures
from interp.figures import Cell, bands, curve, draw, line, on, phase_bands, slider, steps_of_colour, template
from interp.figures.banding import last_step
from interp.figures.cells import grid
from interp.reporting.blocks import Blocks
from interp.reporting.extract import extract

CELLS = st.builds(Cell, weight=st.floats(0.1, 10), square=st.booleans(), time=st.booleans(), log=st.booleans())


def a_series(**attributes: object) -> xr.Dataset:
    steps = [0, 5, 50]
    series = xr.Dataset({"rising": ("step", [0.0, 1.0, np.nan])}, coords={"step": steps})
    series["history_test_loss"] = xr.DataArray(
        [3.0, 2.0, 1.0, 0.5], dims="history_step", coords={"history_step": [0, 20, 40, 60]}
    )
    return saying(series, phases=json.dumps(attributes.get("phases", {})), outcome="grokking")


def luminance(colour: str) -> float:
    """Relative luminance as the Web Content Accessibility Guidelines define it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("paper", ["#fbfbf9", "#15191e"])
@pytest.mark.parametrize(
    "colour", [figures.TRAIN, figures.TEST, figures.RESTRICTED, figures.EXCLUDED, figures.NEUTRAL, *figures.CYCLE]
)
def test_every_colour_can_be_told_from_both_papers(colour: str, paper: str) -> None:
    assert contrast(colour, paper) >= 3


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_colour_scale_goes_from_the_paper_to_full_contrast_in_one_direction(theme: str) -> None:
    scale = template(theme)["layout"]["colorscale"]["sequential"]
    light = [luminance(colour) for _, colour in scale]
    assert light == sorted(light, reverse=theme == "light")
    assert contrast(scale[0][1], scale[-1][1]) > 10


def test_key_frequencies_have_their_colours_in_any_order() -> None:
    assert figures.frequency_colours([9, 5]) == figures.frequency_colours([5, 9])
    assert len(set(figures.frequency_colours(range(1, 9)).values())) == 8


def test_no_two_frequencies_of_the_largest_recipe_are_drawn_alike() -> None:
    keys = range(1, 57)
    colours, dashes = figures.frequency_colours(keys), figures.frequency_dashes(keys)
    assert len({(colours[k], dashes[k]) for k in keys}) == 56


@given(st.lists(st.sampled_from(["#000000", "#ff0000", "#00ff00"]), min_size=1, max_size=9))
def test_bands_of_colour_cover_0_to_1_without_a_gap(colours: list[str]) -> None:
    scale = steps_of_colour(colours)
    assert scale[0][0] == 0
    assert scale[-1][0] == pytest.approx(1)
    assert [stop for stop, _ in scale] == sorted(stop for stop, _ in scale)
    for i, colour in enumerate(colours):
        assert [c for stop, c in scale if i / len(colours) < stop < (i + 1) / len(colours)] == []
        assert scale[2 * i][1] == scale[2 * i + 1][1] == colour


def test_whole_numbers_are_ticked_once_each_however_few_there_are() -> None:
    few, many = a_series().isel(step=[0, 1], history_step=[0]), a_series()
    assert last_step(few) == 5
    cells = [[Cell(time=True), Cell(x="frequency", x_range=(0.5, 1.5)), Cell(y="frequency", y_range=(0.5, 56.5))]]
    short, long = (draw(series, cells, heights=(100,)).layout for series in (few, many))
    assert (short.xaxis.dtick, short.xaxis2.dtick, short.yaxis3.dtick) == (1, 1, None)
    assert (long.xaxis.dtick, long.xaxis2.dtick) == (None, 1)
    assert draw(few, [[Cell(x="share", x_range=(0, 1))]], heights=(100,)).layout.xaxis.dtick is None


def test_a_curve_of_one_number_is_a_dot_that_can_be_seen() -> None:
    assert curve([0, 5], [1.0, np.nan], name="one", colour="#000000")["mode"] == "lines+markers"
    assert curve([0, 5], [1.0, 2.0], name="two", colour="#000000")["mode"] == "lines"
    assert curve([0], [np.nan], name="none", colour="#000000")["mode"] == "lines"


def test_a_level_reaches_the_last_step_and_does_not_vanish_where_steps_are_logarithmic() -> None:
    drawn = figures.level(a_series(), 0.4, cell=2)
    positive = drawn["x"][drawn["x"] > 0]
    assert len(positive) > 1
    assert (drawn["x"].min(), drawn["x"].max(), set(drawn["y"])) == (0, last_step(a_series()), {0.4})


@settings(max_examples=60)
@given(st.lists(st.lists(CELLS, min_size=1, max_size=60), min_size=1, max_size=4), st.data())
def test_cells_do_not_overlap_and_stay_inside(rows: list[list[Cell]], data: st.DataObject) -> None:
    heights = data.draw(st.lists(st.integers(60, 500), min_size=len(rows), max_size=len(rows)))
    layout = grid(rows, heights)
    boxes = []
    for n in range(1, sum(map(len, rows)) + 1):
        suffix = "" if n == 1 else str(n)
        (left, right), (bottom, top) = (layout[f"{axis}axis{suffix}"]["domain"] for axis in "xy")
        assert -1e-9 <= left < right <= 1 + 1e-9
        assert -1e-9 <= bottom < top <= 1 + 1e-9
        boxes.append((left, right, bottom, top))
    for one, other in combinations(boxes, 2):
        assert one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] + 1e-9 or other[3] <= one[2] + 1e-9
    flat = [cell for row in rows for cell in row]
    assert len(layout["meta"]["step_axis"]) == sum(cell.time for cell in flat)
    assert len(layout["meta"]["log_axis"]) == sum(cell.log for cell in flat)


def test_a_figure_without_moving_traces_has_neither_frames_nor_slider() -> None:
    figure = draw(a_series(), [[Cell(time=True)]], heights=(100,), fixed=[line(a_series(), "rising", name="r", colour="#000000")])
    assert not figure.frames
    assert not figure.layout.sliders
    assert figure.layout.hovermode == "x unified"
    assert figure.layout.xaxis.unifiedhovertitle.text.startswith("step ")


def moving(i: int) -> list[dict]:
    return [{"type": "bar", "x": [1, 2], "y": [i, 2 * i], "marker": {"color": "#0072b2"}, **on(1)}]


def test_frames_say_only_what_changes_and_the_figure_is_at_the_last_step() -> None:
    figure = draw(a_series(), [[Cell()]], heights=(100,), fixed=[curve([0], [0], name="still", colour="#000000")], moving=moving)
    assert [frame.name for frame in figure.frames] == ["0", "5", "50"]
    for i, frame in enumerate(figure.frames):
        assert frame.traces == (1,)
        assert frame.data[0].y == (i, 2 * i)
        assert frame.data[0].x is None
    assert figure.data[1].y == (2, 4)
    assert figure.data[1].x == (1, 2)


def turned(i: int) -> list[dict]:
    return [
        {"type": "scatter", "x": np.arange(30), "y": np.arange(30.0) * i, "marker": {"color": ["#0072b2"] * 2, "size": i + 1}}
    ]


def told(figure: go.Figure) -> dict:
    """What the page is told of a figure."""
    blocks = Blocks()
    panel = extract(figure, blocks)
    moves = {
        f"{move['place']} {move['path']}": decoded(blocks, move["block"]).tolist() if "block" in move else move["values"]
        for move in panel.pop("moves")
    }
    return resolved(panel, blocks) | moves


@pytest.mark.parametrize("titles", [None, lambda i: {1: f"head: k = {i}"}])
def test_frames_that_wait_are_those_that_plotly_makes_at_once(titles) -> None:
    def drawn() -> go.Figure:
        return draw(a_series(), [[Cell("head"), Cell("Loss")]], heights=(100,), moving=turned, titles=titles)

    waiting, base = drawn(), drawn()
    whole = go.Figure(data=base.data, layout=base.layout, frames=waiting._unmade.plain)
    assert isinstance(waiting, go.Figure)
    assert told(waiting) == told(copy.deepcopy(drawn())) == told(whole)
    assert waiting.to_plotly_json() == whole.to_plotly_json()
    assert pickle.loads(pickle.dumps(drawn())) == whole
    assert type(waiting) is go.Figure
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        drawn().absent  # noqa: B018


def test_frames_can_be_replaced_before_anyone_has_looked_at_them() -> None:
    figure = draw(a_series(), [[Cell()]], heights=(100,), moving=moving)
    figure.frames = [{"name": "5", "data": [{"type": "bar", "y": [7, 7]}]}]
    figure.update_layout(title="mine")
    assert [frame.name for frame in figure.frames] == ["5"]
    assert extract(figure, Blocks())["steps"] == [5]
    assert extract(figure, Blocks())["layout"]["title"] == {"text": "mine"}


def test_attributes_that_plotly_takes_in_short_reach_the_page_in_full() -> None:
    figure = draw(
        a_series(), [[Cell()]], heights=(100,), moving=lambda i: [{"type": "bar", "y": [1, 2], "marker_opacity": i / 2}]
    )  # fmt: skip
    assert [(move["path"], move["values"]) for move in extract(figure, Blocks())["moves"]] == [("marker.opacity", [0, 0.5, 1])]


def test_an_attribute_that_plotly_does_not_have_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="colour"):
        draw(a_series(), [[Cell()]], heights=(100,), moving=lambda i: [{"type": "bar", "y": [i], "colour": "#000000"}])


def test_titles_that_say_something_of_a_checkpoint_move_with_it() -> None:
    rows = [[Cell("head 0", square=True), Cell("Loss")]]
    drawn = draw(
        a_series(), rows, heights=(200,), moving=lambda i: [curve([0, 1], [i, i], name="x", colour="#000000")],
        titles=lambda i: {1: f"head 0: k = {i}"},
    )  # fmt: skip
    assert [note.text for note in drawn.layout.annotations] == ["<b>head 0</b>: k = 2", "<b>Loss</b>"]
    assert [frame.layout.annotations[0].text for frame in drawn.frames] == [f"<b>head 0</b>: k = {i}" for i in range(3)]
    assert figures.at_step(drawn, 5).layout.annotations[0].text == "<b>head 0</b>: k = 1"
    moves = [move for move in extract(drawn, Blocks())["moves"] if move["place"] == "layout"]
    assert [(move["path"], move["values"]) for move in moves] == [
        ("annotations.0.text", [f"<b>head 0</b>: k = {i}" for i in range(3)])
    ]


def test_logarithmic_axes_with_room_for_them_have_powers_of_ten_alone() -> None:
    def ticks(*values: float) -> float | None:
        lines = [curve([0, 1], values, name="x", colour="#000000")]
        return draw(a_series(), [[Cell(log=True)]], heights=(200,), fixed=lines).layout.yaxis.dtick

    assert [ticks(1, 2), ticks(0.5, 40), ticks(1e-8, 10), ticks(0, 0)] == [None, 1, 2, None]


def test_nothing_plays_and_nothing_is_interpolated() -> None:
    figure = draw(a_series(), [[Cell()]], heights=(100,), moving=moving)
    assert not figure.layout.updatemenus
    control = figure.layout.sliders[0]
    assert control.active == 2
    assert control.transition.duration == 0
    for step in control.steps:
        options = step.args[1]
        assert options["mode"] == "immediate"
        assert options["transition"]["duration"] == options["frame"]["duration"] == 0
    assert [step["args"][0] for step in slider([3, 4])["steps"]] == [["3"], ["4"]]


def test_history_is_drawn_over_its_own_steps_and_nan_is_kept_as_a_gap() -> None:
    assert line(a_series(), "history_test_loss", name="x", colour="#000000")["x"].tolist() == [0, 20, 40, 60]
    assert np.isnan(line(a_series(), "rising", name="x", colour="#000000")["y"][-1])
    with pytest.raises(KeyError):
        line(a_series(), "absent", name="x", colour="#000000")


def boundary(step: int) -> dict[str, int]:
    return {"step": step, "earliest": step, "latest": step}


def test_bands_are_those_phases_that_happened() -> None:
    whole = {"memorized": boundary(5), "onset": boundary(10), "cleanup": boundary(30), "grokked": boundary(50)}
    assert [band[:3] for band in bands(a_series(phases=whole))] == [
        ("memorization", 0, 5), ("circuit formation", 10, 30), ("cleanup", 30, 50),
    ]  # fmt: skip
    unfinished = whole | {"cleanup": None, "grokked": None}
    assert [band[:3] for band in bands(a_series(phases=unfinished))] == [("memorization", 0, 5), ("circuit formation", 10, 60)]
    assert bands(a_series(phases=dict.fromkeys(whole))) == []
    assert bands(a_series()) == []


def test_bands_lie_behind_every_step_axis() -> None:
    series = a_series(phases={"memorized": boundary(5)})
    shapes = phase_bands(series, ["x", "x3"])
    assert [(shape["xref"], shape["yref"], shape["layer"]) for shape in shapes] == [
        ("x", "y domain", "below"), ("x3", "y3 domain", "below"),
    ]  # fmt: skip


def test_figures_neither_need_torch_nor_load_plotly_before_the_first_drawing() -> None:
    code = "import sys, interp.figures; print(sorted({'torch', 'plotly'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
