"""A network from outside: a transformer of two layers, and the loop of its author that trains it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from interp import Plan, Split, Step, Task
from interp.losses import cross_entropy

D_MODEL, D_MLP, LAYERS = 8, 16, 2


def shapes(task: Task) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {"embed": (task.n_tokens, D_MODEL), "pos": (task.inputs.shape[1], D_MODEL)}
    for layer in range(LAYERS):
        found |= {f"{layer}.qkvo": (4, D_MODEL, D_MODEL), f"{layer}.in": (D_MODEL, D_MLP), f"{layer}.out": (D_MLP, D_MODEL)}
    return found | {"unembed": (D_MODEL, task.classes)}


class TwoLayer:
    """Two layers of one head each, without normalization; the answer is read at the last position."""

    kind = "two-layer"

    def __init__(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        self._tensors, self._facts = dict(tensors), dict(facts)

    def tensors(self) -> dict[str, Tensor]:
        return self._tensors

    def facts(self) -> Mapping[str, Any]:
        return self._facts

    def activations(self, inputs: np.ndarray) -> dict[str, Tensor]:
        w = self._tensors
        x, sites = F.embedding(torch.from_numpy(inputs), w["embed"]) + w["pos"], {}
        for layer in range(LAYERS):
            q, k, v, o = w[f"{layer}.qkvo"]
            scores = (x @ q) @ (x @ k).transpose(1, 2) / D_MODEL**0.5
            x = x + scores.softmax(dim=-1) @ (x @ v) @ o
            neurons = (x @ w[f"{layer}.in"]).relu()
            x = x + neurons @ w[f"{layer}.out"]
            sites[f"blocks.{layer}.mlp.hook_post"] = neurons[:, -1]
        return {**sites, "logits": x[:, -1] @ w["unembed"]}


class TwoLayerTraining:
    """Full-batch AdamW, one network saved every `every` steps."""

    def __init__(self, task: Task, split: Split, *, steps: int, every: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._weights = {
            name: (0.3 * torch.randn(shape, generator=generator)).requires_grad_() for name, shape in shapes(task).items()
        }
        self._adamw = torch.optim.AdamW(self._weights.values(), lr=1e-2)
        self._index, self._steps, self._every = 0, steps, every
        self._task, self._split, self._seed = task, split, seed

    @property
    def plan(self) -> Plan:
        return Plan(
            settings={"layers": LAYERS, "seed": self._seed},
            task=self._task,
            split=self._split,
            steps=self._steps,
            saved=tuple(range(0, self._steps + 1, self._every)),
            kind=TwoLayer.kind,
            n_parameters=sum(tensor.numel() for tensor in self._weights.values()),
            engine="my-loop",
            threads=1,
        )

    def __iter__(self) -> Iterator[Step]:
        labels = torch.from_numpy(self._task.labels)
        while True:
            network = TwoLayer(self._weights, {"layers": LAYERS})
            logits = network.activations(self._task.inputs)["logits"]
            losses, right = cross_entropy(logits, labels), (logits.argmax(dim=1) == labels).double()
            train, test = self._split.train, self._split.test
            loss = losses[train].mean()
            with torch.no_grad():
                yield Step(
                    self._index,
                    float(loss),
                    network,
                    test_loss=float(losses[test].mean()),
                    train_accuracy=float(right[train].mean()),
                    test_accuracy=float(right[test].mean()),
                    sum_squared_weights=sum(float(w.square().sum()) for w in self._weights.values()),
                    last=self._index == self._steps,
                )
            if self._index == self._steps:
                return
            self._adamw.zero_grad()
            loss.backward()
            self._adamw.step()
            self._index += 1

    def state(self) -> dict[str, Tensor]:
        found = {"index": torch.tensor(self._index), **{f"weights.{name}": w for name, w in self._weights.items()}}
        for name, w in self._weights.items():
            found |= {f"adamw.{name}.{part}": tensor for part, tensor in self._adamw.state.get(w, {}).items()}
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        self._index = int(state["index"])
        for name, w in self._weights.items():
            w.data.copy_(state[f"weights.{name}"])
            prefix = f"adamw.{name}."
            if moments := {key.removeprefix(prefix): t.clone() for key, t in state.items() if key.startswith(prefix)}:
                self._adamw.state[w] = moments
