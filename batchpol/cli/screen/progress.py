"""The progress of a run on a terminal: a line for each lane, redrawn in place; failures scroll past above.

:func:`frame` lays one picture out for a width and height; colours are the terminal's own, so that they suit a light
background as well as a dark one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import anyio
from rich.cells import set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style

from batchpol.cli.screen.standing import Row, Standing
from batchpol.cli.screen.streams import is_behind
from batchpol.cli.screen.terminal import duration, is_coloured
from batchpol.model import EFFECTS, Status, Target, visible

REDRAWN = 0.3
"""Least seconds between two pictures."""

SHARE = 0.01
"""The part of one processor that drawing may take; many lanes on a slow machine are redrawn less often."""

MARGIN = 8
"""Lines of the terminal that are left to what scrolls past above, and to the head and the totals."""

IN_HAND = 16
"""Least width of the column that names the record in hand; without room for it there is none."""

COMFORT = 28
"""Width of the gap and the column of the record in hand that is worth a column with nothing in it."""

GAP = "  "
_PLAIN, _DIM, _GREEN, _RED = (Style.parse(it) for it in ("none", "dim", "green", "red"))
_COLOURS = {**dict.fromkeys(EFFECTS.values(), _GREEN), "failed": _RED, "unknown": _RED, "in hand": _DIM}
_COUNTED = (*EFFECTS.values(), *(it.value for it in (Status.UNCHANGED, Status.FAILED, Status.UNKNOWN)))
_GIVEN_UP = ("unknown", "throttled", "unchanged")
"""Columns that a narrow terminal does without, in this order; first it does without those with nothing in them."""
_IF_ANY = ("unknown", "deleted", "written")
"""Columns that are there only with something in them: hardly ever there is."""

Part = tuple[str, Style]


def is_wanted() -> bool:
    """Whether standard error is a terminal that can redraw a line (``NO_COLOR`` and ``TERM=dumb`` say no)."""
    console = Console(stderr=True)
    return sys.stderr.isatty() and console.is_terminal and not console.is_dumb_terminal and not console.no_color


def console() -> Console:
    """Of standard error, where pictures are drawn."""
    return Console(stderr=True, highlight=False, no_color=not is_coloured(sys.stderr))


async def show(standing: Standing, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
    """Show how a run stands until cancelled, then leave no trace of it."""
    picture = _Picture(standing, clock)
    with Live(picture, console=console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        shown_at = -1
        while True:
            before = time.thread_time()
            second = int(clock() - standing.began)
            if (standing.changed or second != shown_at) and not is_behind():
                standing.changed, shown_at = False, second
                live.refresh()
            await anyio.sleep(max(REDRAWN, (time.thread_time() - before) / SHARE))


@dataclass(slots=True)
class _Picture:
    """What rich draws: segments as they are, for nothing is to be wrapped or laid out once more."""

    standing: Standing
    clock: Callable[[], float]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        took = self.clock() - self.standing.began
        lines = frame(self.standing, options.max_width, options.size.height, took, ascii_only=options.ascii_only)
        for line in lines:
            yield from (Segment(text, style) for text, style in line)
            yield Segment.line()


def frame(
    standing: Standing, width: int, height: int, took: float = 0.0, *, ascii_only: bool = False
) -> Iterator[list[Part]]:
    """The lines of one picture, none wider than ``width``: a head, the lanes that fit, the totals, a bar."""
    rows = list(standing.rows.values())
    fit = max(1, height - MARGIN)
    shown = rows if len(rows) <= fit else sorted(rows, key=lambda row: row.over or row.stopped)[:fit]
    name = _names(rows)
    cells = [_cells(row, name(row.target), standing.period) for row in shown]
    if len(rows) > 1:
        cells.append(_totals(standing, len(rows)))
    widths = _widths(cells, width)
    yield [(_padded(column, standing.heads.get(column, column), size), _DIM) for column, size in widths.items()]
    for number, cell in enumerate(cells):
        if number == len(shown) < len(rows):
            yield [(f"... and {len(rows) - len(shown):,} more"[:width], _DIM)]
        yield [(_padded(column, cell[column], size), _style(column, cell[column])) for column, size in widths.items()]
    yield _bar(standing, width, took, ascii_only=ascii_only)


def _names(rows: Sequence[Row]) -> Callable[[Target], str]:
    """How lanes are told apart: by account, by Region, or by both where neither will do."""
    if len({row.target.account for row in rows}) == 1:
        return lambda target: target.region
    if len({row.target.region for row in rows}) == 1:
        return lambda target: target.account
    return lambda target: f"{target.account} {target.region}"


def _cells(row: Row, name: str, period: float) -> dict[str, str]:
    counts = {word: f"{row.counts[word]:,}" for word in _COUNTED}
    done = {"lane": name, "done": f"{row.done:,}/{row.total:,}"}
    ends = {"throttled": f"{row.throttled:,}", "left": row.time_left(period), "in hand": visible(row.in_hand)}
    return done | counts | ends


def _totals(standing: Standing, lanes: int) -> dict[str, str]:
    counted = standing.counts
    counts = {word: f"{counted[word]:,}" for word in _COUNTED}
    done = {"lane": f"all {lanes:,}", "done": f"{standing.done:,}/{standing.total:,}"}
    left = duration(standing.seconds_left) if standing.left.startswith("about") else "waiting"
    left = left if standing.left else "done"
    return done | counts | {"throttled": f"{standing.throttled:,}", "left": left, "in hand": ""}


def _widths(cells: list[dict[str, str]], width: int) -> dict[str, int]:
    """The columns there is room for, and how wide they are; the record in hand has what is left."""
    sizes = {name: max(len(name), *(len(cell[name]) for cell in cells)) for name in cells[0] if name != "in hand"}
    empty = [
        name
        for name in (*_GIVEN_UP, "deleted", "written", "updated", "created")
        if all(cell[name] == "0" for cell in cells)
    ]
    for name in _IF_ANY:
        if name in empty:
            del sizes[name]
    for name in [*empty, *_GIVEN_UP]:
        wanted = COMFORT if name in empty else 0
        if name in sizes and _taken(sizes) + wanted > width:
            del sizes[name]
    if (rest := width - _taken(sizes) - len(GAP)) >= IN_HAND:
        sizes["in hand"] = rest
    elif rest < -len(GAP):
        sizes["lane"] = max(4, sizes["lane"] + rest + len(GAP))
    return sizes


def _taken(sizes: dict[str, int]) -> int:
    return sum(sizes.values()) + len(GAP) * (len(sizes) - 1)


def _padded(column: str, text: str, size: int) -> str:
    """A cell with the gap before it; numbers end where their column ends."""
    if column == "lane":
        return set_cell_size(text, size)
    return GAP + (set_cell_size(text, size) if column == "in hand" else text.rjust(size)[:size])


def _style(column: str, text: str) -> Style:
    if text == "stopped":
        return _RED
    return _PLAIN if text == "0" else _COLOURS.get(column, _PLAIN)


def _bar(standing: Standing, width: int, took: float, *, ascii_only: bool) -> list[Part]:
    total, done = standing.total, standing.done
    words = f"{GAP}{done / total if total else 1:.0%}, {duration(took)} so far"
    if standing.left:
        words += f", {standing.left}"
    size = max(0, width - len(words))
    full = size * done // total if total else size
    heavy, light = ("#", "-") if ascii_only else ("━", "─")
    return [(heavy * full, _GREEN), (light * (size - full), _DIM), (words[:width], _PLAIN)]
