"""Recipes: named, complete configurations, each with what to expect of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig, RunConfig
from interp.errors import UsageError, unknown
from interp.tasks import named
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig


def _demo() -> RunConfig:
    """p = 59 with 40 % of all pairs, weight decay 2: a clear plateau, then grokking, in well under a minute.

    To expect, over seeds 0 to 9: memorized (train accuracy 99 %) at step 112 to 125; grokked (test accuracy 99 % for good) at
    step 1,425 to 3,025, all ten of them; settled at 2,925 to 5,850 with a test loss below 1e-2 (below 1e-4 in all twenty
    runs of docs/expected.md). With seed 0 test accuracy stays under 15 % until step 1,575. Another processor, version or number
    of threads, by rounding, moves all but the first: docs/expected.md has what was seen where.
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

    To expect with seed 0, one thread: memorized at step 149; restricted loss halved at 1,200; grokked at 7,025, settled at
    10,950; at 15,000 train loss 1.1e-7, every test pair right, key frequencies 4, 13, 16, 25, 35. Another processor, version or
    number of threads, by rounding, moves all but the first (grokked at 6,400 to 7,025 so far), and which frequencies win.
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


def _power() -> RunConfig:
    """The network of Power et al. 2022 (arXiv 2201.02177), on division modulo 97, half of all pairs, in batches of at most 512.

    From the paper: a decoder-only transformer with causal attention, 2 layers of width 128 and 4 heads; AdamW with learning rate
    1e-3, weight decay 1, betas 0.9 and 0.98, a linear warm-up over 10 updates, and batches of 512 or half of the training
    set, whichever is less. Chosen here: LayerNorm after each sum, learnt positions, 512 neurons, no biases, the initial weights,
    batches that go through the training set in a new order each epoch.

    To expect, over seeds 0 to 4, one thread, evaluated every 25 steps: train accuracy 99 % first at step 650 to 700, test
    accuracy at 1,775 to 2,150, with dips until the end (the last evaluation below 99 % is at 3,550 to 4,975); test losses of
    0.001 to 0.07 at step 5,000, as batches leave noise. The polynomial x^3 + x y^2 + y (`--task "x^3+xy^2+y mod 97"`), which the
    paper did not see generalize, is memorized at step 450, and test accuracy is never above 1.3 % until step 10,000 (seed 0).
    """
    task, split = named.task("x/y mod 97"), SplitConfig(rule="torch", seed=0, fraction=0.5)
    return RunConfig(
        recipe="power",
        task=task,
        split=split,
        model=ModelConfig(n_layers=2, normalization="post", biases="none"),
        optimizer=OptimizerConfig(warmup_steps=10, batch_size=min(512, split.count_of(task) // 2)),
        steps=5_000,
    )


def _s5() -> RunConfig:
    """One layer on the symmetric group of five elements: 120 permutations, half of the 14,400 products, pre-LayerNorm, batches.

    To expect, over seeds 0 to 4, one thread, evaluated every 100 steps: train accuracy 99 % first at step 1,200, test accuracy
    at 2,600 to 4,700, by 6,000 for good; test losses of 5e-7 to 2e-4 at step 10,000. One to three representations, among them
    always one of the two of dimension 4, (4,1) and (2,1,1,1), then make the logits: restricted loss has the size of the test
    loss, excluded loss is 4.3 to 4.8, that of guessing being ln 120 = 4.8.
    With 30 or 10 % of the products the same network memorizes and no more (seed 0, 10,000 and 8,000 steps), with weight decay 3
    too; so does the full batch without LayerNorm, with 10, 40 and 50 % (10,000, 10,000 and 6,000 steps). With weight decay 3 that
    groks with 60 % of them, at step 1,600, but not with 40 or 10 %, nor with 10 % by weight decay 10 or three times the learning
    rate (15,000, 20,000, 10,000 and 20,000 steps). (Published, of a one-layer transformer with 10 %: 4,380 steps, 3,820 to 5,040,
    arXiv 2604.13123, whose further settings we do not know: what we see with half of them.)
    """
    return RunConfig(
        recipe="s5",
        task=named.task("S5"),
        split=SplitConfig(rule="torch", seed=0, fraction=0.5),
        model=ModelConfig(normalization="pre"),
        optimizer=OptimizerConfig(warmup_steps=10, batch_size=512),
        steps=10_000,
        evaluate_every=100,
    )


def _mlp() -> RunConfig:
    """An MLP on both numbers one-hot, with the activation x^2 (Gromov 2023, arXiv 2301.02679): p = 59, 40 % of all pairs."""
    return RunConfig(
        recipe="mlp",
        task=ModularTask(p=59),
        split=SplitConfig(rule="torch", seed=0, fraction=0.4),
        model=ModelConfig(architecture="mlp", d_mlp=256, activation="square", biases="none"),
        checkpoints=CheckpointConfig(log=30, every=50),
        steps=4_000,
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {
    "demo": _demo,
    "nanda": _nanda,
    "transformer-lens": _transformer_lens,
    "pizza": _pizza,
    "power": _power,
    "s5": _s5,
    "mlp": _mlp,
}


def recipes() -> dict[str, str]:
    """Every recipe's name, and what it is in a line.

    >>> list(recipes())
    ['demo', 'nanda', 'transformer-lens', 'pizza', 'power', 's5', 'mlp']
    """
    return {name: (make.__doc__ or "").partition("\n")[0].rstrip(".") for name, make in RECIPES.items()}


def recipe(name: str) -> RunConfig:
    """A named, complete RunConfig; `recipes` says which there are.

    >>> recipe("nanda").task.p
    113
    """
    if Path(str(name)).suffix in (".yaml", ".yml"):
        raise UsageError(f"{name}: YAML is not read; write it as .toml or .json, with the same fields")
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]()
