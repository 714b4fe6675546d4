"""Any torch module with token inputs as a `Network`: its tensors by name, and the logits that it answers with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from interp.errors import DataError, UsageError, unknown
from interp.networks.stored_network import NetworkMaker
from interp.networks.undisturbed import undisturbed

KIND = "module"
LOGITS = "logits"
# What a module is called with, made of the tokens (row, pos): a tensor, a tuple of positional or a dict of named arguments.
Inputs = Callable[[Tensor], Any]

_ROWS = 2**10  # that go through the module at once on the CPU: their activations stay in its caches
_ROWS_ELSEWHERE = 2**12  # likewise: they stay small
# What numpy has no numbers for is kept in single precision, which holds each of these exactly.
_OF_NUMPY = (
    torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


def tokens_alone(tokens: Tensor) -> Tensor:
    """The usual arguments of a module: its tokens."""
    return tokens


@dataclass(frozen=True, eq=False)
class ModuleNetwork:
    """A torch module as a network of kind ``module``. It is looked at, never changed: see `undisturbed`.

    Args:
        module: the module; where it is wrapped (torch.compile, DataParallel, DistributedDataParallel), what is inside is meant.
        inputs: makes its arguments of the tokens (row, pos) on its device.
        position: where the answer is read, if it answers at every position.
        sites: dotted names of submodules whose outputs `activations` has too.
    """

    module: nn.Module
    inputs: Inputs = tokens_alone
    position: int = -1
    sites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "module", unwrapped(self.module))
        for site in self.sites:
            try:  # some have more names than `named_modules` lists
                found = self.module.get_submodule(site)
            except AttributeError:
                found = self.module
            if found is self.module:
                raise unknown("site", site, [name for name, _ in self.module.named_modules() if name])

    @property
    def kind(self) -> str:
        """What sort of network it is."""
        return KIND

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers by the names of its ``state_dict``; what is no tensor there is left out.

        Raises:
            UsageError: for one that cannot be stored: complex, sparse or quantized.
        """
        named = {name: value for name, value in self.module.state_dict().items() if isinstance(value, Tensor)}
        for name, tensor in named.items():
            if tensor.is_complex() or tensor.layout != torch.strided or tensor.is_quantized:
                told = f"{str(tensor.dtype).removeprefix('torch.')}, {str(tensor.layout).removeprefix('torch.')}"
                raise UsageError(f"model: tensor {name!r}: given {told}, expected real numbers in a dense (strided) tensor")
        return {name: tensor if tensor.dtype in _OF_NUMPY else tensor.float() for name, tensor in named.items()}

    def facts(self) -> Mapping[str, Any]:
        """Its class, for people: nothing that is named here is ever imported; and which tensors are no distinct parameters."""
        made, beside = type(self.module), self._beside()
        told = {"class": f"{made.__module__}.{made.__qualname__}", "position": self.position, "sites": list(self.sites)}
        return {**told, "not_parameters": beside} if beside else told

    def _beside(self) -> list[str]:
        """Names of buffers, and of parameters that are there under another name before."""
        left = {_place(parameter) for parameter in self.module.parameters()}
        found = []
        for name, value in self.module.state_dict().items():
            if isinstance(value, Tensor) and value.numel():
                if _place(value) in left:
                    left.discard(_place(value))
                else:
                    found.append(name)
        return found

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        return next((tensor.device for tensor in self.module.state_dict().values() if isinstance(tensor, Tensor)), _CPU)

    def activations(self, inputs: Int[np.ndarray, "row pos"]) -> dict[str, Float[Tensor, "row ..."]]:
        """Logits at the answer's position, and the outputs of the chosen submodules under their dotted names.

        Raises:
            UsageError: if what comes out are no logits, or a submodule gives no tensor, with the shapes.
        """
        tokens = torch.from_numpy(np.ascontiguousarray(inputs)).to(self.device)
        found: dict[str, list[Tensor]] = {}
        with undisturbed(self.module), ExitStack() as hooks:
            for site in self.sites:
                handle = self.module.get_submodule(site).register_forward_hook(_keeping(site, found))
                hooks.callback(handle.remove)
            for some in torch.split(tokens, _ROWS if tokens.device.type == "cpu" else _ROWS_ELSEWHERE):
                found.setdefault(LOGITS, []).append(self._answers(some))
        # Copies also of one part: a module may answer with a tensor that it goes on using.
        return {name: torch.cat(parts) for name, parts in found.items()}

    def _answers(self, tokens: Tensor) -> Tensor:
        arguments = self.inputs(tokens)
        if isinstance(arguments, Mapping):
            output = self.module(**arguments)
        else:
            output = self.module(*(arguments if isinstance(arguments, tuple) else (arguments,)))
        logits = first_tensor(output)
        if logits is None or not logits.is_floating_point() or logits.ndim not in (2, 3) or len(logits) != len(tokens):
            raise UsageError(
                f"model: given {_described(output)} for {len(tokens)} rows of tokens, expected logits (row, class) or "
                "(row, position, class), alone, first in a tuple, or as .logits"
            )
        if logits.ndim == 3:
            places = logits.shape[1]
            if not -places <= self.position < places:
                raise UsageError(f"position: given {self.position}, but the model answers at {places} positions")
            logits = logits[:, self.position]
        return logits.float() if logits.element_size() < 4 else logits


