"""The content of a file as plain values, weighed: how deep it nests, and how much it is where one thing stands in many places."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from interp.errors import DataError
from interp.interop.containers import limits
from interp.interop.containers.inert_pickle import Stored
from interp.interop.containers.stored_objects import StoredArray, StoredConfig


def weighed(content: object) -> object:
    """The same with arrays in place of what stands for them; whoever walks through it meets no more than the limits allow.

    Raises:
        DataError: if it nests too deep, contains itself, or repeats what it holds too often.
    """
    scales = _Scales()
    plain, weight = scales.weigh(content, 0)
    held = sum(scales.storages.values())
    limits.check("what the file names", weight.items, 4 * scales.things + limits.RECORDS, "things")
    if weight.bytes > limits.REPEATS * held + 8 * limits.REPEATED:
        raise DataError(
            f"refused before it was read: its tensors are {weight.bytes:,} bytes where each is counted as often as it is named, "
            f"the file holds {held:,}, the limit is {limits.REPEATS} times that"
        )
    return plain


@dataclass(frozen=True)
class _Weight:
    """Levels of containers, things in them, bytes of tensors; each counted wherever it stands."""

    height: int = 0
    items: int = 1
    bytes: int = 0


@dataclass
class _Scales:
    """What was weighed already: containers by identity, storages by their place in memory."""

    done: dict[int, tuple[object, _Weight]] = field(default_factory=dict)
    under_way: set[int] = field(default_factory=set)
    alive: list[object] = field(default_factory=list)
    things: int = 1
    storages: dict[int, int] = field(default_factory=dict)

    def weigh(self, value: object, depth: int) -> tuple[Any, _Weight]:
        if isinstance(value, StoredArray):
            value = value.tensor
        if isinstance(value, Tensor):
            storage = value.untyped_storage()
            self.storages[storage.data_ptr()] = storage.nbytes()
            return value, _Weight(bytes=value.numel() * value.element_size())
        if not isinstance(value, dict | list | tuple | Stored):
            return value, _Weight()
        if id(value) not in self.done:
            if id(value) in self.under_way:
                raise DataError("refused: a container that contains itself")
            self.under_way.add(id(value))
            self.done[id(value)] = self._inside(value, depth + 1)
            self.under_way.remove(id(value))
            self.alive.append(value)  # so that no other object gets its identity
        plain, weight = self.done[id(value)]
        if depth + weight.height > limits.DEPTH:
            raise DataError(f"refused: containers nested more than {limits.DEPTH} deep, the limit")
        return plain, weight

    def _inside(
        self, value: dict[Any, object] | list[object] | tuple[object, ...] | Stored, depth: int
    ) -> tuple[object, _Weight]:
        if depth > limits.DEPTH:
            raise DataError(f"refused: containers nested more than {limits.DEPTH} deep, the limit")
        if isinstance(value, Stored) and not isinstance(value, StoredConfig):
            return None, _Weight()
        named: dict[Any, object] = value.attributes if isinstance(value, Stored) else _by_name(value)
        self.things += len(named)
        found = {name: self.weigh(part, depth) for name, part in named.items()}
        weights = [weight for _, weight in found.values()]
        weight = _Weight(
            1 + max((part.height for part in weights), default=0),
            1 + sum(part.items for part in weights),
            sum(part.bytes for part in weights),
        )
        parts = {name: part for name, (part, _) in found.items()}
        if isinstance(value, Stored):
            value.attributes.update(parts)
            return value, weight
        return (parts if isinstance(value, dict) else type(value)(parts.values())), weight


def _by_name(value: dict[Any, object] | list[object] | tuple[object, ...]) -> dict[Any, object]:
    return value if isinstance(value, dict) else dict(enumerate(value))
