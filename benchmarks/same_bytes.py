"""Whether another version of the toolkit gives the same bytes: histories, checkpoints, and every measured series.

    python benchmarks/same_bytes.py --against HEAD~20 --recipes demo nanda
    python benchmarks/same_bytes.py --against HEAD~20 --recipes demo --steps 300

The other version is checked out into a temporary folder, with the same libraries, processor and threads. Both train each
recipe and measure every built-in analysis at every checkpoint. What only one of them has is listed; of what both
have, every byte is compared. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from versions import ROOT, checked_out

# Runs in the version that is first on PYTHONPATH; uses nothing but public names that both versions have.
WORK = """
import hashlib, json, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import interp

root, out, steps, names = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
found = {}
for name in names:
    config = interp.recipe(name)
    if steps:
        config = replace(config, steps=steps, until_settled=False)
    run = interp.record(config, root, name, progress=False)
    for path in [run.path / "history.jsonl", *sorted((run.path / "checkpoints").iterdir())]:
        found[f"{name}: {path.relative_to(run.path)}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    series = interp.observe(run)
    for variable, array in series.data_vars.items():
        label = f"{name}: {variable} {array.dims} {array.shape} {array.dtype}"
        found[label] = hashlib.sha256(np.ascontiguousarray(array.values).tobytes()).hexdigest()
out.write_text(json.dumps({"where": interp.__file__, "found": found}))
"""


def measured(checkout: Path, folder: Path, recipes: list[str], steps: int) -> dict[str, str]:
    """Hashes of all that a version makes, by what it is."""
    out = folder / "found.json"
    subprocess.run(
        [sys.executable, "-c", WORK, str(folder / "runs"), str(out), str(steps), *recipes],
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )
    answer = json.loads(out.read_text())
    assert Path(answer["where"]).is_relative_to(checkout), f"{answer['where']} was imported, not {checkout}"
    return answer["found"]


def main() -> None:
    """Compare, print, exit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", required=True, help="a commit of this repository")
    parser.add_argument("--recipes", nargs="+", default=["demo", "nanda"])
    parser.add_argument("--steps", type=int, default=0, help="budget of each run; by default the recipe's")
    options = parser.parse_args()
    with TemporaryDirectory() as scratch, checked_out(options.against) as other:
        assert other is not None
        theirs, mine = (Path(scratch) / name for name in ("theirs", "mine"))
        for folder in (theirs, mine):
            folder.mkdir()
        before = measured(other, theirs, options.recipes, options.steps)
        after = measured(ROOT, mine, options.recipes, options.steps)
    for title, names in {
        "only there": before.keys() - after.keys(),
        "only here": after.keys() - before.keys(),
        "different": {name for name in before.keys() & after.keys() if before[name] != after[name]},
    }.items():
        print(f"{title}: {len(names)}", *sorted(names), sep="\n  ")
    same = sum(before[name] == after[name] for name in before.keys() & after.keys())
    print(f"the same bytes: {same} of {len(before.keys() | after.keys())} (against {options.against})")
    sys.exit(before != after)


if __name__ == "__main__":
    main()
