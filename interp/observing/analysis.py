"""Analysis: a question, what is measured at each checkpoint, and how it is drawn. Built-in ones and the user's own files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from interp.errors import UsageError, as_list, unknown
from interp.observing.definitions import OF_RUNS, Definition
from interp.observing.users_code import RAISED, raised

if TYPE_CHECKING:
    import xarray as xr

    from interp.observing.view import View

# What a question can need: the one-layer transformer; a network whose function is known, not its tensors alone; a task whose
# answers have harmonics; one that is addition modulo n on all pairs, or becomes it when pairs and residues are reordered; one
# that has harmonics and is not, so that representations stand in the place of frequencies; answers that are the products of a
# group, of not too many subgroups; key frequencies, which a rule finds in the logits of any network whose function is known; an
# embedding of tokens, W_E; neurons, of a transformer with MLPs (of several layers the last one's) or an MLP of two embeddings.
Need = Literal["one-layer", "neurons", "embedding", "function", "pairs", "harmonics", "addition", "group", "subgroups", "keys"]
NEEDS: tuple[Need, ...] = get_args(Need)
Kind = Literal["figure", "tables", "explorer"]
Measure = Callable[["View"], "Mapping[str, xr.DataArray | float | str]"]
# How a paragraph begins that makes sense only where answers have waves.
_WAVES = "Waves:"
# How a paragraph begins that is true of some runs only; see `interp.reporting.circumstances` for when each of them holds.
Condition = Literal[
    "If it grokked",
    "If it generalizes",
    "If it memorized",
    "If it has not generalized",
    "With weight decay",
    "Without weight decay",
    "If frequencies stand out",
    "If no frequency stands out",
    "With representations",
    "Without representations",
    "Over several checkpoints",
    "If the operation commutes",
]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)


@dataclass(frozen=True)
class Analysis:
    """One question about a run.

    Args:
        name: short name, a Python identifier; names the analysis on the command line and in the report.
        question: what is asked, in plain words; the first line is the panel's title, the rest its caption. A paragraph that is
            true of some runs only begins with "Waves:", or with a condition and a colon, such as "If it grokked:" (`CONDITIONS`).
        measure: called once per checkpoint with a `View`; returns named numbers or labelled arrays (xarray DataArrays), with the
            same dimensions and coordinates at every checkpoint.
        figure: called once with the xarray Dataset of all checkpoints; returns a plotly Figure. Without it, there is a plot for
            each variable, with a line for each of its entries.
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
    measure: Measure
    figure: Callable[[xr.Dataset], Any] | None = None
    source: str | None = None
    definitions: tuple[Definition | str, ...] = ()
    needs: tuple[Need, ...] = ()
    kind: Kind = "figure"
    at: Literal["every", "last"] = "every"
    kept: bool = True

    def __post_init__(self) -> None:
        for name, value in (("measure", self.measure), ("figure", self.figure)):
            if not callable(value) and not (name == "figure" and value is None):
                raise UsageError(f"analysis {self.name}: {name}: given {type(value).__name__}, expected a function")
        if self.figure is None and self.kind != "figure":
            raise UsageError(f"analysis {self.name}: given no figure, expected one that draws {self.kind}")
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

    def __repr__(self) -> str:
        return f"Analysis({self.name!r}: {self.title})"

    @property
    def title(self) -> str:
        """First line of the question, without its full stop."""
        return self.question.strip().splitlines()[0].rstrip(".")

    @property
    def caption(self) -> str:
        """The question after its first line, unwrapped: paragraphs separated by blank lines."""
        return self.caption_for(has_waves=True)

    def caption_for(self, *, has_waves: bool, holding: Collection[Condition] | None = None) -> str:
        """The caption for a task whose answers have waves, or have none: then without paragraphs that begin with "Waves:".

        Of paragraphs that begin with one of `CONDITIONS` and a colon, those are kept whose condition is `holding`, without it;
        all of them, with it, where nothing is known of a run.
        """
        paragraphs = "\n".join(self.question.strip().splitlines()[1:]).strip().split("\n\n")
        told = [" ".join(text.split()) for text in paragraphs if has_waves or not text.startswith(_WAVES)]
        told = [text.removeprefix(_WAVES).lstrip() for text in told]
        return "\n\n".join(told if holding is None else (kept for text in told if (kept := _where(text, holding))))

    @cached_property
    def is_built_in(self) -> bool:
        """Whether it is one of this toolkit's own."""
        return self.name in builtin_names() and self is _built_in(self.name)

    @cached_property
    def digest(self) -> str | None:
        """Hash of the source; None (never cached) for what is not kept, or was not loaded from a file."""
        return hashlib.sha256(self.source.encode()).hexdigest() if self.source is not None and self.kept else None


