"""Named arrays as safetensors bytes: equal content gives equal bytes, and what cannot be read is named. No torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import safetensors.numpy
from jaxtyping import Shaped
from safetensors import SafetensorError

from interp.errors import DataError
from interp.networks.shapes import ACTIVATIONS, check_names, dimensions
from interp.networks.shapes import KIND as ONE_LAYER
from interp.reading import parsed_json
from interp.store.manifest import FORMAT, check_format

KEY = "interp"  # one key only: safetensors writes several in an order that changes from call to call

Array = Shaped[np.ndarray, "..."]
Value = TypeVar("Value")


def pack_arrays(arrays: Mapping[str, Array], facts: Mapping[str, object]) -> bytes:
    """Safetensors bytes of named arrays and of facts about them (JSON values), with the format version."""
    metadata = {KEY: json.dumps({"format": FORMAT, **facts})}
    return safetensors.numpy.save({name: np.asarray(array, order="C") for name, array in arrays.items()}, metadata=metadata)


def unpack_arrays(data: bytes, *, where: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and facts that `pack_arrays` was given; `where` names the file in errors.

    Raises:
        DataError: if the bytes are not such a file, or of another format version.
    """
    return unpack_with(safetensors.numpy.load, data, where=where)


def unpack_with(load: Callable[[bytes], dict[str, Value]], data: bytes, *, where: str) -> tuple[dict[str, Value], dict[str, Any]]:
    """The same with a library's function that reads the values, whatever it makes of them."""
    try:
        values = load(data)
        header = parsed_json(data[8 : 8 + int.from_bytes(data[:8], "little")])
        facts = parsed_json(header["__metadata__"][KEY])
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise DataError(f"{where}: damaged or foreign, not a safetensors file of this toolkit ({error})") from error
    check_format(facts, where=where)
    # By name: the library gives them in an order that differs from one call to the next.
    return dict(sorted(values.items())), facts


def model_facts(arrays: Mapping[str, Array], facts: Mapping[str, Any], *, where: str) -> tuple[int, dict[str, object]]:
    """A checkpoint's step, and what its tensors and facts say of the model: its kind, its size and, of a one-layer transformer,
    its dimensions and function.

    Raises:
        DataError: if they do not fit together.
    """
    try:
        step, kind = int(facts["step"]), str(facts.get("kind", ONE_LAYER))
        found: dict[str, object] = {"kind": kind, "n_parameters": sum(array.size for array in arrays.values())}
        if kind == ONE_LAYER:
            check_names(arrays)
            if odd := next((name for name, array in arrays.items() if array.dtype.kind != "f"), None):
                raise DataError(f"{odd}: given {arrays[odd].dtype}, expected floating-point numbers")
            rate = float(facts["attention_rate"])
            if facts["activation"] not in ACTIVATIONS or not 0 <= rate <= 1:
                raise DataError(f"activation {facts['activation']!r} and attention_rate {rate}: expected {ACTIVATIONS} and 0..1")
            sizes = dimensions({name: array.shape for name, array in arrays.items()})
            return step, {**found, **sizes, "activation": facts["activation"], "attention_rate": rate}
        dict(facts["facts"])
    except (KeyError, TypeError, ValueError, DataError) as error:
        raise DataError(f"{where}: not a checkpoint ({error})") from error
    return step, found


def digest(arrays: Mapping[str, Array], facts: Mapping[str, object]) -> str:
    """SHA-256 of named arrays and facts, for a file that is checked without a manifest."""
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(arrays):
        found.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        found.update(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)  # as it lies there, not a copy
    return found.hexdigest()
