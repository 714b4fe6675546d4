"""Figures for slides and papers: nothing too narrow, letters of the size that the place needs, names of run and phases."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from growing import STEPS, built_in

import interp
from interp.cli import main
from interp.errors import UsageError
from interp.figures import dressed, fitted, save
from interp.figures.band_names import with_band_names
from interp.figures.movie import check_movie, save_movie

SIZES = {"slide": (1280, 720, 18), "half": (624, 600, 15), "column": (326, None, 9.5)}


def drawn(name: str):
    analyses, series = built_in()
    return next(one for one in analyses if one.name == name).figure(series)


def axes(figure, letter: str) -> dict[str, dict]:
    return {name: axis for name, axis in figure.layout.to_plotly_json().items() if re.fullmatch(rf"{letter}axis\d*", name)}


@pytest.mark.parametrize("size", sorted(SIZES))
@pytest.mark.parametrize(
    "name", ["loss_curves", "progress_measures", "attention_patterns", "clock_or_pizza", "neuron_frequencies"]
)
def test_every_cell_has_room_and_no_two_of_them_meet(name: str, size: str) -> None:
    width, height, letter = SIZES[size]
    made = dressed(drawn(name), "one: what is asked?", place=size)
    layout = made.layout
    assert layout.width == width
    if name == "loss_curves" or (size == "slide" and name != "attention_patterns"):  # others are higher, as their cells need it
        assert height is None or layout.height <= height * 1.001
    assert layout.font.size == letter
    free = (layout.width - layout.margin.l - layout.margin.r, layout.height - layout.margin.t - layout.margin.b)
    across, down = axes(made, "x"), axes(made, "y")
    boxes = [(*across[x]["domain"], *down[x.replace("x", "y", 1)]["domain"]) for x in across]
    for left, right, bottom, top in boxes:
        assert 0 <= left < right <= 1
        assert 0 <= bottom < top <= 1
        assert (right - left) * free[0] > 9 * letter
        assert (top - bottom) * free[1] > 2.5 * letter
    for i, (left, right, bottom, top) in enumerate(boxes):
        for other in boxes[i + 1 :]:
            beside = right <= other[0] + 1e-9 or other[1] <= left + 1e-9
            assert beside or bottom >= other[3] - 1e-9 or other[2] >= top - 1e-9


def test_in_a_column_cells_stand_under_each_other_and_on_a_slide_side_by_side() -> None:
    def places(size: str) -> list[float]:
        return [axis["domain"][0] for axis in axes(fitted(drawn("clock_or_pizza"), size), "x").values()]

    assert places("column") == [0, 0, 0]
    assert len(set(places("slide"))) > 1


def test_the_figure_itself_stays_as_it_is_and_an_unknown_size_is_refused() -> None:
    figure = drawn("loss_curves")
    before = figure.to_json()
    fitted(figure, "column")
    assert figure.to_json() == before
    with pytest.raises(UsageError, match="slide"):
        fitted(figure, "slides")


def test_bands_that_have_room_have_their_names_once() -> None:
    figure = drawn("loss_curves")
    assert with_band_names(figure) is figure, "its only band takes 10 of 400 steps"
    for shape in figure.layout.shapes:
        shape.x1 = 200
    made = with_band_names(with_band_names(figure))
    names = [note.text for note in made.layout.annotations if str(note.name or "").startswith("phase: ")]
    assert names
    assert len(names) == len(set(zip(names, [note.xref for note in made.layout.annotations if note.name], strict=True)))
    bands = {shape.name.removeprefix("phase: ") for shape in made.layout.shapes}
    assert set(names) <= bands


def test_a_page_with_the_library_beside_it_is_small_and_asks_for_nothing_else(tmp_path) -> None:
    path = save(drawn("loss_curves"), tmp_path / "x.html", library="beside")
    assert path.stat().st_size < 200_000
    assert (tmp_path / "plotly.min.js").stat().st_size > 1_000_000
    text = path.read_text()
    assert re.findall(r'src="(.*?)"', text) == ["plotly.min.js"]
    assert "default-src 'none'" in text


@pytest.mark.browser
def test_a_page_with_the_library_beside_it_is_drawn(browser, tmp_path) -> None:
    from visiting import leave_tab, open_tab

    path = save(drawn("embedding_circles"), tmp_path / "x.html", library="beside")
    page = open_tab(browser)
    page.goto(path.as_uri())
    page.wait_for_selector(".main-svg .trace")
    leave_tab(page)


def test_what_no_movie_can_be_made_of_is_refused_with_a_way_out(tmp_path, monkeypatch, capsys) -> None:
    figure = drawn("embedding_circles")
    with pytest.raises(UsageError, match=r"expected \.gif or \.mp4"):
        save_movie(figure, tmp_path / "x.avi", STEPS)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="ffmpeg"):
        check_movie(tmp_path / "x.mp4")
    monkeypatch.setattr("interp.figures.movie.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="Pillow"):
        check_movie(tmp_path / "x.gif")
    monkeypatch.setattr("interp.figures.movie.find_spec", lambda name: name)
    with pytest.raises(UsageError, match="at least two"):
        save_movie(figure, tmp_path / "x.gif", STEPS[:1])


@pytest.mark.browser
def test_a_gif_has_a_picture_for_each_checkpoint(tmp_path) -> None:
    image = pytest.importorskip("PIL.Image")
    path = save_movie(drawn("embedding_circles"), tmp_path / "x.gif", STEPS, title="planted", most=3)
    with image.open(io.BytesIO(path.read_bytes())) as made:
        durations = []
        for i in range(made.n_frames):
            made.seek(i)
            durations.append(made.info["duration"])
    assert len(durations) == 3  # equal pictures at the end are one that stays
    assert durations[-1] > 5 * durations[0]


@pytest.mark.browser
def test_an_mp4_shows_each_checkpoint_and_the_last_for_a_second(tmp_path) -> None:
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("ffmpeg is not installed")
    path = save_movie(drawn("embedding_circles"), tmp_path / "x.mp4", STEPS, title="planted", most=3)
    what = "stream=codec_name,pix_fmt,nb_read_frames"
    asked = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", what, "-of", "csv=p=0"]
    said = subprocess.run([*asked, str(path)], capture_output=True, check=True, text=True).stdout
    assert said.strip() == "h264,yuv420p,11"  # three pictures, and eight more of the last


def test_the_command_writes_a_page_for_a_place_with_the_runs_name(tmp_path, capsys) -> None:
    config = replace(
        interp.recipe("demo"),
        task=replace(interp.recipe("demo").task, p=7),
        model=replace(interp.recipe("demo").model, d_model=8, n_heads=2, d_mlp=8),
        steps=20,
        checkpoints=replace(interp.recipe("demo").checkpoints, log=0, every=10),
        threads=1,
        engine="reference",
        until_settled=False,
    )
    interp.record(config, root=tmp_path, name="tiny", progress=False)
    out = tmp_path / "x.json"
    with pytest.raises(SystemExit) as ended:
        main(["figure", str(tmp_path / "tiny"), "loss_curves", "-o", str(out), "--size", "half"])
    assert not ended.value.code
    import plotly.io

    made = plotly.io.read_json(out)
    assert made.layout.width == 624
    assert made.layout.title.text.startswith("tiny: What do the ordinary curves say?")


@pytest.mark.parametrize("flags", [["loss_curves", "-o", "x.json"], ["loss_curves", "-o", "x.svg"], ["--all", "-o", "folder"]])
def test_a_place_for_the_library_is_refused_for_what_has_none(flags, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["figure", "nothing", *flags, "--library", "beside"])
    assert "expected only for .html files" in capsys.readouterr().err
