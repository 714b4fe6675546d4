"""Which representations of the group is it made of?

What frequencies are to addition the irreducible representations are to a group: functions on it fall into one part for each,
which no multiplication mixes. A random embedding has a little of every part, in proportion to its size, the square of its
dimension. A circuit builds on few: they stand out in the embedding W_E, in the map W_L from neurons to logits, in the neurons,
and in the logits, where the circuit of a representation writes its character at a b c⁻¹. A part that fits by its share of
characters but not by restricted loss is used without being enough.

Measured: share of each part in W_E and W_L about their mean over elements; number of neurons of which functions of a, of b and of
products of both in one part explain more than 0.85 of the variance over all pairs; alpha^2 = share of the centred logits that the
character of a representation at a b c⁻¹ explains, and, dotted, all of them together. Of an MLP of two embeddings W_E is both of
them side by side, and W_L is W_U transposed; of several layers the neurons are the last one's, at the last position. Where a
LayerNorm lies between neurons and logits there is no linear map W_L, and no plot of it.
"""

import numpy as np
import xarray as xr

from interp import Analysis, Definition, Source, measures
from interp.figures import CYCLE, NEUTRAL, Cell, curve, draw
from interp.wording import percent

TITLES = {
    "part_share_W_E": ("Embedding W_E", "share"),
    "part_share_W_L": ("Neuron-logit map W_L", "share"),
    "part_neurons": ("Neurons of one part", "neurons"),
    "character_share": ("Logits explained by characters", "share"),
}


def measure(view):
    """Shares of every part in embedding, neuron-logit map and logits, and its neurons."""
    circuit = view.circuit
    harmonics = circuit.harmonics
    names = [str(name) for name in harmonics.names]
    found = circuit.neuron_parts
    alpha = measures.character_coefficients(circuit.logits, harmonics=harmonics, means=circuit.line_means)
    explained = (alpha.square() / circuit.energy).cpu().numpy()
    arrays = {
        "part_share_W_E": measures.part_shares(circuit.W_E, harmonics=harmonics).cpu().numpy(),
        "part_neurons": np.array([found.counts.get(name, 0) for name in harmonics.names]),
        "character_share": explained,
    }
    if circuit.has_W_L:
        arrays["part_share_W_L"] = measures.part_shares(circuit.W_L, harmonics=harmonics).cpu().numpy()
    return {
        **{
            name: xr.DataArray(values, dims="representation", coords={"representation": names}) for name, values in arrays.items()
        },
        "character_fve": float(explained.sum()),
        "neurons_dead": float(found.dead.sum()),
    }


def figure(series):
    """A line for each representation in each of the plots."""
    steps, names = series.step.values, [str(name) for name in series.representation.values]
    dashes = ("solid", "dash", "dot")
    shown = [name for name in TITLES if name in series]
    traces = [
        curve(
            steps, series[variable].sel(representation=name).values, name=name, colour=CYCLE[i % len(CYCLE)], cell=cell,
            dash=dashes[i // len(CYCLE) % 3],
        )
        | {"showlegend": cell == 1, "legendgroup": name}
        for cell, variable in enumerate(shown, start=1)
        for i, name in enumerate(names)
    ]  # fmt: skip
    fve = series["character_fve"].values
    together = curve(steps, fve, name="all together", colour=NEUTRAL, cell=len(shown), dash="dot")
    cells = [Cell(title, y=unit, time=True) for title, unit in (TITLES[name] for name in shown)]
    rows = [cells[:-2], cells[-2:]]
    return draw(
        series, rows, heights=(200, 200), fixed=[*traces, together], alt=_in_words(series, names), said=_said(series, names)
    )


def _in_words(series, names):
    matrix = "W_L" if "part_share_W_L" in series else "W_E"
    last = series[f"part_share_{matrix}"].values[-1]
    order = np.argsort(-last)[:3]
    return f"At the end {matrix} is {', '.join(f'{percent(float(last[i]))} in {names[i]}' for i in order)}."


def _said(series, names):
    """What characters explain at the end, and of which representation most."""
    shares, total = series["character_share"].values[-1], float(series["character_fve"].values[-1])
    best = int(np.argmax(shares))
    alone = percent(float(shares[best]))
    return [f"At the last step characters explain {percent(total)} of the logits, that of {names[best]} alone {alone}."]


DEFINITIONS = (
    Definition(
        "representations", "Parts of a group",
        "Shares of the irreducible representations in embedding, neurons and logits, in the place of frequencies.",
        (
            ("P_rho[x, y] =", "d / n chi_rho(x y^{-1}), two complex conjugates added; n elements, dimension d, character chi"),
            ("share of x =", "||P_rho x||^2 / ||x - mean over elements||^2"),
            ("share of f(a, b) =", "||(1 + P_rho) f (1 + P_rho)||^2 without the constant, over the variance of f"),
            ("alpha_rho =", "inner product of the logits with chi_rho(a b c^{-1}), scaled to norm 1"),
            ("FVE =", "sum of alpha_rho^2 over some representations / sum of squares of the centred logits"),
        ),
        "all pairs of elements; the matrices over the elements, without the row of `=`",
        Source("Chughtai et al. 2023", "https://arxiv.org/abs/2302.03025", "section 4"),
        waves=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "representations",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("group", "neurons"),
    definitions=(*DEFINITIONS, "restricted-loss"),
)
