"""Lead time, a measure of this toolkit: how many steps before the test accuracy the restricted loss moved; numpy only."""

from __future__ import annotations

from dataclasses import dataclass

from interp.measures.boundary import Boundary, Curve, checked_curve, dated, for_good

# Both curves are dated at the half-way mark: the restricted loss at half its first value, the test accuracy at one half.
HALF = 0.5


@dataclass(frozen=True)
class LeadTime:
    """Which curve moved when, and the steps between them.

    Args:
        restricted: when the restricted loss fell for good to at most half its first value; None if it never did.
        accuracy: when the test accuracy rose for good to at least one half; None if it never did, or already was at a first
            measurement after step 0.
        steps: accuracy - restricted; None unless both happened.
        shortest: the shortest lead that both intervals allow.
        longest: the longest.
    """

    restricted: Boundary | None
    accuracy: Boundary | None
    steps: int | None
    shortest: int | None
    longest: int | None

    @property
    def is_open(self) -> bool:
        """Whether, given both intervals, either of the two may have come first."""
        return self.shortest is not None and self.longest is not None and self.shortest < 0 < self.longest


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
    `phases`: from the spacing of the measured steps, and from the mark moved by 20 % in both directions.

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
    halved = for_good(steps, lambda slack: loss <= HALF * slack * loss[0])
    passed = dated(at, lambda slack: right >= HALF / slack)
    if halved is None or passed is None:
        return LeadTime(halved, passed, None, None, None)
    return LeadTime(
        halved,
        passed,
        steps=passed.step - halved.step,
        shortest=passed.earliest - halved.latest,
        longest=passed.latest - halved.earliest,
    )
