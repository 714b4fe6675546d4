"""The command line: what it prints, what it exits with, what it says when something is wrong."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from foreign import official_state, save

import interp
from interp.anatomy import anatomy
from interp.anatomy.source import known_weight_decay
from interp.cli import main
from interp.cli.printing import print_tree
from interp.interop import Known, import_run
from interp.networks.one_layer import Weights
from interp.networks.shapes import SHAPES
from interp.observing.analysis import find_analyses
from interp.tasks.splits import SplitConfig

TINY = [
    "--task.p", "11", "--split.fraction", "0.5", "--model.d-model", "16", "--model.n-heads", "2", "--model.d-mlp", "24",
    "--checkpoints.log", "0", "--checkpoints.every", "20", "--steps", "60", "--engine", "reference", "--threads", "1",
]  # fmt: skip

FAILING = '''"""Does it fail?"""
from interp import Analysis

def measure(view):
    raise ArithmeticError("on purpose")

ANALYSIS = Analysis("failing", question=__doc__, measure=measure, figure=lambda series: None)
'''


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    with pytest.raises(SystemExit) as exit_:
        main(["train", "demo", *TINY, "--name", "tiny", "--root", str(root), "--no-until-settled"])
    assert exit_.value.code == 0
    return root


def call(*arguments: object) -> int:
    """Run a command in this process; its exit code."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return int(exit_.value.code or 0)


def test_train_keeps_every_flag_in_the_run(root):
    config = interp.open_run(root / "tiny").config
    assert (config.recipe, config.task.p, config.model.n_heads, config.steps, config.until_settled) == ("demo", 11, 2, 60, False)


def test_train_again_changes_nothing_and_says_where_the_run_is(root, capsys):
    before = {path: path.read_bytes() for path in (root / "tiny").rglob("*.safetensors")}
    assert call("train", "demo", *TINY, "--name", "tiny", "--root", root, "--no-until-settled") == 0
    assert str(root / "tiny") in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in before}


def test_the_next_command_is_one_that_a_shell_reads_back(root, capsys):
    """Whatever a run is called."""
    name = "my run 'a' \"b\""
    assert call("train", "demo", *TINY, "--name", name, "--root", root, "--no-until-settled") == 0
    following = capsys.readouterr().out.split("Next: ")[1].split("   (")[0]
    assert shlex.split(following) == ["interp", "report", str(root / name)]
    (root / name / "history.jsonl").unlink()
    assert call("verify", root / name) != 0
    said = "".join(capsys.readouterr())
    for quoted in re.findall("`(interp .*?)`", said):
        assert shlex.split(quoted)[-1] == str(root / name)
    shutil.rmtree(root / name)


def test_train_reads_a_configuration_file(tmp_path, capsys):
    file = tmp_path / "mine.toml"
    tables = {"task": "p = 7", "split": "fraction = 0.5", "model": "d_model = 8\nn_heads = 2\nd_mlp = 8"}
    fields = "\n".join(f"[{name}]\n{text}" for name, text in tables.items())
    file.write_text(f'steps = 2\nengine = "reference"\nthreads = 1\n{fields}\n')
    assert call("train", file, "--seed", 5, "--name", "x", "--root", tmp_path) == 0
    config = interp.open_run(tmp_path / "x").config
    assert (config.task.p, config.seed, config.steps) == (7, 5, 2)


