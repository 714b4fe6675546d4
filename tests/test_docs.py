"""The pages about the measures: one for every public measure, links that lead somewhere, tables that are generated."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import replace
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from interp import measures
from interp.anatomy.published import MAINLINE, MODELS, half_a_digit
from interp.observing.analysis import built_in_definitions

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "measures").glob("*.md"))
SECTIONS = [
    "Formula", "What it tells", "What it does not", "In the code", "Tested on circuits whose answer is known",
    "Published and measured",
]  # fmt: skip
LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")
EXACT = {"gradient_symmetricity", "distance_irrelevance", "distance_irrelevance_runner_up", "circularity"}


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measured(generate) -> dict:
    return json.loads(generate.MEASURED.read_text())


def links(page: Path) -> list[tuple[str, str]]:
    return LINK.findall(page.read_text())


def documented() -> set[str]:
    return {text.strip("`") for page in PAGES for text, _ in links(page) if text.startswith("`interp.")}


def test_every_public_measure_has_a_page():
    public = {name for name in measures.__all__ if inspect.isfunction(getattr(measures, name))}
    assert {name.rpartition(".")[2] for name in documented()} >= public


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "README.md"], ids=lambda page: page.stem)
def test_pages_have_every_section_and_something_in_it(page):
    parts = re.split(r"^## (.+)$", page.read_text(), flags=re.MULTILINE)
    assert parts[1::2] == SECTIONS
    assert all(len(part.strip()) > 20 for part in parts[2::2])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files_and_to_what_they_name(page):
    for text, target in links(page):
        if target.startswith("https://arxiv.org/abs/"):  # a definition's source
            continue
        path = (page.parent / target.partition("#")[0]).resolve()
        assert path.is_file(), target
        name = text.strip("`")
        if name.startswith("interp."):
            module, _, function = name.rpartition(".")
            found = import_module(module)
            assert Path(found.__file__).resolve() == path, name
            assert getattr(found, function).__module__ == module, name
        elif name.startswith("tests/"):
            file, *within, test = name.split("::")
            assert (ROOT / file).resolve() == path, name
            assert not within
            assert re.search(rf"^ *def {test}\(", path.read_text(), flags=re.MULTILINE), name


def test_tables_and_index_are_what_the_generator_writes(generate, measured):
    for path, text in generate.written(measured).items():
        assert path.read_text() == text, f"{path}: run `python docs/generate.py`"


def test_the_index_names_every_page_once(generate, measured):
    pages = generate.written(measured)
    text = pages[ROOT / "docs" / "measures" / "README.md"]
    assert text.count("<!-- index -->") == text.count("<!-- end -->") == 1
    assert re.findall(r"^\| \[.*?\]\((\S+?)\.md\)", text, flags=re.MULTILINE) == sorted(
        {page.stem for page in PAGES} - {"README"}
    )
    # What is on disk is not read: a page that has just been begun, without its definition yet, has its line at once.
    assert "## What it tells" not in generate.index(pages)
    assert "<!--" not in generate.index(pages)


def test_every_page_has_the_definition_that_reports_show_and_every_definition_a_page(generate, measured):
    assert {page.stem for page in PAGES} - {"README"} == built_in_definitions().keys()
    for name, one in built_in_definitions().items():
        text = (ROOT / "docs" / "measures" / f"{name}.md").read_text()
        assert text.startswith(f"# {one.title}\n\n{one.what}\n")
        assert all(left in text for left, _ in one.formula)
        assert " ".join(one.on.split()) in " ".join(text.split())


def test_another_definition_would_change_its_page_alone(generate, measured, monkeypatch):
    known = built_in_definitions()
    changed = replace(known["gini"], formula=(("G =", "1"),))
    monkeypatch.setattr(generate, "built_in_definitions", lambda: {**known, "gini": changed})
    assert {path.stem for path, text in generate.written(measured).items() if path.read_text() != text} == {"gini"}


def test_another_measurement_would_change_the_tables(generate, measured):
    changed = json.loads(json.dumps(measured))
    changed["models"]["nanda_wd_0.1_final.pth"]["values"]["gini.W_E"] = 0.5
    changed["run"]["values"]["cos_fit.fve"] = "0.5"
    stale = {path.stem for path, text in generate.written(changed).items() if path.read_text() != text}
    assert stale == {"gini", "cosine-fit"}


def test_every_published_figure_is_shown(generate):
    shown = {
        path.strip()
        for page in PAGES
        for match in generate._BLOCK.finditer(page.read_text())
        for path in match["paths"].split(";")
    }
    figures = {path for model in MODELS.values() for path in model.figures} | set(MAINLINE)
    assert figures == shown


@pytest.mark.parametrize("file", MODELS)
def test_measured_values_meet_the_published_ones(measured, file):
    for path, figure in MODELS[file].figures.items():
        found = measured["models"][file]["values"][path]
        if isinstance(found, list):
            assert ", ".join(map(str, found)) == figure
            continue
        figures = dict(item.split(": ") for item in figure.split(", ")) if isinstance(found, dict) else {"": figure}
        values = found if isinstance(found, dict) else {"": found}
        assert values.keys() == figures.keys()
        least = 1e-4 if path.rpartition(".")[2] in EXACT else 1e-3
        for k, one in figures.items():
            assert values[k] == pytest.approx(float(one), rel=max(least, half_a_digit(one))), (path, k)


@pytest.mark.reference
def test_measuring_the_published_models_gives_these_values_again(generate, measured, reference):
    again = generate.measure_models(reference)
    assert again.keys() == measured["models"].keys()
    for file, entry in again.items():
        assert entry["sha256"] == measured["models"][file]["sha256"]
        for path, value in entry["values"].items():
            assert value == pytest.approx(measured["models"][file]["values"][path], rel=1e-5), (file, path)
