"""Tables as what an analysis draws: for the report's page, which sets them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of the page: a header (may be empty) and rows, with names in the first column.

    A `wide` one has a line of its own.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wide: bool = False


@dataclass(frozen=True)
class Tables:
    """What an analysis of kind ``tables`` draws: paragraphs that say how the tables are read, and the tables.

    `definitions` are the names of those that these tables need, where that is not all that their analysis links to.
    """

    paragraphs: tuple[str, ...]
    tables: tuple[Table, ...]
    definitions: tuple[str, ...] | None = None
