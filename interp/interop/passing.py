"""Runs and other people's files side by side: a file becomes a run for as long as it is looked at."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from interp.errors import DataError, UsageError
from interp.interop.known import Known, as_flags
from interp.store.manifest import MANIFEST
from interp.store.run import Run, open_run

if TYPE_CHECKING:
    from interp.interop.recognising import Format

_NOTHING = Known()


@contextmanager
def opened_runs(
    paths: Sequence[Path], format: Format = "auto", *, known: Known = _NOTHING, unread: dict[str, str] | None = None
) -> Iterator[list[Run]]:
    """The runs at some paths; other people's files are runs inside the block, and are gone after it.

    Args:
        format: of the files, as in `import_run`.
        known: what the files do not tell.
        unread: takes the reason for each of several that is damaged, by its path; without it, that is an error.

    Raises:
        UsageError: as `open_run` and `import_run`; if something is said about files and all are runs.
        DataError: as `open_run` and `import_run`.
    """
    foreign = [path for path in paths if path.exists() and not (path / MANIFEST).is_file()]
    if not foreign:
        if paths:
            check_is_not_said(paths[0], format, known)
        yield _sound(paths, lambda i: open_run(paths[i]), unread)
        return
    from interp.interop.load import import_run  # only here: a run that was measured is looked at without torch

    with tempfile.TemporaryDirectory(prefix="interp-") as folder:

        def taken(i: int) -> Run:
            path = paths[i]
            return import_run(path, Path(folder) / str(i), format=format, known=known) if path in foreign else open_run(path)

        yield _sound(paths, taken, unread)


def _sound(paths: Sequence[Path], take: Callable[[int], Run], unread: dict[str, str] | None) -> list[Run]:
    """The runs at some paths, by their places, without those that are damaged, if several are given and reasons can be told."""
    found = []
    for i, path in enumerate(paths):
        try:
            found.append(take(i))
        except DataError as error:
            if unread is None or len(paths) == 1:
                raise
            unread[str(path)] = str(error)
    return found


def check_is_not_said(run: Path, format: str, known: Known) -> None:
    """Error if a caller says something about a run that is stored with it.

    Raises:
        UsageError: naming what was said.
    """
    said = ({} if format == "auto" else {"format": format}) | known.given()
    if said:
        raise UsageError(f"{as_flags(said)}: given for the run {run}, which has it stored; leave it out")
