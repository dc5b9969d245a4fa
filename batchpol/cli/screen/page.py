"""A page of the manual on a terminal, set out by rich."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Markdown, TableElement
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from batchpol.cli.screen.terminal import is_coloured

WIDEST = 120
"""Columns of a terminal that a page takes at most: longer lines are hard to read."""

_CODE = Theme({"markdown.code": "bold cyan"})
"""Without a background, as :data:`Page.code_theme`: a terminal may be light or dark."""


class _FittingTable(TableElement):
    """One whose cells are broken rather than cut off; where words would be, each of its rows is a paragraph."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in super().__rich_console__(console, options):
            if not isinstance(part, Table):
                yield part
            elif len(part.columns) > 2 and part.__rich_measure__(console, options).minimum > options.max_width:
                yield from _paragraphs(part)
            else:
                for column in part.columns:
                    column.overflow = "fold"
                yield part


def _paragraphs(table: Table) -> Iterator[Text]:
    """Each row as what it has of each column."""
    heads = [Text(str(column.header), "italic") for column in table.columns]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        yield Text("; ").join(
            Text(" ").join(part for part in (head, cell) if part) for head, cell in zip(heads, row, strict=True) if cell
        )
        yield Text()


class _Page(Markdown):
    elements = Markdown.elements | {"table_open": _FittingTable}


def show(text: str) -> None:
    """Print Markdown as a page. Commands stand plain: coloured as a program their variables look like errors."""
    console = Console(theme=_CODE, no_color=not is_coloured(sys.stdout))
    set_out = _Page(text.replace("```sh\n", "```text\n"), code_theme="ansi_dark")
    console.print(set_out, width=min(console.width, WIDEST))
