"""Progress measures: the loss of the circuit alone (restricted loss); that of the network without it is in `exclusion`.

The key frequencies of a run are chosen once, by one of the rules `key_frequencies_from_...`, from a named checkpoint, and are
then the same for the whole series. All measures take the logits of all inputs, in the order of the harmonics' rows and classes,
and return one value per input: the caller takes the mean over the training pairs, the test pairs or all pairs, and says which.
They hold for any harmonics: for those of a group, read "irreducible representation" for "frequency" and "isotypic part" for
"waves". Source of the measures: Nanda et al. 2023 (arXiv 2301.05217), sections 4.1 and 5.1.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from interp.cores import torch_threads
from interp.errors import UsageError, unknown
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import Harmonics, Name, line_means
from interp.losses import cross_entropy
from interp.measures.checks import check_finite, check_grid, check_logits
from interp.measures.line_waves import line_waves

Variant = Literal["nanda", "products"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)


def key_frequencies_from_matrix(
    matrix: Float[Tensor, "n rest"], *, harmonics: Harmonics, threshold: float = 0.25
) -> tuple[Name, ...]:
    """The frequencies whose norm in a matrix with residues along its first axis exceeds a share of the largest, ascending.

    The norm of frequency k is that of the (cos k, sin k) rows of ``F matrix``. With W_L this is the rule `unembedding`
    (the default), with W_E without its ``=`` row the rule `embedding`. The highest frequency floor(p/2) takes part.

    Args:
        threshold: share of the largest norm that must be exceeded.

    Raises:
        UsageError: if the matrix is not finite.

    >>> harmonics = CyclicHarmonics(7)
    >>> waves = harmonics.basis.cos(3)[:, None] + 0.1 * harmonics.basis.cos(1)[:, None]
    >>> key_frequencies_from_matrix(waves, harmonics=harmonics)
    (3,)
    """
    return tuple(harmonics.names[i] for i in _above(harmonics.norms(matrix), threshold))


def key_frequencies_from_coefficients(alpha: Float[Tensor, " frequency"], *, threshold: float = 0.25) -> tuple[int, ...]:
    """The frequencies whose `cos_coefficients` exceed a share of the largest (rule `coefficients`), ascending.

    A negative coefficient votes against the right answer, so its frequency is never key.

    >>> key_frequencies_from_coefficients(torch.tensor([4.0, 0.5, -9.0, 2.0]))
    (1, 4)
    """
    return tuple(i + 1 for i in _above(alpha, threshold))


def _above(sizes: Float[Tensor, " frequency"], threshold: float) -> list[int]:
    check_finite(sizes, "norms of the frequencies")
    return torch.nonzero((sizes > threshold * sizes.max()) & (sizes > 0)).flatten().tolist()


@torch_threads(1)
def restricted_logits(
    logits: Float[Tensor, "row n"], *, harmonics: Harmonics, keys: Collection[Name], variant: Variant = "nanda"
) -> Float64[Tensor, "row n"]:
    """The mean of each class over all rows, plus the logits' projection on the waves of the key frequencies.

    Where an answer has no row, constant and waves are fitted to the others by least squares.

    ``nanda``: the waves of the answer, for addition cos w_k(a+b) and sin w_k(a+b); ``products``: the four products of
    {cos, sin} w_k a and {cos, sin} w_k b (addition only).

    Raises:
        UsageError: if logits are not those of the harmonics' rows and classes, or a name is not one of theirs.

    >>> restricted_logits(torch.ones(25, 5), harmonics=CyclicHarmonics(5), keys=[1])[0].round(decimals=6).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    check_logits(logits, harmonics)
    if variant not in VARIANTS:
        raise unknown("variant of the restricted loss", variant, VARIANTS)
    if variant == "nanda":
        return _restricted_table(logits, harmonics, keys, None)[harmonics.line.to(logits.device)]
    if not isinstance(harmonics, CyclicHarmonics):
        raise UsageError(
            "variant 'products': given harmonics of a group, expected those of addition; only there waves of a and b multiply"
        )
    kept = _restricted_table(logits, harmonics, keys, None)
    # The waves in a + b and in a - b span the four products; the alternating wave is the same in both.
    p, difference = harmonics.n, harmonics.difference.to(logits.device)
    means = torch.zeros(p, p, dtype=torch.float64, device=logits.device).index_add_(0, difference, logits.double()) / p
    waves = harmonics.projector(set(keys) - {harmonics.basis.nyquist})
    return kept[harmonics.line.to(logits.device)] + (waves.to(logits.device) @ means)[difference]


