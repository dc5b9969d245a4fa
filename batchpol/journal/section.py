"""One section of a journal read back: where each record and its fate stand, and the rows of the report.

A section keeps 17 bytes a record in memory; documents stay in the file.
"""

from __future__ import annotations

import os
import shlex
from array import array
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from weakref import finalize

import msgspec

from batchpol.journal.chain import Chain, line_at
from batchpol.journal.entries import (
    End,
    Intent,
    OutcomeEntry,
    Planned,
    RecordEntry,
    Run,
    Same,
    decode_fate,
    decode_outcome,
    decode_record,
)
from batchpol.journal.peek import ColumnsLine, NotePeek, OutcomePeek, RecordColumns, decode_columns
from batchpol.model import Fate, Outcome, Status
from batchpol.model.errors import JournalDamaged

STATUSES = tuple(Status)
CODE_OF = {status.value: code for code, status in enumerate(STATUSES)}
"""Place of a status in :data:`STATUSES`, by its text: hashing an enum's member takes a Python call."""
MOST_COLUMNS = 1000
LONGEST_COLUMN = 256
"""Bounds on the extra columns that records bring, in number and in characters of a name."""
UNANSWERED = "NoAnswerRecorded"
"""Error code of a record whose request was sent and whose answer was never written down."""
LANE_STOPPED = "lane_stopped"
"""Kind of the note that says why a target got no more requests; its data name the target and the error code."""

_NOT_ATTEMPTED = CODE_OF[Status.NOT_ATTEMPTED.value]
_UNKNOWN = CODE_OF[Status.UNKNOWN.value]
_FAILED = CODE_OF[Status.FAILED.value]
_HELD = frozenset(CODE_OF[status.value] for status in (Status.APPLIED, Status.UNCHANGED, Status.UNKNOWN))
_AMENDED = frozenset(CODE_OF[status.value] for status in (Status.REJECTED, Status.DUPLICATE))
_NOWHERE = 0
"""Offset of no fate: a run's header stands there."""


