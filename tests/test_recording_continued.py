"""interp.recording by the name of a run that is there: it goes on where that was left, or says why not."""

from __future__ import annotations

from functools import partial

import pytest
from own_loops import SPLIT, TASK, P, Tokens, own_loop, seeded

import interp
from interp.errors import UsageError
from interp.live.follower import line_of
from interp.store.run import Run


@pytest.fixture
def recorded(tmp_path):
    return partial(interp.recording, task=TASK, split=SPLIT, root=tmp_path, checkpoints=[0, 10, 20])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_leaves_the_block_leaves_a_run_that_is_continued(recorded, error):
    model = seeded(Tokens)
    log = recorded("twice", model, analyses="weight_norms")
    with pytest.raises(error), log:  # noqa: PT012  the loop is the statement
        own_loop(model, log=log, steps=15)
        raise error
    assert log.run.status == "interrupted"
    assert log.run.manifest.step == 15  # the loop told it; a model that may be half updated is not saved
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    again = seeded(Tokens, seed=5)
    again.load_state_dict(state)
    with recorded("twice", again, analyses="weight_norms") as log:
        assert log.last == 15
        with pytest.raises(UsageError, match=r"expected one of at least 16.*goes on after log\.last"):
            log.step(15)
        own_loop(again, log=log, first=log.last + 1)
    run = log.run
    assert run.status == "finished"
    assert run.steps == (0, 10, 20, 30)
    assert run.verify() == ()
    assert interp.observe(log.path, "weight_norms").sizes["step"] == 4
    with pytest.raises(UsageError, match="is finished at step 30"):
        recorded("twice", again)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"task": interp.ModularTask(P, "subtract")}, "task.operation"),
        ({"split": interp.SplitConfig(fraction=0.6, seed=2)}, "split.train"),
        ({"loss": "stablemax"}, "loss"),
        ({"model": Tokens(width=8)}, "tensors"),
    ],
)
def test_an_unfinished_run_of_something_else_is_not_continued(recorded, how, told):
    model = seeded(Tokens)
    log = recorded("other", model)
    with pytest.raises(ValueError, match="stop"), log:  # noqa: PT012  the loop is the statement
        log.step(0)
        raise ValueError("stop")
    how = {"model": model, **how}
    with pytest.raises(UsageError, match=f"recorded of something else.*{told}"):
        recorded("other", **how)
    assert log.run.manifest.step == 0


def test_a_run_that_was_trained_here_is_no_loop(tmp_path, recorded):
    from recorded import CONFIG

    interp.record(CONFIG, tmp_path, "ours", progress=False)
    with pytest.raises(UsageError, match=r"was not recorded by interp\.recording"):
        recorded("ours", Tokens())


@pytest.mark.parametrize(
    ("begun", "goes_on", "told"),
    [
        ({"matrices": {"W_E": "embed.weight"}}, {}, "matrices.W_E: given None, recorded 'embed.weight'"),
        ({}, {"keys": [1, 2]}, "key_rule: given 'explicit', recorded 'logits'"),
        ({"keys": [1]}, {"keys": [1, 2]}, r"keys: given \[1, 2\], recorded \[1\]"),
        ({}, {"checkpoints": [0, 5]}, r"checkpoints.steps: given \[0, 5\], recorded \[0, 10, 20\]"),
        ({}, {"evaluate_every": 3}, "evaluate_every: given 3, recorded None"),
        ({"evaluate_every": 4}, {"evaluate_every": 3}, "evaluate_every: given 3, recorded 4"),
        (
            {"analyses": ["logit_spectrum"]},
            {"analyses": ["progress_measures"]},
            r"analyses: given \['progress_measures', 'weight_norms'\], recorded \['logit_spectrum', 'weight_norms'\]"
            r".*interp\.observe\(log\.run, \.\.\.\) measures anything else afterwards",
        ),
        ({}, {"analyses": [seeded]}, r"analyses: given \['seeded', 'weight_norms'\], recorded"),
    ],
)
def test_other_choices_are_not_continued(recorded, begun, goes_on, told):
    model = seeded(Tokens)
    with pytest.raises(KeyboardInterrupt), recorded("on", model, **begun) as log:  # noqa: PT012  the loop is what is interrupted
        log.step(0)
        raise KeyboardInterrupt
    with pytest.raises(UsageError, match=told):
        recorded("on", model, **goes_on)
    assert recorded("on", model, **begun)


