"""A measure of one's own: a plain function is enough, its figure is drawn, its mistakes are shown where they are."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr
from recorded import CONFIG

import interp
from interp.errors import DataError, UsageError
from interp.figures.plain_lines import figure_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return interp.record(CONFIG, tmp_path_factory.mktemp("own"), "tiny", progress=False)


def sizes(view):
    """How large are the embedding's rows?

    A caption.
    """
    norms = view.weights.W_E.norm(dim=1).numpy()
    return {
        "mean_norm": float(norms.mean()),
        "norms": xr.DataArray(norms, dims="token"),
        "pair": xr.DataArray(norms[:2], dims="half"),
    }


def test_a_function_is_an_analysis(run):
    series = interp.observe(run, sizes)
    assert set(series.data_vars) >= {"mean_norm", "norms", "pair"}
    assert series["mean_norm"].attrs["analysis"] == "sizes"
    assert series.identical(interp.observe(run, [sizes]))
    both = interp.observe(run, [sizes, "weight_norms"])
    assert {"mean_norm", "sum_squared"} <= set(both.data_vars)
    assert interp.observe(run, lambda view: {"x": view.step})["x"].values.tolist() == list(run.steps)


def test_without_a_figure_every_variable_has_its_lines(run, tmp_path):
    analysis = interp.Analysis("sizes", question="How large?", measure=sizes)
    series = interp.observe(run, analysis)
    drawn = figure_of(analysis)(series)
    names = [trace.name for trace in drawn.data]
    assert names[0] == "mean_norm"
    many = [f"norms: {what} of 12" for what in ("least", "median", "greatest")]
    assert [name for name in names if name.startswith("norms: ")] == many
    assert [name for name in names if name.startswith("half")] == ["half 0", "half 1"]
    np.testing.assert_array_equal(drawn.data[0].y, series["mean_norm"].values)
    np.testing.assert_array_equal(drawn.data[3].y, series["norms"].max("token").values)
    page = interp.report(run, tmp_path / "x.html", analyses=sizes)
    assert page.failures == {}
    assert "How large are the embedding" in page.html


def test_what_has_no_numbers_over_steps_is_told(run):
    text = interp.Analysis("said", "What?", lambda view: {"word": "yes", "count": 3.0}, at="last")
    drawn = figure_of(text)(interp.observe(run, text))
    assert any("word = yes" in note.text for note in drawn.layout.annotations)


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        (lambda view: 0.5, r"returned 0\.5 \(a bare float\), expected values by name, such as \{'function': 0\.5\}"),
        (lambda view: view.weights.W_E, r"a bare Tensor of shape \(12, 16\), expected values by name"),
        (lambda view: None, "a bare NoneType, expected values by name"),
        (lambda view: {"x": "word"}, "x: given values of type"),
    ],
)
def test_what_is_measured_has_a_name(run, measure, said):
    failures = interp.about(interp.observe(run, measure)).failures
    assert re.search(said, failures["function"])


FILE = '''"""What?"""

from interp import Analysis


def measure(view):
    return {"x": view.nothing}


ANALYSIS = Analysis("mine", question=__doc__, measure=measure)
'''


def test_an_error_in_a_file_shows_file_and_line(run, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    failures = interp.about(interp.observe(run, files=path)).failures
    assert f"({path}, line 7)" in failures["mine"]
    with pytest.raises(DataError, match=r"mine\.py, line 7"):
        interp.figures.figure(run, "mine", files=[path])
    for text, line in (("import nothing_like_this\n", 1), ("x = 1\ny = x +\n", 2), ("\n\nraise SystemExit(3)\n", 3)):
        path.write_text(text)
        with pytest.raises(UsageError, match=rf"mine\.py.*line {line}\)"):
            interp.observe(run, files=path)


def test_what_is_no_function_is_refused():
    with pytest.raises(UsageError, match="measure: given int, expected a function"):
        interp.Analysis("x", "What?", 3)
    with pytest.raises(UsageError, match="expected one that draws tables"):
        interp.Analysis("x", "What?", dict, kind="tables")


# -- a wide table ----------------------------------------------------------------------------------------------------------------


def test_a_frame_has_one_row_a_step(run):
    series = interp.observe(run, [sizes, "weight_norms"])
    frame = interp.to_frame(series)
    assert list(frame.index) == list(run.steps)
    assert frame.attrs["run"] == "tiny"
    np.testing.assert_array_equal(frame["mean_norm"], series["mean_norm"])
    np.testing.assert_array_equal(frame["sum_squared[tensor=W_E]"], series["sum_squared"].sel(tensor="W_E"))
    np.testing.assert_array_equal(frame["norms[token=11]"], series["norms"][:, 11])
    expected = series["history_test_loss"].to_series().reindex(series["step"].values)
    np.testing.assert_array_equal(frame["history_test_loss"], expected)
    for wrong in (run, xr.Dataset()):
        with pytest.raises(UsageError, match="expected a Dataset over steps"):
            interp.to_frame(wrong)
