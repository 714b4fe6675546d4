"""Checking a run file by file: what is damaged, missing, in the wrong place, or not the run's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interp.config.run_config import RunConfig
from interp.errors import DataError
from interp.networks.network import Network
from interp.networks.one_layer import Weights
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
    checkpoint_name,
    moments_name,
    step_of,
)
from interp.store.resume import read_resume
from interp.store.tensors import unpack, unpack_network

if TYPE_CHECKING:
    from interp.store.run import Run

_OWN = {MANIFEST, RECORD, SPLIT, TASK, RESUME}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a run: which file, and what. Prints as one line."""

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def check(run: Run) -> tuple[Problem, ...]:
    """Every problem of a run, in the order of its files' names."""
    found = [
        *_check_contents(run),
        *_check_checkpoints(run),
        *_check_moments(run),
        *_check_small_files(run),
        *_check_surplus(run),
    ]
    return tuple(sorted(found, key=lambda problem: problem.file))


def _check_contents(run: Run) -> Iterator[Problem]:
    """Each listed file against its hash; where the bytes are another file's, say whose."""
    owners = {entry.sha256: name for name, entry in run.manifest.files.items()}
    for name, entry in run.manifest.files.items():
        path = run.path / name
        if not path.is_file():
            yield Problem(name, "missing")
            continue
        data = path.read_bytes()[: entry.size if name == HISTORY else None]
        actual = sha256(data)
        if actual == entry.sha256:
            continue
        if actual in owners:
            yield Problem(name, f"holds the bytes of {owners[actual]}")
        elif len(data) < entry.size:
            yield Problem(name, f"truncated: {len(data)} bytes, expected {entry.size}")
        else:
            yield Problem(
                name, f"damaged or foreign: {len(data)} bytes with sha256 {actual}, expected {entry.size} with {entry.sha256}"
            )


def _check_checkpoints(run: Run) -> Iterator[Problem]:
    """Each checkpoint's step, tensors and shapes, where the bytes can be read at all."""
    shapes: dict[str, tuple[int, ...]] | None = None
    config = None
    with suppress(DataError):  # of run.json or of the task's file, which is named there
        config = run.config if run.has_config else None
    for step in run.steps:
        name = checkpoint_name(step)
        try:
            found, network = unpack_network((run.path / name).read_bytes(), where=name)
        except OSError:
            continue  # named as missing already
        except DataError as error:
            yield Problem(name, str(error).removeprefix(f"{name}: "))
            continue
        if found != step:
            yield Problem(name, f"holds step {found}")
        mine = {tensor_name: tuple(tensor.shape) for tensor_name, tensor in network.tensors().items()}
        shapes = shapes or mine
        if mine != shapes:
            yield Problem(name, f"its tensors or shapes differ from those of {checkpoint_name(run.steps[0])}")
        yield from (Problem(name, what) for what in _mismatches(run, network, config))


def _mismatches(run: Run, network: Network, config: RunConfig | None) -> Iterator[str]:
    """Where a model is not the one that the run describes."""
    given: dict[str, object] = {
        "kind": network.kind,
        "n_parameters": sum(tensor.numel() for tensor in network.tensors().values()),
    }
    expected: dict[str, object] = {"kind": run.kind, "n_parameters": run.n_parameters}
    if isinstance(network, Weights) and config is not None:
        expected |= {
            "p": config.task.p, "n_ctx": config.task.n_ctx, "classes": config.classes, "d_model": config.model.d_model,
            "n_heads": config.model.n_heads, "d_mlp": config.model.d_mlp, "activation": config.model.activation,
            "attention_rate": config.model.attention_rate,
        }  # fmt: skip
        given |= {name: getattr(network, name) for name in expected if name not in given}
    for name, value in expected.items():
        if given[name] != value:
            yield f"{name} is {given[name]}, expected {value}"


def _check_moments(run: Run) -> Iterator[Problem]:
    """Each kept state's step, where the bytes can be read at all."""
    for step in run.manifest.moments:
        name = moments_name(step)
        try:
            _, facts = unpack((run.path / name).read_bytes(), where=name)
        except OSError:
            continue  # named as missing already
        except DataError as error:
            yield Problem(name, str(error).removeprefix(f"{name}: "))
            continue
        if facts.get("step") != step:
            yield Problem(name, f"holds step {facts.get('step')}")


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
        steps = run.history["step"].values
        if len(steps) and run.manifest.step is not None and steps[-1] > run.manifest.step:
            yield Problem(HISTORY, f"its last step is {steps[-1]}, after the run's, {run.manifest.step}")
    except DataError as error:
        yield from _unless_named(run, HISTORY, error)
    if run.manifest.step is None or run.manifest.final:
        return
    try:
        read_resume(run.path)
    except DataError as error:
        yield Problem(RESUME, str(error).removeprefix(f"{run.path / RESUME}: "))


def _unless_named(run: Run, name: str, error: DataError) -> Iterator[Problem]:
    """A problem of content, unless the bytes themselves are wrong, which `_check_contents` says."""
    entry, path = run.manifest.files.get(name), run.path / name
    if entry is None or (path.is_file() and sha256(path.read_bytes()[: entry.size]) == entry.sha256):
        yield Problem(name, str(error).removeprefix(f"{path}: "))


def _check_surplus(run: Run) -> Iterator[Problem]:
    """Files among the checkpoints, or safetensors beside them, that the run does not know.

    In a run that is not finished, temporary files and checkpoints after its last commit are in order.
    """
    unfinished = not run.manifest.final
    here = [path for folder in (CHECKPOINTS, MOMENTS) for path in (run.path / folder).rglob("*")]
    here += run.path.glob("*.safetensors")
    for path in here:
        name = path.relative_to(run.path).as_posix()
        step = step_of(name) if name.startswith(CHECKPOINTS) else step_of(name, MOMENTS)
        pending = unfinished and (
            path.suffix == ".tmp" or (step is not None and step > (-1 if run.manifest.step is None else run.manifest.step))
        )
        if name not in run.manifest.files and name not in _OWN and not pending:
            yield Problem(name, "surplus: not a file of this run")
