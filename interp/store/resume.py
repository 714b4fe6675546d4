"""The rolling state from which an interrupted run resumes. Replacing its file is what commits a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from interp.errors import DataError
from interp.reading import read_file
from interp.store.durable import write_atomically
from interp.store.journal import Commit
from interp.store.manifest import RESUME, Manifest
from interp.store.packed import digest
from interp.store.tensors import as_arrays, pack, unpack


@dataclass(frozen=True, eq=False)
class ResumeState:
    """What resuming needs, and the commit that it belongs to, so that one rename commits both.

    Attributes:
        tensors: the state of the training.
        commit: the line that the manifest gets, or has got; of earlier versions the whole manifest as of that step.
    """

    tensors: Mapping[str, Tensor]
    commit: Commit | Manifest


def write_resume(run: Path, state: ResumeState) -> None:
    """Replace the run's resume state."""
    commit = state.commit
    facts = {"manifest": commit.to_dict()} if isinstance(commit, Manifest) else {"commit": commit.values()}
    write_atomically(run / RESUME, pack(state.tensors, {**facts, "sha256": digest(as_arrays(state.tensors), facts)}))


def read_resume(run: Path) -> ResumeState:
    """The run's resume state.

    Raises:
        DataError: if it is missing or damaged: the run can be read but not resumed.
    """
    path = run / RESUME
    advice = "the run can be read but not resumed; restore the file from a copy, or record the run again under another name"
    try:
        tensors, facts = unpack(read_file(path, inside=run), where=f"{path}")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}): {advice}") from error
    name = "commit" if "commit" in facts else "manifest"
    if facts.get("sha256") != digest(as_arrays(tensors), {name: facts.get(name)}):
        raise DataError(f"{path}: damaged: {advice}")
    if name == "commit":
        return ResumeState(tensors, Commit.of(facts[name], where=f"{path}"))
    return ResumeState(tensors, Manifest.from_dict(facts[name], where=f"{path}"))
