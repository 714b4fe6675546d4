"""Verdicts from one checkpoint, with their evidence: memorizer or generalizer, clock or pizza.

Whether a model generalizes is decided without a single test label, from three facts: whether its logits on unseen pairs are those
of the training pairs, shifted; whether its logits on unseen pairs answer the training pairs; and whether its map from neurons to
logits is concentrated on few frequencies. If the training pairs are not known, the first is asked of all pairs, and the second
cannot be asked. This verdict is the toolkit's own; the one on the algorithm is that of Zhong et al. 2023 (arXiv 2306.17844).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import isnan, log, nan
from typing import get_args

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from interp.cores import torch_threads
from interp.errors import UsageError
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import Harmonics, Name, line_means
from interp.losses import correct
from interp.measures.checks import check_finite, check_logits, rounding
from interp.measures.line_waves import line_waves
from interp.measures.progress import loss_by_line
from interp.measures.since import LEARNED, Algorithm, Generalization, algorithm_holds, generalization_holds, read_one
from interp.measures.turned import turned, turned_sums

# If the training pairs are not known: a model that answers less than this share of all pairs with at least this probability has
# learned nothing yet. (A memorizer is sure of the pairs it was trained on.)
DECIDED, SURE = 0.05, 0.9
# ... and the quantile of the pairs' agreement that is used.
WORST = 0.1


@dataclass(frozen=True)
class GeneralizationVerdict:
    """Memorizer or generalizer, and why.

    Args:
        verdict: ``generalizer`` or ``memorizer`` if the agreement says so and no other evidence says the opposite;
            ``untrained`` if fewer than 99 % of the training pairs are answered (or, if these are not known, fewer than 5 %
            of all pairs get an answer with a probability of 90 % or more); ``between`` otherwise.
        agreement: see `shift_agreement`; 1 for an ideal clock or pizza, 0 for a lookup table. If the training pairs are not
            known, the tenth percentile of `pair_agreement`.
        unseen_loss: mean of `loss_from_unseen` over the training pairs, divided by ln p; 1 is chance. None if they are not known.
        concentration: Gini coefficient of the Fourier rows of W_L; None if W_L was not given.
        reasons: the evidence in words.
    """

    verdict: Generalization
    agreement: float
    unseen_loss: float | None
    concentration: float | None
    reasons: tuple[str, ...]


@torch_threads(1)
def shift_agreement(
    logits: Float[Tensor, "pair p"],
    *,
    harmonics: CyclicHarmonics,
    train: Int[Tensor, " train"],
    means: Float64[Tensor, "p p"] | None = None,
) -> Float64[Tensor, ""]:
    """Cosine between the logits on unseen pairs and those that the training pairs, shifted, predict for them; uses no label.

    Any circuit that respects the group gives a pair (a, b) and class c a logit that depends only on a - b and a + b - c. The
    prediction is the mean over the TRAINING pairs of the logits with the same a - b and a + b - c; logits are centred over
    the classes of each pair and over the pairs of each class. 1 for an ideal clock or pizza; 0 for a lookup table, and if the
    logits on unseen pairs do not vary. Unseen pairs with an a - b that no training pair has are left out, as nothing is
    predicted for them; NaN if that leaves none.

    Args:
        train: indices of the training pairs.
        means: `interp.harmonics.line_means` of the logits in float64, where they are at hand, to save time.

    Raises:
        UsageError: if there is no training pair or no unseen one.

    >>> from interp.synthetic import clock_logits
    >>> train = torch.arange(0, 25, 2)
    >>> round(float(shift_agreement(clock_logits(5, [2]), train=train, harmonics=CyclicHarmonics(5))), 9)
    1.0
    """
    check_logits(logits, harmonics)
    p, seen = harmonics.n, _seen(train, len(harmonics.line)).to(logits.device)
    along = harmonics.difference.to(logits.device) + p * ~seen
    means = line_means(logits, harmonics, dtype=torch.float64) if means is None else means
    flat, logits = rounding(logits), _single(logits)
    total, norms = turned_sums(logits, along, 2 * p, centre=_class_centre(means).to(logits.dtype))
    count = torch.bincount(along, minlength=2 * p).double()
    asked = ~seen & (count[:p] > 0)[harmonics.difference.to(logits.device)]
    if not bool(asked.any()):
        return torch.full((), nan, dtype=torch.float64, device=logits.device)
    # Over the unseen pairs of a difference the prediction is the same: sums over (difference, class) say all.
    predicted = total[:p] / count[:p, None].clamp(min=1)
    varies, there = norms[asked].double().square().sum(), count[p:] @ predicted.square().sum(dim=1)
    size = varies * there
    found = (predicted * total[p:]).sum() / size.sqrt()
    is_flat = varies <= int(asked.sum()) * p * flat**2
    return torch.where(is_flat | (size == 0), torch.zeros_like(size), found)


@torch_threads(1)
def pair_agreement(logits: Float[Tensor, "pair p"], *, harmonics: CyclicHarmonics) -> Float64[Tensor, " pair"]:
    """`shift_agreement` without known training pairs: for each pair, the cosine with what all other pairs predict for it.

    1 for every pair of an ideal clock or pizza. For a lookup table it is large on the pairs in the table and about 0 on all
    others, so that a low quantile separates the two as long as enough pairs are not in the table.

    >>> from interp.synthetic import clock_logits
    >>> pair_agreement(clock_logits(5, [2]), harmonics=CyclicHarmonics(5)).min().round(decimals=9).item()
    1.0
    """
    check_logits(logits, harmonics)
    p, along = harmonics.n, harmonics.difference.to(logits.device)
    flat, logits = rounding(logits), _single(logits)
    x = logits - logits.mean(dim=1, keepdim=True)
    x -= _class_centre(line_means(logits, harmonics, dtype=torch.float64)).to(x.dtype)
    x = turned(x.reshape(p, p, p)).flatten(0, 1)
    found = _cosine(torch.zeros_like(x[:p]).index_add_(0, along, x)[along] - x, x)
    return torch.where(x.norm(dim=1) <= p**0.5 * flat, torch.zeros_like(found), found)


def _single(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Half precision as single precision: sums of its squares would overflow."""
    return x.float() if x.dtype.itemsize < 4 else x


