"""The key frequencies of a whole run: chosen once, from its last checkpoint, and kept beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from interp.observing.fingerprint import key_of, toolkit_digest
from interp.store.kept import keep, recall
from interp.store.manifest import RECORD, TASK
from interp.store.run import Run

if TYPE_CHECKING:
    from interp.harmonics.harmonics import Name
    from interp.observing.key_rules import KeyRule
    from interp.store.checkpoint import Checkpoint

_NAME = "key_frequencies"


def run_keys(run: Run, rule: KeyRule | Sequence[int | str]) -> tuple[tuple[Name, ...], Checkpoint | None]:
    """The key frequencies of a run's last checkpoint, see `interp.observing.keys.key_frequencies`; and that checkpoint, if it had
    to be read.

    Raises:
        UsageError: as there.
    """
    step = run.steps[-1]
    files = run.manifest.files
    task = [files[name].sha256 for name in (RECORD, TASK) if name in files]
    asked = rule if isinstance(rule, str) else list(rule)
    # Made networks are known by no hash.
    key = None if run.makers is not None else key_of(toolkit_digest(), asked, run.sha256(step), task)
    if key is not None and (known := recall(run.path, _NAME, key=key)) is not None:
        return tuple(known), None
    from interp.observing.keys import key_frequencies  # only here: what was chosen before is read without torch

    checkpoint = run[step]
    found = key_frequencies(checkpoint.network, asked, task=run.task)
    if key is not None:
        keep(run.path, _NAME, list(found), key=key)
    return found, checkpoint
