"""Files that are damaged, or crafted to do harm: what changes bytes, and what changes a foreign file of any kind."""

from __future__ import annotations

import io
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from foreign_containers import Form, models, stored
from random_models import assert_same

from interp.interop import Imported

NAMES = (
    b"W_E",
    b"W_U",
    b"W_Q",
    b"W_O",
    b"W_in",
    b"b_in",
    b"mask",
    b"attn",
    b"embed",
    b"step",
    b"F32",
    b"float32",
    b"<f4",
    b"shape",
)


class _Touch:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.system, (f"touch {self.flag}",)


def truncated(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def flipped(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 8, 60])):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def flipped_once(data: bytes, draw: random.Random) -> bytes:
    """One bit is another one."""
    changed = bytearray(data)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut_out(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    return data[:start] + data[start + draw.choice([1, 4, 64, 1000]) :]


def doubled(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    return data[:start] + data[start : start + draw.choice([1, 4, 64, 1000])] + data[start:]


def renamed(data: bytes, draw: random.Random) -> bytes:
    name = draw.choice(NAMES)
    return data.replace(name, bytes(draw.randrange(33, 127) for _ in name))


def swapped(data: bytes, draw: random.Random) -> bytes:
    one, other = draw.sample(NAMES, 2)
    return data.replace(one, b"\0?").replace(other, one).replace(b"\0?", other)


def numbers(data: bytes, draw: random.Random) -> bytes:
    """Some bytes become those of an extreme number."""
    start = draw.randrange(len(data))
    extreme = draw.choice([b"\xff" * 8, b"\0" * 8, b"\xff\xff\xff\x7f", b"\x7f", b"9" * 12])
    return data[:start] + extreme + data[start + len(extreme) :]


RAW = (truncated, flipped, cut_out, doubled, renamed, swapped, numbers)


def inside_an_archive(data: bytes, draw: random.Random, flag: Path) -> bytes:
    """One record is changed, and its checksum is right again; or its pickle asks for a command to be run."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    name = draw.choice([name for name in records if name.endswith(("data.pkl", ".npy", "byteorder"))])
    how = draw.choice([*RAW, *RAW, None])
    if how is None:
        records[name] = pickle.dumps({"model": _Touch(flag)}, protocol=2)
    elif records[name]:
        records[name] = how(records[name], draw)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for record, content in records.items():
            archive.writestr(record, content)
    return stream.getvalue()


def mutate(path: Path, draw: random.Random, flag: Path) -> bool:
    """Change one file; whether the form's own checksums must notice it."""
    file = path if path.is_file() else draw.choice(sorted(found for found in path.rglob("*") if found.is_file()))
    kind = draw.random()
    if path.is_dir() and kind < 0.2:
        other = file.with_name(draw.choice(["other_7.pt", "a_3.pt", "model_9.pt", "_METADATA"]))
        draw.choice([file.unlink, lambda: file.rename(other), lambda: other == file or shutil.copy(file, other)])()
        return False
    data = file.read_bytes()
    if not data:
        return False
    if data.startswith(b"PK") and kind < 0.5:
        file.write_bytes(inside_an_archive(data, draw, flag))
        return False
    file.write_bytes(draw.choice(RAW)(data, draw))
    return True


def right(run: Imported, form: Form) -> None:
    """The weights are those that were stored."""
    for step, weights in run.checkpoints:
        assert_same(weights, stored(models()[form.steps.index(step)], form.precision))
