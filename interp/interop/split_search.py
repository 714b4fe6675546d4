"""Which split a model was trained on, told by its own losses on the single pairs, among many rules, seeds and fractions.

A model that has learned its training pairs has a lower loss on them than on others, often by factors. Along the order in which
the right rule drew the pairs its losses are low up to the last training pair and high from there; along any other order they are
shuffled. How far the mean of the logarithms of the first k losses lies below that of the others, in standard deviations of random
orders,

    z(k) = (mean of all - mean of the first k) / (sd sqrt((n - k) / (k (n - 1)))),

is about normal for every wrong order (a permutation test), and tens for the right one: for the official code's published model
24.9, where the second of a thousand orders has 3.9. No published loss is needed for it, and none that moved since can mislead it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64

from interp.errors import UsageError
from interp.tasks.splits import Split, SplitConfig, SplitRule, shuffled

# A z that no wrong order among a thousand reaches: about 5 is the greatest of so many orders and of all fractions.
CLEAR = 7.0
# The right order stands alone: the second one is a wrong one, and this much lower.
LEAD = 2.0
# Fractions less likely than the best one by more than a factor of e^8 are ruled out: losses have wider tails than a normal
# distribution, which puts single pairs on the wrong side.
NATS = 8.0
SEEDS = (*range(100), 123, 598, 999, 1234, 1337, 2023, 2024, 12345)
# Rules that cut the same order of pairs at different places.
_FAMILIES: tuple[tuple[SplitRule, ...], ...] = (
    ("python",),
    ("torch", "random-split"),
    ("numpy",),
    ("sklearn",),
    ("numpy-generator",),
)
# Fewer training or test pairs than this share are not looked for.
_EDGE = 0.02
# A fraction that is no whole per cent is taken only where the losses tell it to the pair, or nearly.
_EXACT = 3
# Losses that differ by less than this share of them, as those of a planted circuit do, differ by rounding and tell nothing.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Profile:
    """Losses along one order of the pairs: how clearly they fall into low ones, then high ones, and where.

    Attributes:
        logs: logarithms of the losses, in the order.
    """

    logs: Float64[np.ndarray, " pair"]

    @cached_property
    def z(self) -> Float64[np.ndarray, " count"]:
        """z(k) for k = 1 to n - 1."""
        n, k = len(self.logs), np.arange(1, len(self.logs))
        centred = self.logs - self.logs.mean()
        spread = float(centred.std())
        if spread < _ROUNDING:
            return np.zeros(n - 1)
        found: Float64[np.ndarray, " count"] = -np.cumsum(centred)[:-1] / (spread * np.sqrt(k * (n - k) / (n - 1)))
        return found

    @cached_property
    def likelihood(self) -> Float64[np.ndarray, " count"]:
        """Logarithm of the likelihood that the cut is at k, of two normal distributions of one width; 0 at the best k.

        The sum of squares around both means is n sd^2 (1 - z^2 / (n - 1)).
        """
        n = len(self.logs)
        left = np.maximum(1 - self.z**2 / (n - 1), 1e-12)
        found: Float64[np.ndarray, " count"] = -n / 2 * np.log(left)
        return found - found.max()

    @property
    def inside(self) -> Bool[np.ndarray, " count"]:
        """The k that leave enough pairs on both sides."""
        n, k = len(self.logs), np.arange(1, len(self.logs))
        return (k >= _EDGE * n) & (k <= (1 - _EDGE) * n)

    @property
    def best(self) -> float:
        """The greatest z."""
        return float(self.z[self.inside].max(initial=0.0))


def profile(losses: Float64[np.ndarray, " pair"], rule: SplitRule, seed: int) -> Profile:
    """The losses along the order of one rule and seed."""
    order = shuffled(rule, seed, len(losses))
    logs: Float64[np.ndarray, " pair"] = np.log(np.maximum(losses, 1e-300))[order[::-1] if rule == "sklearn" else order]
    return Profile(logs)


def clearness(losses: Float64[np.ndarray, " pair"], split: Split) -> float:
    """The z of one split: how far the losses of its training pairs lie below the others."""
    order = np.concatenate([split.train, split.test])
    return float(Profile(np.log(np.maximum(losses, 1e-300))[order]).z[len(split.train) - 1])


def clear(n: int) -> float:
    """The z from which a split of n pairs is told; few pairs cannot reach more than sqrt(n - 1).

    >>> clear(12769), round(clear(49), 2)
    (7.0, 6.24)
    """
    return min(CLEAR, max(6.0, 0.9 * float(np.sqrt(max(n - 1, 1)))))


def supports(losses: Float64[np.ndarray, " pair"], split: SplitConfig) -> bool:
    """Whether the losses tell that a model was trained on a split, this fraction of it included."""
    found, count = profile(losses, split.rule, split.seed), split.count(len(losses))
    return found.best >= clear(len(losses)) and bool(found.likelihood[count - 1] >= -NATS)


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
        split: the one split that the losses tell; None if they tell none.
        reason: in words, that it is told, or why none is.
        facts: in numbers, how clearly.
    """

    split: SplitConfig | None
    reason: str
    facts: str


