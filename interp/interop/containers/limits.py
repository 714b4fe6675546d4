"""How much a file of other people may ask for, in one place. Everything is compared with these before it is read or allocated.

A file of a few kilobytes can claim a tensor of terabytes, records that unpack to gigabytes, or lists nested a million deep.
Honest files of models on modular arithmetic stay far below every limit here; what lies above is refused with both numbers.
"""

from __future__ import annotations

from math import prod

from interp import machine
from interp.errors import DataError

# Tensors or records of one file. A run of 1,000 checkpoints with 24 tensors each has 24,000.
RECORDS = 200_000
# Tensors of one model, each of which may be named in a message: a language model of 24 layers has 300.
TENSORS = 2_000
# Numbers in one tensor: 1 GiB in float32; the largest of a model with p = 997 and 4,096 neurons has 4 million.
ELEMENTS = 2**28
# Instructions of a pickle. The most wasteful makes 216 bytes of one byte, so that all of them stay under half a gigabyte.
OPERATIONS = 2_000_000
# Containers within containers. Checkpoints of trainers nest about six deep; a reader that descends needs its own stack.
DEPTH = 64
# Bytes that compressed records may unpack to, together. Records that are stored as they are cannot exceed the file.
UNPACKED = 2**29
# Bytes of a file of a kind that is read whole.
WHOLE = 2**31
# Bytes of an archive's directory: 200,000 records with names of 40 letters. It is read whole before anything is known.
DIRECTORY = 2**24
# Bytes of a header of JSON: 100,000 tensors by name, type, shape and place. It is read whole as well.
HEADER = 2**24
# Bits of a stored integer. Seeds have 64, random identifiers 128; longer ones only cost time.
BITS = 128
# A step. Above it neither a checkpoint's name nor float64 tells neighbours apart; nobody trains for so long.
STEP = 10**12
# What is taken out of a file in proportion to what it holds: one tensor can be named in any number of checkpoints.
REPEATS = 16
# Numbers that may be repeated whatever the file holds: masks and positions are often stored as one number or one row.
REPEATED = 2**16
# Letters of a value that is told as text.
TEXT = 200
# Letters of all texts of a configuration together; those beyond are cut.
TEXTS = 2**20
# Letters of a sentence about a file, whatever text the file holds: an error, a note.
SENTENCE = 4_000
# Bytes of a model's neurons and logits over all pairs in float64, which every measure needs: p = 280 with 512 neurons.
TABLE = 2**29


def check(what: str, given: int, limit: int, unit: str = "") -> None:
    """Refuse a number above its limit.

    >>> check("a tensor", 5, 4, "numbers")
    Traceback (most recent call last):
        ...
    interp.errors.DataError: refused before it was read: a tensor has 5 numbers, the limit is 4

    Raises:
        DataError: with both numbers.
    """
    if given > limit:
        shown = f"{given:,}" if given < 10**18 else f"more than {10**18:,}"
        raise DataError(f"refused before it was read: {what} has {shown}{unit and ' '}{unit}, the limit is {limit:,}")


def elements(shape: tuple[int, ...], what: str) -> int:
    """How many numbers a shape has.

    Raises:
        DataError: if it is no shape, or has too many.
    """
    if len(shape) > 16 or any(type(size) is not int or size < 0 for size in shape):
        raise DataError(f"{what}: given a shape of {len(shape)} axes that is none, expected at most 16 sizes >= 0")
    number = prod(shape)
    check(f"{what} of shape {shape}", number, ELEMENTS, "numbers")
    return number


def shortened(text: str) -> str:
    """A sentence about a file without most of the text that it quotes, where that is long: its beginning and its end."""
    half = SENTENCE // 2
    return text if len(text) <= SENTENCE else f"{text[:half]} ... ({len(text) - 2 * half:,} letters left out) ... {text[-half:]}"


def check_table(p: int, width: int, *, insisted: bool) -> None:
    """Refuse a model whose function over all pairs does not fit into memory.

    Args:
        p: the modulus.
        width: neurons and classes together: numbers for each pair.
        insisted: whether the caller wants it all the same, where this machine has the memory.

    Raises:
        DataError: with the largest p that fits.
    """
    needed, there = p * p * width * 8, machine.available_memory()
    if insisted and there is not None and needed > there:
        fits = int((there / (8 * width)) ** 0.5)
        raise DataError(
            f"p = {p:,} with {width:,} neurons and classes: its function over all pairs takes {machine.in_bytes(needed)}, "
            f"{machine.in_bytes(there)} of memory are free (p = {fits:,}); read it on a larger machine"
        )
    if needed > TABLE and not insisted:
        fits = int((TABLE / (8 * width)) ** 0.5)
        raise DataError(
            f"p = {p:,} with {width:,} neurons and classes: its function over all pairs takes {needed / 2**30:,.1f} GiB, the "
            f"limit is {TABLE / 2**30:.1f} GiB (p = {fits:,}); insist with --large (known.large) if there is memory enough"
        )
