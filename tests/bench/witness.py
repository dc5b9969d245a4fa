"""The judge of the kill test: what the server saw, held against what a journal and its report say.

The server's log is the truth; a document is known by the SHA-256 of its text. The journal is read here as JSON, line
by line, so that its own readers are judged, too.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from batchpol.journal import outcomes
from batchpol.model import Outcome, Status
from batchpol.sandbox.arrivals import Arrival, read_arrivals

Key = tuple[str, str]
"""Identity and policy name; an identity lives in one target here."""

NOTHING = ""
"""Where a digest would be, if there were a policy."""

DONE = {Status.APPLIED, Status.UNCHANGED}
WRITES = {"PutIdentityPolicy", "DeleteIdentityPolicy"}
GATES = WRITES, {"GetIdentityPolicies"}, {"ListIdentityPolicies"}, {"GetIdentityVerificationAttributes"}
MOST = 20
"""Policies of an identity."""
BLURRED = 2.0
"""Periods by which requests may seem early on a machine under load."""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Write(NamedTuple):
    """A write that took effect, what was there just before it, and what after."""

    place: int
    wall: float
    key: Key
    before: str
    after: str


class Seen:
    """What the server logged so far, and what it therefore holds."""

    def __init__(self, log: Path) -> None:
        self.arrivals: Sequence[Arrival] = read_arrivals(log) if log.exists() else ()
        self.writes: list[Write] = []
        self.holds: dict[Key, str] = {}
        for place, it in enumerate(self.arrivals):
            if it.applied and it.operation in WRITES:
                key = it.identity, it.policy_name
                self.writes.append(Write(place, it.wall, key, self.holds.get(key, NOTHING), it.sha256))
                self.holds[key] = it.sha256

    def at(self, place: int) -> dict[Key, str]:
        """What was held just before an arrival."""
        return {write.key: write.after for write in self.writes if write.place < place}


class Intent(NamedTuple):
    """What the journal says was about to be sent, and what was read to be there, if it was read (else None)."""

    wall: float
    key: Key
    image: str | None
    makes_room: bool


@dataclass
class Book:
    """The journal, read as JSON: every intent, and the documents that may be sent to a policy."""

    intents: dict[Key, list[Intent]] = field(default_factory=lambda: defaultdict(list))
    documents: dict[Key, set[str]] = field(default_factory=lambda: defaultdict(set))
    finished: bool = False
    """Whether the last run came to its end."""
    planned: bool = False
    """Whether it had read its input to the end."""

    @classmethod
    def of(cls, *journals: Path) -> Book:
        """What stands in a journal, or in those of several shards."""
        book = cls()
        for journal in journals:
            book._read(journal)
        return book

    def _read(self, journal: Path) -> None:
        images = dict[int, str]()
        records, planned = dict[int, dict[str, str]](), dict[int, dict[str, str]]()
        for line in journal.read_bytes().splitlines() if journal.exists() else ():
            try:
                entry = json.loads(line[line.index(b"{") :])
            except ValueError:
                continue  # torn by the kill
            number = entry.get("n", -1)
            self.finished = entry["t"] == "end" and entry["reason"] == "finished"
            if entry["t"] == "run":
                records, images, self.planned = {}, {}, False
            elif entry["t"] == "same":
                records |= {number: it for number, it in planned.items() if number < entry["records"]}
            elif entry["t"] == "planned":
                planned, self.planned = records, True
            elif entry["t"] == "record":
                records[number] = entry
                self.documents[_key(entry)].add(_digest(entry.get("policy")))
            elif entry["t"] == "before":
                images[number] = _digest(entry.get("policy"))
                self.documents[_key(records[number])].add(images[number])  # to be put back, where it made room
            elif entry["t"] == "intent":
                at, key = datetime.fromisoformat(entry["at"]).timestamp(), _key(records[number])
                room = bool(records[number].get("room"))
                self.intents[key].append(Intent(at, key, images.pop(number, None), room))


def _key(entry: Mapping[str, str]) -> Key:
    return entry["identity"], entry["policy_name"]


def _digest(policy: str | None) -> str:
    return digest(policy) if policy else NOTHING


@dataclass
class Batch:
    """An input with its journal, as the judge knows them, and what its starts left in the server's log.

    Attributes:
        asked: what each record wants to be there.
        allowed: what may be there before a write, where a record says so.
        homes: the target of each identity, account and Region.
        began: where in the log the first start began.
        since: where the last start began that came after one which ended of itself.
        done: what the last start left done, which none may send again.
    """

    input: Path
    asked: dict[Key, str]
    allowed: dict[Key, set[str]]
    homes: Mapping[str, tuple[str, str]]
    lines: list[int]
    period: float
    stale: float
    prunes: bool = False
    began: int = 0
    since: int = 0
    start: int = 0
    done: set[Key] = field(default_factory=set)

    @property
    def journal(self) -> Path:
        return self.input.with_suffix(".journal.jsonl")

    @property
    def journals(self) -> list[Path]:
        """All that the book is read from: of a batch with shards there are several."""
        return [self.journal]

    def judge(self, seen: Seen, *, ended: bool) -> Iterator[str]:
        """Everything that is not as it must be after a start, which ended of itself or was killed."""
        book, rows = Book.of(*self.journals), self.rows()
        mine = [it for it in seen.writes if it.place >= self.began]
        if ended and book.planned and sorted(row.line for row in rows if row.line) != self.lines:
            yield "the report has not every line once"
        for row in rows:
            yield from (f"{row.identity} {row.policy_name}: {text}" for text in self._of_row(row, seen, mine))
        yield from self._sent(seen, book)
        yield from self._images(mine, book)
        yield from self._conditions(mine)
        yield from self._prunes(seen, book)
        yield from self._paced(seen)

    def rows(self) -> list[Outcome]:
        return list(outcomes(self.journal)) if self.journal.exists() and self.journal.stat().st_size else []

    def asked_by(self, row: Outcome) -> Key | None:
        """The key of a row if it is what the input asks for as it is now."""
        key = row.identity, row.policy_name
        return key if self.asked.get(key) == (NOTHING if row.action == "delete" else row.sha256) else None

    def _of_row(self, row: Outcome, seen: Seen, mine: Sequence[Write]) -> Iterator[str]:
        """What a row claims and is not so."""
        key = row.identity, row.policy_name
        asked = NOTHING if row.action == "delete" else row.sha256
        written = [it for it in mine if it.key == key]
        if row.status is Status.APPLIED and not (written and written[-1].after == asked):
            yield "reported applied, and the server never took it, or took something else since"
        elif row.status is Status.UNCHANGED and seen.holds.get(key, NOTHING) != asked:
            yield "reported unchanged, and the server holds something else"
        elif row.status in (Status.FAILED, Status.NOT_ATTEMPTED) and written:
            if written[-1].place >= self.since and written[-1].after == asked != written[-1].before:
                yield f"reported {row.status}, and we put it there"
        elif row.status is Status.REJECTED and written:
            yield "reported rejected, and was sent"
        elif row.status is Status.UNKNOWN and not row.attempts:
            yield "reported unknown, and was never sent"

    def _sent(self, seen: Seen, book: Book) -> Iterator[str]:
        """Nothing arrives that the journal did not know before; what was done is not sent again."""
        arrived = defaultdict[Key, list[float]](list)
        for place, it in enumerate(seen.arrivals[self.began :], self.began):
            if it.operation not in WRITES:
                continue
            key = it.identity, it.policy_name
            arrived[key].append(it.wall)
            if it.sha256 not in book.documents[key]:
                yield f"{key} was sent a document that the journal does not have"
            if it.account and (it.account, it.region) != self.homes[it.identity]:
                yield f"{key} was sent to {it.account} {it.region}"
            if place >= self.start and key in self.done:
                yield f"{key} was done and sent again"
        for key, walls in arrived.items():
            meant = [it.wall for it in book.intents[key]]
            for count, wall in enumerate(sorted(walls), 1):
                if sum(at <= wall + 0.001 for at in meant) < count:
                    yield f"{key} was sent before the journal knew it, or without"

    def _images(self, mine: Sequence[Write], book: Book) -> Iterator[str]:
        """What is written down as replaced is what was replaced."""
        for key, intents in book.intents.items():
            for intent in intents:
                first = next((it for it in mine if it.key == key and it.wall >= intent.wall - 0.001), None)
                if intent.image is None or first is None:
                    continue
                if any(it.image is not None and intent.wall < it.wall <= first.wall for it in intents):
                    continue  # that attempt never left, and what was there was read again
                replaced = {first.before}
                if first.before == first.after:  # sent once more after nobody answered: it replaces what that one did
                    replaced |= {it.before for it in mine if it.key == key and it.place < first.place}
                if intent.image not in replaced:
                    yield f"{key}: the before-image is not what was replaced"

    def _conditions(self, mine: Sequence[Write]) -> Iterator[str]:
        for it in mine:
            if it.place < self.since or it.before == it.after or it.key not in self.allowed:
                continue
            if it.before not in self.allowed[it.key]:
                yield f"{it.key}: written though if_match does not hold"

    def _prunes(self, seen: Seen, book: Book) -> Iterator[str]:
        """What the input does not have goes when all is there that it has, or to make room for it."""
        for it in seen.writes:
            if it.place < self.start or it.after != NOTHING or it.key in self.asked or it.before == NOTHING:
                continue
            held = {key: after for key, after in seen.at(it.place).items() if key[0] == it.key[0] and after}
            asked = {key: after for key, after in self.asked.items() if key[0] == it.key[0]}
            if not self.prunes:
                yield f"{it.key} was deleted, and nobody asked for that"
            elif any(held.get(key, NOTHING) != after for key, after in asked.items()):
                wanting = sum(bool(after) for key, after in asked.items() if key not in held)
                if not book.intents[it.key][-1].makes_room or len(held) + wanting <= MOST:
                    yield f"{it.key} was pruned before all was there that the input has"

    def _paced(self, seen: Seen) -> Iterator[str]:
        """No attempt passes ungated: those of one gate and target arrive a period apart.

        A server that had no turn for a while sees two at once, and that is no news; more than two are, and so are two
        now and then, which are not made up for.
        """
        due: dict[tuple[int, str, str], float] = defaultdict(float)
        for it in seen.arrivals[self.start :]:
            gate = next((number for number, names in enumerate(GATES) if it.operation in names), None)
            if gate is None or not it.account:
                continue
            bucket = gate, it.account, it.region
            if it.at < due[bucket] - BLURRED * self.period:
                yield f"{it.operation} for {it.identity} came too soon after those before"
            due[bucket] = max(due[bucket], it.at) + self.period

    def restored(self, seen: Seen, undo: Batch) -> Iterator[str]:
        """After an undo, all that the batch wrote is as it was before."""
        before = seen.at(self.began)
        for key in {it.key for it in seen.writes if self.began <= it.place < undo.began}:
            if seen.holds[key] != before.get(key, NOTHING):
                yield f"{key} is not as it was before, after undo"
