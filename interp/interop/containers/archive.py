"""Zip archives, as torch and numpy write them: looked over by their directory before any record is read."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from interp.errors import DataError
from interp.interop.containers import limits

_END, _LOCATOR, _SENTINEL = b"PK\x05\x06", b"PK\x06\x07", 0xFFFFFFFF


@contextmanager
def opened_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive within the limits. Reading a record checks its checksum and returns no more than its stated size.

    Raises:
        DataError: if it is damaged, or claims more than it holds or than may be unpacked.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            limits.check("the archive's directory", _directory_size(file, size), limits.DIRECTORY, "bytes")
            archive = zipfile.ZipFile(file)
            _check_records(archive.infolist(), size)
            yield archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, struct.error, EOFError, UnicodeError, NotImplementedError) as error:
        raise DataError(f"a damaged archive ({error}); fetch it again") from error


def _directory_size(file: BinaryIO, size: int) -> int:
    start = max(size - 2**16 - 128, 0)
    file.seek(start)
    tail = file.read()
    if (place := tail.rfind(_END)) < 0 or len(tail) < place + 22:
        raise DataError("the file is incomplete or damaged (its central directory is missing); fetch it again")
    directory: int = struct.unpack_from("<L", tail, place + 12)[0]
    if directory == _SENTINEL and tail[place - 20 : place - 16] == _LOCATOR:
        file.seek(struct.unpack_from("<Q", tail, place - 12)[0])
        directory = struct.unpack_from("<Q", file.read(56), 40)[0]
    return directory


def _check_records(records: list[zipfile.ZipInfo], size: int) -> None:
    limits.check("the archive", len(records), limits.RECORDS, "records")
    if len({record.filename for record in records}) < len(records):
        raise DataError("a damaged archive: two records have one name")
    for record in records:
        stored = record.compress_type == zipfile.ZIP_STORED
        if not stored and record.compress_type != zipfile.ZIP_DEFLATED:
            raise DataError(f"{record.filename[: limits.TEXT]!r} is compressed in a way that is not read (only deflate is)")
        if stored and record.file_size != record.compress_size:
            raise DataError(f"a damaged archive: {record.filename[: limits.TEXT]!r} is stored with two sizes")
    if (held := sum(record.compress_size for record in records)) > size:
        raise DataError(f"refused before it was read: the archive's records claim {held:,} bytes, the file has {size:,}")
    packed = [record.file_size for record in records if record.compress_type != zipfile.ZIP_STORED]
    limits.check("what the archive unpacks to", sum(packed), limits.UNPACKED, "bytes")
