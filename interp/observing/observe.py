"""Analyses measured at every checkpoint of a run, and cached by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import xarray as xr

import interp
from interp.errors import UsageError
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import Name
from interp.networks.network import Network
from interp.networks.one_layer import Weights
from interp.networks.stored_network import StoredNetwork
from interp.observing.analysis import Analysis, find_analyses
from interp.observing.described import describe, evaluated_history
from interp.observing.keys import KeyRule, key_frequencies
from interp.observing.series import ABOUT
from interp.observing.streaming import choose_steps
from interp.observing.texts import arrays_as_texts, texts_as_arrays
from interp.observing.view import View
from interp.store.manifest import RESUME
from interp.store.results import Results
from interp.store.run import Run
from interp.tasks.task import Task


def observe(
    run: Run,
    analyses: Iterable[str | Analysis] | None = None,
    *,
    files: Iterable[str | Path] = (),
    steps: Iterable[int] | None = None,
    key_rule: KeyRule | Sequence[int | str] = "unembedding",
    brief: bool = False,
    on_step: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Measure analyses at the checkpoints of a run: one labelled Dataset over ``step``.

    Only what is not cached is computed. The cache lies in the run's directory and goes by content: the checkpoint's hash, the
    analysis' source, the toolkit's own source and the key frequencies. Key frequencies are chosen once, from the last checkpoint,
    and hold for the whole series. Each variable's attribute ``analysis`` names the analysis
    it comes from.

    The Dataset also has the run's history (``history_train_loss`` ... over ``history_step``). What else is known of it is one
    value, `interp.about(series)`: the run, its key frequencies, phases, lead time, verdicts and configuration; analyses that
    raised (``failures``) and those that do not apply to this task or network (``left_out``), each with the reason.

    Args:
        run: a recorded run.
        analyses: names of built-in analyses or `Analysis` objects; all built-in ones that draw figures by default.
        files: Python files with an ``ANALYSIS`` each.
        steps: which checkpoints; all by default.
        key_rule: how key frequencies are chosen: a rule or an explicit list.
        brief: what analyses see as `View.brief`: an answer is wanted soon rather than complete.
        on_step: called with (checkpoints done, checkpoints in all).
    """
    chosen = choose_steps(run, steps)
    asked = find_analyses(analyses, files=files)
    key_step = run.steps[-1]
    last = run[key_step]  # read once: it is measured too
    network = last.network
    keys = key_frequencies(network, key_rule, task=run.task)
    # A rule by name reads a one-layer transformer; of another network key frequencies must be given.
    are_known = not isinstance(key_rule, str) or isinstance(network, Weights)
    left_out = {a.name: why for a in asked if (why := does_not_apply(a, network, run.task, keys_are_known=are_known))}
    asked = [a for a in asked if a.name not in left_out]
    results = {a.name: Results(run.path, a.name, key=_cache_key(a, keys, run, brief=brief)) for a in asked}
    failures: dict[str, str] = {}

    def look(step: int) -> View:
        checkpoint = last if step == key_step else run[step]
        return View(step, checkpoint.network, run.task, run.split, keys, checkpoint.losses, brief=brief)

    for done, step in enumerate(chosen):
        due = [a for a in asked if a.at == "every" or step == chosen[-1]]
        _measure(run, step, due, look=look, results=results, failures=failures)
        if on_step is not None:
            on_step(done + 1, len(chosen))
    for result in results.values():
        result.save()
    series = _combine(run, chosen, {a: results[a.name] for a in asked if a.name not in failures})
    described = describe(
        run,
        series,
        keys=keys if are_known else None,
        key_rule="" if not are_known else key_rule if isinstance(key_rule, str) else "explicit",
        key_step=key_step,
        failures=failures,
        left_out=left_out,
    )
    return series.assign_attrs({ABOUT: described})


def does_not_apply(analysis: Analysis, network: Network, task: Task, *, keys_are_known: bool = True) -> str | None:
    """Why a question does not apply to a network and its task; None if it does."""
    without_waves = (
        None if task.harmonics is not None else f"no reordering makes {task.name} an addition: its answers have no waves"
    )
    reasons = {
        "one-layer": None
        if isinstance(network, Weights)
        else f"it reads a one-layer transformer, and this is a network of kind {network.kind!r}",
        "function": f"the function of this network, of kind {network.kind!r}, is not stored: open its run with network=..."
        if isinstance(network, StoredNetwork)
        else None,
        "harmonics": without_waves,
        "keys": None
        if keys_are_known
        else f"no rule finds the key frequencies of a network of kind {network.kind!r}: give them with key_rule",
        "addition": without_waves
        or (None if isinstance(task.harmonics, CyclicHarmonics) else f"{task.name} is not addition modulo n in any order"),
    }
    return next((why for need in analysis.needs if (why := reasons[need])), None)


@cache
def _toolkit_digest() -> str:
    """Hash of the toolkit's own sources: a corrected measure must not reuse old results."""
    digest = hashlib.sha256()
    for path in sorted(Path(interp.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _cache_key(analysis: Analysis, keys: tuple[Name, ...], run: Run, *, brief: bool) -> str | None:
    """Hash of all that results depend on besides the checkpoint; None where they are not kept."""
    if analysis.digest is None:
        return None
    seen = f"{analysis.digest} {_toolkit_digest()} {keys}"
    if analysis.at == "last":  # it sees the whole run, and its results may have another form at every checkpoint
        seen = f"{seen} {brief} {_state(run)}"
    return hashlib.sha256(seen.encode()).hexdigest()


def _state(run: Run) -> str:
    """Hash of all that is stored of a run."""
    manifest = json.dumps(run.manifest.to_dict(), sort_keys=True).encode()
    resume = run.path / RESUME
    return hashlib.sha256(manifest + (resume.read_bytes() if resume.is_file() else b"")).hexdigest()


def _measure(
    run: Run,
    step: int,
    analyses: list[Analysis],
    *,
    look: Callable[[int], View],
    results: dict[str, Results],
    failures: dict[str, str],
) -> None:
    """Measure at one checkpoint whatever is neither cached nor has failed before."""
    sha256 = run.sha256(step)
    missing = [a for a in analyses if a.name not in failures and not results[a.name].has(step, sha256)]
    if not missing:
        return
    view = look(step)
    whole = replace(view, run=run)
    for analysis in missing:
        is_last = analysis.at == "last"
        try:
            measured = analysis.measure(whole if is_last else view)
            results[analysis.name].add(step, sha256, texts_as_arrays(measured) if is_last else measured)  # type: ignore[arg-type]
        except Exception as error:  # a user's analysis may raise anything; the others go on
            failures[analysis.name] = f"at step {step}: {type(error).__name__}: {error}"


def _combine(run: Run, steps: list[int], results: dict[Analysis, Results]) -> xr.Dataset:
    variables: dict[str, xr.DataArray] = {}
    owner: dict[str, str] = {}
    for analysis, result in results.items():
        name, is_last = analysis.name, analysis.at == "last"
        found = arrays_as_texts(result.series(steps[-1:])) if is_last else result.series(steps)
        for variable, array in found.items():
            if variable in variables:
                raise UsageError(f"analyses {owner[variable]} and {name} both measure {variable!r}; rename one of them")
            variables[variable], owner[variable] = array.assign_attrs(analysis=name), name
    return xr.Dataset(variables, coords={"step": steps}).merge(evaluated_history(run))
