"""Commands that only look, on disks that cannot be written: full, read-only, over quota, forbidden, failing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from recorded import CONFIG, content
from small_study import in_turn, small_study

import interp
from interp.errors import DataError
from interp.keeping.recorder import record

REFUSING = Path(__file__).parent / "refusing.py"
LOOKS = (
    ["show", "run", "--json"],
    ["runs"],
    ["verify", "run"],
    ["analyze", "run", "-a", "weight_norms"],
    ["report", "run", "-o", "{out}/report.html"],
    ["figure", "run", "weight_norms", "-o", "{out}/figure.json"],
)
STUDIES = (
    ["study", "show", "small"],
    ["study", "report", "small", "-o", "{out}/study.html"],
    ["study", "export", "small", "-o", "{out}/study.csv"],
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A run and a study of which nothing has been worked out yet."""
    root = tmp_path_factory.mktemp("disk")
    record(CONFIG, root, "run", progress=False)
    small_study(root).run(executor=in_turn, progress=False)
    return root


def refused(number: str, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REFUSING), "change", number, str(root), *arguments, "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("number", "command"),
    [(number, LOOKS[0]) for number in ("ENOSPC", "EROFS", "EDQUOT", "EACCES", "EIO")]
    + [("EROFS", command) for command in (*LOOKS[1:], *STUDIES)],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_what_cannot_be_kept_is_worked_out_and_that_is_said_once(root, tmp_path, number, command):
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    done = refused(number, root, *(word.format(out=tmp_path) for word in command))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("cannot be kept") == (0 if command[0] in ("verify",) else 1), done.stderr
    assert "Errno" not in done.stderr
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    if command[0] == "show":
        assert json.loads(done.stdout)["status"] == "finished"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system of its own")
def test_a_disk_that_is_really_full_or_read_only(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        run = record(CONFIG, disk, "run", progress=False)
        (disk / "report.html").write_bytes(b"before")
        with pytest.raises(OSError, match="No space left"):
            (disk / "filler").write_bytes(bytes(2**22))
        series = interp.observe(run, ["weight_norms"])
        with pytest.raises(DataError, match=r"No space left on device\); the file that was there is as it was"):
            interp.report(run, disk / "report.html", analyses=["weight_norms"])
        assert (disk / "report.html").read_bytes() == b"before"
        before = content(run)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert interp.observe(run, ["weight_norms"]).equals(series)
        assert interp.open_run(disk / "run").verify() == ()
        with pytest.raises(DataError, match="Read-only file system"):
            interp.report(run, disk / "report.html", analyses=["weight_norms"])
        assert content(run) == before
        assert not [path for path in disk.rglob(".*") if path.name != ".lock"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
