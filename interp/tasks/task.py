"""Task: what is learned, a finite table of inputs and labels, and the waves of its answers where it has some."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from interp.errors import UsageError

if TYPE_CHECKING:
    from interp.harmonics.harmonics import Harmonics


@runtime_checkable
class Task(Protocol):
    """A finite table: every input there is, and the right answer to each."""

    @property
    def name(self) -> str:
        """What is learned, in a few words, such as ``a + b modulo 113``."""
        ...

    @property
    def inputs(self) -> Int64[np.ndarray, "row pos"]:
        """The tokens of every input."""
        ...

    @property
    def labels(self) -> Int64[np.ndarray, " row"]:
        """The right answer to every input, in 0..classes-1."""
        ...

    @property
    def n_tokens(self) -> int:
        """Number of tokens."""
        ...

    @property
    def classes(self) -> int:
        """Number of answers."""
        ...

    @property
    def harmonics(self) -> Harmonics | None:
        """The waves of the answers; None where there are none: then no measure of waves applies."""
        ...


@dataclass(frozen=True, eq=False)
class TableTask:
    """Any finite table as a task. Equal tables are equal tasks.

    Where the inputs are all pairs (a, b) of n elements, row-major, alone or followed by one more token (``=``, token n), it is a
    binary operation, and has the same facts about its pairs as `ModularTask`: that is what the one-layer transformer learns.

    Args:
        name: what is learned, in a few words.
        inputs: the tokens of every input.
        labels: the right answer to every input.
        n_tokens: number of tokens.
        classes: number of answers.
        harmonics: the waves of the answers, if they have any.
        elements: the names of tokens and classes 0, 1, .., where they have names.
        left_out: rows that have no answer, such as those of pairs that would be divided by 0: they are neither trained on nor
            tested, and no mean counts them; their labels are 0.

    Raises:
        UsageError: for tokens or labels out of range, unequal numbers of both, an input that occurs twice, or names that are not
            as many as classes, each its own.

    >>> xor = binary_operation("xor", [[0, 1], [1, 0]])
    >>> xor.inputs.tolist(), xor.p
    ([[0, 0, 2], [0, 1, 2], [1, 0, 2], [1, 1, 2]], 2)
    """

    name: str
    inputs: Int64[np.ndarray, "row pos"]
    labels: Int64[np.ndarray, " row"]
    n_tokens: int
    classes: int
    harmonics: Harmonics | None = None
    elements: tuple[str, ...] = ()
    left_out: Int64[np.ndarray, " hole"] | None = None

    def __post_init__(self) -> None:
        inputs, labels = (np.ascontiguousarray(values) for values in (self.inputs, self.labels))
        if inputs.ndim != 2 or labels.ndim != 1 or len(inputs) != len(labels) or not len(inputs):
            raise UsageError(
                f"task {self.name!r}: given inputs of shape {inputs.shape} and labels of shape {labels.shape}, "
                "expected (row, pos) and (row,), at least one row"
            )
        for what, values, top in (("inputs", inputs, self.n_tokens), ("labels", labels, self.classes)):
            if values.dtype.kind not in "iuf":
                raise UsageError(f"task {self.name!r}: given {what} of type {values.dtype}, expected integers in 0..{top - 1}")
            if values.dtype.kind not in "iu" or not (values.min() >= 0 and values.max() < top):
                raise UsageError(
                    f"task {self.name!r}: given {what} {values.min()}..{values.max()}, expected integers in 0..{top - 1}"
                )
        if len(np.unique(inputs, axis=0)) != len(inputs):
            raise UsageError(f"task {self.name!r}: an input occurs twice; each may have one answer")
        object.__setattr__(self, "inputs", inputs.astype(np.int64))
        object.__setattr__(self, "labels", labels.astype(np.int64))
        if self.left_out is not None:
            self._leave_out(self.left_out)
        if self.harmonics is not None:
            check_harmonics(self, self.harmonics)
        if self.elements and (len(self.elements) != self.classes or len(set(self.elements)) != self.classes):
            raise UsageError(
                f"task {self.name!r}: given {len(set(self.elements))} different names for {self.classes} classes, "
                "expected as many"
            )

    def _leave_out(self, given: np.ndarray) -> None:
        """Check the rows without an answer, and put them in order; none is None."""
        rows = np.unique(np.asarray(given))
        if rows.dtype.kind not in "iu" and len(rows):
            raise UsageError(f"task {self.name!r}: left_out: given {rows.dtype}, expected the numbers of rows")
        if len(rows) and not (rows[0] >= 0 and rows[-1] < len(self.labels) and len(rows) < len(self.labels)):
            raise UsageError(
                f"task {self.name!r}: left_out: given {len(rows)} rows {rows[0]}..{rows[-1]}, expected some of the "
                f"{len(self.labels)} rows, numbered from 0, and not all of them"
            )
        labels = self.labels.copy()
        labels[rows.astype(np.int64)] = 0
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "left_out", rows.astype(np.int64) if len(rows) else None)

    @classmethod
    def of(cls, task: Task) -> TableTask:
        """Any task as a table."""
        if isinstance(task, TableTask):
            return task
        return cls(task.name, task.inputs, task.labels, task.n_tokens, task.classes, task.harmonics)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TableTask) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"TableTask({self.name!r}, {len(self.labels)} inputs, {self.classes} answers)"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything in it."""
        found = hashlib.sha256(f"{self.name}\0{self.n_tokens} {self.classes} {self.inputs.shape}".encode())
        if self.elements:  # tables without have the digests that they had before there were any
            found.update("\0".join(self.elements).encode())
        if self.left_out is not None:
            found.update(self.left_out.tobytes())
        waves = self.harmonics
        parts = [self.inputs, self.labels]
        if waves is not None:
            found.update(repr(waves.names).encode())
            parts += [each.numpy() for each in (waves.line, waves.rows, waves.classes) if each is not None]
            parts += [waves.projector([name]).numpy() for name in waves.names]
        for part in parts:
            found.update(part.tobytes())
        return found.hexdigest()

    @cached_property
    def _elements(self) -> int | None:
        """Number of elements of a binary operation; None for other tables."""
        n = round(len(self.labels) ** 0.5)
        pairs = np.stack(np.divmod(np.arange(n * n, dtype=np.int64), n), axis=1)
        if n < 2 or len(self.inputs) != n * n or self.inputs.shape[1] not in (2, 3):
            return None
        is_grid = bool((self.inputs[:, :2] == pairs).all()) and bool((self.inputs[:, 2:] == n).all())
        return n if is_grid and self.n_tokens == n + self.inputs.shape[1] - 2 else None

    @property
    def is_binary_operation(self) -> bool:
        """Whether the inputs are all pairs of elements, row-major, alone or followed by ``=``."""
        return self._elements is not None

    @property
    def p(self) -> int:
        """Number of elements of a binary operation.

        Raises:
            UsageError: if it is not one.
        """
        if self._elements is None:
            raise UsageError(
                f"task {self.name!r}: its inputs are not all pairs (a, b) of n elements in row-major order, alone or followed by "
                "token n; only such a table is a binary operation, which the one-layer transformer learns"
            )
        return self._elements

    @property
    def operation(self) -> str:
        """What tables of runs call it: its name."""
        return self.name

    @property
    def equals_sign(self) -> bool:
        """Whether the inputs end with ``=``."""
        return self.n_ctx == 3

    @property
    def n_ctx(self) -> int:
        """Number of input positions."""
        return self.inputs.shape[1]

    @property
    def n_pairs(self) -> int:
        """Number of inputs."""
        return len(self.labels)

    @property
    def pairs(self) -> Int64[np.ndarray, "pair 2"]:
        """All pairs of a binary operation."""
        assert self.p  # the error if it is not one
        return self.inputs[:, :2]


