"""Progress measures: what of the logits is the circuit (restricted loss), what is left without it (excluded loss).

The key frequencies of a run are chosen once, by one of the rules `key_frequencies_from_...`, from a named checkpoint, and are
then the same for the whole series. All measures take the logits of all p^2 pairs and return one value per pair: the mean over the
training pairs, the test pairs or all is the caller's to take and to name. Source of the measures: Nanda et al. 2023
(arXiv 2301.05217), sections 4.1 and 5.1.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

import torch
from jaxtyping import Float, Float64, Int, Int64
from torch import Tensor

from interp.errors import UsageError, unknown
from interp.fourier import FourierBasis
from interp.losses import cross_entropy
from interp.measures.grid import Combination, check_finite, check_grid, check_logits, line_index, line_means, projector

Variant = Literal["nanda", "products"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)


def key_frequencies_from_matrix(
    matrix: Float[Tensor, "p rest"], *, basis: FourierBasis, threshold: float = 0.25
) -> tuple[int, ...]:
    """The frequencies whose norm in a matrix with residues along its first axis exceeds a share of the largest, ascending.

    The norm of frequency k is that of the (cos k, sin k) rows of ``F matrix``. With W_L this is the rule `unembedding`
    (the default), with W_E without its ``=`` row the rule `embedding`. The highest frequency floor(p/2) takes part.

    Args:
        threshold: share of the largest norm that must be exceeded.

    Raises:
        UsageError: if the matrix is not finite.

    >>> basis = FourierBasis(7)
    >>> key_frequencies_from_matrix(basis.cos(3)[:, None] + 0.1 * basis.cos(1)[:, None], basis=basis)
    (3,)
    """
    return _above(basis.frequency_norms(matrix), threshold)


def key_frequencies_from_coefficients(alpha: Float[Tensor, " frequency"], *, threshold: float = 0.25) -> tuple[int, ...]:
    """The frequencies whose `cos_coefficients` exceed a share of the largest (rule `coefficients`), ascending.

    A negative coefficient votes against the right answer and is never key.

    >>> key_frequencies_from_coefficients(torch.tensor([4.0, 0.5, -9.0, 2.0]))
    (1, 4)
    """
    return _above(alpha, threshold)


def _above(sizes: Float[Tensor, " frequency"], threshold: float) -> tuple[int, ...]:
    check_finite(sizes, "norms of the frequencies")
    return tuple(int(i) + 1 for i in torch.nonzero((sizes > threshold * sizes.max()) & (sizes > 0)))


def restricted_logits(
    logits: Float[Tensor, "pair p"],
    *,
    basis: FourierBasis,
    frequencies: Collection[int],
    variant: Variant = "nanda",
    combination: Combination = "sum",
) -> Float64[Tensor, "pair p"]:
    """The mean of each class over all pairs, plus the logits' projection on the waves of the key frequencies.

    ``nanda``: the waves cos w_k(a+b) and sin w_k(a+b), for a - b with ``combination="difference"`` (subtraction);
    ``products``: the four products of {cos, sin} w_k a and {cos, sin} w_k b.

    >>> basis = FourierBasis(5)
    >>> restricted_logits(torch.ones(25, 5), basis=basis, frequencies=[1])[0].round(decimals=6).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    check_logits(logits, basis)
    if variant not in VARIANTS:
        raise unknown("variant of the restricted loss", variant, VARIANTS)
    if variant == "nanda":
        return _restricted_table(logits, basis, frequencies, combination)[line_index(basis.p, combination).to(logits.device)]
    kept = logits.double().mean(dim=0) + _projection(logits, basis, frequencies, "sum")
    # The waves in a + b and in a - b span the four products; the alternating wave is the same one in both.
    return kept + _projection(logits, basis, set(frequencies) - {basis.nyquist}, "difference")


def excluded_logits(
    logits: Float[Tensor, "pair p"], *, basis: FourierBasis, frequencies: Collection[int], combination: Combination = "sum"
) -> Float64[Tensor, "pair p"]:
    """The logits without their projection on cos w_k(a+b) and sin w_k(a+b) of the key frequencies; the mean is kept."""
    check_logits(logits, basis)
    return logits.double() - _projection(logits, basis, frequencies, combination)


def restricted_loss(
    logits: Float[Tensor, "pair p"],
    labels: Int[Tensor, " pair"],
    *,
    basis: FourierBasis,
    frequencies: Collection[int],
    variant: Variant = "nanda",
    combination: Combination = "sum",
) -> Float64[Tensor, " pair"]:
    """Cross-entropy in nats of `restricted_logits`, one value per pair.

    On an exact clock it is the full loss; on the wrong frequencies it is ln p. The paper takes the mean over all pairs.

    >>> from interp.synthetic import clock_logits
    >>> labels = line_index(5, "sum")
    >>> logits = clock_logits(5, [1, 2], amplitude=4.0)
    >>> full = cross_entropy(logits, labels)
    >>> torch.allclose(restricted_loss(logits, labels, basis=FourierBasis(5), frequencies=[1, 2]), full)
    True
    """
    if variant != "nanda":
        kept = restricted_logits(logits, basis=basis, frequencies=frequencies, variant=variant, combination=combination)
        return cross_entropy(kept, labels)
    check_logits(logits, basis)
    return _loss_by_line(_restricted_table(logits, basis, frequencies, combination), labels, combination)


