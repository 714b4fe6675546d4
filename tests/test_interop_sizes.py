"""Files of a few kilobytes that ask for much, of every kind that lies beside a model, read by a process with little memory."""

from __future__ import annotations

import io
import json
import math
import sqlite3
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import save
from foreign_containers import npy_header, states

from interp import machine
from interp.errors import DataError
from interp.interop import Known, import_run, load_run
from interp.interop.containers import limits
from interp.interop.explained import explain
from interp.interop.logs import log_rows
from interp.interop.logs.tensorboard_log import masked
from interp.interop.logs.training_log import read_log
from interp.interop.split_file import read_split
from interp.interop.untrusted import read_untrusted, stored_attributes
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

SPLIT = SplitConfig("torch", 0, 0.3)


def state() -> dict[str, torch.Tensor]:
    return dict(states()[0])


def deflated(path: Path) -> Path:
    """The same archive, its records compressed: text that repeats becomes a thousandth."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return path


def a_long_line(folder: Path) -> Path:
    (folder / "log.csv").write_text("step,train_loss\n0," + "9" * 100_000 + "\n1," + "x" * 100_000 + "\n")
    return folder / "log.csv"


def a_thousand_columns(folder: Path) -> Path:
    (folder / "log.csv").write_text(",".join(f"c{n}" * 20 for n in range(1000)) + "\n" + "1," * 999 + "1\n")
    return folder / "log.csv"


def a_step_of_many_digits(folder: Path) -> Path:
    (folder / "log.json").write_text(json.dumps([{"train_loss": 1.0}])[:-2] + ', "step": 1' + "0" * 4000 + "}]")
    return folder / "log.json"


def json_nested_deep(folder: Path) -> Path:
    (folder / "log.json").write_text("[" * 200_000 + "]" * 200_000)
    return folder / "log.json"


def tables_nested_deep(folder: Path) -> Path:
    (folder / "log.jsonl").write_text('{"step": 0, "a": ' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "}\n{}\n")
    return folder / "log.jsonl"


def a_long_name_of_a_list(folder: Path) -> Path:
    (folder / "log.json").write_text(json.dumps({"x" * 300_000: 1, "y" * 300_000: 2}))
    return folder / "log.json"


def a_record_of_exabytes(folder: Path) -> Path:
    head = struct.pack("<Q", 2**60)
    (folder / "events.out.tfevents.1").write_bytes(head + struct.pack("<I", masked(head)) + b"\0" * 40)
    return folder / "events.out.tfevents.1"


def a_field_of_gigabytes(folder: Path) -> Path:
    body = b"\x12\xff\xff\xff\xff\x0f" + b"x" * 20
    import zlib

    head = struct.pack("<IHB", zlib.crc32(b"\x01" + body), len(body), 1)
    (folder / "run-1.wandb").write_bytes(b":W&B\0\0\0" + head + body)
    return folder / "run-1.wandb"


def rows_without_end(folder: Path) -> Path:
    with sqlite3.connect(folder / "log.db") as database:
        database.execute(
            "CREATE VIEW metrics AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
            "SELECT x AS rowid, 'a' AS run_name, x AS step, zeroblob(1000000000) AS metrics FROM n"
        )
    database.close()
    return folder / "log.db"


LOGS: dict[Callable[[Path], Path], str] = {
    a_long_line: "line 3: train_loss: given 'x",
    a_thousand_columns: "expected some like train_loss",
    a_step_of_many_digits: "step: given 1000",
    json_nested_deep: "not JSON that is read",
    tables_nested_deep: "line 1: not JSON that is read",
    a_long_name_of_a_list: "expected lists of losses and their steps",
    a_record_of_exabytes: "claims 1,152,921,504,606,846,976 bytes",
    a_field_of_gigabytes: "claims 4294967295 bytes",
    rows_without_end: "without trackio's table of metrics",
}


def a_header_of_much(folder: Path) -> Path:
    (folder / "train.npy").write_bytes(npy_header("(1000000, 1000000)"))
    return folder / "train.npy"


def an_archive_of_much(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "train.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.npy", npy_header("(100000000, 2)"))
    return folder / "train.npz"


def zeros_that_unpack(folder: Path) -> Path:
    np.savez_compressed(folder / "train.npz", train=np.zeros((6_000_000, 2)))
    return folder / "train.npz"


def columns_of_a_list(folder: Path) -> Path:
    (folder / "train.csv").write_text(",".join(["name"] * 50_000) + "\n1\n")
    return folder / "train.csv"


SPLITS: dict[Callable[[Path], Path], str] = {
    a_header_of_much: "not a whole .npy file",
    an_archive_of_much: "not a whole .npz file",
    zeros_that_unpack: "it unpacks to more than a list of pairs needs",
    columns_of_a_list: "expected a and b, or index",
}


@pytest.mark.parametrize("write", LOGS, ids=lambda write: write.__name__)
def test_a_log_that_asks_for_much_is_refused_in_a_sentence(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    model, log = save(state(), tmp_path / "model_3.pt"), write(tmp_path)
    assert log.stat().st_size < 700_000
    with pytest.raises(DataError, match=LOGS[write]):
        read_log(log)
    with pytest.raises(DataError, match=LOGS[write][:20]) as raised:
        load_run(model, known=Known(split=SPLIT, log=log))
    assert len(str(raised.value)) < 2 * limits.SENTENCE


@pytest.mark.parametrize("write", SPLITS, ids=lambda write: write.__name__)
def test_a_list_of_pairs_that_asks_for_much_is_refused_in_a_sentence(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    model, listed = save(state(), tmp_path / "model_3.pt"), write(tmp_path)
    assert listed.stat().st_size < 300_000
    with pytest.raises(DataError, match=SPLITS[write]):
        read_split(listed, ModularTask(7))
    with pytest.raises(DataError) as raised:
        load_run(model, known=Known(split_file=listed))
    assert len(str(raised.value)) < 2 * limits.SENTENCE


BOUNDED = """
import resource, sys
from pathlib import Path
from interp.errors import DataError
from interp.interop.logs.training_log import read_log
from interp.interop.split_file import read_split
from interp.tasks.modular import ModularTask

