"""Is the right answer among the best guesses?

A network that gives a wrong answer may still be close to the right one: among its two, three or five best guesses. The strongest
line is the share of pairs whose best guess is right, the ordinary accuracy; each fainter one allows one guess more. A network
that knows nothing is right by chance, k times out of the number of answers with k guesses. Below, each guess by itself: how
often it would be right if it alone were the answer.

If it grokked: Where the fainter lines rise first, the right answer has come near the top before it got there.

If it memorized: On unseen pairs even the fainter lines stay low; what stands at chance is not known even nearly.

Measured: rank of the right answer among all answers by its logit, 1 for the largest; share of pairs with a rank of at most k,
and with a rank of k.
"""

import numpy as np
import xarray as xr

from interp import Analysis, Definition, about, measures
from interp.figures import TEST, TRAIN, Cell, curve, draw, faded
from interp.wording import percent

MOST = 5
PARTS = {"train": ("pairs it was trained on", TRAIN), "test": ("unseen pairs", TEST)}
# How strongly each further guess is drawn.
SHADES = (1.0, 0.7, 0.52, 0.38, 0.27)


def measure(view):
    """Accuracy with k guesses, and of the k-th guess alone, on training and test pairs."""
    ranks, most = measures.answer_ranks(view.logits, view.labels), min(MOST, view.logits.shape[1])
    found = {}
    for part in PARTS:
        of_part = ranks[getattr(view, part).to(ranks.device)]
        for name, counted in (("top_k", measures.top_k_right), ("kth_guess", measures.kth_right)):
            share = counted(of_part, most=most).double().mean(dim=0)  # of no pair at all it is NaN
            found[f"{name}_{part}"] = xr.DataArray(share.cpu().numpy(), dims="k", coords={"k": np.arange(1, most + 1)})
    return found


def figure(series):
    """Accuracy with 1 to 5 guesses, and of each guess alone, over time."""
    steps, known = series.step.values, [int(k) for k in series.k.values]
    traces, cells, parts = [], [], _parts(series)
    for what, title in (("top_k", "Right within k guesses"), ("kth_guess", "By the k-th guess alone")):
        for part, (label, colour) in parts.items():
            cells.append(Cell(f"{title}: {label}", y="share of pairs", time=True, y_range=(-0.03, 1.05)))
            traces += [
                curve(
                    steps, series[f"{what}_{part}"].values[:, i], name=_name(what, k), colour=faded(colour, SHADES[i]),
                    cell=len(cells), legend=False,
                )
                for i, k in reversed(list(enumerate(known)))
            ]  # fmt: skip
    rows = [cells[: len(parts)], cells[len(parts) :]]
    return draw(series, rows, heights=(210, 150), fixed=traces, alt=_in_words(series), said=_said(series))


def _parts(series):
    """The parts that have pairs."""
    return {part: words for part, words in PARTS.items() if np.isfinite(series[f"top_k_{part}"].values).any()} or PARTS


def _name(what, k):
    return f"{k} {'guess' if k == 1 else 'guesses'}" if what == "top_k" else f"guess {k}"


def _in_words(series):
    last = series.isel(step=-1)
    return "At the end the right answer is " + "; ".join(
        f"among the {int(series.k[-1])} best guesses for {percent(float(last[f'top_k_{part}'][-1]))} of the {label}, the best "
        f"one for {percent(float(last[f'top_k_{part}'][0]))}"
        for part, (label, _) in _parts(series).items()
    ) + "."  # fmt: skip


def _said(series):
    """When half of the unseen pairs are right with five guesses, and when with one."""
    steps, most = series.step.values, int(series.k[-1])
    halves = [_half(steps, series["top_k_test"].values[:, i]) for i in (-1, 0)]
    if most < 2 or halves[0] is None or about(series).p < 2 * most:
        return []
    if len(steps) == 1:  # since when is not known
        return [f"Half of the unseen pairs are right within {most} guesses, and {'not ' * (halves[1] is None)}with one."]
    later = "and with one at no step" if halves[1] is None else f"and with one from step {halves[1]:,} on"
    return [f"Half of the unseen pairs are right within {most} guesses from step {halves[0]:,} on, {later}."]


def _half(steps, share):
    """The first step from which a share is at least a half for good."""
    low = np.flatnonzero(~(share >= 0.5))
    since = low[-1] + 1 if len(low) else 0
    return int(steps[since]) if since < len(steps) else None


DEFINITIONS = (
    Definition(
        "best-guesses", "Best guesses",
        "How often the right answer is among the k best guesses, and how often the k-th guess alone is right.",
        (
            ("rank(a, b) =", "1 + number of classes with a larger logit than the right answer (of equal ones, the first)"),
            ("top-k accuracy =", "share of pairs with rank <= k; for k = 1 the accuracy"),
            ("k-th guess =", "share of pairs with rank = k"),
        ),
        "the training pairs and the test pairs, each by themselves, k = 1 to 5; answers of unseen pairs are looked at",
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "best_guesses", question=__doc__, measure=measure, figure=figure, needs=("function",), definitions=DEFINITIONS
)
