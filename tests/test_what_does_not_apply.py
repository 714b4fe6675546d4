"""What has no answer, and what is said of it: questions that do not apply, columns without meaning, parts without pairs."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from growing import STEPS, P, built_in
from recorded import CONFIG

from interp.cli import main
from interp.cli.crossings import show_table
from interp.config.run_config import ModelConfig
from interp.errors import UsageError
from interp.interventions.crossing import ticket
from interp.keeping.recorder import record
from interp.observing import answer
from interp.observing.analysis import find_analyses
from interp.store.listing import runs
from interp.tasks.modular import ModularTask
from interp.tasks.named import task

SHORT = replace(CONFIG, steps=1)


def call(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A modular task, a table, a network without heads, and an operation without waves."""
    root = tmp_path_factory.mktemp("runs")
    mlp = ModelConfig(architecture="mlp", d_mlp=24)
    found = {
        "plain": SHORT,
        "table": replace(SHORT, task=task("S3")),
        "mlp": replace(SHORT, model=mlp),
        "waveless": replace(SHORT, task=ModularTask(11, operation="x2xyy2")),
    }
    for name, config in found.items():
        record(config, root, name, progress=False)
    return root


def test_a_table_has_a_column_for_its_operation_and_an_mlp_none_for_heads(root) -> None:
    table = runs(root)
    assert not {"task.sha256", "task.table", "model.n_heads", "model.d_model"} & set(table.columns)
    assert table.loc["table", "operation"] == "S3"
    narrow = replace(SHORT, model=replace(SHORT.model, d_model=8))
    record(narrow, root, "narrow", progress=False)
    assert runs(root)["model.d_model"].dropna().to_dict() == {"narrow": 8, "plain": 16, "table": 16, "waveless": 16}


def test_a_task_is_found_by_its_name(root, capsys) -> None:
    assert list(runs(root, where="task=s3").index) == ["table"]
    assert call("runs", "--root", root, "--where", "task=S3") == 0
    assert "table" in capsys.readouterr().out


def test_a_question_that_does_not_apply_is_refused_with_the_reason(root, capsys) -> None:
    assert call("analyze", "waveless", "--root", root, "-a", "logit_spectrum") == 2
    said = capsys.readouterr()
    assert "error: analysis logit_spectrum: it does not apply to this run, as" in said.err
    assert call("analyze", "waveless", "--root", root, "-a", "logit_spectrum", "-a", "loss_curves") == 0
    assert "left out logit_spectrum: " in capsys.readouterr().out


def test_a_group_has_key_representations() -> None:
    run = SimpleNamespace(columns={"test_accuracy": np.array([0.05])})
    for names, said in ((("E1",), "1 key representation (E1)"), ((2, 3), "2 key frequencies (2, 3)")):
        last = SimpleNamespace(verdicts={}, key_frequencies=names, stands_out=True)
        assert answer.told(run, None, last).sentence.endswith(said)


def planted_parts(twins: int, others: int, *, commutes: bool) -> list[str]:
    """What is said where all twins are right and no other pair is."""
    names = ["train", "twin", "both seen"]
    values = {"accuracy": [1.0, 1.0, 0.0], "loss": [0.1, 0.1, 9.0], "pairs": [30, twins, others]}
    values["commuting"] = [1.0, 1.0 if commutes else 0.5, 1.0]
    series = xr.Dataset(
        {f"part_{name}": (("step", "held_out_part"), np.tile(each, (len(STEPS), 1))) for name, each in values.items()},
        coords={"held_out_part": names, "step": STEPS},
    ).assign_attrs(built_in()[1].attrs)
    return find_analyses(["accuracy_by_split"])[0].figure(series).layout.meta["said"]


def test_a_table_that_commutes_is_not_concluded_from_few_pairs() -> None:
    said = "Only the twins of training pairs are right: it is a table that commutes."
    assert said in planted_parts(10, 10, commutes=True)
    for twins, others, commutes in ((1, 40, True), (9, 40, True), (40, 9, True), (40, 40, False)):
        assert said not in planted_parts(twins, others, commutes=commutes)


def test_whether_pairs_commute_is_measured() -> None:
    series = built_in()[1]
    assert np.nanmin(series["part_commuting"].values) == 1  # addition


@pytest.mark.parametrize("name", ["best_guesses", "loss_curves"])
def test_without_test_pairs_nothing_is_said_of_them(name: str) -> None:
    series = built_in()[1]
    empty = [each for each in ("top_k_test", "kth_guess_test", "history_test_loss", "history_test_accuracy") if each in series]
    figure = find_analyses([name])[0].figure(series.assign({each: xr.full_like(series[each], np.nan) for each in empty}))
    words = str(figure.layout.meta["alt"]) + " ".join(str(note.text) for note in figure.layout.annotations)
    assert "nan" not in words
    assert "unseen" not in words
    assert "test" not in words
    assert all(np.isfinite(np.asarray(trace.y, dtype=float)).any() for trace in figure.data if trace.type == "scatter")
    assert len(figure.data) < len(find_analyses([name])[0].figure(series).data)


def test_clusters_have_no_share_to_keep(root, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"keep: given 0\.5 by clusters, where the neurons .* leave it out"):
        ticket(root / "plain", step=1, by="clusters", keep=0.5, root=tmp_path, progress=False)


def test_a_number_that_is_none_is_a_dash_in_tables(capsys) -> None:
    import pandas as pd

    show_table(pd.DataFrame({"step": [0], "clusters": [float("nan")]}), is_json=False)
    assert capsys.readouterr().out.splitlines()[1].split() == ["0", "-"]


def test_the_words_of_loss_curves_are_as_they_were() -> None:
    series = built_in()[1]
    assert series.sizes["a"] == P
    words = find_analyses(["loss_curves"])[0].figure(series).layout.meta["alt"]
    assert words.startswith("Train loss goes from ")
    assert ", test loss from " in words
    assert words.endswith("test accuracy 100 %.")
    assert "; at the end train accuracy is 100 % and test accuracy " in words
