"""Lead time, a measure of this toolkit: how many steps before the test accuracy the restricted loss moved; numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from jaxtyping import Bool
from numpy import ndarray

from interp.measures.boundary import Boundary, Curve, checked_curve, for_good
from interp.measures.dips import Reached, reached
from interp.measures.strays import confirmed

# Both curves are dated at the half-way mark: the restricted loss at half its first value, the test accuracy at one half.
HALF = 0.5


@dataclass(frozen=True)
class LeadTime:
    """Which curve moved when, and the steps between them.

    Args:
        restricted: when the restricted loss fell for good to at most half its first value; None if it never did.
        accuracy: when the test accuracy rose for good to at least one half; None if it never did, or already was at a first
            measurement after step 0.
        steps: accuracy - restricted; None unless both happened, and both beginnings were seen.
        shortest: the shortest lead that the intervals allow, between the first steps or between those for good.
        longest: the longest.
        reached: ``restricted``, ``accuracy`` -> when each first passed its mark, from when on for good, and the dips between.
    """

    restricted: Boundary | None
    accuracy: Boundary | None
    steps: int | None
    shortest: int | None
    longest: int | None
    reached: Mapping[str, Reached] = field(default_factory=dict)

    @property
    def first(self) -> int | None:
        """The lead between the steps at which both first passed their marks: `steps` unless one of them dips."""
        begun = [self.reached[name].first for name in ("restricted", "accuracy") if name in self.reached]
        if len(begun) < 2:
            return self.steps
        restricted, accuracy = begun
        return None if restricted is None or accuracy is None else accuracy.step - restricted.step

    def first_of(self, name: Literal["restricted", "accuracy"]) -> Boundary | None:
        """When a curve first passed its mark: its boundary unless it dips."""
        found = self.reached.get(name)
        kept: Boundary | None = getattr(self, name)
        return kept if found is None else found.first

    @property
    def is_open(self) -> bool:
        """Whether, given both intervals, either of the two may have come first."""
        return self.shortest is not None and self.longest is not None and self.shortest < 0 < self.longest

    @property
    def is_told(self) -> bool:
        """Whether there is a lead to speak of: known, and not as likely to be as long the other way round.

        The latter is so where the interval reaches as far beyond 0, on both sides, as the lead is long.

        >>> [LeadTime(None, None, steps, -1000, 1000).is_told for steps in (0, 900, 1000)]
        [False, False, False]
        >>> LeadTime(None, None, 1900, 900, 2000).is_told, LeadTime(None, None, 900, -100, 1000).is_told
        (True, True)
        """
        if self.steps is None or self.first is None or self.shortest is None or self.longest is None:
            return False
        return not self.is_open or min(-self.shortest, self.longest) < abs(self.first)


def stand_out(n_keys: int, n_frequencies: int) -> bool:
    """Whether key frequencies are few enough to stand out: at most half of all frequencies (modulo p, floor(p/2)).

    If more pass the rule, the spectrum is flat, like that of a lookup table: the restricted loss then keeps most of the network,
    including memorized answers, and has no lead.

    >>> stand_out(5, 56), stand_out(29, 29)
    (True, False)
    """
    return 2 * n_keys <= n_frequencies


def lead_time(restricted: Curve, test_accuracy: Curve) -> LeadTime:
    """How many steps before the test accuracy the restricted loss moved; negative if it moved later.

    Each is dated by the first step from which it stays beyond its half-way mark to the end of the run, with an interval as in
    `phases`: from the spacing of the measured steps, and from the mark moved by 20 % in both directions. Where one of them dips,
    the steps at which they first passed their marks have a lead of their own, `LeadTime.first`, and intervals cover both.
    A curve with one measurement has no date.

    Args:
        restricted: steps and values of the restricted loss (mean over all pairs).
        test_accuracy: steps and values of the test accuracy.

    Raises:
        UsageError: as `phases`.

    >>> lead_time(([0, 10, 20], [4.0, 1.0, 0.1]), ([0, 10, 20], [0.0, 0.1, 0.9])).steps
    10
    """
    steps, loss = checked_curve(restricted, "restricted loss")
    at, right = checked_curve(test_accuracy, "test accuracy")
    loss = confirmed(loss, level=HALF * float(loss[0]), base=float(loss[0]))
    right = confirmed(right, level=HALF, base=min(float(right[0]), HALF))

    def halved(slack: float) -> Bool[ndarray, " step"]:
        return loss <= HALF * slack * loss[0]

    def passed(slack: float) -> Bool[ndarray, " measured"]:
        return right >= HALF * (2 - slack)

    found = {
        "restricted": reached(steps, halved, values=loss, worst="highest", not_before=1) if len(steps) > 1 else None,
        "accuracy": reached(at, passed, values=right, not_before=1) if len(at) > 1 else None,
    }
    known = {name: one for name, one in found.items() if one is not None}
    kept = {name: known[name].for_good if name in known else None for name in found}
    lead = LeadTime(kept["restricted"], kept["accuracy"], None, None, None, reached=known)
    pairs = [
        (lead.first_of("restricted"), lead.first_of("accuracy")),
        (for_good(steps, halved, not_before=1), for_good(at, passed, not_before=1)),
    ]
    between = [(one, other) for one, other in pairs if one is not None and other is not None]
    if len(between) < len(pairs) or lead.restricted is None or lead.accuracy is None:
        return lead
    return replace(
        lead,
        steps=lead.accuracy.step - lead.restricted.step,
        shortest=min(accuracy.earliest - restricted.latest for restricted, accuracy in between),
        longest=max(accuracy.latest - restricted.earliest for restricted, accuracy in between),
    )
