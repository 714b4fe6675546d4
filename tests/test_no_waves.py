"""A task whose answers have no harmonics: no measure of waves is computed, drawn or named, and the page says why, once.

A group that is not cyclic has representations: what is said of frequencies elsewhere is said of these, and nothing else of waves.
"""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest
import xarray as xr

import interp
from interp.cli import main
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import UsageError
from interp.observing.analysis import built_in_definitions
from interp.observing.definitions import IN_GROUPS
from interp.observing.summary import summary
from interp.reporting.story import tell
from interp.store.run import Run
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

TASKS = {"x2xyy2": ModularTask(7, "x2xyy2"), "composite": ModularTask(6, "multiply")}
# What may be said nowhere of such a run.
SAYINGS = (
    "key frequenc", "frequenc", "restricted", "excluded", "contains memorized answers", "lead time",
    "Circuit begins", "a circuit formed", "need not be a circuit", "clock", "pizza", "Fourier", "on circles",
)  # fmt: skip
WAVES = {
    "progress_measures", "embedding_spectrum", "embedding_circles", "logit_spectrum", "neuron_frequencies", "neuron_logit_map",
    "clock_or_pizza", "memorizer_or_generalizer", "forecast", "both_at_once", "transient_frequencies",
}  # fmt: skip


@pytest.fixture(scope="module", params=sorted(TASKS))
def run(request, tmp_path_factory) -> Run:
    config = RunConfig(
        task=TASKS[request.param],
        split=SplitConfig(fraction=0.5, seed=1),
        model=ModelConfig(d_model=16, n_heads=2, d_mlp=8),
        checkpoints=CheckpointConfig(log=0, every=20),
        steps=60,
        engine="reference",
        threads=1,
    )
    return interp.record(config, root=tmp_path_factory.mktemp("runs"), name=request.param, progress=False)


@pytest.fixture(scope="module")
def series(run) -> xr.Dataset:
    return interp.observe(run)


@pytest.fixture(scope="module")
def html(run, tmp_path_factory) -> str:
    return interp.report(run, tmp_path_factory.mktemp("page") / "page.html").html


def words(html: str) -> str:
    """What a reader of the page sees."""
    body = html[html.index("<body") : html.index('<script type="application/json"')]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def without_reasons(html: str) -> str:
    """The page without the section that says what is left out."""
    return re.sub(r'<section class="panel" id="panel-left-out".*?</section>', "", html, flags=re.DOTALL)


def test_no_measure_of_waves_is_computed(series) -> None:
    assert {array.attrs.get("analysis") for array in series.data_vars.values()} & WAVES == set()
    assert not {"restricted_loss", "excluded_loss", "head_frequency", "head_fve", "cos_fve", "gini_W_E"} & set(series.data_vars)
    about = interp.about(series)
    assert about.left_out.keys() >= WAVES
    assert (about.key_frequencies, about.lead, about.verdicts, about.n_frequencies, about.failures) == (None, None, {}, 0, {})
    assert about.phases is not None
    assert about.phases.onset is None


def test_story_says_nothing_of_waves(series) -> None:
    story = tell(series)
    told = f"{story} {story.short} {story.milestones} {story.lead}"
    assert [saying for saying in SAYINGS if saying in told] == []
    assert f"It was trained on {TASKS[interp.about(series).run].name}, with" in told
    assert [milestone.name for milestone in story.milestones] == ["memorized", "cleanup", "grokked", "settled"]


def test_page_says_once_what_is_left_out_and_why_and_nothing_else_of_waves(run, html) -> None:
    assert html.count('id="panel-left-out"') == 1
    assert words(html).count(f"No reordering makes {run.task.name} an addition: its answers have no waves.") == 1
    for title in ("When does the circuit form?", "Clock, pizza, or neither?", "Do the residues lie on circles?"):
        assert words(html).count(title) == 1
    said = words(without_reasons(html))
    # The names of papers have a clock in them, and the configuration its fields.
    said = re.sub(r"source measures after .*?arXiv 2301\.05217\.?", "", said)
    assert [saying for saying in SAYINGS if saying.lower() in said.lower()] == []


def test_page_draws_nothing_of_waves(html) -> None:
    data = json.loads(re.search(r'<script type="application/json" id="page">(.*?)</script>', html, re.DOTALL)[1])
    texts = json.dumps({name: data[name] for name in ("panels", "readout", "tables", "milestones", "notes", "bands")})
    assert [saying for saying in SAYINGS if saying.lower() in texts.lower().replace("key_frequencies", "key frequenc")] == []


def test_comparison_says_nothing_of_waves(run, series, tmp_path) -> None:
    html = interp.report([run, run], tmp_path / "two.html").html
    said = re.sub(r"source measures after .*?arXiv 2301\.05217\.?", "", words(without_reasons(html)))
    assert [saying for saying in SAYINGS if saying.lower() in said.lower()] == []
    assert "panel-inside" not in html


def test_summary_and_json_have_no_key_frequencies(run, capsys) -> None:
    found = summary(run)
    assert "key_frequencies" not in found
    for flags in ([], ["--json"]):
        with pytest.raises(SystemExit) as exit_:
            main(["show", str(run.path), *flags])
        assert not exit_.value.code
        told = capsys.readouterr().out
        assert "memorized" in told
        assert [saying for saying in SAYINGS if saying in told.replace("key_frequencies", "key frequenc")] == []


