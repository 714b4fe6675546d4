"""Networks made of parts of others, trained on: what each is made of, their controls, and a planted readout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from interp import ModularTask, Run, RunConfig, chimera, fork, open_run, readout, record, resume, synthetic, ticket, transplant
from interp.cli import main
from interp.config.run_config import CheckpointConfig, ModelConfig
from interp.errors import UsageError
from interp.figures.crossing_figure import crossing_figure
from interp.figures.readout_figure import readout_figure
from interp.interventions.masks import largest
from interp.interventions.reading_out import accuracies
from interp.interventions.trained_on import norm_of
from interp.networks.initial import initial_weights
from interp.networks.one_layer import Weights

CONFIG = RunConfig(
    task=ModularTask(11),
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=3, every=10),
    steps=30,
    engine="reference",
    threads=1,
)


def flat(weights: Weights) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in weights.tensors().values()]).double()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    root = tmp_path_factory.mktemp("runs")
    return tuple(record(replace(CONFIG, seed=seed), root, f"seed{seed}", progress=False) for seed in (0, 1))  # type: ignore[return-value]


def test_a_chimera_has_the_direction_of_one_and_the_length_of_the_other(runs: tuple[Run, Run], tmp_path: Path) -> None:
    one, other = runs
    table = chimera(one, other, step=20, steps=5, root=tmp_path, progress=False).set_index("run")
    assert list(table.index) == [
        "seed0-with-length-of-seed0-at20-by-seed0-for5", "seed0-with-length-of-seed1-at20-by-seed0-for5",
        "seed1-with-length-of-seed0-at20-by-seed0-for5", "seed1-with-length-of-seed1-at20-by-seed0-for5",
    ]  # fmt: skip
    first = {name: open_run(tmp_path / name)[0].weights for name in table.index}
    crossed = first["seed0-with-length-of-seed1-at20-by-seed0-for5"]
    a, b, x = flat(one[20].weights), flat(other[20].weights), flat(crossed)
    assert float(x @ a / (x.norm() * a.norm())) == pytest.approx(1, abs=1e-6)
    assert norm_of(crossed) == pytest.approx(float(b.norm()), rel=1e-6)
    assert torch.equal(flat(first["seed1-with-length-of-seed1-at20-by-seed0-for5"]), b)
    assert table["shared with seed0"].between(0, 1).all()
    assert open_run(tmp_path / table.index[1]).verify() == ()
    again = chimera(one, other, step=20, steps=5, root=tmp_path, progress=False)
    assert again.set_index("run").equals(table), "what is there is not trained again"
    turned = chimera(other, one, step=20, steps=5, root=tmp_path, progress=False).set_index("run")
    assert not set(turned.index) & set(table.index), "trained on other pairs"


def test_a_transplant_has_the_parts_of_the_donor_in_new_weights(runs: tuple[Run, Run], tmp_path: Path) -> None:
    table = transplant(runs[0], step=30, parts=["attention"], seeds=[4, 5], steps=5, root=tmp_path, progress=False)
    assert table["what"].tolist() == ["transplant", "random direction", "nothing"] * 2
    for seed in (4, 5):
        new = initial_weights(replace(CONFIG, seed=seed))
        found, control, plain = (open_run(tmp_path / name)[0].weights for name in table[table["seed"] == seed]["run"])
        assert torch.equal(found.W_Q, runs[0][30].weights.W_Q)
        assert torch.equal(found.W_E, new.W_E)
        assert torch.equal(plain.W_Q, new.W_Q)
        assert float(control.W_Q.norm()) == pytest.approx(float(found.W_Q.norm()), rel=1e-5)
        assert not torch.allclose(control.W_Q, found.W_Q)


def test_a_ticket_keeps_the_largest_of_the_late_weights_and_the_others_stay_0(runs: tuple[Run, Run], tmp_path: Path) -> None:
    run = runs[0]
    table = ticket(run, step=30, keep=0.6, seeds=[1], steps=8, root=tmp_path, progress=False)
    assert table["what"].tolist() == ["ticket", "dense, of its norm", "random mask"]
    drawn, dense, random = (open_run(tmp_path / name) for name in table["run"])
    mask = largest(run[30].weights.W_in, 0.6)
    assert float(mask.double().mean()) == pytest.approx(0.6, abs=0.01)
    for step in (0, 8):
        assert bool((drawn[step].weights.W_in[~mask] == 0).all())
    assert torch.equal(drawn[0].weights.W_in[mask], run[0].weights.W_in[mask])
    assert not torch.equal(drawn[8].weights.W_in[mask], run[0].weights.W_in[mask])
    assert norm_of(dense[0].weights) == pytest.approx(norm_of(drawn[0].weights), rel=1e-6)
    assert int((random[0].weights.W_in == 0).sum()) == int((~mask).sum())
    assert bool((random[0].weights.W_in[~mask] != 0).any())
    # The mask belongs to the run: it goes on with it, and so do its forks.
    assert bool((resume(drawn.path, steps=12, progress=False)[12].weights.W_in[~mask] == 0).all())
    child = fork(drawn.path, 8, moments="fresh", steps=12, name="child", progress=False)
    assert bool((child[12].weights.W_in[~mask] == 0).all())


def test_a_planted_clock_is_read_out_and_its_controls_are_not() -> None:
    found = accuracies(synthetic.clock_weights(23, [3, 5, 8]))
    assert found["as read"] == 1.0
    assert found["random phases"] < 0.5
    assert found["random frequencies"] < 0.9


def test_phases_that_do_not_fit_are_read_as_such() -> None:
    """Every neuron's column of the neuron-logit map turned by one answer: the ideal clock is off by one everywhere."""
    clock = synthetic.clock_weights(23, [3, 5, 8])
    assert accuracies(replace(clock, W_U=clock.W_U.roll(1, dims=1)))["as read"] == 0.0


