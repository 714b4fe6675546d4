"""A run's summary as people read it: the answer first, then dates, losses, what it was made from, and how large it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from json import dumps, loads
from math import isfinite
from typing import Any

from interp.config.differences import differences
from interp.config.recipes import RECIPES
from interp.config.run_config import RunConfig
from interp.observing.lineage import lineage_in_words
from interp.tasks.modular import IN_SIGNS
from interp.wording import byte_size, counted, knows_step, listed, number, percent

_LOSSES = (
    ("train_loss", "train loss"), ("test_loss", "test loss"), ("train_accuracy", "train accuracy"),
    ("test_accuracy", "test accuracy"), ("sum_squared_weights", "sum of squared weights"),
)  # fmt: skip


def facts_in_words(found: Mapping[str, Any]) -> dict[str, Any]:
    """What `summary` found as lines by name, those that are lists or tables with lines of their own."""
    phases, why = found["phases_in_words"], found["why_unknown"]
    told = {
        "outcome": found["outcome_in_words"] if found["undated"] or not why else f"{found['outcome_in_words']}: {why}",
        "phases": phases or "not known: the history has no accuracies",
        "last": _last(found),
        "status": f"{found['status']}{_reason(found['reason'])}",
        "learns": _learned(found),
        "saved": _saved(found),
        "made": _made(found),
    }
    if begun := lineage_in_words(found.get("start", {})):
        told["begun"] = begun
    if part := found.get("dated_from"):
        told["dated from"] = f"{part['checkpoints']:,} of {part['of']:,} checkpoints, those around each change among them"
    if found.get("not_finite"):
        told["not finite"] = {name: str(value) for name, value in found["not_finite"].items()}
    if warnings := found.get("health", {}).get("warnings"):
        told["warnings"] = dict(enumerate(warnings, start=1))
    if "config" in found:
        base = "by default" if found["recipe"] not in RECIPES else f"in recipe {found['recipe']}"
        told[f"not as {base}"] = _changed(found) or "nothing"
    else:
        told["settings"] = found["settings"]
    return told


def losses_in_words(values: Mapping[str, float | None]) -> str:
    """Losses and accuracies in a line.

    >>> losses_in_words({"train_loss": 1.6e-7, "test_accuracy": 1.0})
    'train loss 1.6e\u22127, test accuracy 100 %'
    """
    said = []
    for name, label in _LOSSES:
        value = values.get(name)
        if value is not None:
            is_share = name.endswith("accuracy") and isfinite(value)
            said.append(f"{label} {percent(value) if is_share else number(value)}")
    return listed(said)


def _last(found: Mapping[str, Any]) -> str:
    return losses_in_words(found["last"]) or "nothing was measured"


def _reason(reason: str | None) -> str:
    whys = {
        "budget": ", at the end of its budget", "settled": ", as its weights had settled", "ended": ", as its training ended",
        "imported": ", imported", "non-finite": ", as its loss was not finite", None: "",
    }  # fmt: skip
    return whys.get(reason, f" ({reason})")


def _learned(found: Mapping[str, Any]) -> str:
    train, test = found["train_pairs"], found["test_pairs"]
    signs = IN_SIGNS.get(found["operation"])
    what = found["operation"] if found["p"] is None or signs is None else f"{signs} modulo {found['p']}"
    pairs = max(train + test, 1)
    then = [f"; from step {int(at):,} on {n:,} ({percent(n / pairs)})" for at, n in found.get("train_pairs_from", {}).items()]
    return f"{what}, from {train:,} of {train + test:,} pairs ({percent(train / pairs)}){''.join(then)}"


def _saved(found: Mapping[str, Any]) -> str:
    steps: Sequence[int] = found["steps"]
    span = "" if not steps else f", steps {steps[0]:,} to {steps[-1]:,}" if len(steps) > 1 else f", step {steps[0]:,}"
    span = span if knows_step(found) else ", step unknown"
    size = f"{byte_size(found['checkpoint_bytes'])} of {byte_size(found['total_bytes'])} in all"
    return f"{counted(len(steps), 'checkpoint')}{span}; {size}"


def _made(found: Mapping[str, Any]) -> str:
    by, when = found["provenance"], found["created"]
    threads = "" if found["threads"] is None else f", {counted(found['threads'], 'thread')}"
    libraries = [f"{name} {by[name]}" for name in ("interp", "torch") if name in by]
    parts = [*([when[:16].replace("T", " ")] if when else []), f"engine {found['engine']}{threads}", *libraries]
    return f"{', '.join(parts)}; {found['n_parameters']:,} parameters"


def _changed(found: Mapping[str, Any]) -> dict[str, str]:
    """The fields in which a run is not as its recipe or, without one, as by default."""
    name = found["recipe"]
    base = RECIPES[name]() if name in RECIPES else RunConfig(recipe=name)
    mine, its = found["config"], loads(dumps(base.to_dict(hashed=False)))  # nobody waits for harmonics here
    if mine is not None and "table" in mine.get("task", {}):
        mine, its = {**mine, "task": mine["task"]["table"]}, {**its, "task": base.task.name}
    # Fields that are left out where they have their default.
    usual = {
        f"{room}.{name}": value for room in ("model", "optimizer") for name, value in asdict(getattr(RunConfig(), room)).items()
    }
    given = {
        path: [usual.get(path) if value is None else value for value in both] for path, both in differences(mine, its).items()
    }
    unsaid = () if knows_step(found) else ("steps",)
    return {path: f"{one} (not {other})" for path, (one, other) in given.items() if path not in unsaid}
