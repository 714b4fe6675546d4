"""Both at once: how much of the margin of the right answers is the circuit's, and how much the table's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from interp.errors import UsageError
from interp.harmonics.cyclic import CyclicHarmonics
from interp.measures.checks import check_logits


@dataclass(frozen=True)
class MarginParts:
    """Mean margins in nats, each split into what a circuit gives every pair alike and what a table adds to single pairs.

    Args:
        circuit_seen: on the training pairs, what unseen pairs of the same a - b have.
        table_seen: on the training pairs, the rest.
        circuit_unseen: on unseen pairs, their mean for each a - b: a table, which does not know them, adds nothing on average.
        noise_unseen: on unseen pairs, the root mean square of what single pairs deviate from it: what is said at random.
    """

    circuit_seen: float
    table_seen: float
    circuit_unseen: float
    noise_unseen: float

    @property
    def table_share(self) -> float:
        """The table's share of the margin of the training pairs; 1 for a lookup table, 0 for a circuit."""
        total = self.circuit_seen + self.table_seen
        return self.table_seen / total if total else float("nan")


def margins(logits: Float[Tensor, "row n"], labels: Int[Tensor, " row"]) -> Float64[Tensor, " row"]:
    """The right answer's logit less the mean of all others.

    >>> margins(torch.tensor([[3.0, 1.0, 0.0]]), torch.tensor([0])).tolist()
    [2.5]
    """
    x = logits.double()
    right = x.gather(1, labels.long()[:, None])[:, 0]
    return right - (x.sum(dim=1) - right) / (x.shape[1] - 1)


def margin_parts(
    logits: Float[Tensor, "pair p"],
    labels: Int[Tensor, " pair"],
    *,
    harmonics: CyclicHarmonics,
    train: Int[Tensor, " train"],
) -> MarginParts:
    """Split the margins of the right answers into a circuit's part and a table's.

    What respects the group gives pairs of one a - b the same margin, seen or not; a lookup table gives it to the pairs in it
    alone. So, for each a - b, the mean margin of the unseen pairs is the circuit's, and what seen pairs have above it is the
    table's. Exact for any mixture of a clock or pizza with a table that says nothing about other pairs. It is linear in the
    logits; unlike a forecast it looks at the answers of unseen pairs. A difference a - b without unseen pairs does not count.

    Returns:
        The parts; NaN if a logit is not finite.

    Raises:
        UsageError: if no a - b has seen and unseen pairs.

    >>> from interp.synthetic import clock_logits, lookup_logits, mixture
    >>> train, harmonics = torch.arange(0, 169, 2), CyclicHarmonics(13)
    >>> both = mixture(0.5, lookup_logits(13, train, amplitude=8.0), clock_logits(13, [2], amplitude=3.0))
    >>> found = margin_parts(both, harmonics.line, harmonics=harmonics, train=train)
    >>> round(found.table_seen, 6), round(found.circuit_seen, 6), round(found.noise_unseen, 6)
    (4.0, 1.625, 0.0)
    """
    check_logits(logits, harmonics)
    margin, n = margins(logits, labels), harmonics.n
    seen = torch.zeros(len(margin), dtype=torch.bool, device=margin.device)
    seen[train.to(margin.device)] = True
    along = harmonics.difference.to(margin.device)

    def total(values: Tensor, chosen: Tensor) -> Tensor:
        return torch.zeros(n, dtype=torch.float64, device=margin.device).index_add_(0, along[chosen], values[chosen])

    ones = torch.ones_like(margin)
    n_seen, n_unseen = total(ones, seen), total(ones, ~seen)
    both = (n_seen > 0) & (n_unseen > 0)
    if not bool(both.any()):
        raise UsageError("train: given pairs of which no difference a - b has seen and unseen ones, expected some of both")
    circuit = torch.where(n_unseen > 0, total(margin, ~seen) / n_unseen.clamp(min=1), 0.0)
    counted = both[along] & seen
    noise = (margin - circuit[along])[~seen]
    on_seen = circuit[along][counted].mean()
    return MarginParts(
        circuit_seen=float(on_seen),
        table_seen=float(margin[counted].mean() - on_seen),
        circuit_unseen=float(margin[~seen].mean()),
        noise_unseen=float(noise.square().mean().sqrt()),
    )
