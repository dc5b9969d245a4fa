"""Short ways to say what stands in a journal, and what must follow from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from batchpol.journal import (
    Before,
    End,
    Entry,
    Intent,
    Journal,
    Note,
    OutcomeEntry,
    Planned,
    RecordEntry,
    Run,
    TargetCount,
)
from batchpol.model import Finding, Severity, Status

ACCOUNT, REGION = "111122223333", "eu-west-1"
REJECTION = Finding(Severity.ERROR, "identity-syntax", "identity", 'no identity: "a b"', "remove the blank")
WARNING = Finding(Severity.WARNING, "policy-principal-anyone", "/Statement/0/Principal", "anyone may send")


def digest(document: str) -> str:
    return hashlib.sha256(document.encode()).hexdigest()


def run(name: str = "first", **more: object) -> Run:
    header: dict[str, object] = {"format": 1, "run_id": name, "at": "2026-03-01T08:00:00Z", "pid": 4242, "host": "ant"}
    return Run(**(header | more))  # type: ignore[arg-type]


def record(n: int, identity: str = "", document: str = '{"a": 1}', **more: object) -> RecordEntry:
    identity = identity or f"tenant-{n}.example"
    fields: dict[str, object] = {
        "n": n,
        "line": n + 2,
        "identity": identity,
        "policy_name": "sending",
        "key": identity,
        "account": ACCOUNT,
        "region": REGION,
        "policy": document,
        "sha256": digest(document),
    }
    return RecordEntry(**(fields | more))  # type: ignore[arg-type]


def rejected(n: int) -> RecordEntry:
    return RecordEntry(
        n=n, line=n + 2, identity="a b", policy_name="sending", verdict="rejected", findings=(REJECTION,)
    )


def planned(records: int, changes: int) -> Planned:
    return Planned(records=records, targets=(TargetCount(ACCOUNT, REGION, changes),))


def intent(n: int, second: int = 0, attempt: int = 1) -> Intent:
    return Intent(n=n, attempt=attempt, at=f"2026-03-01T08:00:{second:02}.000Z")


def outcome(n: int, status: Status = Status.APPLIED, **more: object) -> OutcomeEntry:
    """Of a record that was sent, unless ``attempts`` say otherwise."""
    return OutcomeEntry(n=n, status=status, **{"attempts": 1, **more})  # type: ignore[arg-type]


def end(reason: str = "finished") -> End:
    return End(at="2026-03-01T09:00:00Z", reason=reason)


def sample() -> list[Entry]:
    """Three sections: one finished, one killed with a request under way, one resumed and interrupted."""
    return [
        run("finished", columns=("tenant",)),
        record(0, extra={"tenant": "Zoë"}),
        record(1, extra={"tenant": '=cmd|" "!A0'}, findings=(WARNING,)),
        rejected(2),
        planned(3, 2),
        intent(0, 1),
        outcome(0, attempts=1, request_id="r-0", started_at="2026-03-01T08:00:01.000Z", duration_ms=81.5),
        intent(1, 2),
        intent(1, 3, attempt=2),
        outcome(1, Status.FAILED, error_code="InvalidPolicy", message="Invalid principal", attempts=2),
        end(),
        run("killed"),
        record(0),
        record(1, document='{"a": 2}'),
        record(2, "new.example"),
        outcome(0, carried=True, attempts=1, request_id="r-0"),
        planned(3, 2),
        Before(n=1, policy='{"old": true}'),
        intent(1, 10),
        outcome(1, attempts=1),
        Before(n=2),
        intent(2, 11),
        run("resumed", options={"limit": 10}),
        record(0, "new.example"),
        record(1, "tenant-1.example", document='{"a": 2}'),
        record(2, "late.example"),
        record(3, "tenant-0.example", document='{"a": 9}'),
        outcome(1, carried=True, attempts=1),
        planned(4, 3),
        Note(at="2026-03-01T08:00:19Z", text="widened to 1.1 s", kind="widened", data={"period": 1.1}),
        intent(0, 20),
        outcome(0, Status.UNCHANGED),
        intent(3, 21),
        outcome(3, Status.FAILED, error_code="Throttling", attempts=5, retryable=True),
        end("interrupted"),
    ]


def write(path: Path, entries: Iterable[Entry]) -> Path:
    """A new journal of these entries."""
    with Journal.create(path) as journal:
        journal.append(*entries)
    return path


Change = tuple[str, str, str]
"""Identity, action and digest: what the changes of a test's journal differ in."""


def believed(entries: Iterable[Entry]) -> dict[Change, Status]:
    """The fate that a resume may believe of each change: the rules of :class:`History`, said the slow way."""
    fates: dict[str, tuple[Change, Status]] = {}
    section: list[RecordEntry] = []
    ended, sending = True, False

    def close() -> None:
        for mine in section:
            if not ended and sending and not mine.verdict and _change(mine) != fates.get(mine.key, (_change(mine),))[0]:
                del fates[mine.key]

    for entry in entries:
        match entry:
            case Run():
                close()
                section, ended, sending = [], False, False
            case Planned():
                sending = True
            case RecordEntry():
                section.append(entry)
            case Intent():
                fates[section[entry.n].key] = (_change(section[entry.n]), Status.UNKNOWN)
            case OutcomeEntry() if entry.status in ("applied", "unchanged", "failed", "unknown"):
                fates[section[entry.n].key] = (_change(section[entry.n]), entry.status)
            case End():
                ended = True
    close()
    return dict(fates.values())


def _change(entry: RecordEntry) -> Change:
    return entry.key, entry.action, entry.sha256


def told(journal: Journal, changes: Iterable[Change]) -> dict[Change, Status]:
    """What a resumed journal says of these changes."""
    found = {
        (key, action, sha256): journal.history.fate(ACCOUNT, REGION, key, "sending", action, sha256)
        for key, action, sha256 in changes
    }
    return {change: fate.status for change, fate in found.items() if fate is not None}


def changes_of(entries: Iterable[Entry]) -> set[Change]:
    return {_change(entry) for entry in entries if isinstance(entry, RecordEntry) and not entry.verdict}
