"""From outside: a task, a network, a measure and an executor, one file each, do all that ours do."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from outside.answer_parts import ANALYSIS, PARTS
from outside.in_threads import in_threads
from outside.s3 import S3
from outside.two_layer import TwoLayer, TwoLayerTraining

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig, RunConfig
from interp.errors import UsageError

MEASURE = Path(__file__).parent / "outside" / "answer_parts.py"
STEPS, EVERY = 60, 20


def s3_config(**changes: object) -> RunConfig:
    return replace(
        RunConfig(
            task=S3,
            split=interp.SplitConfig(fraction=0.7, seed=2),
            model=ModelConfig(d_model=16, n_heads=2, d_mlp=16),
            optimizer=OptimizerConfig(lr=1e-2),
            checkpoints=CheckpointConfig(log=0, every=EVERY),
            steps=STEPS,
            threads=1,
        ),
        **changes,
    )


def two_layers() -> TwoLayerTraining:
    task = interp.ModularTask(7)
    return TwoLayerTraining(task, interp.SplitConfig(fraction=0.7, seed=1).draw(task), steps=STEPS, every=EVERY)


class Interrupted:
    """A stream in the middle of which somebody presses Ctrl-C."""

    def __init__(self, stream: object, at: int) -> None:
        self._stream, self._at = stream, at

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[object]:
        for step in self._stream:
            if step.index == self._at:
                os.kill(os.getpid(), signal.SIGINT)
            yield step


class Planned:
    """A stream that says something else of itself."""

    def __init__(self, stream: object, plan: interp.Plan) -> None:
        self._stream, self.plan = stream, plan

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[object]:
        return iter(self._stream)


def same_bytes(one: Path, other: Path) -> bool:
    names = ["history.jsonl", *(f"checkpoints/step_{step:08d}.safetensors" for step in range(0, STEPS + 1, EVERY))]
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


# A task


@pytest.mark.parametrize("engine", ["reference", "cpu"])
def test_a_task_is_trained_recorded_resumed_and_verified(tmp_path, engine):
    config = s3_config(engine=engine)
    whole = interp.record(config, tmp_path, "whole", progress=False)
    training = interp.Training(config)
    with pytest.raises(KeyboardInterrupt):
        interp.record(Interrupted(training, 30), tmp_path, "resumed", progress=False)
    interp.record(config, tmp_path, "resumed", progress=False)
    assert same_bytes(whole.path, tmp_path / "resumed")
    opened = interp.open_run(whole.path)
    assert opened.verify() == ()
    assert opened.task == S3
    assert opened.config == config
    assert opened.task.harmonics.names == ("sign", "standard")


def test_a_task_is_measured_and_reported(tmp_path):
    run = interp.record(s3_config(engine="reference"), tmp_path, "s3", progress=False)
    series = interp.observe(run)
    about = interp.about(series)
    assert set(about.key_frequencies) <= {"sign", "standard"}
    assert float(series["restricted_loss"][0]) > 0
    assert "gini_W_E" not in series  # the waves of a group are no single numbers
    assert {"embedding_circles", "clock_or_pizza", "neuron_frequencies"} <= about.left_out.keys()
    page = interp.report(run, tmp_path / "s3.html", files=[MEASURE])
    assert not page.failures
    assert "products of permutations of three things" in page.html
    assert PARTS.title in page.html


# A network


def test_a_network_is_trained_recorded_resumed_and_verified(tmp_path):
    whole = interp.record(two_layers(), tmp_path, "whole", progress=False)
    with pytest.raises(KeyboardInterrupt):
        interp.record(Interrupted(two_layers(), 30), tmp_path, "resumed", progress=False)
    interp.record(two_layers(), tmp_path, "resumed", progress=False)
    assert same_bytes(whole.path, tmp_path / "resumed")
    assert interp.open_run(tmp_path / "resumed").verify() == ()
    stored = interp.open_run(whole.path)[STEPS].network
    assert stored.kind == "two-layer"
    with pytest.raises(UsageError, match="network="):
        stored.activations(interp.ModularTask(7).inputs)


def test_a_network_is_measured_and_reported(tmp_path):
    interp.record(two_layers(), tmp_path, "two", progress=False)
    run = interp.open_run(tmp_path / "two", network=TwoLayer)
    series = interp.observe(run, key_rule=[1, 2, 3])
    assert series.sizes["step"] == 4
    assert bool((series["restricted_loss"] > 0).all())
    assert float(series["sum_squared_total"][-1]) == pytest.approx(float(series["history_sum_squared_weights"][-1]), rel=1e-6)
    about = interp.about(series)
    assert {"embedding_spectrum", "attention_patterns"} <= about.left_out.keys()
    page = interp.report(run, tmp_path / "two.html")
    assert not page.failures
    assert "a + b" in page.html


def test_without_keys_or_function_nothing_is_told_that_was_not_measured(tmp_path):
    interp.record(two_layers(), tmp_path, "two", progress=False)
    # (The default rule finds key frequencies in the logits of any network whose function is known.)
    for known, rule, reason in (
        (TwoLayer, "neurons", "choose the rule logits"),
        (None, "unembedding", "open its run with network="),
    ):
        run = interp.open_run(tmp_path / "two", network=known)
        series = interp.observe(run, key_rule=rule)
        about = interp.about(series)
        assert reason in about.left_out["progress_measures"]
        assert not about.failures
        assert about.key_frequencies is None
        assert "restricted_loss" not in series
        assert "sum_squared_total" in series
        page = interp.report(run, tmp_path / "two.html", key_rule=rule)
        assert not page.failures
        assert "restricted loss has" not in page.headline
        assert "frequency" not in page.headline


def test_a_loop_of_ones_own_may_train_our_network(tmp_path):
    training = interp.Training(s3_config(engine="reference", task=interp.ModularTask(5)))
    plan = replace(training.plan, settings={"mine": True}, engine="my-loop")
    run = interp.record(Planned(training, plan), tmp_path, "own", progress=False)
    assert not run.has_config
    page = interp.report(run, tmp_path / "own.html")
    assert not page.failures
    assert "interp train" not in page.html
    with pytest.raises(UsageError, match="not trained from a RunConfig"):
        interp.run_health(run)


# A measure


def test_a_measure_brings_its_definition_and_its_panel(tmp_path):
    config = replace(s3_config(engine="reference"), task=interp.ModularTask(6))
    run = interp.record(config, tmp_path, "mod6", progress=False)
    series = interp.observe(run, files=[MEASURE])
    assert series["answer_part"].sum("part").values == pytest.approx(1)
    page = interp.report(run, tmp_path / "mod6.html", analyses=["loss_curves"], files=[MEASURE])
    assert not page.failures
    assert ANALYSIS.title in page.html
    assert PARTS.title in page.html


# An executor


def test_an_executor_gives_the_same_bytes(tmp_path):
    configs = [s3_config(task=interp.ModularTask(5), engine="reference", seed=seed) for seed in range(3)]
    job = partial(interp.record, root=tmp_path / "threads", progress=False)
    done = dict(interp.train_many(configs, job, executor=in_threads))
    assert sorted(done) == [0, 1, 2]
    for number, run in done.items():
        alone = interp.record(configs[number], tmp_path / "alone", progress=False)
        assert same_bytes(run.path, alone.path)
