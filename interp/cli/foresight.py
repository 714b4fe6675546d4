"""The command that looks ahead: forecast."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from interp.bars import counted_progress
from interp.cli.arguments import ROOT, Root, RunPath, find_run
from interp.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from interp.forecasting.foresee import Forecast
    from interp.store.run import Run


def forecast(
    run: RunPath,
    at: Annotated[int | None, tyro.conf.arg(metavar="STEP")] = None,
    target: Literal["for-good", "first"] = "for-good",
    past: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    root: Root = ROOT,
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Will it grok, and when? Said from weights and training pairs alone, with an interval; no test label is looked at.

    Args:
        at: the checkpoint at which it is said; nothing after it is looked at (default: the last).
        target: test accuracy 99 % from then on, or for the first time.
        past: what was said at every checkpoint, beside what happened.
        json_output: print JSON.
    """
    opened, goal = find_run(run, root), "for_good" if target == "for-good" else "first"
    with counted_progress("looking ahead"):
        said = _past(opened, goal) if past else [_one(opened, at, goal)]
    if json_output:
        found = [{name: value for name, value in asdict(one).items() if name != "evidence"} for one in said]
        print_json(found if past else found[0])
    elif past:
        print_table([_row(one) for one in said])
        print(_what_happened(opened, goal))
    else:
        print(f"{opened.path}, step {said[0].step:,}: {said[0]}")
        if said[0].outside:
            print(f"by the law alone, whose intervals are wide; outside the range of the model: {'; '.join(said[0].outside)}")
        print(_what_happened(opened, goal))


def _one(run: Run, at: int | None, target: Any) -> Forecast:
    from interp.forecasting.measured import forecast

    return forecast(run, at, target=target)


def _past(run: Run, target: Any) -> list[Forecast]:
    from interp.forecasting.foresee import forecasts
    from interp.forecasting.label_free import LOGITS, WEIGHTS
    from interp.observing.observe import observe

    return list(forecasts(observe(run, [WEIGHTS, LOGITS]), target=target))


def _row(one: Forecast) -> dict[str, object]:
    return {
        "step": one.step,
        "verdict": one.verdict,
        "at": one.at,
        "low": one.low,
        "high": one.high,
        "chance": None if one.chance is None else f"{one.chance:.2f}",
        "method": one.method,
    }


def _what_happened(run: Run, target: str) -> str:
    from interp.observing.described import history_series
    from interp.observing.series import about

    phases = about(history_series(run)).phases
    if phases is None:
        return "test accuracy is not known"
    reached = phases.reached.get("grokked")
    first = None if reached is None else reached.first
    date = phases.grokked if target == "for_good" else first or phases.grokked
    return f"what happened: test accuracy {'has not reached 99 %' if date is None else f'99 % at {date}'}"
