"""A study's page that is served while its runs come in: when it is built, what it says, how it ends."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from growing_run import Served
from small_study import in_turn, small_base, small_study
from test_live import call, get, state_of
from test_study_page import data_of

from interp import Study, open_study
from interp.live import follower as following
from interp.live import study_follower
from interp.live.server import listen, serving, url
from interp.live.study_follower import StudyFollower, settled_runs, study_line
from interp.live.viewers import Published
from interp.studies.study_plan import point_name

SETTINGS = {"vary": {"optimizer.weight_decay": [0.5, 1.0, 2.0]}, "keep": "all"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study whose six runs are there."""
    made = small_study(tmp_path_factory.mktemp("whole"), **SETTINGS)
    made.run(executor=in_turn, progress=False)
    return made


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is built whenever there is something new."""
    monkeypatch.setattr(study_follower, "BUILD_SECONDS", 0.0)
    monkeypatch.setattr(study_follower, "_SHARE", 0)
    monkeypatch.setattr(following, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(following, "FAREWELL_SECONDS", 0.5)


def come(study: Study, whole: Study, *numbers: int) -> None:
    """Let runs come in, each at once, as if it had been trained elsewhere."""
    for number in numbers:
        name = whole.points[number].name
        there = study.folder / "runs" / name
        shutil.copytree(whole.path_of(name), there.with_name(f".{name}"))
        there.with_name(f".{name}").rename(there)


@contextmanager
def served_study(path: Path, *, until_final: bool = True) -> Iterator[Served]:
    """Follow and serve a study by threads of this process."""
    published, gone, listener = Published(), threading.Event(), listen()
    follower = StudyFollower(path, published, gone=gone.is_set)

    def work() -> None:
        with serving(listener, published):
            follower.follow(until_final=until_final)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield Served(url(listener, published.token), published, thread, gone)
    finally:
        gone.set()
        thread.join(60)


def test_it_is_built_for_those_who_look_and_only_when_there_is_something_new(whole: Study, tmp_path: Path) -> None:
    study = small_study(tmp_path, **SETTINGS)
    study.save()
    with served_study(study.folder) as live:
        come(study, whole, 0)
        live.until(lambda: "1 of 6 runs finished" in live.published.state["line"])
        assert live.version() == 0  # nobody looks
        assert "The study&#39;s page is being made" in get(live.url)[1].decode()
        live.until(lambda: live.version() == 1)
        first = get(live.url)[1].decode()
        data = data_of(first)
        assert (data["live"], data["columns"][3]["name"]) == (1, "status")
        assert "connect-src &#39;self&#39;" in first
        assert data["laws"]["found"]["grokked|0|"]["said"] == "Laws are fitted once no run is under way."
        assert live.version() == 1
        come(study, whole, 1, 2)
        live.until(lambda: live.version() >= 2 and "3 of 6" in live.published.state["line"])
        update = get(live.url, "update")[1].decode()
        assert len(update) < len(first) - 1_000_000
        come(study, whole, 3, 4, 5)
        live.until(lambda: live.published.state["ended"])
        assert live.published.state["line"] == "The study is finished: 6 runs."
        last = data_of(live.published.html.decode())
        assert {*last["columns"][3]["values"]} == {"finished"}
        assert "No law is fitted" in last["laws"]["found"]["grokked|0|"]["said"]
        live.thread.join(20)
        assert not live.thread.is_alive()


def test_the_last_page_is_that_of_the_report_but_for_what_asks(whole: Study, tmp_path: Path) -> None:
    from interp.reporting.study_source import study_report

    study = small_study(tmp_path, **SETTINGS)
    study.save()
    come(study, whole, *range(6))
    with served_study(study.folder, until_final=False) as live:
        state_of(live.url)
        live.until(lambda: live.version() == 1)
        mine = data_of(get(live.url)[1].decode())
    theirs = data_of(study_report(study, tmp_path / "x.html").html)
    assert (mine.pop("live"), theirs.pop("live")) == (1, None)
    assert mine == theirs


def test_values_that_are_added_while_it_is_watched_are_shown(whole: Study, tmp_path: Path) -> None:
    study = small_study(tmp_path, **SETTINGS)
    study.save()
    come(study, whole, 0)
    with served_study(study.folder) as live:
        state_of(live.url)
        live.until(lambda: live.version() == 1)
        small_study(tmp_path, **{**SETTINGS, "vary": {"optimizer.weight_decay": [0.5, 1.0, 2.0, 4.0]}}).save()
        live.until(lambda: "of 8 runs" in live.published.state["line"])
        come(study, whole, 1)
        live.until(lambda: live.version() >= 2)
        assert data_of(live.published.html.decode())["axes"][0]["texts"] == ["0.5", "1", "2", "4"]
        before = (study.folder / "study.json").read_bytes()
        (study.folder / "study.json").write_bytes(b"{")
        live.until(lambda: live.published.state["trouble"])
        assert "damaged" in live.published.state["trouble"]
        (study.folder / "study.json").write_bytes(before)
        come(study, whole, 2)
        live.until(lambda: live.published.state["trouble"] is None)


def test_a_study_that_is_removed_while_it_is_watched_is_said_to_be_so(whole: Study, tmp_path: Path, capsys, monkeypatch) -> None:
    study = small_study(tmp_path, **SETTINGS)
    study.save()
    come(study, whole, 0)
    with served_study(study.folder) as live:
        state_of(live.url)
        live.until(lambda: live.version() == 1)
        study.folder.rename(tmp_path / "elsewhere")
        live.until(lambda: live.published.state["trouble"])
        assert live.published.state["trouble"] == f"The study is no longer at {study.folder}: it was removed or renamed."
        state_of(live.url)
        assert live.version() == 1
        (tmp_path / "elsewhere").rename(study.folder)
        live.until(lambda: live.published.state["trouble"] is None)
        study.folder.rename(tmp_path / "elsewhere")
        live.until(lambda: live.published.state["trouble"])
        live.gone.set()
        live.until(lambda: live.published.state["ended"])
    assert "no longer at" in live.published.state["line"]
    (tmp_path / "elsewhere").rename(study.folder)
    monkeypatch.setattr(StudyFollower, "follow", lambda *_, **__: study.folder.rename(tmp_path / "elsewhere"))
    monkeypatch.setattr(os, "nice", lambda _: 0)
    assert call("study", "watch", "small", "--root", tmp_path) == 0
    assert "The study is no longer at" in capsys.readouterr().out


def test_every_state_of_a_study_has_its_line(whole: Study, tmp_path: Path) -> None:
    study = small_study(tmp_path, **SETTINGS)
    study.save()
    assert study_line(study, settled_runs(study)) == "Under way: 0 of 6 runs finished."
    come(study, whole, 0, 1)
    assert study_line(study, settled_runs(study)) == "Under way: 2 of 6 runs finished."
    said = study_line(study, settled_runs(study), is_gone=True)
    assert said == f"No longer trained: 2 of 6 runs finished; `interp study run small --root {tmp_path}` continues."
    assert study_line(whole, settled_runs(whole)) == "The study is finished: 6 runs."
    states = {**settled_runs(whole), whole.points[0].name: "stopped"}
    assert study_line(whole, states) == "The study is finished: 6 runs, 1 broke off."


@pytest.mark.parametrize(("arguments", "said"), [(("--port", "1"), "add --live"), (("--live", "--port", "70000"), "1 to 65535")])
def test_ports_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str) -> None:
    small_study(tmp_path).save()
    assert call("study", "run", "small", "--root", tmp_path, *arguments) == 2
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "small" / "runs").iterdir())
    assert call("study", "watch", "other", "--root", tmp_path) == 2


def test_a_study_is_trained_and_watched_by_one_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    small_study(tmp_path, vary={}, seeds=range(1), base=small_base(steps=3)).save()
    assert call("study", "run", "small", "--root", tmp_path, "--workers", "1", "--live") == 0
    out, err = capfd.readouterr()
    assert "Live: http://127.0.0.1:" in out
    assert "1 of 1 runs finished" in out
    assert "ended too early" not in err
    assert point_name(open_study(tmp_path / "small").points[0].config) in os.listdir(tmp_path / "small" / "runs")


def test_watching_ends_when_no_run_is_left(whole: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = small_study(tmp_path, **SETTINGS)
    study.save()
    come(study, whole, 0, 1, 2, 3, 4)
    later = threading.Timer(1.0, come, (study, whole, 5))
    later.start()
    nice, os.nice = os.nice, lambda _: 0  # this process has more to do
    try:
        assert call("study", "watch", "small", "--root", tmp_path) == 0
    finally:
        os.nice = nice
        later.join()
    out = capsys.readouterr().out
    assert "Under way: 5 of 6 runs finished." in out
    assert f"The study is finished: 6 runs. Next: interp study report small --root {tmp_path}" in out
