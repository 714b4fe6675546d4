"""Whatever is wrong with a file that a command reads: a documented exit code, a short message that names it, no traceback.

The slow form tries every value at every place; the other one a few hundred cases, others each time.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from foreign import save
from foreign_forms import plain_linear
from mutated import HEAVY, VALUES, fresh, places, put, replaced, resigned, spoilt, without
from strangers import Called, build, call
from wide_clock import wide_clock

from interp.studies.outcomes import _hash

Damage = Callable[[Path], None]
KINDS = ("directory", "fifo", "null", "link", "loop")
TOML = b'recipe = "demo"\nsteps = 12\n[task]\np = 7\n[optimizer]\nlr = 0.001\n'
CSV = b"step,train_loss,test_loss,train_acc\n0,1,2,.5\n1,.5,2,.6\n2,.3,2,.7\n"
# Cases of each file in the quick form.
PER_FILE = 4
# The slow form is shared out among so many tests.
PARTS = 8
SEED = int(os.environ.get("INTERP_SEED", "0"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build(tmp_path_factory.mktemp("untouched"))
    model = save(plain_linear(wide_clock()), folder / "model.pt")
    rows = [{"step": i, "train_loss": 1 / (i + 1), "test_loss": 2.0, "val_acc": 0.1} for i in range(4)]
    (folder / "log.json").write_text(json.dumps(rows))
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "log.csv").write_bytes(CSV)
    (folder / "pairs.json").write_text('{"train": [[0, 1], [1, 2]], "test": [[2, 2]]}')
    (folder / "config.toml").write_bytes(TOML)
    (folder / "config.json").write_bytes(json.dumps(json.loads((folder / "one/run.json").read_bytes())["config"]).encode())
    shutil.copy(model, folder / "weights.pt")
    return folder


def commands(root: Path, file: str) -> list[tuple[object, ...]]:
    """The commands that read a file."""
    where: tuple[object, ...] = ("--root", root)
    if file.startswith("one/"):
        return [
            ("runs", *where), ("show", "one", *where), ("show", "one", "--json", *where), ("verify", "one", *where),
            ("analyze", "one", "-a", "weight_norms", *where), ("export", "one", "-o", root / "x.safetensors", *where),
            ("resume", "one", *where), ("anatomy", root / "one", "--controls", 0),
            ("figure", "one", "loss_curves", "-o", root / "x.json", *where),
        ]  # fmt: skip
    if file.startswith("wd/"):
        asked = (("show",), ("show", "--json"), ("export", "-o", root / "x.csv"), ("figure", "survival", "-o", root / "x.json"))
        return [("study", one, "wd", *more, *where) for one, *more in asked] + [("study", "list", *where)]
    if file.startswith("config"):
        return [("train", root / file, "--help")]
    read = ("import", root / ("weights.pt" if file == "weights.pt" else "model.pt"), "--n-heads", 4, "--explain")
    given = {"log": ("--split", "python:0:0.3", "--log", root / file), "pairs": ("--split-file", root / file)}
    return [(*read, *given.get(file.partition(".")[0], ("--split", "python:0:0.3")))]


def values_of(base: Path, file: str) -> Iterator[tuple[str, Damage]]:
    """Each value of a JSON file, or of its first and last line, in turn replaced by something else."""
    data = (base / file).read_bytes()
    lines = data.splitlines() if file.endswith(".jsonl") else [data]
    for at in dict.fromkeys((0, len(lines) - 1)):
        content = json.loads(lines[at])
        for place in places(content):
            made = {name: replaced(content, place, text) for name, text in (VALUES | (HEAVY if len(place) < 2 else {})).items()}
            made |= {"left out": without(content, place)} if place else {}
            for name, text in made.items():
                whole = [*lines[:at], text.replace(b"\n", b"") if len(lines) > 1 else text, *lines[at + 1 :]]
                yield f"{file} {place} {name}", _written(file, b"\n".join(whole) + b"\n" * (len(lines) > 1))


def bytes_of(base: Path, file: str) -> Iterator[tuple[str, Damage]]:
    """What can happen to any file's bytes, and what can lie in its place."""
    for name, data in spoilt((base / file).read_bytes()).items():
        yield f"{file} {name}", _written(file, data)
    for kind in KINDS:
        yield f"{file} is a {kind}", lambda root, kind=kind: put(root / file, kind)  # type: ignore[misc]


def _written(file: str, data: bytes) -> Damage:
    return lambda root: ((root / file).write_bytes(data) and None) or None


def signed(root: Path, file: str) -> None:
    """Make hashes fit what was changed, as a stranger can."""
    parts = Path(file).parts
    for run in (root / parts[0], root.joinpath(*parts[:3])):
        if (run / "manifest.json").is_file() and parts[-1] != "manifest.json":
            resigned(run)
    if file == "wd/outcomes.json" and (root / file).is_file():  # a pipe in its place would be waited for
        content = json.loads((root / file).read_bytes())
        (root / file).write_text(json.dumps(content | {"sha256": _hash(content["rows"])}))


def files(base: Path) -> list[str]:
    """Everything that a command reads."""
    run = f"wd/runs/{sorted(path.name for path in (base / 'wd/runs').iterdir())[0]}"
    inside = ("manifest.json", "run.json", "history.jsonl", "log.jsonl", "split.safetensors")
    one = [
        f"one/{name}" for name in (*inside, "checkpoints/step_00000012.safetensors", "moments/step_00000006.safetensors", ".lock")
    ]
    many = ["wd/study.json", "wd/outcomes.json", *(f"{run}/{name}" for name in (*inside, "series/weight_norms.safetensors"))]
    return [*one, *many, "config.toml", "config.json", "log.json", "log.jsonl", "log.csv", "pairs.json", "weights.pt"]


