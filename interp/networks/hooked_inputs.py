"""What `HookedModel` may be asked for, checked before anything is computed."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from interp.errors import UsageError, unknown
from interp.networks.one_layer import Weights
from interp.networks.one_layer import tokens as tokens_of_pairs

ReturnType = Literal["logits", "loss", "both"]
RETURN_TYPES = ("logits", "loss", "both")
_NO_TEXT = "a token is a number here, and none is put before or beside those that are given; leave it out"
INSTEAD_OF_ARGUMENT = {
    **dict.fromkeys(("prepend_bos", "padding_side", "attention_mask", "input_ids"), _NO_TEXT),
    **dict.fromkeys(("past_kv_cache", "past_key_values", "use_cache"), "the whole input is read at once; leave it out"),
    "start_at_layer": "there is one block; to start from another residual stream, replace blocks.0.hook_resid_pre with a hook",
    "tokens": "the tokens are the input; give them first, as rows of n_ctx integers",
    "shortformer_pos_embed": "positions are embedded by W_pos; replace hook_pos_embed with a hook",
}


def token_rows(weights: Weights, pairs: Tensor | np.ndarray) -> Int[Tensor, "batch pos"]:
    """The tokens of pairs (n, 2), or of rows of n_ctx tokens as they are."""
    d_vocab, n_ctx = len(weights.W_E), weights.n_ctx
    try:
        given = torch.as_tensor(pairs)
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(
            f"input: given {reprlib.repr(pairs)}, expected integers: a token is a number here, and `=` is token p; give pairs "
            f"(n, 2) or tokens (n, {n_ctx})"
        ) from None
    if given.ndim != 2 or given.shape[1] not in (2, n_ctx) or given.is_floating_point():
        raise UsageError(
            f"input: given {tuple(given.shape)} of {given.dtype}, expected integers: pairs (n, 2) or tokens (n, {n_ctx})"
        )
    if given.shape[1] == 2:
        return tokens_of_pairs(weights, given.long())
    if len(given) and not (int(given.min()) >= 0 and int(given.max()) < d_vocab):
        raise UsageError(f"tokens: given {int(given.min())}..{int(given.max())}, expected 0..{d_vocab - 1}")
    return given.to(weights.W_E.device).long()


def check_arguments(given: Mapping[str, object], known: Collection[str]) -> None:
    """Error for any argument of TransformerLens' models that has no counterpart, with what to use; or for a misspelt one."""
    for name in given:
        if name in INSTEAD_OF_ARGUMENT:
            raise UsageError(f"{name}: {INSTEAD_OF_ARGUMENT[name]}")
        raise unknown("argument", name, known)


def right_answers(labels: Tensor | np.ndarray | None, *, like: Tensor, n: int, classes: int) -> Int[Tensor, " batch"]:
    """The labels that a loss needs, one for each of n inputs, on the device of another tensor."""
    if labels is None:
        raise UsageError(
            "return_type: the loss is that of the answers at the last position, and there is none of the next token: give "
            "labels=, such as run.task.labels"
        )
    answers = torch.as_tensor(labels, device=like.device)
    if answers.shape != (n,) or answers.is_floating_point() or answers.is_complex():
        raise UsageError(f"labels: given {tuple(answers.shape)} of {answers.dtype}, expected {n} integers, one for each input")
    return in_range("labels", answers, classes).long()


def in_range(what: str, numbers: Tensor, end: int) -> Tensor:
    """The numbers, if all are in 0..end-1."""
    if numbers.numel() and not 0 <= int(numbers.min()) <= int(numbers.max()) < end:
        raise UsageError(f"{what}: given {int(numbers.min())}..{int(numbers.max())}, expected 0..{end - 1}")
    return numbers


def known_return_type(return_type: object) -> None:
    """Error unless it is one of the things that a model returns."""
    if return_type is not None and return_type not in RETURN_TYPES:
        raise unknown("return_type", return_type, RETURN_TYPES)


def stopping_layer(layer: int | None) -> int | None:
    """The layer to stop before, counted from the first: 0 or 1; None for going on to the logits."""
    if layer is not None and layer not in (-1, 0, 1):
        raise UsageError(f"stop_at_layer: given {layer!r}, expected 0 (or -1), before the only block, or 1, after it")
    return 0 if layer == -1 else layer


def check_backward(*, scalar: bool) -> None:
    """Error unless there is a loss to differentiate."""
    if not scalar:
        raise UsageError(
            "incl_bwd: gradients are those of one number: give return_type='loss' and labels=, without loss_per_token and "
            "stop_at_layer; for any other quantity use hooks(bwd_hooks=...) and its backward()"
        )
    if not torch.is_grad_enabled():
        raise UsageError("incl_bwd: gradients are switched off here (torch.no_grad or inference mode); call it outside")
