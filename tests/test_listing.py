"""The lines of `interp runs`: the same with and without what was kept, after any edit, and where nothing can be kept."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import CONFIG

from interp.cli import main
from interp.config.run_config import RunConfig
from interp.errors import DataError, UsageError
from interp.keeping.recorder import record
from interp.measures.dating import ending_of, phases_of
from interp.observing.described import history_series
from interp.observing.series import about
from interp.store import history, listing
from interp.store.history_phases import ended, phases_of_history
from interp.store.listing import ANSWERS, FIELDS, LISTING, list_rows, runs
from interp.store.run import list_runs


@pytest.fixture
def root(tmp_path):
    """Two runs whose lines are kept and count."""
    run = record(CONFIG, tmp_path, "a", progress=False)
    shutil.copytree(run.path, tmp_path / "b")
    settle(tmp_path)
    return tmp_path


def settle(root: Path) -> None:
    """Keep lines, and let the clock of the disk go on without waiting."""
    list_rows(root)
    later = (root / LISTING).stat().st_mtime_ns + 10 * listing._CLOCK_STEP
    os.utime(root / LISTING, ns=(later, later))


def expected(root: Path) -> list[dict[str, object]]:
    """Facts, what became of the run by its history, and its settings."""
    found = []
    for run in list_runs(root):
        facts, known = run.facts(), about(history_series(run))
        date = None if known.phases is None else known.phases.grokked
        right = run.history["test_accuracy"].dropna("step").values
        answers = (known.outcome, None if date is None else date.step, float(right[-1]) if len(right) else None)
        settings = {field: run.settings["task"][field] for field in ("p", "operation", "equals_sign")}
        found.append({name: facts[name] for name in FIELDS} | dict(zip(ANSWERS, answers, strict=True)) | {"task": settings})
    return found


def told(root: Path) -> list[dict[str, object]]:
    """The lines, with the settings of the task alone."""
    rows = list_rows(root)[0]
    for row in rows:
        settings = row.pop("settings")
        assert settings["model.d_mlp"] == CONFIG.model.d_mlp
        row["task"] = {name.removeprefix("task."): value for name, value in settings.items() if name.startswith("task.")}
    return rows


def reads(monkeypatch) -> list[str]:
    """Names of the runs that are read from now on."""
    names, real = [], listing._read
    monkeypatch.setattr(listing, "_read", lambda path: names.append(path.name) or real(path))
    return names


def test_lines_are_the_facts_and_are_read_once(root, monkeypatch):
    read = reads(monkeypatch)
    assert told(root) == expected(root)
    assert read == []
    (root / LISTING).unlink()
    assert told(root) == expected(root)
    assert read == ["a", "b"]


@pytest.mark.parametrize("name", ["manifest.json", "run.json"])
def test_an_edit_is_seen_whatever_it_leaves_as_it_was(root, monkeypatch, name):
    path = root / "b" / name
    before, data = path.stat(), path.read_bytes()
    with path.open("r+b") as file:  # the same file, the same size
        file.write(data.replace(b"finished", b"finisheD").replace(b"reference", b"referencE"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    read = reads(monkeypatch)
    found, unread = list_rows(root)
    assert ([row["name"] for row in found], list(unread)) == (["a"], ["b"])
    assert read == ["b"]
    assert "damaged" in unread["b"]


def test_a_file_that_changed_when_the_lines_were_kept_is_read_again(root, monkeypatch):
    """A change within one step of the disk's clock shows in no time of the file."""
    (root / LISTING).unlink()
    list_rows(root)
    read = reads(monkeypatch)
    list_rows(root)
    assert read == ["a", "b"]


def test_bytes_are_those_of_now(root):
    (root / "a" / "notes.txt").write_bytes(bytes(1000))
    assert told(root) == expected(root)


def test_runs_that_come_go_and_are_renamed(root):
    shutil.rmtree(root / "a")
    (root / "b").rename(root / "c")
    record(CONFIG, root, "d", progress=False)
    assert told(root) == expected(root)
    assert [row["name"] for row in list_rows(root)[0]] == ["c", "d"]
    assert set(json.loads((root / LISTING).read_bytes())["rows"]) == {"c", "d"}


def test_an_unfinished_run_is_always_read(root, monkeypatch):
    from test_locks_refused import interrupted

    interrupted(root)
    settle(root)
    read = reads(monkeypatch)
    assert told(root) == expected(root)
    assert read == ["run"]


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", None])
def test_damaged_lines_are_not_believed(root, damage):
    where = root / LISTING
    where.write_bytes(where.read_bytes().replace(b"finished", b"finisheD") if damage is None else damage)
    settled = where.stat().st_mtime_ns + 10 * listing._CLOCK_STEP
    os.utime(where, ns=(settled, settled))
    assert told(root) == expected(root)


def test_a_root_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        list_rows(tmp_path / "nowhere")


# -- what became of them, chosen and in order ------------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path):
    """Runs that differ in seed and weight decay, one of them interrupted."""
    for seed, decay in ((0, 0.5), (1, 1.0), (2, 1.0)):
        optimizer = replace(CONFIG.optimizer, weight_decay=decay)
        record(replace(CONFIG, seed=seed, optimizer=optimizer), tmp_path, f"r{seed}", progress=False)
    return tmp_path


def test_only_settings_that_differ_are_told(three):
    table = runs(three)
    assert list(table.index) == ["r0", "r1", "r2"]
    assert {"seed", "optimizer.weight_decay", "outcome", "grokked", "test_accuracy"} <= set(table.columns)
    assert not {"optimizer.lr", "model.d_mlp", "steps"} & set(table.columns)
    assert "optimizer.weight_decay" not in runs(three, where="weight-decay=1").columns


