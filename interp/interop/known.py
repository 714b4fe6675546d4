"""What a caller knows and a file does not contain: one list of options for everything that reads files of other people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from interp.errors import UsageError
from interp.networks.shapes import Activation
from interp.tasks.modular import Operation
from interp.tasks.splits import SplitConfig


@dataclass(frozen=True)
class Known:
    """What the caller knows and a file does not contain. A file that contradicts it is refused, not overruled.

    Args:
        activation: of the neurons.
        attention_rate: alpha of the clock/pizza models.
        n_heads: number of heads, where a file merges them into one axis (TransformerLens 4).
        operation: the operation that the model learned.
        split: how its train and test pairs were drawn.
        split_file: a file that lists its train pairs, or train and test; see `interp.interop.read_split`.
        trust_split: take the given split even where the losses speak against it.
        log: the training log that belongs to it; one beside it with the same stem is found without; see
            `interp.interop.read_log`.
        log_run: which run of the log, where it has several.
        leaves: names of arrays in their order, with commas between, for files that keep no names (equinox, numpy's arr_0 ...);
            - drops one.
        steps: the step of each model, where neither the file nor its name tells.
        within: where in a file the model is, such as trainer.net, if there are several.
        large: take a model whose function over all pairs needs more memory than the limit.
        map: entries ``theirs=ours`` for the format ``map``; see `interp.interop.mapping.mapping_layout`.
    """

    activation: Activation | None = None
    attention_rate: float | None = None
    n_heads: int | None = None
    operation: Operation | None = None
    split: SplitConfig | None = None
    split_file: Path | None = None
    trust_split: bool = False
    log: Path | None = None
    log_run: str | None = None
    map: tuple[str, ...] = ()
    leaves: str | None = None
    steps: tuple[int, ...] = ()
    within: str | None = None
    large: bool = False

    @property
    def leaf_names(self) -> tuple[str, ...]:
        """The names in `leaves`, in order."""
        return tuple(name.strip() for name in self.leaves.split(",")) if self.leaves else ()

    def settle(self, name: str, stored: object) -> object:
        """The value of a fact, from the file or from the caller; None if neither has it.

        Raises:
            UsageError: if both have it and their values differ.
        """
        mine = getattr(self, name)
        if mine is not None and stored is not None and mine != stored:
            raise UsageError(f"{name}: given {mine!r}, but the file says {stored!r}; leave it out")
        return mine if stored is None else stored
