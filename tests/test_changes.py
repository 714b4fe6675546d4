"""What is changed while a run trains: theorems first, then planted circuits, then what is refused."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from interp import FromWeights, ModularTask, Run, RunConfig, Training, fork, measures, open_run, record, resume, synthetic, train
from interp.cli import main
from interp.config.changes import SwapLabels, TrainOn, read_change
from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig
from interp.errors import UsageError
from interp.harmonics import FourierBasis
from interp.networks.one_layer import Weights, forward
from interp.training import loop
from interp.training.choice import engine_name
from interp.training.examples import Examples, with_pairs, with_swapped_labels
from interp.training.gradient_changes import ablated_logits, add_noise_, add_symmetry_, asymmetry, take_out_of_neurons_
from interp.training.parameters import Parameters
from interp.training.weight_changes import take_out_

P = 11
CONFIG = RunConfig(
    task=ModularTask(P),
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=3, every=10, moments=(15,)),
    steps=30,
    evaluate_every=7,
    engine="reference",
    threads=1,
)
ENGINES = ["reference", "cpu"]


def changed(*texts: str, engine: str = "reference", **fields: object) -> RunConfig:
    return replace(CONFIG, changes=texts, engine=engine, **fields)


def checkpoints(run: Run) -> dict[int, str]:
    return {step: run.sha256(step) for step in run.steps}


def end_of(config: RunConfig, start: FromWeights | None = None) -> Weights:
    *_, last = train(config) if start is None else train(config, start=start)
    return last.weights.clone()


@pytest.fixture(scope="module", params=ENGINES)
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(replace(CONFIG, engine=request.param), tmp_path_factory.mktemp("plain"), "run", progress=False)


def test_a_run_without_changes_says_nothing_of_them(plain: Run) -> None:
    assert b"changes" not in (plain.path / "run.json").read_bytes()
    assert not any(name.startswith(loop.CHANGES) for name in plain.moments(15))


@pytest.mark.parametrize(
    "text",
    [
        "5:optimizer.weight_decay=1", "5:lr.W_E=1", "5:decay.W_U=1", "5:ablate.logits=0*2,3", "5:ablate.embedding=0*2",
        "5:ablate.neurons=0*random/2/1", "5:labels=0", "5:pairs=0.2975/4", "5:noise=0", "5:symmetry=0", "5:optimizer.lr=0.001",
        "5:optimizer.loss=cross_entropy", "grokked:norm=2",
    ],
)  # fmt: skip
def test_at_strength_0_nothing_changes_byte_for_byte(plain: Run, tmp_path: Path, text: str) -> None:
    run = record(replace(plain.config, changes=(text,)), tmp_path, "run", progress=False)
    assert checkpoints(run) == checkpoints(plain)
    assert (run.path / "history.jsonl").read_bytes() == (plain.path / "history.jsonl").read_bytes()


FIELDS = [
    ("weight_decay", 0.0), ("weight_decay", 3.0), ("lr", 1e-2), ("beta1", 0.5), ("beta2", 0.5), ("eps", 1e-3),
    ("grokfast_lambda", 2.0), ("perpendicular_gradient", "project"), ("norm_constraint", True), ("loss", "stablemax"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), FIELDS)
def test_a_field_that_changes_at_a_step_is_a_fork_at_that_step(plain: Run, tmp_path: Path, field: str, value: object) -> None:
    if field == "loss" and plain.engine == "cpu":
        pytest.skip("compiled for one loss")
    child = fork(plain, 15, root=tmp_path, name="fork", progress=False, **{f"optimizer.{field}": value})
    text = f"15:optimizer.{field}={str(value).lower() if isinstance(value, bool) else value}"
    run = record(replace(plain.config, changes=(text,)), tmp_path, "changed", progress=False)
    both = [step for step in run.steps if step >= 15]
    assert {step: run.sha256(step) for step in both} == checkpoints(child)
    assert {step: run.sha256(step) for step in run.steps if step <= 15} == {
        s: h for s, h in checkpoints(plain).items() if s <= 15
    }
    assert run.history.train_loss.values[15:].tolist() == child.history.train_loss.values.tolist()
    assert run.sha256(30) != plain.sha256(30)


def test_other_pairs_are_trained_on_from_a_step_on(plain: Run, tmp_path: Path) -> None:
    run = record(replace(plain.config, changes=("15:pairs=0.2/3",)), tmp_path, "fewer", progress=False)
    assert run.sha256(15) == plain.sha256(15)
    assert run.sha256(20) != plain.sha256(20)
    assert run.history.train_loss.values[15] != plain.history.train_loss.values[15]
    again = record(replace(plain.config, changes=("15..15000:pairs=0.2/3",)), tmp_path, "again", progress=False)
    assert checkpoints(again) == checkpoints(run)


def test_pairs_are_taken_out_and_come_again_in_one_order() -> None:
    base = Examples(np.array([5, 3, 8, 1]), np.array([0, 2, 4, 6, 7, 9]), np.arange(10))
    fewer, more = (with_pairs(base, TrainOn(share, 1)) for share in (0.2, 0.7))
    assert set(fewer.train) < set(base.train) < set(more.train)
    for found in (fewer, more):
        assert sorted([*found.train, *found.test]) == list(range(10))
    assert [row for row in base.train if row in fewer.train] == fewer.train.tolist()
    assert with_pairs(base, TrainOn(0.4, 1)) is base
    with pytest.raises(UsageError, match="given 0 of 10 pairs"):
        with_pairs(base, TrainOn(0.01))


def test_labels_are_swapped_among_a_share_of_the_training_pairs() -> None:
    base = Examples(np.arange(60), np.arange(60, 121), np.arange(121) % P)
    found = with_swapped_labels(base, SwapLabels(0.5, 2))
    moved = np.flatnonzero(found.labels != base.labels)
    assert set(moved) <= set(base.train)
    assert 20 < len(moved) <= 30
    assert sorted(found.labels[base.train]) == sorted(base.labels[base.train])
    assert (with_swapped_labels(base, SwapLabels(0.0)).labels == base.labels).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_swapped_labels_are_learned_from_then_on(engine: str) -> None:
    plain, swapped = (list(train(config)) for config in (changed(engine=engine), changed("10:labels=0.5", engine=engine)))
    assert [s.train_loss for s in swapped[:10]] == [s.train_loss for s in plain[:10]]
    assert swapped[10].train_loss != plain[10].train_loss


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("text", ["10:norm=1.2", "10:norm=0.8*9.5", "10..20:norm=1"])
def test_the_norm_is_clamped_and_the_direction_is_that_of_the_update(engine: str, text: str) -> None:
    norms = [float(step.weights.map(torch.Tensor.double).tensors()["W_E"].norm()) for step in train(changed(engine=engine))]
    seen = []
    for step in train(changed(text, engine=engine)):
        seen.append(sum(float(t.double().square().sum()) for t in step.weights.tensors().values()) ** 0.5)
    what = read_change(text).what
    wanted = what.rho * (what.of or seen[10])
    last = 20 if "20" in text else 30
    assert seen[11 : last + 1] == pytest.approx([wanted] * (last - 10), rel=1e-5)
    assert len(norms) == len(seen)


def test_one_clamped_update_has_the_plain_updates_direction() -> None:
    plain, clamped = (end_of(changed(*texts, steps=11)) for texts in ((), ("10:norm=1.5",)))
    one, other = (torch.cat([t.flatten() for t in w.tensors().values()]).double() for w in (plain, clamped))
    assert torch.allclose(one / one.norm(), other / other.norm(), atol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_frozen_tensor_stays_bit_for_bit_and_the_others_go_on(engine: str) -> None:
    steps = {step.index: step.weights.clone() for step in train(changed("10:lr.W_E=0", engine=engine))}
    assert torch.equal(steps[10].W_E, steps[30].W_E)
    assert not torch.equal(steps[9].W_E, steps[10].W_E)
    assert not torch.equal(steps[10].W_U, steps[30].W_U)


def test_half_a_learning_rate_of_a_tensor_is_half_of_its_update() -> None:
    steps = {step.index: step.weights.clone() for step in train(changed(steps=11))}
    half = end_of(changed("10:lr.W_U=0.5", steps=11))
    assert torch.allclose(half.W_U, (steps[10].W_U + steps[11].W_U) / 2, atol=1e-7)
    assert torch.equal(half.W_E, steps[11].W_E)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_decay_for_every_tensor_is_another_weight_decay(engine: str) -> None:
    names = list(Training(changed()).engine.parameters.weights.tensors())
    own = end_of(changed(*(f"10:decay.{name}=0.25" for name in names), engine=engine))
    other = end_of(changed("10:optimizer.weight_decay=0.25", engine=engine))
    for name, tensor in own.tensors().items():
        assert torch.allclose(tensor, other.tensors()[name], atol=1e-5), name


def planted() -> Weights:
    """A clock with two frequencies, with the heads and biases of a configuration: what is added is 0."""
    clock = synthetic.clock_weights(P, [2, 3])
    wider = clock.d_model // clock.n_heads - clock.d_head
    pad = dict.fromkeys(("W_Q", "W_K", "W_V", "b_Q", "b_K", "b_V"), (0, wider)) | {"W_O": (0, 0, 0, wider)}
    biases = ("b_Q", "b_K", "b_V", "b_O", "b_in", "b_out", "b_U")
    width = {"b_O": clock.d_model, "b_in": clock.d_mlp, "b_out": clock.d_model, "b_U": clock.classes}
    tensors = clock.tensors()
    for name in (name for name in biases if name not in tensors):
        tensors[name] = torch.zeros(width.get(name) or (clock.n_heads, clock.d_head), dtype=clock.W_E.dtype)
    padded = {name: torch.nn.functional.pad(tensor, pad.get(name, (0, 0))) for name, tensor in tensors.items()}
    return Weights.from_tensors(padded, activation=clock.activation, attention_rate=clock.attention_rate)


CLOCK = FromWeights(planted())
PAIRS = torch.from_numpy(CONFIG.task.pairs)


def clock_config(*texts: str) -> RunConfig:
    w = CLOCK.weights
    model = ModelConfig(d_model=w.d_model, n_heads=w.n_heads, d_mlp=w.d_mlp, biases="all")
    task = ModularTask(P, equals_sign=w.equals_sign)
    slow = OptimizerConfig(lr=1e-6, weight_decay=0.0)
    return replace(CONFIG, task=task, model=model, dtype="float64", steps=3, changes=texts, optimizer=slow)


@pytest.mark.parametrize(("site", "matrix"), [("logits", "W_L"), ("embedding", "W_E")])
def test_a_planted_frequency_is_taken_out_of_the_weights_and_the_others_stay(site: str, matrix: str) -> None:
    def norms(weights: Weights) -> torch.Tensor:
        return FourierBasis(P).frequency_norms(weights.W_L if matrix == "W_L" else weights.residue_embedding)

    plain, ablated = end_of(clock_config(), CLOCK), end_of(clock_config(f"0:ablate.{site}=2"), CLOCK)
    before, after = norms(plain), norms(ablated)
    assert before[2 - 1 + (len(before) > P // 2)] > 0.1
    assert float(after[2 - 1 + (len(after) > P // 2)]) < 1e-4 * float(before.max())
    assert torch.allclose(after[3 - 1 + (len(after) > P // 2)], before[3 - 1 + (len(before) > P // 2)], rtol=1e-3)
    kept = measures.cos_coefficients(forward(ablated, PAIRS).logits, harmonics=ModularTask(P).harmonics)
    assert float(kept.abs().max()) > 0


def test_biases_of_the_answers_lose_the_frequency_and_the_column_of_equals_stays() -> None:
    weights = end_of(changed(steps=1, model=replace(CONFIG.model, biases="all", equals_class=True)))
    assert weights.b_U is not None
    weights.b_U.copy_(torch.arange(P + 1.0))
    before = weights.clone()
    take_out_(weights, (2,), site="logits", share=1.0)
    basis = FourierBasis(P)
    given, mine = basis(weights.b_U[:P].double()), basis(before.b_U[:P].double())
    assert torch.allclose(given[3:5], torch.zeros(2).double(), atol=1e-5)
    assert torch.allclose(given[[0, 1, 2, 5, 6]], mine[[0, 1, 2, 5, 6]], atol=1e-5)
    assert torch.equal(weights.W_U[:, P], before.W_U[:, P])
    assert weights.b_U[P] == P


def test_without_one_of_its_frequencies_in_the_neurons_a_planted_clock_keeps_the_other() -> None:
    weights = CLOCK.weights
    logits = [ablated_logits(weights, ks, 1.0) for ks in ((2,), (4,))]
    whole = forward(weights, PAIRS).all_logits
    found = [measures.cos_coefficients(x[:, :P].double(), harmonics=ModularTask(P).harmonics) for x in (*logits, whole)]
    without, control, all_of_it = found
    assert abs(float(without.flatten()[1])) < 1e-3 * float(all_of_it.abs().max())
    assert torch.allclose(without.flatten()[2], all_of_it.flatten()[2], rtol=1e-2)
    assert torch.allclose(control.flatten()[1], all_of_it.flatten()[1], rtol=0.2)


def test_the_gradient_of_the_ablated_network_is_that_of_its_loss() -> None:
    weights = end_of(changed(steps=1)).to(dtype=torch.float64)
    parameters, rows = Parameters(weights), torch.arange(0, 40)
    labels = torch.from_numpy(CONFIG.task.labels)[rows]

    def loss(with_: Weights) -> float:
        return float(torch.nn.functional.cross_entropy(ablated_logits(with_, (2,), 0.7)[rows], labels))

    mean = take_out_of_neurons_(parameters, (2,), share=0.7, rows=rows, labels=labels, loss="cross_entropy")
    assert mean == pytest.approx(loss(weights))
    for name in ("W_E", "W_in", "W_U"):
        nudged = weights.clone()
        nudged.tensors()[name][1, 2] += 1e-5
        assert float(parameters.gradients[name][1, 2]) == pytest.approx((loss(nudged) - mean) / 1e-5, rel=1e-2, abs=1e-7)


def test_the_penalty_is_0_on_a_symmetric_network_and_its_gradient_is_right() -> None:
    assert float(asymmetry(CLOCK.weights, PAIRS)) < 1e-6 * float(forward(CLOCK.weights, PAIRS).all_logits.square().mean())
    weights = end_of(changed(steps=1)).to(dtype=torch.float64)
    parameters = Parameters(weights)
    add_symmetry_(parameters, PAIRS, 2.0)
    nudged = weights.clone()
    nudged.W_pos[0, 3] += 1e-5
    rise = (float(asymmetry(nudged, PAIRS)) - float(asymmetry(weights, PAIRS))) / 1e-5
    assert float(parameters.gradients["W_pos"][0, 3]) == pytest.approx(2 * rise, rel=1e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_with_a_penalty_the_network_becomes_more_symmetric(engine: str) -> None:
    plain, pressed = (float(asymmetry(end_of(changed(*t, engine=engine)), PAIRS)) for t in ((), ("0:symmetry=10",)))
    assert pressed < 0.9 * plain


def test_noise_has_its_size_is_drawn_by_step_and_spares_the_gaps() -> None:
    weights = end_of(changed(steps=1))
    one, other, again = Parameters(weights), Parameters(weights), Parameters(weights)
    for parameters, step in ((one, 3), (other, 4), (again, 3)):
        add_noise_(parameters, 0.5, seed=1, step=step)
    assert torch.equal(one.gradient, again.gradient)
    assert not torch.equal(one.gradient, other.gradient)
    entries = torch.cat([g.flatten() for g in one.gradients.values()])
    assert float(entries.std()) == pytest.approx(0.5, rel=0.05)
    assert int((one.gradient != 0).sum()) == len(entries)


EVERYTHING = (
    "4:optimizer.weight_decay=0", "memorized:optimizer.grokfast_lambda=2", "6..20:norm=1.1", "8:lr.W_E=0.5", "9:decay.W_U=0",
    "10:ablate.logits=0.5*2", "11:ablate.neurons=3", "12:labels=0.2", "13:pairs=0.25/2", "14:noise=0.01", "16:symmetry=1",
    "18:optimizer.norm_constraint=true", "22:pairs=0.4/2",
)  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("at", [6, 12, 21, 23])
def test_interrupted_and_resumed_it_has_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, at: int
) -> None:
    monkeypatch.setattr("interp.training.changing.RIGHT", 0.2)  # memorized at once
    config = changed(*EVERYTHING, engine=engine)
    whole = record(config, tmp_path, "whole", progress=False)
    original = loop.Training._step

    def step(training: Training, train_loss: float) -> object:
        found = original(training, train_loss)
        if found.index == at:
            signal.raise_signal(signal.SIGINT)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "_step", step)
        with pytest.raises(KeyboardInterrupt):
            record(config, tmp_path, "cut", progress=False)
    cut = resume(tmp_path / "cut", progress=False)
    assert checkpoints(cut) == checkpoints(whole)
    assert (cut.path / "history.jsonl").read_bytes() == (whole.path / "history.jsonl").read_bytes()
    child = fork(whole, 15, progress=False)
    assert {step: whole.sha256(step) for step in child.steps} == checkpoints(child), "a fork goes on with its parent's changes"


@pytest.mark.parametrize("text", ["memorized:pairs=0.2/1", "memorized:labels=0.5", "memorized:optimizer.loss=stablemax"])
def test_interrupted_at_the_very_step_of_its_phase_it_has_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The loss of that step is of the pairs, labels and loss that there were before the phase was found."""
    monkeypatch.setattr("interp.training.changing.RIGHT", 0.0)
    config = changed(text, steps=10)
    whole = record(config, tmp_path, "whole", progress=False)
    training = Training(config)
    first = next(iter(training))
    assert training.state()["changes.began"].tolist() == [0]
    resumed = Training(config)
    resumed.load({name: tensor.clone() for name, tensor in training.state().items()})
    steps = list(resumed)
    assert steps[0].train_loss == first.train_loss
    assert [step.train_loss for step in steps] == whole.history.train_loss.values.tolist()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_norm_that_is_kept_from_a_step_on_is_kept_by_who_goes_on(engine: str) -> None:
    config = changed("3:optimizer.norm_constraint=true", "3:lr.W_E=0.5", "3:optimizer.grokfast_lambda=2", steps=12, engine=engine)
    training, losses, state = Training(config), [], {}
    for step in training:
        losses.append(step.train_loss)
        if step.index == 7:
            state = {name: tensor.clone() for name, tensor in training.state().items()}
    resumed = Training(config)
    resumed.load(state)
    assert [step.train_loss for step in resumed] == losses[7:]
    assert torch.equal(resumed.engine.parameters.flat, training.engine.parameters.flat)


