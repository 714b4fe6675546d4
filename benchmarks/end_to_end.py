"""Whole runs as a user starts them: time and peak memory of `interp demo` and `interp train nanda`, to the settled model.

    python benchmarks/end_to_end.py [--skip-nanda] [--json]

Each in an empty folder and a process of its own; imports, checkpoints and (for the demo) analyses and report are included.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from timing import machine, options, show
from versions import usage_of

from interp.observing.described import history_series
from interp.observing.series import about
from interp.store.run import list_runs


def outcome(root: Path) -> dict[str, int | None]:
    """When the only run under a directory grokked and settled, and its last step."""
    (run,) = list_runs(root)
    found = about(history_series(run)).phases
    dates = {name: getattr(found, name) for name in ("grokked", "settled")}
    return {**{name: date and date.step for name, date in dates.items()}, "last_step": run.steps[-1]}


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--skip-nanda", action="store_true", help="measure the demo only")
    arguments = parser.parse_args()
    facts, rows = machine(), {}
    commands = {"interp demo": ["demo"], "interp train nanda": ["train", "nanda"]}
    if arguments.skip_nanda:
        del commands["interp train nanda"]
    for name, command in commands.items():
        for _ in range(arguments.rounds):
            with tempfile.TemporaryDirectory() as folder:
                row = {**usage_of(command, folder=Path(folder)), **outcome(Path(folder) / "checkpoints")}
            if name not in rows or row["seconds"] < rows[name]["seconds"]:
                rows[name] = row

    def text() -> str:
        return "\n".join(
            f"{name:20} {row['seconds']:6.1f} s  {row['processor_seconds']:6.1f} s of processor time  {row['peak_mib']:5.0f} MiB"
            f"  grokked {row['grokked']}, settled {row['settled']}"
            for name, row in rows.items()
        )

    show({"machine": facts, "commands": rows}, as_json=arguments.json, text=text)


if __name__ == "__main__":
    main()
