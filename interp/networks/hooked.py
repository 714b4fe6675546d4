"""HookedModel: the function of `interp.forward` at every position, with TransformerLens' hooks, names and shapes.

Only this module, those beside it and interop/ load transformer_lens (which takes seconds to import).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import ActivationCache, FactoredMatrix, HookedRootModule
from transformer_lens.hook_points import HookPoint

from interp.errors import UsageError
from interp.losses import cross_entropy
from interp.networks.hooked_block import HOOKS, Block, Cached, HookPoints, Parameters
from interp.networks.hooked_inputs import (
    ReturnType,
    check_arguments,
    check_backward,
    in_range,
    known_return_type,
    right_answers,
    stopping_layer,
    token_rows,
)
from interp.networks.notebook_names import INSTEAD, NAMES, Refused, refusal
from interp.networks.one_layer import Weights, or_zero
from interp.networks.weights_given import as_weights

if TYPE_CHECKING:
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.utilities.slice import Slice, SliceInput

    from interp.store.checkpoint import Checkpoint


class HookedModel(HookedRootModule):
    """A model whose every intermediate value can be read, replaced and differentiated, as in TransformerLens.

    ``run_with_cache``, ``run_with_hooks``, ``add_hook`` and the context ``hooks()`` work as they do there; names and axes of the
    hook points are in `HOOKS`. Called on pairs (n, 2), or on full token rows (n, n_ctx), it returns the logits at ALL positions,
    (n, n_ctx, classes), as TransformerLens does; the answer is at the last, and there the logits equal `interp.forward`'s.

    Attention is causal as in TransformerLens (scores of masked positions are -inf) unless ``attention_rate < 1``: those models
    (Zhong et al. 2023) have no mask. The parameters are copies under TransformerLens' names (``blocks.0.attn.W_Q``); ``weights``
    gives them back exactly, live, so that gradients reach them. ``W_E``, ``W_Q`` and the others have TransformerLens' shapes
    (those of the block: with a first axis for the layer); a bias that the model does not have is zeros. What of TransformerLens
    is here, and what to use for the rest: docs/hooks.md.

    >>> from interp.synthetic import clock_weights
    >>> model = HookedModel(clock_weights(7, [1, 2, 3]))
    >>> logits, cache = model.run_with_cache(torch.tensor([[3, 5]]))
    >>> logits[0, -1, :7].argmax().item(), tuple(cache["pattern", 0].shape)
    (1, (1, 2, 3, 3))
    >>> right, wrong = (model(torch.tensor([[3, 5]]), return_type="loss", labels=torch.tensor([c])).item() for c in (1, 2))
    >>> right < wrong
    True
    """

    blocks: nn.ModuleList
    # Found by `__getattr__`.
    W_E: Float[Tensor, "d_vocab d_model"]
    W_pos: Float[Tensor, "n_ctx d_model"]
    W_E_pos: Float[Tensor, "d_vocab_and_n_ctx d_model"]
    W_Q: Float[Tensor, "layer n_heads d_model d_head"]
    W_K: Float[Tensor, "layer n_heads d_model d_head"]
    W_V: Float[Tensor, "layer n_heads d_model d_head"]
    W_O: Float[Tensor, "layer n_heads d_head d_model"]
    W_in: Float[Tensor, "layer d_model d_mlp"]
    W_out: Float[Tensor, "layer d_mlp d_model"]
    W_U: Float[Tensor, "d_model classes"]
    b_Q: Float[Tensor, "layer n_heads d_head"]
    b_K: Float[Tensor, "layer n_heads d_head"]
    b_V: Float[Tensor, "layer n_heads d_head"]
    b_O: Float[Tensor, "layer d_model"]
    b_in: Float[Tensor, "layer d_mlp"]
    b_out: Float[Tensor, "layer d_model"]
    b_U: Float[Tensor, " classes"]
    QK: FactoredMatrix
    OV: FactoredMatrix
    all_head_labels: list[str]

    from_pretrained = Refused()
    from_pretrained_no_processing = Refused()
    boot_transformers = Refused()

    def __init__(self, weights: Weights | Checkpoint) -> None:
        super().__init__()
        weights = as_weights(weights)
        self.activation = weights.activation
        self.attention_rate = weights.attention_rate
        parameters = {name: nn.Parameter(tensor.detach().clone()) for name, tensor in weights.tensors().items()}
        self.embed = Parameters(parameters, "W_E")
        self.hook_embed = HookPoint()
        self.pos_embed = Parameters(parameters, "W_pos")
        self.hook_pos_embed = HookPoint()
        block = Block(parameters, activation=weights.activation, attention_rate=weights.attention_rate)
        self.blocks = nn.ModuleList([block])
        self.unembed = Parameters(parameters, "W_U", "b_U")
        self.setup()

    def setup(self) -> None:
        """Name the hook points, as TransformerLens does; once more after a change of modules."""
        super().setup()  # type: ignore[no-untyped-call]  # TransformerLens leaves it untyped
        # TransformerLens looks names up here: hook points only, and an error that helps, for add_hook, hooks and run_with_hooks.
        self.mod_dict = HookPoints((name, self.hook_dict[name]) for name in HOOKS)

    @property
    def weights(self) -> Weights:
        """The model's `Weights`; its tensors are this model's parameters, not copies."""
        named = {name.split(".")[-1]: parameter for name, parameter in self.named_parameters()}
        return Weights.from_tensors(named, activation=self.activation, attention_rate=self.attention_rate)

    @property
    def cfg(self) -> TransformerBridgeConfig:
        """The architecture as TransformerLens describes it, which its `ActivationCache` asks for."""
        from interp.networks.bridge import bridge_config

        return bridge_config(self.weights)

    @property
    def hook_names(self) -> tuple[str, ...]:
        """Every hook point, in the order they fire; `HOOKS` has their axes."""
        return tuple(HOOKS)

    def to_bridge(self) -> TransformerBridge:
        """A TransformerLens 4 `TransformerBridge` with the same weights and the same function.

        Raises:
            UsageError: if a bridge cannot hold the model (attention_rate below 1).
        """
        from interp.networks.bridge import to_bridge

        return to_bridge(self.weights)

    def __getattr__(self, name: str) -> object:  # type: ignore[override] # more than tensors and modules
        if name in NAMES:
            return NAMES[name](self.weights)
        if name in INSTEAD:
            raise AttributeError(refusal(name))
        return super().__getattr__(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *NAMES})  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def accumulated_bias(
        self, layer: int, mlp_input: bool = False, include_mlp_biases: bool = True
    ) -> Float[Tensor, " d_model"]:  # positional, because TransformerLens' caches call it so
        """The sum of the biases that are written into the residual stream before a layer: b_O and b_out.

        Args:
            layer: 0 or 1; 1 is before the unembedding.
            mlp_input: before the MLP of that layer: its b_O too.
            include_mlp_biases: False leaves b_out out.
        """
        b_O, b_out = self.b_O[0], self.b_out[0]
        return b_O * (layer + mlp_input) + b_out * (layer * include_mlp_biases)

    def tokens_to_residual_directions(self, tokens: int | Int[Tensor, "*shape"]) -> Float[Tensor, "*shape d_model"]:
        """The columns of W_U: for each answer the direction in the residual stream whose product is its logit (less b_U)."""
        answers = in_range("tokens", torch.as_tensor(tokens, device=self.W_U.device), self.W_U.shape[1])
        # A batch of one answer is one direction, as in TransformerLens.
        return self.W_U.T[answers.reshape(()) if answers.numel() == 1 else answers]

    def forward(
        self,
        pairs: Int[Tensor, "batch two_or_pos"] | Int[np.ndarray, "batch two_or_pos"],
        return_type: ReturnType | None = "logits",
        *,
        labels: Int[Tensor, " batch"] | Int[np.ndarray, " batch"] | None = None,
        loss_per_token: bool = False,
        stop_at_layer: int | None = None,
        **others: object,
    ) -> Tensor | tuple[Tensor, Tensor] | None:
        """Logits at every position. Pairs (n, 2) get their ``=`` appended; rows of n_ctx tokens are taken as they are.

        Args:
            return_type: ``logits`` (batch, pos, classes); ``loss``, the mean cross-entropy in nats of the answers at the last
                position, over all classes; ``both``, (logits, loss); None: nothing, where only the hooks matter.
            labels: the right answers, for the loss. There is no loss of the next token: an input is not a text.
            loss_per_token: one loss for every input, (batch,), instead of their mean.
            stop_at_layer: 0 or -1 returns the residual stream before the block, ``embed + pos_embed``; 1 the one after it, before
                the unembedding (as HookedTransformer did; a bridge returns the logits there).

        Raises:
            UsageError: if the input is neither, a token or label is out of range, the loss is asked for without labels, or there
                is no such layer.
        """
        check_arguments(others, ("return_type", "labels", "loss_per_token", "stop_at_layer"))
        known_return_type(return_type)
        stop, tokens, needs_loss = stopping_layer(stop_at_layer), token_rows(self.weights, pairs), return_type in ("loss", "both")
        classes = self.unembed.W_U.shape[1]
        answers = right_answers(labels, like=tokens, n=len(tokens), classes=classes) if needs_loss and stop is None else None
        embed = self.hook_embed(F.embedding(tokens, self.embed.W_E))
        residual = embed + self.hook_pos_embed(self.pos_embed.W_pos.repeat(len(tokens), 1, 1))
        if stop == 0:
            return residual
        residual = self.blocks[0](residual)
        if stop == 1:
            return residual
        logits = residual @ self.unembed.W_U + or_zero(self.unembed.b_U)
        if answers is None:
            return None if return_type is None else logits
        losses = cross_entropy(logits[:, -1], answers)
        loss = losses if loss_per_token else losses.mean()
        return (logits, loss) if return_type == "both" else loss

    def run_with_cache(  # type: ignore[override] # noqa: PLR0913 # TransformerLens' arguments, by name instead of **kwargs
        self,
        pairs: Int[Tensor, "batch two_or_pos"] | Int[np.ndarray, "batch two_or_pos"],
        *,
        names_filter: str | Sequence[str] | Callable[[str], bool] | None = None,
        device: torch.device | str | None = None,
        remove_batch_dim: bool = False,
        incl_bwd: bool = False,
        pos_slice: Slice | SliceInput = None,
        stop_at_layer: int | None = None,
        return_type: ReturnType | None = "logits",
        labels: Int[Tensor, " batch"] | Int[np.ndarray, " batch"] | None = None,
        loss_per_token: bool = False,
        return_cache_object: bool = True,
        reset_hooks_end: bool = True,
        clear_contexts: bool = False,
        **others: object,
    ) -> tuple[Any, Any]:
        """What `forward` returns and the cache of detached activations; ``cache["pattern", 0]`` and full hook names both work.

        Args:
            names_filter: one hook name, several, or a function of the name that says which to keep; None keeps all.
            device: where to keep the activations; None leaves them where they are.
            remove_batch_dim: for one input: the cache without its first axis.
            incl_bwd: also the gradients of the loss, as ``cache[name + "_grad"]``; needs ``return_type="loss"`` and labels. As in
                TransformerLens the gradients of the parameters are added to their ``grad``.
            pos_slice: the positions to keep, in every activation (of scores and pattern: those of the query): -1, (0, 2), [0, 2];
                the axis stays.
            stop_at_layer, return_type, labels, loss_per_token: as in `forward`; what comes after the stop is not in the cache.
            return_cache_object: False gives a plain dict in place of an `ActivationCache`.
            reset_hooks_end: False leaves the hooks that fill the cache in place.
            clear_contexts: empty the hooks' contexts at the end.

        Raises:
            UsageError: for a hook name that does not exist (the message has the nearest one), a batch dimension that cannot go,
                or gradients of what is no loss.
        """
        check_arguments(others, HookedModel.run_with_cache.__kwdefaults__ or ())
        if names_filter is not None and not callable(names_filter):
            names_filter = [names_filter] if isinstance(names_filter, str) else list(names_filter)
            for name in names_filter:
                _ = self.mod_dict[name]  # a name that does not exist would keep nothing, silently
        inputs = token_rows(self.weights, pairs)
        if remove_batch_dim and len(inputs) != 1:
            raise UsageError(f"remove_batch_dim: given {len(inputs)} inputs, expected one; leave the option out")
        if incl_bwd:
            check_backward(scalar=return_type == "loss" and not loss_per_token and stop_at_layer is None)
        found, cache = super().run_with_cache(
            inputs, names_filter=names_filter, device=None if device is None else torch.device(device), incl_bwd=incl_bwd,
            remove_batch_dim=remove_batch_dim, reset_hooks_end=reset_hooks_end, clear_contexts=clear_contexts,
            pos_slice=pos_slice, return_type=return_type, labels=labels, loss_per_token=loss_per_token,
            stop_at_layer=stop_at_layer,
        )  # fmt: skip
        return found, ActivationCache(Cached(cache), self, has_batch_dim=not remove_batch_dim) if return_cache_object else cache
