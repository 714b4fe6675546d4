"""Recipes: named, complete configurations, each with what to expect of it."""

from __future__ import annotations

from collections.abc import Callable

from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig, RunConfig
from interp.errors import unknown
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig


def _demo() -> RunConfig:
    """p = 59 with 40 % of all pairs, weight decay 2: a clear plateau, then grokking, in well under a minute.

    To expect, over seeds 0 to 9: memorized (train accuracy 99 %) at step 112 to 125; grokked (test accuracy 99 % for good) at
    step 1,425 to 3,025, all ten of them; settled at 2,925 to 5,850 with a test loss below 1e-2 (below 1e-5 but for one, which
    ends in a spike). With seed 0 test accuracy stays under 15 % until step 1,575. Another processor or version, by rounding,
    moves all but the first.
    """
    return RunConfig(
        recipe="demo",
        task=ModularTask(p=59),
        split=SplitConfig(rule="torch", seed=0, fraction=0.4),
        model=ModelConfig(d_mlp=256),
        optimizer=OptimizerConfig(weight_decay=2.0),
        checkpoints=CheckpointConfig(log=30, every=50),
        steps=12_000,
        until_settled=True,
    )


def _nanda() -> RunConfig:
    """The mainline model of Nanda et al. 2023: p = 113, 30 % of pairs, official split rule, 114 classes, biases in the MLP.

    To expect with seed 0, one thread: memorized at step 149; restricted loss halved at 1,400; grokked at 6,850, settled at
    11,325; at 15,000 train loss 1.0e-7, every test pair right, key frequencies 13, 14, 25, 35. Another processor or
    version, by rounding, moves all but the first.
    """
    return RunConfig(
        recipe="nanda",
        split=SplitConfig(rule="python", seed=0, fraction=0.3),
        model=ModelConfig(equals_class=True),
        optimizer=OptimizerConfig(warmup_steps=10),
        steps=15_000,
    )


def _transformer_lens() -> RunConfig:
    """The run of TransformerLens' grokking demo: p = 113, its split, its initialisation, no biases, 25,000 updates.

    To expect: initial losses 4.735 (train) and 4.733 (test), as published; the demo's own run grokked at about step 14,000, and
    by seed at 13,000 to 27,000. (Its weights were drawn by a GPU's generator: expect its shape, not its digits.)
    """
    return RunConfig(
        recipe="transformer-lens",
        split=SplitConfig(rule="torch", seed=598, fraction=0.3),
        model=ModelConfig(biases="none", init="transformer-lens"),
        seed=999,
        steps=25_000,
    )


def _pizza() -> RunConfig:
    """The clock-and-pizza paper's setting (Zhong et al. 2023): p = 59, 80 % of pairs, no `=`, weight decay 2, 20,000 updates.

    Constant attention (attention_rate 0) makes a pizza, like the paper's Model A; `--model.attention-rate 1` makes a clock,
    like its Model B. To expect with seed 2 and one thread: gradient symmetricity 0.992 and 0.354, distance irrelevance 0.205 and
    0.794; both generalize by step 325. Of seeds 0 to 7 with constant attention four are pizzas by step 3,000 (2, 4, 6, 7); in the
    others several pizzas make up for each other, and the verdict is neither.
    """
    return RunConfig(
        recipe="pizza",
        task=ModularTask(p=59, equals_sign=False),
        split=SplitConfig(rule="torch", seed=0, fraction=0.8),
        model=ModelConfig(attention_rate=0.0),
        optimizer=OptimizerConfig(weight_decay=2.0, warmup_steps=10),
        seed=2,
        steps=20_000,
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {
    "demo": _demo,
    "nanda": _nanda,
    "transformer-lens": _transformer_lens,
    "pizza": _pizza,
}


def recipe(name: str) -> RunConfig:
    """A named, complete RunConfig: `demo`, `nanda`, `transformer-lens` or `pizza`.

    >>> recipe("nanda").task.p
    113
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]()
