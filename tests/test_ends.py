"""How a command ends: interrupted from its first moment on, with output that cannot be written, with a terminal that is gone."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from interp.cli.streams import Outlet
from interp.store.run import open_run
from interp.studies.going import ended_by_signals

# What Python runs before anything else: it sends this process a signal when a module is about to be imported.
SIGNALLED = """
import os, signal, sys
target, number = os.environ["AT"], int(os.environ["SIGNAL"])
def hook(event, arguments):
    global target
    if event == "import" and arguments[0] == target:
        target = None
        os.kill(os.getpid(), number)
sys.addaudithook(hook)
"""
TRAIN = [
    "train", "demo", "--task.p", "7", "--split.fraction", "0.5", "--model.d-model", "8", "--model.n-heads", "2",
    "--model.d-mlp", "8", "--checkpoints.log", "0", "--checkpoints.every", "20",
    "--engine", "reference", "--threads", "1", "--no-until-settled",
    "--steps", "40", "--name", "tiny",
]  # fmt: skip


def started(*arguments: object, **options: object) -> subprocess.Popen[str]:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True, **options}
    return subprocess.Popen([sys.executable, "-m", "interp", *map(str, arguments)], text=True, **options)


def signalled(
    tmp_path: Path, at: str, *arguments: object, number: int = signal.SIGINT, **options: object
) -> tuple[int, str, str]:
    """Exit code, output and errors of a command that gets a signal at its first import of a module."""
    (tmp_path / "sitecustomize.py").write_text(SIGNALLED)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "AT": at, "SIGNAL": str(int(number))}
    process = started(*arguments, env=environment, **options)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.parametrize("at", ["lazy_loader", "ast", "interp.process", "interp.cli.entry", "tyro", "interp.cli.studies"])
def test_ctrl_c_ends_it_with_one_line_whatever_is_being_imported(tmp_path, at) -> None:
    assert signalled(tmp_path, at, "--help") == (130, "", "interrupted\n")


@pytest.mark.parametrize("at", ["interp.store.run", "interp.keeping.recorder", "torch", "interp.training.loop"])
def test_ctrl_c_while_a_command_loads_its_libraries(tmp_path, at) -> None:
    code, _, err = signalled(tmp_path, at, *TRAIN, "--root", tmp_path / "runs")
    assert (code, err) == (130, "interrupted\n")


def test_whoever_ignores_ctrl_c_goes_on(tmp_path) -> None:
    code, out, err = signalled(
        tmp_path, "tyro", "runs", "--root", tmp_path, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    )
    assert (code, out.split(" in ")[0], err) == (0, "no runs", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_it_from_outside_is_said_by_its_exit_code(tmp_path, number) -> None:
    code, _, err = signalled(tmp_path, "torch", *TRAIN, "--root", tmp_path / "runs", number=number)
    assert (code, err) == (-number, "interrupted\n")
    assert signalled(tmp_path, "tyro", "--help", number=number) == (-number, "", "")


def test_nohup_is_respected(tmp_path) -> None:
    code, _, err = signalled(
        tmp_path, "torch", *TRAIN, "--root", tmp_path / "runs", number=signal.SIGHUP,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert open_run(tmp_path / "runs" / "tiny").status == "finished"


def test_nohup_is_respected_by_a_study() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert callable(signal.getsignal(signal.SIGTERM))
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("made_of_it", ["raise", "raise OSError('the connection was broken')", "pass"])
def test_a_study_ends_by_the_signal_whatever_a_library_makes_of_the_interruption(number: signal.Signals, made_of_it: str) -> None:
    code = f"""
import signal
from interp.studies.going import ended_by_signals
with ended_by_signals():
    try:
        signal.raise_signal({int(number)})
    except KeyboardInterrupt:
        {made_of_it}
print("went on")
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (-number, "", "")


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_ends_by_the_signal_though_a_library_made_an_error_of_the_interruption(
    number: signal.Signals, debug: bool
) -> None:
    code = f"""
import signal, sys
from interp.cli import entry
def interrupted(given):
    try:
        signal.raise_signal({int(number)})
    except KeyboardInterrupt:
        raise SystemError("a result was returned with an exception set")
entry._run = interrupted
sys.argv = ["interp", "runs", *(["--debug"] if {debug} else [])]
entry.main()
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (-number, "")
    assert done.stderr.endswith("interrupted\n")
    assert ("Traceback" in done.stderr) == debug


DROPPED = """
import gc, sys, time
from interp.cli.ends import ended_in_order

class Callback:
    def __del__(self):  # from where no exception gets out, as from a compiled library's callbacks
        raise KeyboardInterrupt

with ended_in_order():
    callback = Callback()
    try:
        del callback
        time.sleep(20)
        print("went on")
    except KeyboardInterrupt:
        print("interrupted")
