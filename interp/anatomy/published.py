"""Published figures, beside which a model can be read: the paper's mainline, and models whose weights are public.

Figures are kept as they are printed, so that their digits are known. Paths lead through the table of `interp.anatomy.anatomy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from interp.networks.one_layer import Weights
from interp.networks.two_embeddings import TwoEmbeddings
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.tasks.task import Task

# Nanda et al. 2023 (arXiv 2301.05217), section 4 and Table 1: seed 0, whose weights are not public. Its ablations start from a
# loss of 2.41e-7; each figure is the loss after one of them.
MAINLINE = {
    "key_frequencies": "14, 35, 41, 42, 52",
    "neurons.clustered": "433 of 512",
    "neurons.per_frequency": "44, 93, 145, 87, 64",
    "neuron_logit_map.residual": "< 0.0055",
    "neuron_logit_map.fve": "0.932 to 0.982",
    "cos_fit.fve": "0.95",
    "heads": "fve 0.979 to 0.991",
    "loss.all": "2.41e-07",
    "ablations.nothing.loss": "2.41e-07",
    "ablations.neurons: degree-2 fit.loss": "2.48e-07",
    "ablations.neurons: a+b part of the fit.loss": "5.54e-08",
    "ablations.MLP: only the key directions.loss": "1.19e-07",
    "ablations.MLP: without the key directions.loss": "5.27",
    "ablations.all heads: zero.loss": "24.3",
}


@dataclass(frozen=True)
class PublishedModel:
    """A model whose weights are public.

    Args:
        name: what it is.
        source: where its weights are published.
        split: how its pairs were split, where that is known.
        figures: path -> figure, computed from these weights by others or by the code they came with; ``14: 44, 35: 93`` are the
            fields of a nested table.
    """

    name: str
    source: str
    split: SplitConfig | None
    figures: Mapping[str, str] = field(default_factory=dict)


# By the names of their files.
MODELS = {
    "nanda_wd_0.1_final.pth": PublishedModel(
        name="grokked model, p = 113, weight decay 0.1",
        source="official grokking code of Nanda et al. 2023",
        split=SplitConfig(rule="python", seed=1, fraction=0.3),
        figures={
            "loss_all_classes.train": "9.2024e-9",
            "loss_all_classes.test": "4.9884e-7",
            "loss.all": "3.51974e-7",
            "key_frequencies": "6, 23, 37, 39, 41",
            "restricted.all": "2.2011e-9",
            "restricted.test": "2.2477e-9",
            "excluded.train": "8.3854",
            "excluded_single": "6: 0.0293, 23: 1.18, 37: 4.36e-4, 39: 6.55e-5, 41: 2.61e-4",
            "gini.W_E": "0.53859",
            "gini.W_L": "0.75761",
            "sum_squared_weights.total": "1180.966",
            "neurons.clustered": "185",
            "neurons.per_frequency": "6: 47, 23: 31, 37: 65, 39: 11, 41: 31",
            "cos_fit.fve": "0.9748",
            "cos_fit.loss": "1.59e-9",
        },
    ),
    "pizza_p99zdpze5l.pt": PublishedModel(
        name="Model A (a pizza), p = 59, attention rate 0",
        source="code of Zhong et al. 2023",
        split=None,
        figures={
            "loss.all": "1.38e-7",
            "algorithm.gradient_symmetricity": "0.993665",
            "algorithm.distance_irrelevance": "0.171736",
            "algorithm.distance_irrelevance_runner_up": "0.221807",
            "circularity": "0.997818",
        },
    ),
    "pizza_l8k1hzciux.pt": PublishedModel(
        name="Model B (a clock), p = 59, attention rate 1",
        source="code of Zhong et al. 2023",
        split=None,
        figures={
            "loss.all": "1.56e-7",
            "algorithm.gradient_symmetricity": "0.333638",
            "algorithm.distance_irrelevance": "0.848260",
            "algorithm.distance_irrelevance_runner_up": "0.884918",
            "circularity": "0.998907",
        },
    ),
}


# What cannot be seen in the weights: weight decay, and the share of pairs that were trained on.
MAINLINE_WEIGHT_DECAY, MAINLINE_FRACTION = 1.0, 0.3


def beside_mainline(
    weights: Weights | TwoEmbeddings, task: Task, *, weight_decay: float | None, fraction: float | None
) -> tuple[Mapping[str, str], str | None]:
    """The paper's figures for a model of its setting (none for others), with a note where that setting is not known for sure.

    The setting: p = 113, addition, 4 heads, width 128, 512 ReLU neurons, ordinary attention, 114 classes, biases in the MLP,
    weight decay 1, 30 % of the pairs.

    Args:
        weight_decay: that the model was trained with; None if it is not known.
        fraction: of the pairs that it was trained on; None if it is not known.
    """
    if isinstance(weights, TwoEmbeddings):
        return {}, None
    shape = (weights.p, weights.n_heads, weights.d_model, weights.d_mlp, weights.n_ctx, weights.classes)
    biases = {name for name in weights.tensors() if name.startswith("b_")}
    ordinary = weights.activation == "relu" and weights.attention_rate == 1 and biases == {"b_in", "b_out"}
    if shape != (113, 4, 128, 512, 3, 114) or task != ModularTask(weights.p) or not ordinary:
        return {}, None
    if weight_decay not in (None, MAINLINE_WEIGHT_DECAY):
        return {}, None
    if fraction is not None and round(fraction, 2) != MAINLINE_FRACTION:
        return {}, None
    asked = {"weight decay": weight_decay, "share of training pairs": fraction}
    missing = [name for name, value in asked.items() if value is None]
    if not missing:
        return MAINLINE, None
    which = f"the {missing[0]} of this model is" if len(missing) == 1 else "those of this model are"
    return MAINLINE, f"paper's mainline: weight decay 1, 30 % of the pairs; {which} not known"


def half_a_digit(figure: str) -> float:
    """Half a unit in the last digit of a number as printed, relative to the number: what its printing leaves open.

    >>> round(half_a_digit("0.0293"), 6), half_a_digit("185")
    (0.001706, 0.0)
    """
    if figure.isdigit():
        return 0.0
    value, (digits, _, exponent) = float(figure), figure.lower().partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    return 0.5 * unit / abs(value)
