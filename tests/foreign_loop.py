"""Someone else's training: a small network of their own, by plain torch SGD, as a stream that can be recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp import Plan, SplitConfig, Step, Task


@dataclass(frozen=True, eq=False)
class Perceptron:
    """Embeddings of the tokens side by side, one hidden layer."""

    named: Mapping[str, Tensor]
    slope: float

    kind = "perceptron"

    def tensors(self) -> dict[str, Tensor]:
        return dict(self.named)

    def facts(self) -> dict[str, Any]:
        return {"slope": self.slope}

    def activations(self, inputs: np.ndarray) -> dict[str, Tensor]:
        x = self.named["embed"][torch.as_tensor(inputs)].flatten(1)
        hidden = torch.nn.functional.leaky_relu(x @ self.named["in"], self.slope)
        return {"hidden": hidden, "logits": hidden @ self.named["out"]}


def perceptron(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Perceptron:
    return Perceptron(tensors, facts["slope"])


def same_step(step: Step[Perceptron]) -> Step[Perceptron]:
    return step


class Loop:
    """SGD with momentum; `change` stands between it and whoever takes its steps."""

    def __init__(
        self,
        task: Task,
        *,
        seed: int = 0,
        width: int = 12,
        steps: int = 20,
        change: Callable[[Step[Perceptron]], Step[Perceptron] | None] = same_step,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        shapes = {"embed": (task.n_tokens, 6), "in": (6 * task.inputs.shape[1], width), "out": (width, task.classes)}
        self.tensors = {name: 0.5 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
        self.momentum = {name: torch.zeros_like(tensor) for name, tensor in self.tensors.items()}
        self.index, self.change = 0, change
        self._inputs, self._labels = torch.from_numpy(task.inputs), torch.from_numpy(task.labels)
        self.plan = Plan(
            settings={"seed": seed, "width": width, "lr": 0.2},
            task=task,
            split=SplitConfig(fraction=0.6).draw(task),
            steps=steps,
            saved=tuple(range(0, steps + 1, 5)),
            kind="perceptron",
            n_parameters=sum(tensor.numel() for tensor in self.tensors.values()),
            engine="their-loop",
            threads=1,
            moments=(10,),
        )

    def __iter__(self) -> Iterator[Step[Perceptron]]:
        while True:
            for tensor in self.tensors.values():
                tensor.requires_grad_(True)
            losses = self._losses()
            loss = losses[torch.from_numpy(self.plan.split.train)].mean()
            gradients = torch.autograd.grad(loss, list(self.tensors.values()))
            test = losses[torch.from_numpy(self.plan.split.test)].mean().item()
            changed = self.change(Step(self.index, loss.item(), Perceptron(self.tensors, 0.1), test_loss=test))
            if changed is None:
                return
            yield changed
            with torch.no_grad():
                for name, gradient in zip(self.tensors, gradients, strict=True):
                    self.momentum[name] = 0.9 * self.momentum[name] + gradient
                    self.tensors[name] = self.tensors[name] - 0.2 * self.momentum[name]
            self.index += 1

    def _losses(self) -> Tensor:
        logits = Perceptron(self.tensors, 0.1).activations(self._inputs.numpy())["logits"]
        return torch.nn.functional.cross_entropy(logits, self._labels, reduction="none")

    def state(self) -> dict[str, Tensor]:
        momentum = {f"momentum.{name}": tensor for name, tensor in self.momentum.items()}
        return {"index": torch.tensor(self.index), **self.tensors, **momentum}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.index = int(state["index"])
        for name in self.tensors:
            self.tensors[name], self.momentum[name] = state[name].clone(), state[f"momentum.{name}"].clone()
