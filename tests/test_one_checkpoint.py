"""One model is no history: of a single imported checkpoint nothing is dated, wherever dates are shown; verdicts stay."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from math import isnan
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from foreign import legacy_state_by_hand, save
from random_models import memorizer
from torch.nn.functional import pad

import interp
from interp.anatomy.source import open_source
from interp.cli import main
from interp.figures import bands
from interp.interop import Known, import_run
from interp.measures import Phases
from interp.networks.one_layer import Weights
from interp.observing.derived import date_lead, date_phases
from interp.observing.numerics import run_health
from interp.observing.summary import summary
from interp.reporting import page
from interp.reporting.compare import compare
from interp.reporting.origin import origin
from interp.reporting.story import tell
from interp.synthetic import clock_weights
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

P = 7
SPLIT = SplitConfig("python", seed=3, fraction=0.5)
WHY = "not known from one checkpoint"


def generalizer() -> Weights:
    """A clock whose heads are as wide as a configuration has them: what is added is zero, and queries make up for the scale."""
    clock = clock_weights(P, [1, 3], amplitude=20.0)
    wide = clock.d_model // clock.n_heads
    tensors = dict(clock.tensors())
    for name in ("W_Q", "W_K", "W_V", "b_Q", "b_K", "b_V"):
        if name in tensors:
            scale = (wide / clock.d_head) ** 0.5 if name.endswith("Q") else 1.0
            tensors[name] = scale * pad(tensors[name], (0, wide - clock.d_head))
    tensors["W_O"] = pad(tensors["W_O"], (0, 0, 0, wide - clock.d_head))
    return Weights.from_tensors(tensors).to(dtype=torch.float32)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, interp.Run]:
    root = tmp_path_factory.mktemp("models")
    models = {"generalizer": generalizer(), "memorizer": memorizer(SPLIT.draw(ModularTask(P)).train, P).to(dtype=torch.float32)}
    files = {name: save(legacy_state_by_hand(model), root / f"{name}.pth") for name, model in models.items()}
    return {name: import_run(file, root / "runs", name, known=Known(split=SPLIT)) for name, file in files.items()}


@pytest.fixture(scope="module")
def observed(imported: dict[str, interp.Run]) -> dict[str, xr.Dataset]:
    asked = ["loss_curves", "progress_measures", "memorizer_or_generalizer"]
    return {name: interp.observe(run, asked) for name, run in imported.items()}


BOTH = pytest.mark.parametrize("name", ["generalizer", "memorizer"])


@BOTH
def test_nothing_is_dated_and_the_verdict_stays(observed: dict[str, xr.Dataset], name: str) -> None:
    found = interp.about(observed[name])
    assert found.phases == Phases(None, None, None, None, None, "unknown", undated=WHY)
    assert found.lead.restricted is found.lead.accuracy is found.lead.steps is found.lead.first is None
    assert found.verdicts["generalization"].verdict == name
    assert bands(observed[name]) == []


@BOTH
def test_the_story_says_what_is_known_and_what_is_not(observed: dict[str, xr.Dataset], name: str) -> None:
    story = tell(observed[name])
    share = float(observed[name]["history_test_accuracy"][-1])
    known = {
        "generalizer": f"This network answers 100 % of the pairs it never saw; since when is {WHY}",
        "memorizer": f"This network answers 100 % of its training pairs and {100 * share:.0f} % of the others; "
        f"since when is {WHY}",
    }
    assert story.title == known[name]
    assert [str(milestone) for milestone in story.milestones] == [WHY] * 5
    assert story.end == {"generalizer": "generalized at an unknown step", "memorizer": "of unknown outcome"}[name]
    says_too_much(str(story))


TOO_MUCH = ("grok", "generalized by", "comprehension", "by heart at", "for good", "memorized but", "lead", "(0 to 0)", "halved")


def says_too_much(text: str) -> None:
    for word in TOO_MUCH:
        assert word not in text, word


@BOTH
def test_show_says_so_in_words_and_in_json(
    imported: dict[str, interp.Run], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = summary(imported[name])
    assert (found["outcome"], found["undated"], found["reached"]) == ("unknown", WHY, {})
    assert found["phases"] == dict.fromkeys(("memorized", "onset", "cleanup", "grokked", "settled"))
    for flags in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main(["show", str(imported[name].path), *flags])
        assert ended.value.code == 0
        shown = capsys.readouterr().out
        if flags:
            assert json.loads(shown)["phases_in_words"] == dict.fromkeys(found["phases"], WHY)
        else:
            assert f"outcome: {WHY}\n" in shown
            assert shown.count(WHY) == 6
            assert "grokking" not in shown


@BOTH
def test_the_page_and_the_notebook_say_so(observed: dict[str, xr.Dataset], imported: dict[str, interp.Run], name: str) -> None:
    html = page(observed[name], []).html
    cards = dict(re.findall(r'data-phase="(\w+)">(.*?)</li>', html, flags=re.DOTALL))
    assert set(cards) == {"memorized", "onset", "cleanup", "grokked", "settled"}
    assert all(WHY in card and "data-step" not in card for card in cards.values())
    assert 'class="milestone lead"' not in html
    assert f"is {WHY}" in imported[name]._repr_html_()
    says_too_much(imported[name]._repr_html_())


def test_compared_models_have_no_dates_and_no_lead(observed: dict[str, xr.Dataset]) -> None:
    html = unescape(compare(list(observed.values())).html)
    table = html[html.index("What was found") : html.index("How they differ")]
    rows = dict(re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', table, flags=re.DOTALL))
    known = {name: re.findall("<td>(.*?)</td>", cells) for name, cells in rows.items()}
    assert known.pop("key frequencies")
    measured = {name for name in known if name.endswith("at the end") or name in ("memorizer or generalizer", "clock or pizza")}
    assert known["memorizer or generalizer"] == ["generalizer", "memorizer"]
    dates = {name: cells for name, cells in known.items() if name not in measured}
    assert len(dates) == 7
    assert set(map(tuple, dates.values())) == {(WHY, WHY)}


def accuracies_at(n_known: int) -> xr.Dataset:
    """Losses of every epoch, accuracies at the last of them: a history of losses is not one of accuracies."""
    steps = np.arange(0, 1001, 10)
    series = xr.Dataset(coords={"step": [1000]})
    for name, value in (("train_loss", 1e-7), ("test_loss", 1e-6), ("train_accuracy", 1.0), ("test_accuracy", 1.0)):
        values = np.full(len(steps), value)
        if "accuracy" in name:
            values[: len(steps) - n_known] = np.nan
        series[f"history_{name}"] = xr.DataArray(values, dims="history_step", coords={"history_step": steps})
    return series


def test_accuracies_at_one_step_date_nothing_however_many_losses_there_are() -> None:
    assert date_phases(accuracies_at(1)).undated == "not known: accuracies were measured at one step only"
    assert date_phases(accuracies_at(2)).undated == ""
    assert date_phases(accuracies_at(0)) is None
    assert date_lead(accuracies_at(1).assign(restricted_loss=("step", [1e-6]))).accuracy is None


def test_among_runs_of_known_length_that_of_an_unknown_one_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(legacy_state_by_hand(generalizer()), tmp_path / "theirs.pt")
    import_run(path, tmp_path / "runs", "theirs", known=Known(split=SPLIT))
    demo = interp.recipe("demo")
    for name, steps in (("short", 1), ("long", 2)):
        interp.record(replace(demo, steps=steps, engine="reference"), tmp_path / "runs", name, progress=False)
    found = interp.runs(tmp_path / "runs")["steps"]
    assert found[["long", "short"]].tolist() == [2, 1]
    assert isnan(found["theirs"])
    assert interp.runs(tmp_path / "runs", where="steps<2").index.tolist() == ["short"]
    with pytest.raises(SystemExit):
        main(["runs", "--root", str(tmp_path / "runs"), "--json"])
    assert {row["name"]: row["steps"] for row in json.loads(capsys.readouterr().out)} == {"long": 2, "short": 1, "theirs": None}
    with pytest.raises(SystemExit):
        main(["runs", "--root", str(tmp_path / "runs")])
    header, *lines = capsys.readouterr().out.splitlines()
    at = header.index("  steps") + 2
    told = {line.split()[0]: line[at:].split()[0] for line in lines if line.strip()}
    assert told == {"long": "2", "short": "1", "theirs": "unknown"}


def test_nothing_is_said_of_what_depends_on_an_unknown_optimizer(imported: dict[str, interp.Run]) -> None:
    run = imported["generalizer"]
    assert "optimizer.eps" in run.provenance["unknown"]
    health = run_health(run)
    assert (health["epsilon_share"], health["epsilon_from"]) == (None, None)
    assert not any("epsilon" in warning for warning in health["warnings"])


def test_a_page_of_an_imported_model_says_which_of_its_settings_are_defaults(observed: dict[str, xr.Dataset]) -> None:
    html = page(observed["generalizer"], []).html
    assert "number for number" not in html
    assert "Not known, so that the configuration shows defaults for it: optimizer" in html


@BOTH
def test_a_step_that_nothing_tells_is_invented_nowhere(
    observed: dict[str, xr.Dataset], imported: dict[str, interp.Run], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither file nor log says after how many updates these were saved: 0 is the number of the checkpoint, and no step."""
    run = imported[name]
    assert not run.knows_step
    assert "1 checkpoint, step unknown" in repr(run)
    assert (run.facts()["last_step"], interp.runs(run.path.parent).loc[name, "last_step"]) == (None, None)
    assert open_source(run.path).step is None
    for command in (["show"], ["verify"], ["anatomy", "--controls", "0"]):
        with pytest.raises(SystemExit) as ended:
            main([command[0], str(run.path), *command[1:]])
        told = capsys.readouterr().out
        assert ended.value.code == 0
        assert "step unknown" in told
        assert "step 0" not in told
        assert "steps: 0" not in told
    with pytest.raises(SystemExit) as ended:
        main(["runs", "--root", str(run.path.parent)])
    assert ended.value.code == 0
    assert re.search(rf"^{name} .*\bunknown\b", capsys.readouterr().out, re.MULTILINE)
    html = page(observed[name], []).html
    assert re.search(r'"knows_step": ?false', html)
    assert "at step 0" not in html
    assert "weights at" not in str(origin(run))
    assert "step 0" not in run._repr_html_()
    assert "at step" not in tell(observed[name]).title
