"""The command line: parse, call, print. No logic lives here.

Exit codes: 0 done, 1 failure (damaged data, training that cannot go on), 2 usage (what was asked cannot be), 130 interrupted.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from interp.config import RECIPES, RunConfig, recipe
from interp.errors import DataError, TrainingError, UsageError, unknown
from interp.task import Operation, SplitConfig

if TYPE_CHECKING:
    import xarray as xr

    from interp.observation import KeyRule
    from interp.store.run import Run

DESCRIPTION = """Watch a circuit form: train a one-layer transformer on modular arithmetic and look inside every checkpoint.

Begin with `interp demo`. Add --debug to any command for a full traceback."""

app = tyro.extras.SubcommandApp()

RunPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="directory of a run, or its name under --root")]
Root = Annotated[Path, tyro.conf.arg(metavar="DIR", help="directory that holds the runs")]
Names = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    tyro.conf.arg(aliases=["-a"], metavar="NAME", help="a built-in analysis; may be repeated (default: all)"),
]
Files = Annotated[
    tyro.conf.UseAppendAction[tuple[Path, ...]],
    tyro.conf.arg(metavar="FILE.py", help="your own analysis, a file with ANALYSIS = Analysis(...); may be repeated"),
]
Out = Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE", help="where to write")]
Keys = Annotated[
    str,
    tyro.conf.arg(
        metavar="RULE", help="key frequencies: unembedding, embedding, neurons, coefficients, or a list such as 5,9,25"
    ),
]
ROOT = Path("checkpoints")


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


@app.command
def demo(root: Root = ROOT, out: Out = Path("report.html"), seed: int = recipe("demo").seed) -> None:
    """Train the small demo run, analyse it, write its report, and say what was found.

    Args:
        seed: seed of the initial weights.
    """
    from interp.recorder import record

    run = record(replace(recipe("demo"), seed=seed), root=root)
    _write_report([run], out)


@app.command
def train(recipe_or_file: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE|FILE")]) -> None:
    """Train a run and save its checkpoints; `interp train RECIPE --help` lists every flag.

    Ctrl-C saves the state of the run; the same command again, or `interp resume RUN`, goes on without losing a step.

    Args:
        recipe_or_file: demo, nanda, transformer-lens, or a configuration file (.toml, .json).
    """
    _train(recipe_or_file, [])


def _train(source: str, flags: Sequence[str]) -> None:
    """`interp train SOURCE FLAGS`: the flags are those of the source's configuration, with its values as defaults."""
    is_file = Path(source).suffix in (".toml", ".json")
    config = RunConfig.from_file(source) if is_file else recipe(source)
    arguments = tyro.cli(
        Train, default=Train(config), args=list(flags), prog=f"interp train {source}", description=_about(config)
    )
    from interp.recorder import record

    run = record(arguments.config, root=arguments.root, name=arguments.name)
    _print_summary(run)


@app.command
def resume(run: RunPath, root: Root = ROOT) -> None:
    """Go on with an interrupted run, from exactly where it stopped."""
    from interp.recorder import resume as go_on

    _print_summary(go_on(_open(run, root).path))


