"""The headline of a run in plain words, made from its measures and their intervals; true for runs that did not grok too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from interp.measures.dating import RIGHT, Boundary
from interp.measures.dips import Reached
from interp.measures.lead import LeadTime
from interp.measures.outcome import GAP
from interp.measures.strays import confirmed
from interp.observing.dips_in_words import NEEDS, without
from interp.observing.series import About, about
from interp.reporting.dated_by_losses import BY_LOSSES, dated_by_losses
from interp.reporting.in_short import inside, outside
from interp.reporting.run_curves import Curves
from interp.reporting.sentences import sentences
from interp.wording import counted, percent

if TYPE_CHECKING:
    import xarray as xr

MILESTONES = {
    "memorized": ("Memorized", "train accuracy 99 % for good"),
    "onset": ("Circuit begins", "excluded loss at its minimum"),
    "cleanup": ("Cleanup", "test loss under half its plateau for good"),
    "grokked": ("Grokked", "test accuracy 99 % for good"),
    "settled": ("Settled", "sum of squared weights no longer falling"),
}
# Test accuracy 99 % for good is not grokking if it came with the training pairs or soon after them, nor if that is unknown.
_AT_ONCE = ("Generalized", MILESTONES["grokked"][1])

# How a run ended, in words that can be counted: "2 grokked".
End = Literal[
    "grokked",
    "generalized without grokking",
    "generalized and may have grokked",
    "generalized at an unknown step",
    "of unknown outcome",
    "not settled on the answer",
    "not grokked yet, training",
    "not grokked",
]
_NOT_GROKKED: tuple[End, ...] = ("not grokked yet, training", "not grokked")


@dataclass(frozen=True)
class Milestone:
    """A phase boundary as the page shows it; `boundary` is None where there is none for good, and `absent` says why.

    `reached` has the step at which the phase was first reached, and the dips after it, where there are any.
    """

    name: str
    label: str
    meaning: str
    boundary: Boundary | None
    absent: str = "not yet"
    reached: Reached | None = None

    @property
    def first(self) -> Boundary | None:
        """When it was first reached: its boundary unless the run dips."""
        return self.boundary if self.reached is None else self.reached.first

    @property
    def interval(self) -> tuple[int, int] | None:
        """Where it can have begun first."""
        known = self.first
        return None if known is None else (known.earliest, known.latest)

    @property
    def aside(self) -> str:
        """What is to be said beside the first step: since when it holds for good, after how many dips; nothing without dips."""
        return "" if self.reached is None else self.reached.aside

    def __str__(self) -> str:
        """Its step and interval, or why there is none; where the run dips, its first step and since when it holds for good."""
        if self.reached is not None:
            return str(self.reached)
        return self.absent if self.boundary is None else str(self.boundary)


@dataclass(frozen=True)
class Story:
    """A title, the story in two or three sentences, the same with every number and interval, the milestones, the lead time.

    `end` follows from the outcome of `interp.measures.dating`; `of_many` says that it is the story of several runs.
    """

    title: str
    short: tuple[str, ...]
    sentences: tuple[str, ...]
    milestones: tuple[Milestone, ...]
    lead: LeadTime | None
    end: End = "of unknown outcome"
    of_many: bool = False

    def boundary(self, name: str) -> Boundary | None:
        """The boundary of a phase; None if it did not happen."""
        found = self.milestone(name)
        return None if found is None else found.boundary

    def milestone(self, name: str) -> Milestone | None:
        """The milestone of a phase; None where the phase has no meaning for the run's task."""
        return next((one for one in self.milestones if one.name == name), None)

    def __str__(self) -> str:
        """The whole story as plain text."""
        return " ".join([f"{self.title}.", *self.sentences])


def run_name(series: xr.Dataset) -> str:
    """The name of a series' run, for display: control characters, and marks that change the direction of text, are replaced.

    >>> import xarray
    >>> run_name(xarray.Dataset(attrs={"about": About(run="good\\u202edab")}))
    'good\ufffddab'
    """
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", about(series).run)


