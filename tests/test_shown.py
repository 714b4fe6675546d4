"""What a terminal would obey, or nobody would see, is printed as escapes, whoever wrote it and wherever it stands."""

from __future__ import annotations

import io
import json
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import save
from foreign_forms import plain_linear
from hypothesis import given
from hypothesis import strategies as st
from mutated import fresh, places, replaced, resigned
from rich.console import Console
from strangers import build, call
from wide_clock import wide_clock

from interp.bars import counted_progress, many_runs_progress, training_progress
from interp.cli.printing import print_json, print_table, print_tree, say
from interp.cli.streams import shown_arguments
from interp.training.stream import Step
from interp.wording import shown

ODD = "\x1b]0;title\x07\x1b[2J\x9b31m[red]:smile:\x7f\u202e\u2066\u200b\u2028\ud800"
HARMFUL = {"Cc", "Cs", "Zl", "Zp"}


def check_safe(text: str, *, lines: bool = True) -> None:
    """Nothing in a text commands a terminal or hides."""
    odd = {char for char in text if unicodedata.category(char) in HARMFUL or char in "\u202e\u2066\u200b\xad\ufeff\U000e0041"}
    assert odd <= ({"\n", "\t"} if lines else set()), odd


@given(st.text(st.characters(categories=["C", "Z", "L", "M", "S"])))
def test_nothing_that_is_shown_commands_or_hides(text: str) -> None:
    check_safe(shown(text), lines=False)
    check_safe(shown(text, lines=True))
    assert shown(shown(text)) == shown(text)
    shown(text).encode()


def test_words_of_all_languages_and_signs_stay() -> None:
    for text in (
        "W_E",
        "naïve café",
        "日本語",
        "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "👩\u200d💻",
        "❤\ufe0f",
        "a\u0301",
        "\u22127 · π ≤ √2",
        "[red]",
        ":smile:",
    ):
        assert shown(text) == text
    assert shown("a\u200db") == "a\\u200db"
    assert shown("a\r\nb", lines=True) == "a\\x0d\nb"
    assert shown("\U000e0041") == "\\U000e0041"


def test_all_that_prints_shows_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"note: {ODD}")
    print_json({ODD: [ODD, float("nan"), -float("inf")]})
    print_table([{"name": ODD, ODD: "[/] [bold]x[/bold] :smile:"}])
    print_table([{"name": ODD, ODD: 1}] * 200)
    print_tree({ODD: {"a\nforged: b": ODD, "list": [ODD]}}, paper={"x": ODD})
    printed = capsys.readouterr().out
    check_safe(printed)
    assert "[red]:smile:" in printed
    assert "[/] [bold]x[/bold] :smile:" in printed
    assert "\nforged" not in printed
    told = json.loads(printed[printed.index("{") : printed.index("}") + 1])
    assert next(iter(told.values()))[1:] == ["NaN", "-Infinity"]


def test_bars_show_names_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("interp.bars.on_terminal", lambda: True)
    monkeypatch.setattr(
        "rich.console.Console", lambda **_: Console(file=screen, force_terminal=True, width=400, color_system=None)
    )
    name = "\x07\u202e[red][/]{task.total}:x:"
    with counted_progress(name) as show:
        show(1, 2)
    with many_runs_progress(name, total=2, done=0) as show_runs:
        show_runs(1, name)
    with training_progress(name, total=2, done=0, until_settled=False) as show_step:
        show_step(Step(index=1, weights=None, train_loss=1.0, test_loss=1.0, test_accuracy=0.5, last=True))  # type: ignore[arg-type]
    assert screen.getvalue().count("\\x07\\u202e[red][/]{task.total}:x:") >= 3
    assert "\u202e" not in screen.getvalue()


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("runs",), ("runs", "--json"), ("show", "one"), ("show", "one", "--json"), ("verify", "one"),
    ("analyze", "one", "-a", "weight_norms"), ("report", "one", "-a", "weight_norms", "-o", "x.html"), ("resume", "one"),
    ("study", "show", "wd"), ("study", "list"), ("study", "export", "wd", "-o", "x.csv"),
)  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("shown"))


