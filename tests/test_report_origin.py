"""The command and the hashes on the page: the command makes the same bytes again."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

import interp
from interp.cli import main
from interp.reporting.origin import command, origin
from interp.reporting.write import report


def test_a_recipe_as_it_is_needs_no_flags_and_no_recipe_has_no_command() -> None:
    assert command(interp.recipe("nanda")) == "interp train nanda"
    assert command(replace(interp.recipe("nanda"), recipe="mine of no list")) is None


def test_what_differs_is_said_in_flags() -> None:
    demo = interp.recipe("demo")
    config = replace(
        demo,
        seed=3,
        until_settled=not demo.until_settled,
        optimizer=replace(demo.optimizer, weight_decay=0.5, norm_constraint=True),
    )
    flags = command(config).split()[3:]
    assert sorted(flags) == sorted(
        ["--seed", "3", "--no-until-settled", "--optimizer.weight-decay", "0.5", "--optimizer.norm-constraint"]
    )


def test_the_command_on_the_page_makes_the_same_weights_again(tmp_path: Path, monkeypatch, capsys) -> None:
    demo = interp.recipe("demo")
    config = replace(
        demo,
        steps=3,
        evaluate_every=1,
        until_settled=False,
        threads=1,
        seed=5,
        optimizer=replace(demo.optimizer, weight_decay=0.5),
    )
    run = interp.record(config, root=tmp_path / "one", name="run", progress=False)
    made = report(run, tmp_path / "page.html", analyses=["loss_curves"])
    rows = dict(origin(run).rows)
    assert rows["command"] in made.html
    assert rows["weights at step 3"] == run.sha256(3)
    assert rows["weights at step 3"] in made.html
    monkeypatch.setattr("sys.argv", [*shlex.split(rows["command"]), "--root", str(tmp_path / "two"), "--name", "again"])
    with pytest.raises(SystemExit, match="0"):
        main()
    again = interp.open_run(tmp_path / "two" / "again")
    assert again.sha256(3) == run.sha256(3)
