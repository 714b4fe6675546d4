"""Irreducible representations of cyclic, dihedral and quaternion groups: rotations of lines and planes, in closed form.

Elements stand in the orders of `interp.groups.families`.
"""

from __future__ import annotations

import numpy as np

from interp.harmonics.harmonics import Name


def cyclic_irreps(n: int) -> list[tuple[Name, np.ndarray]]:
    """Z_n: ``rho_k(x) = e^{2 pi i k x / n}``, k = 0..n-1.

    >>> [name for name, _ in cyclic_irreps(3)]
    [0, 1, 2]
    """
    x = np.arange(n)
    return [(k, _turn(k * x, n)[:, None, None]) for k in range(n)]


def dihedral_irreps(n: int) -> list[tuple[Name, np.ndarray]]:
    """D_n: A1, A2 (and B1, B2 for even n) with r, s = +-1; E_h: r turns the plane by h n-ths, s = diag(1, -1).

    >>> [name for name, _ in dihedral_irreps(6)]
    ['A1', 'A2', 'B1', 'B2', 'E1', 'E2']
    """
    k, flip = np.arange(2 * n) % n, np.arange(2 * n) // n
    found = _signs(k, flip, has_b=n % 2 == 0)
    for h in range(1, (n + 1) // 2):
        turn = _turn(h * k, n)
        c, s, sign = turn.real, turn.imag, 1 - 2 * flip
        found.append((f"E{h}", np.stack([np.stack([c, -s * sign], 1), np.stack([s, c * sign], 1)], 1)))
    return found


def quaternion_irreps(order: int) -> list[tuple[Name, np.ndarray]]:
    """Q_4n: A1, A2, B1, B2 with a = 1 or -1; E_h: ``a = diag(w^h, w^-h)``, w = e^{pi i / n}, ``x = ((0, (-1)^h), (1, 0))``.

    Where n is odd x is +-i in B1 and B2, a pair of complex conjugates.

    >>> [name for name, _ in quaternion_irreps(8)]
    ['A1', 'A2', 'B1', 'B2', 'E1']
    """
    half, n = order // 2, order // 4
    k, flip = np.arange(order) % half, np.arange(order) // half
    found = _signs(k, flip, has_b=n % 2 == 0)
    if n % 2:
        alternating = 1.0 - 2 * (k % 2)
        found += [(name, (alternating * np.where(flip, unit, 1))[:, None, None]) for name, unit in (("B1", 1j), ("B2", -1j))]
    for h in range(1, n):
        turn = _turn(h * k, half)
        zero, x = np.zeros(order), np.array([[0, (-1) ** h], [1, 0]])
        a = np.stack([np.stack([turn, zero], 1), np.stack([zero, turn.conj()], 1)], 1)
        found.append((f"E{h}", np.where(flip[:, None, None] > 0, a @ x, a)))
    return found


def _signs(k: np.ndarray, flip: np.ndarray, *, has_b: bool) -> list[tuple[Name, np.ndarray]]:
    reflected, alternating = 1.0 - 2 * flip, 1.0 - 2 * (k % 2)
    found = {"A1": np.ones(len(k)), "A2": reflected} | ({"B1": alternating, "B2": alternating * reflected} if has_b else {})
    return [(name, values[:, None, None]) for name, values in found.items()]


def _turn(steps: np.ndarray, n: int) -> np.ndarray:
    """e^{2 pi i steps / n}; the integer is reduced first, so that the result is exact to one rounding."""
    return np.exp(2j * np.pi * (steps % n) / n)
