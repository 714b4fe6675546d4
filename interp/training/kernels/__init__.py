"""The fast CPU engine's loops over pairs, compiled by numba. Everything else about that engine is in cpu.py."""

from interp.training.kernels.active import WORD, needs_strips
from interp.training.kernels.arrays import Chunk, Gradients, Pairs, Setting, Sums, Tables
from interp.training.kernels.compiler import telling
from interp.training.kernels.multiplication import multiply
from interp.training.kernels.passes import PARALLEL, SERIAL, Passes, can_be_parallel
from interp.training.kernels.vectors import LANES

__all__ = [
    "LANES",
    "PARALLEL",
    "SERIAL",
    "WORD",
    "Chunk",
    "Gradients",
    "Pairs",
    "Passes",
    "Setting",
    "Sums",
    "Tables",
    "can_be_parallel",
    "multiply",
    "needs_strips",
    "telling",
]
