"""Circuits whose answers are known: clock, pizza, lookup table, mixtures of them, and representations
of a group, as logits and as weights.

Logits are float64, for all p^2 pairs in row-major order. What the Weights compute is exact up to rounding, unless a docstring
says otherwise.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
