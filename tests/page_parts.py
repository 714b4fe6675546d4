"""What tests read of a page: its elements and links, its blocks decoded, and a page full of hostile names."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
from growing import built_in
from retelling import retold

from interp.reporting import Page, Panel, page
from interp.reporting.blocks import Blocks

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked=1'>\"'&`${1}"


def decoded(blocks: Blocks, number: int) -> np.ndarray:
    """What decode.js makes of a block, written a second time from the description in blocks.py."""
    data, entry = gzip.decompress(base64.b64decode(blocks.payload())), blocks.header[number]
    shape, at = entry["shape"], entry["at"]
    if entry["codec"] == "odds":
        rows, columns = decoded(blocks, entry["r"]), decoded(blocks, entry["c"])
        return 1 / (1 + np.exp(rows[:, :, None] + columns[:, None, :]))
    if entry["codec"] == "modes":
        weights, n = decoded(blocks, entry["weights"]), int(np.prod(shape[1:]))
        low, high = np.frombuffer(data, np.uint8, count=2 * weights.shape[1] * n, offset=at).astype(np.int64).reshape(2, -1)
        codes = ((low + 256 * high) >> 1) ^ -((low + 256 * high) & 1)
        return (weights @ codes.reshape(-1, n)).reshape(shape)
    if entry["codec"][0] == "f":
        width, size = int(entry["codec"][1]), int(np.prod(shape))
        planes = np.frombuffer(data, np.uint8, count=width * size, offset=at).reshape(width, size)
        changes = np.ascontiguousarray(planes.T).view(f"<u{width}").reshape(shape[0] if shape else 1, -1)
        return np.bitwise_xor.accumulate(changes, axis=0).view(f"<{entry['codec']}").reshape(shape)
    if entry["codec"] != "q2":
        return np.frombuffer(data, np.dtype(f"<{entry['codec']}"), count=int(np.prod(shape)), offset=at).reshape(shape)
    size = int(np.prod(shape))
    planes = np.frombuffer(data, np.uint8, count=2 * size, offset=at).astype(np.int64).reshape(2, -1)
    zigzag = (planes[0] + 256 * planes[1]).reshape(shape)
    codes = np.cumsum((zigzag >> 1) ^ -(zigzag & 1), axis=0) % 65_536
    return np.where(codes == 65_535, np.nan, entry["low"] + codes * entry["width"])


def resolved(value, blocks: Blocks):
    """Data and layout of a panel with the blocks' arrays in their places."""
    if isinstance(value, dict) and set(value) == {"$"}:
        return decoded(blocks, value["$"]).tolist()
    if isinstance(value, dict):
        return {name: resolved(item, blocks) for name, item in value.items()}
    return [resolved(item, blocks) for item in value] if isinstance(value, list) else value


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of script elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.scripts: list[tuple[dict, str]] = []
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
            self.inside = True

    def handle_endtag(self, tag):  # noqa: ARG002 - the signature is HTMLParser's
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)


def links_of(html: str) -> tuple[set[str], dict[str, list[str]]]:
    """All ids of a page, and for each element with an id the links to places of the page that stand in it."""
    ids, inside, open_tags = set(), {}, []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            attributes = dict(attrs)
            if tag in ("section", "article"):
                open_tags.append(attributes["id"])
            ids.add(attributes.get("id"))
            if tag == "a" and open_tags and str(attributes.get("href")).startswith("#"):
                inside.setdefault(open_tags[-1], []).append(attributes["href"][1:])

        def handle_endtag(self, tag):
            if tag in ("section", "article"):
                open_tags.pop()

    Reader().feed(re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL))
    return ids, inside


def hostile_page() -> Page:
    nested, listed = json.dumps({HOSTILE: {HOSTILE: HOSTILE}}), json.dumps({HOSTILE: [HOSTILE]})
    series = retold(built_in()[1], run=HOSTILE, task=HOSTILE, key_rule=HOSTILE, config=nested, facts=listed)
    # Plain text that plotly itself would show as text; markup for it goes through its own sanitizer in the browser.
    figure = go.Figure(
        data=[{"type": "scatter", "y": [1, 2], "name": HOSTILE, "text": [HOSTILE, HOSTILE]}], layout={"title": HOSTILE}
    )
    figure.update_layout(meta={"alt": HOSTILE, "step_axis": "x"}, images=[{"source": "http://example.invalid/x.png"}])

    def raising(series):
        raise ValueError(HOSTILE)

    shown = [Panel("drawn", HOSTILE, f"{HOSTILE}\n\nMeasured: {HOSTILE}", lambda series: figure)]
    shown += [Panel("failed", "Measured?", "Text.", lambda series: figure, HOSTILE), Panel("raising", "Drawn?", "Text.", raising)]
    return page(series, shown)
