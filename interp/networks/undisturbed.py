"""Looking at a module that somebody else trains, without a trace: modes, random streams and settings are as they were."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

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


@contextmanager
def same_settings() -> Iterator[None]:
    """Put back what is set for the whole process and changes a training, whatever code of a user's sets inside the block.

    These are torch's gradients (on or off), anomaly detection, standard precision and device, number of threads, precision of
    float32 products, deterministic algorithms and those of cuDNN; and how numpy takes what is not finite.

    >>> with same_settings(): _ = torch.set_grad_enabled(False)
    >>> torch.is_grad_enabled()
    True
    """
    before = [(get, put, value) for get, put in _SETTINGS if (value := _read(get)) is not None]
    errors = np.geterr()
    try:
        yield
    finally:
        for get, put, value in before:
            if _read(get) != value:
                with suppress(RuntimeError):
                    put(value)
        np.seterr(**errors)


def _read(get: Callable[[], Any]) -> Any:
    """A setting; None where it cannot be told, as where torch's older and newer names of it were mixed."""
    with suppress(RuntimeError):
        return get()
    return None


def _put_device(device: torch.device) -> None:
    """Without a device of its own torch uses the CPU; set to that, it would go through a mode at every call."""
    torch.set_default_device(None if device == torch.device("cpu") else device)


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _anomaly() -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


def _cudnn() -> tuple[bool, bool]:
    return torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic


def _put_cudnn(flags: tuple[bool, bool]) -> None:
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = flags


# How each is read and set.
_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, _put_device),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (_deterministic, lambda flags: torch.use_deterministic_algorithms(flags[0], warn_only=flags[1])),
    (_anomaly, lambda flags: torch.autograd.set_detect_anomaly(*flags)),
    (_cudnn, _put_cudnn),
)
