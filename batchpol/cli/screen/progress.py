"""The progress of a run on a terminal: a line for each lane, redrawn in place; failures scroll past above.

:func:`frame` lays one picture out for a width and height; colours are the terminal's own, so that they suit a light
background as well as a dark one.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import anyio
from rich.cells import set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style

from batchpol.cli.screen.streams import is_behind
from batchpol.cli.screen.terminal import duration
from batchpol.model import EFFECTS, Outcome, Status, Target, visible
from batchpol.sending.contact import Contact

REDRAWN = 0.3
"""Least seconds between two pictures."""

SHARE = 0.01
"""The part of one processor that drawing may take; many lanes on a slow machine are redrawn less often."""

MARGIN = 8
"""Lines of the terminal that are left to what scrolls past above, and to the head and the totals."""

STALLED = 10.0
"""Seconds without an answer or an outcome after which nobody says how long a lane takes yet."""

IN_HAND = 16
"""Least width of the column that names the record in hand; without room for it there is none."""

COMFORT = 28
"""Width of the gap and the column of the record in hand that is worth a column with nothing in it."""

GAP = "  "
HEADS = {"in hand": "in hand (line: record)"}
_PLAIN, _DIM, _GREEN, _RED = (Style.parse(it) for it in ("none", "dim", "green", "red"))
_COLOURS = {**dict.fromkeys(EFFECTS.values(), _GREEN), "failed": _RED, "unknown": _RED, "in hand": _DIM}
_COUNTED = (*EFFECTS.values(), *(it.value for it in (Status.UNCHANGED, Status.FAILED, Status.UNKNOWN)))
_GIVEN_UP = ("unknown", "throttled", "unchanged")
"""Columns that a narrow terminal does without, in this order; first it does without those with nothing in them."""
_IF_ANY = ("unknown", "deleted", "written")
"""Columns that are there only with something in them: hardly ever there is."""

Part = tuple[str, Style]


@dataclass(slots=True)
class Row:
    """One lane as it is shown: how many of its ``total`` changes ended in which way, and the change in hand."""

    target: Target
    total: int
    counts: Counter[str] = field(default_factory=Counter)
    contact: Contact | None = None
    in_hand: str = ""
    stopped: bool = False
    over: bool = False
    moved: float = field(default_factory=time.monotonic)
    """When something last came back, by the monotonic clock."""

    def add(self, outcome: Outcome, *, planned: bool = False) -> None:
        """Count one more change: by what was done, or of a plan would be, or else by its status."""
        self.moved = time.monotonic()
        done = outcome.effect if planned and outcome.would_be_sent else outcome.did
        self.counts[EFFECTS.get(done, outcome.status.value)] += 1

    @property
    def done(self) -> int:
        return self.counts.total()

    @property
    def throttled(self) -> int:
        return self.contact.throttled if self.contact else 0

    @property
    def silent(self) -> bool:
        """Whether SES cannot be reached, so that nobody knows how long it takes."""
        return self.contact is not None and self.contact.silent and not (self.over or self.stopped)

    @property
    def stalled(self) -> bool:
        """Whether nothing came back for so long that nobody knows, either."""
        return self.contact is not None and not (self.over or self.stopped) and self.quiet > STALLED

    @property
    def quiet(self) -> float:
        """Seconds since something came back, the pace of the gate not counted."""
        return time.monotonic() - self.moved - (self.contact.gates.writes.period if self.contact else 0.0)

    def seconds_left(self, period: float) -> float:
        """At the pace of the lane's gate; at ``period`` seconds a request until there is one."""
        if self.over or self.stopped:
            return 0.0
        return (self.total - self.done) * (self.contact.gates.writes.period if self.contact else period)

    def time_left(self, period: float) -> str:
        if self.stopped:
            return "stopped"
        if self.over or self.done >= self.total:
            return "done"
        if self.silent:
            return "no answer"
        if self.stalled:
            return "waiting"
        return duration(self.seconds_left(period)) if self.contact else "waiting"


@dataclass(slots=True)
class Standing:
    """A whole run as it is shown; ``period`` is its least time between two requests in seconds. Of one that only
    ``plans``, what would be done is counted."""

    rows: dict[Target, Row] = field(default_factory=dict)
    period: float = 1.0
    began: float = 0.0
    changed: bool = True
    plans: bool = False

    @property
    def heads(self) -> dict[str, str]:
        """How columns are called that are not called by their names."""
        return HEADS | {word: name for name, word in EFFECTS.items() if self.plans}

    @property
    def total(self) -> int:
        return sum(row.total for row in self.rows.values())

    @property
    def done(self) -> int:
        return sum(row.done for row in self.rows.values())

    @property
    def throttled(self) -> int:
        return sum(row.throttled for row in self.rows.values())

    @property
    def counts(self) -> Counter[str]:
        """In their order, what was deleted first."""
        found = sum((row.counts for row in self.rows.values()), Counter[str]())
        return Counter({word: found[word] for word in (*EFFECTS.values(), *Status) if found[word]})

    @property
    def left(self) -> str:
        """How long it takes yet, as far as that can be said; empty at the end."""
        if self.done >= self.total:
            return ""
        if any(row.silent for row in self.rows.values()):
            return "SES does not answer"
        under_way = [row for row in self.rows.values() if not (row.over or row.stopped)]
        if under_way and all(row.stalled for row in under_way):
            return f"nothing came back for {duration(min(row.quiet for row in under_way))}"
        return f"about {duration(self.seconds_left)} left"

    @property
    def seconds_left(self) -> float:
        """Of the lane that takes longest."""
        return max((row.seconds_left(self.period) for row in self.rows.values()), default=0.0)

    def line(self) -> str:
        """All of it in one line, for what is no terminal."""
        counts = [f"{count:,} {self.heads.get(word, word).replace('_', ' ')}" for word, count in self.counts.items()]
        counts += [f"{self.throttled:,} times throttled"] if self.throttled else []
        left = [self.left] if self.left else []
        return f"{self.done:,} of {self.total:,} records: {', '.join(counts + left)}"


def is_wanted() -> bool:
    """Whether standard error is a terminal that can redraw a line (``NO_COLOR`` and ``TERM=dumb`` say no)."""
    console = Console(stderr=True)
    return sys.stderr.isatty() and console.is_terminal and not console.is_dumb_terminal and not console.no_color


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
