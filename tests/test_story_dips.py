"""A run with dips, wherever its phases are shown: when something was first reached, and since when it has held for good."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
import xarray as xr
from begun import begin_planted
from growing import P, growing
from spiky import heavy_spikes, lost_at_the_end, series_of, spiky_history

import interp
from interp.cli import main
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.figures import bands
from interp.observing.analysis import find_analyses
from interp.observing.dips_in_words import outcome_in_words
from interp.observing.series import as_attributes, from_attributes
from interp.reporting import Panel, page
from interp.reporting.compare import _aligned, _together, compare
from interp.reporting.story import tell
from interp.store.writer import RunWriter, writing
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

BOTH = "step 1,900 (1,800 to 1,900), for good from step 8,200, after 3 dips"


def text_of(html: str) -> str:
    """A page as it is read: no tags, no scripts, single spaces."""
    body = html[html.index("<body") : html.index('<script type="application/json"')] if "<body" in html else html
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_the_title_has_the_first_date_and_names_the_other() -> None:
    story = tell(series_of(spiky_history()))
    assert story.title == "This network grokked at step 1,900 (for good from step 8,200, after 3 dips)"
    assert story.end == "grokked"
    assert story.short[0] == (
        "It knew its training pairs by heart at step 100 (for good from step 8,200, after 2 dips), but answered those it never "
        "saw only 1,800 steps later."
    )


def test_every_dip_is_dated_and_called_a_loss_spike_where_it_is_one() -> None:
    text = str(tell(series_of(spiky_history())))
    assert (
        "Test accuracy fell below 99 % again: step 4,300 (87 %, back at step 4,400, a loss spike), step 5,800 (95 %, back at "
        "step 5,900) and step 8,100 (70 %, back at step 8,200, a loss spike)." in text
    )
    assert "Train accuracy fell below 99 % again: step 4,300 (96 %, back at step 4,400, a loss spike) and step 8,100" in text
    assert "rose above half its plateau" not in text
    many = str(tell(series_of(heavy_spikes()[0])))
    assert re.search(
        r"Train accuracy fell below 99 % again: \d+ dips between step 3,000 and step 99,800, the worst at step", many
    )
    assert "of them loss spikes" in many


def test_what_holds_for_good_from_the_last_measurement_only_is_said_to() -> None:
    curves, right = heavy_spikes()
    story = tell(series_of(curves))
    only = "for good only from the last measurement, step 99,900, just after the last of "
    assert story.title.startswith(f"This network grokked at step {right['grokked']:,} ({only}")
    assert f"knew its training pairs by heart at step 300 ({only}{right['dips']} dips)" in story.short[0]


def test_what_was_lost_at_the_end_is_not_said_never_to_have_been_reached() -> None:
    story = tell(series_of(lost_at_the_end()))
    assert story.title == "This network has not settled on the answer: test accuracy 60 % after 11,100 steps"
    known = "first answered those it never saw 1,800 steps later, at step 1,900 (not for good: lost again at step 11,100"
    assert known in story.short[0]
    assert "the training pairs themselves are not learned" not in str(story)
    assert "not all of the training pairs are known at the last step, train accuracy is 80 %" in str(story)
    assert outcome_in_words(interp.about(series_of(lost_at_the_end())).phases) == "grokking, but lost again at step 11,100"
    milestone = story.milestone("grokked")
    assert (milestone.boundary, milestone.first.step) == (None, 1900)
    assert str(milestone).endswith("not for good: lost again at step 11,100, in the last of 4 dips")


def test_a_page_shows_both_dates_of_a_phase_and_the_interval_that_covers_them() -> None:
    html = page(series_of(spiky_history()), []).html
    cards = dict(re.findall(r'data-phase="(\w+)">(.*?)</li>', html, flags=re.DOTALL))
    assert text_of(cards["grokked"]) == "Grokked 1,900 1,800 to 1,900 for good from step 8,200 , after 3 dips test accuracy 99 %"
    assert 'data-step="1900"' in cards["grokked"]
    assert 'data-step="8200"' in cards["grokked"]
    assert text_of(cards["cleanup"]).endswith("test loss under half its plateau for good")
    lost = page(series_of(lost_at_the_end()), []).html
    assert "1,800 to 1,900 not for good: lost again at step 11,100" in text_of(lost)


def test_compared_runs_show_both_dates_and_are_aligned_at_the_first() -> None:
    runs = [series_of(spiky_history(), run="dipping"), series_of(lost_at_the_end(), run="lost")]
    made = compare(runs)
    assert made.headline.startswith("2 runs compared: 1 grokked, 1 not settled on the answer.")
    text = text_of(made.html)
    assert BOTH in text
    assert "step 1,900 (1,800 to 1,900), not for good: lost again at step 11,100, in the last of 4 dips" in text
    assert "500 steps" in text
    [panel] = [one for one in panels_of(made.html) if "steps from test accuracy 99 %" in json.dumps(one["layout"])]
    assert {trace["name"] for trace in panel["data"]} == {"dipping"}
    drawn = _aligned(runs, ["dipping", "lost"])(_together(runs))
    assert min(drawn.data[0].x) == -1900


def panels_of(html: str) -> list[dict]:
    [data] = re.findall(r'<script type="application/json" id="page">(.*?)</script>', html, flags=re.DOTALL)
    return json.loads(data)["panels"]


def test_bands_end_where_a_phase_is_first_reached_and_a_last_one_where_it_holds_for_good() -> None:
    assert [band[:3] for band in bands(series_of(spiky_history()))] == [
        ("memorization", 0, 100), ("circuit formation", 1000, 1500), ("cleanup", 1500, 1900), ("grokked, with dips", 1900, 8200),
    ]  # fmt: skip
    assert bands(series_of(lost_at_the_end()))[-1][:3] == ("grokked, with dips", 1900, 11_100)
    memorizer = spiky_history() | {"test_accuracy": np.full(112, 0.03), "test_loss": np.full(112, 9.0)}
    series = series_of(memorizer)
    known = interp.about(series)
    alone = series.assign_attrs(about=replace(known, phases=replace(known.phases, onset=None)))
    assert [band[:3] for band in bands(alone)] == [("memorization", 0, 100), ("memorized, with dips", 100, 8200)]
    assert "with dips" not in str(bands(series))  # a circuit forms there


def test_the_lead_in_the_figure_is_that_between_first_steps() -> None:
    curves = spiky_history()
    curves["test_accuracy"][curves["step"] == 8100] = 0.3
    series = series_of(curves)
    lead = interp.about(series).lead
    assert (lead.steps, lead.first) == (7200, 500)
    assert lead.shortest <= lead.first < lead.steps <= lead.longest
    [analysis] = find_analyses(["progress_measures"])
    single = xr.DataArray(np.ones((series.sizes["step"], 2)), dims=("step", "key_frequency"), coords={"key_frequency": [4, 7]})
    full = series.assign(excluded_loss_single=single)
    drawn = analysis.figure(full)
    assert "lead 500 steps (7,200 for good)" in [note.text for note in drawn.layout.annotations]
    text = str(tell(series))
    assert "500 steps" in text
    assert "between the steps from which both hold for good there are 7,200 steps" in text
    assert page(full, [Panel(analysis.name, analysis.title, analysis.caption, analysis.figure)]).failures == {}


def test_files_keep_first_dates_and_dips() -> None:
    known = interp.about(series_of(spiky_history()))
    assert from_attributes(as_attributes(known)) == known
    assert json.loads(as_attributes(known)["reached"])["grokked"]["first"] == {"step": 1900, "earliest": 1800, "latest": 1900}
    older = {name: text for name, text in as_attributes(known).items() if name not in ("reached", "undated")}
    assert from_attributes(older).phases.grokked == known.phases.grokked
    with pytest.raises(interp.errors.DataError, match="attributes of a series"):
        from_attributes(as_attributes(known) | {"reached": '{"grokked": {"first": null}}'})


@pytest.fixture(scope="module")
def dipping(tmp_path_factory: pytest.TempPathFactory) -> interp.Run:
    """A run on disk with the spiky history and two checkpoints."""
    path, weights = tmp_path_factory.mktemp("runs") / "dipping", growing(1.0)
    config = RunConfig(
        task=ModularTask(P), split=SplitConfig(fraction=0.5, seed=3),
        model=ModelConfig(d_model=weights.n_heads * weights.d_head, n_heads=weights.n_heads, d_mlp=weights.d_mlp),
        checkpoints=CheckpointConfig(log=0, every=11_100), steps=11_100, engine="reference", threads=1,
    )  # fmt: skip
    curves = spiky_history()
    steps = curves.pop("step")
    with writing(path):
        begin_planted(path, config, n_parameters=weights.n_parameters)
        writer = RunWriter(path)
        for i, step in enumerate(steps):
            if step in (0, 11_100):
                writer.save(int(step), weights)
            writer.add_history(int(step), {name: float(values[i]) for name, values in curves.items()})
        writer.finish(11_100, status="finished", reason="budget")
    return interp.open_run(path)


def show(run: interp.Run, *flags: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["show", str(run.path), *flags])
    assert ended.value.code == 0


def test_show_prints_both_dates_and_the_dips_and_its_json_has_them(
    dipping: interp.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    show(dipping)
    shown = capsys.readouterr().out
    assert f"  grokked: {BOTH}: step 4,300 (87 %, back at step 4,400, a loss spike), step 5,800" in shown
    assert "  memorized: step 100 (0 to 100), for good from step 8,200, after 2 dips: step 4,300" in shown
    assert "  cleanup: step 1,500 (1,400 to 1,500)\n" in shown
    assert "outcome: grokking\n" in shown
    show(dipping, "--json")
    found = json.loads(capsys.readouterr().out)
    assert set(found["phases"]) == {"memorized", "onset", "cleanup", "grokked", "settled"}
    assert found["phases"]["grokked"] == {"step": 8200, "earliest": 1800, "latest": 8200}
    assert found["reached"]["grokked"]["first"]["step"] == 1900
    assert [dip["start"] for dip in found["reached"]["grokked"]["dips"]] == [4300, 5800, 8100]
    assert [dip["is_spike"] for dip in found["reached"]["grokked"]["dips"]] == [True, False, True]
    assert found["phases_in_words"]["grokked"].startswith(BOTH)


def test_a_notebook_shows_both_dates(dipping: interp.Run) -> None:
    assert "This network grokked at step 1,900 (for good from step 8,200, after 3 dips)." in text_of(dipping._repr_html_())


def test_no_word_of_dips_where_there_are_none() -> None:
    curves = spiky_history()
    late = curves["step"] > 4000
    for name, value in (("train_accuracy", 1.0), ("test_accuracy", 1.0), ("train_loss", 1e-7), ("test_loss", 0.02)):
        curves[name][late] = value
    series = series_of(curves)
    story = tell(series)
    assert story.title == "This network grokked at step 1,900"
    for text in (str(story), page(series, []).headline, *map(str, story.milestones), *map(str, bands(series))):
        assert "dip" not in text
        assert "first at" not in text
