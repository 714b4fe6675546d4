"""Every kind of file that other people's code writes: what comes out of it is what was put in, as one run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import save
from foreign_containers import FORMS, LEAVES, SPLIT, STEPS, P, eqx, models, nested, old_torch, orbax, states, stored
from random_models import assert_same
from safetensors.torch import save_file

import interp
from interp.cli import main
from interp.errors import DataError, UsageError
from interp.interop import Known, import_run, load_run, load_weights
from interp.interop.containers.limits import STEP
from interp.store import writer

DOCS = Path(__file__).parent.parent / "docs" / "importing.md"


@pytest.mark.parametrize("name", FORMS)
def test_every_form_comes_in_as_it_was_stored(tmp_path: Path, name: str) -> None:
    form = FORMS[name]
    path = form.write(tmp_path, states())
    run = load_run(path, known=form.known)
    assert tuple(step for step, _ in run.checkpoints) == form.steps
    for (_, weights), model in zip(run.checkpoints, models(), strict=False):
        assert_same(weights, stored(model, form.precision))
    note = f"stored in {form.precision}: widened to float32 as it was read"
    assert (note in run.notes) == bool(form.precision)
    assert run.provenance.get("stored_precision", "") == form.precision
    assert not {"embed", "blocks", "unembed", "attn"} & run.provenance["config"].keys()
    assert not any("configurations" in note for note in run.notes)
    made = import_run(path, tmp_path / "runs", "made", known=replace(form.known, split=SPLIT))
    assert made.steps == form.steps
    assert made.verify() == ()
    assert made.config.dtype == "float32"
    assert_same(made[form.steps[-1]].weights, run.weights)


def test_the_table_in_the_docs_has_a_row_for_every_form() -> None:
    table = DOCS.read_text().split("<!-- forms: tests/foreign_containers.py -->")[1].split("<!-- end -->")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", table, flags=re.MULTILINE)
    assert rows[2:] == [(form.kind, form.comes) for form in FORMS.values()]


def test_measures_of_a_run_in_half_precision_are_those_of_its_numbers_in_full(tmp_path: Path) -> None:
    half = FORMS["bfloat16"].write(tmp_path, states())
    full = save({name: tensor.bfloat16().float() for name, tensor in states()[0].items()}, tmp_path / "full.pt")
    runs = [import_run(path, tmp_path / "runs", known=Known(split=SPLIT)) for path in (half, full)]
    one, other = (interp.observe(run, ["progress_measures"]) for run in runs)
    np.testing.assert_array_equal(one.restricted_loss.values, other.restricted_loss.values)


# Folders and lists


def written(folder: Path, *names: str, inside: dict[str, dict[str, object]] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        save({"model": dict(states()[number % 3]), **(inside or {}).get(name, {})}, folder / name)
    return folder


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (["model_2.pt", "model_10.pt", "model_100.pt"], (2, 10, 100)),
        (["step-000500.pt", "step-001000.pt"], (500, 1000)),
        (["1000.pth", "20.pth"], (20, 1000)),
        (["epoch=0-step=300.ckpt", "epoch=3-step=900.ckpt"], (300, 900)),
        (["p113_seed1_ckpt_5.pt", "p113_seed1_ckpt_6.pt"], (5, 6)),
        (["lr0.001-epoch4.pt", "lr0.001-epoch8.pt"], (4, 8)),
        (["run2_final_40.pt", "run2_final_70.pt"], (40, 70)),
        (["checkpoint-500.pt", "checkpoint-1500.pt", "config.json.pt"], (500, 1500)),
        (["ckpt_500.pt", "ckpt_1k.pt", "ckpt_20K.pt"], (500, 1000, 20000)),
        (["seed3_10k.pt", "seed3_20k.pt"], (10000, 20000)),
        (["epoch=1-step=10-val_loss=0.50.ckpt", "epoch=2-step=20-val_loss=0.31.ckpt"], (10, 20)),
    ],
)
def test_steps_are_read_from_names(tmp_path: Path, names: list[str], steps: tuple[int, ...]) -> None:
    run = load_run(written(tmp_path / "run", *names))
    assert tuple(step for step, _ in run.checkpoints) == steps
    assert any(note.startswith("steps: taken from the names of the files") for note in run.notes)
    again = load_run([tmp_path / "run" / name for name in reversed(names) if "config" not in name])
    assert tuple(step for step, _ in again.checkpoints) == steps


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a1_b2.pt", "a2_b3.pt"], "2 numbers differ between them: a1_b2, a2_b3"),
        (["step1_step7.pt", "step2_step9.pt"], "2 numbers differ between them"),
        (["model_10g.pt", "model_20g.pt"], "is no step"),
        (
            ["p13_seed0.pt", "p13_seed1.pt"],
            r"differ in seed \(p13_seed0, p13_seed1\): import each by itself, or give the steps",
        ),
        (["seed0_step5.pt", "seed1_step9.pt"], "differ in seed"),
        (["run_0.pt", "run_1.pt"], "differ in run"),
        (["foldx3.pt", "foldx4.pt", "fold3.pt", "fold4.pt"], "several series"),
        (["trial3.pt", "trial4.pt"], "differ in trial"),
        (["modelSeed3.pt", "modelSeed4.pt"], "differ in seed"),
        (["layer0.pt", "layer1.pt"], "they differ in layer"),
        (["model_v1.pt", "model_v2.pt"], "they differ in v "),
        (["wd_1.pt", "wd_3.pt"], "differ in wd"),
        (["wd_0.1.pt", "wd_0.3.pt"], "differ in wd"),
        (["lr_1e-3.pt", "lr_1e-4.pt"], "differ in lr"),
        (["m_p11.pt", "m_p13.pt"], "differ in p "),
        (["train_frac30.pt", "train_frac40.pt"], "differ in train_frac"),
        (["d_model64.pt", "d_model128.pt"], "differ in d_model"),
        (["m_1.pt", "m_2.pt", "n_1.pt", "n_2.pt"], r"several series of files \(m_#\.pt, n_#\.pt\)"),
        (["one.pt", "two.pt"], "the names tell no steps"),
        (["model_1.pt", "model_01.pt"], "step 1, which model_01.pt has as well|step 1, which model_1.pt has as well"),
        ([f"model_{10**13}.pt", "model_1.pt"], "is no step, expected an integer from 0 to 1,000,000,000,000"),
    ],
)
def test_names_that_do_not_tell_are_refused_with_what_was_seen(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_run(written(tmp_path / "run", *names))


def test_steps_that_the_caller_gives_are_taken_in_the_order_of_the_names(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", "a1_b2.pt", "a2_b3.pt")
    run = load_run(folder, known=Known(steps=(5, 50)))
    assert [step for step, _ in run.checkpoints] == [5, 50]
    with pytest.raises(UsageError, match="steps: given 3 for 2 files"):
        load_run(folder, known=Known(steps=(5, 50, 60)))
    alone = load_run(folder / "a1_b2.pt", known=Known(steps=(5,)))
    assert alone.checkpoints[0][0] == 5


def test_steps_inside_the_files_come_before_their_names(tmp_path: Path) -> None:
    names = ("model_1.pt", "model_2.pt")
    inside = {"model_1.pt": {"step": 100}, "model_2.pt": {"step": torch.tensor(200)}}
    run = load_run(written(tmp_path / "run", *names, inside=inside))
    assert [step for step, _ in run.checkpoints] == [100, 200]
    total = {name: {"epoch": 9000} for name in names}  # the number of epochs of the whole run, in every file
    run = load_run(written(tmp_path / "total", *names, inside=total))
    assert [step for step, _ in run.checkpoints] == [1, 2]
    assert any("because what they say inside is not one step for each" in note for note in run.notes)
    twice = {"one.pt": {"step": 3}, "two.pt": {"step": 3}}
    with pytest.raises(DataError, match="inside, 2 of the files say step 3"):
        load_run(written(tmp_path / "twice", "one.pt", "two.pt", inside=twice))


def test_what_else_is_in_a_folder_is_said_and_left(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", "model_1.pt", "model_2.pt", "final.pt")
    (folder / "log.csv").write_text("step,loss\n")
    (folder / ".hidden.pt").write_bytes(b"")
    run = load_run(folder)
    assert [step for step, _ in run.checkpoints] == [1, 2]
    assert "not read from the folder: final.pt" in run.notes
    assert run.provenance["files"] == ["model_1.pt", "model_2.pt"]
    with pytest.raises(UsageError, match=r"no file of tensors .* import each of the folders in it by itself: run"):
        load_run(tmp_path)
    with pytest.raises(UsageError, match="given no files"):
        load_run([])


def test_files_of_two_models_are_no_run(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", "model_1.pt")
    other = {name: tensor[..., :2] for name, tensor in states()[0].items()}
    save(other, folder / "model_2.pt")
    with pytest.raises(DataError, match=r"model_2\.pt: other tensors than in model_1\.pt"):
        load_run(folder)


def test_a_folder_is_imported_by_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written(tmp_path / "my-run", "model_0.pt", "model_100.pt")
    with pytest.raises(SystemExit) as ended:
        main(["import", str(folder), "--split", "python:3:0.3", "--root", str(tmp_path / "runs")])
    assert ended.value.code in (0, None)
    assert "2 checkpoints, steps 0 to 100" in capsys.readouterr().out
    assert interp.open_run(tmp_path / "runs" / "my-run").steps == (0, 100)


def test_one_step_of_a_folder(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", "model_0.pt", "model_100.pt")
    assert_same(load_weights(folder, step=100), models()[1])
    with pytest.raises(UsageError, match="unknown step '7'"):
        load_weights(folder, step=7)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("step_70.pt", 70),
        ("12.pt", 12),
        ("epoch=2-step=90.ckpt", 90),
        ("ckpt-8.pt", 8),
        ("wd_0.1_final.pt", 0),
        ("seed1.pt", 0),
        ("model_5.pt", 0),
    ],
)
def test_a_single_name_tells_a_step_only_where_it_says_so(tmp_path: Path, name: str, step: int) -> None:
    run = load_run(save(dict(states()[0]), tmp_path / name))
    assert run.checkpoints[0][0] == step
    assert any("taken from the file's name" in note for note in run.notes) == (step > 0)


def test_this_toolkits_own_checkpoints_come_in_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for step, model in zip(STEPS, models(), strict=True):
        interp.export_weights(model, tmp_path / "run" / f"at_{step}.safetensors", step=step)
    run = load_run(tmp_path / "run")
    assert [step for step, _ in run.checkpoints] == [*STEPS]
    assert_same(run.weights, models()[-1])


# Containers


def test_a_container_with_a_name_of_its_own(tmp_path: Path) -> None:
    run = load_run(save({"version": 1, "my_transformer": dict(states()[0])}, tmp_path / "odd.pt"))
    assert_same(run.weights, models()[0])
    assert "the model was read from 'my_transformer'" in run.notes
    assert "not read from the file: version" in run.notes


@pytest.mark.parametrize(
    "name",
    ["model", "state_dict", "model_state_dict", "model_state", "net", "network", "params", "weights", "variables", "module"],
)
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "model.", "net."])
def test_usual_names_and_prefixes(tmp_path: Path, name: str, prefix: str) -> None:
    state = {prefix + key: tensor for key, tensor in states()[0].items()}
    run = load_run(save({name: state, "epoch": 7, "note": "x"}, tmp_path / "m.pt"))
    assert_same(run.weights, models()[0])
    assert run.checkpoints[0][0] == 7
    assert (f"the prefix {prefix!r} before every name was left out" in run.notes) == bool(prefix)
    assert "not read from the file: note" in run.notes


def test_a_prefix_of_some_names_stays(tmp_path: Path) -> None:
    state = {f"model.{key}" if "embed" in key else key: tensor for key, tensor in states()[0].items()}
    with pytest.raises(DataError, match=r"model\.embed\.W_E|blocks"):
        load_run(save(state, tmp_path / "m.pt"), "official")


SERIES = {
    "pairs": lambda s: [(e, dict(m)) for e, m in zip(STEPS, s, strict=True)],
    "texts": lambda s: {f"step_{e}": dict(m) for e, m in zip(STEPS, s, strict=True)},
    "numbers as text": lambda s: {"snapshots": {str(e): {"model": dict(m)} for e, m in zip(STEPS, s, strict=True)}},
    "a list with its steps": lambda s: {"snapshots": [*map(dict, s)], "steps": torch.tensor(STEPS), "epochs": 5},
    "steps of its name": lambda s: {"models": [*map(dict, s)], "model_epochs": [*STEPS], "losses": [1.0] * 900},
}


@pytest.mark.parametrize("name", SERIES)
def test_models_by_step(tmp_path: Path, name: str) -> None:
    run = load_run(save(SERIES[name](states()), tmp_path / "s.pt"))
    assert [step for step, _ in run.checkpoints] == [*STEPS]
    for (_, weights), model in zip(run.checkpoints, models(), strict=True):
        assert_same(weights, model)


def test_a_list_without_steps_needs_them(tmp_path: Path) -> None:
    path = save([*map(dict, states())], tmp_path / "list.pt")
    with pytest.raises(DataError, match=r"3 models without their steps; give them, in their order, with --steps"):
        load_run(path)
    run = load_run(path, known=Known(steps=STEPS))
    assert [step for step, _ in run.checkpoints] == [*STEPS]
    with pytest.raises(DataError, match="steps: given 2 for 3 models"):
        load_run(path, known=Known(steps=(1, 2)))
    with pytest.raises(DataError, match="given step 1 after step 2"):
        load_run(path, known=Known(steps=(1, 2, 1)))
    run = load_run(save({"models": [*map(dict, states())], "train_losses": [1.0, 0.5, 0.1]}, tmp_path / "losses.pt"))
    assert [step for step, _ in run.checkpoints] == [0, 1, 2]
    assert "models: 3 models and as many losses: their places were taken as steps, from 0" in run.notes


def test_layers_in_a_list_are_no_steps(tmp_path: Path) -> None:
    layers = [{"w": torch.ones(3, 4)}, {"w": torch.ones(4, 5)}]
    with pytest.raises(DataError, match=r"0\.w"):
        load_run(save({"params": layers}, tmp_path / "layers.pt"))


def test_of_several_models_the_caller_says_which(tmp_path: Path) -> None:
    two = {"student": {"a": dict(states()[0])}, "teacher": {"a": dict(states()[1])}, "step": 4}
    path = save(two, tmp_path / "two.pt")
    with pytest.raises(DataError, match=r"2 models .*'student'.*'teacher'.*--within NAME"):
        load_run(path)
    run = load_run(path, known=Known(within="teacher.a"))
    assert_same(run.weights, models()[1])
    assert run.checkpoints[0][0] == 4
    with pytest.raises(DataError, match=r"within: given 'teacher\.b', but there is no 'b' in it; there are 'a'"):
        load_run(path, known=Known(within="teacher.b"))


@pytest.mark.parametrize("where", ["config", "cfg", "args", "hparams", "hyper_parameters", "hyperparameters", "params"])
def test_settings_under_usual_names(tmp_path: Path, where: str) -> None:
    given = {"n_head": 2, "train_frac": 0.3, "random_seed": 3, "modulus": P, "wd": 0.5, "learning_rate": 0.01, "op": "x - y"}
    run = load_run(save({"net": dict(states()[0]), where: given}, tmp_path / "m.pt"))
    assert (run.config.optimizer.lr, run.config.optimizer.weight_decay) == (0.01, 0.5)
    assert run.task.operation == "subtract"
    for theirs, ours in (("n_head", "n_heads"), ("wd", "weight_decay"), ("modulus", "p"), ("train_frac", "frac_train")):
        assert f"{where}: {theirs} = {given[theirs]!r} was read as {ours}" in run.notes
    assert run.provenance["config"]["seed"] == 3


def test_the_first_of_two_settings_is_taken_and_the_other_named(tmp_path: Path) -> None:
    content = {"net": dict(states()[0]), "config": {"optim": {"wd": 1.0}}, "args": {"weight_decay": 2.0}}
    run = load_run(save(content, tmp_path / "m.pt"))
    assert run.config.optimizer.weight_decay == 1.0
    assert "args: weight_decay = 2.0 was not taken: weight_decay is 1.0 already" in run.notes


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (2**63, "given 9,223,372,036,854,775,808, expected an integer from 0 to"),
        (STEP + 1, "expected an integer from 0 to 1,000,000,000,000"),
        (float("nan"), "given nan"),
        (-1, "given -1"),
        (0.5, r"given 0\.5"),
        (10**60, "an integer has 200 bits, the limit is 128"),
        (float("inf"), "given inf"),
        ("many", "given str"),
    ],
)
@pytest.mark.parametrize("where", ["epoch", "global_step", "key", "list"])
def test_steps_that_are_none_are_refused(tmp_path: Path, step: object, message: str, where: str) -> None:
    state = dict(states()[0])
    content = {"model": state, where: step}
    if where == "key":
        content = {step: state}
    if where == "list":
        content = {"state_dicts": [state], "epochs": [step]}
    if where == "key" and step == "many":
        return  # a name like any other
    with pytest.raises(DataError, match=message):
        load_run(save(content, tmp_path / "m.pt"))


def test_losses_in_an_array_are_losses(tmp_path: Path) -> None:
    content = {"model": dict(states()[0]), "train_losses": np.array([2.0, 1.0]), "test_losses": torch.tensor([3.0, 2.5])}
    run = load_run(save(content, tmp_path / "m.pt"))
    assert (run.train_losses, run.test_losses) == ({0: 2.0, 1: 1.0}, {0: 3.0, 1: 2.5})


# Files without names, and what a message must say


def test_leaves_need_a_template_and_the_error_shows_the_shapes(tmp_path: Path) -> None:
    path = eqx(states()[0], tmp_path / "m.eqx")
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in states()[0].values())
    with pytest.raises(
        DataError, match=re.escape("12 arrays without names, and no names for them: this kind of file keeps only their order")
    ) as raised:
        load_run(path)
    assert shapes in str(raised.value)
    assert "--leaves W_E,W_pos,..." in str(raised.value)
    with pytest.raises(DataError, match="12 arrays without names, and 2 names"):
        load_run(path, known=Known(leaves="a,b"))
    with pytest.raises(DataError, match="one name is given twice"):
        load_run(path, known=Known(leaves=",".join(["x"] * 12)))
    dropped = LEAVES.replace("blocks.0.attn.mask", "-")
    assert_same(load_weights(path, known=Known(leaves=dropped)), models()[0])


def test_other_files_are_named_with_what_to_do(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 12345678\n"
    array = tmp_path / "array.npy"
    np.save(array, np.ones((2, 3)))
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array({"W_E": 1}, dtype=object), allow_pickle=True)
    cases = {
        "lfs.pt": (pointer, r"given a Git LFS pointer \(4d7a214614ab\.\.\., 12,345,678 bytes\).*git lfs pull"),
        "page.pt": (b"\n<!DOCTYPE html><title>404</title>", "given an HTML page"),
        "x.gz": (b"\x1f\x8b\x08\x00", "a gzip file: unpack it first"),
        "x.h5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        "array.npy": (array.read_bytes(), r"one array of shape \(2, 3\) without a name.*numpy\.savez"),
        "objects.npy": (objects.read_bytes(), "holds Python objects, which only a pickle restores, and pickles are not loaded"),
        "plain.pkl": (b"\x80\x04}\x94.", "a pickle that is not torch's: pickles are not loaded"),
    }
    for name, (data, message) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=message):
            load_run(tmp_path / name)


def test_arrays_of_objects_in_an_npz_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "o.npz", a=np.array([None, {}], dtype=object))
    with pytest.raises(DataError, match="holds Python objects"):
        load_run(tmp_path / "o.npz")


def test_npz_in_any_order_of_bytes_and_of_axes(tmp_path: Path) -> None:
    arrays = {name: np.asfortranarray(tensor.numpy().astype(">f4")) for name, tensor in states()[0].items()}
    np.savez_compressed(tmp_path / "m.npz", **arrays)
    assert_same(load_weights(tmp_path / "m.npz"), models()[0])


def test_an_extra_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "msgpack", None)
    monkeypatch.setitem(__import__("sys").modules, "tensorstore", None)
    (tmp_path / "m.msgpack").write_bytes(b"\x81\xa1a\x01")
    with pytest.raises(UsageError, match=re.escape("pip install 'interp[flax]'")):
        load_run(tmp_path / "m.msgpack")
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "_METADATA").write_text(json.dumps({"tree_metadata": {}}))
    with pytest.raises(UsageError, match=re.escape("pip install 'interp[orbax]'")):
        load_run(tmp_path / "checkpoint")


def test_two_parameters_in_one_place_of_an_orbax_store_are_told(tmp_path: Path) -> None:
    path = orbax(nested(states()[0]), tmp_path / "checkpoint")
    told = json.loads((path / "_METADATA").read_text())
    told["tree_metadata"]["again"] = {"key_metadata": [{"key": "embed.W_E"}], "value_metadata": {"value_type": "jax.Array"}}
    (path / "_METADATA").write_text(json.dumps(told))
    with pytest.raises(DataError, match=r"two arrays are stored in one place \(embed\.W_E\)"):
        load_run(path)


# Nothing is left behind


def test_an_import_that_fails_on_the_way_leaves_nothing_and_keeps_the_name_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = FORMS["official"].write(tmp_path, states())
    known = Known(split=SPLIT)
    calls: list[Path] = []

    def fails(path: Path, data: bytes) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", str(path))
        path.write_bytes(data)

    monkeypatch.setattr(writer, "write_new", fails)
    with pytest.raises(DataError, match=r"No space left on device.*nothing of this import was kept") as raised:
        import_run(path, tmp_path / "runs", "made", known=known)
    assert "interp resume" not in str(raised.value)
    assert len(calls) == 2
    assert not (tmp_path / "runs").exists()
    monkeypatch.undo()
    assert import_run(path, tmp_path / "runs", "made", known=known).steps == STEPS
    with pytest.raises(UsageError, match="exists already"):
        import_run(path, tmp_path / "runs", "made", known=known)
    assert interp.open_run(tmp_path / "runs" / "made").verify() == ()


def test_torch_reads_the_same_numbers(tmp_path: Path) -> None:
    """Views, transposed and shared storages, parameters, every precision: as torch itself reads them."""
    from interp.interop.untrusted import read_untrusted

    base = torch.arange(24, dtype=torch.float64).reshape(4, 6)
    content = {
        "t": base.T, "part": base[1:3, ::2], "parameter": torch.nn.Parameter(base.float()), "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(3.5), "bool": base > 5, "short": base.short(), "half": base.half(), "bf": base.bfloat16(),
        "eight": base.to(torch.float8_e5m2), "long": base.long(), "uint16": base.to(torch.uint16),
        "mask": torch.ones(1).expand(9, 9),
    }  # fmt: skip
    for written_by in (save, old_torch):
        if written_by is old_torch:  # torch cannot read these back either
            del content["eight"], content["uint16"]
        path = written_by(content, tmp_path / f"{written_by.__name__}.pt")
        read, truth = read_untrusted(path), torch.load(path, weights_only=True)
        for name, tensor in truth.items():
            assert read[name].dtype == tensor.dtype, name
            assert torch.equal(read[name].double(), tensor.double()), name
    eight = old_torch({"w": base.to(torch.float8_e5m2)}, tmp_path / "eight.pt")  # which torch saves and cannot load
    assert torch.equal(read_untrusted(eight)["w"].double(), base.to(torch.float8_e5m2).double())


def test_trainings_of_several_seeds_are_no_run_though_each_file_says_a_step_of_its_own(tmp_path: Path) -> None:
    inside = {f"seed{seed}.pt": {"step": 100 + seed} for seed in range(2)}
    folder = written(tmp_path / "run", *inside, inside=inside)
    with pytest.raises(DataError, match="the files differ in seed"):
        load_run(folder)
    run = load_run(folder, known=Known(steps=(4, 7)))
    assert [step for step, _ in run.checkpoints] == [4, 7]


def trainers_folder(folder: Path) -> Path:
    """Folders as transformers' trainer writes them, and a log in the last."""
    for at, step in enumerate((0, 500, 1000)):
        inner = folder / f"checkpoint-{step}"
        inner.mkdir(parents=True)
        save_file(states()[at], inner / "model.safetensors")
        torch.save({"state": {}}, inner / "optimizer.pt")
        (inner / "config.json").write_text(json.dumps({"num_heads": 2, "lr": 0.25}))
        rows = [{"step": s, "epoch": s / 10, "loss": 2.0} for s in (10, 20)] + [{"step": 20, "eval_loss": 3.0}]
        summary = {"step": 20, "train_loss": 7.0, "train_runtime": 3.5}
        (inner / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": [*rows, summary]}))
    return folder


def test_a_folder_of_folders_is_one_run_with_configuration_and_log(tmp_path: Path) -> None:
    folder = trainers_folder(tmp_path / "run")
    run = load_run(folder)
    assert [step for step, _ in run.checkpoints] == [0, 500, 1000]
    assert run.provenance["files"][1] == "checkpoint-500/model.safetensors"
    assert run.provenance["config"] == {"n_heads": 2, "lr": 0.25}
    assert run.log is not None
    assert run.log.columns == {"train_loss": {10: 2.0, 20: 2.0}, "test_loss": {20: 3.0}}
    assert "trainer_state.json, which lies in the folder, was taken for its training log" in run.notes
    assert "config.json, which lies in the folder, was taken for its configuration" in run.notes
    again = load_run([folder / f"checkpoint-{step}" / "model.safetensors" for step in (500, 1000)])
    assert [step for step, _ in again.checkpoints] == [500, 1000]
    alone = tmp_path / "alone"
    alone.mkdir()
    (folder / "checkpoint-500").rename(alone / "checkpoint-500")
    assert load_run(alone).checkpoints[0][0] == 500
    for step in (0, 1000):
        (folder / f"checkpoint-{step}").rename(folder / f"seed{step}")
    with pytest.raises(DataError, match="differ in seed"):
        load_run(folder)


def test_files_beside_the_models_are_used_or_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", "ckpt_500.pt", "ckpt_1k.pt")
    (folder / "config.json").write_text(json.dumps({"wd": 0.5}))
    (folder / "log.csv").write_text("step,test_acc\n3,0.5\n")
    (folder / "train_indices.json").write_text("[1, 2]")
    (folder / "notes.json").write_text("{}")
    run = load_run(folder)
    assert run.provenance["config"]["weight_decay"] == 0.5
    assert run.log is not None
    assert run.log.columns == {"test_accuracy": {3: 0.5}}
    assert "not read from the folder: notes.json, train_indices.json (give it with --split-file, if it lists pairs)" in run.notes
    (folder / "pairs.json").symlink_to("pairs.json")  # a link to itself
    with pytest.raises((DataError, UsageError), match=r"pairs\.json"):
        load_run(folder, known=Known(split_file=folder / "pairs.json"))
    (folder / "pairs.json").unlink()
    (folder / "more.csv").write_text("step,test_acc\n3,0.75\n")
    run = load_run(folder)
    assert run.log is None
    assert any("several training logs lie in the folder (log.csv, more.csv)" in note for note in run.notes)
    run = load_run(folder, known=Known(log=folder / "more.csv"))
    assert run.log is not None
    assert run.log.columns == {"test_accuracy": {3: 0.75}}
