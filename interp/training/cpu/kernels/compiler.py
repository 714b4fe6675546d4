"""How the loops are compiled: numba's options, and its cache for what Python calls."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
from numba.extending import intrinsic

# Sums may be reordered, so that they vectorise; NaN and infinities keep their meaning: a diverging run must be noticed.
OPTIONS: dict[str, Any] = {"fastmath": {"reassoc", "nsz", "arcp", "contract", "afn"}, "error_model": "numpy"}

WIDE_REGISTERS = bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))
"""Whether a vector register holds 16 numbers and there are 32 of them."""

VERSION = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()
"""Hash of the source text of these modules.

For a cached function numba checks the file it stands in, but not those of the functions it calls. So what is cached has this hash
in its key: see `units`, and `entry`.
"""


# What calls a function from Python takes as long to compile as the function.
_WITHOUT_PYTHON: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def njit(function: Callable[..., Any]) -> Any:
    """Compile a function that is called from compiled ones only: called from Python, it would crash."""
    return numba.njit(**OPTIONS, **_WITHOUT_PYTHON)(function)


def named(function: Callable[..., Any], *of: object) -> Callable[..., Any]:
    """A function that is one of several made by the same code, with what it is made for, `of`, added to its name.

    Numba identifies a compiled function by its name, its types and a number that every process counts from the start. Two with
    the same name and types, one from the cache and one just compiled, can get the same number, and then the linker confuses them.
    """
    function.__qualname__ += "".join(f"_{each}" for each in of)
    return function


def variant(*of: object) -> Callable[[Callable[..., Any]], Any]:
    """`njit` for one of several functions made by the same code; `of` is what it is made for."""
    return lambda function: njit(named(function, *of))


def entry(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function that Python calls; keep it in numba's cache on disk if there is a writable folder.

    It must have `VERSION` as a free variable, which numba compares.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **OPTIONS, **options)(function)
        except RuntimeError:  # numba found no writable folder, neither beside this file nor in the user's home
            return numba.njit(**OPTIONS, **options)(function)

    return decorate


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
