"""Test loss and accuracy of many networks: the engine's passes and the tables of all pairs say the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from interp import CheckpointConfig, ModelConfig, ModularTask, Run, RunConfig, SplitConfig, patch_matrix, record
from interp.interventions import scoring
from interp.networks.initial import initial_weights

P = 13
CONFIG = RunConfig(
    task=ModularTask(P), split=SplitConfig(fraction=0.4, seed=2), model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=0, every=10), steps=20, engine="reference", threads=1,
)  # fmt: skip
MODELS = {
    "biases of the MLP": CONFIG,
    "no biases": replace(CONFIG, model=replace(CONFIG.model, biases="none")),
    "all biases, a class for =": replace(CONFIG, model=replace(CONFIG.model, biases="all", equals_class=True)),
    "no =, constant attention": replace(
        CONFIG, task=ModularTask(P, equals_sign=False), model=replace(CONFIG.model, attention_rate=0.0)
    ),
    "changed while it trains": replace(CONFIG, changes=("5:optimizer.weight_decay=0",)),
    "another loss": replace(CONFIG, optimizer=replace(CONFIG.optimizer, loss="stablemax")),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(CONFIG, tmp_path_factory.mktemp("runs"), "run", progress=False)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_engine_and_tables_say_the_same_of_any_network(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record(replace(MODELS[name], steps=10), tmp_path, "run", progress=False)
    networks = [initial_weights(replace(run.config, seed=seed)).map(lambda tensor: 2 * tensor) for seed in range(3)]
    monkeypatch.setattr(scoring, "WORTH_IT", 0)
    fast, slow = scoring.scorer(run, networks[0], networks=3), scoring.by_tables(run)
    assert "by_engine" in fast.__qualname__
    for network in [*networks, networks[0], run[10].weights]:  # the first again: nothing of the others is left
        (loss, accuracy), (expected, right) = fast(network), slow(network)
        assert loss == pytest.approx(expected, rel=1e-5)
        assert accuracy == right


def test_several_threads_have_engines_of_their_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "WORTH_IT", 0)
    networks = [initial_weights(replace(CONFIG, seed=seed)) for seed in range(12)]
    score = scoring.scorer(run, networks[0], networks=12)
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(score, networks))
    assert at_once == [score(network) for network in networks]


def test_what_the_engine_cannot_do_is_left_to_the_tables(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = run[0].weights
    assert "by_tables" in scoring.scorer(run, weights, networks=5).__qualname__  # too few
    assert "by_engine" in scoring.scorer(run, weights, networks=scoring.WORTH_IT).__qualname__
    monkeypatch.setattr(scoring, "WORTH_IT", 0)
    assert "by_tables" in scoring.scorer(run, weights.to(dtype=torch.float64), networks=1).__qualname__
    smooth = record(replace(CONFIG, model=replace(CONFIG.model, activation="gelu"), steps=1), tmp_path, "smooth", progress=False)
    assert "by_tables" in scoring.scorer(smooth, smooth[0].weights, networks=1).__qualname__


@pytest.mark.parametrize("parts", [["embedding"], ["attention", "W_in"], ["unembedding"]])
def test_the_matrix_is_the_same_by_either(run: Run, parts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    by_tables = patch_matrix(run, parts=parts, threads=2)
    monkeypatch.setattr(scoring, "WORTH_IT", 0)
    by_engine = patch_matrix(run, parts=parts, threads=2)
    assert np.allclose(by_engine["test_loss"], by_tables["test_loss"], rtol=1e-5, atol=0)
    assert np.array_equal(by_engine["test_accuracy"], by_tables["test_accuracy"])
