"""Commands that train a study's runs, and watch them: `interp study run`, `interp study watch`."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from interp.cli.arguments import ROOT, Force, Root
from interp.cli.making import attended
from interp.cli.pages import announced
from interp.errors import DataError, UsageError
from interp.wording import counted

if TYPE_CHECKING:
    from interp.studies.study import Study
    from interp.training.executor import Executor

StudyName = Annotated[
    Path, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY", help="name of a study under --root, or its folder")
]


@dataclass(frozen=True, kw_only=True)
class Training:
    """Arguments of `interp study run`.

    Args:
        workers: runs at a time (default: one for every core this process may use); with --on cuda, processes that measure.
        on: here (processes of this machine); cuda (runs of one shape as one batch, on the GPU that they are planned for); ray
            (a Ray of this machine, or the cluster that RAY_ADDRESS names); or shard:K/N, the K-th of N parts, for one of N tasks
            of a batch system.
        adaptive: along the study's one axis, train only the runs that tell most about where half of them grok.
        width: with --adaptive: how narrow the boundary's 95 % interval must be (default: a fortieth of the axis).
        falling: with --adaptive: runs grok at small values of the field.
        live: serve the study's page on this machine while its runs are trained; see `interp study watch`.
        port: port of the live page; any free one by default.
        browser: open it in a browser, if there is a display and output goes to a terminal.
        force: train even if the runs take more memory or disk than there is, or one more than 30 days, by estimate.
    """

    study: StudyName
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    on: Annotated[str, tyro.conf.arg(metavar="WHERE")] = "here"
    adaptive: Annotated[str | None, tyro.conf.arg(metavar="P(grok)=0.5")] = None
    width: float | None = None
    falling: bool = False
    live: bool = False
    port: int = 0
    browser: bool = True
    force: Force = False
    root: Root = ROOT


def run(asked: Annotated[Training, tyro.conf.arg(name="")]) -> None:
    """Train what a study lacks, on all cores. Ctrl-C and the same command again lose nothing; several may run at once."""
    from interp.studies.placing import placed

    study = opened_study(asked.study, asked.root)
    if asked.adaptive is None and (asked.width is not None or asked.falling):
        raise UsageError("--width, --falling: given without --adaptive, which they belong to")
    shard, executor = placed(asked.on, workers=asked.workers, study=study)
    if asked.adaptive is not None and shard is not None:
        raise UsageError(f"--on: given {asked.on} with --adaptive, expected no shard: the next runs depend on those before")
    at_once = None if executor is not None else asked.workers
    with attended(study.folder, asked.port, wanted=asked.live, browser=asked.browser):
        if asked.adaptive is None:
            _train(study, shard, workers=at_once, executor=executor, force=asked.force)
        else:
            _find(study, asked, workers=at_once, executor=executor)


def watch(study: StudyName, port: int = 0, browser: bool = True, root: Root = ROOT) -> None:
    """Serve a study's page on this machine only, and renew it in open tabs while its runs are trained, wherever that is.

    Ends when no run is left to train; open tabs keep the last page. A study that is already finished is served until Ctrl-C.

    Args:
        port: port of the live page; any free one by default.
        browser: open it in a browser, if there is a display and output goes to a terminal.
    """
    from interp.live.follower import give_way, lost
    from interp.live.server import listen, serving, url
    from interp.live.study_follower import StudyFollower, settled_runs, study_line
    from interp.live.viewers import Published
    from interp.studies.study import PLAN

    opened = opened_study(study, root)
    listener, published = listen(port), Published()
    follower = StudyFollower(opened.folder, published)
    is_finished = len(settled_runs(opened)) == len(opened.points)
    print(f"{opened.folder}: {study_line(opened, settled_runs(opened))}")
    if not is_finished:
        follower.on_first = give_way()
    announcing = announced(url(listener, published.token), ends="Ctrl-C ends it", browser=browser)
    with serving(listener, published), announcing, suppress(KeyboardInterrupt):
        follower.follow(until_final=not is_finished)
    if not (opened.folder / PLAN).is_file():
        print(lost("study", opened.folder))
        return
    print(f"{study_line(opened, settled_runs(opened))} Next: interp study report {named(opened)}")


def opened_study(study: Path, root: Path) -> Study:
    """The study of a name under a root, or in a folder."""
    from interp.studies.study import PLAN, open_study

    return open_study(study if (study / PLAN).is_file() or len(study.parts) > 1 else root / study)


def named(study: Study) -> str:
    """A study as commands are told it."""
    return shlex.quote(study.name) + ("" if Path(study.root) == ROOT else f" --root {shlex.quote(str(study.root))}")


def _train(study: Study, shard: tuple[int, int] | None, *, workers: int | None, executor: Executor | None, force: bool) -> None:
    """Train what is missing, and say what became of it."""
    try:
        tally = study.run(workers=workers, shard=shard, executor=executor, force=force)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"what was trained is saved; go on with: interp study run {named(study)}") from None
    broke_off = f", {tally.stopped} broke off (their loss was not finite)" if tally.stopped else ""
    meanwhile = f"{tally.trained} of them while this command ran"
    print(f"{study.folder}: {tally.finished} of {len(study.points)} runs finished{broke_off}; {meanwhile}")
    if tally.failed:
        listed = "\n".join(f"  {name}: {why}" for name, why in tally.failed.items())
        raise DataError(f"{counted(len(tally.failed), 'run')} failed; the same command tries again:\n{listed}")
    print(f"Next: interp study show {named(study)}")


def _find(study: Study, asked: Training, *, workers: int | None, executor: Executor | None) -> None:
    """Train what tells most about the boundary, and say where it is after each round."""
    from interp.studies.placed_runs import axis_width, find_boundary

    if asked.adaptive is None or asked.adaptive.replace(" ", "").lower() not in ("p(grok)=0.5", "p(grok)=.5"):
        raise UsageError(f"--adaptive: given {asked.adaptive!r}, expected P(grok)=0.5")
    try:
        found = find_boundary(
            study,
            width=axis_width(study) / 40 if asked.width is None else asked.width,
            falling=asked.falling,
            force=asked.force,
            workers=workers,
            executor=executor,
            on_round=lambda known: print(known, flush=True),
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what was trained is saved; the same command goes on") from None
    if found.failed:
        listed = "\n".join(f"  {name}: {why}" for name, why in found.failed.items())
        raise DataError(f"{counted(len(found.failed), 'run')} failed; the same command tries again:\n{listed}")
    print(f"Next: interp study show {named(study)}")
