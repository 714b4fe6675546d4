"""A task that is a table: trained by every engine, recorded with its table and harmonics, and opened with none of its code."""

from __future__ import annotations

import itertools
import json
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mutated import resigned
from strangers import call

from interp import ModularTask, RunConfig, TableTask, Training, binary_operation, fork, open_run, record, resume
from interp.config.run_config import CheckpointConfig, ModelConfig
from interp.errors import DataError, UsageError
from interp.groups.by_name import group
from interp.groups.cayley import Group
from interp.harmonics import CyclicHarmonics, GroupHarmonics, cyclic
from interp.keeping.naming import run_name
from interp.observing.described import history_series
from interp.observing.series import about
from interp.reporting.origin import origin
from interp.store.packed import pack_arrays, unpack_arrays
from interp.store.task_file import pack_task, unpack_task
from interp.tasks.known_forms import group_task, known_task
from interp.tasks.task import with_waves
from interp.training import loop

PERMUTATIONS = list(itertools.permutations(range(3)))


def composed(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a[i] for i in b)


def s3() -> TableTask:
    """The symmetric group on three elements, with the projectors of its sign and its two-dimensional representation."""
    table = [[PERMUTATIONS.index(composed(a, b)) for b in PERMUTATIONS] for a in PERMUTATIONS]
    inverse = [row.index(0) for row in table]
    fixed = [sum(i == j for i, j in enumerate(element)) for element in PERMUTATIONS]
    characters = {"sign": [1, -1, -1, 1, 1, -1], "standard": [n - 1 for n in fixed]}
    projectors = {
        name: torch.tensor([[chi[0] / 6 * chi[table[x][inverse[y]]] for y in range(6)] for x in range(6)], dtype=torch.float64)
        for name, chi in characters.items()
    }
    line = torch.tensor(table).flatten()
    return binary_operation("S3", table, harmonics=GroupHarmonics(line, projectors))


S3 = s3()
CONFIG = RunConfig(
    task=S3, model=ModelConfig(d_model=16, n_heads=2, d_mlp=16), checkpoints=CheckpointConfig(log=3, every=10), steps=20,
    threads=1,
)  # fmt: skip


def shifted() -> TableTask:
    """Addition modulo 5 under other names: harmonics with classes and rows of their own."""
    names = np.array([3, 1, 4, 0, 2])
    where = np.argsort(names)
    table = [[int(names[(where[a] + where[b]) % 5]) for b in range(5)] for a in range(5)]
    rows = torch.from_numpy((names[:, None] * 5 + names).flatten())
    return binary_operation(
        "renamed", table, equals_sign=False, harmonics=CyclicHarmonics(5, rows=rows, classes=torch.from_numpy(names))
    )


TABLES = [S3, shifted(), binary_operation("xor", [[0, 1], [1, 0]]), TableTask.of(ModularTask(7, "multiply"))]


@pytest.mark.parametrize("task", TABLES, ids=[task.name for task in TABLES])
def test_a_task_is_read_back_whole(task: TableTask) -> None:
    again = unpack_task(pack_task(task), where="here")
    assert again == task
    assert again.digest == task.digest
    assert pack_task(again) == pack_task(task)
    if task.harmonics is not None:
        assert again.harmonics is not None
        assert again.harmonics.names == task.harmonics.names
        assert torch.equal(again.harmonics.line, task.harmonics.line)
        assert torch.equal(again.harmonics.projector(task.harmonics.names), task.harmonics.projector(task.harmonics.names))


def test_what_is_no_task_is_refused() -> None:
    data = pack_task(S3)
    for broken in (b"", data[:-9], data.replace(b"labels", b"labelz")):
        with pytest.raises(DataError, match="here: "):
            unpack_task(broken, where="here")


@pytest.mark.parametrize("engine", ["reference", "cpu"])
def test_it_trains_and_its_run_opens_with_none_of_its_code(tmp_path: Path, engine: str) -> None:
    run = record(replace(CONFIG, engine=engine), tmp_path, "run", progress=False)
    assert (run.status, run.engine, run.verify()) == ("finished", engine, ())
    assert run.config == replace(CONFIG, engine=engine)
    assert "task.safetensors" in run.manifest.files
    code = "import sys, interp; run = interp.open_run(sys.argv[1]); print(run.task.digest, run.config.task.harmonics.names)"
    done = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == [S3.digest, "('sign', 'standard')\n"]


