"""The paper's mainline model, beside which a model of the same setting can be read.

Source: Nanda et al. 2023 (arXiv 2301.05217), section 4 and Table 1. Its weights are not public; the figures are the paper's own.
Its ablations start from a loss of 2.41e-7; each figure is the loss after one of them.
"""

from __future__ import annotations

from interp.weights import Weights

# Path in the table of `anatomy` -> what the paper says.
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


def is_mainline_setting(weights: Weights, operation: str) -> bool:
    """Whether a model has the paper's setting: p = 113, addition, 4 heads, width 128, 512 ReLU neurons, ordinary attention."""
    shape = (weights.p, weights.n_heads, weights.d_model, weights.d_mlp, weights.n_ctx)
    ordinary = weights.activation == "relu" and weights.attention_rate == 1
    return shape == (113, 4, 128, 512, 3) and operation == "add" and ordinary
