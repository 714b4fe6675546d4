"""The split of an imported run: given, stored, drawn by a rule, or told by the losses; and what speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, product
from typing import TypeGuard

import numpy as np
from jaxtyping import Float64

from interp.errors import DataError, UsageError
from interp.interop.content import Content
from interp.interop.held_network import Held, HeldTask
from interp.interop.known import Known
from interp.interop.split import misfit, pair_losses
from interp.interop.split_file import read_split, stored_split
from interp.interop.split_search import Search, clear, clearness, search, shortest_fraction, shown, supports
from interp.tasks.splits import SPLIT_RULES, Split, SplitConfig

# Stored losses are from before the last update, so that the right split fits closely but not always exactly.
_CLOSE = 0.05
# Published losses further off than this do not go with a split that only a list of pairs gives.
_FAR = 0.5
# How many earlier models are looked at where the last one does as well on all pairs.
_EARLIER = 5
# Seeds with which stored pairs are compared, to find the rule that they came from.
_USUAL = (598, 0, 1, 42)

Found = tuple[SplitConfig | None, Split | None, list[str]]


def _unsaid(_: Split) -> str:
    return ""


def find_split(
    content: Content,
    models: Sequence[Held],
    task: HeldTask,
    *,
    known: Known,
    drawn: SplitConfig | Split | None,
    logged: Callable[[Split], str] = _unsaid,
) -> Found:
    """The split of a run, with the rule it came from if there is one, and notes on how certain it is.

    Tried in this order: the caller's; the stored indices; the format's rule with the stored seed, if the losses do not speak
    against it; the one among the seeds of all rules that the losses on the single pairs tell, those of the last model or, where
    it does as well on all pairs, of some earlier one.

    Args:
        content: what the file holds.
        models: all of the run, ascending.
        task: what they learned.
        known: what the caller says.
        drawn: the split by the format's rule and stored seed, or its pairs where that rule draws none of ours.
        logged: in words, how the losses of a training log agree with a split; empty without any.

    Raises:
        UsageError: if the caller gives a split twice, or a list of pairs that is none.
        DataError: if the stored split is damaged.
    """
    if known.split is not None and known.split_file is not None:
        raise UsageError("split: given a rule and a file (--split and --split-file), expected one of them")
    if known.split is not None:
        return known.split, known.split.draw(task), []
    if known.split_file is not None:
        return _listed(read_split(known.split_file, task), task, content.config)
    inside, told = stored_split(content.rest, task)
    if inside is not None:
        rule, split, notes = _listed(inside, task, content.config)
        return rule, split, [*told, *notes]
    rule, split, notes = _worked_out(content, models, task, drawn, logged)
    return rule, split, [*told, *notes]


def _worked_out(
    content: Content, models: Sequence[Held], task: HeldTask, drawn: SplitConfig | Split | None, logged: Callable[[Split], str]
) -> Found:
    """The split of the format's rule, or the one that the losses tell."""
    evidence = Evidence.of(content, models, task)
    if isinstance(drawn, Split):
        return _unshuffled(evidence, drawn, logged)
    if drawn is not None:
        try:
            split = drawn.draw(task)
            return _of_rule(evidence, drawn, split, logged(split))
        except UsageError as error:
            raise DataError(str(error)) from error
    found = evidence.search()
    if found.split is None:
        return None, None, [f"the split is not stored; train and test are unknown: {found.reason} ({found.facts})"]
    return _taken(evidence, found.split, found)


def refuted(content: Content, models: Sequence[Held], task: HeldTask, known: Known) -> tuple[str, list[str]]:
    """In words, how the losses speak against the split that the caller gives, empty if they do not; and notes.

    They do where it has other losses than the published ones and those on the single pairs do not speak for it, or where they
    tell another split. Insisted on (``known.trust_split``), a split is taken all the same, with a note.
    """
    split, name, rule = _given(known, task)
    if split is None:
        return "", []
    evidence = Evidence.of(content, models, task)
    why = evidence.against(split, rule)
    if why and known.trust_split:
        return "", [f"{name}, as given and insisted on: {why}"]
    return (f"{name}, as given: {why}", []) if why else ("", [])


