"""Who gives parts to whom: donors in another precision, of another function, with other steps; names; and what is refused."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from interp import ModularTask, Run, RunConfig, chimera, open_run, patch, patch_matrix, record, ticket, transplant
from interp.cli import main
from interp.config.run_config import CheckpointConfig, ModelConfig
from interp.errors import UsageError
from interp.figures.patch_figure import patch_figure
from interp.interventions.random_parts import permuted_neurons
from interp.networks.initial import initial_weights

CONFIG = RunConfig(
    task=ModularTask(11),
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=3, every=10),
    steps=30,
    engine="reference",
    threads=1,
)


def made(root: Path, name: str, *, steps: int = 30, seed: int = 0, **model: object) -> Run:
    task = ModularTask(11, equals_sign=model.pop("equals_sign", True))
    config = replace(CONFIG, task=task, steps=steps, seed=seed, dtype=model.pop("dtype", "float32"))
    config = replace(config, model=replace(CONFIG.model, **model))
    return record(config, root, name, progress=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return made(tmp_path_factory.mktemp("runs"), "run")


def called(capsys: pytest.CaptureFixture[str], *given: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in given])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_only_neurons_that_were_put_are_permuted() -> None:
    generator = torch.Generator().manual_seed(0)
    mine = {
        "W_in": torch.randn(5, 9, generator=generator),
        "b_in": torch.zeros(9),
        "W_out": torch.randn(9, 4, generator=generator),
    }
    theirs, put = {name: torch.randn(tensor.shape, generator=generator) for name, tensor in mine.items()}, [1, 4, 6, 7]
    patched = {name: tensor.clone() for name, tensor in mine.items()}
    patched["W_in"][:, put], patched["b_in"][put], patched["W_out"][put] = (
        theirs["W_in"][:, put], theirs["b_in"][put], theirs["W_out"][put],
    )  # fmt: skip
    before = {name: tensor.clone() for name, tensor in patched.items()}
    found = permuted_neurons(mine, patched, generator)
    assert found is not None
    others = [n for n in range(9) if n not in put]
    assert torch.equal(found["W_in"][:, others], mine["W_in"][:, others])
    assert torch.equal(found["W_out"][others], mine["W_out"][others])
    columns = {tuple(column.tolist()) for column in patched["W_in"][:, put].T}
    assert {tuple(column.tolist()) for column in found["W_in"][:, put].T} == columns
    assert not torch.equal(found["W_in"], patched["W_in"]) or not torch.equal(found["W_out"], patched["W_out"])
    assert all(torch.equal(patched[name], before[name]) for name in patched)
    single = {**mine, "W_in": mine["W_in"].clone()}
    single["W_in"][:, 3] = 1.0
    assert permuted_neurons(mine, single, generator) is None, "one neuron has one order"


def test_a_single_neuron_has_no_control_of_order(run: Run) -> None:
    table = patch(run, from_=30, into=0, parts=["neurons:3"], controls=2)
    assert list(table.loc["neurons:3"].index) == ["patched", "random direction"]
    assert "permuted neurons" in patch(run, from_=30, into=0, parts=["neurons:3+4"], controls=2).loc["neurons:3+4"].index


def test_a_donor_in_another_precision_gives_what_this_one_has_of_it(run: Run, tmp_path: Path) -> None:
    double = made(tmp_path, "double", dtype="float64")
    for giver, taker in ((double, run), (run, double)):
        table = patch(taker, from_=30, into=0, parts=["all", "blocks.0.hook_mlp_out"], donor=giver, controls=1)
        assert table.loc[("all", "patched"), "test_loss"] == pytest.approx(giver[30].losses["test_loss"], rel=1e-5)
        matrix = patch_matrix(taker, parts=["all"], steps=[0, 30], donor=giver)
        expected = [giver[step].losses["test_loss"] for step in (0, 30)]
        assert matrix["test_loss"].values[0].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"activation": "gelu"}, "donor: given networks with activation gelu, expected relu"),
        ({"attention_rate": 0.0}, r"donor: given networks with attention_rate 0\.0, expected 1\.0"),
        ({"equals_sign": False}, r"a \+ b modulo 11 that reads 2 tokens, expected one that reads 3"),
    ],
)
def test_a_donor_is_the_same_function_of_its_weights(run: Run, tmp_path: Path, model: dict[str, object], message: str) -> None:
    other = made(tmp_path, "other", steps=1, **model)
    for ask in (
        lambda: patch(run, from_=1, into=0, donor=other),
        lambda: patch_matrix(run, parts=["all"], donor=other),
        lambda: chimera(run, other, step=0, root=tmp_path, progress=False),
    ):
        with pytest.raises(UsageError, match=message):
            ask()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_donor_with_fewer_steps_has_a_column_for_each_of_them(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = made(tmp_path, "run", steps=10)  # by name the same run
    with caplog.at_level(logging.WARNING):
        found = patch_matrix(run, parts=["all"], steps=[0, 10, 20, 30], donor=short)
    assert found["from_"].values.tolist() == [0, 10]
    assert found["test_loss"].shape == (4, 2)
    assert "has not all of these steps: the nearest that it has are taken, 0, 10" in caplog.text
    drawn = patch_figure(found)
    assert list(drawn.data[0].x) == ["0", "10"]
    assert drawn.layout.title.text == f"all: {short.path} into run"
    own = patch_matrix(run, parts=["all"], steps=[0, 30], donor=run.path)  # it is its own donor
    assert patch_figure(own).layout.title.text == "all: run"


def test_new_weights_are_not_those_that_the_parts_grew_from(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    how = {"step": 30, "parts": ["attention"], "steps": 1, "root": tmp_path, "progress": False}
    table = transplant(run, **how)
    assert set(table["seed"]) == {1}, "0 is the run's own"
    nothing = open_run(tmp_path / table.set_index("what").loc["nothing", "run"])[0].weights
    assert torch.equal(nothing.W_Q, initial_weights(replace(CONFIG, seed=1)).W_Q)
    assert not caplog.text
    with caplog.at_level(logging.WARNING):
        transplant(run, **how, seeds=[0, 2])
    assert caplog.text.count("its initial weights are no random ones, the parts grew from them") == 1
    later = made(tmp_path, "later", steps=1, seed=7)
    assert set(transplant(later, **how | {"step": 1})["seed"]) == {0}


def test_names_that_are_taken_can_be_freed(run: Run, tmp_path: Path) -> None:
    how = {"step": 30, "steps": 1, "root": tmp_path / "made", "progress": False}
    one, other = made(tmp_path / "one", "twin", seed=1), made(tmp_path / "two", "twin", seed=2)
    with pytest.raises(UsageError, match=r"chimera: given .* twice, expected two runs"):
        chimera(run, run.path, **how)
    first = chimera(one, other, **how)
    assert "twin-with-length-of-the-other-twin-at30-by-twin-for1" in set(first["run"])
    third = made(tmp_path / "three", "twin", seed=3)
    with pytest.raises(UsageError, match="remove that run or give it another name") as refused:
        chimera(one, third, **how)
    assert "--name" not in str(refused.value)
    tickets = [ticket(run, keep=keep, **how).iloc[0]["run"] for keep in (0.6, 0.60000001)]
    assert tickets[0] == "run-at30-ticket-keep0.6-seed0-for1"
    assert tickets[0] != tickets[1]


def test_nothing_is_refused_halfway(run: Run, tmp_path: Path) -> None:
    """The second of three names is taken: none of them is trained."""
    how = {"step": 30, "parts": ["attention"], "steps": 1, "root": tmp_path, "progress": False}
    table = transplant(run, **how)
    for name in table["run"]:
        shutil.rmtree(tmp_path / name)
    made(tmp_path, table.iloc[1]["run"], steps=1, seed=5)
    with pytest.raises(UsageError, match="was recorded with another config"):
        transplant(run, **how)
    assert [path.name for path in tmp_path.iterdir()] == [table.iloc[1]["run"]]


@pytest.mark.parametrize("given", [["patch", "--matrix", "--steps", "0,30", "--parts", "W_E"], ["readout"], ["masks"]])
def test_beside_json_nothing_else_is_printed(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str]
) -> None:
    out = tmp_path / "x.html"
    code, printed, said = called(capsys, given[0], run.path, *given[1:], "--json", "-o", out)
    assert code == 0
    assert json.loads(printed)
    assert f"wrote {out}" in said
    assert out.is_file()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--from", "30", "--into", "0", "-o", "x.html"], "patch: given -o, which"),
        (["--from", "30", "--into", "0", "--steps", "0:30"], "patch: given --steps, which"),
        (["--from", "30", "--into", "0", "--parts", "W_E, keys:(3,1)"], "unknown part 'keys:(3,1)'"),
        (["--matrix", "--from", "3", "--seed", "0"], "patch: given --from, --seed with --matrix"),
        (["--from", "30", "--into", "0", "--parts", "hook_embed,hook_embed"], "given 'hook_embed' more than once"),
        (["--matrix", "--steps", "11:14"], "--steps: given '11:14', in which no step was saved; saved are 0 to 30"),
    ],
)
def test_what_would_be_ignored_is_refused(run: Run, capsys: pytest.CaptureFixture[str], given: list[str], message: str) -> None:
    code, printed, said = called(capsys, "patch", run.path, *given)
    assert (code, printed) == (2, "")
    assert message in said


def test_a_readout_is_of_one_step_or_of_several(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = called(capsys, "readout", run.path, "--step", "30", "--steps", "0,30")
    assert (code, said) == (2, "error: readout: given --step 30 and --steps 0,30, expected one of them\n")
