"""The parts of the table: each measures one thing and returns its fields; fields that do not apply are None."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from interp import measures
from interp.harmonics.harmonics import take_logits
from interp.harmonics.residues import both_units
from interp.losses import correct
from interp.measures.in_double import cross_entropy_in_double
from interp.measures.verdict import pairs_of
from interp.networks.one_layer import Weights, forward_embedded
from interp.networks.pair_tables import pair_logits
from interp.observing.circuit import Circuit, Entries, Model
from interp.tasks.modular import ModularTask


def losses(model: Model) -> Entries:
    """Losses with and without the `=` class, accuracy, and the share of collapsed training pairs."""
    logits, labels = model.logits, model.labels
    with_equals = None
    if model.weights.classes > model.weights.p:
        with_equals = model.means(cross_entropy_in_double(model.tables.all_logits, labels))
    train, loss, right = model.part("train"), cross_entropy_in_double(logits, labels), correct(logits, labels).double()
    return {
        "loss": model.means(loss),
        "loss_all_classes": with_equals,
        "accuracy": model.means(right),
        "pairs": _by_units(model, loss, right),
        "health": {"collapsed": None if train is None else measures.collapsed(logits[train], labels[train]).double().mean()},
    }


def _by_units(model: Model, loss: Tensor, right: Tensor) -> Entries | None:
    """For multiplication: loss and accuracy on the pairs of two units, and on those with a zero divisor."""
    if not isinstance(model.task, ModularTask) or model.task.operation != "multiply":
        return None
    units = both_units(model.task.p)
    parts = {"units": units, "zero_divisors": ~units}
    return {
        name: {"n": int(part.sum()), "loss": loss[part].mean(), "accuracy": right[part].mean()} for name, part in parts.items()
    }


def weight_facts(model: Model) -> Entries:
    """Sums of squares."""
    return {"sum_squared_weights": measures.sum_squared_weights(model.weights.tensors())}


def spectra(c: Circuit | None) -> Entries:
    """Key frequencies, and the Fourier norms of W_E and W_L with their Gini coefficients."""
    if c is None:
        return {"key_frequencies": None, "circularity": None, "gini": None, "embedding": None}
    W_E, W_L = c.spectrum_W_E, c.spectrum_W_L
    return {
        "key_frequencies": list(c.keys),
        "circularity": measures.circularity(c.W_E),
        "gini": {"W_E": measures.gini(W_E.rows), "W_L": measures.gini(W_L.rows)},
        "embedding": {"frequency_norms": {"W_E": W_E.frequencies.tolist(), "W_L": W_L.frequencies.tolist()}},
    }


def progress(c: Circuit | None) -> Entries:
    """Restricted and excluded losses in all their variants, and the cosine fit."""
    names = ("restricted", "restricted_products", "restricted_neurons", "excluded", "excluded_single", "cos_fit")
    if c is None:
        return dict.fromkeys(names)
    data = (c.logits, c.labels)
    shared = c.how | {"means": c.line_means}
    fit = measures.cos_fit(*data, energy=c.energy, **shared)
    single: dict[int | str, Any] = dict.fromkeys(c.keys)
    if c.train is not None:
        single = {k: loss.mean() for k, loss in measures.excluded_loss_single(*data, pairs=c.train, **shared).items()}
    return {
        "restricted": c.means(measures.restricted_loss(*data, **shared)),
        "restricted_products": c.means(measures.restricted_loss(*data, variant="products", **c.how)),
        "restricted_neurons": c.means(measures.restricted_loss_neurons(c.neurons, c.W_L, *data, **c.how)),
        "excluded": c.means(measures.excluded_loss(*data, **shared)),
        "excluded_single": single,
        "cos_fit": {
            "fve": fit.fve,
            "loss": fit.loss.mean(),
            "alpha": dict(zip(fit.frequencies, fit.alpha.tolist(), strict=True)),
        },
    }


def neuron_facts(c: Circuit | None) -> Entries:
    """Clusters of neurons, and what W_L reads from them."""
    if c is None:
        return {"neurons": None, "neuron_logit_map": None}
    found = measures.neuron_frequencies(c.neurons, harmonics=c.cyclic)
    logit_map = measures.neuron_logit_map(c.W_L, c.neurons, read=c.from_neurons, **c.how)
    return {
        "neurons": {
            "total": len(found.dead),
            "clustered": int(found.in_cluster.sum()),
            "dead": int(found.dead.sum()),
            "per_frequency": found.counts,
        },
        "neuron_logit_map": {
            "share": logit_map.share,
            "residual": logit_map.residual,
            "fve": {k: {"cos": cos, "sin": sin} for k, (cos, sin) in logit_map.fve.items()},
        },
    }


def head_facts(model: Model, c: Circuit | None) -> Entries:
    """Mean attention and the frequency it follows, per head and position."""
    mean = model.tables.pattern.double().mean(dim=0).tolist()
    found = None if c is None else measures.head_frequencies(c.pattern, harmonics=c.cyclic)
    names = ("a", "b", "=")[: model.weights.n_ctx]
    heads = []
    for head in range(model.weights.n_heads):
        entry: Entries = {"mean": dict(zip(names, mean[head], strict=True)), "frequency": None, "fve": None}
        if found is not None:
            # Attention that is constant has no frequency: the measure gives 0, and a share that is not a number.
            entry["frequency"] = {name: k or None for name, k in zip(names, found.frequency[head].tolist(), strict=True)}
            entry["fve"] = dict(zip(names, found.fve[head].tolist(), strict=True))
        heads.append(entry)
    return {"heads": heads}


def logit_facts(c: Circuit | None) -> Entries:
    """The 20 largest two-dimensional Fourier components of the logits."""
    if c is None:
        return {"logit_components": None}
    top = measures.top_components(measures.logit_spectrum(c.logits, harmonics=c.cyclic), harmonics=c.cyclic, n=20)
    return {"logit_components": [asdict(component) for component in top]}


def algorithm_facts(model: Model, c: Circuit | None) -> Entries:
    """Clock or pizza: the measures and the verdict."""
    symmetricity = float(measures.gradient_symmetricity(_from_embeddings(model.weights), model.weights.residue_embedding).mean())
    found: Entries = {"gradient_symmetricity": symmetricity}
    of_circuit = ("circularity", "distance_irrelevance", "distance_irrelevance_runner_up", "formulas", "verdict", "evidence")
    found |= dict.fromkeys(of_circuit)
    if c is None:
        return {"algorithm": found}
    data, harmonics = (c.logits, c.labels), c.cyclic
    irrelevance = float(measures.distance_irrelevance(*data, harmonics=harmonics))
    accuracy = float(c.right.double().mean())
    verdict, evidence = measures.algorithm_verdict(
        symmetricity=symmetricity, irrelevance=irrelevance, accuracy=accuracy, over=pairs_of(harmonics)
    )
    return {
        "algorithm": found
        | {
            "circularity": measures.circularity(c.W_E),
            "distance_irrelevance": irrelevance,
            "distance_irrelevance_runner_up": measures.distance_irrelevance(*data, harmonics=harmonics, target="runner_up"),
            "formulas": _formulas(model.weights, c),
            "verdict": verdict,
            "evidence": evidence,
        }
    }


def _formulas(weights: Weights, c: Circuit) -> Entries:
    """Fractions explained by the two formulas: of the logits, and of what each frequency of the embedding alone makes of them."""
    if not c.keys:
        return {"clock": None, "pizza": None, "alone": {}}
    fit = measures.formula_fit(c.logits, energy=c.energy, **c.how)
    alone = {}
    for k in c.frequencies:
        W_E = weights.W_E.clone()
        W_E[: weights.p] = 0
        W_E[slice(c.cyclic.n) if c.cyclic.classes is None else c.cyclic.classes] = (c.cyclic.projector([k]) @ c.W_E.double()).to(
            W_E.dtype
        )
        logits = take_logits(c.cyclic, pair_logits(replace(weights, W_E=W_E)))
        one = measures.formula_fit(logits - logits.mean(dim=0), harmonics=c.cyclic, keys=[k])
        alone[k] = {"clock": one.clock, "pizza": one.pizza}
    return {"clock": fit.clock, "pizza": fit.pizza, "alone": alone}


def generalization(c: Circuit | None) -> Entries:
    """Memorizer or generalizer, by what is known; None where no pair is unseen, and the question has no answer."""
    if c is None or (c.train is not None and not 0 < len(c.train) < len(c.labels)):
        return {"generalization": None}
    concentration = float(measures.gini(c.spectrum_W_L.rows))
    verdict = measures.generalization_verdict(c.logits, c.labels, train=c.train, concentration=concentration, **c.how)
    return {"generalization": asdict(verdict) | {"reasons": list(verdict.reasons)}}


def _from_embeddings(weights: Weights) -> measures.LogitsFromEmbeddings:
    """The model from the embedding vectors of a and b on."""

    def logits(a: Tensor, b: Tensor) -> Tensor:
        rest = [weights.W_E[weights.p].expand_as(a)] if weights.equals_sign else []
        return forward_embedded(weights, torch.stack([a, b, *rest], dim=1) + weights.W_pos).logits

    return logits
