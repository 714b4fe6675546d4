"""Units of machine code: called with what tuples hold, compiled once, by processes that end with the one that wants them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from compiled import from_python
from numba.extending import intrinsic

from interp.training.cpu import preparation
from interp.training.cpu.kernels import Layout, units_for
from interp.training.cpu.kernels.units import at_address, by_name, unit

LAYOUT = Layout(equals_sign=True, biases=True, columns=112, loss="cross_entropy")


@intrinsic
def as_pointer(context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return numba.types.CPointer(numba.int64)(numba.int64), generate


class Pair(NamedTuple):
    first: int
    second: int


@unit("test")
def note(out: int, a: int, b: int, c: int, d: int) -> None:
    """Write a number of these digits to an address."""
    numbers = numba.carray(as_pointer(out), 1)
    numbers[0] = 1000 * a + 100 * b + 10 * c + d


def test_a_unit_gets_the_numbers_that_tuples_hold_by_name_and_by_address() -> None:
    out = np.zeros(1, dtype=np.int64)
    from_python(by_name(note), [note])(out.ctypes.data, Pair(1, 2), (3,), True)
    assert out == 1231
    from_python(at_address)(note.address, out.ctypes.data, (Pair(4, 3), 2), 1)
    assert out == 4321


def test_every_unit_has_a_name_of_its_own() -> None:
    layouts = (
        Layout(equals_sign=equals_sign, biases=biases, columns=columns, loss=loss)
        for equals_sign, biases, columns, loss in product(
            (True, False), (True, False), range(1, 300), ("cross_entropy", "stablemax")
        )
    )
    units = {each for layout in layouts for each in units_for(layout)}
    assert len({each.name for each in units}) == len(units)


def test_what_is_at_hand_is_not_compiled_again(caplog: pytest.LogCaptureFixture) -> None:
    preparation.prepare(LAYOUT, processes=1)
    caplog.clear()
    with caplog.at_level("INFO", logger="interp"):
        preparation.prepare(LAYOUT, processes=2)
    assert not caplog.records
    assert all(each.is_stored for each in units_for(LAYOUT))


def child(*code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", *code]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_what_a_process_did_not_do_before_it_ended_is_left() -> None:
    process = child("print(input(), flush=True); print(input(), flush=True); input()")
    waiting, done = deque(range(5)), deque[int]()
    preparation._tell(process, waiting, done)
    process.communicate()
    assert list(done) == [0, 1]
    assert list(waiting) == [3, 4]  # 2 was begun
    assert process.returncode == 0


def test_a_process_that_is_told_nothing_more_ends() -> None:
    with child(preparation._CHILD, json.dumps(sys.path), json.dumps(asdict(LAYOUT))) as process:
        output, _ = process.communicate("", timeout=100)
    assert (process.returncode, output) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_only_one_process_at_a_time_compiles_into_a_folder(tmp_path: Path) -> None:
    hold = (
        "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); input()"
    )
    entered = threading.Event()

    def enter() -> None:
        with preparation._one_at_a_time(tmp_path):
            entered.set()

    with child(hold, str(tmp_path / "interp.lock")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.2)
        process.communicate("\n")
        thread.join(30)
    assert entered.is_set()


@pytest.mark.slow
def test_the_first_run_is_compiled_by_other_processes_and_the_second_by_none(tmp_path: Path) -> None:
    code = f"""
import logging, os
logging.basicConfig(format="%(message)s", level=logging.INFO)
from interp.training.cpu.kernels import Layout, units_for
from interp.training.cpu.preparation import prepare
prepare({LAYOUT!r}, processes=2)
mine, children = os.times().user, os.times().children_user
print(mine < children, all(unit.is_stored for unit in units_for({LAYOUT!r})))
"""
    said = []
    for _ in range(2):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        said.append((done.stdout.split(), "compiling the fast CPU engine" in done.stderr))
    assert said == [(["True", "True"], True), (["False", "True"], False)]


class Missing:
    """A unit that nobody has compiled yet."""

    is_stored, folder = False, None

    @property
    def address(self) -> int:
        self.is_stored = True
        return 0


def test_that_the_engine_is_compiled_is_said_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A study's runs may need units of several kinds."""
    preparation._say_so.cache_clear()
    monkeypatch.setattr(preparation, "on_terminal", lambda: False)
    with caplog.at_level("INFO", logger="interp"):
        for _ in range(2):
            missing = [Missing(), Missing()]
            monkeypatch.setattr(preparation, "units_for", lambda _layout, missing=missing: missing)
            preparation.prepare(LAYOUT, processes=1)
            assert all(unit.is_stored for unit in missing)
    assert [record.message for record in caplog.records if "compiling" in record.message] == [
        "compiling the fast CPU engine: once per installation, for some 10 to 30 seconds"
    ]
