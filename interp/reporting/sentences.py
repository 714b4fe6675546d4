"""The story of a run with every number and interval: at most one sentence for each thing that can be said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from interp.forecasting.foresee import forecasts
from interp.forecasting.label_free import label_free
from interp.measures.dating import RIGHT
from interp.measures.lead import HALF, LeadTime
from interp.measures.outcome import CROSSED
from interp.measures.strays import strays
from interp.observing.dips_in_words import dips_in_words
from interp.observing.series import About
from interp.observing.work_of_keys import KeyWork, work_of_keys
from interp.reporting.dated_by_losses import dated_by_losses
from interp.reporting.run_curves import Curves
from interp.wording import counted, key_nouns, listed, percent, signed

if TYPE_CHECKING:
    from interp.harmonics.harmonics import Name

# A test loss has risen again if it ends at this many times its lowest value since the run generalized.
RISEN = 10.0
# Fewer forecasts may hold by chance.
_ENOUGH = 5
_NAMED = 4  # up to so many stray evaluations are named one by one
_OF_UNITS = ("x*y mod ", "x/y mod ")
_NOT_LEARNED = "the training pairs themselves are not learned"


def sentences(curves: Curves) -> list[str]:
    """Everything there is to say, in the order of the run."""
    told = [
        _task(curves.about),
        _by_losses(curves),
        _memorized(curves),
        _formed(curves),
        _cleaned(curves),
        *_dips(curves),
        *_strays(curves),
        _risen(curves),
        _undecided(curves),
        *_missing(curves),
        _keys(curves.about, curves),
        _foretold(curves),
    ]
    return [sentence for sentence in told if sentence]


def _foretold(curves: Curves) -> str:
    """From when on it could have been told when the run groks, or what is said now; see docs/forecast.md."""
    if label_free(curves.series) is None:
        return ""
    said, grokked = forecasts(curves.series), curves.found["grokked"]
    if grokked is None:
        last = said[-1] if said else None
        if last is None or last.verdict not in ("groks", "no progress") or curves.first("grokked") is not None:
            return ""
        return f"From weights and training pairs alone, the forecast at step {last.step:,}: {last}."
    before = [one for one in said if one.at is not None and one.step < grokked.step]
    holds = [(one.low or 0) <= grokked.step <= (one.high or 0) for one in before]
    since = next((i for i in range(len(before)) if holds[i] and sum(holds[i:]) >= before[i].level * len(holds[i:])), len(before))
    if len(before) - since < _ENOUGH:
        return ""
    first, held, count = before[since], sum(holds[since:]), len(before) - since
    return (
        f"It could have been told from step {first.step:,} on, from weights and training pairs alone: the forecast then was "
        f"{first.at:,} ({first.low:,} to {first.high:,}), and {'all' if held == count else f'{held} of the'} {count} until it "
        "grokked held that step."
    )


def _task(about: About) -> str:
    if not about.task:
        return ""
    fraction, n_pairs = about.config.get("split", {}).get("fraction"), about.p**2
    if not isinstance(fraction, float):
        return f"It was trained on {about.task}."
    train, test = about.facts.get("train_pairs"), about.facts.get("test_pairs")
    if not isinstance(train, int) or not isinstance(test, int):
        train, test = int(fraction * n_pairs), n_pairs - int(fraction * n_pairs)
    told = f"with {train:,} of the {train + test:,} pairs"
    if later := about.facts.get("train_pairs_from"):
        told = listed([told, *(f"with {n:,} from step {int(step):,} on" for step, n in later.items())])
        rest = "pairs that it never saw are, at each step, those that it was not trained on then"
        return f"It was trained on {about.task}, {told}; {rest}."
    return f"It was trained on {about.task}, {told}; it never saw the others."


def _by_losses(curves: Curves) -> str:
    """What the losses of a run tell that has no accuracies but at one step."""
    losses = dated_by_losses(curves)
    if losses is None:
        return ""
    dates = {
        "memorized": "the train loss was under a tenth of its first value from {} on",
        "cleanup": "the test loss, after its plateau, under half of it from {} on",
    }
    told = [text.format(losses.found[name]) for name, text in dates.items() if name in losses.found]
    missing = f"There is no curve of {' or '.join(losses.missing)}; what the losses tell is that " if losses.missing else ""
    told_at_length = ", and ".join(told)
    return f"{missing}{told_at_length}." if missing else f"{told_at_length[0].upper()}{told_at_length[1:]}."


def _memorized(curves: Curves) -> str:
    memorized, grokked = curves.first("memorized"), curves.first("grokked")
    if memorized is None:
        return ""
    until = curves.first("cleanup") or grokked
    middle = (memorized.step + (until.step if until else curves.last)) / 2
    right, nats = curves.measured("history_test_accuracy", middle), curves.measured("history_test_loss", middle)
    sentence = f"By {memorized} it knew the training pairs by heart{curves.aside('memorized')}"
    if right is None or nats is None or right[1] > CROSSED or right[0] < memorized.step:
        return f"{sentence}."
    where = "" if nats[0] == right[0] else f" at step {nats[0]:,}"
    told = f"At step {right[0]:,} its test accuracy was still {percent(right[1])}"
    return f"{sentence}. {told}, its test loss{where} {nats[1]:.3g} nats."


def _formed(curves: Curves) -> str:
    lead, onset, parts = curves.lead, curves.found["onset"], []
    if lead is not None and lead.restricted is not None:
        parts.append(_halved(lead, which=", which sees only the circuit," if curves.generalizes else ""))
    elif lead is None and curves.about.lead is not None and curves.generalizes and not curves.undated:
        parts.append(f"the restricted loss has no lead time, because {_mixed(curves)}")
    if onset is not None:
        parts.append(
            f"taking the circuit away hurt least at {onset}; since then the excluded loss has risen "
            f"{_factor(curves, 'excluded_loss', onset.step)}"
        )
    if not parts:
        return ""
    formed = curves.generalizes and curves.lead is not None
    return ("Inside, a circuit formed: " if formed else "Inside: ") + "; ".join(parts) + "."


def _halved(lead: LeadTime, *, which: str) -> str:
    """When the restricted loss halved, how long before the test accuracy passed one half; with dips, both readings of it."""
    known = lead.reached.get("restricted")
    is_dipping = known is not None and bool(known.dips)
    told = f"the restricted loss{which} had halved {f'by {known}' if is_dipping else f'for good by {lead.restricted}'}"
    accuracy = lead.first_of("accuracy")
    if lead.steps is None or lead.first is None or accuracy is None:
        return told
    if not lead.is_told:
        return f"{told}; the test accuracy passed one half by {accuracy}, and which came first was not measured"
    told += f": {_ahead(lead)} the test accuracy passed one half, at step {accuracy.step:,}"
    right = lead.reached.get("accuracy")
    if right is not None and right.dips:
        told += f" ({right.aside})"
    if lead.first != lead.steps:
        told += f"; between the steps from which both hold for good there are {counted(lead.steps, 'step')}"
    return told + ("; within this interval either may have come first" if lead.is_open else "")


def _ahead(lead: LeadTime) -> str:
    """How long before or after, with an interval in the same direction: negative ends lie the other way."""
    steps, bounds = lead.first or 0, (lead.shortest or 0, lead.longest or 0)
    direction, order = (1, "before") if steps >= 0 else (-1, "after")
    low, high = sorted(direction * bound for bound in bounds)
    return f"{counted(abs(steps), 'step')} ({signed(low)} to {signed(high)}) {order}"


def _factor(curves: Curves, name: str, step: int) -> str:
    before, after = curves.at(name, step), curves.at(name, curves.last)
    if before is None or after is None or before <= 0:
        return ""
    return f"from {before:.2g} to {after:.2g} nats"


def _cleaned(curves: Curves) -> str:
    cleanup, grokked, sentences = curves.first("cleanup"), curves.first("grokked"), []
    if cleanup is not None:
        before, after = (curves.measured("history_sum_squared_weights", step) for step in (cleanup.step, curves.last))
        weights = ""
        if before is not None and after is not None:
            where = "" if before[0] == cleanup.step else f" at step {before[0]:,}"
            weights = f"; the sum of squared weights went from {before[1]:,.0f}{where} to {after[1]:,.0f}"
        sentences.append(f"From {cleanup} on the memorized answers were cleaned up{curves.aside('cleanup')}{weights}.")
    if grokked is not None:
        how = "first at" if curves.aside("grokked") else "for good from"
        sentences.append(f"Test accuracy was 99 % {how} {curves.dated('grokked')}.")
    return " ".join(sentences)


def _dips(curves: Curves) -> list[str]:
    """Each level that was lost again: how often, when, how far, and whether the training loss had a spike."""
    lost = {
        "memorized": "Train accuracy fell below 99 % again",
        "cleanup": "The test loss rose above half its plateau again",
        "grokked": "Test accuracy fell below 99 % again",
    }
    known = {name: curves.reached(name) for name in lost}
    return [
        f"{lost[name]}: {dips_in_words(found, is_share=name != 'cleanup')}."
        for name, found in known.items()
        if found is not None and found.dips
    ]


def _strays(curves: Curves) -> list[str]:
    """Single evaluations at a level that was not reached there."""
    found = []
    for part in ("train", "test"):
        curve = curves.curve(f"history_{part}_accuracy")
        if curve is None:
            continue
        steps, right = curve
        stray = strays(right, level=RIGHT, base=min(float(right[0]), RIGHT)) & (right >= RIGHT)
        found += [
            f"At step {int(steps[i]):,} alone {part} accuracy was {percent(right[i])}: a stray evaluation, between "
            f"{percent(right[i - 1])} and {percent(right[i + 1])}, that no date follows from."
            for i in stray.nonzero()[0][:_NAMED]
        ]
        if (more := int(stray.sum()) - _NAMED) > 0:
            found.append(f"There are {counted(more, 'more such evaluation')}.")
    return found


def _undecided(curves: Curves) -> str:
    """Why it is unknown whether a run that generalizes grokked."""
    measured = curves.curve("history_train_accuracy")
    if curves.about.outcome != "unknown" or curves.found["grokked"] is None:
        return ""
    if measured is None or len(measured[0]) == 1:
        known = "Its history has no train accuracy" if measured is None else "Its train accuracy is known at one step only"
        return f"{known}: whether it grokked is not known."
    if curves.is_apart:
        apart = f"Its {curves.what_is_apart} are too far apart to tell whether it grokked"
        return f"{apart}, 1,000 steps after its training pairs or more."
    begun = f"Its accuracies are known from step {int(measured[0][0]):,} on, when it already answered most of its training pairs"
    return f"{begun}: whether it generalized soon after learning them, or long after, which is grokking, is not known."


def _risen(curves: Curves) -> str:
    """Whether the test loss has risen again after the run generalized."""
    grokked, measured = curves.first("grokked"), curves.curve("history_test_loss")
    if curves.found["grokked"] is None or grokked is None or measured is None or not (measured[0] >= grokked.step).any():
        return ""
    since = measured[0] >= grokked.step
    steps, losses = measured[0][since], measured[1][since]
    lowest = int(losses.argmin())
    if losses[-1] == 0 or losses[-1] < RISEN * losses[lowest]:
        return ""
    times = f", {losses[-1] / losses[lowest]:,.0f} times as much" if losses[lowest] > 0 else ""
    low = f"step {int(steps[lowest]):,}, {losses[lowest]:.3g} nats"
    return f"Since then its test loss was lowest at {low}; at step {int(steps[-1]):,} it is {losses[-1]:.3g} nats{times}."


def _missing(curves: Curves) -> list[str]:
    """What a run that has not grokked lacks, and what its inner measures say about it."""
    if curves.generalizes:
        return []
    train, test = (curves.at(f"history_{part}_accuracy", curves.last) for part in ("train", "test"))
    sentences = []
    if train is not None and curves.found["memorized"] is None and not curves.is_late("memorized"):
        is_lost = curves.reached("memorized") is not None
        what = "not all of the training pairs are known at the last step" if is_lost else _NOT_LEARNED
        sentences.append(f"What is missing: {what}, train accuracy is {percent(train)}.")
    elif test is not None:
        good = "" if curves.undated else " for good"
        last = curves.last_of("history_test_accuracy")
        when = "the last step" if last == curves.last else f"step {last:,}, where it was last measured"
        sentences.append(f"What is missing: test accuracy is {percent(test)} at {when}, not 99 %{good}.")
    halves, restricted = curves.about.lead, curves.curve("restricted_loss")
    if restricted is not None and len(restricted[0]) > 1:
        start, end = restricted[1][0], restricted[1][-1]
        # Without a test accuracy there is no lead that would say it.
        has_halved = halves.restricted is not None if halves is not None else bool(end <= HALF * start)
        moved = "has halved" if has_halved else "has not halved"
        memorized = f"; {_mixed(curves)}" if curves.about.key_frequencies else ""
        sentences.append(f"The restricted loss {moved}: {start:.3g} nats at the start, {end:.3g} at the end{memorized}.")
    return sentences


def _mixed(curves: Curves) -> str:
    """Why the restricted loss is not that of a circuit alone."""
    kept = curves.about.key_frequencies or ()
    return f"with {len(kept)} of {curves.about.n_frequencies} {key_nouns(kept)[1]} kept it contains memorized answers too"


def _keys(about: About, curves: Curves) -> str:
    keys, count = about.key_frequencies, about.n_frequencies
    if keys is None:  # none were looked for, or there are none to look for
        return ""
    if not keys:
        return "No frequency stands out in it."
    works = work_of_keys(curves.series)
    idle = [work for work in works if work.is_idle] if curves.generalizes and about.stands_out else []
    if about.key_rule != "explicit" and 0 < len(idle) < len(keys):
        keys = tuple(work.name for work in works if work not in idle)
    is_one = len(keys) == 1
    names = _listed(keys)
    (one, several), among = key_nouns(keys), "" if isinstance(keys[0], str) else f" (of 1 to {count})"
    noun, verb, they = (one, "is", "it") if is_one else (several, "are", "they")
    explained = curves.at("cos_fve", curves.last) if curves.generalizes else None
    share = f"; the clock's formula explains {percent(explained)} of its logits' variance" if explained is not None else ""
    if about.key_rule == "explicit":
        return f"The {noun} asked for {verb} {names}{among}{share}."
    if not about.stands_out:
        return f"No {one} stands out: {len(keys)} of {count} pass the rule{share}."
    if not curves.generalizes:
        out = "stands out" if is_one else "stand out"
        return f"The {noun} that {out} at the last step {verb} {names}{among}; {they} need not be a circuit."
    told = f"It computes with {len(keys)} of {count} {several} ({noun} {names}){share}."
    return " ".join([told, *(_idle(work, keys, n=_modulus(about)) for work in idle if work.name not in keys)])


def _modulus(about: About) -> int:
    """Of the frequencies: p; of products and quotients, where exponents are added, p - 1."""
    is_of_units = about.operation == "multiply" or about.operation.startswith(_OF_UNITS)
    return about.p - 1 if is_of_units else about.p


def _listed(names: Sequence[object]) -> str:
    return str(names[0]) if len(names) == 1 else f"{', '.join(map(str, names[:-1]))} and {names[-1]}"


def _idle(work: KeyWork, others: Sequence[Name], *, n: int) -> str:
    """What is said of a frequency that the rule chooses and that does almost nothing."""
    signs = ["no neuron follows it"] if work.neurons == 0 else []
    if work.explained is not None:
        signs.append(f"it explains {percent(work.explained)} of the logits' variance")
    if work.without is not None:
        signs.append(f"without it the train loss is still {work.without:.2g} nats")
    told = f"The rule chooses {work.name} too, which does almost no work: {_listed(signs)}."
    if isinstance(work.name, int) and (twice := min(2 * work.name % n, -2 * work.name % n)) in others:
        told += f" Twice {work.name} is {twice} modulo {n}, up to the sign."
    if work.omitted_by:
        told += f" It is left out by the rule{'s' if len(work.omitted_by) > 1 else ''} {_listed(work.omitted_by)}."
    return told
