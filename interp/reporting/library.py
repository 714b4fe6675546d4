"""The library that draws a page: the plotly.js that comes with the installed plotly, whose figures it is made for."""

from __future__ import annotations

import base64
import gzip
import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Library:
    """What the page contains: the script (for the policy's hash), the same as gzip in base64, and its copyright notice."""

    script: str
    packed: str
    notice: str


@cache
def plotly_library() -> Library:
    """The installed plotly.js."""
    from plotly.offline import get_plotlyjs

    script = get_plotlyjs().replace("\r\n", "\n")
    head = re.match(r"\s*/\*(.*?)\*/", script, re.DOTALL)
    notice = " ".join(head.group(1).replace("*", " ").split()) if head else "plotly.js, MIT license"
    return Library(script, base64.b64encode(gzip.compress(script.encode(), 9, mtime=0)).decode(), notice)
