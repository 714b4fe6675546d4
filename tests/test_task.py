"""The task: right answers for any p, pairs in row-major order, and the published splits exactly."""

from __future__ import annotations

import random
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import UsageError
from interp.harmonics.primes import is_prime
from interp.tasks.modular import OPERATIONS, ModularTask
from interp.tasks.splits import Split, SplitConfig

RULES = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "x2xyy2": lambda a, b: a**2 + a * b + b**2,
}
moduli = st.integers(2, 40)


@given(moduli, st.sampled_from(OPERATIONS))
def test_labels_are_the_operation_for_every_pair(p: int, operation: str) -> None:
    task = ModularTask(p, operation)
    want = [RULES[operation](a, b) % p for a, b in product(range(p), repeat=2)]
    assert task.labels.tolist() == want
    assert task.labels.dtype == np.int64
    assert task.pairs.tolist() == [list(pair) for pair in product(range(p), repeat=2)]


@given(moduli, st.data())
def test_index_is_the_row_of_a_pair(p: int, data: st.DataObject) -> None:
    task = ModularTask(p)
    a, b = data.draw(st.integers(0, p - 1)), data.draw(st.integers(0, p - 1))
    assert task.index(a, b) == a * p + b
    assert task.pairs[task.index(a, b)].tolist() == [a, b]


def test_smallest_task() -> None:
    task = ModularTask(2)
    assert task.labels.tolist() == [0, 1, 1, 0]
    assert (task.n_pairs, task.n_ctx, task.n_tokens) == (4, 3, 3)


@pytest.mark.parametrize(("equals_sign", "n_ctx", "n_tokens"), [(True, 3, 114), (False, 2, 113)])
def test_sizes_with_and_without_equals(equals_sign: bool, n_ctx: int, n_tokens: int) -> None:
    task = ModularTask(113, equals_sign=equals_sign)
    assert (task.n_ctx, task.n_tokens, task.n_pairs) == (n_ctx, n_tokens, 12769)


@given(moduli.filter(lambda p: p > 2), st.sampled_from(["add", "subtract"]))
def test_addition_is_a_latin_square(p: int, operation: str) -> None:
    table = ModularTask(p, operation).labels.reshape(p, p)
    for lines in (table, table.T):
        assert (np.sort(lines, axis=1) == np.arange(p)).all()


def test_large_residues_do_not_overflow() -> None:
    p = 2**31 - 1  # the largest: p^2 is just below 2^62
    task = ModularTask(p, "multiply")
    assert task.answer(np.array([p - 1]), np.array([p - 1])).tolist() == [1]


@given(st.integers(-3, 2000))
def test_primes(n: int) -> None:
    assert is_prime(n) == (n > 1 and not any(n % d == 0 for d in range(2, n)))


@pytest.mark.parametrize("p", [1, 0, -5, 2.0, True, "113", None, float("nan")])
def test_bad_moduli_are_refused(p: object) -> None:
    with pytest.raises(UsageError, match=r"task\.p: given .*, expected an integer >= 2"):
        ModularTask(p)


def test_bad_operations_and_pairs_are_refused() -> None:
    with pytest.raises(UsageError, match=r"task\.operation: given 'plus', expected one of add, subtract, multiply, x2xyy2"):
        ModularTask(5, "plus")
    with pytest.raises(UsageError, match=r"task\.equals_sign: given 'no', expected true or false"):
        ModularTask(5, equals_sign="no")
    for a, b in ((5, 0), (0, 5), (-1, 0)):
        with pytest.raises(UsageError, match=r"expected two residues in 0\.\.4"):
            ModularTask(5).index(a, b)


# Splits


def test_transformer_lens_demo_split() -> None:
    task = ModularTask(113)
    split = SplitConfig("torch", 598, 0.3).draw(task)
    assert task.pairs[split.train[:3]].tolist() == [[21, 31], [30, 98], [47, 10]]
    assert (len(split.train), len(split.test)) == (3830, 8939)
    torch.manual_seed(598)
    np.testing.assert_array_equal(np.concatenate([split.train, split.test]), torch.randperm(113 * 113).numpy())


@given(st.integers(2, 15), st.integers(0, 50), st.floats(0.2, 0.8))
def test_python_rule_is_the_official_codes(p: int, seed: int, fraction: float) -> None:
    triples = [(i, j, p) for i in range(p) for j in range(p)]
    random.seed(seed)
    random.shuffle(triples)
    cut = int(fraction * len(triples))
    task = ModularTask(p)
    if not 0 < cut < len(triples):
        return
    split = SplitConfig("python", seed, fraction).draw(task)
    assert [(*pair, p) for pair in task.pairs[split.train].tolist()] == triples[:cut]
    assert [(*pair, p) for pair in task.pairs[split.test].tolist()] == triples[cut:]