_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def tell(series: xr.Dataset) -> Story:
    """The story of a series as `interp.observe` returns it."""
    curves = Curves(series)
    found, outcome = curves.found, curves.about.outcome
    end, stopped_after = _end(outcome, curves), _stopped_after(curves.about)
    absent = "never" if stopped_after is not None else "not yet" if _is_in_training(curves.about) else "not reached"
    is_other = outcome == "comprehension" or (found["grokked"] is not None and end != "grokked")
    named = {**MILESTONES, "grokked": _AT_ONCE} if is_other else dict(MILESTONES)
    if not curves.about.has_waves:  # only waves show where a circuit begins
        del named["onset"]
    milestones = tuple(_milestone(name, texts, curves, absent) for name, texts in named.items())
    title, stopped = _title(outcome, end, curves), ""
    if stopped_after is not None:
        broke_off, why = f"training broke off after step {stopped_after:,}", "the loss was no longer finite."
        stopped = f"Its {broke_off}: {why}"
        train = curves.at("history_train_accuracy", curves.last)
        if outcome == "confusion" or (curves.undated and train is not None and train < RIGHT):
            title, stopped = f"This network's {broke_off}, before it had learned its task", why.capitalize()
    short = (stopped, outside(curves, outcome), inside(curves))
    return Story(
        title,
        tuple(s for s in short if s),
        tuple(s for s in (*sentences(curves), stopped) if s),
        milestones,
        curves.lead,
        end=end,
    )


def _milestone(name: str, texts: tuple[str, str], curves: Curves, absent: str) -> Milestone:
    """A phase; where it dips, with the step at which it was first reached, which is not yet for good."""
    (label, meaning), known = texts, curves.reached(name)
    dipping = known if known is not None and known.dips else None
    meaning = meaning if dipping is None else meaning.removesuffix(" for good")
    losses = dated_by_losses(curves)
    if losses is not None and name in losses.found:
        return Milestone(name, label, BY_LOSSES[name], losses.found[name])
    return Milestone(name, label, meaning, curves.found[name], _absent(name, curves, absent), dipping)


def _absent(name: str, curves: Curves, usual: str) -> str:
    """Why a phase has no boundary. Where a run generalizes, a circuit has formed, whatever its curves show."""
    if curves.undated:
        losses = dated_by_losses(curves)
        return curves.undated if losses is None or not losses.missing else f"not known: no curve of {' or '.join(losses.missing)}"
    needed = NEEDS.get(name)
    if needed is not None and curves.about.phases is not None and curves.curve(f"history_{needed}") is None:
        return without(needed)
    if curves.is_unknown(name):
        return "not known"
    if name in ("onset", "cleanup") and curves.generalizes:
        return "not seen"
    accuracy = {"memorized": "history_train_accuracy", "grokked": "history_test_accuracy"}.get(name)
    measured = curves.curve(accuracy) if accuracy else None
    if measured is None:
        return usual
    right = confirmed(measured[1], level=RIGHT, base=min(float(measured[1][0]), RIGHT))
    return "not for good" if (right >= RIGHT).any() else usual


def _stopped_after(about: About) -> int | None:
    """The last step of a run that ended because its training loss was not finite; None for all others."""
    return int(about.facts["last_step"]) if about.facts.get("status") == "stopped" else None


def _is_in_training(about: About) -> bool:
    """Whether a process trained the run when it was looked at."""
    return about.facts.get("status") == "running"


def _end(outcome: str, curves: Curves) -> End:
    """The one place that says whether a run grokked: where its outcome is grokking, and test accuracy 99 % for good."""
    if outcome in ("memorization", "confusion"):
        return "not grokked yet, training" if _is_in_training(curves.about) else "not grokked"
    if curves.found["grokked"] is not None:
        ends: dict[str, End] = {"grokking": "grokked", "comprehension": "generalized without grokking"}
        return ends.get(outcome, "generalized and may have grokked")
    if curves.generalizes:
        return "generalized at an unknown step"
    known = curves.reached("grokked")
    is_lost = known is not None and known.is_lost
    if is_lost or outcome in ("grokking", "comprehension"):
        return "not settled on the answer"
    right = curves.at("history_test_accuracy", curves.last)
    is_open = _is_in_training(curves.about) and right is not None and right < RIGHT  # so far one checkpoint, for example
    return "not grokked yet, training" if is_open else "of unknown outcome"


