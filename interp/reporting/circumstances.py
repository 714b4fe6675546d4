"""What holds of a run, for all that is said only of some: how it ended, how it was trained, whether waves stand out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from interp.observing.analysis import Condition
from interp.observing.series import About
from interp.reporting.run_curves import Curves
from interp.reporting.story import tell

if TYPE_CHECKING:
    import xarray as xr


def holding(series: xr.Dataset) -> frozenset[Condition]:
    """The conditions of captions that hold of a series' run; neither of two opposites where that is not known.

    >>> import xarray
    >>> from interp.observing.series import About
    >>> said = About(p=59, config={"optimizer": {"weight_decay": 2.0}})
    >>> sorted(holding(xarray.Dataset(coords={"step": [0, 100]}, attrs={"about": said})))
    ['Over several checkpoints', 'With weight decay', 'Without representations']
    """
    curves = Curves(series)
    known, decay = curves.about, weight_decay(curves.about)
    has_keys, end = known.key_frequencies is not None and known.has_waves, tell(series).end
    found: dict[Condition, bool] = {
        "If it grokked": end == "grokked",
        "If it generalizes": curves.generalizes,
        "If it memorized": is_memorizer(curves),
        "If it has not generalized": end in ("not grokked", "not grokked yet, training"),
        "With weight decay": bool(decay),
        "Without weight decay": decay == 0,
        "If frequencies stand out": has_keys and known.stands_out,
        "If no frequency stands out": has_keys and not known.stands_out,
        "With representations": known.has_representations,
        "Without representations": not known.has_representations,
        "Over several checkpoints": series.sizes["step"] > 1,
        "If the operation commutes": commutes(series),
    }
    return frozenset(condition for condition, holds in found.items() if holds)


def commutes(series: xr.Dataset) -> bool:
    """Whether a b and b a have one answer for all pairs, by the shares of each part that `accuracy_by_split` measures.

    Where it was not measured, nothing that holds of such operations alone is said.
    """
    if "part_commuting" not in series:
        return False
    shares = series["part_commuting"].values  # NaN for a part without pairs
    return bool((shares == 1).any() and not (shares < 1).any())


def is_memorizer(curves: Curves) -> bool:
    """Whether a run ends with a table: by its verdict, or without one because it knows its training pairs and not the others."""
    verdict = curves.about.verdicts.get("generalization")
    is_table = curves.about.outcome == "memorization" if verdict is None else verdict.verdict == "memorizer"
    return is_table and not curves.generalizes


def weight_decay(known: About) -> float | None:
    """The weight decay that a run was trained with; None where that is not known, as of imported runs."""
    provenance = known.facts.get("provenance")
    unknown = provenance.get("unknown", ()) if isinstance(provenance, Mapping) else ()
    optimizer = known.config.get("optimizer")
    value = optimizer.get("weight_decay") if isinstance(optimizer, Mapping) else None
    return None if value is None or "optimizer.weight_decay" in unknown else float(value)
