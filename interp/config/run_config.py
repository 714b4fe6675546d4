"""RunConfig: everything that determines a run, as frozen values.

Nothing here imports torch, so that the command line can show its help at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from interp.config.change_checks import FIXED, check_change, check_possible
from interp.config.changes import Change, SetField, read_change
from interp.config.field_checks import MOST_THREADS, device, holdable, integer, one_of, refuse, short, truth, without_later
from interp.config.model_config import ModelConfig as ModelConfig  # noqa: PLC0414  they are imported from here, too
from interp.config.optimizer_config import OptimizerConfig as OptimizerConfig  # noqa: PLC0414  likewise
from interp.config.parsing import parse_config, read_config
from interp.config.saved_steps import SavedSteps
from interp.config.tabled_tasks import checked_of_table, checked_with_task
from interp.errors import UsageError, unknown
from interp.tasks.modular import ModularTask
from interp.tasks.named import task as task_by_name
from interp.tasks.pair_blocks import APART
from interp.tasks.splits import SplitConfig
from interp.tasks.task import TableTask

if TYPE_CHECKING:
    RunTask = ModularTask | TableTask
else:
    # What files and the command line can say: they read the fields' types.
    RunTask = ModularTask

EngineName = Literal["auto", "reference", "cpu", "cuda"]


@dataclass(frozen=True)
class CheckpointConfig:
    """Which steps are saved: logarithmically dense early, then evenly; step 0 and the last step always.

    Args:
        log: number of logarithmically spaced steps, from 1 to 10 times `every` or the last step, whichever is less.
        every: spacing of the evenly spaced steps; 0 means none.
        moments: steps at which the whole state of the training is kept too, with the optimizer's moments, so that a run can
            begin there (about three times a checkpoint's size each); they are saved steps as well.
    """

    log: int = 30
    every: int = 100
    moments: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        whole = isinstance(self.moments, tuple) and not any(integer("", step, least=0) for step in self.moments)
        refuse(
            *(integer(f"checkpoints.{name}", getattr(self, name), least=0) for name in ("log", "every")),
            None if whole else f"checkpoints.moments: given {short(self.moments)}, expected a tuple of integers >= 0 (steps)",
        )
        object.__setattr__(self, "moments", tuple(sorted(set(self.moments))))

    def steps(self, last: int) -> SavedSteps:
        """The steps to save in a run of `last` updates, ascending: a rule, of which no list is made unless it is asked for.

        >>> list(CheckpointConfig(log=4, every=100).steps(300))
        [0, 1, 7, 45, 100, 200, 300]
        """
        return SavedSteps(last, self.log, self.every, tuple(self.moments_of(last)))

    def moments_of(self, last: int) -> list[int]:
        """The steps at which the whole state is kept in a run of `last` updates, ascending."""
        return [step for step in self.moments if step <= last]


@dataclass(frozen=True)
class RunConfig:
    """One run. Two runs with equal configs, engine and thread count have equal bytes.

    Args:
        task: what is learned: any `Task` that is a binary operation; in files a modular one, or one by name.
        split: which pairs are trained on.
        model: the network.
        optimizer: how it is trained.
        checkpoints: which steps are saved.
        recipe: name of the recipe this config came from.
        seed: seed of the initial weights.
        steps: budget, the most updates made.
        until_settled: stop before the budget once the run has settled (see `interp.measures.dating`).
        evaluate_every: spacing of the steps at which test loss and accuracies are measured (and at every checkpoint).
        engine: what computes the updates; `auto` picks the fastest that can.
        device: `cpu` or a CUDA device such as `cuda:0`.
        dtype: precision of weights and updates.
        threads: CPU threads; none means all cores this process may use.
        changes: what is changed while it trains, each as a text such as `1500:optimizer.weight_decay=0` or `memorized:norm=1.15`
            (docs/experiments/changes.md); empty for a run in which nothing is.
    """

    task: RunTask = field(default_factory=ModularTask)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    checkpoints: CheckpointConfig = field(default_factory=CheckpointConfig)
    recipe: str = "custom"
    seed: int = 0
    steps: int = 20_000
    until_settled: bool = False
    evaluate_every: int = 25
    engine: EngineName = "auto"
    device: str = "cpu"
    dtype: Literal["float32", "float64"] = "float32"
    threads: int | None = None
    changes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.task, str):  # by its name, as files have it
            object.__setattr__(self, "task", task_by_name(self.task))
        if not isinstance(self.task, ModularTask):
            object.__setattr__(self, "task", TableTask.of(self.task))
            if self.task.classes != self.task.p:  # p raises if it is not a binary operation
                raise UsageError(
                    f"task {self.task.name!r}: given {self.task.classes} answers, expected {self.task.p}, the number of its "
                    "elements: the one-layer transformer answers with one of them"
                )
        refuse(
            integer("steps", self.steps, least=0),
            integer("evaluate_every", self.evaluate_every, least=1),
            integer("seed", self.seed, least=0, most=2**63 - 1),
            None if self.threads is None else integer("threads", self.threads, least=1, most=MOST_THREADS),
            one_of("engine", self.engine, get_args(EngineName)),
            one_of("dtype", self.dtype, ("float32", "float64")),
            device(self.device),
            truth("until_settled", self.until_settled),
            None if isinstance(self.recipe, str) else f"recipe: given {self.recipe!r}, expected a name",
        )
        refuse(*(holdable(name, value, self.dtype) for name, value in self._scales()))
        if self.model.equals_class and not self.task.equals_sign:
            raise UsageError("model.equals_class: given True, but task.equals_sign is False: there is no `=` token to be a class")
        is_known = self.split.blocks in ("", APART)  # of whole blocks the number is known once they are drawn
        if self.optimizer.batch_size is not None and is_known:
            self.optimizer.check_batch(self.split.count_of(self.task))
        object.__setattr__(self, "changes", tuple(map(str, self._checked_changes())))

    def _scales(self) -> Iterator[tuple[str, float]]:
        """The numbers without an upper bound that tensors are multiplied by, or compared with, in the run's precision."""
        yield "model.init_scale", self.model.init_scale
        for name in ("lr", "weight_decay", "eps", "grokfast_lambda"):
            yield f"optimizer.{name}", getattr(self.optimizer, name)

    @property
    def unusual(self) -> str | None:
        """In what it is not a one-layer transformer trained by AdamW on the full batch, in words; None if it is that."""
        dropout = f"dropout ({self.model.dropout:g})" if self.model.dropout else None
        return self.model.unusual or dropout or self.optimizer.unusual

    @property
    def schedule(self) -> tuple[Change, ...]:
        """The changes as values."""
        return tuple(map(read_change, self.changes))

    def _checked_changes(self) -> list[Change]:
        given = self.changes
        if not isinstance(given, tuple | list):
            raise UsageError(f"changes: given {short(given)}, expected texts such as '1500:optimizer.weight_decay=0'")
        found = [read_change(one) for one in given]
        for change in found:
            check_change(change, steps=self.steps, task=self.task)
            check_possible(change, self.model, self.optimizer)
        return [
            replace(change, what=_checked_field(self.optimizer, change)) if isinstance(change.what, SetField) else change
            for change in found
        ]

    @property
    def classes(self) -> int:
        """Number of output classes: the task's answers and, with `model.equals_class`, one for `=`."""
        return self.task.classes + int(self.model.equals_class)

    def to_json(self) -> str:
        """The config as JSON, every field written out; `from_json` gives back an equal config.

        Of a task that is a table it has only name and hash: `from_json` must be given the table.
        """
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def to_dict(self, *, hashed: bool = True) -> dict[str, Any]:
        """The config as nested plain values, as `to_json` writes them.

        Args:
            hashed: with the hash of a task that is a table, which is that of its harmonics too: they are made for it.
        """
        parts = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "task"}
        values = {name: _plain(part) for name, part in parts.items()}
        if not self.checkpoints.moments:  # runs without have the bytes and names that they had before there were any
            del values["checkpoints"]["moments"]
        if not self.changes:
            del values["changes"]
        for name in ("model", "optimizer"):
            part = getattr(self, name)
            values[name] = without_later(values[name], part, part.later)
        if not self.split.blocks:
            del values["split"]["blocks"]
        if isinstance(self.task, ModularTask):
            return {"task": asdict(self.task), **values}
        return {"task": {"table": self.task.name, **({"sha256": self.task.digest} if hashed else {})}, **values}

    @classmethod
    def from_json(cls, text: str, *, task: TableTask | None = None) -> RunConfig:
        """Read a config from JSON. Fields left out have their defaults.

        ``task`` is a table of `ModularTask`'s fields, or a name that `interp.task` knows, such as ``"S5"``; with or without
        ``=``: ``{"name": "S5", "equals_sign": false}``.

        Args:
            task: the table, where the config has the name and hash of one that has no name there.

        Raises:
            UsageError: with all problems at once, each with the path of its field; for a table that is missing or wrong.
        """
        if task is None:
            return parse_config(cls, text, "JSON", where="config", check=checked_with_task)
        return cls.from_dict(json.loads(text), task=task)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, task: TableTask | None = None, is_stored: bool = False) -> RunConfig:
        """Read a config from nested plain values, as `to_dict` returns them; otherwise as `from_json`.

        Args:
            values: the plain values.
            task: as there.
            is_stored: the table was stored with the config, in a run that `verify` can check: only their names are compared, as
                the hash of a table's harmonics cannot be had without making them.

        >>> RunConfig.from_dict(RunConfig(steps=10).to_dict()) == RunConfig(steps=10)
        True
        """
        if task is None:
            return checked_with_task(cls, values, where="config")
        named = values.get("task")
        if is_stored and isinstance(named, Mapping) and named.keys() == {"table", "sha256"} and named["table"] == task.name:
            return checked_of_table(cls, values, task, where="config")
        if named != {"table": task.name, "sha256": task.digest}:
            raise UsageError(f"task: given the table {task.name!r} ({task.digest[:12]}...), but the config has {named!r}")
        return checked_of_table(cls, values, task, where="config")

    @classmethod
    def from_file(cls, path: str | Path) -> RunConfig:
        """Read a config from a .json or .toml file, as `from_json`."""
        return read_config(cls, Path(path), check=checked_with_task)


def _plain(part: Any) -> Any:
    return asdict(part) if is_dataclass(part) and not isinstance(part, type) else part


def _checked_field(optimizer: OptimizerConfig, change: Change) -> SetField:
    """A change of an optimizer's field, its value of the field's type; refused if there is none, or it refuses the value."""
    what = change.what
    assert isinstance(what, SetField)
    known = [known.name for known in fields(optimizer) if known.name not in FIXED]
    if what.field not in known:
        raise UsageError(f"changes: given {str(change)!r}: {unknown('field', what.field, known)}")
    try:
        replace(optimizer, **{what.field: what.value})
    except UsageError as error:
        raise UsageError(f"changes: given {str(change)!r}: {error}") from None
    is_number = isinstance(getattr(optimizer, what.field), float) and isinstance(what.value, int)
    return SetField(what.field, float(what.value)) if is_number else what
