"""The page's text: template, styles, scripts, data and library in one file, under a policy that allows nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup, escape

from interp.figures.tabled import Table
from interp.observing.analysis import built_in_definitions, find_definitions
from interp.observing.definitions import PHASES, Definition
from interp.observing.series import About, about
from interp.reporting.blocks import Blocks
from interp.reporting.columns import HISTORY
from interp.reporting.fact_tables import what_was_run
from interp.reporting.library import plotly_library
from interp.reporting.maths import typeset
from interp.reporting.page_head import Head
from interp.reporting.story import Story, run_name
from interp.wording import signed

if TYPE_CHECKING:
    import xarray as xr

_HERE = Path(__file__).parent / "page"
_SCRIPTS = (
    "decode.js",
    "startup.js",
    "swift.js",
    "axes.js",
    "cells.js",
    "panels.js",
    "explorer.js",
    "parquet.js",
    "tables.js",
    "transport.js",
    "main.js",
)
_STYLES = ("page.css",)
# What a page also has while it is served and its run goes on.
_LIVE_SCRIPTS, _LIVE_STYLES = ("live.js", "live_run.js"), ("live.css",)

# Definitions that the page's glossary links to: where answers have waves, and also where they have them only after a reordering.
_IN_WORDS = ("restricted-loss", "excluded-loss", "key-frequencies", "phases")
_IN_WORDS_OF_GROUPS = ("groups",)

# What `About.operation` is for addition, and for several runs together.
_ADDITION = ("add", "")
# And for what else takes and gives residues.
_OF_RESIDUES = (*_ADDITION, "subtract", "multiply", "x2xyy2")

# Symbols, which are set with an index wherever they occur; other words with an underscore are names.
_SYMBOLS = re.compile(r"\b(?:W_(?:E|pos|Q|K|V|O|in|out|U|L)|w_k|alpha_k)(?:\^T)?\b(?![^<]*</code>)")

# Terms with a fixed colour, wherever they occur on the page.
_TERMS = {
    "train": r"train (?:loss|accuracy)|training pairs",
    "test": r"test (?:loss|accuracy)",
    "restricted": r"restricted loss",
    "excluded": r"excluded loss",
}


def render(
    series: xr.Dataset,
    story: Story,
    shown: list[dict[str, Any]],
    *,
    left_out: Sequence[tuple[str, Sequence[str]]],
    facts: Sequence[Table],
    data: dict[str, Any],
    blocks: Blocks,
    head: Head | None = None,
) -> str:
    """The page's text: the template with everything in it, every name escaped."""
    environment = templates()
    data = {**data, "blocks": blocks.header}
    is_live = data["live"] is not None
    script, library = joined(_SCRIPTS + _LIVE_SCRIPTS if is_live else _SCRIPTS), plotly_library()
    known = about(series)
    definitions = _definitions(shown, words=_words(known))
    return environment.get_template("page.html.jinja").render(
        run=run_name(series),
        story=story,
        head=head,
        is_live=is_live,
        panels=shown,
        left_out=left_out,
        definitions=definitions,
        answer=_answer(known),
        has_pizza=any(one["definition"].name == "algorithm" for one in definitions),
        chance=f"ln {known.p} = {math.log(known.p):.3g}" if known.p and not story.of_many else "ln p",
        is_plain_addition=known.operation in _ADDITION,
        has_waves=known.has_waves,
        has_representations=known.has_representations,
        has_residues=known.operation in _OF_RESIDUES or " mod " in known.task,
        facts=facts,
        what_was_run=what_was_run(known),
        history=HISTORY if HISTORY in data["tables"] else None,
        key_step=None if not known.knows_step else data["steps"][-1] if known.key_step is None else known.key_step,
        key_rule=known.key_rule,
        policy=policy(script, library.script, connect=is_live),
        css=Markup(joined(_STYLES + _LIVE_STYLES if is_live else _STYLES)),
        script=Markup(script),
        data=Markup(as_json(data)),
        blocks=blocks.payload(),
        plotly=library.packed,
        notice=library.notice,
    )