def test_engines_agree_on_a_table() -> None:
    losses = [
        [step.train_loss for step in Training(replace(CONFIG, engine=engine, dtype=dtype))]
        for engine, dtype in (("reference", "float64"), ("cpu", "float32"))
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


def test_an_interrupted_run_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = record(CONFIG, tmp_path / "whole", "run", progress=False)
    original = loop.Training._step

    def step(training: Training, train_loss: float) -> object:
        if training._index == 7:
            signal.raise_signal(signal.SIGINT)
        return original(training, train_loss)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "_step", step)
        with pytest.raises(KeyboardInterrupt):
            record(CONFIG, tmp_path, "run", progress=False)
    done = resume(tmp_path / "run", progress=False)
    assert done.manifest == whole.manifest
    assert record(CONFIG, tmp_path, "run", progress=False).status == "finished"
    with pytest.raises(UsageError, match=r"another config .*task: given TableTask"):
        record(replace(CONFIG, task=binary_operation("S3", S3.labels.reshape(6, 6))), tmp_path, "run", progress=False)


def test_a_damaged_table_is_found(tmp_path: Path) -> None:
    run = record(replace(CONFIG, steps=1), tmp_path, "run", progress=False)
    path = run.path / "task.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert {problem.file for problem in open_run(run.path).verify()} == {"task.safetensors"}
    with pytest.raises(DataError, match=r"task\.safetensors: damaged"):
        _ = open_run(run.path).task


def test_what_shows_runs_shows_a_table(tmp_path: Path) -> None:
    run = record(CONFIG, tmp_path, progress=False)
    assert run.name == run_name(CONFIG) != run_name(replace(CONFIG, task=TABLES[2]))
    facts = run.facts()
    assert (facts["p"], facts["operation"], facts["recipe"]) == (6, "S3", "custom")
    assert about(history_series(run)).operation == "S3"
    assert all(name != "command" for name, _ in origin(run).rows)  # no command line makes it again


def test_tables_that_the_transformer_cannot_learn_are_named() -> None:
    pairs = ModularTask(4).inputs
    with pytest.raises(UsageError, match="given 2 answers, expected 4, the number of its elements"):
        replace(CONFIG, task=TableTask("parity", pairs, pairs[:, 0] % 2, n_tokens=5, classes=2))
    with pytest.raises(UsageError, match="are not all pairs"):
        replace(CONFIG, task=TableTask("few", pairs[:7], pairs[:7, 0], n_tokens=5, classes=4))


def test_harmonics_of_a_file_are_made_when_they_are_asked_for_and_checked_then() -> None:
    data = pack_task(S3)
    task = unpack_task(data, where="x")
    assert "harmonics" not in vars(task)
    assert (task.p, task.operation, task.elements) == (6, "S3", ())
    again = pickle.loads(pickle.dumps(task))
    assert again == task == S3
    assert vars(task)["harmonics"] is task.harmonics
    assert replace(task, name="S3 again").harmonics.names == ("sign", "standard")
    arrays, facts = unpack_arrays(data, where="x")
    del facts["format"]
    foreign = unpack_task(pack_arrays({**arrays, "harmonics.line": arrays["harmonics.line"][::-1].copy()}, facts), where="x")
    for _ in range(2):  # it is asked again
        with pytest.raises(DataError, match=r"x: not a task .*its harmonics have other answers than its labels"):
            foreign.harmonics  # noqa: B018  the error is what is asked for
    lacking = {name: array for name, array in arrays.items() if not name.startswith("harmonics.p")}
    with pytest.raises(DataError, match=r"x: not a task .KeyError"):
        unpack_task(pack_arrays(lacking, facts), where="x").digest  # noqa: B018  likewise


