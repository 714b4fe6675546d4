"""Write the tables of docs/measures: published figures, and what this toolkit measures on the same weights.

    python docs/generate.py                      # tables and index, from docs/measures/measured.json
    python docs/generate.py --models DIRECTORY   # measure the published models there again
    python docs/generate.py --run DIRECTORY      # measure a run of recipe nanda again, which stands beside the paper's mainline
    python docs/generate.py --check              # change nothing; fail if anything would change

The head of a page, down to its formula, is the measure's definition, which an analysis brings (analyses/*.py).
A page says what its table shows by the paths of the table of `interp.anatomy`:

    <!-- values: gini.W_E gini.W_L -->
    ...
    <!-- end -->
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from interp.anatomy import anatomy
from interp.anatomy.published import MAINLINE, MODELS, PublishedModel
from interp.interop import load_weights
from interp.observing.analysis import built_in_definitions
from interp.observing.definitions import IN_GROUPS, Definition
from interp.store.run import open_run
from interp.tasks.modular import ModularTask
from interp.wording import listed, spread

PAGES = Path(__file__).parent / "measures"
MEASURED = PAGES / "measured.json"
DIGITS = 6
_BLOCK = re.compile(r"(<!-- values: (?P<paths>[^>]*?) -->\n).*?(<!-- end -->)", re.DOTALL)
# From the title to the end of the formula, all of which the definition says.
_HEAD = re.compile(r"\A# .*?<!-- definition -->\n.*?(<!-- end -->)", re.DOTALL)
_INDEX = re.compile(r"(<!-- index -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    """Measure what is asked for, then write or check the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="directory of the published files")
    parser.add_argument("--run", type=Path, help="directory of a run of recipe nanda")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    measured: dict[str, Any] = json.loads(MEASURED.read_text()) if MEASURED.is_file() else {"models": {}, "run": None}
    if options.models:
        measured["models"] = measure_models(options.models)
    if options.run:
        measured["run"] = measure_run(options.run)
    texts = {MEASURED: json.dumps(measured, indent=2) + "\n"} | written(measured)
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text() != text]
    if options.check:
        for path in stale:
            sys.stdout.write(f"{path}: not what `python docs/generate.py` writes\n")
        return int(bool(stale))
    for path in stale:
        path.write_text(texts[path])
        sys.stdout.write(f"wrote {path}\n")
    return 0


def measure_models(directory: Path) -> dict[str, Any]:
    """What is measured on the published models, in float64: for each file its hash, and the values of all published figures."""
    return {
        file: {
            "sha256": hashlib.sha256((directory / file).read_bytes()).hexdigest(),
            "values": {path: plain(at(found, path)) for path in model.figures},
        }
        for file, model in MODELS.items()
        for found in [dissected(directory / file, model)]
    }


def dissected(path: Path, model: PublishedModel) -> dict[str, Any]:
    """The anatomy of a published model, in float64."""
    weights = load_weights(path).to(dtype=torch.float64)
    split = None if model.split is None else model.split.draw(ModularTask(weights.p, equals_sign=weights.equals_sign))
    return anatomy(weights, split=split)


def measure_run(directory: Path) -> dict[str, Any]:
    """What stands beside the paper's mainline, on the last checkpoint of a run, as text; with all that is needed to train it."""
    run = open_run(directory)
    found = anatomy(run[run.steps[-1]].weights.to(dtype=torch.float64), split=run.split)
    facts = run.facts()
    return {
        "recipe": run.config.recipe,
        "seed": run.config.seed,
        "step": run.steps[-1],
        "engine": facts["engine"],
        "threads": facts["threads"],
        "values": {path: as_the_paper(found, path) for path in MAINLINE},
    }


def as_the_paper(found: Mapping[str, Any], path: str) -> str:
    """A value in the form in which the paper gives it."""
    value = at(found, path)
    match path:
        case "neurons.clustered":
            return f"{value} of {found['neurons']['total']}"
        case "neurons.per_frequency":
            return listed(list(value.values()))
        case "neuron_logit_map.fve":
            return spread([one for pair in value.values() for one in pair.values()])
        case "heads":
            return "fve " + spread([one for head in value for place, one in head["fve"].items() if place != "="])
    return listed(value) if isinstance(value, list) else f"{value:.3g}"


def at(found: Mapping[str, Any], path: str) -> Any:
    """The value at a path; names of ablations have no dots."""
    value: Any = found
    for name in path.split("."):
        value = value[name]
    return value


