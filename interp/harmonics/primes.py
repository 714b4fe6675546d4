"""Prime numbers. Nothing here imports torch: a task asks before it builds its harmonics."""

from __future__ import annotations

from math import isqrt


def is_prime(n: int) -> bool:
    """True if n is a prime number."""
    return n >= 2 and all(n % d for d in range(2, isqrt(n) + 1))


def powers_of_root(p: int) -> list[int]:
    """``g^0, g^1, .., g^(p-2)`` modulo a prime p > 2, g being the smallest primitive root.

    >>> powers_of_root(7)
    [1, 3, 2, 6, 4, 5]
    """
    for root in range(2, p):
        found = [1]
        while (following := found[-1] * root % p) != 1:
            found.append(following)
        if len(found) == p - 1:
            return found
    raise AssertionError(f"every prime greater than 2 has a primitive root; {p} is none")
