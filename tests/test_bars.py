"""Progress of a training: at every width step, time and time left stay; elsewhere a line now and then."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from interp import bars
from interp.bars import Told, training_progress
from interp.training.stream import Step


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def step(index: int, *, last: bool = False) -> Step:
    return Step(index, 1e-3, None, test_loss=2.0, test_accuracy=0.25, last=last)


def told(name: str = "demo-wd0.3-s1", *, total: int = 12_000, done: int = 0) -> tuple[Told, Clock, list]:
    clock, lines = Clock(), []
    return Told(name, total=total, done=done, until_settled=True, clock=clock), clock, lines


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("name", ["x", "demo-wd0.3-s1", "a-very-long-name-of-a-run-that-says-everything-that-differs-0123456789"])
def test_what_is_needed_fits_every_width(width, name):
    about, clock, _ = told(name)
    show = about.shower(lambda _say, _last: None, every=1)
    for index in range(0, 2_000, 100):
        clock.now += 1
        show(step(index))
    line = about.line(width)
    assert len(line) < width
    assert "\n" not in line
    assert "1,900/12,000" in line
    if width >= 60:
        assert "0:20, at most 1:41 left" in line
        assert line.startswith(name[:4])
    if width >= 80:
        assert "100 steps/s" in line
    if width >= 120:
        assert "train 1.00e-03 test 2.00e+00 accuracy 0.250" in line
        assert "\u2501" in line


def test_speed_is_that_of_the_last_seconds():
    about, clock, _ = told(total=10_000)
    show = about.shower(lambda _say, _last: None, every=1)
    for index in range(0, 1_000, 10):  # slow at first
        clock.now += 1
        show(step(index))
    for index in range(1_000, 11_000, 1_000):
        clock.now += 1
        show(step(index))
    assert "1,000 steps/s" in about.line(120)


def test_a_resumed_training_does_not_count_what_was_done_before():
    about, clock, _ = told(total=10_000, done=9_000)
    show = about.shower(lambda _say, _last: None, every=1)
    clock.now = 2
    show(step(9_100))
    assert "50 steps/s" in about.line(120)
    assert "0:18 left" in about.line(120)


def test_without_a_terminal_a_line_is_logged_now_and_then(monkeypatch, caplog):
    clock = Clock()
    monkeypatch.setattr(bars, "working_clock", lambda **_: Given(clock))
    monkeypatch.setattr(bars, "on_terminal", lambda: False)
    with (
        caplog.at_level(logging.INFO, logger="interp"),
        training_progress("run", total=1_000, done=0, until_settled=False) as show,
    ):
        for index in range(100):
            clock.now += 1
            show(step(index, last=index == 99))
    lines = [record.message for record in caplog.records]
    assert len(lines) == 3  # in 100 seconds, one every 30
    assert lines[0].startswith("run: step 29/1,000, train 1.00e-03 test 2.00e+00 accuracy 0.250, 1 steps/s, 0:30, ")


def test_a_notebook_has_a_line_that_is_written_over(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(bars, "in_notebook", lambda: True)
    with training_progress("run", total=10, done=0, until_settled=False) as show:
        for index in range(11):
            show(step(index, last=index == 10))
    assert screen.getvalue().startswith("\rrun  ")
    assert screen.getvalue().endswith("\n")
    assert screen.getvalue().count("\n") == 1
    assert "10/10" in screen.getvalue()


class Given:
    def __init__(self, value) -> None:
        self.value = value

    def __enter__(self):
        return self.value

    def __exit__(self, *_):
        return None
