"""Clock, pizza, or neither?

Two circuits can add on circles. A clock multiplies the waves of a and b and does not care how far apart a and b are; a pizza
adds them and is unsure where a and b are half a turn apart. Distance irrelevance under the lower dotted line means pizza; above
it, gradient symmetricity under the upper one means clock, and over it neither. Where fewer than 99 % of all pairs are answered
there is no circuit yet to classify, and the verdict is "not generalizing". From the step over the first plot on, every
checkpoint has the verdict of the last one.

Measured: gradient symmetricity = mean over 100 triples (a, b, c) of the cosine between the gradients of the logit of c with
respect to the embeddings of a and of b; distance irrelevance = spread of the right answer's logit within pairs of equal
distance b - a, over its spread in all; circularity = mean over the first four principal components of W_E of the share of
their best frequency; share of the logits' variance explained by the cubes cos w_k(a+b-c) (clock) and |cos(w_k(a-b)/2)| cos
w_k(a+b-c) (pizza) of the key frequencies, together and one at a time; the third plot shows the ratio of the latter, 0.81 for an
ideal clock and 1.23 for an ideal pizza (dotted). Zhong et al. 2023, arXiv 2306.17844, section 4.
"""

import math

import numpy as np
import xarray as xr

import interp
from interp import Analysis, Definition, Source, about, measures
from interp.figures import CYCLE, IN_TITLE, Cell, curve, draw, frequency_colours, key, label, level, remark
from interp.wording import percent

# The share of an ideal pizza that the clock's formula explains, and the reverse, for large p.
IDEAL_CLOCK = 8 / math.pi**2
EXPLAINED = 0.01
MOST = 2.0  # above this ratio the clock explains almost nothing
WORDS = {
    "clock": "Clock", "pizza": "Pizza", "neither": "Neither", "not generalizing": "Not generalizing",
}  # fmt: skip
NAMES = {"gradient_symmetricity": CYCLE[0], "distance_irrelevance": CYCLE[1], "circularity": CYCLE[3]}


def measure(view):
    """The paper's three measures, and how much of the logits each formula explains."""
    weights, residues = view.weights, view.weights.residue_embedding
    circuit, harmonics = view.circuit, view.circuit.harmonics
    fit, single = {"clock_fve": math.nan, "pizza_fve": math.nan}, np.full((2, len(circuit.keys)), math.nan)
    if circuit.keys:
        found = measures.formula_fit(circuit.logits, harmonics=harmonics, keys=circuit.keys, energy=circuit.energy)
        fit = {"clock_fve": float(found.clock), "pizza_fve": float(found.pizza)}
        single = np.stack([found.clock_single.cpu().numpy(), found.pizza_single.cpu().numpy()])
    coords = {"key_frequency": list(circuit.keys)}

    def from_embeddings(a, b):
        from torch import stack  # here, so that the page needs no torch for this file's definitions

        rest = [weights.W_E[weights.p].expand_as(a)] if weights.equals_sign else []
        return interp.forward_embedded(weights, stack([a, b, *rest], dim=1) + weights.W_pos).logits

    return {
        "gradient_symmetricity": float(measures.gradient_symmetricity(from_embeddings, residues).nanmean()),
        "distance_irrelevance": float(measures.distance_irrelevance(circuit.logits, circuit.labels, harmonics=harmonics)),
        "circularity": float(measures.circularity(circuit.W_E)),
        "answered": float(circuit.right.double().mean()),
        **fit,
        "clock_fve_single": xr.DataArray(single[0], dims="key_frequency", coords=coords),
        "pizza_fve_single": xr.DataArray(single[1], dims="key_frequency", coords=coords),
    }


def figure(series):
    """The measures with the paper's thresholds, and the two formulas, over time."""
    steps, colours, ratios = series.step.values, frequency_colours(about(series).key_frequencies), _ratios(series)
    title = _verdict(steps, *(series[name].values for name in ("gradient_symmetricity", "distance_irrelevance", "answered")))
    traces = [
        *(curve(steps, series[name].values, name=name.replace("_", " "), colour=colour) for name, colour in NAMES.items()),
        *(level(series, at) for at in (measures.IRRELEVANT, measures.SYMMETRIC)),
        curve(steps, series["clock_fve"].values, name="clock", colour=CYCLE[4], cell=2, legend=False),
        curve(steps, series["pizza_fve"].values, name="pizza", colour=CYCLE[5], cell=2, legend=False),
        *(level(series, at, cell=3) for at in (IDEAL_CLOCK, 1 / IDEAL_CLOCK)),
        *(curve(steps, ratio, name=f"frequency {k}", colour=colours[k], cell=3, legend=False) for k, ratio in ratios.items()),
    ]
    which = f": {key({str(k): c for k, c in colours.items()})}" if 0 < len(colours) <= IN_TITLE else ", by frequency"
    known = np.concatenate([[], *ratios.values()])
    reached = np.append(known[known <= MOST], [0.6, 1.4])
    notes = [
        label("ideal clock", IDEAL_CLOCK, cell=3, side="below"),
        label("ideal pizza", 1 / IDEAL_CLOCK, cell=3),
    ]
    if not (known <= MOST).any():
        why = f"neither formula explains {percent(EXPLAINED)}<br>of the logits by any frequency"
        why = why if series["clock_fve"].notnull().any() else "no formula was fitted"
        notes.append(remark(f"more than {MOST:.0f} throughout" if np.isfinite(known).any() else why, cell=3))
    span = (reached.min() - 0.02, reached.max() + 0.02)
    rows = [
        [
            Cell(title, y="measure", time=True, y_range=(-0.05, 1.05)),
            Cell(f"Variance explained by {key({'clock': CYCLE[4], 'pizza': CYCLE[5]})}", y="share", time=True, y_range=(0, 1.03)),
            Cell(f"Pizza over clock{which}", y="ratio", time=True, y_range=span),
        ]
    ]
    alt = f"{title}. At the end: " + ", ".join(f"{name.replace('_', ' ')} {float(series[name][-1]):.3f}" for name in NAMES) + "."
    return draw(series, rows, heights=(230,), fixed=traces, annotations=notes, alt=alt, said=_said(series, ratios))


