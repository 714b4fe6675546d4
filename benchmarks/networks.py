"""Time of one training step of other networks: ours, and a plain torch loop of the same model and batch, in turn in one process.

    python benchmarks/networks.py [--rounds N] [--threads N] [--json]

The plain loop is what one writes by hand: torch.nn's modules at every position, scaled_dot_product_attention, the loss of the
last position, fused AdamW. Ratios are what to read on a busy machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from timing import alternate, machine, options, show, spread
from torch import Tensor, nn
from train_step import engine_step

from interp import recipe
from interp.config.run_config import ModelConfig, OptimizerConfig, RunConfig
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.training.threads import threads_for


class PlainLayer(nn.Module):
    """A layer as a textbook has it."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        width = model.d_model
        self.heads, self.normalization, is_biased = model.n_heads, model.normalization, model.biases == "all"
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=is_biased), nn.Linear(width, width, bias=is_biased)
        self.mlp = nn.Sequential(nn.Linear(width, model.d_mlp), nn.ReLU(), nn.Linear(model.d_mlp, width))
        norms = [nn.Identity() if model.normalization == "none" else nn.LayerNorm(width) for _ in range(2)]
        self.first, self.second = norms

    def attention(self, x: Tensor) -> Tensor:
        """Causal attention."""
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        """The residual stream after the layer."""
        if self.normalization == "post":
            x = self.first(x + self.attention(x))
            return self.second(x + self.mlp(x))
        x = x + self.attention(self.first(x))
        return x + self.mlp(self.second(x))


class Plain(nn.Module):
    """A decoder as a textbook has it."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        model, task = config.model, config.task
        self.embed, self.pos = nn.Embedding(task.n_tokens, model.d_model), nn.Parameter(0.1 * torch.randn(3, model.d_model))
        self.layers = nn.Sequential(*(PlainLayer(model) for _ in range(model.n_layers)))
        self.norm = nn.LayerNorm(model.d_model) if model.normalization == "pre" else nn.Identity()
        self.unembed = nn.Linear(model.d_model, config.classes, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits at the last position."""
        return self.unembed(self.norm(self.layers(self.embed(tokens) + self.pos)[:, -1]))


def plain_step(config: RunConfig) -> Callable[[], object]:
    """A step of the plain loop."""
    torch.manual_seed(0)
    model, optimizer = Plain(config), config.optimizer
    adamw = torch.optim.AdamW(model.parameters(), lr=optimizer.lr, weight_decay=1.0, betas=(0.9, 0.98), fused=True)
    train = torch.from_numpy(config.split.draw(config.task).train)
    inputs, labels = torch.from_numpy(config.task.inputs)[train], torch.from_numpy(config.task.labels)[train]
    size = optimizer.batch_size
    waiting: list[Tensor] = []

    def step() -> None:
        if size is not None and not waiting:
            waiting.extend(torch.randperm(len(inputs)).split(size))
        rows = slice(None) if size is None else waiting.pop()
        loss = F.cross_entropy(model(inputs[rows]), labels[rows])
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        loss.item()

    return step


def cases() -> dict[str, RunConfig]:
    """What is timed."""
    demo, half = recipe("demo"), SplitConfig(rule="torch", seed=0, fraction=0.5)
    two = ModelConfig(n_layers=2, d_mlp=512)
    p97 = replace(demo, task=ModularTask(97), split=half)
    p120 = replace(demo, task=ModularTask(120), split=half, model=ModelConfig())
    return {
        "two layers, post-LayerNorm, p = 97, batches of 512": replace(
            p97, model=replace(two, normalization="post"), optimizer=OptimizerConfig(batch_size=512)
        ),
        "two layers, p = 97, full batch (4,704 pairs)": replace(p97, model=two),
        "two layers, pre-LayerNorm, p = 97, full batch": replace(p97, model=replace(two, normalization="pre")),
        "one layer, pre-LayerNorm, S5, batches of 512 (recipe s5)": recipe("s5"),
        "one layer, p = 120, full batch (7,200 pairs), engine auto": p120,
        "one layer, p = 120, full batch, Adam": replace(p120, optimizer=OptimizerConfig(name="adam", weight_decay=0.0)),
    }


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=6)
    parser.add_argument("--threads", type=int, help="threads of every loop (default: all cores)")
    arguments = parser.parse_args()
    facts, rows = machine(), {}
    for name, config in cases().items():
        threads = threads_for(replace(config, threads=arguments.threads))
        torch.set_num_threads(threads)
        ours = replace(config, threads=threads)
        found = alternate({"interp": engine_step(ours), "plain": plain_step(ours)}, rounds=arguments.rounds, seconds=0.3)
        both = {loop: spread(times) for loop, times in found.items()}
        rows[name] = {**both, "ratio": both["interp"]["median"] / both["plain"]["median"]}

    def text() -> str:
        lines = [f"{facts['processor']}, load average {facts['load']}; milliseconds a step, median"]
        for name, row in rows.items():
            lines.append(
                f"{name:60} interp {row['interp']['median']:7.1f}  plain {row['plain']['median']:7.1f}  x{row['ratio']:.2f}"
            )
        return "\n".join(lines)

    show({"machine": facts, "rows": rows}, as_json=arguments.json, text=text)


if __name__ == "__main__":
    main()
