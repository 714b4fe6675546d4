"""Every byte under a run: where one is changed, verify names it, or nothing that a reader shows has changed; never a traceback.

Files whose own hash covers them are changed at every bit; whole runs at some bytes of every kind, and what every reader shows of
them is compared with what it showed before.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from small_study import small_base

import interp
from interp.errors import DataError, UsageError
from interp.keeping.session import Session
from interp.observing.summary import summary
from interp.observing.thinning_out import thin_measured
from interp.store.beginning import begin
from interp.store.journal import is_growing
from interp.store.manifest import Manifest
from interp.store.packed import digest
from interp.store.resume import read_resume
from interp.store.run import Run, open_run
from interp.store.run_log import LogChecked, check_log, created
from interp.store.sealed import unpack_fact, unpack_measured
from interp.store.standing import standing
from interp.store.tensors import as_arrays
from interp.store.writer import RunWriter, writing

MEASURES = ("progress_measures", "weight_norms")
KINDS = ("finished", "interrupted", "thinned")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of every kind, all of which were looked at."""
    root = tmp_path_factory.mktemp("every-byte")
    config = small_base(task=interp.ModularTask(5), threads=1, checkpoints=interp.CheckpointConfig(log=0, every=5, moments=(5,)))
    interp.record(config, root, "finished", progress=False)
    training = interp.Training(config)
    with writing(root / "interrupted"):
        begin(root / "interrupted", training.plan, provenance={})
        session = Session(RunWriter(root / "interrupted"), training.plan, training.state)
        for step in training:
            session.take(step)
            if step.index in (2, 5):
                session.commit(status="running")
            if step.index == 7:
                session.interrupt(2)
                break
    thin_measured(interp.record(replace(config, seed=1), root, "thinned", progress=False), measures=MEASURES)
    for name in KINDS:
        assert open_run(root / name).examine(threads=1).findings == ()
        shown(root / name)
        assert open_run(root / name).examine(threads=1).findings == ()
    return root


def every_bit(data: bytes) -> Iterator[bytes]:
    """All that differ in one bit, the beginnings, and some that are longer."""
    for at in range(len(data)):
        for bit in range(8):
            yield data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
    yield from (data[:size] for size in range(len(data)))
    yield from (data + more for more in (b"\0", b" ", b"\n", data[-1:], b'{"step": 13, "train_loss": 0.1}\n'))


def told(read: Callable[[], Any]) -> Any:
    """What a reader shows, or that it refuses; any other error is a traceback."""
    try:
        return read()
    except (DataError, UsageError) as error:
        return f"refused: {type(error).__name__}"


def the_only(paths: Iterator[Path]) -> Path:
    (path,) = paths
    return path


def test_every_bit_of_a_result_counts(runs):
    for name in ("weight_norms", "progress_measures"):
        data = the_only((runs / "finished" / "results").glob(f"{name}-*")).read_bytes()
        whole = unpack_measured(data, where="x")
        for changed in every_bit(data):
            with suppress(DataError):
                found = unpack_measured(changed, where="x")
                assert found.header == whole.header
                assert {n: (a.dtype, a.tobytes()) for n, a in found.arrays.items()} == {
                    n: (a.dtype, a.tobytes()) for n, a in whole.arrays.items()
                }


def test_every_bit_of_a_kept_fact_counts(runs):
    data = the_only((runs / "finished" / "results").glob("key_frequencies-*")).read_bytes()
    for changed in every_bit(data):
        with suppress(DataError):  # what names another installation cannot be checked by its seal: that is said
            assert unpack_fact(changed, where="x").origin == "elsewhere", changed


def test_every_bit_of_a_line_of_a_growing_manifest_counts(runs, tmp_path):
    """Whatever is wrong with them, they say what they said, or verify names them; the last may be cut off, which is noted."""
    path = Path(shutil.copytree(runs / "interrupted", tmp_path / "run"))
    data, whole = (path / "manifest.jsonl").read_bytes(), open_run(path).manifest
    assert data.count(b"\n") == 3
    for number, changed in enumerate(every_bit(data)):
        if number % 5:
            continue
        (path / "manifest.jsonl").write_bytes(changed)
        with suppress(DataError):
            run = open_run(path)
            named = [finding for finding in standing(path) if finding.file in ("manifest.jsonl", "resume.safetensors")]
            is_cut = data.startswith(changed) and len(data) - len(changed) <= len(data.splitlines(keepends=True)[-1])
            assert [finding.kind for finding in named] == ["note" if is_cut else "problem"], changed
            assert run.manifest.step in (None, 2, 5) or run.manifest == whole


