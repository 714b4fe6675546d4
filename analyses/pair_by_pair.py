"""When does each pair come right, and which ones first?

Every cell is a pair (a, b), a upwards and b to the right: the step from which its answer is right and stays right, separately for
the pairs that the network was trained on and for those that it never saw. The stronger the colour, the later; red was never
right, yellow was right once and is wrong at the end. The curves count pairs: right at each step, and right from then on for good
(dotted). Where the first lies above the second, answers will be lost again.

Below, the median step by a, by b and by the answer: a class that is hard, or late, stands out.

With representations: Then the unseen pairs by what was seen near them. If answers were put together from seen pairs of the same
a, b or answer, pairs with more of these would come first; the numbers of elements are only the order in which they are listed. A
circuit for the operation itself has no use for neighbours, but it too is learned from examples, and an answer that was seen more
often can come sooner.

Without representations: Then the unseen pairs by what was seen near them. If answers were put together from seen pairs of the
same a, b or answer, pairs with more of these would come first; if the network went by the nearest seen pair, with residues as
numbers on a circle, those beside one would. A circuit for the operation itself has no use for neighbours, but it too is learned
from examples, and an answer that was seen more often can come sooner.

Measured: the first checkpoint from which the largest logit is that of the right answer at all later ones. Medians are over all
pairs of a class, wrong ones counted as later than all others; a class of which no more than half came right has none.
"""

import numpy as np
import xarray as xr

from interp import Analysis, Definition, about, measures
from interp.figures import CYCLE, NEUTRAL, TEST, TRAIN, Cell, curve, draw, key, on, remark
from interp.wording import percent

PARTS = {"seen": ("Pairs it was trained on", TRAIN), "unseen": ("Unseen pairs", TEST)}
# Wrong at the end: never right at any checkpoint, or right once and lost again.
NEVER, LOST = "#bb5566", "#ddaa33"
CLASSES = {"a": ("a", CYCLE[0]), "b": ("b", CYCLE[2]), "answer": ("answer", CYCLE[1])}
LINES = {"a": ("a or b", CYCLE[0]), "answer": ("answer", CYCLE[1])}
MODULAR = ("add", "subtract", "multiply", "x2xyy2")  # of residues, which lie on a circle; other elements have no order
LEAST = 5  # pairs of a class whose median is drawn
NO_PAIRS = "there are no such pairs"


def measure(view):
    """Whether each pair is right, trained on, or without an answer, and its answer: a table over a and b, or a value per row."""
    labels, n = view.task.labels, round(len(view.task.labels) ** 0.5)
    right = view.right.cpu().numpy()
    seen, unseen = (_among(len(labels), rows) for rows in (view.split.train, view.split.test))
    answers = labels.astype(np.min_scalar_type(view.task.classes - 1))
    grid = np.stack(np.divmod(np.arange(n * n), n), axis=1)
    is_table = np.array_equal(view.task.inputs[:, :2], grid)
    shape, dims = ((n, n), ("a", "b")) if is_table else ((len(labels),), ("row",))
    found = {"pair_right": right, "pair_seen": seen, "pair_answer": answers}
    found |= {} if (seen | unseen).all() else {"pair_left_out": ~(seen | unseen)}
    return {name: xr.DataArray(values.reshape(shape), dims=dims) for name, values in found.items()}


def _among(n, rows):
    """Whether each of n rows is one of these."""
    found = np.zeros(n, dtype=bool)
    found[rows] = True
    return found


