"""Small files that ask for much: refused with both numbers, before anything is read or allocated for what they claim."""

from __future__ import annotations

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import official_state, save
from foreign_containers import npy_header, npz, old_torch, orbax, safetensors_by_hand, states
from random_models import random_weights

from interp.errors import DataError, UsageError
from interp.interop import Known, load_run, load_weights
from interp.interop.containers import limits
from interp.interop.untrusted import read_untrusted, stored_attributes

W_E = "embed.W_E"


def state() -> dict[str, torch.Tensor]:
    return dict(states()[0])


def repacked(path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The same archive with other bytes in its records."""
    with zipfile.ZipFile(path) as archive:
        records = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return path


def pickle_of(body: bytes, path: Path) -> Path:
    """A zipped torch file with any pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + body + b".")
    return path


def one_number_under_a_huge_shape(folder: Path) -> Path:
    return save({"model": {**state(), W_E: torch.zeros(1).expand(10**6, 10**6)}}, folder / "stride0.pt")


def rows_that_overlap(folder: Path) -> Path:
    return save({**state(), W_E: torch.zeros(2000).as_strided((1000, 1000), (1, 1))}, folder / "overlap.pt")


def old_one_number_under_a_huge_shape(folder: Path) -> Path:
    return old_torch({**state(), W_E: torch.zeros(1).expand(10**6, 10**6)}, folder / "old.pt")


def more_than_its_record(folder: Path) -> Path:
    path = save({"w": torch.zeros(200)}, folder / "claims.pt")
    return repacked(path, lambda name, data: data.replace(b"K\xc8", b"K\xff") if name.endswith("pkl") else data)


def old_more_than_its_file(folder: Path) -> Path:
    path = old_torch({"w": torch.zeros(200)}, folder / "claims.pt")
    path.write_bytes(path.read_bytes().replace(b"K\xc8", b"J\x00\x00\x00\x7f"))
    return path


def a_header_of_a_huge_shape(folder: Path) -> Path:
    path = folder / "m.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("W_E.npy", npy_header("(1000000, 1000000)"))
    return path


def leaves_of_a_huge_shape(folder: Path) -> Path:
    path = folder / "m.eqx"
    path.write_bytes(npy_header("(20000, 5000)") + b"\0" * 10)
    return path


