"""The group-representation code's files: numbering, function, published figures, planted circuits, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from published_groups import (
    a_then_b,
    after_one_update,
    bilinear_logits,
    config,
    coset_mlp,
    initial_state,
    mlp_logits,
    pairs_of,
    transformer_state,
    written,
)

import interp
from interp import observe, open_run, report
from interp.anatomy import anatomy
from interp.anatomy.source import open_source
from interp.cli import main
from interp.errors import DataError, UsageError
from interp.groups.by_name import group
from interp.groups.published_orders import listed, numbers_in_ours, published_group
from interp.harmonics import irreps
from interp.interop import Known, explain, export_weights, import_run, load_run, load_weights
from interp.interop.known import UnknownFactError
from interp.losses import cross_entropy
from interp.networks.two_embeddings import TwoEmbeddings
from interp.store.task_file import pack_task, unpack_task
from interp.tasks.modular import ModularTask
from interp.tasks.published_groups import published_task
from interp.tasks.splits import SplitConfig


def command(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 0


@pytest.mark.parametrize("name", ["S2", "S3", "S4", "S5", "A5"])
def test_elements_stand_in_the_order_in_which_sympy_lists_them(name: str) -> None:
    from sympy.combinatorics import Permutation, PermutationGroup
    from sympy.combinatorics.named_groups import SymmetricGroup

    n = int(name[1:])
    of_a5 = PermutationGroup(Permutation(0, 1, 2, 3, 4), Permutation(1, 2)(3, 4))
    theirs = list((of_a5 if name == "A5" else SymmetricGroup(n)).generate())
    assert listed(name).tolist() == [element.array_form for element in theirs]
    made, products = published_group(name), {tuple(element.array_form): at for at, element in enumerate(theirs)}
    some = range(0, len(theirs), max(1, len(theirs) // 12))
    assert all(made.table[a, b] == products[tuple((theirs[a] * theirs[b]).array_form)] for a in some for b in some)


@pytest.mark.parametrize("name", ["S4", "S5", "A5"])
def test_the_task_is_a_then_b_with_the_parts_of_our_group(name: str, tmp_path: Path) -> None:
    task, ours = published_task(name, equals_sign=False), group(name)
    assert torch.equal(torch.from_numpy(task.labels), a_then_b(name))
    numbers = numbers_in_ours(name)  # an isomorphism
    assert np.array_equal(numbers[published_group(name).table], ours.table[np.ix_(numbers, numbers)])
    assert task.harmonics.names == tuple(rho.name for rho in irreps(ours)[1:])
    for rho in irreps(ours)[1:]:  # a representation's matrix elements, inverted, lie in its part of functions
        functions = rho.matrices[torch.from_numpy(numbers)].flatten(1)
        assert torch.allclose(task.harmonics.projector([rho.name]) @ functions, functions)
    assert unpack_task(pack_task(task), where="here") == task


def test_cyclic_and_dihedral_groups_are_numbered_as_ours() -> None:
    assert published_task("C113") == ModularTask(113)
    d5 = published_task("D5", equals_sign=False)
    for x in range(10):  # the published rule: turn and mirror, x first
        for y in range(10):
            (turn, mirror), (other, its) = (x % 5, x // 5), (y % 5, y // 5)
            turned = (turn - other if mirror else turn + other) % 5
            assert d5.labels[10 * x + y] == turned + 5 * ((mirror + its) % 2)
    assert published_task("D1", equals_sign=False).p == 2
    assert published_task("C1024").p == 1024


@pytest.mark.parametrize("name", ["Q8", "D0", "C0", "C1", "C99999999", "C1025", "D513", "Z2xZ4", "C\u0663", "S7", ""])
def test_a_group_of_no_name_of_theirs_is_refused_by_what_was_given_and_what_is_taken(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        Known(group=name)
    assert str(refused.value) == (
        f"group: given {name!r}, expected C2 to C1024 (cyclic, of so many elements), D1 to D512 (dihedral, of twice as many), or "
        "one of S2, S3, S4, S5, S6, A5"
    )


# Of the first update, epoch 0 in their metrics.csv: seed, fraction, losses on train and test, share of W_x W in a part.
PUBLISHED = {
    "S5": (
        2,
        0.4,
        4.7839576473991805,
        4.790347954000195,
        {"(4,1)": 0.12810832, "(2,2,1)": 0.21054485, "(1,1,1,1,1)": 0.008357502},
    ),
    "A5": (3, 0.5, 4.088657800902286, 4.098327671228033, {"(4,1)": 0.25927126, "(3,2)": 0.4189638}),
    "D59": (1, 0.3, 4.766598024049174, 4.772654304268617, {"A2": 0.006939985, "E1": 0.03713558, "E2": 0.03462798}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_losses_of_the_first_update_come_out(name: str, tmp_path: Path) -> None:
    seed, fraction, train, test, shares = PUBLISHED[name]
    labels = torch.from_numpy(published_task(name, equals_sign=False).labels)
    path = written(tmp_path / "checkpoints", after_one_update(labels, seed, fraction), "epoch_0.pt")
    config(tmp_path, name, seed=seed, frac_train=fraction)
    imported = load_run(path)
    assert imported.config.split == SplitConfig("torch", seed, fraction)
    found = imported.account.performance
    assert (found.train[0], found.test[0]) == pytest.approx((train, test), abs=1e-8)  # float32 there
    first, _ = imported.weights.embeddings
    for part, share in shares.items():
        kept = imported.task.harmonics.projector([part]) @ first
        assert float(kept.square().sum() / first.square().sum()) == pytest.approx(share, rel=1e-6)


def test_function_and_neurons_are_theirs(tmp_path: Path) -> None:
    state = initial_state(24, 5, embed_dim=16, hidden_dim=40)
    config(tmp_path, "S4")
    imported = load_run(written(tmp_path, state))
    a, b = pairs_of(24)
    neurons, logits = mlp_logits(state, a, b)
    sites = imported.weights.activations(imported.task.inputs)
    assert (sites["mlp.hook_post"] - neurons).abs().max() < 1e-6
    assert (sites["logits"] - logits).abs().max() < 1e-6
    bilinear = {name: tensor for name, tensor in initial_state(24, 6, embed_dim=40, hidden_dim=40).items() if name != "W"}
    config(tmp_path, "S4", "BilinearNet")
    imported = load_run(written(tmp_path, bilinear, "bilinear.pt"))
    assert (imported.weights.logits(torch.from_numpy(imported.task.inputs)) - bilinear_logits(bilinear, a, b)).abs().max() < 1e-6
    assert imported.weights.embeddings[0].shape == (24, 80)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("S5_MLP_seed2")
    written(folder, coset_mlp("S5"))
    config(folder, "S5")
    return folder


def test_a_planted_representation_is_found_in_a_run(planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(*["import", str(planted), "--root", str(tmp_path), "--name", "s5"])
    told = capsys.readouterr().out
    assert "cfg.json: OneLayerMLP on the group S5" in told
    assert "sums of squared weights are of these" in told
    run = open_run(tmp_path / "s5")
    assert (run.steps[-1], run.config.split, run.config.model.architecture) == (249999, SplitConfig("torch", 2, 0.4), "mlp")
    assert (run.config.optimizer.weight_decay, run.config.optimizer.beta2, run.config.seed) == (1.0, 0.98, 2)
    assert isinstance(run.last.network, TwoEmbeddings)
    assert run.task == published_task("S5", equals_sign=False)
    assert run.verify() == ()
    series = observe(run, analyses=["progress_measures", "representations"])
    assert "(4,1)" in str(series.attrs)
    for name in ("part_share_W_E", "part_share_W_L", "character_share"):
        assert float(series[name].sel(representation="(4,1)")[-1]) == pytest.approx(1)
    report(run, tmp_path / "page.html", analyses=["representations"])
    assert "Which representations of the group is it made of?" in (tmp_path / "page.html").read_text()
    command(*["anatomy", str(run.path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["accuracy"] == {"all": 1.0, "train": 1.0, "test": 1.0}
    assert found["key_representations"] == ["(4,1)"]
    assert found["character_share"]["(4,1)"] == pytest.approx(1)
    assert found["restricted"]["all"] == pytest.approx(found["loss"]["all"], rel=1e-6)
    assert found["excluded"]["all"] == pytest.approx(np.log(120), rel=1e-6)
    assert found["part_shares"]["E_a"]["(4,1)"] == pytest.approx(1)


def test_the_file_alone_is_dissected(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(*["anatomy", str(planted / "model.pt")])
    told = capsys.readouterr().out
    assert "key representations" in told
    assert "(4,1)" in told
    source = open_source(planted / "model.pt")
    assert (source.step, source.weight_decay, source.fraction) == (249999, 1.0, 0.4)
    assert "group" in explain(planted / "model.pt").text


@pytest.mark.parametrize(("name", "part"), [("A5", "(3,1,1)+"), ("D5", "E2"), ("S4", "(2,1,1)"), ("C13", 3)])
def test_planted_characters_in_a_bilinear_file_are_found(name: str, part: str | int, tmp_path: Path) -> None:
    ours = group(name.replace("C", "Z"))
    numbers = torch.from_numpy(numbers_in_ours(name)) if name[0] in "SA" else torch.arange(ours.order)
    rho = next(one for one in irreps(ours) if one.name == part).matrices[numbers]
    if rho.is_complex():
        rho = torch.cat([torch.cat([rho.real, -rho.imag], 2), torch.cat([rho.imag, rho.real], 2)], 1)
    d = rho.shape[1]
    i, j, k = (index.flatten() for index in torch.meshgrid(*[torch.arange(d)] * 3, indexing="ij"))
    state = {"W_x": rho[:, i, j], "W_y": rho[:, j, k], "W_U": 20 * rho[:, i, k].T}
    config(tmp_path, name, "BilinearNet")
    imported = load_run(written(tmp_path, {name: tensor.float() for name, tensor in state.items()}))
    found = anatomy(imported.weights, task=imported.task, split=imported.split)
    if name != "D5":  # E2 of D5 is faithful too
        assert found["accuracy"]["all"] == 1
    keys = found["key_frequencies"] if name == "C13" else found["key_representations"]
    assert keys == [part]
    assert found["excluded_single"].keys() == {str(part)}


def test_a_transformer_is_read_with_its_group(tmp_path: Path) -> None:
    weights, state = transformer_state("S4")
    path = written(tmp_path, state)
    config(tmp_path, "S4", "Transformer", num_epochs=50000, frac_train=0.6)
    imported = load_run(path)
    assert (imported.format, imported.checkpoints[-1][0], imported.task) == ("transformer-lens", 49999, published_task("S4"))
    assert torch.equal(imported.weights.W_E, weights.W_E)
    assert imported.account.performance.accuracy == 1
    run = import_run(path, tmp_path / "runs", "s4")
    found = anatomy(run.last, task=run.task, split=run.split)
    assert found["key_representations"] == ["(3,1)"]
    assert found["restricted"]["all"] == pytest.approx(found["loss"]["all"], rel=1e-6)
    config(tmp_path, "S4")
    with pytest.raises(DataError, match="it is of model 'OneLayerMLP', but the tensors are those of a transformer"):
        load_run(path)


def test_without_a_configuration_the_group_is_the_one_it_multiplies_in(tmp_path: Path) -> None:
    path = written(tmp_path, coset_mlp("S4"))
    imported = load_run(path)
    assert imported.task == published_task("S4", equals_sign=False)
    assert any("the model is right for 100.0% of its products" in note for note in imported.notes)
    assert load_run(path, known=Known(group="S4")).task == imported.task
    with pytest.raises(UsageError, match="given S3, which has 6 elements, but the tensors have 24, as C24 or D12 or S4 has"):
        load_run(path, known=Known(group="S3"))
    assert load_run(path, known=Known(group="Z24")).task == ModularTask(24, equals_sign=False)
    untrained = written(tmp_path, initial_state(24, 0, embed_dim=8, hidden_dim=16), "untrained.pt")
    with pytest.raises(UnknownFactError, match="products of none of C24, D12, S4, which have 24 elements; give it"):
        load_run(untrained)
    found = load_run(untrained, known=Known(group="D12"))
    assert any("WARNING: the model is right for" in note for note in found.notes)
    with pytest.raises(UsageError, match="given S4 and operation add, expected one of them"):
        Known(group="S4", operation="add")


def test_a_series_of_checkpoints_is_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "S4_MLP_seed2" / "checkpoints"
    for epoch in (0, 100, 2000):
        written(folder, coset_mlp("S4", amplitude=1.0 + epoch), f"epoch_{epoch}.pt")
    config(folder.parent, "S4")
    run = import_run(folder, tmp_path / "runs", "s4")
    assert list(run.steps) == [0, 100, 2000]
    assert "steps are epochs: the state of epoch e has had e + 1 updates" in run.provenance["notes"]


WRONG = {
    "W of other height": ({"W": torch.zeros(15, 40)}, r"W: given shape \(15, 40\), expected \(16, hidden_dim\): twice"),
    "another unembedding": ({"W_U": torch.zeros(40, 23)}, r"W_U: given shape \(40, 23\), expected \(hidden_dim=40, n=24"),
    "embeddings of two groups": ({"W_y": torch.zeros(23, 8)}, r"W_y: given shape \(23, 8\), expected \(n=24, embed_dim=8"),
    "a bias": ({"b": torch.zeros(40)}, r"surplus tensors \['b'\]"),
    "integers": ({"W": torch.zeros(16, 40).long()}, r"W: given shape \(16, 40\) torch.int64, expected a dense floating"),
    "a number that is none": ({"W": torch.full((16, 40), torch.nan)}, "values are not finite"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_tensors_that_do_not_fit_are_named(kind: str, tmp_path: Path) -> None:
    change, message = WRONG[kind]
    config(tmp_path, "S4")
    path = written(tmp_path, initial_state(24, 0, embed_dim=8, hidden_dim=40) | change)
    with pytest.raises(DataError, match=message):
        load_run(path)


def test_configurations_that_cannot_be_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, initial_state(24, 0, embed_dim=8, hidden_dim=40))
    for changes, message in (
        ({"group_parameter": 7}, "given group 'SymmetricGroup' with group_parameter 7"),
        ({"group": "KleinGroup"}, "given group 'KleinGroup'"),
        ({"model": "TwoLayerMLP"}, "given model 'TwoLayerMLP', expected one of OneLayerMLP, BilinearNet, Transformer"),
        ({"group_parameter": 5}, "it is of the group S5, but the tensors have 24 elements, as C24 or D12 or S4 has"),
        ({"frac_train": 40}, "given seed 2 and frac_train 40"),
    ):
        config(tmp_path, "S4", **changes)
        with pytest.raises(DataError, match=message):
            load_run(path)
    config(tmp_path, "S4").write_text("{")
    with pytest.raises(DataError, match="not a JSON file"):
        load_run(path)


class OneLayerMLP(torch.nn.Module):
    """As the code pickled whole models for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.W_x = torch.nn.Parameter(torch.zeros(6, 4))