def restricted_loss_neurons(
    neurons: Float[Tensor, "pair d_mlp"],
    W_L: Float[Tensor, "p d_mlp"],
    logits: Float[Tensor, "pair p"],
    labels: Int[Tensor, " pair"],
    *,
    basis: FourierBasis,
    frequencies: Collection[int],
    combination: Combination = "sum",
) -> Float64[Tensor, " pair"]:
    """Cross-entropy in nats when the NEURONS are projected on the key waves, one value per pair.

    The projected neurons go through W_L; each class is then moved so that its mean over all pairs is that of the original
    logits, which stands for all that the neurons do not carry. This is the variant of TransformerLens' grokking demo, which takes
    its mean over the test pairs.
    """
    check_logits(logits, basis)
    check_grid(neurons, basis, "neurons")
    # Projection and W_L act on different axes: the p means of the neurons through W_L are all that is needed.
    means = line_means(neurons, basis.p, combination).double() @ W_L.double().T
    table = projector(basis, frequencies).to(logits.device) @ means + logits.double().mean(dim=0)
    return _loss_by_line(table, labels, combination)


def excluded_loss(
    logits: Float[Tensor, "pair p"],
    labels: Int[Tensor, " pair"],
    *,
    basis: FourierBasis,
    frequencies: Collection[int],
    combination: Combination = "sum",
    pairs: Int[Tensor, " chosen"] | None = None,
) -> Float64[Tensor, " chosen"]:
    """Cross-entropy in nats of `excluded_logits`, one value per pair; the paper takes the mean over the training pairs.

    On an exact clock with all its frequencies excluded it is ln p.

    Args:
        pairs: indices of the pairs to evaluate, which saves time; the projection is fitted on all p^2 pairs in any case.

    >>> from interp.synthetic import clock_logits
    >>> logits = clock_logits(5, [1, 2], amplitude=4.0)
    >>> excluded_loss(logits, line_index(5, "sum"), basis=FourierBasis(5), frequencies=[1, 2])[0]  # ln 5
    tensor(1.6094, dtype=torch.float64)
    """
    check_logits(logits, basis)
    return _excluded(logits, labels, _projection_table(logits, basis, frequencies, combination), (combination, pairs))


def excluded_loss_single(
    logits: Float[Tensor, "pair p"],
    labels: Int[Tensor, " pair"],
    *,
    basis: FourierBasis,
    frequencies: Collection[int],
    combination: Combination = "sum",
    pairs: Int[Tensor, " chosen"] | None = None,
) -> dict[int, Float64[Tensor, " chosen"]]:
    """`excluded_loss` with one frequency excluded at a time: for each frequency, one value per pair."""
    check_logits(logits, basis)
    means = line_means(logits.double(), basis.p, combination)
    return {
        k: _excluded(logits, labels, projector(basis, [k]).to(means.device) @ means, (combination, pairs))
        for k in sorted({basis.check(k) for k in frequencies})
    }


def gini(norms: Float[Tensor, "*batch n"]) -> Float64[Tensor, "*batch"]:
    """Gini coefficient along the last axis, ``2 sum_i i c_(i) / (n sum c) - (n+1)/n`` with c ascending.

    0 for equal values, 1 - 1/n for a single one that is not zero; NaN where all are zero, or any is NaN. The paper's measure
    takes the norms of the p Fourier rows of W_E (``basis.row_norms(W_E)``, its ``=`` row left out) or of W_L.

    Raises:
        UsageError: if a value is negative.

    >>> gini(torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 3.0, 0.0]])).tolist()
    [0.0, 0.75]
    """
    ascending = norms.double().sort(dim=-1).values
    if bool((ascending < 0).any()):
        raise UsageError(f"gini: given values down to {float(norms.min())}, expected norms, which are not negative")
    n = norms.shape[-1]
    rank = torch.arange(1, n + 1, dtype=torch.float64, device=norms.device)
    return 2 * (rank * ascending).sum(dim=-1) / (n * ascending.sum(dim=-1)) - (n + 1) / n


def _restricted_table(
    logits: Tensor, basis: FourierBasis, frequencies: Collection[int], combination: Combination
) -> Float64[Tensor, "p p"]:
    """Row s: the restricted logits of every pair with a + b = s."""
    return logits.double().mean(dim=0) + _projection_table(logits, basis, frequencies, combination)


def _projection_table(
    logits: Tensor, basis: FourierBasis, frequencies: Collection[int], combination: Combination
) -> Float64[Tensor, "p p"]:
    means = line_means(logits.double(), basis.p, combination)
    return projector(basis, frequencies).to(logits.device) @ means


def _projection(
    logits: Tensor, basis: FourierBasis, frequencies: Collection[int], combination: Combination
) -> Float64[Tensor, "pair p"]:
    table = _projection_table(logits, basis, frequencies, combination)
    return table[line_index(basis.p, combination).to(logits.device)]


def _excluded(
    logits: Tensor, labels: Tensor, removed: Float64[Tensor, "p p"], where: tuple[Combination, Int64[Tensor, " chosen"] | None]
) -> Float64[Tensor, " chosen"]:
    combination, pairs = where
    line = line_index(logits.shape[1], combination).to(logits.device)
    if pairs is not None:
        logits, labels, line = logits[pairs], labels[pairs], line[pairs]
    return cross_entropy(logits.double() - removed[line], labels)


def _loss_by_line(table: Float64[Tensor, "p p"], labels: Tensor, combination: Combination) -> Float64[Tensor, " pair"]:
    """Loss of every pair when logits depend on its line only; each (line, label) that occurs is computed once."""
    p = table.shape[1]
    cases, case = torch.unique(line_index(p, combination).to(table.device) * p + labels, return_inverse=True)
    return cross_entropy(table[cases // p], cases % p)[case]
