"""Where runs and studies of a name lie. No torch here."""

from __future__ import annotations

from pathlib import Path

from interp.errors import UsageError


def run_path(root: str | Path, name: str) -> Path:
    """Where a run of this name is.

    Raises:
        UsageError: if the name cannot be that of a directory in the root.
    """
    if not name or name.startswith(".") or Path(name).name != name or "\0" in name:
        raise UsageError(f"name: given {name!r}, expected a plain name such as nanda-seed1; --root says where the run is kept")
    return Path(root) / name
