"""Do the residues lie on circles?

To add on a clock, the numbers must first be put on the clock's face. Each plot shows all residues in the plane of one frequency
of those that the network builds on; neighbours on the clock, which are 1/k residues (mod p) apart, are joined. The colour of a
residue is its angle on a perfect clock: a tangle of mixed colours is no clock, a ring with the colours in order is one.

If no frequency stands out: No frequency stands out in this network. What is drawn is the plane of every frequency that passes
the rule, and none of them need be anybody's clock.

Measured: W_E projected on the unit directions of its cosine and its sine component of frequency k.
"""

import numpy as np
import xarray as xr

from interp import Analysis, about, measures
from interp.figures import NEUTRAL, WHEEL, Cell, draw, faded, in_rows, on
from interp.wording import percent

# Shares of a perfect circle: of a clean ring, and of what nobody would call one. A random embedding of more dimensions than
# residues comes close to one, as it is projected on its own directions.
RING, TANGLE = 0.95, 0.9


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
    p, (keys, points) = series.sizes["residue"], _largest_first(series)
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
    return draw(series, rows, heights=[220] * len(rows), moving=circles, alt=alt, said=_said(series, keys, points))


def _roundness(points, k):
    """For each checkpoint, the share of the points' squares that a perfect circle explains: every residue at its own angle."""
    p = points.shape[1]
    z, turn = points[..., 0] + 1j * points[..., 1], np.exp(2j * np.pi * k * np.arange(p) / p)
    size = np.maximum((np.abs(z) ** 2).sum(axis=1), 1e-30)
    return np.maximum(*(np.abs(z @ one) ** 2 for one in (turn, turn.conj()))) / (p * size)


def _said(series, keys, points):
    """A circle that is there while most answers are wrong, and frequencies that have none at the end."""
    steps, p = series.step.values, points.shape[2]
    known = series["history_test_accuracy"].dropna("history_step") if "history_test_accuracy" in series else []
    round_ = {k: _roundness(points[:, j], k) for j, k in enumerate(keys) if 2 * k != p}
    if not about(series).stands_out or not round_:
        return []
    told = []
    if len(known) > 1:
        right = known.reindex(history_step=steps, method="ffill").values
        early = [
            (int(np.flatnonzero(ring)[0]), k)
            for k, share in round_.items()
            for ring in [(share >= RING) & (right < 0.5) & (share[0] < TANGLE)]
            if ring.any() and share[-1] >= RING
        ]
        for i, k in [min(early)] if early else []:
            told.append(
                f"The ring comes before the answers: at step {steps[i]:,} the residues lie on a circle of frequency {k} "
                f"({percent(float(round_[k][i]))} of what is drawn is a perfect circle), while test accuracy is "
                f"{percent(right[i])}."
            )
    none = [k for k, share in round_.items() if share[-1] < TANGLE]
    if none:
        told.append(f"Without a clean circle at the end: {', '.join(map(str, none))}.")
    return told


def _largest_first(series):
    """Frequencies and their points, the largest circle at the end first."""
    points = series["embedding_circle"].values
    size = np.nan_to_num(np.square(points[-1]).sum(axis=(1, 2)))
    order = np.argsort(-size, kind="stable")
    return [int(k) for k in series.key_frequency.values[order]], points[:, order]


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
    needs=("embedding", "addition", "function", "keys"),
    definitions=("embedding-spectrum",),
)
