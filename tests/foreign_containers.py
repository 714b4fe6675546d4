"""The kinds of file that other people's code writes, made by hand here: docs/importing.md has a row for each.

Nothing of the libraries that usually write them is needed, but tensorstore for orbax and msgpack for flax.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from foreign import official_state, save
from random_models import random_weights
from torch import Tensor

from interp.interop import Known
from interp.networks.one_layer import Weights
from interp.tasks.splits import SplitConfig

P, STEPS = 7, (0, 500, 1000)
SPLIT = SplitConfig("python", seed=3, fraction=0.3)
State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Form:
    """One kind of file: what writes it, what comes in, and how.

    Args:
        write: writes the models of some steps into a folder and returns what is imported.
        kind: what it is, as the docs say.
        comes: what comes in, as the docs say.
        steps: the steps that are read.
        known: what the caller says.
        precision: what is stored, if it is less than float32.
        checked: whether every byte of a tensor has a checksum in the file.
    """

    write: Callable[[Path, Sequence[State]], Path]
    kind: str
    comes: str
    steps: tuple[int, ...] = (0,)
    known: Known = field(default_factory=Known)
    precision: str = ""
    checked: bool = False


def models() -> list[Weights]:
    """One model for each step, in float32."""
    made = [random_weights(P, biases=["b_in", "b_out"], equals_class=True, d_model=6, seed=seed) for seed in range(len(STEPS))]
    return [model.to(dtype=torch.float32) for model in made]


def states() -> list[State]:
    return [{name: tensor.contiguous() for name, tensor in official_state(model).items()} for model in models()]


def nested(state: State) -> dict[str, object]:
    """Names with dots as tables in tables."""
    tree: dict[str, object] = {}
    for name, tensor in state.items():
        *path, last = name.split(".")
        inner = tree
        for key in path:
            inner = inner.setdefault(key, {})  # type: ignore[assignment]
        inner[last] = tensor
    return tree


def old_torch(content: object, path: Path) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def safetensors_by_hand(state: State, path: Path, metadata: object) -> Path:
    """With any metadata, as libraries of other languages write them: MLX writes null."""
    header: dict[str, object] = {} if metadata == () else {"__metadata__": metadata}
    place, data = 0, b""
    for name, tensor in state.items():
        raw = tensor.contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [place, place + len(raw)]}
        place, data = place + len(raw), data + raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def npz(state: Mapping[str, object], path: Path) -> Path:
    np.savez(path, **{name: np.asarray(value) for name, value in state.items()})
    return path


def eqx(state: State, path: Path, *, first_line: str = "", half: bool = False) -> Path:
    """Records of .npy one after the other; bfloat16 has the type V2 there, which numpy does not know."""
    with path.open("wb") as file:
        file.write(first_line.encode())
        for tensor in state.values():
            array = tensor.bfloat16().view(torch.uint16).numpy().view("V2") if half else tensor.numpy()
            np.save(file, array, allow_pickle=False)
    return path


def flax(tree: object, path: Path) -> Path:
    msgpack = pytest.importorskip("msgpack")

    def extension(tensor: Tensor) -> object:
        name = str(tensor.dtype).removeprefix("torch.")
        raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return msgpack.ExtType(1, msgpack.packb((list(tensor.shape), name, raw)))

    path.write_bytes(msgpack.packb(tree, default=extension))
    return path


def orbax(tree: Mapping[str, object], folder: Path) -> Path:
    """zarr inside OCDBT, keys joined by dots, the paths in _METADATA."""
    tensorstore = pytest.importorskip("tensorstore")
    folder.mkdir(parents=True)
    entries: dict[str, object] = {}
    for keys, tensor in _leaves(tree, ()):
        kvstore = {"driver": "ocdbt", "base": f"file://{folder.resolve()}/", "path": ".".join(keys) + "/"}
        array = tensor.numpy()
        metadata = {
            "shape": list(array.shape),
            "chunks": list(array.shape),
            "dtype": array.dtype.str,
            "compressor": {"id": "zstd"},
        }
        spec = {"driver": "zarr", "kvstore": kvstore, "metadata": metadata}
        tensorstore.open(spec, create=True).result().write(array).result()
        entry = {"key_metadata": [{"key": key, "key_type": 2} for key in keys], "value_metadata": {"value_type": "jax.Array"}}
        entries[str(keys)] = entry
    (folder / "_METADATA").write_text(json.dumps({"tree_metadata": entries, "use_ocdbt": True}))
    return folder


def orbax_step(tree: Mapping[str, object], folder: Path) -> Path:
    """A step of a checkpoint manager: the tree is one of its items."""
    orbax(tree, folder / "default")
    (folder / "_CHECKPOINT_METADATA").write_text("{}")
    return folder


def _leaves(tree: Mapping[str, object], path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Tensor]]:
    found = []
    for key, value in tree.items():
        found += [((*path, key), value)] if isinstance(value, Tensor) else _leaves(value, (*path, key))  # type: ignore[arg-type]
    return found


def folder_of(write: Callable[[State, Path], object], pattern: str) -> Callable[[Path, Sequence[State]], Path]:
    """What writes a folder with a file for each step."""

    def written(folder: Path, models: Sequence[State]) -> Path:
        (folder / "run").mkdir()
        for step, state in zip(STEPS, models, strict=True):
            write(state, folder / "run" / pattern.format(step=step, epoch=step // 500))
        return folder / "run"

    return written


def _lightning(state: State, path: Path) -> Path:
    content = {"epoch": 3, "global_step": 900, "state_dict": {f"model.{name}": tensor for name, tensor in state.items()}}
    config = {"n_head": 2, "learning_rate": 0.001, "wd": 1.0, "modulus": P}
    return save(content | {"hyper_parameters": config, "optimizer_states": [], "loops": {"fit": {"done": 3}}}, path)


def _trainer(folder: Path, models: Sequence[State]) -> Path:
    optimizer = {"state": {0: {"exp_avg": torch.zeros(2, 2)}}, "param_groups": [{"lr": 0.001}]}
    trainer = {"net": {f"_orig_mod.{name}": tensor for name, tensor in models[0].items()}, "optimizer": optimizer}
    return save({"trainer": trainer, "step": 250, "cfg": {"model": {"n_heads": 2}, "seed": 3}}, folder / "trainer.pt")


def _numpy_in_torch(folder: Path, models: Sequence[State]) -> Path:
    arrays = {name: tensor.numpy() for name, tensor in models[0].items()}
    return save({"model": arrays, "epoch": np.int64(40), "train_losses": np.linspace(1, 2, 3)}, folder / "arrays.pt")


LEAVES = ",".join(official_state(random_weights(P, biases=["b_in", "b_out"], equals_class=True)))

FORMS: dict[str, Form] = {
    "torch": Form(
        lambda folder, s: save(dict(s[0]), folder / "final.pt"), "torch, zipped (`.pt`, `.pth`, `.bin`)", "a bare state dict",
        checked=True,
    ),
    "old-torch": Form(lambda folder, s: old_torch(dict(s[0]), folder / "final.pth"), "torch before 1.6", "the same"),
    "trainer": Form(
        _trainer, "torch, a trainer's file", "nested containers, `_orig_mod.`, step and configuration", (250,), checked=True,
    ),
    "lightning": Form(
        lambda folder, s: _lightning(s[0], folder / "epoch=3-step=900.ckpt"), "PyTorch Lightning (`.ckpt`)",
        "the model without its prefix, `global_step`, `hyper_parameters`", (900,), checked=True,
    ),
    "numpy-in-torch": Form(_numpy_in_torch, "torch, with numpy arrays in it", "arrays and numbers of numpy", (40,), checked=True),
    "official": Form(
        lambda folder, s: save({"state_dicts": [*map(dict, s)], "epochs": [*STEPS]}, folder / "full.pth"),
        "torch, a list of models", "all of them, at the steps in the list beside it", STEPS, checked=True,
    ),
    "list": Form(
        lambda folder, s: save([{"epoch": e, "model": dict(m)} for e, m in zip(STEPS, s, strict=True)], folder / "l.pt"),
        "torch, a list of checkpoints or of pairs (step, model)", "all of them", STEPS, checked=True,
    ),
    "by-epoch": Form(
        lambda folder, s: save({"history": {e: dict(m) for e, m in zip(STEPS, s, strict=True)}}, folder / "d.pt"),
        "torch, a table of models by step", "all of them; keys are numbers or texts such as `step_500`", STEPS, checked=True,
    ),
    "folder": Form(
        folder_of(lambda s, path: save(dict(s), path), "model_{step}.pt"), "a folder, or a list of files",
        "one run; steps from inside the files, or else from their names", STEPS, checked=True,
    ),
    "folder-of-epochs": Form(
        folder_of(lambda s, path: save({"net": dict(s)}, path), "epoch={epoch}-step={step}.ckpt"),
        "a folder of Lightning's names", "one run; of step and epoch the step", STEPS, checked=True,
    ),
    "safetensors": Form(
        lambda folder, s: safetensors_by_hand(s[0], folder / "m.safetensors", {"format": "pt", "step": "70"}), "safetensors",
        "tensors; a step or configuration in its metadata", (70,),
    ),
    "mlx": Form(
        lambda folder, s: safetensors_by_hand(s[0], folder / "weights.safetensors", None), "safetensors of MLX",
        "the same; its metadata are null",
    ),
    "npz": Form(
        lambda folder, s: npz({**s[0], "step": 30}, folder / "weights.npz"), "numpy (`.npz`), compressed or not",
        "arrays by name; single numbers as step and settings", (30,), checked=True,
    ),
    "unnamed-npz": Form(
        lambda folder, s: npz({f"arr_{i}": t for i, t in enumerate(s[0].values())}, folder / "weights.npz"),
        "numpy, without names (`arr_0` ...)", "the same, with `--leaves`", known=Known(leaves=LEAVES), checked=True,
    ),
    "equinox": Form(
        lambda folder, s: eqx(s[0], folder / "model.eqx", first_line='{"seed": 3}\n'), "equinox (`.eqx`)",
        "leaves in their order, with `--leaves`; a first line of JSON as configuration", known=Known(leaves=LEAVES),
    ),
    "flax": Form(
        lambda folder, s: flax(
            {"params": nested(s[0]), "step": 60, "opt_state": {"0": {"mu": nested(s[0])}}}, folder / "m.msgpack"
        ),
        "flax (`.msgpack`, `checkpoint_100`)", "nested names joined by dots; needs the extra `flax`", (60,),
    ),
    "orbax": Form(
        lambda folder, s: orbax({"params": nested(s[0]), "step": torch.tensor(80)}, folder / "checkpoint"),
        "orbax, one checkpoint", "nested names joined by dots; needs the extra `orbax`", (80,),
    ),
    "orbax-manager": Form(
        folder_of(lambda s, path: orbax_step(nested(s), path), "{step}"), "orbax, a checkpoint manager's folder",
        "all its steps as one run", STEPS,
    ),
    "bfloat16": Form(
        lambda folder, s: save({name: t.bfloat16() for name, t in s[0].items()}, folder / "half.pt"), "bfloat16 in any of these",
        "widened to float32, with a note", precision="bfloat16", checked=True,
    ),
    "float16": Form(
        lambda folder, s: _saved(
            safetensors.torch.save({name: t.half() for name, t in s[0].items()}), folder / "half.safetensors"
        ),
        "float16 in any of these", "the same", precision="float16",
    ),
    "float8": Form(
        lambda folder, s: save({name: t.to(torch.float8_e4m3fn) for name, t in s[0].items()}, folder / "eight.pt"),
        "float8 (e4m3fn, e5m2) in torch and safetensors", "the same", precision="float8_e4m3fn", checked=True,
    ),
    "equinox-bfloat16": Form(
        lambda folder, s: eqx(s[0], folder / "half.eqx", half=True), "bfloat16 in equinox, which has the type `V2` there",
        "the same", known=Known(leaves=LEAVES), precision="bfloat16",
    ),
}  # fmt: skip


def _saved(data: bytes, path: Path) -> Path:
    path.write_bytes(data)
    return path


def stored(model: Weights, precision: str) -> Weights:
    """What is left of a model in a precision, in float32."""
    if not precision:
        return model
    dtype = getattr(torch, precision)
    tensors = {name: tensor.to(dtype).float() for name, tensor in model.tensors().items()}
    return Weights.from_tensors(tensors, activation=model.activation, attention_rate=model.attention_rate)


def npy_header(shape: str, descr: str = "<f4") -> bytes:
    """A record of an array that claims a shape and holds nothing."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    stream = io.BytesIO()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    stream.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
    return stream.getvalue()
