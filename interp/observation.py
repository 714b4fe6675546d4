"""Looking at the checkpoints of a run: hooked activations streamed over steps, analyses measured at every step and cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int64
from torch import Tensor

from interp import measures
from interp.analysis import Analysis, find_analyses
from interp.anatomy.subject import Circuit, Model, frame_of, frame_or_plain
from interp.curves import date_verdicts, evaluated_history, told_by
from interp.errors import UsageError, unknown
from interp.forward_pass import Activations, forward
from interp.fourier import FourierBasis
from interp.pair_tables import PairTables, pair_tables
from interp.store.results import Results
from interp.store.run import Run
from interp.task import ModularTask, Operation, Split
from interp.weights import Weights

if TYPE_CHECKING:
    from transformer_lens import ActivationCache

KeyRule = Literal["unembedding", "embedding", "neurons", "coefficients"]
KEY_RULES: tuple[KeyRule, ...] = get_args(KeyRule)


@dataclass(frozen=True, eq=False)
class View:
    """One checkpoint, as an analysis sees it. Everything computed is computed once and shared by all analyses.

    Attributes:
        step: number of updates.
        weights: the model.
        task: what it learns; `labels` are its answers over all p^2 pairs.
        split: indices of the train and test pairs, as arrays; `train` and `test` are the same as tensors.
        key_frequencies: chosen once for the whole run, see `observe`.
        losses: train_loss, test_loss, train_accuracy, test_accuracy of this step in the run's history (None where not measured).
    """

    step: int
    weights: Weights
    task: ModularTask
    split: Split
    key_frequencies: tuple[int, ...]
    losses: Mapping[str, float | None]

    @cached_property
    def activations(self) -> Activations:
        """Every intermediate value over all p^2 pairs, row-major. (`logits`, `neurons` and `pattern` are had faster as such.)"""
        with torch.no_grad():
            return forward(self.weights, self.task.pairs)

    @cached_property
    def _tables(self) -> PairTables:
        return pair_tables(self.weights)

    @property
    def logits(self) -> Float[Tensor, "pair p"]:
        """Logits of the p residues over all p^2 pairs."""
        return self._tables.logits

    @property
    def neurons(self) -> Float[Tensor, "pair d_mlp"]:
        """Neurons after their activation function, over all p^2 pairs."""
        return self._tables.neurons

    @property
    def pattern(self) -> Float[Tensor, "pair head pos"]:
        """Attention from the last position, over all p^2 pairs."""
        return self._tables.pattern

    @cached_property
    def labels(self) -> Int64[Tensor, " pair"]:
        """Right answers over all p^2 pairs."""
        return torch.from_numpy(self.task.labels).to(self.weights.W_E.device)

    @cached_property
    def train(self) -> Int64[Tensor, " train"]:
        """Row indices of the pairs that are trained on."""
        return torch.from_numpy(self.split.train)

    @cached_property
    def test(self) -> Int64[Tensor, " test"]:
        """Row indices of the pairs that are never trained on."""
        return torch.from_numpy(self.split.test)

    @cached_property
    def basis(self) -> FourierBasis:
        """The Fourier basis modulo p."""
        return FourierBasis(self.task.p)

    @property
    def is_addition(self) -> bool:
        """Whether the operation is addition, or becomes it when pairs and residues are reordered."""
        return frame_of(self.task.p, self.task.operation) is not None

    @cached_property
    def circuit(self) -> Circuit:
        """The checkpoint read as a circuit of addition, in which every measure of waves applies.

        For addition these are the very same values; for subtraction pairs have -b in the place of b; for multiplication modulo a
        prime pairs, residues and `basis` are those of exponents (see `interp.measures.addition_frame`); where there is no such
        reordering (not `is_addition`) all is left as it is. It has ``basis``, ``keys``, ``logits``, ``labels``, ``neurons``,
        ``pattern``, ``W_E``, ``W_L``, ``train`` and ``test``.
        """
        frame = frame_or_plain(self.task.p, self.task.operation)
        return Circuit.of(Model(self.weights, self._tables, self.task, self.split), frame, self.key_frequencies)

    @property
    def combination(self) -> Literal["sum", "difference"]:
        """Whether the task's waves are functions of a + b or, for subtraction, of a - b."""
        return "difference" if self.task.operation == "subtract" else "sum"


