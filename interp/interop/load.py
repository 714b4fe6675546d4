"""Loading published models and runs: `load_weights` for one model, `load_run` for everything a file contains."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from interp.config.run_config import OptimizerConfig, RunConfig
from interp.errors import DataError, UsageError, unknown
from interp.interop import pizza
from interp.interop.account import account_of
from interp.interop.containers import limits
from interp.interop.found_split import find_split, refuted
from interp.interop.gathering import Files, find_files
from interp.interop.group_models import log_of, no_group_in_words
from interp.interop.group_tasks import drawn_split, group_task_of, numbering_notes, task_by_our_name
from interp.interop.guess import Guess
from interp.interop.held_network import Held, HeldTask
from interp.interop.imported import Imported, disagreements, run_config
from interp.interop.known import Known, UnknownFactError
from interp.interop.logs.training_log import TrainingLog
from interp.interop.opened import Opened
from interp.interop.opening import open_file
from interp.interop.own_log import compared, find_log, miscounted, unsaid_step
from interp.interop.recognising import Format
from interp.interop.stored_settings import optimizer_notes, unheld_notes
from interp.interop.stored_sizes import size_notes, whole_number
from interp.interop.untrusted import blaming, stored_attributes
from interp.interop.working import working
from interp.networks.one_layer import Weights
from interp.store.foreign import create_run
from interp.store.run import Run
from interp.tasks.modular import OPERATIONS, ModularTask, Operation
from interp.tasks.splits import Split, SplitConfig

_NOTHING = Known()
Paths = str | Path | Sequence[str | Path]


def load_weights(path: Paths, format: Format = "auto", *, step: int | None = None, known: Known = _NOTHING) -> Weights:
    """One model from a published file. Nothing in the file is executed, and no tensor in it is silently ignored.

    Args:
        path: a file of the official grokking code, TransformerLens (legacy or 4), the clock/pizza code (with its .json beside
            it), a transformer of the group-representation code (with its cfg.json), one of this toolkit's checkpoints, or any
            other file of tensors whose names are usual ones, or said by a map; a folder of such files or a list of them, each
            with the model of one step. docs/importing.md lists the kinds of file.
        format: one of `interp.interop.FORMATS`; ``auto`` recognises all but ``map`` by most of the names in the file. ``names``
            reads tensors by what they are usually called, and the order of their axes by shapes and by what works; ``map`` takes
            everything as `Known.map` says, and guesses nothing.
        step: the epoch, in a file with several checkpoints; the last one by default.
        known: what the file does not contain, such as ``Known(n_heads=4)`` or ``Known(map=("tok.T=W_E", ...))``.

    Raises:
        UsageError: for a file, format or step that does not exist, or a fact that neither the file nor the caller gives.
        DataError: for a file that is damaged, crafted, or of another architecture; the message names every tensor concerned.
    """
    source = find_files(path)
    with blaming(source.given):
        opened = open_file(source, format, known)
        states = dict(opened.content.states)
        if step is not None and step not in states:
            steps = [str(epoch) for epoch in states if epoch is not None]
            raise unknown("step", step, [*steps[:5], "...", *steps[-5:]] if len(steps) > 10 else steps)
        model = opened.read(states[step] if step is not None else opened.content.states[-1][1])
        if not isinstance(model, Weights):
            raise UsageError(
                "an MLP of two embeddings, no one-layer transformer: it is the second of load_run(path).checkpoints[-1], and "
                "interp import makes a run of it"
            )
        return model


def load_run(path: Paths, format: Format = "auto", *, known: Known = _NOTHING) -> Imported:
    """Everything a published file contains: its checkpoints, task, split and losses, with notes on what it does not contain.

    Arguments and errors are those of `load_weights`. Steps are the file's own epochs. (In the official code and in
    TransformerLens' demo the state of epoch e has had e + 1 updates, and its training loss is from before the last of them.)
    """
    source = find_files(path)
    with blaming(source.given):
        return _describe(source, open_file(source, format, known), known)


def import_run(
    path: Paths,
    root: str | Path = "checkpoints",
    name: str | None = None,
    *,
    format: Format = "auto",
    known: Known = _NOTHING,
) -> Run:
    """Make an ordinary run from a published file: every analysis, the report and the hooks work on it.

    Args:
        root: directory of runs.
        name: name of the new run; by default the file's name without its suffix, or the folder's.

    Raises:
        UsageError: if the run exists already; if the split is neither stored, nor found by the losses, nor given; or if the
            published losses contradict the one that was given.
        DataError: as in `load_weights`; nothing is written then.
    """
    imported, source = load_run(path, format, known=known), find_files(path)
    if imported.split is None:
        raise UnknownFactError(
            f"{source.given}: its train and test pairs are not known, and a run needs them (interp anatomy and "
            f"interp.load_weights do not): {'; '.join([*_apart(imported), *imported.account.result()])}; with a split that is "
            "not the model's own, the page would call pairs seen that were not, so that the example shows the form only",
            {"split": SplitConfig("torch", 1, 0.4) if imported.format == "groups" else SplitConfig("python", 0, 0.3)},
        )
    if imported.refuted:
        raise UsageError(
            f"{source.given}: {imported.refuted}, and the run would be measured on it; leave the split out to have it "
            "found by the losses, give the one that was trained on, or insist on it with trust_split (--trust-split)"
        )
    return create_run(
        root,
        name or source.name,
        imported.config,
        split=imported.split,
        checkpoints=imported.checkpoints,
        history_rows=imported.history_rows(),
        provenance=imported.provenance,
    )


def _apart(imported: Imported) -> list[str]:
    """Notes but for those on how tensors were read."""
    told = imported.account.notes()
    return [note for note in imported.notes if note not in told]


def _describe(source: Files, opened: Opened, known: Known) -> Imported:
    content, notes = opened.content, [*opened.content.notes, *opened.notes]
    models = [opened.read(state) for _, state in content.states]
    weights = models[-1]
    task, task_guesses = _task(opened, weights, known, source)
    log, log_notes = find_log(source, content, known, log_of(source.files[-1]) if opened.group is not None else None)
    drawn = _drawn(opened, task)

    def logged_losses(split: Split) -> str:
        return "" if log is None else compared(log, content.states[-1][0], weights, task=task, split=split)

    rule, split, split_notes = find_split(content, models, task, known=known, drawn=drawn, logged=logged_losses)
    against, insisted = refuted(content, models, task, known)
    step, step_notes = unsaid_step(opened, log, weights, task=task, split=split)
    notes += step_notes
    unplaced = step is None
    checkpoints = tuple(
        ((step or 0) if epoch is None else epoch, model) for (epoch, _), model in zip(content.states, models, strict=True)
    )
    last, precision = checkpoints[-1][0], content.precision
    config, missing = run_config(weights, task, split=rule, optimizer=_optimizer(opened), steps=last, seed=_seed(opened))
    missing = (*missing, *(["steps"] if unplaced else []), *(["dtype"] if precision else []))
    losses = {which: content.losses(which) for which in ("train", "test")}
    counts_calls = miscounted(log, last) if log is not None else []
    placed = None if counts_calls else log  # values at invented steps would be dated
    notes += [*log_notes, *counts_calls]
    notes += [*(disagreements(placed, checkpoints, task, split) if placed and not unplaced else [])]
    shares = {which: content.accuracies(which) for which in losses}
    notes += [note for which in losses for note in (content.losses_note(which), shares[which].note) if note]
    logged = placed.columns.get("train_loss", {}).get(last) if placed is not None else None
    at = None if unplaced else last
    numbering = numbering_notes(weights, known.group) if opened.group is None else []
    account = account_of(opened, weights, task, split=split, step=at, logged_loss=logged, guesses=task_guesses)
    notes += [*(f"the {one.what} is {one.why}: {one.value} was assumed" for one in task_guesses), *split_notes, *insisted]
    notes += [*([against] if against else []), *account.notes(), *numbering]
    notes += [
        f"not stored, so the config has defaults for: {', '.join(missing)}",
        *_contradictions(opened, known),
        *(size_notes(opened.config, weights) if isinstance(weights, Weights) else []),
    ]
    notes += _held_as(config, precision)
    notes = [*map(limits.shortened, notes)]
    return Imported(
        format=opened.format,
        checkpoints=checkpoints,
        task=task,
        config=config,
        split=split,
        train_losses=losses["train"],
        test_losses=losses["test"],
        accuracies={f"{which}_accuracy": placed.by_epoch for which, placed in shares.items() if placed.epochs},
        notes=tuple(notes),
        provenance={
            **_provenance(source, opened),
            **_beside(known, log if log and log.path not in source.files else None),
            "unknown": list(missing),
            "notes": notes,
        },
        account=account,
        unknown=missing,
        refuted=against,
        log=placed,
        unplaced=unplaced,
    )


def _task(opened: Opened, weights: Held, known: Known, source: Files) -> tuple[HeldTask, list[Guess]]:
    if known.task is not None:
        stored_word = opened.config.get("fn_name")
        return task_by_our_name(weights, known.task, opened.group or (stored_word if stored_word in OPERATIONS else None)), []
    group = known.settle("group", opened.group)
    if group is not None or not isinstance(weights, Weights):
        untold = no_group_in_words(source.files[-1]) if group is None else ""
        return group_task_of(weights, None if group is None else str(group), untold=untold)
    stored: object = opened.config.get("fn_name")
    if opened.format == "pizza" and opened.config:
        stored = pizza.operation_of(opened.config)
    if stored is not None and stored not in OPERATIONS:
        if known.operation is None:
            raise DataError(
                f"operation: the file says {stored!r}, expected one of {', '.join(OPERATIONS)}; if the model has learned one of "
                "these all the same, give --operation (known.operation)"
            )
        stored = None
    operation, guesses = known.settle("operation", stored), []
    if operation is None:
        operation, guess = _likely_operation(weights)
        guesses = [guess]
    return ModularTask(weights.p, cast(Operation, operation), equals_sign=weights.equals_sign), guesses


def _likely_operation(weights: Weights) -> tuple[Operation, Guess]:
    """The operation that the model does far better than addition; addition if there is none."""
    added, best = working(weights, ["add"]), working(weights)
    if not best.is_far_better_than(added):
        return "add", Guess("operation", "addition", "not stored", {"operation": "subtract"})
    why = f"not stored, and the model does this one, right for {best.accuracy:.1%} of the pairs"
    return cast(Operation, best.operation), Guess("operation", best.operation, why, {"operation": "add"})


def _drawn(opened: Opened, task: HeldTask) -> SplitConfig | Split | None:
    """The split by the format's own rule, if it has one."""
    if opened.group is not None:
        return drawn_split(opened.config, task.n_pairs)
    if opened.format != "official":
        return None
    seed, fraction = opened.config.get("seed", 0), opened.config.get("frac_train", 0.3)
    if not isinstance(seed, int) or not isinstance(fraction, float) or not 0 < fraction < 1:
        raise DataError(f"config: given seed {seed!r} and frac_train {fraction!r}, expected an integer and a number in (0, 1)")
    return SplitConfig("python", seed, fraction)