class LazyTask(TableTask):
    """A table whose harmonics are made when they are first asked for: who reads a name or a label does not wait for them.

    That asks for them: its `digest`, and so whether it equals another; ``isinstance(..., Task)`` too, as the protocol has them.
    """

    @cached_property
    def harmonics(self) -> Harmonics | None:
        """The waves of the answers.

        Raises:
            UsageError, DataError: as what makes them.
        """
        found: Harmonics = self.__dict__["_make"](self)
        check_harmonics(self, found)
        return found


def with_waves(task: TableTask, make: Callable[[TableTask], Harmonics]) -> LazyTask:
    """A table without harmonics, and what makes them.

    Args:
        task: the table.
        make: the harmonics of the table; to be sent to other processes, as tasks are.
    """
    found = object.__new__(LazyTask)
    found.__dict__.update(task.__dict__)
    del found.__dict__["harmonics"]  # the field's value, which would hide what is asked for
    found.__dict__.pop("digest", None)  # of the table alone
    found.__dict__["_make"] = make
    return found


def binary_operation(
    name: str,
    table: object,
    *,
    equals_sign: bool = True,
    harmonics: Harmonics | None = None,
    elements: Sequence[str] = (),
    left_out: object = None,
) -> TableTask:
    """The task of a binary operation on n elements, given by its table: row a, column b.

    Args:
        name: what is learned, in a few words.
        table: n x n integers in 0..n-1.
        equals_sign: read ``a b =`` (answer at ``=``, which is token n) instead of ``a b`` (answer at ``b``).
        harmonics: the waves of the answers, if they have any.
        elements: their names, if they have any.
        left_out: n x n truth values, true for the pairs (a, b) that have no answer, see `TableTask`.

    Raises:
        UsageError: if the table is not square, or an entry is out of range.
    """
    try:
        labels = np.asarray(table)
    except ValueError:
        raise UsageError(f"table of {name!r}: given rows of different lengths, expected n rows of n: row a, column b") from None
    if labels.ndim != 2 or labels.shape[0] != labels.shape[1]:
        raise UsageError(f"table of {name!r}: given shape {labels.shape}, expected (n, n): row a, column b")
    n = len(labels)
    if labels.dtype.kind not in "iu":
        raise UsageError(f"table of {name!r}: given entries of type {labels.dtype}, expected integers in 0..{n - 1}")
    pairs = np.stack(np.divmod(np.arange(n * n, dtype=np.int64), n), axis=1)
    inputs = np.pad(pairs, ((0, 0), (0, 1)), constant_values=n) if equals_sign else pairs
    return TableTask(name, inputs, labels.flatten(), n_tokens=n + equals_sign, classes=n, harmonics=harmonics,
                     elements=tuple(elements), left_out=_holes(name, left_out, labels.shape))  # fmt: skip


