"""The manifest: what a run holds, hash by hash, as of its last commit. It has no times: equal runs have equal manifests."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from interp.errors import DataError
from interp.store.durable import sha256

FORMAT = 1
GROWING = 2  # of a manifest.json beside which there are lines, see `journal`
MANIFEST = "manifest.json"
JOURNAL = "manifest.jsonl"
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
DAMAGED = "damaged"  # where repairing sets aside what is damaged
IMPORTED = "imported"  # in place of an engine's name

Status = Literal["running", "interrupted", "finished", "stopped"]
Reason = Literal["budget", "settled", "ended", "imported", "non-finite"]

# Why a run has the status that it has.
_REASONS: Mapping[Status, tuple[Reason | None, ...]] = {
    "running": (None,),
    "interrupted": (None,),
    "finished": ("budget", "settled", "ended", "imported"),
    "stopped": ("non-finite",),
}
_HASH = "sha256"
_SHA256 = re.compile("[0-9a-f]{64}")
_MEND = "`interp verify --repair` makes it again from what the run's files say"
_SERIES_SUFFIX = ".safetensors"
_OF_STEP = re.compile(r"/step_(\d{8,})\.safetensors")


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
        set_aside: the entries of files that were found damaged or missing, and are no longer part of the run.
        is_covered: whether its own file has a hash of what it says; earlier versions wrote none.
    """

    step: int | None = None
    status: Status = "running"
    reason: Reason | None = None
    files: Mapping[str, Entry] = field(default_factory=dict)
    thinned: Mapping[str, Entry] = field(default_factory=dict)
    set_aside: Mapping[str, Entry] = field(default_factory=dict)
    is_covered: bool = field(default=True, compare=False)

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
        inside = (name for name in self.files if name.startswith(f"{SERIES}/") and name.endswith(_SERIES_SUFFIX))
        return tuple(sorted(name.removeprefix(f"{SERIES}/").removesuffix(_SERIES_SUFFIX) for name in inside))

    @cached_property
    def moments(self) -> tuple[int, ...]:
        """Steps whose whole state is kept, ascending."""
        return tuple(sorted(step for name in self.files if (step := step_of(name, MOMENTS)) is not None))

    def to_dict(self) -> dict[str, Any]:
        """What it says: with the format version, files in the order of their names."""
        made = {"format": FORMAT, "status": self.status, "reason": self.reason, "step": self.step}
        groups = {"files": self.files, "thinned": self.thinned, "set_aside": self.set_aside}
        listed = {group: {name: asdict(entries[name]) for name in sorted(entries)} for group, entries in groups.items()}
        return {**made, **{group: entries for group, entries in listed.items() if entries or group == "files"}}

    def to_json(self, *, growing: bool = False) -> bytes:
        """The bytes of manifest.json: what it says, and a hash of that; of a run that grows, with lines beside it, format 2."""
        values = self._values(growing=growing)
        return (json.dumps({**values, _HASH: _hash(values)}, indent=1) + "\n").encode()

    def hash_of_content(self, *, growing: bool = False) -> str:
        """The hash that `to_json` writes: of what the manifest says."""
        return _hash(self._values(growing=growing))

    def _values(self, *, growing: bool) -> dict[str, Any]:
        return {**self.to_dict(), "format": GROWING if growing else FORMAT}

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> Manifest:
        """Read what `to_json` returned, or an earlier version's; `where` names the file in errors.

        Raises:
            DataError: if it is damaged: it is no manifest, or does not fit its own hash.
        """
        values = parse_json(data, where=where)
        manifest = cls.from_dict(values, where=where)
        found = values.pop(_HASH, None)
        if found is not None and found != _hash(values):
            raise DataError(f"{where}: damaged: what it says does not fit its own hash; {_MEND}")
        return replace(manifest, is_covered=found is not None)

    @classmethod
    def from_dict(cls, values: Any, *, where: str) -> Manifest:
        """Read what `to_dict` returned; `where` names the file in errors."""
        check_format(values, where=where, known=(FORMAT, GROWING))
        try:
            groups = values["files"], values.get("thinned", {}), values.get("set_aside", {})
            files, thinned, gone = (entries(group) for group in groups)
            manifest = cls(values["step"], values["status"], values["reason"], files, thinned, gone)
            is_step = manifest.step is None or is_count(manifest.step)
            if manifest.reason not in _REASONS.get(manifest.status, ()) or not is_step:
                told = f"status {manifest.status!r}, reason {manifest.reason!r} and step {manifest.step!r}"
                raise ValueError(f"{told} make no sense")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{where}: damaged, not a manifest ({type(error).__name__}: {error}); {_MEND}") from error
        return manifest


def entries(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Entry]:
    """Entries from JSON values, by path.

    Raises:
        ValueError, TypeError, AttributeError: if they are none.
    """
    return {name: _entry(name, entry) for name, entry in values.items()}


def is_hash(value: object) -> bool:
    """Whether a JSON value is a SHA-256 in hexadecimal."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def is_count(value: object) -> bool:
    """Whether a JSON value is a size or a step."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


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


def step_of(name: str, folder: str = CHECKPOINTS) -> int | None:
    """The step whose checkpoint (or, in MOMENTS, state) has this path, None if it is not one."""
    match = _OF_STEP.fullmatch(name.removeprefix(folder)) if name.startswith(folder) else None
    return int(match[1]) if match and name == f"{folder}/step_{int(match[1]):08d}.safetensors" else None


def parse_json(data: bytes, *, where: str) -> Any:
    """JSON from a file's bytes, with an error that names the file."""
    try:
        return json.loads(data)
    except ValueError as error:  # not UTF-8, or not JSON
        raise DataError(f"{where}: damaged, not JSON ({error})") from error


def check_format(values: Any, *, where: str, known: tuple[int, ...] = (FORMAT,)) -> None:
    """Refuse what a newer version wrote.

    Raises:
        DataError: naming both format versions.
    """
    version = values.get("format") if isinstance(values, dict) else None
    if version not in known:
        expected = " or ".join(map(str, known))
        raise DataError(
            f"{where}: given format {version!r}, expected {expected}; it is foreign, or written by another version of interp"
        )


def _hash(values: Mapping[str, Any]) -> str:
    """Of what a manifest says, whatever its white space and order."""
    return sha256(json.dumps(values, sort_keys=True).encode())


def _entry(name: str, values: Mapping[str, Any]) -> Entry:
    entry, path = Entry(**values), PurePosixPath(name)
    if not is_count(entry.size) or not is_hash(entry.sha256):
        raise ValueError(f"{name}: given size {entry.size!r} and sha256 {entry.sha256!r}")
    if path.is_absolute() or ".." in path.parts or str(path) != name or name == ".":
        raise ValueError(f"{name!r} is not a path inside a run")
    return entry


def read_checked(path: Path, name: str, manifest: Manifest) -> bytes:
    """Bytes of a run's file (of the history: its committed part), if they are those in the manifest.

    Raises:
        DataError: if the file is not listed, missing, or holds other bytes.
    """
    expected = manifest.files.get(name)
    if expected is None:
        raise DataError(f"{path / MANIFEST}: does not list {name}; it is damaged or foreign")
    try:
        with (path / name).open("rb") as file:
            data = file.read(expected.size if name == HISTORY else -1)
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
