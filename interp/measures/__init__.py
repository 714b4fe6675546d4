"""Measures: pure functions on arrays, one name and one formula each. Tensors in, float64 tensors out, nothing reduced.

Functions over pairs take all p^2 pairs in row-major order (pair (a, b) has index a p + b). NaN in the data gives NaN in the
result, or an error where the result (a choice, a count, a date) could not show it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

# numpy only, and imported at once because the function and its file share a name.
from interp.measures.boundary import Boundary
from interp.measures.lead import LeadTime, lead_time, stand_out
from interp.measures.phases import Phases, is_settled, phases
from interp.measures.readings import Since, algorithm_since, generalization_since
from interp.measures.spikes import Spike, first_not_finite, health_warnings, loss_spikes

_FILES = (
    "progress",
    "cosine_fit",
    "spectrum",
    "neurons",
    "attention",
    "weights",
    "algorithm",
    "triples",
    "verdict",
    "health",
    "group",
    "grid",
)

if TYPE_CHECKING:
    from interp.measures.algorithm import (
        FormulaFit,
        LogitsFromEmbeddings,
        circularity,
        distance_irrelevance,
        formula_fit,
        gradient_symmetricity,
    )
    from interp.measures.attention import HeadFrequencies, head_frequencies
    from interp.measures.cosine_fit import CosineFit, cos_coefficients, cos_fit
    from interp.measures.grid import Combination
    from interp.measures.group import (
        Frame,
        addition_frame,
        both_units,
        by_exponent,
        discrete_logarithm,
        powers,
        unit_pairs,
        units,
        zero_divisors,
    )
    from interp.measures.health import adam_epsilon_share, collapsed, gradient_ratio
    from interp.measures.neurons import (
        NeuronFrequencies,
        degree_two_fit,
        frequency_shares,
        key_frequencies_from_neurons,
        neuron_frequencies,
    )
    from interp.measures.progress import (
        excluded_logits,
        excluded_loss,
        excluded_loss_single,
        gini,
        key_frequencies_from_coefficients,
        key_frequencies_from_matrix,
        restricted_logits,
        restricted_loss,
        restricted_loss_neurons,
    )
    from interp.measures.spectrum import Component, EmbeddingSpectrum, circle, embedding_spectrum, logit_spectrum, top_components
    from interp.measures.triples import symmetricity_triples
    from interp.measures.verdict import (
        GeneralizationVerdict,
        algorithm_verdict,
        generalization_verdict,
        loss_from_unseen,
        pair_agreement,
        shift_agreement,
    )
    from interp.measures.weights import NeuronLogitMap, neuron_logit_map, sum_squared_weights

__all__ = [
    "Boundary",
    "Combination",
    "Component",
    "CosineFit",
    "EmbeddingSpectrum",
    "FormulaFit",
    "Frame",
    "GeneralizationVerdict",
    "HeadFrequencies",
    "LeadTime",
    "LogitsFromEmbeddings",
    "NeuronFrequencies",
    "NeuronLogitMap",
    "Phases",
    "Since",
    "Spike",
    "adam_epsilon_share",
    "addition_frame",
    "algorithm_since",
    "algorithm_verdict",
    "both_units",
    "by_exponent",
    "circle",
    "circularity",
    "collapsed",
    "cos_coefficients",
    "cos_fit",
    "degree_two_fit",
    "discrete_logarithm",
    "distance_irrelevance",
    "embedding_spectrum",
    "excluded_logits",
    "excluded_loss",
    "excluded_loss_single",
    "first_not_finite",
    "formula_fit",
    "frequency_shares",
    "generalization_since",
    "generalization_verdict",
    "gini",
    "gradient_ratio",
    "gradient_symmetricity",
    "head_frequencies",
    "health_warnings",
    "is_settled",
    "key_frequencies_from_coefficients",
    "key_frequencies_from_matrix",
    "key_frequencies_from_neurons",
    "lead_time",
    "logit_spectrum",
    "loss_from_unseen",
    "loss_spikes",
    "neuron_frequencies",
    "neuron_logit_map",
    "pair_agreement",
    "phases",
    "powers",
    "restricted_logits",
    "restricted_loss",
    "restricted_loss_neurons",
    "shift_agreement",
    "stand_out",
    "sum_squared_weights",
    "symmetricity_triples",
    "top_components",
    "unit_pairs",
    "units",
    "zero_divisors",
]


def __getattr__(name: str) -> object:
    # All others need torch, and are imported when the first of them is used.
    if name in __all__:
        for file in _FILES:
            module = import_module(f"interp.measures.{file}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'interp.measures' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
