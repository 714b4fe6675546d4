"""What can be exported from the page: every figure as a picture, every series as a table."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
import pytest
import xarray as xr
from growing import STEPS, built_in
from playwright.sync_api import Browser
from retelling import saying
from visiting import Visit, visit

from interp.figures.theme import PAPER
from interp.observing.analysis import find_analyses
from interp.observing.series import about
from interp.reporting import page
from interp.reporting.columns import WIDEST
from interp.reporting.write import panels

pytestmark = pytest.mark.browser

NAMES = [analysis.name for analysis in find_analyses()]


@pytest.fixture(scope="module")
def seen(browser: Browser, report_file: Path) -> Iterator[Visit]:
    found = visit(browser, report_file)
    yield found
    assert found.said == []
    found.leave()


def taken(seen: Visit, selector: str, *, count: Iterator[int] = itertools.count(1)) -> tuple[str, bytes]:  # noqa: B008 counts all
    """What a click downloads: the file's name and content. (Chromium ignores the eleventh without a second's rest.)"""
    if next(count) % 8 == 0:
        seen.page.wait_for_timeout(1200)
    with seen.page.expect_download() as download:
        seen.page.click(selector)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


@pytest.mark.parametrize(("kind", "head"), [("png", b"\x89PNG"), ("svg", b"<svg")])
def test_every_figure_can_be_taken_away_as_a_picture(seen: Visit, kind: str, head: bytes) -> None:
    for name in NAMES:
        filename, data = taken(seen, f"#panel-{name} [data-tool={kind}]")
        assert data.startswith(head)
        assert len(data) > 5000
        assert filename == f"{name}-step{STEPS[-1]}.{kind}"


# Colour and opacity of a picture's first pixel, which is paper, in 255ths.
CORNER = """async (address) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    const pen = Object.assign(document.createElement("canvas"), {width: image.width, height: image.height}).getContext("2d");
    pen.drawImage(image, 0, 0);
    return [...pen.getImageData(0, 0, 1, 1).data];
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_has_the_paper_of_its_theme_so_that_it_can_be_read_anywhere(
    browser: Browser, report_file: Path, theme: Literal["light", "dark"]
) -> None:
    seen, blank, wanted = visit(browser, report_file, theme=theme), browser.new_page(), PAPER[theme]
    for name in ("loss_curves", "attention_patterns"):
        for kind, format_ in (("png", "png"), ("svg", "svg+xml")):
            data = base64.b64encode(taken(seen, f"#panel-{name} [data-tool={kind}]")[1]).decode()
            assert blank.evaluate(CORNER, f"data:image/{format_};base64,{data}") == [*bytes.fromhex(wanted[1:]), 255]
    assert seen.said == []
    blank.close()
    seen.leave()


def columns(series: xr.Dataset, variables: list[str]) -> dict[str, np.ndarray]:
    """The columns of a table by their titles, straight from the series."""
    found = {}
    for name in variables:
        array, short = series[name], name.removeprefix("history_")
        if array.ndim == 1:
            found[short] = array.values
            continue
        flat = array.stack(column=array.dims[1:])
        for i, labels in enumerate(flat.column.values.tolist()):
            where = ", ".join(f"{dim}={label}" for dim, label in zip(array.dims[1:], labels, strict=True))
            found[f"{short}[{where}]"] = flat.values[:, i]
    return found


def wanted(series: xr.Dataset, name: str) -> dict[str, np.ndarray]:
    own = [v for v in series.data_vars if series[v].attrs.get("analysis") == name and series[v].isel(step=0).size <= WIDEST]
    return columns(series, own)


@pytest.mark.parametrize("name", NAMES)
def test_tables_taken_away_are_the_series_bit_for_bit(seen: Visit, name: str) -> None:
    series, selector = built_in()[1], f"#panel-{name} [data-tool=parquet]"
    expected = wanted(series, name)
    if not seen.page.locator(selector).count():
        assert expected == {}
        return
    filename, data = taken(seen, selector)
    assert filename == f"planted-{name}.parquet"
    table = pq.read_table(io.BytesIO(data))
    assert table.column("step").to_pylist() == STEPS
    assert table.column_names == ["step", *expected]
    rows = list(csv.DictReader(io.StringIO(taken(seen, f"#panel-{name} [data-tool=csv]")[1].decode())))
    for title, values in expected.items():
        found = table.column(title).to_numpy()
        if values.dtype.kind == "f":
            assert found.dtype == values.dtype
            assert found.tobytes() == values.tobytes()
        assert np.array_equal(found, values, equal_nan=values.dtype.kind == "f")
        read = np.array([row[title] or "nan" for row in rows]).astype(np.float64).astype(values.dtype)
        assert np.array_equal(read, values, equal_nan=values.dtype.kind == "f")


