"""What was measured, as the bytes of a file that proves itself: it has the hash of all it holds, and the seal of who measured it.

No xarray and no torch here: such files are checked without them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from interp.errors import DataError
from interp.reading import parsed_json
from interp.store.durable import sha256
from interp.store.installation import SEAL, Origin, origin, sealed
from interp.store.packed import Array, digest, pack_arrays, unpack_arrays

_CONTENT = "content"
_UNHASHED = {"format", _CONTENT, *SEAL}


@dataclass(frozen=True, eq=False)
class Measured:
    """What one file holds, whose hash fits.

    Args:
        header: everything besides the arrays.
        arrays: over steps; none of a fact.
        origin: where it was measured: `here` or `elsewhere`.
    """

    header: Mapping[str, Any]
    arrays: Mapping[str, Array]
    origin: Origin


def pack_measured(arrays: Mapping[str, Array], header: Mapping[str, object]) -> bytes:
    """Arrays over steps and their header as the bytes of a file that proves itself."""
    content = digest(arrays, header)
    return pack_arrays(arrays, {**header, _CONTENT: content, **sealed(content)})


def unpack_measured(data: bytes, *, where: str) -> Measured:
    """What `pack_measured` was given.

    Raises:
        DataError: if anything in it does not fit its hash, its seal, or the rest.
    """
    arrays, facts = unpack_arrays(data, where=where)
    header = {name: value for name, value in facts.items() if name not in _UNHASHED}
    content = digest(arrays, header)
    found = _origin(facts, content, where=where)
    check_header(arrays, header, where=where)
    if not isinstance(header.get("key"), str):
        raise DataError(f"{where}: foreign: it does not say what its results follow from")
    return Measured(header, arrays, found)


def pack_fact(key: str, value: object, *, order: int) -> bytes:
    """A JSON value, the hash of all it follows from, and a count of its variants, as the bytes of a file that proves itself."""
    header = {"key": key, "order": order, "value": value}
    content = _hash(header)
    return _fact_bytes({**header, _CONTENT: content, **sealed(content)})


def unpack_fact(data: bytes, *, where: str) -> Measured:
    """What `pack_fact` was given, as the header's `key`, `order` and `value`.

    Raises:
        DataError: as `unpack_measured`.
    """
    try:
        facts = parsed_json(data)
        header = {name: facts[name] for name in ("key", "order", "value")}
        is_whole = data == _fact_bytes(facts)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{where}: damaged or foreign ({type(error).__name__}: {error})") from error
    if not is_whole:
        raise DataError(f"{where}: damaged: its bytes are not those that were written")
    return Measured(header, {}, _origin(facts, _hash(header), where=where))


def is_of_earlier_version(data: bytes) -> bool:
    """Whether results or a fact are as earlier versions kept them: with no hash of all they hold, or with the value's alone."""
    with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        if not data.startswith(b"{"):
            told = parsed_json(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            return told.keys() == {"key", "header"} or parsed_json(told["interp"]).keys() == {"key", "steps", "sha256", "labels"}
        facts = parsed_json(data)
        is_earlier = facts.keys() == {"key", "sha256", "value"} and data == _fact_bytes(facts)
        return is_earlier and facts["sha256"] == sha256(json.dumps(facts["value"], sort_keys=True).encode())
    return False


def check_header(arrays: Mapping[str, Array], header: Mapping[str, Any], *, where: str) -> None:
    """Error unless steps, checkpoints and labels are those of the arrays: then a series can be made of them."""
    try:
        steps, labels = header["steps"], header["labels"]
        fits = labels.keys() == arrays.keys() and len(steps) == len(header["sha256"]) and list(steps) == sorted(set(steps))
        fits &= all(type(step) is int for step in steps)
        for name, of_variable in labels.items():
            dims, shape, coords = of_variable["dims"], of_variable["shape"], of_variable["coords"]
            fits &= [len(steps), *shape] == list(arrays[name].shape) and len(dims) == len(shape) == len({*dims, "step"}) - 1
            fits &= arrays[name].dtype.kind in "fiub" and all(isinstance(dim, str) for dim in dims)
            sizes = dict(zip(dims, shape, strict=True))
            fits &= all(np.asarray(values).shape == (sizes[dim],) for dim, values in coords.items())
            fits &= isinstance(of_variable["attrs"], dict)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise DataError(f"{where}: damaged or foreign, not a series ({type(error).__name__}: {error})") from error
    if not fits:
        raise DataError(f"{where}: damaged or foreign: its steps and labels do not fit its arrays")


def _origin(facts: Mapping[str, Any], content: str, *, where: str) -> Origin:
    if facts.get(_CONTENT) != content:
        raise DataError(f"{where}: damaged: what it holds does not fit its hash")
    found = origin(content, facts)
    if found == "altered":
        raise DataError(f"{where}: damaged: it names this installation, whose seal does not fit")
    return found


def _hash(header: Mapping[str, object]) -> str:
    return sha256(json.dumps(header, sort_keys=True).encode())


def _fact_bytes(facts: Mapping[str, object]) -> bytes:
    return json.dumps(facts).encode()
