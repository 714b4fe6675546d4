"""The names of the rules by which key frequencies are chosen, see `interp.observing.keys`. Nothing here imports torch."""

from __future__ import annotations

from typing import Literal, get_args

KeyRule = Literal["unembedding", "embedding", "neurons", "coefficients"]
KEY_RULES: tuple[KeyRule, ...] = get_args(KeyRule)