def safetensors_of_a_huge_shape(folder: Path) -> Path:
    text = json.dumps({"w": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4]}}).encode()
    (folder / "m.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 4)
    return folder / "m.safetensors"


def a_long_header(folder: Path) -> Path:
    (folder / "m.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    return folder / "m.safetensors"


def one_model_a_thousand_times(folder: Path) -> Path:
    shared = {"a": torch.zeros(40, 40)}
    return save({"models": [dict(shared) for _ in range(2000)], "steps": [*range(2000)]}, folder / "again.pt")


def lists_that_double(folder: Path) -> Path:
    value: object = "x"
    for _ in range(60):
        value = [value, value]
    return save({"model": state(), "config": {"note": value}}, folder / "doubling.pt")


def a_million_lists(folder: Path) -> Path:
    return pickle_of(b"]" * 900_000 + b"a" * 899_999, folder / "deep.pt")


def more_instructions_than_any_model(folder: Path) -> Path:
    return pickle_of(b"N0" * 1_100_000 + b"N", folder / "long.pt")


def a_container_in_itself(folder: Path) -> Path:
    loop: list[object] = []
    loop.append(loop)
    return save({"model": state(), "config": {"loop": loop}}, folder / "loop.pt")


def a_tuple_of_tuples_as_key(folder: Path) -> Path:
    return save({"model": state(), "config": {((1, 2), 3): 4}}, folder / "key.pt")


def a_long_integer_as_key(folder: Path) -> Path:
    return save({"model": state(), "config": {2**70: 4}}, folder / "key.pt")


def a_huge_integer(folder: Path) -> Path:
    return save({"model": state(), "epoch": 10**4000}, folder / "integer.pt")


def nested_json(folder: Path) -> Path:
    text = b'{"a":' + b"[" * 100_000 + b"}"
    (folder / "m.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    return folder / "m.safetensors"


def nested_msgpack(folder: Path) -> Path:
    pytest.importorskip("msgpack")
    (folder / "m.msgpack").write_bytes(b"\x81\xa1a" + b"\x91" * 10**6)
    return folder / "m.msgpack"


def msgpack_of_many(folder: Path) -> Path:
    pytest.importorskip("msgpack")
    (folder / "m.msgpack").write_bytes(b"\x81\xa1a\xdd\xff\xff\xff\xff")
    return folder / "m.msgpack"


def flax_of_a_huge_shape(folder: Path) -> Path:
    msgpack = pytest.importorskip("msgpack")
    array = msgpack.ExtType(1, msgpack.packb(([10**6, 10**6], "float32", b"\0\0\0\0")))
    (folder / "m.msgpack").write_bytes(msgpack.packb({"w": array}))
    return folder / "m.msgpack"


def orbax_of_a_huge_shape(folder: Path) -> Path:
    return orbax_claiming(folder, shape=[10**6, 10**6], chunks=[10, 10])


def orbax_of_huge_pieces(folder: Path) -> Path:
    return orbax_claiming(folder, shape=[10, 10], chunks=[10**6, 10**6])


def orbax_claiming(folder: Path, **claims: object) -> Path:
    pytest.importorskip("tensorstore")
    path = folder / "checkpoint"
    (path / "w").mkdir(parents=True)
    told = {"zarr_format": 2, "dtype": "<f4", "order": "C", "fill_value": None, "filters": None, "compressor": None, **claims}
    (path / "w" / ".zarray").write_text(json.dumps(told))
    entry = {"key_metadata": [{"key": "w"}], "value_metadata": {"value_type": "jax.Array"}}
    (path / "_METADATA").write_text(json.dumps({"tree_metadata": {"w": entry}}))
    return path


def a_model_of_many_tensors(folder: Path) -> Path:
    return save({f"layer{n}": torch.zeros(1, 1) for n in range(2001)}, folder / "many.pt")


def a_long_name(folder: Path) -> Path:
    return save({"x" * 100_000: torch.zeros(2, 2)}, folder / "name.pt")


def settings_without_end(folder: Path) -> Path:
    config = {f"field{n}": {"n_head": n} for n in range(1, 5001)}
    return save(
        {"model": {**state(), "odd": torch.zeros(2, 2)}, "config": config, **dict.fromkeys(map(str, range(5000)))},
        folder / "settings.pt",
    )


def a_large_p(folder: Path) -> Path:
    weights = random_weights(20_000, biases=["b_in", "b_out"], d_model=1, n_heads=1, d_head=1, d_mlp=1)
    return save(official_state(weights), folder / "p.pt")


HOSTILE: dict[Callable[[Path], Path], str] = {
    one_number_under_a_huge_shape: r"\(1000000, 1000000\) has 1,000,000,000,000 numbers, the limit is 268,435,456",
    rows_that_overlap: r"repeats 2,000 stored numbers has 1,000,000 numbers, the limit is 65,536",
    old_one_number_under_a_huge_shape: "the limit is 268,435,456",
    more_than_its_record: "a tensor claims 1,020 bytes, its record '0' has 800 bytes",
    old_more_than_its_file: "a tensor's storage has .* bytes, the limit is|its tensors claim .* bytes, the file has",
    a_header_of_a_huge_shape: "has 1,000,000,000,000 numbers, the limit is",
    leaves_of_a_huge_shape: r"400,000,000 bytes for shape \(20000, 5000\), 138 are left",
    safetensors_of_a_huge_shape: "has 1,000,000,000,000 numbers, the limit is",
    a_long_header: "its header has 1,099,511,627,776 bytes, the file 10",
    one_model_a_thousand_times: "where each is counted as often as it is named, the file holds 6,400",
    lists_that_double: "what the file names has .* things, the limit is",
    a_million_lists: "containers nested more than 64 deep",
    more_instructions_than_any_model: "more than 2,000,000 instructions",
    a_container_in_itself: "a container that contains itself",
    a_tuple_of_tuples_as_key: "refused: a tuple as a key",
    a_long_integer_as_key: "refused: a int as a key, expected text or a number of at most 64 bits",
    a_huge_integer: "an integer has 13,288 bits, the limit is 128",
    nested_json: "its header is no JSON",
    nested_msgpack: "not a whole flax file",
    msgpack_of_many: "not a whole flax file",
    flax_of_a_huge_shape: "has 1,000,000,000,000 numbers, the limit is",
    orbax_of_a_huge_shape: "w of shape .* has 1,000,000,000,000 numbers, the limit is",
    orbax_of_huge_pieces: "a piece of w of shape .* has 1,000,000,000,000 numbers",
    a_model_of_many_tensors: "a model has 2,001 tensors, the limit is 2,000",
    a_long_name: "the name of a tensor has 100,000 letters, the limit is 200",
    settings_without_end: "odd",
    a_large_p: r"p = 20,000 with 20,001 .* takes 59,607\.6 GiB, the limit is 0\.5 GiB \(p = 57\); insist with --large",
}


@pytest.mark.parametrize("write", HOSTILE, ids=lambda write: write.__name__)
def test_a_small_file_that_asks_for_much_is_refused_with_the_limit(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path)
    size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    assert size < 2_500_000
    with pytest.raises(DataError, match=HOSTILE[write]) as raised:
        load_run(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 1000


def test_all_of_them_together_stay_under_a_gigabyte(tmp_path: Path) -> None:
    paths = []
    for number, write in enumerate(HOSTILE):
        (tmp_path / str(number)).mkdir()
        try:
            paths.append(str(write(tmp_path / str(number))))
        except pytest.skip.Exception:  # the library of one kind is missing
            continue
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from interp.errors import DataError\nfrom interp.interop import load_run\n"
        "longest = 0\n"
        "for path in sys.argv[1:]:\n"
        "    begun = time.process_time()\n"
        "    try:\n        load_run(path)\n"
        "    except DataError:\n        longest = max(longest, time.process_time() - begun)\n"
        "    else:\n        raise SystemExit(path)\n"
        # Of this process alone: what getrusage says begins with the size of the one that started it.
        "lines = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())\n"
        "print(longest, lines['VmHWM'].split()[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    longest, peak = map(float, done.stdout.split())
    assert longest < 10  # 2 s on a machine that does nothing else; a guard that fails takes minutes
    assert peak < 2**20  # kilobytes


def test_a_large_p_can_be_insisted_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = save(state(), tmp_path / "m.pt")
    monkeypatch.setattr(limits, "TABLE", 1000)
    with pytest.raises(DataError, match="p = 7 with 20 neurons and classes"):
        load_weights(path)
    assert load_weights(path, known=Known(large=True)).p == 7


def test_archives_are_measured_by_their_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "m.npz", **{"embed.W_E": np.zeros((300, 300))})
    assert (tmp_path / "m.npz").stat().st_size < 2000
    monkeypatch.setattr(limits, "UNPACKED", 100_000)
    with pytest.raises(DataError, match="what the archive unpacks to has 720,128 bytes, the limit is 100,000"):
        load_run(tmp_path / "m.npz")
    monkeypatch.setattr(limits, "RECORDS", 3)
    with pytest.raises(DataError, match="the archive has 5 records, the limit is 3"):
        load_run(npz({str(n): n for n in range(5)}, tmp_path / "n.npz"))
    monkeypatch.setattr(limits, "DIRECTORY", 100)
    with pytest.raises(DataError, match=r"the archive's directory has .* bytes, the limit is 100"):
        load_run(tmp_path / "n.npz")


def test_records_that_lie_in_one_place_claim_more_than_the_file(tmp_path: Path) -> None:
    path = npz({"a": np.zeros(2000), "b": np.zeros(2000)}, tmp_path / "m.npz")
    data = bytearray(path.read_bytes())
    # The size of the second record in the directory, 16,128, becomes 10 times that.
    places = [n for n in range(len(data)) if data[n : n + 4] == b"PK\x01\x02"]
    data[places[1] + 20 : places[1] + 28] = struct.pack("<LL", 161_280, 161_280)
    path.write_bytes(data)
    with pytest.raises(DataError, match="the archive's records claim 177,408 bytes, the file has"):
        load_run(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_compress_are_refused(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "m.npz", "w", method) as archive:
        archive.writestr("a.npy", b"x" * 1000)
    with pytest.raises(DataError, match="compressed in a way that is not read"):
        load_run(tmp_path / "m.npz")


def test_what_is_small_may_repeat_one_number(tmp_path: Path) -> None:
    mask = torch.ones(1).expand(3, 3).clone().tril()
    path = save({**state(), "blocks.0.attn.mask": mask, "b": torch.zeros(1).expand(200, 300)}, tmp_path / "m.pt")
    assert read_untrusted(path)["b"].shape == (200, 300)


def test_an_archive_of_neither_library_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match=r"given an archive of 'readme\.txt', expected one that torch or numpy wrote"):
        load_run(tmp_path / "m.zip")


def test_links_and_pipes_in_a_folder_are_not_read(tmp_path: Path) -> None:
    pytest.importorskip("tensorstore")
    from foreign_containers import nested

    path = orbax(nested(state()), tmp_path / "checkpoint")
    (path / "d" / "link").symlink_to("/dev/zero")
    with pytest.raises(DataError, match="'link' in the folder is no plain file"):
        load_run(path)
    import os

    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(UsageError, match="is a named pipe"):
        load_run(tmp_path / "pipe.pt")


def test_values_of_a_configuration_are_told_in_a_line_each() -> None:
    long = {"many": [*range(10_000)], "deep": [[[[[[1]]]]]], "tensor": torch.zeros(500, 500), "text": "x" * 5000}
    told = stored_attributes(long)
    assert told["text"] == "x" * 5000
    assert told["tensor"] == "shape (500, 500)"
    assert len(str(told["many"])) <= limits.TEXT
    assert len(str(told["deep"])) <= limits.TEXT


def test_a_pickle_without_an_end_and_with_odd_instructions() -> None:
    from interp.interop.containers.inert_pickle import read_pickle

    def nowhere(_: object) -> object:
        raise AssertionError

    for data in (
        b"\x80\x04\x8f.",
        b"\x80\x02(1.",
        b"\x80\x02)R.",
        b"\x80\x02}]a.",
        b"\x80\x02]Na",
        pickle.dumps(bytearray(b"x"), 5),
    ):
        with pytest.raises((DataError, ValueError, IndexError)):
            read_pickle(io.BytesIO(data), {}, nowhere)
    assert read_pickle(io.BytesIO(pickle.dumps([1, {"a": (2.5, None, True, b"x")}], 5)), {}, nowhere) == [
        1,
        {"a": (2.5, None, True, b"x")},
    ]


def test_safetensors_must_cover_their_file(tmp_path: Path) -> None:
    path = safetensors_by_hand(state(), tmp_path / "m.safetensors", ())
    whole = path.read_bytes()
    for data in (whole[:-1], whole + b"\0", whole.replace(b'"data_offsets": [0,', b'"data_offsets": [4,', 1)):
        path.write_bytes(data)
        with pytest.raises(DataError, match="not a whole safetensors file"):
            load_run(path)
