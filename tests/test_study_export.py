"""A study's rows in a file: no format takes a digit from a number, and a run of which nothing was seen has no values."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from planted_study import planted_row, unseen_row
from small_study import small_study

from interp.cli import main
from interp.studies import outcomes

LOSSES = (2.6030754829865963e-11, 20.566068390106054)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds a study whose rows are planted: one run with losses of many digits, and one that is missing."""
    small_study(tmp_path).save()
    dips = {"memorized_dips": 0, "grokked_dips": None}
    row = planted_row({"split.fraction": 0.1 + 0.2}, 0, grokked=None, name="0f")
    there = row | dips | {"train_loss": LOSSES[0], "test_loss": LOSSES[1]}
    missing = unseen_row({"split.fraction": 0.4}, 1, name="1f") | dict.fromkeys(dips)
    monkeypatch.setattr(outcomes, "rows", lambda study, **_: [there, missing])
    return tmp_path


def test_every_format_has_the_exact_numbers(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in ("json", "csv", "parquet"):
        with pytest.raises(SystemExit) as left:
            main(["study", "export", "small", "-o", str(study / f"x.{suffix}"), "--root", str(study)])
        assert not left.value.code, capsys.readouterr().err
    csv = pd.read_csv(study / "x.csv", dtype=str)  # whose own reader rounds
    for frame in (csv, pd.read_parquet(study / "x.parquet")):
        assert tuple(map(float, frame.loc[0, ["train_loss", "test_loss"]])) == LOSSES
        assert [*map(float, frame["split.fraction"])] == [0.1 + 0.2, 0.4]
        assert frame["last_step"].isna().tolist() == [False, True]
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["study", "show", "small", "--json", "--root", str(study)])
    text = (study / "x.json").read_text()
    assert text == capsys.readouterr().out
    there, missing = json.loads(text)
    assert (there["train_loss"], there["test_loss"]) == LOSSES
    assert type(there["last_step"]) is type(there["budget"]) is int
    assert (there["grokked"], missing["last_step"], missing["train_loss"]) == (None, None, None)
