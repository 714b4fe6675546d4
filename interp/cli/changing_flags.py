"""Flags for changes while a run trains, in `interp train` and `interp fork`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from interp.config.run_config import RunConfig
from interp.errors import UsageError

_KEYS_OF = re.compile("(?:frequencies=)?key:(.+)")


@dataclass(frozen=True)
class ChangeFlags:
    """What is changed while the run trains, besides the configuration's `changes`; see docs/experiments/changes.md.

    Args:
        change: FROM:WHAT=VALUE, such as 1500:optimizer.weight-decay=0, memorized:norm=1.15 or 500:ablate.logits=key:RUN; may be
            repeated.
        clamp_norm: RHO, or RHO*W: after every update the norm of all weights is scaled to RHO times that at --from, or to
            RHO times W.
        ablate: frequencies that are taken out: a list such as 5,9; keys (those at --from); newest (at every evaluation those
            that stand out then, besides those before); key:RUN (those of another run); or random/NUMBER/SEED, a control.
        at: where they are taken out.
        from_when: a step, memorized or grokked: when --clamp-norm and --ablate begin (default: at the beginning).
    """

    change: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="CHANGE")] = ()
    clamp_norm: Annotated[str | None, tyro.conf.arg(metavar="RHO")] = None
    ablate: Annotated[str | None, tyro.conf.arg(metavar="FREQUENCIES")] = None
    at: Literal["logits", "embedding", "neurons"] = "logits"
    from_when: Annotated[str | None, tyro.conf.arg(name="from", metavar="STEP|PHASE")] = None


NO_CHANGES = ChangeFlags()


def with_changes(config: RunConfig, flags: ChangeFlags, *, root: Path, first: int = 0) -> RunConfig:
    """The configuration with the changes that flags ask for.

    Args:
        config: what it is added to.
        flags: what is asked for.
        root: where a run lies whose key frequencies are taken.
        first: the step at which the run begins.

    Raises:
        UsageError: for a change that cannot be, or a flag without effect.
    """
    texts, when = list(flags.change), str(first) if flags.from_when is None else flags.from_when
    if flags.clamp_norm is not None:
        texts.append(f"{when}:norm={flags.clamp_norm}")
    if flags.ablate is not None:
        texts.append(f"{when}:ablate.{flags.at}={flags.ablate}")
    if flags.from_when is not None and flags.clamp_norm is None and flags.ablate is None:
        raise UsageError(f"--from: given {flags.from_when} without --clamp-norm or --ablate, of which it is the beginning")
    if flags.at != NO_CHANGES.at and flags.ablate is None:
        raise UsageError(f"--at: given {flags.at} without --ablate, of which it is the place")
    if not texts:
        return config
    return replace(config, changes=(*config.changes, *(_with_keys(text, root) for text in texts)))


def _with_keys(text: str, root: Path) -> str:
    """A change in which the key frequencies of another run stand as a list."""
    before, equals, value = text.partition("=")
    found = _KEYS_OF.fullmatch(value.strip())
    if found is None or ":ablate." not in before:
        return text
    from interp.cli.arguments import find_run
    from interp.observing.keys import key_frequencies

    run = find_run(Path(found[1]), root)
    keys = key_frequencies(run[run.steps[-1]].weights, task=run.task)
    if not keys:
        raise UsageError(f"changes: given {text!r}, but run {run.path} has no key frequencies")
    return f"{before}{equals}{','.join(map(str, keys))}"
