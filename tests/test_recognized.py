"""Tables that were given as numbers: a group's has its harmonics, a name is no other table's, and bad input is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import interp
from interp.errors import DataError, UsageError
from interp.harmonics import CyclicHarmonics, irreps
from interp.networks.shapes import KIND
from interp.observing.analysis import find_analyses
from interp.observing.applying import Nature, does_not_apply
from interp.tasks.recognized import harmonics_of_table


@pytest.mark.parametrize("n", [2, 6, 7])
def test_a_cyclic_table_in_any_order_has_the_frequencies_of_addition(n: int) -> None:
    order = np.random.default_rng(n).permutation(n)
    place = np.argsort(order)
    table = order[(place[:, None] + place) % n]
    for one in (table, np.add.outer(np.arange(n), np.arange(n)) % n):
        found = interp.table_task(one, name="t").harmonics  # which checks that the harmonics' answers are the table's
        assert isinstance(found, CyclicHarmonics)
        assert found.names == tuple(range(1, n // 2 + 1))
    assert found.rows is None  # the last is in its own order


def test_a_table_of_a_group_has_its_representations() -> None:
    s3 = interp.group("S3")
    found = interp.table_task(s3.table, name="t6")
    assert found.harmonics.names == ("1b", "2a")
    assert Nature(KIND, found).n_frequencies == 2
    whole = found.harmonics.projector(["1b", "2a"])
    assert torch.allclose(whole, torch.eye(6, dtype=torch.float64) - 1 / 6)
    assert sum(rho.dimension**2 for rho in irreps(s3)) == 6
    assert not Nature(KIND, found).is_addition


@pytest.mark.parametrize("table", [[[0, 1], [1, 1]], [[0, 2, 1], [2, 1, 0], [1, 0, 2]], [[1, 0], [1, 0]]])
def test_other_tables_have_none(table: list[list[int]]) -> None:
    assert harmonics_of_table(np.array(table)) is None
    task = interp.table_task(table, name="odd")
    assert task.harmonics is None
    question = find_analyses("progress_measures")[0]
    assert "no harmonics are known for the table of odd" in str(does_not_apply(question, Nature(KIND, task)))


def test_a_file_does_not_take_the_name_of_another_table(tmp_path: Path) -> None:
    (tmp_path / "two.json").write_text(json.dumps({"table": [[0, 1], [1, 0]], "name": "S5"}))
    (tmp_path / "S3.csv").write_text("0,1\n1,0\n")
    (tmp_path / "Z2.csv").write_text("0,1\n1,0\n")
    assert interp.table_task(tmp_path / "two.json").name == "S5 (two.json)"
    assert interp.table_task(tmp_path / "S3.csv").name == "S3 (S3.csv)"
    assert interp.table_task(tmp_path / "Z2.csv").name == "Z2"


def test_tables_of_numpys_integers_are_tables() -> None:
    expected = interp.table_task([[0, 1], [1, 0]])
    assert interp.table_task([[np.int64(0), np.int64(1)], [1, 0]]) == expected
    assert interp.table_task([np.array([0, 1]), np.array([1, 0])]) == expected


def test_what_is_no_square_of_integers_is_said() -> None:
    with pytest.raises(UsageError, match="rows of different lengths, expected n rows of n"):
        interp.binary_operation("x", [[0, 1], [1]])
    with pytest.raises(UsageError, match=r"given entries of type <U1, expected integers in 0..1"):
        interp.binary_operation("x", [["a", "b"], ["b", "a"]])
    with pytest.raises(UsageError, match="rows of different lengths, expected n rows of n"):
        interp.Group.from_table([[0, 1], [1]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n0,1\n1,0\n", "row 0 is no row of integers: a table has no header, remove it"),
        ("0;1\n1;0\n", "given the separator ';', expected ','"),
        ("0\t1\n1\t0\n", r"given the separator '\\t', expected ','"),
        ("0\n", "given 1 element, expected two or more"),
        ("0,1\n", "given 1 row of 2 entries, expected two or more"),
    ],
)
def test_what_files_of_tables_often_are_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        interp.table_task(tmp_path / "t.csv")


def test_circuits_take_names_of_elements_and_one_representation() -> None:
    s4 = interp.group("S4")
    members = s4.subgroup(["2134", "2314"]).tolist()
    named = interp.synthetic.coset_logits(s4, [s4.elements[one] for one in members])
    assert torch.equal(named, interp.synthetic.coset_logits(s4, members))
    with pytest.raises(UsageError, match="expected a subgroup"):
        interp.synthetic.coset_logits(s4, ["2134"])
    with pytest.raises(UsageError, match="given element '9', expected one of 1234"):
        interp.synthetic.coset_logits(s4, ["9"])
    with pytest.raises(UsageError, match="expected numbers of elements of S4"):
        interp.synthetic.coset_logits(s4, [24])
    one = interp.synthetic.character_logits(s4, "(3,1)")
    assert torch.equal(one, interp.synthetic.character_logits(s4, ["(3,1)"]))


def test_a_checkpoint_of_another_network_says_what_to_do(tmp_path: Path) -> None:
    deep = interp.ModelConfig(d_model=8, n_heads=2, d_mlp=8, n_layers=2)
    config = replace(interp.recipe("demo"), task=interp.ModularTask(5), model=deep, steps=1, threads=1)
    run = interp.record(config, tmp_path, "deep", progress=False)
    with pytest.raises(DataError, match=r"'layered-transformer', expected 'one-layer'; .* open the run that it is from"):
        interp.load_weights(next((run.path / "checkpoints").glob("*.safetensors")))
