"""Do frequencies come and go?

Of the frequencies that grow at first not all need stay: some stand out for a while and are given up for others. Every line is
the share of one frequency in the energy of W_L, the map from neurons to logits, or of the embedding W_E; coloured are those that
stand out in either at some time, dashed those that no longer do at the end. Beside them the same as a calendar: from when to when
each of them stands out.

If no frequency stands out: Many frequencies share the energy here, and a frequency that crosses the limits needs no circuit of
its own to be lost.

Measured: share of frequency k in the squared norms of all frequencies. It stands out from twice the share that each would have
if all were alike (dotted), until it falls below that even share.
"""

import numpy as np
import xarray as xr

from interp import Analysis, Definition, about, measures
from interp.figures import CYCLE, NEUTRAL, Cell, curve, draw, faded, frequency_colours, level, on
from interp.wording import listed

MATRICES = {"energy_share_W_L": "W_L", "energy_share_W_E": "W_E"}
# Transients that are named and coloured, for each matrix: those of the largest share; the others are drawn and counted.
NAMED = 6


def measure(view):
    """Share of each frequency in the energy of W_L and of W_E."""
    circuit = view.circuit
    coords = {"frequency": list(circuit.harmonics.names)}
    return {
        name: xr.DataArray(
            measures.energy_shares(getattr(circuit, f"spectrum_{matrix}").frequencies.cpu().numpy()),
            dims="frequency",
            coords=coords,
        )
        for name, matrix in MATRICES.items()
    }


def figure(series):
    """For each matrix the shares of all frequencies over time, and when each stood out."""
    found = {name: _spells(series, name) for name in MATRICES}
    colours = _colours(series, found)
    traces, cells = [], []
    frequencies = series.frequency.values
    for i, (name, matrix) in enumerate(MATRICES.items()):
        lasting, passing = _sorted_out(found[name])
        traces += _shares(series, name, colours=colours, passing=passing, cell=2 * i + 1)
        traces += _calendar(series, found[name], colours=colours, cell=2 * i + 2)
        cells += [
            Cell(f"{matrix}: {_title(passing)}", y="share of energy", time=True, y_range=(-0.02, 1.05 * _highest(series, name))),
            Cell(
                f"Stands out in {matrix}: {len(lasting)} at the end",
                y="frequency",
                time=True,
                y_range=(frequencies[0] - 0.7, frequencies[-1] + 0.7),
            ),
        ]
    alt = " ".join(_sentences(found)) or "No frequency stands out in W_L or W_E at any of these steps."
    return draw(series, [cells[:2], cells[2:]], heights=(210, 210), fixed=traces, alt=alt, said=_sentences(found))


def _spells(series, name):
    shares = series[name].values
    if not np.isfinite(shares).any():
        return ()
    return measures.spells(series.step.values, shares, names=[int(k) for k in series.frequency.values])


def _sorted_out(found):
    """Names of the frequencies that stand out at the end, and of those that once did, by their largest share."""
    lasting = [each.name for each in found if not each.is_transient]
    passing = sorted((each for each in found if each.name not in lasting), key=lambda each: -each.share)
    return lasting, list(dict.fromkeys(each.name for each in passing))


def _colours(series, found):
    """Key frequencies in their colours of every figure, then those that last, then the largest transients."""
    colours = dict(frequency_colours(about(series).key_frequencies or ()))
    for spells in found.values():
        lasting, passing = _sorted_out(spells)
        for k in [*lasting, *passing[:NAMED]]:
            colours.setdefault(k, CYCLE[len(colours) % len(CYCLE)])
    return colours


def _shares(series, name, *, colours, passing, cell):
    """A line for each frequency; those without a colour of their own first and faint."""
    steps, values = series.step.values, series[name].values
    order = sorted(enumerate(int(k) for k in series.frequency.values), key=lambda each: each[1] in colours)
    even = 1 / len(order)
    return [
        *(
            curve(
                steps, values[:, i], name=f"frequency {k}", colour=colours.get(k, faded(NEUTRAL, 0.35)), cell=cell, legend=False,
                dash="dash" if k in passing else "solid",
            )
            | {"hovertemplate": f"frequency {k}: %{{y:.3f}}<extra></extra>", "hoverinfo": "all" if k in colours else "skip"}
            | ({} if k in colours else {"hovertemplate": None})
            for i, k in order
        ),
        level(series, 2 * even, cell=cell),
    ]  # fmt: skip


def _calendar(series, found, *, colours, cell):
    """A bar for each spell, from the step at which it rose to that at which it fell."""
    end, traces = int(series.step.values[-1]), []
    _, passing = _sorted_out(found)
    for each in found:
        until = end if each.fell is None else each.fell
        words = str(each) if each.is_transient else f"{each}, to the end"
        traces.append(
            {
                "type": "scatter", "mode": "lines+markers", "x": np.array([each.rose, until]), "y": np.array([each.name] * 2),
                "name": f"frequency {each.name}", "showlegend": False, "cliponaxis": False,
                "line": {
                    "color": colours.get(each.name, NEUTRAL), "width": 4 if each.name in passing else 6,
                    "dash": "dot" if each.name in passing else "solid",
                },
                "marker": {"color": colours.get(each.name, NEUTRAL), "size": 7},
                "hovertemplate": f"{words}<br>at most {each.share:.3f} of the energy<extra></extra>", **on(cell),
            }
        )  # fmt: skip
    return traces or [curve([0, end], [np.nan, np.nan], name="none", colour=NEUTRAL, cell=cell, legend=False)]


def _highest(series, name):
    return max(0.1, float(np.nanmax(series[name].values, initial=0)))


def _title(passing):
    """Which frequencies did not last."""
    if not passing:
        return "none came and went"
    named = ", ".join(map(str, sorted(passing[:NAMED])))
    more = f" and {len(passing) - NAMED} more" if len(passing) > NAMED else ""
    return f"{named}{more} came and went"


def _sentences(found):
    """Which frequencies stood out for a while and no longer do."""
    told = []
    for name, spells in found.items():
        _, passing = _sorted_out(spells)
        chosen = [each for each in spells if each.name in passing[:NAMED]]
        if chosen:
            more = f" ({len(passing) - NAMED} more are not named)" if len(passing) > NAMED else ""
            told.append(f"Stood out in {MATRICES[name]} and no longer do: {listed([str(each) for each in chosen])}{more}.")
    return told


DEFINITIONS = (
    Definition(
        "transient-frequencies", "Frequencies that come and go",
        "From when to when each frequency stands out in the energy of W_L or W_E; transient are those that do not at the end.",
        (
            ("e_k =", "|| rows cos k, sin k of F W ||^2,  share of k = e_k / sum_j e_j,  K = number of frequencies"),
            ("rises at", "the first checkpoint with share >= 2 / K"),
            ("falls at", "the first checkpoint after that with share < 1 / K, the share of each if all were alike"),
        ),
        "W = W_L, and W = W_E without the row of =; the checkpoints that there are, between which nothing is known",
        waves=True,
        of_addition=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "transient_frequencies",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("one-layer", "addition"),
    definitions=(*DEFINITIONS, "embedding-spectrum"),
)
