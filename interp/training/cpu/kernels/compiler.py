"""How the loops are compiled: numba's options, its cache, its threads, and one line to the user while it compiles."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import torch
from numba.core import config, event
from numba.extending import intrinsic

logger = logging.getLogger("interp")

# Sums may be reordered, so that they vectorise; NaN and infinities keep their meaning: a diverging run must be noticed.
_OPTIONS: dict[str, Any] = {"fastmath": {"reassoc", "nsz", "arcp", "contract", "afn"}, "error_model": "numpy"}

WIDE_REGISTERS = bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))
"""Whether a vector register holds 16 numbers and there are 32 of them."""

VERSION = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()
"""Hash of the source text of these modules.

For a cached function numba checks the file it stands in, but not those of the functions it calls. So only the outermost functions
are cached, and each has this hash as a free variable, which numba does compare.
"""


_CALLBACKS: list[Any] = []  # their machine code lives as long as they do


def njit(function: Callable[..., Any]) -> Any:
    """Compile a function that is called from compiled ones."""
    return numba.njit(**_OPTIONS)(function)


def variant(*of: object) -> Callable[[Callable[..., Any]], Any]:
    """`njit` for one of several functions made by the same code; `of`, what it is made for, goes into its name.

    Numba identifies a compiled function by its name, its types and a number that every process counts from the start. Two with
    the same name and types, one from the cache and one just compiled, can get the same number, and then the linker confuses them.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        function.__qualname__ += "".join(f"_{each}" for each in of)
        return njit(function)

    return decorate


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function into each of its callers."""
    return numba.njit(inline="always", **_OPTIONS)(function)


def entry(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function that Python calls; keep it in numba's cache on disk if there is a writable folder."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **_OPTIONS, **options)(function)
        except RuntimeError:  # numba found no writable folder, neither beside this file nor in the user's home
            return numba.njit(**_OPTIONS, **options)(function)

    return decorate


def callback(function: Callable[[int, int, int], None]) -> int:
    """Compile a function of three integers to an address that other compiled code can call; cached like `entry`."""
    signature = numba.void(numba.int64, numba.int64, numba.int64)
    try:
        compiled = numba.cfunc(signature, cache=True, **_OPTIONS)(function)
    except RuntimeError:
        compiled = numba.cfunc(signature, **_OPTIONS)(function)
    _CALLBACKS.append(compiled)
    address: int = compiled.address
    return address


@intrinsic
def wide(context: Any) -> Any:
    """Let the function that calls this use the widest vectors available: LLVM takes half of AVX-512's width otherwise."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        widen(builder)
        return context.get_dummy_value()

    return numba.void(), generate


def widen(builder: Any) -> None:
    """`wide`, for code that is being generated; also lets that code form addresses by adding numbers.

    To LLVM a sum of integers has no base pointer, so it takes one of the terms for the base and the others for the offset. If the
    function is then inlined where that term is known to be 0, LLVM removes the access as one through a null pointer, which cannot
    happen. Here it can.
    """
    attributes = builder.function.attributes
    set.update(attributes, ['"prefer-vector-width"="512"', "null_pointer_is_valid"])


def share_openmp(threads: int) -> bool:
    """Start numba's OpenMP layer; returns whether that worked. Threads of any other layer would fight torch's for the cores."""
    before, torch_before = config.THREADING_LAYER, torch.get_num_threads()
    try:
        config.THREADING_LAYER = "omp"
        numba.set_num_threads(min(threads, config.NUMBA_NUM_THREADS))
        layer = numba.threading_layer()
    except ValueError as error:
        layer = f"none ({error})"
    finally:
        config.THREADING_LAYER = before
        torch.set_num_threads(torch_before)  # where both use one OpenMP library, numba has just set it
    if layer != "omp":
        logger.info("loops over pairs run in one thread: numba's threading layer is %s, not omp", layer)
    return layer == "omp"


@contextmanager
def telling() -> Iterator[None]:
    """Log one line if the block has to compile something."""
    with event.install_listener("numba:compile", _Teller()):
        yield


class _Teller(event.Listener):
    """Logs once that compilation has begun."""

    def __init__(self) -> None:
        self._said = False

    def on_start(self, event: Any) -> None:  # noqa: ARG002  (numba's convention)
        """Log it."""
        if not self._said:
            logger.info("compiling the fast CPU engine; this takes about a minute, once per installation")
        self._said = True

    def on_end(self, event: Any) -> None:
        """Log nothing."""
