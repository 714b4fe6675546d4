"""The lines of `interp runs`: the same with and without what was kept, after any edit, and where nothing can be kept."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from recorded import CONFIG

from interp.errors import UsageError
from interp.recording.recorder import record
from interp.store import listing
from interp.store.listing import FIELDS, LISTING, list_rows
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
    return [{name: facts[name] for name in FIELDS} for facts in (run.facts() for run in list_runs(root))]


def reads(monkeypatch) -> list[str]:
    """Names of the runs that are read from now on."""
    names, real = [], listing._read
    monkeypatch.setattr(listing, "_read", lambda path: names.append(path.name) or real(path))
    return names


def test_lines_are_the_facts_and_are_read_once(root, monkeypatch):
    read = reads(monkeypatch)
    assert list_rows(root)[0] == expected(root)
    assert read == []
    (root / LISTING).unlink()
    assert list_rows(root)[0] == expected(root)
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
    assert list_rows(root)[0] == expected(root)


def test_runs_that_come_go_and_are_renamed(root):
    shutil.rmtree(root / "a")
    (root / "b").rename(root / "c")
    record(CONFIG, root, "d", progress=False)
    assert list_rows(root)[0] == expected(root)
    assert [row["name"] for row in list_rows(root)[0]] == ["c", "d"]
    assert set(json.loads((root / LISTING).read_bytes())["rows"]) == {"c", "d"}


def test_an_unfinished_run_is_always_read(root, monkeypatch):
    from test_locks_refused import interrupted

    interrupted(root)
    settle(root)
    read = reads(monkeypatch)
    assert list_rows(root)[0] == expected(root)
    assert read == ["run"]


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", None])
def test_damaged_lines_are_not_believed(root, damage):
    where = root / LISTING
    where.write_bytes(where.read_bytes().replace(b"finished", b"finisheD") if damage is None else damage)
    settled = where.stat().st_mtime_ns + 10 * listing._CLOCK_STEP
    os.utime(where, ns=(settled, settled))
    assert list_rows(root)[0] == expected(root)


def test_a_root_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        list_rows(tmp_path / "nowhere")
