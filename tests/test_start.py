"""Where a run begins: from a seed, or from a state that was kept at a step of a run."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from interp import FromSeed, FromState, ModularTask, Run, RunConfig, Training, open_run, record, resume, train
from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig
from interp.errors import DataError, UsageError
from interp.training import loop

CONFIG = RunConfig(
    task=ModularTask(11),
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=3, every=10, moments=(15, 4)),
    steps=30,
    evaluate_every=7,
    engine="reference",
    threads=1,
)


def at_step(monkeypatch: pytest.MonkeyPatch, wanted: int) -> None:
    original = loop.Training._step

    def step(training: Training, train_loss: float) -> object:
        found = original(training, train_loss)
        if found.index == wanted:
            signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(loop.Training, "_step", step)


def content(run: Run) -> dict[str, bytes]:
    files = (path for path in run.path.rglob("*") if path.is_file() and path.name != "log.jsonl")
    return {path.relative_to(run.path).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(CONFIG, tmp_path_factory.mktemp("parent"), "run", progress=False)


def test_moments_are_kept_at_their_steps_listed_and_verified(parent: Run) -> None:
    assert CONFIG.checkpoints.moments == (4, 15)
    assert {4, 15} <= set(parent.steps)
    assert sorted(name for name in parent.manifest.files if name.startswith("moments/")) == [
        "moments/step_00000004.safetensors", "moments/step_00000015.safetensors", "moments/step_00000030.safetensors"
    ]  # fmt: skip
    assert parent.verify() == ()
    assert int(parent.moments(15)["index"]) == 15
    assert "engine.adamw.exp_avg_sq" in parent.moments(15)
    with pytest.raises(UsageError, match=r"given step 16, whose state was not kept in .*; kept are: 4, 15, 30"):
        parent.moments(16)
    assert (open_run(parent.path).config, parent.config.checkpoints.moments) == (CONFIG, (4, 15))


def test_a_run_without_moments_has_the_bytes_it_always_had(parent: Run, tmp_path: Path) -> None:
    without = record(replace(CONFIG, checkpoints=CheckpointConfig(log=3, every=10)), tmp_path, "run", progress=False)
    assert b"moments" not in (without.path / "run.json").read_bytes()
    assert without.manifest.moments == (30,)  # the last state, for more steps
    with pytest.raises(UsageError, match=r"kept are: 30"):
        without.moments(10)
    for step in without.steps:
        assert without.sha256(step) == parent.sha256(step)


@pytest.mark.parametrize("engine", ["reference", "cpu"])
@pytest.mark.parametrize(
    "optimizer", [OptimizerConfig(warmup_steps=20, grokfast_lambda=2.0), OptimizerConfig(norm_constraint=True)]
)
def test_with_moments_kept_a_run_goes_on_byte_for_byte_as_its_parent(
    tmp_path: Path, engine: str, optimizer: OptimizerConfig
) -> None:
    config = replace(CONFIG, engine=engine, optimizer=optimizer)
    whole = record(config, tmp_path, "parent", progress=False)
    child = record(Training(config, FromState(whole.moments(15))), tmp_path, "child", progress=False)
    assert child.steps == tuple(step for step in whole.steps if step >= 15)
    assert all(child.sha256(step) == whole.sha256(step) for step in child.steps)
    assert child.history["train_loss"].values.tolist() == whole.history["train_loss"].values[15:].tolist()
    assert child.verify() == ()


def test_with_fresh_moments_the_weights_are_kept_and_the_optimizer_begins_anew(parent: Run) -> None:
    kept, fresh = (list(train(CONFIG, start=FromState(parent.moments(15), moments))) for moments in ("kept", "fresh"))
    assert kept[0].index == fresh[0].index == 15
    assert kept[0].train_loss == fresh[0].train_loss
    assert kept[2].train_loss != fresh[2].train_loss
    # One update from fresh moments is the first of a new optimizer at these weights.
    state = parent.moments(15)
    flat = torch.nn.Parameter(state["flat"].clone())
    training = Training(CONFIG, FromState(state, "fresh"))
    training.engine.gradient()
    flat.grad = training.engine.parameters.gradient.clone()
    given = CONFIG.optimizer
    torch.optim.AdamW(
        [flat], lr=given.lr, betas=(given.beta1, given.beta2), eps=given.eps, weight_decay=given.weight_decay, fused=True
    ).step()
    training.engine.update()
    assert torch.equal(training.engine.parameters.flat, flat.detach())


def test_the_start_is_recorded_and_an_interrupted_child_goes_on(
    parent: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = FromState(parent.moments(15))
    whole = record(Training(CONFIG, start), tmp_path / "whole", "child", progress=False)
    assert whole.record["start"] == start.facts()
    assert whole.record["start"]["step"] == 15
    for step in (15, 22):
        with monkeypatch.context() as patch:
            at_step(patch, step)
            with pytest.raises(KeyboardInterrupt):
                record(Training(CONFIG, start), tmp_path, "child", progress=False)
    assert content(resume(tmp_path / "child", progress=False)) == content(whole)
    with pytest.raises(UsageError, match=r"start\.from: given None, recorded 'state'"):
        record(CONFIG, tmp_path, "child", progress=False)
    with pytest.raises(UsageError, match=r"start\.moments: given 'fresh', recorded 'kept'"):
        record(Training(CONFIG, FromState(parent.moments(15), "fresh")), tmp_path, "child", progress=False)


def test_a_seed_is_the_configs_unless_another_is_given() -> None:
    first, other = (next(iter(train(CONFIG, start=start))).train_loss for start in (FromSeed(), FromSeed(3)))
    assert first == next(iter(train(CONFIG))).train_loss
    assert other == next(iter(train(replace(CONFIG, seed=3)))).train_loss != first
    assert Training(CONFIG, FromSeed(3)).plan.settings.seed == 3


def test_what_is_no_start_is_named(parent: Run) -> None:
    state = parent.moments(15)
    with pytest.raises(UsageError, match="given a state without evaluations, flat, index"):
        FromState({})
    with pytest.raises(UsageError, match="unknown moments 'kep'; did you mean 'kept'"):
        FromState(state, "kep")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"state: given .* weights of torch.float32, expected .*as the config says"):
        Training(replace(CONFIG, model=replace(CONFIG.model, d_mlp=25)), FromState(state))
    with pytest.raises(UsageError, match=r"checkpoints\.moments: given \(-1,\), expected a tuple"):
        CheckpointConfig(moments=(-1,))


def test_damaged_moments_are_not_begun_with(tmp_path: Path) -> None:
    run = record(CONFIG, tmp_path, "run", progress=False)
    path = run.path / "moments" / "step_00000004.safetensors"
    path.write_bytes((run.path / "moments" / "step_00000015.safetensors").read_bytes())
    with pytest.raises(DataError, match="damaged"):
        open_run(run.path).moments(4)
    assert "holds the bytes of moments/step_00000015" in str(run.verify()[0])


def test_moments_of_another_step_are_found_even_if_the_manifest_lists_them(tmp_path: Path) -> None:
    run = record(CONFIG, tmp_path, "run", progress=False)
    names = [f"moments/step_{step:08d}.safetensors" for step in (4, 15)]
    (run.path / names[1]).write_bytes((run.path / names[0]).read_bytes())
    files = {**run.manifest.files, names[1]: run.manifest.files[names[0]]}
    (run.path / "manifest.json").write_bytes(replace(run.manifest, files=files).to_json())
    wrong = open_run(run.path)
    assert [str(problem) for problem in wrong.verify()] == [f"{names[1]}: holds step 4"]
    with pytest.raises(DataError, match="holds step 4, expected 15"):
        wrong.moments(15)
