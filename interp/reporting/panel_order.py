"""In which order a page has its panels, and which of them are folded: what matters most for a run comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from interp.reporting.assembly import Panel
from interp.reporting.circumstances import is_memorizer
from interp.reporting.run_curves import Curves
from interp.reporting.story import tell

if TYPE_CHECKING:
    import xarray as xr

# What is seen from outside, then when a circuit forms, then what it is made of, then everything else.
_OF_CIRCUITS = (
    "loss_curves", "forks", "progress_measures", "learning_coefficients", "representations", "cosets_or_representations",
    "embedding_circles", "neuron_frequencies", "neuron_explorer", "logit_spectrum", "both_at_once", "memorizer_or_generalizer",
    "clock_or_pizza", "accuracy_by_split", "pair_by_pair", "best_guesses", "embedding_spectrum", "transient_frequencies",
    "attention_patterns", "neuron_logit_map", "forecast", "weight_norms", "numerical_health",
)  # fmt: skip
# Of a table: why it is called one, then what it looks like inside; what asks about a circuit is folded.
_OF_TABLES = (
    "loss_curves", "forks", "memorizer_or_generalizer", "accuracy_by_split", "both_at_once", "best_guesses", "pair_by_pair",
    "learning_coefficients", "weight_norms", "neuron_explorer", "logit_spectrum", "embedding_spectrum", "attention_patterns",
    "forecast", "numerical_health",
)  # fmt: skip
_CIRCUITS = (
    "progress_measures", "representations", "cosets_or_representations", "embedding_circles", "neuron_frequencies",
    "neuron_logit_map", "transient_frequencies", "clock_or_pizza",
)  # fmt: skip
FOLDED = "It asks about a circuit, and this network is a memorizer"


def arranged(panels: Sequence[Panel], series: xr.Dataset) -> list[Panel]:
    """The panels in the order of their importance for a run; the user's own come after all built-in ones, in their order."""
    curves = Curves(series)
    if tell(series).end != "not grokked" or not is_memorizer(curves):
        return sorted(panels, key=lambda panel: _place(panel, _OF_CIRCUITS))
    order = (*_OF_TABLES, *_CIRCUITS)
    found = sorted(panels, key=lambda panel: _place(panel, order))
    return [replace(panel, folded=FOLDED) if panel.name in _CIRCUITS else panel for panel in found]


def _place(panel: Panel, order: Sequence[str]) -> int:
    return order.index(panel.name) if panel.name in order else len(order)