def test_every_engine_follows_the_same_trajectory() -> None:
    ends = [end_of(changed(*EVERYTHING[:1], *EVERYTHING[2:], engine=engine)) for engine in ENGINES]
    for name, tensor in ends[0].tensors().items():
        assert torch.allclose(tensor, ends[1].tensors()[name], atol=2e-3), name


def test_a_phase_lets_a_change_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = list(train(changed("memorized:optimizer.lr=0.05", steps=20)))
    plain = list(train(changed(steps=20)))
    assert [s.train_loss for s in steps] == [s.train_loss for s in plain], "not memorized yet"
    monkeypatch.setattr("interp.training.changing.RIGHT", 0.0)
    soon = list(train(changed("memorized:optimizer.lr=0.05", steps=20)))
    assert soon[1].train_loss != plain[1].train_loss


def test_keys_are_those_at_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(clock_config("0:ablate.logits=keys"), CLOCK)
    list(training)
    assert training.state()["changes.frequencies.0"].tolist() == [2, 3]
    with pytest.raises(UsageError, match=r"keys at step 0: .* frequencies pass the rule, so that none stands out"):
        list(train(changed("0:ablate.logits=keys")))


def test_the_newest_keys_are_taken_out_as_they_stand_out_and_one_frequency_is_left() -> None:
    training = Training(clock_config("1:ablate.logits=newest"), CLOCK)
    seen = [training.state()["changes.frequencies.0"].tolist() for _ in training]
    assert seen[0] == [], "it begins at step 1"
    assert seen[1] == [2, 3]
    norms = FourierBasis(P).frequency_norms(training.engine.parameters.weights.W_L)
    assert float(norms[[1, 2]].max()) < 1e-4 * float(FourierBasis(P).frequency_norms(CLOCK.weights.W_L)[[1, 2]].min())
    # In a network in which nothing stands out nothing is taken out.
    plain, cut = (list(train(changed(*texts, steps=10))) for texts in ((), ("0:ablate.logits=newest",)))
    assert [step.train_loss for step in plain] == [step.train_loss for step in cut]
    # What comes to stand out later is added, to all but the last frequency.
    changing, weights = training._changing, CLOCK.weights
    assert changing._with_newest((1, 4), weights) == (1, 4, 2, 3)
    most = P // 2
    assert len(changing._with_newest(tuple(range(4, most + 1)), weights)) == most - 1


