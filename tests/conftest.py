"""Shared by all tests: shape checking at run time, where the published files are, whether there is a browser."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from visiting import Visit

# Machines are shared: how long an example takes says nothing about the code.
# In CI every run tries the same examples, so that what is red there is red here.
settings.register_profile("interp", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("interp")

# A process started in the background of a shell ignores Ctrl-C, and so would every run that the tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Parallel test workers that each start a thread per core fight over the cores: one core for each worker and its children.
if (worker := os.environ.get("PYTEST_XDIST_WORKER")) and hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

# Runs are flushed to the disk at every step that they must survive, thousands of times in all: memory answers at once. (What a
# power cut takes is tested without pulling the plug; see crash.py.)
MEMORY, ROOM = Path("/dev/shm"), 2**31
if "PYTEST_DEBUG_TEMPROOT" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)

# What is measured is sealed with a key in the user's state directory: all tests and the processes they start share one of their
# own.
if "INTERP_TESTS_STATE" not in os.environ:
    state = tempfile.mkdtemp(prefix="interp-state-")
    os.environ["INTERP_TESTS_STATE"] = os.environ["XDG_STATE_HOME"] = state
    atexit.register(shutil.rmtree, state, ignore_errors=True)

# Every annotated shape and dtype in these modules is checked at each call, in tests only.
install_import_hook(
    [
        "interp.anatomy",
        "interp.groups",
        "interp.harmonics",
        "interp.losses",
        "interp.measures",
        "interp.networks.initial",
        "interp.networks.layered",
        "interp.networks.layered_bridge",
        "interp.networks.layered_pass",
        "interp.networks.neuron_tables",
        "interp.networks.one_layer",
        "interp.networks.pair_tables",
        "interp.networks.sites",
        "interp.networks.two_embeddings",
        "interp.observing.circuit",
        "interp.observing.keys",
        "interp.observing.view",
        "interp.synthetic",
        "interp.training.batch_order",
        "interp.training.general",
        "interp.training.optimizer",
        "interp.training.parameters",
        "interp.training.reference",
        "interp.training.stacked",
        "interp.training.token_tables",
        "interp.training.torch_optimizers",
        "interp.training.cpu.cpu_engine",
        "interp.training.cpu.pair_chunks",
    ],
    "beartype.beartype",
)

# What runs the compiled engine. With `--dist worksteal` each worker begins at its own share of the order: one compiles the
# engine, and by the time that the others need it, it is there.
ENGINE_FIRST = (
    "test_engines.py",
    "test_kernels.py",
    "test_engine_choice.py",
    "test_engine_losses.py",
    "test_contention.py",
    "test_training.py",
    "test_stream.py",
    "test_start.py",
    "test_changes.py",
    "test_scoring.py",
    "test_landscape.py",
    "test_benchmark_patch_matrix.py",
    "test_train_many.py",
    "test_record_batch.py",
    "test_recorder.py",
    "test_extremes.py",
    "test_demand.py",
    "test_outside.py",
    "test_table_task.py",
    "test_guides.py",
    "test_notebooks.py",
    "test_readme.py",
    "test_doctor_runs.py",
    "test_looking_on.py",
    "test_study_told.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the compiled engine comes first; otherwise the order stays."""
    rank = {name: place for place, name in enumerate(ENGINE_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@pytest.fixture(scope="session", autouse=True)
def not_forked() -> Iterator[None]:
    """Checkpoints are measured in this process, with and without pytest-xdist: what a test counts or replaces is here alone."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("interp.cores.may_fork", lambda: False)
        yield


REFERENCE = Path(__file__).parents[2] / "shared" / "reference"


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder of published model files; tests that need it skip where it is absent, as at users'."""
    if not REFERENCE.is_dir():
        pytest.skip(f"published model files are not here ({REFERENCE}); only this project's developers have them")
    return REFERENCE


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium to open reports in."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        reason = "no Chromium found: install your system's package (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """A running Chromium without windows."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the growing circuit, with every built-in analysis."""
    from growing import built_in

    from interp.reporting import page
    from interp.reporting.write import panels

    analyses, series = built_in()
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(series, panels(series, analyses)).html, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the neuron explorer."""
    from turning_page import with_explorer

    return with_explorer(tmp_path_factory.mktemp("explored") / "explored.html")


@pytest.fixture(scope="module")
def shared(browser: Browser, report_file: Path) -> Iterator[Visit]:
    """One visit for the tests that leave the page as they found it."""
    from visiting import visit

    seen = visit(browser, report_file)
    yield seen
    seen.leave()


@pytest.fixture
def fresh(shared: Visit) -> Iterator[Visit]:
    """The shared visit, at the last checkpoint; whatever a test does, the page may not complain."""
    from growing import STEPS

    shared.page.evaluate("document.activeElement.blur()")
    if shared.step() != STEPS[-1]:
        shared.page.evaluate(f"location.hash = '#step={STEPS[-1]}'")
        shared.wait_for_step(STEPS[-1])
    yield shared
    assert shared.said == []
