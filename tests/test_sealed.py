"""What was measured: a damaged result is measured anew and that is said, and what was not measured here is named."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_study import small_base

import interp
from interp.cli import main
from interp.observing.summary import summary
from interp.observing.thinning_out import thin_measured
from interp.store import installation
from interp.store.installation import KEY_FILE, origin, sealed
from interp.store.packed import pack_arrays, unpack_arrays
from interp.store.run import Run, open_run
from interp.store.sealed import pack_fact, pack_measured, unpack_fact, unpack_measured

LABELS = {"x": {"dims": [], "shape": [], "coords": {}, "attrs": {}}}
HEADER = {"key": "k" * 64, "steps": [3], "sha256": ["h"], "labels": LABELS}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was measured here."""
    run = interp.record(small_base(threads=1), tmp_path_factory.mktemp("measured"), "run", progress=False)
    summary(run)
    return run.path


@pytest.fixture
def run(measured: Path, tmp_path: Path) -> Run:
    return open_run(shutil.copytree(measured, tmp_path / "runs" / "run"))


def result_of(run: Run, name: str) -> Path:
    (path,) = (run.path / "results").glob(f"{name}-*")
    return path


def loss(run: Run) -> list[float]:
    found: list[float] = interp.observe(run, ["progress_measures"])["restricted_loss"].values.tolist()
    return found


def elsewhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """From here on this is another installation."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))


def changed(path: Path, variable: str, value: float, **facts: Any) -> bytes:
    """A result's bytes with another value, and the hash that fits it; with other facts, or None for what is left out."""
    arrays, header = unpack_arrays(path.read_bytes(), where="x")
    arrays[variable] = np.full_like(arrays[variable], value)
    whole = {name: fact for name, fact in header.items() if name not in ("format", "content", "by", "seal")}
    _, mine = unpack_arrays(pack_measured(arrays, whole), where="x")
    said = {name: fact for name, fact in {**mine, **facts}.items() if name != "format" and fact is not None}
    return pack_arrays(arrays, said)


def test_a_damaged_result_is_measured_anew_and_that_is_said(run, caplog):
    path, true = result_of(run, "progress_measures"), loss(run)
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    for at in (3, 60, header // 2, header + 6, (header + len(data)) // 2, len(data) - 1):
        caplog.clear()
        path.write_bytes(data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :])
        assert [problem.file for problem in run.verify()] == [f"results/{path.name}"]
        assert loss(run) == true
        assert f"{path}: damaged" in caplog.text
        assert "measured anew" in caplog.text
        assert path.read_bytes() == data
    assert run.examine().findings == ()


def test_a_damaged_fact_is_worked_out_anew_and_that_is_said(run, caplog):
    path, true = result_of(run, "summary"), summary(run)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"grokked"', b'"grekked"', 1))
    assert [problem.file for problem in run.verify()] == [f"results/{path.name}"]
    assert summary(run) == true
    assert f"{path}: damaged" in caplog.text
    assert path.read_bytes() == data


def test_what_was_not_measured_here_is_named(run, tmp_path, monkeypatch, caplog):
    names = {f"results/{path.name}" for path in (run.path / "results").iterdir()}
    elsewhere(monkeypatch, tmp_path / "other")
    found = run.examine()
    assert found.problems == ()
    assert {note.file for note in found.notes} == names
    assert all("not measured by this installation" in note.what for note in found.notes)
    loss(run)
    summary(run)
    assert caplog.text.count("were not measured here") == 1  # once for a folder of runs
    shutil.rmtree(run.path / "results")
    summary(run)
    assert run.examine().findings == ()


def test_invented_measurements_do_not_come_unnoticed(run, tmp_path, monkeypatch, caplog):
    path, true = result_of(run, "progress_measures"), loss(run)
    whole = path.read_bytes()
    with monkeypatch.context() as patched:  # made with the toolkit itself, on another machine
        elsewhere(patched, tmp_path / "other")
        theirs = changed(path, "restricted_loss", 1e-9)
    for invented in (theirs, changed(path, "restricted_loss", 1e-9, by=None, seal=None)):
        path.write_bytes(invented)
        assert [(note.file, note.kind) for note in run.examine().findings] == [(f"results/{path.name}", "note")]
        caplog.clear()
        installation._say_once.cache_clear()
        assert loss(run)[0] == 1e-9
        assert "were not measured here" in caplog.text
    # With this installation's name, which everybody can read, but not its key: it is not believed.
    _, header = unpack_arrays(whole, where="x")
    for seal in (header["seal"], "0" * 64, 7):
        path.write_bytes(changed(path, "restricted_loss", 1e-9, by=header["by"], seal=seal))
        assert ["seal does not fit" in str(problem) for problem in run.verify()] == [True]
        assert loss(run) == true


