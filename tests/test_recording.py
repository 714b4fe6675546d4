"""interp.recording: anybody's loop becomes a run, and nothing in its training changes."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest
import torch
from own_loops import SPLIT, TASK, P, Pairs, Tokens, Wrapped, answers, own_loop, seeded
from torch import nn

import interp
from interp.errors import UsageError
from interp.loops.logit_keys import logit_keys
from interp.losses import cross_entropy
from interp.networks import undisturbed
from interp.networks.module_network import ModuleNetwork

PAIR = {"inputs": lambda tokens: (tokens[:, 0], tokens[:, 1])}
NAMED = {"inputs": lambda tokens: {"input_ids": tokens}}
OPTIMIZERS = {
    "adamw": torch.optim.AdamW,
    "adam-foreach": partial(torch.optim.Adam, foreach=True),
    "adam-fused": partial(torch.optim.Adam, fused=True),
    "sgd": partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "rmsprop": torch.optim.RMSprop,
}


@pytest.fixture
def recorded(tmp_path):
    return partial(interp.recording, task=TASK, split=SPLIT, root=tmp_path, checkpoints=[0, 10, 20])


def streams() -> tuple[object, ...]:
    own = str(np.random.get_state())  # noqa: NPY002  the global stream
    return torch.get_rng_state().numpy().tobytes(), own, random.getstate()


def left(model: nn.Module) -> list[bytes]:
    return [tensor.detach().numpy().tobytes() for tensor in model.state_dict().values()]


# Nothing in the training changes


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_training_is_the_same_to_the_byte_with_and_without_a_recording(recorded, optimizer):
    make = partial(Tokens, dropout=0.2)
    plain = seeded(make)
    losses = own_loop(plain, optimizer=optimizer)
    after = streams()
    watched = seeded(make)
    with recorded("same", watched, matrices={"W_E": "embed.weight"}, evaluate_every=3, sites=["mlp"]) as log:
        assert own_loop(watched, optimizer=optimizer, log=log) == losses
    assert left(watched) == left(plain)
    assert streams() == after
    assert len(log.run.steps) == 4


@pytest.mark.parametrize(("make", "how"), [(Pairs, PAIR), (Wrapped, NAMED)], ids=["pairs", "named"])
def test_models_of_other_forms_are_recorded_and_not_changed(recorded, make, how):
    plain, watched = seeded(make), seeded(make)
    torch.manual_seed(1)
    losses = own_loop(plain, noise=False)
    torch.manual_seed(1)
    with recorded("form", watched, evaluate_every=3, **how) as log:
        assert own_loop(watched, log=log, noise=False) == losses
    assert left(watched) == left(plain)
    assert log.run.verify() == ()


def test_autocast_and_modes_are_left_as_they_were(recorded):
    plain, watched = seeded(partial(Tokens, dropout=0.2)), seeded(partial(Tokens, dropout=0.2))
    for model in (plain, watched):
        model.mlp[3].eval()
    losses = own_loop(seeded_again(plain), autocast=True)
    with recorded("cast", seeded_again(watched), checkpoints=[0, 10, 20, 100]) as log:
        assert own_loop(watched, log=log, autocast=True) == losses
        assert watched.training
        assert not watched.mlp[3].training
        assert left(watched) == left(plain)
        watched.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):  # a step that is told inside leaves no weights without gradients behind
            log.step(100)
            answers(watched, torch.from_numpy(TASK.inputs)).float().square().sum().backward()
        assert all(parameter.grad is not None for parameter in watched.parameters())


def seeded_again(model: nn.Module) -> nn.Module:
    return seeded(lambda: model, seed=2)


class Noisy(Tokens):
    """Draws from every stream whenever it is called, in evaluation mode too."""

    def forward(self, tokens):
        noise = torch.rand(1) + random.random() + np.random.rand()  # noqa: NPY002  the global stream
        return super().forward(tokens) * (1 + 1e-3 * noise)


def test_a_model_that_draws_when_it_is_looked_at_draws_the_same_afterwards(recorded):
    plain = seeded(Noisy)
    losses = own_loop(plain)
    watched = seeded(Noisy)
    with recorded("noisy", watched, evaluate_every=2) as log:
        assert own_loop(watched, log=log) == losses
    network, before = ModuleNetwork(watched), streams()
    network.activations(TASK.inputs)
    assert streams() == before


# What is kept


def test_checkpoints_are_the_model_and_curves_are_its_own(recorded):
    model, at = seeded(Tokens), {}
    tokens, labels = torch.from_numpy(TASK.inputs), torch.from_numpy(TASK.labels)
    with recorded("kept", model) as log:
        losses = own_loop(model, log=log, steps=10)
        at[10] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        losses += own_loop(model, log=log, steps=20, first=11)
    run = log.run
    assert (run.kind, run.engine, run.status, run.reason) == ("module", "loop", "finished", "ended")
    assert run.steps == (0, 10, 20)
    stored = interp.open_run(run.path)[10]
    assert stored.network.tensors().keys() == at[10].keys()
    assert all(torch.equal(stored.network.tensors()[name], at[10][name]) for name in at[10])
    loss = cross_entropy(run[10].network.activations(TASK.inputs)["logits"], labels)
    assert stored.losses["train_loss"] == pytest.approx(float(loss[SPLIT.train].double().mean()), rel=1e-6)
    assert stored.losses["test_loss"] == pytest.approx(float(loss[SPLIT.test].double().mean()), rel=1e-6)
    right = (answers(run[10].network.module, tokens).argmax(dim=1) == labels).double()
    assert stored.losses["test_accuracy"] == float(right[SPLIT.test].mean())
    squares = sum(float(parameter.double().square().sum()) for parameter in run[10].network.module.parameters())
    assert stored.losses["sum_squared_weights"] == pytest.approx(squares, rel=1e-12)
    assert float(run.history.train_loss.sel(step=5)) == losses[4]  # the loop's own, as it was told
    assert run.verify() == ()


def test_without_a_word_about_steps_the_usual_rule_holds(tmp_path):
    model = seeded(Tokens)
    with interp.recording("rule", model, task=TASK, root=tmp_path) as log:
        for step in range(251):
            log.step(step)
    assert {0, 1, 2, 100, 200, 250} <= set(log.run.steps)
    assert 150 not in log.run.steps
    with interp.recording("budget", model, task=TASK, root=tmp_path, steps=250) as log:
        for step in range(251):
            log.step(step)
    assert log.run.reason == "budget"
    assert log.run.budget == 250


def test_waves_are_measured_of_any_model_and_read_back_without_its_code(recorded):
    def mine(view):
        """How large are they?"""
        return {
            "largest": float(view.logits.max()),
            "inside": float(view.network.activations(view.task.inputs)["mlp"].abs().max()),
        }

    model = seeded(Tokens)
    with recorded("waves", model, sites=["mlp"], analyses=["progress_measures", mine], matrices={"W_E": "embed.weight"}) as log:
        own_loop(model, log=log)
    here, elsewhere = interp.observe(log.run), interp.observe(log.path)
    about = interp.about(elsewhere)
    assert about.key_frequencies == logit_keys(log.run[30].network, TASK)
    assert about.key_rule == "logits"
    for name in ("restricted_loss", "excluded_loss", "largest", "inside", "W_E_norm", "W_E_waves", "sum_squared"):
        assert np.array_equal(elsewhere[name], here[name]), name
        assert bool(np.isfinite(elsewhere[name]).all())
    assert float(elsewhere.W_E_norm[-1]) == pytest.approx(float(model.embed.weight.double().norm()))
    assert float(interp.observe(log.path, "mine").largest[0]) == float(elsewhere.largest[0])
    fresh = interp.observe(log.run, ["clock_or_pizza", mine], steps=30)  # a copy of the model answers
    assert float(fresh.largest[0]) == float(elsewhere.largest[-1])
    page = interp.report(log.path, log.path.parent / "page.html")
    assert not page.failures
    assert "How large are they?" in page.html
    assert interp.open_run(log.path).verify() == ()


def test_keys_of_a_planted_clock_are_found_in_its_logits(tmp_path):
    task = interp.ModularTask(13)
    clock = interp.forward(interp.synthetic.clock_weights(13, [2, 5]), task.pairs).logits.float()

    class Clock(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(1.0))

        def forward(self, tokens):
            return self.scale * clock[tokens[:, 0] * 13 + tokens[:, 1]]

    with interp.recording("clock", Clock(), task=task, root=tmp_path) as log:
        log.step(0)
    series = interp.observe(log.path)
    assert interp.about(series).key_frequencies == (2, 5)
    assert float(series.excluded_loss[0]) == pytest.approx(np.log(13), rel=1e-4)
    assert float(series.cos_fve[0]) == pytest.approx(1, rel=1e-4)


def test_a_task_without_waves_and_without_a_split_is_recorded(tmp_path):
    task = interp.TableTask("odd", np.arange(6)[:, None], np.array([0, 1, 1, 0, 1, 0]), n_tokens=6, classes=2)
    model = nn.Sequential(nn.Embedding(6, 4), nn.Flatten(), nn.Linear(4, 2))
    with interp.recording("odd", model, task=task, root=tmp_path) as log:
        log.step(0)
        log.step(1)
    series = interp.observe(log.path)
    assert series.sizes["history_step"] == 2
    assert "restricted_loss" not in series
    assert not interp.report(log.path, tmp_path / "odd.html").failures


def test_given_keys_are_measured_at_once_and_a_loss_of_ones_own_is_shown(recorded):
    model = seeded(Tokens)
    loss = nn.functional.multi_margin_loss
    with recorded("given", model, keys=[2], loss=loss) as log:
        own_loop(model, log=log)
    series = interp.observe(log.path)
    assert interp.about(series).key_frequencies == (2,)
    assert interp.about(series).key_rule == "explicit"
    network = log.run[20].network
    logits = network.activations(TASK.inputs)["logits"]
    expected = loss(logits[SPLIT.train], torch.from_numpy(TASK.labels[SPLIT.train]))
    assert log.run[20].losses["train_loss"] == pytest.approx(float(expected), rel=1e-6)


def test_the_last_step_is_saved_unless_the_model_went_on(recorded, caplog):
    model = seeded(Tokens)
    with recorded("last", model) as log:
        log.step(0)
        log.step(7, train_loss=2.5)
    assert log.run.steps == (0, 7)
    assert log.run.history.test_loss.sel(step=7).item() > 0
    with recorded("gone-on", model) as log:
        log.step(0)
        log.step(7, train_loss=2.5)
        with torch.no_grad():
            model.embed.weight.add_(1)
    assert log.run.steps == (0,)
    assert "was updated after step 7" in caplog.text
    assert log.run.verify() == ()


def test_half_precision_and_wrappers_are_stored_as_what_they_hold(recorded):
    model = seeded(Tokens).to(torch.bfloat16)
    with recorded("half", torch.compile(model), checkpoints=[0]) as log:
        log.step(0)
    stored = interp.open_run(log.path)[0].network.tensors()
    assert stored.keys() == model.state_dict().keys()
    assert torch.equal(stored["embed.weight"], model.embed.weight.float())
    assert log.run[0].network.activations(TASK.inputs)["logits"].shape == (P * P, P)


# What a measure sets for the whole process


def careless(view):
    """Leave everything as it should not be."""
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.use_deterministic_algorithms(True)
    torch.autograd.set_detect_anomaly(True)
    torch.set_float32_matmul_precision("medium")
    np.seterr(all="raise")
    return {"careless": float(view.logits.mean())}


def test_what_a_measure_sets_for_the_whole_process_is_put_back(recorded):
    plain = seeded(Tokens)
    losses = own_loop(plain)
    before = [get() for get, _ in undisturbed._SETTINGS], np.geterr()
    watched = seeded(Tokens)
    with recorded("careless", watched, analyses=[careless], evaluate_every=3) as log:
        assert own_loop(watched, log=log) == losses
    assert ([get() for get, _ in undisturbed._SETTINGS], np.geterr()) == before
    assert left(watched) == left(plain)
    assert np.isfinite(interp.observe(log.path).careless.values).all()


def test_settings_are_put_back_after_an_error_too():
    before = [get() for get, _ in undisturbed._SETTINGS]

    @undisturbed.same_settings()
    def careless_and_wrong():
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        careless_and_wrong()
    assert [get() for get, _ in undisturbed._SETTINGS] == before
    assert torch.zeros(1).requires_grad_().add(1).grad_fn is not None


@pytest.mark.parametrize("when", ["before", "inside"])
def test_torch_settings_that_cannot_be_read_stop_nothing(recorded, when):
    """The newer names of precisions: once they are used, the older one raises."""
    matmul, before = torch.backends.cuda.matmul, torch.backends.cuda.matmul.fp32_precision

    def switched(view):
        matmul.fp32_precision = "tf32"
        return {"one": 1.0}

    try:
        if when == "before":
            matmul.fp32_precision = "tf32"
        with recorded("tf32", model := seeded(Tokens), analyses=[switched] if when == "inside" else None) as log:
            own_loop(model, log=log)
        assert log.run.status == "finished"
        assert len(log.run.steps) == 4
    finally:
        matmul.fp32_precision = before


def test_no_mode_of_a_device_is_left_behind():
    from torch.overrides import _len_torch_function_stack

    before = _len_torch_function_stack()
    with undisturbed.same_settings():
        torch.set_default_device("meta")
    assert _len_torch_function_stack() == before


# Tables with holes, and what is measured of any of them


class Any7(nn.Sequential):
    """Three tokens of eight, seven answers."""

    def __init__(self):
        super().__init__(nn.Embedding(8, 8), nn.Flatten(), nn.Linear(24, 7))


@pytest.mark.parametrize("drawn", [True, False], ids=["as rows", "as a rule"])
def test_a_split_of_a_table_with_holes_is_taken_as_it_was_drawn(tmp_path, drawn):
    task, rule = interp.task("x/y mod 7"), interp.SplitConfig(fraction=0.6, seed=0)
    split = rule.draw(task) if drawn else rule
    with interp.recording("holes", seeded(Any7), task=task, split=split, root=tmp_path) as log:
        log.step(0)
    assert (len(log.run.split.train), len(log.run.split.test)) == (25, 17)
    others = rule.draw(interp.task("x+y mod 7"))
    with pytest.raises(UsageError, match="each of the 42 rows of 'x/y mod 7' that have an answer once"):
        interp.recording("other", seeded(Any7), task=task, split=others, root=tmp_path)


def test_without_a_split_rows_without_an_answer_are_not_trained_on(tmp_path):
    task = interp.task("x/y mod 7")
    with interp.recording("all", seeded(Any7), task=task, root=tmp_path) as log:
        log.step(0)
    assert not {"shift_agreement", "margin_circuit_seen"} & set(interp.observe(log.path))  # which compare seen and unseen pairs
    assert not np.isin(log.run.split.train, task.left_out).any()
    assert len(log.run.split.train) == 42


def test_which_pairs_are_right_is_there_without_the_model_s_code(recorded):
    with recorded("pairs", model := seeded(Tokens)) as log:
        own_loop(model, log=log)
    series = interp.observe(log.path)  # as another process sees it
    assert {"pair_right", "part_accuracy", "top_k_test", "collapsed_train", "restricted_loss"} <= set(series)
    right = torch.from_numpy(series.pair_right.values[-1].flatten())
    assert right[SPLIT.test].double().mean() == pytest.approx(log.run[log.run.steps[-1]].losses["test_accuracy"])
    assert not {"pair_by_pair", "accuracy_by_split", "best_guesses", "numerical_health"} & interp.about(series).left_out.keys()
