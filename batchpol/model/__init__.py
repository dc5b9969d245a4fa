"""The words of the project as types: record, finding, target, change, outcome.

Nothing here knows files, clocks, AWS or asyncio. Every other module speaks in these types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Self

import msgspec

MAX_POLICIES = 20
"""Policies that one identity can have, and so what one call reads of them (SES Developer Guide, Policy anatomy)."""

ACCOUNT_ID = "[0-9]{12}"
"""The pattern of an account id, for longer ones to hold (IAM User Guide, AWS account identifiers)."""

JOURNAL_MAGIC = b'{"t":"run","format":'
"""How a journal begins, so that none is taken for a list of records, or replaced."""


class Severity(StrEnum):
    """How bad a finding is: an ``error`` rejects its record, a ``warning`` is reported and the record is sent."""

    ERROR = "error"
    WARNING = "warning"


class Action(StrEnum):
    """What a record asks for."""

    PUT = "put"
    DELETE = "delete"


class Status(StrEnum):
    """The fate of one record; every record of an input ends in exactly one of these."""

    APPLIED = "applied"
    """SES took it: the policy is there (put) or gone (delete)."""
    UNCHANGED = "unchanged"
    """What was asked for is there already; nothing was written."""
    REJECTED = "rejected"
    """Invalid by our own check; never sent."""
    FAILED = "failed"
    """SES refused it, in its own words, or throttled it until the attempts were used up."""
    UNKNOWN = "unknown"
    """Sent, and no answer says whether it took effect."""
    DUPLICATE = "duplicate"
    """The same change as an earlier record of the input; sent once, for that one."""
    NOT_ATTEMPTED = "not_attempted"
    """Valid, and never sent: the run ended before its turn."""

    @property
    def words(self) -> str:
        """As people read it."""
        return self.value.replace("_", " ")


UNDONE = frozenset({Status.NOT_ATTEMPTED, Status.UNKNOWN})
"""Fates after which nobody can say that what was asked for is there, or will not be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong (error) or doubtful (warning) with a record.

    ``code`` is stable; ``batchpol help validate`` lists them. ``where`` is ``identity``, ``policy_name``, ``policy``,
    another column's name, ``record`` (the line as a whole) or a JSON pointer into the document
    (``/Statement/0/Action``). ``message`` names the value; ``hint`` is the mend, or empty.
    """

    severity: Severity
    code: str
    where: str
    message: str
    hint: str = ""

    @property
    def text(self) -> str:
        """The message, with the mend behind it where there is one."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of validation, as ``batchpol validate`` explains it; findings carry its code."""

    code: str
    severity: Severity
    title: str
    """One line, as in the manual's table."""
    source: str
    """Where the rule comes from: the documentation page or what was observed."""
    why: str
    """The rule and its reason, in a paragraph."""
    bad: str
    """A smallest example that breaks it."""
    good: str
    """The same example, mended."""
    always: bool = False
    """Without it no request can be formed, so ``ignore`` has no effect on it."""

    def at(self, where: str, message: str, hint: str = "") -> Finding:
        """This rule's finding at ``where``; nothing a terminal would obey is left in message and hint."""
        return Finding(self.severity, self.code, where, visible(message), visible(hint))


def rules_in(module: Mapping[str, object]) -> tuple[Rule, ...]:
    """The rules that a module (its ``vars()``) has so far, in their order."""
    return tuple(it for it in module.values() if isinstance(it, Rule))


