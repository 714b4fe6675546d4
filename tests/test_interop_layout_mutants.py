"""State dicts that are not quite those of any model: each ends in a model or in a clear error, and never in anything else."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from foreign import legacy_state_by_hand, official_state, save
from foreign_forms import FORMS, State
from random_models import random_weights
from torch import Tensor
from wide_clock import wide_clock

from interp.errors import DataError, UsageError
from interp.interop import Known, load_run

FAST, MANY = 15, 300  # mutants of each form; all of them in the slow part


def dropped(state: State, name: str, rng: random.Random) -> State:
    return {other: tensor for other, tensor in state.items() if other != name}


def renamed(state: State, name: str, rng: random.Random) -> State:
    new = rng.choice(
        ["x.weight", name + "2", name.replace(".", "_"), "blocks.1." + name, name.upper(), "", ".", "head.weight", "=-"]
    )
    return {new if other == name else other: tensor for other, tensor in state.items()}


def swapped(state: State, name: str, rng: random.Random) -> State:
    other = rng.choice([*state])
    return {**state, name: state[other], other: state[name]}


def reshaped(state: State, name: str, rng: random.Random) -> State:
    ways: list[Callable[[Tensor], Tensor]] = [
        lambda t: t.flatten(), lambda t: t[None], lambda t: t[..., None], lambda t: t[:0], lambda t: t[..., :1],
        lambda t: t.flatten()[0], lambda t: t.repeat(2, *[1] * (t.ndim - 1)), lambda t: t.T if t.ndim == 2 else t[:-1],
        lambda t: t.new_zeros(1, 1, 1, 1, 1), lambda t: t.expand(3, *t.shape),
    ]  # fmt: skip
    tensor = state[name].to_dense()
    return {**state, name: rng.choice(ways)(tensor) if tensor.ndim else tensor[None, None]}


def retyped(state: State, name: str, rng: random.Random) -> State:
    ways: list[Callable[[Tensor], Tensor]] = [
        lambda t: t.long(), lambda t: t.bool(), lambda t: t.to(torch.complex64), lambda t: t.to(torch.bfloat16),
        lambda t: t.to_sparse(), lambda t: t * torch.nan, lambda t: t / 0, lambda t: t * 1e300, torch.zeros_like,
    ]  # fmt: skip
    return {**state, name: rng.choice(ways)(state[name].to_dense().clone())}


def added(state: State, name: str, rng: random.Random) -> State:
    new = rng.choice(
        ["ln.weight", "mask", "attn.bias", "heads.0.q", "heads.1.q.weight", "layers.1.q_proj.weight", "step", "w3.weight"]
    )
    return {**state, new: rng.choice([torch.zeros(4), torch.ones(3, 3).tril(), torch.zeros(()), torch.zeros(4, 16), state[name]])}


MUTATIONS = (dropped, renamed, swapped, reshaped, retyped, added)
WHOLE = {**FORMS, "official": official_state, "transformer-lens": legacy_state_by_hand}


def mutants(form: str, count: int) -> list[tuple[str, State]]:
    """Mutants of one form, each by one to three mutations, the same ones every time."""
    rng = random.Random(form)
    torch.manual_seed(0)
    weights = (
        wide_clock(7) if rng.random() < 0.5 else random_weights(7, d_model=16, n_heads=4, d_head=4, biases=["b_in", "b_out"])
    )
    found = []
    for _ in range(count):
        state, told = dict(WHOLE[form](weights)), []
        for _ in range(rng.randint(1, 3)):
            mutation, name = rng.choice(MUTATIONS), rng.choice([*state])
            state = mutation(state, name, rng)
            told.append(f"{mutation.__name__} {name}")
        found.append(("; ".join(told), state))
    return found


def check(form: str, count: int, folder: Path) -> None:
    for told, state in mutants(form, count):
        path = save(state, folder / "mutant.pt")
        for known in (Known(), Known(n_heads=4)):
            try:
                load_run(path, known=known)
            except (DataError, UsageError):
                pass
            except BaseException as error:
                raise AssertionError(f"{form}: {told}: {error!r}") from error


@pytest.mark.parametrize("form", WHOLE)
def test_mutants_end_in_a_model_or_a_clear_error(form: str, tmp_path: Path) -> None:
    check(form, FAST, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("form", WHOLE)
def test_many_mutants_end_in_a_model_or_a_clear_error(form: str, tmp_path: Path) -> None:
    check(form, MANY, tmp_path)