def activations(
    run: Run,
    names: str | Sequence[str] | Callable[[str], bool] | None = None,
    *,
    steps: Iterable[int] | None = None,
    pairs: Int64[np.ndarray, "pair 2"] | None = None,
) -> Iterator[tuple[int, ActivationCache]]:
    """Stream the activations at hook points over a run's checkpoints: yields (step, cache), one checkpoint in memory at a time.

    Args:
        run: a recorded run.
        names: hook names as in TransformerLens (``"blocks.0.mlp.hook_post"``), one or several, a filter, or None for all.
        steps: which checkpoints; all by default.
        pairs: the inputs, integers (n, 2); all p^2 pairs by default.

    Raises:
        UsageError: for a hook name or step that does not exist, with the nearest right one, before anything is computed.
    """
    from interp.hooked import HookedModel  # imports transformer_lens, which takes seconds

    chosen = _choose_steps(run, steps)
    wanted = [names] if isinstance(names, str) else names
    if wanted is not None and not callable(wanted):
        known = HookedModel(run[chosen[0]].weights).hook_dict
        for name in wanted:
            if name not in known:
                raise unknown("hook", name, known)
    inputs = torch.from_numpy(run.config.task.pairs if pairs is None else pairs)

    def stream() -> Iterator[tuple[int, ActivationCache]]:
        for step in chosen:
            with torch.no_grad():
                yield step, HookedModel(run[step].weights).run_with_cache(inputs, names_filter=wanted)[1]

    return stream()


def key_frequencies(
    weights: Weights, rule: KeyRule | Sequence[int] = "unembedding", *, operation: Operation = "add"
) -> tuple[int, ...]:
    """The key frequencies of a model, by a named rule or as an explicit list (which is checked and sorted).

    ``unembedding``: frequencies whose rows of F W_L have a norm over a quarter of the largest; ``embedding``: the same on W_E;
    ``neurons``: those of the neuron clusters; ``coefficients``: by the logits' cos w_k(a+b-c) coefficients.

    Args:
        operation: what the model learned; the frequencies of multiplication modulo a prime are those of exponents.
    """
    frame = frame_or_plain(weights.p, operation)
    basis = FourierBasis(frame.modulus)
    if not isinstance(rule, str):
        return tuple(sorted({basis.check(k) for k in rule}))
    match rule:
        case "unembedding":
            return measures.key_frequencies_from_matrix(weights.W_L[frame.residues], basis=basis)
        case "embedding":
            return measures.key_frequencies_from_matrix(weights.W_E[frame.residues], basis=basis)
        case "neurons":
            neurons = frame.rows(pair_tables(weights).neurons)
            return measures.key_frequencies_from_neurons(measures.neuron_frequencies(neurons, basis=basis))
        case "coefficients":
            logits = frame.logits(pair_tables(weights).logits)
            return measures.key_frequencies_from_coefficients(measures.cos_coefficients(logits, basis=basis))
    raise unknown("key frequency rule", rule, KEY_RULES)


