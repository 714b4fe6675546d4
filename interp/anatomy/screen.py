"""A dissection on one screen: a line for each figure that the papers' tables have, with theirs beside it where they have one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from interp.wording import listed, number, pairs, percent, spread

_SHARES = {"all": "all", "train": "train", "test": "test"}
# What the lines say, and where its figure is found.
_LOSSES = (
    ("loss (all, train, test)", "loss"), ("restricted loss", "restricted"), ("restricted products", "restricted_products"),
    ("restricted neurons", "restricted_neurons"), ("excluded loss", "excluded"),
)  # fmt: skip


def one_screen(found: Mapping[str, Any], paper: Mapping[str, str]) -> list[dict[str, str]]:
    """Lines of what was measured, its value, and the paper's.

    Args:
        found: what `anatomy` found.
        paper: figures of the paper by their paths, see `beside_mainline`.
    """
    rows = [*_verdicts(found), *_losses(found), *_circuit(found), *_representations(found), *_units(found)]
    return [{"measure": name, "value": value, "paper": _beside(paper, paths)} for name, value, paths in rows]


def ablations_on_screen(found: Mapping[str, Any], paper: Mapping[str, str]) -> list[dict[str, str]]:
    """Lines of what was removed or kept alone, the loss then, the losses of random controls, and the paper's."""
    return [
        {
            "ablation": name,
            "loss": number(one["loss"]),
            "random controls": "-" if one["controls"] is None else spread([one["controls"]["low"], one["controls"]["high"]]),
            "paper": paper.get(f"ablations.{name}.loss", ""),
        }
        for name, one in (found["ablations"] or {}).items()
        if not (name.startswith("head ") and name.endswith(": mean"))  # beside the head put to zero it says little
    ]


_Row = tuple[str, str, tuple[str, ...]]


def _verdicts(found: Mapping[str, Any]) -> Iterator[_Row]:
    general, algorithm = found["generalization"], found["algorithm"]
    if general is not None:
        yield "generalizes?", f"{general['verdict']} (agreement {number(general['agreement'])})", ()
    if algorithm is not None:
        symmetry, distance = (number(algorithm[name]) for name in ("gradient_symmetricity", "distance_irrelevance"))
        yield "algorithm", f"{algorithm.get('verdict') or '-'} (symmetricity {symmetry}, irrelevance {distance})", ()


def _losses(found: Mapping[str, Any]) -> Iterator[_Row]:
    for label, name in _LOSSES:
        if (values := found[name]) is not None:
            yield label, _three(values), (f"{name}.all",)
    right = found["accuracy"]
    yield "accuracy", listed(["-" if right[name] is None else percent(right[name]) for name in _SHARES]), ()
    yield "sum of squared weights", number(found["sum_squared_weights"]["total"]), ()


def _circuit(found: Mapping[str, Any]) -> Iterator[_Row]:
    if (keys := found["key_frequencies"]) is None:
        return
    yield "key frequencies", listed(keys) or "none", ("key_frequencies",)
    if (single := found["excluded_single"]) is not None and found.get("character_share") is None:
        yield "excluded loss, one at a time", pairs({name: number(value) for name, value in single.items()}), ()
    if found["gini"] is not None:
        yield "Gini coefficient of W_E, W_L", listed([number(found["gini"][name]) for name in ("W_E", "W_L")]), ()
    if (fit := found["cos_fit"]) is not None:
        yield "clock's formula: variance of the logits", number(fit["fve"]), ("cos_fit.fve",)
    if found["circularity"] is not None:
        yield "circularity", number(found["circularity"]), ()


def _representations(found: Mapping[str, Any]) -> Iterator[_Row]:
    """Of a group that is not cyclic, and of an MLP of two embeddings."""
    if (shares := found.get("character_share")) is None:
        return
    if (keys := found["key_representations"]) is not None:
        yield "key representations", listed(keys) or "none", ()
    yield "excluded loss, one at a time", pairs({name: number(value) for name, value in found["excluded_single"].items()}), ()
    key = keys if keys is not None else [str(k) for k in found["key_frequencies"]]
    yield "logits explained by characters", number(found["character_fve"]), ()
    yield "  by key part", pairs({name: number(shares[name]) for name in key}), ()
    for name, parts in found["part_shares"].items():
        yield f"{name} in key parts", pairs({part: number(parts[part]) for part in key}), ()
    yield "neurons of one part", pairs(found["part_neurons"]) or "none", ()


def _units(found: Mapping[str, Any]) -> Iterator[_Row]:
    if (neurons := found["neurons"]) is not None:
        told = f"{neurons['clustered']} of {neurons['total']}, {neurons['dead']} dead"
        yield "neurons of one frequency", told, ("neurons.clustered",)
        yield "  by frequency", pairs(neurons["per_frequency"]), ("neurons.per_frequency",)
    if (wave := found["neuron_logit_map"]) is not None:
        yield "neuron-logit map: left over", number(wave["residual"]), ("neuron_logit_map.residual",)
        shares = [value for one in wave["fve"].values() for value in one.values()]
        yield "  its waves: variance explained", spread(shares), ("neuron_logit_map.fve",)
    looks: dict[str, list[int]] = {}
    for place, head in enumerate(found["heads"] or ()):
        looks.setdefault(pairs({token: percent(share) for token, share in head["mean"].items()}), []).append(place)
    for look, places in looks.items():
        yield f"head{'s' if len(places) > 1 else ''} {listed(places)}", f"attention to {look}", ("heads",)


def _three(values: Mapping[str, float | None]) -> str:
    return listed([number(values.get(name)) for name in _SHARES])


def _beside(paper: Mapping[str, str], paths: Sequence[str]) -> str:
    return listed([paper[path] for path in paths if path in paper])
