"""A run or study from a stranger, or a damaged one: nothing outside it is read, written or deleted, and nothing is waited for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from mutated import fresh, put, resigned, signed
from small_study import in_turn, small_study
from strangers import build, call

from interp.errors import DataError
from interp.store.durable import sha256
from interp.store.foreign import create_run
from interp.store.leases import Lease, Leases
from interp.store.locking import is_locked
from interp.store.manifest import checkpoint_name
from interp.store.run import open_run
from interp.store.thinning import thin
from interp.store.writer import RunWriter, writing

COMMANDS = (
    ("runs",), ("show", "one"), ("verify", "one"), ("analyze", "one", "-a", "weight_norms"), ("resume", "one"),
    ("export", "one", "-o", "x.safetensors"), ("figure", "one", "weight_norms", "-o", "x.json"),
)  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("strangers"))


@pytest.fixture
def root(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return fresh(base, tmp_path / "root")


def edited(run: Path, **changes: object) -> None:
    where = run / "manifest.json"
    where.write_text(json.dumps(signed(json.loads(where.read_bytes()) | changes)))


@pytest.mark.parametrize(
    "name",
    ["../outside.txt", "/etc/hostname", "notes.txt", "checkpoints/../../outside.txt", "checkpoints/step_5.safetensors",
     "checkpoints/step_000000005.safetensors", "checkpoints/step_\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0665.safetensors",
     "series/a/b.safetensors", "results/x.json", "log.jsonl", "manifest.json", "", "checkpoints/",
     "checkpoints//step_00000000.safetensors"],
)  # fmt: skip
def test_a_manifest_names_nothing_but_a_runs_own_files(root: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "outside.txt").write_text("theirs")
    entry = {"size": 6, "sha256": sha256(b"theirs")}
    files = json.loads((root / "one/manifest.json").read_bytes())["files"]
    edited(root / "one", files={**files, name: entry})
    found = call(capsys, "verify", "one", "--root", root)
    assert found.code == 1
    assert "manifest.json: damaged or foreign: names the file" in found.err
    edited(root / "one", files=files, thinned={name: entry})
    with pytest.raises(DataError, match="was thinned out, which is no checkpoint"):
        open_run(root / "one")
    assert (root / "outside.txt").read_text() == "theirs"


@pytest.mark.parametrize("wrong", [{"size": -1}, {"size": True}, {"size": 1.0}, {"size": 10**20}, {"sha256": "x"}, {"sha256": 5}])
def test_sizes_and_hashes_are_such(root: Path, wrong: dict[str, object]) -> None:
    files = json.loads((root / "one/manifest.json").read_bytes())["files"]
    edited(root / "one", files={name: entry | wrong for name, entry in files.items()})
    with pytest.raises(DataError, match="expected a size and 64 hexadecimal digits"):
        open_run(root / "one")


@pytest.mark.parametrize("kind", ["fifo", "null", "link", "loop", "directory"])
@pytest.mark.parametrize(
    "file", ["checkpoints/step_00000012.safetensors", "history.jsonl", "run.json", "split.safetensors", "manifest.json"]
)
def test_nothing_but_a_file_is_read_in_a_files_place(
    root: Path, file: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root / "one" / file, kind)
    for command in COMMANDS:
        found = call(capsys, *command, "--root", root)
        assert "other" in found.out or command != ("runs",)
        if command[0] in ("verify", "analyze"):
            assert found.code == 2 - (file != "manifest.json" or kind == "link")
            assert file in found.err or "no run at" in found.err


@pytest.mark.parametrize("kind", ["fifo", "null", "link", "loop", "directory"])
@pytest.mark.parametrize("file", ["log.jsonl", ".lock", "moments/step_00000006.safetensors"])
def test_what_is_no_part_of_a_model_does_not_stop_what_looks_at_it(
    root: Path, file: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root / "one" / file, kind)
    for command in COMMANDS:
        found = call(capsys, *command, "--root", root)
        assert found.code == int(command[0] == "verify"), (command, found.err)


def test_a_folder_of_checkpoints_that_leads_out_is_not_followed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root / "one" / "checkpoints", "link")
    found = call(capsys, "verify", "one", "--root", root)
    assert found.code == 1
    assert "checkpoints: surplus" in found.err
    assert "cannot be read (it is a link, expected a folder)" in found.err


def test_a_file_larger_than_listed_is_not_read(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.truncate(root / "one/checkpoints/step_00000012.safetensors", 2**40)
    found = call(capsys, "verify", "one", "--root", root)
    assert "step_00000012.safetensors: damaged or foreign: it has 1,099,511,627,776 bytes, expected at most" in found.err
    os.truncate(root / "one/manifest.json", 2**30)
    assert "expected at most" in call(capsys, "show", "one", "--root", root).err


def unfinished(root: Path) -> Path:
    """A run that was interrupted before its first step: whoever resumes it writes."""
    run = root / "one"
    files = json.loads((run / "manifest.json").read_bytes())["files"]
    kept = {name: entry for name, entry in files.items() if name in ("run.json", "split.safetensors")}
    edited(run, files=kept, status="running", reason=None, step=None)
    return run


@pytest.mark.parametrize("file", ["history.jsonl", "log.jsonl", ".lock", "split.safetensors"])
def test_nothing_is_written_through_a_link(root: Path, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = unfinished(root)
    mine = root / "thesis.tex"
    mine.write_bytes(b"years of work\n")
    (run / file).unlink(missing_ok=True)
    (run / file).symlink_to(mine)
    found = call(capsys, "resume", "one", "--root", root)
    assert found.code == 1
    assert f"{file}: " in found.err
    assert mine.read_bytes() == b"years of work\n"


@pytest.mark.parametrize("folder", ["checkpoints", "moments", "results", "series"])
def test_nothing_is_deleted_through_a_link(root: Path, folder: str) -> None:
    victim = root / "other"
    (victim / "results").mkdir(exist_ok=True)
    (victim / "series").mkdir(exist_ok=True)
    (victim / "results" / ".x.tmp").write_bytes(b"")
    before = sorted(victim.rglob("*"))
    record = json.loads((root / "one/run.json").read_bytes()) | {"batch": 2}
    (root / "one/run.json").write_text(json.dumps(record))
    resigned(root / "one")
    edited(root / "one", thinned={checkpoint_name(3): {"size": 1, "sha256": "0" * 64}})
    put(root / "one" / folder, "link") if (root / "one" / folder).exists() else None
    (root / "one" / folder).unlink(missing_ok=True)
    (root / "one" / folder).symlink_to(victim / folder)
    with pytest.raises(DataError, match="is a link"):
        thin(root / "one", [])
    with pytest.raises(DataError, match="is a link"), writing(root / "one"):
        RunWriter(root / "one")
    assert sorted(victim.rglob("*")) == before


def test_results_are_not_kept_where_they_would_lie_outside(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "elsewhere").mkdir()
    (root / "one/results").symlink_to(root / "elsewhere")
    assert call(capsys, "show", "one", "--root", root).code == 0
    assert call(capsys, "analyze", "one", "-a", "weight_norms", "--root", root).code == 0
    assert list((root / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("folder", ["runs", "leases", "failures"])
def test_a_study_is_not_written_to_through_a_link(root: Path, folder: str) -> None:
    study = small_study(root, vary={"optimizer.weight_decay": [0.5, 1.0]}, name="wd", measures=("weight_norms",), seeds=range(3))
    (root / "wd/failures").mkdir(exist_ok=True)
    put(root / "wd" / folder, "link")
    before = sorted(root.rglob("*"))
    with pytest.raises(DataError, match=f"{folder} is a link"):
        study.run(executor=in_turn)
    assert [path for path in sorted(root.rglob("*")) if path not in before] == []


def test_a_studys_run_that_is_a_link_is_not_written_to(root: Path) -> None:
    study = small_study(root, vary={"optimizer.weight_decay": [0.5, 1.0]}, name="wd", measures=("weight_norms",))
    name = study.points[0].name
    put(study.path_of(name), "link")
    (study.path_of(name) / "resume.safetensors").write_bytes(b"")  # so that it is not settled
    before = sorted(root.rglob("*"))
    assert f"{name} is a link" in study.run(executor=in_turn).failed[name]
    assert {path.parent.name for path in set(root.rglob("*")) - {*before}} <= {"failures", "wd"}


def test_a_lock_that_is_a_pipe_is_no_lock(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lock")
    assert not is_locked(tmp_path)


def test_a_lease_with_an_enormous_number_costs_nothing(tmp_path: Path) -> None:
    for number in ("999999999999999999", "9" * 200, "\u0661", "01"):
        (tmp_path / f"abc.{number}").write_text(json.dumps({"released": True}))
    lease = Leases(tmp_path).take("abc")
    assert isinstance(lease, Lease)
    assert (tmp_path / "abc.1000000000000000000").exists()


@pytest.mark.parametrize(
    "content", ["", "[" * 50_000, '{"pid": 1e400}', '{"pid": -1, "host": "here"}', '{"pid": ' + "9" * 30 + "}", "5"]
)
def test_an_odd_lease_is_somebodys_and_no_traceback(tmp_path: Path, content: str) -> None:
    import socket

    (tmp_path / "abc.1").write_text(content.replace("here", socket.gethostname()))
    Leases(tmp_path).take("abc")
    (tmp_path / "xyz.1").mkdir()
    with pytest.raises(DataError, match="leases cannot be read or written there"):
        Leases(tmp_path).take("xyz")


def test_an_import_that_was_killed_frees_its_name(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = unfinished(root)
    record = json.loads((run / "run.json").read_bytes()) | {"engine": "imported"}
    (run / "run.json").write_text(json.dumps(record))
    resigned(run)
    found = call(capsys, "resume", "one", "--root", root)
    assert (found.code, "importing the file again" in found.err) == (2, True)
    other = open_run(root / "other")
    made = create_run(
        root, "one", other.config, split=other.split, checkpoints=[(3, other[12].weights)], provenance={"file": "theirs.pt"}
    )
    assert made.steps == (3,)
    assert made.verify() == ()


def test_one_bad_run_hides_no_other(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "one/run.json").write_bytes(b"x")
    (fresh(root / "other", root / "deep") / "manifest.json").write_text("[" * 100_000)
    (fresh(root / "other", root / "plain") / "log.jsonl").write_text("[1]\n")
    for extra in ((), ("--json",)):
        found = call(capsys, "runs", "--root", root, *extra)
        assert found.code == 1
        assert "other" in found.out
        assert "plain" in found.out
        assert found.err.startswith("error: 2 runs cannot be read:\n  deep: ")
        assert "manifest.json: damaged, not JSON (nested more than 64 deep)" in found.err
        assert "run.json: damaged: 1 bytes" in found.err


def test_a_comparison_leaves_out_what_is_damaged_and_says_so(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fresh(root / "other", root / "third")
    (root / "one/checkpoints/step_00000012.safetensors").write_bytes(b"x")
    fresh(root / "other", root / "unopened")
    (root / "unopened/manifest.json").write_text("{}")
    page = root / "page.html"
    for runs in (["one", "other", "third", "unopened"], ["one", "other"]):
        found = call(capsys, "report", *runs, "-o", page, "--root", root)
        assert found.code == 1
        assert "Report: " in found.out
        assert "step_00000012.safetensors: damaged" in found.err
        text = page.read_text()
        assert "Runs that could not be read" in text
        assert "step_00000012.safetensors: damaged" in text
    assert call(capsys, "report", "one", "unopened", "-o", page, "--root", root).code == 1
    assert "none of the runs can be read" in call(capsys, "report", "one", "unopened", "-o", page, "--root", root).err
    assert call(capsys, "report", "other", "nowhere", "-o", page, "--root", root).code == 2


def test_one_bad_run_of_a_study_and_one_bad_study_hide_no_other(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = sorted((root / "wd/runs").iterdir())[0].name
    (root / "wd/runs" / bad / "history.jsonl").write_text("{}\n")
    resigned(root / "wd/runs" / bad)
    for command in (
        ("show", "wd"), ("show", "wd", "--json"), ("export", "wd", "-o", root / "x.csv"), ("report", "wd", "-o", root / "x.html"),
        ("figure", "wd", "survival", "-o", root / "y.json"),
    ):  # fmt: skip
        found = call(capsys, "study", *command, "--root", root)
        assert found.code == 1, command
        assert found.err.startswith(f"error: 1 run cannot be read:\n  {bad}: "), found.err
        assert "history.jsonl: line 1 is damaged" in found.err
    assert (root / "x.csv").read_text().count("finished") == 3
    (root / "broken").mkdir()
    (root / "broken/study.json").write_text("{")
    found = call(capsys, "study", "list", "--root", root)
    assert (found.code, "wd" in found.out) == (1, True)
    assert found.err.startswith("error: 1 study cannot be read:\n  broken: ")


def test_a_damaged_run_does_not_end_a_study(root: Path) -> None:
    study = small_study(root, vary={"optimizer.weight_decay": [0.5, 1.0]}, name="wd", measures=("weight_norms",))
    bad = study.points[0].name
    (study.path_of(bad) / "manifest.json").write_text("{}")
    tally = study.run(executor=in_turn)
    assert tally.finished == 3
    assert list(tally.failed) == [bad]
    assert study.series("test_loss").sizes["run"] == 3
