"""Analyses measured at every checkpoint while a loop goes on, and those that need the whole run, at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from interp.errors import UsageError
from interp.harmonics.harmonics import Name
from interp.loops.logit_keys import logit_keys
from interp.loops.matrix_spectra import NAME
from interp.loops.mishaps import Mishaps
from interp.loops.moment import Moment, Watched
from interp.networks.module_network import KIND, ModuleNetwork
from interp.networks.undisturbed import same_settings
from interp.observing.analysis import Analysis, Asked, find_analyses
from interp.observing.applying import Nature, does_not_apply
from interp.observing.fingerprint import cache_key, key_of, toolkit_digest
from interp.observing.measuring import measured_by
from interp.observing.users_code import RAISED
from interp.observing.view import View
from interp.store.durable import sha256
from interp.store.history import COLUMNS
from interp.store.kept import SERIES_SEAL
from interp.store.kept import keep as remember
from interp.store.manifest import series_name
from interp.store.results import Results
from interp.store.run import Run
from interp.tasks.task import Task

# What is measured unless something else is asked for, of what applies: it needs nothing but logits. Whoever opens the run later
# has no function of the network, and cannot measure it then.
OF_LOGITS = (
    "best_guesses", "pair_by_pair", "accuracy_by_split", "memorizer_or_generalizer", "numerical_health", "progress_measures",
    "both_at_once", "logit_spectrum",
)  # fmt: skip
ALWAYS = ("weight_norms",)
# Of these, what compares seen and unseen inputs.
_OF_UNSEEN = ("memorizer_or_generalizer", "both_at_once")

Losses = Mapping[str, float | None]


def analyses_for(
    asked: Asked, task: Task, keys: Sequence[Name] | None, *, has_unseen: bool
) -> tuple[list[Analysis], list[Analysis]]:
    """The analyses that are measured at each checkpoint as it is saved, and those for which key frequencies must be known first.

    Args:
        asked: those that are wanted; None for the ones that need only logits.
        task: what is learned.
        keys: key frequencies, where they are given.
        has_unseen: whether there are inputs that are not trained on.

    Raises:
        UsageError: for one that was asked for by name and does not apply to a module, or sees a whole run.
    """
    nature = Nature(KIND, task)
    names = [name for name in (*OF_LOGITS, *ALWAYS) if has_unseen or name not in _OF_UNSEEN]
    chosen = [a for a in find_analyses(names) if not does_not_apply(a, nature)]
    if asked is not None:
        own = find_analyses(asked)
        for analysis in own:
            why = does_not_apply(analysis, nature)
            why = why or (None if analysis.at == "every" else "it sees a whole run: ask interp.observe(log.run, ...) afterwards")
            if why:
                raise UsageError(f"analyses: {analysis.name}: {why}")
        named = {analysis.name for analysis in own}
        chosen = [*own, *(a for a in chosen if a.name in ALWAYS and a.name not in named)]
    late = [a for a in chosen if "keys" in a.needs and keys is None]
    return [a for a in chosen if a not in late], late


@dataclass
class MeasuredMoments:
    """What was measured of one run.

    Args:
        watched: what is looked at.
        run: as it was opened.
        live: the analyses that are measured as checkpoints are saved.
        late: those that are measured at the end.
        keys: the key frequencies, where they were given.
        mishaps: where it is told what went wrong.
        can_wait: whether the checkpoints' functions can be asked at the end.
    """

    watched: Watched
    run: Run
    live: Sequence[Analysis]
    late: Sequence[Analysis]
    keys: tuple[Name, ...] | None
    mishaps: Mishaps
    can_wait: bool
    results: dict[str, Results] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=lambda: dict.fromkeys(("step", *COLUMNS), "history"))  # of variables
    of_run: dict[str, Any] = field(default_factory=dict)  # see `View.once_per_run`
    axes: dict[str, str] = field(default_factory=dict)  # dimensions and coordinates -> the analysis that first had them

    def __post_init__(self) -> None:
        for analysis in self.live:
            key = cache_key(analysis, self.keys or (), self.run, brief=False) or key_of("recorded", analysis.name)
            self.results[analysis.name] = Results(self.run.path, analysis.name, key=key)

    def look(self, step: int, hashed: str, moment: Moment, losses: Losses) -> None:
        """Measure one checkpoint; an analysis that fails is not asked again.

        Where each checkpoint is asked once more at the end, ours that need its function wait for that: nobody could read them
        meanwhile, as the function is not stored.
        """
        waits = self.can_wait and bool(self.late)
        at_once = [a for a in self.live if not (waits and a.is_built_in and "function" in a.needs)]
        self._measure(at_once, self._view(step, moment, losses, self.keys or ()), hashed)

    def save(self) -> None:
        """Keep what was measured since, beside the run."""
        for result in self.results.values():
            result.save()

    def at_the_end(self, run: Run) -> dict[str, bytes]:
        """Everything that was measured at every checkpoint, as what becomes part of the run, by analysis; what was put off is
        measured first.
        """
        if not run.steps:
            return {}
        keys: tuple[Name, ...] | None = self.keys
        if self.late:
            with self.mishaps.kept_from_the_loop("no key frequencies were found", run.steps[-1]):
                keys = logit_keys(run.last.network, run.task)
        self._measure_rest(run, keys)
        facts = {"keys": list(keys or ()), "chosen": keys is not None, "toolkit": toolkit_digest()}
        known = {analysis.name: analysis for analysis in (*self.live, *self.late)}
        hashes = {step: run.sha256(step) for step in run.steps}
        whole = {name: found for name, found in self.results.items() if found.only(hashes)}
        packed = {name: found.packed({**facts, "question": known[name].question}) for name, found in whole.items()}
        seal = {series_name(name): sha256(data) for name, data in packed.items()}
        remember(run.path, SERIES_SEAL, seal, key=key_of(sorted(seal.items())))
        return packed

    def _measure_rest(self, run: Run, keys: tuple[Name, ...] | None) -> None:
        """What was put off, and what needs key frequencies, from the checkpoints: each is asked once."""
        late = [] if keys is None else self.late
        self.results |= {analysis.name: Results(run.path, analysis.name, key=None) for analysis in late}
        for step in run.steps:
            sha256 = run.sha256(step)
            due = [self._missing(analyses, step, sha256) for analyses in (self.live, late)]
            if not any(due):
                continue
            with self.mishaps.kept_from_the_loop("what was put off was not measured", step):
                checkpoint = run[step]
                assert isinstance(checkpoint.network, ModuleNetwork)
                moment = Moment(checkpoint.network, self.watched.task.inputs)
                for analyses, names in zip(due, (self.keys, keys), strict=True):
                    self._measure(analyses, self._view(step, moment, checkpoint.losses, names or ()), sha256)

    def _missing(self, analyses: Sequence[Analysis], step: int, sha256: str) -> list[Analysis]:
        return [a for a in analyses if a.name in self.results and not self.results[a.name].has(step, sha256)]

    def _measure(self, analyses: Sequence[Analysis], view: View, hashed: str) -> None:
        """Ask some analyses; one that fails is not asked again, and what it measured is not kept."""
        # Our own first: of two that measure something by one name the user's is left out.
        for analysis in sorted(analyses, key=_rank):
            if analysis.name not in self.results:
                continue
            with same_settings(), self.mishaps.kept_from_the_loop(f"the analysis {analysis.name} was not measured", view.step):
                try:
                    self._add(self.results[analysis.name], analysis, view, hashed)
                except RAISED:
                    self.results.pop(analysis.name, None)
                    raise

    def _add(self, results: Results, analysis: Analysis, view: View, hashed: str) -> None:
        found = measured_by(analysis, view)
        if isinstance(found, BaseException):
            raise found
        mine = {str(axis) for value in found.values() if isinstance(value, xr.DataArray) for axis in (*value.dims, *value.coords)}
        for axis in mine & self.owners.keys():
            self._claim(axis, analysis, view.step)
        for variable in found:
            if self.axes.get(variable, analysis.name) != analysis.name:
                raise _same_name(variable, self.axes[variable])
            self._claim(variable, analysis, view.step)
        self.axes |= {axis: analysis.name for axis in mine if axis not in self.axes}
        results.add(view.step, hashed, found)

    def _claim(self, variable: str, analysis: Analysis, step: int) -> None:
        """Error if another analysis measures something by this name; one of a user's gives way to ours, which it is told."""
        owner = self.owners.setdefault(variable, analysis.name)
        if owner == analysis.name:
            return
        ranks = {a.name: _rank(a) for a in (*self.live, *self.late)}
        if ranks.get(owner, 0) <= _rank(analysis):
            raise _same_name(variable, owner)
        self.results.pop(owner, None)
        self.owners[variable] = analysis.name
        with self.mishaps.kept_from_the_loop(f"what the analysis {owner} measured was not kept", step):
            raise _same_name(variable, analysis.name)

    def _view(self, step: int, moment: Moment, losses: Losses, keys: tuple[Name, ...]) -> View:
        return View(step, moment, self.watched.task, self.watched.split, keys, losses, of_run=self.of_run)


def _rank(analysis: Analysis) -> int:
    return 0 if analysis.is_built_in else 1 if analysis.name == NAME else 2


def _same_name(variable: str, owner: str) -> UsageError:
    return UsageError(f"it measures {variable!r}, as {owner} does, with which it could not be read together; rename it")
