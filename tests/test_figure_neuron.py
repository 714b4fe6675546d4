"""The figure of one neuron: planted neurons whose maps and fits are known in closed form, as data and as files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from planted_run import STEPS, saved
from random_models import random_weights

import interp
from interp.cli import main
from interp.errors import DataError, UsageError
from interp.harmonics import addition, discrete_logarithm
from interp.networks.one_layer import Weights
from interp.observing import neuron_maps
from interp.observing.neuron_maps import neuron_map

P = 11
# What each planted neuron makes of the waves of frequencies 2 and 5, and its constant: one wave, two, nearly one, none, dead.
READ = ((1.0, 0.0, 4.0), (3.0, 1.0, 20.0), (3.0, 0.02, 20.0), (0.0, 0.0, 2.5), (0.0, 0.0, -1.0))


def planted(places: torch.Tensor, modulus: int, *, loud: float = 1.0) -> Weights:
    """Neurons r cos w_2 (x + 2 y) + s cos w_5 (x + 2 y) + c by READ, cos w(x + 2 y) being short for cos w x + 2 cos w y.

    x and y are the places of a and b among `modulus`. The one head looks at both positions fully (attention rate 0) and copies.
    """
    waves = torch.stack([loud * torch.cos(2 * torch.pi * k * places / modulus) for k in (2, 5)], dim=1)
    read, eye, no_scores = torch.tensor(READ), torch.eye(2), torch.zeros(1, 2, 2)
    return Weights(
        W_E=waves, W_pos=torch.zeros(2, 2), W_Q=no_scores, W_K=no_scores, W_V=eye[None], W_O=eye[None],
        W_in=read[:, :2].T.contiguous(), b_in=read[:, 2].contiguous(), W_out=torch.zeros(len(READ), 2), W_U=torch.zeros(2, P),
        attention_rate=0.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> interp.Run:
    """At its first step the planted neurons are quieter by half (and all the more constant)."""
    places = torch.arange(P).float()
    return saved(tmp_path_factory.mktemp("runs") / "planted", [planted(places, P, loud=loud) for loud in (0.5, 1.0)])


def cosines(k: int) -> np.ndarray:
    """cos w_k a + 2 cos w_k b over (a, b)."""
    wave = np.cos(2 * np.pi * k * np.arange(P) / P)
    return wave[:, None] + 2 * wave[None]


def shown(figure) -> tuple[np.ndarray, np.ndarray]:
    """The two maps of a figure."""
    assert [(trace.xaxis, trace.yaxis) for trace in figure.data] == [("x", "y"), ("x2", "y2")]
    return tuple(np.array(trace.z, dtype=float) for trace in figure.data)


def told(figure) -> list[str]:
    return [note.text for note in figure.layout.annotations]


def unrounded(texts: list[str]) -> list[str]:
    """Whether single precision comes to all or a millionth less is for the machine to say."""
    return [text.replace(" 100 %", " > 99.9 %") for text in texts]


@pytest.mark.parametrize(
    ("neuron", "activation", "fit", "words"),
    [
        (0, 4 + cosines(2), 4 + cosines(2), "frequency 2 explains > 99.9 % of it"),
        (1, 20 + 3 * cosines(2) + cosines(5), 20 + 3 * cosines(2), "frequency 2 explains 90.0 % of it"),
        (2, 20 + 3 * cosines(2) + 0.02 * cosines(5), 20 + 3 * cosines(2), "frequency 2 explains > 99.9 % of it"),
        (3, np.full((P, P), 2.5), np.full((P, P), 2.5), "none, as it is dead at this step"),
        (4, np.zeros((P, P)), np.zeros((P, P)), "none, as it is dead at this step"),
    ],
)
def test_a_planted_neuron_and_its_fit_are_drawn_as_their_formulas_say(run, neuron, activation, fit, words):
    drawn = interp.figures.figure(run, "neuron", neuron=neuron, step=20)
    for found, expected in zip(shown(drawn), (activation, fit), strict=True):
        assert np.allclose(found, expected, rtol=0, atol=2e-5)
    what = {3: "2.5 for every pair", 4: "0 for every pair"}.get(neuron, "activation")
    assert unrounded(told(drawn)) == [f"<b>Neuron {neuron}</b>: {what}", f"<b>Best fit</b>: {words}"]
    top = activation.max() or 1
    assert all((trace.zmin, trace.zmax) == (0, pytest.approx(top)) for trace in drawn.data)
    assert (drawn.layout.xaxis.title.text, drawn.layout.yaxis.title.text) == ("b", "a")
    assert words in unrounded([drawn.layout.meta["alt"]])[0]


def test_without_a_step_the_slider_has_every_checkpoint_and_its_words(run):
    drawn = interp.figures.figure(run, "neuron", neuron=1)
    assert [frame.name for frame in drawn.frames] == [str(step) for step in STEPS]
    for frame, loud in zip(drawn.frames, (0.5, 1.0), strict=True):
        expected = 20 + loud * (3 * cosines(2) + cosines(5))
        assert np.allclose(np.array(frame.data[0].z, dtype=float), expected, atol=2e-5)
        assert frame.data[0].zmax == frame.data[1].zmax == pytest.approx(expected.max())
    assert np.array_equal(shown(drawn)[0], np.array(drawn.frames[-1].data[0].z, dtype=float))
    assert shown(interp.figures.figure(run, "neuron", neuron=1, step=0))[0].max() < shown(drawn)[0].max()


def test_the_words_move_with_the_step(tmp_path):
    quiet = planted(torch.arange(P).float(), P, loud=0.0)
    drawn = interp.figures.figure(saved(tmp_path / "run", [quiet, planted(torch.arange(P).float(), P)]), "neuron", neuron=1)
    assert [frame.layout.annotations[1].text for frame in drawn.frames] == [
        "<b>Best fit</b>: none, as it is dead at this step",
        "<b>Best fit</b>: frequency 2 explains 90.0 % of it",
    ]
    assert told(interp.figures.at_step(drawn, 0))[0] == "<b>Neuron 1</b>: 20 for every pair"


def test_the_first_neuron_is_shown_unless_another_is_chosen(run):
    drawn = interp.figures.figure(run, "neuron", step=20)
    assert told(drawn)[0].startswith("<b>Neuron 0</b>")


def test_at_one_step_no_other_checkpoint_is_looked_at_and_nothing_is_kept(run):
    looked: list[tuple[int, int]] = []
    interp.figures.figure(run, "neuron", step=0, on_step=lambda *progress: looked.append(progress))
    assert looked == [(1, 1)]
    assert not list(run.path.glob("results/neuron-*"))


def test_themes_differ_in_paper_and_colours(run):
    light, dark = (interp.figures.figure(run, "neuron", step=20, theme=theme) for theme in ("light", "dark"))
    assert light.layout.paper_bgcolor != dark.layout.paper_bgcolor
    scales = [one.layout.template.data.heatmap[0].colorscale for one in (light, dark)]
    assert [scale[0][1] for scale in scales] == [light.layout.paper_bgcolor, dark.layout.paper_bgcolor]
    assert all(trace.colorscale is None for trace in light.data)


def test_a_neuron_of_multiplication_is_fitted_over_exponents_of_pairs_without_0(tmp_path):
    exponents = discrete_logarithm(P).float()
    wave = np.cos(2 * np.pi * 2 / (P - 1) * exponents.numpy()[1:])
    drawn = interp.figures.figure(saved(tmp_path / "run", [planted(exponents, P - 1)] * 2, "multiply"), "neuron", step=20)
    activation, fit = shown(drawn)
    assert np.isnan(fit[0]).all()
    assert np.isnan(fit[:, 0]).all()
    for found in (activation, fit):
        assert np.allclose(found[1:, 1:], 4 + wave[:, None] + 2 * wave[None], rtol=0, atol=2e-5)
    assert unrounded(told(drawn))[1] == "<b>Best fit</b>: frequency 2 of exponents explains > 99.9 % for pairs without 0"


@pytest.mark.parametrize("p", [2, 3])
def test_a_fit_that_cannot_fail_says_so(tmp_path, p):
    weights = random_weights(p, dtype=torch.float32, d_model=4, d_mlp=6)
    run = saved(tmp_path / "run", [weights] * 2)
    found = [neuron_map(weights, neuron, addition(p)) for neuron in range(6)]
    alive = next(neuron for neuron, one in enumerate(found) if one.frequency)
    assert found[alive].share == pytest.approx(1)
    drawn = interp.figures.figure(run, "neuron", neuron=alive, step=20)
    assert told(drawn)[1] == f"<b>Best fit</b>: frequency 1 explains any neuron modulo {p}"


def call(*arguments: object) -> int:
    """Run a command in this process; its exit code."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return int(exit_.value.code or 0)


