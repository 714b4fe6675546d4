"""The definition of every measure: its formula, what it is evaluated on, where it comes from. Report and docs both print these.

Formulas are in a plain notation that can be read as it stands: `w_k` and `c_(i)` have an index, `p^2` a power, a longer one
stands in braces (`e^{2 pi i j k / p}`); `sum_k`, `mean_l`, `max_k` run over what is below them; `|| x ||` is a norm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A publication, and the place in it."""

    paper: str
    url: str
    place: str


def _nanda(place: str) -> Source:
    return Source("Nanda et al. 2023", "https://arxiv.org/abs/2301.05217", place)


def _zhong(place: str) -> Source:
    return Source("Zhong et al. 2023", "https://arxiv.org/abs/2306.17844", place)


@dataclass(frozen=True)
class Definition:
    """What a measure is.

    Args:
        name: its page in docs/measures, and its place in a report.
        title: its name in words.
        what: one sentence.
        formula: lines of two columns: what is defined, and as what.
        on: what it is evaluated on.
        source: whence; None for what is this toolkit's own.
    """

    name: str
    title: str
    what: str
    formula: tuple[tuple[str, str], ...]
    on: str
    source: Source | None = None


_ALL = (
    Definition(
        "loss", "Loss and accuracy",
        "Cross-entropy of the right answer in nats, and the share of pairs whose largest logit is the right one.",
        (
            ("loss(a, b) =", "softplus( logsumexp_{j != y} l_j - l_y ),  y = the right answer, l_j = logit of class j"),
            ("accuracy =", "share of pairs whose largest logit is l_y"),
        ),
        "the training pairs and the test pairs, each by themselves: mean over the pairs",
    ),
    Definition(
        "restricted-loss", "Restricted loss",
        "Loss of the network when only the key frequencies of its logits are kept: how well the circuit alone would do.",
        (
            (
                "restricted logits =",
                "mean of each class over all p^2 pairs + sum_{key k} projections of the logits on cos w_k(a+b) and sin w_k(a+b)",
            ),
            ("restricted loss =", "cross-entropy of these"),
        ),
        "all p^2 pairs (default), the training or the test pairs: mean over the pairs",
        _nanda("section 5.1"),
    ),
    Definition(
        "excluded-loss", "Excluded loss",
        "Loss on the training pairs when the key frequencies are taken out of the logits: how well memory alone would do.",
        (
            ("excluded logits =", "logits - sum_{key k} their projections on cos w_k(a+b) and sin w_k(a+b)"),
            ("excluded loss =", "cross-entropy of these"),
        ),
        "the training pairs: mean over them; the projection is fitted on all p^2 pairs",
        _nanda("section 5.1"),
    ),
    Definition(
        "key-frequencies", "Key frequencies",
        "The few frequencies k that a circuit uses, chosen once per run by a named rule and then fixed for the whole series.",
        (
            ("unembedding (default)", "|| rows cos k, sin k of F W_L || > 1/4 of the largest"),
            ("embedding", "the same of F W_E (without the row of =)"),
            ("neurons", "frequencies that have a cluster of neurons"),
            ("coefficients", "alpha_k > 1/4 of the largest alpha"),
        ),
        "one reference checkpoint, by default the last; k = 1 to floor(p/2)",
        _nanda("section 4.1"),
    ),
    Definition(
        "gini", "Gini coefficient",
        "How unequal the p Fourier norms of W_E or W_L are: 0 if all are equal, 1 - 1/p if there is only one.",
        (("G(c) =", "2 sum_i i c_(i) / (N sum_i c_i) - (N + 1)/N,  c_(1) <= ... <= c_(N)"),),
        "the norms c of the N = p rows of F W_E (over d_model, the row of = left out) or of F W_L (over the neurons)",
        _nanda("section 5.1"),
    ),
    Definition(
        "lead-time", "Lead time",
        "How many steps before the test accuracy the restricted loss moved.",
        (
            ("restricted =", "first step from which the restricted loss is at most half its first value, for good"),
            ("accuracy =", "first step from which test accuracy is at least 1/2, for good"),
            ("lead =", "accuracy - restricted; its interval from both boundaries' intervals"),
        ),
        "the restricted loss at the checkpoints (all pairs), and test accuracy at every evaluated step",
    ),
    Definition(
        "embedding-spectrum", "Spectrum and circles of the embedding",
        "Norms of the Fourier components of W_E (or W_L) over the residues, and where the residues lie in the plane of one "
        "frequency.",
        (
            ("row i:", "|| (F W)_i ||"),
            ("frequency k:", "sqrt( || row cos k ||^2 + || row sin k ||^2 )"),
            ("circle of k:", "W_E projected on the unit directions of its own cos k and sin k rows"),
        ),
        "W = W_E without the row of = (norms over d_model), or W = W_L (norms over the neurons)",
        _nanda("section 4.1"),
    ),
    Definition(
        "logit-spectrum", "Spectrum of the logits",
        "Norm over the classes of each of the p x p two-dimensional waves of the logits, as functions of a and b.",
        (
            ("norm_{ij} =", "|| (F L_c F^T)_{ij} || over c,  L_c[a, b] = logit of class c"),
            ("share =", "norm^2 / sum of all but the constant"),
        ),
        "the logits of all p^2 pairs",
        _nanda("section 4.1"),
    ),
    Definition(
        "cosine-fit", "The clock's formula in the logits",
        "How much of the logits is sum_k alpha_k cos w_k(a + b - c), and the loss of that formula alone.",
        (
            ("alpha_k =", "< logits, unit cube cos w_k(a+b-c) >,  its norm taken over all (a, b, c)"),
            ("FVE =", "sum_{key k} alpha_k^2 / sum_{a, b, c} (logits - their mean over c)^2"),
            ("loss =", "cross-entropy of sum_{key k} alpha_k cube_k"),
        ),
        "the logits of all p^2 pairs, centred over the classes; the figure over time takes all k, not the key ones alone",
        _nanda("section 4.1"),
    ),
    Definition(
        "neurons", "Neurons, their frequencies and clusters",
        "The frequency each neuron follows, the share of its variance there, and its fit by waves of that one frequency.",
        (
            (
                "share of k =",
                "energy in the 8 waves {1, C_k, S_k}(a) x {1, C_k, S_k}(b) without the constant / energy about the neuron's mean",
            ),
            ("frequency =", "the k of the largest share; in its cluster if that share > 0.85"),
            ("fit =", "mean + projection on these eight waves (or on cos, sin w_k(a+b) only)"),
        ),
        "every neuron's activation (after the non-linearity) over all p^2 pairs",
        _nanda("section 4.2"),
    ),
    Definition(
        "neuron-logit-map", "The neuron-logit map W_L",
        "How the logits read the neurons: the share of W_L in its key directions, and what the neurons compute along each "
        "of them.",
        (
            ("W_L =", "W_U^T W_out^T  (p, d_mlp)"),
            ("residual =", "1 - || key rows of F W_L ||^2 / || W_L ||^2"),
            ("u_k, v_k =", "rows cos k and sin k of F W_L"),
            (
                "FVE =",
                "share of the variance of u_k . MLP(a, b) explained by cos w_k(a+b) alone; of v_k . MLP(a, b) by sin w_k(a+b)",
            ),
        ),
        "the weights; MLP(a, b) = the neurons' activations over all p^2 pairs",
        _nanda("section 4.1 and table 1"),
    ),
    Definition(
        "heads", "Attention heads",
        "How the attention of each head varies with (a, b): its mean, the single frequency that explains most of it, and "
        "how much.",
        (
            ("frequency =", "the k with the largest share of the attention's variance in the 8 waves of degree 2 of k"),
            ("FVE =", "that share"),
        ),
        "the attention from the last position to a, to b and to =, over all p^2 pairs",
        _nanda("section 4.2 and appendix C.1"),
    ),
    Definition(
        "algorithm", "Clock, pizza or neither",
        "A verdict from the measures of Zhong et al., with the evidence, and the step since which a run has deserved it.",
        (
            ("not generalizing", "fewer than 99 % of all pairs answered"),
            ("pizza", "distance irrelevance < 0.4"),
            ("clock", "distance irrelevance >= 0.4 and gradient symmetricity <= 0.98"),
            ("neither", "both high"),
        ),
        "each checkpoint by itself, over all p^2 pairs",
        _zhong("section 4"),
    ),
    Definition(
        "gradient-symmetricity", "Gradient symmetricity",
        "Whether a and b enter the network in the same way: the cosine between the gradients of a logit with respect to the "
        "two embeddings.",
        (("S =", "mean_{(a, b, c)} cos( dQ_{abc} / dE_a , dQ_{abc} / dE_b ),  Q_{abc} = logit of c on input (a, b)"),),
        "100 triples (a, b, c): the first of all p^3 in order, shuffled by Python's random.Random(42), as the authors draw them",
        _zhong("section 4"),
    ),
    Definition(
        "distance-irrelevance", "Distance irrelevance",
        "How little the logit of the answer depends on the distance b - a.",
        (
            ("L_{ij} =", "logit of the correct answer on (i, j); for the runner-up, that of the best wrong answer"),
            ("D =", "mean_d ( std_i L_{i, i+d} ) / std_{i, j} L_{ij}"),
        ),
        "the logits of all p^2 pairs",
        _zhong("section 4"),
    ),
    Definition(
        "circularity", "Circularity",
        "Whether the first four principal components of the embedding are waves of a single frequency each; circular if at "
        "least 0.995.",
        (
            (
                "circularity =",
                "mean_{l = 1..4} max_k 2 / (p sum_j v_{lj}^2) | sum_j v_{lj} e^{2 pi i j k / p} |^2,  "
                "v_l = principal components of W_E",
            ),
        ),
        "the rows of W_E that belong to residues",
        _zhong("section 4"),
    ),
    Definition(
        "formulas", "Clock and pizza formulas",
        "How much of the logits (centred over the classes) each ideal formula explains, for all key frequencies "
        "together and for one at a time.",
        (
            ("clock", "cos w_k(a + b - c)"),
            ("pizza", "| cos( w_k (a - b) / 2 ) | cos w_k(a + b - c)"),
        ),
        "the logits of all p^2 pairs, centred over the classes: share of their variance that the formula explains",
        _zhong("section 4"),
    ),
    Definition(
        "memorizer-or-generalizer", "Memorizer or generalizer",
        "A verdict from one checkpoint that uses no test label: generalizer, memorizer, between, or untrained.",
        (
            (
                "agreement =",
                "cosine of the centred logits on unseen pairs with what the training pairs predict for them: the mean of their "
                "logits with the same a - b and a + b - c",
            ),
            (
                "loss of unseen =",
                "loss of the training pairs when the logits of each sum a + b are replaced by the key waves of the unseen pairs' "
                "mean logits, over ln p (1 is chance)",
            ),
            ("concentration =", "Gini coefficient of the rows of F W_L"),
            (
                "generalizer",
                "99 % of the training pairs answered, agreement >= 0.95, and neither loss >= 0.5 nor concentration <= 0.15",
            ),
            (
                "memorizer",
                "99 % of the training pairs answered, agreement <= 0.1, and neither loss <= 0.01 nor concentration >= 0.5",
            ),
        ),
        "each checkpoint by itself, with the training pairs known; no test label is looked at",
    ),
    Definition(
        "sum-of-squares", "Sum of squared weights",
        "Sum of squares per tensor and in total, accumulated in float64.",
        (("sum of squares =", "sum_i w_i^2 over all entries"),),
        "each weight tensor, and all of them together",
        _nanda("section 5.1"),
    ),
    Definition(
        "health", "Numerical health",
        "Whether the numbers that conclusions rest on are still numbers; spikes, collapsed losses, Adam's epsilon.",
        (
            ("collapsed", "an ordinary float32 cross-entropy of the pair is exactly 0"),
            ("spike", "train loss above 10 times the median of the preceding 25 measurements"),
            ("gradient ratio", "|| gradient || / || weights ||, per tensor and in all"),
            ("epsilon share", "share of the weights with sqrt( v / (1 - beta_2^step) ) < epsilon in Adam"),
        ),
        "the logits of the training and the test pairs; the train loss at every evaluated step; Adam's state at the checkpoint",
        Source("Prieto et al. 2025", "https://arxiv.org/abs/2501.04697", "for the collapse"),
    ),
    Definition(
        "phases", "Phases and outcome",
        "When a run memorized, began its circuit, cleaned up, grokked and settled, each with the interval in which that can "
        "have been.",
        (
            ("memorized", "first step with train accuracy >= 0.99 for good"),
            (
                "onset",
                "minimum of the excluded loss after the train loss has fallen to a tenth; none unless it then rises above ten "
                "times that minimum and a tenth of its first value",
            ),
            ("cleanup", "test loss <= half its plateau maximum for good"),
            ("grokked", "test accuracy >= 0.99 for good; called so where the outcome is grokking"),
            (
                "settled",
                "over the last tenth of all steps test accuracy >= 0.99 throughout and the sum of squared weights fell by < 1 %",
            ),
            (
                "outcome",
                "grokking if train and test accuracy passed 0.9 at least 1,000 steps apart, comprehension if fewer, memorization "
                "if train alone did, confusion if neither; unknown if the history begins too late to tell",
            ),
        ),
        "the run's history at every evaluated step, and the excluded loss at the checkpoints",
        Source("Liu et al. 2022", "https://arxiv.org/abs/2205.10343", "for the outcome; the rules are this toolkit's own"),
    ),
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
        _nanda("section 4.4"),
    ),
    Definition(
        "groups", "Other operations and moduli",
        "How subtraction and multiplication are read as addition, so that every measure of waves applies to them.",
        (
            ("subtract", "b is replaced by -b"),
            (
                "multiply, p prime",
                "a = g^i, b = g^j: a b = g^{i+j}; waves over exponents, modulo p - 1 (multiplicative characters)",
            ),
            ("multiply, p composite", "no such reordering: pairs of units and pairs with a zero divisor are told apart"),
            ("a^2 + ab + b^2", "none"),
            ("even p", "the highest frequency p/2 alternates, has no sine, and counts once"),
        ),
        "tokens and classes, before any measure of waves is taken",
    ),
)  # fmt: skip

DEFINITIONS: Mapping[str, Definition] = {one.name: one for one in _ALL}
