"""A figure over the steps of a run as a GIF or an MP4: one picture a checkpoint, nothing in between."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from interp.errors import DataError, UsageError
from interp.figures.browsing import browser
from interp.figures.dressing import dressed
from interp.figures.held import at_step
from interp.figures.paper_sizes import Size
from interp.store.durable import write_output

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOVIES = ("gif", "mp4")
_WIDTH, _HEIGHT = 960, 500  # where the figure itself has no size
_LAST = 8  # pictures that the last one is shown for


def save_movie(
    figure: go.Figure,
    path: str | Path,
    steps: Sequence[int],
    *,
    title: str | None = None,
    place: Size | None = None,
    most: int = 60,
    a_second: float = 8.0,
    on_frame: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a figure at one checkpoint after the other, each marked on every time axis, whole or not at all.

    A ``.gif`` needs Pillow (``pip install 'interp[movie]'``), an ``.mp4`` the program ffmpeg; both need what pictures need, see
    `save`. The last picture stays for a second, and a GIF begins again.

    Args:
        figure: as `interp.figures.figure` returns it, with its slider.
        path: where to write.
        steps: the checkpoints; of more than `most`, so many at equal distances in their order, the first and the last among them.
        title: stands above it, before the step.
        place: what it is made for, see `fitted`.
        most: pictures at most.
        a_second: pictures a second.
        on_frame: called with (pictures drawn, pictures in all), first with none.

    Raises:
        UsageError: for another suffix, for fewer than two checkpoints, or if something is missing, with what to install.
        DataError: if the browser or ffmpeg fails, or the file cannot be written.
    """
    path = Path(path)
    check_movie(path)
    if len(steps) < 2 or most < 2:
        raise UsageError(f"{path}: given {min(len(steps), most)} checkpoint, expected at least two, as nothing moves otherwise")
    chosen = [int(steps[i]) for i in np.unique(np.linspace(0, len(steps) - 1, min(most, len(steps))).round().astype(int))]
    pictures = []
    with browser() as draw:
        for done, step in enumerate(chosen):
            if on_frame is not None:
                on_frame(done, len(chosen))
            made = dressed(at_step(figure, step), f"{title or 'Checkpoint'} (step {step:,})", place=place)
            size = {"width": made.layout.width or _WIDTH, "height": made.layout.height or _HEIGHT}
            pictures.append(draw(made.to_dict(), {"format": "png", **size, "scale": 1}))
    if on_frame is not None:
        on_frame(len(chosen), len(chosen))
    write = _gif if path.suffix.lower() == ".gif" else _mp4
    return write_output(path, write([*pictures, *[pictures[-1]] * _LAST], a_second))


def check_movie(path: Path) -> None:
    """Refuse what `save_movie` cannot write before anything is computed for it.

    Raises:
        UsageError: as `save_movie`.
    """
    kind = path.suffix[1:].lower()
    if kind not in MOVIES:
        raise UsageError(f"{path}: given suffix {path.suffix!r}, expected .gif or .mp4")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: directory {path.parent} does not exist; create it or choose another place")
    if kind == "gif" and find_spec("PIL") is None:
        raise UsageError(f"{path}: a GIF needs Pillow, which is not installed: pip install 'interp[movie]'")
    if kind == "mp4" and shutil.which("ffmpeg") is None:
        raise UsageError(f"{path}: an MP4 needs the program ffmpeg, which is not on the path; install it, or write a .gif")


def _gif(pictures: Sequence[bytes], a_second: float) -> bytes:
    from PIL import Image

    # One palette for all of them, so that no colour flickers.
    frames = [Image.open(io.BytesIO(data)).convert("RGB") for data in pictures]
    palette = frames[len(frames) // 2].quantize(colors=255)
    flat = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    made = io.BytesIO()
    flat[0].save(made, "GIF", save_all=True, append_images=flat[1:], duration=round(1000 / a_second), loop=0)
    return made.getvalue()


def _mp4(pictures: Sequence[bytes], a_second: float) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "movie.mp4"
        even = "pad=ceil(iw/2)*2:ceil(ih/2)*2"  # the codec has no odd sizes
        command = ["ffmpeg", "-v", "error", "-f", "image2pipe", "-framerate", str(a_second), "-i", "-", "-vf", even]
        command += ["-pix_fmt", "yuv420p", "-movflags", "+faststart", str(out)]
        ended = subprocess.run(command, input=b"".join(pictures), capture_output=True, check=False)
        if ended.returncode or not out.is_file():
            raise DataError(f"ffmpeg failed: {ended.stderr.decode(errors='replace').strip()[-300:]}")
        return out.read_bytes()
