"""What Python takes for a run, a model and a name: wherever one is taken, in each of its forms; and one error for all else."""

from __future__ import annotations

import pytest
from recorded import CONFIG

import interp
from interp.errors import UsageError
from interp.networks.weights_given import as_network, as_weights


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    interp.record(CONFIG, folder / "checkpoints", "tiny", progress=False)
    return folder


@pytest.fixture
def here(root, monkeypatch):
    monkeypatch.chdir(root)
    return root


TAKES_A_RUN = {
    "open_run": interp.open_run,
    "observe": lambda run: interp.observe(run, "weight_norms"),
    "activations": lambda run: next(interp.activations(run, "blocks.0.mlp.hook_post")),
    "forecast": interp.forecast,
    "run_health": interp.run_health,
    "resume": lambda run: interp.resume(run, progress=False),
    "report": lambda run: interp.report(run, "x.html", analyses="weight_norms"),
    "figure": lambda run: interp.figures.figure(run, "weight_norms"),
}


@pytest.mark.parametrize("call", TAKES_A_RUN.values(), ids=TAKES_A_RUN)
def test_a_run_its_path_and_its_name_are_the_same(call, here):
    run = interp.open_run("tiny")
    for given in (run, run.path, str(run.path), run.path.resolve(), "tiny"):
        call(given)


@pytest.mark.parametrize("call", TAKES_A_RUN.values(), ids=TAKES_A_RUN)
def test_what_is_no_run_is_refused_in_our_words(call, here):
    with pytest.raises(UsageError, match="did you mean 'tiny'"):
        call("tinny")
    for wrong in (3, None, 2.5, interp.recipe("demo")):
        with pytest.raises(UsageError, match="expected a run"):
            call(wrong)


def test_a_run_of_a_root_is_found_by_its_name(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert interp.open_run("tiny", root=root / "checkpoints").name == "tiny"
    with pytest.raises(UsageError, match="no run at checkpoints/tiny"):
        interp.open_run("tiny")


def test_a_folder_that_is_no_run_hides_none(here):
    (here / "tiny").mkdir()
    try:
        assert interp.open_run("tiny").path.parent.name == "checkpoints"
        (here / "other").mkdir(exist_ok=True)
        with pytest.raises(UsageError, match=r"no run at other .a directory without manifest\.json"):
            interp.open_run("other")
    finally:
        (here / "tiny").rmdir()


def test_names_are_one_or_several(here):
    one, several = interp.observe("tiny", "weight_norms"), interp.observe("tiny", ["weight_norms"])
    assert one.identical(several)
    assert interp.observe("tiny", "weight_norms", steps=0).sizes["step"] == 1
    for wrong in (3, [3], b"weight_norms"):
        with pytest.raises(UsageError, match="analys"):
            interp.observe("tiny", wrong)
    for wrong in ("0", 1.5, [None]):
        with pytest.raises(UsageError, match="step"):
            interp.observe("tiny", "weight_norms", steps=wrong)
    with pytest.raises(UsageError, match="files: given 3"):
        interp.observe("tiny", files=3)


def test_the_last_checkpoint_and_positions(here):
    run = interp.open_run("tiny")
    assert run.last.step == run.steps[-1]
    with pytest.raises(UsageError, match=r"by step and not by position .in Python: run\.last is its last"):
        run[-1]
    with pytest.raises(UsageError, match="expected a number"):
        run.nearest("3")


def test_a_checkpoint_stands_for_its_model(here, tmp_path):
    last = interp.open_run("tiny").last
    assert interp.key_frequencies(last) == interp.key_frequencies(last.weights)
    interp.HookedModel(last)
    assert interp.anatomy.anatomy(last)["p"] == last.weights.p
    assert interp.load_weights(interp.export_weights(last, tmp_path / "w.safetensors")).p == last.weights.p
    for call in (as_weights, as_network):
        with pytest.raises(UsageError, match=r"expected Weights, or a checkpoint such as run\.last"):
            call(interp.open_run("tiny"))


def test_what_is_no_configuration_and_no_series_is_refused(here, tmp_path):
    with pytest.raises(UsageError, match=r"expected a RunConfig, such as interp\.recipe"):
        interp.record("demo")
    with pytest.raises(UsageError, match=r"expected a RunConfig, such as interp\.recipe"):
        next(interp.train("demo"))
    run = interp.open_run("tiny")
    for call in (interp.about, lambda given: interp.export_series(given, tmp_path / "x.csv")):
        with pytest.raises(UsageError, match=r"given Run, expected what interp\.observe"):
            call(run)


def test_what_is_there_can_be_listed():
    assert set(interp.recipes()) == {"demo", "nanda", "transformer-lens", "pizza", "power", "s5", "mlp"}
    assert interp.analyses()["progress_measures"] == "When does the circuit form?"
    assert interp.__version__[0].isdigit()


def test_everything_shows_itself_in_a_line(here):
    run = interp.open_run("tiny")
    series = interp.observe(run, "progress_measures")
    training = interp.Training(CONFIG)
    shown = {
        "run": run, "checkpoint": run.last, "weights": run.last.weights, "split": run.split, "manifest": run.manifest,
        "about": interp.about(series), "step": next(iter(training)), "training": training, "task": run.task,
        "forecast": interp.forecast(run), "analysis": interp.Analysis("x", "What?", dict),
        "page": interp.report(run, "x.html", analyses="weight_norms"),
        "activations": interp.forward(run.last.weights, run.task.inputs[:5, :2]),
    }  # fmt: skip
    for name, value in shown.items():
        assert "\n" not in repr(value), name
        assert len(repr(value)) < 300, name
    assert f"{run.last.weights.n_parameters:,} parameters" in repr(run.last.weights)
    assert 'href="file://' in shown["page"]._repr_html_()
    assert max(map(len, repr(series).splitlines())) < 200
