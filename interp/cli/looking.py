"""Commands that look at runs and models: runs, show, verify, analyze, anatomy."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro

from interp.bars import counted_progress
from interp.cli.arguments import (
    ALL_MEANS,
    NO_OPTIONS,
    ROOT,
    FileOptions,
    Files,
    ForceAnalysis,
    Keys,
    MeansOptions,
    Names,
    Root,
    RunPath,
    Threads,
    find_path,
    find_run,
    parse_keys,
    parse_steps,
)
from interp.cli.printing import fail_on_unread, print_json, print_series, print_table, print_tree, say
from interp.errors import DataError
from interp.wording import checkpoints, counted


def runs(root: Root = ROOT, json_output: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """List the runs in a directory. One that cannot be read does not hide the others: it is named at the end, with exit code 1.

    Args:
        json_output: print JSON instead of a table.
    """
    from interp.store.listing import list_rows

    found, unread = list_rows(root)
    if json_output:
        print_json(found)
    elif not found and not unread:
        say(f"no runs in {root}; make one with: interp demo")
    elif found:
        print_table(found)
    fail_on_unread(unread)


def show(
    run: RunPath,
    threads: Threads = None,
    force: ForceAnalysis = False,
    root: Root = ROOT,
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Show the facts of one run: configuration, split, checkpoints, phases, key frequencies, sizes.

    A phase is dated by the step at which it was first reached; where the run dips later, the step from which it holds for good
    and the dips are named as well. A run with one measured step has no dates.

    Args:
        json_output: print JSON.
    """
    from interp.observing.summary import summary

    with counted_progress("dating the phases") as on_step:
        found = summary(find_run(run, root), threads=threads, on_step=on_step, force=force)
    if json_output:
        print_json(found)
    else:
        print_tree(_in_words(found))


def verify(
    run: RunPath,
    repair: bool = False,
    threads: Threads = None,
    root: Root = ROOT,
) -> None:
    """Check every byte of a run: hashes, shapes, steps. Exit code 1 if anything is wrong.

    Notes name what is harmless or cannot be checked: files that are not the run's, results that were not measured here.

    Args:
        repair: first set what is damaged aside, into the run's folder damaged/, so that the rest opens again.
    """
    if repair:
        _repair(find_path(run, root), threads)
    opened = find_run(run, root)
    with counted_progress("checking files") as on_step:
        found = opened.examine(threads=threads, on_step=on_step)
    notes = [f"  note: {note}" for note in found.notes]
    if found.problems:
        told = [f"{opened.path}: {counted(len(found.problems), 'problem')}", *(f"  {problem}" for problem in found.problems)]
        if not repair:
            mend = f"interp verify --repair {shlex.quote(str(opened.path))}"
            notes.append(f"  `{mend}` sets damaged files aside and keeps the rest")
        raise DataError("\n".join([*told, *notes]))
    say("\n".join([f"{opened.path}: sound; {checkpoints(opened.steps)}", *notes]))


def analyze(
    run: RunPath,
    analysis: Names = (),
    file: Files = (),
    steps: str | None = None,
    key_rule: Keys = "unembedding",
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = None,
    means: MeansOptions = ALL_MEANS,
    root: Root = ROOT,
) -> None:
    """Run analyses at a run's checkpoints; only what is not cached yet is computed.

    Args:
        steps: which checkpoints, for example 0,500,1000 or 0:5000 or 0:5000:500 (default: all).
        means: what measuring may take.
        out: also write the series to this file: .nc (netCDF), .parquet or .csv.
    """
    opened = find_run(run, root)
    with counted_progress("analysing") as on_step:
        from interp.observing.observe import observe  # takes a second or two
        from interp.observing.series import about

        series = observe(
            opened,
            analysis or (None if not file else ()),
            files=file,
            steps=parse_steps(steps, opened),
            key_rule=parse_keys(key_rule),
            threads=means.threads,
            on_step=on_step,
            force=means.force,
        )
    if out is not None:
        from interp.interop import export_series

        export_series(series, out)
        say(f"wrote {out}")
    print_series(series)
    _fail_on_failures(about(series).failures)


def anatomy(
    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")],
    step: int | None = None,
    reading: FileOptions = NO_OPTIONS,
    controls: int = 5,
    threads: Threads = None,
    force: ForceAnalysis = False,
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = False,
    root: Root = ROOT,
) -> None:
    """Dissect one model: losses, circuit, neurons, heads, algorithm, ablations and verdicts, as in the papers' tables.

    Args:
        path: a run, one of its checkpoints, or a published file (see `interp import --help`).
        step: which checkpoint (default: the last).
        reading: how a published file is read.
        controls: number of random controls for each ablation, whose distribution is shown beside it; 0 is faster.
        json_output: print JSON.
    """
    there = find_path(path, root)
    with counted_progress("ablating") as on_step:
        from interp.anatomy import anatomy as dissect  # takes a second or two
        from interp.anatomy.published import beside_mainline
        from interp.anatomy.source import open_source

        source = open_source(there, step=step, format=reading.format, known=reading.known)  # type: ignore[arg-type] # checked there
        found = dissect(
            source.weights, task=source.task, split=source.split, controls=controls, threads=threads, on_step=on_step,
            force=force,
        )  # fmt: skip
    paper, paper_note = beside_mainline(source.weights, source.task, weight_decay=source.weight_decay, fraction=source.fraction)
    if json_output:
        beside = {"paper": paper or None, "paper_note": paper_note}
        print_json({"path": str(there), "step": source.step, **found, **beside, "notes": list(source.notes)})
        return
    say(f"{there}, step {source.step}")
    for note in (*source.notes, *([paper_note] if paper_note else [])):
        say(f"note: {note}")
    print_tree(found, paper=paper)


def _repair(path: Path, threads: int | None) -> None:
    """Repair a run, and say what was done and what that means."""
    from interp.store.manifest import DAMAGED
    from interp.store.mending import repair

    done = repair(path, threads=threads).done
    head = f"repaired; what was set aside is in {path / DAMAGED}" if done else "nothing to repair"
    say("\n".join([f"{path}: {head}", *(f"  {finding}" for finding in done)]))


def _in_words(found: Mapping[str, Any]) -> dict[str, Any]:
    """A summary in which each phase is a line: its first step, since when it has held for good, and the dips between."""
    shown = {
        name: value for name, value in found.items() if name not in ("reached", "undated", "phases_in_words", "outcome_in_words")
    }
    return shown | {"outcome": found["outcome_in_words"], "phases": found["phases_in_words"] or "not known"}


def _fail_on_failures(failures: Mapping[str, str]) -> None:
    if failures:
        raise DataError("\n".join(f"analysis {name} failed {why}" for name, why in failures.items()))
