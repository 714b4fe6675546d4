"""What is inside, at the end?

Waves: Without representations: Each ablation removes something from the network, or keeps nothing else; what counts is how far
its loss lies from the losses of the random controls, which remove as much at random.

Losses are in nats, over all pairs (the class of =, if there is one, is left out).
"""

import json

import interp
from interp import Analysis, Definition, Source, about, anatomy
from interp.figures import Table, Tables
from interp.wording import listed, number, pairs, percent, spread, unbroken

# Random controls of each ablation: as many as take about a second. `interp anatomy --controls` makes more.
CONTROLS = 3
PAPER = "For comparison: the mainline model of Nanda et al. 2023 (arXiv 2301.05217), which has the same architecture."


def measure(view):
    """The last checkpoint taken apart, the paper's figures where it has the paper's setting, and the run's health, as JSON."""
    weights, fraction = view.weights, len(view.split.train) / (len(view.split.train) + len(view.split.test))
    controls, keys = 0 if view.brief else CONTROLS, None if view.harmonics is None else list(view.key_frequencies)
    found = anatomy.anatomy(weights, task=view.task, split=view.split, keys=keys, controls=controls, threads=view.threads)
    decay = anatomy.known_weight_decay(view.run)
    paper, note = anatomy.beside_mainline(weights, view.task, weight_decay=decay, fraction=fraction)
    health = interp.run_health(view.run, step=view.step, weights=weights) if view.run.has_config else None
    return {"anatomy": json.dumps({"step": view.step, "found": found, "paper": dict(paper), "note": note, "health": health})}


def figure(series):
    """The tables of what was found."""
    values = json.loads(series["anatomy"].item())
    return dissected(**(values if about(series).knows_step else values | {"step": None}))


