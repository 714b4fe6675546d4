"""Measuring many checkpoints: several at once, each by one thread, in whatever order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from interp.bars import counted_progress
from interp.cores import side_by_side
from interp.errors import DataError, NotFiniteError, UsageError
from interp.notebook_bar import in_notebook
from interp.observing.analysed_sizes import room_for_measuring
from interp.observing.analysis import Analysis
from interp.observing.texts import texts_as_arrays
from interp.observing.users_code import RAISED, raised
from interp.process import give_back_memory
from interp.store.results import Results, Row
from interp.store.run import Run

if TYPE_CHECKING:
    from interp.harmonics.harmonics import Name
    from interp.observing.view import View
    from interp.store.checkpoint import Checkpoint

# Checkpoints after which freed memory is given back: a checkpoint's arrays are large, and what is kept lies between them.
_BETWEEN = 8


@dataclass(frozen=True)
class Measuring:
    """What is measured at the checkpoints of a run.

    Built-in analyses are measured by several threads at once, or, where there are no others, by forked processes of one thread
    each. Any other is measured by the calling thread, one checkpoint after the other: nothing is asked of a user's code but that
    it gives an answer.

    Args:
        run: the run.
        analyses: the questions.
        keys: key frequencies of the whole run.
        brief: see `View`.
        threads: checkpoints that are measured at once.
        results: of each analysis, by name: what is known is not measured.
        read: a checkpoint that was read before.
        force: measure even if memory does not suffice for one checkpoint, by estimate.
        failures: name of an analysis that raised -> at which step, and what; it is not asked again (but by forked processes,
            which do not know of it).
        failed_at: the step of each failure.
        unmeasured: name of an analysis -> step at which nothing can be measured, as the run diverged -> why.
        of_run: see `View.once_per_run`; for each split that the run has had.
    """

    run: Run
    analyses: Sequence[Analysis]
    keys: tuple[Name, ...]
    brief: bool
    threads: int
    results: Mapping[str, Results]
    read: Checkpoint | None = None
    force: bool = False
    failures: dict[str, str] = field(default_factory=dict)
    failed_at: dict[str, int] = field(default_factory=dict)
    unmeasured: dict[str, dict[int, str]] = field(default_factory=dict)
    of_run: dict[int, dict[str, Any]] = field(default_factory=dict)

    def over(self, steps: Sequence[int], *, last: int, on_step: Callable[[int, int], None] | None) -> None:
        """Measure what is missing at each of the steps, and save it; also what was measured before an interruption.

        Args:
            steps: ascending.
            last: the one at which analyses of the last checkpoint are asked.
            on_step: see `observe`.
        """
        missing = {step: self._missing(step, is_last=step == last) for step in steps}
        due = [step for step in steps if missing[step]]
        done = len(steps) - len(due)
        if on_step is not None and (done or not due):
            on_step(done, len(steps))
        if not due:
            return  # without torch, which work that is shared out would load
        with (
            nullcontext(on_step)
            if on_step is not None or not in_notebook()
            else counted_progress(f"measuring {self.run.name}") as told
        ):
            if told is not None and told is not on_step:
                told(done, len(steps))
            self._over(due, missing, done=done, total=len(steps), on_step=told)

    def _over(
        self,
        due: Sequence[int],
        missing: Mapping[int, list[Analysis]],
        *,
        done: int,
        total: int,
        on_step: Callable[[int, int], None] | None,
    ) -> None:
        import interp.observing.view  # noqa: F401  with torch, once: each forked process would import them by itself

        self.run.split_at(due[0])  # what makes splits is there before several threads ask for it
        built_in = all(a.is_built_in for a in self.analyses)
        pieces = [piece for step in due for piece in _pieces(step, missing[step], apart=built_in)]
        if built_in:  # begun first, or it would go on while all others rest; a user's analyses are asked in the order of steps
            pieces.sort(key=lambda piece: piece.is_long, reverse=True)
        threads = self._at_once(min(self.threads, len(pieces)))
        # Where what is long is done beside all others, it has one thread, as they have.
        left, among = Counter(piece.step for piece in pieces), 1 if built_in and len(pieces) > threads else self.threads
        how: dict[str, Any] = {"threads": threads, "forks": built_in, "in_order": not built_in}
        try:
            for found in side_by_side(lambda piece: self._look(piece, among), pieces, **how):
                self._take(found)
                left[found.step] -= 1
                done += not left[found.step]
                if done % _BETWEEN == 0:
                    give_back_memory()
                if on_step is not None:
                    on_step(done, total)
        finally:
            give_back_memory()
            for name, result in self.results.items():
                result.save()
                if not result and name not in self.failures and self.unmeasured.get(name):
                    self.failures[name] = f"at {_at(self.unmeasured.pop(name))}"

    def not_finite(self) -> dict[str, str]:
        """Name of an analysis -> the steps at which it gave nothing, as the run diverged, and why."""
        return {name: _at(why) for name, why in self.unmeasured.items() if name not in self.failures}

    def _at_once(self, wanted: int) -> int:
        """How many checkpoints there is memory for; of a network of another kind nothing is known."""
        if not self.run.has_config:
            return wanted
        config = self.run.config
        width = 8 if config.dtype == "float64" else 4
        return room_for_measuring(config.task.p, config.model.d_mlp, wanted=wanted, width=width, force=self.force)

    def _missing(self, step: int, *, is_last: bool) -> list[Analysis]:
        sha256 = self.run.sha256(step)
        asked = (a for a in self.analyses if is_last or a.at == "every")
        return [a for a in asked if not self.results[a.name].has(step, sha256)]

    def _look(self, piece: _Piece, threads: int) -> _Looked:
        """What built-in analyses find at one checkpoint; the others are left for the calling thread.

        Args:
            piece: what is asked.
            threads: that one analysis may use.
        """
        step, missing = piece.step, piece.missing
        checkpoint = self.read if self.read is not None and self.read.step == step else self.run[step]
        from interp.networks.network import not_finite  # only here: where all is known, torch is not loaded

        if why := not_finite(checkpoint.network):
            return _Looked(step, checkpoint.sha256, {a.name: NotFiniteError(why) for a in missing}, (), None)
        built_in = [a for a in missing if a.is_built_in and a.name not in self.failures]
        left = [a for a in missing if not a.is_built_in]
        view = self._view(checkpoint, threads)
        found = {a.name: _taken_apart(measured_by(a, view, self.run)) for a in built_in if a.at == "every"}
        kept = view if left else None
        del view  # what comes last takes much memory, and makes its own view of the whole run
        found |= {
            a.name: _taken_apart(measured_by(a, self._view(checkpoint, threads), self.run)) for a in built_in if a.at == "last"
        }
        return _Looked(step, checkpoint.sha256, found, left, kept)

    def _view(self, checkpoint: Checkpoint, threads: int) -> View:
        """A checkpoint as analyses see it, of which nothing has been computed."""
        from interp.observing.view import View

        step, network, losses, split = checkpoint.step, checkpoint.network, checkpoint.losses, self.run.split_at(checkpoint.step)
        of_split = self.of_run.setdefault(id(split), {})  # the run keeps them: no two have the same number
        how: dict[str, Any] = {"brief": self.brief, "threads": threads, "of_run": of_split}
        return View(step, network, self.run.task, split, self.keys, losses, **how)

    def _take(self, looked: _Looked) -> None:
        """Take what was found at one checkpoint, and measure what was left."""
        own = (a for a in looked.left if a.name not in self.failures)
        found = {**looked.found, **{a.name: measured_by(a, looked.view, self.run) for a in own if looked.view is not None}}
        for name, outcome in found.items():
            if looked.step > self.failed_at.get(name, looked.step):
                continue  # of built-in analyses, whose results come in any order, the first step is told
            try:
                if isinstance(outcome, BaseException):
                    raise outcome
                self.results[name].add(looked.step, looked.sha256, outcome)
            except NotFiniteError as error:
                self.unmeasured.setdefault(name, {})[looked.step] = str(error)
            except RAISED as error:  # a user's analysis may raise anything; the others go on
                self.failures[name], self.failed_at[name] = f"at step {looked.step}: {raised(error)}", looked.step


@dataclass(frozen=True)
class _Piece:
    """What is asked of one checkpoint at a time."""

    step: int
    missing: Sequence[Analysis]

    @property
    def is_long(self) -> bool:
        """Whether it takes as long as many checkpoints: what is measured at the last one alone does."""
        return any(a.at == "last" for a in self.missing)


def _pieces(step: int, missing: Sequence[Analysis], *, apart: bool) -> list[_Piece]:
    """What is asked of a checkpoint: all at once, or what is measured at every one apart from what is at the last alone."""
    parts = [[a for a in missing if a.at == at] for at in ("every", "last")] if apart else [missing]
    return [_Piece(step, part) for part in parts if part]


@dataclass(frozen=True)
class _Looked:
    """What one checkpoint gave: results or errors by analysis, and what is still to be asked of it."""

    step: int
    sha256: str
    found: Mapping[str, Any]
    left: Sequence[Analysis]
    view: View | None


def _taken_apart(found: Any) -> Any:
    """What was measured, as it is kept, or the exception that was raised, here or there."""
    if isinstance(found, BaseException):
        return found
    try:
        return Row.of(found)
    except DataError as error:
        return error


def _at(why: Mapping[int, str]) -> str:
    """At which steps, and why at the first of them."""
    steps = sorted(why)
    where = f"step {steps[0]:,}" if len(steps) == 1 else f"{len(steps):,} steps from {steps[0]:,} to {steps[-1]:,}"
    return f"{where}: {why[steps[0]]}"


def _without_names(name: str, found: object) -> str:
    """What is wrong with something measured that has no names: what it was, and how it is named."""
    shape = getattr(found, "shape", None)
    what = f"{type(found).__name__} of shape {tuple(shape)}" if shape is not None else type(found).__name__
    bare = f"{found!r} (a bare {what})" if isinstance(found, int | float | str) else f"a bare {what}"
    example = found if isinstance(found, int | float) else "..."
    return f"measure: it returned {bare}, expected values by name, such as {{{name!r}: {example}}}"


def measured_by(analysis: Analysis, view: View, run: Run | None = None) -> Any:
    """What an analysis measures, or the exception that it raised."""
    try:
        if analysis.at == "every":
            found: Any = analysis.measure(view)
        else:
            found = texts_as_arrays(analysis.measure(replace(view, run=run)))
        if not isinstance(found, Mapping):
            raise UsageError(_without_names(analysis.name, found))
        return found
    except RAISED as error:
        return error
