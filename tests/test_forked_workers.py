"""Work shared out to forked processes: the same results, whatever becomes of a worker; and no process is left behind.

Each test runs a script of its own, as a process that other threads share (one of a test runner, say) is not forked.
"""

from __future__ import annotations

import ctypes
import os
import platform
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


def test_in_any_order_what_is_done_first_comes_first_and_dead_workers_leave_nothing_undone(tmp_path):
    script = """
def slow_first(n):
    until = time.monotonic() + 20
    while n == 0 and not os.path.exists(sys.argv[1]) and time.monotonic() < until:
        time.sleep(0.01)
    if n == 7 and os.getpid() != HERE:
        os.kill(os.getpid(), signal.SIGKILL)
    return n

results = from_workers(slow_first, range(30), workers=3, in_order=False)
others = [next(results) for _ in range(29)]
open(sys.argv[1], "w").close()
print(sorted(others), list(results))
"""
    lines, said = said_by(script, tmp_path / "go on")
    assert lines == [f"{list(range(1, 30))} [0]"]
    assert said.count("ended early, with exit code -9") == 1


def test_a_worker_keeps_memory_for_what_comes_next():
    script = """
import numpy as np, resource

def faults(n):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(10_000_000)  # 80 MB, in pages of any size: more than is ever kept by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first, *others = from_workers(faults, range(5), workers=1)
print(first > 100, max(others) < 20)
"""
    if not hasattr(ctypes.CDLL(None), "mallopt") or platform.libc_ver()[0] != "glibc":
        pytest.skip("this C library does as it does")
    assert said_by(script) == (["True True"], "")


def test_no_more_is_begun_than_waits_to_be_taken(tmp_path):
    script = """
def begin(n):
    open(os.path.join(sys.argv[1], str(n)), "w").close()
    until = time.monotonic() + 20
    while n == 0 and not os.path.exists(os.path.join(sys.argv[1], "3")) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3 if n == 0 else 0)
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


def test_where_no_process_can_be_forked_threads_do_the_work():
    script = """
import torch
from interp.cores import side_by_side

def refuse():
    raise OSError("no memory")

os.fork = refuse
logging.getLogger("interp").setLevel(logging.INFO)
print(set(from_workers(lambda n: os.getpid(), range(4), workers=2)) == {HERE})
barrier = threading.Barrier(2, timeout=20)
print(list(side_by_side(lambda n: barrier.wait() and n or n, range(4), threads=2, forks=True)))
"""
    lines, said = said_by(script)
    assert lines == ["True", "[0, 1, 2, 3]"]
    assert said.splitlines() == ["no process can be forked (no memory); threads do the work"] * 2


def test_what_the_first_process_does_at_a_signal_is_done_there_alone(tmp_path):
    script = """
def note(number, _frame):
    open(os.path.join(sys.argv[1], f"{number} {os.getpid()}"), "w").close()

signal.signal(signal.SIGUSR1, note), signal.signal(signal.SIGHUP, note)
reading, writing = os.pipe()
os.set_blocking(writing, False)
signal.set_wakeup_fd(writing)

def slowly(n):
    if n == 0:
        for number in (signal.SIGUSR1, signal.SIGHUP):
            os.kill(os.getppid(), number)
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.3)
    return n

print(list(from_workers(slowly, range(6), workers=2)))
print(sorted(os.listdir(sys.argv[1])) == sorted(f"{int(number)} {HERE}" for number in (signal.SIGUSR1, signal.SIGHUP)))
print(sorted(os.read(reading, 9)) == sorted((signal.SIGUSR1, signal.SIGHUP)))
"""
    assert said_by(script, tmp_path)[0] == ["[0, 1, 2, 3, 4, 5]", "True", "True"]


def test_signals_that_come_while_processes_are_forked_are_dealt_with_afterwards():
    script = """
import multiprocessing, torch
from interp import forked_workers

class Interrupting(forked_workers.Worker):
    def __init__(self, *given):
        super().__init__(*given)
        signal.raise_signal(signal.SIGINT)

forked_workers.Worker = Interrupting
try:
    list(from_workers(abs, range(4), workers=2))
except KeyboardInterrupt as error:
    print("interrupted")
    kept = error  # as a prompt does, and with it all that its frames hold
until = time.monotonic() + 20
while multiprocessing.active_children() and time.monotonic() < until:
    time.sleep(0.05)
print(multiprocessing.active_children())
"""
    assert said_by(script)[0] == ["interrupted", "[]"]


def test_garbage_and_text_that_is_not_written_yet_stay_the_first_processs(tmp_path):
    script = """
