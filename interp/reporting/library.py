"""The library that draws a page: plotly.js, in its small bundle where that draws all there is on the page, otherwise the whole.

The small bundle (`plotlyjs`, as its makers publish it) is a third of the whole. It is of one version; figures made by a Python
package that comes with another version of plotly.js, whose attributes it may not know, are drawn by what came with that package.
"""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# The bundle's version, and the kinds of traces it draws.
SMALL_VERSION = "4.1.1"
SMALL_DRAWS = frozenset(
    [
        "bar",
        "box",
        "contour",
        "heatmap",
        "histogram",
        "histogram2d",
        "histogram2dcontour",
        "image",
        "pie",
        "scatter",
        "scatterternary",
        "violin",
    ]
)
_SMALL = Path(__file__).parent / "plotlyjs" / "plotly-cartesian.min.js"


@dataclass(frozen=True)
class Library:
    """What stands in the page: the script (for the policy's hash), the same as gzip in base64, and its copyright notice."""

    name: str
    script: str
    packed: str
    notice: str


def library_for(kinds: Collection[str]) -> Library:
    """The smallest library that draws these kinds of traces."""
    from plotly.offline import get_plotlyjs_version

    is_same = get_plotlyjs_version().rpartition(".")[0] == SMALL_VERSION.rpartition(".")[0]
    return _library("cartesian" if is_same and SMALL_DRAWS.issuperset(kinds) else "whole")


@cache
def _library(name: str) -> Library:
    from plotly.offline import get_plotlyjs

    script = (_SMALL.read_text(encoding="utf-8") if name == "cartesian" else get_plotlyjs()).replace("\r\n", "\n")
    head = re.match(r"\s*/\*(.*?)\*/", script, re.DOTALL)
    notice = " ".join(head.group(1).replace("*", " ").split()) if head else "plotly.js, MIT license"
    return Library(name, script, base64.b64encode(gzip.compress(script.encode(), 9, mtime=0)).decode(), notice)
