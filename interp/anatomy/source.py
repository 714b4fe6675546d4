"""Where a model to dissect comes from: a run, one of its checkpoints, or any published file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from interp.errors import UsageError
from interp.interop import Format, Known, check_is_not_said, load_run
from interp.networks.one_layer import Weights
from interp.networks.two_embeddings import TwoEmbeddings
from interp.store.manifest import MANIFEST
from interp.store.run import Run, RunLike, as_run, open_run
from interp.tasks.modular import ModularTask
from interp.tasks.splits import Split
from interp.tasks.task import TableTask

_NOTHING = Known()
_DECAY = {"optimizer", "optimizer.weight_decay"}  # among what is unknown; runs of earlier versions have the first


@dataclass(frozen=True, eq=False)
class Source:
    """One model, what it learned, its training pairs, step and weight decay (each None if unknown), and notes on it."""

    weights: Weights | TwoEmbeddings
    task: ModularTask | TableTask
    split: Split | None
    step: int | None
    notes: tuple[str, ...] = ()
    weight_decay: float | None = None

    @property
    def fraction(self) -> float | None:
        """The share of the pairs that were trained on; None if it is not known."""
        return None if self.split is None else len(self.split.train) / (len(self.split.train) + len(self.split.test))


def open_source(path: str | Path, *, step: int | None = None, format: Format = "auto", known: Known = _NOTHING) -> Source:
    """Find a model: ``path`` is a run, one of its checkpoint files, or a published file that `interp.interop.load_run` reads.

    Args:
        step: which checkpoint of a run or of a file with several; the last by default.
        format: of a published file, as in `interp.interop.load_run`.
        known: what a published file does not tell.

    Raises:
        UsageError: for a path or step that does not exist, or for something known of a run, which has it stored.
        DataError: for a damaged or foreign file.
    """
    path = Path(path)
    run_path = path if (path / MANIFEST).is_file() else path.parent.parent
    if (run_path / MANIFEST).is_file():
        check_is_not_said(run_path, format, known)
        return _of_run(open_run(run_path), path, step)
    imported = load_run(path, format, known=known)
    found = dict(imported.checkpoints)
    if step is not None and step not in found:
        near = min(found, key=lambda saved: abs(saved - step))
        raise UsageError(f"--step: given {step}, which is not in {path}; did you mean {near}?")
    chosen = imported.checkpoints[-1][0] if step is None else step
    decay = None if _DECAY & set(imported.unknown) else imported.config.optimizer.weight_decay
    at = None if imported.unplaced else chosen
    return Source(found[chosen], imported.task, imported.split, at, imported.notes, decay)


def known_weight_decay(run: RunLike) -> float | None:
    """The weight decay that a run was trained with; None where it is not known: of a loop of one's own, or lacking in a file."""
    run = as_run(run)
    if not run.has_config:
        return None
    told = not run.is_imported or not _DECAY & set(run.provenance.get("unknown", _DECAY))
    return run.config.optimizer.weight_decay if told else None


def _of_run(run: Run, path: Path, step: int | None) -> Source:
    if path != run.path:
        inside = {run[saved].path.name: saved for saved in run.steps if f"{saved}" in path.stem}
        if path.name not in inside:
            raise UsageError(f"{path} is not one of the checkpoints of {run.path}; name the run and --step")
        if step is not None and step != inside[path.name]:
            raise UsageError(f"--step: given {step} with the checkpoint of step {inside[path.name]}; leave one of them out")
        step = inside[path.name]
    chosen = run.steps[-1] if step is None else step
    last = run.steps[-1]
    note = f"key frequencies are those of this checkpoint; a series of this run has those of its last one, step {last}"
    notes = (note,) if chosen != last else ()
    network = run[chosen].network
    held = network if isinstance(network, TwoEmbeddings) else run[chosen].weights
    at = chosen if run.knows_step else None
    return Source(held, run.task, run.split_at(chosen), at, notes, known_weight_decay(run))
