"""A fork goes on from a step of another run; a finished run goes on when it is given more steps."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from interp import FromWeights, ModularTask, Run, RunConfig, Training, fork, open_run, record, report, resume
from interp.cli import main
from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig
from interp.errors import UsageError
from interp.observing.lineage import lineage_in_words
from interp.store import extending
from interp.training import loop
from interp.training.start import moments_in

CONFIG = RunConfig(
    task=ModularTask(11),
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=3, every=10, moments=(15,)),
    steps=32,
    evaluate_every=7,
    engine="reference",
    threads=1,
)


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def trained(run: Run) -> dict[str, bytes]:
    """What training writes: checkpoints, kept states, the history."""
    names = [name for name in run.manifest.files if name.startswith(("checkpoints/", "moments/"))]
    return {name: (run.path / name).read_bytes() for name in [*names, "history.jsonl"]}


def command(*given: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, given)))
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(CONFIG, tmp_path_factory.mktemp("parent"), "run", progress=False)


@pytest.mark.parametrize(
    "optimizer", [OptimizerConfig(warmup_steps=20, grokfast_lambda=2.0), OptimizerConfig(norm_constraint=True)]
)
def test_with_nothing_changed_a_fork_is_its_parent_from_there_on_byte_for_byte(
    tmp_path: Path, optimizer: OptimizerConfig
) -> None:
    whole = record(replace(CONFIG, optimizer=optimizer), tmp_path, "parent", progress=False)
    child = fork(whole, 15, progress=False)
    assert child.name == "parent-from15"
    lines = (whole.path / "history.jsonl").read_bytes().splitlines(keepends=True)
    assert (child.path / "history.jsonl").read_bytes() == b"".join(lines[15:])
    mine, theirs = trained(child), trained(whole)
    assert child.steps == tuple(step for step in whole.steps if step >= 15)
    assert all(mine[name] == theirs[name] for name in mine if name != "history.jsonl")
    assert child.verify() == ()


def test_what_was_changed_has_its_effect_and_stands_in_the_lineage(parent: Run, tmp_path: Path) -> None:
    before = hashes(parent.path)
    child = fork(parent, 15, root=tmp_path, progress=False, **{"optimizer.weight_decay": 0.0})
    start = child.record["start"]
    assert child.name == "run-from15-wd0"
    assert {name: start[name] for name in ("from", "parent", "step", "moments")} == {
        "from": "run", "parent": "run", "step": 15, "moments": "kept"
    }  # fmt: skip
    assert start["changed"] == {"optimizer.weight_decay": [1.0, 0.0]}
    assert start["checkpoint"] == parent.sha256(15) == child.sha256(15)
    assert start["run"] == parent.manifest.files["run.json"].sha256
    assert child.history.train_loss.values[0] == parent.history.train_loss.values[15]
    assert child.sha256(20) != parent.sha256(20)
    assert child.facts()["start"] == start
    assert hashes(parent.path) == before, "a fork only reads its parent"
    again = fork(parent, 15, root=tmp_path, progress=False, optimizer__weight_decay=0.0)
    assert again.manifest == child.manifest


def test_with_fresh_moments_it_begins_at_any_checkpoint_with_a_new_optimizer(parent: Run, tmp_path: Path) -> None:
    child = fork(parent, 10, moments="fresh", root=tmp_path, progress=False)
    assert child.name == "run-from10-fresh"
    assert child.sha256(10) == parent.sha256(10)
    own = Training(CONFIG, FromWeights(parent[10].weights, 10))
    assert [step.train_loss for step in own] == child.history.train_loss.values.tolist()
    assert int(own.state()["engine.updates"]) == CONFIG.steps - 10
    # The states of step 15 are there: fresh means the same whether or not they are.
    assert (
        fork(parent, 15, moments="fresh", root=tmp_path, progress=False).history.train_loss.values[0]
        == (parent.history.train_loss.values[15])
    )


@pytest.mark.parametrize("optimizer", [OptimizerConfig(), OptimizerConfig(warmup_steps=20, grokfast_lambda=2.0)])
def test_moments_of_its_own_step_are_the_moments_kept(tmp_path: Path, optimizer: OptimizerConfig) -> None:
    whole = record(replace(CONFIG, optimizer=optimizer), tmp_path, "parent", progress=False)
    child = fork(whole, 15, moments=(whole, 15), progress=False)
    assert child.name == "parent-from15-moments-parent-15"
    lines = (whole.path / "history.jsonl").read_bytes().splitlines(keepends=True)
    assert (child.path / "history.jsonl").read_bytes() == b"".join(lines[15:])
    assert child.verify() == ()


def test_moments_of_another_run_are_its(parent: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = record(replace(CONFIG, seed=1), tmp_path, "other", progress=False)
    child = fork(parent, 10, moments=(other, 15), root=tmp_path, progress=False)
    start = child.record["start"]
    assert (start["moments"], start["moments_of"], start["moments_step"]) == ("elsewhere", "other", 15)
    assert child.sha256(10) == parent.sha256(10)
    # One update by hand: AdamW's, with the other's moments and its number of updates.
    engine, state = Training(CONFIG, FromWeights(parent[10].weights, 10)).engine, other.moments(15)
    engine.gradient()
    gradient, weights = engine.parameters.gradient.double(), engine.parameters.flat.detach().double().clone()
    of, updates = CONFIG.optimizer, int(state["engine.adamw.step"]) + 1
    mean = of.beta1 * state["engine.adamw.exp_avg"].double() + (1 - of.beta1) * gradient
    square = of.beta2 * state["engine.adamw.exp_avg_sq"].double() + (1 - of.beta2) * gradient**2
    step = mean / (1 - of.beta1**updates) / ((square / (1 - of.beta2**updates)).sqrt() + of.eps)
    expected = weights * (1 - of.lr * of.weight_decay) - of.lr * step
    again = Training(CONFIG, FromWeights(parent[10].weights, 10, moments=moments_in(state)))
    steps = iter(again)
    next(steps), next(steps)
    torch.testing.assert_close(again.engine.parameters.flat.double(), expected, rtol=0, atol=1e-6)
    assert next(step for step in child.history.step.values if step > 10) == 11
    told = lineage_in_words(start)
    assert told == "a fork of run at step 10, moments of other at step 15, with nothing changed"
    assert command("fork", parent.path, "--step", 10, "--moments", f"{other.path}@15", "--root", tmp_path, "--name", "by") == 0
    assert trained(open_run(tmp_path / "by")) == trained(child)


def test_a_fork_of_no_step_is_asked_for_one(parent: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("fork", parent.path) == 2
    assert "--step" in capsys.readouterr().err


def test_moments_that_are_none_or_do_not_fit_are_refused(parent: Run, tmp_path: Path, capsys) -> None:
    small = replace(CONFIG, model=replace(CONFIG.model, d_mlp=8))
    other = record(small, tmp_path, "small", progress=False)
    with pytest.raises(UsageError, match=r"moments: adamw\.exp_avg: given .* expected .* another shape"):
        fork(parent, 10, moments=(other, 15), root=tmp_path, name="x", progress=False)
    with pytest.raises(UsageError, match="the optimizer's moments at step 10 were not kept"):
        fork(parent, 10, moments=(parent, 10), root=tmp_path, name="x", progress=False)
    assert not (tmp_path / "x/manifest.json").exists()
    assert command("fork", parent.path, "--step", 10, "--moments", "old", "--root", tmp_path) == 2
    assert "expected keep, fresh, or RUN@STEP" in capsys.readouterr().err


def test_other_pairs_are_trained_on(parent: Run, tmp_path: Path) -> None:
    child = fork(parent, 15, root=tmp_path, progress=False, **{"split.seed": 3})
    assert set(child.split.train) != set(parent.split.train)
    assert child.sha256(15) == parent.sha256(15)
    assert child.history.train_loss.values[0] != parent.history.train_loss.values[15]


def test_a_norm_that_is_kept_from_the_fork_on_is_that_of_the_fork(parent: Run, tmp_path: Path) -> None:
    for moments in ("kept", "fresh"):
        child = fork(parent, 15, moments=moments, root=tmp_path, progress=False, optimizer__norm_constraint=True)
        norms = child.history.sum_squared_weights.dropna("step").values
        assert norms == pytest.approx([norms[0]] * len(norms), rel=1e-5)
        assert norms[0] != pytest.approx(parent.history.sum_squared_weights.values[0], rel=1e-3)


def test_weights_from_elsewhere_begin_a_run(parent: Run, tmp_path: Path) -> None:
    start = FromWeights(parent[30].weights)
    run = record(Training(CONFIG, start), tmp_path, "run", progress=False)
    assert run.steps[0] == 0
    assert run.record["start"] == start.facts()
    assert run.history.train_loss.values[0] == parent.history.train_loss.values[30]
    with pytest.raises(UsageError, match=r"weights: W_in: given \(16, 24\), expected \(16, 25\), as the config says"):
        Training(replace(CONFIG, model=replace(CONFIG.model, d_mlp=25)), start)


@pytest.mark.parametrize(
    ("step", "changes", "message"),
    [
        (16, {}, r"step: given 16, which was not saved in .*; did you mean 15\?"),
        (10, {}, r"moments at step 10 were not kept in .*; those at step 15 are the nearest that were. .*--moments fresh"),
        (15, {"optimizer.weight_deacy": 1.0}, r"optimizer\.weight_deacy: unknown field .*did you mean 'weight_decay'"),
        (15, {"optimizer.lr": -1.0}, r"optimizer\.lr: given -1\.0, expected a finite number > 0"),
        (15, {"optimizer": 3}, r"optimizer: given 3, expected a OptimizerConfig, or one of its fields"),
        (15, {"seed": 4}, r"seed: given 4, but a fork has its parent's weights"),
        (15, {"task": ModularTask(13)}, r"task\.p: given 13, the parent's is 11: a fork goes on with its parent's weights"),
        (15, {"model.d_mlp": 20}, r"model\.d_mlp: given 20, the parent's is 24"),
        (15, {"dtype": "float64"}, r"dtype: given 'float64', but the parent's weights are float32"),
        (15, {"steps": 15}, r"steps: given 15, expected more than 15, the step to begin at"),
        (15, {"moments": "fres"}, r"unknown moments 'fres'; did you mean 'fresh'"),
        (15, {"name": "run"}, r"name: given 'run', which is the parent's"),
    ],
)  # fmt: skip
def test_what_no_fork_can_be_is_refused_before_anything_is_written(
    parent: Run, step: int, changes: dict[str, object], message: str
) -> None:
    before = hashes(parent.path.parent)
    with pytest.raises(UsageError, match=message):
        fork(parent, step, progress=False, **changes)  # type: ignore[arg-type]  # that is the point
    assert hashes(parent.path.parent) == before


def test_verify_notices_a_fork_that_does_not_begin_with_its_parents_weights(parent: Run, tmp_path: Path) -> None:
    shutil.copytree(parent.path, tmp_path / "run")
    child = fork(tmp_path / "run", 15, progress=False, optimizer__weight_decay=0.0)
    assert child.verify() == ()
    data = (child.path / "run.json").read_bytes()
    (child.path / "run.json").write_bytes(data.replace(parent.sha256(15).encode(), parent.sha256(20).encode()))
    files = {
        **child.manifest.files,
        "run.json": type(child.manifest.files["run.json"]).of((child.path / "run.json").read_bytes()),
    }
    (child.path / "manifest.json").write_bytes(replace(child.manifest, files=files).to_json())
    assert "says that it began with weights" in str(open_run(child.path).verify()[0])


def test_verify_says_where_the_parent_beside_is_another_run(parent: Run, tmp_path: Path) -> None:
    shutil.copytree(parent.path, tmp_path / "run")
    child = fork(tmp_path / "run", 15, progress=False, optimizer__weight_decay=0.0)
    assert not [note for note in child.examine().notes if "parent" in str(note)]
    shutil.rmtree(tmp_path / "run")
    assert not child.verify(), "a fork is whole without its parent"
    record(replace(CONFIG, seed=5), tmp_path, "run", progress=False)
    assert "its parent was another" in " ".join(map(str, child.examine().notes))


def test_a_fork_that_was_killed_before_its_first_step_begins_again(
    parent: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from interp.keeping import recorder

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "go", killed)
        with pytest.raises(KeyboardInterrupt):
            fork(parent, 15, root=tmp_path, name="child", progress=False)
    assert open_run(tmp_path / "child").manifest.step is None
    assert trained(fork(parent, 15, root=tmp_path, name="child", progress=False)).keys() == {
        name for name in trained(parent) if name == "history.jsonl" or int(name[-20:-12]) >= 15
    }


def test_more_steps_for_a_finished_run_give_the_bytes_of_one_begun_with_them(tmp_path: Path) -> None:
    short = record(
        replace(CONFIG, checkpoints=CheckpointConfig(log=3, every=3, moments=(15,))), tmp_path, "short", progress=False
    )
    longer = resume(short.path, steps=60, progress=False)
    assert longer.config == replace(CONFIG, steps=60, checkpoints=CheckpointConfig(log=3, every=3, moments=(15, 32)))
    whole = record(longer.config, tmp_path, "whole", progress=False)
    assert trained(longer) == trained(whole)
    assert longer.verify() == ()
    assert (longer.status, longer.reason, longer.budget) == ("finished", "budget", 60)
    twice = resume(short.path, steps=70, progress=False)
    assert twice.manifest.extended is not None
    assert (twice.manifest.extended.at, twice.steps[-1]) == ((32, 60), 70)
    assert record(twice.config, tmp_path, "short", progress=False).steps == twice.steps


def test_a_settled_run_goes_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "is_settled", lambda steps, *_: steps[-1] >= 20)
    run = record(replace(CONFIG, until_settled=True), tmp_path, "run", progress=False)
    assert (run.reason, run.steps[-1]) == ("settled", 20)
    longer = resume(run.path, steps=40, progress=False)
    assert (longer.reason, longer.steps[-1], longer.config.until_settled) == ("budget", 40, False)
    assert longer.verify() == ()


def test_who_is_killed_while_a_run_is_given_more_steps_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from interp.store import replacing

    short = record(CONFIG, tmp_path, "short", progress=False)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(replacing, "write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            extending.extend(short.path, 60)
    assert trained(resume(short.path, progress=False)) == trained(short)
    extending.extend(short.path, 60)
    assert open_run(short.path).status == "interrupted"
    assert resume(short.path, progress=False).steps[-1] == 60


def test_what_cannot_be_given_more_steps_is_named(parent: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="steps: given 32, expected more than 32, the last step of run"):
        resume(parent.path, steps=32, progress=False)
    alone = record(CONFIG, tmp_path, "alone", progress=False, keep_last=False)
    assert alone.manifest.moments == (15,), "those that were asked for stay"
    with pytest.raises(UsageError, match=r"did not keep the state at its last step.*--step 32 --moments fresh --steps 50"):
        resume(alone.path, steps=50, progress=False)


def test_the_commands(parent: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(parent.path, tmp_path / "run")

    def called(*given: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*given, "--root", str(tmp_path)])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    code, out, _ = called("fork", "run", "--step", "15", "--optimizer.weight-decay", "0")
    assert code == 0
    assert "run-from15-wd0: finished (budget) at step 32" in out
    assert called("verify", "run-from15-wd0")[0] == 0
    assert "begun: a fork of run at step 15" in called("show", "run-from15-wd0")[1]
    code, _, err = called("fork", "run", "--step", "10")
    assert (code, "--moments fresh" in err) == (2, True)
    assert called("fork", "run", "--step", "10", "--moments", "fresh", "--name", "fresh")[0] == 0
    code, _, err = called("fork", "ran", "--step", "10")
    assert (code, "did you mean 'run'" in err) == (2, True)
    code, out, _ = called("resume", "run", "--steps", "40")
    assert (code, "finished (budget) at step 40" in out) == (0, True)


def test_a_family_of_forks_on_one_page_begins_with_what_was_changed(parent: Run, tmp_path: Path) -> None:
    shutil.copytree(parent.path, tmp_path / "run")
    family = [open_run(tmp_path / "run")]
    family += [fork(family[0], 15, progress=False, name=f"wd{decay}", optimizer__weight_decay=decay) for decay in (0.0, 3.0)]
    page = report(family, tmp_path / "family.html").html
    text = re.sub("<[^>]+>", "", page)
    assert "wd0.0 is a fork of run at step 15, moments kept, with optimizer.weight_decay 1 \u2192 0." in text
    assert page.index("<summary>What was changed") < page.index("<summary>How they differ")
    alone = report(family[1], tmp_path / "alone.html").html
    assert "a fork of run at step 15, moments kept, with optimizer.weight_decay 1 \u2192 0" in re.sub("<[^>]+>", "", alone)
