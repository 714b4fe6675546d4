"""Where a page may be written."""

from __future__ import annotations

from pathlib import Path

from interp.errors import UsageError

# What a page is not, though a file's name may promise it.
_OTHERS = (
    ".pdf",
    ".png",
    ".svg",
    ".jpg",
    ".jpeg",
    ".webp",
    ".csv",
    ".json",
    ".parquet",
    ".xlsx",
    ".docx",
    ".md",
    ".ipynb",
    ".zip",
)


def check_page(path: Path) -> None:
    """Refuse a place where a page cannot be put, or a name that promises something else.

    Raises:
        UsageError: with what to do instead.
    """
    if path.suffix.lower() in _OTHERS:
        raise UsageError(
            f"report: given {path}, but a page is HTML: choose a name that ends in .html (a browser prints it to PDF; `interp "
            "figure` draws SVG and PNG)"
        )
    if not path.parent.is_dir():
        raise UsageError(f"report: directory {path.parent} does not exist; create it or choose another place with --out")