def test_export_and_figures_say_it_does_not_apply(run, series, tmp_path) -> None:
    interp.export_series(series[["train_loss"]], tmp_path / "x.nc")
    with xr.open_dataset(tmp_path / "x.nc", engine="scipy") as read:
        assert not [name for name in read.attrs if name.startswith("key_")]
    with pytest.raises(UsageError, match=r"figure progress_measures: it does not apply to this run, as no reordering makes"):
        interp.figures.figure(run, "progress_measures")
    assert interp.figures.figure(run, "attention_patterns").data


def test_addition_is_told_of_its_waves(tmp_path: Path) -> None:
    """The sayings are those of the page of another run: none of them is spelled wrongly here."""
    config = RunConfig(
        task=ModularTask(7), split=SplitConfig(fraction=0.5, seed=1), model=ModelConfig(d_model=16, n_heads=2, d_mlp=8),
        checkpoints=CheckpointConfig(log=0, every=20), steps=20, engine="reference", threads=1,
    )  # fmt: skip
    run = interp.record(config, root=tmp_path, name="add", progress=False)
    html = interp.report(run, tmp_path / "page.html").html
    assert "panel-left-out" not in html
    said = words(html).lower()
    # What can only be said of a run that has generalized, or of many frequencies.
    missing = [saying for saying in SAYINGS if saying.lower() not in said]
    assert missing == ["a circuit formed", "need not be a circuit"]


# What is said of residues, their waves, and of what is made of these, and has no meaning in a group that is not cyclic.
OF_RESIDUES = (
    "frequenc", r"\bwaves?\b", "clock", "pizza", "modul", r"cos w", "residue", "Fourier", "circle", r"\bcosine", r"\bsine",
    "puts the numbers", "arithmetic", r"\bangles\b", "exponents",
)  # fmt: skip
# Where representations are told by what they stand for.
TOLD = (
    "with representations in the place of frequencies", "in the place of frequencies",
    "What frequencies are to addition the irreducible representations are to a group",
    "as functions on residues fall into waves",
    "No reordering turns this operation into addition: measures of waves are left out.",
)  # fmt: skip


def of_residues(text: str) -> list[str]:
    """What is said of residues and waves in a text, but where it says what representations stand for."""
    for told in TOLD:
        text = text.replace(told, "")
    return [found[0] for saying in OF_RESIDUES for found in re.finditer(f".{{0,40}}{saying}.{{0,30}}", text, flags=re.IGNORECASE)]


@pytest.fixture(scope="module", params=["S3", "x*y*x^-1 in S3"])
def group_run(request, tmp_path_factory) -> Run:
    config = RunConfig(
        task=interp.task(request.param), split=SplitConfig(fraction=0.6, seed=1),
        model=ModelConfig(d_model=16, n_heads=2, d_mlp=8),
        checkpoints=CheckpointConfig(log=0, every=20), steps=40, engine="reference", threads=1,
    )  # fmt: skip
    return interp.record(config, root=tmp_path_factory.mktemp("groups"), name="group", progress=False)


def test_the_page_of_a_group_says_nothing_of_residues_and_their_waves(group_run, tmp_path) -> None:
    html = interp.report(group_run, tmp_path / "page.html").html
    said = words(without_reasons(html))
    assert of_residues(said) == []
    # What stands in their place, at every place where a page of addition speaks of them.
    for told in (
        "from the checkpoint at step 40 by the rule", "Key representations The few irreducible representations",
        "row s of P \u03c1 M", "elements what the operation takes and gives", "p, n the number of elements, and of answers",
        "parts of the logits that belong to key representations",
    ):  # fmt: skip
        assert told in said
    shown = set(re.findall(r'id="formula-([\w-]+)"', html))
    assert {"restricted-loss", "excluded-loss", "key-frequencies", "representations", "pair-dates", "heads"} <= shown
    assert shown & {"gini", "algorithm", "formulas", "groups", "neurons", "ablations", "logit-spectrum", "forecast"} == set()
    data = json.loads(re.search(r'<script type="application/json" id="page">(.*?)</script>', html, re.DOTALL)[1])
    texts = json.dumps({name: data[name] for name in ("panels", "readout", "milestones", "bands")})
    assert of_residues(re.sub(r'"\w*key_frequency\w*"', "", texts)) == []


def test_pages_of_several_groups_say_nothing_of_them_either(group_run, tmp_path) -> None:
    said = words(without_reasons(interp.report([group_run, group_run], tmp_path / "two.html").html))
    assert of_residues(said) == []
    assert "each with its own key representations" in said


def test_every_definition_that_speaks_of_residues_is_one_of_addition() -> None:
    """The whole kind: also a definition that no panel of a group links to today."""

    def text(one: interp.Definition) -> str:
        return " ".join([one.title, one.what, *(part for line in one.formula for part in line), one.on])

    speaks = {name for name, one in built_in_definitions().items() if of_residues(text(one)) or "w_k" in text(one)}
    assert speaks - {name for name, one in built_in_definitions().items() if one.of_addition} == set()
    assert {name for name, one in IN_GROUPS.items() if of_residues(text(one))} == set()
    assert IN_GROUPS.keys() <= {name for name, one in built_in_definitions().items() if one.of_addition}
    own = interp.Definition("own", "Own", "Of frequencies.", (("x =", "y"),), "all", of_addition=True)
    assert own.for_task(has_waves=True) is own
    assert own.for_task(has_waves=True, has_representations=True) is None