def _optimizer(opened: Opened) -> dict[str, object]:
    """Optimizer settings, from the optimizer's own state or else from the configuration; empty if there is neither."""
    stored, config = opened.content.optimizer(), opened.config
    names = ("lr", "weight_decay", "eps", "beta1", "beta2")
    settings: dict[str, object] = {name: value for name in names if _is_usable(name, value := stored.get(name, config.get(name)))}
    # Both codes that store settings warm up over 10 updates.
    return {**settings, "warmup_steps": 10} if settings and opened.format in ("official", "pizza") else settings


def _is_usable(name: str, value: object) -> bool:
    """Whether a stored setting is one that a run can have."""
    if not isinstance(value, int | float):
        return False
    try:
        RunConfig(optimizer=replace(OptimizerConfig(), **{name: value}))  # type: ignore[arg-type]  # a number
    except UsageError:
        return False
    return True


def _seed(opened: Opened) -> int | None:
    """The stored seed, if there is one."""
    seed = whole_number(opened.config.get("seed"))
    return seed if seed is not None and 0 <= seed < 2**63 else None


def _held_as(config: RunConfig, precision: Sequence[str]) -> list[str]:
    """That the config's precision is not the stored one, where that is shorter: every stored number is held exactly."""
    told = f"dtype: {config.dtype} is how the run holds the numbers, each of them exactly; stored are {' and '.join(precision)}"
    return [f"{told}, and in what it was trained is not said"] if precision else []


