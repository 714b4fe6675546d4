"""The table of what became of the rounds, for a terminal and for the README."""

from __future__ import annotations

from collections.abc import Sequence

from vandal.outcome import FaultKind, Outcome

_HEADS = (
    "kind",
    "rounds",
    "refused clearly",
    "survived",
    "tracebacks",
    "lost",
    "executed or written outside",
    "otherwise wrong",
    "peak MB",
)


def row(kind: str, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """A kind's line. A round with faults is neither refused clearly nor survived; it counts once for each sort of fault."""
    good = [outcome for outcome in outcomes if not outcome.failed]

    def having(*kinds: FaultKind) -> int:
        return sum(any(fault.kind in kinds for fault in outcome.faults) for outcome in outcomes)

    refused = sum(outcome.refused for outcome in good)
    counts = (len(outcomes), refused, len(good) - refused, having("traceback"), having("lost"), having("executed", "outside"))
    peak = max(outcome.peak for outcome in outcomes) / 1e6
    return (kind, *(f"{count:,}" for count in counts), f"{having('wrong', 'memory'):,}", f"{peak:,.0f}")


def rows(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """A line for each kind, and one for all."""
    kinds = dict.fromkeys(outcome.kind for outcome in outcomes)
    lines = [row(kind, [outcome for outcome in outcomes if outcome.kind == kind]) for kind in kinds]
    return [*lines, row("all", outcomes)] if len(lines) > 1 else lines


def plain(outcomes: Sequence[Outcome], *, command: str, seconds: float) -> str:
    """For a terminal."""
    lines = [_HEADS, *rows(outcomes)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join(["", *text, "", *_below(outcomes, command, seconds)])


def markdown(outcomes: Sequence[Outcome], *, command: str, seconds: float) -> str:
    """For the README."""
    text = [f"| {' | '.join(line)} |" for line in [_HEADS, ("---", *["---:"] * (len(_HEADS) - 1)), *rows(outcomes)]]
    return "\n".join([*text, "", *_below(outcomes, command, seconds)])


def _below(outcomes: Sequence[Outcome], command: str, seconds: float) -> list[str]:
    makeshifts = dict.fromkeys(
        f"Not as it should be: {outcome.kind}: {outcome.makeshift}." for outcome in outcomes if outcome.makeshift
    )
    return [f"(`{command}`: {seconds / 60:.0f} minutes)", *makeshifts]