def test_a_run_of_an_earlier_version_says_nothing_of_its_analyses_and_is_continued(recorded, monkeypatch):
    model = seeded(Tokens)
    with pytest.raises(KeyboardInterrupt), recorded("old", model, analyses=["weight_norms"]) as log:  # noqa: PT012  the loop is what is interrupted
        own_loop(model, log=log, steps=12)
        raise KeyboardInterrupt
    without = property(lambda run: {name: value for name, value in run.record["settings"].items() if name != "analyses"})
    monkeypatch.setattr(Run, "settings", without)
    with recorded("old", model, analyses=["logit_spectrum"]) as log:
        own_loop(model, log=log, first=log.last + 1)
    assert interp.observe(log.path).cos_fve.notnull().sum() == 4  # those before, too: measured at the end


def test_the_last_step_that_was_told_is_where_an_interrupted_run_goes_on(recorded):
    """Also one that was neither saved nor evaluated nor told with its loss: the numbers of later steps depend on it."""
    model = seeded(Tokens)
    with pytest.raises(KeyboardInterrupt), recorded("told", model) as log:  # noqa: PT012  the loop is what is interrupted
        for step in range(15):
            log.step(step)
        raise KeyboardInterrupt
    assert (log.last, log.run.manifest.step, log.run.steps, log.run.verify()) == (14, 14, (0, 10), ())
    with recorded("told", model) as log:
        assert log.last == 14
        own_loop(model, log=log, first=log.last + 1)
    assert (log.run.steps, log.run.verify()) == ((0, 10, 20, 30), ())


RULE = interp.CheckpointConfig(log=10, every=0)


@pytest.mark.parametrize(
    ("rule", "steps", "told"),
    [
        (RULE, (50, 300), "steps: given 300, recorded 50.*may tell more steps than that"),
        (interp.CheckpointConfig(log=10, every=20), (50, None), "steps: given None, recorded 50"),
        (interp.CheckpointConfig(log=10, every=20), (300, 500), None),
        (interp.CheckpointConfig(log=0, every=20), (50, 300), None),
        ([0, 5], (50, 300), None),
    ],
)
def test_another_last_step_is_refused_where_early_checkpoints_depend_on_it(recorded, rule, steps, told):
    begun, goes_on = steps
    with pytest.raises(KeyboardInterrupt), recorded("on", seeded(Tokens), checkpoints=rule, steps=begun) as log:  # noqa: PT012  likewise
        log.step(0)
        raise KeyboardInterrupt
    if told is None:
        assert recorded("on", seeded(Tokens), checkpoints=rule, steps=goes_on)
    else:
        with pytest.raises(UsageError, match=told):
            recorded("on", seeded(Tokens), checkpoints=rule, steps=goes_on)


def test_a_loop_that_goes_on_after_its_last_step_is_saved_at_even_steps_and_said_to_have_ended(recorded):
    with recorded("longer", seeded(Tokens), checkpoints=interp.CheckpointConfig(log=0, every=10), steps=15) as log:
        for step in range(36):
            log.step(step)
    assert log.run.steps == (0, 10, 15, 20, 30, 35)
    assert (log.run.reason, log.run.verify()) == ("ended", ())
    assert line_of(log.run) == "The run is finished: it ended at step 35."


def test_a_run_without_a_step_does_not_take_the_name(recorded, caplog):
    with recorded("early", seeded(Tokens)) as log:
        pass
    assert "no step was told" in caplog.text
    assert (log.run.status, log.last, log.run.verify()) == ("interrupted", None, ())
    with pytest.raises(ValueError, match="soon"), recorded("early", seeded(Tokens), checkpoints=[0]):
        raise ValueError("soon")
    with recorded("early", seeded(Tokens), checkpoints=[0, 5], loss="stablemax") as log:  # all of which is another choice
        own_loop(seeded(Tokens), log=log, steps=5)
    assert (log.run.steps, log.run.settings["loss"], log.run.verify()) == ((0, 5), "stablemax", ())


def test_a_run_without_a_step_leaves_nothing_to_one_of_another_task(tmp_path):
    for task in (interp.task("Z7"), interp.ModularTask(7)):  # the first is stored as a table
        split = interp.SplitConfig(fraction=0.5)
        with interp.recording("other", seeded(Tokens), task=task, split=split, root=tmp_path, checkpoints=[0, 2]) as log:
            for step in range(3) if task == interp.ModularTask(7) else ():
                log.step(step)
    assert (log.run.steps, log.run.verify()) == ((0, 2), ())