def module_maker(build: Callable[[], nn.Module], *, inputs: Inputs = tokens_alone) -> NetworkMaker:
    """What makes a recorded module's networks again, for `interp.open_run`: its function is known then, not its tensors alone.

    Args:
        build: makes a module of the same class and sizes; its weights are replaced by the stored ones.
        inputs: as for `interp.recording`.

    Raises:
        DataError: when a network is made, if the module's tensors are others than those that were stored.

    >>> layer = nn.Linear(2, 3)
    >>> make = module_maker(lambda: nn.Linear(2, 3))
    >>> again = make(ModuleNetwork(layer).tensors(), {"position": -1, "sites": []})
    >>> bool((again.module.weight == layer.weight).all())
    True
    """

    def make(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> ModuleNetwork:
        network = ModuleNetwork(build(), inputs, int(facts.get("position", -1)), tuple(facts.get("sites", ())))
        mine = {name: tuple(tensor.shape) for name, tensor in network.tensors().items()}
        stored = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        for name in {**stored, **mine}:
            if mine.get(name) != stored.get(name):
                raise DataError(
                    f"network=: tensor {name!r}: {stored.get(name, 'none')} is stored, the module that was built has "
                    f"{mine.get(name, 'none')}"
                )
        network.module.load_state_dict(dict(tensors), strict=False)  # strict but for what is no tensor: checked above
        return network

    return make


def copied(network: ModuleNetwork, inputs: Int[np.ndarray, "row pos"]) -> nn.Module:
    """A copy of a module on the CPU, which shares nothing with it: weights can be put into it. It has none yet.

    Args:
        network: the module.
        inputs: some that it can be asked, to see that the copy answers by itself.

    Raises:
        UsageError: if it cannot be copied, or its copy goes on answering with the module's own tensors.
    """
    module = network.module
    try:
        network.activations(inputs)  # what it may keep of its last call has no gradients then, which cannot be copied
        with undisturbed(module):
            copy = deepcopy(module)
    except Exception as error:
        raise UsageError(f"model: {type(module).__name__} cannot be copied ({type(error).__name__}: {error})") from error
    own = {tensor.data_ptr() for tensor in module.state_dict().values() if isinstance(tensor, Tensor) and tensor.numel()}
    mine = [tensor for tensor in copy.state_dict().values() if isinstance(tensor, Tensor) and tensor.numel()]
    if any(tensor.data_ptr() in own for tensor in mine):
        raise UsageError(f"model: a copy of {type(module).__name__} has tensors in common with it")
    copy = copy if network.device.type == "cpu" else copy.cpu()
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.zero_()
    asked = [one.activations(inputs)[LOGITS].cpu() for one in (network, replace(network, module=copy))]
    is_constant = bool((asked[0] == asked[0].flatten()[:1]).all())  # as of a last layer that begins at zero: it tells nothing
    if torch.equal(*asked) and not is_constant and any(bool(parameter.any()) for parameter in module.parameters()):
        raise UsageError(f"model: a copy of {type(module).__name__} goes on answering with the weights that it was copied from")
    return copy


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside what torch wraps around it: looking at it compiles nothing and waits for no other process."""
    while True:
        inner = getattr(module, "_orig_mod", None)
        if inner is None and isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def first_tensor(output: object) -> Tensor | None:
    """The tensor in a module's output: itself, its ``logits``, or the first of a tuple; None if there is none."""
    if isinstance(output, Mapping) and LOGITS in output:
        output = output[LOGITS]
    elif not isinstance(output, Tensor):
        output = getattr(output, LOGITS, output)
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


def _keeping(site: str, found: dict[str, list[Tensor]]) -> Callable[..., None]:
    """A hook that keeps a submodule's output, and changes nothing."""

    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        tensor = first_tensor(output)
        if tensor is None:
            raise UsageError(f"site {site!r}: given {_described(output)}, expected a tensor, or a tuple that begins with one")
        found.setdefault(site, []).append(tensor)

    return keep


def _place(tensor: Tensor) -> tuple[object, ...]:
    """Where a tensor lies, and its form: what tells whether two are the same."""
    return tensor.data_ptr() if tensor.layout == torch.strided else id(tensor), tensor.dtype, tuple(tensor.shape), tensor.device


def _described(output: object) -> str:
    """A module's output in words: types and shapes."""
    if isinstance(output, Tensor):
        return f"{str(output.dtype).removeprefix('torch.')} of shape {tuple(output.shape)}"
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of ({', '.join(map(_described, output))})"
    logits = getattr(output, LOGITS, None)
    return type(output).__name__ if logits is None else f"{type(output).__name__} with logits {_described(logits)}"


_CPU = torch.device("cpu")