def test_where_no_key_can_be_kept_everything_works_and_nothing_is_claimed(run, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    elsewhere(monkeypatch, tmp_path / "file")  # no folder can be made in it
    shutil.rmtree(run.path / "results")
    first = loss(run)
    assert loss(run) == first
    found = run.examine()
    assert found.problems == ()
    assert {note.what.split(":")[0] for note in found.notes} == {"where it was measured is not known"}
    assert caplog.text == ""
    path = result_of(run, "progress_measures")
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    assert loss(run) == first
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "expanduser", lambda self: (_ for _ in ()).throw(RuntimeError("no home")))
    assert (sealed("0" * 64), origin("0" * 64, {})) == ({}, "elsewhere")


def test_the_series_of_a_thinned_run_are_named_unless_they_were_measured_here(run, tmp_path, monkeypatch):
    thinned = thin_measured(run, measures=("progress_measures", "weight_norms"))
    assert thinned.examine().findings == ()
    elsewhere(monkeypatch, tmp_path / "other")
    told = [note.what for note in thinned.examine().notes if note.file.startswith("series/")]
    assert len(told) == 2
    assert all("cannot be measured again" in what for what in told)
    assert thinned.verify() == ()


def test_a_key_is_made_once_and_nobody_else_may_read_it(tmp_path, monkeypatch):
    code = "from interp.store.installation import sealed\nprint(sealed('a')['by'])"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    names = {process.communicate()[0].strip() for process in processes} | {sealed("b")["by"]}
    assert len(names) == 1
    assert [path.name for path in (tmp_path / "state" / "interp").iterdir()] == [KEY_FILE]
    path = tmp_path / "state" / "interp" / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert origin("b", sealed("b")) == "here"
    assert origin("c", sealed("b")) == "altered"
    path.write_text("short")
    assert sealed("b") == {}


def test_facts_and_results_read_back(tmp_path):
    value = {"a": [1, None, float("inf")], "b": "é"}
    found = unpack_fact(pack_fact("k" * 64, value, order=3), where="x")
    assert (found.header, found.origin) == ({"key": "k" * 64, "order": 3, "value": value}, "here")
    again = unpack_measured(pack_measured({"x": np.ones(1)}, HEADER), where="x")
    assert (again.header, again.arrays["x"].tolist(), again.origin) == (HEADER, [1.0], "here")


@pytest.mark.parametrize(
    "header",
    [
        {"steps": [3, 4]},
        {"sha256": []},
        {"labels": {}},
        {"labels": {"x": {"dims": ["step"], "shape": [], "coords": {}, "attrs": {}}}},
        {"labels": {"x": {"dims": [], "shape": [2], "coords": {}, "attrs": {}}}},
        {"labels": {"x": {"dims": [], "shape": [], "coords": {"day": [1]}, "attrs": {}}}},
        {"labels": {"x": {"dims": [], "shape": [], "coords": {}, "attrs": []}}},
        {"labels": {"x": None}},
        {"labels": None},
        {"key": 3},
    ],
)
def test_a_header_that_does_not_fit_its_arrays_is_refused_although_its_hash_fits(header):
    data = pack_measured({"x": np.ones(1)}, {**HEADER, **header})
    with pytest.raises(interp.errors.DataError, match="x: "):
        unpack_measured(data, where="x")


def test_the_command_names_what_was_not_measured_here(run, tmp_path, monkeypatch, capsys):
    elsewhere(monkeypatch, tmp_path / "other")
    with pytest.raises(SystemExit) as end:
        main(["verify", str(run.path)])
    printed = capsys.readouterr().out
    assert end.value.code == 0
    assert "sound" in printed
    assert f"note: results/{result_of(run, 'summary').name}: not measured by this installation" in printed
    with pytest.raises(SystemExit):
        main(["show", str(run.path), "--json"])
    json.loads(capsys.readouterr().out)  # what is said goes to the other stream
