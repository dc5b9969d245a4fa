"""A report as one HTML page that needs nothing else: no network, no other file, and no script to tell what happened.

``page.html`` is the frame, ``page.css`` and ``page.js`` are put into it whole. The content security policy allows
these two by their digests and nothing else, so that text of the input could do nothing even if it got into the page
as markup. It does not: it is escaped wherever it stands, and the rows of the table are JSON without ``<``.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from batchpol.files import Replacement, temporary
from batchpol.model import Outcome, Status
from batchpol.report.charts import (
    active_seconds,
    clock,
    lasting,
    outcome_bar,
    plain,
    round_trips,
    share_of_limit,
    table,
    timeline,
)
from batchpol.report.pace import MOST_LANES, Durations, Requests
from batchpol.report.planned import Group, Plan
from batchpol.report.rows import COLUMNS, FORMULA, HARMLESS, INSIDE, Value, extra_name, finding_object, values
from batchpol.report.summary import WENT_WELL, Cause, Summary, counted, effects_line, shared_line
from batchpol.version import __version__

MOST_ROWS = 100_000
"""Records that the table of a page holds; of a larger input it holds what was rejected or failed."""
MOST_BYTES = 64 << 20
"""Size of the table's data, whatever the records look like."""
MOST_EXTRAS = 20
MOST_FINDINGS = 10
MOST_CHARTS = 50
CAUSES_SHOWN = 10
MOST_RUNS = 100

PLACES_SHOWN = 50
"""Records that a group of a plan names."""

_STATUS = COLUMNS.index("status")
_OF_A_PLAN = ("input", "account", "region", "endpoint", "sandbox", "caller", "started_at")
_EFFECTS = {"delete": "×", "create": "+", "update": "≠", "unchanged": "="}
_WOULD = {
    "delete": "a policy that is there goes",
    "create": "there is none of this name yet",
    "update": "it is replaced",
    "unchanged": "it is there already",
}
_FAILURES = (Status.FAILED, Status.REJECTED, Status.UNKNOWN)
_WORDS = {
    **{"delete": "delete", **{status.value: status.words for status in _FAILURES}},
    **{"create": "create", "update": "update", Status.NOT_ATTEMPTED.value: Status.NOT_ATTEMPTED.words},
    **{status.value: status.words for status in (Status.DUPLICATE, Status.APPLIED, Status.UNCHANGED)},
}
"""What may stand in the column ``status`` of the table, in the order of the rows: what people look for comes first."""
_ICONS = {
    Status.APPLIED: "✓",
    Status.UNCHANGED: "=",
    Status.REJECTED: "!",
    Status.FAILED: "×",
    Status.UNKNOWN: "?",
    Status.DUPLICATE: "+",
    Status.NOT_ATTEMPTED: "–",
}
_MEANINGS = {
    Status.APPLIED: "SES took it",
    Status.UNCHANGED: "it was there already",
    Status.REJECTED: "invalid, never sent",
    Status.FAILED: "SES refused it",
    Status.UNKNOWN: "sent, no answer",
    Status.DUPLICATE: "same as an earlier record",
    Status.NOT_ATTEMPTED: "valid, never sent",
}
_FACTS = {
    "input": "Input",
    "account": "Account",
    "region": "Region",
    "endpoint": "Endpoint",
    "sandbox": "Endpoint",
    "caller": "Caller",
    "started_at": "Started",
    "ended_at": "Ended",
    "reason": "How it ended",
    "command": "Command",
    "run_id": "Run",
}
"""What ``about`` may say of a run, and as what it stands on the page."""


