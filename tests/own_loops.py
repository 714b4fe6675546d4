"""Training loops of somebody else's: models in plain torch, and the loop that trains them, with and without a recording."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import interp

P = 7
TASK = interp.ModularTask(P)
SPLIT = interp.SplitConfig(fraction=0.6, seed=1).draw(TASK)


class Tokens(nn.Module):
    """Answers ``a b =`` at every position."""

    def __init__(self, p: int = P, width: int = 16, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(p + 1, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2 * width, width))
        self.unembed = nn.Linear(width, p)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        return self.unembed(x + self.mlp(x.cumsum(dim=1)))


class Pairs(nn.Module):
    """Takes a and b by themselves, and answers once, in a tuple."""

    def __init__(self, p: int = P, width: int = 16) -> None:
        super().__init__()
        self.left, self.right = nn.Embedding(p, width), nn.Embedding(p, width)
        self.norm = nn.BatchNorm1d(width)
        self.out = nn.Linear(width, p)

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, str]:
        return self.out(self.norm((self.left(a) + self.right(b)).relu())), "something else"


class Output:
    """As libraries wrap logits."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class Wrapped(Tokens):
    """The same as Tokens with named arguments and an object around its logits, and more classes than answers."""

    def __init__(self) -> None:
        super().__init__(p=P + 3)

    def forward(self, input_ids: Tensor) -> Output:  # type: ignore[override]
        return Output(super().forward(input_ids))


def own_loop(
    model: nn.Module,
    *,
    optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer] = torch.optim.AdamW,
    steps: int = 30,
    log: Any = None,
    first: int = 0,
    autocast: bool = False,
    noise: bool = True,
) -> list[float]:
    """Train on batches that are drawn from three random streams; returns the losses."""
    made, losses = optimizer(model.parameters()), []
    tokens, labels = torch.from_numpy(TASK.inputs), torch.from_numpy(TASK.labels)
    for i in range(first, steps):
        if log is not None:
            log.step(i, train_loss=losses[-1] if losses else None)
        some = torch.from_numpy(SPLIT.train)[torch.randperm(len(SPLIT.train))[:16]]
        scale = 1 + 1e-3 * (random.random() + np.random.rand()) if noise else 1.0  # noqa: NPY002  the global stream
        with torch.autocast("cpu", dtype=torch.bfloat16) if autocast else nullcontext():
            loss = F.cross_entropy(answers(model, tokens[some]).float(), labels[some]) * scale
        made.zero_grad()
        loss.backward()
        made.step()
        losses.append(loss.item())
    if log is not None:
        log.step(steps)
    return losses


def answers(model: nn.Module, tokens: Tensor) -> Tensor:
    """Logits of any of these models."""
    if isinstance(model, Pairs):
        return model(tokens[:, 0], tokens[:, 1])[0]
    if isinstance(model, Wrapped):
        return model(tokens).logits[:, -1]
    return model(tokens)[:, -1]


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A model, with all random streams at a known place after it was made."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  likewise
    torch.manual_seed(seed)
    return make()
