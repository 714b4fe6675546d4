"""Runs of one shape trained as one batch, in lockstep: halved where memory is short, smaller when runs have ended."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.config.run_config import OptimizerConfig, RunConfig
from interp.errors import TrainingError, UsageError
from interp.networks.one_layer import Weights
from interp.training.engine import Evaluation
from interp.training.loop import Training
from interp.training.stacked.graphs import GraphedRuns
from interp.training.stream import Step

log = logging.getLogger("interp")


class _Member:
    """One of several stacked runs, as an engine that is driven from outside."""

    name = "cuda"
    threads = 1

    def __init__(self, graphed: GraphedRuns, number: int) -> None:
        self.moved_to(graphed, number)

    def moved_to(self, graphed: GraphedRuns, number: int) -> None:
        """From now on the run is this one of these."""
        self._graphed, self.number = graphed, number
        self.parameters = graphed.runs.parameters[number]

    def gradient(self) -> float:
        return self._graphed.losses[self.number]

    def update(self) -> None:
        """All runs have been updated together."""

    def use(self, optimizer: OptimizerConfig) -> None:
        raise UsageError(f"runs of a batch cannot change their optimizer to {optimizer} while they train")

    def evaluate(self) -> Evaluation:
        return self._graphed.evaluate(self.number)

    def state(self) -> dict[str, Tensor]:
        return self._graphed.state_of(self.number)

    def load(self, state: Mapping[str, Tensor]) -> None:
        self._graphed.load_run(self.number, state)

    def leave(self) -> None:
        """The run has ended: what still refers to it must not keep the batch in memory."""
        del self._graphed, self.parameters


@dataclass(frozen=True, eq=False)
class Advance:
    """One run's part in a round: its next step, or the exception with which it has ended.

    `training` is the run; None for one that never began, as it does not fit into memory.
    """

    number: int
    result: Step[Weights] | Exception
    training: Training | None


def train_stacked(configs: Sequence[RunConfig]) -> Iterator[tuple[int, Step[Weights] | Exception]]:
    """Train runs of one shape as one batch: yields (number, step) for every run in turn, and the exception of one that failed.

    See `rounds`.
    """
    for advances in rounds(configs):
        while advances:  # taken out one by one: nothing may keep a batch that has shrunk or ended
            advance = advances.pop(0)
            number, result = advance.number, advance.result
            del advance
            yield number, result


def rounds(configs: Sequence[RunConfig], states: Sequence[Mapping[str, Tensor] | None] = ()) -> Iterator[list[Advance]]:
    """Train runs of one shape as one batch: yields every run's next step, all together, until all have ended.

    Between two rounds all runs are at one step, and each can be asked for its `state`. Where the device's memory does not
    hold all of them, half of them are trained first, and so on. When half of a batch have ended, the others go on as a smaller
    one.

    Args:
        configs: the runs.
        states: what each run resumes from, all of one step; none for runs at their beginning.

    Raises:
        UsageError: if the runs differ in more than seeds, initialisation and numbers of the optimizer.
    """
    waiting = [list(range(len(configs)))] if configs else []
    while waiting:
        numbers = waiting.pop()
        batch = _fitting([configs[number] for number in numbers])
        if batch:
            yield from _in_lockstep(batch, numbers, [states[number] for number in numbers] if states else [])
        elif len(numbers) == 1:
            error = TrainingError("this run does not fit into the memory of the device; use --device cpu")
            yield [Advance(numbers[0], error, None)]
        else:
            half = -(-len(numbers) // 2)
            log.info("%d runs do not fit into the memory of the device at once: %d are trained first", len(numbers), half)
            waiting += [numbers[half:], numbers[:half]]


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory was short: torch's allocator has an error class for it, CUDA's libraries a text."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(text in str(error) for text in ("out of memory", "ALLOC_FAILED"))


def _fitting(configs: Sequence[RunConfig]) -> list[GraphedRuns]:
    """The runs as one batch, in a list, to be taken out; an empty list if the device has too little memory for it."""
    try:
        return [GraphedRuns(configs)]
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
    _free()
    return []


def _free() -> None:
    """Free what is no longer referred to."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _in_lockstep(
    batch: list[GraphedRuns], numbers: Sequence[int], states: Sequence[Mapping[str, Tensor] | None]
) -> Iterator[list[Advance]]:
    """Train a batch, which is taken out of the list: nothing else may keep it when it has shrunk or ended."""
    graphed = batch.pop()
    members = {place: _Member(graphed, place) for place in range(len(graphed.runs.configs))}
    trainings = {place: Training(graphed.runs.configs[place], engine=member) for place, member in members.items()}
    for place, state in enumerate(states):
        if state is not None:
            trainings[place].load(state)
    live = {place: iter(training) for place, training in trainings.items()}
    shrinks = True
    while True:
        graphed.gradient()
        advances = [Advance(numbers[place], _next(steps), trainings[place]) for place, steps in live.items()]
        ended = [place for place, each in zip(live, advances, strict=True) if _has_ended(each.result)]
        yield advances
        del advances
        for place in ended:
            del live[place], trainings[place]
            members.pop(place).leave()
        if not live:
            del graphed  # the frames of an exception that is kept lead to this one
            return
        graphed.update()
        if shrinks and 2 * len(live) <= len(graphed.runs.configs):
            smaller = _smaller(graphed, [members[place].number for place in live])
            shrinks = smaller is not None  # without room for both it goes on as before
            if smaller is not None:
                graphed = smaller
                for number, place in enumerate(live):
                    members[place].moved_to(graphed, number)
                del smaller
                _free()


def _next(steps: Iterator[Step[Weights]]) -> Step[Weights] | Exception:
    try:
        return next(steps)
    except Exception as error:
        # Without this frame: its variables, and so the batch, would live as long as the exception.
        return error.with_traceback(error.__traceback__.tb_next if error.__traceback__ else None)


def _has_ended(result: Step[Weights] | Exception) -> bool:
    return isinstance(result, Exception) or result.last


def _smaller(graphed: GraphedRuns, numbers: Sequence[int]) -> GraphedRuns | None:
    """Some of the runs as a batch of their own; None if there is no room for both."""
    try:
        return graphed.only(numbers)
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        return None
