"""rm, rename, thin, du: what is the run's goes or moves, what is not stays, and nobody who writes is disturbed."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from recorded import CONFIG, content

import interp
from interp.cli import main
from interp.errors import DataError, UsageError
from interp.store.locking import locked
from interp.store.removing import parts_of, remove, rename


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    root = tmp_path_factory.mktemp("recorded")
    run = interp.record(CONFIG, root, "one", progress=False)
    interp.observe(run, "weight_norms")
    return run.path


@pytest.fixture
def root(recorded, tmp_path):
    shutil.copytree(recorded, tmp_path / "runs" / "one")
    return tmp_path / "runs"


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code)


def tree(path: Path) -> dict[str, bytes]:
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


# -- rm --------------------------------------------------------------------------------------------------------------------------


def test_a_run_is_deleted_with_its_directory(root, capsys):
    assert call("rm", "one", "--yes", "--root", root) == 0
    told = capsys.readouterr().out
    assert not (root / "one").exists()
    assert "finished, confusion; " in told
    assert f"deleted {root / 'one'}" in told


def test_what_is_not_the_runs_stays(root, capsys):
    run = root / "one"
    others = {
        "notes.txt": b"mine", "checkpoints/step_00009999.safetensors": b"a stranger's", "results/mine.csv": b"1,2",
        "plots/a/b.svg": b"<svg/>", "damaged/readme": b"?", "mine.tmp": b"?", ".hidden": b"?",
    }  # fmt: skip
    for name, data in others.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(data)
    assert call("rm", "one", "--yes", "--root", root) == 0
    assert tree(run) == others
    told = capsys.readouterr()
    assert f"{len(others)} files in it that are not the run's stay" in told.out
    assert all(name in told.out for name in others)


def test_links_are_not_followed(root, tmp_path, capsys):
    precious = tmp_path / "precious"
    shutil.copytree(root / "one", precious)
    before = tree(precious)
    (root / "link").symlink_to(precious)
    assert call("rm", "link", "--yes", "--root", root) == 2
    assert "is a link" in capsys.readouterr().err
    assert call("thin", "link", "--yes", "--root", root) == 2
    assert call("rename", "link", "other", "--root", root) == 2
    folder = root / "one" / "results"
    shutil.rmtree(folder)
    folder.symlink_to(precious / "results")
    assert call("rm", "one", "--yes", "--root", root) == 1
    assert "is a link" in capsys.readouterr().err
    folder.unlink()
    (root / "one" / "elsewhere").symlink_to(precious)
    assert call("rm", "one", "--yes", "--root", root) == 0
    assert os.listdir(root / "one") == ["elsewhere"]
    assert tree(precious) == before


def test_a_run_that_is_written_is_left_alone(root, capsys):
    before = tree(root)
    with locked(root / "one"):
        for command in (("rm", "one", "--yes"), ("rename", "one", "two"), ("thin", "one", "--yes")):
            assert call(*command, "--root", root) == 2
            assert "being written by another process" in capsys.readouterr().err
        with pytest.raises(UsageError, match="being written"):
            remove(root / "one")
    after = tree(root)
    assert {name: data for name, data in after.items() if not name.endswith(".lock")} == {
        name: data for name, data in before.items() if not name.endswith(".lock")
    }


@pytest.mark.parametrize("lock", ["system", "lease"])
def test_either_lock_serves(root, lock, monkeypatch):
    monkeypatch.setenv("INTERP_LOCK", lock)
    assert rename(root / "one", "two") == root / "two"
    assert interp.open_run(root / "two").verify() == ()
    remove(root / "two")
    assert os.listdir(root) == []


def test_without_an_answer_nothing_is_done(root, capsys, monkeypatch):
    before = tree(root)
    assert call("rm", "one", "--root", root) == 2
    assert "nobody can be asked" in capsys.readouterr().err

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for said, code in (("\n", 2), ("no\n", 2), ("", 2)):
        monkeypatch.setattr("sys.stdin", Terminal(said))
        assert call("rm", "one", "--root", root) == code
        assert tree(root) == before
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    assert call("rm", "one", "--root", root) == 0
    assert not (root / "one").exists()


def test_all_are_looked_at_before_one_goes(root, capsys):
    assert call("rm", "one", "onn", "--yes", "--root", root) == 2
    assert "did you mean 'one'" in capsys.readouterr().err
    assert (root / "one" / "manifest.json").is_file()


def test_what_is_no_run_is_not_deleted(root, tmp_path):
    (root / "folder").mkdir()
    (root / "folder" / "x").write_text("x")
    for path in (root / "folder", root / "nothing", root):
        with pytest.raises(UsageError, match="no run at"):
            remove(path)
    assert (root / "folder" / "x").exists()


@pytest.mark.parametrize("damage", ["manifest.json", "run.json", "history.jsonl"])
def test_a_damaged_run_can_be_deleted(root, damage):
    (root / "one" / damage).write_bytes(b"?")
    remove(root / "one")
    assert os.listdir(root) == []


def test_a_killed_removal_leaves_a_run_that_the_same_call_takes_away(root, monkeypatch):
    real, gone = os.unlink, []

    def unlink(path):
        if len(gone) == 5:
            raise KeyboardInterrupt
        gone.append(path)
        real(path)

    monkeypatch.setattr("interp.store.removing.os.unlink", unlink)
    with pytest.raises(KeyboardInterrupt):
        remove(root / "one")
    assert (root / "one" / "manifest.json").is_file()
    monkeypatch.undo()
    remove(root / "one")
    assert os.listdir(root) == []


def test_the_parts_are_all_there_is(root):
    found = parts_of(root / "one")
    assert found.others == ()
    assert set(found.own) == set(tree(root / "one"))
    assert found.total == sum(map(len, tree(root / "one").values()))
    assert found.results > 0


# -- rename, thin, du ------------------------------------------------------------------------------------------------------------


def test_a_renamed_run_is_the_same_and_needs_no_new_measuring(root, monkeypatch):
    before, series = content(interp.open_run(root / "one")), interp.observe(root / "one", "weight_norms")
    assert call("rename", "one", "other", "--root", root) == 0
    run = interp.open_run("other", root=root)
    assert content(run) == before
    monkeypatch.setattr("interp.networks.one_layer.Weights.from_tensors", None)
    assert interp.observe(run, "weight_norms").equals(series)


def test_a_name_that_is_taken_or_cannot_be_is_refused(root, capsys):
    (root / "empty").mkdir()
    for name, said in (("one", "is there already"), ("empty", "is there already"), ("a/b", "plain name"), ("..", "plain name")):
        assert call("rename", "one", name, "--root", root) == 2
        assert said in capsys.readouterr().err


def test_a_run_of_a_study_keeps_its_name(root, capsys):
    study = interp.Study(CONFIG, name="wd", root=root)
    study.save()
    path = study.path_of(study.points[0].name)
    shutil.copytree(root / "one", path)
    assert call("rename", path, "two") == 2
    assert "is part of the study wd" in capsys.readouterr().err


def test_thin_measures_first_and_says_what_goes(root, capsys):
    before = interp.observe(root / "one", "weight_norms")
    assert call("thin", "one", "--measures", "weight_norms", "--root", root) == 2
    told = capsys.readouterr()
    assert "measure weight_norms at every checkpoint, then delete 6 of 8 checkpoints" in told.out
    assert "nobody can be asked" in told.err
    assert len(interp.open_run(root / "one")) == 8
    assert call("thin", "one", "--measures", "weight_norms", "--keep", "10", "--yes", "--root", root) == 0
    run = interp.open_run(root / "one")
    assert run.steps == (0, 10, 35)
    assert run.verify() == ()
    assert interp.observe(run, "weight_norms")["sum_squared_total"].equals(before["sum_squared_total"])
    assert call("thin", "one", "--keep", "0,10", "--root", root) == 0
    assert "nothing to delete" in capsys.readouterr().out
    for wrong in ("x", "7"):
        assert call("thin", "one", "--keep", wrong, "--yes", "--root", root) == 2


def test_du_counts_every_byte(root, capsys):
    (root / "one" / "notes.txt").write_bytes(b"x" * 100)
    assert call("du", "--root", root, "--json") == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert row["foreign"] == 100
    assert row["total"] + 100 == sum(map(len, tree(root / "one").values()))
    assert call("du", "one", "--root", root) == 0
    assert "1 run" in capsys.readouterr().out
    assert call("du", "two", "--root", root) == 2


def test_a_root_that_cannot_be_written_says_so(root, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("interp.store.removing.os.unlink", refuse)
    with pytest.raises(DataError, match="Permission denied"):
        remove(root / "one")
