"""A property that is computed once for each object."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

__all__ = ["once"]

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property as once
else:

    class once(functools.cached_property):  # noqa: N801  named as what it stands for
        """`functools.cached_property` without the lock that it had before Python 3.12.

        That lock is one for all objects of a class: while one thread computes a property of one checkpoint, every other thread
        waits with the same property of another.
        """

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            """The value; computed at the first access."""
            if instance is None:
                return self
            known = instance.__dict__
            if self.attrname not in known:
                known[self.attrname] = self.func(instance)
            return known[self.attrname]
