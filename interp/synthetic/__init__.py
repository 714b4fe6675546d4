"""Circuits whose answers are known: clock, pizza, lookup table, and mixtures of them, as logits and as Weights.

Logits are float64, for all p^2 pairs in row-major order. What the Weights compute is exact up to rounding, unless a docstring
says otherwise.
"""

from interp.synthetic.circuits import clock_weights, pizza_weights
from interp.synthetic.formulas import clock_logits, pizza_logits
from interp.synthetic.lookup import lookup_answers, lookup_logits, lookup_weights
from interp.synthetic.mixing import mixture, mixture_weights

__all__ = [
    "clock_logits",
    "clock_weights",
    "lookup_answers",
    "lookup_logits",
    "lookup_weights",
    "mixture",
    "mixture_weights",
    "pizza_logits",
    "pizza_weights",
]
