"""The forecast while a run is trained: at its checkpoints, from weights and training accuracy, in a hundredth of the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.cores import torch_threads
from interp.forecasting.foresee import Forecast, foretell
from interp.forecasting.label_free import RIGHT, LabelFree
from interp.forecasting.landmark import window_of
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import take_classes
from interp.measures.effective import effective_number
from interp.measures.spectrum import embedding_spectrum
from interp.networks.one_layer import Weights
from interp.observing.circuit import Circuit, Model
from interp.store.split_then import SplitThen

if TYPE_CHECKING:
    from interp.config.run_config import RunConfig
    from interp.store.run import Run
    from interp.training.stream import Step

# The most that it may take of the time of the training: a checkpoint that would be too many is left out.
SHARE = 0.008
# Nothing is stopped before this multiple of the step of memorizing, nor by fewer forecasts in a row, nor if unseen pairs are
# treated like seen ones to this degree: then it has a circuit, and what is forecast is not what it lacks.
EARLIEST, IN_A_ROW, AGREES = 8, 3, 0.5


class Foresight:
    """A `interp.keeping.watching.Watch` that forecasts; by the law, which needs no logits.

    Args:
        config: of the run. Where its answers have no waves, nothing is said.
        least_chance: stop where the chance of grokking within the budget is less; None: never.
        clock: seconds, for tests.
    """

    def __init__(
        self, config: RunConfig, *, least_chance: float | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        harmonics = config.task.harmonics
        self._harmonics = harmonics if isinstance(harmonics, CyclicHarmonics) else None
        self._config, self._least, self._clock = config, least_chance, clock
        self._settings = config.to_dict()
        self._seen: list[tuple[int, float, float]] = []
        self._memorized: int | None = None
        self._unlikely = 0
        self._begun, self._spent = clock(), 0.0
        self.said: Forecast | None = None
        self.stop: str | None = None

    def begin(self, run: Run) -> None:
        """Read what a resumed run knows: the step of memorizing, and the spectra of the checkpoints that lines go through."""
        columns = run.columns
        right = np.flatnonzero(columns["train_accuracy"] >= RIGHT)
        if len(right):
            self._memorized = int(columns["step"][right[0]])
            begin = window_of(self._memorized, run.steps[-1] if run.steps else 0)
            for step in run.steps:
                if step >= max(begin, self._memorized):
                    self._add(step, run[step].weights)
        self._begun = self._clock()

    def see(self, step: Step[Any], *, is_saved: bool) -> None:
        """Forecast at a checkpoint, once the training pairs are known by heart."""
        if self._memorized is None and step.train_accuracy is not None and step.train_accuracy >= RIGHT:
            self._memorized = step.index
        if not is_saved or self._memorized is None or self._harmonics is None:
            return
        begun = self._clock()
        if self._spent > SHARE * (begun - self._begun):
            return
        self._add(step.index, step.weights)
        self._forecast(step)
        self._spent += self._clock() - begun

    def ahead(self, step: int, speed: float) -> str:
        """The forecast in time, such as ``groks in about 4 min (2 to 7)``."""
        said = self.said
        if said is None or speed <= 0:
            return ""
        if said.verdict == "no progress" or (said.chance is not None and said.chance < 0.01):
            return "no progress" if said.verdict == "no progress" else "groks after its budget"
        if said.at is None or said.low is None or said.high is None or said.at <= step:
            return ""
        at, low, high = (max(one - step, 0) / speed for one in (said.at, said.low, said.high))
        unit, name = (1.0, "s") if at < 100 else (60.0, "min") if at < 6000 else (3600.0, "h")
        return f"groks in about {_rounded(at / unit)} {name} ({_rounded(low / unit)} to {_rounded(high / unit)})"

    @torch_threads(1)
    def _add(self, step: int, weights: Any) -> None:
        """The effective numbers of frequencies at a checkpoint."""
        if self._harmonics is None or not isinstance(weights, Weights) or (self._seen and step <= self._seen[-1][0]):
            return
        both = (take_classes(self._harmonics, matrix) for matrix in (weights.W_E, weights.W_L))
        numbers = [embedding_spectrum(one, harmonics=self._harmonics).frequencies.cpu().numpy() for one in both]
        n_W_E, n_W_L = (float(effective_number(one)) for one in numbers)
        if np.isfinite((n_W_E, n_W_L)).all():
            self._seen.append((step, n_W_E, n_W_L))

    def _forecast(self, step: Step[Any]) -> None:
        if not self._seen:
            return
        steps, n_W_E, n_W_L = (np.array(column) for column in zip(*self._seen, strict=True))
        none = np.zeros(0, dtype=np.int64)
        known = LabelFree(
            steps, n_W_E, n_W_L, none, np.zeros(0), self._memorized, step.index, self._settings, self._config.task.p
        )
        self.said = foretell(known, step.index)
        if self._least is not None and self._is_unlikely(self._least):
            self._consider(step, self._least)

    def _is_unlikely(self, least: float) -> bool:
        """Whether the last forecasts in a row all said so."""
        said, memorized = self.said, self._memorized
        late = said is not None and memorized is not None and said.step >= EARLIEST * memorized
        unlikely = said is not None and late and said.chance is not None and said.chance < least
        self._unlikely = self._unlikely + 1 if unlikely else 0
        return self._unlikely >= IN_A_ROW

    def _consider(self, step: Step[Any], least: float) -> None:
        """Stop, unless there is a circuit already: asked at last, since it takes a pass over all pairs."""
        config = self._config
        memorized = {"memorized": self._memorized}
        then = SplitThen(config.split.draw(config.task), config.schedule, lambda _, change: memorized.get(str(change.start)))
        model = Model(step.weights, config.task, then.at(step.index))
        assert self._harmonics is not None
        agreement = float(Circuit.of(model, self._harmonics, ()).agreement)
        if agreement >= AGREES:
            self._unlikely = 0
            return
        self.stop = (
            f"the chance of grokking within the budget of {config.steps:,} steps is under {least:g} by {IN_A_ROW} forecasts in a "
            f"row, the last at step {step.index:,}: {self.said}"
        )


def _rounded(value: float) -> str:
    return f"{value:.0f}" if value >= 1 else f"{value:.1g}"
