"""Units of machine code: each is compiled by itself, kept in numba's cache, and called by its name or its address.

Numba compiles a function together with all that it calls, again in every caller, and again in the callers of these. What several
functions need is therefore a unit of its own here: it is compiled once, by whichever process comes first, and a change of what
calls it costs nothing. A unit takes integers (numbers, addresses, truth values) and returns nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba.core import cgutils
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc
from numba.core.registry import cpu_target
from numba.core.typing import signature as typed
from numba.extending import intrinsic

from interp.training.cpu.kernels.compiler import OPTIONS, VERSION, named
from interp.training.cpu.kernels.vectors import INDEX


class _Cache(FunctionCache):
    """Numba's cache, for a version of these sources.

    Numba's own key has the free variables of the function, which another process may write differently.
    """

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), VERSION


class _Compiled(CFunc):
    """A function as numba compiles it for callers that are not Python."""

    def enable_caching(self) -> None:
        """Use the cache above."""
        self._cache = _Cache(self._pyfunc)


@dataclass(frozen=True)
class Unit:
    """A function of integers that is compiled by itself; its name identifies it."""

    function: Callable[..., None]

    @property
    def name(self) -> str:
        """What it is called in machine code."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @cached_property
    def signature(self) -> Any:
        """Numba's signature of it."""
        return typed(numba.void, *[numba.int64] * len(inspect.signature(self.function).parameters))

    @property
    def folder(self) -> Path | None:
        """Where its machine code is kept, if there is a folder that can be written to."""
        try:
            return Path(_Cache(self.function).cache_path)
        except RuntimeError:  # neither beside the sources nor in the user's home
            return None

    @property
    def is_stored(self) -> bool:
        """Whether its machine code need not be compiled. What it calls must be at hand."""
        if llvmlite.binding.address_of_symbol(self.name):
            return True
        try:
            _stored(self)
        except LookupError:
            return False
        return True

    @property
    def address(self) -> int:
        """Address of its machine code, which is compiled if it is not stored. What it calls must be at hand."""
        return _machine_code(self)[0]


def unit(*of: object) -> Callable[[Callable[..., None]], Unit]:
    """Make a function a unit; `of` is what it is made for, if the same code makes several."""
    return lambda function: Unit(named(function, *of))


def compile_alone(unit: Unit, calls: Iterable[Unit]) -> None:
    """Compile a unit into the cache, if it is not there. What it calls need not be compiled: it is not run in this process."""
    for each in calls:
        if not llvmlite.binding.address_of_symbol(each.name):
            llvmlite.binding.add_symbol(each.name, 1)
    _machine_code(unit)


@cache
def _stored(unit: Unit) -> tuple[int, Any]:
    """Address of a unit that is in the cache, and what keeps it.

    Raises:
        LookupError: if it is not.
    """
    try:
        found = _Cache(unit.function).load_overload(unit.signature, cpu_target.target_context)
    except RuntimeError as error:  # numba found no writable folder, neither beside the sources nor in the user's home
        raise LookupError from error
    if found is None:
        raise LookupError
    return _named(unit, found.library.get_pointer_to_function(found.fndesc.llvm_cfunc_wrapper_name)), found


@cache
def _machine_code(unit: Unit) -> tuple[int, Any]:
    """Address of a unit, and what keeps it."""
    try:
        return _stored(unit)
    except LookupError:
        compiled = _Compiled(unit.function, (unit.signature.args, unit.signature.return_type), locals={}, options=OPTIONS)
        with suppress(RuntimeError):  # as above: compiled in vain for the next process
            compiled.enable_caching()
        compiled.compile()
        assert compiled.address is not None
        return _named(unit, compiled.address), compiled


def _named(unit: Unit, address: int) -> int:
    """Let other units call it by its name."""
    llvmlite.binding.add_symbol(unit.name, address)
    return address


def _numbers(context: Any, builder: Any, kind: Any, value: Any) -> list[Any]:
    """The integers in a value: one, or those of a tuple."""
    if not isinstance(kind, numba.types.BaseTuple):
        return [context.cast(builder, value, kind, numba.int64)]
    parts = zip(kind.types, cgutils.unpack_tuple(builder, value), strict=True)
    return [number for of_part, part in parts for number in _numbers(context, builder, of_part, part)]


def by_name(unit: Unit) -> Any:
    """The intrinsic that calls a unit, from another one; named tuples are given as the numbers they hold."""

    @intrinsic
    def call(context: Any, *given: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            numbers = _numbers(context, builder, signature.args[0], arguments[0])
            kind = ir.FunctionType(ir.VoidType(), [INDEX] * len(numbers))
            builder.call(cgutils.get_or_insert_function(builder.module, kind, unit.name), numbers)
            return context.get_dummy_value()

        return numba.void(numba.types.StarArgTuple(given)), generate

    return call


@intrinsic
def at_address(context: Any, address: Any, *given: Any) -> Any:
    """Call the unit at an address, as `by_name`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = _numbers(context, builder, signature.args[1], arguments[1])
        kind = ir.FunctionType(ir.VoidType(), [INDEX] * len(numbers))
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), numbers)
        return context.get_dummy_value()

    return numba.void(numba.int64, numba.types.StarArgTuple(given)), generate