def _where(text: str, holding: Collection[Condition]) -> str:
    """A paragraph where these conditions hold: without its own, one or several, or nothing if one of them does not hold."""
    condition, colon, rest = text.partition(": ")
    if not colon or condition not in CONDITIONS:
        return text
    return _where(rest[:1].upper() + rest[1:], holding) if condition in holding else ""


# Analyses as a caller names them.
Asked: TypeAlias = str | Analysis | Measure | Iterable[str | Analysis | Measure] | None


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
    "loss_curves", "best_guesses", "pair_by_pair", "progress_measures", "forecast", "both_at_once", "embedding_spectrum",
    "transient_frequencies", "embedding_circles", "logit_spectrum", "neuron_frequencies", "neuron_explorer", "neuron_logit_map",
    "attention_patterns", "representations", "cosets_or_representations", "clock_or_pizza", "memorizer_or_generalizer",
    "accuracy_by_split", "weight_norms", "numerical_health", "dissection",
)  # fmt: skip


def analyses() -> dict[str, str]:
    """Every built-in analysis' name, and what it asks, in the order of the report.

    >>> analyses()["weight_norms"]
    'How large are the weights?'
    """
    return {name: _built_in(name).title for name in builtin_names()}


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


def find_analyses(names: Asked = None, *, files: str | Path | Iterable[str | Path] = ()) -> list[Analysis]:
    """Analyses by name (built-in), as objects, as functions, or from files; one, or several of them.

    If nothing is named, all built-in ones that draw figures.

    Raises:
        UsageError: for an unknown name, with the nearest right one, or for two analyses of the same name.
    """
    known, paths = builtin_names(), as_list(files, "files", of=(str, Path))
    figures = [] if paths else [name for name in known if _built_in(name).kind == "figure"]
    is_one = isinstance(names, str | Analysis) or callable(names)
    found = []
    for choice in [names] if is_one else figures if names is None else as_list(names, "analyses", of=(str, Analysis)):
        if isinstance(choice, Analysis):
            found.append(choice)
        elif choice in known:
            found.append(_built_in(str(choice)))
        elif callable(choice):
            found.append(of_function(choice))
        else:
            raise unknown("analysis", choice, known)
    found += [load_analysis(path) for path in paths]
    for analysis in found:
        definitions_of(analysis)  # the error for an unknown name
    twice = {analysis.name for analysis in found if sum(analysis.name == other.name for other in found) > 1}
    if twice:
        raise UsageError(f"analyses: {', '.join(sorted(twice))} named more than once; give each its own name")
    return found


def of_function(measure: Measure) -> Analysis:
    """The analysis that a function of a `View` is: of its name, asking what its docstring does. It is measured anew each time.

    >>> def mean_weight(view): return {"mean_weight": view.weights.W_E.mean().item()}
    >>> of_function(mean_weight)
    Analysis('mean_weight': Mean weight)
    """
    name = getattr(measure, "__name__", type(measure).__name__)
    name = name if name.isidentifier() else "function"  # a lambda's
    title = name.replace("_", " ")
    return Analysis(name, getattr(measure, "__doc__", None) or title[:1].upper() + title[1:], measure)


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
