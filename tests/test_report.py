"""The report without a browser: arrays in and out of blocks, figures taken apart, the page as text, the file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
import pytest
from growing import STEPS, built_in
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from retelling import retold

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import UsageError
from interp.observing.analysis import Analysis, definitions_of, find_analyses
from interp.reporting import Page, Panel, page
from interp.reporting.blocks import LARGE, TOLERANCE, Blocks
from interp.reporting.extract import extract
from interp.reporting.maths import typeset
from interp.reporting.write import panels
from interp.store.run import Run
from interp.tasks.modular import IN_SIGNS, ModularTask
from interp.tasks.splits import SplitConfig
from interp.wording import percent


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory) -> Run:
    """A real run, recorded: too short to learn anything."""
    config = RunConfig(
        task=ModularTask(7), split=SplitConfig(fraction=0.5), model=ModelConfig(d_model=8, n_heads=2, d_mlp=8),
        checkpoints=CheckpointConfig(log=0, every=5), steps=10, evaluate_every=5, engine="reference", threads=1,
    )  # fmt: skip
    return interp.record(config, root=tmp_path_factory.mktemp("runs"), name="tiny", progress=False)


HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked=1'>\"'&`${1}"


def decoded(blocks: Blocks, number: int) -> np.ndarray:
    """What decode.js makes of a block, written a second time from the description in blocks.py."""
    data, entry = gzip.decompress(base64.b64decode(blocks.payload())), blocks.header[number]
    shape, at = entry["shape"], entry["at"]
    if entry["codec"] == "odds":
        rows, columns = decoded(blocks, entry["r"]), decoded(blocks, entry["c"])
        return 1 / (1 + np.exp(rows[:, :, None] + columns[:, None, :]))
    if entry["codec"] == "modes":
        weights, n = decoded(blocks, entry["weights"]), int(np.prod(shape[1:]))
        low, high = np.frombuffer(data, np.uint8, count=2 * weights.shape[1] * n, offset=at).astype(np.int64).reshape(2, -1)
        codes = ((low + 256 * high) >> 1) ^ -((low + 256 * high) & 1)
        return (weights @ codes.reshape(-1, n)).reshape(shape)
    if entry["codec"][0] == "f":
        width, size = int(entry["codec"][1]), int(np.prod(shape))
        planes = np.frombuffer(data, np.uint8, count=width * size, offset=at).reshape(width, size)
        changes = np.ascontiguousarray(planes.T).view(f"<u{width}").reshape(shape[0] if shape else 1, -1)
        return np.bitwise_xor.accumulate(changes, axis=0).view(f"<{entry['codec']}").reshape(shape)
    if entry["codec"] != "q2":
        return np.frombuffer(data, np.dtype(f"<{entry['codec']}"), count=int(np.prod(shape)), offset=at).reshape(shape)
    size = int(np.prod(shape))
    planes = np.frombuffer(data, np.uint8, count=2 * size, offset=at).astype(np.int64).reshape(2, -1)
    zigzag = (planes[0] + 256 * planes[1]).reshape(shape)
    codes = np.cumsum((zigzag >> 1) ^ -(zigzag & 1), axis=0) % 65_536
    return np.where(codes == 65_535, np.nan, entry["low"] + codes * entry["width"])


SMALL = hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)


@given(hnp.arrays(st.sampled_from([np.int64, np.uint8, np.int16, np.bool_]), SMALL, elements=None))
def test_integers_come_back_exactly(array: np.ndarray) -> None:
    if array.dtype == np.int64 and np.abs(array.astype(float)).max() > 2**31 - 2:
        return
    blocks = Blocks()
    assert np.array_equal(decoded(blocks, blocks.add(array)), array)


@given(hnp.arrays(np.float32, SMALL))
def test_single_precision_comes_back_exactly(array: np.ndarray) -> None:
    blocks = Blocks()
    assert np.array_equal(decoded(blocks, blocks.add(array, drawn=True)), array, equal_nan=True)


@given(hnp.arrays(np.float64, SMALL))
def test_double_precision_to_be_taken_away_comes_back_bit_for_bit(array: np.ndarray) -> None:
    blocks = Blocks()
    assert decoded(blocks, blocks.add(array, exact=True)).tobytes() == array.tobytes()


@settings(max_examples=40)
@given(st.integers(2, 6), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3), st.integers(0, 2**32 - 1))
def test_what_is_only_drawn_is_kept_to_half_a_step_of_its_range(rows: int, scale: float, shift: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(rows, LARGE)) * scale + shift
    values[0, :7] = np.nan
    values[1, :3] = np.inf
    blocks = Blocks()
    number = blocks.add(values, drawn=True)
    assert blocks.header[number]["codec"] == "q2"
    back = decoded(blocks, number)
    finite = np.isfinite(values)
    step = (values[finite].max() - values[finite].min()) / 65_534
    assert np.isnan(back[~finite]).all()
    assert np.abs(back - values)[finite].max() <= 0.51 * step + 1e-9 * scale


def test_arrays_without_a_finite_value_or_without_any_difference_are_kept() -> None:
    blocks = Blocks()
    assert np.isnan(decoded(blocks, blocks.add(np.full((2, LARGE), np.nan), drawn=True))).all()
    assert np.array_equal(decoded(blocks, blocks.add(np.full((2, LARGE), 3.5), drawn=True)), np.full((2, LARGE), 3.5))


def attention(seed: int = 0, size: int = 40) -> np.ndarray:
    """Softmax over three positions of scores that depend on one token each: attention to the first."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 5, size)) * 4
    return np.exp(a)[:, :, None] / (np.exp(a)[:, :, None] + np.exp(b)[:, None, :] + 1)


