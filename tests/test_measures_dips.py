"""First reached and for good: two dates of one phase, and the dips between; on planted histories and on any history."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given
from hypothesis import strategies as st
from spiky import heavy_spikes, spiky_history
from test_measures_phases import grokking, spike, with_changes

from interp.measures import Boundary, Dip, Phases, is_settled, lead_time, phases
from interp.measures.dating import phases_of
from interp.measures.strays import strays
from interp.observing.derived import date_phases

NAMES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
LEVELS = ("memorized", "cleanup", "grokked")

Curves = dict[str, np.ndarray]


def dated(curves: Curves, **more: object) -> Phases:
    return phases(curves["step"], *(curves[name] for name in NAMES), **more)


def first(found: Phases, name: str) -> int | None:
    known = found.reached.get(name)
    return None if known is None or known.first is None else known.first.step


# Planted histories


def test_a_run_with_three_short_dips_has_both_dates_and_its_dips() -> None:
    found = dated(spiky_history())
    check_spiky(found, {"memorized": 100, "grokked": 1900, "for_good": 8200, "half": 1500})
    assert [(dip.start, dip.end, dip.is_spike) for dip in found.reached["grokked"].dips] == [
        (4300, 4400, True), (5800, 5900, False), (8100, 8200, True),
    ]  # fmt: skip
    assert [dip.value for dip in found.reached["memorized"].dips] == [0.962, 0.871]
    assert str(found.reached["grokked"]) == "step 1,900 (1,800 to 1,900), for good from step 8,200, after 3 dips"


def check_spiky(found: Phases, right: dict[str, int]) -> None:
    assert (first(found, "memorized"), first(found, "grokked")) == (right["memorized"], right["grokked"])
    assert found.memorized.step == found.grokked.step == right["for_good"]
    for name in ("memorized", "grokked"):
        boundary = getattr(found, name)
        assert boundary.earliest < right[name] <= right["for_good"] <= boundary.latest
    # The test loss goes below half its plateau with the accuracy's half-way mark, and no dip lifts it back there.
    assert (first(found, "cleanup"), found.cleanup) == (right["half"], Boundary(1500, 1400, 1500))
    assert found.outcome == "grokking"
    # The lead ends where test accuracy first passed one half.
    lead = lead_time(([0, 1000, 11_000], [4.0, 1.0, 0.1]), accuracies())
    assert (lead.accuracy.step, lead.first, lead.steps) == (right["half"], right["half"] - 1000, right["half"] - 1000)


def accuracies() -> tuple[np.ndarray, np.ndarray]:
    curves = spiky_history()
    return curves["step"], curves["test_accuracy"]


@pytest.mark.reference
def test_the_published_case_has_the_dates_that_it_says(reference: Path) -> None:
    case = reference.parent / "cases" / "spiky_history"
    right = json.loads(case.with_suffix(".json").read_text())
    with case.with_suffix(".csv").open() as file:
        rows = list(csv.DictReader(file))
    curves = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    found = dated(curves | {"step": curves["step"].astype(int)})
    assert right["memorized_for_good"] == right["grokked_for_good"]
    check_spiky(
        found,
        {
            "memorized": right["memorized_first"],
            "grokked": right["grokked_first"],
            "for_good": right["grokked_for_good"],
            "half": right["test_accuracy_50_first"],
        },
    )
    for name, part in (("memorized", "train"), ("grokked", "test")):
        steps = [dip["step"] for dip in right["dips"] if part in dip["of"]]
        assert [dip.start for dip in found.reached[name].dips] == steps


def test_a_log_of_a_thousand_evaluations_with_heavy_spikes_is_not_dated_at_its_last_step() -> None:
    curves, right = heavy_spikes()
    found = dated(curves)
    last = int(curves["step"][-1])
    assert found.memorized.step == found.grokked.step == last  # for good, after a dip just before the last measurement
    assert first(found, "memorized") == right["memorized"] < first(found, "grokked") == right["grokked"] < last / 2
    known = found.reached["memorized"]
    assert len(known.dips) == right["dips"]
    assert all(dip.is_spike for dip in known.dips)
    assert known.is_barely
    assert str(known).endswith(
        f"for good only from the last measurement, step {last:,}, just after the last of {right['dips']} dips"
    )
    assert first(found, "cleanup") == right["cleanup"]
    assert found.outcome == "grokking"


def test_what_is_lost_at_the_end_is_said_to_be_lost_and_its_first_date_is_kept() -> None:
    run = grokking()
    found = phases(**with_changes(test_accuracy=spike(run["test_accuracy"], 20_000, 0.4)))
    assert found.grokked is None
    known = found.reached["grokked"]
    assert (known.first, known.for_good) == (phases(**run).grokked, None)
    assert known.dips == (Dip(start=20_000, worst=20_000, end=None, value=0.4, is_spike=False),)
    assert str(known) == "step 8,500 (8,400 to 8,500), not for good: lost again at step 20,000"


def test_a_dip_is_called_a_loss_spike_only_where_the_training_loss_spikes() -> None:
    run = grokking()
    fell = spike(run["train_accuracy"], 6000, 0.4)
    for loss, is_spike in ((run["train_loss"], False), (spike(run["train_loss"], 6000, 0.5), True)):
        found = phases(**with_changes(train_accuracy=fell, train_loss=loss))
        assert [dip.is_spike for dip in found.reached["memorized"].dips] == [is_spike]
    early = phases(**with_changes(train_accuracy=fell, train_loss=spike(run["train_loss"], 5000, 0.5)))
    assert [dip.is_spike for dip in early.reached["memorized"].dips] == [False]


def test_what_the_test_loss_does_in_a_dip_is_no_plateau() -> None:
    """A slingshot on the plateau: half of its height would be passed as soon as it is over."""
    run = grokking()
    slung = with_changes(test_loss=spike(run["test_loss"], 3000, 500.0), train_accuracy=spike(run["train_accuracy"], 3000, 0.3))
    found = phases(**slung)
    assert (found.cleanup, found.reached["cleanup"].dips) == (phases(**run).cleanup, ())
    assert found.onset == phases(**run).onset


def test_the_plateau_begins_where_the_run_first_memorized() -> None:
    """Before a network knows its pairs its test loss can be higher than ever after."""
    run = grokking()
    assert phases(**with_changes(test_loss=spike(run["test_loss"], 100, 900.0))).cleanup == phases(**run).cleanup
    late = with_changes(train_accuracy=spike(run["train_accuracy"], 19_000, 0.3))
    assert phases(**late).cleanup == phases(**run).cleanup


def test_a_history_that_begins_late_and_dips_has_an_interval_from_the_beginning() -> None:
    run = {name: (c[0][90:], c[1][90:]) if isinstance(c, tuple) else c[90:] for name, c in grokking().items()}
    right = np.array(run["test_accuracy"])
    right[20] = 0.5
    found = phases(**run | {"test_accuracy": right})
    known = found.reached["grokked"]
    assert (known.first, found.grokked) == (None, Boundary(11_100, 0, 11_100))
    assert str(known) == "before step 9,000, the first measured, for good from step 11,100, after 1 dip"
    assert found.cleanup is None


def test_a_loss_that_halves_only_after_the_run_has_generalized_is_no_cleanup() -> None:
    steps, right = [0, 100, 200, 300], [0, 1, 1, 1]
    found = phases(steps, [4, 0.01, 0.001, 0.001], [4, 1.0, 0.9, 0.1], right, right)
    assert (found.cleanup, found.reached.keys()) == (None, {"memorized", "grokked"})


# Where there are no dips, nothing has changed


def test_histories_without_dips_have_the_dates_that_they_always_had() -> None:
    found = phases(**grokking())
    assert found.memorized == Boundary(500, 400, 500)
    assert found.onset == Boundary(1900, 1700, 2100)
    assert found.cleanup == Boundary(8100, 7900, 8100)
    assert found.grokked == Boundary(8500, 8400, 8500)
    assert found.settled == Boundary(11_400, 11_200, 11_500)
    assert found.outcome == "grokking"
    for name in LEVELS:
        known = found.reached[name]
        assert (known.first, known.for_good, known.dips) == (getattr(found, name), getattr(found, name), ())


# Theorems, on any history

SHARES = st.sampled_from([0.0, 0.3, 0.6, 0.95, 0.985, 0.9885, 0.99, 0.9915, 0.995, 1.0])
LOSSES = st.floats(1e-6, 1e3)


@st.composite
def histories(draw: st.DrawFn, *, begin: int | None = None) -> Curves:
    """Any history: uneven even steps, so that there is room for others between; rising with dips, or wild."""
    n = draw(st.integers(2, 12))
    gaps = draw(st.lists(st.integers(1, 400), min_size=n - 1, max_size=n - 1))
    start = draw(st.sampled_from([0, 500])) if begin is None else begin
    step = 2 * np.cumsum([start, *gaps])
    curves = {"step": step}
    for name in NAMES:
        values = draw(st.lists(SHARES if "accuracy" in name else LOSSES, min_size=n, max_size=n))
        if draw(st.booleans()):
            values = sorted(values, reverse="loss" in name)
        curves[name] = np.array(values, dtype=float)
    return curves


def inserted(curves: Curves, after: int, row: dict[str, float]) -> Curves:
    """The same history with one more measurement right after one of its own."""
    step = int(curves["step"][after]) + 1
    return {name: np.insert(values, after + 1, step if name == "step" else row[name]) for name, values in curves.items()}


def excluded_of(curves: Curves, data: st.DataObject) -> tuple[np.ndarray, np.ndarray]:
    n = len(curves["step"])
    return curves["step"], np.array(data.draw(st.lists(LOSSES, min_size=n, max_size=n)))


def in_order(found: Phases) -> bool:
    """Whether no date contradicts another: what comes first is first, and a circuit forms between memorizing and grokking."""
    known = {name: first(found, name) for name in LEVELS}
    onset = None if found.onset is None else found.onset.step
    if None not in (known["memorized"], known["grokked"]) and known["grokked"] < known["memorized"]:
        return onset is None and known["cleanup"] is None  # learned together
    order = [step for step in (known["memorized"], onset, known["cleanup"], known["grokked"]) if step is not None]
    return all(one <= other for one, other in pairwise(order))


@given(histories(), st.data())
def test_no_date_contradicts_another(curves: Curves, data: st.DataObject) -> None:
    found = dated(curves, excluded=excluded_of(curves, data))
    assert in_order(found)
    for name in LEVELS:
        known, kept = found.reached.get(name), getattr(found, name)
        assert kept == (None if known is None else known.for_good)
        if known is not None and known.first is not None and kept is not None:
            assert kept.earliest <= known.first.earliest <= known.first.step <= kept.step <= kept.latest
            assert known.first.latest <= kept.latest
            assert (known.first.step < kept.step) == bool(known.dips)


@given(histories(), st.data())
def test_a_dip_of_one_measurement_never_changes_when_something_was_first_reached(curves: Curves, data: st.DataObject) -> None:
    excluded = excluded_of(curves, data)
    before = dated(curves, excluded=excluded)
    at = data.draw(st.integers(0, len(curves["step"]) - 2))
    dip = {"train_loss": 1e4, "test_loss": data.draw(LOSSES), "train_accuracy": 0.3, "test_accuracy": 0.2}
    longer = inserted(curves, at, dip)
    assume(not any(map(has_strays, (curves, longer, inserted(curves, at, dip | {"test_loss": 1e4})))))
    after = dated(longer, excluded=excluded)
    for name in ("memorized", "grokked"):
        assert first(after, name) == first(before, name)
        assert (name in after.reached) == (name in before.reached)
    high = dated(inserted(curves, at, dip | {"test_loss": 1e4}), excluded=excluded)
    assert first(high, "cleanup") == first(before, "cleanup")
    assert high.onset == before.onset
    assert before.outcome in (high.outcome, "unknown")  # one more measurement may tell what was not known


@given(histories())
def test_without_the_measurements_in_dips_both_dates_are_the_first(curves: Curves) -> None:
    assume(not has_strays(curves))
    found = dated(curves)
    for name in ("memorized", "grokked"):
        known = found.reached.get(name)
        if known is None or known.first is None:
            continue
        step = curves["step"]
        lost = np.zeros(len(step), dtype=bool)
        for dip in known.dips:
            lost |= (step >= dip.start) & (step < (np.inf if dip.end is None else dip.end))
        accuracy = curves["train_accuracy" if name == "memorized" else "test_accuracy"]
        assert np.array_equal(lost, (step > known.first.step) & (accuracy < 0.99))
        cleared = dated({column: values[~lost] for column, values in curves.items()})
        assert getattr(cleared, name).step == first(cleared, name) == known.first.step
        assert cleared.reached[name].dips == ()


@given(histories(begin=0), st.data())
def test_measuring_more_often_what_does_not_change_moves_no_date(curves: Curves, data: st.DataObject) -> None:
    excluded = excluded_of(curves, data)
    at = data.draw(st.integers(1, len(curves["step"]) - 1))
    longer = inserted(curves, at, {name: curves[name][at] for name in NAMES})
    assume(not has_strays(curves) and not has_strays(longer))
    again = dated(longer, excluded=excluded)
    before = dated(curves, excluded=excluded)
    assert {name: first(again, name) for name in LEVELS} == {name: first(before, name) for name in LEVELS}
    for name in ("memorized", "onset", "cleanup", "grokked"):
        assert steps_of(getattr(again, name)) == steps_of(getattr(before, name))


def steps_of(boundary: Boundary | None) -> int | None:
    return None if boundary is None else boundary.step


@given(histories(begin=0), st.data())
def test_steps_that_are_counted_otherwise_give_the_same_dates_counted_otherwise(curves: Curves, data: st.DataObject) -> None:
    n = len(curves["step"])
    renamed = np.cumsum([0, *data.draw(st.lists(st.integers(1, 900), min_size=n - 1, max_size=n - 1))])
    other, excluded = dict(zip(curves["step"].tolist(), renamed.tolist(), strict=True)), excluded_of(curves, data)

    def renumbered(boundary: Boundary | None) -> Boundary | None:
        return None if boundary is None else Boundary(*(other[step] for step in vars(boundary).values()))

    here, there = dated(curves, excluded=excluded), dated(curves | {"step": renamed}, excluded=(renamed, excluded[1]))
    for name in ("memorized", "onset", "cleanup", "grokked"):
        assert renumbered(getattr(here, name)) == getattr(there, name)
    for name, known in here.reached.items():
        assert renumbered(known.first) == there.reached[name].first
        assert [other[dip.start] for dip in known.dips] == [dip.start for dip in there.reached[name].dips]


@given(histories(), st.data())
def test_where_nothing_dips_dates_are_those_of_the_plain_definitions(curves: Curves, data: st.DataObject) -> None:
    """The definitions followed literally: the first step from which something holds to the end."""
    for name in ("train_accuracy", "test_accuracy"):
        curves[name] = np.sort(curves[name])
    excluded = excluded_of(curves, data)
    found, plain = dated(curves, excluded=excluded), literally(curves)
    assert {name: steps_of(getattr(found, name)) for name in ("memorized", "grokked")} == {
        name: plain[name] for name in ("memorized", "grokked")
    }
    if found.cleanup is not None and not found.reached["cleanup"].dips:
        assert found.cleanup.step == plain["cleanup"]
    known = plain["cleanup"]
    is_late = known is not None and plain["grokked"] is not None and known > plain["grokked"]
    assert found.cleanup is not None or known is None or is_late or curves["step"][0] > 0


def has_strays(curves: Curves) -> bool:
    """Whether a single measurement stands out on the way to a level, of either sense: then the next one decides what it is."""
    return any(
        strays(sign * curves[name], level=sign * level, base=sign * base).any()
        for name in NAMES
        for sign, level, base in (
            [(1, 0.99, min(curves[name][0], 0.99))]
            if "accuracy" in name
            else [(-1, top / 2, top) for top in curves[name]]
        )
    )  # fmt: skip


def literally(curves: Curves) -> dict[str, int | None]:
    step = curves["step"]

    def for_good(holds: Callable[[int], bool]) -> int | None:
        kept = next((i for i in range(len(step)) if all(map(holds, range(i, len(step))))), None)
        return None if kept is None or 0 < step[kept] == step[0] else int(step[kept])

    dates: dict[str, int | None] = {
        name: for_good(lambda i, part=part: step[i] > 0 and curves[f"{part}_accuracy"][i] >= 0.99)
        for name, part in (("memorized", "train"), ("grokked", "test"))
    }
    memorized, grokked, cleanup = dates["memorized"], dates["grokked"], None
    if memorized is not None:
        end = step[-1] if grokked is None else max(grokked, memorized)
        plateau = curves["test_loss"][(step >= memorized) & (step <= end)].max()
        cleanup = for_good(lambda i: step[i] >= memorized and curves["test_loss"][i] <= plateau / 2)
    return dates | {"cleanup": cleanup}


@given(histories(), st.data())
def test_gaps_and_missing_columns_are_no_dates(curves: Curves, data: st.DataObject) -> None:
    """A series as an import may make it: NaN here and there, whole columns absent."""
    n = len(curves["step"])
    series, own = xr.Dataset(coords={"step": curves["step"]}), {}
    for name in NAMES:
        hidden = np.array(data.draw(st.lists(st.sampled_from([False, False, False, True]), min_size=n, max_size=n)))
        own[name] = curves["step"][~hidden], curves[name][~hidden]
        values = np.where(hidden, np.nan, curves[name])
        series[f"history_{name}"] = xr.DataArray(values, dims="history_step", coords={"history_step": curves["step"]})
    found = date_phases(series)
    n_right = [len(own[name][0]) for name in ("train_accuracy", "test_accuracy")]
    if not any(n_right):
        assert found is None
    else:
        assert found == phases_of({name: curve for name, curve in own.items() if len(curve[0])})
        assert in_order(found)
        assert bool(found.undated) == (max(n_right) == 1)
    gone = data.draw(st.sampled_from(NAMES))
    left = date_phases(series.drop_vars(f"history_{gone}"))
    kept = {"train_accuracy": "grokked", "test_accuracy": "memorized"}.get(gone)
    if left is not None and found is not None and kept is not None:
        assert getattr(left, kept) == (None if found.undated else getattr(found, kept))
        assert (left.outcome, left.cleanup) == ("unknown", None)


@given(histories(), st.data())
def test_curves_that_share_no_step_have_the_dates_that_each_has_alone(curves: Curves, data: st.DataObject) -> None:
    """The same measurements, each curve's a step later than the one before it."""
    apart = {name: (7 * curves["step"] + i * (curves["step"] > 0), curves[name]) for i, name in enumerate(NAMES)}
    found, together = phases_of(apart), dated(curves | {"step": 7 * curves["step"]})
    for name, i in (("memorized", 2), ("grokked", 3)):
        if curves["step"][0] == 0:
            assert steps_of(getattr(found, name)) == (None if (kept := getattr(together, name)) is None else kept.step + i)
    assert in_order(found)


