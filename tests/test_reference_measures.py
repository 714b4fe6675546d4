"""Published models, measured: they agree with the values computed from their weights elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from interp.harmonics.frames import addition
from interp.losses import cross_entropy
from interp.measures import (
    circularity,
    cos_fit,
    distance_irrelevance,
    excluded_loss,
    excluded_loss_single,
    gini,
    gradient_symmetricity,
    key_frequencies_from_matrix,
    neuron_frequencies,
    restricted_loss,
    sum_squared_weights,
)
from interp.networks.one_layer import Weights, forward, forward_embedded
from interp.networks.pair_tables import pair_tables
from interp.networks.sites import Activations
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

pytestmark = pytest.mark.reference


def published(path: Path, *, attention_rate: float = 1.0) -> Weights:
    """A model of the official grokking code or of the clock/pizza code; their matrices multiply from the left."""
    content = torch.load(path, weights_only=True, map_location="cpu")
    named: dict[str, Tensor] = {name.split(".")[-1]: tensor for name, tensor in content.get("model", content).items()}
    heads, d_head, _ = named["W_Q"].shape
    tensors = {
        "W_E": named["W_E"].T,
        "W_pos": named["W_pos"],
        **{name: named[name].transpose(1, 2) for name in ("W_Q", "W_K", "W_V")},
        "W_O": named["W_O"].T.reshape(heads, d_head, -1),
        "W_in": named["W_in"].T,
        "b_in": named["b_in"],
        "W_out": named["W_out"].T,
        "b_out": named["b_out"],
        "W_U": named["W_U"],
    }
    return Weights.from_tensors(tensors, attention_rate=attention_rate).to(dtype=torch.float64)


@pytest.fixture(scope="module")
def weights(reference: Path) -> Weights:
    return published(reference / "nanda_wd_0.1_final.pth")


@pytest.fixture(scope="module")
def outputs(weights: Weights) -> Activations:
    return forward(weights, ModularTask().pairs)


class TestGrokkedModel:
    """p = 113, weight decay 0.1, after 107,790 updates."""

    KEYS = (6, 23, 37, 39, 41)

    harmonics, labels = addition(113), torch.from_numpy(ModularTask().labels)
    basis = harmonics.basis
    split = SplitConfig(rule="python", seed=1, fraction=0.3).draw(ModularTask())

    def test_losses(self, outputs):
        with_equals = cross_entropy(outputs.all_logits, self.labels)
        assert with_equals[self.split.train].mean().item() == pytest.approx(9.2024e-9, rel=1e-3)
        assert with_equals[self.split.test].mean().item() == pytest.approx(4.9884e-7, rel=1e-3)
        assert cross_entropy(outputs.logits, self.labels).mean().item() == pytest.approx(3.51974e-7, rel=1e-3)

    def test_key_frequencies(self, weights):
        assert key_frequencies_from_matrix(weights.W_L, harmonics=self.harmonics) == self.KEYS

    def test_restricted_loss(self, outputs):
        loss = restricted_loss(outputs.logits, self.labels, harmonics=self.harmonics, keys=self.KEYS)
        assert loss.mean().item() == pytest.approx(2.2011e-9, rel=1e-3)
        assert loss[self.split.test].mean().item() == pytest.approx(2.2477e-9, rel=1e-3)

    def test_excluded_loss(self, outputs):
        train = torch.from_numpy(self.split.train)
        how = {"harmonics": self.harmonics, "keys": self.KEYS, "pairs": train}
        assert excluded_loss(outputs.logits, self.labels, **how).mean().item() == pytest.approx(8.3854, rel=1e-3)
        single = excluded_loss_single(outputs.logits, self.labels, **how)
        expected = {6: 0.0293, 23: 1.18, 37: 4.36e-4, 39: 6.55e-5, 41: 2.61e-4}
        # These are published with three digits.
        assert {k: loss.mean().item() for k, loss in single.items()} == pytest.approx(expected, rel=4e-3)

    def test_gini_and_sum_of_squares(self, weights):
        assert gini(self.basis.row_norms(weights.residue_embedding)).item() == pytest.approx(0.53859, rel=1e-3)
        assert gini(self.basis.row_norms(weights.W_L)).item() == pytest.approx(0.75761, rel=1e-3)
        assert sum_squared_weights(weights.tensors())["total"] == pytest.approx(1180.966, rel=1e-3)

    def test_neurons(self, outputs):
        found = neuron_frequencies(outputs.neurons, harmonics=self.harmonics)
        assert found.counts == {6: 47, 23: 31, 37: 65, 39: 11, 41: 31}
        assert int(found.in_cluster.sum()) == 185

    def test_cosine_fit(self, outputs):
        fit = cos_fit(outputs.logits, self.labels, harmonics=self.harmonics, keys=self.KEYS)
        assert fit.fve.item() == pytest.approx(0.9748, rel=1e-3)
        assert fit.loss.mean().item() == pytest.approx(1.59e-9, rel=4e-3)

    def test_tables_in_float32_measure_the_same(self, weights):
        """What a series is measured with: float32 weights, tables over tokens."""
        found = pair_tables(weights.to(dtype=torch.float32))
        how = {"harmonics": self.harmonics, "keys": self.KEYS}
        assert cross_entropy(found.logits, self.labels).mean().item() == pytest.approx(3.51974e-7, rel=1e-3)
        assert restricted_loss(found.logits, self.labels, **how).mean().item() == pytest.approx(2.2011e-9, rel=1e-3)
        train = torch.from_numpy(self.split.train)
        assert excluded_loss(found.logits, self.labels, pairs=train, **how).mean().item() == pytest.approx(8.3854, rel=1e-3)
        assert neuron_frequencies(found.neurons, harmonics=self.harmonics).counts == {6: 47, 23: 31, 37: 65, 39: 11, 41: 31}


@pytest.mark.parametrize(
    ("file", "rate", "symmetricity", "irrelevance", "runner_up", "circular", "loss"),
    [
        ("pizza_p99zdpze5l.pt", 0.0, 0.993665, 0.171736, 0.221807, 0.997818, 1.38e-7),
        ("pizza_l8k1hzciux.pt", 1.0, 0.333638, 0.848260, 0.884918, 0.998907, 1.56e-7),
    ],
    ids=["pizza", "clock"],
)
def test_clock_and_pizza(reference, file, rate, symmetricity, irrelevance, runner_up, circular, loss):
    weights, task = published(reference / file, attention_rate=rate), ModularTask(59)
    logits, labels = forward(weights, task.pairs).logits, torch.from_numpy(task.labels)

    def from_embeddings(a: Tensor, b: Tensor) -> Tensor:
        return forward_embedded(weights, torch.stack([a, b], dim=1) + weights.W_pos).logits

    found = gradient_symmetricity(from_embeddings, weights.residue_embedding).mean().item()
    assert found == pytest.approx(symmetricity, rel=1e-4)
    assert distance_irrelevance(logits, labels, harmonics=addition(59)).item() == pytest.approx(irrelevance, rel=1e-4)
    assert distance_irrelevance(logits, labels, harmonics=addition(59), target="runner_up").item() == pytest.approx(
        runner_up, rel=1e-4
    )
    assert circularity(weights.residue_embedding).item() == pytest.approx(circular, rel=1e-4)
    # Published with three digits.
    assert cross_entropy(logits, labels).mean().item() == pytest.approx(loss, rel=4e-3)
