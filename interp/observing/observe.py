"""Analyses measured at every checkpoint of a run, and cached by content."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from interp.cores import check_threads
from interp.errors import UsageError
from interp.observing.analysis import Analysis, Asked, find_analyses
from interp.observing.applying import Nature, does_not_apply
from interp.observing.described import describe, evaluated_history
from interp.observing.fingerprint import cache_key
from interp.observing.kept_series import is_kept, kept_bytes, kept_keys, needs_nothing, no_longer_there, with_kept
from interp.observing.key_rules import is_read, rule_for
from interp.observing.measuring import Measuring
from interp.observing.run_keys import run_keys
from interp.observing.series import ABOUT
from interp.observing.streaming import choose_steps
from interp.observing.texts import arrays_as_texts
from interp.store.results import Results
from interp.store.run import Run, RunLike, as_run
from interp.wording import listed

if TYPE_CHECKING:
    from interp.observing.key_rules import KeyRule

log = logging.getLogger("interp")


def observe(  # noqa: PLR0913  each is a choice of the one who asks
    run: RunLike,
    analyses: Asked = None,
    *,
    files: str | Path | Iterable[str | Path] = (),
    steps: int | Iterable[int] | None = None,
    key_rule: KeyRule | Sequence[int | str] = "unembedding",
    brief: bool = False,
    threads: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
    force: bool = False,
) -> xr.Dataset:
    """Measure analyses at the checkpoints of a run: one labelled Dataset over ``step``.

    Only what is not cached is computed. The cache lies in the run's directory and goes by content: the checkpoint's hash, the
    analysis' source, the toolkit's own source and the key frequencies. Key frequencies are chosen once, from the last checkpoint
    that is finite, and hold for the whole series. Each variable's attribute ``analysis`` names the analysis
    it comes from.

    Of a run whose checkpoints were thinned out, what was measured before they went is part of the run and is taken from there,
    whatever version measured it. Analyses that were not measured then are left out, with the reason; at the steps whose
    checkpoints are there (``steps=run.steps``) everything can be measured.

    The Dataset also has the run's history (``history_train_loss`` ... over ``history_step``). What else is known of it is one
    value, `interp.about(series)`: the run, its key frequencies, phases, lead time, verdicts and configuration; analyses that
    raised (``failures``) and those that do not apply to this task or network (``left_out``), each with the reason. Of a run that
    diverged, checkpoints whose values are not finite are NaN in the series, and ``not_finite`` says why.

    Args:
        run: a recorded run, its directory, or its name.
        analyses: names of built-in analyses, `Analysis` objects, or functions of a `View` that return named values: one of them
            or several; all built-in ones that draw figures by default.
        files: Python files with an ``ANALYSIS`` each, or one.
        steps: which checkpoints, or which one; all by default, of a thinned run all that were measured.
        key_rule: how key frequencies are chosen: a rule or an explicit list. The default, ``unembedding``, is the rule ``logits``
            for networks other than the one-layer transformer.
        brief: what analyses see as `View.brief`: an answer is wanted soon rather than complete.
        threads: checkpoints that are measured at once, each by one thread, so that none waits for another program; as many as
            this process may use cores by default, but not more than 8, as each holds a checkpoint's activations. Numbers do not
            depend on it. On Linux, where all analyses are built in and no other thread of this process is at work, each of these
            threads is that of a process that is forked off and ends with the work: they do not wait for each other's interpreter
            lock. Analyses that are not built in are measured by the calling thread, in the order of steps.
        on_step: called with (checkpoints done, checkpoints in all). In a notebook a bar is shown unless one is given.
        force: measure even if that takes more memory than this machine has, by estimate.

    Raises:
        UsageError: for an unknown name or step; if measuring one checkpoint takes more memory than there is, by estimate. (Where
            there is memory for fewer checkpoints at once than `threads` says, fewer are measured at once.)
    """
    run = as_run(run)
    asked = find_analyses(with_kept(run, analyses, files=files), files=files)
    chosen = choose_steps(run, steps, measured=any(is_kept(run, analysis) for analysis in asked))
    workers = check_threads(threads)
    chosen_keys, nature = run_keys(run, key_rule), Nature.of(run)
    keys = chosen_keys.names
    key_rule = rule_for(nature.kind, key_rule)
    are_known = is_read(nature.kind, key_rule, is_known=nature.is_known) or kept_keys(run) is not None
    refused = {a.name: does_not_apply(a, nature, keys_are_known=are_known) for a in asked if not needs_nothing(run, a)}
    left_out = {name: why for name, why in refused.items() if why}
    left_out |= {a.name: why for a in asked if (why := no_longer_there(run, a, chosen, keys))}
    asked = [a for a in asked if a.name not in left_out]
    results = {
        a.name: Results(run.path, a.name, key=cache_key(a, keys, run, brief=brief), kept=kept_bytes(run, a, chosen))
        for a in asked
    }
    measuring = Measuring(run, asked, keys, brief, workers, results, chosen_keys.checkpoint, force)
    # What is measured at the last checkpoint alone: of a run that diverged, at the last one that is finite.
    last = max((step for step in chosen if chosen_keys.step is None or step <= chosen_keys.step), default=chosen[-1])
    measuring.over(chosen, last=last, on_step=on_step)
    _warn(run, measuring.not_finite(), chosen_keys.step)
    series = _combine(run, chosen, {a: results[a.name] for a in asked if a.name not in measuring.failures}, last=last)
    described = describe(
        run,
        series,
        keys=keys if are_known else None,
        key_rule=_rule(run, key_rule) if are_known else "",
        key_step=chosen_keys.step,
        failures=measuring.failures,
        not_finite=measuring.not_finite(),
        left_out=left_out,
    )
    return series.assign_attrs({ABOUT: described})


def _rule(run: Run, key_rule: KeyRule | Sequence[int | str]) -> str:
    """How key frequencies were chosen, in a word; those of a recorded loop were read from its logits, or given."""
    if not isinstance(key_rule, str):
        return "explicit"
    return str(run.settings.get("key_rule", key_rule)) if kept_keys(run) is not None else key_rule


def _warn(run: Run, not_finite: Mapping[str, str], last: int | None) -> None:
    """Say which measures are NaN, where and why: those of one reason in one line."""
    known = "no checkpoint is finite" if last is None else f"the last finite checkpoint is that of step {last:,}"
    for why in dict.fromkeys(not_finite.values()):
        names = [name for name, its in not_finite.items() if its == why]
        log.warning("run %s: %s are NaN at %s; %s", run.path, listed(names), why, known)


def _combine(run: Run, steps: list[int], results: dict[Analysis, Results], *, last: int) -> xr.Dataset:
    variables: dict[str, xr.DataArray] = {}
    owner: dict[str, str] = {}
    for analysis, result in results.items():
        name, is_last = analysis.name, analysis.at == "last"
        found = arrays_as_texts(result.series([last])) if is_last else result.series(steps)
        for variable, array in found.items():
            if variable in variables:
                raise UsageError(f"analyses {owner[variable]} and {name} both measure {variable!r}; rename one of them")
            variables[variable], owner[variable] = array.assign_attrs(analysis=name), name
    return xr.Dataset(variables, coords={"step": steps}).merge(evaluated_history(run))
