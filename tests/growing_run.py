"""The growing circuit as a run on disk, to which checkpoints are added whenever a test wants one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from begun import begin_planted
from growing import DIALS, SPLIT, STEPS, P, growing, scores

from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.live.follower import Follower
from interp.live.server import listen, serving, url
from interp.live.viewers import Published
from interp.store.writer import RunWriter, writing
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

_MODEL = growing(0.0)
CONFIG = RunConfig(
    task=ModularTask(P),
    split=SplitConfig(fraction=0.5, seed=3),
    model=ModelConfig(d_model=_MODEL.d_model, n_heads=_MODEL.n_heads, d_mlp=_MODEL.d_mlp),
    checkpoints=CheckpointConfig(log=0, every=100),
    steps=STEPS[-1],
    engine="reference",
    threads=1,
)


@dataclass
class Growing:
    """A run that is being written by this process."""

    path: Path
    _writer: RunWriter
    _saved: int = field(default=0)

    def grow(self, count: int = 1, *, finish: bool = False) -> None:
        """Save the next checkpoints and commit; with `finish`, for good."""
        for step, dial in list(zip(STEPS, DIALS, strict=True))[self._saved : self._saved + count]:
            self._writer.save(step, growing(dial))
            self._writer.add_history(step, scores(dial) | {"sum_squared_weights": 100.0})
        self._saved += count
        step = STEPS[self._saved - 1]
        if finish:
            self._writer.finish(step, status="finished", reason="budget")
        else:
            self._writer.commit(step, {}, status="running")


@contextmanager
def a_growing_run(path: Path) -> Iterator[Growing]:
    """A run without checkpoints, held for writing as long as the context lasts."""
    with writing(path):
        begin_planted(path, CONFIG, n_parameters=_MODEL.n_parameters, split=SPLIT)
        yield Growing(path, RunWriter(path))


@dataclass
class Served:
    """A run that is followed and served by threads of this process."""

    url: str
    published: Published
    thread: threading.Thread
    gone: threading.Event

    def version(self) -> int:
        return int(self.published.state["version"])

    def until(self, holds: Callable[[], object], seconds: float = 60) -> None:
        """Wait for something to hold."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"waited {seconds} s in vain; the state is {self.published.state}"
            time.sleep(0.05)


@contextmanager
def served(path: Path, *, until_final: bool = True, **options) -> Iterator[Served]:
    """Follow and serve a run; ends with the run, or with the context."""
    published, gone, listener = Published(), threading.Event(), listen()
    follower = Follower(path, published, gone=gone.is_set, **options)

    def work() -> None:
        with serving(listener, published):
            follower.follow(until_final=until_final)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield Served(url(listener, published.token), published, thread, gone)
    finally:
        gone.set()
        with suppress(RuntimeError):
            thread.join(30)
