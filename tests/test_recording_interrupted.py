"""interp.recording where things go wrong: nothing of it is the loop's concern, and what was left unfinished is continued."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from own_loops import SPLIT, TASK, Tokens, own_loop, seeded
from torch import nn

import interp
from interp.errors import UsageError
from interp.loops import loop_writer
from interp.store import durable
from interp.store.run_log import MISHAP, noted


@pytest.fixture
def recorded(tmp_path):
    return partial(interp.recording, task=TASK, split=SPLIT, root=tmp_path, checkpoints=[0, 10, 20])


def left(model: nn.Module) -> list[bytes]:
    return [tensor.detach().numpy().tobytes() for tensor in model.state_dict().values()]


# What goes wrong is not the loop's concern


def test_a_measure_that_fails_is_said_once_and_the_loop_goes_on(recorded, caplog):
    def broken(view):
        raise ValueError(f"no at {view.step}")

    plain = seeded(Tokens)
    losses = own_loop(plain)
    model = seeded(Tokens)
    with recorded("broken", model, analyses=[broken]) as log:
        assert own_loop(model, log=log) == losses
    assert left(model) == left(plain)
    told = noted(log.path, MISHAP)
    assert [line["step"] for line in told] == [0]
    assert "no at 0" in told[0]["error"]
    assert caplog.text.count("no at") == 1
    page = interp.report(log.path, log.path.parent / "page.html")
    assert "the analysis broken was not measured" in page.html
    assert log.run.status == "finished"


def test_a_model_that_cannot_be_evaluated_is_saved_all_the_same(recorded):
    model = seeded(Tokens)
    with recorded("evaluated", model) as log:
        log.step(0)
        model.forward = lambda tokens: 1 / 0
        log.step(10)
        log.step(20)
        del model.forward
    assert log.run.steps == (0, 10, 20)
    assert [line.get("times") for line in noted(log.path, MISHAP)] == [None, 2]
    assert np.isnan(log.run.history.test_loss.sel(step=10))


def test_a_full_disk_is_said_once_and_the_run_goes_on_when_there_is_room(recorded, monkeypatch, caplog):
    plain = seeded(Tokens)
    losses = own_loop(plain)
    model = seeded(Tokens)
    monkeypatch.setattr(loop_writer, "RETRY_SECONDS", 0.0)
    original, full = durable.write_all, set()

    def write_all(descriptor, data, path):
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return original(descriptor, data, path)

    for module in ("interp.store.durable", "interp.store.temporaries"):
        monkeypatch.setattr(f"{module}.write_all", write_all)
    with recorded("full", model, checkpoints=range(31)) as log:

        class Told:
            def step(self, step, train_loss=None):
                full.update({1} if step == 5 else set())
                if step == 20:
                    full.clear()
                log.step(step, train_loss)

        assert own_loop(model, log=Told()) == losses
    assert left(model) == left(plain)
    assert {4, 5, 19}.isdisjoint(log.run.steps)  # not committed, or not written
    assert set(range(20, 31)) <= set(log.run.steps)
    assert caplog.text.count("it could not be written") == 1
    assert "a later step tries again by itself" in caplog.text
    assert "interp resume" not in caplog.text
    assert log.run.verify() == ()
    assert log.run.status == "finished"


@pytest.mark.parametrize("told", ["given", "measured"])
def test_a_loss_that_is_not_finite_stops_the_run_and_not_the_loop(recorded, told):
    model, went_on = seeded(Tokens), 0
    with recorded("nan", model) as log:
        own_loop(model, log=log, steps=12)
        if told == "measured":
            with torch.no_grad():
                model.unembed.bias.fill_(torch.nan)
        for step in range(13, 25):
            log.step(step, train_loss=torch.tensor(torch.nan) if told == "given" and step == 15 else 1.0)
            went_on += 1
    assert went_on == 12
    assert (log.run.status, log.run.reason) == ("stopped", "non-finite")
    assert log.run.steps == (0, 10)
    assert log.run.manifest.step == (14 if told == "given" else 19)
    assert log.run.verify() == ()
    with pytest.raises(UsageError, match="is stopped at step"):
        recorded("nan", model)


# Interrupted, killed, continued


def test_two_at_once_are_refused(recorded):
    model = seeded(Tokens)
    with recorded("one", model) as log:
        log.step(0)
        with pytest.raises(UsageError, match="written by another process"), recorded("one", model):
            pass


_KILLED = """
import sys; sys.path.insert(0, {tests!r})
import os, signal
from own_loops import *
from interp.loops import loop_writer
loop_writer.COMMIT_SECONDS, loop_writer.COMMIT_SHARE = {seconds}, 1.0
model = seeded(Tokens)
how = dict(task=TASK, split=SPLIT, root={root!r}, checkpoints=[0, 10, 20], analyses="weight_norms")
with interp.recording("killed", model, **how) as log:
    own_loop(model, log=log, steps=15)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("seconds", [0.0, 3600.0], ids=["all", "nothing"])
def test_of_a_killed_process_what_was_committed_stays(tmp_path, recorded, seconds):
    code = _KILLED.format(tests=str(Path(__file__).parent), root=str(tmp_path), seconds=seconds)
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    run = interp.open_run(tmp_path / "killed")
    assert run.status == "interrupted"
    assert set(run.steps) == (set() if seconds else {0, 10})
    assert run.verify() == ()
    model = seeded(Tokens, seed=3)  # another training from there on: what was not committed is dropped
    with recorded("killed", model, analyses="weight_norms") as log:
        own_loop(model, log=log, first=0 if log.last is None else log.last + 1)
    assert noted(log.path, MISHAP) == []
    assert log.run.verify() == ()
    assert log.run.steps[-1] == 30
    assert interp.observe(log.path, "weight_norms").sizes["step"] == len(log.run.steps)


def test_a_signal_waits_until_what_is_due_is_done(recorded, monkeypatch):
    from interp.loops import loop_log

    model = seeded(Tokens)
    original = loop_log.Recording._evaluated

    def evaluated(self, step, values):
        if step == 10:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, step, values)

    monkeypatch.setattr(loop_log.Recording, "_evaluated", evaluated)
    with pytest.raises(KeyboardInterrupt), recorded("signal", model) as log:
        own_loop(model, log=log)
    assert log.run.steps == (0, 10)
    assert log.run.verify() == ()


def test_a_page_is_served_while_it_goes_on(recorded, caplog):
    from urllib.request import urlopen

    with recorded("live", seeded(Tokens), live=True) as log:
        log.step(0)
        assert log.address in caplog.text
        with urlopen(f"{log.address}state") as answer:
            assert "version" in json.load(answer)
    with pytest.raises(OSError, match="refused"):
        urlopen(f"{log.address}state")
    assert log.run.status == "finished"
