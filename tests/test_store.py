"""The store: bytes that survive, hashes that catch every kind of damage, runs that read back exactly."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from math import inf, isnan, nan

import numpy as np
import pytest
import safetensors.torch
import torch
from begun import begin_planted
from hypothesis import given
from hypothesis import strategies as st

from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import DataError, UsageError
from interp.keeping.recorder import resume
from interp.networks.initial import initial_weights
from interp.store import history
from interp.store.foreign import create_run
from interp.store.manifest import Entry, Manifest, checkpoint_name, step_of
from interp.store.run import list_runs, open_run
from interp.store.tensors import pack, pack_network, unpack, unpack_weights
from interp.store.writer import RunWriter, writing
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

CONFIG = RunConfig(
    recipe="imported",
    task=ModularTask(p=7),
    split=SplitConfig(fraction=0.5),
    model=ModelConfig(d_model=8, n_heads=2, d_mlp=12, biases="all"),
    checkpoints=CheckpointConfig(log=0, every=100),
    steps=300,
)
STEPS = (0, 100, 200, 300)


def weights_of(step: int, config: RunConfig = CONFIG):
    return initial_weights(replace(config, seed=step))


def make_run(root, name="series", config=CONFIG, **changes):
    content = {
        "split": config.split.draw(config.task),
        "checkpoints": [(step, weights_of(step, config)) for step in STEPS],
        "history_rows": [{"step": step, "train_loss": 1 / (1 + step), "test_loss": None} for step in range(0, 301, 50)],
        "provenance": {"file": "theirs.pth"},
    }
    return create_run(root, name, config, **(content | changes))


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path)


floats = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(*[st.none() | floats] * len(history.COLUMNS)), max_size=5))
def test_history_reads_back_exactly(rows):
    data = b"".join(history.encode(i, dict(zip(history.COLUMNS, row, strict=True))) for i, row in enumerate(rows))
    for line in data.splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    columns = history.decode(data, where="here")
    for i, row in enumerate(rows):
        assert columns["step"][i] == i
        for name, value in zip(history.COLUMNS, row, strict=True):
            expected = nan if value is None else value
            assert columns[name][i] == expected or (isnan(columns[name][i]) and isnan(expected))


def test_history_keeps_infinities():
    data = b"".join(history.encode(step, {"test_loss": value}) for step, value in enumerate((inf, -inf)))
    assert history.decode(data, where="here")["test_loss"].tolist() == [inf, -inf]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b'{"step": 0}\n{"step": \n', "line 2 is damaged"),
        (b'{"step": 1}\n{"step": 1}\n', "line 2 has step 1 after step 1"),
        (b'{"train_loss": 1.0}\n', "line 1 is damaged"),
        (b"[1]\n", "line 1 is damaged"),
        (b"\xff\n", "line 1 is damaged"),
    ],
)
def test_damaged_history_is_named(data, match):
    with pytest.raises(DataError, match=f"there: {match}"):
        history.decode(data, where="there")


def test_equal_content_gives_equal_bytes_in_every_process():
    """Safetensors writes several metadata keys in an order that differs from process to process."""
    facts, tensors = dict.fromkeys("abcdefgh", 1), {"x": torch.ones(3), "a": torch.ones(2, dtype=torch.int64)}
    assert pack(tensors, facts) == pack(dict(reversed(tensors.items())), facts)
    code = (
        "import sys, torch; from interp.store.tensors import pack\n"
        "tensors = {'x': torch.ones(3), 'a': torch.ones(2, dtype=torch.int64)}\n"
        "sys.stdout.buffer.write(pack(tensors, dict.fromkeys('abcdefgh', 1)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code]) == pack(tensors, facts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_checkpoints_read_back_exactly(dtype):
    weights = weights_of(3).to(dtype=dtype)
    weights = type(weights).from_tensors(weights.tensors(), activation="gelu", attention_rate=0.25)
    step, found = unpack_weights(pack_network(12, weights), where="here")
    assert (step, found.activation, found.attention_rate) == (12, "gelu", 0.25)
    for name, tensor in weights.tensors().items():
        assert found.tensors()[name].dtype == dtype
        assert torch.equal(found.tensors()[name], tensor)


def test_live_views_of_one_buffer_can_be_saved():
    buffer = torch.arange(6.0)
    tensors, _ = unpack(pack({"a": buffer[:2], "b": buffer[2:].view(2, 2).T, "n": torch.tensor(4)}, {}), where="here")
    assert tensors["b"].tolist() == [[2.0, 4.0], [3.0, 5.0]]
    assert tensors["n"].shape == ()


def test_any_safetensors_reader_can_read_a_checkpoint(run):
    from safetensors import safe_open

    with safe_open(run[100].path, framework="np") as file:
        assert set(file.keys()) == set(weights_of(100).tensors())
        assert json.loads(file.metadata()["interp"]) == {"format": 1, "step": 100, "activation": "relu", "attention_rate": 1.0}


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "not a safetensors file"),
        (b"PK\x03\x04 not safetensors at all", "not a safetensors file"),
        (safetensors.torch.save({"x": torch.ones(1)}), "not a safetensors file of this toolkit"),
        (pack({}, {}).replace(b'\\"format\\": 1', b'\\"format\\": 2'), "given format 2, expected 1"),
        (pack({"W_E": torch.ones(3, 2)}, {"step": 1, "activation": "relu", "attention_rate": 1.0}), "missing tensors"),
        (pack(weights_of(0).tensors(), {"step": 1, "activation": "relu", "attention_rate": 7.0}), "given 7.0"),
    ],
)
def test_what_is_no_checkpoint_is_refused(data, match):
    with pytest.raises(DataError, match=match):
        unpack_weights(data, where="theirs")


def test_manifest_reads_back_and_newer_formats_are_refused():
    manifest = Manifest(7, "stopped", "non-finite", {"split.safetensors": Entry.of(b"1"), checkpoint_name(12): Entry.of(b"")})
    values = json.loads(manifest.to_json())
    assert Manifest.from_dict(values, where="m") == manifest
    assert manifest.steps == (12,)
    with pytest.raises(DataError, match="given format 3, expected 1 or 2"):
        Manifest.from_dict(values | {"format": 3}, where="m")
    for broken in (values | {"files": 3}, values | {"status": "fine"}, {"format": 1}, [], values | {"step": "x"}):
        with pytest.raises(DataError, match=r"^m: "):
            Manifest.from_dict(broken, where="m")


def test_checkpoint_names_sort_and_are_unique():
    assert step_of(checkpoint_name(123)) == 123
    assert step_of(checkpoint_name(123456789)) == 123456789
    assert step_of("checkpoints/step_000000123.safetensors") is None
    assert step_of("checkpoints/other.safetensors") is None


def test_an_imported_series_is_an_ordinary_run(run, tmp_path):
    found = open_run(tmp_path / "series")
    assert found.config == CONFIG
    assert (found.steps, len(found), found.status, found.reason) == (STEPS, 4, "finished", "imported")
    assert [checkpoint.step for checkpoint in found] == list(STEPS)
    for name, tensor in weights_of(200).tensors().items():
        assert torch.equal(found[200].weights.tensors()[name], tensor)
    assert found[100].losses == {**dict.fromkeys(history.COLUMNS), "train_loss": 1 / 101}
    assert np.array_equal(found.split.train, CONFIG.split.draw(CONFIG.task).train)
    assert found.history["train_loss"].sel(step=50).item() == 1 / 51
    assert found.provenance == {"file": "theirs.pth"}
    assert found.n_parameters == weights_of(0).n_parameters
    assert found.verify() == ()
    facts = json.loads(json.dumps(found.facts()))
    assert (facts["checkpoints"], facts["train_pairs"], facts["test_pairs"], facts["last_step"]) == (4, 24, 25, 300)
    assert facts["checkpoint_bytes"] == sum(p.stat().st_size for p in (tmp_path / "series/checkpoints").iterdir())
    assert facts["created"].startswith("20")


def test_history_may_go_on_after_the_last_checkpoint_and_steps_without_history_have_no_losses(tmp_path):
    run = make_run(tmp_path, history_rows=[{"step": 999, "test_loss": 2.0}])
    assert run.verify() == ()
    assert run[300].losses == dict.fromkeys(history.COLUMNS)


def test_an_interrupted_import_is_replaced_by_the_next_of_its_name(tmp_path):
    def broken():
        yield 0, weights_of(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_run(tmp_path, checkpoints=broken())
    assert (open_run(tmp_path / "series").status, open_run(tmp_path / "series").steps) == ("interrupted", ())
    with pytest.raises(UsageError, match="import that was not finished: importing the file again, under the same name, replaces"):
        resume(tmp_path / "series")
    with pytest.raises(KeyboardInterrupt):
        make_run(tmp_path, checkpoints=broken(), config=replace(CONFIG, seed=1))
    done = make_run(tmp_path, config=replace(CONFIG, seed=2))
    assert done.verify() == ()
    assert done.config.seed == 2
    with pytest.raises(UsageError, match="exists already"):
        make_run(tmp_path)


def test_an_import_that_fails_leaves_nothing_but_what_was_there(tmp_path):
    def broken():
        yield 0, weights_of(0)
        raise RuntimeError("their file ends here")

    def refused():
        yield 0, weights_of(0)
        raise OSError(28, "No space left on device", "the disk")

    root = tmp_path / "a" / "b"
    with pytest.raises(RuntimeError, match="ends here"):
        make_run(root, checkpoints=broken())
    assert not (tmp_path / "a").exists()
    make_run(root, name="other")
    with pytest.raises(OSError, match="No space left"):
        make_run(root, checkpoints=refused())
    assert [path.name for path in root.iterdir()] == ["other"]
    with pytest.raises(RuntimeError, match="ends here"):
        make_run(root, name="third", checkpoints=broken())
    assert make_run(root).verify() == ()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"checkpoints": []}, "given no checkpoints"),
        ({"checkpoints": [(5, weights_of(0)), (5, weights_of(0))]}, "given step 5 after step 5"),
        ({"history_rows": [{"step": 3}, {"step": 2}]}, "given step 2 after step 3"),
        ({"name": "a/b"}, "name: given 'a/b'"),
        ({"name": "../up"}, "expected a plain name"),
        ({"name": ""}, "expected a plain name"),
    ],
)
def test_series_that_cannot_be_a_run(tmp_path, changes, match):
    with pytest.raises(UsageError, match=match):
        make_run(tmp_path, **changes)


def test_nearest_takes_the_earlier_of_two(run):
    assert [run.nearest(step).step for step in (-5, 0, 49, 50, 51, 250, 251, 10**9)] == [0, 0, 0, 0, 100, 200, 300, 300]


def test_a_missing_step_says_what_is_there(run):
    with pytest.raises(UsageError, match=r"given 150, which was not saved .* 4 steps from 0 to 300"):
        run[150]


def test_a_missing_run_says_which_name_is_near(run, tmp_path):
    with pytest.raises(UsageError, match=r"no run at .*sereis.*did you mean 'series'"):
        open_run(tmp_path / "sereis")
    with pytest.raises(UsageError, match="Known: none"):
        open_run(tmp_path / "nowhere" / "x")
    with pytest.raises(UsageError, match=r"a directory without manifest\.json"):
        open_run(tmp_path)


def test_runs_are_listed_by_name_and_damaged_ones_left_out_with_a_warning(run, tmp_path, caplog):
    make_run(tmp_path, "another")
    make_run(tmp_path, "broken")
    (tmp_path / "broken" / "run.json").write_text("{}")
    (tmp_path / "notes").mkdir()
    assert [found.name for found in list_runs(tmp_path)] == ["another", "series"]
    assert "broken/run.json: damaged" in caplog.text
    with pytest.raises(UsageError, match="does not exist"):
        list_runs(tmp_path / "nowhere")


def test_a_run_can_be_sent_to_another_process(run):
    sent = pickle.loads(pickle.dumps(run))
    assert (sent.steps, sent.config, sent[100].sha256) == (run.steps, run.config, run[100].sha256)


def test_a_run_that_was_moved_keeps_working(run, tmp_path):
    (tmp_path / "series").rename(tmp_path / "renamed")
    moved = open_run(tmp_path / "renamed")
    assert (moved.name, moved.verify()) == ("renamed", ())


def test_a_run_without_checkpoints_says_so(tmp_path):
    path = tmp_path / "empty"
    with writing(path):
        begin_planted(path, CONFIG)
        assert open_run(path).status == "running"
    run = open_run(path)
    assert (run.steps, run.status, run.verify(), run.history.sizes["step"]) == ((), "interrupted", (), 0)
    for action in (lambda: run[0], lambda: run.nearest(0)):
        with pytest.raises(UsageError, match="has no checkpoints yet"):
            action()


def test_the_directory_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("x")
    with pytest.raises(UsageError, match=r"holds 'chapter1\.tex' and is not a run"):
        make_run(tmp_path, "thesis")


def damage_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def swap(run):
    one, other = run[100].path, run[200].path
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)


C = "checkpoints/step_00000"
DAMAGES = {
    "one bit of a checkpoint": (lambda run: damage_bit(run[100].path), {f"{C}100.safetensors": "damaged or foreign"}),
    "truncated": (lambda run: os.truncate(run[100].path, 999), {f"{C}100.safetensors": "truncated: 999 bytes"}),
    "empty": (lambda run: os.truncate(run[0].path, 0), {f"{C}000.safetensors": "truncated: 0 bytes"}),
    "missing": (lambda run: run[300].path.unlink(), {f"{C}300.safetensors": "missing"}),
    "swapped": (swap, {f"{C}100.safetensors": f"holds the bytes of {C}200", f"{C}200.safetensors": f"holds the bytes of {C}100"}),
    "renamed": (
        lambda run: run[300].path.rename(run.path / f"{C}301.safetensors"),
        {f"{C}300.safetensors": "missing", f"{C}301.safetensors": "surplus"},
    ),
    "surplus": (lambda run: (run.path / "checkpoints/notes.txt").write_text("x"), {"checkpoints/notes.txt": "surplus"}),
    "surplus beside": (lambda run: (run.path / "model.safetensors").write_bytes(b"x"), {"model.safetensors": "surplus"}),
    "foreign": (
        lambda run: run[100].path.write_bytes(pack_network(100, weights_of(100, replace(CONFIG, task=ModularTask(p=5))))),
        {f"{C}100.safetensors": "p is 5, expected 7"},
    ),
    "of another kind": (
        lambda run: run[100].path.write_bytes(b"PK" * 6000),
        {f"{C}100.safetensors": "damaged or foreign: it has 12,000 bytes"},
    ),
    "history": (lambda run: damage_bit(run.path / "history.jsonl"), {"history.jsonl": "damaged or foreign"}),
    "history cut": (lambda run: os.truncate(run.path / "history.jsonl", 20), {"history.jsonl": "truncated"}),
    "split": (lambda run: damage_bit(run.path / "split.safetensors"), {"split.safetensors": "damaged or foreign"}),
    "split gone": (lambda run: (run.path / "split.safetensors").unlink(), {"split.safetensors": "missing"}),
    "record": (lambda run: damage_bit(run.path / "run.json"), {"run.json": "damaged or foreign"}),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_is_named(run, name):
    damage, expected = DAMAGES[name]
    damage(run)
    problems = run.verify()
    assert {problem.file for problem in problems} == set(expected)
    for file, what in expected.items():
        assert any(problem.file == file and what in problem.what for problem in problems), [*map(str, problems)]


def test_notes_beside_a_run_are_nobodys_business(run):
    (run.path / "notes.md").write_text("seed 3 is the odd one")
    (run.path / "results").mkdir()
    (run.path / "results" / "x.safetensors").write_bytes(b"a cache, which proves itself")
    assert run.verify() == ()


def test_a_manifest_that_lies_about_steps_and_shapes_is_caught(run):
    """Hashes that agree prove nothing about content: steps and shapes are checked on their own."""
    other = pack_network(7, weights_of(1, replace(CONFIG, model=replace(CONFIG.model, d_mlp=13, activation="gelu"))))
    run[100].path.write_bytes(other)
    lie = dict(run.manifest.files) | {checkpoint_name(100): Entry.of(other)}
    found = " | ".join(map(str, replace(run, manifest=replace(run.manifest, files=lie)).verify()))
    for what in ("holds step 7", "shapes differ", "d_mlp is 13, expected 12", "activation is gelu", "n_parameters"):
        assert what in found


def test_damaged_files_are_refused_when_read(run):
    damage_bit(run[100].path)
    with pytest.raises(DataError, match=r"step_00000100\.safetensors: damaged"):
        run[100]
    assert run[200].step == 200
    run[200].path.unlink()
    with pytest.raises(DataError, match=r"step_00000200\.safetensors: cannot be read"):
        run[200]
    damage_bit(run.path / "split.safetensors")
    damage_bit(run.path / "history.jsonl")
    fresh = open_run(run.path)  # what was read before is remembered
    for read in (lambda: fresh.split, lambda: fresh.history, lambda: fresh[0].losses):
        with pytest.raises(DataError, match="damaged"):
            read()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 9}'])
def test_a_damaged_manifest_is_named(run, text):
    (run.path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json: "):
        open_run(run.path)


def test_a_config_of_the_future_is_named(run):
    record = json.loads((run.path / "run.json").read_text())
    record["config"]["telepathy"] = True
    with pytest.raises(DataError, match=r"config cannot be read here:[^$]*telepathy"):
        replace(run, record=record).config  # noqa: B018  (reading it is what is tested)


def test_a_writer_never_overwrites_a_committed_step(tmp_path):
    path = tmp_path / "run"
    with writing(path):
        begin_planted(path, CONFIG, n_parameters=weights_of(0).n_parameters)
        writer = RunWriter(path)
        writer.save(0, weights_of(0))
        writer.add_history(0, {"train_loss": 1.0})
        writer.commit(0, {"x": torch.ones(2)})
        writer.save(0, weights_of(0))
        with pytest.raises(DataError, match="holds other bytes"):
            writer.save(0, weights_of(1))
    assert open_run(path).verify() == ()
    assert torch.equal(open_run(path)[0].weights.W_E, weights_of(0).W_E)


def test_the_evaluated_steps_of_a_history_are_those_of_the_whole(tmp_path):
    rows = [
        {"train_loss": 1 / (step + 1), **({"test_accuracy": 0.5, "test_loss": 2.0} if step % 3 == 0 else {})}
        for step in range(11)
    ]
    data = b"".join(history.encode(step, row) for step, row in enumerate(rows))
    whole, few = history.decode(data, where="x"), history.decode_evaluated(data, where="x")
    assert few["step"].tolist() == [0, 3, 6, 9, 10]
    for name, values in few.items():
        np.testing.assert_array_equal(values, whole[name][few["step"]])
    assert history.decode_evaluated(b"", where="x")["step"].size == 0
    with pytest.raises(DataError, match="x"):
        history.decode_evaluated(data[:-5], where="x")