class Record(msgspec.Struct):
    """One row or line of input as read, before any check.

    (A Struct of msgspec's, since a dataclass takes a microsecond longer to make, a twentieth of a validation.)

    ``policy`` is the document's text exactly as it was written (empty for a delete). ``region`` and ``account``
    are the optional columns. ``line`` is the 1-based line of ``file`` on which the record begins. ``problems``
    are what the reader itself could not accept (broken JSON line, wrong column count …); such a record is
    rejected and its other fields hold whatever could still be read.
    """

    identity: str
    policy_name: str
    policy: str = ""
    action: str = "put"
    region: str | None = None
    account: str | None = None
    line: int = 0
    file: str = ""
    extra: Mapping[str, str] = {}
    problems: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One account and Region: what the limit of one request a second belongs to. Empty parts are not known yet."""

    account: str
    region: str

    def __str__(self) -> str:
        return f"{self.account or '(account unknown)'}/{self.region or '(Region unknown)'}"


@dataclass(slots=True)
class Change:
    """A valid, canonical record: what will be sent. (Not frozen only because that costs 2 µs a record.)

    ``number`` is the record's 0-based place in the input. ``identity`` is as it is sent; ``key_identity`` is
    its canonical name for comparing (domain in lower case, an ARN's last part). ``document`` is the policy text
    to send, as written or losslessly minified; empty for a delete. ``if_match`` is what must be there for it to be
    sent: the meaning digest of a document, ``absent``, or empty for anything. ``prune`` marks the deletion of what the
    input does not have, ``makes_room`` one without which its identity would have too many policies.
    """

    number: int
    line: int
    target: Target
    identity: str
    key_identity: str
    policy_name: str
    action: Action
    document: str
    sha256: str
    if_match: str = ""
    prune: bool = False
    makes_room: bool = False


_is_account_id = re.compile(ACCOUNT_ID).fullmatch


def is_account_id(text: str) -> bool:
    """Whether this has the form of an account id: 12 digits."""
    return _is_account_id(text) is not None


def if_match_of(extra: Mapping[str, str]) -> str:
    """What a record's column ``if_match`` says, however its name is spelled: overlooked, it would be overridden."""
    for name, cell in extra.items():
        if name.strip().casefold() == "if_match":
            return cell.strip()
    return ""


class Fate(msgspec.Struct, kw_only=True):
    """What became of one record: a line of the journal and a row of the report both say this, and derive from it.

    ``started_at`` is the wall-clock time (ISO 8601, UTC) at which the last attempt left, ``duration_ms`` that
    attempt's round trip in milliseconds; both are empty/None where nothing was sent. ``retryable`` says that
    the same request may succeed later. ``carried`` says that it is an earlier run's: nothing was sent in this one.
    """

    status: Status
    error_code: str = ""
    message: str = ""
    attempts: int = 0
    request_id: str = ""
    started_at: str = ""
    duration_ms: float | None = None
    retryable: bool = False
    findings: tuple[Finding, ...] = ()
    carried: bool = False
    effect: str = ""
    """What the write did, or would do: create, update, unchanged or delete; empty where nothing was read before."""

    def adopt(self, other: Fate) -> Self:
        """Say all of this as another one does: a line and its row differ in how they say which record it is."""
        for name in FATE:
            setattr(self, name, getattr(other, name))
        return self


FATE = Fate.__struct_fields__

EFFECTS = {"delete": "deleted", "create": "created", "update": "updated", "write": "written"}
"""What applying a record did, and as people read it: what is gone first. ``write`` where nothing was read before."""


class Outcome(Fate, kw_only=True):
    """The fate of one record, and which record that is: a row of the report.

    ``number`` is the record's 0-based place in the input. ``sha256`` is the SHA-256 of the document's UTF-8 bytes as
    sent. ``findings`` are all of the record's.
    """

    number: int
    line: int
    identity: str
    policy_name: str
    region: str = ""
    account: str = ""
    action: str = "put"
    sha256: str = ""
    extra: Mapping[str, str] = {}
    policy: str = ""

    @property
    def would_be_sent(self) -> bool:
        """Of a plan: whether nothing stands in the way of its effect."""
        return bool(self.effect) and self.status in (Status.NOT_ATTEMPTED, Status.UNCHANGED)

    @property
    def did(self) -> str:
        """Which of :data:`EFFECTS` it had; empty for a record that was not applied."""
        if self.status is not Status.APPLIED:
            return ""
        done = "delete" if self.action == Action.DELETE else self.effect
        return done if done in EFFECTS else "write"


def shown(value: object, limit: int = 80) -> str:
    """A value of the input as messages quote it: at most ``limit`` characters, nothing a terminal would obey.

    Text stands in double quotes, with control characters, direction marks and lone surrogates escaped; a list or
    an object is only named, so that hostile depth or length costs nothing.
    """
    match value:
        case str():
            return f'"{excerpt(value, limit)}"'
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case dict():
            return "an object"
        case list() | tuple():
            return "a list"
        case int() if abs(value) >> 128:
            return "a huge number"
    return str(value)[:limit]


def excerpt(text: str, limit: int = 80) -> str:
    """The beginning of a text of the input, at most ``limit`` characters, as it can be shown to people."""
    return visible(text) if len(text) <= limit else visible(text[:limit]) + "…"


def visible(text: str, escaped: Callable[[str], str] = ascii) -> str:
    """``text`` with nothing in it that a terminal would obey or nobody could see (control characters, direction marks).

    Such characters are written as ``escaped`` spells them, in quotation marks that are left out.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else escaped(c)[1:-1] for c in text)


def did_you_mean(word: str, known: Iterable[str], *, before: str = "", cutoff: float = 0.75) -> str:
    """The hint that names the known word most like a faulty one, or ``""``; ``before`` is put before that word."""
    by_lower = {it.lower(): it for it in sorted(known)}
    low = word[:80].lower()
    swapped = [it for it in by_lower if it[:1] == low[:1] and sorted(it) == sorted(low)]
    near = swapped or get_close_matches(low, by_lower, n=1, cutoff=cutoff)
    right = by_lower[near[0]] if near else word
    return f"did you mean {before}{right}?" if before + right != word and near else ""


def placed(where: str, findings: Iterable[Finding]) -> list[Finding]:
    """The same findings with ``where`` put before their own place."""
    return [Finding(it.severity, it.code, where + it.where, it.message, it.hint) for it in findings]


def pointer(*tokens: str | int) -> str:
    """A JSON pointer (RFC 6901) of these keys and list indices; overlong keys are cut with an ellipsis."""
    return "".join(f"/{_token(t) if isinstance(t, str) else t}" for t in tokens)


def _token(key: str) -> str:
    cut = key if len(key) <= 80 else key[:80] + "…"
    return cut.replace("~", "~0").replace("/", "~1")