def test_every_bit_of_a_manifest_counts(runs):
    for kind in KINDS:
        data = (runs / kind / "manifest.json").read_bytes()
        whole = Manifest.from_json(data, where="x")
        for changed in every_bit(data):
            with suppress(DataError):
                found = Manifest.from_json(changed, where="x")
                assert found == whole
                assert found.to_json(growing=is_growing(changed)) != changed or not found.is_covered  # so that verify says it


@pytest.mark.parametrize("kind", KINDS)
def test_an_older_manifest_without_a_hash_lies_about_nothing_that_is_shown(runs, kind):
    """It is checked against the files, the history, the series and the budget: what fits them all is what was written."""
    run = open_run(runs / kind)
    older = (json.dumps(run.manifest.to_dict(), indent=1) + "\n").encode()
    assert Manifest.from_json(older, where="x") == run.manifest
    for number, changed in enumerate(every_bit(older)):
        with suppress(DataError):
            found = Manifest.from_json(changed, where="x")
            if found != run.manifest and number % 7 == 0:
                gone = {name: replace(entry, size=0) for name, entry in found.thinned.items()}  # whose size is shown nowhere
                harmless = replace(found, thinned=gone) == replace(
                    run.manifest, thinned={name: replace(entry, size=0) for name, entry in run.manifest.thinned.items()}
                )
                swapped = {found.status, run.manifest.status} == {"running", "interrupted"}  # which the lock decides
                assert harmless or swapped or replace(run, manifest=found).verify(threads=1), changed


def test_every_bit_of_a_log_counts(runs, tmp_path):
    data = (runs / "interrupted" / "log.jsonl").read_bytes()
    assert check_log(data) == LogChecked(None, None, len(data), ("begun", "interrupted"))
    begun = created(runs / "interrupted")
    ends = [i + 1 for i in range(len(data)) if data[i : i + 1] == b"\n"]
    for changed in every_bit(data):
        found = check_log(changed)
        is_whole_lines = data.startswith(changed) and len(changed) in (0, *ends)  # the last lines are gone: nothing shows them
        assert found.problem or found.note or is_whole_lines, changed
        (tmp_path / "log.jsonl").write_bytes(changed)
        assert created(tmp_path) in (None, begun) or found.problem or found.note


def test_a_line_of_a_log_that_was_cut_off_is_the_beginning_of_one(runs):
    data = (runs / "interrupted" / "log.jsonl").read_bytes()
    first = data.index(b"\n") + 1
    for end in range(first + 1, len(data)):
        found = check_log(data[:end])
        assert (found.problem, found.note) == (None, "its last line, 2, was cut off, as when a process is killed"), data[:end]
    for foreign in (bytes(40), b'{"time": "2026' + bytes(8), b"x", b'{"times', '{"time": "é'.encode(), b'{"time": "\r'):
        for before in (b"", data[:first]):
            found = check_log(before + foreign)
            assert found.problem == f"damaged: line {1 + bool(before)} is none of a log", foreign
            assert found.sound == len(before)


def test_a_whole_line_without_a_hash_was_not_cut_off(runs):
    data = (runs / "interrupted" / "log.jsonl").read_bytes()
    for end in (b"", b"\n"):
        found = check_log(data + b'{"time": "2026-01-01T00:00:00+00:00", "event": "forged"}' + end)
        assert found.note == "line 3 has no hash: an earlier version, or another program, wrote it"


def test_every_bit_of_a_resume_state_counts(runs, tmp_path):
    data = (runs / "interrupted" / "resume.safetensors").read_bytes()
    whole = read_resume(runs / "interrupted")
    header = 8 + int.from_bytes(data[:8], "little")
    for number, changed in enumerate(every_bit(data)):
        if number > 8 * header and number % 101:
            continue
        (tmp_path / "resume.safetensors").write_bytes(changed)
        with suppress(DataError):
            found = read_resume(tmp_path)
            assert found.manifest == whole.manifest
            assert digest(as_arrays(found.tensors), {}) == digest(as_arrays(whole.tensors), {})


