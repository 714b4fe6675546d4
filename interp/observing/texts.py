"""Texts among results, which are kept as arrays: what an analysis says of the last checkpoint may be one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

_UTF8 = "utf8"


def texts_as_arrays(measured: Mapping[str, xr.DataArray | float | str]) -> dict[str, xr.DataArray | float]:
    """The same with every text as its bytes."""
    return {
        name: xr.DataArray(np.frombuffer(value.encode(), dtype=np.uint8), dims=_UTF8) if isinstance(value, str) else value
        for name, value in measured.items()
    }


def arrays_as_texts(found: Mapping[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """The variables of one checkpoint without their axis of steps, bytes as the texts that they were."""
    single = {name: array.isel(step=0, drop=True) for name, array in found.items()}
    return {
        name: xr.DataArray(array.values.tobytes().decode()) if array.dims == (_UTF8,) else array for name, array in single.items()
    }
