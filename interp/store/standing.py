"""How the two parts of a growing run's manifest fit its resume state: what a crash leaves is in order, anything else is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from interp.errors import DataError
from interp.store.findings import Finding
from interp.store.journal import Commit, Journal, read_journal
from interp.store.manifest import JOURNAL, RECORD, RESUME, Manifest
from interp.store.resume import ResumeState, read_resume

_READS = 100  # attempts to read both while a writer replaces them


def standing(path: Path) -> Iterator[Finding]:
    """What is wrong with an unfinished run's resume state, and with how it fits the manifest's lines.

    A last line that is missing or not whole is in order, and noted, if the resume state has it: that is what a crash leaves.
    """
    journal, found = _both(path)
    manifest = journal.manifest()
    if isinstance(found, DataError):
        if manifest.step is not None and RESUME not in manifest.set_aside:  # which says it
            yield Finding(RESUME, str(found).removeprefix(f"{path / RESUME}: "))
        elif journal.tail:
            yield _foreign_end()
    elif isinstance(found.commit, Manifest):
        yield from _of_earlier_version(found.commit, journal, manifest)
    else:
        yield from _of_commit(found.commit, journal)


def _both(path: Path) -> tuple[Journal, ResumeState | DataError]:
    """The manifest and the resume state, which a writer does not replace in between."""
    for _ in range(_READS):
        journal, found = read_journal(path), _state(path)
        if read_journal(path) == journal or journal.manifest().final:
            break
    return journal, found


def _state(path: Path) -> ResumeState | DataError:
    try:
        return read_resume(path)
    except DataError as error:
        return error


def _of_commit(commit: Commit, journal: Journal) -> Iterator[Finding]:
    heads = journal.heads
    last = journal.commits[-1][0].sha256 if journal.commits else journal.start
    if commit.sha256 not in heads and commit.after not in heads:
        yield Finding(RESUME, "belongs to another run, or to another commit than the manifest's")
        return
    whole = b"" if commit.sha256 in heads else commit.line()
    if last not in (commit.sha256, commit.after) or not whole.startswith(journal.tail):
        yield _foreign_end()
    elif whole:
        yield Finding(JOURNAL, f"the line of the last commit, step {commit.step}, is cut off: resuming completes it", "note")


def _of_earlier_version(commit: Manifest, journal: Journal, manifest: Manifest) -> Iterator[Finding]:
    """Its resume state has the whole manifest, and may be one commit ahead of it."""
    if commit.files.get(RECORD) != manifest.files.get(RECORD):
        yield Finding(RESUME, "belongs to another run")
    if commit.step is None or commit.step < (manifest.step or 0):
        yield Finding(RESUME, f"is of step {commit.step}, before the run's, {manifest.step}")
    if journal.commits or journal.tail:
        yield _foreign_end()


def _foreign_end() -> Finding:
    return Finding(JOURNAL, "damaged or foreign at its end: it does not fit the resume state")
