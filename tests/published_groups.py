"""Files in the form of the group-representation code (Chughtai et al. 2023), made by hand; and its functions, spelled out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from foreign import legacy_state_by_hand, save
from torch import Tensor

from interp.groups.published_orders import listed, published_group
from interp.networks.one_layer import Weights
from interp.synthetic import coset_weights

FAMILIES = {"C": "CyclicGroup", "D": "DihedralGroup", "S": "SymmetricGroup", "A": "AlternatingGroup"}
State = dict[str, Tensor]


def config(folder: Path, group: str, model: str = "OneLayerMLP", /, **changes: object) -> Path:
    """A cfg.json with the fields and the order that the batch experiments have."""
    content = {
        "lr": 0.001, "num_epochs": 250000, "weight_decay": 1, "betas": [0.9, 0.98],
        "layers": {"embed_dim": 256, "hidden_dim": 128}, "model": model,
        "group": FAMILIES[group[0]], "group_parameter": int(group[1:]), "frac_train": 0.4, "seed": 2,
    }  # fmt: skip
    path = folder / "cfg.json"
    path.write_text(json.dumps(content | changes))
    return path


def mlp_logits(state: State, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Neurons and logits by the published formula: both embeddings side by side, times W, ReLU, times W_U."""
    neurons = (torch.hstack((state["W_x"][a], state["W_y"][b])) @ state["W"]).relu()
    return neurons, neurons @ state["W_U"]


def bilinear_logits(state: State, a: Tensor, b: Tensor) -> Tensor:
    return (state["W_x"][a] * state["W_y"][b]) @ state["W_U"]


def pairs_of(n: int) -> tuple[Tensor, Tensor]:
    first, second = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    return first.flatten(), second.flatten()


def initial_state(n: int, seed: int, *, embed_dim: int = 256, hidden_dim: int = 128) -> State:
    """The published initial weights: normal numbers over the root of the number that is summed over, drawn in this order."""
    torch.manual_seed(seed)
    shapes = {"W_x": (n, embed_dim), "W_y": (n, embed_dim), "W": (2 * embed_dim, hidden_dim), "W_U": (hidden_dim, n)}
    width = {"W_x": embed_dim, "W_y": embed_dim, "W": 2 * embed_dim, "W_U": hidden_dim}
    return {name: (torch.randn(shape) / np.sqrt(width[name])).float() for name, shape in shapes.items()}


def after_one_update(labels: Tensor, seed: int, fraction: float) -> State:
    """The state of epoch 0: one step of AdamW on the training pairs, a part of all pairs in the order of a seeded permutation."""
    n = round(len(labels) ** 0.5)
    torch.manual_seed(seed)
    order = torch.randperm(n * n)
    train = order[: int(fraction * n * n)]
    parameters = {name: tensor.requires_grad_() for name, tensor in initial_state(n, seed).items()}
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0)
    a, b = pairs_of(n)
    torch.nn.functional.cross_entropy(mlp_logits(parameters, a[train], b[train])[1], labels[train]).backward()
    optimizer.step()
    return {name: tensor.detach() for name, tensor in parameters.items()}


def a_then_b(name: str) -> Tensor:
    """The answers of a group of permutations, by their images: i goes where b takes what a takes it to."""
    images = listed(name).tolist()
    at = {tuple(image): number for number, image in enumerate(images)}
    return torch.tensor([at[tuple(b[i] for i in a)] for a in images for b in images])


def coset_mlp(name: str, *, amplitude: float = 8.0) -> State:
    """The circuit of the places of one thing: relu([a: i -> j] + [b: j -> k] - 1) for all i, j, k, in the published order."""
    images = torch.from_numpy(listed(name))
    n, m = images.shape
    moves = torch.nn.functional.one_hot(images, m).float().flatten(1)  # [a: i -> j] at i m + j
    i, j, k = (index.flatten() for index in torch.meshgrid(*[torch.arange(m)] * 3, indexing="ij"))
    one, half = torch.eye(m * m), torch.full((1, m**3), -0.5)
    embedding = torch.cat([moves, torch.ones(n, 1)], dim=1)
    W = torch.cat([one[:, i * m + j], half, one[:, j * m + k], half])
    return {"W_x": embedding, "W_y": embedding.clone(), "W": W, "W_U": amplitude * moves.T[i * m + k]}


def transformer_state(name: str) -> tuple[Weights, State]:
    """A transformer of the same circuit, as TransformerLens stores it."""
    group = published_group(name)
    fixing = [at for at, image in enumerate(listed(name)) if image[0] == 0]
    planted = coset_weights(group, fixing, amplitude=8.0)
    heads = {
        tensor: torch.cat([value, torch.zeros_like(value)])  # as many as fill the width; the others write nothing
        for tensor, value in planted.tensors().items()
        if tensor in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")
    }
    weights = Weights(**{**planted.tensors(), **heads})
    return weights, legacy_state_by_hand(weights)


def written(folder: Path, state: State, name: str = "model.pt") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return save(dict(state), folder / name)
