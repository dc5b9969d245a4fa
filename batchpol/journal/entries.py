"""The kinds of line a journal holds, as types: format 2.

Member names are short but readable, and members that hold their default are left out. The checksum member that
ends each line belongs to :mod:`batchpol.journal.chain`. ``n`` is everywhere the record's 0-based number within
its section; times are ISO 8601, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from batchpol.model import Action, Change, Fate, Finding, Outcome, Record, Target, if_match_of

FORMAT = 2
"""Version of the format of a new journal. Every version up to it is read, and gone on with in its own format."""
REPEATS = 2
"""The format since which a section need not write the records again that stand in the one before it."""

Number = Annotated[int, msgspec.Meta(ge=0)]


class _Line(msgspec.Struct, tag_field="t", omit_defaults=True):
    """One line of the journal."""


class Run(_Line, tag="run"):
    """Begins a section: one start of the command. A resume appends a new section to the same file.

    ``endpoint`` is the URL the requests go to (empty: AWS's own), ``options`` what the run was asked to do,
    ``columns`` the input's extra columns in their order. ``input_path`` leads from the journal's folder to the input,
    by which it is known again; it is empty for what is no file. ``anew`` says that the section before it had come to
    its end, so that nothing is taken over from it: what is there may have changed since. ``shard`` is the number of the
    part of the input that the section has, and of how many; None for the whole. ``sheet`` is how the program that
    wrote the input wants a table: with a byte order mark, with semicolons between cells.
    """

    format: Number
    run_id: str
    at: str
    version: str = ""
    pid: int = 0
    host: str = ""
    input: str = ""
    sandbox: bool = False
    endpoint: str = ""
    options: Mapping[str, Any] = {}
    columns: tuple[str, ...] = ()
    anew: bool = False
    input_path: str = ""
    shard: tuple[int, int] | None = None
    sheet: str = ""


class RecordEntry(_Line, tag="record"):
    """One record of the section's input, whatever its verdict; numbers run 0, 1, 2 … without a gap.

    ``verdict`` is empty for a valid record, else the status it ends with unless an outcome says otherwise later
    (``rejected`` or ``duplicate``). What the run itself added, to prune what the input does not have, has the line 0;
    ``room`` says that its identity would have too many policies without it. In a shard, ``whole`` is
    its 0-based number in the whole input, and of what was added that of its target's first record.
    For a valid record ``identity`` and ``policy`` are as they will be sent.
    """

    n: Number
    line: int
    identity: str
    policy_name: str
    key: str = ""
    account: str = ""
    region: str = ""
    action: str = "put"
    policy: str = ""
    sha256: str = ""
    verdict: str = ""
    extra: Mapping[str, str] = {}
    findings: tuple[Finding, ...] = ()
    room: bool = False
    whole: int | None = None

    @classmethod
    def of(cls, change: Change, *, extra: Mapping[str, str], findings: tuple[Finding, ...]) -> RecordEntry:
        """The line of a valid record."""
        return cls(
            n=change.number,
            line=change.line,
            identity=change.identity,
            policy_name=change.policy_name,
            key=change.key_identity,
            account=change.target.account,
            region=change.target.region,
            action=change.action.value,
            policy=change.document,
            sha256=change.sha256,
            extra=extra,
            findings=findings,
            room=change.makes_room,
        )

    def record(self) -> Record:
        """The same, to be asked for again."""
        place = self.region or None, self.account or None
        return Record(self.identity, self.policy_name, self.policy, self.action, *place, extra=self.extra)

    def change(self) -> Change:
        """What is to be sent; only for a valid record (a rejected one may ask for an action there is not)."""
        return Change(
            number=self.n,
            line=self.line,
            target=Target(self.account, self.region),
            identity=self.identity,
            key_identity=self.key,
            policy_name=self.policy_name,
            action=Action(self.action),
            document=self.policy,
            sha256=self.sha256,
            if_match=if_match_of(self.extra),
            prune=self.line == 0,
            makes_room=self.room,
        )


class Same(_Line, tag="same"):
    """The records below this number are those of the last section that was planned, byte for byte; since format 2.

    So is what became of them, if it says something of what SES holds (applied, unchanged, unknown, or failed after an
    attempt), up to an outcome in this section; but not where a run since then, or this one, looks at all anew.
    """

    records: Number

    def taken(self, first: int, there: int) -> slice:
        """Which of the ``there`` records of that section are taken over where ``first`` stand already.

        Raises:
            ValueError: there are not so many.
        """
        if not first <= self.records <= there:
            raise ValueError(f"{self.records} records are to be those of the section before, which has {there}")
        return slice(first, self.records)


class TargetCount(msgspec.Struct, frozen=True):
    """How many changes a section means to send to one target."""

    account: str
    region: str
    changes: int


class Planned(_Line, tag="planned"):
    """Ends the first pass, durable before the first request: a section without it sent nothing."""

    records: int
    input_sha256: str = ""
    targets: tuple[TargetCount, ...] = ()


class Intent(_Line, tag="intent"):
    """An attempt is about to be sent; durable before the request leaves. ``at`` has milliseconds."""

    n: Number
    attempt: int
    at: str


class Before(_Line, tag="before"):
    """What a write is about to replace; durable before it. ``policy`` is None where nothing was there."""

    n: Number
    policy: str | None = None


class OutcomeEntry(_Line, Fate, tag="outcome"):
    """The fate of a record; the last one of a number in a section counts.

    ``findings`` are those that came after the record's own line was written (a conflict with a later record).
    """

    n: Number

    @classmethod
    def of(cls, outcome: Outcome) -> OutcomeEntry:
        """The line of an outcome whose findings are only those that the record's own line does not have."""
        return cls(n=outcome.number, status=outcome.status).adopt(outcome)


class Note(_Line, tag="note"):
    """Something the run's reader should know: a lane that widened its period, say."""

    at: str
    text: str
    kind: str = ""
    data: Mapping[str, Any] = {}


FINISHED = "finished"
"""The reason of an end that nothing cut short."""


class End(_Line, tag="end"):
    """The run ended by itself: :data:`FINISHED`, ``interrupted``, ``terminated`` or ``stopped: …``."""

    at: str
    reason: str
    exit_code: int = 0


Entry = Run | RecordEntry | Same | Planned | Intent | Before | OutcomeEntry | Note | End

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Entry).decode
decode_lines = msgspec.json.Decoder(Entry).decode_lines
decode_record = msgspec.json.Decoder(RecordEntry).decode
decode_outcome = msgspec.json.Decoder(OutcomeEntry).decode
decode_fate = msgspec.json.Decoder(OutcomeEntry | Intent).decode


def scrubbed(entry: Entry) -> Entry:
    """The same entry with lone surrogates replaced by U+FFFD: they have no UTF-8, so no line can hold them.

    Only text that was rejected can hold any, so nothing that is sent is changed.
    """
    clean: Entry = msgspec.convert(_scrub(msgspec.to_builtins(entry)), Entry)
    return clean


def _scrub(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_scrub(key): _scrub(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_scrub(member) for member in value]
    return value
