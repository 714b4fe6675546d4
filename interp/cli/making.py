"""Commands that make runs: demo, train, resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from interp.bars import counted_progress, on_terminal
from interp.cli.arguments import ROOT, Force, Lock, Means, Out, Root, RunPath, TrainingThreads, find_run
from interp.cli.changing_flags import NO_CHANGES, ChangeFlags, with_changes
from interp.cli.pages import announced, write_report
from interp.cli.printing import print_summary, say
from interp.cli.task_flags import TaskName, with_fields_of_task, with_named_task
from interp.config.fitting_batch import gives_batch, open_to_changes, with_fitting_batch
from interp.config.recipes import RECIPES, recipe
from interp.config.run_config import RunConfig
from interp.cores import check_threads
from interp.errors import UsageError

if TYPE_CHECKING:
    from interp.forecasting.looking_on import Foresight


@dataclass(frozen=True)
class Train:
    """Flags of `interp train`: every field of the run's configuration, and where the run is kept.

    Args:
        config: the run's configuration.
        task: what is learned, by name.
        changing: what is changed while it trains.
        name: name of the run; by default made from the recipe and from what differs from it.
        root: directory that holds the runs.
        live: serve the run's report on this machine while it is trained; see `interp watch`.
        port: port of the live report; any free one by default.
        browser: open it in a browser, if there is a display and output goes to a terminal.
        force: train even if the run takes more memory or disk than there is, or more than 30 days, by estimate.
        lock: how other processes are kept from writing the same run.
        until: `budget`, or `forecast`: stop early where the forecast gives grokking within the budget less than `least-chance`.
            Such a run is unfinished, its log says why, and `interp resume` goes on with it.
        least_chance: the least chance with which `--until forecast` goes on (default: 0.01).
    """

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
    task: TaskName = None
    changing: Annotated[ChangeFlags, tyro.conf.arg(name="")] = NO_CHANGES
    name: str | None = None
    root: Path = ROOT
    live: bool = False
    port: int = 0
    browser: bool = True
    force: Force = False
    lock: Lock = None
    until: Literal["budget", "forecast"] = "budget"
    least_chance: float | None = None


_LEAST_CHANCE = 0.01


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
        from interp.keeping.recorder import record

    config = replace(recipe("demo"), seed=seed, threads=None if threads is None else check_threads(threads))
    run = record(config, root=root, lock=lock)
    write_report([run], out, means=Means(threads))


def train(recipe_or_file: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE|FILE")]) -> None:
    """Train a run and save its checkpoints; `interp train RECIPE --help` lists every flag.

    Ctrl-C saves the state of the run; the same command again, or `interp resume RUN`, continues without losing a step.

    Args:
        recipe_or_file: demo, nanda, transformer-lens, pizza, power, s5 or mlp (`interp recipes` says what they are), or a
            configuration file (.toml, .json).
    """
    train_from(recipe_or_file, [])


def train_from(source: str, flags: Sequence[str]) -> None:
    """`interp train SOURCE FLAGS`: the flags are those of the source's configuration, with its values as defaults."""
    is_file = Path(source).suffix in (".toml", ".json")
    config = RunConfig.from_file(source) if is_file else recipe(source)
    default = Train(with_fields_of_task(open_to_changes(config, given=gives_batch(flags))))
    arguments = tyro.cli(Train, default=default, args=list(flags), prog=f"interp train {source}", description=_about(config))
    with counted_progress("loading libraries"):
        from interp.keeping.naming import run_name
        from interp.keeping.recorder import record
        from interp.store.run_paths import run_path

    base, stem = (config, Path(source).stem) if is_file else (None, None)
    asked = with_named_task(arguments.config, arguments.task, base=config, flags=flags)
    asked = with_fitting_batch(asked, base=config, given=gives_batch(flags))
    changed = with_changes(asked, arguments.changing, root=arguments.root)
    name = run_name(changed, base=base, stem=stem) if arguments.name is None else arguments.name
    with attended(run_path(arguments.root, name), arguments.port, wanted=arguments.live, browser=arguments.browser):
        watch = _watch(changed, arguments)
        run = record(changed, root=arguments.root, name=name, force=arguments.force, lock=arguments.lock, watch=watch)
    print_summary(run)
    if watch is not None and watch.stop is not None:
        say(f"stopped early: {watch.stop}\n{run.how_to_continue}")


def _watch(config: RunConfig, arguments: Train | None = None) -> Foresight | None:
    """Who looks on: where the forecast is shown, or acted upon."""
    least = None if arguments is None else arguments.least_chance
    if least is not None and not 0 < least < 1:
        raise UsageError(f"--least-chance: given {least:g}, expected a chance between 0 and 1, such as {_LEAST_CHANCE:g}")
    if arguments is not None and arguments.until == "forecast":
        least = _LEAST_CHANCE if least is None else least
    elif least is not None:
        raise UsageError(
            f"--least-chance: given {least:g} without --until forecast, which alone asks for it; add that, or leave it out"
        )
    if least is None and not on_terminal():
        return None
    from interp.forecasting.looking_on import Foresight

    return Foresight(config, least_chance=least)


def resume(
    run: RunPath,
    steps: int | None = None,
    live: bool = False,
    port: int = 0,
    browser: bool = True,
    force: Force = False,
    lock: Lock = None,
    root: Root = ROOT,
) -> None:
    """Continue an interrupted run exactly where it stopped; with --steps, a finished one beyond its end.

    Args:
        steps: a larger budget for a finished run, up to which it goes on, settled or not.
        live: serve the run's report on this machine while it is trained; see `interp watch`.
        port: port of the live report; any free one by default.
        browser: open it in a browser, if there is a display and output goes to a terminal.
        force: go on even if the run takes more memory than there is, by estimate.
    """
    with counted_progress("loading libraries"):
        from interp.keeping.recorder import resume as go_on

    found = find_run(run, root)
    path, watch = found.path, _watch(found.config) if found.has_config and not found.manifest.final else None
    with attended(path, port, wanted=live, browser=browser):
        done = go_on(path, steps=steps, force=force, lock=lock, watch=watch)
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
