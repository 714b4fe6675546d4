"""The story's sentences, milestones and lead time, of series that have only what the story reads."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from retelling import retold, saying

from interp.measures import LeadTime, lead_time, stand_out
from interp.observing.series import about, as_attributes
from interp.reporting import page
from interp.reporting.story import tell


def told(**changes: object) -> xr.Dataset:
    """A series with only what the story reads."""
    steps = np.array([0, 100, 1000, 2000, 3000])
    curves = {
        "history_train_accuracy": [0, 1, 1, 1, 1], "history_test_accuracy": [0, 0.02, 0.03, 0.6, 1],
        "history_train_loss": [4, 1e-3, 1e-6, 1e-6, 1e-6], "history_test_loss": [4, 9, 10, 1, 1e-4],
        "history_sum_squared_weights": [10, 20, 15, 8, 5],
    }  # fmt: skip
    series = xr.Dataset({"restricted_loss": ("step", [4, 3, 1.0, 0.1, 1e-6]), "excluded_loss": ("step", [4, 0.1, 0.01, 2, 5])})
    series = series.assign_coords(step=steps)
    for name, values in curves.items():
        series[name] = xr.DataArray(np.array(values, float), dims="history_step", coords={"history_step": steps})
    bound = {"memorized": 100, "onset": 1000, "cleanup": 2000, "grokked": 3000, "settled": None}
    phases = {k: v and {"step": v, "earliest": v - 10, "latest": v + 10} for k, v in bound.items()}
    said = {"p": 59, "key_frequencies": [4, 7], "outcome": "grokking", "phases": json.dumps(phases)}
    return saying(series, **{**said, **changes})


def test_story_of_a_grokked_run_says_when_what_and_how_long_before() -> None:
    story = tell(told(config=json.dumps({"split": {"fraction": 0.4}})))
    text = str(story)
    assert story.title == "This network grokked at step 3,000"
    assert "1,392 of the 3,481 pairs" in text
    assert "step 3,000 (2,990 to 3,010)" in text
    assert "1,000 steps" in text  # restricted halved at 1000, accuracy one half at 2000
    assert "frequencies 4 and 7" in text
    assert "0.01 to 5" in text
    assert "missing" not in text


def without(*names: str) -> str:
    phases = json.loads(as_attributes(about(told()))["phases"])
    return json.dumps({**phases, **dict.fromkeys(names)})


def test_story_of_a_memorizer_claims_no_grokking_and_says_what_is_missing() -> None:
    series = told(outcome="memorization", phases=without("grokked", "cleanup", "onset"))
    series["history_test_accuracy"][:] = [0, 0.02, 0.02, 0.03, 0.03]
    text = str(tell(series))
    assert "has memorized but not grokked in 3,000 steps" in text
    assert "What is missing: test accuracy is 3 %" in text
    assert "grokked at" not in text
    assert "circuit formed" not in text
    assert "need not be a circuit" in text


def test_story_of_a_run_that_answers_unseen_pairs_alone_calls_that_no_grokking() -> None:
    """As chance can have it where two pairs are all there is."""
    series = told(outcome="confusion", phases=without("memorized", "cleanup", "onset"))
    series["history_train_accuracy"][:] = 0.5
    story = tell(series)
    assert "has not learned its task" in story.title
    assert "Generalized" in [milestone.label for milestone in story.milestones]
    assert "grokked" not in str(story).lower()


def test_a_run_that_generalizes_is_not_said_to_have_no_circuit_yet() -> None:
    story = tell(told(outcome="comprehension", phases=without("onset", "cleanup")))
    assert [milestone.absent for milestone in story.milestones if milestone.boundary is None] == [
        "not seen",
        "not seen",
        "not reached",
    ]


@pytest.mark.parametrize("learned", [False, True])
def test_story_of_a_run_that_broke_off_says_so_and_expects_nothing_more_of_it(learned: bool) -> None:
    names = ("grokked", "cleanup", "onset") if learned else ("memorized", "grokked", "cleanup", "onset")
    outcome = "memorization" if learned else "confusion"
    story = tell(told(outcome=outcome, phases=without(*names), facts=json.dumps({"status": "stopped", "last_step": 3000})))
    known = (
        "memorized but not grokked in 3,000 steps" if learned else "training broke off after step 3,000, before it had learned"
    )
    assert known in story.title
    assert "no longer finite" in story.short[0]
    assert "no longer finite" in str(story)
    assert {milestone.absent for milestone in story.milestones} <= {"never", "not for good"}  # its curves reach 99 %
    assert "broke off" not in str(tell(told(facts=json.dumps({"status": "finished"}))))


def test_story_of_a_run_that_learned_nothing_says_so() -> None:
    series = told(outcome="confusion", phases=without("memorized", "grokked", "cleanup", "onset"))
    series["history_train_accuracy"][:] = 0.2
    text = str(tell(series))
    assert "has not learned its task" in text
    assert "train accuracy is 20 %" in text


def test_story_of_a_run_that_generalized_at_once_does_not_call_it_grokking() -> None:
    story = tell(told(outcome="comprehension"))
    assert "no grokking" in story.title
    cards = {milestone.label: milestone for milestone in story.milestones}
    assert "Grokked" not in cards
    assert (cards["Generalized"].boundary.step, cards["Generalized"].meaning) == (3000, "test accuracy 99 % for good")
    assert "Grokked" in [milestone.label for milestone in tell(told()).milestones]


def test_story_needs_no_measures_and_no_history() -> None:
    bare = saying(xr.Dataset(coords={"step": [0, 10]}), p=5)
    story = tell(bare)
    assert story.title == "A network after 10 steps"
    assert all(milestone.boundary is None for milestone in story.milestones)


def test_lead_time_is_the_distance_of_the_half_way_marks_and_needs_both() -> None:
    steps = [0, 10, 20, 30]
    falling, rising = [4.0, 1.5, 1.0, 0.1], [0.0, 0.1, 0.2, 0.9]
    lead = lead_time((steps, falling), (steps, rising))
    assert (lead.restricted.step, lead.accuracy.step, lead.steps) == (10, 30, 20)
    assert lead.shortest <= lead.steps <= lead.longest
    never = lead_time((steps, falling), (steps, [0.0, 0.1, 0.2, 0.3]))
    assert (never.restricted, never.accuracy, never.steps, never.first) == (lead.restricted, None, None, None)
    assert lead_time((steps, [4.0] * 4), (steps, rising)).steps is None
    # What does not last is not for good; when it first was so is another date, with a lead of its own.
    dipping = lead_time((steps, [4.0, 0.1, 4.0, 0.1]), (steps, rising))
    assert (dipping.restricted.step, dipping.steps, dipping.first) == (30, 0, 20)
    assert dipping.shortest <= dipping.steps < dipping.first <= dipping.longest


def ending(losses: list[float]) -> str:
    """The story of a run that grokked at step 1,000 and had these test losses then, at step 2,000 and at step 3,000."""
    phases = json.loads(as_attributes(about(told()))["phases"]) | {"grokked": {"step": 1000, "earliest": 100, "latest": 1000}}
    series = told(phases=json.dumps(phases))
    series["history_test_loss"][:] = [1e-9, 9, *losses]
    return str(tell(series))


def test_a_test_loss_that_rose_again_after_grokking_is_told() -> None:
    risen = "Since then its test loss was lowest at step 2,000, 1.2e-05 nats; at step 3,000 it is 0.0015 nats, 125 times as much."
    assert risen in ending([0.5, 1.2e-5, 1.5e-3])
    assert "10 times as much" in ending([0.5, 1e-5, 1.0001e-4])
    assert "lowest at step 2,000, 0 nats; at step 3,000 it is 1e-08 nats." in ending([0.5, 0, 1e-8])
    for losses in ([0.5, 1e-5, 0.99e-4], [0.5, 1e-5, 1e-6], [0.5, 0, 0]):
        assert "lowest at" not in ending(losses)
    series = memorizer(29)
    series["history_test_loss"][:] = [4, 1e-9, 9, 9, 9]
    assert "lowest at" not in str(tell(series))


def formed(restricted: list[float], accuracy: list[float]) -> tuple[LeadTime, str, str, str]:
    """Lead time, the sentence on it, the short story and the page's text of a run with these two curves."""
    series = told(phases=without("onset"))
    series["restricted_loss"][:] = restricted
    series["history_test_accuracy"][:] = accuracy
    series = retold(series)
    story = tell(series)
    [sentence] = [one for one in story.sentences if "had halved" in one]
    return story.lead, sentence, " ".join(story.short), page(series, []).html