def check(found: Called, file: str, told: str) -> None:
    """A documented exit code, and a message that names the file or what it belongs to."""
    assert found.code in (0, 1, 2), f"{told}: {found.code}"
    assert "Traceback" not in found.said, told
    if found.code:
        assert len(found.err) < 12_000, f"{told}: {len(found.err)} letters"
        path = Path(file)
        names = {path.name, path.parts[0], path.stem, *(path.parts[2:3] if path.parts[0] == "wd" else ())}
        if path.name == "study.json":  # still a plan, but of other runs, of which none is there
            names.add("no run is finished here")
        assert any(name in found.err for name in names), f"{told}: {found.err[:500]}"


def cases(base: Path) -> list[tuple[str, str, Damage, bool]]:
    """Every case: file, what is done to it, and whether hashes are made to fit."""
    made: list[tuple[str, str, Damage, bool]] = []
    for file in files(base):
        both = [*bytes_of(base, file), *(values_of(base, file) if file.endswith((".json", ".jsonl")) else ())]
        made += [(file, told, damage, is_signed) for told, damage in both for is_signed in (False, True)]
    return made


def tried(base: Path, root: Path, case: tuple[str, str, Damage, bool], capsys: Any, *, most: int, rng: random.Random) -> None:
    file, told, damage, is_signed = case
    fresh(base, root)
    damage(root)
    if is_signed:
        with suppress(ValueError, OSError, KeyError, TypeError, AttributeError, RecursionError):  # nothing to sign
            signed(root, file)
    asked = commands(root, file)
    for command in rng.sample(asked, min(most, len(asked))):
        check(call(capsys, *command), file, f"{told}, signed {is_signed}, {command[:3]}, seed {SEED}")


def test_a_few_hundred_damaged_files(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(SEED)
    every = cases(base)
    by_file: dict[str, list[tuple[str, str, Damage, bool]]] = {}
    for case in every:
        by_file.setdefault(case[0], []).append(case)
    for some in by_file.values():
        for case in rng.sample(some, min(PER_FILE, len(some))):
            tried(base, tmp_path / "root", case, capsys, most=2, rng=rng)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_damaged_file(part: int, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(SEED)
    for case in cases(base)[part::PARTS]:
        tried(base, tmp_path / "root", case, capsys, most=3, rng=rng)


USERS = {
    "syntax": ("def f(:\n", "line 1"),
    "raises": ("import os\n\n\ndef boom():\n    raise ValueError('no')\n\n\nboom()\n", "ValueError: no ({path}, line 5)"),
    "exits": ("import sys\n\nsys.exit(3)\n", "SystemExit: 3 ({path}, line 3)"),
    "recursion": ("def f():\n    f()\n\n\nf()\n", "{path}, line 2"),
    "null byte": ("a\0b", "null bytes"),
    "nothing": ("", "expected a module-level ANALYSIS"),
}
ANALYSIS = """from interp import Analysis


def measure(view):
    {measure}


def figure(series):
    {figure}


ANALYSIS = Analysis("mine", question="What?", measure=measure, figure=figure)
"""


@pytest.mark.parametrize("kind", USERS)
def test_a_users_analysis_that_cannot_be_run_is_told_by_its_own_line(
    kind: str, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.py"
    text, expected = USERS[kind]
    path.write_text(text)
    found = call(capsys, "analyze", base / "one", "--file", path)
    assert found.code == 2
    assert f"analysis file {path}" in found.err
    assert expected.format(path=path) in found.err
    assert "interp/" not in found.err.replace(str(path), "")


@pytest.mark.parametrize(
    ("measure", "told"),
    [
        ('return {"a": 1 / 0}', "ZeroDivisionError: division by zero ({path}, line 5)"),
        ("raise SystemExit(4)", "SystemExit: 4 ({path}, line 5)"),
        ("return 5", "UsageError: measure: it returned 5 (a bare int), expected values by name"),
    ],
)
def test_a_users_measure_that_raises_is_told_by_its_own_line(
    measure: str, told: str, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, root = tmp_path / "mine.py", fresh(base, tmp_path / "root")
    path.write_text(ANALYSIS.format(measure=measure, figure="..."))
    found = call(capsys, "analyze", root / "one", "--file", path)
    assert found.code == 1
    assert f"analysis mine failed at step 0: {told.format(path=path)}" in " ".join(found.err.split())
    found = call(capsys, "report", root / "one", "--file", path, "-o", tmp_path / "x.html")
    assert found.code == 0
    assert "not shown: mine: at step 0: " in found.out


@pytest.mark.parametrize("figure", ["return series['nope']", "raise SystemExit(4)", "return 5"])
def test_a_users_figure_that_raises_is_told(figure: str, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, root = tmp_path / "mine.py", fresh(base, tmp_path / "root")
    path.write_text(ANALYSIS.format(measure='return {"a": 1.0}', figure=figure))
    found = call(capsys, "figure", root / "one", "mine", "--file", path, "-o", tmp_path / "x.json")
    assert found.code == 1
    assert "analysis mine: its figure raised" in found.err
    assert figure == "return 5" or f"({path}, line 9)" in " ".join(found.err.split())
    assert call(capsys, "report", root / "one", "--file", path, "-o", tmp_path / "x.html").code == 0
