"""The manifest: what a run holds, hash by hash, as of its last commit. It has no times: equal runs have equal manifests."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from interp.errors import DataError
from interp.reading import LARGEST, parsed_json, read_file, read_start
from interp.store.durable import sha256

FORMAT = 1
MANIFEST = "manifest.json"
RECORD = "run.json"
SPLIT = "split.safetensors"
HISTORY = "history.jsonl"
RESUME = "resume.safetensors"
LOG = "log.jsonl"
CHECKPOINTS = "checkpoints"
TASK = "task.safetensors"
MOMENTS = "moments"
SERIES = "series"
RESULTS = "results"
IMPORTED = "imported"  # in place of an engine's name

Status = Literal["running", "interrupted", "finished", "stopped"]
Reason = Literal["budget", "settled", "ended", "imported", "non-finite"]

_SERIES_SUFFIX = ".safetensors"
_OF_STEP = re.compile(r"/step_([0-9]{8,13})\.safetensors")
_SHA256 = re.compile(r"[0-9a-f]{64}")
MOST_STEPS = 10**12  # a step above it has no name


@dataclass(frozen=True)
class Entry:
    """Size in bytes and SHA-256 of a file, or of the committed part of a file that grows."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Entry:
        """The entry of a file that holds these bytes."""
        return cls(len(data), sha256(data))


@dataclass(frozen=True)
class Manifest:
    """What a run holds.

    Attributes:
        step: the last step that is committed; None before the first commit.
        status: `running` (or killed while it was), `interrupted`, `finished`, `stopped`.
        reason: why it is finished (`budget`, `settled`, `ended`, `imported`) or stopped (`non-finite`).
        files: an entry per file, by its path inside the run.
        thinned: the entries of checkpoints that were measured and are no longer there.
    """

    step: int | None = None
    status: Status = "running"
    reason: Reason | None = None
    files: Mapping[str, Entry] = field(default_factory=dict)
    thinned: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        """Whether nothing will be added."""
        return self.status in ("finished", "stopped")

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Steps whose checkpoints are committed, ascending."""
        return tuple(sorted(step for name in self.files if (step := step_of(name)) is not None))

    @cached_property
    def thinned_steps(self) -> tuple[int, ...]:
        """Steps whose checkpoints were thinned out, ascending."""
        return tuple(sorted(step for name in self.thinned if (step := step_of(name)) is not None))

    @cached_property
    def series(self) -> tuple[str, ...]:
        """Names of the analyses whose series are part of the run."""
        inside = (name for name in self.files if name.startswith(f"{SERIES}/"))
        return tuple(sorted(name.removeprefix(f"{SERIES}/").removesuffix(_SERIES_SUFFIX) for name in inside))

    @cached_property
    def moments(self) -> tuple[int, ...]:
        """Steps whose whole state is kept, ascending."""
        return tuple(sorted(step for name in self.files if (step := step_of(name, MOMENTS)) is not None))

    def to_dict(self) -> dict[str, Any]:
        """As it is written: with the format version, files in the order of their names."""
        files, thinned = ({name: asdict(group[name]) for name in sorted(group)} for group in (self.files, self.thinned))
        made = {"format": FORMAT, "status": self.status, "reason": self.reason, "step": self.step, "files": files}
        return {**made, **({"thinned": thinned} if thinned else {})}

    def to_json(self) -> bytes:
        """The bytes of manifest.json."""
        return (json.dumps(self.to_dict(), indent=1) + "\n").encode()

    @classmethod
    def from_dict(cls, values: Any, *, where: str) -> Manifest:
        """Read what `to_dict` returned; `where` names the file in errors."""
        check_format(values, where=where)
        try:
            files, thinned = (_entries(group, where=where) for group in (values["files"], values.get("thinned", {})))
            manifest = cls(values["step"], values["status"], values["reason"], files, thinned)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{where}: damaged, not a manifest ({type(error).__name__}: {error})") from error
        is_known = manifest.status in get_args(Status) and manifest.reason in (None, *get_args(Reason))
        if not is_known or not (manifest.step is None or _is_count(manifest.step, MOST_STEPS)):
            told = f"status {manifest.status!r:.40}, reason {manifest.reason!r:.40} and step {manifest.step!r:.40}"
            raise DataError(f"{where}: damaged, {told} make no sense")
        if (odd := next((name for name in files if not is_own(name)), None)) is not None:
            raise DataError(f"{where}: damaged or foreign: names the file {odd!r:.200}, which no run has")
        if (odd := next((name for name in thinned if step_of(name) is None), None)) is not None:
            raise DataError(f"{where}: damaged or foreign: says that {odd!r:.200} was thinned out, which is no checkpoint")
        return manifest


def checkpoint_name(step: int) -> str:
    """Path of a checkpoint inside its run.

    >>> checkpoint_name(500)
    'checkpoints/step_00000500.safetensors'
    """
    return f"{CHECKPOINTS}/step_{step:08d}.safetensors"


def moments_name(step: int) -> str:
    """Path of the kept state of a step inside its run."""
    return f"{MOMENTS}/step_{step:08d}.safetensors"


def series_name(analysis: str) -> str:
    """Path of an analysis' kept series inside its run."""
    return f"{SERIES}/{analysis}{_SERIES_SUFFIX}"


