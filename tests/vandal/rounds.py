"""One round of a kind: what it draws from, the folder it may spoil, and what was found."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vandal.commands import LONGEST, Running, Said, start
from vandal.judging import faults_of
from vandal.originals import Originals
from vandal.outcome import Fault, FaultKind, Outcome


@dataclass
class Round:
    """What a kind is given.

    Attributes:
        kind: its name.
        number: of the round.
        draw: everything that is left to chance, from the seed and the round's number.
        folder: the round's own, empty at first; what commands write must stay inside.
        originals: sound runs to copy.
        weakened: what makes each process of the toolkit worse than it is, to see that it is noticed.
    """

    kind: str
    number: int
    draw: random.Random
    folder: Path
    originals: Originals
    weakened: tuple[Callable[[], None], ...] = ()
    makeshift: str = ""
    _running: list[Running] = field(default_factory=list)
    _said: list[Said] = field(default_factory=list)
    _faults: list[Fault] = field(default_factory=list)
    _begun: float = field(default_factory=time.monotonic)
    _peak: int = 0

    @property
    def room(self) -> Path:
        """Where commands work, and all that they may write into."""
        path = self.folder / "room"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def start(self, *arguments: object, before: Sequence[Callable[[], None]] = (), room: Path | None = None) -> Running:
        """Begin an `interp` command."""
        files = self.folder / "said" / f"{len(self._running):03}"
        running = start(arguments, files, room=room or self.room, before=(*self.weakened, *before))
        self._running.append(running)
        return running

    def end(self, running: Running, seconds: float = LONGEST, *, killed: bool = False) -> Said:
        """Wait for a command, and judge what it said; one that was killed cannot say anything."""
        said = running.wait(seconds)
        self._said.append(said)
        self._faults += faults_of(said, killed=killed)
        return said

    def interp(self, *arguments: object, before: Sequence[Callable[[], None]] = (), seconds: float = LONGEST) -> Said:
        """An `interp` command from beginning to end, judged."""
        return self.end(self.start(*arguments, before=before), seconds)

    def fault(self, kind: FaultKind, what: str) -> None:
        """Note something that must not happen."""
        self._faults.append(Fault(kind, what))

    def expect(self, holds: bool, kind: FaultKind, what: str) -> None:
        """Note a fault unless something holds."""
        if not holds:
            self.fault(kind, what)

    def succeed(self, *arguments: object, before: Sequence[Callable[[], None]] = ()) -> Said:
        """A command that has to work."""
        said = self.interp(*arguments, before=before)
        self.expect(said.code == 0, "wrong", f"expected to work: {said.line}")
        return said

    def listed(self, root: Path, *arguments: object, before: Sequence[Callable[[], None]] = ()) -> Said:
        """`interp runs`: it lists what can be read; exits with 1 where it names what cannot, with 2 where there is no folder."""
        said = self.interp("runs", "--root", root, *arguments, before=before)
        allowed = (0, 1) if root.is_dir() else (2,)
        self.expect(said.code in allowed, "wrong", f"expected to list: {said.line}")
        return said

    def refuse(self, *arguments: object, before: Sequence[Callable[[], None]] = ()) -> Said:
        """A command that has to refuse."""
        said = self.interp(*arguments, before=before)
        self.expect(said.code != 0, "wrong", f"expected to refuse: {said.line}")
        return said

    def expected(self, original: Path, command: str, *arguments: object) -> str:
        """What a command says about a run that nobody has spoiled."""
        beside = self.room / "beside" / original.name
        if not beside.exists():
            self.originals.copy(original, beside)
        return self.succeed(command, beside, *arguments).out

    def saw(self, peak: int) -> None:
        """Note the memory of a process that `start` did not begin."""
        self._peak = max(self._peak, peak)

    def outcome(self) -> Outcome:
        """What became of the round; whatever still runs is ended."""
        for running in self._running:
            if not running.over():
                running.wait(0)
        peak = max([self._peak, *(said.peak for said in self._said)])
        refused = any(said.code > 0 for said in self._said)
        seconds = time.monotonic() - self._begun
        return Outcome(self.kind, self.number, refused, tuple(self._faults), peak, seconds, self.makeshift)
