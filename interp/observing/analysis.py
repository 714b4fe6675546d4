"""Analysis: a question, what is measured at each checkpoint, and how it is drawn. Built-in ones and the user's own files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from interp.errors import UsageError, unknown
from interp.observing.definitions import DEFINITIONS

if TYPE_CHECKING:
    import xarray as xr

    from interp.observing.view import View

# What a question can be asked of: the one-layer transformer; a task whose answers have harmonics; one that is addition modulo n
# on all pairs, or becomes it when pairs and residues are reordered.
Need = Literal["one-layer", "harmonics", "addition"]
NEEDS: tuple[Need, ...] = get_args(Need)


@dataclass(frozen=True)
class Analysis:
    """One question about a run.

    Args:
        name: short name, a Python identifier; names the analysis on the command line and in the report.
        question: what is asked, in plain words; the first line is the panel's title, the rest its caption.
        measure: called once per checkpoint with a `View`; returns named numbers or labelled arrays (xarray DataArrays), with the
            same dimensions and coordinates at every checkpoint.
        figure: called once with the xarray Dataset of all checkpoints; returns a plotly Figure.
        definitions: names of the measures' definitions (`interp.observing.definitions`), to whose formulas the panel links.
        needs: what must be there for the question to have a meaning; a run without it is not asked, and told why.
        source: what the results depend on besides the checkpoint, for the cache: the text of the analysis' file.
    """

    name: str
    question: str
    measure: Callable[[View], Mapping[str, xr.DataArray | float]]
    figure: Callable[[xr.Dataset], Any]
    source: str | None = None
    definitions: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise UsageError(f"analysis name: given {self.name!r}, expected letters, digits and underscores")
        if not self.question or not self.question.strip():
            raise UsageError(f"analysis {self.name}: given no question; write what is asked in the file's docstring")
        for need in self.needs:
            if need not in NEEDS:
                raise unknown("need", need, NEEDS)
        for name in self.definitions:
            if name not in DEFINITIONS:
                raise unknown("definition", name, list(DEFINITIONS))

    @property
    def title(self) -> str:
        """First line of the question, without its full stop."""
        return self.question.strip().splitlines()[0].rstrip(".")

    @property
    def caption(self) -> str:
        """The question after its first line, unwrapped: paragraphs separated by blank lines."""
        paragraphs = "\n".join(self.question.strip().splitlines()[1:]).strip().split("\n\n")
        return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)

    @cached_property
    def digest(self) -> str | None:
        """Hash of the source; None (never cached) for an analysis that was not loaded from a file."""
        return hashlib.sha256(self.source.encode()).hexdigest() if self.source is not None else None


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
    "loss_curves", "progress_measures", "embedding_spectrum", "embedding_circles", "logit_spectrum",
    "neuron_frequencies", "neuron_logit_map", "attention_patterns", "clock_or_pizza", "memorizer_or_generalizer", "weight_norms",
    "numerical_health",
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
    except Exception as error:
        raise UsageError(f"analysis file {path} cannot be run: {type(error).__name__}: {error}") from error
    found = getattr(module, "ANALYSIS", None)
    if not isinstance(found, Analysis):
        raise UsageError(f"analysis file {path}: expected a module-level ANALYSIS = Analysis(...), found {type(found).__name__}")
    return replace(found, source=path.read_text(encoding="utf-8"))


def find_analyses(names: Iterable[str | Analysis] | None = None, *, files: Iterable[str | Path] = ()) -> list[Analysis]:
    """Analyses by name (built-in), as objects, or from files; all built-in ones if nothing is named.

    Raises:
        UsageError: for an unknown name, with the nearest right one, or for two analyses of the same name.
    """
    known = builtin_names()
    chosen = list(names) if names is not None else [] if files else known
    found = []
    for choice in chosen:
        if isinstance(choice, Analysis):
            found.append(choice)
        elif choice in known:
            found.append(load_analysis(builtin_directory() / f"{choice}.py"))
        else:
            raise unknown("analysis", choice, known)
    found += [load_analysis(path) for path in files]
    twice = {analysis.name for analysis in found if sum(analysis.name == other.name for other in found) > 1}
    if twice:
        raise UsageError(f"analyses: {', '.join(sorted(twice))} named more than once; give each its own name")
    return found
