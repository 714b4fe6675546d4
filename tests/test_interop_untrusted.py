"""Files from strangers: nothing in them runs, and whatever is wrong is reported."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import struct
import subprocess
import sys
import traceback
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import legacy_state_by_hand, official_state, save
from random_models import assert_same, random_weights

from interp.errors import DataError, UsageError
from interp.interop import FORMATS, Known, load_run, load_weights
from interp.interop.untrusted import StoredConfig, read_untrusted, stored_attributes

MLP = ["b_in", "b_out"]


class Evil:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def pickled(content: object, path: Path, *, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def old_torch(content: object, path: Path) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


WRITERS = {
    "zip": save,
    "before zip": old_torch,
    "plain pickle": pickled,
    "protocol 5": lambda content, path: pickled(content, path, protocol=5),
    "zip, protocol 5": lambda content, path: (torch.save(content, path, pickle_protocol=5), path)[1],
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("place", ["whole", "config", "tensor", "key", "list"])
def test_crafted_files_run_nothing(tmp_path: Path, writer: str, place: str) -> None:
    flag = tmp_path / "flag"
    state = official_state(random_weights(biases=MLP, equals_class=True))
    for evil in (
        Evil(os.system, f"touch {flag}"),
        Evil(exec, f"open({str(flag)!r}, 'w').close()"),
        Evil(eval, f"open({str(flag)!r}, 'w')"),
        Evil(subprocess.call, ["touch", str(flag)]),
        Evil(Path.touch, flag),
        Evil(getattr, "text", "upper"),
    ):
        content = {
            "whole": evil,
            "config": {"model": state, "config": evil},
            "tensor": {**state, "embed.W_E": evil},
            "key": {"model": state, "epoch": {"a": evil}},
            "list": [state, [[evil]]],
        }[place]
        path = WRITERS[writer](content, tmp_path / "evil.pth")
        for load in (load_weights, load_run):
            with pytest.raises(DataError, match=r"evil\.pth: (refused: (it|a pickle that) asks for|not a whole torch file)"):
                load(path)
        assert not flag.exists()
    pickle.loads(pickle.dumps(Evil(Path.touch, flag)))  # the same object is live ammunition for an ordinary unpickler
    assert flag.exists()


def test_a_refusal_names_what_was_asked_for(tmp_path: Path) -> None:
    path = save(Evil(os.system, "true"), tmp_path / "evil.pt")
    with pytest.raises(DataError, match=r"posix\.system|posix system"):
        load_weights(path)
    path = save(Evil(shutil.get_terminal_size), tmp_path / "evil2.pt")
    with pytest.raises(DataError, match=r"refused: it asks for 'shutil\.get_terminal_size' to be loaded; .* nothing was run"):
        load_weights(path)


class Plain:
    """Some class of its author."""


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("content", [Evil(os.system, "true"), Plain(), {"model": Plain()}], ids=["call", "class", "inside"])
def test_a_refusal_is_in_own_words_without_advice_to_load_unsafely(
    tmp_path: Path, content: object, protocol: int, recwarn: pytest.WarningsRecorder
) -> None:
    path = pickled(content, tmp_path / "evil.pth", protocol=protocol)
    with pytest.raises(DataError, match=r"evil\.pth: refused: ") as raised:
        load_weights(path)
    shown = "".join(traceback.format_exception(raised.value))
    for words in ("weights_only", "will likely succeed"):
        assert words not in shown
    assert not recwarn.list


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_archive_is_said_to_be_incomplete(tmp_path: Path, share: float) -> None:
    whole = save(official_state(random_weights(biases=MLP, equals_class=True)), tmp_path / "whole.pth").read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError) as raised:
        load_weights(path)
    expected = "the file is incomplete or damaged (its central directory is missing); fetch it again"
    assert str(raised.value) == f"{path}: {expected}"


def test_whole_modules_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"refused: .*torch\.nn\.modules.*save the state dict alone"):
        load_weights(save(torch.nn.Linear(2, 2), tmp_path / "module.pt"))


def crafted_call(module: str, name: str, arguments: object, state: object = None) -> bytes:
    """A pickle that calls a named function with arguments, then sets the result's state."""
    body = pickle.dumps(arguments, protocol=2)[2:-1]
    tail = b"" if state is None else pickle.dumps(state, protocol=2)[2:-1] + b"b"
    return b"\x80\x02" + f"c{module}\n{name}\n".encode() + body + b"R" + tail + b"."


