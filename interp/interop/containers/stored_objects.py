"""What stands for objects that published pickles name: configurations, numpy's numbers and arrays, torch's types. All inert."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from torch import Tensor

from interp.errors import DataError
from interp.interop.containers import limits
from interp.interop.containers.inert_pickle import Named, Stored, key
from interp.interop.containers.raw_tensor import DTYPES, dtype_named, tensor_of


class StoredConfig(Stored):
    """A stored configuration object whose class is not loaded: its attributes, and nothing else."""


class StoredDtype(Stored):
    """The type of a stored numpy number or array, by its code such as ``f8``."""

    def build(self, state: object) -> None:
        """Take the byte order."""
        self.attributes["order"] = state[1] if isinstance(state, tuple) and len(state) > 1 else "<"

    def to_native(self, data: object) -> tuple[str, bytes]:
        """The type's name, and bytes in this order as little-endian ones."""
        code = self.arguments[0] if self.arguments else None
        if not isinstance(code, str) or code not in DTYPES or code == "V2" or not isinstance(data, bytes):
            raise DataError("a stored number is of no type that is read")
        if self.attributes.get("order") == ">":
            data = np.frombuffer(data, dtype=">" + code).astype("<" + code).tobytes()
        return code, data


class StoredArray(Stored):
    """A numpy array that is being put together."""

    tensor: Tensor | None = None

    def build(self, state: object) -> None:
        """Take (version, shape, type, whether columns come first, bytes)."""
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], StoredDtype):
            raise DataError("a stored numpy array is damaged")
        _, shape, dtype, columns_first, data = state
        name, native = dtype.to_native(data)
        sizes = shape if isinstance(shape, tuple) else ()
        tensor = tensor_of(native, dtype_named(name, "a numpy array"), sizes[::-1] if columns_first else sizes, "a numpy array")
        self.tensor = tensor.permute(*range(tensor.ndim)[::-1]) if columns_first else tensor


def stored_number(dtype: StoredDtype, data: object) -> float | int | bool:
    """A stored numpy number as a Python number."""
    if not isinstance(dtype, StoredDtype):
        raise DataError("a stored number is of no type that is read")
    name, native = dtype.to_native(data)
    number: float | int | bool = tensor_of(native, dtype_named(name, "a number"), (), "a number").item()
    return number


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise DataError(f"refused: it asks for text to be encoded as {str(encoding)[:20]!r}")
    return text.encode("latin-1")


def _ordered(items: Iterable[Any] = ()) -> dict[Any, object]:
    return {key(name): value for name, value in items}


def _counted(items: object = ()) -> dict[Any, object]:
    return dict(items) if isinstance(items, dict) else {}


def _set(items: Iterable[object] = ()) -> list[object]:
    return list(items)


def _path(*parts: object) -> str:
    return "/".join(part[: limits.TEXT] for part in parts[:20] if isinstance(part, str)).replace("//", "/")


def _text(value: object = "") -> str:
    return str(value)[: limits.TEXT] if isinstance(value, str | int) else ""


def _sizes(sizes: Iterable[object] = ()) -> tuple[object, ...]:
    return tuple(sizes)


_CONFIGS = (
    "transformer_lens.HookedTransformerConfig.HookedTransformerConfig",
    "transformer_lens.config.HookedTransformerConfig.HookedTransformerConfig",
    "transformer_lens.config.hooked_transformer_config.HookedTransformerConfig",
    "transformer_lens.config.transformer_bridge_config.TransformerBridgeConfig",
    "easy_transformer.EasyTransformerConfig.EasyTransformerConfig",
    "transformers.Config",
    "argparse.Namespace",
    "types.SimpleNamespace",
)
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
# Names of a mapping with attributes in versions of Lightning.
_MAPPINGS = ("lightning.fabric", "lightning_fabric", "pytorch_lightning")

_MAKERS: dict[str, Callable[..., object]] = {
    **dict.fromkeys(_CONFIGS, lambda *given: StoredConfig(given)),
    **{f"{module}.scalar": stored_number for module in _NUMPY},
    **{f"{module}._reconstruct": lambda *_: StoredArray() for module in _NUMPY},
    "numpy.dtype": lambda *given: StoredDtype(given),
    "collections.OrderedDict": _ordered,
    "collections.Counter": _counted,
    "collections.defaultdict": lambda *_: {},
    **{f"{module}.utilities.data.AttributeDict": _ordered for module in _MAPPINGS[:2]},
    "pytorch_lightning.utilities.parsing.AttributeDict": _ordered,
    **{f"{module}.{name}": _set for module in ("builtins", "__builtin__") for name in ("set", "frozenset")},
    **{f"pathlib{inside}.{system}Path": _path for inside in ("", "._local") for system in ("Posix", "Windows", "PurePosix")},
    "_codecs.encode": _encoded,
    "torch.Size": _sizes,
    "torch.device": _text,
    "torch.serialization._get_layout": _text,
}
_VALUES = {
    "numpy.ndarray",
    "builtins.dict",
    "builtins.list",
    "builtins.int",
    "builtins.float",
    "torch.Tensor",
    "torch.nn.parameter.Parameter",
    "torch.storage.UntypedStorage",
    *(f"torch.{name}" for name in DTYPES),
}
# Name in the file -> what stands for it. Everything else is refused, but for tensors, which their reader adds.
KNOWN: dict[str, Named] = {
    **{name: Named(name) for name in _VALUES},
    **{name: Named(name, make) for name, make in _MAKERS.items()},
}
