"""What people see of a journal: how far its run is, and what to do commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchpol.cli.screen import commands
from batchpol.cli.screen.commands import NextStep
from batchpol.cli.screen.terminal import counts_line, duration, moment, said
from batchpol.cli.spelling import spelled
from batchpol.journal import Intent, OutcomeEntry, Section, Started, is_held, latest, outcomes, runs, scan, section_of
from batchpol.model import EFFECTS, Outcome, Status, visible
from batchpol.model.remedies import remedy_of
from batchpol.report import Cause, Summary
from batchpol.report.rows import reason
from batchpol.report.summary import causes_json, shared_line

EVERY = 10.0
"""Seconds between two looks at what is followed."""

LATEST = 60
"""Requests from which the present rate is taken."""

QUIET = 10.0
"""Seconds without an answer after which nobody says how long a run takes yet."""

SHOWN = 10
"""Targets and causes shown; the report has everything."""

RUNS_SHOWN = 10
"""Runs shown: the last ones."""

_BAD = (Status.FAILED, Status.UNKNOWN)


@dataclass(slots=True)
class RunStatus:
    """How far a run is. ``left`` counts the records it still means to send, ``targets`` those of each target.

    ``interval`` is the time between its latest requests in seconds, None where there are too few; ``seconds`` what
    is left of a run that goes on, at the present pace. For ``quiet`` seconds nothing has come back that was due.
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
    runs: list[Started] = field(default_factory=list)
    quiet: float = 0.0

    @property
    def state(self) -> str:
        """In a few words: what the run does, or how it ended."""
        section = self.section
        if self.held and section.end is None:
            return "running" if section.planned else "running: reading the input"
        if self.held:
            return "another run has begun, and reads the input"
        if section.run.options.get("plan") and section.end is not None:
            return "a saved plan"
        if section.end is not None:
            return section.end.reason
        return "killed before its end" if section.planned else "killed while it read the input"


def status_of(journal: Path) -> RunStatus:
    """How far the run of a journal is. Raises UsageError, JournalError: it cannot be read, or has nothing yet."""
    held = is_held(journal)  # first: a run that ends meanwhile has then ended in what is read
    return _status(journal, section_of(journal), held)


def find_status(journal: Path) -> RunStatus | None:
    """The same; None where no run has written into it yet."""
    held = journal.exists() and is_held(journal)
    section = scan(journal) if journal.exists() else None
    return _status(journal, section, held) if section is not None else None


def _status(journal: Path, section: Section, held: bool) -> RunStatus:
    found = RunStatus(journal, section, held, can_go_on=bool(section.left) or section.planned is None)
    found.runs = runs(journal)
    entries = latest(journal, section, LATEST)
    sent = _times(entries)
    if sent:
        found.last_sent = max(sent).isoformat(timespec="seconds")
    if len(sent) > 1:
        found.interval = (max(sent) - min(sent)).total_seconds() / (len(sent) - 1)
    counts = section.counts()
    found.can_go_on = found.can_go_on or Status.NOT_ATTEMPTED in counts
    planned = section.planned.targets if section.planned else ()
    if len(planned) > 1 or any(counts.get(status) for status in _BAD):
        _look_closer(found)
    else:
        found.targets = {f"{to.account}/{to.region}": (section.left, to.changes) for to in planned}
    if held and section.end is None and section.planned:
        period = float(section.run.options.get("period", 1.0))
        pace = max(period, found.interval or 0.0) if len(planned) == 1 else period
        began = datetime.fromisoformat(section.run.at)
        found.quiet = (datetime.now(UTC) - came_back(entries, began)).total_seconds() - pace if sent else 0.0
        if found.quiet < QUIET:
            found.seconds = max((left for left, _ in found.targets.values()), default=0) * pace
    return found


def _times(entries: Iterable[OutcomeEntry | Intent]) -> list[datetime]:
    """When these requests left."""
    texts = [it.at if isinstance(it, Intent) else it.started_at for it in entries]
    return [datetime.fromisoformat(text) for text in texts if text]


def came_back(entries: Sequence[OutcomeEntry | Intent], began: datetime) -> datetime:
    """When something came back last, of some requests of a run: that one is tried again is no sign of it."""
    if answered := [it for it in entries if isinstance(it, OutcomeEntry)]:
        return max(_times(answered))
    again = any(isinstance(it, Intent) and it.attempt > 1 for it in entries)
    return began if again else min(_times(entries))


def _look_closer(found: RunStatus) -> None:
    """What takes reading every row: what is left of each target, what went wrong, what would be sent again."""
    left: Counter[tuple[str, str]] = Counter()

    def rows() -> Iterator[Outcome]:
        for outcome in outcomes(found.journal, found.section):
            if outcome.status is Status.NOT_ATTEMPTED:
                left[outcome.account, outcome.region] += 1
            yield outcome

    summary = Summary.of(rows())
    found.causes = [cause for cause in summary.causes if cause.status in _BAD]
    found.can_go_on = found.can_go_on or summary.can_go_on
    planned = found.section.planned.targets if found.section.planned else ()
    found.targets = {
        f"{to.account}/{to.region}": (min(left[to.account, to.region], to.changes), to.changes) for to in planned
    }


def line(found: RunStatus) -> str:
    """All of it in one line, for whoever follows the run."""
    section, left = found.section, ""
    if section.left:
        left = f"; {section.left:,} left" + (f", about {duration(found.seconds)}" if found.seconds is not None else "")
    if found.quiet >= QUIET:
        left += f"; nothing came back for {duration(found.quiet)}"
    return f"{datetime.now(UTC):%H:%M:%S} UTC: {said(found.state)}: {counts_line(section.counts())}{left}"