def test_whole_modules_and_other_shapes_of_call_are_refused_with_advice(tmp_path: Path) -> None:
    torch.save(OneLayerMLP(), tmp_path / "model.pt")
    with pytest.raises(DataError, match="save the state dict alone and import that"):
        load_run(tmp_path / "model.pt")
    path = written(tmp_path / "other", coset_mlp("S3"))
    with pytest.raises(UsageError, match=r"an MLP of two embeddings.*load_run\(path\)"):
        load_weights(path)
    with pytest.raises(UsageError, match="activation: given 'gelu' for the format groups"):
        load_run(path, known=Known(activation="gelu", group="S3"))


def test_losses_are_the_cross_entropy_of_their_logits(tmp_path: Path) -> None:
    state = initial_state(60, 1, embed_dim=12, hidden_dim=20)
    config(tmp_path, "A5", seed=1, frac_train=0.5)
    imported = load_run(written(tmp_path, state))
    exact = {name: tensor.double() for name, tensor in state.items()}
    losses = cross_entropy(mlp_logits(exact, *pairs_of(60))[1], a_then_b("A5"))
    assert imported.account.performance.loss == pytest.approx(float(losses.mean()), rel=1e-9)
    torch.manual_seed(1)
    assert imported.split.train.tolist() == torch.randperm(3600)[:1800].tolist()


