"""What a forecast may look at: the weights' spectra, the training accuracy, and whether unseen pairs are treated like seen ones.

Nothing here reads an answer to a test pair, so that a forecast made on the plateau is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64

from interp.forecasting.told import told
from interp.measures.effective import effective_number
from interp.observing.derived import finite_curve
from interp.observing.series import about

if TYPE_CHECKING:
    import xarray as xr

RIGHT = 0.99
# Analyses whose variables are read; the second passes over all pairs, and is asked at two checkpoints only.
WEIGHTS, LOGITS = "embedding_spectrum", "memorizer_or_generalizer"
# A variable of the analysis `forecast`, and the norms that it is made of where only these were kept.
_SPECTRA = {"n_W_L": "neuron_logit_norm", "n_W_E": "embedding_norm"}
_AGREEMENT = ("shift_agreement", "unseen_agreement")

Steps = Int64[np.ndarray, " step"]
Values = Float64[np.ndarray, " step"]


@dataclass(frozen=True, eq=False)
class LabelFree:
    """Curves of a run that need no test label, up to some step.

    Args:
        steps: checkpoints at which both spectra are finite.
        n_W_E: effective number of frequencies of W_E there.
        n_W_L: of W_L = W_U^T W_out^T.
        agreed_at: checkpoints at which the shift agreement is known.
        agreement: `interp.measures.shift_agreement` there.
        memorized: first evaluated step with a training accuracy of at least 99 %; None if there is none yet.
        evaluated: last evaluated step of the training accuracy; None if it is not known at all.
        config: of the run, nested plain values; what is missing (imported runs) is unknown.
        p: number of residues.
    """

    steps: Steps
    n_W_E: Values
    n_W_L: Values
    agreed_at: Steps
    agreement: Values
    memorized: int | None
    evaluated: int | None
    config: Mapping[str, Any]
    p: int

    def until(self, step: int) -> LabelFree:
        """The same as it was known at some step."""
        known, agreed = self.steps <= step, self.agreed_at <= step
        is_memorized = self.memorized is not None and self.memorized <= step
        return LabelFree(
            steps=self.steps[known],
            n_W_E=self.n_W_E[known],
            n_W_L=self.n_W_L[known],
            agreed_at=self.agreed_at[agreed],
            agreement=self.agreement[agreed],
            memorized=self.memorized if is_memorized else None,
            evaluated=None if self.evaluated is None else min(self.evaluated, step),
            config=self.config,
            p=self.p,
        )


def label_free(series: xr.Dataset) -> LabelFree | None:
    """What a series as `interp.observe` returns it says without test labels; None without the spectra of W_E and W_L.

    The analyses it needs are ``forecast``, or ``embedding_spectrum`` and, if there, ``memorizer_or_generalizer``.
    """
    numbers = {name: values for name in _SPECTRA if (values := _number(series, name)) is not None}
    if len(numbers) < len(_SPECTRA):
        return None
    steps = np.asarray(series["step"].values, dtype=np.int64)
    known = np.isfinite(numbers["n_W_L"]) & np.isfinite(numbers["n_W_E"])
    curves = (finite_curve(series, name) for name in _AGREEMENT)
    agreed = next((curve for curve in curves if curve is not None), (np.zeros(0, dtype=np.int64), np.zeros(0)))
    trained, found = finite_curve(series, "history_train_accuracy"), about(series)
    return LabelFree(
        steps=steps[known],
        n_W_E=numbers["n_W_E"][known],
        n_W_L=numbers["n_W_L"][known],
        agreed_at=agreed[0],
        agreement=agreed[1],
        memorized=None if trained is None else _first(*trained),
        evaluated=None if trained is None else int(trained[0][-1]),
        config=told(found.config, found.facts),
        p=found.p,
    )


def _number(series: xr.Dataset, name: str) -> Values | None:
    if name in series:
        return np.asarray(series[name].values, dtype=np.float64)
    return effective_number(series[_SPECTRA[name]].values) if _SPECTRA[name] in series else None


def _first(steps: Steps, accuracy: Values) -> int | None:
    right = steps[accuracy >= RIGHT]
    return int(right[0]) if len(right) else None