@pytest.mark.parametrize("modulus", [30_000, 10**9, "4x", 0, 5])
def test_a_modulus_that_is_not_the_tables_asks_for_no_memory(modulus: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of three kilobytes made 14 GB of waves, and then was refused."""
    arrays, facts = unpack_arrays(pack_task(known_task("x+y mod 4")), where="x")
    del facts["format"]
    assert facts["harmonics"] == {"modulus": 4}
    monkeypatch.setattr(cyclic, "CyclicHarmonics", lambda *_, **__: pytest.fail("made"))
    data = pack_arrays(arrays, {**facts, "harmonics": {"modulus": modulus}})
    with pytest.raises(DataError, match=r"x: not a task .ValueError"):
        unpack_task(data, where="x").harmonics  # noqa: B018  the error is what is asked for


def test_a_table_that_is_not_the_configs_is_named_where_the_run_is_verified(tmp_path: Path) -> None:
    """Nobody else compares them: harmonics would have to be made for it."""
    run = record(CONFIG, tmp_path, "run", progress=False)
    other = tmp_path / "run" / "run.json"
    said = json.loads(other.read_bytes())
    said["config"]["task"]["sha256"] = "0" * 64
    other.write_text(json.dumps(said))
    resigned(run.path)
    found = open_run(run.path).verify()
    assert [problem.file for problem in found] == ["run.json"]
    assert "its task has sha256 000000000000..., but the table in task.safetensors has" in str(found[0])
    before = (tmp_path / "run" / "manifest.json").read_bytes()
    with pytest.raises(DataError, match=r"run\.json: its task has sha256 000000000000"):
        resume(run.path, steps=40, progress=False)  # nothing is written to it
    with pytest.raises(DataError, match=r"run\.json: its task has sha256 000000000000"):
        fork(run.path, 10, root=tmp_path, name="other", progress=False)
    assert (tmp_path / "run" / "manifest.json").read_bytes() == before
    said["config"]["task"] = {"table": "S4", "sha256": S3.digest}
    other.write_text(json.dumps(said))
    resigned(run.path)
    with pytest.raises(DataError, match="but the config has"):
        open_run(run.path).config  # noqa: B018  the error is what is asked for


def test_harmonics_that_do_not_fit_are_named_where_the_run_is_verified(tmp_path: Path) -> None:
    run = record(CONFIG, tmp_path, "run", progress=False)
    arrays, facts = unpack_arrays(run.read("task.safetensors"), where="x")
    del facts["format"]
    arrays["harmonics.line"] = arrays["harmonics.line"][::-1].copy()
    (run.path / "task.safetensors").write_bytes(pack_arrays(arrays, facts))
    resigned(run.path)
    found = open_run(run.path).verify()
    assert "task.safetensors" in {problem.file for problem in found}
    assert any("other answers than its labels" in str(problem) for problem in found)


def test_a_named_table_whose_representations_cannot_be_found_is_refused_at_once() -> None:
    """A name alone does not make a table one of a known family."""
    with pytest.raises(UsageError, match="202"):
        group_task(Group.from_table(group("D101").table, name="D101"))


def test_what_was_known_of_a_table_without_harmonics_is_not_kept() -> None:
    plain = binary_operation("add", np.add.outer(range(4), range(4)) % 4)
    waves = known_task("x+y mod 4").harmonics
    assert plain.digest != with_waves(plain, lambda _: waves).digest == replace(plain, harmonics=waves).digest


@pytest.mark.parametrize("name", ["S3", "A4", "x*y mod 7", "x/y mod 7", "x-y mod 6", "x*y*x^-1 in S3"])
def test_tasks_by_name_make_their_harmonics_when_they_are_asked_for(name: str) -> None:
    known_task.cache_clear()
    made = known_task(name)
    assert "harmonics" not in vars(made)
    assert made.harmonics.names
    assert pickle.loads(pickle.dumps(made)) == made == unpack_task(pack_task(made), where="x")


@pytest.mark.parametrize(
    "said",
    [None, "x", [], {"task": None}, {"task": []}, {"task": {"table": None}}, {"task": {"table": "S3", "sha256": 7}}],
)  # fmt: skip
def test_a_config_that_does_not_fit_its_table_ends_no_command_in_a_traceback(
    said: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = record(CONFIG, tmp_path, "run", progress=False)
    values = json.loads((run.path / "run.json").read_bytes())
    values["config"] = {**values["config"], **said} if isinstance(said, dict) else said
    (run.path / "run.json").write_text(json.dumps(values))
    resigned(run.path)
    for command in (("show", "run"), ("verify", "run"), ("resume", "run", "--steps", 40), ("fork", "run", "--step", 20)):
        found = call(capsys, *command, "--root", tmp_path)
        assert found.code in ((0, 1, 2) if command[0] == "show" else (1, 2)), (command, found.err)
        assert "Traceback" not in found.said
        assert "run.json" in found.err or command[0] == "show", found.err
