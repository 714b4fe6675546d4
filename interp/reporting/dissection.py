"""The page's section on the last checkpoint taken apart: `interp.anatomy` as tables, the paper's figures beside ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interp.reporting.fact_tables import Table
from interp.wording import percent

Found = Mapping[str, Any]

TITLE = "What is inside, at the end?"
CAPTION = (
    "Each ablation takes something out of the network or keeps nothing else; what counts is how far its loss lies from that of "
    "the random controls, which take as much out at random.",
    "Losses are in nats, over all pairs of the p residues (the class of the sign =, where there is one, is left out).",
)
DEFINITIONS = (
    "loss", "restricted-loss", "excluded-loss", "key-frequencies", "neurons", "neuron-logit-map", "heads", "cosine-fit", "gini",
    "algorithm", "formulas", "memorizer-or-generalizer", "ablations", "logit-spectrum", "health",
)  # fmt: skip
PAPER = "Beside ours: the mainline model of Nanda et al. 2023 (arXiv 2301.05217), whose architecture this network has."


@dataclass(frozen=True)
class Section:
    """Tables under one title, with paragraphs that say how to read them."""

    name: str
    title: str
    paragraphs: tuple[str, ...]
    tables: tuple[Table, ...]
    definitions: tuple[str, ...] = ()


def dissection(
    found: Found,
    *,
    step: int,
    paper: Mapping[str, str] | None = None,
    paper_note: str | None = None,
    health: Found | None = None,
) -> Section:
    """The section for a table of `interp.anatomy.anatomy`.

    Args:
        found: the table.
        step: of the checkpoint that was dissected.
        paper: path in the table -> the paper's figure, where the model has the paper's setting.
        paper_note: what is not known of that setting.
        health: of the run, as `interp.observing.run_health.run_health` gives it.
    """
    paper = paper or {}
    tables = [
        _losses(found),
        _units(found),
        _circuit(found, paper),
        _algorithm(found),
        _formulas(found),
        _ablations(found, paper),
        _components(found),
    ]
    tables.append(None if health is None else _health(health))
    paragraphs: tuple[str, ...] = (f"The last checkpoint, step {step:,}, taken apart.", *CAPTION)
    if paper:
        paragraphs = (*paragraphs, PAPER, *([f"{paper_note[0].upper()}{paper_note[1:]}."] if paper_note else []))
    if found["key_frequencies"] is None:
        paragraphs = (*paragraphs, "No reordering makes this operation an addition: what is read from waves is left out.")
    kept = tuple(table for table in tables if table is not None)
    return Section("dissection", TITLE, paragraphs, kept, DEFINITIONS)


def no_dissection(reason: str) -> Section:
    """The section of a checkpoint that cannot be dissected, with the reason."""
    return Section("dissection", TITLE, (reason,), ())


def _losses(found: Found) -> Table:
    names = {
        "loss": "loss",
        "loss_all_classes": "loss, = class included",
        "accuracy": "accuracy",
        "restricted": "restricted loss",
        "restricted_neurons": "restricted loss, at the neurons",
        "excluded": "excluded loss",
    }
    parts = ("all", "train", "test")
    rows = ((label, *(number(found[name][part]) for part in parts)) for name, label in names.items() if found[name] is not None)
    return Table("Losses and accuracy", ("", "all pairs", "train", "test"), tuple(rows))


def _units(found: Found) -> Table | None:
    if found["pairs"] is None:
        return None
    rows = (
        (name.replace("_", " "), *(number(part[of]) for of in ("n", "loss", "accuracy"))) for name, part in found["pairs"].items()
    )
    return Table("Pairs of units, and with a zero divisor", ("", "pairs", "loss", "accuracy"), tuple(rows))


def _circuit(found: Found, paper: Mapping[str, str]) -> Table | None:
    if found["key_frequencies"] is None:
        return None
    neurons, logit_map = found["neurons"], found["neuron_logit_map"]
    fve = [value for pair in logit_map["fve"].values() for value in pair.values()]
    heads = [value for head in found["heads"] for place, value in head["fve"].items() if place != "="]
    frequencies = sorted({k for head in found["heads"] for place, k in head["frequency"].items() if place != "=" and k})
    rows = [
        ("key frequencies", listed(found["key_frequencies"]), "key_frequencies"),
        ("neurons in clusters", f"{neurons['clustered']} of {neurons['total']}, {neurons['dead']} dead", "neurons.clustered"),
        ("of them per frequency", pairs(neurons["per_frequency"]), "neurons.per_frequency"),
        ("W_L outside the key directions", number(logit_map["residual"]), "neuron_logit_map.residual"),
        ("key directions explained by one wave", spread(fve), "neuron_logit_map.fve"),
        ("logits explained by the clock's formula", number(found["cos_fit"]["fve"]), "cos_fit.fve"),
        ("loss of that formula alone", number(found["cos_fit"]["loss"]), "cos_fit.loss"),
        ("attention explained by one frequency", spread(heads), "heads"),
        ("frequencies of the heads", listed(frequencies) or "none", "heads.frequency"),
        ("Gini coefficient of W_E, W_L", f"{number(found['gini']['W_E'])}, {number(found['gini']['W_L'])}", "gini"),
        ("sum of squared weights", number(found["sum_squared_weights"]["total"]), "sum_squared_weights.total"),
    ]
    return _beside("The circuit", "this network", ((name, (value,), path) for name, value, path in rows), paper)


def _algorithm(found: Found) -> Table | None:
    algorithm, general = found["algorithm"], found["generalization"]
    rows = [
        ("algorithm", algorithm["verdict"]),
        ("because", algorithm["evidence"]),
        ("gradient symmetricity", number(algorithm["gradient_symmetricity"])),
        ("distance irrelevance", number(algorithm["distance_irrelevance"])),
        ("the same of the best wrong answer", number(algorithm["distance_irrelevance_runner_up"])),
        ("circularity", number(algorithm["circularity"])),
    ]
    if general is not None:
        rows += [("memorizer or generalizer", general["verdict"])]
        rows += [("because", reason) for reason in general["reasons"]]
    return Table("Which algorithm", ("", "this network"), tuple((name, str(value)) for name, value in rows if value is not None))


def _formulas(found: Found) -> Table | None:
    formulas = found["algorithm"]["formulas"]
    if not formulas:
        return None
    parts = [("logits", formulas), *((f"logits made of frequency {k} of W_E alone", fit) for k, fit in formulas["alone"].items())]
    rows = tuple((name, number(fit["clock"]), number(fit["pizza"])) for name, fit in parts)
    return Table("Share of their variance that the formulas explain", ("", "clock", "pizza"), rows)


def _ablations(found: Found, paper: Mapping[str, str]) -> Table | None:
    if found["ablations"] is None:
        return None
    drawn = next((entry["controls"]["n"] for entry in found["ablations"].values() if entry["controls"]), 0)
    rows = (
        (name, (number(entry["loss"]), _controls(name, entry["controls"], drawn)), f"ablations.{name}.loss")
        for name, entry in found["ablations"].items()
    )
    how = f"{drawn} random controls: median (5 % to 95 %)" if drawn else "random controls"
    return _beside("Loss after each ablation", ("this network", how), rows, paper)


def _controls(name: str, controls: Found | None, drawn: int) -> str:
    if controls is None:
        return "none: too few other frequencies" if drawn and name != "nothing" else "-"
    return f"{number(controls['median'])} ({number(controls['low'])} to {number(controls['high'])})"


def _components(found: Found) -> Table | None:
    if not found["logit_components"]:
        return None
    rows = tuple((f"{c['a']} of a, {c['b']} of b", f"{100 * c['share']:.2f} %") for c in found["logit_components"])
    return Table("Largest waves of the logits", ("", "share of the variance"), rows)


def _health(health: Found) -> Table:
    ratio, spikes = health["gradient_ratio"]["total"], health["spikes"]
    rows = [
        ("training pairs lost to single precision", percent(health["collapsed"])),
        ("spikes of the training loss", listed([f"step {spike['peak']:,}" for spike in spikes]) or "none"),
        ("first step without a finite loss", "none" if health["not_finite"] is None else f"{health['not_finite']:,}"),
        ("gradient norm over weight norm", number(ratio)),
        ("weights in the regime of Adam's epsilon", f"{percent(health['epsilon_share'])} (from the {health['epsilon_from']})"),
        *(("in doubt", warning) for warning in health["warnings"]),
    ]
    return Table("Numerical health", ("", "this run"), tuple(rows))


def _beside(
    title: str,
    columns: str | tuple[str, ...],
    rows: Iterator[tuple[str, tuple[str, ...], str]],
    paper: Mapping[str, str],
) -> Table:
    """A table with the paper's figures in its last column, where there are any."""
    columns = (columns,) if isinstance(columns, str) else columns
    if not paper:
        return Table(title, ("", *columns), tuple((name, *values) for name, values, _ in rows))
    published = {path: _unbroken(text.removeprefix("fve ")) for path, text in paper.items()}
    return Table(title, ("", *columns, "paper"), tuple((name, *values, published.get(path, "")) for name, values, path in rows))


def number(value: float | None) -> str:
    """A number with four digits; a dash where there is none. A narrow column does not break it.

    >>> number(0.123456), number(2.41e-7), number(None)
    ('0.1235', '2.41e\u22127', '-')
    """
    return "-" if value is None else _unbroken(f"{value:.4g}")


def _unbroken(text: str) -> str:
    return re.sub(r"e-0?", "e\u2212", text)


def spread(values: Sequence[float | None]) -> str:
    """The least and greatest of some numbers, or the one that they all are.

    >>> spread([0.5, None, 0.25]), spread([1.0, 1.0])
    ('0.25 to 0.5', '1')
    """
    known = [value for value in values if value is not None]
    return " to ".join(dict.fromkeys([number(min(known)), number(max(known))])) if known else "-"


def listed(values: Sequence[object]) -> str:
    """Values with commas between them."""
    return ", ".join(map(str, values))


def pairs(values: Found) -> str:
    """Names with their values, as ``14: 44, 35: 93``."""
    return listed([f"{name}: {value}" for name, value in values.items()]) or "none"
