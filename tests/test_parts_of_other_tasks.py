"""Parts, changes and readings where the answers are not addition by that name: the waves are those of the task's answers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import interp
from interp import ModularTask, Run, RunConfig, synthetic
from interp.cli import main
from interp.config.run_config import CheckpointConfig, ModelConfig
from interp.errors import UsageError
from interp.harmonics.residues import powers
from interp.interventions.masks import clustered
from interp.interventions.parts import check_parts, cluster_of, put
from interp.networks.one_layer import Weights
from interp.networks.pair_tables import pair_logits
from interp.tasks.recognized import residues_of

P = 11
MULTIPLY = ModularTask(P, operation="multiply")


def config(task, **fields) -> RunConfig:
    model = ModelConfig(d_model=16, n_heads=2, d_mlp=24)
    return RunConfig(
        task=task, model=model, checkpoints=CheckpointConfig(log=3, every=10), steps=10, engine="reference", threads=1, **fields
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    root = tmp_path_factory.mktemp("runs")
    names = {"addition": "x+y mod 11", "quotient": "x/y mod 11", "group": "S3"}
    return {what: interp.record(config(interp.task(name)), root, what, progress=False) for what, name in names.items()}


def clock_of_products(frequencies: list[int]) -> Weights:
    """A planted clock on the exponents: it multiplies modulo 11, and knows nothing of 0."""
    clock, power = synthetic.clock_weights(P - 1, frequencies, amplitude=20.0), powers(P)
    tensors = dict(clock.tensors())
    W_E, W_U = clock.W_E.new_zeros(P + 1, clock.W_E.shape[1]), clock.W_U.new_full((clock.W_U.shape[0], P), 0.0)
    W_E[power], W_E[P] = clock.W_E[: P - 1], clock.W_E[P - 1]
    W_U[:, power] = clock.W_U[:, : P - 1]
    tensors |= {"W_E": W_E, "W_U": W_U}
    if clock.b_U is not None:
        b_U = clock.b_U.new_zeros(P)
        b_U[power] = clock.b_U[: P - 1]
        tensors["b_U"] = b_U
    return Weights.from_tensors(tensors, attention_rate=clock.attention_rate)


def test_a_planted_clock_of_products_has_its_clusters_and_key_directions() -> None:
    whole, plain = clock_of_products([2, 3]), synthetic.clock_weights(P - 1, [2, 3], amplitude=20.0)
    pairs = torch.from_numpy(MULTIPLY.pairs)
    units = (pairs[:, 0] > 0) & (pairs[:, 1] > 0)
    answers = pair_logits(whole)[:, 1:].argmax(dim=1) + 1
    assert torch.equal(answers[units], torch.from_numpy(MULTIPLY.labels)[units])
    for k in (2, 3):
        assert cluster_of(whole, [k], MULTIPLY) == cluster_of(plain, [k], ModularTask(P - 1)) != []
    both = clustered(whole, MULTIPLY)
    assert set(both.nonzero().flatten().tolist()) == {*cluster_of(whole, [2], MULTIPLY), *cluster_of(whole, [3], MULTIPLY)}
    # All of its key directions, in an embedding of zeros, are the embedding of the units, about its mean.
    blank = replace(whole, W_E=torch.zeros_like(whole.W_E))
    found = put("keys:2+3", whole, blank, MULTIPLY)["W_E"]
    rows = whole.W_E[1:P] - whole.W_E[1:P].mean(dim=0)
    assert torch.allclose(found[1:P], rows, atol=1e-5)
    assert float(found[[0, P]].abs().max()) == 0
    # In the order of residues these directions are others.
    assert not torch.allclose(put("keys:2+3", whole, blank, ModularTask(P))["W_E"][1:P], rows, atol=1e-2)


def test_frequencies_go_as_far_as_those_of_the_answers() -> None:
    weights = clock_of_products([2, 3])
    check_parts(["keys:5", "cluster:2"], weights, MULTIPLY)
    with pytest.raises(UsageError, match=r"given 'keys:6': 6 is none of 1\.\.5"):
        check_parts(["keys:6"], weights, ModularTask(P))
    with pytest.raises(UsageError, match=r"given 'cluster:6': 6 is none of 1\.\.5"):
        check_parts(["cluster:6"], weights, MULTIPLY)
    for part in ("keys:1", "cluster:1", "keys:(2,1)"):
        with pytest.raises(
            UsageError, match=rf"given '{re.escape(part)}', but the answers of S3 have no frequencies; name tensors"
        ):
            check_parts([part], weights, interp.task("S3"))
    with pytest.raises(UsageError, match="S3, whose answers have no frequencies"):
        put("cluster:1", weights, weights, interp.task("S3"))
    with pytest.raises(UsageError, match=r"given 'W_E', expected a list of parts, such as \['W_E'\]"):
        check_parts("W_E", weights, MULTIPLY)
    with pytest.raises(UsageError, match="given 'W_E' more than once"):
        check_parts(["W_E", "mlp", "W_E"], weights, MULTIPLY)


def test_patches_of_a_group_refuse_frequencies_and_take_tensors(runs: dict[str, Run]) -> None:
    table = interp.patch(runs["group"], from_=10, into=0, parts=["W_E", "hook_embed", "hook_pos_embed"], controls=1)
    assert {"W_E", "hook_embed", "hook_pos_embed"} <= set(table.index.unique("part"))
    with pytest.raises(UsageError, match="the answers of S3 have no frequencies"):
        interp.patch(runs["group"], from_=10, into=0, parts=["keys:1"])
    with pytest.raises(UsageError, match=r"given 'blocks\.0\.mlp\.hook_post', a hook point, expected tensors"):
        interp.patch_matrix(runs["group"], parts=["blocks.0.mlp.hook_post"])
    with pytest.raises(UsageError, match=r"given 'blocks\.0\.mlp\.hook_post', expected a list of parts"):
        interp.patch_matrix(runs["group"], parts="blocks.0.mlp.hook_post")
    for how, message in (
        ({"parts": "W_E"}, r"given 'W_E', expected a list"),
        ({"controls": 1.5}, "controls: given 1.5, expected a whole number"),
        ({"seed": "a"}, "seed: given 'a', expected a whole number"),
    ):
        with pytest.raises(UsageError, match=message):
            interp.patch(runs["group"], from_=10, into=0, **how)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("x+y mod 7", "add"), ("Z6", "add"), ("x-y mod 7", "subtract"), ("x*y mod 7", None), ("S3", None), ("x/y mod 7", None)],
)
def test_a_sum_is_a_sum_by_any_name(name: str, kind: str | None) -> None:
    task = interp.task(name)
    assert residues_of(task) == kind
    if kind is None:
        with pytest.raises(UsageError, match="expected addition or subtraction modulo p"):
            config(task, changes=("5:ablate.logits=2",))
    else:
        assert config(task, changes=("5:ablate.logits=2",)).changes


def test_a_difference_without_harmonics_has_no_keys_that_could_be_taken() -> None:
    a, b = np.divmod(np.arange(49), 7)
    task = interp.table_task(((a - b) % 7).reshape(7, 7), name="mine")
    assert residues_of(task) == "subtract"
    assert config(task, changes=("5:ablate.logits=2",)).changes
    for frequencies in ("keys", "newest"):
        with pytest.raises(UsageError, match="given mine, expected addition or subtraction modulo p"):
            config(task, changes=(f"5:ablate.logits={frequencies}",))


def test_interventions_take_a_sum_by_any_name(runs: dict[str, Run], tmp_path: Path) -> None:
    plain = interp.record(config(ModularTask(P)), tmp_path, "plain", progress=False)
    for read in (interp.readout, interp.mask_overlap):
        one, other = read(plain), read(runs["addition"])
        assert list(one.columns) == list(other.columns)
        assert np.allclose(one, other, rtol=1e-4, equal_nan=True)  # of the same seeds
    assert "clusters" in interp.mask_overlap(runs["quotient"])
    assert "clusters" not in interp.mask_overlap(runs["group"])
    with pytest.raises(UsageError, match="expected addition modulo p"):
        interp.readout(runs["quotient"])


def test_a_pair_without_an_answer_is_not_asked(runs: dict[str, Run]) -> None:
    for pair, source in (((3, 0), (3, 4)), ((3, 4), (3, 0))):
        with pytest.raises(UsageError, match=r"given \(3, 0\), which has no answer in x/y mod 11"):
            interp.patch_activation(runs["quotient"], "blocks.0.mlp.hook_post", pair=pair, source=source)


def test_frequencies_to_take_away_are_numbers_of_any_kind() -> None:
    clock = synthetic.clock_weights(7, [2, 3], amplitude=20.0)
    expected = repr(interp.ablate(clock, [2, 3]))
    for given in (np.array([2, 3]), torch.tensor([2, 3]), (np.int64(2), 3)):
        assert repr(interp.ablate(clock, given)) == expected
    assert repr(interp.ablate(clock, np.int64(2))) == repr(interp.ablate(clock, 2))
    for given in ([], True, [True]):
        with pytest.raises(UsageError, match="expected at least one frequency"):
            interp.ablate(clock, given)


def test_seeds_and_shares_are_checked(runs: dict[str, Run]) -> None:
    for how, message in (
        ({"seeds": 0}, r"seeds: given 0, expected a list of whole numbers"),
        ({"seeds": []}, "seeds: given none"),
        ({"seeds": [0, 0]}, "expected each once"),
        ({"keep": "0.5"}, r"keep: given '0\.5', expected a share"),
    ):
        with pytest.raises(UsageError, match=message):
            interp.ticket(runs["addition"], step=10, steps=5, **how)
    with pytest.raises(UsageError, match="keep: given 'x'"):
        interp.mask_overlap(runs["addition"], keep="x")


def test_transplants_of_other_parts_and_lengths_stand_beside_each_other(runs: dict[str, Run], tmp_path: Path) -> None:
    how = {"step": 10, "seeds": [3], "root": tmp_path, "progress": False}
    interp.transplant(runs["addition"], steps=5, **how)
    interp.transplant(runs["addition"], steps=5, parts=["W_E", "heads:0"], **how)
    interp.transplant(runs["addition"], steps=6, **how)
    names = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert {f"addition-at10-transplant{part}-seed3-for{n}" for part, n in (("", 5), ("-of-W_E-heads0", 5), ("", 6))} <= names
    assert "addition-at10-nothing-seed3-for5" in names  # it is the same of all parts
    interp.ticket(runs["addition"], step=10, seeds=[0], steps=5, root=tmp_path / "tickets", progress=False)
    interp.ticket(runs["addition"], step=10, seeds=[0], steps=6, root=tmp_path / "tickets", progress=False)


def test_a_drawn_split_is_not_taken_for_its_rule(runs: dict[str, Run]) -> None:
    with pytest.raises(UsageError, match=r"expected how it was drawn, an interp\.SplitConfig such as run\.config\.split"):
        interp.Known(split=runs["addition"].split)


def test_shards_of_a_model_are_named_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import save_file

    save_file({"W_E": torch.zeros(3, 2)}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"W_U": torch.zeros(2, 3)}, tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(SystemExit):
        main(["import", str(tmp_path), "--root", str(tmp_path / "runs")])
    assert "one of 2 files over which one model is spread" in " ".join(capsys.readouterr().err.split())


def test_what_is_masked_has_no_answer() -> None:
    table = np.ma.masked_where([[False] * 3, [False, False, True], [False, True, False]], [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
    assert interp.table_task(table).left_out.tolist() == [5, 7]
