"""What a series says of itself: one frozen value in its attributes, turned into text and back only here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from interp.errors import DataError, UsageError
from interp.measures.boundary import Boundary
from interp.measures.dating import Phases
from interp.measures.dips import Dip, Reached
from interp.measures.lead import LeadTime, stand_out
from interp.measures.outcome import Outcome
from interp.measures.since import Since
from interp.wording import knows_step

if TYPE_CHECKING:
    import xarray as xr

    from interp.harmonics.harmonics import Name

# Where a Dataset keeps it.
ABOUT = "about"
# Nested values, which are JSON where attributes must be text.
# Why questions about groups do not apply to addition, of whose frequencies others ask the same.
FREQUENCIES = "addition has frequencies in the place of representations"
# How the reason ends why questions about frequencies do not apply to a group.
NOT_ADDITION = "is not addition modulo n in any order"
_NESTED = ("failures", "left_out", "not_finite", "config", "facts")


_BOUNDARIES = ("memorized", "onset", "cleanup", "grokked", "settled")


@dataclass(frozen=True)
class About:
    """What is known about it besides its arrays.

    Args:
        run: name of the run.
        task: what was learned, such as ``a + b modulo 113``.
        operation: ``add``, ``subtract``, ``multiply``, ``x2xyy2``; the task's name where it is a table.
        p: number of answers.
        n_frequencies: number of parts that the harmonics of the answers have (for addition modulo p, p // 2 frequencies);
            0 where the answers have none, so that no measure of waves applies.
        key_frequencies: chosen once for the whole series; None if none were looked for.
        key_rule: how they were chosen.
        key_step: in which checkpoint.
        failures: name of an analysis that raised -> at which step, and what.
        left_out: name of an analysis that does not apply -> why.
        not_finite: name of an analysis -> the steps at which all that it measures is NaN, since the run diverged, and why.
        phases: of the run; None where its history has no accuracies. Where it has them at one step only, nothing is dated, and
            `Phases.undated` says why.
        verdicts: ``algorithm`` and ``generalization``, where their readings were measured.
        lead: how long before the test accuracy the restricted loss moved, where both were measured; it says nothing unless the
            key frequencies stand out.
        config: of the run, nested plain values.
        facts: of the run, see `interp.Run.facts`.
    """

    run: str = "run"
    task: str = ""
    operation: str = ""
    p: int = 0
    n_frequencies: int = 0
    key_frequencies: tuple[Name, ...] | None = None
    key_rule: str = ""
    key_step: int | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    not_finite: Mapping[str, str] = field(default_factory=dict)
    phases: Phases | None = None
    verdicts: Mapping[str, Since] = field(default_factory=dict)
    lead: LeadTime | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def knows_step(self) -> bool:
        """Whether it is known after how many updates the checkpoints were saved; of an imported file it may not be."""
        return knows_step(self.facts)

    def __repr__(self) -> str:
        """What it is of, in a line: it stands in the attributes of every series."""
        keys = f", key frequencies {', '.join(map(str, self.key_frequencies))}" if self.key_frequencies else ""
        odd = [f"{len(found)} {what}" for found, what in ((self.failures, "failed"), (self.missed, "left out")) if found]
        return f"About({self.run!r}: {self.task or self.operation or 'task unknown'}, {', '.join([self.outcome, *odd])}{keys})"

    @property
    def missed(self) -> dict[str, str]:
        """What is left out and not asked in another way: where there are frequencies nobody misses representations."""
        return {name: why for name, why in self.left_out.items() if why != FREQUENCIES}

    @property
    def outcome(self) -> Outcome:
        """Of the run, see `interp.measures.Phases`; ``unknown`` where it has no phases."""
        return "unknown" if self.phases is None else self.phases.outcome

    @property
    def has_waves(self) -> bool:
        """Whether the answers have harmonics, so that measures of waves apply."""
        return self.n_frequencies > 0

    @property
    def has_representations(self) -> bool:
        """Whether the parts of the harmonics are representations of a group that is not cyclic, and no frequencies."""
        named = any(isinstance(key, str) for key in self.key_frequencies or ())
        return self.has_waves and (named or any(why.endswith(NOT_ADDITION) for why in self.left_out.values()))

    @property
    def stands_out(self) -> bool:
        """Whether the key frequencies are few enough to be those of a circuit, see `interp.measures.stand_out`."""
        return self.key_frequencies is not None and stand_out(len(self.key_frequencies), self.n_frequencies)


def about(series: xr.Dataset) -> About:
    """What a series says of itself: run, task, key frequencies, phases, verdicts, lead time, configuration.

    Raises:
        UsageError: for a Dataset that is not from `interp.observe`, or has lost its attributes on the way.

    >>> import xarray
    >>> series = xarray.Dataset(coords={"step": [0, 100]}, attrs={"about": About(run="mine", p=59)})
    >>> about(series).run, about(series).outcome
    ('mine', 'unknown')
    """
    if not hasattr(series, "attrs"):
        raise UsageError(f"series: given {type(series).__name__}, expected what interp.observe(run) returns")
    found = about_if_known(series)
    if found is not None:
        return found
    if "key_rule" in series.attrs or "outcome" in series.attrs:
        what = "attributes that are text, as files have them; interp.observing.series.from_attributes reads them"
    else:
        what = (
            f'none in attrs["{ABOUT}"]; where an operation of xarray dropped it, '
            "made.assign_attrs(about=interp.about(series)) puts it back"
        )
    raise UsageError(f"series: expected a Dataset as interp.observe returns it, with its About, given {what}")


def about_if_known(series: xr.Dataset) -> About | None:
    """The same, or None for a Dataset that has none."""
    found = series.attrs.get(ABOUT)
    return found if isinstance(found, About) else None


def as_attributes(value: About) -> dict[str, Any]:
    """The attributes of a file: text, whole numbers, a list of key frequencies; what is nested is JSON.

    What is unknown is left out.
    """
    found: dict[str, Any] = {
        "run": value.run,
        "task": value.task,
        "operation": value.operation,
        "p": value.p,
        "frequencies": value.n_frequencies,
        "outcome": value.outcome,
    }
    boundaries, reached = boundaries_of(value.phases)
    found["phases"] = json.dumps(boundaries)
    if value.phases is not None and value.phases.undated:
        found["undated"] = value.phases.undated
    if reached:
        found["reached"] = json.dumps(reached)
    found["verdicts"] = json.dumps({name: asdict(since) for name, since in value.verdicts.items()})
    if value.lead is not None:
        found["lead"] = json.dumps(asdict(value.lead))
    if value.key_frequencies is not None:
        found["key_frequencies"] = list(value.key_frequencies)
    if value.key_rule:
        found["key_rule"] = value.key_rule
    if value.key_step is not None:
        found["key_step"] = value.key_step
    found |= {name: json.dumps(dict(getattr(value, name))) for name in _NESTED if name != "not_finite" or value.not_finite}
    found["config"] = json.dumps(dict(value.config), indent=2) + "\n"
    return found


def boundaries_of(phases: Phases | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The boundaries by name, and when each was first reached, as plain values; both empty where there are no phases."""
    if phases is None:
        return {}, {}
    found = asdict(phases)
    return {name: found[name] for name in _BOUNDARIES}, found["reached"]


def from_attributes(attributes: Mapping[str, Any]) -> About:
    """What `as_attributes` wrote, also where a file has made its list text; what is missing is unknown.

    Raises:
        DataError: for a malformed text.
    """
    try:
        return _decoded(attributes)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise DataError(
            f"attributes of a series: {type(error).__name__}: {error}; expected those that export_series writes"
        ) from error


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values as JSON gives them back: lists for tuples, text for names."""
    found: dict[str, Any] = json.loads(json.dumps(value))
    return found


def _decoded(attributes: Mapping[str, Any]) -> About:
    boundaries, outcome = _nested(attributes, "phases"), attributes.get("outcome", "unknown")
    found = {name: _boundary(boundaries.get(name)) for name in _BOUNDARIES}
    is_dated = bool(boundaries) or outcome != "unknown"
    keys, lead = attributes.get("key_frequencies"), _nested(attributes, "lead")
    step = attributes.get("key_step")
    return About(
        run=str(attributes.get("run", "run")),
        task=str(attributes.get("task", attributes.get("operation", ""))),
        operation=str(attributes.get("operation", "")),
        p=int(attributes.get("p", 0)),
        n_frequencies=int(attributes.get("frequencies", 0)),
        key_frequencies=None if keys is None else tuple(json.loads(keys) if isinstance(keys, str) else keys),
        key_rule=str(attributes.get("key_rule", "")),
        key_step=None if step is None else int(step),
        phases=Phases(
            **found, outcome=outcome, reached=_reached(_nested(attributes, "reached")), undated=str(attributes.get("undated", ""))
        )
        if is_dated
        else None,
        verdicts={
            name: Since(since["verdict"], Boundary(**since["boundary"]))
            for name, since in _nested(attributes, "verdicts").items()
        },
        lead=_lead(lead) if lead else None,
        **{name: _nested(attributes, name) for name in _NESTED},
    )


def _lead(values: Mapping[str, Any]) -> LeadTime:
    numbers = {name: values[name] for name in ("steps", "shortest", "longest")}
    known = _reached(values.get("reached", {}))
    return LeadTime(_boundary(values["restricted"]), _boundary(values["accuracy"]), **numbers, reached=known)


def _reached(values: Mapping[str, Any]) -> dict[str, Reached]:
    return {
        name: Reached(
            _boundary(one["first"]),
            _boundary(one["for_good"]),
            tuple(Dip(**dip) for dip in one["dips"]),
            span=(int(one["span"][0]), int(one["span"][1])),
        )
        for name, one in values.items()
    }


def _boundary(values: Mapping[str, int] | None) -> Boundary | None:
    return None if values is None else Boundary(**values)


def _nested(attributes: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = attributes.get(name) or {}
    return dict(json.loads(value) if isinstance(value, str) else value)
