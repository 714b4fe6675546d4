"""From a plotly Figure to what the page needs: its base, and the arrays that change from checkpoint to checkpoint, each once."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.errors import UsageError
from interp.figures.moving import frames_of
from interp.reporting.blocks import Blocks

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Lists of numbers at least this long are stored as blocks.
LONG = 24
# With more moving values than this, as p = 251 has them, a figure's are kept in ten bits each instead of 16.
MANY = 2_500_000
ROUNDED = "This figure has so many values that each is kept to one part in 2,000 of its range."

Move = dict[str, Any]


def extract(figure: go.Figure, blocks: Blocks) -> dict[str, Any]:
    """A panel's data: ``data`` and ``layout`` with arrays put into blocks, ``moves`` and the ``steps`` they are for.

    A move is a place (a trace's number, or "layout"), the path of an attribute there, and its values over the steps: either one
    ``block`` with the steps along its first axis, or ``values`` with an ``index`` into them for every step. ``rounded`` says
    whether there are so many of them that they are kept in ten bits each.

    Raises:
        UsageError: if a frame's name is not a step, or a frame is for a trace that is not there.
    """
    parts = {"data": [trace.to_plotly_json() for trace in figure.data], "layout": figure.layout.to_plotly_json()}
    frames = frames_of(figure)
    steps = [_step(frame) for frame in frames]
    order = np.argsort(steps)
    bases: dict[int | str, dict[str, Any]] = {i: dict(_leaves(trace)) for i, trace in enumerate(parts["data"])}
    bases["layout"] = dict(_leaves(parts["layout"]))
    changes = _changes([frames[i] for i in order], len(parts["data"]))
    moving = {
        key: values for key, values in changes.items() if not all(_equal(value, bases[key[0]].get(key[1])) for value in values)
    }
    many = sum(value.size for values in moving.values() for value in values if isinstance(value, np.ndarray)) > MANY
    moves = [
        _move(place, path, values, blocks, coarse=bool(bases[place].get("meta.coarse")), many=many)
        for (place, path), values in moving.items()
    ]
    layout = {name: value for name, value in parts["layout"].items() if name not in ("template", "sliders", "updatemenus")}
    marked = _meta(layout).get("step_axis", [])
    if "shapes" in layout:  # the page draws the phases itself, also on an axis that is switched to logarithms
        shapes = [s for s in layout["shapes"] if not (str(s.get("name", "")).startswith("phase: ") and s.get("xref") in marked)]
        layout["shapes"] = shapes
    return {
        "data": _stored(parts["data"], blocks),
        "layout": _stored(layout, blocks),
        "moves": moves,
        "steps": [steps[i] for i in order],
        "rounded": many and any(blocks.header[move["block"]]["codec"] == "q2" for move in moves if "block" in move),
    }


def _meta(layout: dict[str, Any]) -> dict[str, Any]:
    meta = layout.get("meta")
    return meta if isinstance(meta, dict) else {}


def _step(frame: dict[str, Any]) -> int:
    name = frame.get("name")
    try:
        return int(str(name))
    except ValueError:
        raise UsageError(
            f"figure: a frame is named {name!r}, expected the step of a checkpoint, for example name=str(step)"
        ) from None


def _changes(frames: Sequence[dict[str, Any]], n_traces: int) -> dict[tuple[int | str, str], list[Any]]:
    """For every attribute that frames set: its value in each frame (that of the frame before where one does not set it)."""
    found: dict[tuple[int | str, str], list[Any]] = {}
    for number, frame in enumerate(frames):
        traces = frame.get("data", [])
        places = frame.get("traces") or range(len(traces))
        if any(not 0 <= place < n_traces for place in places):
            raise UsageError(f"figure: frame {frame['name']} is for traces {list(places)}, but the figure has {n_traces}")
        named = [*zip(places, traces, strict=False), ("layout", frame.get("layout", {}))]
        for place, attributes in named:
            for path, value in _leaves(attributes):
                values = found.setdefault((place, path), [])
                values += [value if not values else values[-1]] * (number - len(values)) + [value]
    return {key: values + [values[-1]] * (len(frames) - len(values)) for key, values in found.items()}


def _leaves(attributes: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The attributes of a nested dict by their dotted paths; `type`, and what is None, left out."""
    for name, value in attributes.items():
        if value is None or (name == "type" and not prefix):
            continue
        if isinstance(value, dict) and "bdata" not in value:
            yield from _leaves(value, f"{prefix}{name}.")
        elif name == "annotations" and not prefix:  # so that one text among a hundred notes can change
            for number, note in enumerate(value):
                yield from _leaves(note, f"{name}.{number}.")
        else:
            yield f"{prefix}{name}", _array(value)


def _array(value: Any) -> Any:
    """A numpy array for arrays of any kind, also those that plotly has encoded, and for long lists of numbers; else the value."""
    if isinstance(value, np.ndarray | str | int | float | np.generic):
        return value
    if isinstance(value, list | tuple):
        if len(value) < LONG:
            return value
        try:
            array = np.asarray(value)
        except ValueError:  # ragged
            return value
        return array if array.dtype.kind in "fiu" else value
    if isinstance(value, dict) and "bdata" in value:
        array = np.frombuffer(base64.b64decode(value["bdata"]), dtype=np.dtype(value["dtype"]))
        return array.reshape([int(n) for n in str(value["shape"]).split(",")]) if "shape" in value else array
    return np.asarray(value) if hasattr(value, "__array__") else value


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and np.array_equal(one, other)
    return bool(one == other)


def _move(place: int | str, path: str, values: list[Any], blocks: Blocks, *, coarse: bool, many: bool) -> Move:
    move: Move = {"place": place, "path": path}
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    if len(arrays) == len(values) and len({array.shape for array in arrays}) == 1:
        return {**move, "block": blocks.add(np.stack(arrays), drawn=True, coarse=coarse, many=many)}
    distinct: list[Any] = []
    index = []
    for value in values:
        stored = {"$": blocks.add(value)} if isinstance(value, np.ndarray) else value
        if stored not in distinct:
            distinct.append(stored)
        index.append(distinct.index(stored))
    return {**move, "values": distinct, "index": index}


def _stored(value: Any, blocks: Blocks) -> Any:
    """The same structure with every array replaced by ``{"$": block}``."""
    value = _array(value)
    if isinstance(value, np.ndarray):
        return {"$": blocks.add(value, drawn=value.ndim == 2)}
    if isinstance(value, dict):
        return {name: _stored(item, blocks) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_stored(item, blocks) for item in value]
    return value
