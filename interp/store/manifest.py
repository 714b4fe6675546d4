"""The manifest: what a run holds, hash by hash, as of its last commit. It has no times: equal runs have equal manifests."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from interp.errors import DataError
from interp.reading import LARGEST, parsed_json, read_file, read_start
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
LOOP = "loop"  # likewise: the training is a loop of somebody else's, which hands over its model

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
_SERIES_SUFFIX = ".safetensors"
_OF_STEP = re.compile(rf"({CHECKPOINTS}|{MOMENTS})/step_([0-9]{{8}}|[1-9][0-9]{{8,12}})\.safetensors")
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
class Extension:
    """More steps for a run that had finished.

    Attributes:
        steps: the budget that it has now.
        at: the steps at which it had finished, ascending.
    """

    steps: int
    at: tuple[int, ...]

    @classmethod
    def of(cls, values: Any) -> Extension:
        """Read its JSON values.

        Raises:
            ValueError, KeyError, TypeError: if they are none.
        """
        found = cls(values["steps"], tuple(values["at"]))
        if not found.at or not all(is_count(step, MOST_STEPS) for step in (found.steps, *found.at)):
            raise ValueError(f"extended: given {values!r:.80}, expected a budget and the steps at which the run had finished")
        return found


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
        extended: its larger budget, if it was given more steps after it had finished.
        is_covered: whether its own file has a hash of what it says; earlier versions wrote none.
    """

    step: int | None = None
    status: Status = "running"
    reason: Reason | None = None
    files: Mapping[str, Entry] = field(default_factory=dict)
    thinned: Mapping[str, Entry] = field(default_factory=dict)
    set_aside: Mapping[str, Entry] = field(default_factory=dict)
    extended: Extension | None = None
    is_covered: bool = field(default=True, compare=False)

    def __repr__(self) -> str:
        return f"Manifest({self.status}, step {self.step}: {len(self.files)} files, {len(self.steps)} of them checkpoints)"

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
    def largest(self) -> int:
        """Bytes of the largest file."""
        return max(entry.size for entry in self.files.values())

    @cached_property
    def moments(self) -> tuple[int, ...]:
        """Steps whose whole state is kept, ascending."""
        return tuple(sorted(step for name in self.files if (step := step_of(name, MOMENTS)) is not None))

    def to_dict(self) -> dict[str, Any]:
        """What it says: with the format version, files in the order of their names."""
        made: dict[str, Any] = {"format": FORMAT, "status": self.status, "reason": self.reason, "step": self.step}
        made |= {} if self.extended is None else {"extended": asdict(self.extended)}
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
        return cls.from_values(parse_json(data, where=where), where=where)

    @classmethod
    def from_values(cls, values: Any, *, where: str) -> Manifest:
        """The same of what its JSON says.

        Raises:
            DataError: as `from_json`.
        """
        manifest = cls.from_dict(values, where=where)
        found = values.get(_HASH)
        if found is not None and found != _hash({name: value for name, value in values.items() if name != _HASH}):
            raise DataError(f"{where}: damaged: what it says does not fit its own hash; {_mend(where)}")
        return replace(manifest, is_covered=found is not None)

    @classmethod
    def from_dict(cls, values: Any, *, where: str) -> Manifest:
        """Read what `to_dict` returned; `where` names the file in errors."""
        check_format(values, where=where, known=(FORMAT, GROWING))
        try:
            files = entries(values["files"], where=where)
            thinned, gone = (entries(values.get(group, {}), where=where) for group in ("thinned", "set_aside"))
            extended = Extension.of(values["extended"]) if "extended" in values else None
            manifest = cls(values["step"], values["status"], values["reason"], files, thinned, gone, extended)
            is_known = manifest.reason in _REASONS.get(manifest.status, ())
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{where}: damaged, not a manifest ({type(error).__name__}: {error}); {_mend(where)}") from error
        if not is_known or not (manifest.step is None or is_count(manifest.step, MOST_STEPS)):
            told = f"status {manifest.status!r:.40}, reason {manifest.reason!r:.40} and step {manifest.step!r:.40}"
            raise DataError(f"{where}: damaged, {told} make no sense; {_mend(where)}")
        check_names(files, where=where)
        check_names((name for name in gone if name != RESUME), where=where)
        if (
            odd := next((name for name in thinned if step_of(name) is None and step_of(name, MOMENTS) is None), None)
        ) is not None:
            raise DataError(f"{where}: damaged or foreign: says that {odd!r:.200} was thinned out, which is no checkpoint")
        return manifest


def check_names(names: Iterable[str], *, where: str) -> None:
    """Refuse files that no run has.

    Raises:
        DataError: naming the first.
    """
    if (odd := next((name for name in names if not is_own(name)), None)) is not None:
        raise DataError(f"{where}: damaged or foreign: names the file {odd!r:.200}, which no run has")


def entries(group: Any, *, where: str) -> dict[str, Entry]:
    """Entries by name, as they are written.

    Raises:
        KeyError, TypeError, AttributeError: if they are none.
        DataError: for a size or hash that is none.
    """
    found = {name: Entry(**entry) for name, entry in group.items()}
    for name, entry in found.items():
        if not is_count(entry.size, LARGEST) or not is_hash(entry.sha256):
            told = f"{entry.size!r:.40} bytes with sha256 {entry.sha256!r:.80}"
            raise DataError(f"{where}: damaged: given {told} for {name!r:.200}, expected a size and 64 hexadecimal digits")
    return found


def is_hash(value: object) -> bool:
    """Whether a JSON value is a SHA-256 in hexadecimal."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def is_count(value: object, most: int) -> bool:
    """Whether a JSON value is a size or a step, and at most so large."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


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
    if name in (RECORD, SPLIT, TASK, HISTORY) or _OF_STEP.fullmatch(name):
        return True
    analysis = name.removeprefix(f"{SERIES}/").removesuffix(_SERIES_SUFFIX)
    return name == series_name(analysis) and analysis.isidentifier()


def step_of(name: str, folder: str = CHECKPOINTS) -> int | None:
    """The step whose checkpoint (or, in MOMENTS, state) has this path, None if it is not one."""
    match = _OF_STEP.fullmatch(name)
    return int(match[2]) if match and match[1] == folder else None


def parse_json(data: bytes, *, where: str) -> Any:
    """JSON from a file's bytes, with an error that names the file."""
    try:
        return parsed_json(data)
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


def _mend(where: str) -> str:
    return f"`interp verify --repair {shlex.quote(str(Path(where).parent))}` makes it again from what the run's files say"


def _hash(values: Mapping[str, Any]) -> str:
    """Of what a manifest says, whatever its white space and order."""
    return sha256(json.dumps(values, sort_keys=True).encode())


def read_listed(path: Path, name: str, manifest: Manifest) -> bytes:
    """The bytes of a run's file, of the history its committed part, unless it is larger than any file of the run.

    Raises:
        OSError: if it is that large, no regular file of the run's own, or cannot be read.
    """
    if name == HISTORY:
        return read_start(path / name, manifest.files[name].size, inside=path)
    return read_file(path / name, at_most=manifest.largest, inside=path)


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
