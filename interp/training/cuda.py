"""The CUDA engine: stacked runs (stacked.py), a step recorded once as CUDA graphs and replayed from then on.

A step of one run is some two hundred small kernels; replayed from a graph they cost the host two launches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from interp.config import RunConfig
from interp.errors import UsageError
from interp.training.engine import Evaluation
from interp.training.loop import Step, Training
from interp.training.stacked import StackedRuns


def refusal(config: RunConfig) -> str | None:
    """Why this engine cannot do what a config asks; None if it can."""
    if not config.device.startswith("cuda"):
        return f"device {config.device!r}: it runs on CUDA devices only"
    if config.model.activation != "relu":
        return f"activation {config.model.activation!r}: it knows relu only"
    return None


class GraphedRuns:
    """Stacked runs whose gradient and update are CUDA graphs; on the CPU, the same without graphs.

    Attributes:
        losses: mean training loss of each run as of the last `gradient`.
    """

    losses: list[float]

    def __init__(self, configs: Sequence[RunConfig]) -> None:
        self.runs = StackedRuns(configs)
        self._losses = torch.zeros(len(configs), dtype=self.runs.flat.dtype, device=self.runs.flat.device)
        self._evaluations: list[Evaluation] | None = None
        self._replay_gradient, self._replay_update = self._gradient, self.runs.update
        if self.runs.flat.is_cuda:
            with torch.cuda.device(self.runs.flat.device):
                self._replay_gradient = self._recorded(self._gradient)
                self._replay_update = self._recorded(self.runs.update)

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
            self._evaluations = self.runs.evaluate()
        return self._evaluations[run]

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state of the optimizer."""
        self.runs.optimizer.load(state)
        self._evaluations = None

    def _gradient(self) -> None:
        self._losses.copy_(self.runs.gradient())

    def _recorded(self, function: Callable[[], None]) -> Callable[[], None]:
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
        with torch.cuda.graph(graph):
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

    Raises:
        UsageError: if the runs differ in more than seeds, initialisation and numbers of the optimizer.
    """
    graphed = GraphedRuns(configs)
    live = {number: iter(Training(config, engine=_Member(graphed, number))) for number, config in enumerate(configs)}
    while live:
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
        graphed.update()
