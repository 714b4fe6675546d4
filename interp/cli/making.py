"""Commands that make runs: demo, train, resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from interp.cli.arguments import ROOT, Out, Root, RunPath, find_run
from interp.cli.pages import write_report
from interp.cli.printing import print_summary
from interp.config import RECIPES, RunConfig, recipe


@dataclass(frozen=True)
class Train:
    """Flags of `interp train`: every field of the run's configuration, and where the run is kept.

    Args:
        config: the run's configuration.
        name: name of the run; made from the recipe and what differs from it if left out.
        root: directory that holds the runs.
    """

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
    name: str | None = None
    root: Path = ROOT


def demo(root: Root = ROOT, out: Out = Path("report.html"), seed: int = recipe("demo").seed) -> None:
    """Train the small demo run, analyse it, write its report, and say what was found.

    Args:
        seed: seed of the initial weights.
    """
    from interp.recorder import record

    run = record(replace(recipe("demo"), seed=seed), root=root)
    write_report([run], out)


def train(recipe_or_file: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE|FILE")]) -> None:
    """Train a run and save its checkpoints; `interp train RECIPE --help` lists every flag.

    Ctrl-C saves the state of the run; the same command again, or `interp resume RUN`, goes on without losing a step.

    Args:
        recipe_or_file: demo, nanda, transformer-lens, or a configuration file (.toml, .json).
    """
    train_from(recipe_or_file, [])


def train_from(source: str, flags: Sequence[str]) -> None:
    """`interp train SOURCE FLAGS`: the flags are those of the source's configuration, with its values as defaults."""
    is_file = Path(source).suffix in (".toml", ".json")
    config = RunConfig.from_file(source) if is_file else recipe(source)
    arguments = tyro.cli(
        Train, default=Train(config), args=list(flags), prog=f"interp train {source}", description=_about(config)
    )
    from interp.recorder import record

    run = record(arguments.config, root=arguments.root, name=arguments.name)
    print_summary(run)


def resume(run: RunPath, root: Root = ROOT) -> None:
    """Go on with an interrupted run, from exactly where it stopped."""
    from interp.recorder import resume as go_on

    print_summary(go_on(find_run(run, root).path))


def _about(config: RunConfig) -> str:
    return (RECIPES[config.recipe].__doc__ or "") if config.recipe in RECIPES else "A run from a configuration file."
