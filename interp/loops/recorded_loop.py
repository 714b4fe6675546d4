"""interp.recording: anybody's training loop, kept as a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from interp.config.run_config import CheckpointConfig
from interp.errors import UsageError
from interp.harmonics.harmonics import Name
from interp.loops.begun_loop import BegunLoop
from interp.loops.dues import dues
from interp.loops.logit_keys import RULE
from interp.loops.loop_log import Recording
from interp.loops.matrix_spectra import NAME, matrix_spectra
from interp.loops.measured_moments import analyses_for
from interp.loops.moment import Loss, Watched, loss_named
from interp.loops.told_numbers import whole
from interp.loops.wanted import Wanted
from interp.networks.module_network import Inputs, ModuleNetwork, tokens_alone
from interp.networks.undisturbed import same_random_streams, same_settings
from interp.observing.analysis import Asked
from interp.store.locking import LockKind
from interp.store.run_paths import run_path
from interp.tasks.splits import Split, SplitConfig
from interp.tasks.task import Task, answered

MOST_NAME = 200  # bytes of a name: file systems take 255, of which what is made beside the run needs some


def recording(  # noqa: PLR0913  each is a choice of the one who records
    name: str,
    model: nn.Module,
    *,
    task: Task,
    split: Split | SplitConfig | None = None,
    loss: str | Loss = "cross_entropy",
    inputs: Inputs = tokens_alone,
    position: int = -1,
    sites: Sequence[str] = (),
    steps: int | None = None,
    checkpoints: CheckpointConfig | Iterable[int] | None = None,
    evaluate_every: int | None = None,
    matrices: Mapping[str, str] | None = None,
    keys: Sequence[Name] | None = None,
    analyses: Asked = None,
    live: bool = False,
    root: str | Path = "checkpoints",
    lock: LockKind | None = None,
) -> Recording:
    """Record a training loop of your own: what is told by ``log.step(i)`` inside the block becomes a run as any other.

    Nothing in the training changes: the model is looked at in evaluation mode without gradients, at due steps only, and modes,
    random streams and torch's settings are put back. No error in a measure, and no disk, ends the loop: it is said once, in the
    run's log and on its page. Leaving the block ends the run; an exception or Ctrl-C leaves it unfinished, and the same call
    continues it: `Recording.last` says after which step. docs/recording.md is the guide.

    Args:
        name: of the run.
        model: any module that answers tokens with logits: (row, class), or (row, position, class), alone, first in a tuple, or as
            ``.logits``. It may have more classes than the task has answers: the first are the answers.
        task: what it learns.
        split: which of the task's inputs it is trained on, as rows or as a rule; all of them by default, and then there are no
            test curves.
        loss: what the curves show: ``cross_entropy``, ``stablemax``, or a function of (logits, labels) that returns a loss for
            each row or their mean.
        inputs: makes what the model is called with of the tokens (row, position): a tensor, a tuple of positional or a dict of
            named arguments, such as ``lambda tokens: (tokens[:, 0], tokens[:, 1])``.
        position: where the answer is read, if the model answers at every position.
        sites: dotted names of submodules whose outputs analyses get from ``view.network.activations(view.task.inputs)``.
        steps: the last step, if that is known; a loop may go on after it, and is saved at the even steps of the rule then.
        checkpoints: which steps are saved: a rule (by default that of `RunConfig`) or the steps. The last one told is saved too.
            Listed ones are evaluated as they are saved. Of a rule's logarithmic steps only the first at or after each power of 10
            are: the others are measured when the block is left, and the curves have no point there.
        evaluate_every: evaluate at multiples of this as well.
        matrices: names of tensors, by what they are to be called: norm, singular values and waves of each at every checkpoint.
        keys: key frequencies; by default they are read from the logits at the end (`interp.loops.logit_keys.logit_keys`).
        analyses: measured of every checkpoint, see `observe`; by default what needs only logits: which pairs are right, alone and
            by what training has shown of them, how good the best guesses are, numerical health, and, where the answers have
            harmonics, restricted and excluded loss, the spectrum of the logits, and what circuit and table each carry, with the
            verdict. Those that need key frequencies are measured at the end, unless these are given.
        live: serve the run's page on this machine meanwhile.
        root: directory of runs.
        lock: as for `record`.

    Raises:
        UsageError: before anything is written: if the model does not answer with logits of the task (the shapes are named), for a
            name that is not there, or if the run is there and is another or of other choices, or at its end.
        DataError: if the run cannot be begun.

    >>> import tempfile, torch, interp
    >>> task = interp.ModularTask(5)
    >>> model = torch.nn.Sequential(torch.nn.Embedding(6, 8), torch.nn.Flatten(), torch.nn.Linear(24, 5))
    >>> optimizer = torch.optim.AdamW(model.parameters())
    >>> tokens, labels = torch.from_numpy(task.inputs), torch.from_numpy(task.labels)
    >>> with interp.recording("mine", model, task=task, checkpoints=[0, 2], root=tempfile.mkdtemp()) as log:
    ...     for i in range(4):
    ...         log.step(i)
    ...         torch.nn.functional.cross_entropy(model(tokens), labels).backward()
    ...         optimizer.step()
    ...     log.step(4)
    >>> log.run.steps, log.run.status
    ((0, 2, 4), 'finished')
    """
    place = _check_kinds(name, inputs, position, sites)
    path = run_path(root, name)
    if not isinstance(model, nn.Module):
        raise UsageError(f"model: given {type(model).__name__}, expected a torch.nn.Module")
    if not isinstance(task, Task):
        raise UsageError(f"task: given {type(task).__name__}, expected a task, such as interp.ModularTask(59)")
    network = ModuleNetwork(model, inputs, place, tuple(sites))
    function, loss_name = loss_named(loss)
    watched = Watched(network, task, _split(split, task), function)
    with same_random_streams(), same_settings():
        watched.check()
    given = _keys(keys, task)
    chosen, late = analyses_for(analyses, task, given, has_unseen=len(watched.split.test) > 0)
    own = [matrix_spectra(matrices, network.tensors())] if matrices is not None and matrices != {} else []
    if matrices and any(analysis.name == NAME for analysis in chosen):
        raise UsageError(f"analyses: given one named {NAME!r}, as that of matrices=; give it another name")
    due = dues(checkpoints, every=evaluate_every, steps=steps)
    told = {
        "loss": loss_name,
        "model": network.facts()["class"],
        "matrices": dict(matrices or {}),
        "key_rule": RULE if given is None else "explicit",
        **({} if given is None else {"keys": list(given)}),
        "analyses": sorted(analysis.name for analysis in (*chosen, *late)),
    }
    begun = BegunLoop(path, watched, due, told)
    begun.check()
    return Recording(Wanted(begun, watched, due, [*chosen, *own], late, given, live, lock))


def _check_kinds(name: object, inputs: object, position: object, sites: object) -> int:
    """Error for what is not of the kind that is expected; returns the position as an integer of Python's."""
    if not isinstance(name, str) or len(name.encode(errors="replace")) > MOST_NAME:
        raise UsageError(f"name: given {name!r:.60}, expected a text of at most {MOST_NAME} bytes")
    if not callable(inputs):
        raise UsageError(f"inputs: given {inputs!r:.60}, expected a function of the tokens")
    place = whole(position)
    if place is None:
        raise UsageError(f"position: given {position!r:.60}, expected an integer, such as -1 for the last")
    if isinstance(sites, str) or not isinstance(sites, Sequence) or not all(isinstance(site, str) for site in sites):
        raise UsageError(f"sites: given {sites!r:.60}, expected a list of names of submodules")
    return place


