"""Parts of one checkpoint in another: identities, planted circuits, controls, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from interp import ModularTask, Run, RunConfig, patch, patch_matrix, record, synthetic
from interp.cli import main
from interp.config.run_config import CheckpointConfig, ModelConfig
from interp.errors import UsageError
from interp.figures.patch_figure import patch_figure
from interp.interventions.parts import check_clusters, cluster_of, put
from interp.interventions.patching import keys_of
from interp.interventions.random_parts import permuted_neurons, turned
from interp.interventions.readings import Reader
from interp.networks.one_layer import Weights, forward

CONFIG = RunConfig(
    task=ModularTask(11),
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=3, every=10),
    steps=30,
    engine="reference",
    threads=1,
)

PAIRS = torch.from_numpy(CONFIG.task.pairs)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(CONFIG, tmp_path_factory.mktemp("run"), "run", progress=False)


def test_all_of_a_checkpoint_in_another_is_that_checkpoint(run: Run) -> None:
    table = patch(run, from_=30, into=0, parts=["embedding", "attention", "mlp", "unembedding"], controls=1)
    whole = table.loc[("embedding + attention + mlp + unembedding", "patched")]
    donor, nothing = table.loc[("donor", "patched")], table.loc[("nothing", "patched")]
    assert whole.equals(donor)
    assert donor["test_loss"] == pytest.approx(run[30].losses["test_loss"], rel=1e-4)
    assert nothing["train_loss"] == pytest.approx(run[0].losses["train_loss"], rel=1e-4)
    assert list(table.index.unique("part"))[2:] == [
        "embedding", "attention", "mlp", "unembedding", "embedding + attention", "embedding + attention + mlp",
        "embedding + attention + mlp + unembedding",
    ]  # fmt: skip


def test_a_part_in_its_own_checkpoint_changes_nothing_nor_do_its_controls(run: Run) -> None:
    table = patch(run, from_=20, into=20, parts=["W_in", "heads:1", "keys:2+3"])
    assert (table.drop(columns="draws").round(12).nunique(dropna=False) == 1).all()


@pytest.mark.parametrize("part", ["W_E", "heads:1", "neurons:3+7", "keys:2", "attention", "mlp"])
def test_what_is_put_is_the_donors_and_the_rest_is_not_touched(run: Run, part: str) -> None:
    donor, into = run[30].weights, run[0].weights
    before = {name: tensor.clone() for name, tensor in into.tensors().items()}
    found = put(part, donor, into, CONFIG.task)
    assert all(torch.equal(tensor, before[name]) for name, tensor in into.tensors().items())
    changed = {name for name, tensor in found.items() if not torch.equal(tensor, before[name])}
    assert changed == {
        "W_E": {"W_E"}, "heads:1": {"W_Q", "W_K", "W_V", "W_O"}, "neurons:3+7": {"W_in", "b_in", "W_out"}, "keys:2": {"W_E"},
        "attention": {"W_Q", "W_K", "W_V", "W_O"}, "mlp": {"W_in", "b_in", "W_out", "b_out"},
    }[part]  # fmt: skip
    if part == "heads:1":
        assert torch.equal(found["W_Q"][0], into.W_Q[0])
        assert torch.equal(found["W_Q"][1], donor.W_Q[1])
    if part == "neurons:3+7":
        assert torch.equal(found["W_out"][[3, 7]], donor.W_out[[3, 7]])
        assert torch.equal(found["W_in"][:, 4], into.W_in[:, 4])


def test_key_directions_are_those_of_the_donor_and_the_others_stay(run: Run) -> None:
    from interp import FourierBasis

    basis, donor, into = FourierBasis(11), run[30].weights, run[0].weights
    found = put("keys:2", donor, into, CONFIG.task)["W_E"]
    given, mine, theirs = (basis(W[:11].T.double()) for W in (found, into.W_E, donor.W_E))
    assert torch.allclose(given[:, 3:5], theirs[:, 3:5], atol=1e-6)
    rest = [0, 1, 2, *range(5, 11)]
    assert torch.allclose(given[:, rest], mine[:, rest], atol=1e-6)


def test_half_of_a_planted_clock_keeps_its_cluster() -> None:
    """A clock without the neurons of a frequency gets it back by `cluster:` from the whole one, and by nothing random."""
    clock = synthetic.clock_weights(11, [2, 3])
    of_two, of_three = cluster_of(clock, [2], CONFIG.task), cluster_of(clock, [3], CONFIG.task)
    assert of_two
    assert of_three
    assert not set(of_two) & set(of_three)
    W_out = clock.W_out.clone()
    W_out[of_two] = 0
    broken = replace(clock, W_out=W_out)
    mended = Weights.from_tensors(put("cluster:2", clock, broken, CONFIG.task), attention_rate=clock.attention_rate)
    assert torch.equal(forward(mended, PAIRS).logits, forward(clock, PAIRS).logits)
    assert not torch.allclose(forward(broken, PAIRS).logits, forward(clock, PAIRS).logits)


def test_a_cluster_without_neurons_is_refused() -> None:
    clock = synthetic.clock_weights(11, [2, 3])
    blank = clock.map(torch.zeros_like)
    with pytest.raises(UsageError, match=r"given 'cluster:5', but no neuron .* follows 5"):
        check_clusters(["attention", "cluster:5"], [clock], CONFIG.task)
    check_clusters(["attention", "cluster:2"], [blank, clock], CONFIG.task)  # one of them has it
    with pytest.raises(UsageError, match=r"given 'cluster:2'"):
        check_clusters(["cluster:2"], [blank], CONFIG.task)


def test_a_random_direction_has_the_norm_and_the_angle() -> None:
    generator = torch.Generator().manual_seed(0)
    mine, theirs = torch.randn(50, generator=generator).double(), torch.randn(50, generator=generator).double()
    found = turned(mine, theirs, generator)
    assert float(found.norm()) == pytest.approx(float(theirs.norm()))
    assert float(found @ mine) == pytest.approx(float(theirs @ mine))
    assert abs(float(found @ theirs) / float(found.norm() * theirs.norm())) < 0.9
    assert permuted_neurons({"W_E": mine}, {"W_E": theirs}, generator) is None


def test_the_readings_are_those_of_the_run(run: Run) -> None:
    found = Reader(run.task, run.split, (2,)).of(run[30].weights)
    losses = run[30].losses
    for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy"):
        assert found[name] == pytest.approx(losses[name], rel=1e-4), name


def test_activations_of_another_step_are_what_is_gone_on_with(run: Run) -> None:
    hooks = ["blocks.0.mlp.hook_post", "blocks.0.hook_resid_post", "blocks.0.hook_resid_pre"]
    table = patch(run, from_=30, into=0, parts=[*hooks, "W_U"], controls=1)
    first, last = run[0].weights, run[30].weights
    neurons = forward(last, PAIRS).neurons
    reader = Reader(run.task, run.split, keys_of(run))
    there = forward(first, PAIRS)
    assert first.b_out is not None
    expected = reader((there.resid_mid + neurons @ first.W_out + first.b_out) @ first.W_U)
    assert table.loc[(hooks[0], "patched"), "test_loss"] == pytest.approx(expected["test_loss"], rel=1e-4)
    # All that follows the last residual stream is the unembedding: with that of the donor it is the donor.
    unembedded = reader(forward(last, PAIRS).resid_post @ first.W_U)
    assert table.loc[(hooks[1], "patched"), "test_loss"] == pytest.approx(unembedded["test_loss"], rel=1e-4)
    assert table.loc[(hooks[1], "other pairs"), "draws"] == 1
    own = patch(run, from_=30, into=30, parts=hooks, controls=0).round(5)
    assert (own.drop(columns="draws").nunique() == 1).all()
    with pytest.raises(UsageError, match=r"unknown hook point 'blocks.0.mlp.hook_pots'; did you mean 'blocks.0.mlp.hook_post'"):
        patch(run, from_=30, into=0, parts=["blocks.0.mlp.hook_pots"])


def test_the_matrix_has_the_run_on_its_diagonal(run: Run) -> None:
    seen: list[tuple[int, int]] = []
    found = patch_matrix(run, parts=["W_E", "attention"], threads=2, on_step=lambda *done: seen.append(done))
    steps = list(run.steps)
    assert found["into"].values.tolist() == found["from_"].values.tolist() == steps
    own = [run[step].losses["test_loss"] for step in steps]
    assert [float(found["test_loss"].sel(into=s, from_=s)) for s in steps] == pytest.approx(own, rel=1e-4)
    one = patch(run, from_=30, into=0, parts=["W_E", "attention"], controls=0).loc[("W_E + attention", "patched")]
    assert float(found["test_loss"].sel(into=0, from_=30)) == pytest.approx(one["test_loss"], rel=1e-4)
    assert seen[-1] == (len(steps) ** 2,) * 2
    drawn = patch_figure(found)
    assert drawn.data[0].z.shape == (len(steps), len(steps))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"from_": 16}, "did you mean 20"),
        ({"parts": []}, "parts: given none, expected embedding"),
        ({"parts": ["atention"]}, "unknown part 'atention'; did you mean 'attention'"),
        ({"parts": ["b_O"]}, "given 'b_O', which this network does not have"),
        ({"parts": ["heads:2"]}, r"given 'heads:2': 2 is none of 0\.\.1"),
        ({"parts": ["keys:6"]}, r"6 is none of 1\.\.5"),
        ({"parts": ["cluster:0"]}, r"0 is none of 1\.\.5"),
        ({"controls": -1}, "controls: given -1"),
    ],
)
def test_what_does_not_fit_is_refused(run: Run, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        patch(run, **{"from_": 30, "into": 0, **changes})  # type: ignore[arg-type]  # that is the point


def test_a_donor_must_have_the_task_and_the_shape(run: Run, tmp_path: Path) -> None:
    other = record(replace(CONFIG, task=ModularTask(13), steps=1), tmp_path, "other", progress=False)
    with pytest.raises(UsageError, match=r"donor: given a run of .*13, expected .*11"):
        patch(run, from_=1, into=0, donor=other)
    wide = record(replace(CONFIG, model=replace(CONFIG.model, d_mlp=25), steps=1), tmp_path, "wide", progress=False)
    with pytest.raises(UsageError, match=r"donor: W_in: given \(16, 25\), expected \(16, 24\)"):
        patch_matrix(run, parts=["W_in"], donor=wide)
    seeded = record(replace(CONFIG, seed=3), tmp_path, "seeded", progress=False)
    assert patch(run, from_=30, into=0, donor=seeded, parts=["all"]).loc[("all", "patched")]["test_loss"] > 0


def test_the_command(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def called(*given: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["patch", str(run.path), *given])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    code, said = called("--from", "30", "--into", "0", "--parts", "attention,W_in", "--controls", "1")
    assert code == 0
    assert all(word in said for word in ("attention + W_in", "random direction", "permuted neurons"))
    assert called("--matrix", "--parts", "W_E", "-o", str(tmp_path / "x.html"))[0] == 0
    assert "put into step" in (tmp_path / "x.html").read_text()
    assert called("--from", "30") == (2, "error: patch: expected --from STEP and --into STEP, or --matrix\n")
