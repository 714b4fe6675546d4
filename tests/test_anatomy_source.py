"""Where a model to dissect comes from: a run, a checkpoint of it, and what is said about either."""

from __future__ import annotations

import pytest
import torch

from interp.anatomy.source import open_source
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import UsageError
from interp.interop import Known
from interp.keeping.recorder import record
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = RunConfig(
        task=ModularTask(p=5), split=SplitConfig(fraction=0.5), model=ModelConfig(d_model=8, n_heads=2, d_mlp=8),
        checkpoints=CheckpointConfig(log=0, every=5), steps=10, engine="reference", threads=1,
    )  # fmt: skip
    return record(config, tmp_path_factory.mktemp("source"), "run", progress=False)


def test_a_run_gives_its_last_checkpoint_and_its_split(run):
    found = open_source(run.path)
    assert (found.step, found.task.operation, found.notes) == (10, "add", ())
    assert found.split.train.tolist() == run.split.train.tolist()


def test_an_earlier_checkpoint_says_whose_key_frequencies_it_has(run):
    for found in (open_source(run.path, step=5), open_source(run[5].path)):
        assert torch.equal(found.weights.W_E, run[5].weights.W_E)
        assert "those of its last one, step 10" in found.notes[0]


def test_a_run_has_a_split_of_its_own(run):
    with pytest.raises(UsageError, match=r"--split torch:598:0\.3: given for the run .*leave it out"):
        open_source(run.path, known=Known(split=SplitConfig()))
    with pytest.raises(UsageError, match=r"--format map --n-heads 4: given for the run .*leave it out"):
        open_source(run.path, format="map", known=Known(n_heads=4))
    with pytest.raises(UsageError, match="leave one of them out"):
        open_source(run[5].path, step=10)