def test_the_command_writes_a_page_with_a_slider_and_a_figure_of_one_step(run, tmp_path, capsys):
    path = tmp_path / "x.json"
    assert call("figure", run.path, "neuron", "--neuron", 1, "-o", path) == 0
    whole = json.loads(path.read_text())
    assert whole["layout"]["title"]["text"] == "planted: What does neuron 1 do?"
    assert len(whole["frames"]) == len(STEPS)
    assert call("figure", run.path, "neuron", "--step", 0, "--theme", "dark", "-o", path) == 0
    held = json.loads(path.read_text())
    assert held["layout"]["title"]["text"] == "planted: What does neuron 0 do? (step 0)"
    assert not held.get("frames")
    assert f"wrote {path}" in capsys.readouterr().out


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
def test_the_command_writes_a_picture_of_the_last_step_and_measures_no_other(run, tmp_path, monkeypatch):
    path, measured = tmp_path / "x.svg", []
    monkeypatch.setattr(neuron_maps, "neuron_map", lambda *given: measured.append(given) or neuron_map(*given))
    assert call("figure", run.path, "neuron", "--neuron", 1, "-o", path) == 0
    assert len(measured) == 1
    text = path.read_text()
    for words in ("What does neuron 1 do? (step 20)", "frequency 2 explains 90.0 % of it"):
        assert words in text
    assert text.count("<image") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["neuron", "--neuron", 5],
            "neuron: given 5, expected 0..4, as the model has 5 neurons; the figure neuron_frequencies shows",
        ),
        (["neuron", "--neuron", -1], "neuron: given -1, expected 0..4"),
        (["neuron", "--neuron", "one"], "one"),
        (["neuron", "--step", 19], "did you mean 20"),
        (["loss_curves", "--neuron", 0], "neuron: given 0 for the figure loss_curves, expected only for the figure neuron"),
        (["neurons"], "did you mean 'neuron'?"),
    ],
)
def test_wrong_usage_says_what_to_do_and_writes_nothing(run, tmp_path, arguments, message, capsys):
    assert call("figure", run.path, *arguments, "-o", tmp_path / "x.json") == 2
    captured = capsys.readouterr()
    assert message in " ".join((captured.err + captured.out).replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_activations_that_are_not_finite_are_told_with_their_step(tmp_path):
    weights = random_weights(5, dtype=torch.float32)
    broken = weights.map(lambda tensor: tensor * torch.inf)
    run = saved(tmp_path / "run", [weights, broken])
    with pytest.raises(DataError, match=r"analysis neuron failed at step 20: .* NaN or infinite"):
        interp.figures.figure(run, "neuron", step=20, key_rule=[1])
    interp.figures.figure(run, "neuron", step=0, key_rule=[1])


def test_a_users_own_analysis_of_that_name_is_theirs(run, tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        '"""Mine?"""\nimport plotly.graph_objects as go\nfrom interp import Analysis\n'
        'ANALYSIS = Analysis("neuron", question=__doc__, measure=lambda view: {"mine": 1.0},'
        ' figure=lambda series: go.Figure(go.Bar(y=series["mine"].values)))\n'
    )
    assert interp.figures.figure(run, "neuron", files=[own]).data[0].type == "bar"
    with pytest.raises(UsageError, match="given 0 for an analysis from a file that is called neuron; leave it out, or the file"):
        interp.figures.figure(run, "neuron", neuron=0, files=[own])
