"""Serving a run while it is trained: who is answered, what is built when, how it ends. (The page: test_live_browser.)"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from growing import STEPS
from growing_run import a_growing_run, served

import interp
from interp.cli import main
from interp.errors import UsageError
from interp.live import follower as following
from interp.live.follower import Follower, line_of, without_library
from interp.live.server import HOST, listen
from interp.live.viewers import Published

TRAIN = [
    "train", "demo", "--task.p", "11", "--split.fraction", "0.5", "--model.d-model", "16", "--model.n-heads", "2",
    "--model.d-mlp", "24", "--checkpoints.log", "0", "--checkpoints.every", "20", "--engine", "reference", "--threads", "1",
    "--no-until-settled", "--name", "tiny",
]  # fmt: skip
INTERP, UNHURRIED = ["-m", "interp"], [str(Path(__file__).parent / "unhurried.py")]


def call(*arguments: object) -> int:
    """Run a command in this process; its exit code."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return int(exit_.value.code or 0)


def get(address: str, path: str = "", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of an answer."""
    request = urllib.request.Request(address + path, headers=headers)
    try:
        # A page's process gives way to everybody: on a busy machine it may take long to come to its turn.
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def state_of(address: str, viewer: str = "test", version: int = 0) -> dict:
    return json.loads(get(address, f"state?viewer={viewer}&version={version}")[1])


def test_a_port_that_is_taken_is_refused_before_anything_is_trained(tmp_path, capsys):
    with listen() as listener:
        port = listener.getsockname()[1]
        with pytest.raises(UsageError, match=f"given {port}, which cannot be used"):
            listen(port)
        assert call(*TRAIN, "--root", tmp_path, "--live", "--port", port) == 2
    assert "leave it out for any that is free" in capsys.readouterr().err
    assert not (tmp_path / "tiny").exists()
    assert call(*TRAIN, "--root", tmp_path, "--port", port) == 2
    assert "add --live" in capsys.readouterr().err
    assert call("watch", "nothing", "--root", tmp_path) == 2
    with pytest.raises(UsageError, match="expected 1 to 65535"):
        listen(70_000)


# What is built, and when


@pytest.fixture
def at_once(monkeypatch) -> None:
    """A run that is followed in this process is looked at often, and its page built whenever there is something new."""
    monkeypatch.setattr(following, "_BUILD_SECONDS", 0.0)
    monkeypatch.setattr(following, "POLL_SECONDS", 0.1)


@pytest.mark.usefixtures("at_once")
def test_a_page_is_built_for_those_who_look_and_only_when_there_is_something_new(tmp_path):
    with a_growing_run(tmp_path / "run") as run, served(run.path) as live:
        run.grow(2)
        live.until(lambda: "2 checkpoints" in live.published.state["line"])
        time.sleep(3 * following.POLL_SECONDS)
        assert live.version() == 0  # nobody looks
        state_of(live.url)
        live.until(lambda: live.version() == 1)
        time.sleep(3 * following.POLL_SECONDS)
        assert live.version() == 1
        assert "Not grokked yet, training" in get(live.url)[1].decode()
        run.grow()
        live.until(lambda: live.version() == 2)
        html = get(live.url)[1].decode()
        assert f'"steps":{json.dumps(STEPS[:3], separators=(",", ":"))}' in html
        assert "connect-src &#39;self&#39;; base-uri &#39;none&#39;" in html
        update = get(live.url, "update")[1].decode()
        assert len(update) < len(html) - 1_000_000
        assert update == without_library(html)


@pytest.mark.usefixtures("at_once")
def test_the_last_page_is_that_of_the_report(tmp_path, monkeypatch):
    monkeypatch.setattr(following, "FAREWELL_SECONDS", 60.0)  # on a busy machine it takes long until a viewer asks again
    with a_growing_run(tmp_path / "run") as run, served(run.path) as live:
        state_of(live.url)
        run.grow(1)  # whose key frequencies are others than the last one's
        live.until(lambda: live.version() == 1)
        run.grow(5, finish=True)
        live.until(lambda: live.published.state["ended"])
        last = get(live.url)[1].decode()
        assert state_of(live.url, version=2)["line"] == "The run is finished: all 400 steps."
        live.thread.join(20)
        assert not live.thread.is_alive()
    built = interp.report(tmp_path / "run", tmp_path / "report.html")
    for part in (r'<script type="text/plain" id="blocks">.*?</script>', r'<header class="hero">.*?</header>'):
        assert re.search(part, last, re.DOTALL)[0] == re.search(part, built.html, re.DOTALL)[0]


def test_key_frequencies_hold_until_there_are_many_more_checkpoints(tmp_path):
    with a_growing_run(tmp_path / "run") as run:
        follower = Follower(run.path, Published())
        chosen = []
        for _ in STEPS:
            run.grow()
            chosen.append(follower._key_frequencies(interp.open_run(run.path))[0])
    assert chosen == [0, 10, 100, 100, 300, 300]


@pytest.mark.usefixtures("at_once")
def test_trouble_is_told_and_the_last_good_page_stays(tmp_path):
    with a_growing_run(tmp_path / "run") as run, served(run.path) as live:
        state_of(live.url)
        run.grow(2)
        live.until(lambda: live.version() == 1)
        page = get(live.url)[1]
        victim = run.path / "checkpoints" / f"step_{STEPS[2]:08d}.safetensors"
        run.grow()
        data = victim.read_bytes()
        victim.write_bytes(data[:-1])
        run.grow()
        live.until(lambda: live.published.state["trouble"])
        assert "damaged" in live.published.state["trouble"]
        assert get(live.url)[1] == page
        victim.write_bytes(data)
        run.grow()
        live.until(lambda: live.version() == 2)
        assert live.published.state["trouble"] is None


# How it ends


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("end", ["finished", "interrupted"])
def test_a_last_page_is_built_though_no_checkpoint_came_since_the_one_before(tmp_path, end):
    with served(tmp_path / "run") as live:
        with a_growing_run(tmp_path / "run") as run:
            run.grow(2)
            state_of(live.url)
            live.until(lambda: live.version() == 1)
            assert "Not grokked yet, training" in live.published.html.decode()
            if end == "finished":
                run.grow(0, finish=True)
        if end == "interrupted":
            live.gone.set()
        live.until(lambda: live.published.state["ended"])
    assert "Not grokked yet, training" not in live.published.html.decode()
    assert live.published.state["version"] >= 2


@pytest.mark.usefixtures("at_once")
def test_who_watches_a_run_elsewhere_is_shown_that_it_was_interrupted(tmp_path):
    with served(tmp_path / "run") as live:
        with a_growing_run(tmp_path / "run") as run:
            run.grow(2)
            state_of(live.url)
            live.until(lambda: live.version() == 1)
            assert "Not grokked yet, training" in live.published.html.decode()
        live.until(lambda: live.version() == 2)
        assert "Not grokked yet, training" not in live.published.html.decode()


def test_the_last_page_of_an_interrupted_run_has_all_checkpoints_and_says_what_failed(tmp_path):
    with a_growing_run(tmp_path / "run") as run:
        run.grow(5)
    follower = Follower(run.path, Published(), gone=lambda: True, analyses=["weight_norms"], key_rule=[2, 3])
    opened = interp.open_run(run.path)
    follower._publish(opened, is_last=True)
    assert follower._shown == tuple(STEPS[:5])
    (run.path / "checkpoints" / f"step_{STEPS[2]:08d}.safetensors").write_bytes(b"")
    follower = Follower(run.path, Published(), gone=lambda: True, analyses=["weight_norms"], key_rule=[2])
    shutil.rmtree(run.path / "results")
    follower._publish(opened, is_last=True)
    assert "could not be updated" in follower.published.state["trouble"]


@pytest.mark.usefixtures("at_once")
def test_a_run_that_is_removed_while_it_is_followed_is_said_to_be_so(tmp_path):
    with a_growing_run(tmp_path / "run") as run:
        run.grow(1)
    with served(run.path) as live:
        live.until(lambda: "interrupted" in live.published.state["line"])
        run.path.rename(tmp_path / "elsewhere")
        live.until(lambda: live.published.state["trouble"])
        assert live.published.state["trouble"] == f"The run is no longer at {run.path}: it was removed or renamed."
        (tmp_path / "elsewhere").rename(run.path)
        live.until(lambda: live.published.state["trouble"] is None)
        run.path.rename(tmp_path / "elsewhere")
        live.until(lambda: live.published.state["trouble"])
        live.gone.set()
        live.until(lambda: live.published.state["ended"])
    assert "no longer at" in live.published.state["line"]


def test_every_state_of_a_run_has_its_line(tmp_path):
    with a_growing_run(tmp_path / "run") as run:
        run.grow(2)
        assert line_of(interp.open_run(run.path)) == "Training: step 10 of 400, 2 checkpoints."
        assert "interrupted at step 10" in line_of(interp.open_run(run.path), is_gone=True)
    assert f"interrupted at step 10; `interp resume {run.path}` continues" in line_of(interp.open_run(run.path))


def test_a_run_that_never_begins_ends_with_whoever_should_have_begun_it(tmp_path):
    with served(tmp_path / "nothing") as live:
        assert "begins with the first checkpoint" in get(live.url)[1].decode()
        assert state_of(live.url)["line"] == "Waiting for the run to begin."
        live.gone.set()
        live.until(lambda: state_of(live.url)["ended"])
        assert state_of(live.url)["line"] == "The run did not begin."
        live.thread.join(10)
        assert not live.thread.is_alive()


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts a command in a process and session of its own; gives it and the address it prints. None outlives its test."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: object) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, *(UNHURRIED if arguments[0] == "train" else INTERP), *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        for line in process.stdout:
            if found := re.match(r"Live: (http://127\.0\.0\.1:\d+/\S+/)", line):
                return process, found[1]
        pytest.fail(process.stderr.read())

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def ends(address: str, seconds: float = 30) -> bool:
    """Whether nobody listens at an address any more, soon."""
    port = urllib.parse.urlsplit(address).port
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) != 0:
                return True
        time.sleep(0.1)
    return False


def files(path: Path) -> dict[str, bytes]:
    """What training wrote, but for the log, which has times in it."""
    kept = [
        one for one in path.rglob("*") if one.is_file() and one.name not in ("log.jsonl", ".lock") and "results" not in one.parts
    ]
    return {str(one.relative_to(path)): one.read_bytes() for one in kept}


def until_state(address: str, holds, seconds: float = 60) -> dict:
    end = time.monotonic() + seconds
    while not holds(state := state_of(address)):
        assert time.monotonic() < end, state
        time.sleep(0.1)
    return state


def test_training_with_a_live_page_gives_the_same_bytes_and_ends_with_it(tmp_path, start):
    assert call(*TRAIN, "--steps", 500, "--root", tmp_path / "plain") == 0
    process, address = start(*TRAIN, "--steps", 500, "--root", tmp_path / "live", "--live")
    assert b"<!DOCTYPE html>" in get(address)[1]
    final = until_state(address, lambda state: state["ended"], seconds=120)
    assert final["line"] == "The run is finished: all 500 steps."
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "finished (budget) at step 500" in out
    assert "ended too early" not in err
    assert ends(address)
    assert files(tmp_path / "live" / "tiny") == files(tmp_path / "plain" / "tiny")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_when_the_training_is_ended_the_page_says_so_and_its_server_ends(tmp_path, start, number):
    process, address = start(*TRAIN, "--steps", 1_000_000, "--root", tmp_path, "--live")
    until_state(address, lambda state: "0 checkpoints" not in state["line"] and "Training" in state["line"])
    os.kill(process.pid, number)
    final = until_state(address, lambda state: state["ended"])
    assert "The run was interrupted at step" in final["line"]
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert ends(address)
    assert interp.open_run(tmp_path / "tiny").status == "interrupted"


def test_watching_a_run_elsewhere_ends_with_it_and_an_interrupted_one_can_be_resumed_meanwhile(tmp_path, start):
    training, own = start(*TRAIN, "--steps", 1_000_000, "--root", tmp_path, "--live")
    until_state(own, lambda state: "Training" in state["line"] and "0 checkpoints" not in state["line"])
    watching, address = start("watch", tmp_path / "tiny")
    assert until_state(address, lambda state: "Training" in state["line"])["ended"] is False
    os.kill(training.pid, signal.SIGINT)
    training.communicate(timeout=60)
    state = until_state(address, lambda state: "interrupted at step" in state["line"])
    assert state["ended"] is False
    with interp.store.locking.locked(tmp_path / "tiny"):  # as whoever resumes it does
        until_state(address, lambda state: "Training" in state["line"])
    os.kill(watching.pid, signal.SIGINT)
    out, err = watching.communicate(timeout=30)
    assert (watching.returncode, err) == (0, "")
    assert "Next: interp report" in out
    assert ends(address)


def test_a_finished_run_is_served_until_ctrl_c(tmp_path, start):
    with a_growing_run(tmp_path / "run") as run:
        run.grow(3, finish=True)
    watching, address = start("watch", run.path, "-a", "weight_norms")
    state = until_state(address, lambda state: state["version"] == 1)
    assert (state["ended"], state["line"]) == (False, "The run is finished: all 100 steps.")
    time.sleep(2)
    assert watching.poll() is None
    html = get(address)[1].decode()
    assert 'id="panel-weight_norms"' in html
    assert 'id="panel-loss_curves"' not in html
    shutil.rmtree(run.path)
    until_state(address, lambda state: "no longer at" in (state["trouble"] or ""))
    os.kill(watching.pid, signal.SIGINT)
    out, err = watching.communicate(timeout=30)
    assert (watching.returncode, err) == (0, "")
    assert out.endswith("it was removed or renamed.\n")
    assert ends(address)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-a", "weight_norm"], "did you mean 'weight_norms'"),
        (["--key-rule", "embeding"], "did you mean 'embedding'"),
        (["--file", "nowhere.py"], "nowhere.py does not exist"),
        (["--port", "-1"], "expected 1 to 65535"),
    ],
)
def test_wrong_usage_says_what_to_do(tmp_path, arguments, message, capsys):
    with a_growing_run(tmp_path / "run") as run:
        run.grow(1, finish=True)
    assert call("watch", run.path, *arguments) == 2
    captured = capsys.readouterr()
    assert message in " ".join((captured.err + captured.out).replace("│", " ").split())
