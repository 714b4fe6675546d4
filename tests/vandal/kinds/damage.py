"""A file of a run is damaged: `verify` names it, nobody computes with it in silence, and the other files stay as they are.

What is in `results/` can be measured anew, and is, with a note: the numbers are those of the undamaged run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mutants import cut_out, doubled, flipped_once, numbers, truncated
from small_study import run_bytes

from vandal.originals import differing, saved
from vandal.rounds import Round

_LOCK = ".lock"
_LOG = "log.jsonl"
_FIRST = "manifest.json"  # says what the others are; mending writes it anew
_ANALYSES = ("-a", "weight_norms", "-a", "progress_measures")


def flip(at: Round) -> None:
    """One bit in one file; the files take turns."""
    _damaged(at, lambda path: path.write_bytes(flipped_once(path.read_bytes(), at.draw)))


def spoil(at: Round) -> None:
    """One file cut, doubled, overwritten in part, emptied, grown, gone, or another one's bytes."""

    def change(path: Path) -> None:
        data = path.read_bytes()
        how = at.draw.choice([truncated, cut_out, doubled, numbers, None, "empty", "grown", "gone", "another", "folder"])
        if how == "gone":
            path.unlink()
        elif how == "folder":
            path.unlink()
            path.mkdir()
        elif how == "another":
            others = sorted(each for each in path.parent.iterdir() if each.is_file() and each != path) or [path]
            path.write_bytes(at.draw.choice(others).read_bytes())
        elif how in ("empty", "grown") or how is None:
            path.write_bytes({"empty": b"", "grown": data + b"\n"}.get(how or "", bytes(len(data))))
        else:
            path.write_bytes(how(data, at.draw))

    _damaged(at, change)


def _damaged(at: Round, change: Callable[[Path], object]) -> None:
    is_whole = at.number % 4 != 3
    original = at.originals.measured if is_whole else at.originals.interrupted
    path = at.originals.copy(original, at.room / "runs" / original.name)
    files = sorted(each for each in path.rglob("*") if each.is_file() and each.stat().st_size and each.name != _LOCK)
    # Every file in turn, also where there are more files than rounds: neighbours in the list are of one sort.
    file = files[(at.number * 7 + at.number // len(files)) % len(files)]
    before = file.read_bytes()
    change(file)
    if file.is_file() and file.read_bytes() == before:
        return
    _judge(at, path, original, file)


def _judge(at: Round, path: Path, original: Path, file: Path) -> None:
    name = file.relative_to(path).as_posix()
    left = saved(path)
    verified = at.interp("verify", path)
    # Other white space in a manifest is no damage: what it says is covered by a hash of its own, and the note names it. Nor is
    # a log whose end is missing, as after a killed process: nothing is computed from it, and a note names that, too.
    notes = f"note: {name}: what it says is unharmed", f"note: {_LOG}: "
    # A result that is gone is none: it was kept to save work, as any that was pruned or never measured.
    is_missing_result = name.startswith("results/") and not file.exists()
    is_noticed = verified.code != 0 or notes[name == _LOG] in verified.out or is_missing_result
    at.expect(verified.code == 0 or not is_missing_result, "wrong", f"{name} is gone, which is no damage: {verified.line}")
    at.expect(is_noticed, "wrong", f"verify did not notice that {name} is damaged")
    at.expect(verified.code == 0 or file.name in verified.err, "wrong", f"verify does not name {name}: {verified.line}")
    at.interp("runs", "--root", path.parent)
    at.interp("show", path)
    _same_numbers(at, path, original, name)
    _unchanged(at, path, {each: data for each, data in left.items() if each != name}, f"looking at a run whose {name} is damaged")
    if original == at.originals.interrupted:
        _go_on(at, path, name)
    elif at.draw.random() < 0.4:
        at.interp("verify", "--repair", path)
        rest = {each: data for each, data in left.items() if each not in (name, _FIRST)}
        _unchanged(at, path, rest, f"repairing a run whose {name} is damaged")
        at.interp("show", path)


def _unchanged(at: Round, path: Path, before: dict[str, bytes], what: str) -> None:
    now = saved(path)
    wrong = differing(before, {each: data for each, data in now.items() if each in before})
    at.expect(not wrong, "lost", f"{what} changed {wrong}")


def _same_numbers(at: Round, path: Path, original: Path, name: str) -> None:
    """What is measured is what was measured, or is refused."""
    measured = at.interp("analyze", path, *_ANALYSES)
    if measured.code == 0:
        at.expect(
            measured.out == at.expected(original, "analyze", *_ANALYSES),
            "wrong",
            f"other numbers, without a word, since {name} is damaged",
        )
    if name.startswith("results/"):
        at.expect(measured.code == 0, "wrong", f"{name}, which can be measured anew, was not: {measured.line}")


def _go_on(at: Round, path: Path, name: str) -> None:
    """A training that goes on from damaged files ends as if they were not, or refuses; what is damaged stays, and is named."""
    if at.interp("resume", path).code == 0:
        ended = run_bytes(path)
        others = ({each: data for each, data in of.items() if each != name} for of in (ended, run_bytes(at.originals.long)))
        wrong = differing(*others)
        at.expect(not wrong, "wrong", f"went on with a damaged {name} to other bytes: {wrong}")
        if ended.get(name) != run_bytes(at.originals.long).get(name):
            named = at.interp("verify", path)
            at.expect(named.code != 0 and name in named.err, "wrong", f"{name} is damaged still, and not named: {named.line}")