def _class_centre(means: Float64[Tensor, "p p"]) -> Float64[Tensor, " p"]:
    """The mean of each class over all pairs, once the logits of each pair are centred over the classes."""
    mean = means.mean(dim=0)  # all lines have equally many pairs
    return mean - mean.mean()


def _cosine(x: Float[Tensor, "*batch n"], y: Float[Tensor, "*batch n"]) -> Float64[Tensor, "*batch"]:
    """Cosine of the angle between vectors along the last axis, in their precision; 0 if one of them is zero."""
    size = x.norm(dim=-1).double() * y.norm(dim=-1)
    return torch.where(size == 0, torch.zeros_like(size), torch.linalg.vecdot(x, y) / size)


@torch_threads(1)
def loss_from_unseen(
    logits: Float[Tensor, "row n"],
    labels: Int[Tensor, " row"],
    *,
    train: Int[Tensor, " train"],
    harmonics: Harmonics,
    keys: Collection[Name],
    means: Float64[Tensor, "n n"] | None = None,
) -> Float64[Tensor, " train"]:
    """Restricted loss in nats of the TRAINING pairs, with the projection made from the logits of unseen pairs only.

    The mean logits of the unseen pairs of each answer (on each line a + b = s) are projected on the key waves and their
    constant, by least squares where no pair of an answer is unseen; only training labels are used. A lookup table, which knows
    nothing about the pairs it never saw, has ln n or more, however many frequencies are key (its ordinary restricted loss can be
    small: a mean over all pairs of a line contains the memorized answers).

    Args:
        means: `interp.harmonics.line_means` of the logits in float64, where they are at hand, to save time.

    Raises:
        UsageError: as `shift_agreement`, or if a key is not one of the harmonics' names.
    """
    check_logits(logits, harmonics)
    line, n = harmonics.line.to(logits.device), harmonics.n
    seen = _seen(train, len(line)).to(logits.device).nonzero().flatten()
    means = line_means(logits, harmonics, dtype=torch.float64) if means is None else means
    counts, of_seen = torch.bincount(line, minlength=n), torch.bincount(line[seen], minlength=n)
    # All rows of a line without those that were seen: there are fewer of these.
    table = (means * counts[:, None]).index_add_(0, line[seen], logits.index_select(0, seen).double(), alpha=-1)
    unseen = (counts - of_seen)[:, None]
    table = torch.where(unseen > 0, table / unseen.clamp(min=1), nan)
    constant, waves = line_waves(table, harmonics, keys, counts=(unseen[:, 0] > 0).long())  # each answer counts once
    return loss_by_line(constant + waves, labels[train], line[train])


