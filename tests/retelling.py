"""Series whose description of themselves is changed, as text in files."""

from __future__ import annotations

from dataclasses import replace

import xarray as xr

from interp.observing.derived import date_lead
from interp.observing.series import about, as_attributes, from_attributes


def saying(series: xr.Dataset, **attributes: object) -> xr.Dataset:
    """A series that says what these attributes say, by default of addition; its lead time is that of its curves."""
    found = from_attributes({"operation": "add", "frequencies": int(str(attributes.get("p", 0))) // 2, **attributes})
    return series.assign_attrs(about=replace(found, lead=date_lead(series)))


def retold(series: xr.Dataset, **changes: object) -> xr.Dataset:
    """The same with some attributes changed."""
    return saying(series, **{**as_attributes(about(series)), **changes})