def test_the_interval_of_a_lead_keeps_its_signs_and_is_said_in_the_right_words() -> None:
    lead, sentence, short, html = formed([4, 1, 0.1, 0.1, 0.1], [0, 0.02, 0.03, 0.9, 1])
    assert (lead.steps, lead.shortest, lead.longest) == (1900, 900, 2000)
    assert (
        "by step 100 (0 to 100): 1,900 steps (900 to 2,000) before the test accuracy passed one half, at step 2,000." in sentence
    )
    assert "1,900 steps before the test accuracy" in short
    assert "restricted loss halved before test accuracy passed one half" in html

    lead, sentence, short, html = formed([4, 4, 4, 1, 0.1], [0, 0.02, 0.03, 0.9, 1])
    assert (lead.steps, lead.shortest, lead.longest) == (0, -1000, 1000)
    assert "; the test accuracy passed one half by step 2,000 (1,000 to 2,000), and which came first was not measured" in sentence
    assert "before the test accuracy" not in short
    assert 'class="milestone lead"' not in html

    lead, sentence, _, _ = formed([4, 4, 4, 1.9, 0.1], [0, 0.02, 0.58, 0.9, 1])
    assert (lead.steps, lead.shortest, lead.longest) == (-1000, -2900, 1000)
    assert "by step 1,000" in sentence
    assert "which came first was not measured" in sentence

    lead, sentence, _, _ = formed([4, 4, 4, 4, 1], [0, 0.9, 0.9, 0.9, 1])
    assert (lead.steps, lead.shortest, lead.longest) == (-2900, -3000, -1900)
    assert ": 2,900 steps (1,900 to 3,000) after the test accuracy passed one half, at step 100." in sentence