def plain(value: Any) -> Any:
    """Numbers with six digits, so that they are the same on every machine."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def written(measured: Mapping[str, Any]) -> dict[Path, str]:
    """Every page with its tables as they should be."""
    pages = {}
    definitions = built_in_definitions()
    for path in sorted(PAGES.glob("*.md")):
        text = path.read_text()
        if definition := definitions.get(path.stem):
            top = head(definition)
            text = _HEAD.sub(lambda match, top=top: f"{top}{match[1]}", text)
        text = _BLOCK.sub(lambda match: f"{match[1]}{table(match['paths'], measured)}{match[3]}", text)
        pages[path] = text
    first = PAGES / "README.md"
    pages[first] = _INDEX.sub(lambda match: f"{match[1]}{index(pages)}{match[2]}", pages[first])
    return pages


def head(definition: Definition) -> str:
    """Title, what it is, and the formula of a page."""
    top = f"# {definition.title}\n\n{definition.what}\n\n## Formula\n\n"
    other = IN_GROUPS.get(definition.name) if definition.of_addition else None
    name = "" if other is None or other.title == definition.title else f" ({other.title.lower()})"
    also = [] if other is None else ["", f"In a group that is not cyclic{name}:", "", *formula(other)]
    return top + "\n".join(["<!-- definition -->", *formula(definition), *also, ""])


def formula(definition: Definition) -> list[str]:
    """The lines of a formula, of what it is evaluated on, and of its source."""
    rows = [(left, textwrap.wrap(right, 96)) for left, right in definition.formula]
    width = max(len(left) for left, _ in rows)
    lines = [f"{left if i == 0 else '':{width}}  {line}" for left, right in rows for i, line in enumerate(right)]
    source = definition.source
    whence = f"[{source.paper}]({source.url}), {source.place}" if source else "this toolkit's own"
    about = f"Evaluated on: {definition.on}. Source: {whence}."
    return ["```", *lines, "```", "", textwrap.fill(about, 150, break_long_words=False, break_on_hyphens=False)]


def index(pages: Mapping[Path, str]) -> str:
    """One line for each page: its title, and the first sentence of what it says."""
    lines = ["| page | what it is |", "|---|---|"]
    for path, text in pages.items():
        if path.name != "README.md":
            title, said, *_ = text.split("\n\n")
            first = re.split(r"(?<=[.:]) ", " ".join(said.split()), maxsplit=1)[0].rstrip(":")
            lines.append(f"| [{title.removeprefix('# ')}]({path.name}) | {first} |")
    return "\n".join(lines) + "\n"


def table(paths: str, measured: Mapping[str, Any]) -> str:
    """The rows of all published figures for some paths (separated by `;`)."""
    rows = []
    for path in (part.strip() for part in paths.split(";")):
        for file, model in MODELS.items():
            if path in model.figures:
                rows += _rows(path, model, measured["models"][file]["values"][path])
        if path in MAINLINE:
            ours = measured["run"]
            label = f"paper's mainline; beside it recipe {ours['recipe']}, seed {ours['seed']}, step {ours['step']:,}"
            rows.append((_name(path), label, MAINLINE[path], ours["values"][path], "other weights"))
    if not rows:
        raise SystemExit(f"docs/measures: nothing is published for {paths!r}")
    lines = ["| quantity | model | published | measured here | difference |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _rows(path: str, model: PublishedModel, value: Any) -> list[tuple[str, ...]]:
    figure = model.figures[path]
    if isinstance(value, Mapping):
        figures = dict(item.split(": ") for item in figure.split(", "))
        return [
            (f"{_name(path)} {k}", model.name, one, _shown(value[k]), _difference(one, value[k])) for k, one in figures.items()
        ]
    return [(_name(path), model.name, figure, _shown(value), _difference(figure, value))]


def _name(path: str) -> str:
    return f"`{path.removeprefix('algorithm.').removesuffix('.loss') if path.startswith('ablations.') else path}`"


def _shown(value: Any) -> str:
    return listed(value) if isinstance(value, list) else f"{value:.{DIGITS}g}"


def _difference(figure: str, value: Any) -> str:
    """Relative difference, or whether both are the same where they are whole numbers."""
    if isinstance(value, list) or figure.isdigit():
        return "none" if _shown(value) == figure else "DIFFERS"
    if float(_shown(value)) == float(figure):
        return "none"
    return f"{abs(float(value) / float(figure) - 1):.0e}"


if __name__ == "__main__":
    sys.exit(main())
