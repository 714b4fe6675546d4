"""Tasks by name: one of a known form, or a file with a table."""

from __future__ import annotations

from pathlib import Path

from interp.errors import UsageError
from interp.tasks.known_forms import FORMS, known_task
from interp.tasks.table_files import SUFFIXES, table_task
from interp.tasks.task import TableTask


def task(name: str, *, equals_sign: bool = True) -> TableTask:
    """The task with a name.

    ``S5``, ``D12``, ``Z2xZ4``, ... learn the product a b of a group's elements (`interp.group` says which names there are, and in
    which order their elements stand). ``FORMULA mod P`` and ``FORMULA in GROUP`` learn one of Power et al.'s operations; without
    ``mod`` or ``in`` they are modulo 97 and in S5, as there. ``random labels mod P, seed N`` has no rule that could be learned:
    the negative control. A name that ends in ``.csv`` or ``.json`` is a file, see `interp.table_task`.

    ``x/y`` leaves out the pairs with y = 0. Products, conjugates and ``x*y*x`` in a group have the harmonics of that group, and
    ``x+y``, ``x-y``, ``x*y``, ``x/y`` modulo a prime p those of addition; the other tasks have none.

    Args:
        name: spaces do not count, and a centred dot is a star.
        equals_sign: read ``a b =`` instead of ``a b``.

    Raises:
        UsageError: for a name of no known form, with all forms; for a modulus that is not prime where a formula divides.

    Source: Power et al. 2022 (arXiv 2201.02177), appendix A.1.1.

    >>> task("S3"), task("x^2+y^2 mod 5").name
    (TableTask('S3', 36 inputs, 6 answers), 'x^2+y^2 mod 5')
    """
    if not isinstance(name, str):
        raise UsageError(f"task: given {name!r:.80}, expected a name: {FORMS}")
    if Path(name).suffix in SUFFIXES:
        return table_task(name, equals_sign=equals_sign)
    return known_task(" ".join(name.replace("·", "*").split()), equals_sign=equals_sign)
