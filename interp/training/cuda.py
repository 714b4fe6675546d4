"""The CUDA engine: stacked runs (stacked.py), a step recorded once as CUDA graphs and replayed from then on.

A step of one run is some two hundred small kernels; replayed from a graph they cost the host two launches.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from interp.config import RunConfig
from interp.errors import TrainingError, UsageError
from interp.training.engine import Evaluation
from interp.training.loop import Step, Training
from interp.training.precision import full_precision
from interp.training.stacked import StackedRuns

log = logging.getLogger("interp")


def refusal(config: RunConfig) -> str | None:
    """Why this engine cannot do what a config asks; None if it can."""
    if not config.device.startswith("cuda"):
        return f"device {config.device!r}: it runs on CUDA devices only"
    if config.model.activation != "relu":
        return f"activation {config.model.activation!r}: it knows relu only"
    return None


class GraphedRuns:
    """Stacked runs whose gradient, update and evaluation are CUDA graphs; on the CPU, the same without graphs.

    Attributes:
        losses: mean training loss of each run as of the last `gradient`.
    """

    losses: list[float]

    def __init__(self, configs: Sequence[RunConfig]) -> None:
        self.runs = StackedRuns(configs)
        self._losses = self.runs.flat.new_zeros(len(configs))
        self._evaluated = torch.zeros(3, len(configs), dtype=torch.float64, device=self.runs.flat.device)
        self._evaluations: list[Evaluation] | None = None
        self._replay_gradient, self._replay_update, self._replay_evaluate = self._gradient, self.runs.update, self._evaluate
        if self.runs.flat.is_cuda:
            with torch.cuda.device(self.runs.flat.device), full_precision():
                # They are never replayed at the same time: one may use the memory that another has done with.
                pool = torch.cuda.graph_pool_handle()
                self._replay_gradient, self._replay_update, self._replay_evaluate = (
                    self._recorded(function, pool) for function in (self._gradient, self.runs.update, self._evaluate)
                )

    def gradient(self) -> None:
        """Losses and gradients at the current weights."""
        self._replay_gradient()
        self.losses = self._losses.tolist()
        self._evaluations = None

    def update(self) -> None:
        """One update of every run."""
        self._replay_update()
        self._evaluations = None

    def evaluate(self, run: int) -> Evaluation:
        """Test loss and both accuracies of a run; those of all runs are computed together."""
        if self._evaluations is None:
            self._replay_evaluate()
            self._evaluations = [Evaluation(*values) for values in self._evaluated.T.tolist()]
        return self._evaluations[run]

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state of the optimizer."""
        self.runs.optimizer.load(state)
        self._evaluations = None

    @torch.no_grad()
    def only(self, numbers: Sequence[int]) -> GraphedRuns:
        """Some of the runs, as they stand, as a smaller batch of their own."""
        rest = GraphedRuns([self.runs.configs[number] for number in numbers])
        rest.runs.flat.copy_(self.runs.flat[numbers])
        rest.load({name: tensor[numbers] if tensor.ndim else tensor for name, tensor in self.runs.optimizer.state().items()})
        return rest

    def _gradient(self) -> None:
        self._losses.copy_(self.runs.gradient())

    def _evaluate(self) -> None:
        self._evaluated.copy_(self.runs.evaluate())

    def _recorded(self, function: Callable[[], None], pool: Any) -> Callable[[], None]:
        """The function as a CUDA graph; weights and optimizer are left as they were."""
        live = [self.runs.flat, *self.runs.optimizer.state().values()]
        before = [tensor.clone() for tensor in live]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries allocate their workspaces in the first calls, which a graph cannot hold
            for _ in range(3):
                function()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            function()
        for tensor, saved in zip(live, before, strict=True):
            tensor.copy_(saved)
        return graph.replay


