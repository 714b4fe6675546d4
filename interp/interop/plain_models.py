"""Models of plain PyTorch, numpy, flax ...: tensors by their usual names, the order of their axes by shapes and by what works."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from interp.errors import DataError
from interp.interop.axis_orders import Reading, readings
from interp.interop.by_names import Assignment, assign
from interp.interop.guess import Guess
from interp.interop.known import Known, UnknownFactError, check_divides, divisors
from interp.interop.mapping import DROPPED, layout_of
from interp.interop.unrepresentable import HOLDS
from interp.interop.unsaid_activation import is_clearly_better
from interp.interop.usual_names import stacked_heads
from interp.interop.working import Working, working
from interp.networks.one_layer import Weights
from interp.networks.shapes import Activation
from interp.networks.tensor_layout import TARGETS, Layout
from interp.tasks.modular import OPERATIONS, Operation
from interp.wording import percent

Make = Callable[[Mapping[str, Tensor]], Weights]
_SIMILAR = 0.05  # of two accuracies that do not tell one number of heads from another


@dataclass(frozen=True, eq=False)
class PlainModel:
    """How the state dicts of one file are read.

    Attributes:
        layout: which tensor is which, and its axes.
        sizes: dimensions that no shape tells.
        positions: their name of the positional embedding, the axis of positions in it, and how many of them are read.
        zeros: shape of a positional embedding that is not there, and so is zero.
        guesses: what was guessed.
    """

    layout: Layout
    sizes: Mapping[str, int]
    positions: tuple[str, int, int] | None
    zeros: tuple[int, int] | None
    guesses: tuple[Guess, ...] = ()

    def read(self, state: Mapping[str, object]) -> dict[str, Tensor]:
        """Our tensors from a state dict.

        Raises:
            DataError: if it does not have the names and shapes of the one for which this was made.
        """
        state = stacked_heads(state)
        if self.positions is not None:
            name, axis, count = self.positions
            table = state.get(name)
            if isinstance(table, Tensor) and table.ndim > axis:
                state = {**state, name: table.narrow(axis, 0, min(count, table.shape[axis]))}
        tensors = self.layout.read(state, self.sizes)
        if self.zeros is not None:
            tensors["W_pos"] = tensors["W_E"].new_zeros(self.zeros)
        return tensors


def plain_model(
    state: Mapping[str, object], *, known: Known, n_heads: int | None, formats: str, makes: Mapping[Activation, Make]
) -> PlainModel:
    """The one way in which a state dict can be read.

    Args:
        known: what the caller says: entries of a map, orientation, operation.
        n_heads: number of heads, if the file or the caller tells it.
        formats: the known formats, none of which this is, for messages.
        makes: the model that tensors of ours make, for each activation that it may have, the usual one first.

    Raises:
        DataError: if names or shapes are not those of a model that can be held.
        UnknownFactError: if heads are merged and their number is not known; if shapes allow several readings and none works.
    """
    state = stacked_heads(state)
    names = assign(state, known.map, formats=formats)
    shapes = {name: tuple(tensor.shape) for name in names.roles if isinstance(tensor := state[name], Tensor)}
    found, reasons = readings(names.roles, shapes, stated=names.stated, tied=names.tied is not None)
    if not found:
        raise DataError(f"{reasons[0]}; {HOLDS}" if reasons else _unfitting(names, shapes))
    trial = _Trial(state, names, next(iter(makes.values())), (known.operation,) if known.operation else OPERATIONS)
    if n_heads is None and all(one.merges_heads for one in found):
        raise _heads_not_known({name: replace(trial, make=make) for name, make in makes.items()}, found)
    if all(one.merges_heads for one in found):
        check_divides(n_heads, found[0].sizes["n_heads d_head"])
    kept = found if known.orientation is None else _oriented(found, known.orientation)
    chosen, why = _chosen(trial, kept, n_heads)
    model = trial.model(chosen, n_heads)
    guesses = _guesses(names, found, chosen, (why, "as given" if len(kept) < len(found) else why))
    return PlainModel(model.layout, model.sizes, model.positions, model.zeros, tuple(guesses))


@dataclass(frozen=True, eq=False)
class _Trial:
    """Reading one state dict in several ways."""

    state: Mapping[str, object]
    names: Assignment
    make: Make
    operations: Sequence[Operation]

    def model(self, reading: Reading, n_heads: int | None) -> PlainModel:
        """How the state dict is read in this way."""
        roles, tied = self.names.roles, self.names.tied
        entries = [(name, role, reading.axes[name]) for name, role in roles.items()]
        entries += [(tied, "W_U", reading.axes[tied].replace("d_vocab", "classes"))] if tied is not None else []
        entries += [(name, DROPPED, "") for name in self.names.ignored]
        table = next((name for name, role in roles.items() if role == "W_pos"), None)
        return PlainModel(
            layout=layout_of("a model with the usual names", entries),
            sizes={"n_heads": n_heads} if n_heads is not None else {},
            positions=None if table is None else (table, reading.axes[table].split().index("n_ctx"), reading.n_ctx),
            zeros=None if table is not None else (reading.n_ctx, reading.sizes["d_model"]),
        )

    def working(self, reading: Reading, n_heads: int | None) -> Working | None:
        """How well the model works in this way; None if it cannot be read so."""
        try:
            weights = self.make(self.model(reading, n_heads).read(self.state))
        except DataError:
            return None
        finite = all(bool(tensor.isfinite().all()) for tensor in weights.tensors().values())
        return working(weights, self.operations) if finite else None


def _oriented(found: Sequence[Reading], orientation: str) -> list[Reading]:
    """The readings in which every matrix that can be read in several ways is stored as the caller says."""
    unclear = _unoriented(found)
    return [one for one in found if all(one.orientation[name] == orientation for name in unclear)] or [*found]


def _undetermined(found: Sequence[Reading]) -> list[str]:
    """Names of the tensors whose axes are not the same in all readings."""
    return [name for name in found[0].axes if len({one.axes[name] for one in found}) > 1]


def _unoriented(found: Sequence[Reading]) -> list[str]:
    """Names of the matrices of which the shapes do not tell whether they are transposed."""
    return [name for name in found[0].orientation if len({one.orientation[name] for one in found}) > 1]


def _chosen(trial: _Trial, found: Sequence[Reading], n_heads: int | None) -> tuple[Reading, str]:
    """The reading that works far better than the others, the most usual one where several do; and why."""
    certain = len(found) == 1 and trial.names.has_positions and not found[0].is_cut
    tried = [] if certain else [(one, how) for one in found if (how := trial.working(one, n_heads)) is not None]
    if not tried:
        return found[0], "by their shapes"
    usual, best = tried[0], max(tried, key=lambda pair: pair[1].excess)
    reading, how = best if best[1].is_far_better_than(usual[1]) else usual
    if how.works:
        odds = f"right for {how.accuracy:.1%} of the pairs, by chance {how.chance:.1%}"
        so = "because the model works so: it is" if how.is_mostly_right else "in which the model does best, though not well:"
        return reading, f"{so} {odds}"
    if trial.names.has_positions and not usual[0].is_cut and not _unoriented(found):
        return usual[0], "as they are usually stored; the model works in no way"
    raise _none_works(trial, found, best)


def _none_works(trial: _Trial, found: Sequence[Reading], best: tuple[Reading, Working]) -> DataError | UnknownFactError:
    reading, how = best
    odds = f"right for {how.accuracy:.1%} of the pairs at best, by chance {how.chance:.1%}"
    if not trial.names.has_positions:
        return DataError(
            f"a network without an embedding of positions in this file, which does not work without one ({odds}), so that its "
            f"code computes rotary or other positions that cannot be represented, or its tensor has an unusual name; {HOLDS}"
        )
    if all(one.is_cut for one in found):
        return DataError(
            f"a network that reads up to {reading.sizes['n_ctx']} positions, and does not work on two or three ({odds}); {HOLDS}"
        )
    square = _unoriented(found)
    return UnknownFactError(
        f"orientation: the shapes of {', '.join(square)} fit both as they are and transposed, and the model works in neither way "
        f"({odds}), so that it cannot be told how they are stored",
        {"orientation": "linear"},
    )


def _heads_not_known(trials: Mapping[Activation, _Trial], found: Sequence[Reading]) -> UnknownFactError:
    """How well the model does with every number that divides the width; with the usual activation, or clearly another."""
    width = found[0].sizes["n_heads d_head"]
    possible = divisors(width)
    usual, *others = trials
    best = {name: _best_by_heads(trial, found, possible) for name, trial in trials.items()}
    tops = {name: max(each.values(), key=lambda how: how.accuracy, default=None) for name, each in best.items()}
    better = [name for name in others if (one := tops[name]) and (other := tops[usual]) and is_clearly_better(one, other)]
    activation = better[0] if better else usual
    hows, odd = best[activation], f" with {activation}" if better else ""
    works = any(how.works for how in hows.values())
    told = [f"{n} ({percent(hows[n].accuracy)})" if works and n in hows else str(n) for n in possible]
    right = f", with each of which the model is right{odd} for as many of the pairs as it says" if works else ""
    likely = max(hows, key=lambda n: hows[n].accuracy) if works else next(n for n in (4, 2, 1) if n in possible)
    right += _as_good(best, hows[likely]) if works else ""
    return UnknownFactError(
        f"n_heads: the heads are merged into one axis of {width}, and no configuration tells their number, which divides it: "
        f"{', '.join(told)}{right}",
        {"n_heads": likely, **({"activation": activation} if better else {})},
    )


def _as_good(best: Mapping[Activation, Mapping[int, Working]], top: Working) -> str:
    """Which numbers of heads, and activations, do about as well as the best, if several do."""
    near = {
        f"{n} with {name}" if len(best) > 1 else str(n): how
        for name, hows in best.items()
        for n, how in hows.items()
        if how.accuracy > top.accuracy - _SIMILAR
    }
    told = ", ".join(f"{what} ({percent(how.accuracy)})" for what, how in near.items())
    return f"; about as well do {told}, so that this does not tell which it is" if len(near) > 1 else ""


def _best_by_heads(trial: _Trial, found: Sequence[Reading], possible: Sequence[int]) -> dict[int, Working]:
    tried = {n: [how for one in found if (how := trial.working(one, n)) is not None] for n in possible}
    return {n: max(hows, key=lambda how: how.excess) for n, hows in tried.items() if hows}


def _guesses(names: Assignment, found: Sequence[Reading], chosen: Reading, whys: tuple[str, str]) -> list[Guess]:
    why, why_oriented = whys
    stated = tuple(f"{name}{_axes_of(chosen, name)}={role}" for name, role in names.roles.items())
    stated += tuple(f"{name}={DROPPED}" for name in sorted(names.ignored))
    if names.tied is not None:
        axes = chosen.axes[names.tied].replace("d_vocab", "classes")
        stated += (f"{names.tied}[{axes}]=W_U",)
    told = ", ".join(f"{name} -> {role} ({chosen.axes[name]})" for name, role in names.roles.items())
    is_whole = not chosen.is_cut and names.has_positions and not any(".*." in name for name in names.roles)
    change = {"format": "map", "map": stated} if is_whole else {}  # what is stacked, cut or absent has no entry in a map
    guesses = [Guess("tensors", told, "by their usual names", change)]
    if odd := [name for name in _undetermined(found) if name not in _unoriented(found) and names.roles[name][0] == "W"]:
        guesses.append(Guess("axes", ", ".join(f"{name} ({chosen.axes[name]})" for name in odd), why))
    if unclear := _unoriented(found):
        kinds = ", ".join(dict.fromkeys(chosen.orientation[name] for name in unclear))
        other = "left" if kinds == "linear" else "linear"
        guesses.append(Guess("orientation", f"{kinds}, of {', '.join(unclear)}", why_oriented, {"orientation": other}))
    if names.tied is not None:
        guesses.append(Guess("unembedding", f"{names.tied}, transposed", "there is no other: the two are tied"))
    if not names.has_positions:
        guesses.append(Guess("positions", f"{chosen.n_ctx}, embedded as zeros", f"no embedding of positions is stored; {why}"))
    elif chosen.is_cut:
        value = f"the first {chosen.n_ctx} of {chosen.sizes['n_ctx']} rows of their embedding"
        guesses.append(Guess("positions", value, why))
    return guesses


def _axes_of(reading: Reading, name: str) -> str:
    return f"[{reading.axes[name]}]"


def _unfitting(names: Assignment, shapes: Mapping[str, tuple[int, ...]]) -> str:
    told = [
        f"{name} -> {role}: {shapes[name]}, expected the axes of ({' '.join(TARGETS[role])})"
        for name, role in names.roles.items()
    ]
    return (
        "the tensors have usual names, but their shapes fit together in no order of the axes:\n  "
        + "\n  ".join(told)
        + "\n  If a name misleads, say which tensor is which (--map theirs=ours)."
    )
