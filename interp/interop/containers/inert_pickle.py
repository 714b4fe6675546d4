"""A reader of pickles that can only build: plain containers, numbers, text, and what a table of inert makers returns.

torch's own restricted reader allocates what a file claims before anyone can look, and any unpickler hashes whatever is a key.
This one counts, looks at every key, and never imports: a name in the file is looked up in the table that its caller gives, and
nowhere else. `pickletools.genops` of the standard library takes the instructions apart.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from interp.errors import DataError
from interp.interop.containers import limits

_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip


class Readable(Protocol):
    """Bytes with a position, such as a BytesIO or a memory map."""

    def read(self, n: int = ..., /) -> bytes:
        """The next bytes."""

    def readline(self) -> bytes:
        """The bytes up to the end of the line."""


@dataclass(frozen=True)
class Named:
    """A name in a pickle, and what is made where it is called; nothing if it only stands for itself."""

    name: str
    make: Callable[..., object] | None = None

    def __str__(self) -> str:
        return self.name


@dataclass(eq=False)
class Stored:
    """An object whose class is not loaded: what it was made with, and its attributes."""

    arguments: tuple[object, ...] = ()
    attributes: dict[str, object] = field(default_factory=dict)

    def build(self, state: object) -> None:
        """Take attributes from a stored state: a mapping, or a pair of them."""
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.attributes |= {str(name): value for name, value in part.items()}


def read_pickle(stream: Readable, known: Mapping[str, Named], persistent: Callable[[object], object]) -> Any:
    """What the pickle at a stream's position holds; the stream stands behind it then.

    Args:
        known: names that may be looked up. A value with a method ``build`` takes the state that is stored with it.
        persistent: what stands for an object that is stored elsewhere, from its description.

    Raises:
        DataError: if it asks for any other name, or goes beyond a limit.
        Exception: of any kind, if it is damaged.
    """
    machine = _Machine(known, persistent)
    for number, (operation, argument, _) in enumerate(pickletools.genops(stream)):  # type: ignore[arg-type] # reads like a file
        if number >= limits.OPERATIONS:
            raise DataError(f"refused: a pickle of more than {limits.OPERATIONS:,} instructions, the limit")
        if operation.name in _VALUES:
            machine.push(argument)
        elif operation.name == "STOP":
            return machine.stack.pop()
        else:
            step = _STEPS.get(operation.name)
            if step is None:
                raise DataError(f"refused: a pickle with the instruction {operation.name}, which no file of tensors needs")
            step(machine, argument)
    raise DataError("a pickle without an end")


def key(value: object) -> Any:
    """A value as a key: text, a number, or a few of them. To hash anything else could take any time, or end the process.

    Raises:
        DataError: if it is something else.
    """
    plain = (str, bytes, int, float, bool, type(None))
    parts = value if type(value) is tuple and len(value) <= 8 else (value,)
    for part in parts:
        if not isinstance(part, plain) or (isinstance(part, int) and part.bit_length() > 64):
            raise DataError(f"refused: a {type(part).__name__} as a key, expected text or a number of at most 64 bits")
    return value


class _Machine:
    """A stack, the places of the marks on it, and what was put by for later."""

    def __init__(self, known: Mapping[str, Named], persistent: Callable[[object], object]) -> None:
        self.known, self.persistent = known, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.marks: list[int] = []

    def push(self, value: object) -> None:
        if isinstance(value, int) and value.bit_length() > limits.BITS:
            limits.check("an integer", value.bit_length(), limits.BITS, "bits")
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        place = self.marks.pop()
        values = self.stack[place:]
        del self.stack[place:]
        return values

    def look_up(self, name: str) -> None:
        found = self.known.get(name)
        if found is None:
            raise DataError(
                f"refused: it asks for {name[: limits.TEXT]!r} to be loaded; only tensors, numbers, text and plain containers "
                "are read, and nothing was run. If you trust its author, save the state dict alone and import that"
            )
        self.stack.append(found)

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Named) or function.make is None or type(arguments) is not tuple:
            raise DataError("refused: a pickle that asks for something to be called which is no function; nothing in it was run")
        self.stack.append(function.make(*arguments))

    def build(self) -> None:
        state, built = self.stack.pop(), self.stack[-1]
        if hasattr(built, "build"):  # attributes of a dict, such as a state dict's versions, are left out
            built.build(state)


def _global(machine: _Machine, argument: str) -> None:
    machine.look_up(".".join(argument.split(" ", 1)))


def _stack_global(machine: _Machine, _: object) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.look_up(f"{module:s}.{name:s}")


def _append(machine: _Machine, _: object) -> None:
    value = machine.stack.pop()
    _list(machine).append(value)


def _appends(machine: _Machine, _: object) -> None:
    values = machine.since_mark()
    _list(machine).extend(values)


def _list(machine: _Machine) -> list[object]:
    if type(machine.stack[-1]) is not list:
        raise DataError("a damaged pickle: something is appended to what is no list")
    return machine.stack[-1]


def _set_item(machine: _Machine, _: object) -> None:
    value, name = machine.stack.pop(), machine.stack.pop()
    _fill(machine.stack[-1], [name, value])


def _set_items(machine: _Machine, _: object) -> None:
    values = machine.since_mark()
    _fill(machine.stack[-1], values)


def _fill(target: object, values: list[Any]) -> None:
    if not isinstance(target, dict):
        raise DataError("a damaged pickle: something is put into what is no dict")
    target.update((key(name), value) for name, value in zip(values[::2], values[1::2], strict=True))


def _dict(machine: _Machine, _: object) -> None:
    values = machine.since_mark()
    machine.stack.append({})
    _fill(machine.stack[-1], values)


def _tuple(machine: _Machine, size: int) -> None:
    values = tuple(machine.stack[len(machine.stack) - size :])
    if len(values) < size:
        raise DataError("a damaged pickle: a tuple of more than there is")
    del machine.stack[len(machine.stack) - size :]
    machine.stack.append(values)


def _persistent(machine: _Machine, _: object) -> None:
    machine.stack.append(machine.persistent(machine.stack.pop()))


def _put(machine: _Machine, argument: int) -> None:
    machine.memo[argument] = machine.stack[-1]


_STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    "PROTO": lambda _, __: None,
    "FRAME": lambda _, __: None,
    "NONE": lambda m, _: m.stack.append(None),
    "NEWTRUE": lambda m, _: m.stack.append(True),
    "NEWFALSE": lambda m, _: m.stack.append(False),
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "POP": lambda m, _: m.stack.pop(),
    "POP_MARK": lambda m, _: m.since_mark(),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "LIST": lambda m, _: m.stack.append(m.since_mark()),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: _tuple(m, 1),
    "TUPLE2": lambda m, _: _tuple(m, 2),
    "TUPLE3": lambda m, _: _tuple(m, 3),
    "DICT": _dict,
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": lambda m, _: m.call(),
    "NEWOBJ": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.build(),
    "BINPERSID": _persistent,
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": lambda m, _: _put(m, len(m.memo)),
    "GET": lambda m, argument: m.stack.append(m.memo[argument]),
    "BINGET": lambda m, argument: m.stack.append(m.memo[argument]),
    "LONG_BINGET": lambda m, argument: m.stack.append(m.memo[argument]),
}
