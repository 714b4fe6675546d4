"""What recording costs a training loop in plain torch.

    python benchmarks/recording.py [--p 59 113] [--threads N] [--blocks 10] [--early] [--inside] [--json]

A one-layer transformer is trained with `interp.recording` at its default schedule and measures. The share *inside* is the
processor time of all calls of `log.step` over that of all else in the same loop, summed over all steps: it hardly depends on what
other programs do. Unless `--inside` asks for nothing else, the same training runs a second time without a recording, in turns of
100 steps, each of the two first equally often; what the recording costs outside its own calls (caches, memory) shows there: the
median over pairs of (with - without) / without, of processor time and of time. Processor time lacks the waiting for the disk.
The first 1,000 steps have 37 checkpoints (`--early`), later ones one each 100 steps. What is done when the block is left is told
by itself: it is once a run.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from timing import machine, options
from torch import Tensor, nn

import interp

BLOCK, LATE = 100, 1001  # steps; where the even schedule begins


class OneLayer(nn.Module):
    """As in the reference recipe, in the operators that everybody uses."""

    def __init__(self, p: int, d_model: int = 128, heads: int = 4, d_mlp: int = 512) -> None:
        super().__init__()
        self.embed, self.pos = nn.Embedding(p + 1, d_model), nn.Parameter(torch.randn(3, d_model) / d_model**0.5)
        self.qkv, self.out, self.heads = (
            nn.Linear(d_model, 3 * d_model, bias=False),
            nn.Linear(d_model, d_model, bias=False),
            heads,
        )
        self.mlp = nn.Sequential(nn.Linear(d_model, d_mlp), nn.ReLU(), nn.Linear(d_mlp, d_model))
        self.unembed = nn.Linear(d_model, p, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits at every position."""
        x = self.embed(tokens) + self.pos
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return self.unembed(x + self.mlp(x))


Block = tuple[float, float, float]


def loop(model: nn.Module, task: interp.ModularTask, split: interp.Split, log: Any, first: int) -> Iterator[Block]:
    """Seconds and processor seconds of each block of steps, and the processor seconds of its calls of the recording."""
    rows = torch.from_numpy(split.train)
    tokens, labels = torch.from_numpy(task.inputs)[rows], torch.from_numpy(task.labels)[rows]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0)
    step = first
    while True:
        begun, inside = (time.perf_counter(), time.process_time()), 0.0
        for _ in range(BLOCK):
            if log is not None:
                called = time.process_time()
                log.step(step)
                inside += time.process_time() - called
            loss = F.cross_entropy(model(tokens)[:, -1], labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
        yield time.perf_counter() - begun[0], time.process_time() - begun[1], inside


def measured(p: int, *, blocks: int, early: bool, alone: bool) -> dict[str, Any]:
    """Blocks of one setting, in pairs unless the recorded training runs alone."""
    task = interp.ModularTask(p)
    split = interp.SplitConfig(fraction=0.3, seed=0).draw(task)
    first = 0 if early else LATE
    done: list[tuple[Block, ...]] = []
    with TemporaryDirectory() as root:
        made = []
        for _ in range(1 if alone else 2):
            torch.manual_seed(0)
            made.append(OneLayer(p))
        with interp.recording("run", made[0], task=task, split=split, root=root) as log:
            arms = [loop(model, task, split, told, first) for model, told in zip(made, (log, None), strict=False)]
            if not early:
                for arm in arms:
                    next(arm)  # what is done for the first time
            for i in range(blocks):
                order = range(len(arms)) if i % 2 == 0 else reversed(range(len(arms)))
                times = dict(sorted((which, next(arms[which])) for which in order))
                done.append(tuple(times.values()))
            for name, one in made[0].state_dict().items():
                assert torch.equal(one, made[-1].state_dict()[name]), "the recording changed the training"
            begun = time.process_time()
        leaving = time.process_time() - begun
        checkpoints = len(log.run.steps)
    recorded, inside = sum(each[0][1] for each in done), sum(each[0][2] for each in done)
    shares = [[(each[0][i] - each[-1][i]) / each[-1][i] for each in done] for i in range(2)]
    beside = zip(("time", "processor"), () if alone else shares, strict=not alone)
    return {
        "p": p,
        "steps": "0 to 1,000" if early else "from 1,000 on",
        "ms_a_step_without": 1e3 * (recorded - inside) / BLOCK / blocks,
        "inside": inside / (recorded - inside),
        **{name: (statistics.median(each), min(each), max(each)) for name, each in beside},
        "leaving_seconds": leaving,
        "checkpoints": checkpoints,
        "blocks": done,
    }


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--p", type=int, nargs="+", default=[59, 113])
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--blocks", type=int, default=10, help="pairs of 100 steps")
    parser.add_argument("--early", action="store_true", help="steps 0 to 1,000 in the place of later ones")
    parser.add_argument("--inside", action="store_true", help="the recorded training alone")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    found = [measured(p, blocks=arguments.blocks, early=arguments.early, alone=arguments.inside) for p in arguments.p]
    if arguments.json:
        print(json.dumps({"machine": machine(), "threads": torch.get_num_threads(), "measured": found}, indent=1))
        return
    for one in found:
        named = [name for name in ("processor", "time") if name in one]
        shares = "".join("; beside one without: {} {:+.1%} ({:+.1%} to {:+.1%})".format(name, *one[name]) for name in named)
        print(
            f"p = {one['p']}, steps {one['steps']}: {one['ms_a_step_without']:.1f} ms of processor time a step; recording: "
            f"{one['inside']:.1%} inside{shares}; leaving the block {one['leaving_seconds']:.1f} s of processor time for "
            f"{one['checkpoints']} checkpoints"
        )


if __name__ == "__main__":
    main()
