"""Where do the heads look?

Each square is one head: how much of its attention goes to a (rather than to b or to `=`), for every a (up) and b (to the
right). An untrained head looks everywhere about equally.

Waves: Without representations: In a circuit for addition their attention follows waves of one frequency, which draws a plaid of
stripes. If the operation is addition, or can be read as addition, the frequency k that explains most of this attention stands
over each square, with the share it explains, and the curves show the same at every step.

Measured: softmax attention from the last position to a, over all pairs. Nanda et al. 2023, arXiv 2301.05217, section 4.2.

Waves: Without representations: Measured: For addition, the best single frequency with its eight waves of degree two, and the
fraction of variance (FVE) that it explains.
"""

import numpy as np
import xarray as xr

from interp import Analysis, Definition, Source, measures
from interp.figures import CYCLE, Cell, curve, draw, in_rows, on, remark
from interp.wording import percent


def measure(view):
    """Attention of every head to a over all pairs, its best frequency, and the mean attention to every position."""
    pattern, p, followed = view.pattern, view.weights.p, {}
    mean = pattern.double().mean(dim=0)
    if view.is_addition:
        found = measures.head_frequencies(view.circuit.pattern, harmonics=view.circuit.harmonics)
        mean = found.mean
        followed = {
            "head_frequency": xr.DataArray(found.frequency[:, 0].cpu().numpy(), dims="head"),
            "head_fve": xr.DataArray(found.fve[:, 0].cpu().numpy(), dims="head"),
        }
    to_a = pattern[:, :, 0].T.reshape(-1, p, p).cpu().numpy().astype(np.float32)
    return {
        "attention_to_a": xr.DataArray(to_a, dims=("head", "a", "b")),
        **followed,
        "attention_mean": xr.DataArray(
            mean.cpu().numpy(), dims=("head", "position"), coords={"position": np.arange(pattern.shape[2])}
        ),
    }


def figure(series):
    """One map per head at one checkpoint; fit of a single frequency, and mean attention to a, over time."""
    steps, maps, heads = series.step.values, series["attention_to_a"].values, series.sizes["head"]
    p = series.sizes["a"]
    is_wave = "head_fve" in series
    frequency, fve = (series[name].values if is_wave else None for name in ("head_frequency", "head_fve"))
    if is_wave:  # none at a checkpoint that is not finite
        frequency = np.nan_to_num(frequency).astype(np.int64)
    top = max(1.0, float(np.nanmax(maps, initial=0)))

    def at(i):
        return [
            {
                "type": "heatmap", "z": maps[i, head], "zmin": 0, "zmax": top, "showscale": False, "meta": {"coarse": True},
                "hovertemplate": f"head {head}: a = %{{y}}, b = %{{x}}<br>attention to a %{{z:.3f}}<extra></extra>",
                **on(head + 1),
            }
            for head in range(heads)
        ]  # fmt: skip

    def titles(i):
        return {head + 1: _title(head, int(frequency[i, head]), float(fve[i, head])) for head in range(heads)}

    mean = series["attention_mean"].sel(position=0).values
    shown = [*([(fve, "%{y:.3f} by frequency %{customdata}")] if is_wave else []), (mean, "%{y:.3f}")]
    colours = [CYCLE[head % len(CYCLE)] for head in range(heads)]
    curves = [
        curve(steps, values[:, head], name=f"head {head}", colour=colours[head], cell=heads + 1 + i)
        | {"showlegend": i == 0, "legendgroup": f"head {head}", "hovertemplate": text}
        | ({"customdata": frequency[:, head]} if is_wave else {})
        for i, (values, text) in enumerate(shown)
        for head in range(heads)
    ]
    edge = (-0.5, p - 0.5)
    squares = [Cell(f"head {head}", square=True, bare=True, x_range=edge, y_range=edge) for head in range(heads)]
    lines = [
        *([Cell("Explained by the best single frequency", y="FVE", time=True, y_range=(0, 1.03))] if is_wave else []),
        Cell("Mean attention to a", y="attention", time=True, y_range=(0, 1.03 * max(0.6, float(np.nanmax(mean))))),
    ]
    last = int(np.flatnonzero(np.isfinite(mean).all(axis=1))[-1])
    when = "the end" if last == len(steps) - 1 else f"step {steps[last]:,}, the last that is finite"
    alt = f"At {when}: " + "; ".join(
        f"head {head} follows frequency {frequency[last, head]} (fraction of variance explained {fve[last, head]:.2f})"
        if is_wave
        else f"mean attention of head {head} to a is {mean[last, head]:.2f}"
        for head in range(heads)
    )
    rows = [*in_rows(squares, most=4), lines]
    heights = [200] * (len(rows) - 1) + [170]
    why = (
        [] if not is_wave or np.isfinite(fve).any() else [remark("nothing to explain:<br>the same for all pairs", cell=heads + 1)]
    )
    return draw(
        series, rows, heights=heights, fixed=curves, moving=at, titles=titles if is_wave else None, annotations=why, alt=alt + "."
    )


def _title(head, frequency, fve):
    return f"head {head}: k = {frequency}, {percent(fve)}" if np.isfinite(fve) and frequency else f"head {head}: even"


NANDA = ("Nanda et al. 2023", "https://arxiv.org/abs/2301.05217")
DEFINITIONS = (
    Definition(
        "heads", "Attention heads",
        "How the attention of each head varies with (a, b): its mean, the single frequency that explains most of it, and "
        "how much.",
        (
            ("frequency =", "the k with the largest share of the attention's variance in the 8 waves of degree 2 of k"),
            ("FVE =", "that share"),
        ),
        "the attention from the last position to a, to b and to =, over all p^2 pairs",
        Source(*NANDA, "section 4.2 and appendix C.1"),
        waves=True,
        of_addition=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "attention_patterns", question=__doc__, measure=measure, figure=figure, needs=("one-layer",), definitions=DEFINITIONS
)
