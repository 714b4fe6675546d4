# numba's intrinsics are untyped.
# mypy: disable-error-code="attr-defined, no-untyped-call"
# ruff: noqa: ARG001  numba calls with these arguments
"""Where a training step's time goes, and what the machine could do at best.

    python benchmarks/limits.py [--rounds N] [--threads N] [--after STEPS] [--json]

The parts of one step of the reference setting in the fast CPU engine, some steps into training, with the arithmetic they do
(GFLOP: a multiplication and an addition are two; of products with W_L those of active neurons, by their present signs) and the
bytes they move from and to the caches, but for what stays in the first-level one, against ceilings measured here: arithmetic by
products of matrices that stay in the first- and second-level cache, bytes by reading tables of 400 kB. Then how evenly threads
finish the passes over pairs: each has as many, and a step waits for the last of them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba.extending import intrinsic
from timing import add_after, alternate, going_on, machine, options, show, state_after

from interp import forward, recipe
from interp.config.run_config import RunConfig
from interp.cores import torch_threads
from interp.training.cpu.cpu_engine import CpuEngine
from interp.training.cpu.kernels import LANES, Pass
from interp.training.cpu.kernels.dots import Places, row_products
from interp.training.cpu.kernels.places import at, matrix
from interp.training.cpu.kernels.products import multiply
from interp.training.cpu.kernels.units import at_address
from interp.training.threads import threads_for


@numba.njit(parallel=True)
def multiply_often(a: np.ndarray, b: np.ndarray, c: np.ndarray, times: int) -> None:
    """Each thread multiplies its own matrices again and again."""
    for thread in numba.prange(len(a)):
        size = (a.shape[1], b.shape[2], b.shape[1])
        for _ in range(times):
            multiply(matrix(a[thread], 0, 0), matrix(b[thread], 0, 0), matrix(c[thread], 0, 0), size, False)


@numba.njit(parallel=True)
def read_often(a: np.ndarray, b: np.ndarray, out: np.ndarray, times: int) -> None:
    """Each thread multiplies a row with its own rows again and again: what is read decides how long that takes."""
    for thread in numba.prange(len(b)):
        size = (1, b.shape[1], b.shape[2] // LANES)
        for _ in range(times):
            row_products(matrix(a, 0, 0), matrix(b[thread], 0, 0), Places(at(out, thread, 0), 0, 1), size)


def ceilings(threads: int) -> dict[str, float]:
    """GFLOP/s and GB/s of all threads together."""
    rows, depth, columns, times = 96, 128, 128, 200

    def zeros(*size: int) -> np.ndarray:
        return np.zeros(size, dtype=np.float32)

    a, b, c = zeros(threads, rows, depth + LANES), zeros(threads, depth, columns), zeros(threads, rows, columns)
    table, row, out = zeros(threads, 160, 640), zeros(1, 640), zeros(threads, 160)
    before = torch.get_num_threads()
    numba.set_num_threads(threads)
    best = alternate(
        {"products": lambda: multiply_often(a, b, c, times), "reads": lambda: read_often(row, table, out, times)}, rounds=5
    )
    torch.set_num_threads(before)  # numba has set it too
    flop, read = 2e-9 * rows * depth * columns * times * threads, 1e-9 * table.nbytes * times
    return {
        "gflop_per_second": flop / (1e-3 * min(best["products"])),
        "gigabytes_per_second": read / (1e-3 * min(best["reads"])),
    }


@intrinsic
def clock(context: Any) -> Any:
    """The processor's time stamp."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(64), [])
        return builder.call(builder.module.declare_intrinsic("llvm.readcyclecounter", (), kind), [])

    return numba.int64(), generate


@numba.njit(parallel=True)
def time_shares(function: int, work: int, begun: np.ndarray, ended: np.ndarray) -> None:
    """When each thread begins and ends its share of a pass."""
    for thread in numba.prange(len(begun)):
        begun[thread] = clock()
        at_address(function, work, np.int64(thread))
        ended[thread] = clock()


def evenness(engine: CpuEngine, *, steps: int = 500) -> dict[str, float]:
    """Time of the slower share of the training pass over the mean of all; how the first two threads' times go together."""
    (train,) = engine._passes.train
    shares, begun, ended = [], np.zeros(engine.threads, np.int64), np.zeros(engine.threads, np.int64)
    for _ in range(steps + 1):  # the first compiles
        time_shares(train.addresses[0], engine._train.address, begun, ended)
        shares.append(ended - begun)
    taken = np.array(shares[1:], dtype=float)
    excess = taken.max(1) / taken.mean(1)
    together = np.corrcoef(taken[:, 0], taken[:, 1])[0, 1] if engine.threads > 1 else 1.0
    return {
        "median": float(np.median(excess)),
        "95 %": float(np.quantile(excess, 0.95)),
        "correlation": float(together),
    }