def _contradictions(opened: Opened, known: Known) -> list[str]:
    stored, config = opened.content.optimizer(), opened.config
    return (
        [
            f"{name}: the configuration says {config[name]!r}, the optimizer's state {stored[name]!r}, which was taken"
            for name in ("lr", "weight_decay")
            if name in stored and name in config and stored[name] != config[name]
        ]
        + optimizer_notes(config)
        + unheld_notes(config)
        + [
            f"operation: the file says {name!r}, which no model is imported as; the given {known.operation!r} counts"
            for name in [config.get("fn_name")]
            if known.operation is not None and name is not None and name not in OPERATIONS
        ]
        + [
            f"{name}: the file says {value!r}, which no run can have: taken as unknown"
            for name in ("lr", "weight_decay", "eps", "beta1", "beta2")
            if isinstance(value := stored.get(name, config.get(name)), int | float) and not _is_usable(name, value)
        ]
    )


def _provenance(source: Files, opened: Opened) -> dict[str, object]:
    names = source.names
    several = {"files": names} if len(names) > 1 else {}
    stored = {"stored_precision": " and ".join(opened.content.precision)} if opened.content.precision else {}
    facts = {"sha256": source.digest, "format": opened.format, "config": stored_attributes(opened.config)}
    return {"file": source.name if several else names[0], **several, **facts, **stored}


def _beside(known: Known, log: TrainingLog | None) -> dict[str, object]:
    """Names and hashes of the files that came with the weights."""
    beside = {"split_file": known.split_file, "log": log.path if log is not None else None}
    return {name: {"file": path.name, "sha256": _hash(path)} for name, path in beside.items() if path is not None}


def _hash(path: Path) -> str | None:
    """SHA-256 of a file; None for a folder."""
    if path.is_dir():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