def lines(found: RunStatus) -> list[str]:
    """For people."""
    section, run = found.section, found.section.run
    where = f" at {run.endpoint}" if run.endpoint else ""
    kind = "embedded SES, " if run.sandbox else ""
    lines = [
        f"input:    {visible(run.input) or '(records of a program)'}",
        f"journal:  {visible(str(found.journal))}",
        f"run:      {run.run_id}, started {run.at} by process {run.pid} on {visible(run.host)}",
        f"place:    {kind}account {run.options.get('account', '?')}, Region {run.options.get('region', '?')}{where}",
        f"state:    {said(found.state)}",
        f"records:  {len(section):,}: {counts_line(section.counts())}",
        *_runs(found),
    ]
    if found.last_sent:
        lines.append(f"sent:     last at {found.last_sent}" + _pace(found))
    if found.quiet >= QUIET:
        lines.append(f"left:     {section.left:,} to send; nothing came back for {duration(found.quiet)}")
    elif found.seconds is not None:
        how_long = f", about {duration(found.seconds)}" if section.left else "; the last answers are awaited"
        lines.append(f"left:     {section.left:,} to send{how_long}")
    if len(found.targets) > 1 or f"{run.options.get('account')}/{run.options.get('region')}" not in found.targets:
        by_left = sorted(found.targets.items(), key=lambda item: -item[1][0])
        lines += [f"  {target}: {left:,} of {changes:,} left" for target, (left, changes) in by_left[:SHOWN]]
        lines += [f"  ... and {len(by_left) - SHOWN:,} more targets"] if len(by_left) > SHOWN else []
    for cause in found.causes[:SHOWN]:
        message = said(cause.examples[0].message)[:160]
        lines.append(f"  {cause.count:,} {cause.status} {visible(cause.error_code)}: {message}")
        lines += [f"    all of them: {said(shared_line(cause.shared))}"] if cause.shared else []
        lines.append(f"    -> {said(cause.remedy)}")
    first, *others = map(str, next_steps(found))
    return [*lines, f"next:     {first}", *(f"          {it}" for it in others)]


def _runs(found: RunStatus) -> list[str]:
    """Every run of the journal and what it did, the latest last; none where there was but one, that did nothing yet."""
    if found.section.run.options.get("plan") or (len(found.runs) == 1 and not found.runs[0].counts):
        return []
    left_out = len(found.runs) - RUNS_SHOWN
    more = [f"runs:     {len(found.runs):,}, the last {RUNS_SHOWN} of them:"] if left_out > 0 else ["runs:"]
    for it in found.runs[-RUNS_SHOWN:]:
        took = f", {duration(_seconds(it))}" if it.end else ""
        did = ", ".join(f"{count:,} {word.replace('_', ' ')}" for word, count in it.counts.items()) or "nothing sent"
        more.append(f"  {moment(it.run.at)}{took} ({it.run.run_id[:8]}): {did}")
    return more


def _seconds(it: Started) -> float:
    return (datetime.fromisoformat(it.end.at) - datetime.fromisoformat(it.run.at)).total_seconds() if it.end else 0.0


def _pace(found: RunStatus) -> str:
    if not found.interval:
        return ""
    return f", {1 / found.interval:.2g} a second lately" if found.interval < 1 else f", every {found.interval:.1f} s"


def next_steps(found: RunStatus) -> list[NextStep]:
    """What to do now, the most urgent first."""
    section, journal = found.section, found.journal
    if found.held:
        stop = NextStep("to stop it (it can be resumed)", ["kill", str(section.run.pid)])
        return [NextStep("to follow it", commands.follow(journal)), stop]
    if section.run.options.get("plan"):
        return [NextStep("to carry it out", commands.carry_out(str(journal), section.run))]
    if section.run.sandbox:
        return [NextStep("nothing: the embedded SES is gone; the same command starts over", [])]
    undo = [NextStep("to take the last run back", commands.undo(journal))] if _has_written(found) else []
    if found.can_go_on:
        command = commands.unlimited(commands.again(section.run, journal))
        purpose = "to go on (what went through is not sent again)"
        return [NextStep(purpose if command else f"{purpose}, make the same call with this journal", command), *undo]
    if found.causes or Status.REJECTED in section.counts():
        return [commands.how_to_mend("them", section.run, journal, section.counts()), *undo]
    return [NextStep("nothing is left to do; to write the report again", commands.report(journal)), *undo]


def _has_written(found: RunStatus) -> bool:
    return bool(found.runs and found.runs[-1].counts.keys() & set(EFFECTS.values()))


def failed(found: RunStatus) -> Iterator[dict[str, Any]]:
    """Every record that is rejected, failed or unknown, as plain values, with what to do about it."""
    for outcome in outcomes(found.journal, found.section):
        if outcome.status in (Status.REJECTED, *_BAD):
            code, message = reason(outcome)
            yield {
                "line": outcome.line or None,
                "status": outcome.status.value,
                "identity": outcome.identity,
                "policy_name": outcome.policy_name,
                "error_code": code or None,
                "message": message,
                "remedy": remedy_of(outcome.status, code),
            }


def failed_line(it: dict[str, Any]) -> str:
    """One of them, for people."""
    where = f"line {it['line']}" if it["line"] else "prune"
    what = f"{it['identity']} / {it['policy_name']}: {it['error_code']}: {it['message']}"
    return said(f"{where}: {it['status']}: {what} -> {it['remedy']}")


def as_json(found: RunStatus) -> dict[str, Any]:
    """For programs: plain values."""
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
        "runs": [it.as_json() for it in found.runs],
        "causes": causes_json(found.causes),
        "next": [step.as_json() for step in next_steps(found)],
        "read_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
