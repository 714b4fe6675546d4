"""The names that notebooks written for TransformerLens ask their model for: what is behind them here, or what to use instead.

What means something in a model of one layer over numbers (``model.W_Q``) is there, with TransformerLens' shapes; for the rest
(``model.tokenizer``) one sentence says what to use.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from transformer_lens import FactoredMatrix

from interp.networks.one_layer import Weights

# With a first axis for the layer, as TransformerLens stacks them.
IN_A_BLOCK = ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out", "b_Q", "b_K", "b_V", "b_O", "b_in", "b_out")
IN_NO_BLOCK = ("W_E", "W_pos", "W_U", "b_U")

# What to use -> the names that have no counterpart.
INSTEAD_OF: dict[str, tuple[str, ...]] = {
    "use `HookedModel(interp.load_weights(file))`, or `HookedModel(run[step].weights)` for a checkpoint": (
        "from_pretrained", "from_pretrained_no_processing", "boot_transformers", "load_and_process_state_dict",
    ),
    "a token is a number here, and `=` is token p: give pairs (n, 2) or rows of tokens (n, n_ctx) of integers": (
        "tokenizer", "to_tokens", "to_string", "to_str_tokens", "to_single_token", "to_single_str_token", "get_token_position",
        "set_tokenizer",
    ),
    "the model answers once, at the last position: use `model(pairs)[:, -1, :p].argmax(-1)`": (
        "generate", "generate_stream", "hf_generate",
    ),
    "there is no layer normalization here, and the weights are used as they are: leave the line out": (
        "ln1", "ln2", "ln_final", "fold_layer_norm", "process_weights", "process_weights_", "center_writing_weights",
        "center_unembed", "fold_value_biases", "refactor_factored_attn_matrices", "enable_compatibility_mode",
    ),
    "leave the line out: hook_result is computed whenever a hook or a cache listens to it, and the inputs of attention and MLP "
    "are hook_resid_pre and hook_resid_mid": (
        "set_use_attn_result", "set_use_attn_in", "set_use_split_qkv_input", "set_use_hook_mlp_in",
        "set_ungroup_grouped_query_attention",
    ),
    "use `model(pairs, return_type='loss', labels=labels)`, or `interp.losses.cross_entropy`": ("loss_fn",),
    "use the task's table, `run.task.pairs` and `run.task.labels`": (
        "load_sample_training_dataset", "sample_datapoint", "dataset",
    ),
    "new weights come with a run: use `interp.train(config)`, or `interp.record(config, root, name)`": ("init_weights",),
    "use `dict(model.named_parameters())`, or `model.weights`": ("tl_parameters", "tl_named_parameters", "get_params"),
    "heads compose across layers, and there is one layer: use `model.QK` and `model.OV`": ("all_composition_scores",),
    "the MLP has no gate: use `model.W_in` and `model.W_out`": ("W_gate",),
    "use `model(pairs, stop_at_layer=0)`": ("input_to_embed",),
    "use `model.to_bridge().original_model`, or `model.weights`": ("original_model",),
}  # fmt: skip
INSTEAD = {name: advice for advice, names in INSTEAD_OF.items() for name in names}


def weight(weights: Weights, name: str) -> Tensor:
    """One of a model's tensors under TransformerLens' name and shape: those of the block have a first axis for the layer.

    An absent bias is zeros, as it is in TransformerLens, where biases always exist.
    """
    found = getattr(weights, name)
    if found is None:
        shapes = {"b_O": (weights.d_model,), "b_in": (weights.d_mlp,), "b_out": (weights.d_model,), "b_U": (weights.classes,)}
        found = weights.W_E.new_zeros(shapes.get(name, (weights.n_heads, weights.d_head)))
    return found if name in IN_NO_BLOCK else found[None]


def qk_circuit(weights: Weights) -> FactoredMatrix:
    """``W_Q W_K^T`` of every head, factored, (layer, head, d_model, d_model)."""
    return FactoredMatrix(weight(weights, "W_Q"), weight(weights, "W_K").transpose(-2, -1))


def ov_circuit(weights: Weights) -> FactoredMatrix:
    """``W_V W_O`` of every head, factored, (layer, head, d_model, d_model)."""
    return FactoredMatrix(weight(weights, "W_V"), weight(weights, "W_O"))


class Labels(list[str]):
    """A list that may be called: TransformerLens 4 has it as a property, earlier versions as a method.

    >>> Labels(["L0H0"])() == Labels(["L0H0"]) == ["L0H0"]
    True
    """

    def __call__(self) -> list[str]:
        """The list itself."""
        return self


# Everything that a model has under another name; each is made when it is asked for, from the live parameters.
NAMES: dict[str, Callable[[Weights], object]] = {
    **{name: partial(weight, name=name) for name in (*IN_NO_BLOCK, *IN_A_BLOCK)},
    "W_E_pos": lambda weights: torch.cat([weights.W_E, weights.W_pos]),
    "QK": qk_circuit,
    "OV": ov_circuit,
    "all_head_labels": lambda weights: Labels(f"L0H{head}" for head in range(weights.n_heads)),
}


class Refused:
    """A name that the class itself does not have either: ``HookedModel.from_pretrained`` says what to use."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.message = refusal(name)

    def __get__(self, model: object, owner: type) -> object:
        raise AttributeError(self.message)


def refusal(name: str) -> str:
    """The sentence for a name without counterpart."""
    return f"HookedModel has no {name}: {INSTEAD[name]}"
