"""Arguments that several commands share, and how texts such as ``0:5000:500`` are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from interp.errors import UsageError, unknown
from interp.interop.known import Known
from interp.store.locking import LockKind
from interp.store.run_paths import ROOT as ROOT  # noqa: PLC0414  the commands take it from here
from interp.tasks.splits import SPLIT_RULES, SplitConfig

if TYPE_CHECKING:
    from interp.observing.key_rules import KeyRule
    from interp.store.run import Run

RunPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="directory of a run, or its name under --root")]
Root = Annotated[Path, tyro.conf.arg(metavar="DIR", help="directory that holds the runs")]
Names = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    tyro.conf.arg(aliases=["-a"], metavar="NAME", help="a built-in analysis; may be repeated (default: all)"),
]
Files = Annotated[
    tyro.conf.UseAppendAction[tuple[Path, ...]],
    tyro.conf.arg(metavar="FILE.py", help="your own analysis, a file with ANALYSIS = Analysis(...); may be repeated"),
]
Out = Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE", help="where to write")]
Keys = Annotated[
    str,
    tyro.conf.arg(
        metavar="RULE",
        help="key frequencies: unembedding, embedding, neurons, coefficients, logits, or a list such as 5,9,25 or (4,1),(3,2)",
    ),
]
Threads = Annotated[
    int | None,
    tyro.conf.arg(metavar="N", help="cores to use at once (default: all that this process may); changes no number"),
]
TrainingThreads = Annotated[
    int | None,
    tyro.conf.arg(metavar="N", help="cores to use (default: all that this process may); the run's rounding depends on it"),
]
LiveThreads = Annotated[
    int, tyro.conf.arg(metavar="N", help="cores to use at once (default: 1, which leaves the others to the training)")
]
Force = Annotated[bool, tyro.conf.FlagCreatePairsOff]
ForceAnalysis = Annotated[
    bool,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.arg(help="measure even if that takes more memory than there is, by estimate"),
]
Lock = Annotated[
    LockKind | None,
    tyro.conf.arg(
        help="how other processes are kept from writing the same run: system (a lock of the file system), or lease (a file that "
        "is renewed), for network mounts that refuse locks; if not given, what INTERP_LOCK says, or system"
    ),
]


def find_run(run: Path, root: Path) -> Run:
    """The run at a path or, if nothing is there, of that name under the root."""
    from interp.store.run import open_run

    return open_run(run, root=root)


def parse_steps(text: str | None, run: Run, *, flag: str = "--steps") -> list[int] | None:
    """`0,500` are these steps; `0:5000` all saved steps from 0 to 5000; `0:5000:500` the multiples of 500 among them."""
    if text is None:
        return None
    chosen: list[int] = []
    for part in text.split(","):
        try:
            numbers = [int(number) if number else None for number in part.split(":")]
        except ValueError:
            raise UsageError(f"{flag}: given {part!r}, expected numbers such as 0,500 or ranges such as 0:5000:500") from None
        first, last, stride = (numbers + [None] * 3)[:3]
        if len(numbers) == 1 and first is not None:
            chosen.append(first)
        else:
            inside = [step for step in run.steps if (first or 0) <= step <= (run.steps[-1] if last is None else last)]
            found = [step for step in inside if not stride or step % stride == 0]
            if not found:
                steps = f"{run.steps[0]:,} to {run.steps[-1]:,}" if run.steps else "none"
                raise UsageError(f"{flag}: given {part!r}, in which no step was saved; saved are {steps}")
            chosen += found
    return chosen


def parse_split(text: str) -> SplitConfig:
    """The split that a text such as `torch:598:0.3` stands for: rule, seed, fraction of the pairs to train on."""
    rule, _, rest = text.partition(":")
    seed, _, fraction = rest.partition(":")
    try:
        return SplitConfig(rule, int(seed), float(fraction))  # type: ignore[arg-type] # an unknown rule is refused there
    except (UsageError, ValueError) as error:
        reason = f" ({error})" if isinstance(error, UsageError) else ""
        rules = ", ".join(rule for rule in SPLIT_RULES if rule != "python")
        raise UsageError(f"--split: given {text!r}, expected python:SEED:FRACTION, or another rule ({rules}){reason}") from None


def parse_keys(text: str) -> KeyRule | list[int | str]:
    """A rule's name, or the frequencies of a list such as `5,9,25`, or representations such as `(4,1),(3,1,1)`."""
    from interp.observing.key_rules import KEY_RULES

    if text in KEY_RULES:
        return text
    try:
        return [int(k) for k in text.split(",")]
    except ValueError:
        if not re.search("[0-9(A-Z]", text):
            raise unknown("key frequency rule", text, KEY_RULES) from None
    return [int(name) if name.isdecimal() else name for name in between_commas(text)]


def between_commas(text: str) -> list[str]:
    """What stands between commas, but for those in parentheses, as names of representations have them; nothing that is empty.

    >>> between_commas("(4,1), W_E,,(3,1,1)")
    ['(4,1)', 'W_E', '(3,1,1)']
    """
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def _split_of(words: list[str]) -> SplitConfig:
    return parse_split(words[0])


def _text_of(split: SplitConfig | None) -> list[str]:
    return ["none" if split is None else f"{split.rule}:{split.seed}:{split.fraction}"]


def _may_be_split(value: object) -> bool:
    return value is None or isinstance(value, SplitConfig)


_SPLIT = tyro.constructors.PrimitiveConstructorSpec(1, "RULE:SEED:FRACTION", _split_of, _may_be_split, _text_of)


@dataclass(frozen=True)
class KnownFlags(Known):
    """Every field of `Known` as a flag; two of them have a form of their own on the command line."""

    split: Annotated[SplitConfig | None, _SPLIT] = None
    map: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="THEIRS=OURS")] = ()


@dataclass(frozen=True)
class Reading:
    """How other people's files are read: the same flags wherever one can be given.

    Args:
        format: auto, official, transformer-lens, bridge, pizza, groups, safetensors, names or map.
        known: what the file does not say.
    """

    format: str = "auto"
    known: Annotated[KnownFlags, tyro.conf.arg(name="")] = KnownFlags()


@dataclass(frozen=True)
class Means:
    """What measuring may take of this machine."""

    threads: Threads = None
    force: ForceAnalysis = False


MeansOptions = Annotated[Means, tyro.conf.arg(name="")]
ALL_MEANS = Means()
FileOptions = Annotated[Reading, tyro.conf.arg(name="")]
NO_OPTIONS = Reading()
