"""Recording inside the loops of libraries: callbacks of Lightning and of Hugging Face's Trainer that tell the steps.

Neither library is needed by anything else here: each is imported when its callback is made.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import Any

from interp.errors import UsageError
from interp.loops.loop_log import Recording

log = logging.getLogger("interp")


def lightning_callback(recording: Recording) -> Any:
    """A Lightning callback that tells a recording the trainer's optimizer steps, from the initial model on.

    Args:
        recording: opened around ``trainer.fit``, so that whatever ends it is seen; its model is the one that is fitted, or a
            module inside it.

    Raises:
        UsageError: if Lightning is not installed, or for what is no recording.
    """
    teller = _Teller(recording)
    # Both packages are the same code under two names; a trainer is of the one that its owner has imported.
    names = sorted(("lightning.pytorch", "pytorch_lightning"), key=lambda name: name.partition(".")[0] not in sys.modules)
    base = _imported(names, "lightning").Callback

    class Told(base):  # type: ignore[misc, valid-type]  # known when the library is there
        """Tells the recording; the library calls it."""

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002  the library's interface
            """The model before the first update here."""
            if trainer.is_global_zero:
                teller.tell(trainer.global_step)

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            """After a batch, which may have made an update."""
            if trainer.is_global_zero:
                teller.tell(trainer.global_step)

    return Told()


def trainer_callback(recording: Recording) -> Any:
    """A callback of Hugging Face's Trainer that tells a recording its steps, from the initial model on.

    Args:
        recording: opened around ``trainer.train``, so that whatever ends it is seen; its model is the trainer's.

    Raises:
        UsageError: if transformers is not installed, or for what is no recording.
    """
    teller = _Teller(recording)
    base = _imported(["transformers"], "transformers").TrainerCallback

    class Told(base):  # type: ignore[misc, valid-type]  # known when the library is there
        """Tells the recording; the library calls it."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002  the library's interface
            """The model before the first update here."""
            if state.is_world_process_zero:
                teller.tell(state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002  likewise
            """After an update."""
            if state.is_world_process_zero:
                teller.tell(state.global_step)

    return Told()


class _Teller:
    """Tells steps that ascend: a batch may make no update, and a training may go on from a state before the run's last step."""

    def __init__(self, recording: Recording) -> None:
        if not isinstance(recording, Recording):
            raise UsageError(f"recording: given {type(recording).__name__}, expected what interp.recording(...) returns")
        self._recording, self._last, self._seen = recording, -1, -1

    def tell(self, step: int) -> None:
        before = self._recording.last
        if self._recording.is_closed:
            self._recording.step(step)  # the error
        if step < self._seen:
            log.warning(
                "run %s: the training begins again at step %s after step %s: it is recorded after that step only; record each "
                "training by a recording of its own", self._recording.path, step, self._seen,
            )  # fmt: skip
        if self._seen < 0 and before is not None and step < before:
            log.warning(
                "run %s: the training goes on at step %s, and is recorded after step %s", self._recording.path, step, before
            )
        self._seen = step
        if step > max(self._last, -1 if before is None else before):
            self._last = step
            self._recording.step(step)


def _imported(names: list[str], extra: str) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise UsageError(f"{extra} is not installed, which this callback is for: pip install 'interp[{extra}]'")
