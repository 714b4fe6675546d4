"""Checking a run file by file: what is damaged, missing, in the wrong place, or not the run's."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from interp.config.run_config import RunConfig
from interp.cores import shared_out
from interp.errors import DataError
from interp.store.durable import sha256
from interp.store.findings import Examined, Finding
from interp.store.manifest import CHECKPOINTS, MANIFEST, MOMENTS, Entry, read_listed, step_of
from interp.store.packed import model_facts, unpack_arrays
from interp.store.readable import lineage_notes, readable
from interp.store.surroundings import around
from interp.wording import checkpoints

if TYPE_CHECKING:
    from interp.store.run import Run


def examine(run: Run, *, threads: int, on_step: Callable[[int, int], None] | None = None) -> Examined:
    """Everything worth knowing of a run's files; each is read once, so many of them at a time."""
    files = []
    for file in shared_out(lambda name: _read(run, name), run.manifest.files, threads=threads):
        files.append(file)
        if on_step is not None:
            on_step(len(files), len(run.manifest.files))
    found = [
        *(problem for file in files for problem in file.problems),
        *_not_finite(run, files),
        *_check_models(run, [file for file in files if file.model is not None]),
        *readable(run),
        *lineage_notes(run),
        *around(run),
    ]
    return Examined(tuple(sorted(dict.fromkeys(found), key=lambda finding: finding.file)))


@dataclass(frozen=True)
class _File:
    """What one of a run's files gave: problems and, of a checkpoint that can be read, shapes and what they say of the model."""

    name: str
    problems: tuple[Finding, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    model: Mapping[str, object] | None = None
    is_finite: bool = True


def _not_finite(run: Run, files: Sequence[_File]) -> Iterator[Finding]:
    """Which checkpoints have weights that are NaN or infinite, and which is the last without: sound, but they say nothing."""
    steps = {step: file.is_finite for file in files if file.model is not None and (step := step_of(file.name)) is not None}
    odd, sound = [step for step, is_finite in steps.items() if not is_finite], [step for step, is_it in steps.items() if is_it]
    if odd:
        last = f"the last finite one is that of step {max(sound):,}" if sound else "none is finite"
        yield Finding(CHECKPOINTS, f"weights are NaN or infinite in {checkpoints(sorted(odd))}; {last}", "note")
    if run.reason == "non-finite":
        told = f"the run broke off after step {run.manifest.step}: the training loss was no longer finite"
        yield Finding(MANIFEST, told, "note")


def _read(run: Run, name: str) -> _File:
    """Compare a file with its hash; where the bytes are another file's, say whose. Read the step of a checkpoint or state."""
    entry = run.manifest.files[name]
    try:
        data = read_listed(run.path, name, run.manifest)
    except OSError as error:
        return _File(name, (Finding(name, _why_unread(error)),))
    problems = [] if Entry.of(data) == entry else [Finding(name, _difference(run, name, data))]
    step, is_checkpoint = step_of(name), True
    if step is None:
        step, is_checkpoint = step_of(name, MOMENTS), False
    if step is None:
        return _File(name, tuple(problems))
    try:
        arrays, facts = unpack_arrays(data, where=name)
        found_step, model = model_facts(arrays, facts, where=name) if is_checkpoint else (facts.get("step"), None)
    except DataError as error:
        return _File(name, (*problems, Finding(name, str(error).removeprefix(f"{name}: "))))
    if found_step != step:
        problems.append(Finding(name, f"holds step {found_step}"))
    is_finite = all(np.isfinite(array).all() for array in arrays.values() if array.dtype.kind == "f")
    return _File(name, tuple(problems), {key: array.shape for key, array in arrays.items()}, model, is_finite)


def _why_unread(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing"
    return f"damaged or foreign: {error.strerror}" if error.errno == errno.EFBIG else f"cannot be read ({error.strerror})"


def _difference(run: Run, name: str, data: bytes) -> str:
    """How a file's bytes differ from those that were saved."""
    entry, found = run.manifest.files[name], sha256(data)
    if found == entry.sha256:
        return f"{len(data)} bytes with the right hash, but {MANIFEST} gives them as {entry.size}"
    owner = next((other for other, listed in run.manifest.files.items() if listed.sha256 == found), None)
    if owner is not None:
        return f"holds the bytes of {owner}"
    if len(data) < entry.size:
        return f"truncated: {len(data)} bytes, expected {entry.size}"
    return f"damaged or foreign: {len(data)} bytes with sha256 {found}, expected {entry.size} with {entry.sha256}"


def _check_models(run: Run, files: Sequence[_File]) -> Iterator[Finding]:
    """Each readable checkpoint's tensors and shapes, against those of the first and against the run's description."""
    config = None
    with suppress(DataError):  # of run.json or of the task's file, which is named there
        config = run.config if run.has_config else None
    for file in files:
        assert file.model is not None
        if file.shapes != files[0].shapes:
            yield Finding(file.name, f"its tensors or shapes differ from those of {files[0].name}")
        yield from (Finding(file.name, what) for what in _mismatches(run, file.model, config))


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
