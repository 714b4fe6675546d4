"""Recording: what is saved is what was trained, and an interruption of any kind changes no byte."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from recorded import CONFIG, at_step, content, events

from interp.config.recipes import RECIPES, recipe
from interp.config.run_config import ModelConfig, OptimizerConfig, RunConfig
from interp.keeping import recorder, session
from interp.keeping.interruption import HeldSignals
from interp.keeping.naming import run_name
from interp.keeping.recorder import record, resume
from interp.store.history import COLUMNS
from interp.store.provenance import provenance
from interp.store.run import open_run
from interp.tasks.named import task as task_by_name
from interp.training import loop
from interp.training.loop import train


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never interrupted."""
    return record(CONFIG, tmp_path_factory.mktemp("whole"), "run", progress=False)


# -- what is saved -------------------------------------------------------------------------------------------------------------


def test_checkpoints_and_history_are_those_of_the_training(whole):
    saved = set(CONFIG.checkpoints.steps(CONFIG.steps))
    assert set(whole.steps) == saved
    history = whole.history
    for step in train(CONFIG):
        row = history.sel(step=step.index)
        for name in COLUMNS:
            value = getattr(step, name)
            assert row[name].item() == value or (value is None and np.isnan(row[name].item()))
        if step.index in saved:
            checkpoint = whole[step.index]
            assert checkpoint.losses == {name: getattr(step, name) for name in COLUMNS}
            for name, tensor in step.weights.tensors().items():
                assert torch.equal(checkpoint.weights.tensors()[name], tensor)
    assert history.sizes["step"] == CONFIG.steps + 1


def test_a_run_on_a_gpu_says_on_which(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"planted {device}")
    assert provenance("cuda:1") == {**provenance(), "gpu": "planted cuda:1"}


def test_a_run_says_by_which_instructions_it_was_rounded(whole):
    """Processors of one name have vectors of different widths; what torch takes is asked where it takes the least."""
    asked = "from interp.store.provenance import provenance; print(provenance()['instructions'])"
    least = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert least.stdout.strip() in ("DEFAULT", "NO AVX")
    assert whole.provenance["instructions"] == torch.backends.cpu.get_cpu_capability()


