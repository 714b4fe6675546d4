"""The headline of a run in plain words, made from its measures and their intervals; true for runs that did not grok too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from interp.measures.dating import GAP, RIGHT, Boundary
from interp.measures.dips import Reached
from interp.measures.lead import LeadTime
from interp.observing.series import About, about
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
    "not grokked",
]


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
        """Where it can have begun, whether first or for good."""
        known = self.boundary or self.first
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
    absent = "not yet" if stopped_after is None else "never"
    is_other = outcome == "comprehension" or (found["grokked"] is not None and end != "grokked")
    named = {**MILESTONES, "grokked": _AT_ONCE} if is_other else dict(MILESTONES)
    if not curves.about.has_waves:  # only waves show where a circuit begins
        del named["onset"]
    milestones = tuple(_milestone(name, texts, curves, absent) for name, texts in named.items())
    title, stopped = _title(outcome, end, curves), ""
    if stopped_after is not None:
        broke_off, why = f"training broke off after step {stopped_after:,}", "the loss was no longer finite."
        stopped = f"Its {broke_off}: {why}"
        if outcome == "confusion":
            title, stopped = f"This network's {broke_off}, before it had learned its task", why.capitalize()
    short = (stopped, _short(curves, outcome), _short_inside(curves))
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
    return Milestone(name, label, meaning, curves.found[name], _absent(name, curves, absent), dipping)


def _absent(name: str, curves: Curves, usual: str) -> str:
    """Why a phase has no boundary. Where a run generalizes, a circuit has formed, whatever its curves show."""
    if curves.undated:
        return curves.undated
    if curves.is_unknown(name):
        return "not known"
    if name in ("onset", "cleanup") and curves.generalizes:
        return "not seen"
    accuracy = {"memorized": "history_train_accuracy", "grokked": "history_test_accuracy"}.get(name)
    measured = curves.curve(accuracy) if accuracy else None
    return "not for good" if measured is not None and (measured[1] >= RIGHT).any() else usual


def _stopped_after(about: About) -> int | None:
    """The last step of a run that ended because its training loss was not finite; None for all others."""
    return int(about.facts["last_step"]) if about.facts.get("status") == "stopped" else None


def _end(outcome: str, curves: Curves) -> End:
    """The one place that says whether a run grokked: where its outcome is grokking, and test accuracy 99 % for good."""
    if outcome in ("memorization", "confusion"):
        return "not grokked"
    if curves.found["grokked"] is not None:
        ends: dict[str, End] = {"grokking": "grokked", "comprehension": "generalized without grokking"}
        return ends.get(outcome, "generalized and may have grokked")
    if curves.generalizes:
        return "generalized at an unknown step"
    return "not settled on the answer" if outcome in ("grokking", "comprehension") else "of unknown outcome"


def _title(outcome: str, end: End, curves: Curves) -> str:
    grokked, accuracy = curves.first("grokked"), curves.at("history_test_accuracy", curves.last)
    if curves.found["grokked"] is not None and grokked is not None and end != "not grokked":
        return _generalized(grokked.step, end, curves)
    if end == "generalized at an unknown step" and accuracy is not None:
        known = f"This network answers {percent(accuracy)} of the pairs it never saw at step {curves.last:,}"
        return f"{known}; {_since(curves) if curves.undated else 'its history does not show when it learned to'}"
    if outcome in ("grokking", "comprehension") and accuracy is not None:
        return (
            f"This network has not settled on the answer: test accuracy {percent(accuracy)} after {counted(curves.last, 'step')}"
        )
    train = curves.at("history_train_accuracy", curves.last)
    if curves.undated and train is not None and accuracy is not None:
        answers = f"This network answers {percent(train)} of its training pairs and {percent(accuracy)} of the others"
        return f"{answers} at step {curves.last:,}; {_since(curves)}"
    if outcome == "memorization" and curves.found["memorized"] is None and not curves.is_late("memorized") and train is not None:
        answers = f"This network answers {percent(train)} of its training pairs"
        return f"{answers} after {counted(curves.last, 'step')}, and has not grokked"
    others = {
        "memorization": f"This network has memorized but not grokked in {counted(curves.last, 'step')}",
        "confusion": f"This network has not learned its task in {counted(curves.last, 'step')}",
    }
    return others.get(outcome, f"A network after {counted(curves.last, 'step')}")


def _since(curves: Curves) -> str:
    return f"since when is {curves.undated}"


def _generalized(step: int, end: End, curves: Curves) -> str:
    """The title of a network that answers the pairs it never saw for good, and first did so at this step."""
    aside, memorized = curves.aside("grokked"), curves.first("memorized")
    known = f"This network generalized by step {step:,}{aside}"
    is_soon = memorized is None or step - memorized.step < GAP
    soon = "soon after it learned" if is_soon else "and mostly soon after it learned"
    titles: dict[End, str] = {
        "grokked": f"This network grokked at step {step:,}{aside}",
        "generalized without grokking": f"{known}, {soon}: no grokking",
    }
    return titles.get(end, f"{known}; whether that was grokking is not known")


def _short(curves: Curves, outcome: str) -> str:
    """What can be seen from outside."""
    memorized, grokked = curves.first("memorized"), curves.first("grokked")
    accuracy = curves.at("history_test_accuracy", curves.last)
    if memorized is None:
        return ""
    known = f"It knew its training pairs by heart at step {memorized.step:,}{curves.aside('memorized')}"
    if grokked is None:
        after = f"{known}; after {counted(curves.last, 'step')}"
        return "" if accuracy is None else f"{after} it answers {percent(accuracy)} of the others."
    if grokked.step <= memorized.step and outcome == "grokking":
        return (
            f"It answered most of the pairs it never saw long after most of those it was shown; it answers 99 % of the latter "
            f"from step {memorized.step:,}{curves.aside('memorized')} on, of the others from step {grokked.step:,}"
            f"{curves.aside('grokked')} on."
        )
    if grokked.step <= memorized.step:
        return f"It learned the pairs it was shown and those it never saw together, by step {memorized.step:,}."
    later = counted(grokked.step - memorized.step, "step")
    if curves.found["grokked"] is None:
        return f"{known}, and first answered those it never saw {later} later, at step {grokked.step:,}{curves.aside('grokked')}."
    return f"{known}, but answered those it never saw only {later} later."


def _short_inside(curves: Curves) -> str:
    """What the measures saw."""
    lead = curves.lead
    restricted = None if lead is None else lead.first_of("restricted")
    if lead is None or lead.restricted is None or restricted is None:
        return ""
    ahead = lead.first
    if lead.steps is None or ahead is None or ahead <= 0 or lead.is_open or curves.found["grokked"] is None:
        return f"Inside, the restricted loss had halved by step {restricted.step:,}."
    return (
        f"Inside, the answer was forming all along: the restricted loss had halved by step {restricted.step:,}, "
        f"{counted(ahead, 'step')} before the test accuracy passed one half."
    )