def is_own(name: str) -> bool:
    """Whether a run can have a file of this name: a manifest that names others was not written by this toolkit.

    >>> is_own("checkpoints/step_00000500.safetensors"), is_own("../notes.txt")
    (True, False)
    """
    if name in (RECORD, SPLIT, TASK, HISTORY) or step_of(name) is not None or step_of(name, MOMENTS) is not None:
        return True
    analysis = name.removeprefix(f"{SERIES}/").removesuffix(_SERIES_SUFFIX)
    return name == series_name(analysis) and analysis.isidentifier()


def step_of(name: str, folder: str = CHECKPOINTS) -> int | None:
    """The step whose checkpoint (or, in MOMENTS, state) has this path, None if it is not one."""
    match = _OF_STEP.fullmatch(name.removeprefix(folder)) if name.startswith(folder) else None
    return int(match[1]) if match and name == f"{folder}/step_{int(match[1]):08d}.safetensors" else None


def parse_json(data: bytes, *, where: str) -> Any:
    """JSON from a file's bytes, with an error that names the file."""
    try:
        return parsed_json(data)
    except ValueError as error:  # not UTF-8, or not JSON
        raise DataError(f"{where}: damaged, not JSON ({error})") from error


def check_format(values: Any, *, where: str) -> None:
    """Refuse what a newer version wrote.

    Raises:
        DataError: naming both format versions.
    """
    version = values.get("format") if isinstance(values, dict) else None
    if version != FORMAT:
        raise DataError(
            f"{where}: given format {version!r}, expected {FORMAT}; it is foreign, or written by another version of interp"
        )


def read_listed(path: Path, name: str, manifest: Manifest) -> bytes:
    """The bytes of a run's file, of the history its committed part, unless it is larger than any file of the run.

    Raises:
        OSError: if it is that large, no regular file of the run's own, or cannot be read.
    """
    if name == HISTORY:
        return read_start(path / name, manifest.files[name].size, inside=path)
    return read_file(path / name, at_most=max(entry.size for entry in manifest.files.values()), inside=path)


def read_checked(path: Path, name: str, manifest: Manifest) -> bytes:
    """Bytes of a run's file (of the history: its committed part), if they are those in the manifest.

    Raises:
        DataError: if the file is not listed, missing, or holds other bytes.
    """
    expected = manifest.files.get(name)
    if expected is None:
        raise DataError(f"{path / MANIFEST}: does not list {name}; it is damaged or foreign")
    try:
        data = read_listed(path, name, manifest)
    except OSError as error:
        raise DataError(
            f"{path / name}: cannot be read ({error.strerror}); `interp verify {shlex.quote(str(path))}` checks every file"
        ) from error
    if Entry.of(data) != expected:
        raise DataError(
            f"{path / name}: damaged: {len(data)} bytes with sha256 {sha256(data)[:12]}..., expected {expected.size} bytes "
            f"with {expected.sha256[:12]}...; restore it from a copy. `interp verify {shlex.quote(str(path))}` checks every file"
        )
    return data


def _entries(group: Any, *, where: str) -> dict[str, Entry]:
    """Entries by name, as they are written."""
    found = {name: Entry(entry["size"], entry["sha256"]) for name, entry in group.items()}
    for name, entry in found.items():
        if not _is_count(entry.size, LARGEST) or not isinstance(entry.sha256, str) or not _SHA256.fullmatch(entry.sha256):
            told = f"{entry.size!r:.40} bytes with sha256 {entry.sha256!r:.80}"
            raise DataError(f"{where}: damaged: given {told} for {name!r:.200}, expected a size and 64 hexadecimal digits")
    return found


def _is_count(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