class CudaEngine:
    """One run on a CUDA device: a stack of one."""

    name = "cuda"
    threads = 1

    def __init__(self, config: RunConfig) -> None:
        """Allocate everything and record the graphs.

        Raises:
            UsageError: if this engine cannot do what the config asks.
        """
        if reason := refusal(config):
            raise UsageError(f"engine 'cuda' cannot do this: {reason}; use --engine reference")
        self._graphed = GraphedRuns([config])
        self.parameters = self._graphed.runs.parameters[0]

    def gradient(self) -> float:
        """Mean training loss; its gradient by hand."""
        self._graphed.gradient()
        return self._graphed.losses[0]

    def update(self) -> None:
        """One optimizer update."""
        self._graphed.update()

    def evaluate(self) -> Evaluation:
        """Test loss and both accuracies."""
        return self._graphed.evaluate(0)

    def state(self) -> dict[str, Tensor]:
        """The optimizer's state."""
        return self._graphed.runs.optimizer.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore the optimizer's state."""
        self._graphed.load(state)


class _Member:
    """One of several stacked runs, as an engine that is driven from outside."""

    name = "cuda"
    threads = 1

    def __init__(self, graphed: GraphedRuns, number: int) -> None:
        self.moved_to(graphed, number)

    def moved_to(self, graphed: GraphedRuns, number: int) -> None:
        """From now on the run is this one of these."""
        self._graphed, self._number = graphed, number
        self.parameters = graphed.runs.parameters[number]

    def gradient(self) -> float:
        return self._graphed.losses[self._number]

    def update(self) -> None:
        """All runs have been updated together."""

    def evaluate(self) -> Evaluation:
        return self._graphed.evaluate(self._number)

    def state(self) -> dict[str, Tensor]:
        raise UsageError("a stacked run cannot be interrupted and gone on with; train it by itself")

    def load(self, state: Mapping[str, Tensor]) -> None:  # noqa: ARG002  the interface asks for it
        raise UsageError("a stacked run cannot be interrupted and gone on with; train it by itself")


def train_stacked(configs: Sequence[RunConfig]) -> Iterator[tuple[int, Step | Exception]]:
    """Train runs of one shape as one batch: yields (number, step) for every run in turn, and the exception of one that failed.

    Where the device's memory does not hold all of them, half of them are trained first, and so on. When half of a batch have
    ended, the others go on as a smaller one.

    Raises:
        UsageError: if the runs differ in more than seeds, initialisation and numbers of the optimizer.
    """
    waiting = [list(range(len(configs)))] if configs else []
    while waiting:
        numbers = waiting.pop()
        graphed = _fitting([configs[number] for number in numbers])
        if graphed is not None:
            yield from ((numbers[member], step) for member, step in _in_lockstep(graphed))
        elif len(numbers) == 1:
            yield numbers[0], TrainingError("this run does not fit into the memory of the device; use --device cpu")
        else:
            half = -(-len(numbers) // 2)
            log.info("%d runs do not fit into the memory of the device at once: %d are trained first", len(numbers), half)
            waiting += [numbers[half:], numbers[:half]]


def _fitting(configs: Sequence[RunConfig]) -> GraphedRuns | None:
    """The runs as a batch, or None if the device has too little memory for it."""
    try:
        return GraphedRuns(configs)
    except torch.cuda.OutOfMemoryError:
        return None


def _in_lockstep(graphed: GraphedRuns) -> Iterator[tuple[int, Step | Exception]]:
    members = [_Member(graphed, number) for number in range(len(graphed.runs.configs))]
    live = {number: iter(Training(graphed.runs.configs[number], engine=member)) for number, member in enumerate(members)}
    places, shrinks = {number: number for number in live}, True
    while True:
        graphed.gradient()
        for number, steps in list(live.items()):
            try:
                step = next(steps)
            except Exception as error:
                del live[number]
                yield number, error
                continue
            if step.last:
                del live[number]
            yield number, step
        if not live:
            return
        graphed.update()
        if shrinks and 2 * len(live) <= len(graphed.runs.configs):
            try:
                graphed = graphed.only([places[number] for number in live])
            except torch.cuda.OutOfMemoryError:  # there is no room for both: go on as before
                shrinks = False
                continue
            places = {number: place for place, number in enumerate(live)}
            for number, place in places.items():
                members[number].moved_to(graphed, place)
