"""Tasks by name: the operations of Power et al., groups, random labels and files, in Python, in files and on the command line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import interp
from interp.cli import main
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import UsageError
from interp.harmonics import CyclicHarmonics, take_logits
from interp.observing.circuit import Model
from interp.store.task_file import pack_task, unpack_task
from interp.tasks.operators import IN_GROUPS, MODULAR
from interp.tasks.task import answered

P = 11
INVERSE = {y: next(z for z in range(P) if y * z % P == 1) for y in range(1, P)}
RULES = {
    "x+y": lambda x, y: x + y,
    "x-y": lambda x, y: x - y,
    "x*y": lambda x, y: x * y,
    "x/y": lambda x, y: x * INVERSE[y] if y else None,
    "x/y if y odd else x-y": lambda x, y: x * INVERSE[y] if y % 2 else x - y,
    "x^2+y^2": lambda x, y: x * x + y * y,
    "x^2+xy+y^2": lambda x, y: x * x + x * y + y * y,
    "x^2+xy+y^2+x": lambda x, y: x * x + x * y + y * y + x,
    "x^3+xy": lambda x, y: x**3 + x * y,
    "x^3+xy^2+y": lambda x, y: x**3 + x * y * y + y,
}
SMALL = RunConfig(
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=16), checkpoints=CheckpointConfig(log=0, every=10), steps=20, threads=1,
    engine="reference",
)  # fmt: skip


def run_command(*words: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(list(words))
    return int(exit_.value.code or 0)


@pytest.mark.parametrize("formula", MODULAR)
def test_formulas_modulo_p(formula: str) -> None:
    task = interp.task(f"{formula} mod {P}")
    assert task.is_binary_operation
    for row in answered(task):
        x, y = divmod(int(row), P)
        assert task.labels[row] == RULES[formula](x, y) % P
    left_out = [] if task.left_out is None else task.left_out.tolist()
    assert left_out == [x * P for x in range(P) if formula == "x/y"]


@pytest.mark.parametrize("formula", IN_GROUPS)
def test_formulas_in_a_group(formula: str) -> None:
    task, group = interp.task(f"{formula} in D5"), interp.group("D5")
    times, back = group.table, group.inverses
    for x, y in [(3, 7), (8, 2), (9, 9)]:
        product = times[x, y]
        right = {"x*y": product, "x*y*x^-1": times[product, back[x]], "x*y*x": times[product, x]}[formula]
        assert task.labels[x * 10 + y] == right
    assert task.elements == group.elements
    assert task.harmonics.names == ("A2", "E1", "E2")
    assert (np.bincount(task.labels) == 10).all()  # as many pairs for every answer, so that means over them weigh alike


def test_names_of_the_paper_stand_for_its_modulus_and_its_group() -> None:
    assert interp.task("x^3 + xy").name == "x^3+xy mod 97"
    assert interp.task("x·y·x^-1") == interp.task("x*y*x^-1 in S5")
    assert interp.task("x*y in S5") == interp.task("S5")
    assert interp.task("x / y").name == "x/y mod 97"


@pytest.mark.parametrize(
    ("name", "squeezed"), [("Z2 x Z4", "Z2xZ4"), ("S 3", "S3"), (" D5 ", "D5"), ("x * y * x in Z2 x Z4", "x*y*x in Z2xZ4")]
)
def test_spaces_do_not_count(name: str, squeezed: str) -> None:
    assert interp.task(name) == interp.task(squeezed)
    assert interp.task(name).name == squeezed


def test_harmonics_are_those_of_addition_in_an_order() -> None:
    """The answer that the harmonics expect is the label, and the names are frequencies."""
    for formula, n in (("x+y", P), ("x-y", P), ("x*y", P - 1), ("x/y", P - 1)):
        task = interp.task(f"{formula} mod {P}")
        assert isinstance(task.harmonics, CyclicHarmonics)
        assert task.harmonics.n == n
        right = torch.nn.functional.one_hot(torch.from_numpy(task.labels), P).double()
        assert torch.equal(take_logits(task.harmonics, right).argmax(dim=1), task.harmonics.line)
    assert interp.task("x*y mod 8").harmonics is None
    assert interp.task("x^2+y^2 mod 7").harmonics is None
    assert interp.task("Z7").harmonics is interp.ModularTask(7).harmonics


@pytest.mark.parametrize("name", ["S4", "Q8", "A4", "Z2xZ4", "x*y*x^-1 in S3", "Z7", "x/y mod 7", "random labels mod 5, seed 1"])
def test_named_tasks_are_stored_whole(name: str) -> None:
    task = interp.task(name)
    again = unpack_task(pack_task(task), where="here")
    assert again == task
    assert (again.elements, again.digest) == (task.elements, task.digest)
    if task.harmonics is not None:
        assert again.harmonics.names == task.harmonics.names
        for part in task.harmonics.names:
            assert torch.equal(again.harmonics.projector([part]), task.harmonics.projector([part]))
    data = pack_task(task)
    for broken in (data[:-9], data.replace(b"labels", b"labelz"), data.replace(b"inputs", b"inputz")):
        with pytest.raises(interp.errors.DataError, match="here: "):
            unpack_task(broken, where="here")


def test_a_groups_file_has_a_function_for_each_part_and_not_its_projector() -> None:
    assert b"harmonics.functions" in pack_task(interp.task("S4"))
    assert b"harmonics.projector" in pack_task(interp.task("x*y*x^-1 in S4"))


def test_random_labels_are_reproducible_and_even() -> None:
    task = interp.task("random labels mod 97, seed 3")
    assert task == interp.task("random labels mod 97 seed 3")
    assert task.labels[:6].tolist() == np.random.RandomState(3).randint(97, size=(97, 97))[0, :6].tolist()
    assert (task.labels != interp.task("random labels mod 97, seed 4").labels).mean() > 0.95
    counts = np.bincount(task.labels, minlength=97)
    assert abs((counts - 97) ** 2 / 97).sum() < 160  # chi-square with 96 degrees of freedom: 1 in 20,000
    assert task.harmonics is None


BAD = {
    "S": "expected a group: Z113",
    "x^4 mod 7": "a formula modulo p: x[+]y, x-y",
    "x/y mod 8": "given modulus 8, expected a prime",
    "x+y mod 1": "expected an integer in 2..10,000",
    "x+y mod 99999": "expected an integer in 2..10,000",
    "x*y*x in G5": "group: given 'G5', expected a name such as",
    "Z1": "a group of one element",
    "random labels mod 1": "given modulus 1",
    "random labels mod 5, seed 9999999999": "expected an integer in 0..2",
    "nothing.csv": "table nothing.csv does not exist",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_names(name: str) -> None:
    with pytest.raises(UsageError, match=BAD[name]):
        interp.task(name)


# Tables from files


def test_tables_from_files(tmp_path: Path) -> None:
    (tmp_path / "xor.csv").write_text("0, 1\n1, 0\n")
    (tmp_path / "xor.json").write_text("[[0, 1], [1, 0]]")
    (tmp_path / "told.json").write_text(json.dumps({"table": [[0, 1], [1, None]], "name": "or so", "elements": ["f", "t"]}))
    assert interp.table_task(tmp_path / "xor.csv") == interp.table_task(tmp_path / "xor.json")
    assert interp.task(str(tmp_path / "xor.csv")).name == "xor"
    told = interp.table_task(tmp_path / "told.json")
    assert (told.name, told.elements, told.left_out.tolist()) == ("or so", ("f", "t"), [3])
    assert interp.table_task(np.array([[1, 0], [0, 1]]), name="xnor").labels.tolist() == [1, 0, 0, 1]


WRONG = {
    "0,1\n1\n": "row 1 has 1 entries, expected 2",
    "0,1\n1,\n": "row 1, column 1 is empty, expected an integer in 0..1, or '-'",
    "0,1\n1,2\n": "row 1, column 1 is 2, expected an integer in 0..1",
    "0,1\nx,0\n": 'row 1, column 0 is "x", expected an integer',
    "0,1\n-1,0\n": "row 1, column 0 is -1",
    "0,1.5\n1,0\n": 'row 0, column 1 is "1.5"',
    "": r"given \[\], expected n rows",
    "-,-\n-,-\n": "expected some of the 4 rows, numbered from 0, and not all",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_file_is_named_by_row_and_column(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UsageError, match=WRONG[text]):
        interp.table_task(tmp_path / "t.csv")


WRONG_JSON = {
    "{}": "expected a list of lists",
    "[[0, true], [1, 0]]": "column 1 is true",
    "[[0, 1.0], [1, 0]]": "column 1 is 1.0",
    "[0]": "expected n rows",
    "[": "cannot be read",
}


@pytest.mark.parametrize(("text", "message"), WRONG_JSON.items())
def test_wrong_json(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        interp.table_task(tmp_path / "t.json")


# Pairs that are left out


def test_pairs_without_an_answer_are_in_no_part_and_no_mean(tmp_path: Path) -> None:
    task = interp.task("x/y mod 7")
    split = interp.SplitConfig(fraction=0.5, seed=1).draw(task)
    assert (len(split.train), len(split.test)) == (21, 21)
    assert not np.isin(task.left_out, np.concatenate([split.train, split.test])).any()
    assert unpack_task(pack_task(task), where="here") == task
    run = interp.record(replace(SMALL, task=task, split=interp.SplitConfig(fraction=0.5)), tmp_path, "division", progress=False)
    opened = interp.open_run(run.path)
    assert opened.verify() == ()
    assert opened.split.left_out.tolist() == task.left_out.tolist()
    is_left_out = torch.isin(torch.arange(49), torch.from_numpy(task.left_out)).double()
    found = Model(opened.last.weights, opened.task, opened.split).means(is_left_out)
    assert {float(value) for value in found.values()} == {0.0}
    series = interp.observe(opened, ["progress_measures", "loss_curves"], steps=[20])
    assert float(series["restricted_loss"][0]) > 0
    page = interp.report(opened, tmp_path / "page.html")
    assert not page.failures
    assert "with 21 of the 42 pairs" in page.html


def test_harmonics_of_pairs_that_are_left_out_are_refused() -> None:
    table = interp.task("Z3").labels.reshape(3, 3)
    holes = np.eye(3, dtype=bool)
    with pytest.raises(UsageError, match="its harmonics have rows that it leaves out"):
        interp.binary_operation("z", table, left_out=holes & (table == 0), harmonics=interp.task("Z3").harmonics)
    with pytest.raises(UsageError, match="expected truth values of shape"):
        interp.binary_operation("z", table, left_out=[[0, 1]])


# In files and on the command line


@pytest.mark.parametrize(("suffix", "text"), [(".json", '{"task": "S3", "steps": 9}'), (".toml", 'task = "S3"\nsteps = 9\n'),
                                               (".toml", 'steps = 9\n[task]\nname = "S3"\n')])  # fmt: skip
def test_configurations_name_a_task(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"c{suffix}"
    path.write_text(text)
    config = RunConfig.from_file(path)
    assert config == RunConfig(task=interp.task("S3"), steps=9)
    assert config.to_dict()["task"] == {"table": "S3", "sha256": interp.task("S3").digest}
    assert RunConfig.from_json(config.to_json()) == config


def test_a_configuration_says_everything_that_is_wrong_with_its_task_and_the_rest() -> None:
    with pytest.raises(UsageError) as error:
        RunConfig.from_json('{"task": "S", "steps": -1, "sede": 3}')
    assert [line.strip().split(":")[0] for line in str(error.value).splitlines()] == ["config", "task", "sede", "steps"]
    for text, message in (
        ('{"task": {"name": "S3", "p": 5}}', "task.p: not a field of a task that is named"),
        ('{"task": {"name": "S3", "equals_sign": 1}}', "task.equals_sign: given 1, expected true or false"),
        ('{"task": {"table": "S3", "sha256": "0"}}', "given the table 'S3' by its name and hash alone"),
        ('{"task": {"table": "mine", "sha256": "0"}}', "given the table 'mine' by its name and hash alone"),
    ):
        with pytest.raises(UsageError, match=message):
            RunConfig.from_json(text)
    assert RunConfig.from_json('{"task": {"name": "S3", "equals_sign": false}}').task.n_ctx == 2


def test_a_group_is_trained_shown_resumed_analysed_and_reported_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--model.d-model", "16", "--model.d-mlp", "16", "--model.n-heads", "2", "--engine", "reference", "--threads", "1"]
    assert run_command("train", "demo", "--task", "S4", "--steps", "40", *flags) == 0
    (path,) = (tmp_path / "checkpoints").iterdir()
    assert path.name.startswith("demo-s4-")
    run = interp.open_run(path)
    assert run.task == interp.task("S4")
    assert run.record["config"]["task"] == {"table": "S4", "sha256": run.task.digest}
    for words in (["show", path.name], ["runs"], ["verify", path.name], ["resume", path.name, "--steps", "60"],
                  ["analyze", path.name, "--steps", "40"], ["report", path.name, "-o", "page.html"]):  # fmt: skip
        capsys.readouterr()
        assert run_command(*words) == 0
        said = capsys.readouterr().out
        if words[0] == "show":
            assert "learns: S4, from 230 of 576 pairs" in said
            assert "task: S4 (not a + b modulo 59)" in said
        if words[0] == "analyze":
            assert "(3,1)" in said
    html = (tmp_path / "page.html").read_text()
    assert "trained on S4, with 230 of the 576 pairs" in html
    assert "S4 is not addition modulo n in any order" in html.replace("&#39;", "'")
    assert re.search("interp train demo --task S4", html)
    assert run_command("analyze", path.name, "-a", "progress_measures", "--key-rule", "(3,1),(1,1,1,1)", "--steps", "40") == 0
    assert "(1,1,1,1)" in capsys.readouterr().out
    assert run_command("doctor", "demo", "--task", "S4") == 0


def test_a_name_and_fields_together_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_command("train", "demo", "--task", "S4", "--task.p", "7") == 2
    assert "--task.p, --task.operation: given with --task S4, expected one or the other" in capsys.readouterr().err
    (tmp_path / "c.toml").write_text('task = "S3"\n')
    assert run_command("train", str(tmp_path / "c.toml"), "--task.p", "7") == 2
    assert "the task is the table 'S3', which they do not describe; name another with --task" in capsys.readouterr().err
    for operation in ("subtract", "add"):
        assert run_command("train", "power", "--task.operation", operation, "--root", str(tmp_path)) == 2
        assert "the task is the table 'x/y mod 97', which they do not describe" in capsys.readouterr().err
    assert run_command("train", "s5", "--task.p=120", "--root", str(tmp_path)) == 2
    assert run_command("train", "demo", "--task", "S4", "--task.operation=add") == 2
    assert run_command("doctor", "power", "--task.operation", "add") == 2
    assert not any(tmp_path.glob("*/run.json"))
    assert run_command("train", "demo", "--task", "S") == 2
    assert "expected a group: Z113" in capsys.readouterr().err


def test_p_alone_is_another_modulus_of_a_formula(tmp_path: Path) -> None:
    words = ("--task.p", "7", "--steps", "0", "--root", str(tmp_path), "--name", "it")
    assert run_command("train", "power", *words) == 0
    config = interp.open_run(tmp_path / "it").config
    assert config.task.name == "x/y mod 7"
    assert config.optimizer.batch_size == 7 * 6 // 2 // 2


def test_a_study_varies_tasks_by_name(tmp_path: Path) -> None:
    base = replace(SMALL, steps=10)
    study = interp.Study(base, {"task": ["S3", "x^2+y^2 mod 5"]}, seeds=(0,), name="tasks", root=tmp_path)
    assert [point.values["task"] for point in study.plan.points()] == ["S3", "x^2+y^2 mod 5"]
    assert [point.config.task.p for point in study.plan.points()] == [6, 5]
    study.run(workers=1, progress=False)
    assert list(interp.open_study(tmp_path / "tasks").outcomes()["task"]) == ["S3", "x^2+y^2 mod 5"]
    tabled = interp.Study(replace(base, task=interp.task("S3")), {"task": ["D4", "Q8"]}, seeds=(0,), name="more", root=tmp_path)
    assert [point.config.task.name for point in tabled.plan.points()] == ["D4", "Q8"]
    with pytest.raises(UsageError, match=r"task\.p: the task is a table and has no such field; vary task, by names"):
        interp.Study(replace(base, task=interp.task("S3")), {"task.p": [5]}, seeds=(0,), name="odd", root=tmp_path)
    with pytest.raises(UsageError, match="expected a group"):
        interp.Study(base, {"task": ["S"]}, seeds=(0,), name="bad", root=tmp_path)


def test_a_configuration_takes_a_task_by_its_name() -> None:
    assert RunConfig(task="S3").task == interp.task("S3")  # type: ignore[arg-type]  # as files and the command line have it
    with pytest.raises(UsageError, match="S99"):
        RunConfig(task="S99")  # type: ignore[arg-type]
