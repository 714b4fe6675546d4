"""What a study found, in words: how many runs grokked, how many were not seen to, and what differs between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interp.figures.study_table import StudyTable
from interp.studies.durations import FEW
from interp.studies.timed import NOT_MEASURED, ended
from interp.wording import counted

SEEDS_SET = {
    "both": "initial weights and split together",
    "weights": "the initial weights alone; the split is the same",
    "split": "the split alone; the initial weights are the same",
}
# What the seeds leave as it is may be an axis.
_SEED_OF_THE_REST = {"weights": "split.seed", "split": "seed"}
_OTHER_ENDS = (
    ("stopped", "broke off", "their loss was not finite"),
    ("failed", "failed", "they could not be trained or read"),
    ("unfinished", "unfinished", "begun, and not at their end"),
    ("missing", "missing", "not begun yet"),
)


@dataclass(frozen=True)
class Tile:
    """One number at the head of the page."""

    label: str
    value: str
    meaning: str


@dataclass(frozen=True)
class StudyStory:
    """The head of a study's page.

    Args:
        title: the headline, without a full stop.
        sentences: what follows it.
        tiles: counts of the runs.
        few: what is to be said of cells with fewer than 10 finished runs; None if there is none.
    """

    title: str
    sentences: tuple[str, ...]
    tiles: tuple[Tile, ...]
    few: str | None

    def __str__(self) -> str:
        return " ".join([f"{self.title}.", *self.sentences, *([self.few] if self.few else [])])


def study_story(table: StudyTable) -> StudyStory:
    """The story of a study's rows."""
    rows, states = table.rows, Counter(row["status"] for row in table.rows)
    finished = ended(rows)
    grokked = sum(row["grokked"] is not None for row in finished)
    within = _within(finished or rows)
    tiles = [Tile("Runs", f"{len(rows):,}", f"{counted(len(table.cells), 'cell')}, {counted(_seeds(rows), 'seed')}")]
    if finished:
        tiles.append(Tile("Grokked", f"{grokked:,}", f"test accuracy 99 % for good, {within}"))
        beyond = len(finished) - grokked
        tiles.append(Tile(f"Not {within}", f"{beyond:,}", "what they would have done later is not known (right-censored)"))
    tiles += [Tile(label.capitalize(), f"{states[name]:,}", why) for name, label, why in _OTHER_ENDS if states[name]]
    return StudyStory(
        _title(grokked, len(finished), within),
        tuple(_sentences(table, states, grokked, within=within)),
        tuple(tiles),
        _few(table),
    )


def _title(grokked: int, finished: int, within: str) -> str:
    if not finished:
        return "No run is finished yet"
    if finished == 1:
        return f"The one finished run {'grokked' if grokked else 'did not grok'} {within}"
    of = {0: f"None of {finished:,}", finished: "Both" if finished == 2 else f"All {finished:,}"}
    return f"{of.get(grokked, f'{grokked:,} of {finished:,}')} runs grokked {within}"


def _sentences(table: StudyTable, states: Mapping[str, int], grokked: int, *, within: str) -> list[str]:
    varied = _listed([f"{axis.label} ({_span(axis.texts)})" for axis in table.axes])
    seeds = _seeds(table.rows)
    differ = f"The runs differ in {varied}" if table.axes else "Nothing varies but the seed"
    repeated = f"each with {counted(seeds, 'seed')}" if seeds > 1 else "with one seed each"
    told = [f"{differ}, {repeated}. A seed sets {_seeds_set(table)}."]
    finished = len(ended(table.rows))
    if beyond := finished - grokked:
        told.append(
            f"{counted(beyond, 'run')} did not {within}: {'it is' if beyond == 1 else 'they are'} neither left out nor "
            "counted as if it had happened at the end."
        )
    others = [f"{states[name]:,} {label} ({why})" for name, label, why in _OTHER_ENDS if states[name]]
    if unmeasured := sum(NOT_MEASURED in str(row["why"]) for row in table.rows):
        told.append(f"{counted(unmeasured, 'run')} could not be measured after the last step; interp study show says why.")
    if others:
        told.append(f"Of {counted(len(table.rows), 'run')}, {_listed(others)}: no number here is drawn from them.")
    return told


def _seeds_set(table: StudyTable) -> str:
    """What a seed sets, and what is then the same, unless that is varied too."""
    said = SEEDS_SET[table.seeds_are]
    varies = _SEED_OF_THE_REST.get(table.seeds_are) in [field for axis in table.axes for field in axis.fields]
    return said.partition(";")[0] if varies else said


def _few(table: StudyTable) -> str | None:
    """That cells have fewer than 10 finished runs, and which numbers of runs they have."""
    sizes = [len(ended(rows)) for rows in table.cells.values()]
    small = [size for size in sizes if size < FEW]
    if not small:
        return None
    span = f"{min(small)}" if min(small) == max(small) else f"{min(small)} to {max(small)}"
    which = (
        "Every cell has"
        if len(small) == len(sizes)
        else f"{counted(len(small), 'cell')} of {len(sizes)} {'has' if len(small) == 1 else 'have'}"
    )
    return f"{which} fewer than {FEW} finished runs ({span}): wherever a number is drawn from so few, it is said beside it."


def _within(rows: Sequence[Mapping[str, Any]]) -> str:
    """The budget of the runs, in words."""
    budgets = {row["budget"] for row in rows if row["budget"]}
    if len(budgets) != 1:
        return "within their budget"
    return f"within {counted(int(next(iter(budgets))), 'step')}"


def _seeds(rows: Sequence[Mapping[str, Any]]) -> int:
    return len({row["seed"] for row in rows})


def _span(texts: Sequence[str]) -> str:
    if len(texts) == 1:
        return f"{texts[0]} alone"
    return ", ".join(texts) if len(texts) <= 4 else f"{texts[0]} to {texts[-1]}, {len(texts)} values"


def _listed(parts: Sequence[str]) -> str:
    """Parts with commas and a last `and`.

    >>> _listed(["a"]), _listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