def renumbered(state: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """The same model on elements that are numbered as `interp.group` numbers them."""
    order = torch.from_numpy(np.argsort(numbers_in_ours(name)))
    return {key: tensor[order] if key in ("W_x", "W_y") else tensor[:, order] if key == "W_U" else tensor
            for key, tensor in state.items()}  # fmt: skip


def test_a_model_in_our_numbering_is_read_by_the_name_of_its_task(tmp_path: Path) -> None:
    path, split = written(tmp_path / "ours", renumbered(coset_mlp("S3"), "S3")), SplitConfig("python", 0, 0.5)
    run = import_run(path, tmp_path / "runs", known=Known(task="S3", split=split, trust_split=True))
    assert run.config.task == interp.task("S3", equals_sign=False)
    assert run.history["train_accuracy"].values.tolist() == [1.0]
    assert open_run(run.path).config.task == run.config.task
    assert not any("WARNING" in note for note in run.provenance["notes"])
    warned = load_run(path, known=Known(group="S3")).notes
    assert any(
        note.startswith("WARNING: the model is right for ") and "give --task S3 (known.task) in its" in note for note in warned
    )
    published = load_run(written(tmp_path / "theirs", coset_mlp("S3")), known=Known(group="S3")).notes
    assert not any("--task" in note for note in published)


def test_an_exported_run_of_a_group_is_read_back_as_itself(tmp_path: Path) -> None:
    split = SplitConfig("python", 0, 0.5)
    sizes = interp.ModelConfig(d_model=8, n_heads=2, d_mlp=8)
    given = interp.RunConfig(task=interp.task("S3"), split=split, model=sizes, steps=5)
    made = interp.record(given, tmp_path / "runs", "s3", progress=False)
    path = export_weights(made[made.steps[-1]], tmp_path / "s3.pt")
    again = import_run(path, tmp_path / "runs", "again", known=Known(task="S3", split=split, trust_split=True))
    assert again.config.task == made.config.task
    last = [run.history.sel(step=5) for run in (made, again)]
    assert float(last[1]["train_loss"]) == pytest.approx(float(last[0]["train_loss"]), rel=1e-5)
    assert float(last[1]["test_accuracy"]) == float(last[0]["test_accuracy"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("S4", "task: given 'S4', with 24 elements and 24 answers, expected an answer, one of 6, to every pair of 6 elements"),
        ("x/y mod 5", "task: given 'x/y mod 5', with 5 elements and 5 answers, of which 5 pairs have no answer"),
        ("S", "task: given 'S', expected"),
    ],
)
def test_a_task_that_the_model_cannot_have_learned_is_refused(tmp_path: Path, name: str, message: str) -> None:
    path = written(tmp_path, coset_mlp("S3"))
    with pytest.raises(UsageError, match=message):
        load_run(path, known=Known(task=name))


def test_a_task_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="task: given 'S3' and group S3, expected one of them"):
        Known(task="S3", group="S3")
    config(tmp_path, "S3", seed=1, frac_train=0.5)
    with pytest.raises(UsageError, match="task: given 'S3', but the file says 'S3'; leave it out"):
        load_run(written(tmp_path, coset_mlp("S3")), known=Known(task="S3"))