@torch_threads(1)
def generalization_verdict(
    logits: Float[Tensor, "pair p"],
    labels: Int[Tensor, " pair"],
    *,
    train: Int[Tensor, " train"] | None,
    harmonics: CyclicHarmonics,
    keys: Collection[int],
    concentration: float | None = None,
) -> GeneralizationVerdict:
    """Memorizer, generalizer, or between, from one checkpoint and without any test label.

    Args:
        labels: of all pairs; only those of the training pairs are used.
        train: indices of the training pairs; None if they are not known: then no label is used at all, the evidence that
            needs these pairs is left out, and the reasons say so.
        keys: the key frequencies of this checkpoint.
        concentration: ``gini(harmonics.basis.row_norms(W_L))``, if there is a W_L.

    Raises:
        UsageError: if a logit is not finite, or there is no training or no unseen pair.

    >>> from interp.synthetic import clock_logits, lookup_logits
    >>> train, harmonics = torch.arange(0, 169, 2), CyclicHarmonics(13)
    >>> clock = clock_logits(13, [2, 5], amplitude=9.0)
    >>> generalization_verdict(clock, harmonics.line, train=train, harmonics=harmonics, keys=[2, 5]).verdict
    'generalizer'
    >>> table = lookup_logits(13, train, amplitude=9.0, seed=0)
    >>> generalization_verdict(table, harmonics.line, train=train, harmonics=harmonics, keys=[2, 5]).verdict
    'memorizer'
    """
    check_logits(logits, harmonics)
    check_finite(logits.sum(), "logits")
    if train is None:
        found = _without_training_pairs(logits, harmonics)
    else:
        found = _with_training_pairs(logits, labels, train=train, harmonics=harmonics, keys=keys)
    reasons = list(found.reasons)
    if concentration is not None:
        reasons.append(f"the neuron-logit map is concentrated on few frequencies to {concentration:.2f} (Gini coefficient)")
    readings = {"agreement": found.agreement, "unseen_loss": found.unseen_loss, "concentration": concentration}
    known = {name: nan if value is None else value for name, value in readings.items()}
    verdict = read_one(get_args(Generalization), generalization_holds, **known, learned=found.learned)
    return GeneralizationVerdict(verdict, found.agreement, found.unseen_loss, concentration, tuple(reasons))


@dataclass(frozen=True)
class _Evidence:
    """What the logits say about generalization."""

    agreement: float
    unseen_loss: float | None
    learned: float
    reasons: tuple[str, ...]