@dataclass(slots=True)
class Section:
    """One start of the command, as far as it got.

    ``record_at`` and ``fate_at`` hold, by record number, the byte offsets of the record's line and of its last
    outcome, or of its last intent where no outcome followed; 0 where there is neither. ``state`` holds the
    status as its place in :data:`STATUSES`. ``brought`` counts those that this run brought to an outcome, and
    ``under_way`` has the numbers of those that it sent and that have none.
    ``stopped`` says of targets that stopped alone why they did, as error code and text.
    ``notes`` are sentences for people. ``at`` is where its header stands: what stands before that is taken
    over from earlier sections.
    """

    run: Run
    at: int = 0
    planned: Planned | None = None
    end: End | None = None
    record_at: array[int] = field(default_factory=lambda: array("Q"))
    fate_at: array[int] = field(default_factory=lambda: array("Q"))
    state: bytearray = field(default_factory=bytearray)
    brought: int = 0
    under_way: set[int] = field(default_factory=set)
    stopped: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    _columns: dict[str, int] = field(init=False)  # with the number of the first record that has it, or -1
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.state)

    def __post_init__(self) -> None:
        self._columns = dict.fromkeys(self.run.columns, -1)

    @property
    def columns(self) -> tuple[str, ...]:
        """The extra columns: those of the header, then those that records brought (JSON Lines has no header)."""
        return tuple(self._columns)

    @property
    def sheet(self) -> str:
        """How a table of the run is to be written; see :class:`~batchpol.journal.entries.Run`."""
        return self.run.sheet

    def met(self, names: Iterable[str], number: int) -> None:
        """Take in the extra columns of a record; those beyond the bounds do not become columns."""
        for name in names:
            if len(self._columns) < MOST_COLUMNS and len(name) <= LONGEST_COLUMN:
                self._columns.setdefault(name, number)

    def repeat(self, before: Section, same: Same, fd: int, *, fates: bool) -> None:
        """Take records over from the section before, with or without what became of them there."""
        taken = same.taken(len(self), len(before))
        self.record_at += before.record_at[taken]
        self.fate_at += before.fate_at[taken]
        self.state += before.state[taken]
        for number in range(taken.start, taken.stop):
            if self.fate_at[number] != _NOWHERE and not (fates and before._holds(number, fd)):
                self.fate_at[number] = _NOWHERE
                self.state[number] = before._first_state(number, fd)
        for name, number in before._columns.items():
            if 0 <= number < same.records:
                self.met((name,), number)

    def _holds(self, number: int, fd: int) -> bool:
        """Whether a record's last line says something of what SES holds, and is an outcome."""
        state = self.state[number]
        if state == _FAILED:
            return decode_outcome(line_at(fd, self.fate_at[number])).attempts > 0
        return state in _HELD and number not in self.under_way

    def _first_state(self, number: int, fd: int) -> int:
        """The state of a record before it had any outcome."""
        if self.state[number] not in _AMENDED:
            return _NOT_ATTEMPTED
        verdict = decode_record(line_at(fd, self.record_at[number])).verdict
        return CODE_OF[verdict] if verdict else _NOT_ATTEMPTED

    def brought_by(self, fd: int) -> Iterator[tuple[int, str]]:
        """Each extra column with the number, in the whole input, of the record that brought it; -1 for the header."""
        for name, number in self._columns.items():
            yield _number(decode_record(line_at(fd, self.record_at[number]))) if number >= 0 else -1, name

    def statuses(self) -> list[Status]:
        """The status of each record, by number."""
        return [STATUSES[code] for code in self.state]

    def counts(self) -> dict[Status, int]:
        """How many records are in each status; a status of which there is none is left out."""
        found = {status: self.state.count(code) for code, status in enumerate(STATUSES)}
        return {status: count for status, count in found.items() if count}

    def doubt(self) -> None:
        """Call no record unsent of which nothing is written: lines that are lost may have told of it."""
        for number, at in enumerate(self.fate_at):
            if at == _NOWHERE and self.state[number] == _NOT_ATTEMPTED:
                self.state[number] = _UNKNOWN

    @property
    def left(self) -> int:
        """How many records the run still means to send, or meant to when it ended."""
        planned = sum(target.changes for target in self.planned.targets) if self.planned else 0
        return max(0, planned - self.brought - len(self.under_way))

    def about(self) -> dict[str, str]:
        """Facts about the run as text, for the top of a report; what is not known is left out."""
        run, end, options = self.run, self.end, self.run.options
        command = options.get("command")
        facts = {
            "input": run.input,
            "account": str(options.get("account", "")),
            "region": str(options.get("region", "")),
            "caller": str(options.get("caller", "")),
            "sandbox": "an embedded SES (sandbox)" if run.sandbox else "",
            "endpoint": run.endpoint,
            "started_at": run.at,
            "ended_at": end.at if end else "",
            "reason": end.reason if end else "",
            "command": shlex.join(map(str, command)) if isinstance(command, list | tuple) else "",
            "run_id": run.run_id,
            "period": str(options.get("period", "")),
        }
        return {name: fact for name, fact in facts.items() if fact}

    def outcomes(self, fd: int) -> Iterator[Outcome]:
        """The report's rows in input order, read from the journal's descriptor one by one."""
        for number, (record_at, fate_at) in enumerate(zip(self.record_at, self.fate_at, strict=True)):
            record = decode_record(line_at(fd, record_at))
            if fate_at == _NOWHERE:
                yield _outcome(record, self._unsaid(record, STATUSES[self.state[number]]))
                continue
            fate = decode_fate(line_at(fd, fate_at))
            if fate_at < self.at and isinstance(fate, OutcomeEntry):
                fate.carried = True
            yield _outcome(record, _unanswered(fate) if isinstance(fate, Intent) else fate)

    def latest(self, fd: int, most: int) -> list[OutcomeEntry | Intent]:
        """What was written down last of the records sent in this section, oldest first; at most ``most`` lines."""
        fates = (decode_fate(line_at(fd, at)) for at in sorted(nlargest(most, self.fate_at)) if at > self.at)
        return [fate for fate in fates if isinstance(fate, Intent) or (fate.attempts and not fate.carried)]

    def _unsaid(self, record: RecordEntry, status: Status) -> Fate:
        """The fate of a record of which nothing was written down but itself."""
        fate = Fate(status=status)
        if status is Status.UNKNOWN:
            fate.error_code, fate.retryable = UNANSWERED, True
            fate.message = "lines of the journal are lost, so that it may have been sent; sending it again is safe"
        elif status is Status.NOT_ATTEMPTED:
            stopped = self.stopped.get((record.account, record.region))
            if stopped is not None:
                fate.error_code, text = stopped
                fate.message = f"not sent: its target stopped before its turn ({text})"
            elif self.end is not None:
                fate.message = f"not sent: the run ended before its turn ({self.end.reason})"
        return fate


class Rows(Collection[Outcome]):
    """The rows of a section, read from its journal each time they are gone through; the file stays open until then.

    Args:
        fd: the journal's descriptor, closed with this.
    """

    def __init__(self, section: Section, fd: int) -> None:
        self._section, self._fd = section, fd
        finalize(self, os.close, fd)

    def __len__(self) -> int:
        return len(self._section)

    def __iter__(self) -> Iterator[Outcome]:
        yield from self._section.outcomes(self._fd)  # whoever goes through them keeps the file open

    def __contains__(self, outcome: object) -> bool:
        return any(outcome == it for it in self)


