"""The group-representation code's files (Chughtai et al. 2023): a state dict, and beside it a cfg.json, which names the group.

Its MLP has W_x and W_y (n, embed_dim), W (2 embed_dim, hidden_dim) and W_U (hidden_dim, n), no biases, and computes
``relu([W_x[a], W_y[b]] W) W_U``: that of two embeddings E_a = W_x W[:embed_dim] and E_b = W_y W[embed_dim:], neuron by neuron.
Its bilinear network has no W and computes ``(W_x[a] W_y[b]) W_U``; as ``4 x y = (x + y)^2 - (x - y)^2`` it is one of two
embeddings with twice as many neurons x^2. Its transformer is TransformerLens' of one layer, on tokens a, b and n for ``=``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import factorial
from pathlib import Path
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor

from interp.errors import DataError
from interp.groups.published_orders import PERMUTED
from interp.interop.containers import limits
from interp.interop.content import Content
from interp.interop.flat_states import step_number
from interp.interop.stored_sizes import whole_number
from interp.networks.layered_shapes import check_shapes
from interp.networks.tensor_layout import Layout, describe
from interp.networks.two_embeddings import TwoEmbeddings
from interp.reading import JSON_BYTES, parsed_json, read_file

_EMBEDDINGS = {"W_x", "W_y"}
_NAMING = {"group", "group_parameter", "model"}
_LETTERS = {"CyclicGroup": "C", "DihedralGroup": "D", "SymmetricGroup": "S", "AlternatingGroup": "A"}
_MODELS = ("OneLayerMLP", "BilinearNet", "Transformer")
# What that code gives its transformers and no tensor tells; their widths are not those that the configuration has.
TRANSFORMER: dict[str, object] = {"n_layers": 1, "act_fn": "relu", "normalization_type": None}
_AXES = {"W_x": ("n", "embed_dim"), "W_y": ("n", "embed_dim"), "W": ("2 embed_dim", "hidden_dim"), "W_U": ("hidden_dim", "n")}
_BILINEAR = {"W_x": ("n", "embed_dim"), "W_y": ("n", "embed_dim"), "W_U": ("embed_dim", "n")}


@dataclass(frozen=True)
class GroupConfig:
    """A cfg.json.

    Attributes:
        path: where it lies.
        group: such as ``S5``.
        model: the class of the network.
        fields: split, optimizer and number of epochs, by our names.
    """

    path: Path
    group: str
    model: str
    fields: Mapping[str, object]


def is_group_config(content: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether this is the content of such a cfg.json."""
    return isinstance(content, Mapping) and content.keys() >= _NAMING


def is_group_mlp(state: Mapping[str, object]) -> bool:
    """Whether a state dict has the names of its MLP, or of its bilinear network."""
    return {*_EMBEDDINGS, "W_U"} <= state.keys()


def group_config(path: Path) -> GroupConfig | None:
    """The cfg.json that belongs to a file: in its folder, or above a folder ``checkpoints``; None if there is none of this code.

    Raises:
        DataError: if it cannot be read, or names a group or a network that this code does not have.
    """
    found = _beside(path, "cfg.json")
    if found is None:
        return None
    content = _content(found)
    if not is_group_config(content):
        return None
    letter, number = _LETTERS.get(str(content["group"])), whole_number(content["group_parameter"])
    if letter is None or number is None or (letter in "SA" and f"{letter}{number}" not in PERMUTED):
        raise DataError(
            f"{found}: given group {content['group']!r} with group_parameter {content['group_parameter']!r}, expected one of "
            f"{', '.join(_LETTERS)} with its number (of permutations, {', '.join(PERMUTED)})"
        )
    if content["model"] not in _MODELS:
        raise DataError(f"{found}: given model {content['model']!r}, expected one of {', '.join(_MODELS)}")
    return GroupConfig(found, f"{letter}{number}", content["model"], _fields(content))


def no_group_in_words(path: Path) -> str:
    """Why no cfg.json tells the group of a file: there is none, or it is not one of this code."""
    found = _beside(path, "cfg.json")
    if found is None:
        return "no cfg.json"
    content = _content(found)
    if not isinstance(content, Mapping):
        return "cfg.json was not understood: expected an object with group, group_parameter and model"
    return f"cfg.json does not name it: it has no {', no '.join(sorted(_NAMING - content.keys()))}"


def log_of(path: Path) -> Path | None:
    """The log of that code's batch experiments, metrics.csv, in the folder of the cfg.json of a file; None if there is none."""
    return _beside(path, "metrics.csv")


def _beside(path: Path, name: str) -> Path | None:
    """A file in the folder of another, or above it if that is ``checkpoints``."""
    folder = path.parent
    places = [folder / name, *([folder.parent / name] if folder.name == "checkpoints" else [])]
    return next((place for place in places if place.is_file()), None)


def _content(found: Path) -> object:
    try:
        limits.check("the configuration beside it", found.stat().st_size, limits.HEADER, "bytes")
        content: object = parsed_json(read_file(found, at_most=JSON_BYTES))
    except OSError as error:
        raise DataError(f"{found}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{found}: not a JSON file ({error})") from error
    return content


