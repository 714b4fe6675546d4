"""Runs of one shape trained as one batch, in lockstep: halved where memory is short, smaller when runs have ended."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from interp.config.run_config import RunConfig
from interp.errors import TrainingError, UsageError
from interp.training.engine import Evaluation
from interp.training.loop import Step, Training
from interp.training.stacked.graphs import GraphedRuns

log = logging.getLogger("interp")


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

    def leave(self) -> None:
        """The run has ended: what may still know it shall not keep the whole batch in memory."""
        del self._graphed, self.parameters


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
        batch = _fitting([configs[number] for number in numbers])
        if batch:
            yield from ((numbers[member], step) for member, step in _in_lockstep(batch))
        elif len(numbers) == 1:
            yield numbers[0], TrainingError("this run does not fit into the memory of the device; use --device cpu")
        else:
            half = -(-len(numbers) // 2)
            log.info("%d runs do not fit into the memory of the device at once: %d are trained first", len(numbers), half)
            waiting += [numbers[half:], numbers[:half]]


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory was short: torch's allocator says so by a class of its own, CUDA's libraries by a text."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(text in str(error) for text in ("out of memory", "ALLOC_FAILED"))


def _fitting(configs: Sequence[RunConfig]) -> list[GraphedRuns]:
    """The runs as one batch, in a list for whoever takes it out; an empty one if the device has too little memory for it."""
    try:
        return [GraphedRuns(configs)]
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
    _free()
    return []


def _free() -> None:
    """Give back what nobody refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _in_lockstep(batch: list[GraphedRuns]) -> Iterator[tuple[int, Step | Exception]]:
    """Train a batch, which is taken out of the list: nobody else shall keep it when it has shrunk or ended."""
    graphed = batch.pop()
    members = {number: _Member(graphed, number) for number in range(len(graphed.runs.configs))}
    live = {number: iter(Training(graphed.runs.configs[number], engine=member)) for number, member in members.items()}
    places, shrinks = {number: number for number in live}, True
    while True:
        graphed.gradient()
        for number, steps in list(live.items()):
            try:
                step: Step | Exception = next(steps)
            except Exception as error:
                # Without this frame: who keeps the exception would keep its variables too, and so the batch.
                step = error.with_traceback(error.__traceback__.tb_next if error.__traceback__ else None)
            yield number, step
            if isinstance(step, Exception) or step.last:
                del live[number], steps
                members.pop(number).leave()
        if not live:
            del graphed  # the frames of an exception that somebody keeps lead to this one
            return
        graphed.update()
        if shrinks and 2 * len(live) <= len(graphed.runs.configs):
            try:
                smaller = graphed.only([places[number] for number in live])
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
                shrinks = False  # there is no room for both: go on as before
                continue
            graphed = smaller
            del smaller
            places = {number: place for place, number in enumerate(live)}
            for number, place in places.items():
                members[number].moved_to(graphed, place)
            _free()
