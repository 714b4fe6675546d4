"""What the doctor says: causes with their evidence, the change to make, and how sure that is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from interp.forecasting.doctor.knowledge import Cell

Cause = Literal[
    "no structure", "weight decay", "too few pairs", "too many pairs", "learning rate", "initial scale", "precision", "budget",
    "split leaks", "already grokked",
]  # fmt: skip
# The least sureness that is worth a line.
WORTH = 0.3


@dataclass(frozen=True)
class Finding:
    """One cause.

    Args:
        cause: its name.
        sure: between 0 and 1: by the counts or the law that `evidence` names; not a calibrated probability.
        evidence: what was seen, in numbers.
        change: what to do, in words.
        settings: the same as dotted fields and their new values; empty where no field is to blame.
    """

    cause: Cause
    sure: float
    evidence: str
    change: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def how_sure(self) -> str:
        """The sureness in words."""
        return "almost certain" if self.sure >= 0.95 else "likely" if self.sure >= 0.7 else "possible"

    def __str__(self) -> str:
        """The finding as a sentence."""
        return f"{self.cause} ({self.how_sure}, {self.sure:.2f}): {self.evidence}; {self.change}"


@dataclass(frozen=True)
class Diagnosis:
    """What keeps a run, or would keep it, from grokking.

    Args:
        name: of the run, or of the recipe.
        state: what it is: ``not trained``, ``grokked``, ``memorized``, ``not memorized``, ``stopped``.
        said: the state in words, with dates.
        findings: causes, the likeliest first; empty where nothing was found.
        nearest: the nearest settings that are known to grok.
        outside: where the settings lie outside of what was measured: there, findings are extrapolated.
        lacks: what is not known of it, and was not judged.
    """

    name: str
    state: str
    said: str
    findings: tuple[Finding, ...] = ()
    nearest: Cell | None = None
    outside: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()

    @property
    def cause(self) -> Cause | None:
        """The first cause; None where nothing was found."""
        return self.findings[0].cause if self.findings else None

    @property
    def command(self) -> str | None:
        """The command that starts the nearest settings known to grok; None where nothing was found."""
        if self.nearest is None or not self.findings:
            return None
        flags = [f"--{path.replace('_', '-')} {shlex.quote(f'{value:g}')}" for path, value in self.nearest.changes().items()]
        return " ".join(["interp train", self.nearest.recipe, *flags])

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        found = asdict(self)
        for one, finding in zip(found["findings"], self.findings, strict=True):
            one["how_sure"] = finding.how_sure
        found["nearest"] = None if self.nearest is None else str(self.nearest)
        return {**found, "cause": self.cause, "command": self.command}

    def __str__(self) -> str:
        """The diagnosis in lines: the state, the causes in order of likelihood, and what to start instead."""
        lines = [f"{self.name}: {self.said}"]
        if not self.findings:
            lines.append("nothing found")
        for place, finding in enumerate(self.findings, 1):
            lines += [
                f"{place}. {finding.cause} ({finding.how_sure}: {finding.sure:.2f})",
                f"   evidence: {finding.evidence}",
                f"   change: {finding.change}",
            ]
        if self.command is not None and self.nearest is not None:
            lines += [f"nearest settings known to grok: {self.nearest}", f"  {self.command}"]
        if self.outside:
            said = "extrapolated, since" if self.findings else "such settings were never tried:"
            lines.append(f"{said} {'; '.join(self.outside)}")
        if self.lacks:
            lines.append(f"not judged: {'; '.join(self.lacks)}")
        return "\n".join(lines)
