"""One run of a study: leased, recorded, measured, thinned. What a worker does, wherever it is."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from interp.config.run_config import RunConfig
from interp.errors import DataError, TrainingError
from interp.store.journal import read_manifest
from interp.store.leases import SECONDS, Held, Leases
from interp.store.locking import is_locked
from interp.store.manifest import CHECKPOINTS, MANIFEST, RESUME, SERIES, Manifest
from interp.studies.study_plan import Keep, point_name
from interp.wording import counted

RUNS, LEASES = "runs", "leases"

# How a point is left: its run is at its end and tidied up, or broke off since its loss was not finite; or another worker has it.
State = Literal["finished", "stopped", "held"]


@dataclass(frozen=True)
class Work:
    """The job of a study's worker, a function of one configuration that can be sent to any process.

    Args:
        folder: the study's.
        keep: which checkpoints stay.
        measures: what is measured before any goes.
        lease_seconds: how long a lease holds.
        force: train a run even if it takes more than this machine has, by estimate.
    """

    folder: Path
    keep: Keep
    measures: tuple[str, ...]
    lease_seconds: float = SECONDS
    force: bool = False

    def __call__(self, config: RunConfig) -> State:
        """Bring a run to its end, unless somebody else does; a run that was begun goes on.

        Raises:
            DataError, UsageError, OSError: if that cannot be done here.
        """
        name = point_name(config)
        check_own(self.folder, RUNS, LEASES, f"{RUNS}/{name}")
        if (state := settled(self.folder / RUNS / name, self.keep)) is not None:
            return state
        lease = Leases(self.folder / LEASES, seconds=self.lease_seconds).take(name)
        if isinstance(lease, Held):
            return "held"
        with lease.kept():
            # Another worker may have finished it between the look and the lease. Or it has been stopped for longer than its
            # lease held (Ctrl-Z, a debugger) and still has the run: let go on, it saves it and ends.
            run = self.folder / RUNS / name
            return settled(run, self.keep) or ("held" if is_locked(run) else self._do(config, name))

    def _do(self, config: RunConfig, name: str) -> State:
        from interp.keeping.recorder import record

        try:
            run = record(config, root=self.folder / RUNS, name=name, progress=False, force=self.force, keep_last=False)
        except TrainingError:
            if settled(self.folder / RUNS / name, "all") == "stopped":
                return "stopped"
            raise
        if self.keep != "all":
            from interp.observing.thinning_out import thin_measured

            thin_measured(run, self.keep if isinstance(self.keep, tuple) else (), measures=self.measures, threads=1)
        return "finished"


def check_own(folder: Path, *names: str) -> None:
    """Refuse to write to a study through a link: what it leads to is not the study's.

    Raises:
        DataError: naming the link.
    """
    for name in names:
        if (folder / name).is_symlink():
            raise DataError(f"{folder / name} is a link, expected a folder of the study's own: nothing is written through it")


def settled(run: Path, keep: Keep) -> State | None:
    """Whether nothing is left to do for a run, and how it ended; None if something is.

    Raises:
        DataError: if it is damaged: its manifest, or files that are missing or too short.
    """
    if not (run / MANIFEST).is_file() or (run / RESUME).exists():
        return None
    manifest = read_manifest(run)
    check_whole(run, manifest)
    if manifest.status == "stopped":
        return "stopped"
    if not manifest.final:
        return None
    if keep == "all":
        return "finished"
    stay = {*manifest.steps[:1], *manifest.steps[-1:], *(keep if isinstance(keep, tuple) else ())}
    is_thin = is_measured(manifest) and set(manifest.steps) <= stay and not _has_left_overs(run, manifest)
    return "finished" if is_thin else None


def _has_left_overs(run: Path, manifest: Manifest) -> bool:
    """Whether checkpoints that were thinned out are still there, as that was interrupted between its manifest and their files."""
    gone = {Path(name).name for name in manifest.thinned}
    with suppress(FileNotFoundError):
        return bool(gone) and not gone.isdisjoint(os.listdir(run / CHECKPOINTS))
    return False


def is_measured(manifest: Manifest) -> bool:
    """Whether what a study measures of a run is part of it."""
    return bool(manifest.thinned) or any(name.startswith(f"{SERIES}/") for name in manifest.files)


def ended(run: Path, keep: Keep) -> State | None:
    """As `settled`, for those who look at many runs: of a damaged one it is not known, and whoever trains it will say so."""
    try:
        return settled(run, keep)
    except DataError:
        return None


def check_whole(run: Path, manifest: Manifest) -> None:
    """Error unless every file of a run is there, with its bytes or more. (Whether they are the right ones only hashing tells.)

    Raises:
        DataError: naming the first that is not.
    """
    for name, entry in manifest.files.items():
        try:
            size = (run / name).stat().st_size
        except OSError:
            size = None
        if size is None or size < entry.size:
            found = "missing" if size is None else f"damaged: {counted(size, 'byte')}, expected {entry.size:,}"
            raise DataError(f"{run / name}: {found}; `interp verify {run}` says more. Without its folder the run is trained anew")
