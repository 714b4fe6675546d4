"""Irreducible representations: against GAP's character tables, by their theorems, and each check seen to fail."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from math import factorial, prod
from pathlib import Path

import numpy as np
import pytest
import torch
from groups import CHARACTERS, cycle_type, elements
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.errors import UsageError
from interp.groups.by_name import group
from interp.groups.cayley import Group
from interp.harmonics import CyclicHarmonics, GroupHarmonics, addition, group_harmonics, irreps
from interp.harmonics.of_group import isotypic_projectors
from interp.harmonics.representations import check_irreps
from interp.harmonics.young import conjugate, exchange, partitions, tableaux

STORED = json.loads((Path(__file__).parent / "fixtures" / "character_tables.json").read_text())["groups"]
NAMES = ["Z1", "Z9", "D1", "D2", "D5", "D8", "S1", "S2", "S5", "A1", "A3", "A5", "A6", "Q8", "Q12", "Z2xZ4", "S3xQ8", "Z3xA4"]


def element(made: Group, word: str) -> int:
    """The number of the element that GAP's word stands for."""
    if made.name[0] in "SA":
        return made.index(word)
    letters = {"r": 1, "s": made.order // 2, "a": 1, "x": made.order // 2}
    at = made.identity
    for letter, power in re.findall(r"([rsax])(?:\^(-?\d+))?", word):
        step = letters[letter] if not power.startswith("-") else int(made.inverses[letters[letter]])
        for _ in range(abs(int(power or 1))):
            at = int(made.table[at, step])
    return at


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("how", ["closed form", "table"])
def test_characters_are_those_of_gap(name: str, how: str) -> None:
    stored, made = STORED[name], group(name)
    if how == "table" and made.order > 200:
        pytest.skip("tables of more than 200 elements are not taken apart")
    found = irreps(made if how == "closed form" else Group.from_table(made.table))
    at = [element(made, one["element"]) for one in stored["classes"]]
    assert [int((made.classes == made.classes[g]).sum()) for g in at] == [one["size"] for one in stored["classes"]]
    ours = np.stack([rho.character.numpy()[at] for rho in found])
    theirs = np.array([[complex(*value) if isinstance(value, list) else value for value in row] for row in stored["irreps"]])
    distance = np.abs(ours[:, None] - theirs).max(axis=2)
    assert (np.sort(distance, axis=1)[:, 0] < 1e-9).all()
    assert sorted(distance.argmin(axis=1)) == list(range(len(theirs)))


def test_labels_of_permutations_are_those_of_textbooks() -> None:
    """By the number of fixed points, and the sign."""
    made, names = group("S5"), {rho.name: rho for rho in irreps(group("S5"))}
    fixed = torch.tensor([sum(int(c) == i + 1 for i, c in enumerate(one)) for one in made.elements])
    assert torch.allclose(names["(4,1)"].character.real, fixed.double() - 1, atol=1e-12)
    sign = names["(1,1,1,1,1)"].character
    for name, rho in names.items():
        parts = tuple(map(int, name[1:-1].split(",")))
        twin = names[f"({','.join(map(str, conjugate(parts)))})"]
        assert torch.allclose(rho.character * sign, twin.character, atol=1e-12)


@pytest.mark.parametrize("n", [3, 4])
def test_they_agree_with_the_characters_written_by_hand(n: int) -> None:
    of_type = [cycle_type(g) for g in elements(n)]
    by_hand = [torch.tensor([float(chi[kind]) for kind in of_type]) for chi in CHARACTERS[n].values()]
    for chi in by_hand:
        assert any(torch.allclose(rho.character.real.float(), chi, atol=1e-6) for rho in irreps(group(f"S{n}")))


@pytest.mark.parametrize("n", range(1, 7))
def test_dimensions_follow_the_hooks(n: int) -> None:
    for shape in partitions(n):
        other = conjugate(shape)
        hooks = [shape[i] - j + other[j] - i - 1 for i in range(len(shape)) for j in range(shape[i])]
        assert len(tableaux(shape)) == factorial(n) // prod(hooks)


@settings(max_examples=20)
@given(st.sampled_from([shape for n in (3, 4, 5, 6) for shape in partitions(n)]))
def test_youngs_matrices_are_those_of_exchanges(shape: tuple[int, ...]) -> None:
    swaps = [exchange(shape, i) for i in range(sum(shape) - 1)]
    for i, s in enumerate(swaps):
        np.testing.assert_allclose(s @ s, np.eye(len(s)), atol=1e-12)
        for j, t in enumerate(swaps):
            if abs(i - j) == 1:
                np.testing.assert_allclose(s @ t @ s, t @ s @ t, atol=1e-12)
            elif i != j:
                np.testing.assert_allclose(s @ t, t @ s, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_every_product_of_elements_is_a_product_of_matrices(name: str) -> None:
    """All pairs, where the check at load takes generators only."""
    made = group(name)
    table = torch.tensor(made.table)
    for rho in irreps(made):
        products = torch.einsum("aij,bjk->abik", rho.matrices, rho.matrices)
        assert float((products - rho.matrices[table]).abs().max()) < 1e-9


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("Z1", "S1", "A1")])
def test_projectors_are_a_resolution_of_one(name: str) -> None:
    made = group(name)
    found = isotypic_projectors(made)
    harmonics = GroupHarmonics(torch.tensor(made.table).flatten(), found)  # symmetric, idempotent, orthogonal, or an error
    whole = harmonics.projector(harmonics.names)
    assert torch.allclose(whole, torch.eye(made.order, dtype=torch.float64) - 1 / made.order, atol=1e-9)
    move = torch.tensor(made.table)  # x -> g x: no move from either side mixes the parts
    for matrix in found.values():
        g = made.order // 2
        assert torch.allclose(matrix[move[g]][:, move[g]], matrix, atol=1e-9)
        assert torch.allclose(matrix[move[:, g]][:, move[:, g]], matrix, atol=1e-9)


