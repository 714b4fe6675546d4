"""Analysis: a question, what is measured at each checkpoint, and how it is drawn. Built-in ones and the user's own files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from interp.errors import UsageError, unknown
from interp.observing.definitions import OF_RUNS, Definition
from interp.observing.users_code import RAISED, raised

if TYPE_CHECKING:
    import xarray as xr

    from interp.observing.view import View

# What a question can need: the one-layer transformer; a network whose function is known, not its tensors alone; a task whose
# answers have harmonics; one that is addition modulo n on all pairs, or becomes it when pairs and residues are reordered; key
# frequencies, which the rules find in a one-layer transformer, and which must be given for any other network.
Need = Literal["one-layer", "function", "harmonics", "addition", "keys"]
NEEDS: tuple[Need, ...] = get_args(Need)
Kind = Literal["figure", "tables", "explorer"]
# How a paragraph begins that makes sense only where answers have waves.
_WAVES = "Waves:"


@dataclass(frozen=True)
class Analysis:
    """One question about a run.

    Args:
        name: short name, a Python identifier; names the analysis on the command line and in the report.
        question: what is asked, in plain words; the first line is the panel's title, the rest its caption.
        measure: called once per checkpoint with a `View`; returns named numbers or labelled arrays (xarray DataArrays), with the
            same dimensions and coordinates at every checkpoint.
        figure: called once with the xarray Dataset of all checkpoints; returns a plotly Figure.
        definitions: of the measures, to whose formulas the panel links: those that it brings (`interp.Definition`), and names of
            those that a built-in analysis brings.
        needs: what the question needs to make sense; a run without it is skipped, and the reason given.
        kind: what `figure` draws: a plotly Figure; ``tables``, an `interp.figures.Tables`; ``explorer``, an
            `interp.figures.Neurons`. The latter two are for the report's page: they are measured where they are asked for by
            name, or for a page.
        at: measured at every checkpoint; or at the ``last`` one alone, where the view has the whole run, variables have no axis
            of steps, and may be texts.
        kept: whether results are kept beside the run; not worth it for what is large and quickly made.
        source: what the results depend on besides the checkpoint, for the cache: the text of the analysis' file.
    """

    name: str
    question: str
    measure: Callable[[View], Mapping[str, xr.DataArray | float | str]]
    figure: Callable[[xr.Dataset], Any]
    source: str | None = None
    definitions: tuple[Definition | str, ...] = ()
    needs: tuple[Need, ...] = ()
    kind: Kind = "figure"
    at: Literal["every", "last"] = "every"
    kept: bool = True

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise UsageError(f"analysis name: given {self.name!r}, expected letters, digits and underscores")
        if not self.question or not self.question.strip():
            raise UsageError(f"analysis {self.name}: given no question; write what is asked in the file's docstring")
        for name, given, known in (("kind", self.kind, get_args(Kind)), ("at", self.at, ("every", "last"))):
            if given not in known:
                raise unknown(name, given, known)
        for need in self.needs:
            if need not in NEEDS:
                raise unknown("need", need, NEEDS)

    @property
    def title(self) -> str:
        """First line of the question, without its full stop."""
        return self.question.strip().splitlines()[0].rstrip(".")

    @property
    def caption(self) -> str:
        """The question after its first line, unwrapped: paragraphs separated by blank lines."""
        return self.caption_for(has_waves=True)

    def caption_for(self, *, has_waves: bool) -> str:
        """The caption for a task whose answers have waves, or have none: then without paragraphs that begin with "Waves:"."""
        paragraphs = "\n".join(self.question.strip().splitlines()[1:]).strip().split("\n\n")
        told = [" ".join(text.split()) for text in paragraphs if has_waves or not text.startswith(_WAVES)]
        return "\n\n".join(text.removeprefix(_WAVES).lstrip() for text in told)

    @property
    def is_built_in(self) -> bool:
        """Whether it is one of this toolkit's own."""
        return self.name in builtin_names() and self is _built_in(self.name)

    @cached_property
    def digest(self) -> str | None:
        """Hash of the source; None (never cached) for what is not kept, or was not loaded from a file."""
        return hashlib.sha256(self.source.encode()).hexdigest() if self.source is not None and self.kept else None


