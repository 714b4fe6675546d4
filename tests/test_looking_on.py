"""The forecast while a run is trained: that of the recorded run, within its share of the time; stopping early, and resuming."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from math import exp
from types import SimpleNamespace

import pytest
from foreseen import planted
from rich.console import Console

import interp
from interp import CheckpointConfig, ModularTask, forecast, recipe
from interp.bars import training_progress
from interp.cli.entry import main
from interp.forecasting.looking_on import IN_A_ROW, SHARE, Foresight
from interp.live.follower import Follower
from interp.live.viewers import Published
from interp.store.run import open_run
from interp.training.stream import Step

DEMO = recipe("demo")
CONFIG = replace(
    DEMO,
    task=ModularTask(23),
    split=replace(DEMO.split, fraction=0.65),
    checkpoints=CheckpointConfig(log=0, every=25),
    steps=400,
    threads=1,
    until_settled=False,
)
DEAD = replace(CONFIG, optimizer=replace(CONFIG.optimizer, weight_decay=0.0), steps=4000)


def timeless() -> float:
    return 0.0


def step(index, **known):
    return SimpleNamespace(index=index, weights=None, train_accuracy=1.0 if index >= 100 else 0.2, **known)


def looked_on(monkeypatch, *, rate=5e-4, until=1000, **arguments):
    """A watch that has seen the planted run of `foreseen` up to a step."""

    def add(watch, at, _weights):
        watch._seen.append((at, 29 * exp(-rate / 2 * at), 29 * exp(-rate * at)))

    monkeypatch.setattr(Foresight, "_add", add)
    watch = Foresight(DEMO, clock=timeless, **arguments)
    for index in range(0, until + 1, 25):
        watch.see(step(index), is_saved=index % 50 == 0)
    return watch


def test_what_is_said_is_the_law_of_the_recorded_run(monkeypatch):
    watch = looked_on(monkeypatch)
    law = forecast(planted().drop_vars("unseen_agreement"), 1000)
    assert (watch.said.at, watch.said.low, watch.said.high) == (law.at, law.low, law.high)


def test_the_bar_says_it_in_time(monkeypatch):
    watch = looked_on(monkeypatch)
    at, low, high = watch.said.at - 1000, watch.said.low - 1000, watch.said.high - 1000
    assert watch.ahead(1000, at / 240) == f"groks in about 4 min ({240 * low / at / 60:.0f} to {240 * high / at / 60:.0f})"
    assert watch.ahead(1000, at / 30).startswith("groks in about 30 s (")
    assert watch.ahead(1000, at / 7200).startswith("groks in about 2 h (")
    assert watch.ahead(1000, 0.0) == ""
    assert looked_on(monkeypatch, rate=0.0).ahead(1000, 100.0) == "no progress"
    assert looked_on(monkeypatch, until=100).ahead(100, 100.0) == ""


@pytest.mark.parametrize(
    ("accuracies", "is_said"), [((0.2,), True), ((0.2, 0.5), True), ((0.2, 0.995), False), ((0.995, 0.98), False)]
)
def test_the_bar_has_it_until_the_run_has_grokked(monkeypatch, accuracies, is_said):
    screen = io.StringIO()
    monkeypatch.setattr("interp.bars.on_terminal", lambda: True)
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=screen, force_terminal=True, width=300))
    with training_progress("run", total=9, done=0, until_settled=False, ahead=lambda at, _: f"groks after {at}") as show:
        for index, accuracy in enumerate(accuracies):
            show(Step(index, 1.0, None, test_loss=1.0, test_accuracy=accuracy, last=True))
    assert (f"groks after {len(accuracies) - 1}" in screen.getvalue()) is is_said


def test_no_test_label_is_looked_at():
    # A step without anything measured on test pairs is all that it needs.
    watch = Foresight(CONFIG, clock=timeless)
    for one in interp.train(replace(CONFIG, steps=300)):
        watch.see(
            SimpleNamespace(index=one.index, weights=one.weights, train_accuracy=one.train_accuracy), is_saved=one.index % 25 == 0
        )
    assert watch.said is not None
    assert watch.said.method == "law"


def test_it_keeps_to_its_share_of_the_time(monkeypatch):
    now = [0.0]

    def add(watch, at, _weights):
        now[0] += 3.0  # as long as hundreds of steps
        watch._seen.append((at, 20.0, 20.0))

    monkeypatch.setattr(Foresight, "_add", add)
    watch, spent = Foresight(DEMO, clock=lambda: now[0]), 0
    for index in range(100, 4000):
        now[0] += 1.0
        before = now[0]
        watch.see(step(index), is_saved=True)
        spent += now[0] - before
    assert 0 < spent <= SHARE * now[0] + 3.0


def test_the_recorded_run_is_told_the_same_and_no_byte_of_it_differs(tmp_path):
    watch = Foresight(CONFIG, clock=timeless)
    watched = interp.record(CONFIG, tmp_path, "watched", watch=watch)
    alone = interp.record(CONFIG, tmp_path, "alone")
    assert watched.manifest.files == alone.manifest.files
    series = interp.observe(watched, ["embedding_spectrum"])
    law = forecast(series, watch.said.step)
    assert (watch.said.verdict, watch.said.at) == (law.verdict, law.at)
    assert watch.said.chance == pytest.approx(law.chance, rel=1e-6)


def test_a_dead_run_is_stopped_with_the_reason_and_goes_on_to_the_same_bytes(tmp_path):
    watch = Foresight(DEAD, least_chance=0.5, clock=timeless)
    stopped = interp.record(DEAD, tmp_path, "dead", watch=watch)
    at = stopped.manifest.step
    assert stopped.status == "interrupted"
    assert 8 * watch._memorized <= at < DEAD.steps
    last = json.loads((stopped.path / "log.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["step"], last["reason"]) == ("stopped early", at, watch.stop)
    assert f"under 0.5 by {IN_A_ROW} forecasts in a row" in watch.stop
    assert "interp resume" in stopped.how_to_continue
    assert open_run(stopped.path).verify() == ()
    shorter = replace(DEAD, steps=at + 50)
    once = interp.record(shorter, tmp_path, "once")
    again = Foresight(DEAD, least_chance=0.5, clock=timeless)
    again.begin(stopped)
    middle = (watch._memorized + stopped.steps[-1]) / 2
    assert [one[0] for one in again._seen] == [one for one in stopped.steps if one >= middle]
    seen = [one for one in interp.train(shorter) if one.index == at]
    assert float(seen[0].train_loss) == float(once.history.train_loss.sel(step=at))


def test_a_stopped_run_is_resumed_to_its_end(tmp_path):
    short = replace(DEAD, steps=1500)
    stopped = interp.record(short, tmp_path, "run", watch=Foresight(short, least_chance=0.9, clock=timeless))
    assert stopped.status == "interrupted"
    whole = interp.resume(stopped.path)
    assert (whole.status, whole.reason) == ("finished", "budget")
    assert whole.manifest.files == interp.record(short, tmp_path, "alone").manifest.files


def test_a_circuit_is_not_stopped(monkeypatch):
    from interp.observing.circuit import Circuit

    monkeypatch.setattr(Circuit, "of", lambda *_: SimpleNamespace(agreement=0.99))
    monkeypatch.setattr("interp.forecasting.looking_on.Model", lambda *_: None)
    assert looked_on(monkeypatch, rate=0.0, until=3000, least_chance=0.9).stop is None
    monkeypatch.setattr(Circuit, "of", lambda *_: SimpleNamespace(agreement=0.01))
    assert looked_on(monkeypatch, rate=0.0, until=3000, least_chance=0.9).stop is not None


def test_by_default_nothing_is_stopped(monkeypatch):
    assert looked_on(monkeypatch, rate=0.0, until=3000).stop is None


def test_answers_without_waves_are_not_foretold():
    config = replace(CONFIG, task=ModularTask(23, "x2xyy2"))
    watch = Foresight(config)
    watch.see(step(200), is_saved=True)
    assert watch.said is None
    assert watch.ahead(200, 10.0) == ""


def test_the_command_line_stops_and_says_so(tmp_path, capsys):
    flags = ["--task.p", "23", "--split.fraction", "0.65", "--optimizer.weight-decay", "0", "--steps", "6000", "--threads", "1"]
    with pytest.raises(SystemExit) as ended:
        main(["train", "demo", *flags, "--until", "forecast", "--least-chance", "0.5", "--root", str(tmp_path), "--name", "x"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "stopped early: the chance of grokking" in said
    assert "interp resume" in said


def test_a_chance_that_is_none_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "demo", "--until", "forecast", "--least-chance", "7", "--root", str(tmp_path)])
    assert ended.value.code == 2
    assert "--least-chance: given 7" in capsys.readouterr().err


def test_a_chance_that_nothing_asks_for_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "demo", "--steps", "3", "--least-chance", "0.5", "--root", str(tmp_path)])
    assert "given 0.5 without --until forecast" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_live_page_shows_what_was_said_at_every_step(tmp_path):
    run = interp.record(CONFIG, tmp_path, "run", progress=False)
    follower = Follower(run.path, Published(), analyses=["forecast"])
    html = follower._build(run, version=1, is_last=True).html
    assert 'id="panel-forecast"' in html
    first = next(one for one in interp.forecasts(interp.observe(run, ["forecast"])) if one.at is not None)
    assert f"At step {first.step:,} it was first said: groks at {first.at:,}" in html
