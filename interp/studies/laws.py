"""Laws of the time to grok, fitted with the runs that never did: against weight decay, the training fraction, and the modulus.

Each is a median time times a log-normal scatter, ``log T = log T_law(x) + sigma eps``, fitted by maximum likelihood: a run with
the event contributes its density, a run without it the probability of lasting longer than it was seen. Intervals are percentiles
of fits to resampled runs. A law declines (`NotBounded`) where the data do not bound its parameters.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincc

from interp.studies.censored_fit import fit_censored
from interp.studies.durations import Durations, NotBounded, positive
from interp.studies.law_fit import Law, Sample, exp_or_inf, from_depth
from interp.studies.resampling import RESAMPLES


def weight_decay_law(
    weight_decay: object, runs: Durations, *, seed: int = 0, level: float = 0.95, resamples: int = RESAMPLES
) -> Law | NotBounded:
    """``T = a w^-b`` against weight decay w. The delay is inversely proportional to it where b = 1: ``T = a / w``.

    `tests` has the probability of the data's lead over b = 1 if b is 1, which is approximate with few runs; the parameter `a if
    b = 1` is a of ``a / w``.

    Args:
        weight_decay: one for each run, above 0.
        runs: the time to explain, such as the delay between memorizing and generalizing.
        seed: of the resampling.
        level: of the intervals.
        resamples: how many.

    Returns:
        The law, or `NotBounded`: fewer than three weight decays with an event, no scatter, an interval of b wider than 2, or so
        few runs at each that there are too few different resamples for an interval (two at each of six). Weight decays whose runs
        all have the event at one step add none, and of runs that were last seen without it at one step only the number counts.

    Raises:
        UsageError: for weight decays or times that are not above 0.

    Sources: the slow drift under weight decay at constant loss goes with the rate 1/w (Liu et al. 2022, arXiv 2210.01117; Lyu et
    al. 2023, arXiv 2311.18817).
    """
    x = positive("weight decay", weight_decay, runs.n)
    what = "T against weight decay"
    sample = Sample.of(x, runs, what=what, axis="weight decays", seed=seed, level=level, resamples=resamples)
    if refusal := sample.too_few_values(3):
        return refusal
    rows = sample.rows
    line = np.stack([np.ones_like(rows.x), -np.log(rows.x)], axis=1)
    free = fit_censored(rows.log_time, rows.event, line, weights=rows.weights)
    held = fit_censored(rows.log_time + np.log(rows.x), rows.event, line[:, :1], weights=rows.weights)
    draws = {"a": exp_or_inf(free.beta[:, 0]), "b": free.beta[:, 1], "a if b = 1": exp_or_inf(held.beta[:, 0])}
    found = sample.estimates(
        draws,
        parameters=2,
        fitted=free.converged & held.converged,
        scatter=float(free.sigma[0]),
        exponents=["b"],
        ratios=["a if b = 1"],
    )
    if isinstance(found, NotBounded):
        return found
    lead = 2 * max(float(free.log_likelihood[0] - held.log_likelihood[0]), 0.0)
    return sample.law("a w^-b", found, fit=free, tests={"b = 1": float(gammaincc(0.5, lead / 2))})


def fraction_law(
    fraction: object, runs: Durations, *, seed: int = 0, level: float = 0.95, resamples: int = RESAMPLES
) -> Law | NotBounded:
    """``T = a (f - f_c)^-b`` against the training fraction f: the time diverges at a critical fraction f_c.

    Runs at and below f_c never have the event by this law. f_c is looked for between 0 and the smallest fraction with an event.

    Args:
        fraction: one for each run.
        runs: the time to explain.
        seed: of the resampling.
        level: of the intervals.
        resamples: how many.

    Returns:
        The law, or `NotBounded`: fewer than four fractions with an event, no scatter, an f_c that may as well be 0 (then a
        power of f describes the times equally well), an interval of b wider than 2, or too few runs at each.

    Raises:
        UsageError: for fractions or times that are not above 0.
    """
    x = positive("fraction", fraction, runs.n)
    what = "T against the fraction"
    sample = Sample.of(x, runs, what=what, axis="fractions", seed=seed, level=level, resamples=resamples)
    if refusal := sample.too_few_values(4):
        return refusal
    smallest = sample.smallest_event()

    def bent(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        above = sample.rows.x - from_depth(depth, smallest[:, None])
        is_timed = above > 0
        logs = np.log(np.where(is_timed, above, 1.0))
        return np.stack([np.ones_like(logs), -logs], axis=2), np.zeros_like(logs), is_timed

    best = sample.bent_fit(bent)
    draws = {"a": exp_or_inf(best.fit.beta[:, 0]), "f_c": from_depth(best.bend, smallest), "b": best.fit.beta[:, 1]}
    found = sample.estimates(
        draws, parameters=3, fitted=best.fit.converged, scatter=float(best.fit.sigma[0]), exponents=["b"], ratios=["f_c"]
    )
    return found if isinstance(found, NotBounded) else sample.law("a (f - f_c)^-b", found, fit=best.fit, tests={})


def modulus_law(
    p: object, runs: Durations, *, seed: int = 0, level: float = 0.95, resamples: int = RESAMPLES
) -> Law | NotBounded:
    """``tau = -omega ln(1 - p_c / p)`` against the modulus p: finite above a critical modulus p_c, like 1/p far above it.

    p_c is looked for between 0 and the smallest modulus with an event. Far above p_c only the product omega p_c is bounded.

    Args:
        p: one modulus for each run.
        runs: the time to explain, usually the delay.
        seed: of the resampling.
        level: of the intervals.
        resamples: how many.

    Returns:
        The law, or `NotBounded`: fewer than three moduli with an event, no scatter, ends of an interval that are more than a
        factor of 10 apart, or too few runs at each.

    Raises:
        UsageError: for moduli or times that are not above 0.

    Source: arXiv 2603.13331 (tau = -2,770 ln(1 - 23 / p), full batch, weight decay 1, half of the pairs).
    """
    x = positive("modulus", p, runs.n)
    what = "tau against the modulus"
    sample = Sample.of(x, runs, what=what, axis="moduli", seed=seed, level=level, resamples=resamples)
    if refusal := sample.too_few_values(3):
        return refusal
    smallest = sample.smallest_event()

    def bent(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        share = from_depth(depth, smallest[:, None]) / sample.rows.x
        is_timed = share < 1
        offset = np.log(-np.log1p(-np.clip(np.where(is_timed, share, 0.5), 1e-12, None)))
        return np.ones((*offset.shape, 1)), offset, is_timed

    best = sample.bent_fit(bent)
    draws = {"omega": exp_or_inf(best.fit.beta[:, 0]), "p_c": from_depth(best.bend, smallest)}
    found = sample.estimates(
        draws, parameters=2, fitted=best.fit.converged, scatter=float(best.fit.sigma[0]), exponents=[], ratios=["omega", "p_c"]
    )
    return found if isinstance(found, NotBounded) else sample.law("-omega ln(1 - p_c / p)", found, fit=best.fit, tests={})
