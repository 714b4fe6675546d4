"""The local learning coefficient of a checkpoint, and what a step of a chain costs, beside another package's.

    pip install --no-deps --target PEER canonical-interp==0.1.5 && PYTHONPATH=PEER \\
        python benchmarks/learning_coefficient.py RUN --step 1000 [--chains 10] [--rounds 3] [--json]

Both draw with the same settings, the defaults of `interp.Langevin`, around the same weights, all training pairs in every step, in
one thread each. The other package gets the forward pass of this toolkit as a torch module; its chains are batched by torch.vmap,
and torch.compile, which wants a C++ compiler, is off. (It imports `itertools.batched`, which Python has from 3.12 on: a stand-in
is given to it before.) First the coefficient is drawn by both with all chains; then steps are timed in turns. Without the other
package ours alone is told.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timing import machine, options, show
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from interp import Langevin, Run, forward, learning_coefficients, open_run
from interp.cores import torch_threads
from interp.landscape.chains import chain
from interp.landscape.training_loss import TrainingLoss


class Module(nn.Module):
    """A run's network as a torch module of pairs."""

    def __init__(self, run: Run, step: int) -> None:
        super().__init__()
        self._weights = run[step].weights
        self.tensors = nn.ParameterDict({name: nn.Parameter(t.clone()) for name, t in self._weights.tensors().items()})

    def forward(self, pairs: Tensor) -> Tensor:
        """Logits."""
        return forward(self._weights.with_tensors(dict(self.tensors.items())), pairs).all_logits


def peer() -> Any:
    """The other package's estimator; None where it is not installed."""
    os.environ["TORCH_COMPILE_DISABLE"] = "1"
    if not hasattr(itertools, "batched"):
        itertools.batched = _batched  # type: ignore[attr-defined]  # of Python 3.12
    try:
        from canonical_interp.slt import LLCEstimator  # type: ignore[import-not-found]  # it may not be there
    except ImportError:
        return None
    return LLCEstimator


def _batched(values: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    left = iter(values)
    while found := tuple(itertools.islice(left, size)):
        yield found


def drawn_by(estimator: Any, run: Run, step: int, how: Langevin) -> float:
    """What the other package says."""
    rows = torch.from_numpy(run.split.train)
    pairs, labels = torch.from_numpy(run.task.pairs)[rows], torch.from_numpy(run.task.labels)[rows]
    made = estimator(
        draws=how.draws, chains=how.chains, burnin_steps=how.burn_in, steps_bw_draws=1, learning_rate=how.step_size,
        localization=how.localization, nbeta=how.n_beta_for(len(rows)),
    )  # fmt: skip
    loader = DataLoader(TensorDataset(pairs, labels), batch_size=len(rows))
    found = made.estimate_llc(Module(run, step), loader, F.cross_entropy, seed=how.seed, compile=False, show_progress=False)
    return float(found)


def main() -> None:
    """Draw, time, tell."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("run")
    parser.add_argument("--step", type=int, required=True)
    parser.add_argument("--chains", type=int, default=4)
    given = parser.parse_args()
    run, theirs = open_run(given.run), peer()
    how, few = Langevin(chains=given.chains), Langevin(chains=1, draws=50, burn_in=0)
    ours = learning_coefficients(run, steps=given.step, sampler=how)
    rows: dict[str, Any] = {"llc": float(ours["llc"][0]), "its standard error": float(ours["llc_std"][0]) / given.chains**0.5}
    loss = TrainingLoss(run, run.split, run[given.step].network)
    loss.move_to(run[given.step].network)
    n_beta, where = few.n_beta_for(len(run.split.train)), torch.ones_like(loss.parameters.flat)
    loops: dict[str, Callable[[], object]] = {"ours": lambda: chain(loss, few, n_beta=n_beta, noise=0, where=where)}
    if theirs is not None:
        with torch_threads(1):
            rows["llc of the other"] = drawn_by(theirs, run, given.step, how)
        loops["other"] = lambda: drawn_by(theirs, run, given.step, few)
    times: dict[str, list[float]] = {name: [] for name in loops}
    with torch_threads(1):
        for _ in range(given.rounds):
            for name, call in loops.items():
                begun = time.perf_counter()
                call()
                times[name].append(1e3 * (time.perf_counter() - begun) / (few.draws + few.burn_in))
    rows |= {f"ms a step, {name}": float(np.median(values)) for name, values in times.items()}
    if theirs is not None:
        rows["times"] = rows["ms a step, other"] / rows["ms a step, ours"]
    rows["machine"] = machine()
    show(rows, as_json=given.json, text=lambda: "\n".join(f"{name}: {_said(value)}" for name, value in rows.items()))


def _said(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
