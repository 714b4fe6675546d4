"""Who looks on while a run is recorded: what is said of the time that is left, and whether it is worth going on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from interp.store.run import Run
    from interp.training.stream import Step


class Watch(Protocol):
    """Sees every step of a run that is recorded. It changes nothing in it but where it stops."""

    def begin(self, run: Run) -> None:
        """Before the first step is seen: what was recorded before, if the run is resumed."""
        ...

    def see(self, step: Step[Any], *, is_saved: bool) -> None:
        """A step, and whether it is one of the run's checkpoints."""
        ...

    def ahead(self, step: int, speed: float) -> str:
        """What is to be expected, for the progress bar; `speed` is in steps a second."""
        ...

    @property
    def stop(self) -> str | None:
        """Why the training should stop here; None while it should go on."""
        ...
