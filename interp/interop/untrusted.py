"""Reading files from strangers: tensors, numbers and text come out, and nothing in them is ever run.

torch's restricted unpickler (``weights_only=True``) resolves names only through an allow-list. A few classes that published files
name, most of which no longer exist, are replaced by inert stand-ins, which hold what was stored and cannot do anything.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from interp.errors import DataError, UsageError

_PLAIN = (str, int, float, bool, type(None))
_ZIP, _PICKLE, _JSON = b"PK\x03\x04", b"\x80", b"{"


class StoredConfig:
    """A stored configuration object whose class is not loaded: its attributes, and nothing else."""


class StoredDtype:
    """The type of a stored numpy number, by its code such as ``f8``."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.order = state[1]


def stored_number(dtype: StoredDtype, data: bytes) -> float | int | bool:
    """A stored numpy number as a Python number."""
    if not isinstance(dtype, StoredDtype) or dtype.code not in {
        "f2",
        "f4",
        "f8",
        "i1",
        "i2",
        "i4",
        "i8",
        "u1",
        "u2",
        "u4",
        "u8",
        "b1",
    }:
        raise DataError("a stored number is of no type that is read")
    order = ">" if getattr(dtype, "order", "<") == ">" else "<"
    number: float | int | bool = np.frombuffer(data, dtype=np.dtype(order + dtype.code)).item()
    return number


# Name in the file -> its stand-in. Everything else except torch's own tensors and plain containers is refused.
_STAND_INS: dict[str, Any] = {
    "transformer_lens.HookedTransformerConfig.HookedTransformerConfig": StoredConfig,
    "transformer_lens.config.HookedTransformerConfig.HookedTransformerConfig": StoredConfig,
    "transformer_lens.config.hooked_transformer_config.HookedTransformerConfig": StoredConfig,
    "transformer_lens.config.transformer_bridge_config.TransformerBridgeConfig": StoredConfig,
    "easy_transformer.EasyTransformerConfig.EasyTransformerConfig": StoredConfig,
    "transformers.Config": StoredConfig,
    "numpy.core.multiarray.scalar": stored_number,
    "numpy._core.multiarray.scalar": stored_number,
    "numpy.dtype": StoredDtype,
}


def read_untrusted(path: Path) -> object:
    """The content of a torch or safetensors file, recognised by its bytes: tensors on the CPU, numbers, text, containers.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is truncated, of another kind, or asks for code to be run; nothing is run in any case.
    """
    if not path.is_file():
        what = "is a directory: a run is opened with interp.open_run" if path.is_dir() else "does not exist"
        raise UsageError(f"{path} {what}")
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith((_ZIP, _PICKLE)):
        return _read_torch(path)
    if start[8:9] == _JSON:
        return _read_safetensors(path)
    if start.startswith(_JSON):
        raise DataError(
            f"{path}: given a JSON file, expected a file of tensors (.pt, .pth, .safetensors); is it the one beside it?"
        )
    raise DataError(
        f"{path}: given {path.stat().st_size} bytes that begin with {start[:8]!r}, "
        "expected a torch file (.pt, .pth) or a safetensors file; is it complete, and not a download page?"
    )


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Put the file's name before any DataError about its content."""
    try:
        yield
    except DataError as error:
        first = Path(str(error).split(": ", maxsplit=1)[0])
        named = first.parent == path.parent and first.suffix in {path.suffix, ".json"}
        raise error if named else DataError(f"{path}: {error}") from error


def stored_attributes(config: object) -> dict[str, object]:
    """The fields of a stored configuration, a mapping or an object: numbers and text as they are, the rest as text."""
    fields = vars(config) if isinstance(config, StoredConfig) else config
    if not isinstance(fields, Mapping):
        return {}
    return {str(name): value if isinstance(value, _PLAIN) else str(value)[:200] for name, value in fields.items()}


def _read_safetensors(path: Path) -> object:
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:
        raise DataError(f"{path}: not a whole safetensors file ({error})") from error


def _read_torch(path: Path) -> object:
    _check_records(path)
    allowed: list[Any] = [(stand_in, name) for name, stand_in in _STAND_INS.items()]
    try:
        # torch's warnings and messages suggest loading the file unsafely, so none of them is passed on.
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    # A crafted file can make the unpickler fail in any way at all; whatever the error, the file is at fault.
    except Exception as error:
        raise DataError(f"{path}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    if wanted := re.search(r"GLOBAL (\S+)", str(error)):
        return (
            f"refused: it asks for {wanted[1]!r} to be loaded; only tensors, numbers, text and plain containers are "
            "read, and nothing was run. If you trust its author, save the state dict alone and import that"
        )
    if isinstance(error, pickle.UnpicklingError):
        return "refused: a pickle that asks for more than tensors, numbers and text, or is damaged; nothing in it was run"
    return "not a whole torch file, or not one of tensors, numbers and text only; fetch it again"


def _check_records(path: Path) -> None:
    """Check the checksum of every record in a zipped torch file, which torch stores but does not check."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # as in _read_torch: damaged bytes can fail in any way
        if zipfile.is_zipfile(path):
            raise DataError(f"{path}: a damaged torch file ({error})") from error
        with path.open("rb") as file:
            if file.read(len(_ZIP)) == _ZIP:
                raise DataError(
                    f"{path}: the file is incomplete or damaged (its central directory is missing); fetch it again"
                ) from error
        return  # of the format before zip
    if damaged is not None:
        raise DataError(f"{path}: a damaged torch file: the bytes of {damaged!r} do not have their checksum; fetch it again")
