"""TransformerLens: legacy state dicts (HookedTransformer, before version 4), their layout and config; reading bridges back."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from interp.errors import DataError, UsageError
from interp.networks.bridge import BRIDGE
from interp.networks.one_layer import Weights
from interp.networks.shapes import ACTIVATIONS, SHAPES, Activation
from interp.networks.tensor_layout import Layout

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

_MODULE = {
    "W_E": "embed", "W_pos": "pos_embed", "W_U": "unembed", "b_U": "unembed",
    "W_in": "blocks.0.mlp", "W_out": "blocks.0.mlp", "b_in": "blocks.0.mlp", "b_out": "blocks.0.mlp",
}  # fmt: skip
MASK, IGNORE = "blocks.0.attn.mask", "blocks.0.attn.IGNORE"

# It has our orientation: a row vector is multiplied from the left.
LEGACY = Layout(
    name="a TransformerLens HookedTransformer",
    tensors={f"{_MODULE.get(name, 'blocks.0.attn')}.{name}": (name, " ".join(axes)) for name, axes in SHAPES.items()},
    masks=frozenset({MASK}),
    constants=frozenset({IGNORE}),
)

# What a TransformerLens config must say for its model to compute our function; fields that a version lacks are not checked.
_REQUIRED_CONFIG: dict[str, tuple[object, ...]] = {
    "n_layers": (1,),
    "normalization_type": (None,),
    "attention_dir": ("causal",),
    "positional_embedding_type": ("standard",),
    "attn_only": (False,),
    "gated_mlp": (False,),
    "final_rms": (False,),
    "parallel_attn_mlp": (False,),
    "use_attn_scale": (True,),
    "use_local_attn": (False,),
    "use_qk_norm": (False,),
    "post_embedding_ln": (False,),
    "n_key_value_heads": (None,),
    "attn_scores_soft_cap": (-1.0, 0.0),
    "output_logits_soft_cap": (-1.0, 0.0),
    "act_fn": ACTIVATIONS,
}


def check_config(config: Mapping[str, object]) -> None:
    """Check a TransformerLens config against what `Weights` can hold.

    Raises:
        DataError: if they differ; it names every field that does.
    """
    wrong = [
        f"{name}: given {config[name]!r}, expected {' or '.join(map(repr, allowed))}"
        for name, allowed in _REQUIRED_CONFIG.items()
        if name in config and config[name] not in allowed
    ]
    scale, d_head = config.get("attn_scale", -1.0), config.get("d_head")
    if scale != -1.0 and isinstance(scale, float | int) and not (isinstance(d_head, int) and abs(scale - sqrt(d_head)) < 1e-6):
        wrong.append(f"attn_scale: given {scale!r}, expected sqrt(d_head) (or -1, which means it)")
    if wrong:
        raise DataError("not a one-layer transformer that Weights can hold:\n  " + "\n  ".join(wrong))


def legacy_state(weights: Weights) -> dict[str, Tensor]:
    """The state dict of a HookedTransformer with these weights: absent biases as zeros, the causal mask and its constant.

    It loads strictly into TransformerLens 1 to 3, and into 4 through its ``convert_tl_checkpoint``.

    Raises:
        UsageError: if attention_rate is not 1, which TransformerLens cannot hold.
    """
    if weights.attention_rate != 1:
        raise UsageError(
            f"export: given attention_rate {weights.attention_rate}, expected 1: TransformerLens has ordinary attention only; "
            "export as safetensors, which keeps the rate"
        )
    sizes = {
        axis: size for name, tensor in weights.tensors().items() for axis, size in zip(SHAPES[name], tensor.shape, strict=True)
    }
    state = LEGACY.write(weights)
    for theirs, (ours, _) in LEGACY.tensors.items():
        if theirs not in state:
            state[theirs] = weights.W_E.new_zeros([sizes[axis] for axis in SHAPES[ours]])
    state[MASK] = torch.ones(weights.n_ctx, weights.n_ctx, dtype=torch.bool).tril()
    state[IGNORE] = torch.tensor(-torch.inf, dtype=weights.W_E.dtype)
    return state


def from_bridge(bridge: TransformerBridge) -> Weights:
    """The `Weights` of a one-layer bridge, copied; the inverse of `to_bridge`, tensor for tensor.

    A bias that is zero and not trained (``requires_grad`` off) is one the model does not have.

    Raises:
        DataError: if the bridge computes something that Weights cannot hold (normalization, more layers, rotary positions ...).
    """
    config = vars(bridge.cfg)
    check_config(config)
    state = bridge.state_dict(keep_vars=True)
    present = {name: tensor.detach() for name, tensor in state.items() if not _is_absent(name, tensor)}
    return weights_of_bridge_state(present, n_heads=config["n_heads"], activation=config["act_fn"])


def weights_of_bridge_state(state: Mapping[str, object], *, n_heads: int, activation: Activation = "relu") -> Weights:
    """The `Weights` in a bridge's ``state_dict()``, which merges the heads and so does not contain their number."""
    return Weights.from_tensors(BRIDGE.read(state, {"n_heads": n_heads}), activation=activation)


def _is_absent(name: str, tensor: Tensor) -> bool:
    is_bias = BRIDGE.tensors.get(name, ("",))[0].startswith("b_")
    return is_bias and not tensor.requires_grad and not bool(tensor.any())
