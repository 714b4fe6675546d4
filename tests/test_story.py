"""The story of curves that were drawn by hand: title, milestones and sentences agree with the curves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from retelling import retold, saying

from interp import measures, recipe, record
from interp.errors import TrainingError
from interp.observing.derived import date_phases
from interp.observing.dips_in_words import phases_in_words
from interp.observing.series import about, boundaries_of
from interp.reporting import page
from interp.reporting.compare import compare
from interp.reporting.story import tell

STEPS = (0, 100, 1000, 5000, 10_000, 20_000, 25_000, 30_000)


def drawn(train: list[float], test: list[float], *, steps: tuple[int, ...] = STEPS, **attributes: object) -> xr.Dataset:
    """A run with these accuracies, its phases and outcome found as everywhere."""
    at = np.array(steps)
    values = {
        "train_accuracy": np.array(train, dtype=float),
        "test_accuracy": np.array(test, dtype=float),
        "train_loss": np.array([4 * (1 - share) + 1e-6 for share in train]),
        "test_loss": np.array([4 * (1 - share) + 1e-4 for share in test]),
        "sum_squared_weights": np.linspace(10, 5, len(at)),
    }
    columns = [values[name] for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy")]
    dated = measures.phases(at, *columns, sum_squared=(at, values["sum_squared_weights"]))
    boundaries, reached = boundaries_of(dated)
    series = xr.Dataset(coords={"step": at})
    for name, value in values.items():
        series[f"history_{name}"] = xr.DataArray(value, dims="history_step", coords={"history_step": at})
    told = {
        "p": 59, "key_frequencies": [4, 7], "run": "drawn", "outcome": dated.outcome, "phases": json.dumps(boundaries),
        "reached": json.dumps(reached), "undated": dated.undated,
    }  # fmt: skip
    return saying(series, **{**told, **attributes})


def milestones(series: xr.Dataset) -> dict[str, str]:
    return {milestone.label: str(milestone) for milestone in tell(series).milestones}


KNOWN = [0, 1, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("train", "test", "title"),
    [
        ([0, 0.1], [0, 0.1], "this network has not learned its task in 100 steps"),
        ([0, 1, 1], [0, 0.1, 0.1], "this network has memorized its training pairs in 1,000 steps"),
        ([0.02], [0.01], "this network answers 2 % of its training pairs and 1 % of the others at step 0"),
        ([0, 0.95, 0.95], [0, 0.1, 0.1], "this network answers 95 % of its training pairs after 1,000 steps"),
    ],
)
def test_a_run_in_training_has_not_grokked_yet(train, test, title) -> None:
    facts = {"status": "running", "last_step": 1}
    curves = [
        drawn(train, test, steps=STEPS[: len(train)], facts=json.dumps({**facts, "status": s})) for s in ("running", "finished")
    ]
    assert tell(curves[0]).title == f"Not grokked yet, training: {title}"
    assert tell(curves[0]).end == "not grokked yet, training"
    assert "yet" not in tell(curves[1]).title
    assert "1 not grokked yet, training" in compare(curves, own=[[], []]).headline.split(".")[0]


def test_a_run_in_training_that_has_grokked_says_so() -> None:
    series = drawn(KNOWN, [0, 0.1, 0.1, 0.1, 1, 1, 1, 1], facts=json.dumps({"status": "running", "last_step": 30_000}))
    assert tell(series).title == "This network grokked at step 10,000"


def test_a_run_that_broke_off_names_its_last_step_not_the_last_that_was_evaluated() -> None:
    facts = json.dumps({"status": "stopped", "last_step": 187})
    text = str(tell(drawn([0, 0.1], [0, 0.1], steps=(0, 150), facts=facts)))
    assert "broke off after step 187" in text
    assert "after step 150" not in text


def test_what_was_reached_before_a_run_broke_off_was_not_never_reached() -> None:
    facts = json.dumps({"status": "stopped", "last_step": 30_010})
    collapsed = drawn([0, 1, 1, 1, 1, 1, 1, 0.01], [0, 0.02, 0.1, 1, 1, 1, 1, 0.01], facts=facts)
    assert milestones(collapsed)["Memorized"] == "step 100 (0 to 100), not for good: lost again at step 30,000"
    assert milestones(collapsed)["Grokked"].startswith("step 5,000 (1,000 to 5,000), not for good")
    never = drawn([0] * 8, [0] * 8, facts=facts)
    assert milestones(never)["Memorized"] == milestones(never)["Grokked"] == "never"


def test_a_run_whose_outcome_is_grokking_but_that_did_not_keep_it_is_not_counted_as_one_that_never_did() -> None:
    fell = drawn([0, 1, 1, 1, 1, 1, 1, 0.3], [0, 0.02, 0.1, 0.5, 1, 1, 1, 0.3])
    assert about(fell).outcome == "grokking"
    assert "not settled on the answer" in tell(fell).title
    made = compare([fell, retold(fell, run="other")])
    assert "2 runs compared: both not settled on the answer" in made.html
    assert "neither grokked" not in made.html


def test_a_network_that_passed_90_percent_soon_and_99_late_is_not_said_to_have_generalized_soon() -> None:
    series = drawn(KNOWN, [0, 0.95, 0.95, 0.95, 0.95, 0.97, 0.98, 1])
    assert about(series).outcome == "comprehension"
    assert tell(series).title == "This network generalized by step 30,000, and mostly soon after it learned: no grokking"
    at_once = drawn(KNOWN, [0, 0.95, 1, 1, 1, 1, 1, 1])
    assert tell(at_once).title == "This network generalized by step 1,000, soon after it learned: no grokking"


def test_a_network_that_grokked_is_not_said_to_have_learned_all_pairs_together() -> None:
    spike = drawn([0, 1, 1, 1, 1, 1, 0.8, 1], [0, 0.02, 0.02, 0.1, 1, 1, 0.7, 1])
    story = tell(spike)
    assert story.title == (
        "This network grokked at step 10,000 (for good only from the last measurement, step 30,000, just after a dip)"
    )
    assert "together" not in str(story)
    assert "answered those it never saw only 9,900 steps later" in story.short[0]
    slow = drawn([0, 0.95, 0.95, 0.95, 0.95, 0.95, 1, 1], [0, 0.02, 0.02, 0.02, 1, 1, 1, 1])
    assert about(slow).outcome == "grokking"
    assert "99 % of the latter from step 25,000 on, of the others from step 10,000 on" in tell(slow).short[0]
    assert "together" not in str(tell(slow))
    both = drawn([0, 0.5, 1, 1, 1, 1, 1, 1], [0, 0.5, 1, 1, 1, 1, 1, 1])
    assert "together" in tell(both).short[0]


@pytest.mark.parametrize("train", [[0] + [0.95] * 7, [0, 1, 1, 1, 1, 0.01, 0.01, 0.01]])
def test_a_network_that_does_not_know_its_training_pairs_is_not_said_to_have_memorized(train: list[float]) -> None:
    series = drawn(train, [0] + [0.02] * 7)
    assert about(series).outcome == "memorization"
    share = "95 %" if train[-1] == 0.95 else "1 %"
    assert tell(series).title == f"This network answers {share} of its training pairs after 30,000 steps, and has not grokked"
    assert "has memorized" in tell(drawn(KNOWN, [0] + [0.02] * 7)).title


def test_a_history_that_begins_late_is_not_said_to_begin_with_pairs_known_by_heart() -> None:
    series = drawn([0.92, 1, 1, 1], [0.5, 1, 1, 1], steps=(5000, 5500, 6000, 6500))
    assert about(series).outcome == "unknown"
    text = str(tell(series))
    assert "Its accuracies are known from step 5,000 on, when it already answered most of its training pairs" in text
    assert "history begins" not in text


def test_configurations_that_differ_beyond_what_is_shown_are_not_called_the_same() -> None:
    configs = [json.dumps({"optimizer": {"lr": lr}}) for lr in (0.1234567890123, 0.1234567890124)]
    runs = [drawn(KNOWN, KNOWN, config=config, run=f"run {i}") for i, config in enumerate(configs)]
    made = compare(runs).html
    assert "0.1234567890123" in made
    assert "0.1234567890124" in made
    assert ">the same<" not in made
    assert ">the same<" in compare([runs[0], retold(runs[0], run="again")]).html


def test_a_run_that_broke_off_says_so_in_a_notebook(tmp_path: Path) -> None:
    config = replace(recipe("demo"), steps=300, threads=1)
    config = replace(config, optimizer=replace(config.optimizer, lr=1e10), checkpoints=replace(config.checkpoints, every=50))
    with pytest.raises(TrainingError):
        record(config, root=tmp_path, name="broken", progress=False)
    from interp import open_run

    run = open_run(tmp_path / "broken")
    assert f"broke off after step {run.facts()['last_step']:,}" in run._repr_html_()


TWO = drawn([0, 1], [0, 1], steps=(0, 10_000))


def test_two_checkpoints_do_not_tell_whether_a_network_grokked() -> None:
    assert about(TWO).outcome == "unknown"
    story = tell(TWO)
    apart = "checkpoints are too far apart to tell whether it grokked"
    assert story.title == f"This network generalized by step 10,000; its {apart}"
    assert story.end == "generalized and may have grokked"
    assert f"Its {apart}" in str(story)
    assert "which it learned first was not measured" in story.short[0]
    for word in ("soon", "together", "no grokking", "only"):
        assert word not in f"{story} {' '.join(story.short)}", word
    made = compare([TWO, retold(TWO, run="other")])
    assert made.headline.startswith("2 runs compared: both generalized and may have grokked.")
    assert "unknown: checkpoints too far apart" in made.html
    assert made.html.count("without grokking") == 0


def test_a_lead_that_may_as_well_be_the_other_way_round_is_not_told() -> None:
    series = retold(TWO.assign(restricted_loss=("step", [4.0, 0.1])))
    lead = tell(series).lead
    assert (lead.steps, lead.shortest, lead.longest, lead.is_told) == (0, -10_000, 10_000, False)
    html = page(series, []).html
    assert 'class="milestone lead"' not in html
    assert "10,000 to 10,000" not in html
    assert "which came first was not measured" in str(tell(series))
    compared = compare([series, retold(series, run="other")])
    assert "either may have come first" in compared.html
    assert ": 0 steps" not in compared.headline


def sparse_test_accuracy() -> xr.Dataset:
    """Memorized at 100, no test accuracy between 200 and 1,000."""
    return drawn([0, 1, 1, 1, 1], [0, 0.03, 0.06, 1, 1], steps=(0, 100, 200, 3000, 3100))


def test_a_number_is_told_at_the_step_at_which_it_was_measured() -> None:
    text = str(tell(sparse_test_accuracy()))
    assert "At step 200 its test accuracy was still 6 %" in text
    apart = sparse_test_accuracy()
    apart["history_test_loss"][2] = np.nan
    assert "At step 200 its test accuracy was still 6 %, its test loss at step 100 3.88 nats." in str(tell(apart))
    late = drawn(KNOWN[:4], [0, 0.02, 0.03, 0.04], steps=STEPS[:4])
    late["history_test_accuracy"][-1] = np.nan
    assert "test accuracy is 3 % at step 1,000, where it was last measured, not 99 %" in str(tell(late))
    assert "after 1,000 steps it answers 3 % of the others" in tell(late).short[0]


def test_a_network_that_answers_unseen_pairs_first_is_not_said_to_have_learned_them_later() -> None:
    first = drawn([0, 0.5, 0.9, 0.95, 1], [0, 0.5, 1, 1, 1], steps=(0, 50, 100, 150, 200))
    story = tell(first)
    assert story.title == "This network generalized by step 100, before it knew the pairs it was shown: no grokking"
    assert (
        story.short[0]
        == "It answered 99 % of the pairs it never saw from step 100 on, of those it was shown only from step 200 on."
    )


def stray() -> xr.Dataset:
    """A flat run with one evaluation that is right by mistake, and 99 % for good from step 2,900."""
    steps = tuple(range(0, 4001, 100))
    test = [0.995 if step == 300 else 0.03 if step < 2900 else 1.0 for step in steps]
    return drawn([0.0 if step < 100 else 1.0 for step in steps], test, steps=steps)


def test_a_stray_evaluation_dates_nothing_and_is_told_as_one() -> None:
    story, known = tell(stray()), about(stray())
    assert known.outcome == "grokking"
    assert story.title == "This network grokked at step 2,900"
    assert known.phases.cleanup == known.phases.grokked
    assert "dip" not in str(story)
    assert "At step 300 alone test accuracy was 99.5 %: a stray evaluation, between 3 % and 3 %" in str(story)
    never = stray()
    never = drawn([0, *[1.0] * 9], [0, 0.02, 0.02, 0.999, *[0.02] * 6], steps=tuple(range(0, 1000, 100)))
    assert about(never).outcome == "memorization"
    assert milestones(never)["Grokked"] == "not reached"
    assert "a stray evaluation" in str(tell(never))


def test_what_lacks_its_curve_is_said_to_lack_it_and_the_other_accuracy_is_dated() -> None:
    series = drawn(KNOWN, [0, 0.02, 0.02, 0.02, 1, 1, 1, 1]).drop_vars("history_train_accuracy")
    found = date_phases(series)
    assert (found.grokked.step, found.memorized, found.outcome) == (10_000, None, "unknown")
    why = "not known: the history has no train accuracy"
    series = series.assign_attrs(about=replace(about(series), phases=found))
    assert (milestones(series)["Memorized"], milestones(series)["Cleanup"]) == (why, why)
    assert phases_in_words(found, known=["test_accuracy"])["memorized"] == why
    story = tell(series)
    assert story.title == "This network generalized by step 10,000; whether that was grokking is not known"
    assert "Its history has no train accuracy: whether it grokked is not known." in str(story)
