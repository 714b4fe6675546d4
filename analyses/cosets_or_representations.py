"""Cosets of a subgroup, or representations?

Two readings of networks that multiply in a group have been published. By one they hold matrices of a few irreducible
representations, and multiply these (Chughtai et al. 2023, arXiv 2302.03025). By the other their neurons ask in which coset of a
subgroup each element lies, and count the cosets on which the answers agree (Stander et al. 2023, arXiv 2312.06581).

Both can be true of one neuron: moving the cosets of a subgroup around is itself a representation, or a sum of several. What tells
them apart are neurons of which one holds and the other does not: those that mix representations but are the same all over a
coset, and those of one representation that take many values in every coset. A network that remembers its pairs needs neither.

Measured: for each neuron the largest subgroup K, other than the whole group, for which its means over blocks of pairs, a in one
left coset of K and b in one right coset, explain more than 0.85 of its variance over all pairs, conjugates of K counted as one;
and whether functions of a, of b and of products of both in one representation explain more than 0.85 of it. Shares are of the
neurons that are not constant; of several layers the neurons are the last one's, at the last position. Numbers without structure
are explained to at most 1/4, so that 0.85 is far from chance in large groups; in groups of few elements some neurons pass it by
chance, as the first checkpoint shows.
"""

import numpy as np
import xarray as xr

from interp import Analysis, Definition, Source, measures
from interp.figures import CYCLE, NEUTRAL, Cell, curve, draw, key, remark
from interp.wording import percent

MOST = 5  # curves of single subgroups, or representations, in a plot; the others are added up
SHORT = 48  # letters of names that stand in a plot's title; longer ones go into the legend
READINGS = ("both", "cosets alone", "one representation alone", "neither")


def measure(view):
    """Shares of the living neurons: by the subgroup whose cosets they follow, by their representation, and by both."""
    circuit, group = view.circuit, view.group
    cosets = measures.neuron_cosets(view.neurons, group=group)
    parts = circuit.neuron_parts
    alive = ~cosets.dead.numpy()
    on_cosets = np.array([name is not None for name in cosets.subgroup])
    in_part = parts.in_cluster.cpu().numpy()
    subgroups, names = measures.coset_names(group), circuit.harmonics.names
    kinds = [on_cosets & in_part, on_cosets & ~in_part, ~on_cosets & in_part, ~on_cosets & ~in_part]
    counts = {
        "subgroup": {name: cosets.counts.get(name, 0) for name in subgroups},
        "representation": {str(name): parts.counts.get(name, 0) for name in names},
        "reading": {name: int((kind & alive).sum()) for name, kind in zip(READINGS, kinds, strict=True)},
    }
    total = int(alive.sum()) or np.nan  # of no living neuron there are no shares
    return {
        f"neurons_by_{dim}": xr.DataArray([count / total for count in by.values()], dims=dim, coords={dim: list(by)})
        for dim, by in counts.items()
        if by  # a group of prime order has no subgroups
    }


def figure(series):
    """Shares by subgroup beside shares by representation, and below them how both go together."""
    by_subgroup, by_part = _shown(series, "subgroup"), _shown(series, "representation")
    readings = {name: series["neurons_by_reading"].sel(reading=name).values for name in READINGS}
    cells, traces = [], []
    for number, (title, curves) in enumerate(
        [("On cosets of a subgroup", by_subgroup), ("Of one representation", by_part), ("By both readings", readings)], start=1
    ):
        colours = {name: NEUTRAL if name in ("others", "neither") else CYCLE[i] for i, name in enumerate(curves)}
        in_title = sum(map(len, curves)) <= SHORT
        traces += [
            curve(series.step.values, values, name=name, colour=colours[name], cell=number, legend=not in_title)
            for name, values in curves.items()
        ]
        titled = f"{title}: {key(colours)}" if curves and in_title else title
        cells.append(Cell(titled, y="share of neurons", time=True, y_range=(-0.03, 1.05)))
    notes = [remark("none at any step", cell=i) for i, curves in enumerate((by_subgroup, by_part), start=1) if not curves]
    words = {"alt": _in_words(series), "said": _said(series), "annotations": notes}
    return draw(series, [cells[:2], cells[2:]], heights=(220, 200), fixed=traces, **words)


def _shown(series, dim):
    """The curves that ever leave 0: the highest by themselves, in the order of their names in the series, the others added up."""
    if f"neurons_by_{dim}" not in series:
        return {}
    values = series[f"neurons_by_{dim}"].transpose("step", dim)
    peaks = np.nan_to_num(values.values).max(axis=0)
    first = np.sort(np.argsort(-peaks, kind="stable")[:MOST])
    found = {str(values[dim].values[i]): values.values[:, i] for i in first if peaks[i] > 0}
    rest = np.delete(values.values, first, axis=1).sum(axis=1)
    return found | ({"others": rest} if np.nan_to_num(rest).any() else {})


def _largest(series, dim):
    """The names with the largest shares at the end, three at most, and their shares."""
    if f"neurons_by_{dim}" not in series:
        return ""
    last = series[f"neurons_by_{dim}"].isel(step=-1)
    order = [i for i in np.argsort(-last.values, kind="stable")[:3] if last.values[i] > 0]
    return ", ".join(f"{last[dim].values[i]} {percent(float(last.values[i]))}" for i in order)


def _in_words(series):
    told = [
        f"{what}: {_largest(series, dim) or 'none'}" for dim, what in (("subgroup", "on cosets of"), ("representation", "of"))
    ]
    return f"Neurons at the end, {'; '.join(told)}."


def _said(series):
    """How many neurons go by cosets, by one representation, and by both, at the end."""
    values = series["neurons_by_reading"].isel(step=-1)
    if not np.isfinite(values.values).all():
        return []
    both, cosets, part = (float(values.sel(reading=name)) for name in READINGS[:3])
    among = _largest(series, "subgroup")
    which = f" ({among})" if among else ""
    return [
        f"At the end {percent(both + cosets)} of the neurons are on cosets of a subgroup{which}; {percent(both + part)} "
        f"follow one representation. Both hold of {percent(both)}, the first alone of {percent(cosets)}, the second alone of "
        f"{percent(part)}."
    ]


DEFINITIONS = (
    Definition(
        "cosets", "Neurons on cosets",
        "Whether neurons of a circuit in a group are functions of cosets of a subgroup, and of which.",
        (
            ("coset share of f =", "variance of the means of f over x K times K y, over that of f; largest of all conjugates K"),
            ("subgroup of f =", "the largest K with a coset share above 0.85, other than the group and the identity alone"),
            ("by chance =", "(m^2 - 1) / (n^2 - 1); n elements, m = n / |K| cosets"),
            ("share of neurons =", "those of one subgroup, or of one representation, over all that are not constant"),
        ),
        "all pairs of elements (a, b), f being a neuron's activation over them",
        Source("Stander et al. 2023", "https://arxiv.org/abs/2312.06581", "for the circuit; the measure is this toolkit's own"),
        waves=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "cosets_or_representations",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("group", "neurons", "subgroups"),
    definitions=(*DEFINITIONS, "representations"),
)
