"""Groups: tables by closed form against their definitions, names, and every axiom refused with the elements that break it."""

from __future__ import annotations

import re
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import UsageError
from interp.groups.axioms import check_associative
from interp.groups.by_name import group
from interp.groups.cayley import Group

NAMES = ["Z1", "Z2", "Z7", "Z12", "D1", "D2", "D3", "D8", "S1", "S3", "S4", "A3", "A4", "Q8", "Q12", "Q20", "Z2xZ4", "Z2xS3xZ3"]
ORDERS = {"Z113": 113, "D12": 24, "S5": 120, "A5": 60, "A6": 360, "S6": 720, "Q16": 16, "Z2xZ4": 8, "Z2xS3xZ3": 36}


def is_a_group(table: np.ndarray) -> bool:
    """By the definition, in n^3 steps."""
    n = np.arange(len(table))
    has_identity = any((table[e] == n).all() and (table[:, e] == n).all() for e in n)
    is_latin = bool((np.sort(table, axis=1) == n).all() and (np.sort(table.T, axis=1) == n).all())
    a, b, c = np.meshgrid(n, n, n, indexing="ij")
    return has_identity and is_latin and bool((table[table[a, b], c] == table[a, table[b, c]]).all())


@pytest.mark.parametrize("name", NAMES)
def test_every_family_is_a_group(name: str) -> None:
    assert is_a_group(group(name).table)
    made = group(name)
    assert (made.table[np.arange(made.order), made.inverses] == made.identity).all()
    assert len(made.subgroup(list(made.generators))) == made.order


@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_orders(name: str, order: int) -> None:
    assert group(name).order == order
    assert group(name).name == name


def test_permutations_stand_in_lexicographic_order_and_the_second_acts_first() -> None:
    made, images = group("S4"), list(permutations(range(4)))
    assert made.elements == tuple("".join(str(i + 1) for i in image) for image in images)
    for a, b in [(3, 7), (10, 22), (23, 1)]:
        assert images[made.table[a, b]] == tuple(images[a][images[b][i]] for i in range(4))


def test_the_relations_of_dihedral_and_quaternion_groups() -> None:
    for n in (3, 4, 7):
        made = group(f"D{n}")
        r, s, times = made.index("r"), made.index("s"), made.table
        assert times[times[s, r], s] == made.inverses[r]
        assert made.elements[times[r, s]] == "rs"
    for n in (2, 3, 5):
        made = group(f"Q{4 * n}")
        a, x, times = 1, 2 * n, made.table
        assert times[x, x] == n
        assert times[times[x, a], made.inverses[x]] == made.inverses[a]
    units = group("Q8")
    assert [units.elements[units.table[units.index(one), units.index(other)]] for one, other in ("ij", "jk", "ki", "ji")] == [
        "k", "i", "j", "-k",
    ]  # fmt: skip


def test_a_product_multiplies_in_each_place() -> None:
    made, first, second = group("S3xZ4"), group("S3"), group("Z4")
    for a, b in [(5, 17), (23, 2)]:
        (g, h), (i, j) = divmod(a, 4), divmod(b, 4)
        assert made.table[a, b] == first.table[g, i] * 4 + second.table[h, j]
    assert made.elements[5] == f"({first.elements[1]},{second.elements[1]})"


def test_conjugacy_classes_and_subgroups() -> None:
    sizes = sorted(np.bincount(group("S5").classes).tolist())
    assert sizes == [1, 10, 15, 20, 20, 24, 30]
    assert len(group("S5").subgroup(["21345", "23451"])) == 120
    assert group("S4").subgroup(["2143", "3412"]).tolist() == [0, 7, 16, 23]
    with pytest.raises(UsageError, match="given element '99', expected one of 123, 132"):
        group("S3").subgroup(["99"])


@given(st.permutations(range(6)), st.sampled_from(["S3", "Z6", "D3"]))
def test_a_renamed_table_is_the_same_group(order: list[int], name: str) -> None:
    number = np.array(order)
    table = np.empty((6, 6), int)
    table[number[:, None], number] = number[group(name).table]
    made = Group.from_table(table)
    assert made.identity == number[0]
    assert (made.inverses[number] == number[group(name).inverses]).all()
    assert made.is_abelian == (name == "Z6")


BROKEN = {
    "closed": ([[0, 1], [1, 2]], "not closed: row 1, column 1 holds 2, expected an element 0..1"),
    "identity": ([[1, 0], [0, 0]], r"no identity: the nearest to one is \d, but"),
    "inverse": ([[0, 1, 2], [1, 1, 1], [2, 1, 0]], "no inverse: no b has 1 b = b 1 = 0"),
    # A loop of five elements, each its own inverse: a Latin square with an identity that is no group.
    "associative": (
        [[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]],
        r"not associative: \(1 1\) 2 = 2, but 1 \(1 2\) = 4",
    ),
    "square": ([[0, 1]], r"given a table of shape \(1, 2\), expected \(n, n\)"),
    "ragged": ([[0, 1], [1]], "not square"),
    "integers": ([[0.0]], "given entries of type float64, expected integers"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_table_that_is_no_group_is_refused_with_the_elements_that_show_it(kind: str) -> None:
    table, message = BROKEN[kind]
    with pytest.raises(UsageError, match=message):
        Group.from_table(table)


@given(st.integers(0, 10**6))
def test_one_wrong_entry_is_always_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = group(rng.choice(["S3", "Q8", "D5", "Z2xZ4", "A4"])).table.copy()
    a, b = rng.integers(len(table), size=2)
    table[a, b] = (table[a, b] + rng.integers(1, len(table))) % len(table)
    with pytest.raises(UsageError, match="group 'table': no"):
        Group.from_table(table)


@given(st.integers(0, 10**6))
def test_lights_test_agrees_with_all_triples(seed: int) -> None:
    """On random tables with an identity, some of which are associative."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 4))
    table = rng.integers(n, size=(n, n))
    table[0], table[:, 0] = np.arange(n), np.arange(n)
    a, b, c = np.meshgrid(*[np.arange(n)] * 3, indexing="ij")
    is_associative = bool((table[table[a, b], c] == table[a, table[b, c]]).all())
    try:
        check_associative(table, tuple(range(n)), name="random")
        found = True
    except UsageError as error:
        found = False
        x, y, z = map(int, re.search(r"\((\d) (\d)\) (\d)", str(error)).groups())
        assert table[table[x, y], z] != table[x, table[y, z]]
    assert found == is_associative


@pytest.mark.parametrize("name", ["s5", "S", "S0", "X3", "", "Z2x", "Z2xx3", "S5 ", "D-1"])
def test_unknown_names_say_what_is_known(name: str) -> None:
    with pytest.raises(UsageError, match=r"expected a name such as Z113 .*D12 .*of order 24.*S5.*A5.*Q8.*Z2xZ4"):
        group(name)


NOT_MADE = {
    "Q6": "multiple of 4",
    "Q4": "from 8 on",
    "S7": "it has 5,040 elements",
    "Z999xZ999": "it has 998,001 elements",
    "S999": "expected at most 1,024",
}


@pytest.mark.parametrize(("name", "message"), NOT_MADE.items())
def test_groups_that_are_not_made_say_why(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        group(name)


def test_names_of_elements_must_be_as_many_and_different() -> None:
    with pytest.raises(UsageError, match="given 1 different names for 2 elements"):
        Group.from_table([[0, 1], [1, 0]], elements=["a", "a"])
    assert Group.from_table([[0, 1], [1, 0]], elements=["a", "b"]) != Group.from_table([[0, 1], [1, 0]])
