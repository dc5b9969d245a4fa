"""The first pass: every record of the input checked and written into the journal, before anything is sent.

What is left in memory is, per change that is to be sent, the place of its record in the journal; the documents stay
there until their turn. Changes of one identity are brought together in the order in which their identities first
came, so that one read serves up to 20 of them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import merge
from itertools import compress, islice, takewhile
from threading import Event
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from batchpol.batch.options import Options
from batchpol.facts import read_facts
from batchpol.journal import (
    Earlier,
    Journal,
    OutcomeEntry,
    Planned,
    RecordEntry,
    Repeats,
    Run,
    TargetCount,
)
from batchpol.model import Action, Change, Record, Severity, Status, Target, if_match_of
from batchpol.model.keyindex import KeyIndex, key_of
from batchpol.rewriting.saved import Approved
from batchpol.sending.prunes import WITHHELD
from batchpol.source import RULES as SOURCE_RULES
from batchpol.validation import Amendment, Checked, Checker, Sharding, Verdict

DONE = frozenset({Status.APPLIED, Status.UNCHANGED})
"""Fates that a resume does not repeat."""

AT_ONCE = 100
"""Records checked on the event loop before others have their turn: some milliseconds' worth."""

READING = 0.5
"""Seconds that a first pass cut short is given to finish the record in hand; an input that is silent has none."""

Records = Iterable[Record] | AsyncIterable[Record]


async def read_through(records: Records) -> None:
    """Read an input to its end for its digest alone."""
    if isinstance(records, AsyncIterable):
        async for _ in records:
            pass
    else:
        await anyio.to_thread.run_sync(deque, records, 0)


@dataclass(slots=True)
class Backlog:
    """The changes that the first pass leaves for one target, as places in the journal, in the order of their going."""

    offsets: array[int] = field(default_factory=lambda: array("Q"))
    deletes: int = 0
    """How many of them delete; known from :meth:`close` on."""
    _deletes: bytearray = field(default_factory=bytearray)
    _identities: array[int] = field(default_factory=lambda: array("Q"))
    _sorted: bool = True

    def add(self, offset: int, identity_first_seen: int, *, deletes: bool = False, first: bool = False) -> None:
        """Add a change; ``first`` puts it before the others of its identity."""
        self._deletes.append(deletes)
        place = 2 * identity_first_seen + (not first)
        self._sorted = self._sorted and (not self._identities or place >= self._identities[-1])
        self.offsets.append(offset)
        self._identities.append(place)

    def __len__(self) -> int:
        return len(self.offsets)

    def keep(self, wanted: Callable[[int], bool]) -> None:
        """Leave out the changes at places that are not wanted; only before :meth:`close`."""
        kept = [wanted(offset) for offset in self.offsets]
        self.offsets = array("Q", compress(self.offsets, kept))
        self._identities = array("Q", compress(self._identities, kept))
        self._deletes = bytearray(compress(self._deletes, kept))

    def cut(self, last: int) -> None:
        """Leave out what stands behind the place ``last``; only before :meth:`close`."""
        count = bisect_right(self.offsets, last)
        del self.offsets[count:], self._identities[count:], self._deletes[count:]

    def close(self) -> None:
        """Bring the changes of one identity together, each identity's in the order of the input."""
        if not self._sorted:
            order = sorted(range(len(self.offsets)), key=self._identities.__getitem__)
            self.offsets = array("Q", (self.offsets[place] for place in order))
        self.deletes = sum(self._deletes)
        self._identities, self._deletes = array("Q"), bytearray()

    def changes(self, journal: Journal) -> Iterator[Change]:
        """The changes, read back from the journal one by one."""
        for offset in self.offsets:
            yield journal.read_record(offset).change()


@dataclass(slots=True)
class Resumed:
    """What a resume found in the journal: records done, to be sent again, and refused by SES before."""

    done: int = 0
    again: int = 0
    refused: int = 0


def checking(options: Options, here: Target, *, alone: bool = False) -> Callable[[Record], Checked]:
    """What makes of a record what a template says, and checks it.

    Args:
        here: the target of records that name none, unless the run has several Regions.
        alone: whether each record is by itself, and no other's duplicate.

    Raises:
        UsageError: there is no such finding code, or no such place.
    """
    if options.saved is not None:
        return _checked_before
    regions, default = options.connection.regions, default_of(options, here)
    several = default.region == ""
    served = frozenset(regions) if several else frozenset[str]()
    return checking_at(options, default, require_target=True, regions=served, alone=alone)


def checking_at(options: Options, target: Target, **more: Any) -> Callable[[Record], Checked]:
    """The same offline: with the target of records that name none, and what else :class:`Checker` takes."""
    doubts = read_facts(options.connection.facts).doubts
    checker = Checker(options.checks, target=target, also=SOURCE_RULES, doubts=doubts, **more)
    if options.template is None:
        return checker.check
    fill = options.template.filler(target)
    return lambda record: checker.check(fill(record))


