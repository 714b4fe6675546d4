"""Which held-out pairs are right: those that a cleverer table would answer, told apart from those that need the operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor

from interp.errors import UsageError
from interp.losses import correct
from interp.measures.in_double import cross_entropy_in_double

# In the order in which a pair is asked whether it belongs to a part; it belongs to the first.
PARTS = ("new answer", "twin", "both seen", "a seen", "b seen", "neither seen")


@dataclass(frozen=True, eq=False)
class PartReadings:
    """Mean loss and accuracy of each part of the pairs.

    Args:
        names: of the parts: ``train``, then `PARTS`.
        pairs: how many pairs a part has.
        loss: mean cross-entropy in nats; NaN for a part without pairs.
        accuracy: share of pairs whose largest logit is the right one; NaN for a part without pairs.
    """

    names: tuple[str, ...]
    pairs: Int64[Tensor, " part"]
    loss: Float64[Tensor, " part"]
    accuracy: Float64[Tensor, " part"]


def held_out_parts(
    pairs: Int[Tensor, "row 2"], labels: Int[Tensor, " row"], *, train: Int[Tensor, " train"], test: Int[Tensor, " test"]
) -> dict[str, Int64[Tensor, " chosen"]]:
    """The held-out pairs by what training has shown of them; each pair is in one part.

    ``new answer``: no training pair has its answer; else ``twin``: (b, a) is trained on; else ``both seen``: some training pair
    has its a, some its b; ``a seen``, ``b seen``: only one of them, at its place; ``neither seen``.

    Args:
        pairs: the tokens (a, b) of every row.
        labels: the right answer to every row.
        train: rows that are trained on.
        test: rows that are held out.

    Raises:
        UsageError: for a row that is not there.

    >>> pairs = torch.tensor([[a, b] for a in range(3) for b in range(3)])
    >>> found = held_out_parts(pairs, pairs.sum(dim=1) % 3, train=torch.tensor([1, 2, 4]), test=torch.tensor([0, 3, 5, 6, 7, 8]))
    >>> {name: rows.tolist() for name, rows in found.items() if len(rows)}
    {'new answer': [0, 5, 7], 'twin': [3, 6], 'b seen': [8]}
    """
    for name, rows in (("train", train), ("test", test)):
        if len(rows) and not (int(rows.min()) >= 0 and int(rows.max()) < len(pairs)):
            raise UsageError(f"{name}: given rows {int(rows.min())}..{int(rows.max())}, expected 0..{len(pairs) - 1}")
    train, test = train.cpu().long(), test.cpu().long()
    a, b, answers = (values.cpu().long() for values in (pairs[:, 0], pairs[:, 1], labels))
    n = int(pairs.max()) + 1
    code = a * n + b
    tests = {
        "new answer": ~_among(answers, train)[answers[test]],
        "twin": _among(code, train, n * n)[(b * n + a)[test]],
    }
    seen_a, seen_b = _among(a, train)[a[test]], _among(b, train)[b[test]]
    tests |= {"both seen": seen_a & seen_b, "a seen": seen_a, "b seen": seen_b, "neither seen": torch.ones_like(seen_a)}
    left, found = torch.ones(len(test), dtype=torch.bool), {}
    for name in PARTS:
        found[name] = test[left & tests[name]]
        left &= ~tests[name]
    return found


def part_readings(
    logits: Float[Tensor, "row classes"],
    labels: Int[Tensor, " row"],
    *,
    train: Int[Tensor, " train"],
    parts: Mapping[str, Int[Tensor, " chosen"]],
    right: Bool[Tensor, " row"] | None = None,
) -> PartReadings:
    """Loss and accuracy on the training pairs and on each part of the others (see `held_out_parts`).

    A table of the training pairs is right on ``train`` alone; one that knows that the operation commutes also on every ``twin``;
    what answers ``both seen`` knows more than single pairs.

    Args:
        logits: of any task.
        labels: the right answer to every row.
        train: rows that are trained on.
        parts: the others.
        right: `interp.losses.correct` of all rows, where it is at hand, to save time.

    >>> pairs = torch.tensor([[a, b] for a in range(3) for b in range(3)])
    >>> labels, train, test = pairs.sum(dim=1) % 3, torch.tensor([1, 2, 4]), torch.tensor([0, 3, 5, 6, 7, 8])
    >>> from interp.synthetic import lookup_logits
    >>> logits = lookup_logits(3, [1, 2, 4, 3, 6], amplitude=9.0)  # a table that knows the twins, too
    >>> parts = held_out_parts(pairs, labels, train=train, test=test)
    >>> found = part_readings(logits, labels, train=train, parts=parts)
    >>> dict(zip(found.names, found.accuracy.tolist()))["twin"]
    1.0
    """
    everything = {"train": train, **parts}
    loss, right = cross_entropy_in_double(logits, labels), (correct(logits, labels) if right is None else right).double()
    chosen = [rows.to(loss.device) for rows in everything.values()]
    return PartReadings(
        tuple(everything),
        torch.tensor([len(rows) for rows in chosen]),
        torch.stack([loss[rows].mean() for rows in chosen]).cpu(),
        torch.stack([right[rows].mean() for rows in chosen]).cpu(),
    )


def _among(values: Int64[Tensor, " row"], train: Int64[Tensor, " train"], n: int | None = None) -> Bool[Tensor, " value"]:
    """For each value whether a training pair has it."""
    seen = torch.zeros(int(values.max()) + 1 if n is None else n, dtype=torch.bool)
    seen[values[train]] = True
    return seen
