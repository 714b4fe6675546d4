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
    find_run,
    parse_keys,
    parse_steps,
)
from interp.cli.printing import fail_on_unread, print_json, print_series, print_table, print_tree, say, table_of_runs
from interp.errors import DataError, UsageError
from interp.store.run_paths import find_path
from interp.wording import checkpoints, counted


def runs(
    where: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(
            metavar="CONDITION", help="only runs of which it holds: outcome=grokking, weight-decay>0.5; may be repeated"
        ),
    ] = (),
    sort: Annotated[str, tyro.conf.arg(metavar="FIELD", help="in the order of this field")] = "name",
    descending: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    root: Root = ROOT,
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """List the runs in a directory: outcome, when each grokked, its test accuracy, and the settings in which they differ.

    One that cannot be read does not hide the others: it is named at the end, with exit code 1.

    Args:
        descending: the greatest first.
        json_output: print JSON instead of a table, of the same runs in the same order.
    """
    from interp.store.choosing_rows import chosen_rows, in_order, with_differences
    from interp.store.listing import list_rows

    found, unread = list_rows(root)
    rows = with_differences(in_order(chosen_rows(found, where), sort, descending=descending)) if found else []
    if json_output:
        print_json(rows)
    elif rows:
        print_table(table_of_runs(rows))
    elif found:
        say(f"none of the {counted(len(found), 'run')} in {root}: {' and '.join(where)}")
    elif not unread:
        say(f"no runs in {root}; make one with: interp demo")
    fail_on_unread(unread)


def show(
    run: RunPath,
    threads: Threads = None,
    force: ForceAnalysis = False,
    everything: Annotated[bool, tyro.conf.arg(name="all"), tyro.conf.FlagCreatePairsOff] = False,
    root: Root = ROOT,
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Show one run: what became of it in a sentence, then its phases, losses, checkpoints, warnings and settings.

    A phase is dated by the step at which it was first reached; where the run dips later, the step from which it holds for good
    and the dips are named as well. A run with one measured step has no dates.

    Args:
        everything: every fact and every field of the configuration.
        json_output: print all of it as JSON.
    """
    from interp.forecasting.last_word import expected_of
    from interp.observing.facts_in_words import facts_in_words
    from interp.observing.summary import summary

    opened = find_run(run, root)
    with counted_progress("dating the phases") as on_step:
        found = summary(opened, threads=threads, on_step=on_step, force=force)
    if json_output:
        print_json(found)
        return
    say(f"{found['name']}: {found['answer']}")
    if (foreseen := expected_of(opened)) is not None:
        say(f"forecast: {foreseen}")
    print_tree(_in_words(found) if everything else facts_in_words(found))
    if not everything:
        say(f"More: interp show {shlex.quote(str(run))} --all{_at_root(root)}")


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
    say("\n".join([f"{opened.path}: sound; {checkpoints(opened.steps, known=opened.knows_step)}", *notes]))


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
        from interp.observing.analysis import find_analyses
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
    asked = find_analyses(analysis or (None if not file else ()), files=file)
    _say_left_out(about(series).left_out, of=len(asked))
    if out is not None:
        from interp.interop import export_series

        export_series(series, out)
        say(f"wrote {out}")
    print_series(series, asked)
    _fail_on_failures(about(series).failures)


def anatomy(
    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")],
    step: int | None = None,
    reading: FileOptions = NO_OPTIONS,
    controls: int = 5,
    means: MeansOptions = ALL_MEANS,
    everything: Annotated[bool, tyro.conf.arg(name="all"), tyro.conf.FlagCreatePairsOff] = False,
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = False,
    root: Root = ROOT,
) -> None:
    """Dissect one model: losses, circuit, neurons, heads, algorithm, ablations and verdicts, as in the papers' tables.

    Args:
        path: a run, one of its checkpoints, or a published file (see `interp import --help`).
        step: which checkpoint (default: the last).
        reading: how a published file is read.
        controls: number of random controls for each ablation, whose distribution is shown beside it; 0 is faster.
        means: what measuring may take.
        everything: every number, not the papers' tables alone.
        json_output: print JSON.
    """
    there = find_path(path, root)
    with counted_progress("ablating") as on_step:
        from interp.anatomy import anatomy as dissect  # takes a second or two
        from interp.anatomy.published import beside_mainline
        from interp.anatomy.source import open_source

        source = open_source(there, step=step, format=reading.format, known=reading.known)  # type: ignore[arg-type] # checked there
        found = dissect(
            source.weights, task=source.task, split=source.split, controls=controls, threads=means.threads, on_step=on_step,
            force=means.force,
        )  # fmt: skip
    paper, paper_note = beside_mainline(source.weights, source.task, weight_decay=source.weight_decay, fraction=source.fraction)
    if json_output:
        beside = {"paper": paper or None, "paper_note": paper_note}
        print_json({"path": str(there), "step": source.step, **found, **beside, "notes": list(source.notes)})
        return
    say(f"{there}, step {'unknown' if source.step is None else source.step}")
    for note in (*source.notes, *([paper_note] if paper_note else [])):
        say(f"note: {note}")
    if everything:
        print_tree(found, paper=paper)
        return
    from interp.anatomy.screen import ablations_on_screen, one_screen

    for rows in (one_screen(found, paper), ablations_on_screen(found, paper)):
        if rows:
            print_table(rows if paper else [{name: row[name] for name in row if name != "paper"} for row in rows])
    say(f"Every number: interp anatomy {shlex.quote(str(path))} --all{_at_root(root)}")


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


def _at_root(root: Path) -> str:
    return "" if root == ROOT else f" --root {shlex.quote(str(root))}"


def _say_left_out(why: Mapping[str, str], *, of: int) -> None:
    """Name the questions that do not apply, each with the reason.

    Raises:
        UsageError: if no question applies.
    """
    if why and len(why) >= of:
        raise UsageError(
            "\n".join(f"analysis {name}: it does not apply to this run, as {reason}" for name, reason in why.items())
        )
    for name, reason in why.items():
        say(f"left out {name}: {reason}")


def _fail_on_failures(failures: Mapping[str, str]) -> None:
    if failures:
        raise DataError("\n".join(f"analysis {name} failed {why}" for name, why in failures.items()))