def dissected(found, *, step, paper=None, note=None, health=None):
    """The tables for what `interp.anatomy.anatomy` found.

    `paper` has the paper's figures by their paths in `found`, `note` says what is unknown about the model's setting, `health` is
    what `interp.run_health` returns for the run.
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
        None if health is None else _health(health),
    ]
    told = ["The last checkpoint, taken apart." if step is None else f"The last checkpoint, step {step:,}, taken apart."]
    if paper:
        told += [PAPER, *([f"{note[0].upper()}{note[1:]}."] if note else [])]
    if found["key_frequencies"] is None:
        told.append("No reordering turns this operation into addition: measures of waves are left out.")
    shown = tuple(table for table in tables if table is not None)
    return Tables(tuple(told), shown, ("loss", "health") if found["key_frequencies"] is None else None)


def _losses(found):
    names = {
        "loss": "loss",
        "loss_all_classes": "loss, with the class of =",
        "accuracy": "accuracy",
        "restricted": "restricted loss",
        "restricted_neurons": "restricted loss, at the neurons",
        "excluded": "excluded loss",
    }
    parts = ("all", "train", "test")
    rows = ((label, *(number(found[name][part]) for part in parts)) for name, label in names.items() if found[name] is not None)
    return Table("Losses and accuracy", ("", "all pairs", "train", "test"), tuple(rows))


def _units(found):
    if found["pairs"] is None:
        return None
    rows = (
        (name.replace("_", " "), *(number(part[of]) for of in ("n", "loss", "accuracy"))) for name, part in found["pairs"].items()
    )
    return Table("Pairs of units, and with a zero divisor", ("", "pairs", "loss", "accuracy"), tuple(rows))


def _circuit(found, paper):
    if found["key_frequencies"] is None:
        return None
    neurons, logit_map = found["neurons"], found["neuron_logit_map"]
    fve = [value for pair in logit_map["fve"].values() for value in pair.values()]
    heads = [value for head in found["heads"] for place, value in head["fve"].items() if place != "="]
    frequencies = sorted({k for head in found["heads"] for place, k in head["frequency"].items() if place != "=" and k})
    rows = [
        ("key frequencies", listed(found["key_frequencies"]), "key_frequencies"),
        ("neurons in clusters", f"{neurons['clustered']} of {neurons['total']}, {neurons['dead']} dead", "neurons.clustered"),
        ("neurons per frequency", pairs(neurons["per_frequency"]), "neurons.per_frequency"),
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


def _algorithm(found):
    algorithm, general = found["algorithm"], found["generalization"]
    rows = [
        ("algorithm", algorithm["verdict"]),
        ("because", algorithm["evidence"]),
        ("gradient symmetricity", number(algorithm["gradient_symmetricity"])),
        ("distance irrelevance", number(algorithm["distance_irrelevance"])),
        ("the same for the best wrong answer", number(algorithm["distance_irrelevance_runner_up"])),
        ("circularity", number(algorithm["circularity"])),
    ]
    if general is not None:
        rows += [("memorizer or generalizer", general["verdict"])]
        rows += [("because", reason) for reason in general["reasons"]]
    return Table("Which algorithm", ("", "this network"), tuple((name, str(value)) for name, value in rows if value is not None))


def _formulas(found):
    formulas = found["algorithm"]["formulas"]
    if not formulas:
        return None
    parts = [("logits", formulas), *((f"logits made of frequency {k} of W_E alone", fit) for k, fit in formulas["alone"].items())]
    rows = tuple((name, number(fit["clock"]), number(fit["pizza"])) for name, fit in parts)
    return Table("Share of the variance that the formulas explain", ("", "clock", "pizza"), rows)


def _ablations(found, paper):
    if found["ablations"] is None:
        return None
    drawn = next((entry["controls"]["n"] for entry in found["ablations"].values() if entry["controls"]), 0)
    rows = (
        (name, (number(entry["loss"]), _controls(name, entry["controls"], drawn)), f"ablations.{name}.loss")
        for name, entry in found["ablations"].items()
    )
    how = f"{drawn} random controls: median (5 % to 95 %)" if drawn else "random controls"
    return _beside("Loss after each ablation", ("this network", how), rows, paper)


def _controls(name, controls, drawn):
    if controls is None:
        return "none: too few other frequencies" if drawn and name != "nothing" else "-"
    return f"{number(controls['median'])} ({number(controls['low'])} to {number(controls['high'])})"


def _components(found):
    if not found["logit_components"]:
        return None
    rows = tuple((f"{c['a']} of a, {c['b']} of b", f"{100 * c['share']:.2f} %") for c in found["logit_components"])
    return Table("Largest waves of the logits", ("", "share of the variance"), rows)


def _health(health):
    ratio, spikes = health["gradient_ratio"]["total"], health["spikes"]
    rows = [
        ("training pairs lost to single precision", percent(health["collapsed"])),
        ("spikes of the training loss", listed([f"step {spike['peak']:,}" for spike in spikes]) or "none"),
        ("first step without a finite loss", "none" if health["not_finite"] is None else f"{health['not_finite']:,}"),
        ("gradient norm over weight norm", number(ratio)),
        ("weights in the regime of Adam's epsilon", _epsilon(health)),
        *(("in doubt", warning) for warning in health["warnings"]),
    ]
    return Table("Numerical health", ("", "this run"), tuple(rows))


def _epsilon(health):
    """The share of weights that Adam moves by its epsilon; of a model whose optimizer nobody knows there is none."""
    share = health["epsilon_share"]
    return "not known" if share is None else f"{percent(share)} (from the {health['epsilon_from']})"


def _beside(
    title,
    columns,
    rows,
    paper,
):
    """A table with the paper's figures in its last column, where there are any."""
    columns = (columns,) if isinstance(columns, str) else columns
    if not paper:
        return Table(title, ("", *columns), tuple((name, *values) for name, values, _ in rows))
    published = {path: unbroken(text.removeprefix("fve ")) for path, text in paper.items()}
    return Table(title, ("", *columns, "paper"), tuple((name, *values, published.get(path, "")) for name, values, path in rows))


NANDA = ("Nanda et al. 2023", "https://arxiv.org/abs/2301.05217")
DEFINITIONS = (
    Definition(
        "ablations", "Ablations with random controls",
        "The loss after something is taken out of a network, or all but it, beside the distribution of losses when as much is "
        "taken out at random.",
        (
            ("logits, neurons, embedding", "only / without the key frequencies; control: as many other frequencies"),
            (
                "neurons",
                "clustered ones replaced by their degree-2 fit, or by the a+b part of it; control: the same change, its "
                "directions turned at random",
            ),
            ("MLP", "projected on the key directions of W_L, or on their complement; control: a random subspace of that size"),
            ("heads", "zeroed or set to their mean; control: what they write, turned at random"),
            ("skips", "past attention, past the MLP; control: as much, turned at random"),
        ),
        "one checkpoint: mean loss over all p^2 pairs, p classes",
        Source(*NANDA, "section 4.4"),
        waves=True,
        of_addition=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "dissection",
    question=__doc__,
    measure=measure,
    figure=figure,
    kind="tables",
    at="last",
    needs=("one-layer",),
    definitions=(
        "loss", "restricted-loss", "excluded-loss", "key-frequencies", "neurons", "neuron-logit-map", "heads", "cosine-fit",
        "gini", "algorithm", "formulas", "memorizer-or-generalizer", *DEFINITIONS, "logit-spectrum", "health",
    ),
)  # fmt: skip
