"""Tables of several runs: what was found in each of them, and the fields of their configurations that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from interp.figures.tabled import Table
from interp.measures.lead import LeadTime
from interp.observing.dips_in_words import outcome_in_words
from interp.observing.series import About, about
from interp.reporting.fact_tables import flat
from interp.reporting.lineage_table import lineage_table
from interp.reporting.run_curves import Curves
from interp.reporting.story import MILESTONES, tell
from interp.wording import counted, number, percent

if TYPE_CHECKING:
    import xarray as xr


def outcome_tables(runs: Sequence[xr.Dataset], names: Sequence[str]) -> list[Table]:
    """What was found in each run, and the fields of the configurations that differ."""
    stories = [tell(series) for series in runs]
    known = [about(series) for series in runs]
    undated = [Curves(series).undated for series in runs]
    outcomes = (why or _outcome(series) for why, series in zip(undated, runs, strict=True))
    rows: list[tuple[str, ...]] = [("outcome", *outcomes), *_verdicts(known), *_losses(runs)]
    for name in MILESTONES:
        found = [story.milestone(name) for story in stories]
        if labels := dict.fromkeys(one.label.lower() for one in found if one):
            rows.append((" or ".join(labels), *("-" if one is None else str(one) for one in found)))
    if any(one.has_waves for one in known):
        rows.append(("lead time", *(why or _lead(story.lead) for why, story in zip(undated, stories, strict=True))))
        rows.append((f"key {parts_of(known)}", *map(_keys, known)))
    found_and_differ = [
        Table("What was found", ("", *names), tuple(rows)),
        Table("How they differ", ("", *names), _differences(runs)),
    ]
    return [*lineage_table(known, names), *found_and_differ]


def _verdicts(known: Sequence[About]) -> list[tuple[str, ...]]:
    """Memorizer or generalizer, clock or pizza, as far as any run has been judged."""
    asked = {"generalization": "memorizer or generalizer", "algorithm": "clock or pizza"}
    return [
        (title, *(one.verdicts[name].verdict if name in one.verdicts else "-" for one in known))
        for name, title in asked.items()
        if any(name in one.verdicts for one in known)
    ]


def _losses(runs: Sequence[xr.Dataset]) -> list[tuple[str, ...]]:
    """Losses and accuracies at the end of each run."""
    found = []
    for part in ("train", "test"):
        for what in ("loss", "accuracy"):
            ends = [Curves(series).at(f"history_{part}_{what}", np.inf) for series in runs]
            say = percent if what == "accuracy" else number
            if any(one is not None for one in ends):
                found.append((f"{part} {what} at the end", *("-" if one is None else say(one) for one in ends)))
    return found


def parts_of(known: Sequence[About]) -> str:
    """The noun for what the runs' harmonics are made of: representations where that is so of all that have any."""
    with_parts = [one.has_representations for one in known if one.has_waves]
    return "representations" if with_parts and all(with_parts) else "frequencies"


def left_out_table(left_out: Mapping[str, str]) -> list[Table]:
    """The runs that are not on a page, with the reasons, if there are any."""
    return [Table("Runs that could not be read", (), tuple(left_out.items()), wide=True)] if left_out else []


def _outcome(series: xr.Dataset) -> str:
    """The outcome, whether it was lost again, and why it is unknown where the measured steps do not tell."""
    curves = Curves(series)
    if curves.is_apart:
        return f"unknown: {curves.what_is_apart} too far apart"
    return "unknown" if curves.about.phases is None else outcome_in_words(curves.about.phases)


def _lead(lead: LeadTime | None) -> str:
    """The lead between first steps; beside it, where a curve dips, that between the steps from which both hold for good."""
    if lead is None or lead.steps is None or lead.first is None:
        return "none"
    if not lead.is_told:
        return "either may have come first"
    kept = "" if lead.first == lead.steps else f" ({counted(lead.steps, 'step')} for good)"
    return f"{counted(lead.first, 'step')}{kept}"


def _keys(known: About) -> str:
    keys = known.key_frequencies or ()
    if keys and not known.stands_out:
        return f"none stands out: {len(keys)} of {known.n_frequencies} pass the rule"
    return ", ".join(map(str, keys)) or "none"


def _differences(runs: Sequence[xr.Dataset]) -> tuple[tuple[str, ...], ...]:
    """A row for each field that is not the same in all runs, as text. (`interp.config.differences` compares two, by value.)"""
    configs = [dict(flat(about(series).config)) for series in runs]
    exact = [dict(flat(about(series).config, say=repr)) for series in runs]
    fields = dict.fromkeys(name for config in configs for name in config)
    is_other = [name for name in fields if len({config.get(name) for config in exact}) > 1]
    # Numbers that would look alike as they are usually written are written in full.
    different = tuple(
        (name, *(config.get(name, "none") for config in (exact if len({c.get(name) for c in configs}) == 1 else configs)))
        for name in is_other
    )
    return different or (("configuration", *("the same" for _ in runs)),)
