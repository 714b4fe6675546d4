"""The report of a real run as a file: written whole, with a user's analyses, refused before any work."""

from __future__ import annotations

import os
import re
import stat

import plotly.graph_objects as go
import pytest

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import UsageError
from interp.observing.analysis import Analysis
from interp.reporting.page_place import check_page
from interp.store.run import Run
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory) -> Run:
    """A real run, recorded: too short to learn anything."""
    config = RunConfig(
        task=ModularTask(7), split=SplitConfig(fraction=0.5), model=ModelConfig(d_model=8, n_heads=2, d_mlp=8),
        checkpoints=CheckpointConfig(log=0, every=5), steps=10, evaluate_every=5, engine="reference", threads=1,
    )  # fmt: skip
    return interp.record(config, root=tmp_path_factory.mktemp("runs"), name="tiny", progress=False)


def test_report_of_a_real_run_is_written_whole_and_replaces_the_old_one(tiny_run, tmp_path) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")
    before = os.umask(0o027)
    try:
        made = interp.report(tiny_run, out)
    finally:
        os.umask(before)
    assert out.read_text(encoding="utf-8") == made.html
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["report.html"]
    assert made.failures == {}
    assert made.headline.startswith(("This network", "A network"))


def test_report_takes_a_directory_and_shows_a_users_file(tiny_run, tmp_path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        '"""How large is the largest logit?"""\nimport plotly.graph_objects as go\nfrom interp import Analysis\n'
        'ANALYSIS = Analysis("mine", question=__doc__, measure=lambda view: {"largest": float(view.logits.max())},\n'
        "    figure=lambda series: go.Figure(go.Scatter(x=series.step.values, y=series.largest.values)))\n"
    )
    made = interp.report(tiny_run.path, tmp_path / "out.html", files=[mine])
    assert 'id="panel-mine"' in made.html
    assert "How large is the largest logit?" in made.html
    assert 'id="panel-loss_curves"' in made.html


def test_a_users_file_and_named_analyses_are_drawn_for_every_run_that_is_compared(tiny_run, tmp_path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        '"""How large is the largest logit?\n\nIt grows.\n"""\nimport plotly.graph_objects as go\nfrom interp import Analysis\n'
        'ANALYSIS = Analysis("mine", question=__doc__, measure=lambda view: {"largest": float(view.logits.max())},\n'
        "    figure=lambda series: go.Figure(go.Scatter(x=series.step.values, y=series.largest.values)))\n"
    )
    made = interp.report([tiny_run, tiny_run], tmp_path / "out.html", analyses=["weight_norms"], files=[mine])
    assert made.failures == {}
    found = re.findall(r'<h2 id="title-(.*?)">(.*?)</h2>', made.html)
    mine_titles = [(name, title) for name, title in found if "mine" in name]
    assert mine_titles == [(f"mine-{i}", f"How large is the largest logit? (tiny ({i}))") for i in (1, 2)]
    names = [name for name, _ in found]
    assert names[:7] == ["facts", "outside", "inside", "weight_norms-1", "weight_norms-2", "mine-1", "mine-2"]
    assert made.html.count("<p>It grows.</p>") == 1


def test_report_of_an_analysis_that_raises_is_written(tiny_run, tmp_path) -> None:
    def broken(view):
        raise ZeroDivisionError("nothing to divide by")

    bad = Analysis("bad", "Does it break?", broken, lambda series: go.Figure())
    made = interp.report(tiny_run, tmp_path / "out.html", analyses=["loss_curves", bad])
    assert "nothing to divide by" in made.failures["bad"]
    assert 'id="panel-loss_curves"' in made.html


def test_report_into_a_directory_that_does_not_exist_is_refused_before_any_work(tiny_run, tmp_path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        interp.report(tiny_run, tmp_path / "absent" / "out.html")


@pytest.mark.parametrize("name", ["page.pdf", "page.PNG", "page.csv"])
def test_a_name_that_promises_something_else_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match=r"a page is HTML: choose a name that ends in \.html"):
        check_page(tmp_path / name)
    for fine in ("page.html", "page", "page.of.mine"):
        check_page(tmp_path / fine)
