"""``batchpol report`` and ``batchpol status``: what a journal says, of a run that ended, was killed or is going on."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchpol.cli.screen.terminal import duration, reserve_output, said, tell, write
from batchpol.cli.spelling import spelled
from batchpol.errors import UsageError
from batchpol.model import Status, did_you_mean, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchpol.journal import Section
    from batchpol.report import Cause

REPORT_EPILOG = (
    "Examples:\n"
    "batchpol report tenants.journal.jsonl --report tenants.report.jsonl\n"
    "batchpol report tenants.journal.jsonl --only failed,unknown --report failed.csv\n"
    "With --only the report has the policies, so that it can be mended and applied. "
    "Exit: 0, or 2 if the journal cannot be read."
)
STATUS_EPILOG = "Example:\nbatchpol status tenants.journal.jsonl\nExit: 0, or 2 if the journal cannot be read."

LATEST = 60
"""Requests from which the present rate is taken."""

SHOWN = 10
"""Targets and causes shown; the report has everything."""

_BAD = (Status.FAILED, Status.UNKNOWN)


def report(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help="Of a run that ended, was killed or goes on.")],
    report: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Where to write it: *.csv, *.jsonl, *.html; may be repeated."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS,...", help="These records only, with their policies: an input for apply."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Write the report of a journal again, or that of some of its records."""
    from batchpol.journal import outcomes, sends
    from batchpol.report import check_report, write_report

    chosen = _statuses(only or [])
    if not report:
        raise UsageError("there is no place for the report", hint="name one with --report, say --report report.csv")
    for path in report:
        if path.resolve() == journal.resolve():
            raise UsageError(f"{path} is the journal itself", hint="name another file with --report")
        check_report(path)
    reserve_output(report)
    section = _section(journal)
    for note in section.notes:
        tell(f"note: {said(note)}")
    for path in report:
        write_report(
            outcomes(journal, section),
            path,
            columns=section.columns,
            only=chosen,
            about=section.about(),
            sends=sends(journal),
        )
    counts = {status: count for status, count in section.counts().items() if not chosen or status in chosen}
    write(f"{sum(counts.values()):,} of {len(section):,} records: {_words(counts)}")
    for path in report:
        tell(f"report: {visible(str(path))}")