def test_complex_conjugates_are_one_part() -> None:
    assert group_harmonics(group("A4")).names == ("(3,1)", "(2,2)+")
    assert group_harmonics(group("Q12")).names == ("A2", "B1", "E1", "E2")
    assert group_harmonics(group("Z2xZ4")).names == ("0 x 1", "0 x 2", "1 x 0", "1 x 1", "1 x 2")
    traces = [round(float(matrix.trace())) for matrix in isotypic_projectors(group("Z2xZ4")).values()]
    assert traces == [2, 1, 1, 2, 1]


def test_a_cyclic_group_has_the_harmonics_of_addition() -> None:
    assert group_harmonics(group("Z113")) is addition(113)
    assert isinstance(group_harmonics(group("Z6")), CyclicHarmonics)
    for name, matrix in isotypic_projectors(group("Z6")).items():
        assert torch.allclose(matrix, addition(6).projector([name]), atol=1e-12)


def test_a_table_gives_the_parts_that_its_closed_form_has_and_the_same_every_time() -> None:
    for name in ("S4", "Q8", "D6", "A4"):
        named, taken = isotypic_projectors(group(name)), isotypic_projectors(Group.from_table(group(name).table))
        for matrix in taken.values():
            assert any(torch.allclose(matrix, other, atol=1e-9) for other in named.values())
        irreps.cache_clear()
        again = [rho.matrices for rho in irreps(Group.from_table(group(name).table))]
        irreps.cache_clear()
        assert all(
            torch.equal(one, rho.matrices) for one, rho in zip(again, irreps(Group.from_table(group(name).table)), strict=True)
        )


def test_a_large_table_is_declined() -> None:
    with pytest.raises(UsageError, match="tables of at most 200 elements, given 202; name it"):
        irreps(Group.from_table(group("D101").table, name="mine"))


def test_each_check_can_fail() -> None:
    made = group("S3")
    right = list(irreps(made))
    double = replace(right[1], matrices=2 * right[1].matrices)
    with pytest.raises(UsageError, match=r"irreps of S3: '\(2,1\)' is not unitary"):
        check_irreps(made, [right[0], double, right[2]])
    mixed = right[1].matrices.clone()
    mixed[[1, 2]] = mixed[[2, 1]]
    with pytest.raises(UsageError, match=r"'\(2,1\)' is no homomorphism"):
        check_irreps(made, [right[0], replace(right[1], matrices=mixed), right[2]])
    with pytest.raises(UsageError, match=r"characters of '\(3\)' and '\(3\)' are not orthonormal"):
        check_irreps(made, [right[0], right[0], right[1]])
    with pytest.raises(UsageError, match="squares of dimensions sum up to 5, expected 6"):
        check_irreps(made, right[:2])
    shifted = replace(right[0], matrices=-right[0].matrices)
    with pytest.raises(UsageError, match="is not 1 at the identity"):
        check_irreps(made, [shifted])
