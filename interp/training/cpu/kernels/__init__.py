"""The fast CPU engine's loops, compiled by numba. Everything else about that engine is in cpu_engine.py."""

from interp.training.cpu.kernels.active import WORD, needs_strips
from interp.training.cpu.kernels.arrays import Chunk, Gradients, Model, Moments, Pairs, Setting, Signs, Sums, Tables, Work
from interp.training.cpu.kernels.backpropagation import STAGES as BACKWARD_STAGES
from interp.training.cpu.kernels.compiler import telling
from interp.training.cpu.kernels.handles import Handle
from interp.training.cpu.kernels.passes import PARALLEL, SERIAL, can_be_parallel, passes
from interp.training.cpu.kernels.tabulation import STAGES as FORWARD_STAGES
from interp.training.cpu.kernels.vectors import LANES

__all__ = [
    "BACKWARD_STAGES",
    "FORWARD_STAGES",
    "LANES",
    "PARALLEL",
    "SERIAL",
    "WORD",
    "Chunk",
    "Gradients",
    "Handle",
    "Model",
    "Moments",
    "Pairs",
    "Setting",
    "Signs",
    "Sums",
    "Tables",
    "Work",
    "can_be_parallel",
    "needs_strips",
    "passes",
    "telling",
]
