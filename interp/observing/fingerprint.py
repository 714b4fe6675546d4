"""Hashes of what results depend on besides a checkpoint: the toolkit's own source, and all that is stored of a run."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import interp
from interp.observing.analysis import builtin_directory
from interp.reading import read_file
from interp.store.manifest import RESUME
from interp.store.run import Run

if TYPE_CHECKING:
    from interp.harmonics.harmonics import Name
    from interp.observing.analysis import Analysis


@cache
def toolkit_digest() -> str:
    """Hash of the toolkit's own sources, the built-in analyses included: a corrected measure must not reuse old results."""
    digest = hashlib.sha256()
    for folder in (Path(interp.__file__).parent, builtin_directory()):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def run_state(run: Run) -> str:
    """Hash of all that is stored of a run."""
    manifest = json.dumps(run.manifest.to_dict(), sort_keys=True).encode()
    resume = run.path / RESUME
    return hashlib.sha256(manifest + (read_file(resume, inside=run.path) if resume.is_file() else b"")).hexdigest()


def key_of(*parts: object) -> str:
    """Hash of several things by their texts."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


def cache_key(analysis: Analysis, keys: tuple[Name, ...], run: Run, *, brief: bool) -> str | None:
    """Hash of all that results depend on besides the checkpoint; None where they are not kept."""
    if analysis.digest is None:
        return None
    # What sees the whole run depends on it, and its results may have another form at every checkpoint.
    seen = [brief, run_state(run)] if analysis.at == "last" else []
    return key_of(analysis.digest, toolkit_digest(), keys, *seen)
