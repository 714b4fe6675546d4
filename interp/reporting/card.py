"""A run at a glance, for notebooks: its headline and two small curves, from its history alone."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from interp.figures.banding import bands
from interp.figures.theme import TEST, TRAIN
from interp.observing.series import about
from interp.reporting.story import tell
from interp.wording import counted

if TYPE_CHECKING:
    import xarray as xr

    from interp.store.run import Run

_WIDTH, _HEIGHT = 300, 96  # of a plot's area
_COLUMNS = 150  # a curve is drawn by its least and greatest value in each of this many parts of its axis
_FEW = 12  # up to so many points are marked
_GREY = "#888"  # can be read on dark and on light: a picture of its own does not know what it stands on
_FLOOR = 1e-12  # a loss of 0 has no logarithm

_STATUS = {
    "running": "being trained now, at step {step}",
    "interrupted": "interrupted at step {step}; {advice}",
    "finished": "finished at step {step}",
    "stopped": "stopped after step {step}: its training loss is not finite",
}


def card(run: Run) -> str:
    """HTML with what a run's history tells: title, story, status, losses and accuracies. No script, no style but its own.

    Curves are pictures with data of their own: of an SVG inside the HTML, notebooks that are not trusted (anybody else's, or run
    without a browser) show nothing but its letters.

    Nothing is measured: what needs a look inside the checkpoints (restricted and excluded loss, key frequencies) is left out.
    """
    from interp.observing.described import history_series

    series = history_series(run)
    n = len(run.steps)
    facts = [_status(run), counted(n, "checkpoint")]
    facts += [f"recipe {run.config.recipe}", f"seed {run.config.seed}"] if run.has_config else [run.task.name]
    parts = [f'<div style="font-size:85%;opacity:.75">{escape(run.name)}: {escape(", ".join(facts))}</div>']
    if series.sizes["history_step"]:
        story = tell(series)
        parts.insert(0, f'<div style="font-size:120%;font-weight:600">{escape(story.title)}.</div>')
        parts += [f"<div>{escape(' '.join(story.short))}</div>", _plots(series)]
    return f'<div style="max-width:44em;line-height:1.5">{"".join(parts)}</div>'


def _status(run: Run) -> str:
    if run.is_imported:
        return "imported"
    if run.manifest.step is None:
        return f"{run.status}, nothing recorded yet"
    return _STATUS[run.status].format(step=f"{run.manifest.step:,}", advice=run.how_to_continue)


def _plots(series: xr.Dataset) -> str:
    losses, accuracies = (
        [(name, series[f"history_{name}_{what}"].values, colour) for name, colour in (("train", TRAIN), ("test", TEST))]
        for what in ("loss", "accuracy")
    )
    logarithms = [(name, np.log10(np.maximum(values, _FLOOR)), colour) for name, values, colour in losses]
    plots = [
        _plot("Loss (nats, logarithmic)", series, logarithms, values=losses),
        _plot("Accuracy", series, accuracies, values=accuracies, span=(0.0, 1.0)),
    ]
    return f'<div style="display:flex;flex-wrap:wrap;gap:12px;margin-top:6px">{"".join(plots)}</div>'


def _plot(
    title: str,
    series: xr.Dataset,
    curves: Sequence[tuple[str, np.ndarray, str]],
    *,
    values: Sequence[tuple[str, np.ndarray, str]],
    span: tuple[float, float] | None = None,
) -> str:
    """One small plot: the phases, a curve each for train and test, and their last values."""
    steps = series["history_step"].values
    first, last = float(steps[0]), float(max(steps[-1], steps[0] + 1))
    finite = np.concatenate([curve[np.isfinite(curve)] for _, curve, _ in curves])
    low, high = span or ((float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0))
    phases = bands(series)
    drawn = [
        f'<rect x="{_at(left, first, last):.1f}" y="0" width="{_at(right, first, last) - _at(left, first, last):.1f}" '
        f'height="{_HEIGHT}" fill="{colour}" opacity=".14"/>'
        for _, left, right, colour in phases
    ]
    for _, curve, colour in curves:
        known = np.isfinite(curve)  # what was not measured at a step is no gap in the curve
        x, y = _WIDTH * (steps[known] - first) / (last - first), _HEIGHT * (1 - (curve[known] - low) / ((high - low) or 1.0))
        drawn.append(f'<path d="{_path(x, y)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        if len(x) <= _FEW:
            drawn.append(f'<path d="{_dots(x, y)}" fill="none" stroke="{colour}" stroke-width="5" stroke-linecap="round"/>')
    ends = ", ".join(f"{name} {_last(curve)}" for name, curve, _ in values)
    label, ticks = f"{title}; at the end {ends}", ""
    if about(series).knows_step or steps[-1]:
        label = f"{title} from step {int(first):,} to {int(steps[-1]):,}; at the end {ends}"
        ticks = (
            f'<div style="display:flex;justify-content:space-between;font-size:75%;opacity:.75;width:{_WIDTH}px;max-width:100%">'
            f"<span>{int(first):,}</span><span>step {int(steps[-1]):,}</span></div>"
        )
    hint = "; ".join(f"{name} from step {int(left):,} to {int(right):,}" for name, left, right, _ in phases)
    words = "; ".join(f'<span style="color:{colour}">{name}</span> {_last(curve)}' for name, curve, colour in values)
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT + 2}" '
        f'viewBox="-1 -1 {_WIDTH + 2} {_HEIGHT + 2}">{"".join(drawn)}<path d="M0 {_HEIGHT}H{_WIDTH}" stroke="{_GREY}"/></svg>'
    )
    return (
        f'<div><div style="font-size:85%">{escape(title)}: {words}</div>'
        f'<img alt="{escape(label)}" title="{escape(hint)}" width="{_WIDTH}" height="{_HEIGHT + 2}" style="max-width:100%" '
        f'src="data:image/svg+xml;base64,{b64encode(picture.encode()).decode()}">{ticks}</div>'
    )


def _at(step: float, first: float, last: float) -> float:
    return _WIDTH * min(max((step - first) / (last - first), 0.0), 1.0)


def _last(curve: np.ndarray) -> str:
    known = curve[np.isfinite(curve)]
    return f"{known[-1]:.3g}" if known.size else "not measured"


def _dots(x: np.ndarray, y: np.ndarray) -> str:
    """The commands of a dot at every point: a line of no length, which round ends make one."""
    return "".join(f"M{px:.1f} {py:.1f}h0" for px, py in zip(x.tolist(), y.tolist(), strict=True))


def _path(x: np.ndarray, y: np.ndarray) -> str:
    """The commands of a polyline with gaps where y is not finite; of many points, only the extremes are kept."""
    if len(x) > 2 * _COLUMNS:
        parts = np.array_split(np.arange(len(x)), _COLUMNS)
        high = np.where(np.isfinite(y), y, -np.inf)
        low = np.where(np.isfinite(y), y, np.inf)
        kept = {int(i) for part in parts for i in (part[np.argmin(low[part])], part[np.argmax(high[part])])} | {0, len(x) - 1}
        chosen = np.array(sorted(kept))
        x, y = x[chosen], y[chosen]
    commands, is_drawing = [], False
    for px, py in zip(x.tolist(), y.tolist(), strict=True):
        is_finite = bool(np.isfinite(py))
        if is_finite:
            commands.append(f"{'L' if is_drawing else 'M'}{px:.1f} {py:.1f}")
        is_drawing = is_finite
    return "".join(commands)
