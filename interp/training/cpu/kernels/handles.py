"""Many arrays as one number: what Python passes to compiled code is the address of a list of them.

A step needs some seventy arrays. As an argument of a pass each of them would cost a third of a microsecond per call, and a tenth
of a second at compilation.
"""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_type_hints

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import intrinsic, lower_getattr_generic, models, register_model
from numba.np.arrayobj import populate_array

from interp.training.cpu.kernels.vectors import INDEX, constant

_WORDS = 5  # per array: its address and up to four sizes

Values = TypeVar("Values", bound=NamedTuple)


class Handle(Generic[Values]):
    """Keeps a named tuple of arrays, numbers and other handles.

    Compiled code opens it by its `address`, which is valid as long as the handle lives.
    """

    def __init__(self, values: Values) -> None:
        """Store the numbers, and where the arrays are.

        Raises:
            ValueError: if an array is not stored by rows, without gaps.
        """
        self.values = values
        self._places = np.zeros((len(values), _WORDS), dtype=np.int64)
        for name, place, value in zip(values._fields, self._places, values, strict=True):
            if isinstance(value, float):
                place.view(np.float64)[0] = value
            elif isinstance(value, Handle):
                place[0] = value.address
            elif not isinstance(value, np.ndarray):
                place[0] = value
            elif value.flags.c_contiguous:
                place[: 1 + value.ndim] = value.ctypes.data, *value.shape
            else:
                raise ValueError(f"{name}: an array with gaps or not stored by rows")
        self.address: int = self._places.ctypes.data


def _opened_number(builder: Any, kind: Any, word: Any) -> Any:
    """A number, or the address of another handle, from the word that a handle holds for it."""
    if kind == types.int64 or isinstance(kind, Opened):
        return word
    if kind == types.boolean:
        return builder.icmp_signed("!=", word, constant(0))
    return builder.fptrunc(builder.bitcast(word, ir.DoubleType()), ir.FloatType())


def _opened_array(context: Any, builder: Any, kind: Any, words: list[Any]) -> Any:
    """An array, from the words that a handle holds for it."""
    array = context.make_array(kind)(context, builder)
    size, shape = context.get_abi_sizeof(context.get_data_type(kind.dtype)), words[1 : 1 + kind.ndim]
    strides = [constant(size)]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    populate_array(
        array,
        data=builder.inttoptr(words[0], array.data.type),
        shape=cgutils.pack_array(builder, shape),
        strides=cgutils.pack_array(builder, strides),
        itemsize=constant(size),
        meminfo=None,
    )
    return array._getvalue()


class Opened(types.Opaque):
    """The numba type of a named tuple that compiled code has by the address of its handle; fields are read when needed."""

    def __init__(self, kind: type[Any]) -> None:
        self.fields = {name: get_args(hint)[1] for name, hint in get_type_hints(kind, include_extras=True).items()}
        super().__init__(f"Opened({kind.__module__}.{kind.__qualname__})")


@register_model(Opened)
class _OpenedModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, INDEX)  # type: ignore[no-untyped-call]


@infer_getattr
class _Fields(AttributeTemplate):
    key = Opened

    def generic_resolve(self, kind: Any, name: str) -> Any:  # type: ignore[override]  # numba has a placeholder there
        return kind.fields.get(name)


@lower_getattr_generic(Opened)
def _field(context: Any, builder: Any, kind: Any, value: Any, name: str) -> Any:
    start, field = _WORDS * list(kind.fields).index(name), kind.fields[name]
    pointer, words = builder.inttoptr(value, INDEX.as_pointer()), []
    for i in range(1 + field.ndim if isinstance(field, types.Array) else 1):
        word = builder.load(builder.gep(pointer, [constant(start + i)]))
        # No pass writes to a handle: what is read from it in a loop can be read ahead of it.
        word.set_metadata("invariant.load", builder.module.add_metadata([]))
        words.append(word)
    if isinstance(field, types.Array):
        return _opened_array(context, builder, field, words)
    return _opened_number(builder, field, words[0])


def opener(kind: type[Any]) -> Any:
    """The intrinsic that returns the named tuple to compiled code, given a handle's address.

    Each field is annotated with its numba type: an array of numbers, int64, float32 or boolean.
    """
    opened_type = Opened(kind)

    @intrinsic
    def opened(context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return arguments[0]

        return opened_type(types.int64), generate

    return opened
