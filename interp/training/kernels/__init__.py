"""The fast CPU engine's loops over pairs, compiled by numba. Everything else about that engine is in cpu.py."""

from interp.training.kernels.arrays import Chunk, Gradients, Pairs, Setting, Sums, Tables
from interp.training.kernels.compiler import telling
from interp.training.kernels.multiplication import multiply
from interp.training.kernels.passes import Passes, passes_for
from interp.training.kernels.products import LANES

__all__ = ["LANES", "Chunk", "Gradients", "Pairs", "Passes", "Setting", "Sums", "Tables", "multiply", "passes_for", "telling"]
