"""What do the ordinary curves say?

Loss and accuracy on the pairs the network was trained on (blue) and on the pairs it never saw (orange).

If it grokked: There is a long gap between the two: the training pairs are soon known by heart, the others stay wrong for a long
time, and then, without any change in the training, they become right. In that gap these curves say little about what goes on
inside.

If it memorized: The training pairs are known, the others stay wrong. From these curves alone nobody could tell this run from
one that groks later: that takes a look inside.

Measured: mean cross-entropy in nats, computed without the cancellation that stops a float32 softmax at 1e-7; share of pairs
whose largest logit is the right answer.
"""

import math

from interp import Analysis, Definition
from interp.figures import TEST, TRAIN, Cell, draw, line
from interp.wording import percent

PARTS = ("train", "test")
NAMES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")


def measure(view):
    """Losses and accuracies of this checkpoint, as the run's history has them."""
    known = {name: view.losses.get(name) for name in NAMES}
    return {name: math.nan if value is None else float(value) for name, value in known.items()}


def figure(series):
    """Loss and accuracy over time, from every evaluated step."""
    colours = {part: colour for part, colour in (("train", TRAIN), ("test", TEST)) if _is_known(series, part)}
    traces = [
        line(series, f"history_{part}_{what}", name=part, colour=colour, cell=cell)
        | {"showlegend": cell == 1, "legendgroup": part}
        for cell, what in ((1, "loss"), (2, "accuracy"))
        for part, colour in colours.items()
    ]
    rows = [
        [Cell("Loss", y="cross-entropy (nats)", time=True, log=True)],
        [Cell("Accuracy", y="share of pairs right", time=True, y_range=(-0.03, 1.05))],
    ]
    return draw(series, rows, heights=(260, 150), fixed=traces, alt=_in_words(series))


def _in_words(series):
    curves = {name: series[f"history_{name}"].dropna("history_step").values for name in NAMES}
    losses, accuracies = ([part for part in PARTS if len(curves[f"{part}_{what}"])] for what in ("loss", "accuracy"))
    goes = [
        f"{part} loss {'goes ' if not number else ''}from {curves[f'{part}_loss'][0]:.3g} to {curves[f'{part}_loss'][-1]:.3g}"
        for number, part in enumerate(losses)
    ]
    ends = [
        f"{part} accuracy {'is ' if not number else ''}{percent(float(curves[f'{part}_accuracy'][-1]))}"
        for number, part in enumerate(accuracies)
    ]
    told = [", ".join(goes), *([f"at the end {' and '.join(ends)}"] if ends else [])]
    words = "; ".join(filter(None, told))
    return f"{words[:1].upper()}{words[1:]}." if words else "No loss is known."


def _is_known(series, part):
    """Whether there are pairs of a part, so that something was measured on them."""
    return any(len(series[f"history_{part}_{what}"].dropna("history_step")) for what in ("loss", "accuracy"))


DEFINITIONS = (
    Definition(
        "loss", "Loss and accuracy",
        "Cross-entropy of the right answer in nats, and the share of pairs whose largest logit is the right one.",
        (
            ("loss(a, b) =", "softplus( logsumexp_{j != y} l_j - l_y ),  y = the right answer, l_j = logit of class j"),
            ("accuracy =", "share of pairs whose largest logit is l_y"),
        ),
        "the training pairs and the test pairs, each by themselves: mean over the pairs",
    ),
)  # fmt: skip

ANALYSIS = Analysis("loss_curves", question=__doc__, measure=measure, figure=figure, definitions=DEFINITIONS)