def test_no_command_prints_what_a_runs_files_would_have_a_terminal_do(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "root"
    planted: list[tuple[str, tuple[Any, ...]]] = []
    for file in ("run.json", "manifest.json"):
        planted += [(file, place) for place in places(json.loads((base / "one" / file).read_bytes())) if place]
    for file, place in planted[:: max(1, len(planted) // 16)]:
        fresh(base, root)
        for run in ("one", "wd/runs/" + sorted(path.name for path in (root / "wd/runs").iterdir())[0]):
            where = root / run / file
            values = json.loads(where.read_bytes())
            if any(values_at(values, place[: i + 1]) is None for i in range(len(place))):
                continue
            where.write_bytes(replaced(values, place, json.dumps(ODD)))
            if file == "run.json":
                resigned(root / run)
        for command in (*COMMANDS[:3], *COMMANDS[5:10]):
            found = call(capsys, *command, "--root", root)
            check_safe(found.said)
            assert found.code in (0, 1, 2)


def values_at(values: Any, place: tuple[Any, ...]) -> Any:
    """What is at a place; None if there is no such place."""
    for name in place:
        if not (isinstance(values, dict) and name in values) and not (isinstance(values, list) and len(values) > name):
            return None
        values = values[name]
    return True


def test_texts_that_any_run_may_have_are_shown(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = fresh(base, tmp_path / "root")
    run = root / "one"
    values = json.loads((run / "run.json").read_bytes())
    values["engine"] = values["provenance"]["platform"] = ODD
    values["config"]["recipe"] = ODD[:-1]  # half a pair is refused there
    values["provenance"][ODD] = [ODD]
    values["start"] = {ODD: ODD}
    (run / "run.json").write_text(json.dumps(values))
    resigned(run)
    (run / "log.jsonl").write_text(json.dumps({"time": ODD}) + "\n")
    (run / "checkpoints" / "x\x1b[2J\u202e").write_bytes(b"")
    run.rename(root / "o\x1b[2Jne\u202e")
    for command in (
        ("runs",),
        ("show",),
        ("show", "--json"),
        ("verify",),
        ("analyze", "-a", "weight_norms"),
        ("report", "-o", root / "x"),
    ):
        name = [] if command[0] == "runs" else [root / "o\x1b[2Jne\u202e"]
        found = call(capsys, command[0], *name, *command[1:], "--root", root)
        check_safe(found.said)
        assert found.code == int(command[0] == "verify"), found.err
        assert command[0] in ("analyze", "report") or "\\x1b[2J" in found.said or "\\u001b[2J" in found.said
    assert (root / "x").is_file()


def test_names_in_other_peoples_files_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = plain_linear(wide_clock())
    flags = ("--n-heads", 4, "--split", "python:0:0.3", "--root", tmp_path / "runs")
    name = f"{ODD}\nerror: forged"
    files = {
        "extra.pt": {**state, name: torch.zeros(3)},
        "config.pt": {"model": state, "config": {"act_fn": name, "seed": name, name: name}},
        f"m{ODD.replace('/', '')[:-1]}.pt": state,
    }
    for file, content in files.items():
        path = save(content, tmp_path / file)
        for extra in ((), ("--explain",)):
            check_safe(call(capsys, "import", path, *flags, *extra).said)
        check_safe(call(capsys, "anatomy", path, *flags, "--controls", 0).said)
    check_safe(call(capsys, "runs", "--root", tmp_path / "runs").said)
    model = save(state, tmp_path / "model.pt")
    for text in (f"step,train_loss,{ODD[:-1]}\n0,1,2\n1,1,2\n", "step,train_loss\n\x1b[2J,1\n1,\x1b[2J\n"):
        (tmp_path / "log.csv").write_text(text)
        found = call(capsys, "import", model, *flags, "--explain", "--log", tmp_path / "log.csv")
        check_safe(found.said)


@pytest.mark.parametrize(
    "command",
    [
        ("import",), ("show", "x", "y"), ("runs",), ("runs", "--descending"), ("figure", "x", "y", "--format"), ("train", "demo"),
        ("train", "demo", "--model.readout-bias"), ("study", "list", "x"), ("study", "run", "x", "--on"), ("doctor", "demo"),
        ("fork", "x"), ("figure", "x", "y", "--size"), ("interp",), ("study",),
    ],
)  # fmt: skip
@pytest.mark.parametrize("odd", [ODD[:-1], f"--{ODD[:-1]}", f"--help{ODD[:-1]}", "--help\x00"])
def test_arguments_that_the_parser_repeats_are_shown(
    command, odd: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = call(capsys, *command, odd, "--root", tmp_path)
    assert found.code == 2
    check_safe(found.said)
    found = call(capsys, *command, "--root", tmp_path, odd)
    assert found.code == 2
    check_safe(found.said)


def test_without_standard_streams_odd_arguments_are_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    with shown_arguments(["a\x1b"]):
        assert sys.stdout is sys.stderr is None
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", io.StringIO())
        with shown_arguments(["a\x1b"]):
            sys.stderr.write("a\x1b\n")
            assert sys.stdout is None
        assert sys.stderr.getvalue() == "a\\x1b\n"


def test_a_name_with_a_line_break_begins_no_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = call(capsys, "show", tmp_path / "x\nerror: forged", "--root", tmp_path)
    assert found.code == 2
    assert sum(line.startswith("error: ") for line in found.err.splitlines()) == 1
