"""Langevin dynamics around given weights, held close to them: its settings."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log
from numbers import Integral, Real

import numpy as np

from interp.errors import UsageError


@dataclass(frozen=True)
class Langevin:
    """How weights are drawn around given ones, w*.

    ``w <- w - step_size / 2 (n_beta dL(w) / dw + localization (w - w*)) + sqrt(step_size) noise``, with L the mean loss over the
    training pairs and the noise normal. In the limit of small steps it draws from the density ``exp(-n_beta L(w) -
    localization |w - w*|^2 / 2)``.
    Source: Lau et al. 2023 (arXiv 2308.12108), algorithm 1, with all pairs in every step in place of some drawn at random.

    Args:
        chains: that begin at w*, each with noise of its own.
        draws: of each chain, one a step.
        burn_in: steps of each chain before its first draw. A chain forgets where it began in some 2 / (step_size
            localization) steps.
        step_size: of the dynamics; in a direction in which the loss has the curvature h, draws have a variance that is 1 / (1 -
            step_size (n_beta h + localization) / 4) times too large, and the chain diverges where that is negative.
        localization: how strongly chains are held to w*: where the loss does not depend on a weight, it is drawn with standard
            deviation localization^-1/2.
        n_beta: inverse temperature times the number of pairs n; n / ln n (Watanabe 2013) by default.
        seed: of the noise.

    Raises:
        UsageError: for a number that is out of range.
    """

    chains: int = 4
    draws: int = 200
    burn_in: int = 200
    step_size: float = 2e-5
    localization: float = 1_000.0
    n_beta: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("chains", 1), ("draws", 1), ("burn_in", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
                raise UsageError(f"{name}: given {value!r}, expected an integer >= {least}")
            object.__setattr__(self, name, int(value))
        for name, may_be_zero in (("step_size", False), ("localization", True), ("n_beta", False)):
            value = getattr(self, name)
            if value is None and name == "n_beta":
                continue
            if not isinstance(value, Real) or isinstance(value, bool) or not isfinite(value):
                raise UsageError(f"{name}: given {value!r}, expected a finite number")
            if value < 0 or (value == 0 and not may_be_zero):
                raise UsageError(f"{name}: given {value!r}, expected a number {'>=' if may_be_zero else '>'} 0")
            object.__setattr__(self, name, float(value))  # 1000 and 1000.0 are the same setting
        if self.step_size * self.localization >= 4:
            raise UsageError(
                f"step_size {self.step_size:g} with localization {self.localization:g}: their product is "
                f"{self.step_size * self.localization:g}, expected less than 4: beyond that every chain diverges; "
                "make one of them smaller"
            )

    def n_beta_for(self, pairs: int) -> float:
        """The inverse temperature times n, for so many training pairs."""
        if self.n_beta is not None:
            return self.n_beta
        if pairs < 2:  # ln 1 = 0
            raise UsageError(f"n_beta: given none for {pairs} training pairs, for which n / ln n is infinite; give n_beta")
        return pairs / log(pairs)

    def noise(self, *numbers: int) -> int:
        """The seed of the noise of one chain, by its numbers: no two chains have the same, in whatever order they are drawn."""
        return int(np.random.SeedSequence([self.seed, *numbers]).generate_state(1, np.uint64)[0] >> np.uint64(1))