@pytest.mark.parametrize(
    "payload",
    [
        crafted_call("transformer_lens.HookedTransformerConfig", "HookedTransformerConfig", (1, 2, 3)),
        crafted_call("numpy.core.multiarray", "scalar", ("f8", b"12345678")),
        crafted_call("numpy.core.multiarray", "scalar", ()),
        crafted_call("numpy", "dtype", ("O",)),
        crafted_call("numpy", "dtype", (), {"a": 1}),
        crafted_call("builtins", "bytearray", (1 << 62,)),
        crafted_call("torch", "Size", ("a",)),
        b"\x80\x02.",
        b"\x80\x02]",
        b"\x80\x02" + b"(" * 1000,
        b"\x80\x02c__builtin__\neval\n.",
        b"\x80\x02K\x01.",
    ],
)
def test_crafted_pickles_end_in_a_clear_error(tmp_path: Path, payload: bytes) -> None:
    for number, data in enumerate((payload, _zipped(payload))):
        path = tmp_path / f"{number}.pt"
        path.write_bytes(data)
        with pytest.raises(DataError):
            load_weights(path)


def _zipped(payload: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


def test_a_stand_in_holds_what_was_stored_and_nothing_else(tmp_path: Path) -> None:
    class HookedTransformerConfig:
        def __setstate__(self, state: object) -> None:
            raise AssertionError("the class of the file must never be used")

    HookedTransformerConfig.__module__ = "transformer_lens.HookedTransformerConfig"
    HookedTransformerConfig.__qualname__ = "HookedTransformerConfig"
    module = types.ModuleType("transformer_lens.HookedTransformerConfig")
    module.HookedTransformerConfig = HookedTransformerConfig
    config = HookedTransformerConfig()
    config.__dict__ |= {
        "n_layers": 1, "act_fn": "relu", "dtype": torch.float32, "initializer_range": 0.8 / np.sqrt(10), "seed": 999,
        "device": "cuda", "normalization_type": None, "init_weights": np.bool_(True), "d_vocab": np.int64(8),
    }  # fmt: skip
    sys.modules[module.__name__] = module
    try:
        path = save({"model": legacy_state_by_hand(random_weights()), "config": config}, tmp_path / "demo.pth")
    finally:
        del sys.modules[module.__name__]
    stored = read_untrusted(path)["config"]
    assert type(stored) is StoredConfig
    fields = stored_attributes(stored)
    assert fields["initializer_range"] == pytest.approx(0.8 / 10**0.5)
    assert fields["seed"] == 999
    assert fields["init_weights"] is True
    assert fields["d_vocab"] == 8
    assert fields["dtype"] == "torch.float32"
    assert_same(load_weights(path), random_weights())


def test_loading_leaves_torchs_allow_list_as_it_was(tmp_path: Path) -> None:
    before = torch.serialization.get_safe_globals()
    load_weights(save(legacy_state_by_hand(random_weights()), tmp_path / "m.pt"))
    with pytest.raises(DataError):
        load_weights(save(Evil(os.system, "true"), tmp_path / "e.pt"))
    assert torch.serialization.get_safe_globals() == before


def test_truncated_files_are_damaged_at_every_length(tmp_path: Path) -> None:
    for writer in (save, old_torch):
        whole = writer(official_state(random_weights(biases=MLP, equals_class=True)), tmp_path / "whole.pth").read_bytes()
        for length in [*range(40), *range(40, len(whole), len(whole) // 25), len(whole) - 1]:
            (tmp_path / "cut.pth").write_bytes(whole[:length])
            with pytest.raises(DataError, match=r"cut\.pth: "):
                load_weights(tmp_path / "cut.pth")


def test_a_flipped_bit_never_loads_as_another_model(tmp_path: Path) -> None:
    weights = random_weights(biases=MLP, equals_class=True)
    whole = save(official_state(weights), tmp_path / "whole.pth").read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for position in generator.integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(generator.integers(0, 8))
        (tmp_path / "flipped.pth").write_bytes(damaged)
        try:
            loaded = load_weights(tmp_path / "flipped.pth")
        except DataError:
            refused += 1
        else:
            assert_same(loaded, weights)  # the bit was in the padding between records
    assert refused > 50


def test_other_kinds_of_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    for data, message in (
        (b"<!DOCTYPE html><html>not found</html>", "given an HTML page of 37 bytes, .* download page"),
        (b'{"attn_coeff": 1}', "given a JSON file, expected a file of tensors"),
        (b"", "given 0 bytes"),
        (b"\x93NUMPY\x01\x00v\x00{'descr'", "not a whole numpy array"),
        (struct.pack("<Q", 1 << 60) + b"{}", "not a whole safetensors file"),
        (struct.pack("<Q", 2) + b"{}", "expected a state dict"),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match=message):
            load_weights(path)


def test_files_and_formats_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.pt does not exist"):
        load_weights(tmp_path / "nowhere.pt")
    with pytest.raises(UsageError, match=r"nowhere\.pt does not exist"):
        load_weights(tmp_path / "nowhere.pt", "safetensors")
    with pytest.raises(UsageError, match=r"is a directory: a run is opened with interp\.open_run"):
        load_weights(tmp_path)
    with pytest.raises(UsageError, match="unknown format 'oficial'; did you mean 'official'"):
        load_weights(tmp_path / "m.pt", "oficial")
    assert FORMATS[0] == "auto"


def test_odd_values_in_a_config_are_text_and_do_no_harm(tmp_path: Path) -> None:
    state = official_state(random_weights(biases=MLP, equals_class=True, d_model=6))
    config = {"weight_decay": torch.ones(5), "lr": [1], "seed": 0, "frac_train": 0.3, 7: {}}
    optimizer = {"param_groups": [{"weight_decay": torch.ones(5), "betas": (0.9, torch.ones(2))}]}
    run = load_run(save({"model": state, "config": config, "optimizer": optimizer}, tmp_path / "odd.pth"))
    assert run.provenance["config"]["lr"] == "[1]"
    for changes, message in (
        ({"seed": "1"}, "config: given seed '1'"),
        ({"seed": 1, "frac_train": 1.5}, "frac_train 1.5"),
        ({"fn_name": "rand"}, "operation: the file says 'rand', expected one of add"),
        ({"fn_name": torch.ones(3)}, "operation: the file says 'tensor"),
    ):
        path = save({"model": state, "config": changes, "train_losses": [1.0]}, tmp_path / "odd.pth")
        with pytest.raises(DataError, match=message):
            load_run(path)


def test_loading_never_imports_transformer_lens(tmp_path: Path) -> None:
    path = save(legacy_state_by_hand(random_weights()), tmp_path / "m.pt")
    loaded = "'transformer_lens' in sys.modules, 'plotly' in sys.modules"
    code = f"import interp, sys; interp.load_weights({str(path)!r}); print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_fact_known_twice_must_agree() -> None:
    assert Known(n_heads=4).settle("n_heads", 4) == 4
    assert Known().settle("n_heads", None) is None
    with pytest.raises(UsageError, match="n_heads: given 4, but the file says 2"):
        Known(n_heads=4).settle("n_heads", 2)