def test_conditions_and_order(three):
    assert list(runs(three, where="optimizer.weight_decay>0.7").index) == ["r1", "r2"]
    assert list(runs(three, where=["weight-decay>=1", "seed!=1"]).index) == ["r2"]
    assert list(runs(three, where="outcome=grokking").index) == []
    assert list(runs(three, sort="seed", descending=True).index) == ["r2", "r1", "r0"]
    by_accuracy = runs(three, sort="test_accuracy")["test_accuracy"]
    assert by_accuracy.is_monotonic_increasing


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"where": "seed"}, "expected a condition such as outcome=grokking"),
        ({"where": "sead=1"}, "unknown field 'sead'; did you mean 'seed'"),
        ({"where": "seed=one"}, "expected a number"),
        ({"where": "outcome>grokking"}, "expected = or !="),
        ({"sort": "outcom"}, "did you mean 'outcome'"),
        ({"where": 3}, "where: given 3, expected str"),
    ],
)
def test_what_cannot_be_asked(three, how, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        runs(three, **how)


def test_a_run_whose_history_is_damaged_is_listed_without_an_answer(three):
    (three / "r0" / "history.jsonl").write_bytes(b"?")
    row = list_rows(three)[0][0]
    assert (row["name"], row["outcome"], row["grokked"], row["test_accuracy"]) == ("r0", "unknown", None, None)


def test_where_no_run_can_be_read_that_is_an_error(three):
    for path in three.glob("*/manifest.json"):
        path.write_bytes(b"?")
    with pytest.raises(DataError, match="none of its runs"):
        runs(three)


def test_the_command_prints_the_same_in_both_forms(three, capsys):
    for flags in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main(["runs", "--root", str(three), "--where", "seed>0", "--sort", "seed", "--descending", *flags])
        assert ended.value.code == 0
    table, _, told_json = capsys.readouterr().out.partition("[")
    assert [row["name"] for row in json.loads("[" + told_json)] == ["r2", "r1"]
    assert [line.split()[0] for line in table.splitlines() if line.startswith("r")] == ["r2", "r1"]
    assert "weight decay" not in table  # the same in both


@pytest.mark.parametrize(("wanted", "outcome"), [("clock", "grokking"), ("memorizer", "memorization")])
def test_what_the_history_says_is_what_the_measures_say(wanted, outcome, tmp_path):
    """The date of a list is that of the report, without reading a checkpoint."""
    from planted_histories import planted_history

    run = planted_history(tmp_path, wanted)
    found = about(history_series(run)).phases
    assert ended(run)[:2] == (outcome, None if found.grokked is None else found.grokked.step)
    assert phases_of_history(run) == found


_RIGHT = st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.9, 0.91, 0.98, 0.99, 1.0]), min_size=1, max_size=9)


@settings(max_examples=300, deadline=None)
@given(train=_RIGHT, test=_RIGHT, begin=st.sampled_from([0, 1, 500]), apart=st.sampled_from([1, 99, 400, 1001]))
def test_an_ending_is_that_of_the_phases(train, test, begin, apart):
    """What a list says follows from the accuracies alone."""
    curves = {
        name: (begin + apart * np.arange(len(values)), np.array(values))
        for name, values in (("train_accuracy", train), ("test_accuracy", test))
    }
    for known in (curves, *({name: curve} for name, curve in curves.items())):
        found = phases_of(known)
        assert ending_of(known) == (found.outcome, None if found.grokked is None else found.grokked.step)


def test_of_a_history_only_lines_with_an_accuracy_are_parsed(root, monkeypatch):
    (root / LISTING).unlink()
    parsed, real = [], history._row
    monkeypatch.setattr(history, "_row", lambda row: parsed.append(row) or real(row))
    list_rows(root)
    assert parsed
    assert all("test_accuracy" in row for row in parsed)


def test_a_configuration_is_checked_once_for_all_seeds(tmp_path, monkeypatch):
    for seed in range(3):
        record(replace(CONFIG, seed=seed, split=replace(CONFIG.split, seed=seed), steps=3), tmp_path, f"r{seed}", progress=False)
    checked, real = [], RunConfig.from_dict
    monkeypatch.setattr(RunConfig, "from_dict", lambda values: checked.append(values) or real(values))
    listing._checked.cache_clear()
    assert [(row["seed"], row["settings"]["split.seed"]) for row in list_rows(tmp_path)[0]] == [(0, 0), (1, 1), (2, 2)]
    assert len(checked) == 1


@pytest.mark.parametrize(("part", "value"), [("seed", -1), ("seed", True), ("seed", 2**63), ("steps", "3"), ("sead", 3)])
def test_one_configuration_that_is_refused_hides_behind_no_other(tmp_path, part, value):
    """Its hashes fit: another version may have written it."""
    from interp.store.manifest import Entry, Manifest

    for name in "ab":
        record(replace(CONFIG, steps=3), tmp_path, name, progress=False)
    where, listed = tmp_path / "b" / "run.json", tmp_path / "b" / "manifest.json"
    values = json.loads(where.read_bytes())
    values["config"][part] = value
    where.write_text(json.dumps(values))
    manifest = Manifest.from_json(listed.read_bytes(), where="")
    files = {**manifest.files, "run.json": Entry.of(where.read_bytes())}
    listed.write_bytes(replace(manifest, files=files).to_json())
    found, unread = list_rows(tmp_path)
    assert [row["name"] for row in found] == ["a"]
    assert part in unread["b"]
