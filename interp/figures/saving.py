"""Figures as files: a standalone page or plotly's JSON by this package alone; pictures by kaleido, which drives a browser."""

from __future__ import annotations

from html import escape, unescape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from interp.errors import UsageError
from interp.figures.browsing import WITHOUT, Draw, browser
from interp.figures.held import still
from interp.store.durable import write_output

if TYPE_CHECKING:
    import plotly.graph_objects as go

Library = Literal["inside", "beside"]
BESIDE = "plotly.min.js"
PICTURES = ("png", "svg", "pdf")
KINDS = (*PICTURES, "html", "json")

_LARGEST = 20_000  # pixels; browsers refuse canvases not much larger
_WIDTH, _HEIGHT = 960, 500  # where the figure itself has no size
_CONFIG = {"displaylogo": False, "showSendToCloud": False, "plotlyServerURL": ""}
# A script beside a page that was opened from a disk has the scheme file: and no origin.
_POLICY = {
    name: f"default-src 'none'; script-src 'unsafe-inline'{more}; style-src 'unsafe-inline'; img-src data: blob:"
    for name, more in (("inside", ""), ("beside", " 'self' file:"))
}


def save(
    figure: go.Figure,
    path: str | Path,
    *,
    width: float | None = None,
    height: float | None = None,
    scale: float | None = None,
    library: Library = "inside",
) -> Path:
    """Write a figure to a file, whole or not at all, in the format of the file's suffix.

    ``.html`` is an offline page on which the slider works, ``.json`` is plotly's own format (`plotly.io.read_json`). The pictures
    ``.png``, ``.svg`` and ``.pdf`` show the figure as it stands, without its slider; they need kaleido (``pip install
    'interp[export]'``) and a Chrome or Chromium, which is given no network.

    Args:
        figure: a plotly Figure.
        path: where to write.
        width: of a picture, in CSS pixels; the figure's own, or 960.
        height: of a picture, in CSS pixels; the figure's own.
        scale: pixels of a PNG per CSS pixel; 2, so that it is sharp on paper and fine screens.
        library: of a page, whether plotly.js (5 MB) is ``inside``, or ``beside`` it as a file of its own, which all pages of a
            folder share; the page itself then has tens to hundreds of kilobytes.

    Raises:
        UsageError: for an unknown suffix or an impossible size; if kaleido or the browser is missing, with what to install.
        DataError: if the browser fails, or the file cannot be written.
    """
    path = Path(path)
    check_target(path, width=width, height=height, scale=scale)
    with browser() as draw:
        return write_figure(figure, path, draw, width=width, height=height, scale=scale, library=library)


def write_figure(
    figure: go.Figure,
    path: Path,
    draw: Draw,
    *,
    width: float | None = None,
    height: float | None = None,
    scale: float | None = None,
    library: Library = "inside",
) -> Path:
    """The same for a path that is known to be right, with a browser that draws pictures."""
    kind = path.suffix[1:].lower()
    if kind == "json":
        data = str(figure.to_json()).encode()
    elif kind == "html":
        data = _page(figure, library).encode()
        if library == "beside":
            write_output(path.parent / BESIDE, plotly_script().encode())
    else:
        shown = still(figure)
        size = {"width": width or shown.layout.width or _WIDTH, "height": height or shown.layout.height or _HEIGHT}
        data = draw(shown.to_dict(), {"format": kind, **size, "scale": scale or (2 if kind == "png" else 1)})
    return write_output(path, data)


def check_target(path: Path, *, width: float | None = None, height: float | None = None, scale: float | None = None) -> None:
    """Refuse what `save` cannot write before anything is computed for it.

    Raises:
        UsageError: as `save`.
    """
    kind = path.suffix[1:].lower()
    if kind not in KINDS:
        raise UsageError(f"{path}: given suffix {path.suffix!r}, expected one of {', '.join(f'.{kind}' for kind in KINDS)}")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: directory {path.parent} does not exist; create it or choose another place")
    sizes = {"width": width, "height": height, "scale": scale}
    if kind not in PICTURES:
        if given := [name for name, value in sizes.items() if value is not None]:
            raise UsageError(f"{given[0]}: given for {path}, expected only for pictures: .png, .svg or .pdf")
        return
    for name, value in sizes.items():
        largest = 20 if name == "scale" else _LARGEST
        if value is not None and not 0 < value <= largest:
            raise UsageError(f"{name}: given {value}, expected more than 0 and at most {largest:,}")
    if find_spec("kaleido") is None:
        raise UsageError(f"{path}: pictures need kaleido, which is not installed: pip install 'interp[export]'. {WITHOUT}")


def _page(figure: go.Figure, library: Library) -> str:
    """A page with the figure and plotly.js in it, or beside it, that may fetch nothing else."""
    source = True if library == "inside" else BESIDE
    title = unescape((figure.layout.title.text or "Figure").replace("<br>", " "))
    inner = figure.to_html(full_html=False, include_plotlyjs=source, config=_CONFIG, auto_play=False)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY[library]}">'
        f"<title>{escape(title)}</title></head><body>{inner}</body></html>\n"
    )


def plotly_script() -> str:
    """The installed plotly.js."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
