"""What was learned, by what, from how much; why that is hard; and which of a page's dates says when a circuit formed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from interp.observing.series import About
from interp.reporting.run_curves import Curves
from interp.tasks.operators import RANDOM
from interp.wording import counted

# An operation -> its result, and how a pair is written.
_RESULTS: dict[str, tuple[Callable[[int, int], int], str]] = {
    "add": (lambda a, b: a + b, "{a} + {b}"),
    "subtract": (lambda a, b: a - b, "{a} \N{MINUS SIGN} {b}"),
    "multiply": (lambda a, b: a * b, "{a} \N{MULTIPLICATION SIGN} {b}"),
    "x2xyy2": (lambda a, b: a * a + a * b + b * b, "{a}² + {a} · {b} + {b}²"),
}
# Where in the residues the two numbers of an example lie: their sum goes once around.
_A, _B = 0.29, 0.85


@dataclass(frozen=True)
class Example:
    """One pair with its right answer."""

    a: int
    b: int
    answer: int
    text: str


def example(known: About) -> Example | None:
    """A pair whose answer shows what the operation does, modulo p; None for a table, whose answers a series does not have.

    >>> example(About(operation="add", p=59)).text
    '17 + 50 = 8 modulo 59'
    """
    if known.operation not in _RESULTS or known.p < 2:
        return None
    of, written = _RESULTS[known.operation]
    a, b = int(_A * known.p), int(_B * known.p)
    answer = of(a, b) % known.p
    return Example(a, b, answer, f"{written.format(a=a, b=b)} = {answer} modulo {known.p}")


def learned(known: About) -> str:
    """What was learned, by what, from how much, with an example, in one sentence or two.

    >>> facts = {"train_pairs": 1392, "test_pairs": 2089}
    >>> print(learned(About(task="a + b modulo 59", operation="add", p=59, facts=facts)).replace(". ", ".\\n"))
    A network was trained on a + b modulo 59, for example 17 + 50 = 8 modulo 59.
    It was shown 1,392 of the 3,481 pairs, never the others.
    """
    if not known.task:
        return ""
    shown = example(known)
    told = f"{_network(known)} was trained on {known.task}{f', for example {shown.text}' if shown else ''}."
    train, test = known.facts.get("train_pairs"), known.facts.get("test_pairs")
    if not isinstance(train, int) or not isinstance(test, int):
        return told
    if not test:
        return f"{told} It was shown all {train:,} pairs."
    return f"{told} It was shown {train:,} of the {train + test:,} pairs, never the others."


def why_hard(known: About) -> str:
    """Why unseen pairs are not simply answered; of random labels that they cannot be, and of no unseen pairs that there are none.

    >>> print(why_hard(About(task="random labels mod 7, seed 3", p=7, facts={"test_pairs": 30})))
    The answers were drawn by chance: they have nothing in common, and unseen ones can only be guessed. It is a negative control.
    """
    if not known.p:
        return ""
    if known.facts.get("test_pairs") == 0:
        return (
            "Nothing is held back, so that knowing all of it by heart is enough: whether the network has found what the answers "
            "have in common shows only inside."
        )
    if known.task.startswith(RANDOM):
        return (
            "The answers were drawn by chance: they have nothing in common, and unseen ones can only be guessed. It is a "
            "negative control."
        )
    many = f"{known.p} {_elements(known)}"
    return (
        f"That is harder than it looks: to the network the {many} are symbols without order or size. What it "
        "has not seen it can only answer by finding what all the answers have in common; knowing by heart what it was shown does "
        "not help."
    )


def _elements(known: About) -> str:
    return "numbers" if known.operation in _RESULTS else "elements"


def when_formed(curves: Curves) -> str:
    """Which date says when the circuit formed, and what the others beside it say; nothing where none can be told."""
    lead, onset, cleanup = curves.lead, curves.first("onset"), curves.first("cleanup")
    halved = None if lead is None else lead.first_of("restricted")
    if lead is None or halved is None or not curves.generalizes:
        return ""
    told = f"When did the circuit form? Where one date must do: by step {halved.step:,}, when the restricted loss had halved"
    if onset is not None:
        told += f"; “circuit begins” (step {onset.step:,}) is from where on the training pairs lean on it more and more"
    if cleanup is not None:
        told += f"; “cleanup” (step {cleanup.step:,}) is where memory gives way and the test loss falls"
    return f"{told}."


def _network(known: About) -> str:
    """The network in a few words, as far as it is known."""
    model, n = known.config.get("model"), known.facts.get("n_parameters")
    kind = known.facts.get("kind", "one-layer")
    if not isinstance(model, Mapping) or kind not in ("one-layer", *_IN_WORDS):
        return f"A network with {n:,} weights" if isinstance(n, int) else "A network"
    if kind in _IN_WORDS:
        return _IN_WORDS[kind](model, f"{n:,} weights" if isinstance(n, int) else "")
    parts = [counted(model[name], noun) for name, noun in (("n_heads", "head"), ("d_mlp", "neuron")) if name in model]
    parts += [f"{n:,} weights"] if isinstance(n, int) else []
    return f"A transformer of one layer{' (' + ', '.join(parts) + ')' if parts else ''}"


def _layered(model: Mapping[str, Any], weights: str) -> str:
    """A transformer of another kind."""
    parts = [counted(model["n_heads"], "head")]
    parts += [counted(model["d_mlp"], "neuron")] if model.get("architecture", "transformer") == "transformer" else []
    where = {"pre": "LayerNorm before each part", "post": "LayerNorm after each sum"}.get(str(model.get("normalization")))
    layers = model.get("n_layers", 1)
    told = (
        f"{' and '.join(parts)}{' each' if layers > 1 else ''}{f', {where}' if where else ''}{f', {weights}' if weights else ''}"
    )
    return f"A transformer of {counted(layers, 'layer') if layers > 1 else 'one layer'} ({told})"


def _two_embeddings(model: Mapping[str, Any], weights: str) -> str:
    """An MLP of two embeddings."""
    return f"An MLP of one hidden layer ({counted(model['d_mlp'], 'neuron')}{f', {weights}' if weights else ''})"


_IN_WORDS: Mapping[str, Callable[[Mapping[str, Any], str], str]] = {
    "layered-transformer": _layered,
    "two-embedding-mlp": _two_embeddings,
}
