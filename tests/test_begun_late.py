"""Runs that begin memorized: what they say of when, and of a memory that was lost again."""

from __future__ import annotations

import numpy as np
from recorded import CONFIG

from interp.forecasting.doctor.diagnosing import judge
from interp.forecasting.doctor.patient import Course, Patient, of_config
from interp.forecasting.foresee import foretell
from interp.forecasting.label_free import LabelFree
from interp.measures.boundary import Boundary
from interp.measures.dating import Phases
from interp.measures.dips import Dip, Reached
from interp.observing.dips_in_words import phases_in_words


def curves(first: int, memorized: int) -> LabelFree:
    """Two checkpoints, of which nothing else is known."""
    steps, none = np.array([first, first + 10]), np.zeros(0)
    config = {"steps": 5000, "checkpoints": {"log": 0, "every": 1000}}
    return LabelFree(steps, np.ones(2), np.ones(2), none.astype(np.int64), none, memorized, first + 10, config, 59)


def test_a_first_checkpoint_is_no_date_of_memorizing() -> None:
    for first, memorized, said in (
        (300, 300, "had memorized by step 300"),
        (0, 300, "memorized at step 300"),
        (0, 0, "at step 0"),
    ):
        found = foretell(curves(first, memorized), 1000)
        assert found.verdict in ("too young", "not memorized")
        if found.verdict == "too young":
            assert said in str(found)


def test_the_doctor_says_by_when() -> None:
    config = of_config(CONFIG)
    for begun, said in ((300, "memorized by step 300"), (0, "memorized at step 300")):
        course = Course(500, memorized=300, begun_at=begun, train_accuracy=1.0, test_accuracy=0.2)
        assert said in str(judge(Patient(config.name, config.settings, config.task, None, course)))


def test_the_step_at_which_it_was_lost_is_said_once() -> None:
    lost = Reached(
        Boundary(265, 250, 265), None, (Dip(start=275, worst=275, end=None, value=0.67, is_spike=False),), span=(0, 400)
    )
    found = Phases(None, None, None, None, None, "memorization", reached={"memorized": lost})
    said = phases_in_words(found)["memorized"]
    assert said == "step 265 (250 to 265), not for good: lost again at step 275 (67 %)"
