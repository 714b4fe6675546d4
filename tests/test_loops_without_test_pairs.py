"""A recorded loop that trains on all pairs: nothing is said of test pairs, and it is listed, thinned, measured like any run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from recorded import CONFIG

import interp
from interp import ModularTask, Run, open_run, record
from interp.cli.entry import main
from interp.observing.answer import answer
from interp.observing.thinning_out import thin_measured
from interp.studies.study_plan import DEFAULT_MEASURES

TASK = ModularTask(7, equals_sign=False)


def trained(root: Path, made: list[int]) -> Run:
    """A small network that learns the whole table, recorded with an analysis that keeps something for all checkpoints."""

    def mine(view):
        view.once_per_run("mine", lambda: made.append(view.step))
        return {"mine": 0.0}

    torch.manual_seed(0)
    inputs, labels = torch.from_numpy(TASK.inputs), torch.from_numpy(TASK.labels)
    model = torch.nn.Sequential(
        torch.nn.Embedding(7, 16), torch.nn.Flatten(), torch.nn.Linear(32, 48), torch.nn.ReLU(), torch.nn.Linear(48, 7)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    own = {"analyses": [mine, "progress_measures", "best_guesses"], "checkpoints": [0, 2, 60, 120]}
    with interp.recording("loop", model, task=TASK, root=root, **own) as log:
        for step in range(120):
            log.step(step)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
        log.step(120)
    return open_run(root / "loop")


def called(*arguments: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    assert ended.value.code in (0, None)


@pytest.fixture(scope="module")
def made() -> list[int]:
    return []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, made: list[int]) -> Run:
    return trained(tmp_path_factory.mktemp("loops"), made)


@pytest.fixture
def run(whole: Run, tmp_path: Path) -> Run:
    shutil.copytree(whole.path, tmp_path / "loop")
    return open_run(tmp_path / "loop")


def test_what_is_kept_for_all_checkpoints_is_made_once(whole: Run, made: list[int]) -> None:
    assert len(whole.steps) > 1
    assert made == [0]


def test_whether_it_grokked_is_not_known(run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert answer(run).sentence.startswith("whether it grokked is not known: memorized at ")
    called("show", run.path)
    assert "not grokked" not in capsys.readouterr().out
    page = interp.report(run, tmp_path / "page.html")
    losses = interp.observe(run, "progress_measures").restricted_loss.values
    assert losses[-1] < losses[0] / 2
    assert "The restricted loss has halved" in page.headline


def test_it_is_thinned_and_what_its_loop_measured_stays(run: Run) -> None:
    before = {path.name: path.read_bytes() for path in (run.path / "series").iterdir()}
    thinned = thin_measured(run, measures=[*DEFAULT_MEASURES, "best_guesses"])
    assert thinned.steps == (0, 120)
    after = {path.name: path.read_bytes() for path in (run.path / "series").iterdir()}
    assert after.items() >= before.items()
    assert not thinned.verify()
    assert len(interp.observe(thinned, "best_guesses").step) == len(run.steps)


def test_it_is_listed_beside_a_run_of_this_toolkit_without_its_settings(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    other = replace(CONFIG, steps=2)
    record(other, root=run.path.parent, name="own", progress=False)
    called("runs", "--root", run.path.parent)
    heads = capsys.readouterr().out.splitlines()[0].split()
    assert {"name", "outcome", "p"} <= set(heads)
    assert not {"lr", "d_mlp", "beta1", "activation", "n_heads"} & set(heads)
    record(replace(other, seed=5), root=run.path.parent, name="another", progress=False)
    batches = replace(other, optimizer=replace(other.optimizer, batch_size=8))  # written only where it is not the default
    record(batches, root=run.path.parent, name="in-batches", progress=False)
    assert "optimizer.batch_size" in interp.runs(run.path.parent).columns
    called("runs", "--root", run.path.parent)
    assert "seed" in capsys.readouterr().out.splitlines()[0].split()
