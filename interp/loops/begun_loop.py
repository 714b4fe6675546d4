"""The run of a loop at its beginning, or as it was left: what it is made from, and whether that is what was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interp.config.differences import differences
from interp.errors import UsageError
from interp.loops.dues import Dues, early_end
from interp.loops.moment import Watched
from interp.networks.module_network import KIND
from interp.store.beginning import begin, plan_values
from interp.store.durable import explained
from interp.store.manifest import HISTORY, JOURNAL, LOOP, MANIFEST, MOST_STEPS, RESUME, TASK
from interp.store.provenance import provenance
from interp.store.run import Run, open_run
from interp.store.run_log import write_log
from interp.training.stream import Plan

_CHOICES = ("loss", "matrices", "key_rule", "keys", "checkpoints", "evaluate_every", "analyses")

_OTHERS = ". What is measured at every checkpoint is chosen once; interp.observe(log.run, ...) measures anything else afterwards"
_STEPS = ". Early checkpoints are spaced by steps=, once; a loop that goes on longer may tell more steps than that"


@dataclass(frozen=True, eq=False)
class BegunLoop:
    """A run at a path.

    Args:
        path: where.
        watched: what is recorded.
        dues: when.
        told: what else stands in its settings, as JSON values.
    """

    path: Path
    watched: Watched
    dues: Dues
    told: Mapping[str, Any]

    def opened(self) -> Run:
        """The run, which is made if it is not there, and again if no step was kept of it; this process must hold it.

        Raises:
            UsageError: if it is another, or at its end.
        """
        self.check()
        if not (self.path / MANIFEST).is_file() or _is_empty(open_run(self.path)):
            with explained(self.path):
                for name in (HISTORY, JOURNAL, TASK, MANIFEST):
                    (self.path / name).unlink(missing_ok=True)
            begin(self.path, self._plan(), provenance=provenance(self._device))
            return open_run(self.path)
        run = open_run(self.path)
        write_log(self.path, "resumed", step=run.manifest.step, **provenance(self._device))
        return run

    def check(self) -> None:
        """Error unless there is no run yet, or one without a step, or an unfinished one of the same task, tensors and choices.

        Raises:
            UsageError: naming what differs.
        """
        if not (self.path / MANIFEST).is_file():
            return
        run = open_run(self.path)
        if not run.is_loop:
            raise UsageError(f"run {self.path} was not recorded by interp.recording; choose another name")
        if run.manifest.final:
            raise UsageError(
                f"run {self.path} is {run.manifest.status} at step {run.manifest.step} ({run.reason}): nothing can be added; "
                "choose another name"
            )
        if _is_empty(run):
            return
        mine, theirs = self._values(), {**_recorded(run), "tensors": self._tensors_of(run)}
        if "analyses" not in run.settings:  # of an earlier version: it is not known
            del mine["analyses"], theirs["analyses"]
        budgets = self.dues.budget, run.budget
        if mine["checkpoints"] == theirs["checkpoints"] and len({early_end(self.dues.told, budget) for budget in budgets}) > 1:
            mine["steps"], theirs["steps"] = (None if budget == MOST_STEPS else budget for budget in budgets)
        found = differences(mine, theirs)
        for part in ("train", "test"):
            if not np.array_equal(getattr(self.watched.split, part), getattr(run.split, part)):
                found[f"split.{part}"] = (f"{len(getattr(self.watched.split, part))} rows", "other rows")
        if found:
            listed = "; ".join(f"{path}: given {mine!r}, recorded {theirs!r}" for path, (mine, theirs) in found.items())
            raise UsageError(
                f"run {self.path} was recorded of something else ({listed}); give the same to continue it, or choose another name"
                f"{_OTHERS if 'analyses' in found else ''}{_STEPS if 'steps' in found else ''}"
            )

    def _values(self) -> dict[str, Any]:
        plan = self._plan()
        tensors = {name: list(tensor.shape) for name, tensor in self.watched.network.tensors().items()}
        return {"task": plan_values(plan)["task"], **_choices(self._settings()), "tensors": tensors}

    def _tensors_of(self, run: Run) -> Mapping[str, Any]:
        """Shapes of the run's first checkpoint; of a run without any, those of now."""
        if not run.steps:
            return self._values()["tensors"]
        return {name: list(tensor.shape) for name, tensor in run[run.steps[0]].network.tensors().items()}

    @property
    def _device(self) -> str:
        return str(self.watched.network.device)

    def _settings(self) -> dict[str, Any]:
        return {**self.told, "checkpoints": dict(self.dues.told), "evaluate_every": self.dues.every}

    def _plan(self) -> Plan:
        network = self.watched.network
        return Plan(
            settings=self._settings(),
            task=self.watched.task,
            split=self.watched.split,
            steps=self.dues.budget,
            saved=(),  # the rule stands in the settings
            kind=KIND,
            n_parameters=sum(tensor.numel() for tensor in network.tensors().values()),
            engine=LOOP,
            device=self._device,
            may_end_early=True,
        )


def _is_empty(run: Run) -> bool:
    """Whether a run has no step, and nobody is about to commit one."""
    return run.manifest.step is None and not (run.path / RESUME).exists()


def _recorded(run: Run) -> dict[str, Any]:
    return {"task": run.record["task"], **_choices(run.settings)}


def _choices(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a run that is continued must have as it was begun: another choice would leave gaps in what was measured."""
    return {name: settings.get(name) for name in _CHOICES}