@torch_threads(1)
def restricted_loss(
    logits: Float[Tensor, "row n"],
    labels: Int[Tensor, " row"],
    *,
    harmonics: Harmonics,
    keys: Collection[Name],
    variant: Variant = "nanda",
    means: Float64[Tensor, "n n"] | None = None,
) -> Float64[Tensor, " row"]:
    """Cross-entropy in nats of `restricted_logits`, one value per row.

    For an exact clock it equals the full loss, and with the wrong frequencies ln n. The paper takes the mean over all pairs.

    Args:
        means: `interp.harmonics.line_means` of the logits in float64, where they are at hand, to save time.

    Raises:
        UsageError: as `restricted_logits`.

    >>> from interp.synthetic import clock_logits
    >>> harmonics = CyclicHarmonics(5)
    >>> logits = clock_logits(5, [1, 2], amplitude=4.0)
    >>> full = cross_entropy(logits, harmonics.line)
    >>> torch.allclose(restricted_loss(logits, harmonics.line, harmonics=harmonics, keys=[1, 2]), full)
    True
    """
    if variant != "nanda":
        return cross_entropy(restricted_logits(logits, harmonics=harmonics, keys=keys, variant=variant), labels)
    check_logits(logits, harmonics)
    return loss_by_line(_restricted_table(logits, harmonics, keys, means), labels, harmonics.line.to(logits.device))


@torch_threads(1)
def restricted_loss_neurons(
    neurons: Float[Tensor, "row d_mlp"],
    W_L: Float[Tensor, "n d_mlp"],
    logits: Float[Tensor, "row n"],
    labels: Int[Tensor, " row"],
    *,
    harmonics: Harmonics,
    keys: Collection[Name],
) -> Float64[Tensor, " row"]:
    """Cross-entropy in nats when the NEURONS are projected on the key waves, one value per row.

    The projected neurons go through W_L; each class is then shifted so that its mean over all rows is that of the original
    logits, which stands for everything the neurons do not carry. This is the variant of TransformerLens' grokking demo, which
    takes the mean over the test pairs.

    Raises:
        UsageError: if neurons or logits are not those of the harmonics' rows and classes, or a key is not one of their names.
    """
    check_logits(logits, harmonics)
    check_grid(neurons, harmonics, "neurons")
    # Projection and W_L act on different axes: the n means of the neurons through W_L are all that is needed.
    means = line_means(neurons, harmonics).double() @ W_L.double().T
    constant, waves = line_waves(means, harmonics, keys)
    counts = torch.bincount(harmonics.line, minlength=harmonics.n).to(means)
    over_rows = counts @ torch.where(counts[:, None] > 0, means, 0) / len(harmonics.line)
    table = waves + (constant - over_rows) + logits.mean(dim=0, dtype=torch.float64)  # what neurons do not carry is the rest
    return loss_by_line(table, labels, harmonics.line.to(logits.device))


def gini(norms: Float[Tensor, "*batch n"]) -> Float64[Tensor, "*batch"]:
    """Gini coefficient along the last axis, ``2 sum_i i c_(i) / (n sum c) - (n+1)/n`` with c ascending.

    0 for equal values, 1 - 1/n for a single nonzero value; NaN if all are zero or any is NaN. The paper's measure takes the
    norms of the p Fourier rows of W_E (``basis.row_norms(W_E)``, without its ``=`` row) or of W_L.

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
    logits: Tensor, harmonics: Harmonics, keys: Collection[Name], means: Tensor | None
) -> Float64[Tensor, "n n"]:
    """The restricted logits of every row whose answer is s, as row s."""
    means = line_means(logits, harmonics, dtype=torch.float64) if means is None else means
    constant, waves = line_waves(means, harmonics, keys)
    return constant + waves


def loss_by_line(
    table: Float64[Tensor, "n n"], labels: Int[Tensor, " row"], line: Int[Tensor, " row"]
) -> Float64[Tensor, " row"]:
    """Loss of every row when logits depend only on its line; each (line, label) that occurs is computed once."""
    n = table.shape[1]
    if torch.equal(labels, line):  # as they are, unless a measure is asked about other labels
        return cross_entropy(table, torch.arange(n, device=table.device))[line]
    cases, case = torch.unique(line * n + labels, return_inverse=True)
    return cross_entropy(table[cases // n], cases % n)[case]
