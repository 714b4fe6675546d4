"""Prefixes that wrappers put before every name: torch.compile, DataParallel, a trainer's own attribute."""

from __future__ import annotations

from collections.abc import Collection, Mapping

PREFIXES = ("_orig_mod", "module", "_forward_module", "_fsdp_wrapped_module", "model", "net", "network", "params", "state_dict")


def common_prefix(names: Collection[str]) -> str:
    """What wrappers put before all of these names; empty if they do not share it.

    >>> common_prefix(["module._orig_mod.embed.W_E", "module._orig_mod.unembed.W_U"])
    'module._orig_mod.'
    >>> common_prefix(["model.embed.W_E", "head.W_U"])
    ''
    """
    first, prefix = next(iter(names), ""), ""
    while True:
        part = first[len(prefix) :].partition(".")[0]
        longer = f"{prefix}{part}."
        if part not in PREFIXES or not all(name.startswith(longer) and len(name) > len(longer) for name in names):
            return prefix
        prefix = longer


def without_prefix(state: Mapping[str, object], prefix: str) -> dict[str, object]:
    """The same tensors under names that begin after the prefix."""
    return {name.removeprefix(prefix): value for name, value in state.items()}