def _fields(content: Mapping[str, object]) -> dict[str, object]:
    taken = {name: content[name] for name in ("seed", "frac_train", "num_epochs") if name in content}
    # A weight decay of 1 is written as an integer.
    taken |= {name: float(value) for name in ("lr", "weight_decay") if isinstance(value := content.get(name), int | float)}
    betas = content.get("betas")
    pair = dict(zip(("beta1", "beta2"), betas, strict=False)) if isinstance(betas, list) else {}
    return {**taken, **pair, **(TRANSFORMER if content["model"] == "Transformer" else {})}


def groups_of_order(n: int) -> list[str]:
    """The groups of that code with so many elements.

    >>> groups_of_order(118), groups_of_order(60), groups_of_order(120)
    (['C118', 'D59'], ['C60', 'D30', 'A5'], ['C120', 'D60', 'S5'])
    """
    permuted = [name for name in PERMUTED if factorial(int(name[1:])) == n * (2 if name[0] == "A" else 1)]
    return [f"C{n}", *([f"D{n // 2}"] if n % 2 == 0 else []), *permuted]


def with_group_config(content: Content, path: Path, group: GroupConfig) -> Content:
    """A file's content with the configuration beside it, which tells the step of a ``model.pt`` as well."""
    notes = [*content.notes, f"{group.path.name}: {group.model} on the group {group.group}"]
    states, epochs = content.states, whole_number(group.fields.get("num_epochs"))
    if states[0][0] is None and path.stem == "model" and epochs is not None and epochs > 0:
        step = step_number(epochs - 1, f"{group.path}: num_epochs")
        states = ((step, states[0][1]),)
        notes.append(
            f"step {step}: the last of the {epochs} epochs that {group.path.name} has as num_epochs; an interrupted training is "
            "saved under this name, too"
        )
    if states[0][0] is not None:
        notes.append("steps are epochs: the state of epoch e has had e + 1 updates")
    return replace(content, config=group.fields, states=states, notes=tuple(notes))


def group_layout(state: Mapping[str, object]) -> tuple[Layout, tuple[str, ...]]:
    """What becomes of each tensor, and notes on it, in words."""
    name, side = "the group-representation code", "n embed_dim"
    if "W" not in state:
        tensors = {"W_x": ("embed_a.W_E, twice", side), "W_y": ("embed_b.W_E, and its negative", side)}
        note = "each product of its two embeddings is held as two neurons x^2, in float64"
        return Layout(name, {**tensors, "W_U": ("unembed.W_U / 4, and its negative", "embed_dim n")}), (note,)
    factor = ("a factor of embed_a.W_E and embed_b.W_E", "(2 embed_dim) hidden_dim")
    tensors = {"W_x": ("a factor of embed_a.W_E", side), "W_y": ("a factor of embed_b.W_E", side), "W": factor}
    note = "the products of W_x and W_y with W are held, in float64: sums of squared weights are of these, not of the factors"
    return Layout(name, {**tensors, "W_U": ("unembed.W_U", "hidden_dim n")}), (note,)


def two_embeddings(state: Mapping[str, object]) -> TwoEmbeddings:
    """The MLP of two embeddings with the function of a state dict; products are made, and everything is held, in float64.

    Raises:
        DataError: naming a tensor that is missing, surplus, no dense one of numbers, or of a shape that does not fit the others.
    """
    axes = _AXES if "W" in state else _BILINEAR
    wrong = [
        f"{name}: given {describe(value)} {getattr(value, 'dtype', '')}, expected a dense floating-point tensor"
        for name, value in state.items()
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.layout is not torch.strided
    ]
    if wrong:
        raise DataError("not a network of the group-representation code:\n  " + "\n  ".join(wrong))
    w = {name: cast(Tensor, value).detach().to(device="cpu", dtype=torch.float64) for name, value in state.items()}
    sizes = check_shapes({name: tuple(tensor.shape) for name, tensor in w.items()}, axes, kind="group-representation code")
    width = sizes["embed_dim"]
    if "W" not in w:
        W_U = torch.cat([w["W_U"], -w["W_U"]]) / 4
        named = {"embed_a.W_E": torch.cat([w["W_x"]] * 2, dim=1), "embed_b.W_E": torch.cat([w["W_y"], -w["W_y"]], dim=1)}
        return TwoEmbeddings({**named, "unembed.W_U": W_U}, activation="square")
    if sizes["2 embed_dim"] != 2 * width:
        raise DataError(
            f"W: given shape {tuple(w['W'].shape)}, expected ({2 * width}, hidden_dim): twice the width {width} of W_x and W_y, "
            "which stand side by side"
        )
    first, second = w["W"][:width], w["W"][width:]
    return TwoEmbeddings({"embed_a.W_E": w["W_x"] @ first, "embed_b.W_E": w["W_y"] @ second, "unembed.W_U": w["W_U"].clone()})


def check_sizes(config: GroupConfig, n: int, *, is_transformer: bool) -> None:
    """Error unless a configuration can be that of a model on so many elements.

    Raises:
        DataError: naming both.
    """
    if is_transformer != (config.model == "Transformer"):
        kind = "a transformer" if is_transformer else "an MLP or a bilinear network"
        raise DataError(f"{config.path}: it is of model {config.model!r}, but the tensors are those of {kind}")
    if config.group not in groups_of_order(n):
        raise DataError(
            f"{config.path}: it is of the group {config.group}, but the tensors have {n} elements, as "
            f"{' or '.join(groups_of_order(n))} has: it belongs to another model"
        )
