"""Time of one training step against p, width, heads, share of pairs and threads: the fast CPU engine and the reference engine.

    python benchmarks/scaling.py [--rounds N] [--after STEPS] [--p P] [--json]

Everything but the one thing that varies is as in the reference run (p = 113, 30 %, d_model 128, 4 heads, d_mlp 512). Both engines
go on from the same weights, some steps into training. The last column is the engine that ``engine="auto"`` takes; it must never
be the slower one. The reference engine keeps what autograd needs for every pair: where that does not fit into the memory that is
free, it is left out, and the table says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from timing import add_after, alternate, machine, options, show, spread, state_after
from train_step import engine_step

from interp import recipe
from interp.config.run_config import ModelConfig, RunConfig
from interp.cores import available_threads
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.training.choice import make_engine


@dataclass(frozen=True)
class Point:
    """One setting."""

    varies: str
    p: int = 113
    fraction: float = 0.3
    d_model: int = 128
    heads: int = 4
    d_mlp: int = 512
    threads: int = available_threads()

    def config(self) -> RunConfig:
        """The run that is timed."""
        return replace(
            recipe("transformer-lens"),
            task=ModularTask(self.p),
            split=SplitConfig(fraction=self.fraction),
            model=ModelConfig(d_model=self.d_model, n_heads=self.heads, d_mlp=self.d_mlp),
            threads=self.threads,
        )


def fits(point: Point) -> bool:
    """Whether the reference engine's tensors fit into the memory that is free: numbers per training pair, of four bytes."""
    pairs = point.fraction * point.p**2
    # Residuals at two points, their normalised sums by head, neurons before and after the ReLU, logits: each with its gradient.
    numbers = 2 * pairs * (8 * point.d_model + 2 * point.d_mlp + 2 * point.p)
    info = Path("/proc/meminfo")
    if not info.is_file():
        return True
    free = next(int(line.split()[1]) for line in info.read_text().splitlines() if line.startswith("MemAvailable"))
    return 4 * numbers < 0.7 * 1024 * free


def points() -> Iterator[Point]:
    """The settings, one thing varied at a time; then small ones, and ones where tables could cost more than they save."""
    yield from (Point("p", p=p) for p in (13, 59, 113, 251, 509, 997))
    yield from (Point("d_mlp", d_mlp=width) for width in (32, 128, 512, 2048))
    yield from (Point("heads", heads=heads) for heads in (1, 4, 16))
    yield from (Point("d_model", d_model=width) for width in (32, 128, 512))
    yield from (Point("threads", threads=threads) for threads in range(1, available_threads() + 1))
    yield from (Point("share of pairs", fraction=fraction) for fraction in (0.003, 0.01, 0.1, 0.9))
    yield Point("tiny", p=2, fraction=0.5, d_model=8, heads=1, d_mlp=4)
    yield Point("tiny", p=5, fraction=0.5, d_model=16, heads=2, d_mlp=24)
    yield Point("tiny, wide", p=3, fraction=0.5)
    yield Point("tiny, wide", p=13, fraction=0.4, d_mlp=2048)
    yield Point("few pairs, wide", fraction=0.01, d_model=512, d_mlp=2048)
    yield Point("few pairs, large p", p=1009, fraction=0.0005)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=3)
    add_after(parser, default=300)
    parser.add_argument("--p", type=int, metavar="P", help="only the row of this p, all else as in the reference run")
    arguments = parser.parse_args()
    facts, rows = machine(), []
    for point in points() if arguments.p is None else [Point("p", p=arguments.p)]:
        config = point.config()
        torch.set_num_threads(point.threads)
        state = state_after(replace(config, engine="cpu"), arguments.after)
        engines = ("cpu", "reference") if fits(point) else ("cpu",)
        loops = {engine: engine_step(replace(config, engine=engine), state) for engine in engines}
        times = {name: spread(values) for name, values in alternate(loops, rounds=arguments.rounds).items()}
        ratio = times["reference"]["median"] / times["cpu"]["median"] if "reference" in times else None
        rows.append({**asdict(point), "milliseconds": times, "ratio": ratio, "auto": make_engine(config).name})
        if not arguments.json:
            print(line(rows[-1]), flush=True)
    show({"machine": facts, "after": arguments.after, "points": rows}, as_json=arguments.json, text=lambda: summary(rows))


def line(row: dict) -> str:
    """One row of the table."""
    setting = f"p {row['p']:4}  {row['fraction']:6.2%}  {row['d_model']:3} wide  {row['heads']:2} heads  {row['d_mlp']:4} neurons"
    times = f"cpu {row['milliseconds']['cpu']['median']:7.2f} ms  "
    if row["ratio"] is None:
        times += "reference: needs more memory than is free"
    else:
        times += f"reference {row['milliseconds']['reference']['median']:8.2f} ms  x{row['ratio']:5.2f}"
    return f"{row['varies']:18} {setting}  {row['threads']} threads  {times}  auto: {row['auto']}"


def summary(rows: list[dict]) -> str:
    """Where auto takes the slower engine, if anywhere."""
    wrong = [line(row) for row in rows if row["ratio"] is not None and row["ratio"] < 1 and row["auto"] == "cpu"]
    if wrong:
        return "\n".join(["auto took the cpu engine where it was slower:", *wrong])
    return "auto took no engine slower than the reference"


if __name__ == "__main__":
    main()
