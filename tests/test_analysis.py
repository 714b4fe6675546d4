"""Analyses: built-in files, the user's own, and what is said when one is wrong."""

from __future__ import annotations

import pytest

from interp.errors import UsageError
from interp.observing.analysis import Analysis, builtin_names, find_analyses, load_analysis

GOOD = '''"""How many zeros?

First paragraph
over two lines.

Second.
"""
from interp import Analysis
ANALYSIS = Analysis("zeros", question=__doc__, measure=lambda view: {"zeros": 0.0}, figure=lambda series: None)
'''


def test_builtin_analyses_load_under_their_file_names():
    names = builtin_names()
    assert len(names) >= 8
    found = find_analyses(names)
    assert [analysis.name for analysis in found] == names
    assert [analysis.name for analysis in find_analyses()] == [analysis.name for analysis in found if analysis.kind == "figure"]


def test_own_file_gives_title_caption_and_source(tmp_path):
    path = tmp_path / "zeros.py"
    path.write_text(GOOD)
    analysis = load_analysis(path)
    assert (analysis.name, analysis.title, analysis.caption) == (
        "zeros", "How many zeros?", "First paragraph over two lines.\n\nSecond.",
    )  # fmt: skip
    before = analysis.digest
    path.write_text(GOOD.replace("0.0", "1.0"))
    assert load_analysis(path).digest != before


def test_files_alone_are_chosen_alone_and_beside_names(tmp_path):
    path = tmp_path / "zeros.py"
    path.write_text(GOOD)
    assert [a.name for a in find_analyses(files=[path])] == ["zeros"]
    assert [a.name for a in find_analyses(["weight_norms"], files=[path])] == ["weight_norms", "zeros"]


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'weight_norms'"):
        find_analyses(["weight_norm"])


def test_same_name_twice_is_refused(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(GOOD.replace('"zeros"', '"weight_norms"', 1))
    with pytest.raises(UsageError, match="weight_norms named more than once"):
        find_analyses(["weight_norms"], files=[path])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "expected a module-level ANALYSIS"),
        (GOOD.replace("__doc__", "''"), "given no question"),
        (GOOD.replace('"zeros", question', '"not a name", question'), "expected letters"),
    ],
)
def test_file_that_is_no_analysis_says_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        load_analysis(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.py does not exist"):
        load_analysis(tmp_path / "nowhere.py")


def test_an_analysis_without_source_is_never_cached():
    assert Analysis("a", question="b?", measure=lambda view: {}, figure=lambda series: None).digest is None
