"""The modular task: a binary operation modulo p, its pairs, labels and tokens.

Everything here is integers. Pairs (a, b) are in row-major order, so that pair (a, b) has index ``a * p + b``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from jaxtyping import Int64

from interp.errors import UsageError
from interp.harmonics.primes import is_prime

if TYPE_CHECKING:
    from interp.harmonics.cyclic import CyclicHarmonics

Operation = Literal["add", "subtract", "multiply", "x2xyy2"]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)

MOST = 2**31 - 1

# As written on the page and in the story.
IN_SIGNS: dict[Operation, str] = {"add": "a + b", "subtract": "a \u2212 b", "multiply": "a \u00d7 b", "x2xyy2": "a² + ab + b²"}


@dataclass(frozen=True)
class ModularTask:
    """Learn ``a operation b (mod p)`` from examples.

    Args:
        p: the modulus, any integer >= 2; even and composite ones too.
        operation: ``add`` a+b, ``subtract`` a-b, ``multiply`` a*b, ``x2xyy2`` a^2+ab+b^2, all mod p.
        equals_sign: read ``a b =`` (answer at ``=``, which is token p) instead of ``a b`` (answer at ``b``).

    >>> task = ModularTask(5)
    >>> task.labels[task.index(3, 4)]
    np.int64(2)
    """

    p: int = 113
    operation: Operation = "add"
    equals_sign: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.p, int) or isinstance(self.p, bool) or self.p < 2:
            raise UsageError(f"task.p: given {self.p!r}, expected an integer >= 2 (the modulus)")
        if self.p > MOST:
            given = f"{self.p:,}" if self.p < 10**30 else "an integer of more than 30 digits"
            raise UsageError(f"task.p: given {given}, expected at most {MOST:,}: the p^2 pairs are numbered with 64 bits")
        if self.operation not in OPERATIONS:
            raise UsageError(f"task.operation: given {self.operation!r}, expected one of {', '.join(OPERATIONS)}")
        if not isinstance(self.equals_sign, bool):
            raise UsageError(f"task.equals_sign: given {self.equals_sign!r}, expected true or false")

    @property
    def name(self) -> str:
        """What is learned.

        >>> ModularTask(113).name
        'a + b modulo 113'
        """
        return f"{IN_SIGNS[self.operation]} modulo {self.p}"

    @property
    def inputs(self) -> Int64[np.ndarray, "pair pos"]:
        """The tokens of every pair."""
        return np.pad(self.pairs, ((0, 0), (0, 1)), constant_values=self.p) if self.equals_sign else self.pairs

    @property
    def n_tokens(self) -> int:
        """Number of input tokens: p residues, and ``=`` where it is read."""
        return self.p + int(self.equals_sign)

    @property
    def classes(self) -> int:
        """Number of answers: p."""
        return self.p

    @property
    def harmonics(self) -> CyclicHarmonics | None:
        """The waves of the answers, in an order of pairs and residues in which the operation is addition.

        Addition as it is; subtraction with -b in the place of b; multiplication modulo a prime > 2 by exponents, pairs with 0 and
        the class 0 left out. None where no order makes it an addition: multiplication modulo anything else, and x2xyy2.
        """
        if not self.n_frequencies:
            return None
        from interp.harmonics import frames  # only here: the configuration must not wait for torch

        match self.operation:
            case "add":
                return frames.addition(self.p)
            case "subtract":
                return frames.subtraction(self.p)
        return frames.multiplication(self.p)

    @property
    def n_frequencies(self) -> int:
        """Number of frequencies of its harmonics, without building them: half of the modulus of the addition; 0 without any."""
        match self.operation:
            case "add" | "subtract":
                return self.p // 2
            case "multiply" if is_prime(self.p) and self.p > 2:
                return (self.p - 1) // 2
        return 0

    @property
    def n_pairs(self) -> int:
        """Number of pairs, p^2."""
        return self.p * self.p

    @property
    def n_ctx(self) -> int:
        """Number of input positions: 3 with ``=``, 2 without."""
        return 3 if self.equals_sign else 2

    @property
    def pairs(self) -> Int64[np.ndarray, "pair 2"]:
        """All p^2 pairs (a, b), row-major."""
        return np.stack(np.divmod(np.arange(self.n_pairs, dtype=np.int64), self.p), axis=1)

    @property
    def labels(self) -> Int64[np.ndarray, " pair"]:
        """The right answer for each of the p^2 pairs, in the order of `pairs`."""
        return self.answer(*self.pairs.T)

    def answer(self, a: Int64[np.ndarray, "*shape"], b: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
        """The operation itself, elementwise, as residues in 0..p-1."""
        match self.operation:
            case "add":
                return (a + b) % self.p
            case "subtract":
                return (a - b) % self.p
            case "multiply":
                return (a * b) % self.p
            case "x2xyy2":
                return (a * a + a * b + b * b) % self.p

    def index(self, a: int, b: int) -> int:
        """Row of the pair (a, b)."""
        if not (0 <= a < self.p and 0 <= b < self.p):
            raise UsageError(f"pair: given ({a}, {b}), expected two residues in 0..{self.p - 1}")
        return a * self.p + b
