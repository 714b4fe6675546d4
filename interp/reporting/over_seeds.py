"""Runs that differ in nothing but their seeds, and their mean with the band between the lowest and the highest of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.figures import curve, faded, on
from interp.observing.series import about
from interp.reporting.run_curves import Curves

if TYPE_CHECKING:
    import xarray as xr

# Fields that say when a run stops, and seeds: what is left is the setting.
_SEEDS = ("seed", "steps", "until_settled")
_ENOUGH = 3  # runs of a setting from which a band says more than the curves themselves
_COLOURS = ("#4477aa", "#bb5566", "#8c7a1e", "#2f8f83", "#9659b8", "#a8622d")


@dataclass(frozen=True)
class Setting:
    """Runs of one setting: their places on the page, and what tells them from the others."""

    places: tuple[int, ...]
    name: str
    colour: str


def settings(runs: Sequence[xr.Dataset], names: Sequence[str]) -> list[Setting]:
    """The settings that have at least three runs, each named by what its runs' names have in common."""
    groups: dict[str, list[int]] = {}
    for place, series in enumerate(runs):
        config = about(series).config
        if config:
            groups.setdefault(json.dumps(_without_seeds(config), sort_keys=True, default=str), []).append(place)
    found = [places for places in groups.values() if len(places) >= _ENOUGH]
    return [
        Setting(tuple(places), _common([names[i] for i in places], number + 1), _COLOURS[number % len(_COLOURS)])
        for number, places in enumerate(found)
    ]


def bands_of(
    setting: Setting, runs: Sequence[xr.Dataset], variable: str, *, cell: int, log: bool, legend: bool
) -> list[dict[str, Any]]:
    """A band from the lowest to the highest run and a line at their mean, at the steps at which all of them were measured.

    On a logarithmic axis the mean is that of the logarithms. Nothing where a run lacks the variable.
    """
    curves = [Curves(runs[place]).curve(variable) for place in setting.places]
    known = [one for one in curves if one is not None]
    if len(known) < len(curves):
        return []
    steps = known[0][0]
    for at, _ in known[1:]:
        steps = np.intersect1d(steps, at)
    if len(steps) < 2:
        return []
    values = np.stack([value[np.searchsorted(at, steps)] for at, value in known])
    is_log = log and bool((values > 0).all())
    mean = np.exp(np.log(values).mean(axis=0)) if is_log else values.mean(axis=0)
    name = f"{setting.name}: mean of {len(setting.places)}"
    edges = {"mode": "lines", "line": {"width": 0, "color": setting.colour}, "showlegend": False, "hoverinfo": "skip", **on(cell)}
    low = {"type": "scatter", "x": steps, "y": values.min(axis=0), "name": f"lowest of {setting.name}", **edges}
    high = {"type": "scatter", "x": steps, "y": values.max(axis=0), "name": f"highest of {setting.name}", **edges}
    band = {**high, "fill": "tonexty", "fillcolor": faded(setting.colour, 0.22)}
    line = curve(steps, mean, name=name, colour=setting.colour, cell=cell, legend=legend)
    group = {"legendgroup": name}
    return [{**low, **group}, {**band, **group}, {**line, **group}]


def _without_seeds(config: Any) -> Any:
    if not isinstance(config, dict):
        return config
    return {name: _without_seeds(value) for name, value in config.items() if name not in _SEEDS}


def _common(names: Sequence[str], number: int) -> str:
    """What names begin with, up to a mark that parts them; a number where that is nothing."""
    shared = names[0]
    for name in names[1:]:
        while not name.startswith(shared):
            shared = shared[:-1]
    shared = shared.rstrip("0123456789").removesuffix("seed").rstrip("-_. s")
    return shared or f"setting {number}"