def test_the_history_can_be_taken_away_and_says_where_it_comes_from(seen: Visit) -> None:
    series = built_in()[1]
    filename, data = taken(seen, "#panel-facts [data-tool=parquet]")
    assert filename == "planted-run-history.parquet"
    table = pq.read_table(io.BytesIO(data))
    for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy"):
        assert table.column(name).to_numpy().tobytes() == series[f"history_{name}"].values.tobytes()
    notes = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert notes["run"] == "planted"
    assert json.loads(notes["key_frequencies"]) == list(about(series).key_frequencies)
    assert json.loads(notes["config"])["seed"] == 0


def test_series_of_every_size_and_sign_survive_and_those_too_large_are_named(browser: Browser, tmp_path: Path) -> None:
    analyses, series = built_in()
    rng, n = np.random.default_rng(0), len(STEPS)
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324, 1e308])
    extreme = {
        "doubles": ("step", odd), "singles": ("step", np.float32([1e-45, -3.4e38, 0.1, np.nan, 1 / 3, 16777217])),
        "whole": ("step", rng.integers(-(2**31), 2**31 - 1, n)), "wide": (("step", "c"), rng.normal(size=(n, 200))),
        "map": (("step", "i"), rng.normal(size=(n, WIDEST + 1))), 'na,me "x"': ("step", np.arange(n)),
    }  # fmt: skip
    mine = saying(xr.Dataset(extreme, coords={"step": STEPS}), run="odd", p=7, key_frequencies=[])
    for name in mine.data_vars:
        mine[name].attrs["analysis"] = "weight_norms"
    shown = [panel for panel in panels(series, analyses) if panel.name == "weight_norms"]
    path = tmp_path / "odd.html"
    made = page(mine, [type(shown[0])("weight_norms", "Odd?", "Odd.", lambda _: shown[0].draw(series))])
    path.write_text(made.html, encoding="utf-8")
    seen = visit(browser, path)
    table = pq.read_table(io.BytesIO(taken(seen, "[data-tool=parquet]")[1]))
    for name in ("doubles", "singles"):
        assert table.column(name).to_numpy().tobytes() == mine[name].values.tobytes()
    assert table.column("whole").to_numpy().tolist() == mine["whole"].values.tolist()
    assert table.num_columns == 1 + 3 + 200 + 1
    rows = list(csv.DictReader(io.StringIO(taken(seen, "[data-tool=csv]")[1].decode())))
    assert [row['na,me "x"'] for row in rows] == [str(i) for i in range(n)]
    assert [float(row["doubles"].replace("Infinity", "inf") or "nan") for row in rows][1:] == odd[1:].tolist()
    assert "map" in seen.page.inner_text(".left")
    assert seen.said == []
    seen.leave()


def test_what_is_drawn_can_be_taken_away_where_the_numbers_are_too_many(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maps of the checkpoint that is shown and curves, as exactly as the page has them, in sight or not."""
    monkeypatch.setattr("interp.reporting.columns.WIDEST", 3)
    analyses, series = built_in()
    path, step = tmp_path / "report.html", STEPS[2]
    path.write_text(page(series, panels(series, analyses)).html, encoding="utf-8")
    seen = visit(browser, path, fragment=f"#step={step}")

    def rows_of(name: str) -> list[dict[str, str]]:
        filename, data = taken(seen, f"#panel-{name} [data-tool=drawn]")
        assert filename == f"planted-{name}-step{step}.csv"
        return list(csv.DictReader(io.StringIO(data.decode())))

    rows, shares = rows_of("logit_spectrum"), series["logit_share"]
    for row in (row for row in rows if row["plot"] == "Waves at this step"):
        share = shares.sel(step=step, frequency_a=int(row["y"]), frequency_b=int(row["x"]))
        assert float(row["value"]) == pytest.approx(float(share) ** 0.5, abs=1e-4)
    assert sum(row["plot"] == "Waves at this step" for row in rows) == shares.isel(step=0).size
    together = {int(row["x"]): float(row["y"] or "nan") for row in rows if row["name"] == "all together"}
    assert together == pytest.approx(dict(zip(STEPS, series["cos_fve"].values.tolist(), strict=True)), rel=1e-6, nan_ok=True)

    rows, p = rows_of("attention_patterns"), series.sizes["a"]
    for head in range(series.sizes["head"]):
        fields = [row for row in rows if row["plot"].startswith(f"head {head}") and row["value"]]
        assert {(int(row["y"]), int(row["x"])) for row in fields} == set(itertools.product(range(p), range(p)))
        for row in fields:
            expected = series["attention_to_a"].sel(step=step).values[head, int(row["y"]), int(row["x"])]
            assert float(row["value"]) == pytest.approx(expected, abs=1 / 256)
    assert seen.said == []
    seen.leave()