def write_page(
    outcomes: Iterable[Outcome],
    stream: BinaryIO,
    *,
    columns: Sequence[str] = (),
    sheet: str = "",
    only: Collection[Status] = (),
    about: Mapping[str, str] | None = None,
    sends: Iterable[tuple[str, str, str, int]] = (),
    runs: Sequence[Mapping[str, Any]] = (),
    next_steps: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the page's bytes (UTF-8), reading the outcomes once and keeping none of them in memory.

    Args:
        columns: the input's extra columns.
        sheet: what a table that is downloaded from the page needs, as a report in CSV does.
        only: of which statuses the outcomes are, where they are not all of a run's; the page says so.
        about: facts about the run, by the keys of ``_FACTS``, and its ``period``: the seconds that the limit leaves
            between requests.
        sends: the requests for the timelines: account, Region, when it left (ISO 8601), which attempt it was.
        runs: every run of the journal as plain values, as its ``as_json`` has them.
        next_steps: what to do now: for what, and the command to type, if any.
    """
    facts = dict(about or {})
    pace, trips = Requests(), Durations()
    for account, region, left, attempt in sends:
        pace.add(account, region, left, attempt)
    with ExitStack() as stack:
        table = _Table(stack, columns, sheet)
        summary = Summary.of(_passing(outcomes, table, trips))
        parts = _parts(facts, summary, table, _headline(summary, only)) | {
            "runs": _runs(runs),
            "steps": _next_steps(next_steps),
        }
        parts["lead"] = escape(_lead(summary, only, summary.can_go_on and "sandbox" not in facts))
        parts["charts"] = _charts(pace, trips, _period(facts))
        _write(parts, table, stream)


def _write(parts: Mapping[str, str], table: _Table, stream: BinaryIO) -> None:
    """The page: its frame with the parts put in."""
    for name, text in _frame():
        stream.write(text.encode())
        if name == "records":
            table.copy(stream)
        elif name:
            stream.write(parts[name].encode())


def write_plan_page(
    steps: Iterable[tuple[Outcome, list[str]]],
    path: str | os.PathLike[str],
    *,
    about: Mapping[str, str],
    next_steps: Sequence[tuple[str, str]] = (),
) -> None:
    """Write a page of what a plan would change, for whoever must agree to it.

    Args:
        steps: each record with the lines that say what it changes.
        about: facts about the plan, by the keys of ``_FACTS``.
        next_steps: how it is carried out: for what, and the command to type.

    Raises:
        UsageError: its place is no plain file.
        BatchpolError: it cannot be written.
    """
    plan, facts = Plan(PLACES_SHOWN), {name: fact for name, fact in about.items() if name in _OF_A_PLAN}
    with Replacement(Path(path)) as target, ExitStack() as stack:
        table = _Table(stack, (), planned=True)

        def passing() -> Iterator[tuple[Outcome, list[str]]]:
            for outcome, lines in steps:
                table.add(outcome)
                yield outcome, lines

        bad = Summary.of(plan.take(passing()))
        parts = _parts(facts, bad, table, planned_headline(plan))
        others = ", ".join(f"{count:,} {name}" for name, count in plan.others.items())
        parts |= {
            "brand": "batchpol plan",
            "lead": escape("Nothing was written." + (f" Of the other records: {others}." if others else "")),
            "counts": _effects(plan),
            "changes": _section("changes", "What will change", "".join(map(_group, plan.groups)) or "<p>Nothing.</p>"),
            "outcome_title": "What it comes to",
            "causes_title": "What stands in the way",
            "steps": _next_steps(next_steps),
        }
        _write(parts, table, target.file)


def _passing(outcomes: Iterable[Outcome], table: _Table, trips: Durations) -> Iterator[Outcome]:
    for outcome in outcomes:
        table.add(outcome)
        if outcome.duration_ms is not None:
            trips.add(outcome.duration_ms)
        yield outcome


class _Table:
    """The rows as JSON, in files until it is known what comes before them on the page."""

    def __init__(self, stack: ExitStack, columns: Sequence[str], sheet: str = "", *, planned: bool = False) -> None:
        self._planned, self.sheet = planned, sheet
        self.columns = tuple(columns[:MOST_EXTRAS])
        self.columns_left_out = len(columns) - len(self.columns)
        self.seen = 0
        self._all = _Rows(stack)
        self._failures = _Rows(stack)

    def add(self, outcome: Outcome) -> None:
        """Keep the row as long as there is room for it."""
        self.seen += 1
        failure = outcome.status in _FAILURES
        if self._all.room or (failure and self._failures.room):
            row = _row(outcome, self.columns, effect=outcome.effect if self._planned and outcome.would_be_sent else "")
            self._all.add(row)
            if failure:
                self._failures.add(row)
        else:
            self._all.left_out = True
            self._failures.left_out = self._failures.left_out or failure

    @property
    def complete(self) -> bool:
        """Every record has a row."""
        return not self._all.left_out

    @property
    def rows(self) -> int:
        return self._chosen.count

    @property
    def failures_left_out(self) -> bool:
        return not self.complete and self._failures.left_out

    @property
    def _chosen(self) -> _Rows:
        return self._all if self.complete else self._failures

    def copy(self, stream: BinaryIO) -> None:
        """Write the rows as the members of a JSON list."""
        self._chosen.file.seek(0)
        shutil.copyfileobj(self._chosen.file, stream)


class _Rows:
    def __init__(self, stack: ExitStack) -> None:
        self.file = stack.enter_context(temporary())
        self.count = 0
        self.left_out = False
        self._bytes = 0

    @property
    def room(self) -> bool:
        return self.count < MOST_ROWS and self._bytes < MOST_BYTES

    def add(self, row: bytes) -> None:
        if not self.room:
            self.left_out = True
            return
        self.file.write(b",\n" + row if self.count else row)
        self.count += 1
        self._bytes += len(row)


def _row(outcome: Outcome, columns: Sequence[str], *, effect: str) -> bytes:
    """Our columns, the extra ones, and the findings in a list; of a plan its ``effect`` instead of the status."""
    extra = outcome.extra
    cells: list[object] = [*map(_cell, values(outcome)), *(_cell(extra.get(column)) for column in columns)]
    if effect:
        cells[_STATUS] = effect
    found = [finding_object(finding) for finding in outcome.findings[:MOST_FINDINGS]]
    cells.append([{name: _cell(text) for name, text in members.items()} for members in found])
    return embedded(cells)


def _cell(value: Value) -> Value:
    return plain(value) if isinstance(value, str) else value


def embedded(value: object) -> bytes:
    """JSON that may stand inside a ``script`` element: nothing in it could end or begin anything in HTML."""
    found = msgspec.json.encode(value)
    for char, escaped in _ESCAPED.items():
        found = found.replace(char, escaped)
    return found


_ESCAPED = {char.encode(): b"\\u%04x" % ord(char) for char in ("<", ">", "&", "\u2028", "\u2029")}


def _text(value: str) -> str:
    return escape(plain(value))


def _asset(name: str) -> str:
    return files("batchpol.report").joinpath(name).read_text("utf-8")


def _frame() -> Iterator[tuple[str, str]]:
    """The frame in pieces: the name of what follows a piece, and the piece; no text put in is ever looked through."""
    pieces = re.split(r"\{\{([a-z_]+)\}\}", _asset("page.html"))
    yield from zip([*pieces[1::2], ""], pieces[::2], strict=True)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _charts(pace: Requests, trips: Durations, period: float) -> str:
    answered = round_trips(trips) if trips.count else "<p>Nothing was answered.</p>"
    return _section("pace", "Pace", _pace(pace, period)) + _section("trips", "Round trips", answered)


def _section(name: str, title: str, content: str) -> str:
    return f'<section aria-labelledby="{name}-title">\n<h2 id="{name}-title">{title}</h2>\n{content}\n</section>\n'


def _parts(facts: Mapping[str, str], summary: Summary, table: _Table, headline: str) -> dict[str, str]:
    """Everything that the frame asks for but the rows."""
    style, script = _asset("page.css"), _asset("page.js")
    name = plain(facts.get("input", ""))
    return {
        "style": style,
        "style_digest": _digest(style),
        "script": script,
        "script_digest": _digest(script),
        "title": escape(f"{name}: {headline}" if name else headline),
        "headline": escape(headline),
        "brand": "batchpol report",
        "facts": _facts(facts),
        "runs": "",
        "changes": "",
        "charts": "",
        "outcome_title": "Outcome",
        "steps": "",
        "causes_title": "What went wrong",
        "counts": _counts(summary),
        "causes": _causes(summary),
        "scope": escape(_scope(table)),
        "caption": "Every record of the run" if table.complete else "Records that were rejected, failed or are unknown",
        "head": embedded(_head(table, name)).decode(),
        "made": f"batchpol {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }


def _headline(summary: Summary, only: Collection[Status]) -> str:
    well = sum(count for status, count in summary.counts.items() if status in WENT_WELL)
    if not summary.records:
        return "No records"
    if only:
        return f"{summary.records:,} {'record' if summary.records == 1 else 'records'}: {_either(only)}"
    if well == summary.records:
        return "The record went through" if well == 1 else f"All {well:,} records went through"
    return f"{well:,} of {summary.records:,} records went through"


def _lead(summary: Summary, only: Collection[Status], can_go_on: bool) -> str:
    bad = {status: count for status, count in summary.counts.items() if status not in WENT_WELL}
    said = "Nothing is left to do."
    if only:
        said = f"This page has only the records that are {_either(only)}; the charts are of the whole run."
    elif bad:
        said = f"The others: {counted(bad)}."
    elif not summary.records:
        said = ""
    if summary.effects and not only:
        said = f"{effects_line(summary.effects).capitalize()}. {said}"
    return said + (" The same command, run again, goes on with what can still be sent." if can_go_on else "")


def _either(statuses: Iterable[Status]) -> str:
    return " or ".join(status.words for status in statuses)


def _period(facts: Mapping[str, str]) -> float:
    try:
        return max(float(facts.get("period") or 1.0), 1e-6)
    except ValueError:
        return 1.0


def _facts(facts: Mapping[str, str]) -> str:
    shown = {key: _moment(facts[key]) if key.endswith("_at") else facts[key] for key in _FACTS if facts.get(key)}
    items = [f"<div><dt>{_FACTS[key]}</dt><dd>{_text(fact)}</dd></div>" for key, fact in shown.items()]
    return f'<dl class="facts">{"".join(items)}</dl>' if items else ""


def _runs(runs: Sequence[Mapping[str, Any]]) -> str:
    """A table of the journal's runs, the latest first, where there are several."""
    if len(runs) < 2:
        return ""
    rows = [
        f"<tr><th scope='row'>{_text(_moment(run['started_at']))}</th><td>{_text(_took(run))}</td>"
        f"<td>{_text(_did(run['counts']))}</td><td>{_text(run['reason'] or 'no end is written down')}</td>"
        f"<td>{_text(run['run_id'][:8])}{_text(', shard ' + run['shard'] if 'shard' in run else '')}</td></tr>"
        for run in reversed(runs[-MOST_RUNS:])
    ]
    left_out = f", the last {MOST_RUNS} of them" if len(runs) > MOST_RUNS else ""
    title = f"{len(runs):,} runs{left_out}, what they did and how they ended"
    return (
        f"<details class='runs'><summary>{title}</summary>"
        f"<div class='wide' tabindex='0' role='region' aria-label='Runs'>"
        f"{table('Runs', ('Started', 'Took', 'What it did', 'How it ended', 'Run'), rows)}</div></details>"
    )


def _took(run: Mapping[str, Any]) -> str:
    try:
        times = [datetime.fromisoformat(run[name]) for name in ("started_at", "ended_at")]
        return lasting((times[1] - times[0]).total_seconds())
    except (TypeError, ValueError):
        return "–"


def _did(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {word.replace('_', ' ')}" for word, count in counts.items()) or "nothing sent"


def _moment(text: str) -> str:
    """A time of the journal (ISO 8601) as people write it."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return text


def _icon(status: Status) -> str:
    return f'<span class="icon" aria-hidden="true">{_ICONS[status]}</span>'


def _counts(summary: Summary) -> str:
    if not summary.records:
        return "<p>The input had no record.</p>"
    items = "".join(
        f'<li class="{status.value}">{_icon(status)}<strong>{count:,}</strong> <b>{status.words}</b>'
        f" <span>{_MEANINGS[status]}</span></li>"
        for status, count in summary.counts.items()
    )
    return f'{outcome_bar(summary.counts)}<ul class="counts">{items}</ul>'


# What will change


def planned_headline(plan: Plan) -> str:
    """What a plan comes to, deletions first."""
    found = [f"{count:,} to {name}" for name, count in plan.effects.items() if count and name != "unchanged"]
    unchanged = plan.counts["unchanged"]
    found += [f"{unchanged:,} unchanged"] if unchanged or not found else []
    return ", ".join(found)


def _effects(plan: Plan) -> str:
    items = "".join(
        f'<li class="{name}"><span class="icon" aria-hidden="true">{_EFFECTS[name]}</span><strong>{count:,}</strong>'
        f" <b>{name}</b> <span>{_WOULD[name]}</span></li>"
        for name, count in plan.effects.items()
        if count
    )
    return f'<ul class="counts">{items}</ul>' if items else "<p>No record has an effect.</p>"


def _group(group: Group) -> str:
    """Records to which the same is done."""
    if group.effect == "unchanged":
        return ""
    lines = "\n".join(map(_marked, group.lines))
    places = "".join(
        f"<li>{f'line {place.line}' if place.line else 'prune'}: <bdi>{_text(place.identity)}</bdi> / "
        f"<bdi>{_text(place.policy_name)}</bdi></li>"
        for place in group.places
    )
    left = group.count - len(group.places)
    more = f"<li>and {left:,} more; the table has them</li>" if left else ""
    icon = f'<span class="icon" aria-hidden="true">{_EFFECTS[group.effect]}</span>'
    same = ", the same to each" if group.count > 1 else ""
    said = f"<pre>{lines}</pre>" if lines else ""
    return (
        f'<article class="cause {group.effect}"><h3>{icon}{group.effect} {group.count:,}{same}</h3>{said}'
        f"<ul>{places}{more}</ul></article>"
    )


def _marked(line: str) -> str:
    """A line of a diff; what it says is in its sign too, not in its colour alone."""
    kind = {"-": "del", "+": "ins"}.get(line[:1])
    return f"<{kind}>{_text(line)}</{kind}>" if kind else _text(line)


# What went wrong


def _causes(summary: Summary) -> str:
    if not summary.causes:
        return "<p>Nothing.</p>"
    first = "".join(_cause(cause) for cause in summary.causes[:CAUSES_SHOWN])
    rest = summary.causes[CAUSES_SHOWN:]
    if not rest:
        return first
    more = "".join(_cause(cause) for cause in rest)
    return f"{first}<details><summary>{len(rest):,} more {_causes_word(len(rest))}</summary>{more}</details>"


def _causes_word(count: int) -> str:
    return "cause" if count == 1 else "causes"


def _cause(cause: Cause) -> str:
    message = cause.examples[0].message
    alike = all(example.message == message for example in cause.examples)
    code = f" <code>{_text(cause.error_code)}</code>" if cause.error_code else ""
    said = f"<p><bdi>{_text(message)}</bdi></p>" if alike and message else ""
    examples = "".join(
        f"<li>line {example.line}: <bdi>{_text(example.identity) or '(no identity)'}</bdi>"
        + (f" / <bdi>{_text(example.policy_name)}</bdi>" if example.policy_name else "")
        + (f"<br><bdi>{_text(example.message)}</bdi>" if not alike else "")
        + "</li>"
        for example in cause.examples
    )
    left = cause.count - len(cause.examples)
    return (
        f'<article class="cause {cause.status.value}"><h3>{_icon(cause.status)}{cause.count:,} '
        f"{cause.status.words}{code}</h3>{said}<ul>{examples}"
        + (f"<li>and {left:,} more</li>" if left else "")
        + f"</ul>{_what_to_do(cause)}"
        + f'<button type="button" class="show" hidden data-status="{cause.status.value}"'
        f' data-code="{_text(cause.error_code)}">Show {"it" if cause.count == 1 else "them"} in the table</button>'
        "</article>"
    )


def _what_to_do(cause: Cause) -> str:
    shared = f"<p>All of them: <bdi>{_text(shared_line(cause.shared))}</bdi></p>" if cause.shared else ""
    return shared + (f'<p class="remedy">{_text(cause.remedy)}</p>' if cause.remedy else "")


def _next_steps(found: Sequence[tuple[str, str]]) -> str:
    items = "".join(
        f"<li><p>{_text(purpose[:1].upper() + purpose[1:])}</p>"
        + (f"<pre><code>{_text(command)}</code></pre>" if command else "")
        + "</li>"
        for purpose, command in found
    )
    return _section("next", "What to do next", f"<ul class='steps'>{items}</ul>") if items else ""


# When they were sent


def _pace(pace: Requests, period: float) -> str:
    if not pace.lanes:
        return "<p>Nothing was sent.</p>"
    limit = "one request a second" if period == 1 else f"{1 / period:,.3g} requests a second"
    charted = sorted(pace.lanes.values(), key=lambda lane: -lane.requests)[:MOST_CHARTS]
    charted.sort(key=lambda lane: (lane.account, lane.region))
    key = (
        f'<p class="key"><span><svg class="sample" viewBox="0 0 24 10" aria-hidden="true"><path class="sent" '
        f'd="M0 5h24"/></svg> requests sent, every attempt counted</span> <span><svg class="sample" '
        f'viewBox="0 0 24 10" aria-hidden="true"><path class="limit" d="M0 5h24"/></svg> the limit: {limit}. On it no '
        "time is lost; what is flat is waiting</span></p>"
    )
    figures = "".join(timeline(lane, period, place) for place, lane in enumerate(charted))
    return f'{_lanes(pace, period)}{key}<div id="lanes">{figures}</div>'


def _lanes(pace: Requests, period: float) -> str:
    """A table of all lanes, where there are several."""
    if len(pace.lanes) == 1:
        return ""
    rows = []
    for lane in sorted(pace.lanes.values(), key=lambda lane: (lane.account, lane.region)):
        active = active_seconds(lane)
        used = share_of_limit(lane, period, active) if active else "–"
        rows.append(
            f"<tr><th scope='row'>{_text(lane.account)} {_text(lane.region)}</th><td>{lane.requests:,}</td>"
            f"<td>{lane.again:,}</td><td>{clock(lane.first)}</td><td>{lasting(active)}</td>"
            f"<td>{used}</td></tr>"
        )
    charts = f" Charts are below for the {MOST_CHARTS} with the most requests." if len(rows) > MOST_CHARTS else ""
    others = f" {pace.others:,} requests to targets beyond {MOST_LANES:,} are left out." if pace.others else ""
    heads = ("Account and Region", "Requests", "Tried again", "First (UTC)", "Time", "Of the limit")
    return (
        f"<details><summary>{len(rows):,} targets, each with a limit of its own.{charts}{others}</summary>"
        "<div class='wide' tabindex='0' role='region' aria-label='All targets'>"
        f"{table('All targets', heads, rows)}</div></details>"
    )


# The table


def _scope(table: _Table) -> str:
    """In plain words, what of the run the table does not have."""
    said = []
    if not table.complete:
        said.append(
            f"With {table.seen:,} records there are too many for a page: the table has what was rejected, failed or is "
            "unknown, and the rest is only counted above. A report as CSV or JSON Lines has every record."
        )
    if table.failures_left_out:
        said.append(f"Of those it has the first {table.rows:,}.")
    if table.columns_left_out:
        said.append(f"{table.columns_left_out:,} more columns of the input are in a report as CSV or JSON Lines.")
    return " ".join(said)


def _head(table: _Table, name: str) -> dict[str, object]:
    return {
        "columns": [*COLUMNS, *(plain(extra_name(column)) for column in table.columns)],
        "own": len(COLUMNS),
        "icons": _EFFECTS | {status.value: _ICONS[status] for status in Status},
        "words": _WORDS,
        "rows": table.rows,
        "file": (re.sub(r"[^\w-]+", "-", Path(name).stem)[:60] or "records") + ".rows.csv",
        "sheet": table.sheet,
        "formula": {
            "first": FORMULA,
            "inside": INSIDE.pattern,
            "harmless": {column: form.pattern for column, form in HARMLESS.items()},
        },
    }
