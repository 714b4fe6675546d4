"""A plotly Figure whose frames are made when they are asked for: a page takes the arrays that are in them as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

Frame = dict[str, Any]
# Where plotly keeps the frames of a figure, and where they wait.
_MADE, _UNMADE = "_frame_objs", "_unmade"


def frames_of(figure: go.Figure) -> list[Frame]:
    """The frames of a figure as plain values; those that are not made yet stay so."""
    own = vars(figure)
    if _UNMADE in own and _MADE not in own:
        return own[_UNMADE].plain
    return [frame.to_plotly_json() for frame in figure.frames]


def is_plain(trace: dict[str, Any]) -> bool:
    """Whether a trace is written as the page reads it: plotly also takes `marker_color` or `marker.color` for what is nested."""
    return all(
        (name.startswith("error_") or not {"_", "."} & set(name)) and (not isinstance(value, dict) or is_plain(value))
        for name, value in trace.items()
    )


@dataclass(frozen=True, eq=False)
class Frames:
    """What a figure shows at each checkpoint.

    Args:
        steps: of the checkpoints.
        traces: at each of them, the traces that show it.
        place: of the first of these among the figure's traces.
        changing: for each of these traces, the attributes that are not the same at all checkpoints.
        annotations: at each checkpoint, where some change; else empty.
    """

    steps: Sequence[int]
    traces: Sequence[Sequence[dict[str, Any]]]
    place: int
    changing: Sequence[set[str]]
    annotations: Sequence[Sequence[dict[str, Any]]]

    @property
    def plain(self) -> list[Frame]:
        """The frames as plotly takes them: named by their step, with those attributes alone that change."""
        places = list(range(self.place, self.place + len(self.changing)))
        return [
            {
                "name": str(step), "traces": places,
                "data": [
                    {k: v for k, v in trace.items() if k in keys}
                    for trace, keys in zip(self.traces[i], self.changing, strict=True)
                ],
                **({"layout": {"annotations": self.annotations[i]}} if self.annotations else {}),
            }
            for i, step in enumerate(self.steps)
        ]  # fmt: skip


class Moving(go.Figure):  # type: ignore[misc]  # plotly has no types
    """A Figure like any other, whose frames plotly checks and copies, hundreds of them, only if anyone asks for them."""

    def __init__(self, data: Sequence[dict[str, Any]], layout: dict[str, Any], *, frames: Frames) -> None:
        super().__init__(data=data, layout=layout)
        if self.__dict__.pop(_MADE, None) is None:  # another plotly, which keeps them elsewhere
            self.frames = frames.plain
        else:
            self.__dict__[_UNMADE] = frames

    def __getattr__(self, name: str) -> Any:
        """Called for what is not there: the frames, the first time."""
        frames = self.__dict__.get(_UNMADE)
        if name != _MADE or frames is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.__class__ = go.Figure  # it has become one
        del self.__dict__[_UNMADE]
        self.__dict__[_MADE] = ()
        self.frames = frames.plain
        return self.__dict__[_MADE]
