"""Runs and studies to be damaged, made once, and the command line in this process with what it printed."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from small_study import in_turn, small_base, small_study

import interp
from interp.cli import main


def build(base: Path) -> Path:
    """A folder with the run ``one``, its copy ``other``, and the study ``wd`` of four runs."""
    config = replace(small_base(), threads=1, checkpoints=interp.CheckpointConfig(log=0, every=6, moments=(6,)))
    for name in ("one", "other"):
        interp.record(config, root=base, name=name)
    study = small_study(base, vary={"optimizer.weight_decay": [0.5, 1.0]}, name="wd", measures=("weight_norms",))
    study.run(executor=in_turn)
    study.outcomes()
    return base


class Called:
    """What became of a command: its exit code, and what it printed on stdout and stderr."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def said(self) -> str:
        """Everything that it printed."""
        return self.out + self.err


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> Called:
    """Call the command line as a process would be, with its log on stderr."""
    capsys.readouterr()
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        with pytest.raises(SystemExit) as exit_:
            main([*map(str, arguments)])
    finally:
        root.handlers = before
    found = capsys.readouterr()
    return Called(exit_.value.code or 0, found.out, found.err)
