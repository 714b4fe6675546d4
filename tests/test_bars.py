"""Progress: at every width step, time and time left stay; in a notebook one bar; elsewhere a line now and then."""

from __future__ import annotations

import logging
import sys
from types import ModuleType, SimpleNamespace

import pytest
from recorded import CONFIG

import interp
from interp import bars, notebook_bar
from interp.bars import Told, counted_progress, many_runs_progress, progress_by_part, training_progress
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


@pytest.fixture
def cells(monkeypatch):
    """A kernel, as far as a bar asks for it: what was shown in its outputs, each as all that it has been in turn."""
    outputs: list[list] = []

    class Place:
        def __init__(self, drawn) -> None:
            self._output = [drawn]
            outputs.append(self._output)

        def update(self, drawn) -> None:
            self._output.append(drawn)

    def display(drawn, *, display_id: bool):
        assert display_id
        return Place(drawn)

    for name in ("ipykernel", "IPython", "IPython.display"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["IPython.display"].display = display
    shell = SimpleNamespace(kernel=object(), execution_count=1)
    sys.modules["IPython"].get_ipython = lambda: shell
    monkeypatch.setattr(notebook_bar, "_left", [])
    return outputs


def next_cell() -> None:
    sys.modules["IPython"].get_ipython().execution_count += 1


def test_a_notebook_has_one_bar_that_is_drawn_again_and_again(cells, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(bars, "working_clock", lambda **_: Given(clock))
    with training_progress("run", total=1_000, done=0, until_settled=True) as show:
        for index in range(500):
            clock.now += 0.01
            show(step(index, last=index == 499))
    (drawn,) = cells
    assert len(drawn) == 20  # in 5 seconds
    assert repr(drawn[1]).startswith("run: step 49/1,000, train 1.00e-03 test 2.00e+00 accuracy 0.250, ")
    assert repr(drawn[1]).endswith("0:01, at most 0:10 left")
    assert repr(drawn[-1]).endswith(" steps/s, 0:05")  # it settled: nothing is left
    assert '<progress max="1" value="0.4590"' in drawn[-3]._repr_html_()
    assert '<progress max="1" value="1.0000"' in drawn[-1]._repr_html_()


def test_counted_work_has_a_bar_in_a_notebook_if_it_takes_a_moment(cells, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(bars.time, "monotonic", clock)
    with counted_progress("a <b>") as show:
        show(0, 50)
        clock.now += 0.4
        show(50, 50)  # at once
    assert not cells
    with progress_by_part("analysing") as show:
        for part in ("reading", "analysing"):
            for done in range(11):
                show(part, done, 10)
                clock.now += 1
    assert [repr(drawn) for drawn in cells[0]][::5] == [
        "reading: 1 of 10, 0:01, 0:09 left", "reading: 6 of 10, 0:06, 0:04 left",
        "analysing: 0 of 10, 0:00", "analysing: 5 of 10, 0:05, 0:05 left", "analysing: 10 of 10, 0:10",
    ]  # fmt: skip
    next_cell()
    with counted_progress("a <b>") as show:
        clock.now += 1
        show(0, 0)  # of which nothing can be counted yet
    assert "&lt;b&gt;" in cells[1][0]._repr_html_()
    assert "value=" not in cells[1][0]._repr_html_()


def test_the_time_left_is_that_of_what_is_to_be_done_here(cells, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(bars.time, "monotonic", clock)
    with counted_progress("measuring") as show:
        show(40, 50)  # which were known
        clock.now += 60
        show(41, 50)
        clock.now += 60
        show(42, 50)
    assert [repr(drawn) for drawn in cells[0]] == ["measuring: 41 of 50, 1:00, 9:00 left", "measuring: 42 of 50, 2:00, 8:00 left"]


def test_what_a_cell_does_in_turn_is_drawn_in_one_place(cells, monkeypatch):
    """A study of 200 runs that is looked at does not leave 200 lines."""
    clock = Clock()
    monkeypatch.setattr(bars.time, "monotonic", clock)

    def work(name: str) -> None:
        with counted_progress(name) as show:
            for done in range(3):
                show(done, 2)
                clock.now += 1

    work("one")
    work("two")
    assert [repr(drawn).partition(":")[0] for drawn in cells[0]] == ["one", "one", "two", "two"]
    next_cell()
    work("three")
    assert [len(drawn) for drawn in cells] == [4, 2]


def test_a_terminal_that_only_imported_a_kernel_is_no_notebook(cells, monkeypatch):
    for shell in (None, SimpleNamespace(execution_count=1)):  # none at all, and the one of a terminal
        monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda shell=shell: shell)
        assert not notebook_bar.in_notebook()
    monkeypatch.delitem(sys.modules, "ipykernel")
    assert not notebook_bar.in_notebook()


def test_many_runs_have_a_bar_in_a_notebook(cells, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(bars, "working_clock", lambda **_: Given(clock))
    with many_runs_progress("wd", total=40, done=10) as show:
        for done in range(10, 41):
            show(done, f"{done} finished")
            clock.now += 60
    assert repr(cells[0][1]) == "wd: 11 of 40 runs, 11 finished, about 29 min left"
    assert repr(cells[0][-1]) == "wd: 40 of 40 runs, 40 finished"


def test_what_is_measured_in_a_notebook_shows_how_far_it_is(cells, monkeypatch, tmp_path):
    monkeypatch.setattr(notebook_bar, "PATIENCE", 0.0)
    run = interp.record(CONFIG, tmp_path, "run", progress=False)
    interp.observe(run, "weight_norms")
    n = len(run.steps)
    drawn = [repr(each) for each in cells.pop()]
    assert drawn[0] == f"measuring run: 0 of {n}, 0:00"
    assert drawn[-1].startswith(f"measuring run: {n} of {n}, ")
    interp.observe(run, "weight_norms")  # which is known
    interp.observe(run, "embedding_spectrum", on_step=lambda *_: None)  # which is shown by whoever asks
    assert not cells


class Given:
    def __init__(self, value) -> None:
        self.value = value

    def __enter__(self):
        return self.value

    def __exit__(self, *_):
        return None
