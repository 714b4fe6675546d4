"""The headline of a run in plain words, made from its measures and their intervals; true for runs that did not grok too."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.measures.lead import LeadTime, lead_time, stand_out
from interp.measures.phases import RIGHT, Boundary

if TYPE_CHECKING:
    import xarray as xr

OPERATIONS = {"add": "a + b", "subtract": "a \u2212 b", "multiply": "a \u00d7 b", "x2xyy2": "a² + ab + b²"}

MILESTONES = {
    "memorized": ("Memorized", "train accuracy 99 % for good"),
    "onset": ("Circuit begins", "excluded loss at its minimum"),
    "cleanup": ("Cleanup", "test loss under half its plateau for good"),
    "grokked": ("Grokked", "test accuracy 99 % for good"),
    "settled": ("Settled", "sum of squared weights no longer falling"),
}


# What says whether a phase happened: an accuracy at a level, or a curve that moves.
_ACCURACIES = {"memorized": "history_train_accuracy", "grokked": "history_test_accuracy"}
_MOVING = {"onset": "excluded_loss", "cleanup": "history_test_loss", "settled": "history_sum_squared_weights"}


@dataclass(frozen=True)
class Milestone:
    """A phase boundary as the page shows it; `boundary` is None where there is none, and `absent` says why."""

    name: str
    label: str
    meaning: str
    boundary: Boundary | None
    absent: str = "not yet"

    def __str__(self) -> str:
        """Its step and interval, or why there is none."""
        return self.absent if self.boundary is None else str(self.boundary)


@dataclass(frozen=True)
class Story:
    """A title, the story in two or three sentences, the same with every number and interval, the milestones, the lead time."""

    title: str
    short: tuple[str, ...]
    sentences: tuple[str, ...]
    milestones: tuple[Milestone, ...]
    lead: LeadTime | None

    def boundary(self, name: str) -> Boundary | None:
        """The boundary of a phase; None if it did not happen."""
        return next((milestone.boundary for milestone in self.milestones if milestone.name == name), None)

    def __str__(self) -> str:
        """The whole story as plain text."""
        return " ".join([f"{self.title}.", *self.sentences])


@dataclass(frozen=True)
class Curves:
    """What the story is told from: the run's curves, with the few questions asked of them."""

    series: xr.Dataset
    found: dict[str, Boundary | None] = field(default_factory=dict)

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Steps and finite values of a variable, None if there are none."""
        if name not in self.series:
            return None
        values = self.series[name]
        steps, numbers = np.asarray(values[values.dims[0]].values), np.asarray(values.values, dtype=np.float64)
        kept = np.isfinite(numbers)
        return (steps[kept], numbers[kept]) if kept.any() else None

    def at(self, name: str, step: float) -> float | None:
        """A variable at the last step it was measured at, up to the given one."""
        curve = self.curve(name)
        if curve is None or not (curve[0] <= step).any():
            return None
        return float(curve[1][curve[0] <= step][-1])

    @property
    def last(self) -> int:
        """Last step of the run."""
        axes = [self.series[name] for name in ("step", "history_step") if name in self.series.coords]
        return int(max(axis.values[-1] for axis in axes if axis.size))

    @property
    def halves(self) -> LeadTime | None:
        """When restricted loss and test accuracy passed their half-way marks, if both were measured."""
        restricted, accuracy = self.curve("restricted_loss"), self.curve("history_test_accuracy")
        return None if restricted is None or accuracy is None else lead_time(restricted, accuracy)

    @property
    def lead(self) -> LeadTime | None:
        """How long before the test accuracy the restricted loss moved; None where no frequency stands out, too."""
        return self.halves if self.n_keys is None or stand_out(self.n_keys, self.p) else None

    @property
    def p(self) -> int:
        """The modulus."""
        return int(self.series.attrs["p"])

    @property
    def n_keys(self) -> int | None:
        """The number of key frequencies; None if nobody looked."""
        keys = self.series.attrs.get("key_frequencies")
        return None if keys is None else len(keys)

    @property
    def generalizes(self) -> bool:
        """Whether it answers the pairs it never saw for good, be the step known or not."""
        return self.found["grokked"] is not None or self.is_late("grokked")

    def is_late(self, name: str) -> bool:
        """Whether `memorized` or `grokked` already held at a first measurement after step 0, so that nobody saw it begin."""
        curve = self.curve(_ACCURACIES[name])
        return curve is not None and curve[0][0] > 0 and bool((curve[1] >= RIGHT).all())

    def is_unknown(self, name: str) -> bool:
        """Whether what was measured cannot tell when a phase began, or if it did."""
        if name in _ACCURACIES:
            return self.curve(_ACCURACIES[name]) is None or self.is_late(name)
        if name == "cleanup" and self.is_unknown("memorized"):
            return True
        curve = self.curve(_MOVING[name])
        return curve is None or (len(curve[0]) == 1 and curve[0][0] > 0)


def run_name(series: xr.Dataset) -> str:
    """The name of a series' run, to be shown: control characters, and marks that turn the direction of all that follows, are not.

    >>> import xarray
    >>> run_name(xarray.Dataset(attrs={"run": "good\\u202edab"}))
    'good\ufffddab'
    """
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", str(series.attrs.get("run", "run")))


_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def tell(series: xr.Dataset) -> Story:
    """The story of a series as `interp.observe` returns it."""
    attributes = series.attrs
    known = json.loads(attributes.get("phases") or "{}")
    found = {name: Boundary(**known[name]) if known.get(name) else None for name in MILESTONES}
    curves, outcome = Curves(series, found), attributes.get("outcome", "")
    sentences = [
        _task(attributes),
        _memorized(curves),
        _formed(curves),
        _cleaned(curves),
        *_missing(curves),
        _keys(attributes, curves),
    ]
    milestones = tuple(
        Milestone(name, *texts, found[name], "not known" if curves.is_unknown(name) else "not yet")
        for name, texts in MILESTONES.items()
    )
    short = (_short(curves), _short_inside(curves))
    return Story(_title(outcome, curves), tuple(s for s in short if s), tuple(s for s in sentences if s), milestones, curves.lead)


def _title(outcome: str, curves: Curves) -> str:
    grokked, accuracy = curves.found["grokked"], curves.at("history_test_accuracy", curves.last)
    if grokked is not None and outcome == "comprehension":
        return f"This network generalized by step {grokked.step:,}, soon after it learned: no grokking"
    if grokked is not None:
        return f"This network grokked at step {grokked.step:,}"
    if curves.generalizes and accuracy is not None:
        known = f"This network answers {percent(accuracy)} of the pairs it never saw at step {curves.last:,}"
        return f"{known}; when it learned to is not in its history"
    if outcome in ("grokking", "comprehension") and accuracy is not None:
        return f"This network has not settled on the answer: test accuracy {percent(accuracy)} after {curves.last:,} steps"
    others = {
        "memorization": f"This network has memorized and, in {curves.last:,} steps, not grokked",
        "confusion": f"This network has not learned its task in {curves.last:,} steps",
    }
    return others.get(outcome, f"A network after {curves.last:,} steps")


def _short(curves: Curves) -> str:
    """What can be seen from outside."""
    memorized, grokked = curves.found["memorized"], curves.found["grokked"]
    accuracy = curves.at("history_test_accuracy", curves.last)
    if memorized is None:
        return ""
    known = f"It knew its training pairs by heart at step {memorized.step:,}"
    if grokked is None:
        return (
            f"{known}; after {curves.last:,} steps it answers {percent(accuracy)} of the others." if accuracy is not None else ""
        )
    if grokked.step <= memorized.step:
        return f"It learned the pairs it was shown and those it never saw together, by step {grokked.step:,}."
    return f"{known}, but answered those it never saw only {grokked.step - memorized.step:,} steps later."


def _short_inside(curves: Curves) -> str:
    """What the measures saw."""
    lead = curves.lead
    if lead is None or lead.restricted is None:
        return ""
    if lead.steps is None or lead.steps <= 0 or curves.found["grokked"] is None:
        return f"Inside, the restricted loss had halved by step {lead.restricted.step:,}."
    return (
        f"Inside, the answer was forming all along: the restricted loss had halved by step {lead.restricted.step:,}, "
        f"{lead.steps:,} steps before the test accuracy passed one half."
    )


def _task(attributes: dict[str, Any]) -> str:
    p = int(attributes["p"])
    what = OPERATIONS.get(attributes.get("operation", ""), str(attributes.get("operation", "")))
    config = json.loads(attributes.get("config") or "{}")
    fraction = config.get("split", {}).get("fraction")
    if not isinstance(fraction, float):
        return f"It was trained on {what} modulo {p}."
    return f"It was trained on {what} modulo {p}, with {int(fraction * p * p):,} of the {p * p:,} pairs; the others it never saw."


def _memorized(curves: Curves) -> str:
    memorized, grokked = curves.found["memorized"], curves.found["grokked"]
    if memorized is None:
        return ""
    until = curves.found["cleanup"] or grokked
    middle = (memorized.step + (until.step if until else curves.last)) / 2
    accuracy, loss = curves.at("history_test_accuracy", middle), curves.at("history_test_loss", middle)
    sentence = f"By {memorized} it knew the training pairs by heart"
    if accuracy is None or loss is None or accuracy > 0.9:
        return f"{sentence}."
    return f"{sentence}. At step {int(middle):,} its test accuracy was still {percent(accuracy)}, its test loss {loss:.3g} nats."


def _formed(curves: Curves) -> str:
    lead, onset, parts = curves.lead, curves.found["onset"], []
    if lead is not None and lead.restricted is not None:
        which = ", which sees only the circuit," if curves.generalizes else ""
        parts.append(f"the restricted loss{which} had halved for good by {lead.restricted}")
        if lead.steps is not None and lead.accuracy is not None:
            order = "before" if lead.steps >= 0 else "after"
            low, high = sorted((abs(lead.shortest or 0), abs(lead.longest or 0)))
            parts[-1] += (
                f": {abs(lead.steps):,} steps ({low:,} to {high:,}) {order} the test accuracy passed one half, at step "
                f"{lead.accuracy.step:,}"
            )
    elif lead is None and curves.halves is not None and curves.generalizes:
        parts.append(f"the restricted loss has no lead time, as {_mixed(curves)}")
    if onset is not None:
        parts.append(
            f"taking the circuit away hurt least at {onset}; since then the excluded loss has risen "
            f"{_factor(curves, 'excluded_loss', onset.step)}"
        )
    if not parts:
        return ""
    formed = curves.generalizes and curves.lead is not None
    return ("Inside, a circuit formed: " if formed else "Inside: ") + "; ".join(parts) + "."


def _factor(curves: Curves, name: str, step: int) -> str:
    before, after = curves.at(name, step), curves.at(name, curves.last)
    if before is None or after is None or before <= 0:
        return ""
    return f"from {before:.2g} to {after:.2g} nats"


def _cleaned(curves: Curves) -> str:
    cleanup, grokked, sentences = curves.found["cleanup"], curves.found["grokked"], []
    if cleanup is not None:
        before, after = (curves.at("history_sum_squared_weights", step) for step in (cleanup.step, curves.last))
        weights = f"; the sum of squared weights went from {before:,.0f} to {after:,.0f}" if before and after else ""
        sentences.append(f"From {cleanup} on the memorized answers were cleaned up{weights}.")
    if grokked is not None:
        sentences.append(f"Test accuracy was 99 % for good from {grokked}.")
    return " ".join(sentences)


def _missing(curves: Curves) -> list[str]:
    """What a run that has not grokked lacks, and what its inner measures say about it."""
    if curves.generalizes:
        return []
    train, test = (curves.at(f"history_{part}_accuracy", curves.last) for part in ("train", "test"))
    sentences = []
    if train is not None and curves.found["memorized"] is None and not curves.is_late("memorized"):
        sentences.append(f"What is missing: the training pairs themselves are not learned, train accuracy is {percent(train)}.")
    elif test is not None:
        sentences.append(f"What is missing: test accuracy is {percent(test)} at the last step; 99 % for good would be grokking.")
    halves, restricted = curves.halves, curves.curve("restricted_loss")
    if restricted is not None and len(restricted[0]) > 1:
        moved = "has halved" if halves is not None and halves.restricted is not None else "has not halved"
        start, end = restricted[1][0], restricted[1][-1]
        memorized = f"; {_mixed(curves)}" if curves.n_keys else ""
        sentences.append(f"The restricted loss {moved}: {start:.3g} nats at the start, {end:.3g} at the end{memorized}.")
    return sentences


def _mixed(curves: Curves) -> str:
    """Why the restricted loss is not that of a circuit alone."""
    return f"with {curves.n_keys} of {curves.p // 2} frequencies kept it contains memorized answers too"


def _keys(attributes: dict[str, Any], curves: Curves) -> str:
    if "key_frequencies" not in attributes:  # nobody looked
        return ""
    keys, p = [int(k) for k in attributes["key_frequencies"]], int(attributes["p"])
    if not keys:
        return "No frequency stands out in it."
    is_one = len(keys) == 1
    names = str(keys[0]) if is_one else f"{', '.join(map(str, keys[:-1]))} and {keys[-1]}"
    noun, verb, they = ("frequency", "is", "it") if is_one else ("frequencies", "are", "they")
    explained = curves.at("cos_fve", curves.last) if curves.generalizes else None
    share = f"; the clock's formula explains {percent(explained)} of its logits' variance" if explained is not None else ""
    if attributes.get("key_rule") == "explicit":
        return f"The {noun} asked for {verb} {names} of 1 to {p // 2}{share}."
    if not stand_out(len(keys), p):
        return f"No frequency stands out: {len(keys)} of {p // 2} pass the rule{share}."
    if not curves.generalizes:
        out = "stands out" if is_one else "stand out"
        return f"The {noun} that {out} at the last step {verb} {names} of 1 to {p // 2}; {they} need not be a circuit."
    return f"It computes with {len(keys)} of {p // 2} frequencies ({noun} {names}){share}."


def percent(share: float) -> str:
    """A share as a percentage that never rounds up to 100 or down to 0.

    >>> percent(0.99996), percent(1.0), percent(0.1234)
    ('> 99.9 %', '100 %', '12 %')
    """
    if 0.999 < share < 1:
        return "> 99.9 %"
    if 0 < share < 0.001:
        return "< 0.1 %"
    digits = 1 if share > 0.99 or share < 0.095 else 0
    return f"{100 * share:.{digits}f} %".replace(".0 %", " %")
