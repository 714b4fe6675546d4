"""The report's figures one at a time: from Python, and as files that a real browser opens or draws."""

from __future__ import annotations

import json
import re
import socketserver
import struct
import threading

import numpy as np
import plotly.graph_objects as go
import plotly.io
import pytest
from visiting import hear, leave_tab, open_tab

import interp
from interp.cli import main
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import DataError, UsageError
from interp.figures import browsing, saving
from interp.figures.held import still
from interp.observing import described
from interp.observing.analysis import find_analyses
from interp.observing.derived import date_phases
from interp.observing.observe import observe
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

MOVING = "embedding_spectrum"
OWN = '''"""Is it mine?"""
import plotly.graph_objects as go
from interp import Analysis

def figure(series):
    {body}

ANALYSIS = Analysis("own", question=__doc__, measure=lambda view: {{"mine": 1.0}}, figure=figure)
'''


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> interp.Run:
    config = RunConfig(
        task=ModularTask(11),
        split=SplitConfig(fraction=0.5),
        model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
        checkpoints=CheckpointConfig(log=0, every=20),
        steps=60,
        evaluate_every=20,
        engine="reference",
        threads=1,
    )
    return interp.record(config, root=tmp_path_factory.mktemp("runs"), name="tiny", progress=False)


def call(*arguments: object) -> int:
    """Run a command in this process; its exit code."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return int(exit_.value.code or 0)


@pytest.mark.parametrize("name", [analysis.name for analysis in find_analyses() if "group" not in analysis.needs])
def test_a_figure_from_python_is_that_of_the_report(run, name):
    expected = find_analyses([name])[0].figure(observe(run))
    found = interp.figures.figure(run, name)
    assert parts(found, "data", "frames") == parts(expected, "data", "frames")
    assert [shape.name for shape in found.layout.shapes] == [shape.name for shape in expected.layout.shapes]


def parts(figure: go.Figure, *names: str) -> list:
    whole = json.loads(figure.to_json())
    return [whole.get(name) for name in names]


def test_a_figure_held_at_a_step_shows_that_step_and_marks_it(run):
    whole, held = interp.figures.figure(run, MOVING), interp.figures.figure(run, MOVING, step=20)
    assert len(whole.frames) == len(run.steps)
    assert not held.frames
    assert not held.layout.sliders
    assert held.layout.height == whole.layout.height - 70
    series = observe(run, [MOVING])
    bars = [np.asarray(trace.x) for trace in held.data if trace.type == "bar"]
    for values, name in zip(bars, ("embedding_norm", "neuron_logit_norm"), strict=True):
        assert np.array_equal(values, series[name].sel(step=20).values)
    marks = [shape for shape in held.layout.shapes if shape.type == "line"]
    assert [(mark.xref, mark.x0, mark.x1) for mark in marks] == [(axis, 20, 20) for axis in whole.layout.meta["step_axis"]]


def test_every_figure_has_the_phases_that_the_excluded_loss_dates(run, monkeypatch):
    given = []
    monkeypatch.setattr(described, "date_phases", lambda series: given.append(series) or date_phases(series))
    interp.figures.figure(run, "weight_norms")
    assert given[0]["excluded_loss"].sizes == {"step": len(run.steps)}


def test_themes_differ_in_paper_and_ink_but_not_in_colours(run):
    light, dark = (interp.figures.figure(run, "loss_curves", theme=theme) for theme in ("light", "dark"))
    assert light.layout.paper_bgcolor != dark.layout.paper_bgcolor
    assert light.layout.template.layout.font.color != dark.layout.template.layout.font.color
    assert [trace.line.color for trace in light.data] == [trace.line.color for trace in dark.data]


def test_a_users_figure_is_had_by_its_name_and_its_failure_is_told(run, tmp_path):
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(OWN.format(body="return go.Figure(go.Bar(y=series['mine'].values))"))
    bad.write_text(OWN.format(body="raise ArithmeticError('on purpose')"))
    assert interp.figures.figure(run, "own", files=[good]).data[0].y.tolist() == [1.0] * len(run.steps)
    with pytest.raises(DataError, match="own: its figure raised ArithmeticError: on purpose"):
        interp.figures.figure(run, "own", files=[bad])
    assert call("figure", run.path, "own", "-o", tmp_path / "own.json", "--file", good) == 0


def test_json_is_plotlys_own_format(run, tmp_path):
    assert call("figure", run.path, MOVING, "-o", tmp_path / "x.json", "--no-title") == 0
    read = plotly.io.read_json(tmp_path / "x.json")
    assert [frame.name for frame in read.frames] == [str(step) for step in run.steps]
    assert read.layout.title.text is None
    assert call("figure", run.path, MOVING, "-o", tmp_path / "x.json", "--step", 20) == 0
    read = plotly.io.read_json(tmp_path / "x.json")
    assert (len(read.frames), read.layout.title.text) == (
        0,
        f"{run.name}: Which frequencies does the network build on? (step 20)",
    )


def kind_of(data: bytes) -> str:
    return {b"\x89PNG": "png", b"%PDF": "pdf", b"<svg": "svg"}[data[:4]]


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_pictures_are_drawn_in_the_size_that_was_asked_for(run, tmp_path, kind, capsys):
    path = tmp_path / f"x.{kind}"
    size = ["--width", 500, "--height", 300, *(["--scale", 3] if kind == "png" else [])]
    assert call("figure", run.path, "loss_curves", "-o", path, "--step", 40, *size) == 0
    assert capsys.readouterr().out == f"wrote {path}\n"
    data = path.read_bytes()
    assert kind_of(data) == kind
    if kind == "png":
        assert struct.unpack(">II", data[16:24]) == (1500, 900)
    if kind == "svg":
        text = data.decode()
        assert 'width="500" height="300"' in text
        assert "(step 40)" in text
        assert text.count('class="trace scatter') == 4
        assert not re.search(r"(?:href|src)=\"https?:", text)


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
def test_the_browser_that_draws_pictures_asks_no_network_for_anything(run, tmp_path, monkeypatch):
    asked: list[str] = []

    class Listening(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Listening) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(browsing, "NO_NETWORK", f"http://127.0.0.1:{server.server_address[1]}")
        drawn = still(interp.figures.figure(run, "loss_curves"))
        interp.figures.save(drawn, tmp_path / "plain.svg")
        assert not [line for line in asked if "plotly" in line or "mathjax" in line.lower() or "cdn" in line]
        drawn.add_layout_image(source="http://example.invalid/x.png", x=0, y=1, sizex=1, sizey=1)
        interp.figures.save(drawn, tmp_path / "remote.svg")
        server.shutdown()
    assert [line for line in asked if "example.invalid" in line]  # what is fetched comes here, and usually nothing is here


@pytest.mark.browser
def test_the_page_of_a_figure_works_offline(run, tmp_path, browser):
    path = tmp_path / "x.html"
    assert call("figure", run.path, MOVING, "-o", path) == 0
    said, asked = [], []
    page = open_tab(browser)
    stop = hear(page, said, asked)
    page.goto(path.as_uri())
    page.wait_for_selector(".slider-container")
    assert page.title() == f"{run.name}: Which frequencies does the network build on?"
    shown = "document.querySelector('.js-plotly-plot').data.filter(t => t.type === 'bar')[0].x"
    before = page.evaluate(f"JSON.stringify({shown})")
    page.mouse.click(*centre(page.locator(".slider-rail-touch-rect").bounding_box(), 0.02))
    page.wait_for_timeout(500)
    assert page.evaluate(f"JSON.stringify({shown})") != before
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    stop()
    leave_tab(page)


def centre(box: dict[str, float], along: float) -> tuple[float, float]:
    return box["x"] + along * box["width"], box["y"] + box["height"] / 2


def test_without_kaleido_a_picture_says_what_to_install_and_a_page_is_written(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(saving, "find_spec", lambda name: None)
    assert call("figure", run.path, "loss_curves", "-o", tmp_path / "x.png") == 2
    assert "pip install 'interp[export]'" in capsys.readouterr().err
    assert call("figure", run.path, "loss_curves", "-o", tmp_path / "x.html") == 0


def test_without_a_browser_a_picture_says_what_to_install(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nothing"))
    assert call("figure", run.path, "loss_curves", "-o", tmp_path / "x.svg") == 2
    said = capsys.readouterr().err
    assert "apt-get install chromium" in said
    assert "BROWSER_PATH" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["loss_curve", "-o", "x.svg"], "did you mean 'loss_curves'? Known: loss_curves, best_guesses"),
        (["", "-o", "x.svg"], "Known: loss_curves, best_guesses"),
        (["loss_curves", "-o", "x.bmp"], "expected one of .png, .svg, .pdf, .html, .json"),
        (["loss_curves", "-o", "nowhere/x.svg"], "directory nowhere does not exist"),
        (["loss_curves", "-o", "x.svg", "--width", "0"], "width: given 0"),
        (["loss_curves", "-o", "x.svg", "--height", "99999"], "height: given 99999"),
        (["loss_curves", "-o", "x.png", "--scale", "nan"], "scale: given nan"),
        (["loss_curves", "-o", "x.html", "--width", "500"], "expected only for pictures"),
        (["loss_curves", "-o", "x.json", "--step", "41"], "did you mean 40"),
        (["loss_curves", "-o", "x.json", "--key-rule", "9"], "expected 1..5"),
        (["-o", "x.json"], "NAME"),
    ],
)
def test_wrong_usage_says_what_to_do(run, arguments, message, capsys):
    assert call("figure", run.path, *arguments) == 2
    captured = capsys.readouterr()
    assert message in " ".join((captured.err + captured.out).replace("│", " ").split())


def test_a_step_that_a_figure_does_not_have_is_refused():
    drawn = go.Figure(data=[{"type": "bar", "y": [1]}], frames=[{"name": "5", "data": [{"type": "bar", "y": [2]}]}])
    with pytest.raises(UsageError, match="given 6, which this figure does not have; it has 5"):
        interp.figures.at_step(drawn, 6)
    assert interp.figures.at_step(drawn, 5).data[0].y == (2,)
