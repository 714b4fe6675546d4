"""Other people's files on the command line: one list of flags on every command that reads them, in the command line's words."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import pytest
from foreign import save
from foreign_forms import plain_linear
from random_models import random_weights
from wide_clock import wide_clock

from interp.cli import main
from interp.interop import Known

READERS = ("import", "anatomy", "report")


def call(*arguments: object) -> int:
    """The command line's exit code."""
    with pytest.raises(SystemExit) as exit_:
        main([*map(str, arguments)])
    return exit_.value.code or 0


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A plain model that works, whose heads and split the file does not tell."""
    return save(plain_linear(wide_clock()), tmp_path / "model.pt")


@pytest.mark.parametrize("command", READERS)
def test_every_command_that_reads_files_has_every_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, "--help") == 0
    words = capsys.readouterr().out.replace(",", " ").split()
    for field in dataclasses.fields(Known):
        assert f"--{field.name.replace('_', '-')}" in words, field.name
    assert "--format" in words


@pytest.mark.parametrize("command", READERS)
def test_a_bad_split_is_told_in_the_command_lines_words(command: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, model, "--split", "nonsense") == 2
    words = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "--split: given 'nonsense', expected python:SEED:FRACTION, or another rule (torch" in words


@pytest.mark.parametrize("command", READERS)
def test_what_is_not_known_is_asked_in_the_command_lines_words(
    command: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(command, model, "--root", tmp_path) == 2
    assert "give it, for example --n-heads " in capsys.readouterr().err
    untrained = save(plain_linear(random_weights(d_model=8, d_head=4)), tmp_path / "untrained.pt")
    assert call(command, untrained, "--n-heads", 2, "--root", tmp_path) == 2
    assert "give it, for example --orientation linear" in capsys.readouterr().err
    if command != "anatomy":  # which can do without
        assert call(command, model, "--n-heads", 4, "--root", tmp_path) == 2
        told = capsys.readouterr().err
        assert "train and test pairs are not known" in told
        assert "give it, for example --split python:0:0.3" in told
        assert "Known" not in told
        assert "SplitConfig" not in told


def test_anatomy_reads_with_a_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = plain_linear(wide_clock())
    state["thing"] = state.pop("attn.o_proj.weight")
    path = save(state, tmp_path / "model.pt")
    assert call("anatomy", path, "--n-heads", 4) == 1
    assert "--map thing=W_O" in capsys.readouterr().err
    assert call("anatomy", path, "--n-heads", 4, "--map", "thing=W_O", "--controls", 0) == 0
    told = capsys.readouterr().out
    assert "note: the model: accuracy 1 and loss" in told
    assert "thing -> W_O" in told


def test_a_report_of_a_file_leaves_no_run_behind(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    passing = tmp_path / "passing"
    passing.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(passing))
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.html"
    options = ("--n-heads", 4, "--split", "python:0:0.3")
    assert call("report", model, *options, "-o", page, "-a", "weight_norms") == 0
    assert page.stat().st_size > 10_000
    assert "Report: " in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt", "page.html", "passing"]
    assert [*passing.iterdir()] == []
    assert call("import", model, *options, "--root", tmp_path / "runs", "--name", "kept") == 0
    capsys.readouterr()
    assert call("report", tmp_path / "runs" / "kept", *options, "-o", page) == 2
    assert "--n-heads 4 --split python:0:0.3: given for the run" in capsys.readouterr().err
    both = (tmp_path / "runs" / "kept", model)
    assert call("report", *both, *options, "-o", page, "-a", "weight_norms") == 0  # said of the file


def test_import_explains_and_writes_nothing(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(tmp_path.iterdir())
    assert call("import", model, "--n-heads", 4, "--explain", "--root", tmp_path / "runs") == 0
    told = capsys.readouterr().out
    assert told.startswith("model.pt: format names, because it has the names of no known format")
    assert "to change it: --split python:0:0.3" in told
    assert sorted(tmp_path.iterdir()) == before


def test_import_prints_how_well_the_model_works_and_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    square = wide_clock(71, n_heads=8, d_head=9, d_model=72, d_mlp=72, equals_class=True, biases=False)
    path = save(square.tensors(), tmp_path / "m.pt")
    entries = [f"{name}={name}" for name in square.tensors()]
    flags = [word for entry in entries for word in ("--map", entry)]
    base = ("import", path, "--format", "map", "--split", "python:0:0.3", "--root", tmp_path)
    assert call(*base, *flags, "--name", "right") == 0
    assert "note: the model: accuracy 1 and loss" in capsys.readouterr().out
    flags[flags.index("W_U=W_U")] = "W_U.T=W_U"
    assert call(*base, *flags, "--name", "wrong") == 0
    told = capsys.readouterr().out
    assert "note: WARNING: the model is right for" in told
    assert "with W_U transposed it would be right for 100.00% of the pairs" in told
