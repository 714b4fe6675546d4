"""The diagnosis of a run or of a configuration: every rule is asked, and what is worth saying is put in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.config.run_config import ModelConfig, OptimizerConfig, RunConfig
from interp.forecasting.doctor.causes.budget_rule import budget_too_short
from interp.forecasting.doctor.causes.decay_rule import weight_decay
from interp.forecasting.doctor.causes.done_rule import already_grokked
from interp.forecasting.doctor.causes.init_rule import initial_scale
from interp.forecasting.doctor.causes.leak_rule import split_leaks
from interp.forecasting.doctor.causes.pairs_rule import too_few_pairs
from interp.forecasting.doctor.causes.plateau_rule import no_plateau
from interp.forecasting.doctor.causes.precision_rule import precision
from interp.forecasting.doctor.causes.rate_rule import learning_rate
from interp.forecasting.doctor.causes.structure_rule import LEARNED, MOST, no_structure
from interp.forecasting.doctor.diagnosis import WORTH, Diagnosis, Finding
from interp.forecasting.doctor.knowledge import Cell, Knowledge, knowledge
from interp.forecasting.doctor.patient import Course, Patient, of_config
from interp.wording import listed

if TYPE_CHECKING:
    from interp.store.run import RunLike

# In the order in which they are named where they are equally likely: what no other setting makes up for comes first.
OF_DATA = (no_structure, split_leaks, already_grokked)
OF_SETTINGS = (precision, learning_rate, weight_decay, too_few_pairs, initial_scale, budget_too_short, no_plateau)
# Under the first, nothing is said of a run that may yet grok, or of a configuration; under `WORTH`, of none.
DOUBTFUL = 0.5
# A cause as sure as this explains what follows from it.
CERTAIN = 0.7
# What other operations than addition have nothing to do with.
_OF_ADDITION = ("task.p", "split.fraction")


def diagnose(given: RunLike | RunConfig) -> Diagnosis:
    """Why a run did not grok, or a configuration would not: causes in order of likelihood, each with evidence and a change.

    A configuration is judged by its fields alone, within milliseconds and without drawing a split. Of a run its history, its
    split, its table and its last checkpoint are looked at as well; test labels too, unlike in a forecast. Where nothing is found,
    nothing is advised. docs/doctor.md has the rules, what they were drawn from, and how often the first cause was the right one.

    Args:
        given: a configuration; or a recorded run, its directory or its name, finished or not.

    Raises:
        UsageError: if there is no such run, or its task is no binary operation.

    >>> import interp
    >>> from dataclasses import replace
    >>> demo = interp.recipe("demo")
    >>> interp.diagnose(demo).findings
    ()
    >>> interp.diagnose(replace(demo, optimizer=replace(demo.optimizer, weight_decay=0))).cause
    'weight decay'
    """
    if isinstance(given, RunConfig):
        return judge(of_config(given))
    from interp.forecasting.doctor.admission import of_run
    from interp.store.run import as_run

    return judge(of_run(as_run(given)))


def judge(patient: Patient, known: Knowledge | None = None) -> Diagnosis:
    """The diagnosis of what is known."""
    known = knowledge() if known is None else known
    found = [*(rule(patient) for rule in OF_DATA), *(rule(patient, known) for rule in OF_SETTINGS)]
    least = WORTH if patient.is_lost else DOUBTFUL
    worth = [one for one in found if one is not None and one.sure >= least]
    worth = _without_consequences(sorted(worth, key=lambda one: -one.sure))
    return Diagnosis(
        name=patient.name,
        state="not trained" if patient.course is None else patient.course.state,
        said=said_of(patient),
        findings=tuple(worth),
        nearest=_nearest(patient, known, worth[0]) if worth else None,
        outside=outside_of(patient, known),
        lacks=lacks_of(patient, known),
    )


def _nearest(patient: Patient, known: Knowledge, first: Finding) -> Cell | None:
    """The nearest settings known to grok, which are of addition: of another operation only where another is advised."""
    settings = patient.known()
    tried = settings["task.operation"] in known.ranges["task.operation"]["values"]
    return known.nearest({**settings, **first.settings}) if tried or first.cause == "no structure" else None


def _without_consequences(found: list[Finding]) -> list[Finding]:
    """A budget is too short also because of what is named before it: then it is no cause of its own.

    Where there is no structure nothing else is.
    """
    if found and found[0].cause == "no structure" and found[0].sure >= CERTAIN:
        return found[:1]
    slow = {"weight decay", "learning rate", "initial scale", "too few pairs", "no structure", "precision"}
    first = {one.cause for one in found if one.cause in slow and one.sure >= CERTAIN}
    return [one for one in found if one.cause != "budget" or not first] if first else found


def said_of(patient: Patient) -> str:
    """The state in words, with dates."""
    course = patient.course
    if course is None:
        return f"not trained yet; {patient.task.name}"
    if course.grokked is not None:
        memorized = "" if course.memorized is None else f", memorized {_when(course)}"
        return f"has grokked: test accuracy 99 % at step {course.grokked:,}{memorized}"
    right = "not known" if course.test_accuracy is None else f"{100 * course.test_accuracy:.0f} %"
    past = "memorized" if course.memorized is not None else "not memorized"
    when = f" {_when(course)}" if course.memorized is not None else ""
    end = "ended" if course.is_over else "has come to"
    told = f"{past}{when}, {end} {'at ' if course.is_over else ''}step {course.step:,}; test accuracy {right}"
    return told if course.forecast is None else f"{told}; forecast: {course.forecast}"


def _when(course: Course) -> str:
    """At which step it memorized; where its history begins later than at 0, by which."""
    by = "by" if course.memorized is not None and 0 < course.memorized <= (course.begun_at or 0) else "at"
    return f"{by} step {course.memorized:,}"


def outside_of(patient: Patient, known: Knowledge) -> tuple[str, ...]:
    """Where the settings lie outside of what the knowledge was drawn from, in words."""
    found = []
    settings = patient.known()
    is_of_addition = known.speaks_of(settings) or settings["task.operation"] in known.ranges["task.operation"]["values"]
    for path, within in known.ranges.items():
        value = settings.get(path)
        if path in _OF_ADDITION and not is_of_addition:
            continue
        if "least" in within and isinstance(value, int | float) and not within["least"] <= value <= within["most"]:
            found.append(f"{path} = {value:g} is outside {within['least']:g} to {within['most']:g}")
        if "values" in within and value is not None and value not in within["values"]:
            found.append(f"{path} = {value} was not tried")
    # Fields of other networks and optimizers stand in the settings only where they are not as usual.
    later = [f"{room}.{name}" for room, kind in (("model", ModelConfig), ("optimizer", OptimizerConfig)) for name in kind.later]
    found += [f"{path} = {settings[path]} was not tried" for path in later if path in settings]
    return tuple(found)


def lacks_of(patient: Patient, known: Knowledge) -> tuple[str, ...]:
    """What is not known, in words."""
    needed = ("optimizer.weight_decay", "optimizer.lr", "model.init_scale", "optimizer.eps", "steps")
    found = [f"{path} is not known" for path in needed if patient.settings.get(path) is None]
    course = patient.course
    if changed := patient.settings.get("changes"):
        found.append(f"what is changed while it trains ({listed(changed)}): it is judged by what it began with")
    if patient.p > MOST and patient.settings.get("task.operation") not in LEARNED:
        found.append(f"the structure of a table of {patient.p:,} elements, of which no more than {MOST} are looked at")
    if not patient.is_healthy_so_far and not known.speaks_of(patient.known()):
        found.append(f"the share of the pairs: no boundary is known for {patient.task.name}")
    if course is not None and course.train_accuracy is None:
        found.append("training accuracy is not known")
    if course is not None and course.test_accuracy is None:
        found.append("test accuracy is not known")
    return tuple(found)
