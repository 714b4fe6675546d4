"""Putting another manifest in the place of a run's, which has lines beside it and a resume state while the run grows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from interp.store.durable import sync_directory, write_atomically
from interp.store.journal import Commit
from interp.store.manifest import JOURNAL, MANIFEST, Manifest
from interp.store.resume import ResumeState, write_resume


def replace_manifest(path: Path, manifest: Manifest, state: Mapping[str, Tensor] | None) -> None:
    """Make a manifest the run's: its lines begin anew after it, and the resume state, if there is one, is of its step.

    The resume state comes first, and its line lists every file, so that a process that is killed loses nothing.
    """
    is_growing = not manifest.final
    if state is not None and manifest.step is not None:
        start = manifest.hash_of_content(growing=is_growing)
        write_resume(path, ResumeState(state, Commit(start, manifest.step, manifest.status, manifest.files)))
    write_atomically(path / MANIFEST, manifest.to_json(growing=is_growing))
    (path / JOURNAL).unlink(missing_ok=True)
    sync_directory(path)
