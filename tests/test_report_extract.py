"""What a page keeps of a figure: its base and its moves give back every frame."""

from __future__ import annotations

import re

import numpy as np
import plotly.graph_objects as go
import pytest
from growing import built_in
from page_parts import decoded, resolved

from interp.errors import UsageError
from interp.observing.analysis import find_analyses
from interp.reporting import Panel, page
from interp.reporting.blocks import Blocks
from interp.reporting.extract import ROUNDED, extract


def at_step(panel: dict, blocks: Blocks, index: int) -> dict:
    """Data and layout of a panel after its moves, as panels.js applies them."""
    shown = {"data": resolved(panel["data"], blocks), "layout": resolved(panel["layout"], blocks)}
    for move in panel["moves"]:
        target = shown["layout"] if move["place"] == "layout" else shown["data"][move["place"]]
        *way, last = move["path"].split(".")
        for name in way:
            target = target.setdefault(name, {})
        block = "block" in move
        target[last] = (
            decoded(blocks, move["block"])[index].tolist() if block else resolved(move["values"][move["index"][index]], blocks)
        )
    return shown


def users_figure() -> go.Figure:
    """What a user may write: frames in any order, lists, numbers, texts, arrays that change length, layout changes."""
    frames = [
        {
            "name": str(step),
            "data": [
                {"type": "scatter", "y": list(range(step, step + 30)), "marker": {"size": step + 1, "color": ["#000000"] * 2}},
                {"type": "bar", "x": np.arange(step + 1), "y": np.arange(step + 1.0), "text": [f"t{step}"] * (step + 1)},
            ],
            "layout": {"title": {"text": f"step {step}"}, "xaxis": {"range": [0, step + 1]}},
        }
        for step in (20, 0, 10)
    ]
    return go.Figure(data=frames[0]["data"], layout={"title": {"text": "start"}, "meta": "not a dict"}, frames=frames)


@pytest.mark.parametrize(("index", "step"), [(0, 0), (1, 10), (2, 20)])
def test_base_and_moves_give_back_every_frame(index: int, step: int) -> None:
    blocks = Blocks()
    panel = extract(users_figure(), blocks)
    assert panel["steps"] == [0, 10, 20]
    shown = at_step(panel, blocks, index)
    assert shown["data"][0]["y"] == list(range(step, step + 30))
    assert shown["data"][0]["marker"]["size"] == step + 1
    assert shown["data"][1]["x"] == list(range(step + 1))
    assert shown["data"][1]["text"] == [f"t{step}"] * (step + 1)
    assert shown["layout"]["title"]["text"] == f"step {step}"
    assert shown["layout"]["xaxis"]["range"] == [0, step + 1]


@pytest.mark.parametrize("name", ["embedding_spectrum", "neuron_frequencies", "embedding_circles", "logit_spectrum"])
def test_moves_of_the_built_in_figures_give_back_their_frames(name: str) -> None:
    blocks, figure = Blocks(), find_analyses([name])[0].figure(built_in()[1])
    panel = extract(figure, blocks)
    for index, frame in enumerate(figure.frames):
        shown = at_step(panel, blocks, index)
        for place, trace in zip(frame.traces, frame.data, strict=True):
            for attribute in ("x", "y", "z"):
                value = getattr(trace, attribute, None)
                if value is not None:
                    assert np.allclose(np.asarray(shown["data"][place][attribute]), np.asarray(value), atol=1e-4, equal_nan=True)


def test_what_the_page_does_itself_is_left_out() -> None:
    panel = extract(find_analyses(["neuron_frequencies"])[0].figure(built_in()[1]), Blocks())
    assert not {"sliders", "updatemenus", "template"} & set(panel["layout"])
    assert not [shape for shape in panel["layout"].get("shapes", []) if shape["name"].startswith("phase: ")]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"name": "early", "data": []}, "named 'early'"),
        ({"name": "5", "data": [{"type": "scatter"}], "traces": [3]}, "traces [3]"),
    ],
)
def test_frames_that_fit_no_step_or_trace_are_refused(frame: dict, words: str) -> None:
    figure = go.Figure(data=[{"type": "scatter"}], frames=[frame])
    with pytest.raises(UsageError, match=re.escape(words)):
        extract(figure, Blocks())


def test_a_figure_of_very_many_values_keeps_them_in_ten_bits_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(4, 40, 40)).cumsum(axis=0)
    frames = [{"name": str(step), "data": [{"type": "heatmap", "z": z}]} for step, z in enumerate(maps)]
    figure = go.Figure(data=frames[-1]["data"], frames=frames)
    sizes = []
    for most, rounded in ((maps.size, False), (maps.size - 1, True)):
        monkeypatch.setattr("interp.reporting.extract.MANY", most)
        blocks = Blocks()
        panel = extract(figure, blocks)
        assert panel["rounded"] is rounded
        error = np.abs(decoded(blocks, panel["moves"][0]["block"]) - maps).max()
        assert error <= 0.501 * np.ptp(maps) / (1023 if rounded else 65_534)
        sizes.append(len(blocks.payload()))
        shown = page(built_in()[1], [Panel("many", "Many?", "Text.", lambda _: figure)])
        assert (ROUNDED in shown.html) is rounded
    assert sizes[1] < 0.8 * sizes[0]