@dataclass(frozen=True, eq=False)
class Evidence:
    """What tells a split: the losses on the single pairs, the published ones, and what the configuration names.

    Attributes:
        task: the task.
        models: the last model, then some earlier ones of the run.
        published: (train, test or None) as published, and as carried on to the update after; empty if none is published.
        config: the stored configuration.
    """

    task: HeldTask
    models: tuple[Held, ...]
    published: tuple[tuple[float, float | None], ...]
    config: Mapping[str, object]

    @classmethod
    def of(cls, content: Content, models: Sequence[Held], task: HeldTask) -> Evidence:
        """From a file's content and its models in their order."""
        train, test = content.final_loss("train"), content.final_loss("test")
        published: list[tuple[float, float | None]] = []
        if train and train > 0:
            published.append((train, test if test and test > 0 else None))
            published.append((content.carried_loss("train") or train, published[0][1] and (content.carried_loss("test") or test)))
        earlier = dict.fromkeys(np.linspace(len(models) - 2, 0, _EARLIER).round().astype(int).tolist()) if len(models) > 1 else ()
        return cls(task, (models[-1], *(models[at] for at in earlier)), tuple(published), content.config)

    @cached_property
    def losses(self) -> Float64[np.ndarray, " pair"]:
        """Of the last model, on every pair."""
        return pair_losses(self.models[0], self.task)

    def tables(self) -> Iterator[Float64[np.ndarray, " pair"]]:
        """The losses of the last model on every pair, then those of earlier ones."""
        yield self.losses
        for model in self.models[1:]:
            yield pair_losses(model, self.task)

    def misfits(self, split: Split) -> tuple[float, float]:
        """Relative difference from the published losses, and from those or the carried ones, whichever is nearer; else 0, 0."""
        found = [misfit(self.losses, split, train, test) for train, test in self.published]
        return (found[0], min(found)) if found else (0.0, 0.0)

    def search(self, first: SplitConfig | None = None) -> Search:
        """Look for the split with all rules, the seeds and fractions that the configuration names among them."""
        seeds = [value for name, value in self.config.items() if "seed" in name and _is_seed(value)]
        fractions = [value for name, value in self.config.items() if "frac" in name and _is_fraction(value)]
        if first is not None:
            seeds, fractions = [first.seed, *seeds], [first.fraction, *fractions]
        likely = dict.fromkeys(fractions)
        found = [search(self.losses, fractions=likely, first=seeds[0] if seeds else None)]
        for table in islice(self.tables(), 1, None):
            if found[-1].split is not None:
                break
            found.append(search(table, fractions=likely, first=seeds[0] if seeds else None))
        return found[-1] if found[-1].split is not None else found[0]

    def told(self, split: Split, rule: SplitConfig | None) -> bool:
        """Whether the losses on the single pairs speak for a split."""
        if rule is not None:
            return any(supports(table, rule) for table in self.tables())
        least = clear(self.task.n_pairs)
        return self.misfits(split)[1] <= _FAR and any(clearness(table, split) >= least for table in self.tables())

    def against(self, split: Split, rule: SplitConfig | None) -> str:
        """In words, how the losses speak against a split; empty if they do not."""
        if self.told(split, rule):
            return ""
        raw, nearest = self.misfits(split)
        found = self.search(rule)
        if found.split is not None and _differs(found.split.draw(self.task), split):
            return f"the losses on the single pairs tell another, {shown(found.split)} ({found.facts})"
        return f"the losses on it differ from the published ones by {raw:.0%}" if nearest > _CLOSE else ""