def figure(series):
    """Maps of the dates, how many pairs are right over time, and medians by class and by what was seen."""
    known = _Known(series)
    medians = _medians(known)
    edges = {"x_range": (-0.5, known.answer.shape[1] - 0.5), "y_range": (-0.5, known.answer.shape[0] - 0.5)}
    median = {"y": "median step", "y_range": _range([trace["y"] for trace in medians])}
    keys = [key({label: colour for name, (label, colour) in each.items() if name in known.classes}) for each in (CLASSES, LINES)]
    edges |= {"square": known.is_table, "bare": True}
    maps = [Cell(f"{label}: {_span(known.of(part))}" if known.parts[part].any() else label, **edges)
            for part, (label, _) in PARTS.items()]  # fmt: skip
    rows = [
        [*maps, Cell("Right, and for good (dotted)", y="share of pairs", time=True, y_range=(-0.03, 1.05), weight=1.2)],
        [Cell(f"Unseen pairs by class: {keys[0]}", x="element" if known.is_table else "answer", **median)],
        [
            Cell(f"By seen pairs with the same: {keys[1]}", x="such pairs seen", **median),
            Cell("By the nearest seen pair", x="distance", x_range=(0.5, known.farthest + 0.5), **median),
        ],
    ]
    empty = {4, 5, 6} - {int(trace["xaxis"][1:]) for trace in medians if np.isfinite(trace["y"]).any()}
    distance = {6: "elements without an order have no distance"} if known.distance is None else {}
    whys = distance if known.parts["unseen"].any() else dict.fromkeys(empty, "no pair was left unseen")
    notes = [remark(whys.get(cell, "of no class more than half came right"), cell=cell) for cell in sorted(empty)]
    none = enumerate((known.parts[part].any() for part in PARTS), start=1)
    notes += [remark(NO_PAIRS, cell=cell) for cell, has_pairs in none if not has_pairs]
    traces = [*_maps(known), *_counts(known), *medians]
    words = {"alt": _in_words(known), "said": _said(known), "annotations": notes}
    return draw(series, rows, heights=(250, 190, 190), fixed=traces, **words)


class _Known:
    """What follows from the series: dates of all pairs, their answers, and which were seen."""

    def __init__(self, series):
        right = series["pair_right"].values
        finite = np.flatnonzero(np.isfinite(right).all(axis=tuple(range(1, right.ndim))))
        self.steps, self.right = series.step.values[finite], right[finite].astype(bool)
        self.course = measures.pair_course(self.steps, self.right)
        seen = series["pair_seen"].values[finite].astype(bool).any(axis=0)  # ever, where changes took some out or added some
        answer = series["pair_answer"].values[finite[0]]
        left_out = series["pair_left_out"].values[finite[0]].astype(bool) if "pair_left_out" in series else np.zeros_like(seen)
        self.is_table, self.parts = seen.ndim == 2, {"seen": seen, "unseen": ~(seen | left_out)}
        is_circle = self.is_table and seen.any() and about(series).operation in MODULAR
        self.distance = measures.nearest_seen(seen) if is_circle else None
        self.farthest = 1 if self.distance is None else max(1, int(self.distance.max()))
        self.answer = np.atleast_2d(answer.astype(np.int64))
        places = zip("ab", np.indices(self.answer.shape), strict=True) if self.is_table else ()
        self.classes = {**dict(places), "answer": self.answer}

    def of(self, part, values=None):
        """Dates (or other values) of the pairs of one part."""
        return (self.course.for_good if values is None else values)[self.parts[part]]


def _maps(known):
    """For each part a map of the dates, and the pairs that are wrong at the end."""
    place, course, traces = "a = %{y}, b = %{x}" if known.is_table else "row %{x}", known.course, []
    wrong, once = np.isnan(course.for_good), np.isfinite(course.first)
    first = "first right at step %{customdata:,d}<br>"
    for cell, part in enumerate(PARTS, start=1):
        low, high = _bounds(known.of(part)) or (0, 1)
        dated = {"zmin": low - 0.25 * max(high - low, 1), "zmax": high}  # the lightest colour is that of the paper
        kinds = (
            (~wrong, course.for_good, f"{first}right for good from step %{{z:,d}}", dated),
            (wrong & once, 1.0, f"{first}wrong at the end", _flat(LOST)),
            (wrong & ~once, 1.0, "never right", _flat(NEVER)),
        )
        for chosen, values, words, look in kinds:
            shown = chosen & known.parts[part]
            if shown.any():
                grids = {"z": np.where(shown, values, np.nan), **({"customdata": course.first} if first in words else {})}
                traces.append(
                    {
                        "type": "heatmap", "showscale": False, "hoverongaps": False, "text": known.answer,
                        **{name: np.atleast_2d(values).astype(np.float32) for name, values in grids.items()}, **look, **on(cell),
                        "hovertemplate": f"{place}, answer %{{text}}, {part}<br>{words}<extra></extra>",
                    }
                )  # fmt: skip
    return traces


def _flat(colour):
    return {"zmin": 0, "zmax": 1, "colorscale": [[0, colour], [1, colour]]}


