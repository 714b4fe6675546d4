"""Reading files from strangers: tensors, numbers and text come out, and nothing in them is ever run.

Each kind of file has a small reader in `interp.interop.containers`. Every size that a file claims is compared with what it holds,
and with the limits there, before anything is read or allocated for it.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from interp.errors import DataError, UsageError
from interp.interop.containers import limits
from interp.interop.containers.inert_pickle import Named
from interp.interop.containers.msgpack_file import read_msgpack
from interp.interop.containers.numpy_file import read_leaves, read_npz
from interp.interop.containers.orbax_folder import orbax_item, read_orbax
from interp.interop.containers.safetensors_file import read_safetensors
from interp.interop.containers.sniffing import Kind, kind_of
from interp.interop.containers.stored_objects import StoredConfig
from interp.interop.containers.torch_file import read_old_torch, read_torch_archive
from interp.interop.containers.weighing import weighed
from interp.networks.tensor_layout import describe

_PLAIN = (str, int, float, bool, type(None))


def read_untrusted(path: Path, leaves: Sequence[str] = ()) -> object:
    """The content of a file or of an orbax folder, recognised by its bytes: tensors on the CPU, numbers, text, plain containers.

    Args:
        leaves: names of arrays in their order, for files that keep no names.

    Raises:
        UsageError: if there is no such file, or a package is missing that reads this kind.
        DataError: if it is truncated, of another kind, beyond a limit, or asks for code to be run; nothing is run in any case.
    """
    if path.is_dir() and (item := orbax_item(path)):
        _check_leaves(path, leaves, named=True)
        with blaming(path):
            return weighed(read_orbax(item))
    if not path.is_file():
        raise UsageError(f"{path} {why_no_file(path)}")
    readers: dict[Kind, Callable[[], object]] = {
        "torch archive": lambda: read_torch_archive(path),
        "old torch": lambda: read_old_torch(path),
        "safetensors": lambda: read_safetensors(path),
        "npz": lambda: read_npz(path, leaves),
        "leaves": lambda: read_leaves(path, leaves),
        "msgpack": lambda: read_msgpack(path),
    }
    try:
        with blaming(path):
            kind = kind_of(path)
            _check_leaves(path, leaves, named=kind not in ("leaves", "npz"))
            return weighed(readers[kind]())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (MemoryError, RecursionError, OverflowError) as error:
        raise DataError(f"{path}: damaged or crafted: it asks for more than there is; fetch it again") from error


def _check_leaves(path: Path, leaves: Sequence[str], *, named: bool) -> None:
    if leaves and named:
        raise UsageError(f"leaves: given {','.join(leaves)[: limits.TEXT]!r}, but {path.name} keeps the names; leave it out")


def why_no_file(path: Path) -> str:
    """What is there instead of a file."""
    if path.is_dir():
        return "is a directory: a run is opened with interp.open_run"
    if path.is_symlink() and not path.exists():
        return f"is a link to {os.readlink(path)}, which does not exist"
    is_device = path.is_char_device() or path.is_block_device()
    kinds = {"a named pipe": path.is_fifo(), "a socket": path.is_socket(), "a device": is_device}
    kind = next((kind for kind, is_it in kinds.items() if is_it), None)
    link = f"a link to {path.resolve()}, " if path.is_symlink() else ""
    return f"is {link}{kind}, expected a file; copy what comes from it into one" if kind else "does not exist"


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Put the file's name before any DataError about its content; no error quotes the file at any length."""
    try:
        yield
    except UsageError as error:
        if len(str(error)) > limits.SENTENCE and type(error) is UsageError:
            raise UsageError(limits.shortened(str(error))) from None
        raise
    except DataError as error:
        first = Path(str(error).split(": ", maxsplit=1)[0])
        inside = first.parent == path.parent and first.suffix in {path.suffix, ".json"}
        named = inside or first == path or path in first.parents
        if named and len(str(error)) <= limits.SENTENCE:
            raise
        said = limits.shortened(str(error))
        raise DataError(said if named else f"{path}: {said}") from error


def stored_attributes(config: object) -> dict[str, object]:
    """The fields of a stored configuration, a mapping or an object: numbers and text as they are, the rest as a short line.

    Long texts are whole as long as all together are not too long, and cut from then on: one can be named in a million fields.
    """
    fields = config.attributes if isinstance(config, StoredConfig) else config
    if not isinstance(fields, Mapping):
        return {}
    found: dict[str, object] = {}
    letters = 0
    for name, value in fields.items():
        text = value if isinstance(value, str) else ""
        letters += len(text)
        kept = text[: limits.TEXT] if letters > limits.TEXTS else value
        found[str(name)[: limits.TEXT]] = (kept if text else value) if isinstance(value, _PLAIN) else _shortened(value)
    return found


def _shortened(value: object) -> str:
    """A value as text of bounded length, without making more text than that."""
    if isinstance(value, Tensor):
        return str(value)[: limits.TEXT] if value.numel() <= 10 else describe(value)
    if isinstance(value, Named):
        return value.name
    shortened = reprlib.Repr()
    shortened.maxlevel, shortened.maxlist, shortened.maxdict = 3, 12, 12
    return shortened.repr(value)[: limits.TEXT]