def test_an_accuracy_that_was_there_before_anybody_looked_has_no_lead() -> None:
    assert lead_time(([10, 20], [4.0, 0.1]), ([10, 20], [0.9, 1.0])).accuracy is None
    assert lead_time(([0, 20], [4.0, 0.1]), ([0, 20], [0.9, 1.0])).accuracy.step == 20  # by chance at step 0
    assert lead_time(([0], [4.0]), ([0], [0.9])) == LeadTime(None, None, None, None, None)
    assert lead_time(([0, 20], [4.0, 0.1]), ([20], [0.9])).restricted.step == 20


def end_only() -> xr.Dataset:
    """A published model: losses from the beginning, accuracies at the last step only, one checkpoint."""
    series = told(outcome="unknown", phases=json.dumps(dict.fromkeys(("memorized", "onset", "cleanup", "grokked", "settled"))))
    series = series.isel(step=[-1])
    for part in ("train", "test"):
        series[f"history_{part}_accuracy"][:-1] = np.nan
    series["history_sum_squared_weights"][:-1] = np.nan
    return series


def test_story_of_a_model_whose_accuracy_is_known_at_its_end_only_dates_nothing() -> None:
    story = tell(end_only())
    assert story.title.startswith("This network answers 100 % of the pairs it never saw at step 3,000; its history does not show")
    assert [str(milestone) for milestone in story.milestones] == ["not known"] * 5
    assert "grokking" not in str(story)
    assert "missing" not in str(story)
    assert "It computes with 2 of 29 frequencies" in str(story)
    html = page(end_only(), []).html
    assert html.count("not known") == 5
    assert '"bands":[]' in html


def test_what_can_be_known_of_a_late_memorizer_is_said() -> None:
    series = end_only()
    series["history_test_accuracy"][-1] = 0.03
    story = tell(retold(series, outcome="memorization"))
    assert [str(m) for m in story.milestones] == ["not known", "not known", "not known", "not reached", "not known"]
    assert "training pairs themselves" not in str(story)
    assert "test accuracy is 3 %" in str(story)


def memorizer(n_keys: int, **changes: object) -> xr.Dataset:
    changes = {"outcome": "memorization", "phases": without("grokked", "cleanup", "onset"), **changes}
    series = told(key_frequencies=list(range(1, n_keys + 1)), **changes)
    series["history_test_accuracy"][:] = [0, 0.02, 0.02, 0.6, 0.6]
    return series


def test_a_memorizer_with_a_flat_spectrum_has_no_lead() -> None:
    assert (stand_out(14, 29), stand_out(15, 29)) == (True, False)
    flat, few = tell(memorizer(29)), tell(memorizer(14))
    assert flat.lead is None
    assert few.lead is not None
    assert "had halved" not in str(flat)
    assert "had halved for good by step 1,000" in str(few)
    for story, n in ((flat, 29), (few, 14)):
        assert "sees only the circuit" not in str(story)
        assert f"with {n} of 29 frequencies kept it contains memorized answers too" in str(story)
    assert "sees only the circuit" in str(tell(told()))
    assert "the restricted loss has no lead time, because with 15 of 29" in str(tell(told(key_frequencies=list(range(1, 16)))))


def test_frequencies_are_said_to_stand_out_only_where_they_do() -> None:
    flat = "No frequency stands out: 29 of 29 pass the rule."
    assert flat in str(tell(memorizer(29)))
    assert flat in str(tell(told(key_frequencies=list(range(1, 30)))))
    last = "The frequency that stands out at the last step is 1 (of 1 to 29); it need not be a circuit."
    assert last in str(tell(memorizer(1)))
    asked = tell(memorizer(29, key_rule="explicit"))
    assert "The frequencies asked for are 1, 2, 3," in str(asked)
    assert "The frequency asked for is 1 (of 1 to 29)." in str(tell(memorizer(1, key_rule="explicit")))
    assert "stand" not in str(asked)


def test_parts_of_a_group_that_have_names_are_called_representations() -> None:
    text = str(tell(told(key_frequencies=["standard"], frequencies=2)))
    assert "It computes with 1 of 2 representations (representation standard)" in text
    assert "frequenc" not in text
