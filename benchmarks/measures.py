"""Time the measures of one checkpoint against a straightforward implementation of the same definitions, interleaved in one run.

    python benchmarks/measures.py [--p 113] [--repeats 7] [--threads 2] [--json]

The straightforward one follows the formulas literally, frequency by frequency over all pairs and classes, as reference code
does. Both measure the same random model: its losses, restricted and excluded losses, Gini coefficients, weight norms, neuron
clusters, heads and cosine coefficients. The whole anatomy, with ablations and without random controls, is timed beside them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

import interp
from interp import measures
from interp.anatomy import anatomy
from interp.config.run_config import ModelConfig, RunConfig
from interp.losses import correct, cross_entropy
from interp.networks.pair_tables import pair_tables
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig


def ours(weights: interp.Weights, train: Tensor, keys: list[int]) -> list[float]:
    """The default set, as the toolkit computes it."""
    harmonics = interp.harmonics.addition(weights.p)
    basis, labels = harmonics.basis, harmonics.line
    tables = pair_tables(weights)
    logits, how = tables.logits.double(), {"harmonics": harmonics, "keys": keys}
    loss = cross_entropy(logits, labels)
    neurons = measures.neuron_frequencies(tables.neurons, harmonics=harmonics)
    heads = measures.head_frequencies(tables.pattern, harmonics=harmonics)
    return [
        float(loss.mean()),
        float(correct(logits, labels).double().mean()),
        float(measures.restricted_loss(logits, labels, **how).mean()),
        float(measures.excluded_loss(logits, labels, pairs=train, **how).mean()),
        float(measures.gini(basis.row_norms(weights.residue_embedding))),
        float(measures.gini(basis.row_norms(weights.W_L))),
        measures.sum_squared_weights(weights.tensors())["total"],
        float(neurons.share.nanmean()),
        float(heads.fve[:, :2].nanmean()),
        float(measures.cos_coefficients(logits, harmonics=harmonics)[keys[0] - 1]),
    ]


def straightforward(weights: interp.Weights, train: Tensor, keys: list[int]) -> list[float]:
    """The same numbers, formula by formula."""
    p, task = weights.p, ModularTask(weights.p)
    labels, activations = torch.from_numpy(task.labels), interp.forward(weights, task.pairs)
    logits = activations.logits.double()
    a, b = torch.from_numpy(task.pairs).T
    projection = torch.zeros_like(logits)
    for k in keys:
        for wave in (torch.cos, torch.sin):
            unit = wave((a + b).double() * (2 * torch.pi * k / p))
            unit = unit / unit.norm()
            projection += torch.outer(unit, unit @ logits)
    rows = _waves(p)
    sizes = [(rows @ matrix.double()).norm(dim=1).sort().values for matrix in (weights.W_E[:p], weights.W_L)]
    rank = torch.arange(1, p + 1)
    cube = torch.arange(p)
    alphas = []
    for k in range(1, p // 2 + 1):
        wave = torch.cos(((a + b)[:, None] - cube).double() * (2 * torch.pi * k / p))
        alphas.append(float((logits * wave / wave.norm()).sum()))
    return [
        float(_loss(logits, labels).mean()),
        float((logits.argmax(dim=1) == labels).double().mean()),
        float(_loss(logits.mean(dim=0) + projection, labels).mean()),
        float(_loss(logits - projection, labels)[train].mean()),
        *(float(2 * (rank * size).sum() / (p * size.sum()) - (p + 1) / p) for size in sizes),
        float(sum(tensor.double().square().sum() for tensor in weights.tensors().values())),
        float(_shares(activations.neurons.double(), rows).max(dim=0).values.nanmean()),
        float(_shares(activations.pattern[:, :, :2].flatten(1).double(), rows).max(dim=0).values.nanmean()),
        alphas[keys[0] - 1],
    ]


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    return -logits.log_softmax(dim=1).gather(1, labels[:, None]).squeeze(1)


def _waves(p: int) -> Tensor:
    x = torch.arange(p, dtype=torch.float64)
    found = [torch.ones(p, dtype=torch.float64)]
    for k in range(1, p // 2 + 1):
        found += [torch.cos(2 * torch.pi * k * x / p), torch.sin(2 * torch.pi * k * x / p)]
    return torch.stack([wave / wave.norm() for wave in found[:p]])


def _shares(units: Tensor, rows: Tensor) -> Tensor:
    """Full 2-D transform of every unit, then the eight terms of each frequency."""
    p = len(rows)
    squares = torch.einsum("ia,abn,jb->ijn", rows, units.reshape(p, p, -1), rows).square()
    squares[0, 0] = 0
    total = squares.sum(dim=(0, 1))
    return torch.stack(
        [squares[[0, 2 * k - 1, 2 * k]][:, [0, 2 * k - 1, 2 * k]].sum(dim=(0, 1)) / total for k in range(1, p // 2 + 1)]
    )


def timed(function: Callable[[], object]) -> float:
    """Seconds of wall clock."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Measure, compare the numbers, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--p", type=int, default=113, help="an odd modulus")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    task = ModularTask(options.p)
    config = RunConfig(task=task, split=SplitConfig(), model=ModelConfig(), steps=1, threads=options.threads, engine="reference")
    weights = next(iter(interp.train(config))).weights.clone()
    split, keys = config.split.draw(task), sorted({1, options.p // 3, options.p // 2})
    train = torch.from_numpy(split.train)
    contenders: dict[str, Callable[[], object]] = {
        "straightforward": lambda: straightforward(weights, train, keys),
        "ours": lambda: ours(weights, train, keys),
        "anatomy": lambda: anatomy(weights, split=split, keys=keys),
    }
    with torch.no_grad():
        pairs = zip(ours(weights, train, keys), straightforward(weights, train, keys), strict=True)
        error = max(abs(x - y) / abs(y) for x, y in pairs if y)
        anatomy(weights, split=split, keys=keys)
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(options.repeats):
            for name, function in contenders.items():
                seconds[name].append(timed(function))
    milliseconds = {name: [1e3 * s for s in values] for name, values in seconds.items()}
    table = {name: {"median_ms": statistics.median(v), "min_ms": min(v), "max_ms": max(v)} for name, v in milliseconds.items()}
    ratio = table["straightforward"]["median_ms"] / table["ours"]["median_ms"]
    if options.json:
        print(
            json.dumps(
                {"p": options.p, "threads": options.threads, "ratio": ratio, "largest_difference": error, **table}, indent=2
            )
        )
        return
    for name, row in table.items():
        print(f"{name:16s} {row['median_ms']:9.1f} ms   ({row['min_ms']:.1f} to {row['max_ms']:.1f})")
    print(f"ours is {ratio:.0f} times faster; largest relative difference of any number {error:.1e}")


if __name__ == "__main__":
    main()