def templates() -> jinja2.Environment:
    """The page's templates, in which every name is escaped, with what sets words and formulas."""
    environment = jinja2.Environment(autoescape=True, loader=jinja2.FileSystemLoader(_HERE), undefined=jinja2.StrictUndefined)
    environment.filters |= {
        "terms": _coloured,
        "steps": _linked,
        "maths": typeset,
        "breakable": _breakable,
        "signed": signed,
    }
    return environment


def _words(known: About) -> tuple[Definition, ...]:
    """The definitions that the glossary links to."""
    if not known.has_waves:
        return tuple(one for one in [PHASES.otherwise] if one is not None)
    is_group = known.has_representations
    names = (*_IN_WORDS, *(() if known.operation in _ADDITION or is_group else _IN_WORDS_OF_GROUPS))
    worded = [one.for_task(has_waves=True, has_representations=is_group) for one in find_definitions(names)]
    return tuple(one for one in worded if one is not None)


def _answer(known: About) -> str:
    """The right answer to a pair, in words."""
    modulo = f" modulo {known.p}"
    return f"{known.task.removesuffix(modulo)} modulo p" if known.task.endswith(modulo) else "the result of the operation"


def _definitions(shown: Sequence[Mapping[str, Any]], *, words: Sequence[Definition]) -> list[dict[str, Any]]:
    """The definitions that something on the page links to, each with the panels that do: built-in ones first, in their order."""
    found = {one.name: one for one in words}
    users: dict[str, list[dict[str, str]]] = {name: [] for name in found}
    for panel in shown:
        for one in panel["definitions"]:
            found.setdefault(one.name, one)
            users.setdefault(one.name, []).append({"name": panel["name"], "title": panel["title"]})
    known = list(built_in_definitions()) if len(found) > len(words) or len(words) > 1 else []
    order = sorted(found, key=lambda name: known.index(name) if name in known else len(known))
    return [{"definition": found[name], "users": users[name]} for name in order]


def joined(names: Sequence[str]) -> str:
    """Files of the page's folder, one after the other."""
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


def policy(*scripts: str, connect: bool = False) -> str:
    """The Content-Security-Policy: these very scripts, styles, images made in the page; nothing from anywhere else.

    With `connect`, the page may ask the server it came from.
    """
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts)
    own_server = "connect-src 'self'; " if connect else ""
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; {own_server}"
        "base-uri 'none'; form-action 'none'"
    )


def as_json(value: Any) -> str:
    """JSON that may stand inside a script element: no `<`, and NaN as null."""
    text = json.dumps(_finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=_plain)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    """Numpy scalars as numbers, anything else by its text."""
    return _finite(value.item()) if isinstance(value, np.generic) else str(value)


def _coloured(text: str) -> Markup:
    """Escaped text in which the terms with a fixed colour have it, and symbols their index."""
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    pattern = "|".join(f"(?P<{kind}>{words})" for kind, words in _TERMS.items())
    safe = re.sub(pattern, lambda m: f'<b class="{m.lastgroup}">{m.group()}</b>', safe)
    return Markup(_SYMBOLS.sub(lambda m: str(typeset(m.group())), safe))


def _breakable(text: str) -> Markup:
    """Escaped text that may be broken after its dots: names of nested fields are long, and must not break inside a word."""
    return Markup(str(escape(text)).replace(".", ".<wbr>"))


def _linked(text: str) -> Markup:
    """Steps that are named become links to the checkpoint."""
    safe = str(escape(text))

    def link(match: re.Match[str]) -> str:
        step = match.group(1).replace(",", "")
        return f'<a href="#step={step}" data-step="{step}">{match.group()}</a>'

    return Markup(re.sub(r"\b[Ss]tep (\d[\d,]*\d|\d)", link, safe))
