"""The fast CPU engine's loops, compiled by numba. Everything else about that engine is in cpu_engine.py."""

from interp.training.cpu.kernels.active import WORD, needs_strips
from interp.training.cpu.kernels.arrays import Chunk, Gradients, Model, Moments, Pairs, Setting, Signs, Sums, Tables, Work
from interp.training.cpu.kernels.handles import Handle
from interp.training.cpu.kernels.pair_losses import LOSSES
from interp.training.cpu.kernels.passes import PARALLEL, SERIAL, Layout, Pass, Passes, Stage, passes_for, strips_of, units_for
from interp.training.cpu.kernels.units import compile_alone
from interp.training.cpu.kernels.vectors import LANES

__all__ = [
    "LANES",
    "LOSSES",
    "PARALLEL",
    "SERIAL",
    "WORD",
    "Chunk",
    "Gradients",
    "Handle",
    "Layout",
    "Model",
    "Moments",
    "Pairs",
    "Pass",
    "Passes",
    "Setting",
    "Signs",
    "Stage",
    "Sums",
    "Tables",
    "Work",
    "compile_alone",
    "needs_strips",
    "passes_for",
    "strips_of",
    "units_for",
]