def _with_training_pairs(
    logits: Tensor, labels: Tensor, *, train: Tensor, harmonics: CyclicHarmonics, keys: Collection[int]
) -> _Evidence:
    agreement = float(shift_agreement(logits, harmonics=harmonics, train=train))
    unseen = loss_from_unseen(logits, labels, train=train, harmonics=harmonics, keys=keys)
    share, learned = float(unseen.mean()) / log(harmonics.n), float(correct(logits[train], labels[train]).double().mean())
    agrees = (
        f"the logits on unseen pairs agree with those of training pairs, shifted, to {agreement:.3f} (a circuit: 1, a table: 0)"
    )
    if isnan(agreement):
        agrees = "no unseen pair has the difference a - b of a training pair: whether their logits agree cannot be asked"
    reasons: tuple[str, ...] = (
        agrees,
        f"what is said about unseen pairs answers the training pairs with a loss of {share:.2g} times chance",
    )
    if learned < LEARNED:
        reasons = (f"only {100 * learned:.1f} % of the training pairs are answered", *reasons)
    return _Evidence(agreement, share, learned, reasons)


def _without_training_pairs(logits: Tensor, harmonics: CyclicHarmonics) -> _Evidence:
    agreement = float(pair_agreement(logits, harmonics=harmonics).quantile(WORST))
    sure = float((logits.double().softmax(dim=1).amax(dim=1) >= SURE).double().mean())
    reasons: tuple[str, ...] = (
        f"the logits of nine pairs in ten agree with those of all others, shifted, to {agreement:.3f} or more "
        "(a circuit: 1, a table of up to nine pairs in ten: about 0)",
        "the training pairs are not known: whether they are answered, and whether what is said about the other pairs answers "
        "them, is left out",
    )
    if sure < DECIDED:
        reasons = (
            f"only {100 * sure:.1f} % of {pairs_of(harmonics)} get an answer with a probability of {100 * SURE:.0f} % or more",
            *reasons,
        )
    return _Evidence(agreement, None, LEARNED if sure >= DECIDED else 0.0, reasons)


def pairs_of(harmonics: Harmonics) -> str:
    """Which pairs a measure is over, in words: those of units where the harmonics leave the others out.

    >>> from interp.harmonics import division
    >>> pairs_of(CyclicHarmonics(5)), pairs_of(division(5))
    ('all pairs', 'the pairs of units')
    """
    return "all pairs" if harmonics.rows is None or int(harmonics.rows.max()) < harmonics.n**2 else "the pairs of units"


def algorithm_verdict(
    *, symmetricity: float, irrelevance: float, accuracy: float, over: str = "all pairs"
) -> tuple[Algorithm, str]:
    """Clock, pizza, neither or not generalizing, and the evidence in a sentence.

    Distance irrelevance below 0.4 means pizza; otherwise clock, unless gradient symmetricity is above 0.98, which excludes it:
    then the model is neither. A model that answers fewer than 99 % of all pairs is not generalizing. With NaN it is neither.
    Source: Zhong et al. 2023 (arXiv 2306.17844), section 4.

    >>> algorithm_verdict(symmetricity=0.99, irrelevance=0.17, accuracy=1.0)[0]
    'pizza'
    """
    verdict = read_one(
        get_args(Algorithm), algorithm_holds, symmetricity=symmetricity, irrelevance=irrelevance, accuracy=accuracy
    )
    measured = f"distance irrelevance {irrelevance:.3f}, gradient symmetricity {symmetricity:.3f}"
    evidence = {
        "not generalizing": f"{100 * accuracy:.1f} % of {over} are answered correctly",
        "pizza": f"{measured}: the answer's logit depends on the distance b - a",
        "clock": f"{measured}: the distance hardly matters, and a and b enter in different ways",
        "neither": f"{measured}: the distance hardly matters, yet gradients are too symmetric for a clock",
    }
    return verdict, evidence[verdict]


def _seen(train: Int[Tensor, " train"], rows: int) -> Bool[Tensor, " pair"]:
    if not len(train) or not (int(train.min()) >= 0 and int(train.max()) < rows):
        raise UsageError(f"train: given {len(train)} indices, expected some, in 0..{rows - 1}")
    seen = torch.zeros(rows, dtype=torch.bool)
    seen[train] = True
    if bool(seen.all()):
        raise UsageError("train: given all pairs, expected some to be unseen")
    return seen
