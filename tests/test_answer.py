"""What is said of a run in one sentence, after training and by `interp show`: true of runs whose story was planted."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from planted_histories import HISTORIES, planted_history

from interp.cli import main
from interp.measures import phases
from interp.measures.dating import phases_of
from interp.observing.answer import answer, told
from interp.observing.facts_in_words import losses_in_words

SENTENCES = {
    "clock": "grokked at step 3,000 (2,900 to 3,000), a generalizer, a clock, 2 key frequencies (2, 3)",
    "together": "grokked at step 300 (200 to 300) (with its training pairs, without a plateau), a generalizer",
    "memorizer": "not grokked: memorized at step 200 (100 to 200), test accuracy 5 % at the end, a memorizer",
    "nothing": "not memorized: test accuracy 5 % at the end",
    "lost": "grokked, but lost again: test accuracy 5 % at the end",
    "dipping": "grokked at step 3,000 (2,900 to 3,000), for good from step 4,100, after 1 dip",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("answers")
    return {kind: planted_history(root, kind) for kind in HISTORIES}


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code)


@pytest.mark.parametrize("kind", SENTENCES)
def test_the_sentence_is_true_of_the_run(kind, runs):
    found = answer(runs[kind])
    assert found.sentence.startswith(SENTENCES[kind])
    assert found.why_unknown is None
    if "not " in SENTENCES[kind]:
        assert found.grokked is None
        assert "a generalizer" not in found.sentence
        assert "key freq" not in found.sentence


def test_a_history_that_begins_late_is_not_said_to_lack_what_came_before(runs):
    late = phases([3000, 3100, 3200], [0.1] * 3, [5.0] * 3, [1.0] * 3, [0.05] * 3)  # as that of a fork
    said = told(runs["nothing"], late, None).sentence
    assert said == "not grokked: memorized before its history begins, test accuracy 5 % at the end"


def test_an_unfinished_run_says_where_it_is(tmp_path):
    found = answer(planted_history(tmp_path, "clock", end=1_000)).sentence
    assert found.startswith("not grokked: memorized at step 200")
    assert found.endswith(", interrupted at step 1,000")


def test_show_gives_the_answer_first_and_the_same_in_json(runs, capsys):
    for kind, run in runs.items():
        assert call("show", run.path) == 0
        first, *lines = capsys.readouterr().out.splitlines()
        assert first.startswith(f"{kind}: {SENTENCES[kind]}")
        assert f"learns: a + b modulo 13, from {len(run.split.train)} of 169 pairs (50 %)" in lines
        assert "  task.p: 13 (not 113)" in lines
        assert call("show", run.path, "--json") == 0
        assert json.loads(capsys.readouterr().out)["answer"] == first.removeprefix(f"{kind}: ")
        assert call("show", run.path, "--all") == 0
        assert capsys.readouterr().out.splitlines()[0] == first


def test_a_damaged_checkpoint_takes_the_verdict_away_and_not_the_date(tmp_path):
    run = planted_history(tmp_path, "clock")
    run.last.path.write_bytes(b"?")
    found = answer(run)
    assert found.sentence == "grokked at step 3,000 (2,900 to 3,000)"
    assert "damaged" in found.why_unknown or "expected" in found.why_unknown


def test_numbers_are_those_people_read():
    assert (
        losses_in_words({"train_loss": 1.234567e-7, "test_accuracy": 0.99996})
        == "train loss 1.235e\u22127, test accuracy > 99.9 %"
    )
    assert losses_in_words({"test_loss": None, "train_accuracy": float("nan")}) == "train accuracy nan"


def test_after_training_it_is_said_first(tmp_path, capsys):
    arguments = ("train", "demo", "--task.p", 11, "--model.d-mlp", 24, "--model.d-model", 16, "--model.n-heads", 2, "--steps", 30)
    assert call(*arguments, "--engine", "reference", "--name", "x", "--root", tmp_path) == 0
    first, where, what = capsys.readouterr().out.splitlines()
    assert first.startswith("x: not memorized: test accuracy ")
    assert where.startswith(f"{tmp_path / 'x'}: finished (budget) at step 30; train loss ")
    assert what.startswith(f"Next: interp report {tmp_path / 'x'}")


@pytest.mark.parametrize(
    ("test_accuracy", "why"),
    [
        ([], "its history has no test accuracy"),
        ([0.1], "its history has one test accuracy alone"),
        ([0.1, 1.0], "the measurements around the crossings lie too far apart to tell grokking from comprehension"),
    ],
)
def test_an_outcome_that_is_not_known_has_its_own_reason(test_accuracy, why):
    steps = np.array([0, 100, 2500])
    right = np.array([np.nan] * (3 - len(test_accuracy)) + test_accuracy)
    curves = {"train_accuracy": (steps, np.array([0.1, 1.0, 1.0]))}
    known = np.isfinite(right)
    if known.any():
        curves["test_accuracy"] = (steps[known], right[known])
    columns = {"train_accuracy": curves["train_accuracy"][1], "test_accuracy": right}
    run = SimpleNamespace(columns=columns)
    found = told(run, phases_of(curves), None)
    assert (found.outcome, found.why_unknown) == ("unknown", why)
