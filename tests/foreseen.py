"""Series of runs whose future is known: both effective numbers fall exponentially, as planted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import xarray as xr

from interp import CheckpointConfig, recipe
from interp.observing.series import ABOUT, About, plain

MEMORIZED = 100


def config(**changes: Any) -> dict[str, Any]:
    """The demo recipe with even checkpoints, as nested plain values, some changed; `optimizer__lr=1e-3` is a field of a part."""
    found = plain(asdict(replace(recipe("demo"), checkpoints=CheckpointConfig(log=0, every=50))))
    for name, value in changes.items():
        *parts, last = name.split("__")
        inner = found
        for part in parts:
            inner = inner[part]
        inner[last] = value
    return found


def planted(
    *,
    rate: float = 5e-4,
    every: int = 50,
    last: int = 2000,
    stretch: float = 1.0,
    agreement: float | None = 0.3,
    memorizes: bool = True,
    settings: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """A series whose N of W_L is ``29 exp(-rate t)`` and whose N of W_E is the square root of the ratio times as far.

    Args:
        rate: of ln N of W_L per step; that of W_E is half of it.
        stretch: of the steps, all rates slowed by as much.
        agreement: reached at step 2,000, linearly; None: not measured.
    """
    base = np.arange(0, last + 1, every)
    steps = np.round(base * stretch).astype(int)
    history = np.round(np.arange(0, last + 1, 25) * stretch).astype(int)
    right = (history >= MEMORIZED * stretch) & memorizes
    found = {
        "n_W_L": ("step", 29 * np.exp(-rate * base)),
        "n_W_E": ("step", 29 * np.exp(-rate / 2 * base)),
        "history_train_accuracy": ("history_step", np.where(right, 1.0, 0.5)),
        "history_test_accuracy": ("history_step", np.linspace(0, 0.2, len(history))),
    }
    if agreement is not None:
        found["unseen_agreement"] = ("step", agreement * base / 2000)
    about = About(run="planted", p=59, n_frequencies=29, config=config() if settings is None else settings)
    return xr.Dataset(found, coords={"step": steps, "history_step": history}).assign_attrs({ABOUT: about})
