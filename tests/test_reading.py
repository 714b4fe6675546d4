"""What is opened for reading: regular files of the expected size, in their place; and JSON within bounds."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from interp.reading import DEPTH, check_file, parsed_json, read_file, read_start


def made(folder: Path, kind: str) -> Path:
    """Something that is no file, or does not lie where it seems to."""
    inside = folder / "run"
    (inside / "checkpoints").mkdir(parents=True)
    (folder / "outside").mkdir()
    (folder / "outside" / "file").write_bytes(b"theirs")
    path = inside / "checkpoints" / "file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "folder that is a link":
        (inside / "checkpoints").rmdir()
        (inside / "checkpoints").symlink_to(folder / "outside")
    else:
        path.symlink_to({"device": "/dev/zero", "link": folder / "outside" / "file", "nowhere": "nothing"}[kind])
    return path


KINDS = ("pipe", "folder", "loop", "folder that is a link", "device", "link", "nowhere")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_of_the_folder_is_not_opened(kind: str, tmp_path: Path) -> None:
    path = made(tmp_path, kind)
    for read in (read_file, check_file):
        with pytest.raises(OSError, match="expected a f") as error:
            read(path, inside=tmp_path / "run")
        assert str(path).startswith(error.value.filename)
    with pytest.raises(OSError, match="expected a f"):
        read_start(path, 4, inside=tmp_path / "run")


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_not_opened_anywhere(kind: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="expected a file"):
        read_file(made(tmp_path, kind))


def test_a_link_outside_of_any_folder_is_the_users_own(tmp_path: Path) -> None:
    assert read_file(made(tmp_path, "link")) == b"theirs"


def test_nothing_is_read_of_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(2**40)  # which takes no room
    with pytest.raises(OSError, match="it has 1,099,511,627,776 bytes, expected at most 10"):
        read_file(path, at_most=10)
    with pytest.raises(OSError, match="expected at most 17,179,869,184"):
        read_file(path)
    assert read_start(path, 3) == bytes(3)
    path.write_bytes(b"0123456789")
    assert read_file(path, at_most=10) == b"0123456789"
    with pytest.raises(OSError, match="it has 10 bytes, expected at most 9"):
        read_file(path, at_most=9)
    assert read_start(path, 20) == b"0123456789"


def test_a_name_that_no_file_can_have_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="null"):
        read_file(tmp_path / "a\0b")


def test_json_nests_so_deep_and_no_deeper() -> None:
    assert parsed_json("[" * DEPTH + "]" * DEPTH) is not None
    for text in ("[" * (DEPTH + 2) + "]" * (DEPTH + 2), "[" * 100_000, '{"a":' * 1_000 + "1" + "}" * 1_000):
        with pytest.raises(ValueError, match=f"nested more than {DEPTH} deep"):
            parsed_json(text)


def test_an_integer_that_is_no_float_is_refused_before_it_is_made() -> None:
    assert float(parsed_json("9" * 300)) > 1e299
    with pytest.raises(ValueError, match="an integer of 1,000,000 digits"):
        parsed_json('{"a": ' + "9" * 1_000_000 + "}")


def test_a_small_file_takes_little_memory_and_one_that_grows_is_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    tracemalloc.start()
    try:
        assert len(read_file(path)) == 100
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    small = os.stat(path)
    path.write_bytes(b"x" * 12_345)
    monkeypatch.setattr(os, "fstat", lambda descriptor: small)
    assert read_file(path) == b"x" * 12_345
    with pytest.raises(OSError, match="has"):
        read_file(path, at_most=1000)
