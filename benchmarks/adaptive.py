"""How many runs find a boundary: placed where they tell most, and on an even grid, for a P(grok) that is known.

    python benchmarks/adaptive.py --centre 0.3 --slope 72 --low 0.2 --high 0.4 --values 21 --width 0.017

P(grok) = 1 / (1 + exp(-slope (x - centre))). Outcomes are drawn from it, for runs that `next_points` places among the values
(--at-once of them), and for runs on all values in turn, until the 95 % interval of the boundary is as narrow as asked for;
--repeats times. Printed are medians, quartiles, and how often the interval held the centre.
"""

from __future__ import annotations

import argparse

import numpy as np

from interp.studies.adaptive import BoundarySearch, boundary_search, next_points

MOST = 2000


def main() -> None:
    """Draw, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("centre", 0.3), ("slope", 72.0), ("low", 0.2), ("high", 0.4), ("width", 0.017)):
        parser.add_argument(f"--{name}", type=float, default=default)
    for name, number in (("values", 21), ("at-once", 2), ("repeats", 100)):
        parser.add_argument(f"--{name}", type=int, default=number)
    asked = parser.parse_args()
    values = np.linspace(asked.low, asked.high, asked.values).tolist()
    found: dict[str, list[tuple[int, bool]]] = {"placed": [], "even grid": []}
    for repeat in range(asked.repeats):
        rng = np.random.default_rng(repeat)
        for way, runs in found.items():
            search = boundary_search(asked.low, asked.high)
            while search.n < MOST and not search.is_found(width=asked.width):
                x = next_points(search, asked.at_once, among=values) if way == "placed" else values
                search = search.after(x, rng.random(len(x)) < 1 / (1 + np.exp(-asked.slope * (np.array(x) - asked.centre))))
            runs.append((search.n, _holds(search, asked.centre)))
    for way, runs in found.items():
        low, middle, high = np.quantile([n for n, _ in runs], (0.25, 0.5, 0.75))
        held = sum(holds for _, holds in runs)
        print(f"{way:10} {middle:6.0f} runs (quartiles {low:.0f} and {high:.0f}); held the centre in {held} of {len(runs)}")
    ratios = [placed / even for (placed, _), (even, _) in zip(*found.values(), strict=True)]
    print(f"placed / even grid: median {np.median(ratios):.2f}")


def _holds(search: BoundarySearch, centre: float) -> bool:
    known = search.boundary()
    return known.low is not None and known.high is not None and known.low <= centre <= known.high


if __name__ == "__main__":
    main()