def _title(outcome: str, end: End, curves: Curves) -> str:
    if end == "not grokked yet, training":
        return _not_grokked(outcome, end, curves)
    grokked, accuracy = curves.first("grokked"), curves.at("history_test_accuracy", curves.last)
    if curves.found["grokked"] is not None and grokked is not None and end not in _NOT_GROKKED:
        return _generalized(grokked.step, end, curves)
    if end == "generalized at an unknown step" and accuracy is not None:
        last = curves.last_of("history_test_accuracy")
        known = f"This network answers {percent(accuracy)} of the pairs it never saw{_at(last, curves)}"
        return f"{known}; {_since(curves) if curves.undated else 'its history does not show when it learned to'}"
    if end == "not settled on the answer" and accuracy is not None:
        after = counted(curves.last_of("history_test_accuracy"), "step")
        return f"This network has not settled on the answer: test accuracy {percent(accuracy)} after {after}"
    train = curves.at("history_train_accuracy", curves.last)
    if curves.undated and train is not None and accuracy is not None:
        answers = f"This network answers {percent(train)} of its training pairs and {percent(accuracy)} of the others"
        return f"{answers}{_at(curves.last, curves)}; {_since(curves)}"
    return _not_grokked(outcome, end, curves)


def _not_grokked(outcome: str, end: End, curves: Curves) -> str:
    """The title of a network that does not answer the pairs it never saw; while it is trained, as far as it is."""
    train, steps = curves.at("history_train_accuracy", curves.last), counted(curves.last, "step")
    yet = end == "not grokked yet, training"
    told = f"A network after {steps}"
    if outcome == "memorization" and curves.found["memorized"] is None and not curves.is_late("memorized") and train is not None:
        told = (
            f"This network answers {percent(train)} of its training pairs after {steps}{'' if yet else ', and has not grokked'}"
        )
    elif outcome == "memorization":
        told = f"This network has memorized {'its training pairs' if yet else 'but not grokked'} in {steps}"
    elif outcome == "confusion":
        told = f"This network has not learned its task in {steps}"
    elif yet and train is not None:
        test = percent(curves.at("history_test_accuracy", curves.last) or 0.0)
        told = f"This network answers {percent(train)} of its training pairs and {test} of the others at step {curves.last:,}"
    return f"Not grokked yet, training: {told[0].lower()}{told[1:]}" if yet else told


def _at(step: int, curves: Curves) -> str:
    """At which step; nothing of a model whose step nothing tells."""
    return f" at step {step:,}" if curves.about.knows_step or step else ""


def _since(curves: Curves) -> str:
    return f"since when is {curves.undated}"


def _generalized(step: int, end: End, curves: Curves) -> str:
    """The title of a network that answers the pairs it never saw for good, and first did so at this step."""
    aside, memorized = curves.aside("grokked"), curves.first("memorized")
    known = f"This network generalized by step {step:,}{aside}"
    is_soon = memorized is None or step - memorized.step < GAP
    soon = "soon after it learned" if is_soon else "and mostly soon after it learned"
    if memorized is not None and step < memorized.step:
        soon = "before it knew the pairs it was shown"
    titles: dict[End, str] = {
        "grokked": f"This network grokked at step {step:,}{aside}",
        "generalized without grokking": f"{known}, {soon}: no grokking",
    }
    if end not in titles and curves.is_apart:
        return f"{known}; its {curves.what_is_apart} are too far apart to tell whether it grokked"
    return titles.get(end, f"{known}; whether that was grokking is not known")
