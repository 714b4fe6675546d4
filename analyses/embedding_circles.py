"""Do the residues lie on circles?

To add on a clock, the numbers must first be put on the clock's face. Each plot shows all residues in the plane of one key
frequency; neighbours on the clock, which are 1/k residues (mod p) apart, are joined. In a run that groks, a tangle becomes
a circle while the test accuracy still shows nothing. The colour of a residue is its angle on a perfect clock.

Measured: W_E projected on the unit directions of its cosine and its sine component of frequency k.
"""

import numpy as np
import xarray as xr

from interp import Analysis, measures
from interp.figures import NEUTRAL, WHEEL, Cell, draw, faded, in_rows, on


def measure(view):
    """Position of every residue in the plane of every key frequency."""
    circuit = view.circuit
    planes = [measures.circle(circuit.W_E, harmonics=circuit.harmonics, frequency=k).cpu().numpy() for k in circuit.keys]
    n, classes = circuit.harmonics.n, circuit.harmonics.classes
    residues = np.arange(n) if classes is None else classes.numpy()
    coords = {"key_frequency": list(circuit.keys), "residue": residues}
    points = np.asarray(planes, dtype=np.float32).reshape(len(planes), n, 2)
    return {"embedding_circle": xr.DataArray(points, dims=("key_frequency", "residue", "axis"), coords=coords)}


def figure(series):
    """One square per key frequency, at one checkpoint."""
    keys, p = [int(k) for k in series.key_frequency.values], series.sizes["residue"]
    points = series["embedding_circle"].values
    reach = 1.08 * float(np.nanmax(np.abs(points), initial=1e-9))
    residues = np.arange(p)
    orders = [np.argsort(k * residues % p, kind="stable") for k in keys]

    def circles(i):
        return [_circle(points[i, j], k, orders[j], names=series.residue.values, cell=j + 1) for j, k in enumerate(keys)]

    cells = [
        Cell(
            f"frequency {k}{': no sine, a line' if 2 * k == p else ''}",
            square=True,
            bare=True,
            x_range=(-reach, reach),
            y_range=(-reach, reach),
        )
        for k in keys
    ]  # one scale for all, so that a frequency that dies out is seen to shrink
    alt = f"Residues in the planes of the key frequencies {', '.join(map(str, keys))}."
    rows = in_rows(cells, most=5)
    return draw(series, rows, heights=[220] * len(rows), moving=circles, alt=alt)


def _circle(points, k, order, *, names, cell):
    p = len(order)
    closed = np.append(order, order[0])
    return {
        "type": "scatter", "mode": "lines+markers", "x": points[closed, 0], "y": points[closed, 1], "customdata": names[closed],
        "line": {"color": faded(NEUTRAL, 0.35), "width": 1}, "showlegend": False,
        "marker": {"size": 6, "color": (k * closed % p) / p, "cmin": 0, "cmax": 1, "colorscale": [list(stop) for stop in WHEEL]},
        "hovertemplate": f"residue %{{customdata}}<br>cos {k}: %{{x:.3f}}<br>sin {k}: %{{y:.3f}}<extra></extra>", **on(cell),
    }  # fmt: skip


ANALYSIS = Analysis(
    "embedding_circles",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("one-layer", "addition"),
    definitions=("embedding-spectrum",),
)
