"""Time of one training step: ours, a plain autograd loop, and TransformerLens' native bridge, in turn in one process.

    python benchmarks/train_step.py [--rounds N] [--threads N] [--after STEPS] [--json]

All train the same model on the same pairs, the setting of TransformerLens' grokking demo, and go on from the same weights: those
of a run after some steps. (Our first steps are faster: most neurons are then active for almost all pairs, or for almost none.)
Ratios are what to read on a busy machine, milliseconds on an idle one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace

import torch
import torch.nn.functional as F
from timing import add_after, alternate, going_on, machine, options, show, spread, state_after

from interp import HookedModel, recipe
from interp.config.run_config import RunConfig
from interp.networks.initial import initial_weights
from interp.training.choice import make_engine
from interp.training.parameters import Parameters
from interp.training.threads import threads_for

OURS = "interp, fast CPU engine"


def engine_step(config: RunConfig, state: Mapping[str, torch.Tensor] | None = None) -> Callable[[], object]:
    """Gradient and update of one of our engines; from the beginning, or where a run is."""
    engine = going_on(config, state) if state else make_engine(config)

    def step() -> None:
        engine.gradient()
        engine.update()

    return step


def bridge_step(config: RunConfig, state: Mapping[str, torch.Tensor] | None = None, *, test_loss: bool) -> Callable[[], object]:
    """The loop of TransformerLens' grokking demo on a `TransformerBridge`; with the test loss of every step, as it is written."""
    with redirect_stdout(sys.stderr):  # it prints that it moves
        parameters = Parameters(initial_weights(replace(config, device="cpu")))
        if state:
            parameters.flat.copy_(state["flat"])
        bridge = HookedModel(parameters.weights).to_bridge().to(config.device)
    optimizer = torch.optim.AdamW(bridge.parameters(), lr=1e-3, weight_decay=1.0, betas=(0.9, 0.98))
    task, split = config.task, config.split.draw(config.task)
    tokens = F.pad(torch.from_numpy(task.pairs), (0, 1), value=task.p).to(config.device)
    labels = torch.from_numpy(task.labels).to(config.device)

    def loss(rows: torch.Tensor) -> torch.Tensor:
        logits = bridge(tokens[rows])[:, -1].to(torch.float64)
        return -logits.log_softmax(-1).gather(-1, labels[rows, None]).mean()

    train, test = (torch.from_numpy(rows).to(config.device) for rows in (split.train, split.test))

    def step() -> None:
        train_loss = loss(train)
        train_loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        train_loss.item()
        if test_loss:
            with torch.inference_mode():
                loss(test).item()

    return step


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=20)
    parser.add_argument("--threads", type=int, help="threads of every loop (default: all cores)")
    add_after(parser)
    arguments = parser.parse_args()
    config = replace(recipe("transformer-lens"), threads=arguments.threads)
    config = replace(config, threads=threads_for(config))
    torch.set_num_threads(config.threads)
    state = state_after(replace(config, engine="cpu"), arguments.after)
    loops = {
        OURS: engine_step(replace(config, engine="cpu"), state),
        "interp, reference engine (autograd at the last position)": engine_step(replace(config, engine="reference"), state),
        "TransformerLens bridge, train loss only": bridge_step(config, state, test_loss=False),
        "TransformerLens bridge, the demo's loop with its test loss": bridge_step(config, state, test_loss=True),
    }
    facts = machine()
    rows = {name: spread(times) for name, times in alternate(loops, rounds=arguments.rounds).items()}
    for row in rows.values():
        row["times_ours"] = row["median"] / rows[OURS]["median"]

    def text() -> str:
        given = f"{facts['processor']}, {config.threads} threads, load average {facts['load']}"
        lines = [f"{given}; milliseconds a step, from step {arguments.after} on"]
        for name, row in rows.items():
            quartiles = f"({row['low']:.1f} to {row['high']:.1f})"
            lines.append(
                f"{name:60} median {row['median']:7.1f}  {quartiles:18}  least {row['least']:6.1f}  x{row['times_ours']:.1f}"
            )
        return "\n".join(lines)

    given = {"machine": facts, "threads": config.threads, "after": arguments.after}
    show({**given, "milliseconds": rows}, as_json=arguments.json, text=text)


if __name__ == "__main__":
    main()