def search(
    losses: Float64[np.ndarray, " pair"],
    *,
    seeds: Iterable[int] = SEEDS,
    fractions: Iterable[float] = (),
    first: int | None = None,
) -> Search:
    """Look for the split that a model was trained on, by every rule, with many seeds, and at every fraction.

    Args:
        losses: loss of each of the p^2 pairs; see `interp.interop.split.pair_losses`.
        seeds: the seeds to try.
        fractions: fractions that are likelier than others, such as the one that a configuration names.
        first: one more seed to try.
    """
    n = len(losses)
    tried = dict.fromkeys([*seeds, *([] if first is None or first >= 2**32 else [first])])
    if not tried:
        raise UsageError("search: given no seeds, expected at least one")
    tops = {(rules, seed): profile(losses, rules[0], seed).best for rules in _FAMILIES for seed in tried}
    (rules, seed), second = sorted(tops, key=lambda order: -tops[order])[0], sorted(tops.values())[-2]
    best = tops[rules, seed]
    facts = (
        f"z = {best:.1f}, where the next of {len(tops)} orders ({len(tried)} seeds, {len(_FAMILIES)} generators) has {second:.1f}"
    )
    if best < clear(n) or best < second + LEAD:
        return Search(None, "no seed fits: the losses on the single pairs tell no order from the others", facts)
    split = _cut(profile(losses, rules[0], seed), rules, seed, tuple(fractions))
    if split is None:
        return Search(None, f"seed {seed} of rule {rules[0]} fits, but the losses do not tell at which fraction; give it", facts)
    return Search(split, "the losses on the single pairs tell it", facts)


def shortest_fraction(count: int, rows: int) -> float:
    """The fraction with fewest decimals that draws so many of all rows.

    >>> shortest_fraction(3830, 12769), shortest_fraction(3831, 12769), shortest_fraction(29, 100)
    (0.3, 0.3001, 0.291)
    """
    for digits in range(1, 17):
        least = -(-count * 10**digits // rows)
        for tenths in (least, least + 1):  # .29 of 100 rows is 28.999... of them
            fraction = round(tenths / 10**digits, digits)
            if int(fraction * rows) == count:
                return fraction
    return (count + 0.5) / rows


def shown(split: SplitConfig) -> str:
    """A split as the command line takes it.

    >>> shown(SplitConfig("torch", 598, 0.3))
    'torch:598:0.3'
    """
    return f"{split.rule}:{split.seed}:{split.fraction!r}"


def _cut(along: Profile, rules: tuple[SplitRule, ...], seed: int, likely: tuple[float, ...]) -> SplitConfig | None:
    """The rule and fraction among those that the losses allow: a likely one, or else the roundest; None if they allow many."""
    n, likelihood = len(along.logs), np.where(along.inside, along.likelihood, -np.inf)
    allowed = np.flatnonzero(likelihood >= -NATS) + 1
    near = {int(count) + off for count in allowed for off in (-1, 0, 1)}
    fives, percents = [p / 100 for p in range(5, 100, 5)], [p / 100 for p in range(1, 100)]
    for fractions in (likely, fives, percents):
        fitting = {fraction: SplitConfig(rules[0], seed, fraction).count(n) for fraction in fractions}
        fitting = {fraction: count for fraction, count in fitting.items() if count in near}
        if len(fitting) > 1:
            return None
        for fraction, count in fitting.items():
            splits = [SplitConfig(rule, seed, fraction) for rule in rules]
            told = len(splits) > 1 and likelihood[splits[1].count(n) - 1] > likelihood[count - 1] + NATS
            return splits[1] if told else splits[0]
    count = int(likelihood.argmax()) + 1
    return SplitConfig(rules[0], seed, shortest_fraction(count, n)) if len(allowed) <= _EXACT else None