@pytest.mark.parametrize(("then", "warns"), [("AVX0", True), (None, False)])
def test_resumed_where_it_rounds_otherwise_a_run_warns(tmp_path, monkeypatch, caplog, then, warns):
    """A run that was begun before the instructions were noted is not called one from elsewhere."""
    noted = {name: value for name, value in {**provenance(), "instructions": then}.items() if value is not None}
    with monkeypatch.context() as patch:
        patch.setattr(recorder, "provenance", lambda device: noted)
        at_step(patch, 9, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            record(CONFIG, tmp_path, "run", progress=False)
    assert open_run(tmp_path / "run").provenance == noted
    resume(tmp_path / "run", progress=False)
    assert (f"begun elsewhere (instructions AVX0 -> {provenance()['instructions']})" in caplog.text) == warns
    assert ("begun elsewhere" in caplog.text) == warns


def test_a_finished_run_says_what_it_is(whole):
    assert whole.verify() == ()
    assert (whole.status, whole.reason, whole.manifest.step) == ("finished", "budget", CONFIG.steps)
    assert (whole.engine, whole.threads, whole.config) == ("reference", 1, CONFIG)
    assert {"torch", "numpy", "python", "platform", "processor", "instructions", "interp"} <= whole.provenance.keys()
    assert np.array_equal(whole.split.train, CONFIG.split.draw(CONFIG.task).train)
    checkpoints = [f"checkpoints/step_{step:08d}.safetensors" for step in whole.steps]
    last = f"moments/step_{CONFIG.steps:08d}.safetensors"  # from which it can be given more steps
    assert sorted(content(whole)) == [
        ".lock", *checkpoints, "history.jsonl", "manifest.json", last, "run.json", "split.safetensors"
    ]  # fmt: skip
    assert events(whole) == ["begun", "finished"]


def test_two_recordings_of_one_config_have_equal_bytes(whole, tmp_path):
    assert content(record(CONFIG, tmp_path, "run", progress=False)) == content(whole)


def test_a_finished_run_is_returned_at_once(whole, monkeypatch):
    monkeypatch.setattr(loop, "make_engine", lambda config: pytest.fail("trained again"))
    before = content(whole)
    again = record(CONFIG, whole.path.parent, "run", progress=False)
    assert (again.steps, content(again)) == (whole.steps, before)
    assert resume(whole.path, progress=False).steps == whole.steps


def test_a_finished_run_can_be_returned_from_where_nothing_can_be_written(whole, monkeypatch):
    opened = os.open

    def refuse(path, flags, *rest, **more):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return opened(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    assert record(CONFIG, whole.path.parent, "run", progress=False).steps == whole.steps


def test_a_run_that_settles_ends_there_with_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(loop.Training, "_settled", lambda training: training._index >= 12)
    config = replace(CONFIG, until_settled=True)
    run = record(config, tmp_path, progress=False)
    assert (run.reason, run.manifest.step, run.steps[-1]) == ("settled", 12, 12)
    assert run.verify() == ()


def test_auto_and_all_cores_are_resolved_once_and_recorded(tmp_path):
    config = replace(CONFIG, steps=2, engine="auto", threads=None)
    run = record(config, tmp_path, progress=False)
    assert run.engine in ("reference", "cpu")
    assert run.threads == len(os.sched_getaffinity(0))
    assert run.config.engine == "auto"
    for same in (replace(config, engine=run.engine), replace(config, threads=run.threads)):
        assert record(same, tmp_path, run.name, progress=False).steps == run.steps


# -- interruptions -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 1, 17, 34])
def test_ctrl_c_at_any_step_loses_nothing(whole, tmp_path, monkeypatch, step):
    with monkeypatch.context() as patch:
        at_step(patch, step, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt, match=rf"saved at step {step}; go on with: interp resume .*run"):
            record(CONFIG, tmp_path, "run", progress=False)
    stopped = open_run(tmp_path / "run")
    assert (stopped.status, stopped.manifest.step, stopped.verify()) == ("interrupted", step, ())
    assert stopped.history["step"].values.tolist() == list(range(step + 1))
    done = resume(tmp_path / "run", progress=False)
    assert content(done) == content(whole)
    assert events(done) == ["begun", "interrupted", "resumed", "finished"]


def test_interrupted_at_every_step(whole, tmp_path, monkeypatch):
    """One step per session: as many resumptions as there are steps."""
    monkeypatch.setattr(session, "COMMIT_SECONDS", 1e9)
    for step in range(0, CONFIG.steps, 7):
        with monkeypatch.context() as patch:
            at_step(patch, step, lambda: signal.raise_signal(signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                record(CONFIG, tmp_path, "run", progress=False)
    assert content(record(CONFIG, tmp_path, "run", progress=False)) == content(whole)


@pytest.mark.parametrize(
    "optimizer",
    [
        OptimizerConfig(warmup_steps=20, grokfast_lambda=2.0),
        OptimizerConfig(norm_constraint=True, perpendicular_gradient="rescale", loss="stablemax"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_intervention_survives_an_interruption(tmp_path, monkeypatch, optimizer, dtype):
    config = replace(CONFIG, optimizer=optimizer, dtype=dtype, steps=16)
    expected = record(config, tmp_path / "whole", "run", progress=False)
    with monkeypatch.context() as patch:
        at_step(patch, 9, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            record(config, tmp_path, "run", progress=False)
    assert content(record(config, tmp_path, "run", progress=False)) == content(expected)


def test_the_fast_engine_resumes_bit_for_bit(tmp_path, monkeypatch):
    config = replace(CONFIG, engine="auto", model=ModelConfig(d_model=32, n_heads=2, d_mlp=64), steps=40)
    expected = record(config, tmp_path / "whole", "run", progress=False)
    with monkeypatch.context() as patch:
        at_step(patch, 13, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            record(config, tmp_path, "run", progress=False)
    assert content(resume(tmp_path / "run", progress=False)) == content(expected)


def test_other_handlers_get_their_signal_after_the_run_is_saved(tmp_path, monkeypatch):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(open_run(tmp_path / "run").manifest.step))
    try:
        at_step(monkeypatch, 9, lambda: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(KeyboardInterrupt):
            record(CONFIG, tmp_path, "run", progress=False)
        assert seen == [9]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_second_ctrl_c_is_obeyed_at_once():
    with HeldSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with HeldSignals() as signals:
            signal.raise_signal(signal.SIGHUP)
            assert signals.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_recording_works_in_a_thread_where_no_handler_can_be_set(whole, tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(content(record(CONFIG, tmp_path, "run", progress=False))))
    thread.start()
    thread.join()
    assert found == [content(whole)]


def test_an_observer_that_fails_loses_nothing_that_was_committed(whole, tmp_path, monkeypatch):
    def fail():
        raise RuntimeError("not ours")

    monkeypatch.setattr(session, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(session, "COMMIT_SHARE", float("inf"))
    with monkeypatch.context() as patch:
        at_step(patch, 20, fail)
        with pytest.raises(RuntimeError, match="not ours"):
            record(CONFIG, tmp_path, "run", progress=False)
    assert open_run(tmp_path / "run").manifest.step == 19
    assert content(record(CONFIG, tmp_path, "run", progress=False)) == content(whole)


def test_commits_are_spaced_in_time_and_rarer_where_disks_are_slow(tmp_path, monkeypatch):
    clock, commits = [0.0], []
    commit = session.RunWriter.commit

    def slow(writer, step, state, **rest):
        commit(writer, step, state, **rest)
        clock[0] += 0.5  # a commit takes half a second
        commits.append(clock[0])

    monkeypatch.setattr(session.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(session.RunWriter, "commit", slow)
    original = loop.Training._step

    def second(training, train_loss):
        clock[0] += 1.0  # a step takes a second
        return original(training, train_loss)

    monkeypatch.setattr(loop.Training, "_step", second)
    record(CONFIG, tmp_path, progress=False)
    assert commits[0] == session.COMMIT_SECONDS + 0.5
    assert all(later - earlier >= 0.5 / session.COMMIT_SHARE for earlier, later in pairwise(commits))


# -- names and progress --------------------------------------------------------------------------------------------------------


def test_names_say_what_differs_from_the_recipe():
    nanda = recipe("nanda")
    assert run_name(nanda) == "nanda"
    assert run_name(replace(nanda, seed=1)) == "nanda-s1"
    assert run_name(replace(nanda, split=replace(nanda.split, seed=1))) == "nanda-split1"
    assert run_name(replace(nanda, optimizer=replace(nanda.optimizer, weight_decay=0.3))) == "nanda-wd0.3"
    assert run_name(replace(nanda, until_settled=True)) == "nanda-until-settled"
    many = replace(nanda, model=ModelConfig(d_model=64, n_heads=2, d_mlp=100, activation="gelu", biases="all"), device="cuda:0")
    assert run_name(many).startswith("nanda-")
    assert run_name(many) != run_name(replace(many, seed=3))
    assert len(run_name(many)) <= 60
    assert run_name(many).startswith("nanda-d-model64-n-heads2-d-mlp100-")
    demo = recipe("demo")
    assert run_name(replace(demo, until_settled=False)) == "demo-no-until-settled"
    assert run_name(replace(demo, optimizer=replace(demo.optimizer, weight_decay=0.3), seed=1)) == "demo-wd0.3-s1"
    close = (replace(demo.optimizer, lr=lr) for lr in (1e-4, 1.0000001e-4))
    assert len({run_name(replace(demo, optimizer=optimizer)) for optimizer in close}) == 2
    assert run_name(replace(many, seed=3), base=many, stem="wide") == "wide-s3"
    for name in RECIPES:
        assert run_name(recipe(name)) == name


def test_names_can_be_those_of_directories():
    for changes in ({"device": "cuda:0"}, {"dtype": "float64"}, {"threads": 3}, {"recipe": "x"}):
        files_name = run_name(replace(RunConfig(), **changes))
        assert "/" not in files_name
        assert ":" not in files_name


class Terminal(io.StringIO):
    """Stands in for a terminal on stderr."""

    def isatty(self):
        return True


def test_a_task_is_named_whole_and_a_file_without_folder_and_suffix(tmp_path):
    power = recipe("power")
    for task, name in (
        ("x/y mod 59", "power-x-over-y-mod-59"),
        ("x/y if y odd else x-y mod 59", "power-x-over-y-if-y-odd-else-x-y-mod-59"),
        ("x^2+y^2 mod 97", "power-x-2-y-2-mod-97"),
        ("x*y*x in S5", "power-x-y-x-in-s5"),
        ("S5", "power-s5"),
    ):
        assert run_name(replace(power, task=task_by_name(task))) == name
    config = replace(power, optimizer=replace(power.optimizer, batch_size=None))
    base = replace(config, recipe="power")
    for file, name in (("xor.v2.csv", "power-xor-v2"), ("S2.csv", "power-s2-s2")):
        (tmp_path / file).write_text("1,0\n1,1\n")
        assert run_name(replace(config, task=task_by_name(str(tmp_path / file))), base=base) == name


def test_progress_goes_to_a_terminal_and_nowhere_else(tmp_path, monkeypatch, capsys):
    record(replace(CONFIG, steps=5), tmp_path, "quiet")
    assert capsys.readouterr() == ("", "")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    record(replace(CONFIG, steps=5), tmp_path, "shown")
    shown = terminal.getvalue()
    for part in ("shown", "5/5", "train", "test", "accuracy", "steps/s"):
        assert part in shown
    assert "left" not in shown  # the one line that so short a training has is that of its end
    terminal.truncate(0)
    record(replace(CONFIG, steps=5), tmp_path, "silent", progress=False)
    assert terminal.getvalue() == ""
