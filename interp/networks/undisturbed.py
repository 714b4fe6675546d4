"""Looking at a module that somebody else trains, without a trace: modes, random streams and autocast are as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients and no autocast inside the block; everything is put back as it was after it.

    Put back are the mode of every submodule by itself (some may be kept in evaluation mode by their owner) and the random streams
    of torch (CPU, and every CUDA device once one was used), numpy's global one and Python's. A module's own state is not copied:
    one that changes itself in evaluation mode is changed. Autocast is off, since weights that it casts without gradients would be
    kept for the training's own pass.

    >>> layer = nn.Dropout().train()
    >>> with undisturbed(layer): print(layer.training)
    False
    >>> layer.training
    True
    """
    modes = [(each, each.training) for each in module.modules()]
    with ExitStack() as held:
        held.enter_context(same_random_streams())
        held.enter_context(torch.no_grad())
        for kind in {"cpu", *(tensor.device.type for tensor in module.parameters())}:
            held.enter_context(torch.autocast(kind, enabled=False))
        held.callback(_set_modes, modes)
        _set_modes([(each, False) for each, _ in modes])
        yield


def _set_modes(modes: list[tuple[nn.Module, bool]]) -> None:
    """By the attribute: `train` may be somebody's own method, and goes through all children."""
    for module, mode in modes:
        if module.training != mode:
            module.training = mode


@contextmanager
def same_random_streams() -> Iterator[None]:
    """Put the random streams of torch, numpy and Python back as they were, whatever draws from them inside the block."""
    cpu, own, python = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002  the global stream itself
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]  # torch names none
    try:
        yield
    finally:
        torch.set_rng_state(cpu)
        np.random.set_state(own)  # noqa: NPY002  likewise
        random.setstate(python)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
