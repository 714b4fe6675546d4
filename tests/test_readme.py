"""The README: its examples run as they stand, its commands and its file tree exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from interp.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An empty folder in which the first example has been run."""
    folder = tmp_path_factory.mktemp("readme")
    done = subprocess.run([sys.executable, "-c", EXAMPLES[0]], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("(2, 5)\n")
    return folder


def test_there_are_three_examples():
    assert len(EXAMPLES) == 3


def test_the_study_example_says_what_its_comment_says(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", f"import interp\n{EXAMPLES[1]}"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    said = re.findall(r"print\(study\)  # (.*)", EXAMPLES[1])
    assert said == done.stdout.splitlines()
    assert not list(tmp_path.iterdir())


def test_the_analysis_example_measures_and_draws(folder, capsys):
    path = folder / "self_attention.py"
    path.write_text(EXAMPLES[2])
    page = folder / "page.html"
    with pytest.raises(SystemExit) as exit_:
        main(["report", str(folder / "checkpoints" / "readme"), "-a", "loss_curves", "--file", str(path), "-o", str(page)])
    assert exit_.value.code == 0, capsys.readouterr().err
    text = page.read_text(encoding="utf-8")
    assert "How much of each head" in text
    assert "self_attention: " not in text  # no failure is shown in its place


def test_every_command_named_in_the_readme_exists(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    known = set(re.findall(r"• (\w+)", capsys.readouterr().out))
    named = set(re.findall(r"^ {4}interp (\w+)", README, flags=re.MULTILINE))
    assert named
    assert named <= known


def test_every_path_in_the_file_tree_exists():
    tree = README.split("## File tree")[1].split("## ")[0]
    lines = [line for line in tree.splitlines() if line.startswith("    ")]
    parents: list[str] = []
    for line in lines:
        indent = (len(line) - len(line.lstrip()) - 4) // 2
        names = re.split(r"\s{2,}", line.strip())[0].split()
        parents = parents[:indent]
        for name in names:
            path = ROOT.joinpath(*parents, name)
            assert path.exists(), f"{path.relative_to(ROOT)} is in the README's file tree, but not in the project"
        parents.append(names[-1].rstrip("/"))


def test_every_link_to_a_file_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
