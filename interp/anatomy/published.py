"""The paper's mainline model, beside which a model of the same setting can be read.

Source: Nanda et al. 2023 (arXiv 2301.05217), sections 4 and 5, tables 1 and 2. Its weights are not public; the figures are the
paper's own.
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
    "heads.fve": "0.979 to 0.991",
    "loss.all": "2.41e-07",
}


def is_mainline_setting(weights: Weights, operation: str) -> bool:
    """Whether a model has the paper's setting: p = 113, addition, 4 heads, width 128, 512 ReLU neurons, ordinary attention."""
    shape = (weights.p, weights.n_heads, weights.d_model, weights.d_mlp, weights.n_ctx)
    ordinary = weights.activation == "relu" and weights.attention_rate == 1
    return shape == (113, 4, 128, 512, 3) and operation == "add" and ordinary