def test_runs_lists_and_show_shows(root, capsys):
    assert call("runs", "--root", root, "--json") == 0
    assert [run["name"] for run in json.loads(capsys.readouterr().out)] == ["tiny"]
    assert call("runs", "--root", root) == 0
    assert "tiny" in capsys.readouterr().out
    assert call("show", "tiny", "--root", root, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["steps"] == [0, 20, 40, 60]
    assert shown["config"]["task"]["p"] == 11
    assert set(shown["phases"]) == {"memorized", "onset", "cleanup", "grokked", "settled"}
    assert call("show", root / "tiny", "--all") == 0
    assert "weight_decay: 2\n" in capsys.readouterr().out


def test_runs_in_an_empty_directory_says_how_to_make_one(tmp_path, capsys):
    assert call("runs", "--root", tmp_path) == 0
    assert "interp demo" in capsys.readouterr().out


def test_verify_passes_a_sound_run_and_names_the_damage(root, tmp_path, capsys):
    assert call("verify", "tiny", "--root", root) == 0
    assert "sound; 4 checkpoints" in capsys.readouterr().out
    copy = shutil.copytree(root / "tiny", tmp_path / "tiny")
    victim = next(copy.rglob("step_*20.safetensors"))
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    assert call("verify", copy) == 1
    assert victim.name in capsys.readouterr().err


def test_analyze_prints_numbers_and_writes_series(root, tmp_path, capsys):
    out = tmp_path / "series.csv"
    assert call("analyze", root / "tiny", "-a", "weight_norms", "-a", "progress_measures", "--steps", "0:40:20", "-o", out) == 0
    printed = capsys.readouterr().out
    assert "restricted loss" in printed
    assert "sum_squared (tensor 11) at step 40: W_E " in printed
    assert "restricted_loss" in out.read_text()


@pytest.mark.parametrize("name", [analysis.name for analysis in find_analyses() if "group" not in analysis.needs])
def test_every_series_can_be_taken_away_in_every_format(root, tmp_path, name):
    series = interp.observe(interp.open_run(root / "tiny"), [name])
    for suffix in ("csv", "parquet", "nc"):
        assert call("analyze", root / "tiny", "-a", name, "-o", tmp_path / f"series.{suffix}") == 0
    tables = {"csv": pd.read_csv(tmp_path / "series.csv"), "parquet": pd.read_parquet(tmp_path / "series.parquet")}
    back = xr.load_dataset(tmp_path / "series.nc", engine="scipy")
    assert set(back.data_vars) == set(series.data_vars)
    for variable, values in series.data_vars.items():
        wanted = np.sort(values.values.astype(float).ravel())
        assert np.array_equal(np.sort(back[variable].values.astype(float).ravel()), wanted, equal_nan=True)
        for table in tables.values():
            found = np.sort(table.loc[table["variable"] == variable, "value"].to_numpy(dtype=float))
            assert np.allclose(found, wanted, rtol=1e-12, atol=0, equal_nan=True)


def test_an_analysis_that_fails_is_named_and_exits_with_1(root, tmp_path, capsys):
    path = tmp_path / "failing.py"
    path.write_text(FAILING)
    assert call("analyze", root / "tiny", "-a", "loss_curves", "--file", path) == 1
    captured = capsys.readouterr()
    assert "train loss" in captured.out
    assert "analysis failing failed at step 0: ArithmeticError: on purpose" in captured.err


def test_report_is_written(root, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert call("report", root / "tiny", "-o", out) == 0
    assert out.resolve().as_uri() in capsys.readouterr().out
    assert out.stat().st_size > 1_000_000


def test_anatomy_of_a_run_a_checkpoint_and_a_file_agree(root, tmp_path, capsys):
    assert call("anatomy", root / "tiny", "--step", 40, "--json") == 0
    of_run = json.loads(capsys.readouterr().out)
    assert (of_run["p"], of_run["step"]) == (11, 40)
    checkpoint = interp.open_run(root / "tiny")[40].path
    assert call("anatomy", checkpoint, "--json") == 0
    of_checkpoint = json.loads(capsys.readouterr().out)
    assert call("export", root / "tiny", "--step", 40, "-o", tmp_path / "model.safetensors") == 0
    capsys.readouterr()
    assert call("anatomy", tmp_path / "model.safetensors", "--split", "torch:0:0.5", "--json") == 0
    of_file = json.loads(capsys.readouterr().out)
    for name in ("loss", "restricted", "excluded", "gini", "algorithm", "ablations"):
        assert of_run[name] == of_checkpoint[name] == of_file[name]
    assert call("anatomy", "tiny", "--root", root, "--controls", 2, "--all") == 0
    assert "key_frequencies: " in capsys.readouterr().out
    assert call("anatomy", "tiny", "--root", root, "--controls", 2) == 0
    screen = capsys.readouterr().out.splitlines()
    assert len(screen) < 50
    assert max(map(len, screen)) <= 110
    assert any(line.startswith("excluded loss ") for line in screen)
    assert any(line.startswith("all heads: zero ") for line in screen)


def test_long_lists_are_printed_by_their_size_and_range(capsys):
    print_tree({"W_E": [0.5, *[0.25] * 6, 7.0, *[0.25] * 6, 0.4], "names": list("abcdefghijklmn"), "short": [3, 1, None]})
    assert capsys.readouterr().out.splitlines() == ["W_E: 15 values, 0.25 to 7", "names: 14 values", "short: 3, 1, -"]


@pytest.fixture
def mainline_file(tmp_path):
    """A file of the official code's layout and the paper's sizes."""
    generator = torch.Generator().manual_seed(0)
    sizes = {"d_vocab": 114, "n_ctx": 3, "d_model": 128, "n_heads": 4, "d_head": 32, "d_mlp": 512, "classes": 114}
    tensors = {
        name: 0.05 * torch.randn([sizes[axis] for axis in axes], generator=generator)
        for name, axes in SHAPES.items()
        if name.startswith("W_") or name in ("b_in", "b_out")
    }
    state = official_state(Weights.from_tensors(tensors))

    def write(**config):
        return save({"model": state, "config": config} if config else state, tmp_path / "model.pth")

    return write


@pytest.fixture
def dissected_once(monkeypatch):
    """Each pair of weights and split is dissected once: seconds, of which what stands beside the figures knows nothing."""
    known = []

    def remembered(weights, *, split, **options):
        train = None if split is None else split.train.tolist()
        settings = {name: value for name, value in options.items() if name != "on_step"}  # which tells of progress alone
        asked = ({name: tensor.tolist() for name, tensor in weights.tensors().items()}, train, settings)
        for before, found in known:
            if before == asked:
                return found
        known.append((asked, anatomy(weights, split=split, **options)))
        return known[-1][1]

    monkeypatch.setattr(interp.anatomy, "anatomy", remembered)
    return known


def test_the_papers_figures_are_labelled_where_the_setting_is_not_known(mainline_file, dissected_once, tmp_path, capsys):
    note = "paper's mainline: weight decay 1, 30 % of the pairs; those of this model are not known"
    assert call("anatomy", mainline_file(), "--controls", 0) == 0
    printed = capsys.readouterr().out
    assert f"note: {note}\n" in printed
    assert any(
        line.split()[:4] == ["neurons", "of", "one", "frequency"] and "433 of 512" in line for line in printed.splitlines()
    )
    assert call("anatomy", mainline_file(), "--controls", 0, "--all") == 0
    assert "(paper: 433 of 512)" in capsys.readouterr().out
    assert call("anatomy", mainline_file(), "--controls", 0, "--json") == 0
    assert json.loads(capsys.readouterr().out)["paper_note"] == note
    for decay, split, note in (
        (0.1, "python:0:0.3", None),
        (1.0, "python:0:0.5", None),
        (1.0, "python:0:0.3", None),
        (
            None,
            "python:0:0.3",
            "paper's mainline: weight decay 1, 30 % of the pairs; the weight decay of this model is not known",
        ),
    ):
        path = mainline_file() if decay is None else mainline_file(weight_decay=decay)
        assert call("anatomy", path, "--controls", 0, "--split", split, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["paper"] is not None) == (decay in (None, 1.0) and split.endswith("0.3"))
        assert found["paper_note"] == note
        run = import_run(path, tmp_path, f"{decay}-{split}".replace(":", "-"), known=Known(split=SplitConfig("python", 0, 0.3)))
        assert known_weight_decay(run) == decay
    assert len(dissected_once) == 3  # without a split, and with either share of the pairs


def test_an_exported_model_comes_back_as_a_run_like_any_other(root, tmp_path, capsys):
    out = tmp_path / "model.pt"
    assert call("export", root / "tiny", "--format", "transformer-lens", "-o", out) == 0
    assert call("import", out, "--split", "torch:0:0.5", "--name", "back", "--root", tmp_path) == 0
    assert "back: 1 checkpoint, step " in capsys.readouterr().out
    back, original = interp.open_run(tmp_path / "back"), interp.open_run(root / "tiny")
    mine, theirs = back[back.steps[-1]].weights.tensors(), original[60].weights.tensors()
    assert all(mine[name].equal(theirs[name]) for name in theirs)
    assert call("verify", tmp_path / "back") == 0
    assert call("show", tmp_path / "back") == 0
    assert call("report", tmp_path / "back", "-o", tmp_path / "back.html") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nada"], "did you mean 'nanda'"),
        (["train", "missing.toml"], "missing.toml does not exist"),
        (["show", "tinny"], "did you mean 'tiny'"),
        (["analyze", "tiny", "-a", "weight_norm"], "did you mean 'weight_norms'"),
        (["analyze", "tiny", "--steps", "21"], "did you mean 20"),
        (["analyze", "tiny", "--steps", "x"], "expected numbers such as"),
        (["analyze", "tiny", "--key-rule", "embeding"], "did you mean 'embedding'"),
        (["analyze", "tiny", "--key-rule", "9"], "expected 1..5"),
        (["analyze", "tiny", "--file", "nowhere.py"], "nowhere.py does not exist"),
        (["report"], "expected at least one"),
        (["anatomy", "nowhere.pth"], "nowhere.pth does not exist"),
        (["anatomy", "tiny", "--step", "41"], "did you mean 40"),
        (["anatomy", "tiny", "--split", "torch:1:0.3"], "leave it out"),
        (["import", "nowhere.pth"], "nowhere.pth does not exist"),
        (["import", "nowhere.pth", "--split", "python:x:0.3"], "expected python:SEED:FRACTION"),
        (["export", "tiny", "--format", "pickle", "-o", "x"], "safetensors"),
        (["resume", "nothing"], "no run at"),
        (["train", "demo", "--task.p", "1"], "task.p: given 1"),
        (["train", "demo", "--split.fraction", "1.5"], "strictly between 0 and 1"),
        (["train", "demo", "--task.p", "2", "--split.fraction", "0.1"], "train set empty"),
        (["train", "demo", "--model.n-heads", "3"], "multiple of model.n_heads = 3"),
        (["train", "demo", "--sed", "1"], "--seed"),
        (["train", "demo", "--device", "tpu"], "expected cpu, cuda"),
        (["trian", "demo"], "trian"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_to_do(root, arguments, message, capsys):
    takes_root = arguments[0] in ("show", "analyze", "resume", "report", "anatomy", "import", "export") or (
        arguments[0] == "train" and len(arguments) > 2
    )
    assert call(*arguments, *(["--root", root] if takes_root else [])) == 2
    captured = capsys.readouterr()
    # Boxes wrap long messages: compare without their frames and line ends.
    words = " ".join((captured.err + captured.out).replace("│", " ").split())
    assert message in words
    assert "Traceback" not in words


def test_debug_gives_the_traceback(root):
    with pytest.raises(interp.errors.UsageError):
        main(["show", "nothing", "--root", str(root), "--debug"])


def test_training_that_cannot_go_on_exits_with_1_and_keeps_what_was_saved(tmp_path, capsys):
    assert call("train", "demo", *TINY, "--optimizer.lr", "1e30", "--name", "bad", "--root", tmp_path) == 1
    assert "training loss is" in capsys.readouterr().err
    run = interp.open_run(tmp_path / "bad")
    assert run.status == "stopped"
    assert 0 in run.steps
    assert not run.verify()


def test_help_of_every_command_is_instant_and_complete():
    for command in (
        "demo",
        "train",
        "resume",
        "runs",
        "show",
        "verify",
        "analyze",
        "report",
        "figure",
        "anatomy",
        "import",
        "export",
    ):
        with pytest.raises(SystemExit) as exit_:
            main([command, "--help"])
        assert exit_.value.code == 0


def test_help_lists_every_field_of_the_configuration(capsys):
    assert call("train", "nanda", "--help") == 0
    printed = capsys.readouterr().out
    for flag in (
        "--seed",
        "--optimizer.weight-decay",
        "--task.operation",
        "--model.attention-rate",
        "--checkpoints.every",
        "--name",
    ):
        assert flag in printed


def test_a_reader_that_stops_reading_is_no_error(root):
    command = f"{sys.executable} -m interp show {root / 'tiny'} --json | head -n 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_analyze_says_what_it_leaves_out_and_ends_with_the_verdict(tmp_path, capsys):
    from recorded import CONFIG

    interp.record(replace(CONFIG, checkpoints=replace(CONFIG.checkpoints, log=0, every=2)), tmp_path, "many", progress=False)
    assert call("analyze", "many", "-a", "memorizer_or_generalizer", "-a", "neuron_frequencies", "--root", tmp_path) == 0
    told = capsys.readouterr().out
    assert "(12 of 19 checkpoints; others with --steps, all of them with -o FILE)\n" in told
    assert "\nneuron_share (neuron 24) at step 35: " in told
    assert told.splitlines()[-1].startswith("verdict on generalization: ")
    assert call("analyze", "many", "-a", "weight_norms", "--steps", "0,2", "--root", tmp_path) == 0
    assert "checkpoints; others" not in capsys.readouterr().out


def test_a_dissection_is_printed_and_measured_once(root, capsys, monkeypatch):
    assert call("analyze", "tiny", "-a", "dissection", "--root", root) == 0
    first = capsys.readouterr().out
    assert "\nThe circuit\n" in first
    monkeypatch.setattr(interp.anatomy, "anatomy", None)
    assert call("analyze", "tiny", "-a", "dissection", "--root", root) == 0
    assert capsys.readouterr().out == first


def test_ctrl_c_keeps_what_was_measured(tmp_path):
    from recorded import CONFIG

    run = interp.record(CONFIG, tmp_path, "kept", progress=False)

    def stop(done, _total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interp.observe(run, "weight_norms", threads=1, on_step=stop)
    counts = []
    interp.observe(run, "weight_norms", threads=1, on_step=lambda done, _total: counts.append(done))
    assert counts[0] == 5


def test_a_page_of_several_runs_prints_a_line_for_each(root, tmp_path, capsys):
    other = shutil.copytree(root / "tiny", tmp_path / "other")
    assert call("report", root / "tiny", other, "-o", tmp_path / "x.html") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["tiny", "other", "Report"]
    assert max(map(len, lines)) < 300
