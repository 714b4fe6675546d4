"""Whether cells differ: log-rank tests, by strata where seeds are shared, and the exact test of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, gammaincc

from interp.errors import UsageError
from interp.studies.durations import FEW, Durations, NotBounded, cells


@dataclass(frozen=True)
class Comparison:
    """A test of whether two or more cells have one distribution of times.

    Args:
        method: what was computed.
        p: the probability of a difference at least as large if there is none.
        statistic: chi squared, or for pairs the number in which the first was earlier.
        freedom: degrees of freedom, or for pairs the number of pairs that are decided.
        observed: events, by group.
        expected: events expected if there is no difference, by group; fewer are observed in a group that is later.
        n: runs, by group.
        few: whether a group has fewer than 10.
    """

    method: str
    p: float
    statistic: float
    freedom: int
    observed: tuple[float, ...]
    expected: tuple[float, ...]
    n: tuple[int, ...]
    few: bool


def log_rank(groups: Sequence[Durations], *, strata: Sequence[object] | None = None) -> Comparison | NotBounded:
    """The log-rank test of two or more groups, also where runs are censored.

    At each step with events, in each stratum, group j is expected to have ``d n_j / n`` of the d events among the n runs at
    risk; the covariance is that of the hypergeometric distribution, ``d (n - d) / (n - 1) (n_j / n)(delta_jk - n_k / n)``, so
    ties are exact. ``chi^2 = (O - E)^T V^- (O - E)`` (Mantel 1966; Kalbfleisch and Prentice 2002, section 1.5).

    Args:
        groups: one `Durations` for each cell.
        strata: for each group, one key for each run: runs are compared only with those of the same key. Seeds that occur in
            every cell are such keys; for two groups `paired` is then exact.

    Returns:
        The comparison, or `NotBounded` where no event happened while runs of two groups were at risk.

    Raises:
        UsageError: for fewer than two groups, or keys that do not fit them.

    >>> found = log_rank([Durations.of([1, 2, 3], [1, 1, 1]), Durations.of([7, 8, 9], [1, 1, 0])])
    >>> round(found.statistic, 3), found.freedom
    (5.052, 1)
    """
    if len(groups) < 2:
        raise UsageError(f"log-rank: given {len(groups)} groups, expected at least two")
    time, event = (np.concatenate([getattr(group, name) for group in groups]) for name in ("time", "event"))
    group = np.repeat(np.arange(len(groups)), [each.n for each in groups])
    keys = np.zeros(len(time)) if strata is None else _keys(groups, strata)
    observed, expected, covariance = _summed(time, event, group, cells(keys, n=len(time)), len(groups))
    if np.trace(covariance) <= 0:
        return NotBounded("the difference between the groups", "no event happened while runs of two groups were still compared")
    inverse = np.linalg.pinv(covariance, rcond=1e-10, hermitian=True)
    difference = observed - expected
    statistic, freedom = (
        float(difference @ inverse @ difference),
        int(np.linalg.matrix_rank(covariance, tol=1e-10 * np.trace(covariance))),
    )
    return Comparison(
        method="log-rank" if strata is None else "log-rank within strata", p=float(gammaincc(freedom / 2, statistic / 2)),
        statistic=statistic, freedom=freedom, observed=tuple(observed.tolist()), expected=tuple(expected.tolist()),
        n=tuple(each.n for each in groups), few=any(each.few for each in groups),
    )  # fmt: skip


def paired(first: Durations, second: Durations) -> Comparison | NotBounded:
    """The exact test of pairs: run i of both cells has the same seed.

    A pair is decided where the earlier of its two times is an event: the other run had not had it by then, whether or not it was
    seen to have it later. If the cells do not differ, each is the earlier in half of the decided pairs: a binomial
    distribution, two-sided. It is the log-rank test with one stratum per pair, with exact probabilities in place of normal
    ones (they agree for many pairs), so it assumes nothing about the times or the censoring, and what a seed does to both runs
    cancels. How much earlier does not count: with few pairs a difference can be plain in the ratios of times and not here.

    Returns:
        `statistic` pairs of `freedom` in which the first was earlier; `NotBounded` where no pair is decided.

    Raises:
        UsageError: for unequal numbers of runs.

    >>> found = paired(Durations.of([100, 200, 300, 400], [1, 1, 1, 1]), Durations.of([150, 250, 350, 900], [1, 1, 1, 0]))
    >>> found.statistic, found.freedom, found.p
    (4.0, 4, 0.125)
    """
    if first.n != second.n:
        raise UsageError(f"paired: given {first.n} and {second.n} runs, expected the same seeds in the same order")
    first_is_earlier = first.event & ((first.time < second.time) | ((first.time == second.time) & ~second.event))
    second_is_earlier = second.event & ((second.time < first.time) | ((second.time == first.time) & ~first.event))
    wins, decided = int(first_is_earlier.sum()), int(first_is_earlier.sum() + second_is_earlier.sum())
    if not decided:
        return NotBounded("the difference between the pairs", "in no pair is one run known to be earlier than the other")
    return Comparison(
        method="exact test of pairs", p=_two_sided(wins, decided), statistic=float(wins), freedom=decided,
        observed=(float(wins), float(decided - wins)), expected=(decided / 2, decided / 2), n=(first.n, second.n),
        few=first.n < FEW,
    )  # fmt: skip


def _keys(groups: Sequence[Durations], strata: Sequence[object]) -> np.ndarray:
    keys = [np.asarray(each) for each in strata]
    if [key.shape for key in keys] != [(group.n,) for group in groups]:
        raise UsageError(
            "log-rank: given strata that do not fit the groups, expected for each group one key for each of its runs"
        )
    return np.concatenate(keys)


def _summed(
    time: np.ndarray, event: np.ndarray, group: np.ndarray, strata: list[np.ndarray], k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observed and expected events by group, and the covariance of their difference, over all strata and steps."""
    observed, expected, covariance = np.zeros(k), np.zeros(k), np.zeros((k, k))
    for rows in strata:
        for step in np.unique(time[rows][event[rows]]):
            risk = np.bincount(group[rows][time[rows] >= step], minlength=k)
            dead = np.bincount(group[rows][(time[rows] == step) & event[rows]], minlength=k)
            n, d, share = risk.sum(), dead.sum(), risk / risk.sum()
            observed += dead
            expected += d * share
            if n > 1:
                covariance += d * (n - d) / (n - 1) * (np.diag(share) - np.outer(share, share))
    return observed, expected, covariance


def _two_sided(wins: int, n: int) -> float:
    """Probability that one of two equally likely sides has at least as many as the larger has here."""
    most = max(wins, n - wins)
    return min(2 * float(betainc(most, n - most + 1, 0.5)), 1.0)
