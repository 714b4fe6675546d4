"""What a file says of itself and its tensors do not bear out; what is not certain, and is said so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from foreign import legacy_state_by_hand, official_state, save
from foreign_forms import plain_linear
from random_models import random_weights
from wide_clock import wide_clock

from interp.errors import DataError, UsageError
from interp.interop import Known, explain, import_run, load_run, load_weights
from interp.networks.one_layer import Weights
from interp.tasks.splits import SplitConfig

SPLIT = SplitConfig("python", 0, 0.3)


@pytest.fixture
def clock() -> Weights:
    return wide_clock()


# The sizes that a configuration names


@pytest.mark.parametrize("p", [12, 14, 113, 12.0, "12"])
def test_a_modulus_that_is_not_the_tensors_is_refused_with_both(p: object, clock: Weights, tmp_path: Path) -> None:
    for state in (plain_linear(clock), legacy_state_by_hand(clock)):
        path = save({"model": state, "config": {"n_heads": 4, "modulus": p}}, tmp_path / "m.pt")
        with pytest.raises(DataError, match=rf"p: the configuration says {int(float(p))}, the tensors have 14 tokens.*p = 13"):
            load_weights(path)


def test_more_tokens_than_residues_and_equals_are_no_larger_modulus(tmp_path: Path) -> None:
    weights = random_weights(14, d_model=16, n_heads=4, d_head=4)
    config = {"n_heads": 4, "p": 13}
    path = save({"model": plain_linear(weights), "config": config}, tmp_path / "m.pt")
    with pytest.raises(DataError, match=r"says 13, the tensors have 15 tokens.*; what can be held has p tokens and `=`"):
        load_weights(path, known=Known(orientation="linear"))


@pytest.mark.parametrize(("field", "size"), [("d_model", 64), ("d_mlp", 7), ("d_head", 9), ("n_ctx", 5), ("vocab_size", 99)])
def test_another_size_in_the_configuration_is_said(field: str, size: int, clock: Weights, tmp_path: Path) -> None:
    path = save({"model": plain_linear(clock), "config": {"n_heads": 4, "p": 13, field: size}}, tmp_path / "m.pt")
    assert any(f"the configuration says {size}, the tensors have" in note for note in load_run(path).notes)
    right = save({"model": plain_linear(clock), "config": {"n_heads": 4, "p": 13, "d_model": 16}}, tmp_path / "right.pt")
    assert not any("the configuration says" in note for note in load_run(right).notes)
