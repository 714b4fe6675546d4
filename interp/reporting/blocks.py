"""Blocks: the arrays of a page, each stored once, as compactly as its use allows; decoded in the page by decode.js.

Codecs: a plain type of integers (`i4`, `i2`, `u2`, `u1`, `i1`); `f8` and `f4`, every bit kept: each row XORed with the row before
it, then the first bytes of all values, the second bytes, and so on, which compresses to four fifths of what the values in order
do; `q2`, 16-bit steps between the least and greatest value, for what is drawn and not read as numbers; `modes`, arrays that
drift over the checkpoints (modes.py); `odds`, the r and c of a stack of matrices 1 / (1 + exp(r_i + c_j)), which is the
form of attention patterns over (a, b) where the model reads `=`, in a twentieth of their size.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from interp.reporting.modes import Modes, close_modes

# Arrays that are only drawn are quantised above this size; below, single precision costs next to nothing.
LARGE = 2_048
# The largest error of an `odds` matrix, and of a `coarse` array: half a step of an 8-bit colour scale.
TOLERANCE = 1 / 512
_ODDS_RANGE = 1e-9
# Rows and columns are fitted to each other until the error is this small, at most this many times; saturated heads need a dozen.
_ODDS_FINE, _ODDS_ROUNDS = TOLERANCE / 8, 32
# A stack that is this far off after one round has another form.
_ODDS_HOPELESS = 0.3
# Values that are worked on at once, so that what is computed on the way stays small.
_AT_ONCE = 250_000
_MISSING = 65_535
# Steps between the least and the greatest value: of 16 bits, and where a figure has so many values that ten must be enough.
_MOST, _FEW = _MISSING - 1, 1_023
_INTEGERS = (np.uint8, np.int8, np.uint16, np.int16, np.int32)


class Blocks:
    """A growing store of arrays: `add` returns an array's number, `header` and `payload` go into the page."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._data = bytearray()
        self._known: dict[bytes, int] = {}
        self._odds: list[tuple[int, np.ndarray, np.ndarray]] = []

    def add(
        self, array: np.ndarray, *, drawn: bool = False, exact: bool = False, coarse: bool = False, many: bool = False
    ) -> int:
        """Store an array, or find it if it is stored already; numbers are kept to single precision.

        Args:
            array: numbers or booleans; a stack of the states at all checkpoints has them along its first axis.
            drawn: only ever looked at, so that 16 bits a value are enough where it is large.
            coarse: shares of 0 to 1, drawn on one colour scale, so that an error of TOLERANCE is not seen.
            exact: to be downloaded, so that double precision is kept.
            many: drawn, and one of so many that ten bits a value must be enough: off by at most 1/2046 of its range.
        """
        array = np.ascontiguousarray(array)
        if array.dtype.kind == "f" and drawn and array.size > LARGE:
            known = self._find_odds(array.shape, array.__getitem__)
            if known is not None:
                return known
            factors = _odds(array)
            if factors is not None:
                return self._add_odds(*factors)
            drift = close_modes(array, tolerance=TOLERANCE) if coarse and np.isfinite(array).all() else None
            return self._add_quantised(array, steps=_FEW if many else _MOST) if drift is None else self.add_modes(drift)
        return self._add_plain(array.astype("<f8") if exact and array.dtype == np.float64 else _compact(array))

    def add_odds(self, rows: np.ndarray, columns: np.ndarray) -> int | None:
        """Store the stack 1 / (1 + exp(r_i + c_j)) with these r and c, both (step, n), or find one that looks the same.

        None if they reach so far that their rounding would be seen.
        """
        width = sum(float(np.ptp(one)) for one in (rows, columns)) / _MOST
        if not width / 8 < TOLERANCE:  # each is off by half its width, and their sum counts for a quarter at most
            return None
        known = self._find_odds((len(rows), rows.shape[1], columns.shape[1]), lambda step: _odds_map(rows[step], columns[step]))
        if known is not None:
            return known
        return self._add_odds(rows, columns)

    def add_modes(self, stack: Modes) -> int:
        """Store a stack as `modes` returned it."""
        entry = {"codec": "modes", "shape": list(stack.shape), "weights": self.add(stack.weights)}
        return self._append(entry, _planes(stack.codes))

    @property
    def header(self) -> list[dict[str, Any]]:
        """What and where each block is."""
        return self._entries

    def payload(self) -> str:
        """All bytes: gzip, then base64. Equal blocks give equal bytes."""
        return base64.b64encode(gzip.compress(bytes(self._data), 6, mtime=0)).decode("ascii")

    def _add_plain(self, array: np.ndarray) -> int:
        data = _bytes(array) if array.dtype.kind == "f" and array.size else array.tobytes()
        return self._append({"codec": array.dtype.str[1:], "shape": list(array.shape)}, data)

    def _add_quantised(self, array: np.ndarray, *, steps: int = _MOST) -> int:
        low, high = _range(array)
        width = (high - low) / steps or 1.0
        codes = np.empty(array.shape, dtype=np.uint16)
        with np.errstate(invalid="ignore"):
            for part in _parts(array):
                rounded = np.rint((array[part].astype(np.float64) - low) / width)
                codes[part] = np.where(np.isfinite(array[part]), rounded, _MISSING)
        # Neighbouring checkpoints are much alike: their differences, low bytes and high bytes apart, compress to about half.
        rows = codes.reshape(len(array), -1)
        changes = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1])).view(np.int16)
        return self._append({"codec": "q2", "shape": list(array.shape), "low": low, "width": width}, _planes(changes))

    def _add_odds(self, rows: np.ndarray, columns: np.ndarray) -> int:
        shape = [len(rows), rows.shape[1], columns.shape[1]]
        entry = {"codec": "odds", "shape": shape, "r": self._add_quantised(rows), "c": self._add_quantised(columns)}
        number = self._append(entry, b"")
        self._odds.append((number, rows, columns))
        return number

    def _find_odds(self, shape: tuple[int, ...], at: Callable[[int], np.ndarray]) -> int | None:
        """The stored maps that are those of a stack, which is given step by step, as far as can be seen."""
        for number, rows, columns in self._odds:
            if shape != (len(rows), rows.shape[1], columns.shape[1]):
                continue
            # From the last step on, where the heads of a network differ most.
            errors = (np.abs(_odds_map(rows[step], columns[step]) - at(step)).max() for step in range(len(rows) - 1, -1, -1))
            if all(error < TOLERANCE / 4 for error in errors):
                return number
        return None

    def _append(self, entry: dict[str, Any], data: bytes) -> int:
        key = hashlib.sha256(json.dumps(entry).encode() + data).digest()
        if key not in self._known:
            self._data += bytes(-len(self._data) % 8)  # typed arrays in the page must start at multiples of their item size
            self._known[key] = len(self._entries)
            self._entries.append({**entry, "at": len(self._data)})
            self._data += data
        return self._known[key]


