"""Work shared out to forked processes: the same results, whatever becomes of a worker; and no process is left behind.

Each test runs a script of its own, as a process that other threads share (one of a test runner, say) is not forked.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux a process is forked")

BEGIN = """
import logging, os, signal, sys, threading, time
import interp
from interp.forked_workers import from_workers, may_fork
logging.basicConfig(format="%(message)s")
HERE = os.getpid()
"""


def said_by(script: str, *arguments: object, status: int = 0) -> tuple[list[str], str]:
    """The lines that a script printed, and what it said on stderr."""
    words = [sys.executable, "-W", "error", "-c", BEGIN + script, *map(str, arguments)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == status, ended.stderr
    return ended.stdout.splitlines(), ended.stderr


def test_results_come_in_order_from_so_many_processes_that_are_gone_at_the_end():
    script = """
found = list(from_workers(lambda n: (time.sleep(0.02 * (9 - n)), n, os.getpid())[1:], range(9), workers=3))
print([n for n, _ in found], len({pid for _, pid in found}), HERE in {pid for _, pid in found})
import multiprocessing
print(multiprocessing.active_children(), list(from_workers(abs, [], workers=2)), list(from_workers(abs, [-1], workers=8)))
"""
    assert said_by(script) == (["[0, 1, 2, 3, 4, 5, 6, 7, 8] 3 False", "[] [] [1]"], "")


def test_no_more_is_begun_than_waits_to_be_taken(tmp_path):
    script = """
def begin(n):
    open(os.path.join(sys.argv[1], str(n)), "w").close()
    time.sleep(0.5 if n == 0 else 0)
    return n

results = from_workers(begin, range(1000), workers=2)
next(results)
results.close()
print(max(int(name) for name in os.listdir(sys.argv[1])))
"""
    assert said_by(script, tmp_path)[0] == ["3"]  # while it waits for the first, three more


def test_an_exception_is_raised_where_its_result_would_have_come():
    script = """
def fail_at_2(n):
    if n == 2:
        raise ValueError("two")
    return n

results = from_workers(fail_at_2, range(1000), workers=2)
print(next(results), next(results))
try:
    next(results)
except ValueError as error:
    print("raised", error)
import multiprocessing
print(multiprocessing.active_children())
"""
    assert said_by(script)[0] == ["0 1", "raised two", "[]"]


def test_what_cannot_be_sent_is_computed_here():
    script = """
class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(one)

def odd(n):
    if n == 3:
        raise Odd(1, 2)
    return Odd(1, 2) if n == 2 else (lambda: os.getpid()) if n == 1 else os.getpid()

results = from_workers(odd, range(4), workers=2)
print(next(results) == HERE, next(results)() == HERE, type(next(results)).__name__)
try:
    next(results)
except Odd as error:
    print("raised", error)
"""
    assert said_by(script)[0] == ["False True Odd", "raised 1"]


@pytest.mark.parametrize("killed", ["n == 3", "True"])
def test_what_a_worker_was_at_when_it_was_killed_is_computed_again(killed):
    script = f"""
def dies(n):
    if os.getpid() != HERE and ({killed}):
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n

print(list(from_workers(dies, range(8), workers=2)))
"""
    lines, said = said_by(script)
    assert lines == ["[0, 1, 4, 9, 16, 25, 36, 49]"]
    assert said.count("ended early, with exit code -9") == (1 if killed == "n == 3" else 2)


def test_where_no_process_can_be_forked_everything_is_computed_here():
    script = """
def refuse():
    raise OSError("no memory")

os.fork = refuse
print(set(from_workers(lambda n: os.getpid(), range(4), workers=2)) == {HERE})
"""
    assert said_by(script)[0] == ["True"]


def test_workers_end_with_the_process_that_wants_them(tmp_path):
    script = """
def slowly(n):
    open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
    time.sleep(0.2)
    if n == 3:
        os.kill(HERE, signal.SIGKILL)
    return n

