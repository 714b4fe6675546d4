"""Prime numbers. Nothing here imports torch: a task asks before it builds its harmonics."""

from __future__ import annotations

from math import isqrt


def is_prime(n: int) -> bool:
    """True if n is a prime number."""
    return n >= 2 and all(n % d for d in range(2, isqrt(n) + 1))
