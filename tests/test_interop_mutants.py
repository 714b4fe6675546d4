"""Files of every kind, damaged and crafted: each ends in the right weights or in one of our errors, and leaves nothing behind."""

from __future__ import annotations

import random
import resource
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from foreign_containers import FORMS, SPLIT, Form, states
from mutants import mutate, right

from interp.errors import DataError, UsageError
from interp.interop import import_run, load_run

FEW, MANY = 8, 150  # mutants of each of 22 forms


def survive(form: Form, folder: Path, draw: random.Random) -> str:
    """One mutant: what became of it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    flag, root = folder / "flag", folder / "runs"
    (folder / "given").mkdir()
    path = form.write(folder / "given", states())
    must_notice = mutate(path, draw, flag) and form.checked and path.is_file()
    known = replace(form.known, split=SPLIT)
    begun, refusal = time.process_time(), ""
    try:
        made = import_run(path, root, "made", known=known)
    except (DataError, UsageError) as error:
        refusal = str(error) or "no reason"
    assert time.process_time() - begun < 2
    assert not flag.exists(), "something was run"
    if refusal:
        assert not root.exists(), "something was left behind"
        assert 10 < len(refusal) < 3000
        return "refused"
    assert made.verify() == ()
    if must_notice:
        right(load_run(path, known=known), form)
    return "read"


@pytest.mark.parametrize("name", FORMS)
def test_few_mutants_of_every_form(tmp_path: Path, name: str) -> None:
    draw = random.Random(name)
    outcomes = [survive(FORMS[name], tmp_path / "mutant", draw) for _ in range(FEW)]
    assert len(outcomes) == FEW


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_many_mutants_of_every_form(tmp_path: Path, name: str) -> None:
    draw = random.Random(f"many {name}")
    outcomes = [survive(FORMS[name], tmp_path / "mutant", draw) for _ in range(MANY)]
    assert outcomes.count("refused") > MANY // 8  # of a folder many hit files in which nothing is read
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2**20  # kilobytes


def test_there_are_enough_of_them() -> None:
    assert len(FORMS) * MANY > 3000
    assert torch.__version__
