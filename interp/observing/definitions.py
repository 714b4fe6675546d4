"""What a definition of a measure is: its formula, what it is evaluated on, where it comes from. Report and docs both print these.

Analyses bring those of what they measure; here are those of a run as a whole. Formulas are in a plain notation
that can be read as it stands: `w_k` and `c_(i)` have an index, `p^2` a power, a longer one stands in braces
(`e^{2 pi i j k / p}`); `sum_k`, `mean_l`, `max_k` run over what is below them; `|| x ||` is a norm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Source:
    """A publication, and the place in it."""

    paper: str
    url: str
    place: str


@dataclass(frozen=True)
class Definition:
    """What a measure is.

    Args:
        name: its page in docs/measures, and its place in a report.
        title: its name in words.
        what: one sentence.
        formula: lines of two columns: what is defined, and as what.
        on: what it is evaluated on.
        source: its origin; None for this toolkit's own.
        waves: whether it is made of the waves of the answers, and has no meaning where a task has none.
        otherwise: what is then said in its place; nothing by default.
        of_addition: whether it is worded for addition modulo n. Of a group that is not cyclic `IN_GROUPS` has what is said in the
            place of built-in ones, nothing of others.

    >>> mean = Definition("mean-logit", "Mean logit", "The mean of all logits.", (("m =", "mean l_{abc}"),), "all pairs")
    >>> mean.for_task(has_waves=False) is mean
    True
    """

    name: str
    title: str
    what: str
    formula: tuple[tuple[str, str], ...]
    on: str
    source: Source | None = None
    waves: bool = False
    otherwise: Definition | None = None
    of_addition: bool = False

    def __repr__(self) -> str:
        return f"Definition({self.name!r}: {self.title})"

    def for_task(self, *, has_waves: bool, has_representations: bool = False) -> Definition | None:
        """What is said of a task whose answers have waves, or have none; or representations in the place of frequencies."""
        if self.waves and not has_waves:
            return self.otherwise
        return IN_GROUPS.get(self.name) if self.of_addition and has_representations else self


_PHASES = Definition(
    "phases", "Phases and outcome",
    "When a run memorized, cleaned up, grokked and settled, each with the interval in which that can "
    "have been.",
    (
        ("memorized", "first step with train accuracy >= 0.99 for good"),
        (
            "cleanup",
            "test loss <= half its plateau maximum for good; the plateau goes from where memorized was first reached to where "
            "grokked was, or the end, without dips of train accuracy; none if the loss halves only after that",
        ),
        ("grokked", "test accuracy >= 0.99 for good; called so where the outcome is grokking"),
        (
            "settled",
            "over the last tenth of all steps test accuracy >= 0.99 throughout and the sum of squared weights fell by < 1 %",
        ),
        (
            "first reached",
            "the same steps without \"for good\", for cleanup after the plateau's maximum; between the two lie dips, counted and "
            "dated, which are loss spikes where the train loss spikes; one evaluation alone beyond half way to a level, two "
            "after it far from that, is stray and reaches nothing",
        ),
        (
            "outcome",
            "grokking if train and test accuracy passed 0.9 at least 1,000 steps apart, comprehension if fewer, memorization "
            "if train alone did, confusion if neither; unknown if the history begins too late to tell, is one step, or has steps "
            "so far apart that both of the first two fit between them",
        ),
    ),
    "the run's history at every evaluated step",
    Source("Liu et al. 2022", "https://arxiv.org/abs/2205.10343", "for the outcome; the rules are this toolkit's own"),
)  # fmt: skip

# The same where the beginning of a circuit can be seen, which is in waves alone.
PHASES = replace(
    _PHASES,
    what=_PHASES.what.replace("memorized, ", "memorized, began its circuit, "),
    formula=(
        _PHASES.formula[0],
        (
            "onset",
            "minimum of the excluded loss after the train loss has fallen to a tenth and memorized was first reached, and before "
            "cleanup was; none unless it ends above ten times that minimum and a tenth of its first value",
        ),
        *_PHASES.formula[1:],
    ),
    on=f"{_PHASES.on}, and the excluded loss at the checkpoints",
    waves=True,
    otherwise=_PHASES,
)

GROUPS = Definition(
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
    waves=True,
    of_addition=True,
)  # fmt: skip

# Those that belong to no analysis.
OF_RUNS = (PHASES, GROUPS)

_NANDA = ("Nanda et al. 2023", "https://arxiv.org/abs/2301.05217")
_WITH_PARTS = "with representations in the place of frequencies"
_IN_GROUPS = (
    Definition(
        "restricted-loss", "Restricted loss",
        "Loss of the network when only those parts of its logits are kept that belong to the key representations of the group: "
        "how well the circuit alone would do.",
        (
            ("M[s, c] =", "mean of the logit of c over the pairs (a, b) with answer s"),
            ("P_rho[s, t] =", "d / n chi_rho(s t^{-1}), two complex conjugates added; n elements, dimension d, character chi"),
            (
                "restricted logits of (a, b) =",
                "mean of each class over all n^2 pairs + sum_{key rho} row s of P_rho M,  s the answer to (a, b)",
            ),
            ("restricted loss =", "cross-entropy of these"),
        ),
        "all n^2 pairs (default), the training or the test pairs: mean over the pairs",
        Source(*_NANDA, f"section 5.1, {_WITH_PARTS}"),
        waves=True,
    ),
    Definition(
        "excluded-loss", "Excluded loss",
        "Loss on the training pairs when the parts of the logits that belong to the key representations are taken out: how well "
        "memory alone would do.",
        (
            ("excluded logits of (a, b) =", "logits - sum_{key rho} row s of P_rho M,  with P_rho, M, s of the restricted loss"),
            ("excluded loss =", "cross-entropy of these"),
        ),
        "the training pairs: mean over them; M is that of all n^2 pairs",
        Source(*_NANDA, f"section 5.1, {_WITH_PARTS}"),
        waves=True,
    ),
    Definition(
        "key-frequencies", "Key representations",
        "The few irreducible representations rho that a circuit uses, chosen once per run by a named rule and then fixed for the "
        "whole series.",
        (
            ("unembedding (default)", "|| P_rho W_L || > 1/4 of the largest;  P_rho as in the restricted loss"),
            ("embedding", "the same of W_E (without the row of =)"),
            ("logits (default of networks of other kinds)", "the same of M, the mean logits for each answer"),
        ),
        "one reference checkpoint, by default the last; all representations but the trivial one",
        Source(*_NANDA, f"section 4.1, {_WITH_PARTS}"),
        waves=True,
    ),
    Definition(
        "heads", "Attention heads",
        "How much each head attends to a, as a function of (a, b), and on average.",
        (("mean attention =", "mean over (a, b) of the attention from the last position"),),
        "the attention from the last position to a, over all pairs",
        Source(*_NANDA, "section 4.2"),
        waves=True,
    ),
    Definition(
        "pair-dates", "Dates of single pairs",
        "When each pair is first right and from when on for good, and the medians of classes of pairs.",
        (
            ("first =", "first checkpoint at which the largest logit is that of the right answer"),
            ("for good =", "first checkpoint from which it is at all later ones; none for a pair that is wrong at the last"),
            ("median of a class =", "of its dates, pairs without one counted as later than all others"),
            ("seen alike =", "number of training pairs with the same a, b or answer, the pair itself left out"),
        ),
        "all inputs that have an answer, at the checkpoints that there are, between which nothing is known; answers of unseen "
        "pairs are looked at",
    ),
)  # fmt: skip
# Definitions that are worded for addition, as they are in a group that is not cyclic; others of them have no meaning there.
IN_GROUPS = {one.name: one for one in _IN_GROUPS}