def test_attention_over_pairs_is_stored_by_its_factors() -> None:
    blocks, maps = Blocks(), attention()
    number = blocks.add(maps, drawn=True)
    assert blocks.header[number]["codec"] == "odds"
    assert np.abs(decoded(blocks, number) - maps).max() < TOLERANCE + 1e-3
    assert len(base64.b64decode(blocks.payload())) < maps.size


def test_saturated_attention_is_stored_by_its_factors_too() -> None:
    """In single precision attention of nearly 1 says nothing about how nearly; most of this head's is."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 5, 40)) * 6
    maps = (np.exp(a)[:, :, None] / (np.exp(a)[:, :, None] + np.exp(b)[:, None, :] + 1e-3)).astype(np.float32)
    assert (maps == 1).any()
    blocks = Blocks()
    number = blocks.add(maps, drawn=True)
    assert blocks.header[number]["codec"] == "odds"
    assert np.abs(decoded(blocks, number) - maps).max() < 2 * TOLERANCE


def test_what_is_not_of_that_form_is_not_forced_into_it() -> None:
    blocks, maps = Blocks(), attention()
    maps[2, 3, 4] = 1 - maps[2, 3, 4]
    assert blocks.header[blocks.add(maps, drawn=True)]["codec"] == "q2"


def test_every_array_is_stored_once() -> None:
    blocks, array = Blocks(), np.arange(5.0)
    assert blocks.add(array) == blocks.add(array.copy()) != blocks.add(array + 1)
    assert blocks.add(np.arange(4.0).reshape(2, 2)) != blocks.add(np.arange(4.0))
    before = len(blocks.payload())
    blocks.add(array)
    assert len(blocks.payload()) == before


def resolved(value, blocks: Blocks):
    if isinstance(value, dict) and set(value) == {"$"}:
        return decoded(blocks, value["$"]).tolist()
    if isinstance(value, dict):
        return {name: resolved(item, blocks) for name, item in value.items()}
    return [resolved(item, blocks) for item in value] if isinstance(value, list) else value


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


@given(st.floats(0, 1))
def test_percentages_never_claim_all_or_nothing(share: float) -> None:
    assert (percent(share) == "100 %") == (share == 1)
    assert (percent(share) == "0 %") == (share == 0)


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of script elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.scripts: list[tuple[dict, str]] = []
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
            self.inside = True

    def handle_endtag(self, tag):  # noqa: ARG002 - the signature is HTMLParser's
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)


@pytest.fixture(scope="module")
def built() -> Page:
    analyses, series = built_in()
    return page(series, panels(series, analyses))


def test_page_has_a_panel_for_every_analysis_and_no_failure(built: Page) -> None:
    ids = {attributes.get("id") for tag, attributes in Elements(built.html).tags if tag == "section"}
    assert {f"panel-{analysis.name}" for analysis in built_in()[0]} <= ids
    assert built.failures == {}
    assert len(built.html) < 6_000_000


def links_of(html: str) -> tuple[set[str], dict[str, list[str]]]:
    """All ids of a page, and for each element with an id the links to places of the page that stand in it."""
    ids, inside, open_tags = set(), {}, []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            attributes = dict(attrs)
            if tag in ("section", "article"):
                open_tags.append(attributes["id"])
            ids.add(attributes.get("id"))
            if tag == "a" and open_tags and str(attributes.get("href")).startswith("#"):
                inside.setdefault(open_tags[-1], []).append(attributes["href"][1:])

        def handle_endtag(self, tag):
            if tag in ("section", "article"):
                open_tags.pop()

    Reader().feed(re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL))
    return ids, inside


def test_every_built_in_panel_links_to_its_formulas_and_they_link_back(built: Page) -> None:
    ids, inside = links_of(built.html)
    assert {link for links in inside.values() for link in links if not link.startswith("step=")} <= ids
    for analysis in built_in()[0]:
        linked = [link for link in inside[f"panel-{analysis.name}"] if link.startswith("formula-")]
        assert linked == [f"formula-{one.name}" for one in definitions_of(analysis)] != []
        assert all(f"panel-{analysis.name}" in inside[formula] for formula in linked)
    for one in {one for analysis in built_in()[0] for one in definitions_of(analysis)}:
        assert str(typeset(one.formula[0][1])) in built.html


def test_the_glossary_says_what_chance_is_and_names_every_paper_that_is_used(built: Page) -> None:
    assert "ln 7 = 1.95 if all p answers are equally likely" in built.html
    assert "The Clock and the Pizza" in built.html
    assert "The Clock and the Pizza" not in page(built_in()[1], []).html


def test_a_panel_without_definitions_has_no_link_and_an_unknown_one_is_refused() -> None:
    _, series = built_in()
    html = page(series, [Panel("own", "Mine?", "Mine.", lambda series: go.Figure())]).html
    ids, inside = links_of(html)
    assert "panel-own" not in inside
    assert {"formula-restricted-loss", "formula-phases"} <= ids  # the glossary's
    assert "formula-gini" not in ids
    with pytest.raises(UsageError, match=r"analysis own: .*definition.*gini"):
        find_analyses([Analysis("own", "Mine?", dict, go.Figure, definitions=("ginni",))])


@pytest.mark.parametrize(("operation", "told"), [("add", False), ("multiply", True)])
def test_other_operations_are_told_how_they_are_read_as_addition(operation: str, told: bool) -> None:
    series = retold(built_in()[1], operation=operation, task=ModularTask(7, operation).name)
    html = page(series, []).html
    ids, _ = links_of(html)
    assert ("formula-groups" in ids) == told
    assert f"{IN_SIGNS[operation]} modulo p is the right answer" in html


def test_formulas_are_escaped() -> None:
    assert "<img" not in typeset("a < <img src=x onerror=alert(1)> x_{<b>}")


def test_policy_allows_exactly_the_pages_own_scripts(built: Page) -> None:
    elements = Elements(built.html)
    policy = next(a["content"] for tag, a in elements.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    sources = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert sources["default-src"] == "'none'"
    assert "unsafe" not in sources["script-src"]
    running = [text for attributes, text in elements.scripts if "type" not in attributes]
    library = next(text for attributes, text in elements.scripts if attributes.get("id") == "plotly")
    running.append(gzip.decompress(base64.b64decode(library)).decode())
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in running}
    assert hashes == set(sources["script-src"].split())


def test_page_loads_nothing_from_anywhere(built: Page) -> None:
    loading = {"src", "srcset", "data", "poster", "action", "formaction", "background", "manifest"}
    for tag, attributes in Elements(built.html).tags:
        assert not loading & set(attributes), (tag, attributes)
        assert tag not in ("link", "iframe", "object", "embed", "base")
        if tag == "a":
            assert attributes["href"].startswith(("#", "https://arxiv.org/"))
    style = re.search(r"<style>(.*?)</style>", built.html, re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style


def hostile_page() -> Page:
    nested, listed = json.dumps({HOSTILE: {HOSTILE: HOSTILE}}), json.dumps({HOSTILE: [HOSTILE]})
    series = retold(built_in()[1], run=HOSTILE, task=HOSTILE, key_rule=HOSTILE, config=nested, facts=listed)
    # Plain text that plotly itself would show as text; markup for it goes through its own sanitizer in the browser.
    figure = go.Figure(
        data=[{"type": "scatter", "y": [1, 2], "name": HOSTILE, "text": [HOSTILE, HOSTILE]}], layout={"title": HOSTILE}
    )
    figure.update_layout(meta={"alt": HOSTILE, "step_axis": "x"}, images=[{"source": "http://example.invalid/x.png"}])

    def raising(series):
        raise ValueError(HOSTILE)

    shown = [Panel("drawn", HOSTILE, f"{HOSTILE}\n\nMeasured: {HOSTILE}", lambda series: figure)]
    shown += [Panel("failed", "Measured?", "Text.", lambda series: figure, HOSTILE), Panel("raising", "Drawn?", "Text.", raising)]
    return page(series, shown)


def test_hostile_names_stay_text() -> None:
    made = hostile_page()
    elements = Elements(made.html)
    assert len(elements.scripts) == 4
    assert not [tag for tag, _ in elements.tags if tag == "img"]
    assert not [attributes for _, attributes in elements.tags if any(name.startswith("on") for name in attributes)]
    data = next(text for attributes, text in elements.scripts if attributes.get("id") == "page")
    assert json.loads(data)["run"] == HOSTILE


def test_an_analysis_that_failed_says_why_and_the_others_are_shown() -> None:
    made = hostile_page()
    assert set(made.failures) == {"failed", "raising"}
    assert "ValueError" in made.failures["raising"]
    visible = re.sub(r"<script.*?</script>", "", made.html, flags=re.DOTALL)
    assert "its figure raised ValueError" in visible
    assert 'data-panel="0"' in visible


def test_page_says_nothing_about_the_machine_it_was_made_on(built: Page) -> None:
    assert "/secret/place" not in built.html
    assert os.getcwd() not in built.html


def test_the_same_series_gives_the_same_bytes(built: Page) -> None:
    analyses, series = built_in()
    assert page(series, panels(series, analyses)).html == built.html


def test_page_of_a_series_without_checkpoints_is_refused() -> None:
    with pytest.raises(UsageError, match="without checkpoints"):
        page(built_in()[1].isel(step=[]), [])


def test_numbers_that_are_not_finite_are_no_syntax_error() -> None:
    series = built_in()[1].copy(deep=True)
    for name in series.data_vars:
        if series[name].dtype.kind == "f" and not str(name).startswith("history_"):
            series[name][1] = np.nan
    made = page(series, panels(series, built_in()[0]))
    data = next(text for attributes, text in Elements(made.html).scripts if attributes.get("id") == "page")
    assert len(json.loads(data)["steps"]) == len(STEPS)


def test_page_is_built_without_torch() -> None:
    code = (
        "import sys, xarray as xr; from interp.reporting import page; from interp.observing.series import About;"
        "page(xr.Dataset(coords={'step': [0]}, attrs={'about': About(p=5)}), []); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_report_of_a_real_run_is_written_whole_and_replaces_the_old_one(tiny_run, tmp_path) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")
    before = os.umask(0o027)
    try:
        made = interp.report(tiny_run, out)
    finally:
        os.umask(before)
    assert out.read_text(encoding="utf-8") == made.html
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["report.html"]
    assert made.failures == {}
    assert made.headline.startswith(("This network", "A network"))


def test_report_takes_a_directory_and_shows_a_users_file(tiny_run, tmp_path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        '"""How large is the largest logit?"""\nimport plotly.graph_objects as go\nfrom interp import Analysis\n'
        'ANALYSIS = Analysis("mine", question=__doc__, measure=lambda view: {"largest": float(view.logits.max())},\n'
        "    figure=lambda series: go.Figure(go.Scatter(x=series.step.values, y=series.largest.values)))\n"
    )
    made = interp.report(tiny_run.path, tmp_path / "out.html", files=[mine])
    assert 'id="panel-mine"' in made.html
    assert "How large is the largest logit?" in made.html
    assert 'id="panel-loss_curves"' in made.html


def test_a_users_file_and_named_analyses_are_drawn_for_every_run_that_is_compared(tiny_run, tmp_path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        '"""How large is the largest logit?\n\nIt grows.\n"""\nimport plotly.graph_objects as go\nfrom interp import Analysis\n'
        'ANALYSIS = Analysis("mine", question=__doc__, measure=lambda view: {"largest": float(view.logits.max())},\n'
        "    figure=lambda series: go.Figure(go.Scatter(x=series.step.values, y=series.largest.values)))\n"
    )
    made = interp.report([tiny_run, tiny_run], tmp_path / "out.html", analyses=["weight_norms"], files=[mine])
    assert made.failures == {}
    found = re.findall(r'<h2 id="title-(.*?)">(.*?)</h2>', made.html)
    mine_titles = [(name, title) for name, title in found if "mine" in name]
    assert mine_titles == [(f"mine-{i}", f"How large is the largest logit? (tiny ({i}))") for i in (1, 2)]
    names = [name for name, _ in found]
    assert names[:6] == ["outside", "inside", "weight_norms-1", "weight_norms-2", "mine-1", "mine-2"]
    assert made.html.count("<p>It grows.</p>") == 1


def test_report_of_an_analysis_that_raises_is_written(tiny_run, tmp_path) -> None:
    def broken(view):
        raise ZeroDivisionError("nothing to divide by")

    bad = Analysis("bad", "Does it break?", broken, lambda series: go.Figure())
    made = interp.report(tiny_run, tmp_path / "out.html", analyses=["loss_curves", bad])
    assert "nothing to divide by" in made.failures["bad"]
    assert 'id="panel-loss_curves"' in made.html


def test_report_into_a_directory_that_does_not_exist_is_refused_before_any_work(tiny_run, tmp_path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        interp.report(tiny_run, tmp_path / "absent" / "out.html")