def answered(task: Task) -> Int64[np.ndarray, " row"]:
    """The rows of a task that have an answer: all of them, unless it is a table that leaves some out.

    >>> answered(binary_operation("half", [[0, 1], [1, 0]], left_out=[[True, False], [False, False]])).tolist()
    [1, 2, 3]
    """
    rows = np.arange(len(task.labels), dtype=np.int64)
    left_out = task.left_out if isinstance(task, TableTask) else None
    return rows if left_out is None else np.delete(rows, left_out)


def _holes(name: str, given: object, shape: tuple[int, ...]) -> Int64[np.ndarray, " hole"] | None:
    if given is None:
        return None
    holes = np.asarray(given)
    if holes.dtype != bool or holes.shape != shape:
        raise UsageError(
            f"table of {name!r}: left_out: given {holes.dtype} of shape {holes.shape}, expected truth values of shape {shape}"
        )
    return np.flatnonzero(holes).astype(np.int64)


def check_harmonics(task: TableTask, harmonics: Harmonics) -> None:
    """Error unless the harmonics' answers are the task's."""
    name, labels, line = task.name, task.labels, harmonics.line.numpy()
    rows = np.arange(len(labels)) if harmonics.rows is None else harmonics.rows.numpy()
    element = line if harmonics.classes is None else harmonics.classes.numpy()[line]
    if len(rows) != len(line) or not np.array_equal(labels[rows], element):
        raise UsageError(f"task {name!r}: its harmonics have other answers than its labels; line[i] must be the answer of row i")
    if task.left_out is not None and np.isin(rows, task.left_out).any():
        raise UsageError(f"task {name!r}: its harmonics have rows that it leaves out; give them the other rows alone (rows=...)")
