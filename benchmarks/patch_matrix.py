"""Time the patch matrix cell by cell, beside the same through a TransformerLens bridge with hooks.

    python benchmarks/patch_matrix.py [RUN] [--cells 3] [--whole] [--rounds 5] [--threads 1] [--json]

The matrix is that of the embedding (W_E and W_pos) of every checkpoint in every other. In TransformerLens it is made as a user
would: a bridge for each checkpoint; the giver's embeddings kept once, of the test pairs alone; the taker run on the test pairs
with hooks that put them in place of its own. Both run in turns in this process, on cells spread over the matrix, with checkpoints
read, bridges and engines made and givers kept beforehand. With `--whole` the whole matrix is timed once as well, by
`interp.patch_matrix` with all that it takes.

Without a RUN one is trained first: the recipe nanda (p = 113) for 195 steps, 40 checkpoints.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timing import machine, options, show
from torch import Tensor

from interp import CheckpointConfig, Run, open_run, patch_matrix, recipe, record
from interp.cores import torch_threads
from interp.interventions.patching import like, put_all
from interp.interventions.scoring import scorer
from interp.networks.bridge import to_bridge

PARTS = ["embedding"]
HOOKS = ("embed.hook_out", "pos_embed.hook_out")
AGREE = 1e-5


class Bridges:
    """A run's checkpoints as bridges of TransformerLens, with their embeddings of the test pairs."""

    def __init__(self, run: Run, steps: list[int]) -> None:
        task, test = run.task, torch.from_numpy(run.split.test)
        self.inputs = torch.from_numpy(task.inputs)[test]
        self.answers, self.classes = torch.from_numpy(task.labels)[test], task.classes
        self.models = {step: to_bridge(run[step].weights) for step in steps}
        self.kept = {step: self._kept(model) for step, model in self.models.items()}

    @torch.no_grad()
    def _kept(self, model: Any) -> dict[str, Tensor]:
        _, cache = model.run_with_cache(self.inputs, names_filter=lambda name: name in HOOKS)
        return {name: cache[name].clone() for name in HOOKS}

    @torch.no_grad()
    def cell(self, into: int, giver: int) -> tuple[float, float]:
        """Test loss and accuracy of one checkpoint with the embeddings of another."""
        given = self.kept[giver]
        hooks = [(name, lambda value, hook: given[hook.name]) for name in HOOKS]  # noqa: ARG005  by name
        logits = self.models[into].run_with_hooks(self.inputs, return_type="logits", fwd_hooks=hooks)[:, -1, : self.classes]
        right = logits.argmax(dim=1) == self.answers
        return float(F.cross_entropy(logits, self.answers)), float(right.double().mean())


def spread_out(steps: list[int], cells: int) -> list[int]:
    """So many of the steps, from the first to the last."""
    n = min(cells, len(steps))
    return [steps[round(i * (len(steps) - 1) / max(1, n - 1))] for i in range(n)]


def compared(run: Run, *, steps: list[int], chosen: list[int], rounds: int) -> dict[str, Any]:
    """Milliseconds of every chosen cell both ways, in turn, and how far the results differ.

    Raises:
        AssertionError: if a loss differs by more than `AGREE`, relatively, or an accuracy at all.
    """
    bridges, weights = Bridges(run, chosen), {step: run[step].weights for step in chosen}
    score = scorer(run, weights[chosen[0]], networks=len(steps) ** 2)
    cells, apart = [], 0.0
    for into in chosen:
        for giver in chosen:

            def ours(into: int = into, giver: int = giver) -> tuple[float, float]:
                return score(like(weights[into], put_all(PARTS, weights[giver], weights[into], run.task)))

            def theirs(into: int = into, giver: int = giver) -> tuple[float, float]:
                return bridges.cell(into, giver)

            one, other = ours(), theirs()
            apart = max(apart, abs(one[0] / other[0] - 1))
            assert abs(one[0] / other[0] - 1) <= AGREE, f"step {giver} in {into}: loss {one[0]} here, {other[0]} there"
            assert one[1] == other[1], f"step {giver} in {into}: accuracy {one[1]} here, {other[1]} there"
            times: dict[str, list[float]] = {"here": [], "bridge": []}
            for _ in range(rounds):
                for name, call in (("here", ours), ("bridge", theirs)):
                    begun = time.perf_counter()
                    call()
                    times[name].append(1e3 * (time.perf_counter() - begun))
            cells.append({"into": into, "from": giver, **{name: statistics.median(each) for name, each in times.items()}})
    return {"cells": cells, "apart": apart}


def whole(run: Run, *, steps: list[int], threads: int) -> float:
    """Seconds of the whole matrix, all that it takes included."""
    begun = time.perf_counter()
    found = patch_matrix(run, parts=PARTS, steps=steps, threads=threads)
    assert np.isfinite(found["test_loss"]).all()
    return time.perf_counter() - begun


def trained(root: str) -> Run:
    """A run of the recipe nanda with 40 checkpoints."""
    config = replace(recipe("nanda"), steps=195, until_settled=False, checkpoints=CheckpointConfig(log=0, every=5), threads=1)
    return record(config, root, "nanda", progress=False)


def main() -> None:
    """Measure in turns, print the table."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("run", nargs="?", help="a run with checkpoints; by default one is trained")
    parser.add_argument("--cells", type=int, default=3, help="rows and columns that are timed beside the bridge (default: 3)")
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="of torch in the bridge, and of the whole matrix; one cell here takes one (default: 1)",
    )
    parser.add_argument("--whole", action="store_true", help="time the whole matrix too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        run = trained(root) if given.run is None else open_run(given.run)
        steps = spread_out(list(run.steps), 40)
        result: dict[str, Any] = {"machine": machine(), "p": run.task.classes, "steps": len(steps), "threads": given.threads}
        chosen = spread_out(steps, given.cells)
        with torch_threads(given.threads):
            result |= compared(run, steps=steps, chosen=chosen, rounds=given.rounds)
        if given.whole:
            result["whole_seconds"] = whole(run, steps=steps, threads=given.threads)
    result["ratio"] = statistics.median(cell["bridge"] / cell["here"] for cell in result["cells"])
    show(result, as_json=given.json, text=lambda: text(result))


def text(result: dict[str, Any]) -> str:
    """The table, and the whole matrix beside it."""
    lines = ["| into | from | here, ms | bridge, ms | times |", "| ---: | ---: | ---: | ---: | ---: |"]
    for cell in result["cells"]:
        times = cell["bridge"] / cell["here"]
        lines.append(f"| {cell['into']} | {cell['from']} | {cell['here']:.1f} | {cell['bridge']:.0f} | {times:.0f} |")
    lines.append(f"median {result['ratio']:.0f} times; losses differ by {result['apart']:.0e} at most; {result['machine']}")
    if "whole_seconds" in result:
        n, seconds = result["steps"] ** 2, result["whole_seconds"]
        there = n * statistics.median(cell["bridge"] for cell in result["cells"]) / 1e3
        lines.append(
            f"all {n:,} cells: {seconds:.1f} s, {1e3 * seconds / n:.1f} ms each; by the median cell of the bridge {there:.0f} s, "
            f"{there / seconds:.0f} times as long"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
