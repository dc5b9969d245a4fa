"""What must hold of a run, given what the world saw: small, slow, and meant to be obviously right.

Nothing here knows how a run works. A document is compared as text: the histories write each in one spelling.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from batchpol.model import Outcome, Record, Status
from batchpol.policy.comparison import matches
from tests.truth.runs import EPOCH, Place, Ran
from tests.truth.world import Key, World, Write

FRESH = 45.0
"""Seconds for which a read may be believed before its write: the promise of 30, a wait at the gate, and a retry."""

GOOD = (Status.APPLIED, Status.UNCHANGED, Status.DUPLICATE)


def asked(record: Record) -> str | None:
    """What a record wants to be there; None for nothing."""
    return None if record.action == "delete" else record.policy


def key_of(record: Record | Outcome) -> Key:
    return record.identity, record.policy_name


class Truth:
    """The rules, held against one run that is over or was killed."""

    def __init__(self, place: Place, records: Sequence[Record], ran: Ran) -> None:
        self.world: World = place.world
        self.place, self.records, self.ran = place, records, ran
        self.since = max((it.ended for it in place.ran if it.over and it.ended <= ran.began), default=0.0)
        """When the last run before this one came to its end: what was written since belongs to one go."""
        shown = [it for it in place.ran if it.began <= ran.began and it.planned][-1:] or [ran]
        over = max((it.ended for it in place.ran if it.over and it.ended <= shown[0].began), default=0.0)
        go = [it for it in place.ran if it.began >= over]
        self.begun = min(it.began for it in go)
        """When the first run of the go whose rows are shown began: what that found is gone on with."""
        self.looked = all(it.looks for it in go)
        """Whether every run of it looks at what is there."""

    def check(self) -> None:
        for _, row in self.settled():
            getattr(self, row.status.value)(row, self._record(row))
        self.images()
        self.conditions()
        if self.ran.result is not None:
            self.the_end()

    def settled(self) -> Iterator[tuple[int, Outcome]]:
        return enumerate(self.ran.rows)

    # -- what each status claims ---------------------------------------------------------------------------

    def applied(self, row: Outcome, record: Record) -> None:
        if self._is_believed(row):
            return
        mine, key = list(self._ours(key_of(row))), key_of(row)
        if not row.request_id:  # an attempt that nobody answered, and then it was there: by whomever
            held = [self.world.at(key, when) for when in (*(it.at for it in self._of(key)), self.ran.ended)]
            assert row.attempts and asked(record) in held, f"{row}: that was never there"
            return
        assert mine, f"{row} was never written"
        assert mine[-1].after == asked(record), f"{row}: what was written last is something else"

    def unchanged(self, row: Outcome, record: Record) -> None:
        if self._is_believed(row):
            return
        key, wanted = key_of(row), asked(record)
        since = self.begun - self.world.stale
        moments = [since, *(it.at for it in self._of(key)), self.ran.ended]
        seen = [self.world.at(key, when) for when in moments if since <= when]
        assert wanted in seen, f"{row}: that never held while it could have been read"
        last = next(iter(reversed(self._of(key))), None)
        assert last is None or not self._is_mine(last) or last.after == wanted or last.at > self.ran.ended, (
            f"{row}: our own write of something else stands"
        )

    def failed(self, row: Outcome, record: Record) -> None:
        self._not_there_through_us(row, record)

    def not_attempted(self, row: Outcome, record: Record) -> None:
        self._not_there_through_us(row, record)

    def rejected(self, row: Outcome, record: Record) -> None:
        assert not [it for it in self._ours(key_of(row)) if it.at >= self.ran.began], f"{row} was sent"

    def duplicate(self, row: Outcome, record: Record) -> None:
        pass

    def unknown(self, row: Outcome, record: Record) -> None:
        assert row.attempts, f"{row}: nobody can know, yet nothing was sent"

    def _not_there_through_us(self, row: Outcome, record: Record) -> None:
        last = next(iter(reversed(self._of(key_of(row)))), None)
        if last is not None and self._is_mine(last) and last.at > self.since:
            assert last.after != asked(record), f"{row}: it is there, and we put it there"

    # -- before-images and conditions ----------------------------------------------------------------------

    def images(self) -> None:
        """What is written down as replaced is what was replaced."""
        images = list(journalled_images(self.place.journal))
        for at, key, image in images:
            if not self.ran.began <= at <= self.ran.ended:
                continue
            first = next((it for it in self._ours(key) if it.at >= at and it.at <= self.ran.ended), None)
            if first is None or self._disturbed(key, first.at):
                continue
            if any(at < later <= first.at for later, whose, _ in images if whose == key):
                continue  # that attempt never left, and what was there was read again
            replaced = [first.before]
            if first.before == first.after:  # sent once more after nobody answered: it replaces what that one did
                replaced += [it.before for it in self._ours(key) if it.at < first.at and it.after == first.after]
            assert image in replaced, f"{key}: the before-image is not what was replaced"

    def conditions(self) -> None:
        """Nothing is overwritten that a record says must not be."""
        options = self.place.options
        for record in self.records:
            key = key_of(record)
            first = next((it for it in self._ours(key) if self.ran.began <= it.at <= self.ran.ended), None)
            if first is None or self._disturbed(key, first.at):
                continue
            wanted = record.extra.get("if_match", "")
            if first.before == first.after:
                continue  # sent once more after nobody answered
            assert not wanted or matches(wanted, first.before), f"{record}: written though if_match does not hold"
            assert not (options.get("no_clobber") and first.before is not None), f"{record}: overwritten"

    def _disturbed(self, key: Key, when: float) -> bool:
        """Whether somebody else wrote so lately that no read could have shown it."""
        horizon = when - self.world.stale - FRESH
        return any(horizon <= it.at <= when and not self._is_mine(it) for it in self._of(key))

    # -- the end -------------------------------------------------------------------------------------------

    def the_end(self) -> None:
        rows, result = self.ran.rows, self.ran.result
        assert result is not None
        if result.exit_code in (0, 1):
            assert len([row for row in rows if row.line]) == len(self.records), "not a row for every record"
        statuses = {row.status for row in rows}
        if result.exit_code == 0:
            assert statuses <= set(GOOD), f"exit code 0 with {statuses}"
        self.prunes()

    def prunes(self) -> None:
        """A policy that the input has not goes only when everything that it has for this identity is there."""
        if not self.place.options.get("prune"):
            return
        wanted = {key_of(record) for record in self.records}
        by_identity: dict[str, list[Outcome]] = {}
        for row in self.ran.rows:
            by_identity.setdefault(row.identity, []).append(row)
        gone = [it for it in self.world.writes if self._is_mine(it) and it.after is None and it.key not in wanted]
        for write in gone:
            if not self.ran.began <= write.at <= self.ran.ended or self._is_full(write.key[0]):
                continue
            puts = [row for row in by_identity.get(write.key[0], ()) if key_of(row) in wanted]
            bad = [row for row in puts if row.status not in GOOD]
            assert not bad, f"{write.key} was pruned although {bad}"

    def _is_full(self, identity: str) -> bool:
        return len(self.world.names(identity, self.ran.began)) + len(self.records) > self.world.limit

    # -- helpers -------------------------------------------------------------------------------------------

    def _record(self, row: Outcome) -> Record:
        """What was asked for; what the run itself added is to be gone."""
        pruned = Record(row.identity, row.policy_name, "", action="delete")
        return self.records[row.number] if row.number < len(self.records) else pruned

    def _is_believed(self, row: Outcome) -> bool:
        """Whether it is taken over from the journal: by a run that looks at nothing, or by one that did not come to
        looking at what such a one took over."""
        return row.carried and not (self.ran.looks if self.ran.over else self.looked)

    def _is_mine(self, write: Write) -> bool:
        """Whether it is of this journal's: what another one wrote is somebody else's to this one."""
        return write.journal == self.place.journal.name

    def _of(self, key: Key) -> list[Write]:
        return [it for it in self.world.writes if it.key == key]

    def _ours(self, key: Key) -> list[Write]:
        return [it for it in self._of(key) if self._is_mine(it)]


def journalled_images(journal: Path) -> Iterable[tuple[float, Key, str | None]]:
    """Every before-image of a journal: world time of the intent it stands before, whose it is, and the document."""
    if not journal.exists():
        return
    keys: dict[int, Key] = {}
    planned: dict[int, Key] = {}
    waiting: dict[int, str | None] = {}
    for line in journal.read_bytes().splitlines():
        try:
            entry = json.loads(line[line.index(b"{") :])
        except ValueError:
            continue  # torn by a kill
        match entry.get("t"):
            case "run":
                keys, waiting = {}, {}
            case "record":
                keys[entry["n"]] = entry["identity"], entry["policy_name"]
            case "same":
                keys |= {n: key for n, key in planned.items() if n < entry["records"]}
            case "planned":
                planned = keys
            case "before":
                waiting[entry["n"]] = entry.get("policy")
            case "intent" if entry["n"] in waiting:
                at = (datetime.fromisoformat(entry["at"]) - EPOCH).total_seconds()
                yield at - 0.002, keys[entry["n"]], waiting.pop(entry["n"])


def restored(place: Place, undo: Place) -> None:
    """After an undo that says all went well, what the journal's runs changed is as it was before them."""
    result = undo.ran[-1].result
    if result is None or result.exit_code != 0:
        return
    world, ours = place.world, {place.journal.name, undo.journal.name}
    since = [it for it in world.writes if it.at >= place.ran[0].began]
    for key in {it.key for it in since if it.journal == place.journal.name}:
        mine = [it for it in since if it.key == key]
        if all(it.journal in ours for it in mine):
            assert world.policies.get(key) == mine[0].before, f"{key} is not as it was before"


def nothing_left(place: Place, records: Sequence[Record], ran: Ran) -> None:
    """A plain run in clear air, long after everything: what it calls done holds, and the rest was refused anew."""
    assert ran.result is not None
    for row in ran.rows:
        if row.number >= len(records):
            continue
        record, there = records[row.number], place.world.policies.get(key_of(row))
        if row.status in (Status.APPLIED, Status.UNCHANGED):
            assert there == asked(record), f"{row}: it does not hold"
        else:
            refused = (
                row.policy_name in place.world.never
                or len(place.world.names(row.identity, place.time)) >= place.world.limit
                or record.extra.get("if_match")
                or row.status
                in (
                    Status.REJECTED,
                    Status.DUPLICATE,
                )
            )
            assert refused, f"{row}: nothing stood in its way"
