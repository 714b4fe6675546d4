"""Commands about what is kept: du, thin, rename, rm. Each says what it will delete, and asks first."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from interp.bars import counted_progress
from interp.cli.arguments import ROOT, Lock, Root, RunPath, Threads, find_run, parse_steps
from interp.cli.printing import fail_on_unread, print_json, print_table, say
from interp.errors import DataError, UsageError
from interp.store.manifest import checkpoint_name
from interp.store.run_paths import find_path
from interp.wording import byte_size, counted

if TYPE_CHECKING:
    from interp.store.run import Run

Runs = Annotated[
    tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="directories of runs, or their names under --root")
]
Yes = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(aliases=["-y"], help="do not ask")]


def du(run: Runs = (), root: Root = ROOT, json_output: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Say how much room runs take, the largest first: checkpoints, what was measured, and files that are not theirs.

    Args:
        run: which runs (default: all under --root).
        json_output: print JSON, in bytes.
    """
    from interp.store.removing import check_removable, parts_of
    from interp.store.run import names_of_runs

    rows, unread = [], {}
    for path in [find_path(one, root) for one in run] or [root / name for name in names_of_runs(root)]:
        try:
            if run:
                check_removable(path)
            found = parts_of(path)
        except OSError as error:
            unread[str(path)] = str(error.strerror)
            continue
        sizes = {name: getattr(found, name) for name in ("checkpoints", "results", "states", "rest", "foreign", "total")}
        rows.append({"name": path.name, **sizes})
    rows.sort(key=lambda row: -row["total"])
    if json_output:
        print_json(rows)
    elif rows:
        counts = [name for name in rows[0] if name != "name"]
        whole = {"name": counted(len(rows), "run"), **{name: sum(row[name] for row in rows) for name in counts}}
        print_table([{"name": row["name"], **{name: byte_size(row[name]) for name in counts}} for row in [*rows, whole]])
    elif not unread:
        say(f"no runs in {root}")
    fail_on_unread(unread)


def rm(run: Runs, yes: Yes = False, lock: Lock = None, root: Root = ROOT) -> None:
    """Delete runs, after saying what goes and asking. A run that is being trained is refused, and so is a link.

    Files in a run's directory that are not the run's stay, and the directory with them.

    Args:
        run: which runs.
    """
    from interp.store.removing import check_removable, parts_of, remove

    if not run:
        raise UsageError("rm: given no run, expected at least one; `interp runs` lists them")
    paths = list(dict.fromkeys(find_path(one, root) for one in run))
    for path in paths:
        check_removable(path)
        check_free(path)
        found = parts_of(path)
        stays = f"; {counted(len(found.others), 'file')} in it that are not the run's stay" if found.others else ""
        say(f"{path}: {state_of(path)}; {counted(len(found.own), 'file')}, {byte_size(found.total)}{stays}")
    confirm(f"delete {'it' if len(paths) == 1 else f'these {len(paths)} runs'} for good", yes=yes)
    for path in paths:
        found = remove(path, lock=lock)
        say(f"deleted {path}: {byte_size(found.total)}")
        for name in found.others:
            say(f"left {path / name}: not the run's")


def rename(
    run: RunPath,
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME", help="its new name, in the same directory")],
    lock: Lock = None,
    root: Root = ROOT,
) -> None:
    """Give a run another name. One that is being trained, or is part of a study, is refused; nothing is overwritten."""
    from interp.store.removing import rename as give_name

    path = find_path(run, root)
    say(f"{path} is now {give_name(path, name, lock=lock)}")


def thin(
    run: RunPath,
    keep: Annotated[str, tyro.conf.arg(metavar="ends|STEPS")] = "ends",
    measures: Annotated[str | None, tyro.conf.arg(metavar="NAMES")] = None,
    threads: Threads = None,
    yes: Yes = False,
    root: Root = ROOT,
) -> None:
    """Delete a finished run's checkpoints, after measuring all of them: what was measured becomes part of the run.

    The first and the last checkpoint always stay. What is not among the measures cannot be measured afterwards.

    Args:
        keep: checkpoints that stay: the ends, or steps such as 0,500 or 0:5000:500.
        measures: analyses that are measured first, with commas (default: those of studies).
    """
    from interp.studies.study_plan import DEFAULT_MEASURES

    opened = find_run(run, root)
    stay = _staying(opened, keep)
    names = list(DEFAULT_MEASURES) if measures is None else [name for name in measures.split(",") if name]
    gone = [step for step in opened.steps if step not in stay]
    if not gone:
        say(f"{opened.path}: nothing to delete; {counted(len(opened.steps), 'checkpoint')} stay")
        return
    size = byte_size(sum(opened.manifest.files[checkpoint_name(step)].size for step in gone))
    first = "" if opened.manifest.thinned else f"measure {', '.join(names)} at every checkpoint, then "
    say(f"{opened.path}: {first}delete {len(gone)} of {counted(len(opened.steps), 'checkpoint')}, {size}")
    confirm("go on", yes=yes)
    with counted_progress("measuring") as on_step:
        from interp.observing.thinning_out import thin_measured  # takes a second or two

        thinned = thin_measured(opened, stay, measures=names, threads=threads, on_step=on_step)
    say(f"{thinned.path}: {counted(len(thinned.steps), 'checkpoint')} left; {size} freed")


def _staying(run: Run, keep: str) -> set[int]:
    """The steps that stay, of a run that can be thinned.

    Raises:
        UsageError: for one that cannot be, or a step that was not saved.
    """
    if run.path.is_symlink():
        raise UsageError(f"{run.path} is a link, and what it leads to is left alone; name the run itself")
    check_free(run.path)
    if not run.manifest.final or not run.steps:
        raise UsageError(f"run {run.path} is unfinished: only a finished run can be thinned")
    chosen = [] if keep == "ends" else parse_steps(keep, run, flag="--keep") or []
    for step in chosen:
        run.sha256(step)  # the error for a step that was not saved
    return {run.steps[0], run.steps[-1], *chosen}


def check_free(path: Path) -> None:
    """Refuse a run that some process writes at this moment, before anything is asked.

    Raises:
        UsageError: naming it.
    """
    from interp.store.locking import is_locked

    if is_locked(path):
        raise UsageError(f"{path} is being written by another process; wait until it ends, or stop it")


def state_of(path: Path) -> str:
    """Status and outcome of a run, or that it cannot be read."""
    from interp.store.history_phases import ended
    from interp.store.run import open_run

    try:
        run = open_run(path)
        outcome, date, _ = ended(run)
    except (DataError, UsageError):
        return "it cannot be read"
    return f"{run.status}, {outcome}{f', grokked at {date:,}' if date is not None else ''}"


def confirm(what: str, *, yes: bool) -> None:
    """Ask on the terminal; where there is none, only --yes is an answer.

    Raises:
        UsageError: if the answer is no, or nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"nothing was done: nobody can be asked whether to {what}; say it with --yes")
    print(f"Type yes to {what}: ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was done")