@given(histories(begin=0), st.data())
def test_a_lead_covers_both_readings(curves: Curves, data: st.DataObject) -> None:
    lead = lead_time(excluded_of(curves, data), (curves["step"], curves["test_accuracy"]))
    if lead.steps is None:
        return
    assert lead.shortest <= min(lead.first, lead.steps) <= max(lead.first, lead.steps) <= lead.longest
    assert (lead.first == lead.steps) or any(known.dips for known in lead.reached.values())


def test_a_run_that_stops_itself_is_not_kept_from_it_by_an_early_dip() -> None:
    run = grokking()
    dipped = spike(run["test_accuracy"], 9500, 0.5)
    steps, weight = run["sum_squared"]
    assert is_settled(steps, weight, dipped)
    assert phases(**with_changes(test_accuracy=dipped)).settled == phases(**run).settled


def test_dips_are_written_out_only_as_far_as_they_can_be_read() -> None:
    from interp.observing.dips_in_words import dips_in_words, phases_in_words

    curves, right = heavy_spikes()
    known = dated(curves).reached["memorized"]
    text = dips_in_words(known, is_share=True)
    assert text.startswith(f"{right['dips']} dips between step ")
    assert text.endswith("; all of them loss spikes")
    few = replace(known, dips=known.dips[:2])
    assert dips_in_words(few, is_share=True).count("a loss spike") == 2
    lines = phases_in_words(dated(spiky_history()))
    known = "step 1,900 (1,800 to 1,900), for good from step 8,200, after 3 dips: step 4,300 (87 %, back at step 4,400"
    assert lines["grokked"].startswith(known)
    assert lines["onset"] == "-"
    assert set(phases_in_words(phases([7], *([1.0],) * 4)).values()) == {"not known from one checkpoint"}
