"""The runs of a directory for people: what each is, and why others cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interp.errors import DataError, UsageError
from interp.store.run import names_of_runs, open_run


def facts_of_runs(root: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The facts of every run in a directory, in the order of their names; and of those that cannot be told, name and reason.

    Raises:
        UsageError: if the directory does not exist.
    """
    found, unread = [], {}
    for name in names_of_runs(root):
        try:
            found.append(open_run(root / name).facts())
        except (DataError, UsageError, OSError) as error:
            unread[name] = str(error)
    return found, unread
