"""The kinds of vandalism. A kind is a function of a `vandal.rounds.Round`, one file each; here is the list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vandal.kinds import (
    configurations,
    copies,
    damage,
    foreign,
    full_disks,
    kills,
    locks,
    neighbours,
    not_finite,
    read_only,
    requests,
    sizes,
    studies,
    texts,
    writers,
)
from vandal.rounds import Round


@dataclass(frozen=True)
class Kind:
    """One kind of vandalism.

    Attributes:
        one: spoils something once, and notes in the round what must not have happened.
        what: a line for the table.
        share: of the time, relative to the others.
    """

    one: Callable[[Round], None]
    what: str
    share: float = 1.0


KINDS = {
    "kills": Kind(kills.one, "killed while training, at random moments, and resumed", 3),
    "full disks": Kind(full_disks.one, "a full disk of random size, then more room", 2),
    "flips": Kind(damage.flip, "one bit flipped, in every file of a run in turn", 3),
    "damage": Kind(damage.spoil, "a file of a run cut, doubled, emptied, replaced, gone", 2),
    "writers": Kind(writers.one, "several that write one run at once"),
    "copies": Kind(copies.one, "copied or renamed while it is trained", 1.5),
    "foreign": Kind(foreign.model, "mutants of foreign models, every kind of file", 3),
    "logs": Kind(foreign.log, "mutants of foreign training logs", 1.5),
    "configurations": Kind(configurations.configuration, "mutated configurations", 2),
    "plans": Kind(configurations.plan, "mutated plans of studies"),
    "texts": Kind(texts.one, "hostile names and texts, to the terminal and the page", 2),
    "requests": Kind(requests.one, "hostile requests to the live page", 2),
    "sizes": Kind(sizes.one, "configurations that are far too large"),
    "studies": Kind(studies.one, "studies: a worker or the driver killed, plan or run damaged", 3),
    "neighbours": Kind(neighbours.one, "one bad run among good ones", 1.5),
    "read-only": Kind(read_only.one, "folders that cannot be written", 1.5),
    "locks": Kind(locks.one, "locks that others hold, or that the system refuses"),
    "not finite": Kind(not_finite.one, "runs whose loss is no longer finite"),
}