import torch, numpy, sqlite3
read = {"log": read_log, "split": lambda path: read_split(Path(path), ModularTask(7))}
held = 1024 * int(dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())["VmSize"].split()[0])
resource.setrlimit(resource.RLIMIT_AS, (held + 300 * 2**20,) * 2)
for given in sys.argv[1:]:
    kind, _, path = given.partition(":")
    try:
        read[kind](path)
    except DataError as error:
        print(len(str(error)))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the size of a process is not told here")
def test_all_of_them_are_read_with_300_megabytes(tmp_path: Path) -> None:
    given = []
    for number, (kind, write) in enumerate([*(("log", write) for write in LOGS), *(("split", write) for write in SPLITS)]):
        (tmp_path / str(number)).mkdir()
        given.append(f"{kind}:{write(tmp_path / str(number))}")
    done = subprocess.run([sys.executable, "-c", BOUNDED, *given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.split()) == len(given)


def test_a_log_of_too_many_values_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,train_loss," + ",".join(f"c{n}" for n in range(98)) + "\n" + ("1," * 99 + "1\n") * 30)
    monkeypatch.setattr(log_rows, "MOST_VALUES", 1000)
    with pytest.raises(DataError, match=r"more than 1,000 values in rows of 100"):
        read_log(path)


def test_a_text_that_is_named_in_many_fields_is_cut(tmp_path: Path) -> None:
    text = "long " * 200_000
    path = deflated(save({"model": state(), "config": {f"note{n}": text for n in range(2000)}}, tmp_path / "m.pt"))
    assert path.stat().st_size < 100_000
    run = load_run(path, known=Known(split=SPLIT))
    assert len(json.dumps(run.provenance)) < limits.TEXTS + 2000 * (limits.TEXT + 40)
    assert [*stored_attributes({text: 1})] == [text[: limits.TEXT]]
    assert len(explain(path, known=Known(split=SPLIT)).text) < 2_000_000


def test_no_error_or_note_quotes_a_file_at_length(tmp_path: Path) -> None:
    assert limits.shortened("x" * limits.SENTENCE) == "x" * limits.SENTENCE
    found = limits.shortened("a" * 10**6 + "z")
    assert len(found) < limits.SENTENCE + 60
    assert found.endswith("z")
    path = save({"model": state(), "config": {"fn_name": "x" * 10**5}}, tmp_path / "m.pt")
    with pytest.raises(DataError) as raised:
        load_run(path)
    assert len(str(raised.value)) < 2 * limits.SENTENCE


def test_p_that_the_configuration_claims_makes_nothing(tmp_path: Path) -> None:
    for p in (10**9, 10**30):
        path = save({"model": state(), "config": {"p": p}}, tmp_path / "m.pt")
        with pytest.raises(DataError, match=f"p: the configuration says {p}, the tensors have 8 tokens"):
            load_run(path)


def test_even_insisted_on_a_model_needs_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(state(), tmp_path / "m.pt")
    monkeypatch.setattr(limits, "TABLE", 1000)
    monkeypatch.setattr(machine, "available_memory", lambda: 2000)
    with pytest.raises(DataError, match=r"p = 7 .* takes 7\.8 kB, 2\.0 kB of memory are free \(p = 3\); read it on a larger"):
        load_run(path, known=Known(large=True))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_what_was_stored_in_half_is_held_exactly_and_said(tmp_path: Path, kind: torch.dtype) -> None:
    stored = {name: tensor.to(kind) for name, tensor in state().items()}
    run = import_run(save(stored, tmp_path / "m.pt"), tmp_path / "runs", known=Known(split=SPLIT))
    name = str(kind).removeprefix("torch.")
    assert torch.equal(run[run.steps[-1]].weights.W_E.to(kind).T, stored["embed.W_E"])
    assert run.facts()["stored_precision"] == run.provenance["stored_precision"] == name
    assert "dtype" in run.provenance["unknown"]
    assert any(f"stored are {name}, and in what it was trained is not said" in note for note in run.provenance["notes"])


@pytest.mark.parametrize("epochs", [[0, 2**63], [0, 2**63 - 1], [0, 1e30], [0, math.nan], [-1, 0], [0, 0.5], [0, math.inf]])
def test_epochs_of_losses_that_are_none_place_nothing(tmp_path: Path, epochs: list[float]) -> None:
    path = save({"model": state(), "epoch": 5, "train_losses": [2.0, 1.0], "epochs": epochs}, tmp_path / "m.pt")
    run = import_run(path, tmp_path / "runs", known=Known(split=SPLIT, trust_split=True))
    assert run.columns["step"].tolist() == [5]


@pytest.mark.parametrize("step", ["9223372036854775808", "1e30", "nan", "-1", "0.5", "inf"])
def test_steps_of_logs_that_are_none_are_refused(tmp_path: Path, step: str) -> None:
    (tmp_path / "log.csv").write_text(f"step,train_loss\n0,2.0\n{step},1.0\n")
    with pytest.raises(DataError, match=rf"line 3: step: given '{step}', expected an integer >= 0"):
        read_log(tmp_path / "log.csv")


def test_settings_that_no_run_can_have_are_unknown(tmp_path: Path) -> None:
    group = {"lr": 1e300, "weight_decay": float("inf"), "betas": (0.9, 1.0), "eps": 1e-8}
    run = load_run(save({"model": state(), "optimizer": {"param_groups": [group]}}, tmp_path / "m.pt"))
    assert {"optimizer.lr", "optimizer.weight_decay", "optimizer.beta2"} <= {*run.unknown}
    assert run.config.optimizer.beta1 == 0.9
    assert "lr: the file says 1e+300, which no run can have: taken as unknown" in run.notes


def test_an_archive_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02N.")
    claims = bytearray(data.getvalue())
    place = claims.index(b"PK\x01\x02")
    claims[place + 20 : place + 28] = struct.pack("<LL", 2**31, 2**31)
    (tmp_path / "m.pt").write_bytes(claims)
    with pytest.raises(DataError, match=r"claim 2,147,483,648 bytes, the file has"):
        read_untrusted(tmp_path / "m.pt")
