"""The names of the rules by which key frequencies are chosen, see `interp.observing.keys`. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from interp.networks.shapes import KIND as ONE_LAYER

KeyRule = Literal["unembedding", "embedding", "neurons", "coefficients", "logits"]
KEY_RULES: tuple[KeyRule, ...] = get_args(KeyRule)
# The rules that read nothing but logits, and so any network whose function is known.
OF_ANY_NETWORK: tuple[KeyRule, ...] = ("logits", "coefficients")


def rule_for(kind: str, rule: KeyRule | Sequence[int | str]) -> KeyRule | Sequence[int | str]:
    """The rule that is meant for a kind of network: in place of the default, `unembedding`, that of other networks is `logits`.

    >>> rule_for("layered-transformer", "unembedding")
    'logits'
    """
    return "logits" if rule == "unembedding" and kind != ONE_LAYER else rule


def is_read(kind: str, rule: KeyRule | Sequence[int | str], *, is_known: bool) -> bool:
    """Whether a rule can read a kind of network, of which the function may be known; frequencies that are given are no rule."""
    return not isinstance(rule, str) or kind == ONE_LAYER or (is_known and rule_for(kind, rule) in OF_ANY_NETWORK)
