"""Runs whose loss stops being finite: they break off with a reason, and everything can still look at what was saved."""

from __future__ import annotations

from dataclasses import replace

from interp.config.run_config import OptimizerConfig
from vandal.originals import CONFIG
from vandal.rounds import Round


def one(at: Round) -> None:
    """A learning rate under which the weights run away, at once or after a while."""
    rate = 10.0 ** at.draw.uniform(2, 36)
    dtype = at.draw.choice(["float32", "float64"])
    changed = replace(CONFIG, optimizer=OptimizerConfig(lr=rate), dtype=dtype, seed=at.draw.randrange(100))
    file = at.room / "config.json"
    file.write_text(changed.to_json())
    train = ("train", file, "--name", "run", "--root", at.room / "runs")
    path = at.room / "runs" / "run"
    first, again = at.interp(*train), at.interp(*train)
    at.expect(first.code == again.code, "wrong", f"the same command ended with {first.code}, then with {again.code}")
    at.succeed("verify", path)
    at.succeed("runs", "--root", path.parent)
    at.succeed("runs", "--root", path.parent, "--json")
    at.succeed("show", path)
    at.succeed("show", path, "--json")
    at.interp("analyze", path)
    at.succeed("report", path, "-o", at.room / "report.html")
    at.interp("anatomy", path, "--controls", "0")
    at.interp("export", path, "-o", at.room / "weights.safetensors")
    at.interp("resume", path)
    at.succeed("verify", path)
