"""What a run came to: how many records in each status, and what went wrong, grouped by cause."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from batchpol.model import ACCOUNT_ID, EFFECTS, Outcome, Status, excerpt
from batchpol.model.remedies import remedy_of
from batchpol.report.rows import reason

Key = TypeVar("Key", bound=str)

EXAMPLES = 3
CAUSES_SHOWN = 20
"""Causes that people are shown; runs with more are read in the report."""

MOST_CAUSES = 200
"""Causes told apart; hostile messages cannot make more. What comes later counts for its status alone."""

WENT_WELL = frozenset({Status.APPLIED, Status.UNCHANGED, Status.DUPLICATE})
_VARYING = re.compile(
    r"""arn:[^\s"',]+            # ARNs
      | "[^"]*" | '[^']*' | `[^`]*` | <[^>]*>   # quoted values
      | [^\s@"']+@[^\s@"']+     # addresses
      | \d+(?:\.\d+)*""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Example:
    """One record that a cause struck."""

    line: int
    identity: str
    policy_name: str
    message: str


@dataclass(slots=True)
class _Common:
    """What all records that were taken in have in common, by what it is: one account, Region, domain and so on."""

    seen: bool = False
    values: dict[str, str] = field(default_factory=dict)
    principals: frozenset[str] = frozenset()

    def take(self, outcome: Outcome) -> None:
        """Keep what this record shares with those before it."""
        if not self.seen:
            self.seen, self.values = True, _traits(outcome)
            self.principals = frozenset(_PRINCIPAL.findall(outcome.policy))
            return
        if self.values:
            own = _traits(outcome)
            domain = _shared_domain(self.values.get("domain", ""), own["domain"])
            self.values = {name: value for name, value in self.values.items() if own[name] == value and value}
            if domain:
                self.values["domain"] = domain
        if self.principals:
            self.principals &= frozenset(_PRINCIPAL.findall(outcome.policy))

    def beside(self, others: _Common) -> dict[str, str]:
        """What these have in common that not all have."""
        found = {name: value for name, value in self.values.items() if value and others.values.get(name) != value}
        principals = ", ".join(sorted(self.principals - others.principals))
        return found | ({"principal": principals} if principals else {})


_PRINCIPAL = re.compile(rf'(?:arn:[a-z-]+:iam::{ACCOUNT_ID}:[^"]+|(?<="){ACCOUNT_ID}(?="))')
_LABELS = 2
"""Labels that a shared domain has at least: a top-level one says nothing."""


def _traits(outcome: Outcome) -> dict[str, str]:
    identity = outcome.identity.rpartition("identity/")[2]
    return {
        "account": outcome.account,
        "Region": outcome.region,
        "domain": identity.rpartition("@")[2].lower(),
        "policy name": outcome.policy_name,
    }


def _shared_domain(one: str, other: str) -> str:
    """The domain that both are in, if there is one."""
    if one == other:
        return one
    shared = list[str]()
    for a, b in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if a != b:
            break
        shared.append(a)
    return ".".join(reversed(shared)) if len(shared) >= _LABELS else ""


@dataclass(slots=True)
class Cause:
    """Records that share status, error code and, but for the values in it, message.

    ``shared`` is what else they have in common and not all records have, where they are several: words and values.
    """

    status: Status
    error_code: str
    count: int = 0
    examples: list[Example] = field(default_factory=list)
    shared: dict[str, str] = field(default_factory=dict)
    _common: _Common = field(default_factory=_Common, repr=False)

    @property
    def remedy(self) -> str:
        """What to do about it, in a sentence."""
        return remedy_of(self.status, self.error_code)


@dataclass(slots=True)
class Summary:
    """Built by streaming over outcomes; holds no more than a few examples of them.

    ``effects`` counts what applying records did, by :data:`~batchpol.model.EFFECTS`. ``causes`` are what kept records
    from being applied, the most frequent first. ``can_go_on`` says that the same command, run again, would send some
    of them. ``seconds`` is how long the run took, if the caller says.
    """

    counts: dict[Status, int] = field(default_factory=dict)
    effects: dict[str, int] = field(default_factory=dict)
    causes: list[Cause] = field(default_factory=list)
    can_go_on: bool = False
    seconds: float | None = None

    @property
    def records(self) -> int:
        return sum(self.counts.values())

    @classmethod
    def of(cls, outcomes: Iterable[Outcome], *, seconds: float | None = None) -> Summary:
        """Count all outcomes; reads them once."""
        counts: dict[Status, int] = dict.fromkeys(Status, 0)
        effects = dict.fromkeys(EFFECTS, 0)
        causes: dict[tuple[Status, str, str], Cause] = {}
        can_go_on, all_of_them = False, _Common()
        for outcome in outcomes:
            all_of_them.take(outcome)
            counts[outcome.status] += 1
            if did := outcome.did:
                effects[did] += 1
            can_go_on = can_go_on or _would_be_sent(outcome)
            if outcome.status not in WENT_WELL:
                _enter(causes, outcome)
        found = sorted(causes.values(), key=lambda cause: -cause.count)
        for cause in found:
            alone = cause.count == sum(counts.values())
            cause.shared = cause._common.beside(_Common() if alone else all_of_them) if cause.count > 1 else {}
        return cls(_some(counts), _some(effects), found, can_go_on, seconds)


def _some(counts: dict[Key, int]) -> dict[Key, int]:
    return {key: count for key, count in counts.items() if count}


def _would_be_sent(outcome: Outcome) -> bool:
    match outcome.status:
        case Status.UNKNOWN | Status.NOT_ATTEMPTED:
            return True
        case Status.FAILED:
            return outcome.retryable
    return False


def _enter(causes: dict[tuple[Status, str, str], Cause], outcome: Outcome) -> None:
    code, message = reason(outcome)
    key = (outcome.status, code, _shape(outcome, message))
    cause = causes.get(key)
    if cause is None:
        if len(causes) >= MOST_CAUSES:
            return
        cause = causes[key] = Cause(outcome.status, code)
    cause.count += 1
    cause._common.take(outcome)
    if len(cause.examples) < EXAMPLES:
        cause.examples.append(Example(outcome.line, outcome.identity, outcome.policy_name, message))


def _shape(outcome: Outcome, message: str) -> str:
    """The message without what differs from record to record."""
    text = message[:1000]
    for own in (outcome.identity, outcome.policy_name):
        if own:
            text = text.replace(own, "…")
    return _VARYING.sub("…", text)


def summary_json(summary: Summary) -> dict[str, Any]:
    """The summary as one JSON object: plain values only."""
    return {
        "records": summary.records,
        "counts": {status.value: summary.counts.get(status, 0) for status in Status},
        "effects": {name: summary.effects.get(name, 0) for name in EFFECTS},
        "seconds": summary.seconds,
        "can_go_on": summary.can_go_on,
        "causes": causes_json(summary.causes),
    }


def causes_json(causes: Iterable[Cause]) -> list[dict[str, Any]]:
    """Causes as plain values, each with what to do about it."""
    return [
        {
            "status": cause.status.value,
            "error_code": cause.error_code or None,
            "count": cause.count,
            "remedy": cause.remedy,
            "shared": cause.shared,
            "examples": [
                {
                    "line": example.line,
                    "identity": example.identity,
                    "policy_name": example.policy_name,
                    "message": example.message,
                }
                for example in cause.examples
            ],
        }
        for cause in causes
    ]


def counted(counts: Mapping[Status, int], effects: Mapping[str, int] | None = None) -> str:
    """How many there are of each, in words; of those applied what that did, what is deleted first."""
    words = {status: f"{count:,} {status.words}" for status, count in counts.items()}
    if effects and Status.APPLIED in words:
        words[Status.APPLIED] += f" ({effects_line(effects)})"
    return ", ".join(words.values())


def effects_line(effects: Mapping[str, int]) -> str:
    """What applying records did, in words."""
    return ", ".join(f"{effects[name]:,} {word}" for name, word in EFFECTS.items() if effects.get(name))


def summary_text(summary: Summary) -> str:
    """The summary for people, in lines without an end of line behind the last; nothing in it moves a terminal."""
    counts = counted(summary.counts, summary.effects)
    took = f" in {summary.seconds:.1f} s" if summary.seconds is not None else ""
    noun = "record" if summary.records == 1 else "records"
    lines = [f"{summary.records:,} {noun}{took}" + (f": {counts}" if counts else "")]
    # What was not sent for the run's own end went through no fault of its own, and is in the counts.
    causes = [cause for cause in summary.causes if cause.status is not Status.NOT_ATTEMPTED or cause.error_code]
    for cause in causes[:CAUSES_SHOWN]:
        lines += _cause_lines(cause)
    if len(causes) > CAUSES_SHOWN:
        records = sum(cause.count for cause in causes[CAUSES_SHOWN:])
        more = len(causes) - CAUSES_SHOWN
        lines += ["", f"… and {more:,} more causes, of {records:,} records; the report has them all"]
    return "\n".join(lines)


def _cause_lines(cause: Cause) -> list[str]:
    code = f", {_plain(cause.error_code)}" if cause.error_code else ""
    message = cause.examples[0].message
    alike = all(example.message == message for example in cause.examples)
    lines = ["", f"{cause.count:,} {cause.status.words}{code}"]
    if alike and message:
        lines.append(f"  {_plain(message)}")
    for example in cause.examples:
        name = f" / {_plain(example.policy_name)}" if example.policy_name else ""
        said = f": {_plain(example.message)}" if not alike else ""
        lines.append(f"  line {example.line}: {_plain(example.identity) or '(no identity)'}{name}{said}")
    if cause.count > len(cause.examples):
        lines.append(f"  … and {cause.count - len(cause.examples):,} more")
    if cause.shared:
        lines.append(f"  all of them: {_plain(shared_line(cause.shared))}")
    if cause.remedy:
        lines.append(f"  -> {cause.remedy}")
    return lines


def shared_line(shared: Mapping[str, str]) -> str:
    """What the records of a cause have in common, in words."""
    return ", ".join(f"{name} {value}" for name, value in shared.items())


def _plain(text: str) -> str:
    return excerpt(text, 300)