def _unanswered(intent: Intent) -> Fate:
    return Fate(
        status=Status.UNKNOWN,
        error_code=UNANSWERED,
        message="sent, but the run ended before an answer was written down; sending it again is safe",
        attempts=intent.attempt,
        started_at=intent.at,
        retryable=True,
    )


def _number(record: RecordEntry) -> int:
    """The record's number in the whole input."""
    return record.n if record.whole is None else record.whole


def _outcome(record: RecordEntry, fate: Fate) -> Outcome:
    outcome = Outcome(
        number=_number(record),
        line=record.line,
        identity=record.identity,
        policy_name=record.policy_name,
        region=record.region,
        account=record.account,
        action=record.action,
        sha256=record.sha256,
        extra=record.extra,
        policy=record.policy,
        status=fate.status,
    ).adopt(fate)
    outcome.findings = record.findings + fate.findings
    return outcome


def read_section(chain: Chain, *, damaged: bool = False) -> Section | None:
    """The section a report is about, or None in a journal without one.

    That is the last one that read its whole input; a resume that died or was stopped while it was still reading has
    sent nothing, and the section before it is the truth. With ``damaged`` it is read as far as it is good.
    """
    sections = _Sections(chain)
    try:
        for offset, block in chain.blocks():
            sections.take(offset, block)
    except JournalDamaged:
        if not damaged:
            raise
    return sections.chosen()


class _Sections:
    """Keeps the section under way and the last one before it that read its whole input."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._settled: Section | None = None
        self._current: Section | None = None
        self._anew = False
        """Whether a run since the settled section looks, or looked, at all anew."""

    def take(self, offset: int, block: bytes) -> None:
        """Go through a block of verified lines."""
        try:
            self._take(decode_columns(block), offset, block)
        except (msgspec.DecodeError, LookupError, ValueError) as error:
            raise self._chain.undecodable(repr(error)) from error

    def _take(self, entries: list[ColumnsLine], offset: int, block: bytes) -> None:
        # One plain loop with few look-ups: it is passed three million times for a million records.
        section, end_of = self._current, block.find
        stop = 0
        for entry in entries:
            at, stop = offset + stop, end_of(b"\n", stop) + 1
            if section is None:
                section = self._begin(entry, at)
            elif type(entry) is OutcomePeek:  # quicker than isinstance()
                section.fate_at[entry.n] = at
                section.state[entry.n] = CODE_OF[entry.status]
                if section.planned is not None:
                    section.brought += 1
                    section.under_way.discard(entry.n)
            elif type(entry) is Intent:
                section.fate_at[entry.n] = at
                section.state[entry.n] = _UNKNOWN
                section.under_way.add(entry.n)
            elif type(entry) is RecordColumns:
                if entry.n != len(section.state):
                    raise ValueError(f"record {entry.n} stands where {len(section.state)} was due")
                section.record_at.append(at)
                section.fate_at.append(_NOWHERE)
                section.state.append(CODE_OF[entry.verdict] if entry.verdict else _NOT_ATTEMPTED)
                if not entry.extra.keys() <= section._columns.keys():
                    section.met(entry.extra, entry.n)
            elif isinstance(entry, Run):
                section = self._begin(entry, at)
            elif isinstance(entry, Same):
                if self._settled is None:
                    raise ValueError("its records are to be those of a section before it, and there is none")
                section.repeat(self._settled, entry, self._chain.fd, fates=not self._anew)
            elif isinstance(entry, Planned):
                section.planned = entry
            elif isinstance(entry, NotePeek):
                if entry.kind == LANE_STOPPED:
                    data = entry.data
                    target = str(data.get("account", "")), str(data.get("region", ""))
                    section.stopped[target] = str(data.get("error_code", "")), entry.text
            elif isinstance(entry, End):
                section.end = entry

    def chosen(self) -> Section | None:
        """The section to report, told of a torn tail and of a later run that got nowhere."""
        section = self._current
        if section is not None and section.planned is None and self._settled is not None:
            later, section = section.run, self._settled
            section.notes.append(
                f"a later run (process {later.pid} on {later.host}, started {later.at}) has not read its whole "
                "input, and sent nothing; this is the run before it"
            )
        if section is not None and self._chain.torn:
            section.notes.append(torn_note(self._chain.torn))
        return section

    def _begin(self, run: ColumnsLine, at: int) -> Section:
        if not isinstance(run, Run):
            raise ValueError("its first line begins no run")
        self._chain.check_format(run.format)
        if self._current is not None and self._current.planned is not None:
            self._settled, self._anew = self._current, False
        self._anew = self._anew or run.anew
        self._current = Section(run, at)
        return self._current


def torn_note(size: int) -> str:
    """What is said of a tail that a crash left behind."""
    return f"the journal's last line was incomplete ({size} bytes, never fully written) and is left out"
