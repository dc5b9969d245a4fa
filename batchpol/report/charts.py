"""The charts of the HTML report as inline SVG; the words of their axes are HTML, so that a phone can read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from html import escape

from batchpol.model import Status, excerpt
from batchpol.report.pace import Durations, LaneRequests

WIDTH, HEIGHT = 1000.0, 200.0
"""Of every drawing, in its own units: it is stretched to the page's width, with lines that keep their thickness."""

_PAUSE = 120.0
"""Seconds without a request that are left out of a timeline where they are more than a tenth of it, too."""
_PAUSE_DRAWN = 0.03
_DOTTED = 80
"""Requests up to which each has its own dot."""


LONGEST = 1_000
"""Characters of one text on the page."""


def plain(text: str) -> str:
    """Text of the input as the page shows it: cut, and what nobody could see (control characters, marks that turn
    the direction of writing) escaped so that it can be seen."""
    return excerpt(text, LONGEST)


def number(value: float) -> str:
    """A number for people: thousands separated, three digits that count below that."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def lasting(seconds: float) -> str:
    """``0.25 s``, ``59 s``, ``2 min 5 s`` or ``2 h 47 min``."""
    if seconds < 59.5:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def clock(at: float) -> str:
    """Seconds since 1970 as date and time of day, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def table(caption: str, heads: Iterable[str], rows: Iterable[str]) -> str:
    """A small table of rows that are markup already."""
    head = "".join(f"<th scope='col'>{it}</th>" for it in heads)
    return (
        f"<table class='plain'><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _plot(name: str, title: str, said: str, shapes: Iterable[str]) -> str:
    """A drawing on its grid, with a title and in words; ``name`` is the page's only one of these."""
    lines = "".join(f"M0 {HEIGHT * part:.0f}H{WIDTH:.0f}" for part in (0.25, 0.5, 0.75))
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none" role="img"'
        f' aria-labelledby="{name}-t {name}-d"><title id="{name}-t">{escape(title)}</title>'
        f'<desc id="{name}-d">{escape(said)}</desc><path class="grid" d="{lines}"/>{"".join(shapes)}</svg>'
    )


def outcome_bar(counts: dict[Status, int]) -> str:
    """One bar, divided by status. Decoration: the numbers stand beside it as text."""
    total, at, parts = sum(counts.values()), 0.0, []
    for status, count in counts.items():
        wide = WIDTH * count / total
        parts.append(f'<rect class="{status.value}" x="{at:.2f}" width="{wide:.2f}" height="10"/>')
        at += wide
    return (
        f'<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}</svg>'
    )


# The timeline of a lane


def timeline(lane: LaneRequests, period: float, place: int) -> str:
    """A figure: how many requests had left, against what one every ``period`` seconds allows.

    Args:
        place: a number that no other timeline of the page has.
    """
    stretches = _stretches(lane)
    active = sum(points[-1][0] - points[0][0] for points in stretches)
    name = plain(f"{lane.account or 'account unknown'} · {lane.region or 'Region unknown'}")
    said = _said(lane, period, active, len(stretches) - 1)
    return (
        f'<figure class="lane" id="lane-{place}"><h3>{escape(name)}</h3><div class="chart">'
        f'<p class="axis up"><span>{_requests(lane.requests)}</span></p>'
        f"{_plot(f'lane-{place}', f'Requests over time: {name}', said, _drawn(lane, stretches, period, active))}"
        f'<p class="axis"><span>{clock(lane.first)}</span><span>{clock(lane.last)} UTC</span></p></div>'
        f"<figcaption>{escape(said)}</figcaption></figure>"
    )


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count:,} requests"


def _said(lane: LaneRequests, period: float, active: float, pauses: int) -> str:
    """The chart in words."""
    parts = [f"{_requests(lane.requests)} in {lasting(active)}"]
    if active > 0:
        parts[0] += (
            f": {(lane.requests - 1) / active:.2f} a second, {share_of_limit(lane, period, active)} of the limit"
        )
    if lane.again:
        parts.append(f"{lane.again:,} of them tried a record again")
    if pauses:
        parts.append(f"{pauses:,} {'pause' if pauses == 1 else 'pauses'} between runs left out")
    return "; ".join(parts) + "."