def _counts(known):
    """Shares of pairs that are right at each step, and from then on."""
    traces = []
    for part, (_, colour) in PARTS.items():
        if known.parts[part].any():
            now = known.right[:, known.parts[part]].mean(axis=1)
            good = (known.of(part)[None] <= known.steps[:, None]).mean(axis=1)
            for values, name, dash in ((now, "right", "solid"), (good, "right for good", "dot")):
                traces.append(curve(known.steps, values, name=f"{name}, {part}", colour=colour, cell=3, dash=dash, legend=False))
    return traces


def _medians(known):
    """Median dates of the unseen pairs by class, by the number of seen pairs like them, and by distance."""
    seen = known.parts["seen"].reshape(known.answer.shape)
    alike = {name: measures.seen_alike(classes, seen) for name, classes in known.classes.items()}
    by = [(4, *CLASSES[name], classes) for name, classes in known.classes.items()]
    if known.is_table:
        by.append((5, *LINES["a"], alike["a"] + alike["b"]))
    by.append((5, *LINES["answer"], alike["answer"]))
    if known.distance is not None:
        by.append((6, "distance", NEUTRAL, known.distance))
    return [_one(known, classes, name=name, colour=colour, cell=cell) for cell, name, colour, classes in by]


def _one(known, classes, *, name, colour, cell):
    """Median dates by one number, those of few pairs left out."""
    unseen = known.parts["unseen"]
    found = measures.class_medians(known.of("unseen"), classes.reshape(unseen.shape)[unseen])
    enough = found.counts >= min(LEAST, found.counts.max(initial=0))
    trace = curve(found.classes[enough], found.medians[enough], name=name, colour=colour, cell=cell, legend=False)
    counts = np.stack([found.counts, found.never], axis=1)[enough]
    words = f"{name} %{{x}}: step %{{y:,d}}<br>%{{customdata[0]}} pairs, %{{customdata[1]}} wrong at the end<extra></extra>"
    return trace | {"mode": "lines+markers", "customdata": counts, "hovertemplate": words, "marker": {"color": colour, "size": 5}}


def _bounds(values):
    """The least and the largest that is a number; None if none is."""
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if len(known) else None


def _range(medians):
    """A common axis for all medians, so that they can be compared."""
    low, high = _bounds(np.concatenate(medians)) or (0, 1)
    margin = max(0.08 * (high - low), 0.02 * high, 0.05)
    return (max(0.0, low - margin), high + margin)


def _span(dates):
    return "step {:,.0f} to {:,.0f}".format(*_bounds(dates)) if np.isfinite(dates).any() else "none right at the end"


def _in_words(known):
    told = []
    for part, (label, _) in PARTS.items():
        good = (dates := known.of(part))[np.isfinite(dates)]
        middle = f", half of these from step {int(np.median(good)):,} on" if len(good) else ""
        if len(dates):
            told.append(f"{label}: {percent(len(good) / len(dates))} right for good{middle}.")
    return " ".join(told)


def _said(known):
    """What was lost again, and how far apart the checkpoints lie where unseen pairs come right."""
    told, lost = [], int((known.of("unseen", known.course.lost) > 0).sum())
    if lost:
        told.append(f"Of the unseen pairs {lost:,} were right at some checkpoint, and wrong again at a later one.")
    gap = known.of("unseen") - known.of("unseen", known.course.wrong_until)
    if np.isfinite(gap).any():
        apart = int(np.nanmedian(gap))
        told.append(f"Dates are those of checkpoints; where unseen pairs come right for good these lie {apart:,} steps apart.")
    return told


DEFINITIONS = (
    Definition(
        "pair-dates", "Dates of single pairs",
        "When each pair is first right and from when on for good, and the medians of classes of pairs.",
        (
            ("first =", "first checkpoint at which the largest logit is that of the right answer"),
            ("for good =", "first checkpoint from which it is at all later ones; none for a pair that is wrong at the last"),
            ("median of a class =", "of its dates, pairs without one counted as later than all others"),
            ("seen alike =", "number of training pairs with the same a, b or answer, the pair itself left out"),
            ("distance =", "min over training pairs (a', b') of |a - a'| + |b - b'|, |x| the distance from 0 modulo p"),
        ),
        "all inputs of any task that have an answer, at the checkpoints that there are, between which nothing is known; answers "
        "of unseen pairs are looked at",
        of_addition=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "pair_by_pair", question=__doc__, measure=measure, figure=figure, needs=("function",), definitions=DEFINITIONS
)
