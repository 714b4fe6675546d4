"""Where runs and studies of a name lie: one rule for the command line and for Python. No torch here."""

from __future__ import annotations

from pathlib import Path

from interp.errors import UsageError
from interp.store.manifest import MANIFEST

ROOT = Path("checkpoints")  # of all that is not told another


def run_path(root: str | Path, name: str) -> Path:
    """Where a run of this name is.

    Raises:
        UsageError: if the name cannot be that of a directory in the root.
    """
    if not name or name.startswith(".") or Path(name).name != name or "\0" in name:
        raise UsageError(f"name: given {name!r}, expected a plain name such as nanda-s1; --root says where the run is kept")
    return Path(root) / name


def find_path(path: Path, root: str | Path = ROOT) -> Path:
    """What is at a path or, if no run and no file is there, of that name under the root.

    >>> find_path(Path("no-such-run"), "runs").as_posix(), find_path(Path("other/no-such-run"), "runs").as_posix()
    ('runs/no-such-run', 'other/no-such-run')
    """
    if len(path.parts) > 1 or path.is_file() or (path / MANIFEST).is_file():
        return path
    named = Path(root) / path
    return path if path.exists() and not (named / MANIFEST).is_file() else named