@app.command
def runs(root: Root = ROOT, json_output: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """List the runs in a directory.

    Args:
        json_output: print JSON instead of a table.
    """
    from interp.store.run import list_runs

    found = [_row(run) for run in list_runs(root)]
    if json_output:
        _print_json(found)
    elif not found:
        print(f"no runs in {root}; make one with: interp demo")
    else:
        _print_table(found)


@app.command
def show(run: RunPath, root: Root = ROOT, json_output: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Show one run's facts: configuration, split, checkpoints, phases, key frequencies, sizes.

    Args:
        json_output: print JSON.
    """
    from interp.summary import summary

    found = summary(_open(run, root), on_step=_progress("measuring the excluded loss"))
    if json_output:
        _print_json(found)
    else:
        _print_tree(found)


@app.command
def verify(run: RunPath, root: Root = ROOT) -> None:
    """Check every file of a run: hashes, shapes, steps. Exit code 1 if anything is wrong."""
    opened = _open(run, root)
    problems = opened.verify()
    if problems:
        raise DataError("\n".join([f"{opened.path}: {len(problems)} problems", *(f"  {problem}" for problem in problems)]))
    print(f"{opened.path}: sound; {len(opened.steps)} checkpoints, steps {opened.steps[0]} to {opened.steps[-1]}")


@app.command
def analyze(
    run: RunPath,
    analysis: Names = (),
    file: Files = (),
    steps: str | None = None,
    key_rule: Keys = "unembedding",
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = None,
    root: Root = ROOT,
) -> None:
    """Measure analyses at a run's checkpoints; only what is not cached yet is computed.

    Args:
        steps: which checkpoints, for example 0,500,1000 or 0:5000 or 0:5000:500 (default: all).
        out: write the series to this file as well: .nc (netCDF), .parquet or .csv.
    """
    from interp.observation import observe

    opened = _open(run, root)
    series = observe(
        opened,
        analysis or (None if not file else ()),
        files=file,
        steps=_parse_steps(steps, opened),
        key_rule=_parse_keys(key_rule),
        on_step=_progress("analysing"),
    )
    if out is not None:
        from interp.interop import export_series

        export_series(series, out)
        print(f"wrote {out}")
    _print_series(series)
    _fail_on_failures(series)


@app.command
def report(
    run: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    out: Out = Path("report.html"),
    analysis: Names = (),
    file: Files = (),
    key_rule: Keys = "unembedding",
    root: Root = ROOT,
) -> None:
    """Write one offline HTML page about a run, or one that compares several; open it in any browser.

    Args:
        run: directories of runs, or their names under --root.
    """
    if not run:
        raise UsageError("report: given no run, expected at least one; `interp runs` lists them")
    _write_report([_open(one, root) for one in run], out, analyses=analysis, files=file, key_rule=key_rule)


@dataclass(frozen=True)
class Import:
    """What `interp import` is told about a file.

    Args:
        path: a file of the official grokking code, TransformerLens, the clock/pizza code, or any file of tensors with --map.
        name: name of the new run; the file's name by default.
        format: auto, official, transformer-lens, bridge, pizza, safetensors or map.
        split: how its pairs were split, if the file does not tell: python:SEED:FRACTION or torch:SEED:FRACTION.
        operation: what it learned, if the file does not tell.
        activation: of its neurons, if the file does not tell.
        attention_rate: alpha of its attention, if the file does not tell.
        n_heads: number of heads, if the file does not tell.
        map: for --format map: one of its tensors and its name here, `.T` where it is transposed; repeat for each tensor.
        root: directory that holds the runs.
    """

    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    name: str | None = None
    format: str = "auto"
    split: str | None = None
    operation: Operation | None = None
    activation: Literal["relu", "gelu"] | None = None
    attention_rate: float | None = None
    n_heads: int | None = None
    map: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="THEIRS=OURS")] = ()
    root: Path = ROOT


@app.command(name="import")
def import_(given: Annotated[Import, tyro.conf.arg(name="")]) -> None:
    """Make an ordinary run from someone else's model or checkpoints; nothing in the file is executed."""
    from interp.interop import Known, import_run

    known = Known(
        activation=given.activation,
        attention_rate=given.attention_rate,
        n_heads=given.n_heads,
        operation=given.operation,
        split=None if given.split is None else _parse_split(given.split),
        map=given.map,
    )
    run = import_run(given.path, given.root, given.name, format=given.format, known=known)  # type: ignore[arg-type] # checked there
    for note in run.provenance.get("notes", ()):
        print(f"note: {note}")
    print(f"{run.path}: {len(run.steps)} checkpoints, steps {run.steps[0]} to {run.steps[-1]}")
    print(f"Next: interp report {run.path}")


@app.command
def anatomy(
    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")],
    step: int | None = None,
    split: str | None = None,
    controls: int = 0,
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = False,
    root: Root = ROOT,
) -> None:
    """Dissect one model: losses, circuit, neurons, heads, algorithm, ablations, verdicts, as in the papers' tables.

    Args:
        path: a run, one of its checkpoints, or a published file (see `interp import --help`).
        step: which checkpoint (default: the last).
        split: how a published file's pairs were split, if it does not tell: python:SEED:FRACTION or torch:SEED:FRACTION.
        controls: random controls for each ablation; their distribution is shown beside it.
        json_output: print JSON.
    """
    from interp.anatomy import anatomy as dissect
    from interp.anatomy.published import MAINLINE, is_mainline_setting
    from interp.anatomy.source import open_source

    there = path if path.exists() or len(path.parts) > 1 else root / path
    source = open_source(there, step=step, split=None if split is None else _parse_split(split))
    found = dissect(source.weights, operation=source.operation, split=source.split, controls=controls)
    paper = MAINLINE if is_mainline_setting(source.weights, source.operation) else {}
    if json_output:
        _print_json({"path": str(there), "step": source.step, **found, "paper": paper or None, "notes": list(source.notes)})
        return
    print(f"{there}, step {source.step}")
    for note in source.notes:
        print(f"note: {note}")
    _print_tree(found, paper=paper)


@app.command
def export(run: RunPath, out: Out, format: str = "safetensors", step: int | None = None, root: Root = ROOT) -> None:
    """Write one checkpoint's weights for other tools; `interp analyze RUN -o FILE` writes series.

    Args:
        format: safetensors, or transformer-lens for a state dict as TransformerLens names it.
        step: which checkpoint (default: the last).
    """
    from interp.interop import export_weights

    opened = _open(run, root)
    checkpoint = opened[opened.steps[-1] if step is None else step]
    written = export_weights(checkpoint.weights, out, format, step=checkpoint.step)  # type: ignore[arg-type] # refused there
    print(f"wrote {written}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    sys.exit(_guarded(lambda: _dispatch(given), debug=debug))


def _dispatch(given: list[str]) -> None:
    if given[:1] == ["train"] and len(given) > 1 and not given[1].startswith("-"):
        _train(given[1], given[2:])
    else:
        app.cli(prog="interp", description=DESCRIPTION, args=given)


def _guarded(command: Callable[[], None], *, debug: bool) -> int:
    """Run a command; say in words what went wrong, and return the exit code."""
    try:
        command()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, DataError, TrainingError, OSError, KeyboardInterrupt) as error:
        if debug or (isinstance(error, ValueError) and not isinstance(error, UsageError)):
            raise
        if isinstance(error, KeyboardInterrupt):
            print(f"interrupted{f': {error}' if str(error) else ''}", file=sys.stderr)
            return 130
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _about(config: RunConfig) -> str:
    return (RECIPES[config.recipe].__doc__ or "") if config.recipe in RECIPES else "A run from a configuration file."


def _open(run: Path, root: Path) -> Run:
    """The run at a path or, if nothing is there, of that name under the root."""
    from interp.store.run import open_run

    return open_run(run if run.exists() or len(run.parts) > 1 else root / run)


def _parse_steps(text: str | None, run: Run) -> list[int] | None:
    """`0,500` are those steps; `0:5000` all saved steps from 0 to 5000; `0:5000:500` of these the multiples of 500."""
    if text is None:
        return None
    chosen: list[int] = []
    for part in text.split(","):
        try:
            numbers = [int(number) if number else None for number in part.split(":")]
        except ValueError:
            raise UsageError(f"--steps: given {part!r}, expected numbers such as 0,500 or ranges such as 0:5000:500") from None
        first, last, stride = (numbers + [None] * 3)[:3]
        if len(numbers) == 1 and first is not None:
            chosen.append(first)
        else:
            inside = [step for step in run.steps if (first or 0) <= step <= (run.steps[-1] if last is None else last)]
            chosen += [step for step in inside if not stride or step % stride == 0]
    return chosen


def _parse_split(text: str) -> SplitConfig:
    rule, _, rest = text.partition(":")
    seed, _, fraction = rest.partition(":")
    try:
        return SplitConfig(rule, int(seed), float(fraction))  # type: ignore[arg-type] # an unknown rule is refused there
    except (UsageError, ValueError) as error:
        reason = f" ({error})" if isinstance(error, UsageError) else ""
        raise UsageError(f"--split: given {text!r}, expected python:SEED:FRACTION or torch:SEED:FRACTION{reason}") from None


def _parse_keys(text: str) -> KeyRule | list[int]:
    from interp.observation import KEY_RULES

    if text in KEY_RULES:
        return text
    try:
        return [int(k) for k in text.split(",")]
    except ValueError:
        raise unknown("key frequency rule", text, KEY_RULES) from None


def _progress(what: str) -> Callable[[int, int], None] | None:
    """A callback that shows a progress bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    task = bar.add_task(what, total=None)

    def show(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)
        if done == total:
            bar.stop()

    return show


def _write_report(
    runs: Sequence[Run], out: Path, *, analyses: Sequence[str] = (), files: Sequence[Path] = (), key_rule: str = "unembedding"
) -> None:
    from interp.reporting import report as write

    page = write(
        list(runs) if len(runs) > 1 else runs[0],
        out,
        analyses=analyses or None,
        files=files,
        key_rule=_parse_keys(key_rule),
        on_step=_progress("analysing"),
    )
    print(page.headline)
    print(f"Report: {out.resolve().as_uri()}")


def _print_summary(run: Run) -> None:
    """Two lines after training: where it ended, and what to do next."""
    losses = run[run.steps[-1]].losses
    measured = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in losses.items() if value is not None)
    print(f"{run.path}: {run.status} ({run.reason}) at step {run.steps[-1]}; {measured}")
    print(f"Next: interp report {run.path}")


def _row(run: Run) -> dict[str, object]:
    facts = run.facts()
    names = ("name", "recipe", "p", "operation", "seed", "status", "reason", "last_step", "checkpoints", "total_bytes")
    return {name: facts[name] for name in names}


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, default=str))


def _print_table(rows: Sequence[Mapping[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_", " "))
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(table)


def _print_tree(
    values: Mapping[str, object], indent: str = "", *, above: str = "", paper: Mapping[str, str] | None = None
) -> None:
    """Nested values, one per line; long lists by their size; the paper's figure beside ours where there is one."""
    for name, value in values.items():
        path = f"{above}{name}"
        beside = f"    (paper: {paper[path]})" if paper and path in paper else ""
        is_rows = isinstance(value, list) and value and isinstance(value[0], Mapping)
        inner = dict(enumerate(value)) if is_rows and isinstance(value, list) else value
        if isinstance(inner, Mapping) and inner:
            print(f"{indent}{name}:{beside}")
            _print_tree(inner, indent + "  ", above=f"{path}.", paper=paper)
        else:
            print(f"{indent}{name}: {_short(value)}{beside}")


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        if len(value) > 12:
            return f"{len(value)} values, {_short(value[0])} to {_short(value[-1])}"
        return ", ".join(_short(item) for item in value) or "-"
    return "-" if value is None else str(value)


def _print_series(series: xr.Dataset) -> None:
    """The numbers over steps that are single values, at up to twelve checkpoints; the rest is named with its dimensions."""
    scalars = [str(name) for name, values in series.data_vars.items() if values.dims == ("step",)]
    arrays = {str(name): values for name, values in series.data_vars.items() if "step" in values.dims and values.ndim > 1}
    count = series.sizes["step"]
    shown = series.isel(step=sorted({round(i * (count - 1) / 11) for i in range(12)}))
    if scalars:
        _print_table([
            {"step": int(step), **{name: f"{float(shown[name][i]):.4g}" for name in scalars}}
            for i, step in enumerate(shown["step"].values)
        ])  # fmt: skip
    for name, values in arrays.items():
        print(f"{name}: {' x '.join(f'{dim} {size}' for dim, size in values.sizes.items())}")


def _fail_on_failures(series: xr.Dataset) -> None:
    failures: dict[str, str] = json.loads(series.attrs["failures"])
    if failures:
        raise DataError("\n".join(f"analysis {name} failed {why}" for name, why in failures.items()))
