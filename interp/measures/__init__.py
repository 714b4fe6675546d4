"""Measures: pure functions on arrays, one name and one formula each. Tensors in, float64 tensors out, nothing reduced.

Functions over pairs take all p^2 pairs in row-major order (pair (a, b) has index a p + b). NaN in the data gives NaN in the
result, or an error if the result (a choice, a count, a date) could not show it. The names are listed in ``__init__.pyi``; each is
imported when it is first used: functions that date curves need numpy only, all others torch. Those that pass over all pairs do so
in one torch thread: their many small operations, shared out, would wait for each other whenever a core is busy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