def _bytes(array: np.ndarray) -> bytes:
    """Floating-point numbers, bit for bit, as what changes from row to row: their first bytes, then their second bytes, ..."""
    width = array.dtype.itemsize
    rows = array.reshape(len(array) if array.ndim else 1, -1).view(f"<u{width}")
    changes = rows.copy()
    changes[1:] ^= rows[:-1]
    return changes.view(np.uint8).reshape(-1, width).T.tobytes()


def _planes(whole: np.ndarray) -> bytes:
    """16-bit whole numbers as bytes: small ones of both signs have small codes; low bytes first, then high ones."""
    zigzag = ((whole << 1) ^ (whole >> 15)).view(np.uint16)
    return zigzag.astype("<u2").view(np.uint8).reshape(-1, 2).T.tobytes()


def _parts(array: np.ndarray) -> Iterator[slice]:
    """The first axis in parts of no more values than are worked on at once."""
    at_once = max(1, _AT_ONCE * len(array) // array.size)
    return (slice(start, start + at_once) for start in range(0, len(array), at_once))


def _range(array: np.ndarray) -> tuple[float, float]:
    """Least and greatest finite value; (0, 0) if there is none."""
    finite = array[np.isfinite(array)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _compact(array: np.ndarray) -> np.ndarray:
    """The same numbers in the smallest type that holds integers exactly, or in single precision."""
    if array.dtype.kind in "iub":
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        for kind in _INTEGERS:
            if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
                return array.astype(np.dtype(kind).newbyteorder("<"))
    with np.errstate(over="ignore"):
        return array.astype("<f4")


def _odds(stack: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows r and columns c with stack = 1 / (1 + exp(r + c)), if there are any (within TOLERANCE), a few steps at a time."""
    if stack.ndim != 3 or not (stack.min() >= 0 and stack.max() <= 1):  # nor if anything is not a number
        return None
    found = []
    for part in _parts(stack):
        fitted = _fitted_odds(stack[part])
        if fitted is None:
            return None
        found.append(fitted)
    rows, columns = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return rows, columns


def _fitted_odds(stack: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Fitted to the logits by weighted least squares, rows and columns in turn.

    The weight x (1 - x) of a value is how much it says about its logit: where a head looks at one place only, rounding leaves
    nothing of the logit but noise.
    """
    clipped = stack.astype(np.float64).clip(_ODDS_RANGE, 1 - _ODDS_RANGE)
    logits, weights = np.log(1 / clipped - 1), clipped * (1 - clipped)
    per_row, per_column = weights.sum(axis=2), weights.sum(axis=1)
    rows = logits.mean(axis=2)
    logits *= weights
    of_rows, of_columns = logits.sum(axis=2), logits.sum(axis=1)
    for _ in range(_ODDS_ROUNDS):
        columns = (of_columns - (rows[:, None, :] @ weights)[:, 0]) / per_column
        rows = (of_rows - (weights @ columns[:, :, None])[:, :, 0]) / per_row
        error = float(np.abs(_odds_map(rows, columns) - stack).max())
        if error < _ODDS_FINE or error > _ODDS_HOPELESS:
            break
    return (rows, columns) if error < TOLERANCE else None


def _odds_map(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        found: np.ndarray = 1 / (1 + np.exp(rows[..., :, None] + columns[..., None, :]))
    return found
