"""A live page is opened where there is somebody to look, and its address is told to nobody else."""

from __future__ import annotations

import io
import os
import re
import stat
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

import pytest
from growing_run import a_growing_run

from interp.live import showing
from interp.live.showing import is_looking, shown

ADDRESS = "http://127.0.0.1:1/secret/"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "looks"),
    [
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({}, False),
        ({"DISPLAY": ":0", "CI": "true"}, False),
        ({"DISPLAY": ":10", "SSH_CONNECTION": "1 2 3 4"}, False),
        ({"BROWSER": "helper", "SSH_CONNECTION": "1 2 3 4"}, True),
        ({"BROWSER": "helper", "CI": "true"}, False),
    ],
)
def test_where_somebody_looks(monkeypatch, environment, looks) -> None:
    for name in ("CI", "BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert is_looking() is looks
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not is_looking()


def test_the_browser_is_given_a_file_that_only_its_owner_can_read(monkeypatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "get", lambda: type("Browser", (), {"open": staticmethod(opened.append)}))
    with shown(ADDRESS):
        wait_for(lambda: opened)
        assert "secret" not in opened[0]
        path = Path(opened[0].removeprefix("file://"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert f"url={ADDRESS}" in path.read_text()
    assert not path.exists()


def test_a_browser_in_the_terminal_is_left_alone_and_none_at_all_is_no_failure(monkeypatch) -> None:
    monkeypatch.delenv("BROWSER", raising=False)
    opened: list[str] = []
    text = webbrowser.GenericBrowser("w3m")
    monkeypatch.setattr(text, "open", opened.append)
    monkeypatch.setattr(webbrowser, "get", lambda: text)
    showing._open(ADDRESS)
    assert opened == []
    monkeypatch.setenv("BROWSER", "w3m")
    showing._open(ADDRESS)
    assert opened == [ADDRESS]
    monkeypatch.setattr(webbrowser, "get", lambda: 1 / 0)
    showing._open(ADDRESS)


def wait_for(holds, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("flags", [[], ["--no-browser"]])
def test_a_command_on_a_terminal_opens_it_unless_told_not_to(tmp_path, flags) -> None:
    """With a browser that writes down what it is asked for, and a terminal that is one."""
    with a_growing_run(tmp_path / "run") as run:
        run.grow(1, finish=True)
    asked, browser = tmp_path / "asked", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\ncat "${{1#file://}}" > {asked}.part; mv {asked}.part {asked}\n')
    browser.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if key not in ("CI", "SSH_CONNECTION")}
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "interp", "watch", str(run.path), *flags]
    process = subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.DEVNULL, env={**environment, "BROWSER": f"{browser} %s"}, start_new_session=True
    )
    os.close(theirs)
    try:
        said = ""
        while not (found := re.search(r"Live: (http\S+)", said)):
            said += os.read(ours, 1000).decode()
        if flags:
            time.sleep(1)
            assert not asked.exists()
        else:
            wait_for(asked.exists)
            assert f"url={found[1]}" in asked.read_text()
            assert len(found[1]) > 60
    finally:
        process.kill()
        process.wait()
        os.close(ours)