def status(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help="Of a run that ended, was killed or goes on.")],
    output: Annotated[str, typer.Option(metavar="text|json", help="Form of what is said on standard output.")] = "text",
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Say how far the run of a journal is, and what to do next."""
    if output not in ("text", "json"):
        raise UsageError(f"--output is text or json, not {output!r}")
    from batchpol.journal import is_held

    held = is_held(journal)  # first: a run that ends meanwhile has then ended in what is read
    section = _section(journal)
    for note in section.notes:
        tell(f"note: {said(note)}")
    standing = _standing(journal, section, held)
    write(json.dumps(_as_json(standing)) if output == "json" else "\n".join(_lines(standing)))


def _statuses(only: list[str]) -> list[Status]:
    words = [word.strip() for words in only for word in words.split(",") if word.strip()]
    for word in words:
        if word not in set(Status):
            hint = did_you_mean(word, Status) or f"there are {', '.join(Status)}"
            raise UsageError(f"--only: there is no status {visible(repr(word))}", hint=hint)
    return [Status(word) for word in dict.fromkeys(words)]


def _section(journal: Path) -> Section:
    from batchpol.journal import scan

    section = scan(journal)
    if section is None:
        raise UsageError(f"the journal {journal} is empty: no run has written into it yet")
    return section


@dataclass(slots=True)
class _Standing:
    """How far a run is. ``left`` counts the records it still means to send, ``targets`` those of each target.

    ``interval`` is the time between its latest requests in seconds, None where there are too few; ``seconds`` what
    is left of a run that goes on, at the present pace.
    """

    journal: Path
    section: Section
    held: bool
    last_sent: str = ""
    interval: float | None = None
    targets: dict[str, tuple[int, int]] = field(default_factory=dict)
    causes: list[Cause] = field(default_factory=list)
    can_go_on: bool = False
    seconds: float | None = None

    @property
    def state(self) -> str:
        """In a few words: what the run does, or how it ended."""
        section = self.section
        if self.held and section.end is None:
            return "running" if section.planned else "running: reading the input"
        if self.held:
            return "another run has begun, and reads the input"
        if section.end is not None:
            return section.end.reason
        return "killed before its end" if section.planned else "killed while it read the input"


def _standing(journal: Path, section: Section, held: bool) -> _Standing:
    found = _Standing(journal, section, held, can_go_on=bool(section.left) or section.planned is None)
    sent = _times(journal, section)
    if sent:
        found.last_sent = max(sent).isoformat(timespec="seconds")
    if len(sent) > 1:
        found.interval = (max(sent) - min(sent)).total_seconds() / (len(sent) - 1)
    counts = section.counts()
    planned = section.planned.targets if section.planned else ()
    if len(planned) > 1 or any(counts.get(status) for status in _BAD):
        _look_closer(found)
    else:
        found.targets = {f"{to.account}/{to.region}": (section.left, to.changes) for to in planned}
    if held and section.end is None and section.planned:
        period = float(section.run.options.get("period", 1.0))
        pace = max(period, found.interval or 0.0) if len(planned) == 1 else period
        found.seconds = max((left for left, _ in found.targets.values()), default=0) * pace
    return found


def _times(journal: Path, section: Section) -> list[datetime]:
    """When the latest requests left."""
    from batchpol.journal import Intent, latest

    texts = [it.at if isinstance(it, Intent) else it.started_at for it in latest(journal, section, LATEST)]
    return [datetime.fromisoformat(text) for text in texts if text]


def _look_closer(found: _Standing) -> None:
    """What takes reading every row: what is left of each target, what went wrong, what would be sent again."""
    from batchpol.journal import outcomes
    from batchpol.model import Outcome
    from batchpol.report import Summary

    left: Counter[tuple[str, str]] = Counter()

    def counted() -> Iterator[Outcome]:
        for outcome in outcomes(found.journal, found.section):
            if outcome.status is Status.NOT_ATTEMPTED:
                left[outcome.account, outcome.region] += 1
            yield outcome

    summary = Summary.of(counted())
    found.causes = [cause for cause in summary.causes if cause.status in _BAD]
    found.can_go_on = found.can_go_on or summary.can_go_on
    planned = found.section.planned.targets if found.section.planned else ()
    found.targets = {
        f"{to.account}/{to.region}": (min(left[to.account, to.region], to.changes), to.changes) for to in planned
    }


def _lines(found: _Standing) -> list[str]:
    section, run = found.section, found.section.run
    where = f" at {run.endpoint}" if run.endpoint else ""
    kind = "embedded SES, " if run.sandbox else ""
    lines = [
        f"input:    {visible(run.input) or '(records of a program)'}",
        f"journal:  {visible(str(found.journal))}",
        f"run:      {run.run_id}, started {run.at} by process {run.pid} on {visible(run.host)}",
        f"place:    {kind}account {run.options.get('account', '?')}, Region {run.options.get('region', '?')}{where}",
        f"state:    {said(found.state)}",
        f"records:  {len(section):,}: {_words(section.counts())}",
    ]
    if found.last_sent:
        lines.append(f"sent:     last at {found.last_sent}" + _pace(found))
    if found.seconds is not None:
        lines.append(f"left:     {section.left:,} to send, about {duration(found.seconds)}")
    if len(found.targets) > 1:
        by_left = sorted(found.targets.items(), key=lambda item: -item[1][0])
        lines += [f"  {target}: {left:,} of {changes:,} left" for target, (left, changes) in by_left[:SHOWN]]
        lines += [f"  ... and {len(by_left) - SHOWN:,} more targets"] if len(by_left) > SHOWN else []
    for cause in found.causes[:SHOWN]:
        message = said(cause.examples[0].message)[:160]
        lines.append(f"  {cause.count:,} {cause.status} {visible(cause.error_code)}: {message}")
    return [*lines, f"next:     {_next(found)}"]


def _pace(found: _Standing) -> str:
    if not found.interval:
        return ""
    return f", {1 / found.interval:.2g} a second lately" if found.interval < 1 else f", every {found.interval:.1f} s"


def _words(counts: dict[Status, int]) -> str:
    return ", ".join(f"{count:,} {status.words}" for status, count in counts.items()) or "none"


def _next(found: _Standing) -> str:
    """The command to type next."""
    journal = shlex.quote(str(found.journal))
    if found.held:
        return visible(f"batchpol status {journal}, or stop it: kill {found.section.run.pid} (it can be resumed)")
    if found.section.run.sandbox:
        return "nothing: the embedded SES is gone; the same command starts over"
    if found.can_go_on:
        return visible(f"{_again(found)} (goes on; what went through is not sent again)")
    if found.causes or Status.REJECTED in found.section.counts():
        return visible(f"batchpol report {journal} --only failed,rejected --report mend.csv, mend, apply mend.csv")
    return visible(f"nothing is left to do; batchpol report {journal} --report report.csv")


def _again(found: _Standing) -> str:
    """The run's own command, but for what would start over; without it, as much as the journal knows."""
    given = found.section.run.options.get("command")
    if isinstance(given, list | tuple) and given:
        return shlex.join(str(word) for word in given if word != "--fresh")
    return shlex.join(["batchpol", "apply", found.section.run.input, "--journal", str(found.journal)])


def _as_json(found: _Standing) -> dict[str, Any]:
    section, run = found.section, found.section.run
    return {
        "input": run.input,
        "journal": str(found.journal),
        "run_id": run.run_id,
        "started_at": run.at,
        "pid": run.pid,
        "host": run.host,
        "sandbox": run.sandbox,
        "endpoint": run.endpoint or None,
        "account": run.options.get("account"),
        "region": run.options.get("region"),
        "running": found.held,
        "state": spelled(found.state),
        "exit_code": section.end.exit_code if section.end else None,
        "ended_at": section.end.at if section.end else None,
        "records": len(section),
        "counts": {status.value: section.counts().get(status, 0) for status in Status},
        "left": section.left,
        "last_sent": found.last_sent or None,
        "seconds_between_requests": found.interval,
        "seconds_left": found.seconds,
        "targets": [
            {"target": target, "changes": changes, "left": left} for target, (left, changes) in found.targets.items()
        ],
        "can_go_on": found.can_go_on and not run.sandbox,
        "next": _next(found),
        "read_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
