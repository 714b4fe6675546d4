"""interp.recording at its default schedule: what is evaluated at once, what at the end, and that nothing of it is lost."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from own_loops import SPLIT, TASK, Tokens, own_loop, seeded
from torch import nn

import interp
from interp.loops.unchanged import Kept
from interp.store.run_log import MISHAP, noted

STEPS = 120
SAVED = (0, 1, 2, 3, 4, 5, 7, 9, 11, 14, 17, 22, 28, 36, 45, 57, 73, 92, 100, 117, 120)
AT_ONCE = {0, 1, 11, 100, 120}


@pytest.fixture
def recorded(tmp_path):
    return partial(interp.recording, task=TASK, split=SPLIT, root=tmp_path)


def evaluated(run: interp.Run) -> set[int]:
    return set(run.history.step.values[np.isfinite(run.history.test_loss)].tolist())


def largest(view):
    """How large are the logits?"""
    return {"largest": float(view.logits.max()), "step_of_it": float(view.step)}


def test_what_is_put_off_changes_neither_training_nor_checkpoints_nor_what_is_measured_of_them(recorded):
    asked = {"analyses": ["progress_measures", "logit_spectrum", largest], "matrices": {"W_E": "embed.weight"}}
    plain = seeded(Tokens)
    losses = own_loop(plain, steps=STEPS)
    runs = {}
    for name, when in {"usual": {}, "at-once": {"checkpoints": SAVED}}.items():
        model = seeded(Tokens)
        with recorded(name, model, **asked, **when) as log:
            assert own_loop(model, log=log, steps=STEPS) == losses
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
        assert noted(log.path, MISHAP) == []
        assert log.run.verify() == ()
        runs[name] = log.run
    usual, at_once = runs.values()
    assert usual.steps == at_once.steps == SAVED
    assert [usual.sha256(step) for step in SAVED] == [at_once.sha256(step) for step in SAVED]
    assert evaluated(usual) == AT_ONCE
    assert evaluated(at_once) == set(SAVED)
    assert int(usual.history.train_loss.notnull().sum()) == STEPS + 1
    one, other = (interp.observe(run.path) for run in runs.values())
    for name in ("restricted_loss", "cos_fve", "logit_share", "sum_squared", "W_E_singular_values", "largest", "step_of_it"):
        assert one[name].shape[0] == len(SAVED)
        np.testing.assert_allclose(one[name], other[name], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("every", [1, 7])
def test_what_is_to_be_evaluated_is_evaluated_at_once(recorded, every):
    model = seeded(Tokens)
    with recorded("every", model, evaluate_every=every) as log:
        own_loop(model, log=log, steps=30)
    assert evaluated(log.run) == {0, 1, 11, 30} | set(range(0, 31, every))


def test_what_was_put_off_before_an_interruption_is_measured_when_the_run_ends(recorded):
    model = seeded(Tokens)
    with pytest.raises(KeyboardInterrupt), recorded("on", model, analyses=largest) as log:  # noqa: PT012  the loop is what is interrupted
        own_loop(model, log=log, steps=50)
        raise KeyboardInterrupt
    assert log.run.steps[-1] == 45
    with recorded("on", model, analyses=largest) as log:
        own_loop(model, log=log, first=log.last + 1, steps=60)
    assert log.run.steps == (*SAVED[:16], 60)
    series = interp.observe(log.path)
    assert series.step_of_it.values.tolist() == list(log.run.steps)
    for step in (2, 14, 57):
        logits = log.run[step].network.activations(TASK.inputs)["logits"]
        assert float(series.largest.sel(step=step)) == float(logits.max())


def test_a_model_that_cannot_be_copied_is_evaluated_at_every_checkpoint(recorded):
    model = seeded(Tokens)
    plain = model.forward
    model.forward = lambda tokens: plain(tokens)  # noqa: PLW0108  a copy holds on to this model
    with recorded("patched", model, analyses=largest) as log:
        own_loop(model, log=log, steps=20)
    assert evaluated(log.run) == set(log.run.steps) == {*SAVED[:11], 20}
    assert interp.observe(log.path).largest.notnull().all()


def test_weights_that_are_not_finite_stop_the_run_where_nothing_else_is_looked_at(recorded):
    model = seeded(Tokens)
    with recorded("nan", model) as log:
        for step in range(20):
            if step == 7:
                nn.init.constant_(model.unembed.bias, torch.nan)
            log.step(step)
    assert (log.run.status, log.run.reason) == ("stopped", "non-finite")
    assert log.run.steps == (0, 1, 2, 3, 4, 5)
    assert log.run.verify() == ()


def test_an_analysis_that_fails_where_it_was_put_off_is_said_once_and_the_others_are_kept(recorded):
    def picky(view):
        if view.step in (2, 3):
            raise ValueError("not this one")
        return {"picky": 1.0}

    model = seeded(Tokens)
    with recorded("picky", model, analyses=[picky, largest]) as log:
        own_loop(model, log=log, steps=20)
    assert [(line["step"], line.get("times")) for line in noted(log.path, MISHAP)] == [(2, None)]
    series = interp.observe(log.path)
    assert "picky" not in series
    assert series.largest.notnull().all()


def test_what_is_kept_again_and_again_is_what_the_model_was_the_last_time():
    model, kept = seeded(Tokens), Kept()
    for _ in range(3):
        with torch.no_grad():
            model.embed.weight.add_(1)
        assert not kept.is_still(model)
        kept.keep(model)
        assert kept.is_still(model)
    model.unembed = nn.Linear(3, 3)
    kept.keep(model)
    assert kept.is_still(model)