import gc, weakref
gc.disable()

class Held:
    def __init__(self):
        self.me = self
        self.file = open(sys.argv[1], "w")
        self.file.write("one line\\n")

    def __del__(self):
        self.file.flush()

Held()
gc.enable()
print("begun", end=" ")
list(from_workers(lambda n: (gc.collect(), [[] for _ in range(10_000)])[0], range(4), workers=2))
gc.collect()
print(open(sys.argv[1]).read().splitlines())
"""
    assert said_by(script, tmp_path / "text")[0] == ["begun ['one line']"]


def test_what_the_program_has_frozen_itself_stays_frozen():
    script = """
import gc
gc.freeze()
frozen = gc.get_freeze_count()
list(from_workers(abs, range(4), workers=2))
print(gc.get_freeze_count() >= frozen > 0)
gc.unfreeze()
list(from_workers(abs, range(4), workers=2))
print(gc.get_freeze_count())
"""
    assert said_by(script)[0] == ["True", "0"]


def test_a_worker_that_warns_does_not_wait_for_a_bar(tmp_path):
    """On a terminal the bar takes stderr for itself: in a worker it is the terminal's again."""
    script = """
import warnings
from interp.bars import counted_progress

def warn(n):
    warnings.warn(f"number {n}", stacklevel=1)
    return n

total = 0
for _ in range(12):
    with counted_progress("measuring") as show:
        for n in from_workers(warn, range(6), workers=2):
            show(n + 1, 6)
            total += 1
print("in all", total)
"""
    import pty

    pid, terminal = pty.fork()
    if not pid:
        os.environ["TERM"] = "xterm"
        os.execv(sys.executable, [sys.executable, "-c", BEGIN + script])
    said, until = b"", time.monotonic() + 100
    try:
        while time.monotonic() < until:
            said += os.read(terminal, 65536)
    except OSError:  # it is at its end
        pass
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    assert b"in all 72" in said
    assert b"number 5" in said


def test_a_process_that_was_forked_meanwhile_does_not_keep_workers_waiting():
    script = """
results = from_workers(abs, range(4), workers=2)
next(results)
if not (child := os.fork()):
    time.sleep(60)
    os._exit(0)
begun = time.monotonic()
print(list(results), time.monotonic() - begun < 8)  # each worker would be waited for for five seconds
os.kill(child, signal.SIGKILL), os.waitpid(child, 0)
"""
    assert said_by(script)[0] == ["[1, 2, 3] True"]


def test_an_exception_says_where_it_was_raised():
    script = """
def broken(n):
    return 1 // n

try:
    list(from_workers(broken, [0], workers=1))
except ZeroDivisionError as error:
    print("".join(error.__notes__).count("in broken"))
"""
    assert said_by(script)[0] == ["1"]


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
from interp.process import idle_thread
print("alone", may_fork())

class Bar:
    def start(self):
        self.done = threading.Event()
        threading.Thread(target=self.done.wait).start()

    def stop(self):
        self.done.set()

leave, bar, there = threading.Event(), Bar(), []
os.register_at_fork(before=lambda: there.append(threading.active_count()))
with idle_thread(start=bar.start, stop=bar.stop):
    print("beside a thread that draws", may_fork(), *from_workers(abs, [0], workers=1), there)
    print("which is there again", threading.active_count())
    other = threading.Thread(target=leave.wait)
    other.start()
    print("beside another thread", may_fork())
    leave.set(), other.join()

asked = []
asker = threading.Thread(target=lambda: asked.append(may_fork()))
asker.start(), asker.join()
print("in another thread", *asked)

if not (child := os.fork()):
    print("in a process that was forked", may_fork(), flush=True)
    os._exit(0)
os.waitpid(child, 0)

for number, handler in ((signal.SIGCHLD, lambda *_: None), (signal.SIGCHLD, signal.SIG_IGN), (signal.SIGPIPE, signal.SIG_DFL)):
    before = signal.signal(number, handler)
    print("with", signal.Signals(number).name, may_fork())
    signal.signal(number, before)

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
        "beside a thread that draws True 0 [1]",
        "which is there again 2",
        "beside another thread False",
        "in another thread False",
        "in a process that was forked False",
        "with SIGCHLD False",
        "with SIGCHLD False",
        "with SIGPIPE False",
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
    begun, workers.Worker = workers.Worker, lambda *given: forked.append(begun(*given)) or forked[-1]
    try:
        return observe(run, analyses, **how), bool(forked)
    finally:
        workers.Worker = begun
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