def _said(series, ratios):
    """How far the last readings are from the limits, and where single frequencies disagree with the whole."""
    names = ("gradient_symmetricity", "distance_irrelevance", "answered")
    symmetricity, irrelevance, accuracy = (float(series[name][-1]) for name in names)
    curves = {"symmetricity": [symmetricity], "irrelevance": [irrelevance], "accuracy": [accuracy]}
    verdict = measures.algorithm_since([0], **curves).verdict  # of the last checkpoint, without what needs torch
    if verdict == "not generalizing":  # also where something is not a number
        return []
    better = [str(k) for k, ratio in ratios.items() if ratio[-1] > 1] if verdict == "clock" else []
    return [
        f"At the end distance irrelevance is {irrelevance:.2f}, where {measures.IRRELEVANT:g} parts pizza from clock, and "
        f"gradient symmetricity {symmetricity:.2f}, where {measures.SYMMETRIC:g} parts clock from neither.",
        *(
            [f"Taken by themselves these frequencies are fitted better by the pizza's formula: {', '.join(better)}."]
            if better
            else []
        ),
    ]


def _ratios(series):
    """For each key frequency, the ratio of the shares that the formulas explain, once they explain anything."""
    clock, pizza = series["clock_fve_single"], series["pizza_fve_single"]
    ratio = (pizza / clock).where((clock > EXPLAINED) | (pizza > EXPLAINED))
    return {int(k): ratio.sel(key_frequency=k).values for k in about(series).key_frequencies}


def _verdict(steps, symmetricity, irrelevance, accuracy):
    found = measures.algorithm_since(steps, symmetricity=symmetricity, irrelevance=irrelevance, accuracy=accuracy)
    if found.verdict == "not generalizing" and len(steps) > 1 and found.boundary.step == steps[0]:
        return "Not generalizing at any step"
    return f"{WORDS[found.verdict]} {'since' if len(steps) > 1 else 'at'} {found.boundary}"


ZHONG = ("Zhong et al. 2023", "https://arxiv.org/abs/2306.17844")
DEFINITIONS = (
    Definition(
        "algorithm", "Clock, pizza or neither",
        "A verdict from the measures of Zhong et al., with the evidence, and the step since which a run has deserved it.",
        (
            ("not generalizing", "fewer than 99 % of all pairs answered"),
            ("pizza", "distance irrelevance < 0.4"),
            ("clock", "distance irrelevance >= 0.4 and gradient symmetricity <= 0.98"),
            ("neither", "both high"),
        ),
        "each checkpoint by itself, over all p^2 pairs",
        Source(*ZHONG, "section 4"),
        waves=True,
        of_addition=True,
    ),
    Definition(
        "gradient-symmetricity", "Gradient symmetricity",
        "Whether a and b enter the network in the same way: the cosine between the gradients of a logit with respect to the "
        "two embeddings.",
        (("S =", "mean_{(a, b, c)} cos( dQ_{abc} / dE_a , dQ_{abc} / dE_b ),  Q_{abc} = logit of c on input (a, b)"),),
        "100 triples (a, b, c): the first of all p^3 in order, shuffled by Python's random.Random(42), as the authors draw them",
        Source(*ZHONG, "section 4"),
        waves=True,
        of_addition=True,
    ),
    Definition(
        "distance-irrelevance", "Distance irrelevance",
        "How little the logit of the answer depends on the distance b - a.",
        (
            ("L_{ij} =", "logit of the correct answer on (i, j); for the runner-up, that of the best wrong answer"),
            ("D =", "mean_d ( std_i L_{i, i+d} ) / std_{i, j} L_{ij}"),
        ),
        "the logits of all p^2 pairs",
        Source(*ZHONG, "section 4"),
        waves=True,
        of_addition=True,
    ),
    Definition(
        "circularity", "Circularity",
        "Whether the first four principal components of the embedding are waves of a single frequency each; circular if at "
        "least 0.995.",
        (
            (
                "circularity =",
                "mean_{l = 1..4} max_k 2 / (p sum_j v_{lj}^2) | sum_j v_{lj} e^{2 pi i j k / p} |^2,  "
                "v_l = principal components of W_E",
            ),
        ),
        "the rows of W_E that belong to residues",
        Source(*ZHONG, "section 4"),
        waves=True,
        of_addition=True,
    ),
    Definition(
        "formulas", "Clock and pizza formulas",
        "How much of the logits (centred over the classes) each ideal formula explains, for all key frequencies "
        "together and for one at a time.",
        (
            ("clock", "cos w_k(a + b - c)"),
            ("pizza", "| cos( w_k (a - b) / 2 ) | cos w_k(a + b - c)"),
        ),
        "the logits of all p^2 pairs, centred over the classes: share of their variance that the formula explains",
        Source(*ZHONG, "section 4"),
        waves=True,
        of_addition=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "clock_or_pizza",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("one-layer", "addition"),
    definitions=DEFINITIONS,
)