def _split(split: Split | SplitConfig | None, task: Task) -> Split:
    rows = answered(task)
    if split is None:
        left_out = np.setdiff1d(np.arange(len(task.labels)), rows)
        return Split(train=rows, test=np.arange(0), left_out=left_out if len(left_out) else None)
    if isinstance(split, SplitConfig):
        return split.draw(task)
    if not isinstance(split, Split):
        raise UsageError(f"split: given {split!r:.60}, expected an interp.Split or SplitConfig of {task.name!r}")
    if not np.array_equal(np.sort(np.concatenate([split.train, split.test])), rows):
        with_answer = "" if len(rows) == len(task.labels) else " that have an answer"
        raise UsageError(
            f"split: given {split!r}, expected one that names each of the {len(rows)} rows of {task.name!r}{with_answer} once"
        )
    return split


def _keys(keys: Sequence[Name] | None, task: Task) -> tuple[Name, ...] | None:
    """Key frequencies that were given, in the order of the harmonics."""
    if keys is None:
        return None
    if isinstance(keys, str) or not isinstance(keys, Iterable):
        raise UsageError(f"keys: given {keys!r:.60}, expected a list of key frequencies")
    names = [key if (number := whole(key)) is None else number for key in keys]
    if task.harmonics is None:
        raise UsageError(f"keys: given {names}, but the answers of {task.name!r} have no harmonics")
    task.harmonics.projector(names)  # the error for a name that is not one of theirs
    return tuple(name for name in task.harmonics.names if name in set(names))
