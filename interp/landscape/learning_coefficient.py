"""The local learning coefficient of a run's checkpoints: how complex the function is that the training pairs hold fast."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64
from torch import Tensor

from interp.cores import check_threads, side_by_side
from interp.errors import UsageError, unknown
from interp.landscape.chains import chain
from interp.landscape.kept_coefficients import SETTINGS, described, results_for, settings_of, usual_steps
from interp.landscape.langevin import Langevin
from interp.landscape.training_loss import TrainingLoss, check_changes
from interp.networks.network import not_finite
from interp.observing.streaming import choose_steps
from interp.store.results import Results
from interp.store.run import Run, RunLike, as_run
from interp.wording import listed

if TYPE_CHECKING:
    from interp.networks.network import Network
    from interp.tasks.splits import Split

log = logging.getLogger("interp")

_DEFAULT = Langevin()
# Of one chain: the loss where it began, the loss at each draw, and how far that is from there.
_Chain = tuple[float, np.ndarray, np.ndarray]


def learning_coefficient(
    losses: Float64[np.ndarray, "*chains draw"], start: float, *, n_beta: float
) -> Float64[np.ndarray, "*chains"]:
    """``n_beta (mean of the losses at the draws - loss at w*)``, for each chain.

    For a loss that is a homogeneous polynomial of degree 2k in d weights, drawn without localization, it is ``d / 2k``: d / 2
    for a quadratic minimum, less for a flatter one, and nothing for directions that change nothing.
    Source: Lau et al. 2023 (arXiv 2308.12108), definition 1; Watanabe 2013 for why the temperature is 1 / ln n.

    Args:
        losses: mean loss over the training pairs, in nats, at each draw.
        start: the same at the weights w* around which they were drawn.
        n_beta: see `Langevin`.

    >>> learning_coefficient(np.array([[0.25, 0.75], [0.5, 0.5]]), 0.25, n_beta=8.0).tolist()
    [2.0, 2.0]
    """
    return n_beta * (losses.mean(axis=-1) - start)


def learning_coefficients(
    run: RunLike,
    *,
    steps: int | Iterable[int] | None = None,
    sampler: Langevin = _DEFAULT,
    tensors: Sequence[str] | None = None,
    threads: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """The local learning coefficient (LLC) of checkpoints, from training pairs alone, over ``step``, ``chain`` and ``draw``.

    ``llc`` and ``llc_std``: mean and standard deviation over the chains of ``llc_by_chain``, each the `learning_coefficient` of
    its draws. ``drift``: what the second half of the draws gives more than the first; where it is not small against ``llc`` the
    chains have not settled, and ask for a longer burn-in. ``start_loss`` is the mean training loss at the checkpoint, and
    ``draw_loss`` that at every draw, in nats; ``draw_distance`` is how far each draw lies from the checkpoint, ``|w - w*| /
    |w*|`` (of the tensors that are drawn). ``n_beta``: of each step.

    The coefficient depends on `Langevin.localization`, which says how far draws go: it compares checkpoints, not settings. Only
    where they stay so close that the loss is quadratic is it ``n_beta / 2 sum_i h_i / (n_beta h_i + localization)`` of the
    curvatures h_i; a trained network's draws, by default, go much further. Where the loss can still fall nearby it may be
    negative; a chain that diverges is NaN. Both are told by a warning.

    What was measured is kept in the run's ``results``, one checkpoint after the other; with the same settings it is not measured
    again. Numbers depend neither on ``threads`` nor on which steps are asked together.

    Args:
        run: a recorded run, its directory, or its name.
        steps: which checkpoints; at most 24 of them, evenly chosen, by default.
        sampler: how weights are drawn around each.
        tensors: names of the only tensors that are drawn, the others staying as they are (the refined coefficient of Wang et al.
            2024, arXiv 2410.02984); all by default.
        threads: chains that are drawn at once, each by one thread; all cores that this process may use by default.
        on_step: called with (chains drawn, chains in all).

    Raises:
        UsageError: for a step or tensor that there is not; for a network whose gradient is not known; for steps at which changes
            of the run swap labels or take another loss.
    """
    run = as_run(run)
    chosen = choose_steps(run, usual_steps(run.steps) if steps is None else steps, measured=True)
    names = _checked(tensors, run.last.network)
    check_changes(run, chosen)
    settings = settings_of(sampler, names)
    results = results_for(run, settings)
    _Drawing(run, sampler, names, results, settings).over(chosen, threads=check_threads(threads), on_step=on_step)
    found = described(results.series(chosen), run, settings, chosen)
    _warn(run, found)
    return found


@dataclass(frozen=True)
class _Drawing:
    """Chains at the checkpoints of a run."""

    run: Run
    how: Langevin
    tensors: tuple[str, ...] | None
    results: Results
    settings: Mapping[str, Any]
    idle: dict[int, SimpleQueue[TrainingLoss]] = field(default_factory=dict)

    def over(self, steps: Sequence[int], *, threads: int, on_step: Callable[[int, int], None] | None) -> None:
        """Draw what is missing, and save each checkpoint as soon as all of its chains have been drawn."""
        due = [step for step in steps if not self.results.has(step, self.run.sha256(step))]
        pieces = [(step, number) for step in due for number in range(self.how.chains)]
        done, total = (len(steps) - len(due)) * self.how.chains, len(steps) * self.how.chains
        if on_step is not None:
            on_step(done, total)
        if not pieces:
            return
        for step in {id(self.run.split_at(step)): step for step in due}.values():
            self._give_back(self.run.split_at(step), self._loss_for(step))  # one of each, which forked processes have too
        waiting: dict[int, dict[int, _Chain]] = {}
        for step, number, found in side_by_side(
            self._draw, pieces, threads=min(threads, len(pieces)), forks=True, in_order=False
        ):
            its = waiting.setdefault(step, {})
            its[number] = found
            done += 1
            if len(its) == self.how.chains:
                self._keep(step, [waiting[step][i] for i in range(self.how.chains)])
                del waiting[step]
            if on_step is not None:
                on_step(done, total)

    def _draw(self, piece: tuple[int, int]) -> tuple[int, int, _Chain]:
        step, number = piece
        network, split = self.run[step].network, self.run.split_at(step)
        if not_finite(network):
            return step, number, (np.nan, *np.full((2, self.how.draws), np.nan))
        loss = self._loss_for(step)
        loss.move_to(network)
        n_beta, noise = self.how.n_beta_for(len(split.train)), self.how.noise(step, number)
        where = self._where(loss)
        size = float((loss.parameters.flat * where).norm())
        start, losses, distances = chain(loss, self.how, n_beta=n_beta, noise=noise, where=where)
        self._give_back(split, loss)
        return step, number, (start, losses, distances / size if size else distances * np.nan)

    def _where(self, loss: TrainingLoss) -> Tensor:
        """1 for the numbers that are drawn; the gaps between tensors stay 0."""
        where = torch.zeros_like(loss.parameters.flat)
        for name, part in loss.parameters.views(where).items():
            part.fill_(float(self.tensors is None or name in self.tensors))
        return where

    def _loss_for(self, step: int) -> TrainingLoss:
        """One that nobody uses now: several threads may ask."""
        split = self.run.split_at(step)
        try:
            return self.idle.setdefault(id(split), SimpleQueue()).get_nowait()
        except Empty:
            return TrainingLoss(self.run, split, self.run[step].network)

    def _give_back(self, split: Split, loss: TrainingLoss) -> None:
        self.idle.setdefault(id(split), SimpleQueue()).put(loss)

    def _keep(self, step: int, chains: Sequence[_Chain]) -> None:
        start, losses = chains[0][0], np.stack([losses for _, losses, _ in chains])
        n_beta, half = self.how.n_beta_for(len(self.run.split_at(step).train)), losses.shape[1] // 2
        each = learning_coefficient(losses, start, n_beta=n_beta)
        late, early = losses[:, half:].mean(), losses[:, :half].mean() if half else losses.mean()
        found: dict[str, Any] = {
            "llc": xr.DataArray(each.mean(), attrs={SETTINGS: json.dumps(self.settings, sort_keys=True)}),
            "llc_std": float(each.std(ddof=1)) if len(each) > 1 else np.nan,
            "drift": float(n_beta * (late - early)),
            "start_loss": start,
            "n_beta": n_beta,
            "llc_by_chain": xr.DataArray(each, dims="chain"),
            "draw_loss": xr.DataArray(losses, dims=("chain", "draw")),
            "draw_distance": xr.DataArray(np.stack([distances for _, _, distances in chains]), dims=("chain", "draw")),
        }
        self.results.add(step, self.run.sha256(step), found)
        self.results.take_kept()
        self.results.save()


def _checked(tensors: Sequence[str] | None, network: Network) -> tuple[str, ...] | None:
    if tensors is None:
        return None
    there = list(network.tensors())
    names = (tensors,) if isinstance(tensors, str) else tuple(dict.fromkeys(tensors))
    if not names:
        raise UsageError(f"tensors: given none, expected some of {listed(there)}, or no list for all of them")
    for name in names:
        if name not in there:
            raise unknown("tensor", name, there)
    return tuple(name for name in there if name in names)


def _warn(run: Run, found: xr.Dataset) -> None:
    """Say where the numbers mean little, and what to do."""
    steps, llc = found["step"].values, found["llc"].values
    lost, negative = steps[np.isnan(llc)], steps[llc + 2 * np.nan_to_num(found["llc_std"].values) < 0]
    if len(lost):
        log.warning("run %s: at %s a chain diverged, or the weights are not finite; try a smaller step size", run.name, _at(lost))
    if len(negative):
        log.warning(
            "run %s: at %s the coefficient is negative, by more than its spread over the chains: the loss still falls nearby",
            run.name,
            _at(negative),
        )


def _at(steps: np.ndarray) -> str:
    return f"step {steps[0]:,}" if len(steps) == 1 else f"steps {listed([f'{step:,}' for step in steps])}"
