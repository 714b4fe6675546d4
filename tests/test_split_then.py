"""Which pairs a run was trained on at a step, where its changes took some out or added some: what is measured is of those."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import interp
from interp.cli import main
from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig, RunConfig, SplitConfig
from interp.losses import cross_entropy
from interp.networks.pair_tables import pair_logits
from interp.observing.series import about
from interp.reporting.run_curves import Curves
from interp.reporting.sentences import sentences
from interp.store import split_then
from interp.store.run import Run
from interp.tasks.modular import ModularTask

P = 11


def recorded(root, *changes: str, steps: int = 60, moments: tuple[int, ...] = ()) -> Run:
    config = RunConfig(
        task=ModularTask(P),
        split=SplitConfig(fraction=0.5),
        model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
        optimizer=OptimizerConfig(lr=1e-2),
        checkpoints=CheckpointConfig(log=0, every=5, moments=moments),
        steps=steps,
        engine="reference",
        threads=1,
        changes=changes,
    )
    return interp.record(config, root=root, name="run", progress=False)


def measured(run: Run, step: int) -> tuple[float, float]:
    """Mean train and test losses of a checkpoint on the pairs of its step."""
    losses = cross_entropy(pair_logits(run[step].weights), torch.from_numpy(run.task.labels)).double()
    split = run.split_at(step)
    return float(losses[torch.from_numpy(split.train)].mean()), float(losses[torch.from_numpy(split.test)].mean())


@pytest.mark.parametrize(
    ("changes", "sizes"),
    [
        ((), {}),
        (("20:pairs=0.8",), {20: 97}),
        (("20..40:pairs=0.8",), {20: 97, 40: 60}),
        (("20:pairs=0.3", "40:pairs=0.9/4"), {20: 36, 40: 109}),
        (("10..30:pairs=0.2", "20:pairs=0.7"), {10: 24, 20: 85, 30: 85}),  # at 30 others, and as many
        (("20:optimizer.weight_decay=0", "30:labels=0.2"), {}),
        (("grokked:pairs=0.8",), {}),  # which it did not
        (("20:pairs=0.5",), {}),  # as many as there are
    ],
)
def test_a_checkpoints_losses_are_those_of_the_history_on_the_pairs_of_its_step(tmp_path, changes, sizes):
    run = recorded(tmp_path, *changes)
    assert run.train_pairs_from == sizes
    if "30:labels=0.2" in changes:
        return  # the history's losses are of the labels that were swapped
    for step in run.steps:
        train, test = measured(run, step)
        assert train == pytest.approx(run[step].losses["train_loss"], rel=1e-4)
        assert test == pytest.approx(run[step].losses["test_loss"], rel=1e-4)
    assert run.split_at(0) is run.split


def test_all_who_ask_at_once_get_the_same_split(tmp_path, monkeypatch):
    run, barrier = recorded(tmp_path, "20:pairs=0.8"), threading.Barrier(3, timeout=20)
    run.split_at(0)
    draw = split_then.with_pairs

    def together(*given):
        barrier.wait()
        return draw(*given)

    monkeypatch.setattr(split_then, "with_pairs", together)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(run.split_at, [20, 30, 40]))
    assert found[0] is found[1] is found[2] is run.split_at(60)


def test_a_change_that_waits_for_a_phase_begins_where_the_history_says_that_it_came(tmp_path):
    run = recorded(tmp_path, "memorized:pairs=0.8", steps=400)
    (begun,) = run.train_pairs_from
    reached = run.columns["step"][np.flatnonzero(run.columns["train_accuracy"] >= 0.99)[0]]
    assert begun == reached + 1
    assert begun < 300
    for step in run.steps:
        assert measured(run, step)[1] == pytest.approx(run[step].losses["test_loss"], rel=1e-4)


def test_a_fork_begins_with_the_pairs_of_its_change(tmp_path):
    parent = recorded(tmp_path)
    child = interp.fork(parent, 30, moments="fresh", progress=False, changes=["20:pairs=0.8"])
    assert len(child.split_at(30).train) == 97
    for step in child.steps:
        assert measured(child, step)[1] == pytest.approx(child[step].losses["test_loss"], rel=1e-4)


@pytest.mark.parametrize("moments", ["kept", "fresh"])
def test_a_fork_knows_whether_the_phase_for_which_a_change_waited_had_come(tmp_path, moments):
    parent = recorded(tmp_path, "memorized:pairs=0.9", steps=150, moments=(55,))
    assert parent.train_pairs_from == {51: 109}  # afterwards they are not memorized for a while
    child = interp.fork(parent, 55, moments=moments, progress=False, steps=100)
    (begun,) = child.train_pairs_from
    assert (begun <= 55) == (moments == "kept")
    for step in child.steps:
        assert measured(child, step)[1] == pytest.approx(child[step].losses["test_loss"], rel=1e-4)


def test_a_training_from_a_state_says_what_had_begun_in_it(tmp_path):
    parent = recorded(tmp_path, "memorized:pairs=0.9", steps=150, moments=(55,))
    config = replace(parent.config, steps=100, checkpoints=CheckpointConfig(log=0, every=5))
    run = interp.record(
        interp.Training(config, interp.FromState(parent.moments(55))), root=tmp_path, name="from-state", progress=False
    )
    assert run.record["start"]["changes_began"] == {"0": 50}
    for step in run.steps:
        assert measured(run, step)[1] == pytest.approx(run[step].losses["test_loss"], rel=1e-4)


def test_a_fork_that_does_not_say_what_had_begun_asks_its_parent(tmp_path, caplog):
    """Of an earlier version: its record has no word of it."""
    parent = recorded(tmp_path, "memorized:pairs=0.9", steps=150, moments=(55,))
    child = interp.fork(parent, 55, progress=False, steps=100)
    start = {name: value for name, value in child.record["start"].items() if name != "changes_began"}
    silent = replace(child, record={**child.record, "start": start})
    assert [len(silent.split_at(step).train) for step in child.steps] == [109] * len(child.steps)
    assert not caplog.messages
    shutil.move(parent.path, tmp_path / "elsewhere")
    silent = replace(child, record={**child.record, "start": start})
    silent.split_at(60)
    assert "had begun before it was forked is not known" in caplog.text


def test_the_page_says_from_when_on_it_was_trained_on_other_pairs(tmp_path):
    run = recorded(tmp_path, "20:pairs=0.8")
    told, *_ = sentences(Curves(interp.observe(run, ["weight_norms"])))
    assert "with 60 of the 121 pairs, with 97 from step 20 on; pairs that it never saw are, at each step, those" in told


def test_a_watched_training_is_judged_by_the_pairs_of_its_step(tmp_path, monkeypatch):
    from interp.forecasting import looking_on

    asked = []
    monkeypatch.setattr(looking_on, "Model", lambda weights, task, split: asked.append(len(split.train)))
    monkeypatch.setattr(looking_on, "Circuit", SimpleNamespace(of=lambda *_: SimpleNamespace(agreement=1.0)))
    config = recorded(tmp_path, "20..40:pairs=0.8").config
    watching = looking_on.Foresight(config)
    for step in (10, 20, 50):
        watching._consider(SimpleNamespace(weights=None, index=step), 0.5)
    assert asked == [60, 97, 60]


def test_analyses_see_the_pairs_of_their_step(tmp_path):
    run = recorded(tmp_path, "20..40:pairs=0.8")
    seen: dict[int, int] = {}

    def pairs(view: interp.View) -> dict[str, float]:
        seen[view.step] = len(view.split.train)
        assert len(view.circuit.train) == len(view.train) == len(view.split.train)
        return {"test_loss_again": float(cross_entropy(view.logits, view.labels)[view.test].double().mean())}

    series = interp.observe(run, [pairs, "accuracy_by_split", "pair_by_pair", "progress_measures"])
    assert not about(series).failures
    assert seen == {step: 97 if 20 <= step < 40 else 60 for step in run.steps}
    evaluated = {step: run[step].losses["test_loss"] for step in run.steps}
    assert series["test_loss_again"].values == pytest.approx(list(evaluated.values()), rel=1e-4)
    sizes = series["part_pairs"].sel(held_out_part="train").values
    assert sizes.tolist() == [seen[step] for step in run.steps]
    assert series["pair_seen"].values.sum(axis=(1, 2)).tolist() == [seen[step] for step in run.steps]
    # Of the first steps and the last ones what follows from the split is the same object's.
    again = interp.observe(run, ["accuracy_by_split"], steps=[0, 25, 50], threads=1)
    assert again["part_pairs"].sel(held_out_part="train").values.tolist() == [60, 97, 60]


def test_the_parts_that_are_read_at_a_step_are_of_its_pairs(tmp_path):
    run = recorded(tmp_path, "20:pairs=0.8")
    from interp.anatomy.surgery import _subject

    assert len(_subject(run, 10)[2].train) == 60
    assert len(_subject(run, None)[2].train) == 97


def test_show_says_from_when_on_it_was_trained_on_other_pairs(tmp_path, capsys):
    run = recorded(tmp_path, "20..40:pairs=0.8")
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["show", str(run.path)])
    told = capsys.readouterr().out
    assert "from 60 of 121 pairs (50 %); from step 20 on 97 (80 %); from step 40 on 60 (50 %)" in " ".join(told.split())
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["show", str(run.path), "--json"])
    assert json.loads(capsys.readouterr().out)["train_pairs_from"] == {"20": 97, "40": 60}
