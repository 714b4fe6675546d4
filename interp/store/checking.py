"""Checking a run file by file: what is damaged, missing, in the wrong place, or not the run's."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from interp.config.run_config import RunConfig
from interp.cores import shared_out
from interp.errors import DataError
from interp.store.durable import sha256
from interp.store.manifest import (
    CHECKPOINTS,
    HISTORY,
    MANIFEST,
    MOMENTS,
    RECORD,
    RESUME,
    SPLIT,
    TASK,
    read_listed,
    step_of,
)
from interp.store.packed import model_facts, unpack_arrays
from interp.wording import checkpoints, shown

if TYPE_CHECKING:
    from interp.store.run import Run

_OWN = {MANIFEST, RECORD, SPLIT, TASK, RESUME}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a run: which file, and what. Prints as one line."""

    file: str
    what: str

    def __str__(self) -> str:
        return shown(f"{self.file}: {self.what}")


def check(
    run: Run,
    *,
    threads: int,
    on_step: Callable[[int, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> tuple[Problem, ...]:
    """Every problem of a run, in the order of its files' names; each file is read once, so many of them at a time.

    What is sound but says nothing, weights that are not finite, is a note.
    """
    files = []
    for file in shared_out(lambda name: _read(run, name), run.manifest.files, threads=threads):
        files.append(file)
        if on_step is not None:
            on_step(len(files), len(run.manifest.files))
    if on_note is not None and (told := _not_finite(files)):
        on_note(told)
    found = [
        *(problem for file in files for problem in file.problems),
        *_check_models(run, [file for file in files if file.model is not None]),
        *_check_small_files(run),
        *_check_surplus(run),
    ]
    return tuple(sorted(found, key=lambda problem: problem.file))


@dataclass(frozen=True)
class _File:
    """What one of a run's files gave: problems and, of a checkpoint that can be read, shapes and what they say of the model."""

    name: str
    problems: tuple[Problem, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    model: Mapping[str, object] | None = None
    is_finite: bool = True


def _not_finite(files: Sequence[_File]) -> str | None:
    """Which checkpoints have weights that are NaN or infinite, and which is the last without."""
    steps = {step: file.is_finite for file in files if file.model is not None and (step := step_of(file.name)) is not None}
    odd, sound = [step for step, is_finite in steps.items() if not is_finite], [step for step, is_it in steps.items() if is_it]
    if not odd:
        return None
    last = f"the last finite one is that of step {max(sound):,}" if sound else "none is finite"
    return f"weights are NaN or infinite in {checkpoints(sorted(odd))}; {last}"


def _read(run: Run, name: str) -> _File:
    """Compare a file with its hash; where the bytes are another file's, say whose. Read the step of a checkpoint or state."""
    entry = run.manifest.files[name]
    try:
        data = read_listed(run.path, name, run.manifest)
    except OSError as error:
        return _File(name, (Problem(name, _why_unread(error)),))
    problems = [] if (found := sha256(data)) == entry.sha256 else [Problem(name, _difference(run, name, data, found))]
    step, is_checkpoint = step_of(name), True
    if step is None:
        step, is_checkpoint = step_of(name, MOMENTS), False
    if step is None:
        return _File(name, tuple(problems))
    try:
        arrays, facts = unpack_arrays(data, where=name)
        found_step, model = model_facts(arrays, facts, where=name) if is_checkpoint else (facts.get("step"), None)
    except DataError as error:
        return _File(name, (*problems, Problem(name, str(error).removeprefix(f"{name}: "))))
    if found_step != step:
        problems.append(Problem(name, f"holds step {found_step}"))
    is_finite = all(np.isfinite(array).all() for array in arrays.values() if array.dtype.kind == "f")
    return _File(name, tuple(problems), {key: array.shape for key, array in arrays.items()}, model, is_finite)


def _why_unread(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing"
    return f"damaged or foreign: {error.strerror}" if error.errno == errno.EFBIG else f"cannot be read ({error.strerror})"


def _difference(run: Run, name: str, data: bytes, found: str) -> str:
    """How a file's bytes differ from those that were saved."""
    entry = run.manifest.files[name]
    owner = next((other for other, listed in run.manifest.files.items() if listed.sha256 == found), None)
    if owner is not None:
        return f"holds the bytes of {owner}"
    if len(data) < entry.size:
        return f"truncated: {len(data)} bytes, expected {entry.size}"
    return f"damaged or foreign: {len(data)} bytes with sha256 {found}, expected {entry.size} with {entry.sha256}"


def _check_models(run: Run, files: Sequence[_File]) -> Iterator[Problem]:
    """Each readable checkpoint's tensors and shapes, against those of the first and against the run's description."""
    config = None
    with suppress(DataError):  # of run.json or of the task's file, which is named there
        config = run.config if run.has_config else None
    for file in files:
        assert file.model is not None
        if file.shapes != files[0].shapes:
            yield Problem(file.name, f"its tensors or shapes differ from those of {files[0].name}")
        yield from (Problem(file.name, what) for what in _mismatches(run, file.model, config))


def _mismatches(run: Run, model: Mapping[str, object], config: RunConfig | None) -> Iterator[str]:
    """Where a model is not the one that the run describes."""
    expected: dict[str, object] = {"kind": run.kind, "n_parameters": run.n_parameters}
    if "p" in model and config is not None:
        expected |= {
            "p": config.task.p, "n_ctx": config.task.n_ctx, "classes": config.classes, "d_model": config.model.d_model,
            "n_heads": config.model.n_heads, "d_mlp": config.model.d_mlp, "activation": config.model.activation,
            "attention_rate": config.model.attention_rate,
        }  # fmt: skip
    for name, value in expected.items():
        if model[name] != value:
            yield f"{name} is {model[name]}, expected {value}"


def _check_small_files(run: Run) -> Iterator[Problem]:
    """The task, the split's indices, the history's lines, and the resume state, which carries its own hash."""
    rows = None
    try:
        rows = len(run.task.labels)
    except DataError as error:
        yield from _unless_named(run, TASK if TASK in run.manifest.files else RECORD, error)
    try:
        split = run.split
        if rows is not None and len(split.train) + len(split.test) != rows:
            yield Problem(SPLIT, f"{len(split.train)} + {len(split.test)} pairs, expected {rows}")
    except DataError as error:
        yield from _unless_named(run, SPLIT, error)
    try:
        steps = run.columns["step"]
        if len(steps) and run.manifest.step is not None and steps[-1] > run.manifest.step:
            yield Problem(HISTORY, f"its last step is {steps[-1]}, after the run's, {run.manifest.step}")
    except DataError as error:
        yield from _unless_named(run, HISTORY, error)
    if run.manifest.step is None or run.manifest.final:
        return
    from interp.store.resume import read_resume  # only here: a finished run has none, and is checked without torch

    try:
        read_resume(run.path)
    except DataError as error:
        yield Problem(RESUME, str(error).removeprefix(f"{run.path / RESUME}: "))


def _unless_named(run: Run, name: str, error: DataError) -> Iterator[Problem]:
    """A problem of content, unless the bytes themselves are wrong, which `_read` says."""
    entry, path = run.manifest.files.get(name), run.path / name
    is_sound = entry is None
    with suppress(OSError):  # which `_read` says
        is_sound = entry is None or sha256(read_listed(run.path, name, run.manifest)) == entry.sha256
    if is_sound:
        yield Problem(name, str(error).removeprefix(f"{path}: "))


def _check_surplus(run: Run) -> Iterator[Problem]:
    """Files among the checkpoints, or safetensors beside them, that the run does not know.

    In a run that is not finished, temporary files and checkpoints after its last commit are in order.
    """
    unfinished = not run.manifest.final
    for name in _names_here(run.path):
        step = step_of(name) if name.startswith(CHECKPOINTS) else step_of(name, MOMENTS)
        pending = unfinished and (
            name.endswith(".tmp") or (step is not None and step > (-1 if run.manifest.step is None else run.manifest.step))
        )
        if name not in run.manifest.files and name not in run.manifest.thinned and name not in _OWN and not pending:
            yield Problem(name, "surplus: not a file of this run")


def _names_here(run: Path) -> Iterator[str]:
    """Paths of what lies among the checkpoints and states, and of safetensors beside them; a link is not followed."""
    yield from (path.name for path in run.glob("*.safetensors"))
    for folder in (CHECKPOINTS, MOMENTS):
        if (run / folder).is_symlink():
            yield folder
        elif (run / folder).is_dir():
            yield from (f"{folder}/{name}" for name in os.listdir(run / folder))
