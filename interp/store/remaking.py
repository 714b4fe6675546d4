"""Making again what says what a run holds, its manifest and the lines beside it, from all that still proves it."""

from __future__ import annotations

from contextlib import suppress

from interp.errors import DataError, UsageError
from interp.store.durable import write_atomically
from interp.store.journal import Journal, read_journal
from interp.store.manifest import JOURNAL, MANIFEST, RESUME, Manifest
from interp.store.recovering import complete
from interp.store.replacing import replace_manifest
from interp.store.resume import ResumeState
from interp.store.salvage import begun_with, bytes_of, evidence, own_state, salvaged_manifest
from interp.store.setting_aside import Aside
from interp.store.standing import standing


def mend_manifest(aside: Aside) -> None:
    """Complete the last commit; make manifest and lines again where they cannot be read or do not go on to the state."""
    state = own_state(aside.path)
    journal = _journal(aside, state)
    if journal is None:
        return publish_salvaged(aside, state)
    manifest = journal.manifest()
    if manifest.final or state is None:
        return None
    if not isinstance(state.commit, Manifest):
        return _complete(aside, journal, state)
    if state.commit != manifest and (state.commit.step or 0) >= (manifest.step or 0):
        write_atomically(aside.path / MANIFEST, state.commit.to_json())
    return None


def _journal(aside: Aside, state: ResumeState | None) -> Journal | None:
    """The manifest and its lines, if they can be read; the manifest is made again if that alone is damaged or lost."""
    with suppress(DataError, UsageError):
        return read_journal(aside.path)
    data = begun_with(aside.path, evidence(aside.path, state))
    if data is not None and data != bytes_of(aside.path, MANIFEST):
        aside.keep_copy(MANIFEST)
        write_atomically(aside.path / MANIFEST, data)
        aside.say(MANIFEST, f"made again: it has the bytes that the lines of {JOURNAL} come after")
    with suppress(DataError, UsageError):
        return read_journal(aside.path)
    return None


def _complete(aside: Aside, journal: Journal, state: ResumeState) -> None:
    """Make the resume state's commit the last line; make all of them again if it comes after none of them."""
    commit, heads = state.commit, journal.heads
    if isinstance(commit, Manifest):
        return None
    if commit.sha256 not in heads and commit.after not in heads:
        return publish_salvaged(aside, state)
    if any(finding.kind == "problem" for finding in standing(aside.path)):
        aside.keep_copy(JOURNAL)
        aside.say(JOURNAL, f"its end was set aside; it goes on to the commit of {RESUME} again, step {commit.step}")
    return complete(aside.path, journal, commit)


def publish_salvaged(aside: Aside, state: ResumeState | None) -> None:
    """Make a manifest from the resume state, of an earlier version, or from all hashes that fit the run's files."""
    for name in (MANIFEST, JOURNAL):
        aside.keep_copy(name)
    commit = None if state is None else state.commit
    if isinstance(commit, Manifest):
        write_atomically(aside.path / MANIFEST, commit.to_json())
        return aside.say(MANIFEST, f"made again from {RESUME}, as of step {commit.step}")
    found = salvaged_manifest(aside.path, evidence(aside.path, state), commit)
    replace_manifest(aside.path, found, None if state is None else state.tensors)
    ended = f"{found.status}, {found.reason}" if found.reason else found.status
    return aside.say(MANIFEST, f"made again from the hashes that fit the run's files: {ended}, at step {found.step}")