def shown(path: Path) -> dict[str, Any]:
    """What every reader shows of a run."""
    run = told(lambda: open_run(path))
    if isinstance(run, str):
        return {"opened": run}
    return {
        "facts": told(lambda: {k: v for k, v in run.facts().items() if k != "total_bytes"}),
        "config": told(lambda: run.config),
        "split": told(lambda: [run.split.train.tolist(), run.split.test.tolist()]),
        "history": told(lambda: {name: column.tobytes() for name, column in run.columns.items()}),
        "checkpoints": [told(lambda step=step: _content(run, step)) for step in run.steps],
        "moments": told(lambda: [digest(as_arrays(run.moments(step)), {}) for step in run.manifest.moments]),
        "state": told(lambda: digest(as_arrays(read_resume(path).tensors), {})),
        "series": told(lambda: _series(run)),
        "summary": told(
            lambda: json.dumps({k: v for k, v in summary(run, threads=1).items() if k != "total_bytes"}, sort_keys=True)
        ),
    }


def _content(run: Run, step: int) -> tuple[int, str, str]:
    found = run[step]
    return found.step, digest(as_arrays(found.weights.tensors()), found.network.facts()), json.dumps(found.losses)


def _series(run: Run) -> dict[str, bytes]:
    series = interp.observe(run, MEASURES, threads=1)
    return {str(name): series[name].values.tobytes() for name in series.variables}


@dataclass(frozen=True)
class Change:
    """What is done to one file's bytes."""

    name: str
    to: Callable[[bytes], bytes]


def flipped(share: float, bit: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        if not data:
            return b"\1"
        at = min(int(share * len(data)), len(data) - 1)
        return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]

    return change


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(share * len(data))]


LINE = b'{"step": 13, "train_loss": 0.1}\n'
CHANGES = (
    *(Change(f"bit {bit} at {share}", flipped(share, bit)) for share, bit in ((0, 0), (0.02, 1), (0.35, 0), (0.5, 4), (1, 0))),
    Change("empty", cut(0)),
    Change("half", cut(0.5)),
    Change("a byte more", lambda data: data + b"\n"),
    Change("a line more", lambda data: data + LINE),
)


def check_changed(path: Path, name: str, change: Change, before: dict[str, Any]) -> None:
    """Change one file of a run, ask verify and every reader, and put everything back."""
    kept = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    changed = change.to(kept[path / name])
    if changed == kept[path / name]:
        return
    (path / name).write_bytes(changed)
    where = f"{path.name}/{name}, {change.name}"
    run = told(lambda: open_run(path))
    findings = ("refused",) if isinstance(run, str) else run.examine(threads=1).findings
    problems = ("refused",) if isinstance(run, str) else run.examine(threads=1).problems
    after = shown(path)
    if not findings:
        assert after == before, where
    if not problems:
        assert "refused" not in repr({k: v for k, v in after.items() if v != before[k]}), (where, findings)
    for file in path.rglob("*"):
        if file.is_file() and file not in kept:
            file.unlink()
    for file, data in kept.items():
        file.write_bytes(data)


def files_of(path: Path) -> list[str]:
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_changed_is_named_or_shows_nowhere(runs, tmp_path, kind):
    path = Path(shutil.copytree(runs / kind, tmp_path / kind))
    before = shown(path)
    for name in files_of(path):
        # Each kind of file meets some of the changes, and all files together meet each of them.
        turn = zlib.crc32(name.encode())
        for change in (CHANGES[turn % len(CHANGES)], CHANGES[(turn // 16 + 3) % len(CHANGES)]):
            check_changed(path, name, change, before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_changed_anywhere_is_named_or_shows_nowhere(runs, tmp_path, kind):
    path = Path(shutil.copytree(runs / kind, tmp_path / kind))
    before = shown(path)
    for name in files_of(path):
        for change in (*CHANGES, *(Change(f"bit {i % 8} at {i / 40}", flipped(i / 40, i % 8)) for i in range(40))):
            check_changed(path, name, change, before)