def builtin_directory() -> Path:
    """Where the built-in analyses lie: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "analyses"
    return installed if installed.is_dir() else package.parent / "analyses"


def builtin_names() -> list[str]:
    """Names of the built-in analyses, the order in which the report shows them first."""
    found = {path.stem for path in builtin_directory().glob("*.py") if not path.stem.startswith("_")}
    return [name for name in _ORDER if name in found] + sorted(found - set(_ORDER))


_ORDER = (
    "loss_curves", "progress_measures", "forecast", "both_at_once", "embedding_spectrum", "embedding_circles", "logit_spectrum",
    "neuron_frequencies", "neuron_explorer", "neuron_logit_map", "attention_patterns", "clock_or_pizza",
    "memorizer_or_generalizer", "weight_norms",
    "numerical_health", "dissection",
)  # fmt: skip


def load_analysis(path: str | Path) -> Analysis:
    """The analysis in a Python file: its module-level ``ANALYSIS``. The file is run, so load only files you trust.

    Raises:
        UsageError: if the file does not exist, does not run, or has no ``ANALYSIS``.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"analysis file {path} does not exist")
    spec = spec_from_file_location(f"interp_analysis_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"analysis file {path}: expected a Python file (.py)")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except RAISED as error:
        raise UsageError(f"analysis file {path} cannot be run: {raised(error)}") from error
    found = getattr(module, "ANALYSIS", None)
    if not isinstance(found, Analysis):
        raise UsageError(f"analysis file {path}: expected a module-level ANALYSIS = Analysis(...), found {type(found).__name__}")
    return replace(found, source=path.read_text(encoding="utf-8-sig"))


def find_analyses(names: Iterable[str | Analysis] | None = None, *, files: Iterable[str | Path] = ()) -> list[Analysis]:
    """Analyses by name (built-in), as objects, or from files; if nothing is named, all built-in ones that draw figures.

    Raises:
        UsageError: for an unknown name, with the nearest right one, or for two analyses of the same name.
    """
    known = builtin_names()
    figures = [] if files else [name for name in known if _built_in(name).kind == "figure"]
    chosen = list(names) if names is not None else figures
    found = []
    for choice in chosen:
        if isinstance(choice, Analysis):
            found.append(choice)
        elif choice in known:
            found.append(_built_in(choice))
        else:
            raise unknown("analysis", choice, known)
    found += [load_analysis(path) for path in files]
    for analysis in found:
        definitions_of(analysis)  # the error for an unknown name
    twice = {analysis.name for analysis in found if sum(analysis.name == other.name for other in found) > 1}
    if twice:
        raise UsageError(f"analyses: {', '.join(sorted(twice))} named more than once; give each its own name")
    return found


@cache
def built_in_definitions() -> Mapping[str, Definition]:
    """The definitions that the built-in analyses bring, and those of runs, by name, in the order in which a report has them."""
    brought = [one for name in builtin_names() for one in _built_in(name).definitions if isinstance(one, Definition)]
    return {one.name: one for one in (*brought, *OF_RUNS)}


def find_definitions(asked: Iterable[Definition | str]) -> tuple[Definition, ...]:
    """Definitions, by themselves or by the names of built-in ones.

    Raises:
        UsageError: for an unknown name, with the nearest; for another definition by the name of a built-in one.
    """
    found = []
    for one in asked:
        name = one if isinstance(one, str) else one.name
        known = built_in_definitions().get(name)
        if isinstance(one, str) and known is None:
            raise unknown("definition", name, list(built_in_definitions()))
        if known is not None and one not in (name, known):
            raise UsageError(f"definition {name!r}: a built-in analysis brings another one of this name; give yours its own name")
        found.append(one if isinstance(one, Definition) else built_in_definitions()[name])
    return tuple(found)


def definitions_of(analysis: Analysis) -> tuple[Definition, ...]:
    """The definitions to which an analysis links.

    Raises:
        UsageError: as `find_definitions`, naming the analysis.
    """
    try:
        return find_definitions(analysis.definitions)
    except UsageError as error:
        raise UsageError(f"analysis {analysis.name}: {error}") from error


@cache
def _built_in(name: str) -> Analysis:
    return load_analysis(builtin_directory() / f"{name}.py")