def test_the_readout_over_steps_and_its_figure(runs: tuple[Run, Run]) -> None:
    found = readout(runs[0], steps=[0, 30])
    assert found.index.tolist() == [0, 30]
    assert found["test_accuracy"][30] == pytest.approx(runs[0][30].losses["test_accuracy"])
    drawn = readout_figure(found.index.tolist(), {str(name): values.tolist() for name, values in found.items()})
    assert [line.name for line in drawn.data][-1] == "test accuracy"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_figure_has_a_curve_for_each_network_and_says_which_grokked(theme) -> None:
    rows = [
        {"what": "ticket", "seed": 0, "grokked": 40.0},
        {"what": "random mask", "seed": 0, "grokked": float("nan")},
        {"what": "random mask", "seed": 1, "grokked": 60.0},
    ]
    curves = [([0, 40, 80], [0.1, 0.99, 1.0]), ([0, 40, 80], [0.1, float("nan"), 0.3]), ([0, 60, 80], [0.0, 0.99, 1.0])]
    drawn = crossing_figure(rows, curves, title="Tickets", theme=theme)
    lines = [trace for trace in drawn.data if trace.mode == "lines"]
    assert [list(line.x) for line in lines] == [[0, 40, 80], [0, 80], [0, 60, 80]]  # what was not evaluated is left out
    assert [line.showlegend for line in lines] == [True, True, False]
    dots = {trace.name: trace for trace in drawn.data if trace.mode == "markers"}
    assert list(dots["random mask"].x) == [80, 60]
    assert list(dots["random mask"].marker.symbol) == ["circle-open", "circle"]
    assert list(dots["random mask"].text) == ["seed 0 not within 80 steps", "seed 1 grokked"]
    assert len(set(dots["random mask"].y)) == 2
    assert drawn.layout.meta["alt"] == (
        "ticket: 1 of 1 network grokked within the budget; random mask: 1 of 2 networks grokked within the budget."
    )


def test_what_cannot_be_made_is_refused(runs: tuple[Run, Run], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    one, other = runs
    with pytest.raises(UsageError, match="did you mean 10"):
        chimera(one, other, step=12, root=tmp_path, progress=False)
    with pytest.raises(UsageError, match=r"keep: given 0, expected a share in \(0, 1\]"):
        ticket(one, step=30, keep=0, root=tmp_path, progress=False)
    with pytest.raises(UsageError, match="steps: given 0, expected an integer >= 1"):
        transplant(one, step=30, steps=0, root=tmp_path, progress=False)
    with pytest.raises(UsageError, match="seeds: given none"):
        transplant(one, step=30, seeds=[], root=tmp_path, progress=False)
    forked = fork(one, step=30, root=tmp_path_factory.mktemp("forks"), name="forked", steps=32, progress=False)
    with pytest.raises(UsageError, match="its first checkpoint is that of step 30; a ticket is put on the weights of step 0"):
        ticket(forked, step=32, keep=0.6, root=tmp_path, progress=False)
    product = record(replace(CONFIG, task=ModularTask(11, operation="multiply"), steps=1), tmp_path, "x", progress=False)
    with pytest.raises(UsageError, match="expected addition modulo p"):
        readout(product)
    with pytest.raises(UsageError, match="donor: given a run of"):
        chimera(one, product, step=0, root=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_the_commands(runs: tuple[Run, Run], capsys: pytest.CaptureFixture[str]) -> None:
    root = runs[0].path.parent

    def called(*given: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([*given, "--root", str(root)])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    code, said = called("readout", "seed0", "--step", "30", "-o", str(root.parent / "x.html"))
    assert (code, "random phases" in said) == (0, True)
    assert called("chimera", "seed0", "seed1", "--step", "20", "--steps", "2")[0] == 0
    code, said = called("transplant", "seed0", "--step", "30", "--seeds", "0-1", "--steps", "2", "--parts", "W_E", "--json")
    assert (code, said.count("random direction")) == (0, 2)
    out = root.parent / "ticket.html"
    code, said = called("ticket", "seed0", "--step", "30", "--steps", "2", "-o", str(out))
    assert (code, "dense, of its norm" in said, "wrote" in said) == (0, True, True)
    assert out.is_file()
    code, said = called("chimera", "seed0", "seed1", "--step", "20", "--steps", "3", "-o", str(root.parent / "x.jpeg"))
    assert code != 0, "refused before anything is trained"
    assert not [path for path in root.iterdir() if path.name.endswith("at20") and open_run(path).config.steps == 3]
