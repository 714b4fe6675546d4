"""Parts of the held-out pairs: a partition, and planted tables and circuits that are right on exactly the parts they should."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted_run import saved

import interp
from interp import measures
from interp.errors import UsageError
from interp.measures.held_out import PARTS
from interp.synthetic import clock_logits, clock_weights, lookup_logits, lookup_weights
from interp.tasks.pair_blocks import twins_of
from interp.tasks.splits import SplitConfig

P = 11
TASK = interp.ModularTask(P)
PAIRS, LABELS = torch.from_numpy(TASK.pairs), torch.from_numpy(TASK.labels)


def rows(split: interp.Split) -> dict[str, torch.Tensor]:
    return {"train": torch.from_numpy(split.train), "test": torch.from_numpy(split.test)}


def read(logits: torch.Tensor, split: interp.Split) -> dict[str, tuple[float, float]]:
    parts = measures.held_out_parts(PAIRS, LABELS, **rows(split))
    found = measures.part_readings(logits, LABELS, train=rows(split)["train"], parts=parts)
    return dict(zip(found.names, zip(found.accuracy.tolist(), found.loss.tolist(), strict=True), strict=True))


@given(st.integers(0, 10**6), st.sampled_from(["", "a", "b", "answer", "a mod 3", "twins", "twins apart"]))
def test_every_held_out_pair_is_in_one_part(seed: int, blocks: str) -> None:
    split = SplitConfig("torch", seed, 0.4, blocks).draw(TASK)
    parts = measures.held_out_parts(PAIRS, LABELS, **rows(split))
    assert tuple(parts) == PARTS
    assert sorted(torch.cat(list(parts.values())).tolist()) == sorted(split.test.tolist())
    there = {name for name, found in parts.items() if len(found)}
    trained = {(int(a), int(b)) for a, b in TASK.pairs[split.train]}
    for a, b in PAIRS[parts["twin"]].tolist():
        assert (b, a) in trained
    for a, b in PAIRS[parts["both seen"]].tolist():
        assert (b, a) not in trained
        assert {x for x, _ in trained} >= {a}
        assert {y for _, y in trained} >= {b}
    if blocks == "twins":
        assert "twin" not in there
    if blocks == "a":
        assert there <= {"twin", "b seen"}
    if blocks == "b":
        assert there <= {"twin", "a seen"}
    if blocks == "answer":
        assert there == {"new answer"}


def test_a_table_that_commutes_is_right_on_the_twins_alone() -> None:
    split = SplitConfig("torch", 0, 0.4).draw(TASK)
    twins = twins_of(TASK)[split.train]
    plain = read(lookup_logits(P, split.train, amplitude=40.0), split)
    commuting = read(lookup_logits(P, sorted({*split.train.tolist(), *twins.tolist()}), amplitude=40.0), split)
    # A table without an answer has equal logits: loss ln p, and the first class is taken for its answer.
    assert plain["train"][0] == commuting["train"][0] == 1
    assert commuting["twin"][0] == 1
    assert commuting["twin"][1] < 1e-12
    assert plain["twin"][1] == commuting["both seen"][1] == pytest.approx(math.log(P))
    assert commuting["both seen"] == plain["both seen"]
    assert commuting["both seen"][0] < 0.2
    assert math.isnan(plain["new answer"][0])


@pytest.mark.parametrize("blocks", ["", "a", "answer", "twins apart"])
def test_a_clock_is_right_on_every_part(blocks: str) -> None:
    found = read(clock_logits(P, [1, 2, 3], amplitude=20.0), SplitConfig("torch", 1, 0.4, blocks).draw(TASK))
    assert {accuracy for accuracy, _ in found.values() if not math.isnan(accuracy)} == {1.0}


def test_rows_that_are_not_there_are_refused() -> None:
    with pytest.raises(UsageError, match=r"train: given rows 0\.\.121, expected 0\.\.120"):
        measures.held_out_parts(PAIRS, LABELS, train=torch.tensor([0, 121]), test=torch.tensor([1]))


def test_the_page_says_that_only_the_twins_are_right(tmp_path: Path) -> None:
    split = SplitConfig(fraction=0.5).draw(TASK)
    known = sorted({*split.train.tolist(), *twins_of(TASK)[split.train].tolist()})
    run = saved(tmp_path / "commuting", [lookup_weights(P, known, amplitude=40.0)] * 2)
    series = interp.observe(run, ["accuracy_by_split"])
    assert series["part_accuracy"].sel(held_out_part="twin").values.tolist() == [1, 1]
    assert float(series["part_accuracy"].sel(held_out_part="both seen")[-1]) < 0.3
    assert int(series["part_pairs"].isel(step=-1).sum()) == P * P
    page = interp.report(run, tmp_path / "page.html", analyses=["accuracy_by_split"])
    assert not page.failures
    assert "Only the twins of training pairs are right" in re.sub("<[^>]+>", "", page.html)
    plain = saved(tmp_path / "clock", [clock_weights(P, [1, 2, 3])] * 2)
    page = interp.report(plain, tmp_path / "page.html", analyses=["accuracy_by_split"])
    assert "Only the twins of" not in re.sub("<[^>]+>", "", page.html)
