"""Which engine a run gets."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from interp.config.run_config import OptimizerConfig, RunConfig
from interp.errors import UsageError
from interp.networks.network import Network
from interp.networks.one_layer import Weights
from interp.training.engine import Engine
from interp.training.examples import Examples
from interp.training.general import GeneralEngine
from interp.training.reference import ReferenceEngine

if TYPE_CHECKING:
    from interp.training.cpu.cpu_engine import CpuEngine
    from interp.training.stacked.graphs import CudaEngine

log = logging.getLogger("interp")


def make_engine(config: RunConfig, examples: Examples | None = None) -> Engine:
    """The engine a config asks for, holding its initial weights; with other examples than its split's, if there are any.

    ``auto`` takes the fastest that can do what the config asks, and logs why a faster one cannot.

    Raises:
        UsageError: if the named engine cannot do what the config asks; the message says what.
    """
    check_device(config)
    reference = ReferenceEngine if config.unusual is None else GeneralEngine
    if config.engine == "reference":
        return reference(config, examples)
    reason, make = _faster(config)
    if reason and config.engine == "auto":
        log.info("engine: reference, because %s", reason)
        return reference(config, examples)
    return make(config, examples)


def engine_name(config: RunConfig) -> str:
    """Name of the engine that `make_engine` would take; nothing is allocated."""
    if config.engine != "auto":
        return config.engine
    reason, make = _faster(config)
    return "reference" if reason else str(make.name)


def cannot(config: RunConfig) -> str | None:
    """Why the engine that a config names cannot do what it asks; None if it can."""
    if config.engine == "reference":
        return None
    reason, make = _faster(config)
    return reason if reason and reason.startswith(f"the {make.name} engine cannot") else None


def cpu_config(config: RunConfig, like: Network) -> RunConfig | None:
    """What the CPU engine needs to know to compute a config's loss of such networks, in one thread; None if it cannot."""
    if not isinstance(like, Weights):
        return None
    if any(tensor.dtype != torch.float32 or tensor.device.type != "cpu" for tensor in like.tensors().values()):
        return None
    found = replace(
        config,
        model=replace(config.model, dropout=0.0),
        optimizer=OptimizerConfig(loss=config.optimizer.loss),  # how it is trained plays no part
        changes=(),
        engine="cpu",
        device="cpu",
        dtype="float32",
        threads=1,
    )
    is_known = (like.activation, like.attention_rate) == (found.model.activation, found.model.attention_rate)
    return found if is_known and cannot(found) is None else None


def check_device(config: RunConfig) -> None:
    """Error unless the device that a config asks for is here.

    Raises:
        UsageError: naming it.
    """
    if config.device == "cpu":
        return
    if not torch.cuda.is_available():
        raise UsageError(f"device: given {config.device!r}, but no CUDA device is available here; use --device cpu")
    number, there = int(config.device.partition(":")[2] or 0), torch.cuda.device_count()
    if number >= there:
        raise UsageError(f"device: given {config.device!r}, but the last CUDA device here is cuda:{there - 1}")


def _faster(config: RunConfig) -> tuple[str | None, type[CpuEngine] | type[CudaEngine]]:
    """The engine that is faster than the reference, and why it should not be taken."""
    if config.engine == "cuda" or (config.engine == "auto" and config.device != "cpu"):
        from interp.training.stacked import graphs as cuda

        reason = cuda.refusal(config)
        if reason:
            return f"the cuda engine cannot do {reason}", cuda.CudaEngine
        return None if cuda.is_worth_it(config) else "with so many classes it is the faster one", cuda.CudaEngine
    from interp.training.cpu import cpu_engine as cpu

    reason = cpu.refusal(config)
    if reason:
        return f"the cpu engine cannot do {reason}", cpu.CpuEngine
    return None if cpu.is_worth_it(config) else "with so few training pairs it is the faster one", cpu.CpuEngine
