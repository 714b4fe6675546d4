"""The CUDA engine: stacked runs (stacked_runs.py), whose step is recorded once as CUDA graphs and replayed from then on.

A step of one run is some 140 small kernels; replayed from graphs they cost the host two launches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from interp.config.run_config import OptimizerConfig, RunConfig
from interp.errors import UsageError
from interp.training.engine import Evaluation
from interp.training.examples import Examples
from interp.training.precision import full_precision
from interp.training.stacked.stacked_runs import StackedRuns

# Cost of the reference engine's launches in one step, in multiplications of a forward pass: 3 ms at 45 TFLOP/s.
_LAUNCHES = 20_000_000_000
# The reference engine's operations between the products go through memory and take nearly as long as the products.
_OTHERS = 1.8


def refusal(config: RunConfig) -> str | None:
    """Why this engine cannot do what a config asks; None if it can."""
    if not config.device.startswith("cuda"):
        return f"device {config.device!r}: it runs on CUDA devices only"
    if config.unusual:
        return f"{config.unusual}: it trains a one-layer transformer with AdamW on the full batch"
    if config.model.activation != "relu":
        return f"activation {config.model.activation!r}: it computes relu only"
    if config.changes:
        return f"change {config.changes[0]!r}: its update is recorded once"
    return None


def is_asked(config: RunConfig) -> bool:
    """Whether a config leaves its run to this engine: it names it, or names none, is for a CUDA device, and this one is faster.

    A config for the CPU that names none has another engine, and so other bytes.
    """
    is_free = config.engine == "auto" and config.device.startswith("cuda")
    return (
        config.unusual is None
        and config.model.activation == "relu"
        and not config.changes
        and (config.engine == "cuda" or (is_free and is_worth_it(config)))
    )


def is_worth_it(config: RunConfig) -> bool:
    """Whether this engine is the faster one: it is, unless its products with W_L cost more than the reference engine's launches.

    W_L has one column per class, whereas W_out and then W_U go through d_model numbers: for p beyond a few hundred the former is
    more. The comparison counts the multiplications of a forward pass; the launches of some hundred operations are expressed in
    multiplications, too (benchmarks/gpu.py).
    """
    model, n = config.model, config.split.count_of(config.task)
    own = (model.d_model + 4) * (model.d_mlp + config.classes) + model.d_mlp * config.classes
    reference = model.d_model * (8 * model.d_model + 2 * model.d_mlp + config.classes)
    return n * own < _LAUNCHES + _OTHERS * n * reference


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
        self._graphs: dict[str, torch.cuda.CUDAGraph] = {}
        if self.runs.flat.is_cuda:
            with torch.cuda.device(self.runs.flat.device), full_precision():
                # Graphs are never replayed at the same time, so they may share memory.
                pool, stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                for name in ("gradient", "update", "evaluate"):
                    self._graphs[name] = self._recorded(name, pool, stream)

    def gradient(self) -> None:
        """Losses and gradients at the current weights."""
        self._do("gradient")
        self.losses = self._losses.tolist()
        self._evaluations = None

    def update(self) -> None:
        """One update of every run."""
        self._do("update")
        self._evaluations = None

    def evaluate(self, run: int) -> Evaluation:
        """Test loss and both accuracies of a run; those of all runs are computed together, once per update."""
        if self._evaluations is None:
            self._do("evaluate")
            self._evaluations = [Evaluation(*values) for values in self._evaluated.T.tolist()]
        return self._evaluations[run]

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state of the optimizer."""
        self.runs.optimizer.load(state)
        self._evaluations = None

    def state_of(self, run: int) -> dict[str, Tensor]:
        """The state of a run's optimizer, as that of a batch of this run alone (live tensors)."""
        state = self.runs.optimizer.state()
        return {name: tensor[run : run + 1] if tensor.ndim else tensor for name, tensor in state.items()}

    @torch.no_grad()
    def load_run(self, run: int, state: Mapping[str, Tensor]) -> None:
        """Restore the state of a run's optimizer, as `state_of` gave it; what the runs have in common must agree.

        A run that was alone has no memory of slow gradients if it asks for none; in a batch it has, and does not use it.
        """
        for name, tensor in self.state_of(run).items():
            if name in state:
                tensor.copy_(state[name])
        self._evaluations = None

    @torch.no_grad()
    def only(self, numbers: Sequence[int]) -> GraphedRuns:
        """Some of the runs in their present state, as a smaller batch."""
        rest = GraphedRuns([self.runs.configs[number] for number in numbers])
        rest.runs.flat.copy_(self.runs.flat[numbers])
        rest.load({name: tensor[numbers] if tensor.ndim else tensor for name, tensor in self.runs.optimizer.state().items()})
        return rest

    def _do(self, name: str) -> None:
        """Replay a graph, or compute what would be in it."""
        if name in self._graphs:
            self._graphs[name].replay()
        elif name == "gradient":
            self._losses.copy_(self.runs.gradient())
        elif name == "update":
            self.runs.update()
        else:
            self._evaluated.copy_(self.runs.evaluate())

    def _recorded(self, name: str, pool: Any, stream: torch.cuda.Stream) -> torch.cuda.CUDAGraph:
        """What `_do` does, as a CUDA graph; weights and optimizer are left as they were."""
        live = [self.runs.flat, *self.runs.optimizer.state().values()]
        before = [tensor.clone() for tensor in live]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries allocate their workspaces in the first calls, which cannot be part of a graph
            for _ in range(3):
                self._do(name)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool, stream=stream):
            self._do(name)
        for tensor, saved in zip(live, before, strict=True):
            tensor.copy_(saved)
        return graph


class CudaEngine:
    """One run on a CUDA device: a stack of one."""

    name = "cuda"
    threads = 1

    def __init__(self, config: RunConfig, examples: Examples | None = None) -> None:  # noqa: ARG002  as the others
        """Allocate everything and record the graphs. (Examples change in runs that it refuses.)

        Raises:
            UsageError: if this engine cannot do what the config asks.
        """
        if reason := refusal(config):
            instead = "--engine reference" if config.device.startswith("cuda") else "--device cuda"
            raise UsageError(f"engine 'cuda' cannot do this: {reason}; use {instead}")
        self._graphed = GraphedRuns([config])
        self.parameters = self._graphed.runs.parameters[0]

    def gradient(self) -> float:
        """Mean training loss; computes its gradient without autograd."""
        self._graphed.gradient()
        return self._graphed.losses[0]

    def use(self, optimizer: OptimizerConfig) -> None:
        """Never asked: runs that change while they train are refused."""
        raise UsageError(f"engine 'cuda' cannot change its optimizer to {optimizer} while it trains; use --engine reference")

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
