"""Commands that make runs: demo, train, resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from interp.bars import counted_progress
from interp.cli.arguments import ROOT, Force, Lock, Means, Out, Root, RunPath, TrainingThreads, find_run
from interp.cli.pages import announced, write_report
from interp.cli.printing import print_summary
from interp.config.recipes import RECIPES, recipe
from interp.config.run_config import RunConfig
from interp.cores import check_threads
from interp.errors import UsageError


@dataclass(frozen=True)
class Train:
    """Flags of `interp train`: every field of the run's configuration, and where the run is kept.

    Args:
        config: the run's configuration.
        name: name of the run; by default made from the recipe and from what differs from it.
        root: directory that holds the runs.
        live: serve the run's report on this machine while it is trained; see `interp watch`.
        port: port of the live report; any free one by default.
        browser: open it in a browser, if there is a display and output goes to a terminal.
        force: train even if the run takes more memory or disk than there is, or more than 30 days, by estimate.
        lock: how other processes are kept from writing the same run.
    """

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
    name: str | None = None
    root: Path = ROOT
    live: bool = False
    port: int = 0
    browser: bool = True
    force: Force = False
    lock: Lock = None


def demo(
    root: Root = ROOT,
    out: Out = Path("report.html"),
    seed: int = recipe("demo").seed,
    threads: TrainingThreads = None,
    lock: Lock = None,
) -> None:
    """Train the small demo run, analyse it, write its report, and print what was found.

    Args:
        seed: seed of the initial weights.
    """
    with counted_progress("loading libraries"):
        from interp.recording.recorder import record

    config = replace(recipe("demo"), seed=seed, threads=None if threads is None else check_threads(threads))
    run = record(config, root=root, lock=lock)
    write_report([run], out, means=Means(threads))


def train(recipe_or_file: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE|FILE")]) -> None:
    """Train a run and save its checkpoints; `interp train RECIPE --help` lists every flag.

    Ctrl-C saves the state of the run; the same command again, or `interp resume RUN`, continues without losing a step.

    Args:
        recipe_or_file: demo, nanda, transformer-lens, pizza, or a configuration file (.toml, .json).
    """
    train_from(recipe_or_file, [])


def train_from(source: str, flags: Sequence[str]) -> None:
    """`interp train SOURCE FLAGS`: the flags are those of the source's configuration, with its values as defaults."""
    is_file = Path(source).suffix in (".toml", ".json")
    config = RunConfig.from_file(source) if is_file else recipe(source)
    arguments = tyro.cli(
        Train, default=Train(config), args=list(flags), prog=f"interp train {source}", description=_about(config)
    )
    with counted_progress("loading libraries"):
        from interp.recording.naming import run_name
        from interp.recording.recorder import record
        from interp.store.run_paths import run_path

    name = run_name(arguments.config) if arguments.name is None else arguments.name
    with attended(run_path(arguments.root, name), arguments.port, wanted=arguments.live, browser=arguments.browser):
        run = record(arguments.config, root=arguments.root, name=name, force=arguments.force, lock=arguments.lock)
    print_summary(run)


def resume(
    run: RunPath,
    live: bool = False,
    port: int = 0,
    browser: bool = True,
    force: Force = False,
    lock: Lock = None,
    root: Root = ROOT,
) -> None:
    """Continue an interrupted run exactly where it stopped.

    Args:
        live: serve the run's report on this machine while it is trained; see `interp watch`.
        port: port of the live report; any free one by default.
        browser: open it in a browser, if there is a display and output goes to a terminal.
        force: go on even if the run takes more memory than there is, by estimate.
    """
    with counted_progress("loading libraries"):
        from interp.recording.recorder import resume as go_on

    path = find_run(run, root).path
    with attended(path, port, wanted=live, browser=browser):
        done = go_on(path, force=force, lock=lock)
    print_summary(done)


@contextmanager
def attended(path: Path, port: int, *, wanted: bool, browser: bool) -> Iterator[None]:
    """Serve the page of a run, or of a study, inside the block, if that is wanted."""
    if not wanted:
        if port:
            raise UsageError(f"--port: given {port} without --live; add --live, or leave --port out")
        yield
        return
    from interp.live import attendant

    with attendant.attended(path, port) as address, announced(address, ends="Ctrl-C ends it with the training", browser=browser):
        yield


def _about(config: RunConfig) -> str:
    return (RECIPES[config.recipe].__doc__ or "") if config.recipe in RECIPES else "A run from a configuration file."
