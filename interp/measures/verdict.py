"""Verdicts from one checkpoint, with the evidence they rest on: memorizer or generalizer, clock or pizza.

Whether a model generalizes is read without a single test label, from three things: whether its logits on pairs it never saw are
those of the pairs it saw, shifted; whether what it says about unseen pairs answers the seen ones; and whether its map
from neurons to logits is concentrated on few frequencies.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from interp.errors import UsageError
from interp.fourier import FourierBasis
from interp.losses import correct, cross_entropy
from interp.measures.grid import Combination, check_finite, check_logits, line_index, projector

Generalization = Literal["generalizer", "memorizer", "between", "untrained"]
Algorithm = Literal["clock", "pizza", "neither", "not generalizing"]

# Readings at least / at most these count for a generalizer / a memorizer; calibrated on series of p = 59 that grok, that only
# memorize (no weight decay) and that never grok (too few pairs), and on mixtures of a lookup table with clock and pizza.
AGREEMENT = (0.95, 0.1)
UNSEEN_LOSS = (0.01, 0.5)
CONCENTRATION = (0.5, 0.15)
LEARNED = 0.99
# Zhong et al. 2023, section 4: below, distance matters as in a pizza; above, symmetric gradients exclude a clock.
IRRELEVANT, SYMMETRIC = 0.4, 0.98


@dataclass(frozen=True)
class GeneralizationVerdict:
    """Memorizer or generalizer, and why.

    Args:
        verdict: ``generalizer`` or ``memorizer`` where the agreement says so and no other evidence says the opposite;
            ``untrained`` where fewer than 99 % of the training pairs are answered; ``between`` otherwise.
        agreement: see `shift_agreement`; 1 for an ideal clock or pizza, 0 for a lookup table.
        unseen_loss: see `loss_from_unseen`, mean over the training pairs, over ln p; 1 is chance.
        concentration: Gini coefficient of the Fourier rows of W_L, None where W_L was not given.
        reasons: the evidence in words.
    """

    verdict: Generalization
    agreement: float
    unseen_loss: float
    concentration: float | None
    reasons: tuple[str, ...]


def shift_agreement(
    logits: Float[Tensor, "pair p"], *, train: Int[Tensor, " train"], combination: Combination = "sum"
) -> Float64[Tensor, ""]:
    """Cosine between the logits on unseen pairs and what the training pairs, shifted, predict for them; no label is used.

    Any circuit that respects the group gives a pair (a, b) and class c a logit that depends only on a - b and a + b - c. The
    prediction is the mean over the TRAINING pairs of the logits with the same a - b and a + b - c; logits are centred over
    the classes of each pair and over the pairs of each class. 1 for an ideal clock or pizza; 0 for a lookup table and where
    logits on unseen pairs do not vary.

    Args:
        train: indices of the training pairs.
        combination: ``difference`` exchanges the roles of a + b and a - b.

    Raises:
        UsageError: if there is no training pair or no unseen one.
    """
    check_logits(logits, FourierBasis(logits.shape[1]))
    p = logits.shape[1]
    seen = _seen(train, p).to(logits.device)
    x = logits.double()
    x = x - x.mean(dim=1, keepdim=True)
    x = x - x.mean(dim=0)
    along = line_index(p, "difference" if combination == "sum" else "sum").to(logits.device)
    # Classes in the order of a + b - c, so that rows of the same a - b can be added up.
    right = line_index(p, combination).to(logits.device)
    x = x.gather(1, (right[:, None] - torch.arange(p, device=logits.device)) % p)
    total = torch.zeros(p, p, dtype=torch.float64, device=logits.device).index_add_(0, along[seen], x[seen])
    count = torch.bincount(along[seen], minlength=p).clamp(min=1)
    predicted, actual = (total / count[:, None])[along[~seen]], x[~seen]
    size = predicted.norm() * actual.norm()
    return torch.where(size == 0, torch.zeros_like(size), (predicted * actual).sum() / size)


def loss_from_unseen(
    logits: Float[Tensor, "pair p"],
    labels: Int[Tensor, " pair"],
    *,
    train: Int[Tensor, " train"],
    basis: FourierBasis,
    frequencies: Collection[int],
    combination: Combination = "sum",
) -> Float64[Tensor, " train"]:
    """Restricted loss in nats of the TRAINING pairs, with the projection made from the logits of unseen pairs only.

    The mean logits of the unseen pairs on each line a + b = s are projected on the key waves and their constant; only training
    labels are used. A lookup table, which knows nothing about the pairs it never saw, has ln p or more, however many frequencies
    are key (its ordinary restricted loss can be small: a mean over all pairs of a line contains the memorized answers).
    """
    check_logits(logits, basis)
    seen = _seen(train, basis.p).to(logits.device)
    line = line_index(basis.p, combination).to(logits.device)
    table = torch.zeros(basis.p, basis.p, dtype=torch.float64, device=logits.device)
    table.index_add_(0, line[~seen], logits[~seen].double())
    table /= torch.bincount(line[~seen], minlength=basis.p)[:, None].clamp(min=1)
    kept = table.mean(dim=0) + projector(basis, frequencies).to(logits.device) @ table
    return cross_entropy(kept[line[train]], labels[train])


def generalization_verdict(
    logits: Float[Tensor, "pair p"],
    labels: Int[Tensor, " pair"],
    *,
    train: Int[Tensor, " train"],
    basis: FourierBasis,
    frequencies: Collection[int],
    concentration: float | None = None,
    combination: Combination = "sum",
) -> GeneralizationVerdict:
    """Memorizer, generalizer, or between, from one checkpoint and without any test label.

    Args:
        labels: for all pairs, of which only those of the training pairs are looked at.
        train: indices of the training pairs.
        frequencies: the key frequencies of this checkpoint.
        concentration: ``gini(basis.row_norms(W_L))``, where there is a W_L.

    Raises:
        UsageError: if a logit is not finite, or there is no training or no unseen pair.

    >>> from interp.synthetic import clock_logits, lookup_logits
    >>> labels, train, basis = line_index(13, "sum"), torch.arange(0, 169, 2), FourierBasis(13)
    >>> clock = clock_logits(13, [2, 5], amplitude=9.0)
    >>> generalization_verdict(clock, labels, train=train, basis=basis, frequencies=[2, 5]).verdict
    'generalizer'
    >>> table = lookup_logits(13, train, amplitude=9.0, seed=0)
    >>> generalization_verdict(table, labels, train=train, basis=basis, frequencies=[2, 5]).verdict
    'memorizer'
    """
    check_logits(logits, basis)
    check_finite(logits.sum(), "logits")
    agreement = float(shift_agreement(logits, train=train, combination=combination))
    unseen = loss_from_unseen(logits, labels, train=train, basis=basis, frequencies=frequencies, combination=combination)
    share, learned = float(unseen.mean()) / log(basis.p), float(correct(logits[train], labels[train]).double().mean())
    votes = [_vote(agreement, AGREEMENT), -_vote(share, UNSEEN_LOSS[::-1])]
    reasons = [
        f"the logits on unseen pairs agree with those of training pairs, shifted, to {agreement:.3f} (a circuit: 1, a table: 0)",
        f"what is said about unseen pairs answers the training pairs with a loss of {share:.2g} times chance",
    ]
    if concentration is not None:
        votes.append(_vote(concentration, CONCENTRATION))
        reasons.append(f"the neuron-logit map is concentrated on few frequencies to {concentration:.2f} (Gini coefficient)")
    if learned < LEARNED:
        verdict: Generalization = "untrained"
        reasons.insert(0, f"only {learned:.1%} of the training pairs are answered")
    elif votes[0] == 0 or -votes[0] in votes:
        verdict = "between"
    else:
        verdict = "generalizer" if votes[0] > 0 else "memorizer"
    return GeneralizationVerdict(verdict, agreement, share, concentration, tuple(reasons))


def algorithm_verdict(*, symmetricity: float, irrelevance: float, accuracy: float) -> tuple[Algorithm, str]:
    """Clock, pizza, neither or not generalizing, and the evidence in a sentence.

    Distance irrelevance below 0.4 reads as pizza; above, as clock, unless gradient symmetricity is above 0.98, which excludes it:
    then the model is neither. A model that does not answer 99 % of all pairs is not generalizing. NaN decides nothing: neither.
    Source: Zhong et al. 2023 (arXiv 2306.17844), section 4.

    >>> algorithm_verdict(symmetricity=0.99, irrelevance=0.17, accuracy=1.0)[0]
    'pizza'
    """
    if not accuracy >= LEARNED:
        return "not generalizing", f"{accuracy:.1%} of all pairs are answered correctly"
    evidence = f"distance irrelevance {irrelevance:.3f}, gradient symmetricity {symmetricity:.3f}"
    if irrelevance < IRRELEVANT:
        return "pizza", f"{evidence}: the answer's logit depends on the distance b - a"
    if irrelevance >= IRRELEVANT and symmetricity <= SYMMETRIC:
        return "clock", f"{evidence}: the distance hardly matters, and a and b enter in different ways"
    return "neither", f"{evidence}: the distance hardly matters, yet gradients are too symmetric for a clock"


def _vote(value: float, bounds: tuple[float, float]) -> int:
    high, low = bounds
    return 1 if value >= high else -1 if value <= low else 0


def _seen(train: Int[Tensor, " train"], p: int) -> Bool[Tensor, " pair"]:
    if not len(train) or not (int(train.min()) >= 0 and int(train.max()) < p * p):
        raise UsageError(f"train: given {len(train)} indices, expected some, in 0..{p * p - 1}")
    seen = torch.zeros(p * p, dtype=torch.bool)
    seen[train] = True
    if bool(seen.all()):
        raise UsageError("train: given all pairs, expected some to be unseen")
    return seen
