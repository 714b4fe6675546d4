"""Commands that change a cause: fork."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from interp.bars import counted_progress
from interp.cli.arguments import ROOT, Force, Lock, RunPath, find_run
from interp.cli.changing_flags import NO_CHANGES, ChangeFlags, with_changes
from interp.cli.printing import print_summary
from interp.cli.task_flags import with_fields_of_task, with_named_task
from interp.config.run_config import RunConfig
from interp.errors import UsageError

if TYPE_CHECKING:
    from interp.store.run import Run

_PLACE = "--root"


@dataclass(frozen=True, kw_only=True)
class Fork:
    """Flags of `interp fork`: where it begins, where it is kept, and every field of its parent's configuration.

    Args:
        config: the fork's configuration; by default its parent's.
        step: the step to begin at, one that was saved.
        changing: what is changed while it trains.
        moments: of the optimizer: keep (of a step of which the whole state was kept); fresh, as before a first update; or
            RUN@STEP, those of another run at a step of which it kept the whole state.
        name: name of the fork; by default the parent's with the step and what is changed.
        root: directory that holds the parent and its forks.
        force: train even if the run takes more memory or disk than there is, or more than 30 days, by estimate.
        lock: how other processes are kept from writing the same run.
    """

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
    step: int
    changing: Annotated[ChangeFlags, tyro.conf.arg(name="")] = NO_CHANGES
    moments: Annotated[str, tyro.conf.arg(metavar="keep|fresh|RUN@STEP")] = "keep"
    name: str | None = None
    root: Path = ROOT
    force: Force = False
    lock: Lock = None


def fork(run: RunPath) -> None:
    """Train on from a step of a run with something changed, as a run of its own; `interp fork RUN --help` lists every flag.

    The parent is only read; parent, step, hashes and what was changed are kept as the fork's lineage. With nothing changed
    the fork equals its parent from there on, byte for byte. The same command again resumes it.
    """
    fork_from(str(run), [])


def fork_from(source: str, flags: Sequence[str]) -> None:
    """`interp fork RUN FLAGS`: the flags are those of the parent's configuration, with its values as defaults."""
    parent = find_run(Path(source), _root(flags))
    if not parent.has_config:
        raise UsageError(
            f"run {parent.path} was recorded from a training of kind {parent.kind!r}, which this toolkit cannot make"
        )
    given = tyro.cli(
        Fork,
        default=Fork(config=with_fields_of_task(parent.config), step=tyro.MISSING),
        args=list(flags),
        prog=f"interp fork {source}",
        description=fork.__doc__,
    )
    with counted_progress("loading libraries"):
        from interp.keeping.forking import fork_path, fork_source
        from interp.keeping.recorder import record_source

    is_named = any(flag.partition("=")[0] == _PLACE for flag in flags)
    moments = _moments(given.moments, given.root)
    asked = with_named_task(given.config, None, base=parent.config, flags=flags)
    config = with_changes(asked, given.changing, root=given.root, first=given.step)
    forked = fork_source(parent, given.step, config=config, moments=moments)
    path = fork_path(parent, forked, root=given.root if is_named else None, name=given.name)
    print_summary(record_source(forked, path, progress=True, force=given.force, lock=given.lock))


def _moments(given: str, root: Path) -> Literal["kept", "fresh"] | tuple[Run, int]:
    """The moments that a flag names.

    Raises:
        UsageError: for anything else, and for a run that is not there.
    """
    if given in ("keep", "kept"):
        return "kept"
    if given == "fresh":
        return "fresh"
    run, _, step = given.rpartition("@")
    if not run or not (step.isascii() and step.isdecimal()):
        raise UsageError(f"--moments: given {given!r}, expected keep, fresh, or RUN@STEP, such as demo-s1@1500")
    return find_run(Path(run), root), int(step)


def _root(flags: Sequence[str]) -> Path:
    """Where runs lie, by the flags: the parent must be found before its configuration can say which flags there are."""
    for flag, after in zip_longest(flags, flags[1:], fillvalue=""):
        name, is_joined, value = flag.partition("=")
        if name == _PLACE:
            return Path(value if is_joined else after)
    return ROOT