list(from_workers(slowly, range(1000), workers=3))
"""
    said_by(script, tmp_path, status=-signal.SIGKILL)
    workers = [int(name) for name in os.listdir(tmp_path)]
    assert len(workers) == 3
    until = time.monotonic() + 30
    while (left := [pid for pid in workers if is_alive(pid)]) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left


def is_alive(pid: int) -> bool:
    """Whether a process is there, and not only waits to be asked how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_c_ends_all_of_them_and_only_the_first_says_so(tmp_path):
    script = """
def slowly(n):
    open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
    time.sleep(0.2)
    return n

list(from_workers(slowly, range(1000), workers=2))
"""
    words = [sys.executable, "-c", BEGIN + script, str(tmp_path)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True) as begun:
        until = time.monotonic() + 60
        while len(os.listdir(tmp_path)) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        for worker in map(int, os.listdir(tmp_path)):
            os.kill(worker, signal.SIGINT)
        time.sleep(0.5)
        assert begun.poll() is None
        os.killpg(begun.pid, signal.SIGINT)
        said = begun.communicate(timeout=60)[1]
    assert begun.returncode == -signal.SIGINT
    assert said.count("Traceback") == said.count("KeyboardInterrupt") == 1
    assert not [pid for pid in map(int, os.listdir(tmp_path)) if is_alive(pid)]


def test_a_process_is_forked_only_where_that_does_no_harm():
    script = """
import multiprocessing
from interp.process import idle_threads
print("alone", may_fork())

leave = threading.Event()
with idle_threads():
    bar = threading.Thread(target=leave.wait)
    bar.start()
print("beside a thread that draws", may_fork())
other = threading.Thread(target=leave.wait)
other.start()
print("beside another thread", may_fork())
leave.set(), other.join(), bar.join()

asked = []
asker = threading.Thread(target=lambda: asked.append(may_fork()))
asker.start(), asker.join()
print("in another thread", *asked)

if not (child := os.fork()):
    print("in a process that was forked", may_fork(), flush=True)
    os._exit(0)
os.waitpid(child, 0)

print("in a worker", *from_workers(lambda _: may_fork(), [0], workers=1))
multiprocessing.current_process()._config["daemon"] = True
print("as a daemon", may_fork())
multiprocessing.current_process()._config["daemon"] = False
sys.modules["jax"] = sys
print("beside JAX", may_fork())
del sys.modules["jax"]
sys.platform = "darwin"
print("on macOS", may_fork())
"""
    assert said_by(script)[0] == [
        "alone True",
        "beside a thread that draws True",
        "beside another thread False",
        "in another thread False",
        "in a process that was forked False",
        "in a worker False",
        "as a daemon False",
        "beside JAX False",
        "on macOS False",
    ]


MEASURE = """
import torch
import interp.forked_workers as workers
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig, SplitConfig
from interp.observing.observe import observe
from interp.tasks.modular import ModularTask

def has_forked(run, analyses, **how):
    forked = []
    begun, workers._started = workers._started, lambda *a: forked.append(begun(*a)) or forked[-1]
    try:
        return observe(run, analyses, **how), bool(forked)
    finally:
        workers._started = begun
"""


def test_measures_are_the_same_in_forked_processes_and_in_one(tmp_path):
    script = (
        MEASURE
        + """
config = RunConfig(task=ModularTask(11), split=SplitConfig(fraction=0.5), model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=0, every=5), steps=40, engine="reference", threads=1)
one, two, three = (interp.record(config, root=sys.argv[1], name=name, progress=False) for name in ("one", "two", "three"))
alone, was_forked = has_forked(one, None, threads=1)
print(was_forked)
beside, was_forked = has_forked(two, None, threads=2)
print(was_forked, alone.drop_attrs().identical(beside.drop_attrs()), len(alone.data_vars) > 40)
files = [sorted(path.read_bytes() for path in (run.path / "results").glob("*.safetensors")) for run in (one, two)]
print(files[0] == files[1])

def mean_weight(view):
    return {"mean_weight": float(view.weights.W_E.mean()), "process": os.getpid()}

own, was_forked = has_forked(three, ["weight_norms", mean_weight], threads=2)
print(was_forked, set(own.process.values) == {HERE})
"""
    )
    assert said_by(script, tmp_path)[0] == ["False", "True True True", "True", "False True"]
