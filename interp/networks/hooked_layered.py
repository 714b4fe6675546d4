"""HookedLayered: TransformerLens' hooks on a transformer of any depth.

Only this module, those beside it and interop/ load transformer_lens (which takes seconds to import).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint

from interp.errors import UsageError
from interp.networks.hooked_block import HookPoints
from interp.networks.layered import Layered
from interp.networks.layered_pass import LayeredPass
from interp.networks.weights_given import as_network

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

    from interp.store.checkpoint import Checkpoint


class HookedLayered(HookedRootModule):
    """A transformer of any depth whose every intermediate value can be read, replaced and differentiated, as in TransformerLens.

    ``run_with_cache``, ``run_with_hooks``, ``add_hook`` and ``hooks()`` work as they do there, at the sites of
    `Layered.activations`, with LayerNorm before or after the parts. Called on rows of n_ctx tokens it returns the logits at ALL
    positions, (n, n_ctx, classes); the answer is at the last. The parameters are copies under their own names
    (``blocks.1.attn.W_Q``); ``network`` gives them back live.

    Raises:
        UsageError: for a network that is no transformer of several layers or with LayerNorm.

    >>> from interp import ModelConfig, ModularTask, RunConfig
    >>> from interp.networks.initial import initial_network
    >>> config = RunConfig(task=ModularTask(5), model=ModelConfig(n_layers=2, d_model=8, n_heads=2, d_mlp=8))
    >>> logits, cache = HookedLayered(initial_network(config)).run_with_cache(config.task.inputs)
    >>> tuple(logits.shape), tuple(cache["blocks.1.attn.hook_pattern"].shape)
    ((25, 3, 5), (25, 2, 3, 3))
    """

    def __init__(self, network: Layered | Checkpoint) -> None:
        super().__init__()
        given = as_network(network)
        if not isinstance(given, Layered):
            raise UsageError(
                f"HookedLayered: given a network of kind {given.kind!r}, expected a layered-transformer; HookedModel is of the "
                "one-layer transformer"
            )
        self.layout = given.layout
        for name, tensor in given.named.items():
            part, own = self._part(name)
            part.register_parameter(own, nn.Parameter(tensor.detach().clone()))
        with torch.no_grad():
            sites = [site for site in given.activations(np.zeros((1, given.sizes["n_ctx"]), dtype=np.int64)) if site != "logits"]
        for site in sites:
            part, own = self._part(site)
            part.add_module(own, HookPoint())
        self.hook_names = tuple(sites)  # in the order they fire
        self.setup()

    def setup(self) -> None:
        """Name the hook points, as TransformerLens does."""
        super().setup()  # type: ignore[no-untyped-call]  # TransformerLens leaves it untyped
        # TransformerLens looks names up here: hook points only, and an error that helps.
        self.mod_dict = HookPoints((name, self.hook_dict[name]) for name in self.hook_names)

    @property
    def network(self) -> Layered:
        """The network; its tensors are this model's parameters, not copies."""
        return Layered(dict(self.named_parameters()), self.layout)

    def to_bridge(self) -> TransformerBridge:
        """A TransformerLens 4 `TransformerBridge` with the same weights and the same function.

        Raises:
            UsageError: if TransformerLens' native models have no such function: LayerNorm after the sums, an attention rate
                below 1, x^2.
        """
        from interp.networks.layered_bridge import layered_to_bridge

        return layered_to_bridge(self.network)

    def forward(self, inputs: Int[Tensor, "row pos"] | Int[np.ndarray, "row pos"]) -> Float[Tensor, "row pos classes"]:
        """Logits at every position.

        Raises:
            UsageError: if the inputs are not rows of n_ctx tokens.
        """
        network = self.network
        return LayeredPass(network.named, self.layout, at=self._at).logits(network.tokens(inputs))

    def _at(self, site: str, value: Tensor) -> Tensor:
        found: Tensor = self.hook_dict[site](value)
        return found

    def _part(self, name: str) -> tuple[nn.Module, str]:
        """The module in which a name stands, made if it is not there, and the last part of the name."""
        *path, own = name.split(".")
        part: nn.Module = self
        for one in path:
            if one not in part._modules:
                part.add_module(one, nn.Module())
            part = part._modules[one]  # type: ignore[assignment]  # never None
        return part, own