@given(moduli, st.sampled_from(["torch", "python"]), st.integers(0, 2**63 - 1), st.floats(0.26, 0.74))
def test_a_split_names_every_pair_once_and_is_the_same_each_time(p: int, rule: str, seed: int, fraction: float) -> None:
    task = ModularTask(p)
    config = SplitConfig(rule, seed, fraction)
    split, again = config.draw(task), config.draw(task)
    assert sorted([*split.train.tolist(), *split.test.tolist()]) == list(range(p * p))
    assert len(split.train) == int(fraction * (p * p))
    np.testing.assert_array_equal(split.train, again.train)
    np.testing.assert_array_equal(split.test, again.test)
    assert split.train.dtype == split.test.dtype == np.int64


@pytest.mark.parametrize("rule", ["torch", "python"])
def test_drawing_leaves_the_global_generators_alone(rule: str) -> None:
    before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    SplitConfig(rule, 7).draw(ModularTask(11))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]  # noqa: NPY002


def test_seeds_and_rules_give_different_splits() -> None:
    task = ModularTask(11)
    drawn = [SplitConfig(rule, seed).draw(task).train.tolist() for rule in ("torch", "python") for seed in range(4)]
    assert len({tuple(train) for train in drawn}) == 8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rule": "numpi"}, r"split\.rule: given 'numpi', expected one of torch, python, numpy"),
        ({"fraction": 0}, r"split\.fraction: given 0, expected a number strictly between 0 and 1"),
        ({"fraction": 1}, "strictly between"),
        ({"fraction": -0.3}, "strictly between"),
        ({"fraction": float("nan")}, "strictly between"),
        ({"fraction": "0.3"}, "given '0.3', expected a number"),
        ({"seed": -1}, r"split\.seed: given -1, expected an integer in 0\.\.2\^63-1"),
        ({"seed": 0.5}, r"split\.seed"),
        ({"seed": True}, r"split\.seed"),
        ({"seed": 2**63}, r"split\.seed"),
    ],
)
def test_bad_split_configs_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SplitConfig(**values)


def test_empty_sides_are_refused() -> None:
    with pytest.raises(UsageError, match=r"of 4 pairs \(a \+ b modulo 2\) leaves the train set empty; choose another"):
        SplitConfig(fraction=0.2).draw(ModularTask(2))
    one_less = SplitConfig(fraction=0.9999).draw(ModularTask(2))  # rounded down: one pair is always left to test on
    assert (len(one_less.train), len(one_less.test)) == (3, 1)


@pytest.mark.parametrize(("train", "test"), [([0, 1], [1, 2]), ([0, 1], [3]), ([0, 0], [1]), ([-1, 0], [1])])
def test_index_lists_that_are_no_split_are_refused(train: list[int], test: list[int]) -> None:
    with pytest.raises(UsageError, match="do not name every pair exactly once"):
        Split(np.array(train), np.array(test))


@pytest.mark.parametrize("made", [list, tuple, np.array, torch.tensor, partial(torch.tensor, dtype=torch.int32)])
def test_a_split_takes_integers_in_any_sequence(made) -> None:
    split = Split(made([0, 3, 1]), made([2]), left_out=made([4]))
    assert [(part.dtype, part.tolist()) for part in (split.train, split.test, split.left_out)] == [
        (np.int64, [0, 3, 1]), (np.int64, [2]), (np.int64, [4]),
    ]  # fmt: skip
    assert len(Split(range(2), []).test) == 0


@pytest.mark.parametrize(
    ("train", "told"),
    [
        (torch.tensor([True, False]), r"train: given Tensor of bool, shape \(2,\), expected row indices.*np\.flatnonzero"),
        ([0.0, 1.0], r"train: given list of float64, shape \(2,\), expected row indices: integers"),
        ([[0, 1]], r"given list of int64, shape \(1, 2\)"),
        ([[0], [1, 2]], "train: given list .*expected row indices"),
        (torch.ones(2, device="meta"), "train: given Tensor .*expected row indices"),
        (3, "train: given int, expected row indices"),
        ("01", "train: given str, expected row indices"),
    ],
)
def test_what_is_no_sequence_of_integers_is_no_split(train, told) -> None:
    with pytest.raises(UsageError, match=told):
        Split(train, [0])
