"""Sound runs, made once by the command line itself, which rounds copy and spoil."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from recorded import CONFIG as RECORDED
from small_study import run_bytes, small_base

from interp.config.run_config import CheckpointConfig, RunConfig

STEPS = 120
CONFIG = replace(RECORDED, steps=STEPS, checkpoints=CheckpointConfig(log=4, every=10, moments=(15,)))
LONG = replace(CONFIG, steps=1200, checkpoints=CheckpointConfig(log=4, every=40, moments=(15,)))
STUDY = ("--vary", "optimizer.weight_decay=0.5,1.0", "--seeds", "0-1", "--measures", "progress_measures,weight_norms")


@dataclass(frozen=True)
class Originals:
    """Sound runs in a folder; each is made when it is first wanted.

    Args:
        folder: where they are.
    """

    folder: Path

    def make(self) -> None:
        """Make all of them."""
        for name, value in vars(Originals).items():
            if isinstance(value, cached_property):
                getattr(self, name)

    def config(self, config: RunConfig = CONFIG, name: str = "config.json") -> Path:
        """A configuration as a file."""
        path = self.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.with_suffix(f".{os.getpid()}").write_text(config.to_json())
            path.with_suffix(f".{os.getpid()}").rename(path)  # whole, whoever else reads it
        return path

    @cached_property
    def whole(self) -> Path:
        """A finished run, never interrupted, and nothing measured yet."""
        return self._made("whole", lambda path: self._train(CONFIG, path))

    @cached_property
    def long(self) -> Path:
        """The same with more steps: there is time to kill it."""
        return self._made("long", lambda path: self._train(LONG, path))

    @cached_property
    def measured(self) -> Path:
        """The whole run with results of every analysis."""

        def make(path: Path) -> None:
            self.copy(self.whole, path)
            _interp("analyze", path)
            _interp("show", path)

        return self._made("measured", make)

    @cached_property
    def interrupted(self) -> Path:
        """A run that was told to end when a checkpoint was there."""
        return self._made("interrupted", self._interrupt)

    @cached_property
    def study(self) -> Path:
        """A study, planned and trained."""

        def make(path: Path) -> None:
            self._plan(path)
            _interp("study", "run", path, "--workers", "2")

        return self._made("study", make)

    @cached_property
    def planned(self) -> Path:
        """The same study, planned only."""
        return self._made("planned", self._plan)

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        """The original of a name; under that name it is whole."""
        path, unfinished = self.folder / name, self.folder / "unfinished"
        if not path.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished / name)
            (unfinished / name).rename(path)
        return path

    def _train(self, config: RunConfig, path: Path) -> None:
        _interp("train", self.config(config, f"{path.name}.json"), "--name", path.name, "--root", path.parent)

    def _interrupt(self, path: Path) -> None:
        command = [sys.executable, "-m", "interp", "train", self.config(LONG, "long.json"), "--name", path.name]
        process = subprocess.Popen([*command, "--root", path.parent], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        while process.poll() is None and not (path / "checkpoints" / "step_00000040.safetensors").exists():
            time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
        process.communicate()
        assert (path / "resume.safetensors").exists(), "trained too fast to be interrupted"

    def _plan(self, path: Path) -> None:
        """Plan the study at a path."""
        base = self.config(small_base(), "base.json")
        _interp("study", "new", path.name, "--root", path.parent, "--recipe", base, *STUDY)

    def copy(self, original: Path, path: Path) -> Path:
        """A copy to spoil."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(original, path)
        return path


def saved(run: Path) -> dict[str, bytes]:
    """Every byte of a run that must not change: all but its log, its lock, and what was measured."""
    return {name: data for name, data in run_bytes(run).items() if not name.startswith("results/") and name != ".lock"}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> str:
    """Names of the files that differ, or are in one only; empty if none does. Cached results only save time, and do not count."""
    names = (name for name in sorted({*one, *other}) if not name.startswith("results/"))
    return ", ".join(name for name in names if one.get(name) != other.get(name))


def _interp(*arguments: object) -> None:
    done = subprocess.run([sys.executable, "-m", "interp", *map(str, arguments)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"interp {' '.join(map(str, arguments))}\n{done.stderr[-3000:]}"