def active_shares(config: RunConfig, engine: CpuEngine) -> dict[str, float]:
    """Share of neurons that are not 0, over the training pairs: as they are, and with the signs they are taken with."""
    pairs = config.task.pairs[config.split.draw(config.task).train]
    inputs, flipped = forward(engine.parameters.weights, torch.from_numpy(pairs)).neurons_pre, engine.state()["flipped"]
    return {
        "as they are": float((inputs > 0).double().mean()),
        "as they are taken": float((inputs * (1 - 2.0 * flipped) > 0).double().mean()),
        "flipped": float(flipped.double().mean()),
    }


def work(config: RunConfig, shares: dict[str, float]) -> dict[str, tuple[float, float]]:
    """GFLOP and GB of each part of a step, given the share of active neurons: W_L is multiplied with these only."""
    task, model = config.task, config.model
    n, p, d, heads, classes = len(config.split.draw(task).train), task.p, model.d_model, model.n_heads, config.classes
    columns = -(-model.d_mlp // LANES) * LANES + -(-classes // LANES) * LANES
    products, rows = 2e-9 * n * model.d_mlp * classes * shares["as they are taken"], 2e-9 * n * 2 * heads * columns
    table, through_W_L = 2e-9 * (p + 1) * d * columns, 2e-9 * d * model.d_mlp * classes
    rows_of_weights, flipped = 2e-9 * d * d * columns, shares["flipped"]
    row = 4e-9 * columns
    tables = row * heads * (p + 1)

    return {
        "tables of tokens": (rows_of_weights + through_W_L * (1 + flipped) + table, 5 * tables),
        # Rows of the tables forward, for each pair; backward some three pairs with a token in common share them.
        "passes over pairs": (3 * products + 3 * rows, n * row * (heads * (2 + 2 / 3) + 10)),
        "gradient of the tables' factors": (2 * table, 6 * tables),
        "gradient of the weights": (2 * rows_of_weights + through_W_L * (3 + flipped), 4e-9 * 6 * d * columns),
    }


def parts(config: RunConfig, state: dict[str, torch.Tensor], engine: CpuEngine) -> dict[str, Callable[[], object]]:
    """The parts of one step, each to be called by itself.

    Updates and whole steps are other engines': the parts are timed on one model, and an update with the same gradient again and
    again leads to weights that no training has.
    """
    updated, stepping = going_on(config, state), going_on(config, state)
    updated.gradient()
    passes = engine._passes

    def launch(*some: Pass) -> Callable[[], None]:
        def run() -> None:
            for each in some:
                engine._launch(each, engine._train)

        return run

    return {
        "tables of tokens": launch(passes.tabulate),
        "passes over pairs": launch(passes.train),
        "gradient of the tables' factors": launch(passes.combine, passes.add_up),
        "gradient of the weights": launch(passes.backpropagate),
        "AdamW, signs": updated.update,
        "whole step": lambda: (stepping.gradient(), stepping.update()),
    }


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=10)
    parser.add_argument("--threads", type=int, help="threads (default: all cores)")
    add_after(parser)
    arguments = parser.parse_args()
    config = replace(recipe("transformer-lens"), threads=arguments.threads, engine="cpu")
    config = replace(config, threads=threads_for(config))
    facts = machine()
    with torch_threads(1), torch.no_grad():
        state = state_after(config, arguments.after)
        engine = going_on(config, state)
        engine.gradient()
        best = ceilings(config.threads)  # of the kernels that the engine has compiled
        timed = alternate(parts(config, state, engine), rounds=arguments.rounds)
        times = {name: statistics.median(values) for name, values in timed.items()}
        shares, even = active_shares(config, engine), evenness(engine)
    rows, amounts = {}, work(config, shares)
    amounts["whole step"] = tuple(map(sum, zip(*amounts.values(), strict=True)))  # type: ignore[assignment]  # two sums
    for name, milliseconds in times.items():
        flop, size = amounts.get(name, (0.0, 0.0))
        at_best = 1e3 * max(flop / best["gflop_per_second"], size / best["gigabytes_per_second"])
        rows[name] = {"milliseconds": milliseconds, "gflop": flop, "megabytes": 1e3 * size, "at_best_milliseconds": at_best}

    def text() -> str:
        lines = [
            f"{facts['processor']}, {config.threads} threads, load average {facts['load']}: at best "
            f"{best['gflop_per_second']:.0f} GFLOP/s, {best['gigabytes_per_second']:.0f} GB/s; "
            f"active neurons {shares['as they are']:.0%}, by their present signs {shares['as they are taken']:.0%}"
        ]
        for name, row in rows.items():
            amount = f"{row['gflop']:6.3f} GFLOP  {row['megabytes']:6.1f} MB"
            lines.append(f"{name:32} {row['milliseconds']:6.2f} ms  {amount}  at best {row['at_best_milliseconds']:5.2f} ms")
        lines.append(
            f"slower share of the passes over its mean: median {even['median']:.2f}, 95 % below {even['95 %']:.2f}; "
            f"correlation of two threads' times {even['correlation']:.2f}"
        )
        return "\n".join(lines)

    given = {"machine": facts, "threads": config.threads, "after": arguments.after}
    show({**given, "ceilings": best, "active": shares, "evenness": even, "parts": rows}, as_json=arguments.json, text=text)


if __name__ == "__main__":
    main()
