"""docs/recording.md: its examples run as they stand, one after the other."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "recording.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
EXTRAS = ("lightning", "transformers")


def needed(example: str) -> list[str]:
    return [name for name in EXTRAS if re.search(rf"^(import|from) {name}\b", example, flags=re.MULTILINE)]


def test_the_examples_run_and_leave_sound_runs(tmp_path):
    code = "\n".join(example for example in EXAMPLES if not needed(example))
    check = "\nfor name in ('plain', 'pairs', 'continued', 'bridge'):\n    run = interp.open_run(name)\n"
    check += "    assert run.verify() == () and run.status == 'finished', name\n"
    done = subprocess.run([sys.executable, "-c", code + check], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not recorded" not in (tmp_path / "checkpoints" / "bridge" / "log.jsonl").read_text()


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_examples_of_libraries_run_where_they_are_installed(tmp_path, extra):
    own = [example for example in EXAMPLES if extra in needed(example)]
    assert own, f"{extra}: no example in docs/recording.md"
    if find_spec(extra) is None:
        pytest.skip(f"{extra} is not installed")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([EXAMPLES[0], *own])], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