def share_of_limit(lane: LaneRequests, period: float, active: float) -> str:
    """How much of what the limit allowed was used, as a percentage."""
    return f"{100 * (lane.requests - 1) * period / active:.1f}%"


def active_seconds(lane: LaneRequests) -> float:
    """How long a lane was at work: from its first request to its last, without the pauses between runs."""
    return sum(points[-1][0] - points[0][0] for points in _stretches(lane))


def _stretches(lane: LaneRequests) -> list[list[tuple[float, int]]]:
    """The curve, parted where nothing was sent for long. Each part begins with the first request known in it."""
    points = lane.curve()
    if points[0][1] > 1:
        points.insert(0, (lane.first, 1))
    least = max(_PAUSE, lane.seconds / 10, 4 * lane.width)
    parts = [[points[0]]]
    for point in points[1:]:
        if point[0] - parts[-1][-1][0] > least:
            parts.append([])
        parts[-1].append(point)
    return parts


def _drawn(lane: LaneRequests, stretches: list[list[tuple[float, int]]], period: float, active: float) -> Iterator[str]:
    """The limit first, so that what was sent lies on it."""
    pause = _PAUSE_DRAWN * active
    scale = WIDTH / ((active + pause * (len(stretches) - 1)) or 1.0)
    tall = HEIGHT / lane.requests  # from the top, which the last request reaches exactly
    limits, curve, dots, at = [], [], [], 0.0
    for part in stretches:
        start, below = part[0]
        if at:
            yield f'<path class="pause" d="M{(at - pause / 2) * scale:.1f} 0V{HEIGHT:.0f}"/>'
        # The limit from the first request of this part on, until it reaches the number that were sent in it.
        run = min((part[-1][1] - below) * period, part[-1][0] - start)
        reached = min(below + run / period, lane.requests)
        ends = (at, below), (at + run, reached)
        limits.append("M" + "L".join(f"{x * scale:.1f} {(lane.requests - count) * tall:.1f}" for x, count in ends))
        places = [f"{(at + when - start) * scale:.1f} {(lane.requests - count) * tall:.1f}" for when, count in part]
        curve.append("M" + "L".join(places))
        dots += [f"M{spot}h0" for spot in places]
        at += part[-1][0] - start + pause
    yield f'<path class="limit" d="{"".join(limits)}"/><path class="sent" d="{"".join(curve)}"/>'
    if lane.requests <= _DOTTED:
        yield f'<path class="dots" d="{"".join(dots)}"/>'


# Round trips


def round_trips(trips: Durations) -> str:
    """A figure: how many answers took how long; and the same as a table for who does not see it."""
    bars = trips.bars()
    most = max(count for _, _, count in bars)
    wide = WIDTH / len(bars)
    rects = (
        f'<rect class="{"beyond" if math.isinf(end) else "trip"}" x="{place * wide + 2:.1f}"'
        f' width="{wide - 4:.1f}" y="{HEIGHT - HEIGHT * count / most:.1f}" height="{HEIGHT * count / most:.1f}"/>'
        for place, (_, end, count) in enumerate(bars)
    )
    said = (
        f"{trips.count:,} {'answer' if trips.count == 1 else 'answers'}: half of them within "
        f"{number(trips.quantile(0.5))} ms, 95% within {number(trips.quantile(0.95))} ms, "
        f"the slowest after {number(trips.longest)} ms."
    )
    last = f"over {number(bars[-1][0])}" if math.isinf(bars[-1][1]) else number(bars[-1][1])
    rows = (f"<tr><th scope='row'>{_span(start, end)}</th><td>{count:,}</td></tr>" for start, end, count in bars)
    return (
        f'<figure class="trips"><div class="chart"><p class="axis up"><span>{most:,} '
        f"{'answer' if most == 1 else 'answers'}</span></p>"
        f"{_plot('trips', 'How long answers took', said, rects)}"
        f'<p class="axis"><span>{number(bars[0][0])} ms</span><span>{last} ms</span></p></div>'
        f"<figcaption>{escape(said)}</figcaption>"
        "<details class='same'><summary>The same as a table</summary>"
        f"{table('How long answers took', ('Milliseconds', 'Answers'), rows)}</details></figure>"
    )


def _span(start: float, end: float) -> str:
    return f"over {number(start)}" if math.isinf(end) else f"{number(start)} to {number(end)}"
