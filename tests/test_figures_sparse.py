"""No figure hides what was measured: where a curve has few points, or points alone between gaps, they are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr
from growing import built_in
from playwright.sync_api import Browser
from retelling import retold
from visiting import visit

from interp.figures import curve, line
from interp.observing.analysis import find_analyses
from interp.reporting import Panel, page

NAMES = [analysis.name for analysis in find_analyses()]


def published(n_losses: int = 201, every: int = 50) -> xr.Dataset:
    """The growing circuit as published files have such runs: a loss for every epoch, accuracies of the checkpoints alone."""
    series = built_in()[1]
    steps = np.arange(n_losses)
    history = {str(name): values for name, values in series.data_vars.items() if "history_step" in values.dims}
    told = series.drop_vars([*history, "history_step"])
    for name in history:
        values = np.linspace(0.1, 0.9, n_losses)
        if "accuracy" in name:
            values = np.where(steps % every == 0, values, np.nan)
        told[name] = xr.DataArray(values, dims="history_step", coords={"history_step": steps})
    return retold(told, phases="{}", outcome="unknown", lead="{}")


def with_gaps() -> xr.Dataset:
    """Numbers at every other checkpoint alone: each stands between two gaps."""
    series = built_in()[1]
    gone = np.arange(series.sizes["step"]) % 2 == 1
    changed = {}
    for name, values in series.data_vars.items():
        if "step" in values.dims and values.dtype.kind == "f":
            changed[name] = values.where(xr.DataArray(~gone, dims="step"))
    return series.assign(changed)


def hidden(figure: go.Figure) -> Iterator[str]:
    """Curves with points that neither a line leads to nor a marker shows."""
    for trace in figure.data:
        if trace.type != "scatter" or trace.x is None:
            continue
        x, y = (np.asarray(values) for values in (trace.x, trace.y))
        if not len(y) or y.dtype.kind not in "fiu":
            continue
        # What was measured at one step is drawn by its name, which is a place like any number.
        known = np.isfinite(y.astype(float)) & (np.isfinite(x.astype(float)) if x.dtype.kind in "fiu" else True)
        beside = np.concatenate([[False], known, [False]])
        shown = known & (beside[:-2] | beside[2:]) & ("lines" in trace.mode)
        if "markers" in trace.mode:
            size = np.broadcast_to(6.0 if trace.marker.size is None else np.asarray(trace.marker.size, dtype=float), y.shape)
            shown |= known & (size > 0)
        if (known & ~shown).any():
            yield f"{trace.name}: {int((known & ~shown).sum())} of {int(known.sum())} points"


def test_the_check_sees_what_is_hidden() -> None:
    values = [np.nan, 1.0, np.nan, 2.0, np.nan]
    assert list(hidden(go.Figure(go.Scatter(x=[0, 1, 2, 3, 4], y=values, mode="lines", name="x")))) == ["x: 2 of 2 points"]
    assert list(hidden(go.Figure(go.Scatter(x=[0, 1], y=[1.0, 2.0], mode="lines")))) == []
    assert list(hidden(go.Figure(go.Scatter(x=[0, 1], y=values[1:3], mode="lines+markers", marker={"size": [0, 7]}, name="x"))))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["whole", "published", "gaps", "one"])
def test_no_figure_hides_a_number(name: str, kind: str) -> None:
    whole = built_in()[1]
    series = {"whole": lambda: whole, "published": published, "gaps": with_gaps, "one": lambda: one_checkpoint(whole)}[kind]()
    assert list(hidden(find_analyses([name])[0].figure(series))) == []


def one_checkpoint(series: xr.Dataset) -> xr.Dataset:
    return retold(series.isel(step=[-1], history_step=[-1]), phases="{}", outcome="unknown", lead="{}")


def test_accuracies_of_few_steps_are_a_line_with_its_points_marked() -> None:
    [analysis] = find_analyses(["loss_curves"])
    traces = {(trace.name, trace.yaxis): trace for trace in analysis.figure(published()).data}
    for part in ("train", "test"):
        accuracy, loss = traces[part, "y2"], traces[part, "y"]
        assert list(accuracy.x) == [0, 50, 100, 150, 200]
        assert np.isfinite(np.asarray(accuracy.y, dtype=float)).all()
        assert (accuracy.mode, loss.mode) == ("lines+markers", "lines")
        assert len(loss.x) == 201


def test_a_curve_keeps_its_gaps_and_marks_what_stands_alone() -> None:
    drawn = curve(range(7), [1.0, 2.0, np.nan, 3.0, np.nan, 4.0, 5.0], name="x", colour="#000000")
    assert drawn["mode"] == "lines+markers"
    assert drawn["marker"]["size"].tolist() == [0, 0, 0, 7, 0, 0, 0]
    assert np.isnan(drawn["y"][2])
    assert "marker" not in curve(range(3), [1.0, 2.0, 3.0], name="x", colour="#000000")
    series = published()
    assert line(series, "history_test_loss", name="x", colour="#000000")["mode"] == "lines"


def test_a_loss_of_exactly_0_is_told_where_a_logarithmic_axis_cannot_show_it() -> None:
    """Losses of other tools collapse to 0 in single precision."""
    [analysis] = find_analyses(["loss_curves"])
    series = published()
    series["history_train_loss"][:] = 0
    [note] = [note for note in analysis.figure(series).layout.annotations if "0 throughout" in note.text]
    assert (note.text, note.xref, note.yref) == ("train: 0 throughout", "x domain", "y domain")
    series["history_test_loss"][:] = 0
    assert "train, test: 0 throughout" in [note.text for note in analysis.figure(series).layout.annotations]
    assert not [note for note in analysis.figure(published()).layout.annotations if "throughout" in note.text]


@pytest.mark.browser
def test_the_accuracies_of_a_published_run_are_seen(browser: Browser, tmp_path: Path) -> None:
    [analysis] = find_analyses(["loss_curves"])
    path = tmp_path / "published.html"
    panel = Panel(analysis.name, analysis.title, analysis.caption, analysis.figure)
    path.write_text(page(published(), [panel]).html, encoding="utf-8")
    seen = visit(browser, path)
    lines = "[...document.querySelectorAll('#panel-loss_curves .cells .scatterlayer .js-line')].map((e) => e.getTotalLength())"
    dots = "document.querySelectorAll('#panel-loss_curves .cells .scatterlayer .point').length"
    assert all(length > 50 for length in seen.page.evaluate(lines))
    assert len(seen.page.evaluate(lines)) == 4
    assert seen.page.evaluate(dots) == 10
    assert seen.said == []
    seen.leave()
