"""Stream: whatever yields the steps of a training can be recorded, this toolkit's own or anyone's loop."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor

from interp.config.run_config import RunConfig
from interp.networks.network import Network
from interp.tasks.splits import Split
from interp.tasks.task import Task

N_co = TypeVar("N_co", bound=Network, covariant=True)


@dataclass(frozen=True)
class Step(Generic[N_co]):
    """The run after `index` updates. Step 0 is the initial model.

    `weights` are live: copy or write them before asking for the next step. What is measured at evaluation steps only (test loss,
    accuracies, sum of squared weights) is None between them.
    """

    index: int
    train_loss: float
    weights: N_co
    test_loss: float | None = None
    train_accuracy: float | None = None
    test_accuracy: float | None = None
    sum_squared_weights: float | None = None
    last: bool = False

    def __repr__(self) -> str:
        names = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
        known = [f"{name.replace('_', ' ')} {value:.4g}" for name in names if (value := getattr(self, name)) is not None]
        return f"Step({self.index:,}: {', '.join(known)}{'; the last' if self.last else ''})"


@dataclass(frozen=True)
class Plan:
    """What never changes in a stream, known before its first step.

    Args:
        settings: what it is made from: a `RunConfig`, or JSON values under names of the caller's choice.
        task: what is learned.
        split: which of the task's inputs are trained on.
        steps: budget, the index of the last step.
        saved: the steps whose networks are saved, ascending; the last step is saved in any case. A tuple, or a rule that says
            of any step whether it is one of them.
        kind: of its networks, see `Network.kind`.
        n_parameters: number of scalars in a network.
        engine: what computes the steps, in a word.
        threads: CPU threads that torch is given; None for as many as it has.
        device: ``cpu`` or a CUDA device, whose name is recorded.
        may_end_early: whether a step before the budget may be the last.
        moments: the steps at which the whole state is kept as well, ascending.
        batch: number of runs that are computed together. Only with 1 are its bytes the same however it is computed.
        start: where the run begins, as JSON values; empty for the seed in its settings.
        keeps_last: whether the whole state at its end is kept as well, so that it can be given more steps.
    """

    settings: RunConfig | Mapping[str, Any]
    task: Task
    split: Split
    steps: int
    saved: Collection[int]
    kind: str
    n_parameters: int
    engine: str
    threads: int | None = None
    device: str = "cpu"
    may_end_early: bool = False
    moments: tuple[int, ...] = ()
    batch: int = 1
    start: Mapping[str, Any] = field(default_factory=dict)
    keeps_last: bool = True


class Stream(Protocol):
    """A training that can be recorded, interrupted and resumed: what `interp.record` takes.

    It yields its present step first, then one more after every update, up to ``plan.steps``. If an earlier one is the last, it
    says so (`Step.last`).
    """

    @property
    def plan(self) -> Plan:
        """What never changes."""
        ...

    def __iter__(self) -> Iterator[Step[Network]]:
        """The steps, from the present one on, indices ascending."""
        ...

    def state(self) -> Mapping[str, Tensor]:
        """Everything needed to resume at the last step yielded (may be live: it is written at once)."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Resume from a `state`: the first step yielded afterwards is the one that the state was taken at."""
        ...