def _checked_before(record: Record) -> Checked:
    """A record of a saved plan as it was when that was made."""
    assert isinstance(record, Approved)
    return Checked(record.change.number, record, Verdict.VALID, record.change, record.problems)


def sharding(options: Options, here: Target) -> Sharding | None:
    """What tells the records of the run's shard from all others; None where it has no shard. See :func:`checking`."""
    shard = options.keeping.shard
    return Sharding([shard], default_of(options, here)) if shard is not None else None


def default_of(options: Options, here: Target) -> Target:
    """The place of records that name none; without a Region where the run has several."""
    return Target(here.account, "") if len(options.connection.regions) > 1 else here


class Intake:
    """Takes records in, one by one, and knows at the end what is to be sent where.

    Args:
        options: every choice of the run.
        check: see :func:`checking`.
        sharding: tells the records of a shard from those of the others; None for a whole input.
        journal: where every record is written down, and what earlier runs left in it.
        run: the header of this one.
    """

    def __init__(
        self,
        options: Options,
        check: Callable[[Record], Checked],
        journal: Journal,
        run: Run,
        sharding: Sharding | None = None,
    ) -> None:
        self._limit, self._retries = options.reading.limit, options.keeping.retry_failed
        self._prunes, self._check, self._journal = options.conduct.prune, check, journal
        self.compares = options.conduct.reads
        self._written = Repeats(journal, run)
        self._sharding, self._passed_over = sharding, 0
        self._first_of: dict[Target, int] = {}
        self._identities = KeyIndex()
        self._states = bytearray()
        self._dropped: set[int] = set()
        self._unfit: set[tuple[Target, str]] = set()
        self._backlogs: dict[Target, Backlog] = {}
        self.names: dict[Target, dict[str, dict[str, Action]]] = {}
        """Where there is something to prune: the policy names that the input has and what it asks for, in its order,
        by target and identity."""
        self.records = 0
        self.to_send = 0
        self.pruned = 0
        self.warnings = 0
        self.resumed = Resumed()
        self.first_rejected: list[Checked] = []

    async def take_all(self, records: Records, wanted: Callable[[], bool]) -> None:
        """Take records in as long as more are wanted, off the loop unless they are here already, and few."""
        if isinstance(records, list) and len(records) <= AT_ONCE:
            for record in takewhile(lambda _: wanted(), records):
                self.take(record)
            return
        if isinstance(records, AsyncIterable):
            async for record in records:
                if not wanted():
                    return
                self.take(record)
                if self.records % AT_ONCE == 0:
                    await anyio.lowlevel.checkpoint()
            return
        cancelled, ended = Event(), Event()

        def take_each() -> None:
            try:
                for record in records:
                    if cancelled.is_set():
                        return
                    self.take(record)
            finally:
                ended.set()

        try:
            await anyio.to_thread.run_sync(take_each, abandon_on_cancel=True)
        finally:
            cancelled.set()
            if not ended.is_set():
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(ended.wait, READING)

    def take(self, record: Record) -> None:
        """Check one record, write it down, and put it into the backlog if it is to be sent."""
        if self._sharding is not None and not self._sharding.has(record):
            self._passed_over += 1
            return
        checked = self._check(record)
        self.records += 1
        self._states.append(_STATES.index(checked.status))
        self.warnings += any(finding.severity is Severity.WARNING for finding in checked.findings)
        if checked.status is Verdict.REJECTED and len(self.first_rejected) < 20:
            self.first_rejected.append(checked)
        entry = entry_of(checked)
        if self._sharding is not None:
            entry.whole = checked.number + self._passed_over
        offset, fate = self._written.write(entry, checked.change)
        if checked.change is not None and checked.change.prune:
            self._place_prune(checked.change, offset, fate)
        elif checked.change is not None:
            extra = checked.record.extra
            self._place(checked.change, offset, fate, conditional=bool(extra and if_match_of(extra)))
            if self._prunes:
                self._keep(checked.change)
        for amendment in checked.amends:
            self._amend(amendment)

    @property
    def unclear(self) -> Record | None:
        """The first record of which it is not certain whose policy it has: a rejected one, or one that any shard may
        have been meant by."""
        rejected = self.first_rejected[0].record if self.first_rejected else None
        return rejected or (self._sharding.nowhere if self._sharding is not None else None)

    def _keep(self, change: Change) -> None:
        self._first_of.setdefault(change.target, change.number + self._passed_over)
        self.names.setdefault(change.target, {}).setdefault(change.key_identity, {})[change.policy_name] = change.action

    def _place(self, change: Change, offset: int, fate: Earlier | None, *, conditional: bool) -> None:
        if fate is not None and not self._is_due(fate, conditional=conditional):
            if fate.status not in DONE:
                self._unfit.add((change.target, change.key_identity))
            return
        self._enqueue(change, offset)

    def _enqueue(self, change: Change, offset: int, *, first: bool = False) -> None:
        self.to_send += 1
        target = change.target
        backlog = self._backlogs.setdefault(target, Backlog())
        key = key_of(target.account, target.region, change.key_identity)
        place = self._identities.setdefault(key, change.number)
        backlog.add(offset, place, deletes=change.action is Action.DELETE, first=first)

    def prune(self, target: Target, identity: str, policy_name: str, *, makes_room: bool = False) -> None:
        """Have a policy deleted that the input does not have; that gets a number behind all records.

        It goes last of its identity's changes, so that what takes its place is there before, or makes room for it.
        Beyond the limit, and where something that the input has was refused by an earlier run, it is only written
        down, as records are.
        """
        change = Change(
            number=self.records,
            line=0,
            target=target,
            identity=identity,
            key_identity=identity,
            policy_name=policy_name,
            action=Action.DELETE,
            document="",
            sha256=sha256(b"").hexdigest(),
            prune=True,
            makes_room=makes_room,
        )
        self.records += 1
        self._states.append(_STATES.index(Verdict.VALID))
        self._written.end()
        entry = RecordEntry.of(change, extra={}, findings=())
        entry.whole = self._first_of[target] if self._sharding is not None else None
        self._place_prune(change, *self._written.write(entry, change))

    def _place_prune(self, change: Change, offset: int, fate: Earlier | None) -> None:
        if fate is not None and fate.status in DONE:  # and listed still, since lists may show the past
            self.resumed.done += 1
        elif (change.target, change.key_identity) in self._unfit:
            if fate is not None:
                return
            withheld = OutcomeEntry(n=change.number, status=Status.NOT_ATTEMPTED)
            withheld.error_code, withheld.message = WITHHELD.code, str(WITHHELD)
            self._journal.append(withheld)
        elif self._limit is None or self.to_send < self._limit:
            self.pruned += 1
            self._enqueue(change, offset, first=change.makes_room)

    def _is_due(self, fate: Earlier, *, conditional: bool) -> bool:
        """Whether a change that was asked for before is to be sent again.

        One that expects something to be there is looked at each time, and costs no write where it is done: the same
        thing may have been undone more than once.
        """
        if conditional:
            self.resumed.again += 1
            return True
        if fate.status in DONE:
            self.resumed.done += 1
            return False
        if fate.status is Status.FAILED and not fate.retryable:
            self.resumed.refused += 1
            return self._retries
        self.resumed.again += 1
        return True

    def _amend(self, amendment: Amendment) -> None:
        """A later record changed what an earlier one is: a conflict rejects both."""
        self._dropped.add(amendment.number)
        self._states[amendment.number] = _STATES.index(amendment.status)
        self._written.say()
        self._journal.append(
            OutcomeEntry(
                n=amendment.number,
                status=Status(amendment.status.value),
                error_code=amendment.finding.code,
                message=amendment.finding.message,
                findings=(amendment.finding,),
            )
        )

    def close(self, input_sha256: str = "") -> dict[Target, Backlog]:
        """End the first pass, durably; returns what is to be sent, by target in order of appearance."""
        if self._dropped:
            for backlog in self._backlogs.values():
                backlog.keep(lambda offset: self._journal.read_record(offset).n not in self._dropped)
            self.to_send = sum(map(len, self._backlogs.values()))
        if self._limit is not None and self._limit < self.to_send:
            self._cut(self._limit)
        for backlog in self._backlogs.values():
            backlog.close()
        backlogs = {target: backlog for target, backlog in self._backlogs.items() if backlog}
        counts = tuple(TargetCount(to.account, to.region, len(backlog)) for to, backlog in backlogs.items())
        self._written.end()
        self._journal.append(Planned(records=self.records, input_sha256=input_sha256, targets=counts))
        self._journal.sync()
        return backlogs

    def _cut(self, limit: int) -> None:
        """Keep the first ``limit`` changes of the input, now that it is known which ones are valid."""
        backlogs = self._backlogs.values()
        last = next(islice(merge(*(backlog.offsets for backlog in backlogs)), limit - 1, None)) if limit else -1
        for backlog in backlogs:
            backlog.cut(last)
        self.pruned = max(0, self.pruned - (self.to_send - limit))  # they stand behind all records
        self.to_send = limit

    def counts(self) -> Counter[Verdict]:
        """How many records are valid, rejected and duplicate."""
        return Counter({verdict: self._states.count(code) for code, verdict in enumerate(_STATES)})


_STATES = tuple(Verdict)


def entry_of(checked: Checked) -> RecordEntry:
    """The journal's line of a record."""
    record, change = checked.record, checked.change
    if change is not None:
        return RecordEntry.of(change, extra=record.extra, findings=checked.findings)
    return RecordEntry(
        n=checked.number,
        line=record.line,
        identity=record.identity,
        policy_name=record.policy_name,
        account=record.account or "",
        region=record.region or "",
        action=record.action,
        policy=record.policy,
        verdict=checked.status.value,
        extra=record.extra,
        findings=checked.findings,
    )