def _unshuffled(evidence: Evidence, split: Split, logged: Callable[[Split], str]) -> Found:
    """The first pairs in row-major order, with what speaks against them."""
    rule, _, notes = _listed(split, evidence.task, evidence.config)
    count = len(split.train)
    said = evidence.against(split, None) or logged(split) or "there is no loss that confirms it"
    first = (
        f"split: with the stored seed that code does not shuffle, and trains on pairs 0 to {count - 1} in row-major order; {said}"
    )
    return rule, split, [first, *notes]


def _of_rule(evidence: Evidence, drawn: SplitConfig, split: Split, logged: str) -> Found:
    """The split by the format's own rule, if the losses agree with it; else the one that they tell."""
    raw, nearest = evidence.misfits(split)
    agree = f"split {shown(drawn)}: its losses agree with the published ones within {nearest:.2%}"
    if evidence.told(split, drawn):
        own = f"split {shown(drawn)}: the losses on the single pairs tell it"
        unpublished = f"; {logged}" if logged else ", and none are published"
        own += f"; the published ones differ by {raw:.2%}" if evidence.published else unpublished
        return drawn, split, [agree if nearest <= _CLOSE and evidence.published else own]
    found = evidence.search(drawn)
    if found.split is not None and _differs(found.split.draw(evidence.task), split):
        rule, other, notes = _taken(evidence, found.split, found)
        return rule, other, [f"{notes[0]}; {shown(drawn)} does not fit", *notes[1:]]
    if not evidence.published and {"seed", "frac_train"} <= evidence.config.keys():
        said = logged or "there is no loss that confirms it"
        return drawn, split, [f"split {shown(drawn)}: by the stored seed and fraction; {said}"]
    if not evidence.published:
        return None, None, ["the split is not stored and there is no published loss to find it by: train and test are unknown"]
    if nearest <= _CLOSE:
        return drawn, split, [agree, f"the losses on the single pairs do not tell {shown(drawn)} from other splits"]
    return (
        None,
        None,
        [f"split {shown(drawn)} gives other losses than the published ones, by {raw:.0%}; {found.reason} ({found.facts})"],
    )


def _taken(evidence: Evidence, rule: SplitConfig, search: Search) -> Found:
    split = rule.draw(evidence.task)
    raw, nearest = evidence.misfits(split)
    notes = [f"split {shown(rule)}: found: {search.reason} ({search.facts})"]
    if nearest > _CLOSE:
        notes.append(f"the published losses differ from those of the model on {shown(rule)} by {raw:.0%}")
    return rule, split, notes


def _given(known: Known, task: HeldTask) -> tuple[Split | None, str, SplitConfig | None]:
    if known.split is not None:
        return known.split.draw(task), f"split {shown(known.split)}", known.split
    if known.split_file is not None:
        return read_split(known.split_file, task), f"split {known.split_file.name}", None
    return None, "", None


def _listed(split: Split, task: HeldTask, config: Mapping[str, object]) -> Found:
    """A split that is a list of pairs, with the rule that draws it, or else one of its fraction only, with a note."""
    count = len(split.train)
    fraction = shortest_fraction(count, task.n_pairs)
    seeds = dict.fromkeys([*(value for name, value in config.items() if "seed" in name and _is_seed(value)), *_USUAL])
    for rule, seed in product(SPLIT_RULES, seeds):
        candidate = SplitConfig(rule, seed, fraction)
        if candidate.count(task.n_pairs) != count:
            candidate = replace(candidate, fraction=round(fraction, 2)) if 0 < round(fraction, 2) < 1 else candidate
        if candidate.count(task.n_pairs) == count and np.array_equal(candidate.draw(task).train, split.train):
            return candidate, split, []
    note = f"the split is a list of {count} training pairs; seed and rule of the split in the config are defaults"
    return SplitConfig(fraction=count / task.n_pairs), split, [note]


def _differs(one: Split, other: Split) -> bool:
    """Whether more than one pair is on another side: rules that round differently are one split here."""
    return len(np.setxor1d(one.train, other.train)) > 1


def _is_fraction(value: object) -> TypeGuard[float]:
    return isinstance(value, float) and 0 < value < 1


def _is_seed(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32
