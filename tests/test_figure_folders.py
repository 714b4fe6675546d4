"""All figures of a run as files: one browser, one pass over the checkpoints, and errors that say what to do."""

from __future__ import annotations

import plotly.io
import pytest
from planted_run import STEPS, saved
from random_models import random_weights

import interp
from interp.cli import main
from interp.errors import UsageError
from interp.figures import Look, save_all
from interp.observing.analysis import find_analyses

OWN = '''"""Is it mine?"""
import plotly.graph_objects as go
from interp import Analysis

def figure(series):
    {body}

ANALYSIS = Analysis("{name}", question=__doc__, measure=lambda view: {{"{name}": 1.0}}, figure=figure)
'''


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> interp.Run:
    models = [random_weights(7, seed=seed) for seed in range(len(STEPS))]
    return saved(tmp_path_factory.mktemp("runs") / "run", [one.map(lambda tensor: tensor.float()) for one in models])


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return exit_.value.code


def names() -> list[str]:
    return [analysis.name for analysis in find_analyses() if "group" not in analysis.needs]


def test_every_figure_is_written_under_its_name_as_it_is_written_alone(run, tmp_path, capsys) -> None:
    folder = tmp_path / "figures"
    assert call("figure", run.path, "--all", "-o", folder, "--format", "json") == 0
    assert capsys.readouterr().out.splitlines() == [f"wrote {folder / name}.json" for name in names()]
    for name in ("weight_norms", "embedding_spectrum"):
        assert call("figure", run.path, name, "-o", tmp_path / "alone.json") == 0
        assert (folder / f"{name}.json").read_bytes() == (tmp_path / "alone.json").read_bytes()


@pytest.mark.browser
@pytest.mark.usefixtures("chromium")
def test_one_browser_draws_all_pictures(run, tmp_path, monkeypatch) -> None:
    import kaleido

    begun, begin, told = [], kaleido.Kaleido.open, []

    async def opening(self) -> None:
        begun.append(self)
        await begin(self)

    monkeypatch.setattr(kaleido.Kaleido, "open", opening)
    look = Look(theme="dark", titles=False, width=400)
    found = save_all(run, tmp_path / "figures", step=STEPS[1], look=look, on_progress=lambda *said: told.append(said))
    assert len(begun) == 1
    assert [path.name for path in found.paths] == [f"{name}.svg" for name in names()]
    for path in found.paths:
        text = path.read_text(encoding="utf-8")
        assert text.startswith("<svg")
        assert 'width="400"' in text
        assert "(step" not in text
    total = len(names())
    analysed = [(done, of) for part, done, of in told if part == "analysing"]
    assert analysed == sorted(analysed)
    assert analysed[-1] == (len(STEPS), len(STEPS))
    assert told[len(analysed) :] == [("drawing", done, total) for done in range(total + 1)]


def test_a_figure_that_cannot_be_drawn_keeps_no_other_from_being_written(run, tmp_path, capsys) -> None:
    bad, mine = tmp_path / "bad.py", tmp_path / "mine.py"
    bad.write_text(OWN.format(body='raise ValueError("no")', name="bad"))
    mine.write_text(OWN.format(body='return go.Figure(layout={"title": "mine"})', name="loss_curves"))
    folder = tmp_path / "figures"
    options = ["--all", "-o", folder, "--format", "json", "--no-title", "--file", bad, "--file", mine]
    assert call("figure", run.path, *options) == 1
    said = capsys.readouterr()
    assert "analysis bad: its figure raised ValueError: no" in said.err
    assert len(said.out.splitlines()) == len(names())
    assert not (folder / "bad.json").exists()
    assert plotly.io.read_json(folder / "loss_curves.json").layout.title.text == "mine"


def test_a_figure_that_does_not_apply_is_left_out_with_the_reason(tmp_path) -> None:
    run = saved(tmp_path / "run", [random_weights(7).map(lambda tensor: tensor.float())] * len(STEPS), "x2xyy2")
    found = save_all(run, tmp_path / "figures", kind="json")
    assert "embedding_circles" in found.left_out
    assert "no waves" in found.left_out["embedding_circles"]
    assert not (tmp_path / "figures" / "embedding_circles.json").exists()
    assert not found.failures


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--all", "-o", "{here}/file"], "it is a file, expected a folder"),
        (["--all", "-o", "{here}/x.svg"], "given the name of a file, expected that of a folder"),
        (["--all", "-o", "{here}/no/where"], "does not exist; create it"),
        (["--all", "-o", "{here}/new", "--format", "gif"], "svg"),
        (["--all", "-o", "{here}/new", "--format", "json", "--width", "9"], "expected only for pictures"),
        (["--all", "-o", "{here}/new", "--step", "41"], "did you mean 20"),
        (["weight_norms", "--all", "-o", "{here}/new"], "given --all and the name 'weight_norms'"),
        (["--all", "--neuron", "3", "-o", "{here}/new"], "given --all and neuron 3"),
        (["weight_norms", "--format", "svg", "-o", "{here}/x.svg"], "expected only with --all"),
        (["-o", "{here}/x.svg"], "given no NAME"),
    ],
)
def test_wrong_usage_says_what_to_do_and_writes_nothing(run, tmp_path, arguments, message, capsys) -> None:
    (tmp_path / "file").write_text("mine")
    assert call("figure", run.path, *(argument.format(here=tmp_path) for argument in arguments)) == 2
    captured = capsys.readouterr()
    assert message in " ".join((captured.err + captured.out).replace("│", " ").split())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_unknown_kind_is_refused_in_python_too(run, tmp_path) -> None:
    with pytest.raises(UsageError, match="did you mean 'svg'"):
        save_all(run, tmp_path / "figures", kind="svgg")