assert sys.unraisablehook is sys.__unraisablehook__
"""


def test_an_interruption_that_a_library_drops_still_ends_the_command() -> None:
    done = subprocess.run([sys.executable, "-c", DROPPED], check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_importing_the_toolkit_leaves_signals_alone() -> None:
    code = "import signal, interp, interp.cli; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


# Output


def shell(command: str, cwd: Path) -> tuple[int, str, str]:
    """A line of bash, in which `interp` is the command; exit code of its first part, output, errors."""
    line = f'interp() {{ "{sys.executable}" -m interp "$@"; }}; {command}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=cwd, timeout=120)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with many runs, of which only the first lines fit into a pipe."""
    path = tmp_path_factory.mktemp("ends")
    (path / "none").mkdir()
    assert started(*TRAIN, "--root", path / "checkpoints", stdout=subprocess.DEVNULL).wait(120) == 0
    for number in range(2_000):
        (path / "checkpoints" / f"run{number:04}").symlink_to(path / "checkpoints" / "tiny")
    return path


def test_a_reader_that_has_seen_enough_is_no_failure(folder) -> None:
    code, out, err = shell("interp runs | head -n 1", folder)
    assert (code, out.split()[0], err) == (0, "name", "")
    assert shell("interp --help | true", folder) == (0, "", "")
    code, _, err = shell("interp show nowhere | true", folder)  # what failed has failed
    assert (code, "error: " in err) == (2, True)


@pytest.mark.parametrize(
    ("to", "why"), [("/dev/full", "No space left on device"), ("&-", "Bad file descriptor")], ids=["full", "closed"]
)
@pytest.mark.parametrize("command", ["runs --root none", "show tiny --json", "verify tiny", "--help", "show --help"])
def test_output_that_is_lost_is_a_failure_in_one_line(folder, command, to, why) -> None:
    assert shell(f"interp {command} >{to}", folder) == (1, "", f"error: standard output cannot be written ({why})\n")


def test_errors_that_nobody_can_read_change_no_exit_code(folder) -> None:
    for to in ("/dev/full", "&-"):
        assert shell(f"interp show nowhere 2>{to}", folder) == (2, "", "")
        assert shell(f"interp show nowhere 2>{to} >&-", folder) == (2, "", "")
    assert shell("interp runs --root none <&-", folder)[0] == 0


@pytest.mark.parametrize("to", [">/dev/full", ">&- 2>&- <&-", "| true"])
def test_work_is_done_to_its_end_whatever_becomes_of_its_output(folder, tmp_path, to) -> None:
    root = tmp_path / "runs"
    code, _, err = shell(f"interp {' '.join(TRAIN)} --root {root} {to}", folder)
    assert code == (0 if to == "| true" else 1)
    assert "Traceback" not in err
    run = open_run(root / "tiny")
    assert (run.status, run.verify()) == ("finished", ())
    assert [path.name for path in root.rglob("*.tmp")] == []


def test_an_outlet_drops_what_it_cannot_write_and_says_why() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    pipe = Outlet(writing, "pipe", is_closed=False)
    assert pipe.write(b"unread") == 6
    assert pipe.error is None
    os.close(writing)
    with open("/dev/full", "wb", buffering=0) as full:
        outlet = Outlet(full.fileno(), "full", is_closed=False)
        assert outlet.write(b"lost") == outlet.write(b"lost") == 4
        assert outlet.error is not None
        assert outlet.error.strerror == "No space left on device"


# A terminal that is closed


def test_a_closed_terminal_saves_the_run_and_ends_the_command(tmp_path) -> None:
    """It has its progress bar there: what is written after the end of the terminal must not get in the way of saving."""
    ours, theirs = os.openpty()
    train = [word if word != "40" else "1000000" for word in TRAIN]
    process = started(
        *train, "--root", tmp_path, stdin=theirs, stdout=theirs, stderr=theirs,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    path = tmp_path / "tiny"
    try:
        end = time.monotonic() + 120
        while not ((path / "manifest.json").exists() and open_run(path).manifest.step is not None):
            assert time.monotonic() < end
            if select.select([ours], [], [], 0.05)[0]:
                os.read(ours, 10_000)
        before = open_run(path).manifest.step
        os.close(ours)
        assert process.wait(120) == -signal.SIGHUP
    finally:
        process.kill()
        process.wait()
    run = open_run(path)
    assert (run.status, run.verify()) == ("interrupted", ())
    assert run.manifest.step > before
    assert list(tmp_path.rglob("*.tmp")) == []


def test_a_report_that_is_ended_half_way_leaves_no_file(folder, tmp_path) -> None:
    """Ended by SIGTERM at the moment at which its page is on the disk and has no name yet."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "def hook(event, arguments):\n"
        "    if event == 'os.rename' and str(arguments[1]).endswith('page.html'):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.addaudithook(hook)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    (tmp_path / "out").mkdir()
    process = started(
        "report", folder / "checkpoints" / "tiny", "-a", "weight_norms", "-o", tmp_path / "out" / "page.html",
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    process.communicate(timeout=180)
    assert process.returncode == -signal.SIGTERM
    assert [file.name for file in (tmp_path / "out").iterdir()] in ([], ["page.html"])
