"""What a notebook shows of a run: its headline and small curves, from its history alone."""

from __future__ import annotations

import re
import time
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from begun import begin_planted

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import TrainingError, UsageError
from interp.figures import TEST, TRAIN
from interp.observing import observe
from interp.observing.described import evaluated_history, history_series
from interp.observing.series import about
from interp.observing.summary import summary
from interp.reporting.card import _path, card
from interp.store import history
from interp.store.writer import RunWriter, writing
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

CONFIG = RunConfig(
    task=ModularTask(5), split=SplitConfig(fraction=0.5), model=ModelConfig(d_model=8, n_heads=2, d_mlp=8),
    checkpoints=CheckpointConfig(log=0, every=10), steps=30, evaluate_every=5, engine="reference", threads=1,
)  # fmt: skip


PICTURE = "data:image/svg+xml;base64,"


class Read(HTMLParser):
    """Tags, attributes and text of a piece of HTML, and of the pictures in it; refuses tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "img":
            self._open.append(tag)
            return
        inside = Read(b64decode(dict(attrs)["src"].removeprefix(PICTURE)).decode())
        assert not inside.text
        self.tags += inside.tags

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def planted(path: Path, curves: dict[str, np.ndarray], *, config: RunConfig = CONFIG, finished: bool = True) -> interp.Run:
    """A run whose history is given; it has no checkpoints."""
    with writing(path):
        begin_planted(path, config)
        writer = RunWriter(path)
        steps = curves.pop("step")
        for i, step in enumerate(steps):
            writer.add_history(int(step), {name: float(values[i]) for name, values in curves.items()})
        if finished:
            writer.finish(int(steps[-1]), status="finished", reason="budget")
        elif len(steps):
            writer.commit(int(steps[-1]), {}, status="running")
    return interp.open_run(path)


def grokking(n: int = 400) -> dict[str, np.ndarray]:
    steps = 25 * np.arange(n)
    late, early = steps > 5000, steps > 200
    return {
        "step": steps,
        "train_loss": np.where(early, 1e-6, 4.0),
        "test_loss": np.where(steps > 4000, 1e-3, 9.0),
        "train_accuracy": np.where(early, 1.0, 0.1),
        "test_accuracy": np.where(late, 1.0, 0.05),
        "sum_squared_weights": np.linspace(900, 300, n),
    }


def test_the_headline_is_the_reports_and_the_curves_are_the_historys(tmp_path):
    read = Read(planted(tmp_path / "grokker", grokking())._repr_html_())
    assert "This network grokked at step 5,025." in read.text
    assert "answered those it never saw only 4,800 steps later" in read.text
    assert "grokker: finished at step 9,975" in read.text
    lines = [attrs for tag, attrs in read.tags if tag == "path" and attrs["stroke"] in (TRAIN, TEST)]
    assert [line["stroke"] for line in lines] == [TRAIN, TEST, TRAIN, TEST]
    points = re.findall(r"[ML]([\d.]+) ([\d.]+)", lines[3]["d"])
    assert all(float(y) == pytest.approx(96 * (0.0 if float(x) > 300 * 5000 / 9975 else 0.95), abs=0.1) for x, y in points)
    assert len([tag for tag, _ in read.tags if tag == "rect"]) == 4  # memorization and cleanup behind both
    assert "frequenc" not in read.text  # nobody looked


def test_what_was_not_reached_is_not_said(tmp_path):
    curves = grokking() | {"test_accuracy": np.full(400, 0.05), "test_loss": np.full(400, 9.0)}
    text = Read(card(planted(tmp_path / "x", curves))).text
    assert "memorized but not grokked in 9,975 steps" in text
    assert "restricted" not in text


def test_the_summarys_last_values_are_the_last_known(tmp_path, monkeypatch):
    run = interp.record(CONFIG, root=tmp_path, name="whole", progress=False)
    curves = evaluated_history(run)
    curves["history_test_accuracy"][:] = [*[0.25] * (curves.sizes["history_step"] - 1), np.nan]
    curves["history_train_accuracy"][:] = np.nan
    monkeypatch.setattr("interp.observing.described.evaluated_history", lambda _: curves)
    last = summary(run)["last"]
    assert (last["test_accuracy"], last["test_loss"]) == (0.25, curves["history_test_loss"].values[-1])
    assert "train_accuracy" not in last


def test_losses_without_accuracies_are_drawn_and_date_nothing(tmp_path):
    curves = grokking()
    for part in ("train", "test"):
        curves[f"{part}_accuracy"] = np.where(np.arange(400) == 399, 1.0, np.nan)
    run = planted(tmp_path / "published", curves)
    series = history_series(run)
    assert series.sizes["history_step"] == 400
    assert about(series).outcome == "unknown"
    read = Read(card(run))
    assert "answers 100 % of the pairs it never saw at step 9,975; since when is not known: accuracies were" in read.text
    assert "measured at one step only." in read.text
    assert "grok" not in read.text
    lines = [attrs["d"] for tag, attrs in read.tags if tag == "path" and attrs["stroke"] in (TRAIN, TEST)]
    assert [line.count("L") > 100 for line in lines] == [True, True, False, False, False, False]
    assert lines[3] == lines[5] == "M300.0 0.0h0"  # the one accuracy of train and of test is a dot
    assert not [tag for tag, _ in read.tags if tag == "rect"]


def test_nothing_is_measured_and_it_takes_no_time(tmp_path, monkeypatch):
    run = planted(tmp_path / "long", grokking(1600))
    monkeypatch.setattr(observe, "observe", lambda *_: pytest.fail("measured"))
    monkeypatch.setattr(type(run), "__getitem__", lambda *_: pytest.fail("a checkpoint was read"))
    card(run)  # imports
    begun = time.process_time()
    html = card(interp.open_run(run.path))
    assert time.process_time() - begun < 2  # ten times what is promised: machines are shared
    assert len(html) < 30_000


def test_names_are_escaped_and_there_is_no_script(tmp_path):
    name = '<img src=x onerror="alert(1)">&'
    config = replace(CONFIG, recipe="<script>alert(2)</script>")
    read = Read(card(planted(tmp_path / name, grokking(), config=config)))
    assert name in read.text
    assert "<script>alert(2)</script>" in read.text
    assert {tag for tag, _ in read.tags} == {"div", "span", "img", "svg", "path", "rect"}
    assert not [key for _, attrs in read.tags for key in attrs if key.startswith("on") or key == "href"]
    assert all(value.startswith(PICTURE) for _, attrs in read.tags for key, value in attrs.items() if key == "src")


def test_no_letter_is_lost_or_left_where_notebooks_take_pictures_out_of_html(tmp_path):
    """JupyterLab takes every SVG out of the HTML in a notebook that is not trusted, and leaves the letters that were in it."""
    html = card(planted(tmp_path / "x", grokking()))
    assert "<svg" not in html
    pictures = [attrs for tag, attrs in Read(html).tags if tag == "img"]
    assert [picture["alt"].partition(";")[0] for picture in pictures] == [
        "Loss (nats, logarithmic) from step 0 to 9,975", "Accuracy from step 0 to 9,975"
    ]  # fmt: skip
    assert {picture["title"] for picture in pictures} == {"memorization from step 0 to 225; cleanup from step 4,025 to 5,025"}


def test_every_state_of_a_run_is_told(tmp_path):
    empty = {name: np.array([]) for name in ("step", *history.COLUMNS)}
    begun = planted(tmp_path / "begun", dict(empty), finished=False)
    assert "begun: interrupted, nothing recorded yet, 0 checkpoints" in Read(card(begun)).text
    assert repr(begun) == f"Run({str(tmp_path / 'begun')!r}: interrupted, 0 checkpoints)"
    with writing(begun.path):
        assert "begun: running, nothing recorded yet" in Read(card(begun)).text
    one = {name: values[:1] for name, values in grokking().items()}
    assert "interrupted at step 0" in Read(card(planted(tmp_path / "one", one, finished=False))).text
    short = interp.record(replace(CONFIG, steps=0), root=tmp_path, name="short", progress=False)
    assert "short: finished at step 0, 1 checkpoint, recipe" in Read(card(short)).text
    with pytest.raises(UsageError, match=r"did you mean 0\? No other step is saved \(in Python: run\.steps"):
        short[7]
    run = interp.record(CONFIG, root=tmp_path, name="whole", progress=False)
    assert "whole: finished at step 30, 4 checkpoints" in Read(card(run)).text
    assert repr(run) == f"Run({str(tmp_path / 'whole')!r}: finished, 4 checkpoints, steps 0 to 30)"
    diverging = replace(CONFIG, optimizer=replace(CONFIG.optimizer, lr=1e30))
    with pytest.raises(TrainingError):
        interp.record(diverging, root=tmp_path, name="bad", progress=False)
    assert "stopped after step" in Read(card(interp.open_run(tmp_path / "bad"))).text


def test_spikes_survive_the_thinning_of_long_curves_and_gaps_stay_gaps():
    x, y = np.arange(10_000.0), np.zeros(10_000)
    y[4321], y[7000:7200] = 5.0, np.nan
    path = _path(x, y)
    assert len(re.findall("[ML]", path)) <= 302
    assert "4321.0 5.0" in path
    assert path.count("M") == 2
    assert _path(np.array([0.0, 1.0]), np.array([np.nan, np.nan])) == ""
