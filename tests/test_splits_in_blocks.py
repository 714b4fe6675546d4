"""Structured splits: blocks are whole, twins are together or apart, the other splits are what they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import UsageError
from interp.tasks.pair_blocks import blocks_of, read_blocks, twins_of
from interp.tasks.splits import SPLIT_RULES, SplitConfig

BLOCKS = ["a", "b", "answer", "a mod 3", "answer mod 4", "a mod 2 and b mod 2", "twins"]
rules, seeds = st.sampled_from(SPLIT_RULES), st.integers(0, 10**6)


@given(rules, seeds, st.sampled_from(BLOCKS), st.floats(0.5, 0.6), st.sampled_from(["S3", "x/y mod 7", "Z12", "D4"]))
def test_blocks_are_whole(rule: str, seed: int, blocks: str, fraction: float, name: str) -> None:
    task, config = interp.task(name), SplitConfig(rule, seed, fraction, blocks)
    split = config.draw(task)
    block = blocks_of(task, blocks)
    there = np.setdiff1d(np.arange(len(block)), [] if task.left_out is None else task.left_out)
    assert not set(block[split.train]) & set(block[split.test])
    assert len(set(block[split.train])) == config.count(len(set(block[there])))
    assert sorted([*split.train, *split.test]) == there.tolist()
    assert np.array_equal(config.draw(task).train, split.train)


@given(rules, seeds, st.floats(0.05, 0.45), st.sampled_from(["S3", "Z12", "D4"]))
def test_twins_apart_are_never_both_trained_on(rule: str, seed: int, fraction: float, name: str) -> None:
    task, config = interp.task(name), SplitConfig(rule, seed, fraction, "twins apart")
    if (n_train := config.count(len(task.labels))) < 1:
        return
    split = config.draw(task)
    a, b = np.divmod(split.train, task.p)
    assert len(split.train) == n_train
    assert not np.isin(b * task.p + a, split.train)[a != b].any()


def test_a_seed_draws_other_blocks() -> None:
    task = interp.task("S4")
    drawn = {tuple(np.unique(SplitConfig("torch", seed, 0.5, "a").draw(task).train // 24)) for seed in range(5)}
    assert len(drawn) == 5


def test_rows_columns_answers_and_residues() -> None:
    task = interp.ModularTask(5)
    assert blocks_of(task, "a").tolist() == [row // 5 for row in range(25)]
    assert blocks_of(task, "b").tolist() == [row % 5 for row in range(25)]
    assert blocks_of(task, "answer").tolist() == task.labels.tolist()
    assert blocks_of(task, "b mod 2").tolist() == [row % 5 % 2 for row in range(25)]


def test_cosets_are_those_of_the_subgroup() -> None:
    group, task = interp.group("S4"), interp.task("S4")
    block = blocks_of(task, "a in cosets of 2143, 3412").reshape(24, 24)
    assert (block == block[:, :1]).all()
    assert np.bincount(block[:, 0]).tolist() == [4] * 6
    member = group.subgroup(["2143", "3412"])
    for x in (3, 17):
        assert set(group.table[x, member]) == set(np.flatnonzero(block[:, 0] == block[x, 0]))
    assert blocks_of(interp.ModularTask(12), "b in cosets of 4").tolist()[:12] == [0, 1, 2, 3] * 3
    assert len(set(blocks_of(interp.task("Z2xZ4"), "answer in cosets of (1,0),(0,2)"))) == 2


@pytest.mark.parametrize(
    "text", ["rows", "a mod 1", "a mod", "c", "a and", "twins and a", "a in cosets of", " ", 3, "a mod 2, b"]
)
def test_other_texts_are_refused(text: object) -> None:
    with pytest.raises(UsageError, match=r"split\.blocks: given .*, expected 'a', 'b' or 'answer'"):
        SplitConfig(blocks=text)


BAD = [
    ("a in cosets of 999", "S3", "given element '999', expected one of 123, 132"),
    ("a in cosets of 231,213", "S3", "generate all of S3: there is one coset"),
    ("a in cosets of 1", "x/y mod 5", "is no multiplication in a group"),
    ("a in cosets of 1", "x^2+y^2 mod 5", "no identity"),
    ("a mod 2", "S3", "fraction 0.3 of 2 blocks of 'a mod 2'"),
]


@pytest.mark.parametrize(("blocks", "name", "message"), BAD)
def test_blocks_that_a_task_does_not_have_are_refused(blocks: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SplitConfig(blocks=blocks).draw(interp.task(name))
    with pytest.raises(UsageError, match="cannot be trained on without a pair and its twin"):
        SplitConfig(fraction=0.7, blocks="twins apart").draw(interp.task("S3"))


def test_twins_of_a_table_without_them_are_themselves() -> None:
    task = interp.task("x/y mod 3")
    assert twins_of(task).tolist() == [0, 3, 6, 1, 4, 7, 2, 5, 8]
    odd = interp.TableTask("odd", np.array([[0, 1], [2, 1], [1, 0]]), np.array([0, 0, 0]), 3, 1)
    assert twins_of(odd).tolist() == [2, 1, 0]


def test_texts_are_read() -> None:
    assert read_blocks("") == read_blocks("twins") == ()
    assert [part.generators for part in read_blocks("a in cosets of (0,1),(1,0)")] == [("(0,1)", "(1,0)")]


def test_runs_with_blocks_are_recorded_and_those_without_say_nothing_of_them(tmp_path: Path) -> None:
    config = RunConfig(
        task=interp.task("S3"), split=SplitConfig(fraction=0.5, blocks="a"), model=ModelConfig(d_model=8, n_heads=2, d_mlp=8),
        checkpoints=CheckpointConfig(log=0, every=5), steps=5, engine="reference", threads=1,
    )  # fmt: skip
    run = interp.record(config, tmp_path, "rows", progress=False)
    assert interp.open_run(run.path).config == config
    assert run.record["config"]["split"]["blocks"] == "a"
    assert interp.open_run(run.path).verify() == ()
    assert "blocks" not in replace(config, split=SplitConfig()).to_json()
    assert RunConfig.from_json('{"split": {"blocks": "twins"}}').split.blocks == "twins"
    study = interp.Study(config, {"split.blocks": ["", "twins"]}, seeds=(0, 1), name="splits", root=tmp_path)
    assert len(study.plan.points()) == 4


@pytest.mark.parametrize("name", ["x*y*x^-1 in S3", "x*y*x in S3"])
def test_conjugates_have_the_cosets_of_their_group(name: str) -> None:
    task = interp.task(name)
    assert np.array_equal(blocks_of(task, "a in cosets of 231"), blocks_of(interp.task("S3"), "a in cosets of 231"))


def test_differences_have_the_cosets_of_addition() -> None:
    expected = blocks_of(interp.ModularTask(6), "a in cosets of 2")
    for task in (interp.task("x-y mod 6"), interp.ModularTask(6, "subtract")):
        assert np.array_equal(blocks_of(task, "a in cosets of 2"), expected)


@pytest.mark.parametrize("name", ["x^2+y^2 mod 5", "x/y mod 5", "x*y mod 5"])
def test_other_tasks_have_no_cosets_and_another_way_is_said(name: str) -> None:
    with pytest.raises(UsageError, match=r"split.blocks: given 'a in cosets of 2' for .* only groups have cosets; 'a' alone"):
        blocks_of(interp.task(name), "a in cosets of 2")


def test_an_unknown_element_names_the_field() -> None:
    with pytest.raises(UsageError, match=r"split.blocks: 'a in cosets of 9': group S3: given element '9'"):
        blocks_of(interp.task("S3"), "a in cosets of 9")
