"""The progress bar of a run on a terminal, redrawn in place; lines told meanwhile scroll past above it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import anyio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

REDRAWN = 0.25
"""Seconds between two looks at the numbers."""


def is_wanted() -> bool:
    """Whether standard error is a terminal that can redraw a line (``NO_COLOR`` and ``TERM=dumb`` say no)."""
    console = Console(stderr=True)
    return sys.stderr.isatty() and console.is_terminal and not console.is_dumb_terminal and not console.no_color


async def show_bar(total: int, done: Callable[[], int], words: Callable[[], str]) -> None:
    """Show ``done()`` of ``total`` and what ``words()`` says, until cancelled."""
    columns = (BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        while True:
            bar.update(task, completed=done(), description=words())
            await anyio.sleep(REDRAWN)
