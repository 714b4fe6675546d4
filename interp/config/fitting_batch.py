"""The batch of a recipe or file beside another task or split: its own size, or half of the training set if that is less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from interp.config.run_config import RunConfig
from interp.tasks.pair_blocks import APART

# With the size itself, help shows the base's own.
_FLAGS, _HELP = ("--optimizer.batch-size", "--optimizer.batch_size"), ("-h", "--help")


def gives_batch(flags: Sequence[str]) -> bool:
    """Whether words of the command line give a batch, or ask which there is.

    >>> [gives_batch([word]) for word in ("--optimizer.batch-size=8", "--help", "--optimizer.lr")]
    [True, True, False]
    """
    return any(word.partition("=")[0] in (*_FLAGS, *_HELP) for word in flags)


def open_to_changes(base: RunConfig, *, given: bool) -> RunConfig:
    """What changes begin with: on the full batch, which fits whatever task and split they put in, unless a batch is given."""
    return base if given else replace(base, optimizer=replace(base.optimizer, batch_size=None))


def with_fitting_batch(asked: RunConfig, *, base: RunConfig, given: bool) -> RunConfig:
    """What was asked for beside a base, with the base's batch: of its size, or where the task or the split is another, half of
    what is trained on, if that is less.

    Args:
        asked: what changes made of `open_to_changes` of the base.
        base: a recipe, or what a file has.
        given: whether a batch was given beside it, which is taken at its word.

    >>> from interp.config.recipes import recipe
    >>> from interp.tasks.modular import ModularTask
    >>> power = recipe("power")
    >>> asked = [replace(open_to_changes(power, given=False), task=ModularTask(p)) for p in (97, 7)]
    >>> [with_fitting_batch(one, base=power, given=False).optimizer.batch_size for one in asked]
    [512, 12]
    """
    size = base.optimizer.batch_size
    if size is None or given:
        return asked
    if (asked.task, asked.split) != (base.task, base.split):
        size = min(size, max(1, _trained_on(asked) // 2))
    return replace(asked, optimizer=replace(asked.optimizer, batch_size=size))


def _trained_on(config: RunConfig) -> int:
    """How many inputs are trained on; of whole blocks it is known once they are drawn."""
    if config.split.blocks in ("", APART):
        return config.split.count_of(config.task)
    return len(config.split.draw(config.task).train)
