"""What may never be in an answer, whatever was asked: a traceback, an exit code without meaning, control sequences, silence."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

from vandal.commands import Said
from vandal.outcome import MEMORY_LIMIT, Fault

DOCUMENTED = {0, 1, 2, 130, -signal.SIGTERM, -signal.SIGHUP}
# C0 but tab, line feed and carriage return; DEL and C1; what changes the direction of text, and line separators.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL}


def faults_of(said: Said, *, killed: bool = False) -> list[Fault]:
    """All that is wrong with a command by itself; one that was killed need not have said anything."""
    return [*_faults(said, killed=killed)]


def _faults(said: Said, *, killed: bool) -> Iterator[Fault]:
    both = said.out + said.err
    if "Traceback (most recent call last)" in both or said.code in _CRASHES:
        last = [line for line in said.err.splitlines() if line.strip()][-1:]
        yield Fault("traceback", f"`interp {_shown(said)}` ended with {(last or [str(said.code)])[0][:300]!a}")
    if said.peak > MEMORY_LIMIT:
        yield Fault("memory", f"`interp {_shown(said)}` took {said.peak / 1e9:.2f} GB")
    for event in said.events:
        yield Fault(event.kind, f"`interp {_shown(said)}`: {event.what}")
    if found := _CONTROL.search(both):
        yield Fault("wrong", f"`interp {_shown(said)}` wrote the control character {found.group()!a}")
    if killed:
        return
    if said.hung:
        yield Fault("wrong", f"`interp {_shown(said)}` did not end")
    elif said.code not in DOCUMENTED:
        yield Fault("wrong", f"`interp {_shown(said)}` ended with {said.code}, which is not documented")
    elif said.code > 0 and not said.err.strip():
        yield Fault("wrong", f"`interp {_shown(said)}` ended with {said.code} and gave no reason")


def _shown(said: Said) -> str:
    return ascii(" ".join(said.arguments))[1:-1]