def observe(
    run: Run,
    analyses: Iterable[str | Analysis] | None = None,
    *,
    files: Iterable[str | Path] = (),
    steps: Iterable[int] | None = None,
    key_rule: KeyRule | Sequence[int] = "unembedding",
    on_step: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Measure analyses at the checkpoints of a run: one labelled Dataset over ``step``.

    Only what is not cached is computed. The cache lies in the run's directory and goes by content: the checkpoint's hash, the
    analysis' source, the toolkit's own source and the key frequencies. Key frequencies are chosen once, from the last checkpoint,
    and hold for the whole series. An analysis that raises is left out; ``attrs["failures"]`` says which and why. Each variable's
    attribute ``analysis`` names the analysis it comes from.

    The Dataset also has the run's history (``history_train_loss`` ... over ``history_step``) and, as attributes: ``run``, ``p``,
    ``operation``, ``key_frequencies``, ``key_rule``, ``key_step``, ``phases``, ``outcome``, ``verdicts`` (what the last
    checkpoint is and since when, see `interp.measures.Since`), ``config``, ``facts``, ``failures``.

    Args:
        run: a recorded run.
        analyses: names of built-in analyses or `Analysis` objects; all built-in ones by default.
        files: Python files with an ``ANALYSIS`` each.
        steps: which checkpoints; all by default.
        key_rule: how key frequencies are chosen: a rule or an explicit list.
        on_step: called with (checkpoints done, checkpoints in all).
    """
    chosen = _choose_steps(run, steps)
    asked = find_analyses(analyses, files=files)
    key_step = run.steps[-1]
    keys = key_frequencies(run[key_step].weights, key_rule, operation=run.config.task.operation)
    results = {a.name: Results(run.path, a.name, key=_cache_key(a, keys)) for a in asked}
    failures: dict[str, str] = {}
    for done, step in enumerate(chosen):
        _measure(run, step, asked, keys=keys, results=results, failures=failures)
        if on_step is not None:
            on_step(done + 1, len(chosen))
    for result in results.values():
        result.save()
    series = _combine(run, chosen, {name: r for name, r in results.items() if name not in failures})
    series.attrs |= {
        "key_frequencies": list(keys),
        "key_rule": key_rule if isinstance(key_rule, str) else "explicit",
        "key_step": key_step,
        "failures": json.dumps(failures),
    }
    return series


def _choose_steps(run: Run, steps: Iterable[int] | None) -> list[int]:
    if not run.steps:
        raise UsageError(f"run {run.path} has no checkpoints yet")
    chosen = sorted(set(run.steps if steps is None else steps))
    if not chosen:
        raise UsageError("steps: given none, expected at least one of the run's checkpoints")
    for step in chosen:
        run.sha256(step)  # the error for a step that was not saved
    return chosen


@cache
def _toolkit_digest() -> str:
    """Hash of the toolkit's own sources: a corrected measure must not meet results of the wrong one."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _cache_key(analysis: Analysis, keys: tuple[int, ...]) -> str | None:
    if analysis.digest is None:
        return None
    return hashlib.sha256(f"{analysis.digest} {_toolkit_digest()} {keys}".encode()).hexdigest()


def _measure(
    run: Run,
    step: int,
    analyses: list[Analysis],
    *,
    keys: tuple[int, ...],
    results: dict[str, Results],
    failures: dict[str, str],
) -> None:
    """Measure at one checkpoint whatever is neither cached nor has failed before."""
    sha256 = run.sha256(step)
    missing = [a for a in analyses if a.name not in failures and not results[a.name].has(step, sha256)]
    if not missing:
        return
    checkpoint, config = run[step], run.config
    view = View(step, checkpoint.weights, config.task, run.split, keys, checkpoint.losses)
    for analysis in missing:
        try:
            results[analysis.name].add(step, sha256, analysis.measure(view))
        except Exception as error:  # a user's analysis may raise anything; the others go on
            failures[analysis.name] = f"at step {step}: {type(error).__name__}: {error}"


def _combine(run: Run, steps: list[int], results: dict[str, Results]) -> xr.Dataset:
    variables: dict[str, xr.DataArray] = {}
    owner: dict[str, str] = {}
    for name, result in results.items():
        for variable, array in result.series(steps).items():
            if variable in variables:
                raise UsageError(f"analyses {owner[variable]} and {name} both measure {variable!r}; rename one of them")
            variables[variable], owner[variable] = array.assign_attrs(analysis=name), name
    series = xr.Dataset(variables, coords={"step": steps})
    series = series.merge(evaluated_history(run))
    series.attrs |= told_by(run, series.get("excluded_loss"))
    series.attrs |= {
        "verdicts": json.dumps({name: asdict(found) for name, found in date_verdicts(series).items()}),
        "facts": json.dumps(run.facts()),
    }
    return series
