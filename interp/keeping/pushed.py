"""What a loop of somebody else's hands over, step by step, added to a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch

from interp.errors import UsageError
from interp.networks.network import Network
from interp.store.manifest import Reason
from interp.store.run import open_run
from interp.store.run_log import write_log
from interp.store.writer import RunWriter

Values = Mapping[str, float | None]


class Pushed:
    """Takes the steps of one run. The state of the training is its owner's: of it nothing is kept but the last step's number.

    Args:
        path: the run's directory, which this process holds.
        allowed: raises if it may no longer write there.

    Attributes:
        last: the last step that was taken; None before any.
        writer: what it writes with.
    """

    last: int | None

    def __init__(self, path: Path, allowed: Callable[[], None]) -> None:
        self.writer = RunWriter(path, allowed)
        self.last = self.writer.manifest.step
        steps = self.writer.manifest.steps
        self._shapes = _shapes(open_run(path)[steps[0]].network) if steps else None
        self._committed = self.last

    def add(self, step: int, values: Values, network: Network | None = None) -> str | None:
        """Add a step: what was measured and, if it is to be saved, its network; returns the hash of that.

        Raises:
            UsageError: if the network's tensors are not those of the run's other checkpoints.
            DataError: if it cannot be written.
        """
        sha256 = None
        if network is not None:
            self.check(network, where=f"run {self.writer.path}, step {step}")
            sha256 = self.writer.save(step, network)
        self.writer.add_history(step, values)
        self.last = step
        return sha256

    def check(self, network: Network, *, where: str) -> None:
        """Error unless a network has the same tensors as the run's other checkpoints."""
        shapes = _shapes(network)
        self._shapes = self._shapes or shapes
        if shapes != self._shapes:
            name = next(name for name in {**shapes, **self._shapes} if shapes.get(name) != self._shapes.get(name))
            raise UsageError(
                f"{where}: tensor {name!r}: given {shapes.get(name, 'none')}, expected {self._shapes.get(name, 'none')}, as at "
                "the run's first checkpoint; a run's networks have the same tensors"
            )

    def commit(self, *, status: Literal["running", "interrupted"] = "running") -> None:
        """Make everything up to the last step permanent."""
        if self.last is None or (self.last == self._committed and status == "running"):
            return
        self.writer.commit(self.last, {"index": torch.tensor(self.last)}, status=status)
        self._committed = self.last

    def interrupt(self, why: str) -> None:
        """Commit everything and leave the run unfinished."""
        self.commit(status="interrupted")
        write_log(self.writer.path, "interrupted", step=self.last, reason=why)

    def finish(self, reason: Reason) -> None:
        """Commit everything, for good; a loss that is not finite stops a run, all other reasons finish it."""
        self.writer.finish(self.last, status="stopped" if reason == "non-finite" else "finished", reason=reason)
        write_log(self.writer.path, "stopped" if reason == "non-finite" else "finished", step=self.last, reason=reason)


def _shapes(network: Network) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.tensors().items()}
