"""One cut, one call: planted circuits lose exactly what is taken away, and follow exactly what is put in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from recorded import CONFIG

import interp
from interp.errors import UsageError
from interp.harmonics import CyclicHarmonics
from interp.measures import excluded_logits
from interp.synthetic import clock_weights

P, KEYS = 11, (2, 5)


def patched(site: str, **asked: object) -> object:
    return interp.patch_activation(clock_weights(P, KEYS), site, **asked)


@pytest.fixture(scope="module")
def clock():
    return clock_weights(P, KEYS, amplitude=20.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return interp.record(CONFIG, tmp_path_factory.mktemp("surgery"), "tiny", progress=False)


def test_without_all_its_frequencies_a_clock_knows_nothing(clock):
    for at in ("logits", "embedding"):
        found = interp.ablate(clock, KEYS, at=at)
        assert found.accuracy_before["all"] == 1
        assert found.loss["all"] == pytest.approx(math.log(P), abs=1e-3)
        assert found.loss["train"] is None


def test_a_frequency_that_it_does_not_use_changes_nothing(clock):
    for at in ("logits", "embedding"):
        found = interp.ablate(clock, 3, at=at)
        assert found.loss["all"] == pytest.approx(found.loss_before["all"], abs=1e-6)
        assert found.accuracy["all"] == 1


def test_the_ablated_logits_are_those_of_the_excluded_loss(run):
    found = interp.ablate(run, 4)
    logits = interp.forward(run.last.weights, run.task.inputs[:, :2]).logits
    expected = excluded_logits(logits, harmonics=CyclicHarmonics(P), keys=[4])
    torch.testing.assert_close(found.logits, expected.detach(), rtol=1e-4, atol=1e-5)
    assert found.loss_before["test"] == pytest.approx(run.last.losses["test_loss"], rel=1e-4)
    assert interp.ablate(run, 4, step=0).loss_before["train"] == pytest.approx(run[0].losses["train_loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: interp.ablate(clock_weights(P, KEYS), 6), "6"),
        (lambda: interp.ablate(clock_weights(P, KEYS), 2, step=3), "expected it only with a run"),
        (lambda: patched("blocks.0.mlp.post", pair=(1, 2), source=(3, 4)), "unknown site"),
        (lambda: patched("hook_embed", pair=(1, 11), source=(3, 4)), r"0\.\.10"),
        (lambda: patched("hook_embed", pair=(1, 1), source=(3, 4), position=3), "position: given 3"),
        (lambda: interp.neuron(clock_weights(P, KEYS), 10**6), "neuron: given"),
    ],
)  # fmt: skip
def test_what_cannot_be_cut_is_refused(call, said):
    with pytest.raises(UsageError, match=said):
        call()


@pytest.mark.parametrize("site", ["hook_embed", "blocks.0.hook_resid_mid", "blocks.0.mlp.hook_post", "blocks.0.hook_resid_post"])
def test_with_everything_of_another_pair_the_answer_is_its(clock, site):
    for pair, source in (((1, 2), (3, 4)), ((0, 0), (10, 9))):
        if site == "hook_embed":  # what is added to it, the positions, is the same
            found = interp.patch_activation(clock, site, pair=pair, source=source)
        else:
            found = interp.patch_activation(clock, site, pair=pair, source=source, position=-1)
        assert found.answer == sum(source) % P
        assert found.moved == pytest.approx(1, abs=1e-4)


def test_half_an_embedding_is_half_another_sum(clock):
    found = interp.patch_activation(clock, "hook_embed", pair=(1, 2), source=(4, 7), position=0)
    assert found.answer == (4 + 2) % P


def test_a_patch_of_itself_changes_nothing(run):
    found = interp.patch_activation(run, "blocks.0.attn.hook_z", pair=(3, 4), source=(3, 4))
    torch.testing.assert_close(found.logits, found.before)
    assert np.isnan(found.moved)


def test_one_neuron_is_read_by_its_number(run):
    found = interp.neuron(run, 3, step=0)
    expected = interp.forward(run[0].weights, run.task.inputs[:, :2]).neurons[:, 3].reshape(P, P)
    np.testing.assert_allclose(found.activation, expected.detach().numpy(), rtol=1e-4, atol=1e-6)
    assert "\n" not in repr(found)
