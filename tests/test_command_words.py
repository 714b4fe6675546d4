"""What the command line says: its version, what there is, and errors without a word of Python."""

from __future__ import annotations

import json
import re

import pytest
from recorded import CONFIG

import interp
from interp.cli import main
from interp.cli.entry import COMMANDS
from interp.config.recipes import RECIPES


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    interp.record(CONFIG, folder, "one", progress=False)
    return folder


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code)


def test_the_version_is_told(capsys):
    for flag in ("--version", "-V"):
        assert call(flag) == 0
        assert capsys.readouterr().out == f"interp {interp.__version__}\n"


def test_recipes_and_analyses_are_listed(capsys):
    assert call("recipes") == 0
    told = capsys.readouterr().out
    assert all(f"{name} " in told for name in RECIPES)
    assert call("analyses", "--json") == 0
    assert json.loads(capsys.readouterr().out) == interp.analyses()


@pytest.mark.parametrize("arguments", [("train", "--help"), ("study", "new", "--help"), ("recipes",)])
def test_every_recipe_is_in_every_help(arguments, capsys):
    assert call(*arguments) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in RECIPES)


def test_the_help_names_every_command_and_no_type_of_python(capsys):
    assert call("--help") == 0
    told = capsys.readouterr().out
    assert all(re.search(rf"\b{name}\b", told) for name in COMMANDS)
    for name in COMMANDS:
        assert call(name, "--help") == 0
        assert "{None}" not in capsys.readouterr().out, name
    assert call("train", "demo", "--help") == 0
    assert "{None}" not in capsys.readouterr().out


WRONG = [
    (("train", "demo", "--steps", "x"), "given 'x', expected a whole number"),
    (("train", "demo", "--task.p", "1.5"), "given '1.5', expected a whole number"),
    (("train", "demo", "--optimizer.lr", "fast"), "given 'fast', expected a number"),
    (("train", "demo", "--threads", "two"), "given 'two', expected a whole number"),
    (("export", "one", "--step", "q", "-o", "w.pt"), "given 'q', expected a whole number"),
    (("export", "one", "--step", "-1", "-o", "w.pt"), "a run is asked by step and not by position"),
    (("export", "one", "--step", "7", "-o", "w.pt"), "which was not saved"),
    (("export", "one", "-o", "w.onnx"), "expected .safetensors, or .pt or .pth"),
    (("export", "one", "-o", "w"), "expected .safetensors, or .pt or .pth"),
    (("export", "one", "-o", "w.pt", "--format", "safetensors"), "expected .safetensors"),
    (("export", "one", "-o", "w.safetensors", "--format", "bridge"), "expected .pt or .pth"),
    (("forecast", "one", "--at", "0", "--past"), "--at: given 0 with --past, which tells what was said at every checkpoint"),
    (("train", "mine.yaml"), "YAML is not read; write it as .toml or .json"),
    (("study", "new", "x", "--recipe", "mine.yml"), "YAML is not read; write it as .toml or .json"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_errors_speak_of_the_command_line(arguments, said, root, capsys):
    where = ("--root", root) if arguments[0] in ("export", "patch", "forecast") else ()
    assert call(*arguments, *where) == 2
    told = " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().err).split())
    assert said in told
    for word in ("in Python", "run.steps", "run.last", "known.", "<class", "NoneType", "invalid literal", "base 10"):
        assert word not in told


def test_what_python_says_stays_there(root):
    with pytest.raises(interp.errors.UsageError, match=r"in Python: run\.steps; run\.nearest\(step\)"):
        interp.open_run("one", root=root)[7]


def test_an_export_is_of_the_format_that_its_suffix_says(root, tmp_path, capsys):
    import torch
    from safetensors.torch import load_file

    for name, format in (("w.pt", None), ("w.pth", None), ("v.pt", "transformer-lens")):
        flags = () if format is None else ("--format", format)
        assert call("export", "one", "-o", tmp_path / name, "--root", root, *flags) == 0
        assert "blocks.0.mlp.W_in" in torch.load(tmp_path / name, weights_only=True)
    assert call("export", "one", "-o", tmp_path / "w.safetensors", "--root", root) == 0
    assert "W_in" in load_file(tmp_path / "w.safetensors")
    assert not (tmp_path / "w.onnx").exists()


def test_none_is_a_value(tmp_path, capsys):
    assert call("train", "demo", "--threads", "none", "--steps", "abc", "--root", tmp_path) == 2
    assert "given 'abc'" in capsys.readouterr().err
