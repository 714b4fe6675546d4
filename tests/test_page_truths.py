"""Every sentence that depends on the run stands on the pages of the runs that it is true of, and on no other."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html import unescape

import pytest
from page_kinds import KINDS, imported, planted

import interp
from interp.observing.analysis import find_analyses
from interp.observing.series import about
from interp.reporting.write import page_of

ALL = (*KINDS, "imported")
WAVES = tuple(kind for kind in ALL if kind != "x2xyy2")
GROKKED = ("grokked", "grokked without decay", "even p")
GENERAL = (*GROKKED, "at once", "one checkpoint", "pizza", "imported")
MEMORIZERS = ("memorizer", "memorizer without decay", "multiplication", "x2xyy2")
NO_DECAY = ("grokked without decay", "memorizer without decay")
CIRCUIT = GENERAL
SEVERAL = tuple(kind for kind in ALL if kind not in ("one checkpoint", "imported"))
FOLDED = tuple(kind for kind in MEMORIZERS if kind != "x2xyy2")

# A sentence, or enough of it to be known by -> the kinds of runs on whose pages it stands.
SENTENCES: dict[str, tuple[str, ...]] = {
    # the head
    "was trained on": ALL,
    "for example": ALL,
    "That is harder than it looks": ALL,
    "numbers are symbols without order or size": ALL,
    "This run did it.": GROKKED,
    "This run did not.": MEMORIZERS,
    "A memorizer": FOLDED,
    "A generalizer": GENERAL,
    "A clock since": (*GROKKED, "at once"),
    "The clock's idea": tuple(kind for kind in WAVES if kind != "pizza"),
    "Every number but 0 is a power of": ("multiplication",),
    "The pizza's idea": ("pizza",),
    "it knows single answers by heart.": ("memorizer", "memorizer without decay", "multiplication"),
    "Where one date must do": (*GROKKED, "at once", "pizza"),
    "not yet": ("slow",),
    "Not grokked yet, training": ("slow",),
    "the page opens at the end": tuple(kind for kind in SEVERAL if kind not in (*GROKKED, "broken off")),
    "Under the surface": GROKKED,
    "no curve of train accuracy": ("imported",),
    "is not known from one checkpoint": ("one checkpoint",),
    "broke off": ("broken off",),
    # the introduction
    "weight decay makes the memorized table fade": ("grokked", "even p"),
    "It only looks sudden.": GROKKED,
    "nothing made it give up what it had memorized": ("memorizer without decay",),
    "There is one checkpoint of this run": ("one checkpoint", "imported"),
    "The slider at the bottom moves every figure": SEVERAL,
    # captions
    "There is a long gap between the two": GROKKED,
    "From these curves alone nobody could tell": MEMORIZERS,
    "Weight decay pulls on every weight": tuple(kind for kind in ALL if kind not in (*NO_DECAY, "imported")),
    "Nothing pulls the weights of this run back": NO_DECAY,
    "once the circuit answers the training pairs": GROKKED,
    "It asks about a circuit, and this network is a memorizer": FOLDED,
    "No frequency stands out in this network": (*FOLDED, "slow"),
    # what is said of the run itself
    "Dots mark where the restricted loss had halved": GROKKED,
}


def text_of(html: str) -> str:
    """What a reader of the page sees, without its figures."""
    plain = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", "", html, flags=re.DOTALL)
    return " ".join(unescape(plain).split())


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")

    @cache
    def told(kind: str) -> str:
        run = imported(folder) if kind == "imported" else planted(KINDS[kind], folder / kind.replace(" ", "-"))
        analyses = find_analyses(interp.observing.analysis.builtin_names())
        series = interp.observe(run, analyses, threads=1)
        if kind == "slow":  # a process trains it, as far as the page knows
            known = about(series)
            series = series.assign_attrs(about=replace(known, facts={**known.facts, "status": "running"}))
        return text_of(page_of(run, series, analyses).html)

    return told


@pytest.mark.parametrize("kind", ALL)
def test_what_is_said_is_true_of_this_kind_of_run(pages, kind: str) -> None:
    text = pages(kind)
    wrong = {sentence: sentence in text for sentence, kinds in SENTENCES.items() if (sentence in text) != (kind in kinds)}
    assert not wrong


def test_a_group_is_not_told_of_numbers_on_circles(tmp_path) -> None:
    config = replace(
        interp.recipe("demo"),
        task=interp.task("S3"),
        split=interp.SplitConfig(fraction=0.6),
        model=interp.ModelConfig(d_model=8, n_heads=2, d_mlp=12),
        steps=30,
        until_settled=False,
        threads=1,
        engine="reference",
    )
    run = interp.record(config, tmp_path, "s3", progress=False)
    analyses = find_analyses(interp.observing.analysis.builtin_names())
    series = interp.observe(run, analyses, threads=1)
    assert about(series).has_representations
    text = text_of(page_of(run, series, analyses).html)
    assert "takes the elements apart into a few representations of the group and multiplies in these" in text
    assert "to the network the 6 elements are symbols" in text
    assert "on circles and adds angles" not in text
    assert "plus the isotypic projections of the logits" in text
    assert "Measured: restricted = cross-entropy of the mean logits plus their projection on cos" not in text
    assert "In a circuit for addition their attention" not in text
    assert "residues as numbers on a circle" not in text
    assert "half of all frequencies pass the rule" not in text
