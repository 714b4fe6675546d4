"""Which unseen pairs are right?

The pairs that are held out are not all alike. Of some the twin (b, a) is trained on. Of others training has shown a and b, but
never together; where whole rows, columns or answers are held out, not even that.

If the operation commutes: A table that has noticed that the operation commutes answers the twins without computing anything. A
curve that rises for the twins alone is a better table; one that rises for all parts at once is the operation.

Measured: accuracy and mean cross-entropy in nats over each part of the held-out pairs: new answer = no training pair has the
answer; else twin = (b, a) is a training pair; else both seen = a and b occur in training pairs, each at its place; a seen, b
seen, neither seen = only one of them, or none.
"""

import math

import numpy as np
import xarray as xr

from interp import Analysis, Definition, measures
from interp.figures import CYCLE, TRAIN, Cell, curve, draw
from interp.wording import percent

LEAST = 10  # twins, and other pairs, from which on it is said that only the twins are right


def measure(view):
    """Accuracy and loss of the training pairs and of every part of the others."""
    parts, commuting = view.once_per_run("accuracy_by_split", lambda: _parts(view))
    found = measures.part_readings(view.logits, view.labels, train=view.train, parts=parts, right=view.right)
    coords = {"held_out_part": list(found.names)}
    return {
        "part_commuting": xr.DataArray(commuting, dims="held_out_part", coords=coords),
        "part_accuracy": xr.DataArray(found.accuracy.numpy(), dims="held_out_part", coords=coords),
        "part_loss": xr.DataArray(found.loss.numpy(), dims="held_out_part", coords=coords),
        "part_pairs": xr.DataArray(found.pairs.numpy(), dims="held_out_part", coords=coords),
    }


def _parts(view):
    """The parts of the held-out pairs, and how many of the training pairs and of each part have the answer of their twins."""
    pairs = view.labels.new_tensor(view.task.inputs[:, :2])
    parts = measures.held_out_parts(pairs, view.labels, train=view.train, test=view.test)
    alike = _as_their_twins(pairs.cpu(), view.labels.cpu())
    rows = [view.train, *parts.values()]
    return parts, [float(alike[its.cpu()].double().mean()) for its in rows]  # of no pair at all it is NaN


def _as_their_twins(pairs, labels):
    """Whether the answer to each pair (a, b) is that to (b, a)."""
    n = int(pairs.max()) + 1
    answers = labels.new_full((n * n,), -1)
    answers[pairs[:, 0] * n + pairs[:, 1]] = labels
    return answers[pairs[:, 1] * n + pairs[:, 0]] == labels


def figure(series):
    """A line for each part that has pairs."""
    steps = series.step.values
    sizes = dict(zip(map(str, series.held_out_part.values), series["part_pairs"].values[-1], strict=True))
    there = [name for name, size in sizes.items() if size > 0]
    colours = {name: CYCLE[i % len(CYCLE)] for i, name in enumerate(name for name in there if name != "train")} | {"train": TRAIN}
    traces = [
        curve(steps, series[variable].sel(held_out_part=name).values, name=name, colour=colours[name], cell=cell)
        | {"showlegend": cell == 1, "legendgroup": name}
        for cell, variable in ((1, "part_accuracy"), (2, "part_loss"))
        for name in there
    ]
    rows = [
        [
            Cell("Accuracy of each part", y="share of pairs right", time=True, y_range=(-0.03, 1.05)),
            Cell("Loss of each part", y="cross-entropy (nats)", time=True, log=True),
        ]
    ]
    last = {name: float(series["part_accuracy"].sel(held_out_part=name).values[-1]) for name in there}
    listed = "; ".join(f"{name} {percent(value)}" for name, value in last.items() if math.isfinite(value))
    alike = series["part_commuting"].sel(held_out_part="twin").values if "part_commuting" in series else np.zeros(1)
    said = _said(sizes, last, commutes=np.nanmin(alike, initial=1) == 1)
    return draw(series, rows, heights=(230,), fixed=traces, alt=f"Accuracy at the end: {listed}.", said=said)


def _said(sizes, last, *, commutes):
    """How many pairs a part has, and whether only the twins are right, of an operation that commutes on them."""
    counts = ", ".join(f"{name}: {int(size):,}" for name, size in sizes.items() if size > 0 and name != "train")
    others = [last[name] for name in last if name not in ("train", "twin")]
    n_others = sum(sizes[name] for name in last if name not in ("train", "twin"))
    are_enough = commutes and min(sizes.get("twin", 0), n_others) >= LEAST
    is_table = are_enough and last["twin"] > 0.9 and float(np.nanmax(others)) < 0.5
    told = [f"Held-out pairs of each part: {counts}."] if counts else []
    return [*told, *(["Only the twins of training pairs are right: it is a table that commutes."] if is_table else [])]


DEFINITIONS = (
    Definition(
        "held-out", "Parts of the held-out pairs",
        "Accuracy and loss of the held-out pairs, told apart by what training has shown of them.",
        (
            ("new answer", "no training pair has the right answer"),
            ("twin", "else (b, a) is a training pair"),
            ("both seen", "else a is the first of some training pair and b the second of some"),
            ("a seen, b seen, neither seen", "only one of these, or none"),
        ),
        "the held-out pairs of each part: mean over the pairs; every pair is in one part",
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "accuracy_by_split",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("function", "pairs"),
    definitions=(*DEFINITIONS, "loss"),
)