def test_auto_takes_the_engine_that_can_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    big = replace(CONFIG, task=ModularTask(59), engine="auto", changes=("5:optimizer.loss=stablemax",), model=ModelConfig())
    assert engine_name(replace(big, changes=())) == "cpu"
    assert engine_name(big) == "reference"
    with pytest.raises(UsageError, match=r"engine 'cpu' cannot do this: change '5:optimizer\.loss=stablemax': it is compiled"):
        Training(changed("5:optimizer.loss=stablemax", engine="cpu"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", "expected FROM:WHAT=VALUE"),
        ("soon:norm=1", "it begins or ends at 'soon', expected a step, or memorized or grokked"),
        ("9..5:norm=1", "it ends at step 5, expected one after 9"),
        ("30:norm=1", "it begins at step 30, but the run ends at step 30"),
        ("5:nrom=1", "unknown change 'nrom'; did you mean 'norm'"),
        ("5:norm=0", "a norm of 0 leaves no weights"),
        ("5:norm=x", "rho is 'x', expected a number >= 0"),
        ("5:optimizer.weight_deacy=1", "unknown field 'weight_deacy'; did you mean 'weight_decay'"),
        ("5:optimizer.lr=-1", r"optimizer\.lr: given -1, expected a finite number > 0"),
        ("5:lr.W_X=0", "unknown tensor 'W_X'. Known: W_E"),
        ("5:lr=0", "expected lr.TENSOR=VALUE"),
        ("5:ablate.logit=2", "unknown site 'logit'; did you mean 'logits'"),
        ("5:ablate.logits=1,2,3,4,5", "these are all 5 frequencies of p = 11"),
        ("5:ablate.logits=random/5/0", "these are all 5 frequencies of p = 11"),
        ("5:ablate.logits=6", r"given frequency 6, expected 1\.\.5"),
        ("5:ablate.logits=two", "the frequencies are 'two', expected a list such as 5,9, keys, newest"),
        ("5:labels=1.5", r"the share is '1\.5', expected a number in 0\.\.1"),
        ("5:pairs=1", "the fraction is 1, expected one between 0 and 1"),
        ("5:noise=nan", "sigma is 'nan'"),
        ("5:noise=1/x", "the seed is 'x'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Training(changed(text))


def test_changes_are_texts_that_are_read_back(tmp_path: Path) -> None:
    config = changed("5:optimizer.weight-decay=0", "memorized:norm=1.15*33", "7:ablate.embedding=3, 2")
    assert config.changes == ("5:optimizer.weight_decay=0.0", "memorized:norm=1.15*33.0", "7:ablate.embedding=2,3")
    assert RunConfig.from_json(config.to_json()) == config
    (tmp_path / "x.toml").write_text('changes = ["5:optimizer.weight_decay=0"]\n')
    assert RunConfig.from_file(tmp_path / "x.toml").changes == ("5:optimizer.weight_decay=0.0",)
    assert replace(CONFIG, changes=config.schedule).changes == config.changes
    with pytest.raises(UsageError, match=r"given a . b modulo 11, expected addition or subtraction"):
        changed("5:ablate.logits=2", task=ModularTask(P, operation="multiply"))


def test_a_changed_run_is_stored_and_verified(tmp_path: Path) -> None:
    run = record(changed("5:optimizer.weight_decay=0"), tmp_path, "run", progress=False)
    assert open_run(run.path).config.changes == ("5:optimizer.weight_decay=0.0",)
    assert run.verify() == ()


def test_the_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = tmp_path / "small.json"
    given.write_text(CONFIG.to_json())

    def called(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--root", str(tmp_path)])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    flags = ["--change", "15:optimizer.weight-decay=0", "--clamp-norm", "1.15", "--from", "memorized"]
    assert called("train", str(given), "--name", "a", *flags)[0] == 0
    assert open_run(tmp_path / "a").config.changes == ("15:optimizer.weight_decay=0.0", "memorized:norm=1.15")
    flags = ["--ablate", "frequencies=random/2/1", "--at", "neurons"]
    assert called("train", str(given), "--name", "b", *flags)[0] == 0
    assert open_run(tmp_path / "b").config.changes == ("0:ablate.neurons=random/2/1",)
    record(Training(clock_config(), CLOCK), tmp_path, "clock", progress=False)
    assert called("fork", "a", "--step", "15", "--name", "c", "--ablate", "key:clock")[0] == 0
    assert open_run(tmp_path / "c").config.changes[-1] == "15:ablate.logits=2,3"
    assert called("train", str(given), "--from", "5") == (
        2, "error: --from: given 5 without --clamp-norm or --ablate, of which it is the beginning\n"
    )  # fmt: skip
    assert called("train", str(given), "--at", "neurons") == (
        2, "error: --at: given neurons without --ablate, of which it is the place\n"
    )  # fmt: skip
    code, said = called("train", str(given), "--clamp-norm", "0")
    assert (code, "a norm of 0 leaves no weights" in said) == (2, True)
    code, said = called("fork", "a", "--step", "15", "--ablate", "1,2,3,4,5")
    assert (code, "all 5 frequencies of p = 11" in said) == (2, True)
