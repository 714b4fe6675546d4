"""The key frequencies of a whole run: chosen once, from its last checkpoint, and kept beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interp.errors import NotFiniteError
from interp.observing.fingerprint import key_of, toolkit_digest
from interp.observing.kept_series import kept_keys
from interp.store.kept import keep, recall
from interp.store.manifest import RECORD, TASK
from interp.store.run import Run
from interp.tasks.modular import ModularTask

if TYPE_CHECKING:
    from interp.harmonics.harmonics import Name
    from interp.observing.key_rules import KeyRule
    from interp.store.checkpoint import Checkpoint

_NAME = "key_frequencies"


@dataclass(frozen=True)
class RunKeys:
    """The key frequencies of a run.

    Attributes:
        names: the frequencies; none if no checkpoint tells them.
        step: the last checkpoint from which they could be read: usually the run's last, of a run that diverged the last finite
            one; None if there is none.
        checkpoint: that one, if it had to be read.
    """

    names: tuple[Name, ...]
    step: int | None
    checkpoint: Checkpoint | None = None


def run_keys(run: Run, rule: KeyRule | Sequence[int | str]) -> RunKeys:
    """The key frequencies of a run's last finite checkpoint, see `interp.observing.keys.key_frequencies`.

    Raises:
        UsageError: as there.
    """
    step = run.steps[-1]
    if isinstance(rule, str) and (measured := kept_keys(run)) is not None:
        return RunKeys(measured, step)
    files = run.manifest.files
    task = [files[name].sha256 for name in (RECORD, TASK) if name in files]
    asked = rule if isinstance(rule, str) else list(rule)
    # Made networks are known by no hash.
    key = None if run.makers is not None else key_of(toolkit_digest(), asked, run.sha256(step), task)
    if key is not None and (known := _remembered(recall(run.path, _NAME, key=key), run)) is not None:
        return known
    found = _chosen(run, asked)
    if key is not None:
        keep(run.path, _NAME, {"names": list(found.names), "step": found.step}, key=key)
    return found


def _chosen(run: Run, rule: KeyRule | Sequence[int | str]) -> RunKeys:
    from interp.networks.network import not_finite  # only here: what was chosen before is read without torch
    from interp.observing.keys import key_frequencies

    for step in reversed(run.steps):
        checkpoint = run[step]
        if not_finite(checkpoint.network):
            continue
        try:
            return RunKeys(key_frequencies(checkpoint.network, rule, task=run.task), step, checkpoint)
        except NotFiniteError:  # its products overflow
            continue
    return RunKeys((), None)


def _remembered(known: Any, run: Run) -> RunKeys | None:
    """What was kept, if it can be the key frequencies of this run."""
    if not isinstance(known, dict) or not isinstance(names := known.get("names"), list):
        return None
    if (step := known.get("step")) not in (None, *run.steps) or isinstance(step, bool):
        return None
    highest = run.task.p // 2 if isinstance(run.task, ModularTask) else None
    are_known = all(type(name) in (int, str) if highest is None else type(name) is int and 1 <= name <= highest for name in names)
    return RunKeys(tuple(names), step) if are_known else None
