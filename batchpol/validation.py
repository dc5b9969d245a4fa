"""Records checked, one by one and against each other: what is valid becomes a change (floor 2).

Everything is offline: no network, no clock, no files. :class:`Checker` composes the rules of ``identity``,
``grammar`` and ``policy`` for one record and remembers the batch in a ``Ledger``; :data:`RULES` has every code that
it can ever report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from batchpol import grammar, identity, policy
from batchpol.errors import UsageError
from batchpol.grammar import MAX_BYTES
from batchpol.identity import Identity, Owner
from batchpol.index import Fate, Ledger, Noted, place_of
from batchpol.model import Action, Change, Finding, Record, Rule, Severity, Target, did_you_mean, placed, shown

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_MAX_PLACES = 1024
_API = "SES API Reference, PutIdentityPolicy"
_BATCHPOL = "batchpol"
_LIMITS = "SES Developer Guide, Policy anatomy: up to 20 policies an identity"
MAX_NAMES = 20
"""Policies one identity can have."""
MAX_FINDINGS = 100
"""Findings one record can have; more are only counted."""


def _records(*rows: str) -> str:
    return "\n".join("{" + row + "}" for row in rows)


_DELETE = '"identity": "example.com", "policy_name": "a", "action": "delete"'
_ARN = '"identity": "arn:aws:ses:us-east-1:111122223333:identity/example.com", "policy_name": "a", "action": "delete"'
_EXAMPLE = (
    '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "444455556666"}, '
    '"Action": "ses:SendEmail", "Resource": "arn:aws:ses:us-east-1:111122223333:identity/example.com"}}'
)


def _put(name: str, arn: bool = True, document: str = _EXAMPLE) -> str:
    spelling = "arn:aws:ses:us-east-1:111122223333:identity/example.com" if arn else "example.com"
    return f'"identity": "{spelling}", "policy_name": "{name}", "policy": {document}'


ACTION = Rule(
    "record-action",
    _ERROR,
    "Action is neither put nor delete",
    _BATCHPOL,
    "A record puts a policy (also without saying so) or deletes one.",
    bad=_records('"identity": "example.com", "policy_name": "a", "action": "remove"'),
    good=_records(_DELETE),
    always=True,
)
POLICY_MISSING = Rule(
    "policy-missing",
    _ERROR,
    "No policy to put",
    _API,
    "To put a policy, the record needs its document.",
    bad=_records('"identity": "example.com", "policy_name": "a", "policy": ""'),
    good=_records(_put("a")),
    always=True,
)
POLICY_IGNORED = Rule(
    "policy-ignored",
    _WARNING,
    "A delete with a document",
    _BATCHPOL,
    "A policy is deleted by its name; the document beside it is not looked at.",
    bad=_records(_DELETE + ', "policy": "{}"'),
    good=_records(_DELETE),
)
TARGET_CONFLICT = Rule(
    "target-conflict",
    _ERROR,
    "The identity's ARN and the record's columns disagree",
    _BATCHPOL,
    "The ARN names one account or Region, the column another: nobody can tell which is meant.",
    bad=_records(_ARN + ', "region": "eu-west-1"'),
    good=_records(_ARN + ', "region": "us-east-1"'),
    always=True,
)
TARGET_OTHER = Rule(
    "target-other",
    _ERROR,
    "Another account or Region than the run's",
    _BATCHPOL,
    "The run was told to write to one account and Region only; this record is for another.",
    bad=_records('"identity": "example.com", "policy_name": "a", "action": "delete", "region": "eu-west-1"'),
    good=_records('"identity": "example.com", "policy_name": "a", "action": "delete", "region": "us-east-1"'),
    always=True,
)
TARGET_UNKNOWN = Rule(
    "target-unknown",
    _ERROR,
    "Neither the record nor the run says the Region or account",
    _BATCHPOL,
    "The run has several Regions or accounts, so each record has to say its own: by its ARN or its columns.",
    bad=_records(_DELETE),
    good=_records(_ARN),
    always=True,
)
DUPLICATE = Rule(
    "batch-duplicate",
    _WARNING,
    "The same as an earlier record",
    _BATCHPOL,
    "Identity (by name or ARN), policy name, action and document are those of an earlier record: sent once, for that.",
    bad=_records(_DELETE, _DELETE),
    good=_records(_DELETE, _DELETE.replace('"a"', '"b"')),
)
CONFLICT = Rule(
    "batch-conflict",
    _ERROR,
    "Contradicts another record",
    "observed: PutIdentityPolicy overwrites a policy of the same name without a word",
    "Two records give one policy name of one identity different documents, or put and delete it. Whichever came "
    "last would win silently, so neither is sent.",
    bad=_records(_put("a"), _put("a", document=_EXAMPLE.replace("SendEmail", "SendRawEmail"))),
    good=_records(_put("a"), _put("b", document=_EXAMPLE.replace("SendEmail", "SendRawEmail"))),
    always=True,
)
LIMIT = Rule(
    "batch-limit",
    _ERROR,
    "More than 20 policies on one identity",
    _LIMITS,
    "An identity has at most 20 policies; SES refuses the 21st of this batch.",
    bad=_records(*(_put(f"name-{number}") for number in range(21))),
    good=_records(*(_put(f"name-{number}") for number in range(20))),
)
LIMIT_LIKELY = Rule(
    "batch-limit-likely",
    _WARNING,
    "More than 20 policies on one identity, if all are for one account and Region",
    _LIMITS,
    "As batch-limit, but neither the records nor the run say the account and Region, so they may be for several runs.",
    bad=_records(*(_put(f"name-{number}", arn=False) for number in range(21))),
    good=_records(*(_put(f"name-{number}", arn=False) for number in range(20))),
)
CAPPED = Rule(
    "record-findings",
    _WARNING,
    f"More than {MAX_FINDINGS} findings; the rest is not listed",
    _BATCHPOL,
    "Mend these first; the others show when it is checked again.",
    bad=_records(_put("a", document=_EXAMPLE[:-2] + "".join(f', "E{n}": 1' for n in range(101)) + "}}")),
    good=_records(_put("a")),
    always=True,
)

RULES: dict[str, Rule] = {
    rule.code: rule
    for rule in (
        *(rule for rule in list(vars().values()) if isinstance(rule, Rule)),
        *identity.RULES,
        *grammar.RULES,
        *policy.RULES,
    )
}
"""Every rule by its code."""


class Verdict(StrEnum):
    """What validation makes of a record."""

    VALID = "valid"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"


class Amendment(NamedTuple):
    """An earlier record (by number) whose verdict a later one changed, and the finding that says why."""

    number: int
    status: Verdict
    finding: Finding


@dataclass(slots=True)
class Checked:
    """A record and the verdict on it.

    ``change`` is what to send, only where ``status`` is valid. ``duplicate_of`` is the number of the earlier record
    that is sent instead. ``amends`` are earlier records that this one takes down with it.
    """

    number: int
    record: Record
    status: Verdict
    change: Change | None = None
    findings: tuple[Finding, ...] = ()
    duplicate_of: int | None = None
    amends: tuple[Amendment, ...] = ()


def codes_of(prefixes: Sequence[str]) -> frozenset[str]:
    """The codes that ``--select`` or ``--ignore`` mean: whole codes, or their first words (``risk``, ``json-``).

    Raises UsageError for one that means none.
    """
    meant: set[str] = set()
    for prefix in prefixes:
        start = prefix.strip().lower().rstrip("-*")
        codes = {code for code in RULES if code == start or code.startswith(start + "-")}
        if not codes:
            areas = {code.partition("-")[0] for code in RULES}
            hint = did_you_mean(start, RULES.keys() | areas) or f"codes begin with {', '.join(sorted(areas))}"
            raise UsageError(f"There is no finding code {shown(prefix)}", hint=hint)
        meant |= codes
    return frozenset(meant)


class Checker:
    """Checks the records of one batch in their order.

    ``target`` is the run's account and Region, as far as known ("" for not); records may name others by their ARN
    or columns unless ``fixed_target``. With ``require_target`` the Region of each record must be known, with
    ``require_account`` its account; with ``regions`` it must be one of them. ``select`` and ``ignore`` are finding
    codes or their first words: findings that are not selected, or ignored, are not reported and reject nothing,
    except those without which no request could be formed (``Rule.always``). With ``warnings_as_errors`` warnings
    reject too. Without ``digest`` the changes' ``sha256`` stays empty, for those who only want the verdicts: it
    takes a tenth of the time.

    Raises UsageError for codes that do not exist; checking never raises.
    """

    def __init__(
        self,
        *,
        target: Target | None = None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        warnings_as_errors: bool = False,
        fixed_target: bool = False,
        require_target: bool = False,
        require_account: bool = False,
        regions: frozenset[str] = frozenset(),
        digest: bool = True,
    ) -> None:
        self._target = target or Target("", "")
        wanted = (codes_of(select) if select else frozenset(RULES)) - codes_of(ignore)
        self._unwanted = frozenset(code for code, rule in RULES.items() if code not in wanted and not rule.always)
        self._warnings_as_errors = warnings_as_errors
        self._fixed_target = fixed_target
        self._require_target = require_target
        self._require_account = require_account
        self._regions = regions
        self._digest = digest
        self._ledger = Ledger()
        self._shapes = policy.Shapes()
        self._places: dict[str, int] = {}
        self._count = 0

    def check(self, record: Record) -> Checked:
        """The verdict on the next record of the batch."""
        number = self._count
        self._count += 1
        if record.problems and any(problem.severity is _ERROR for problem in record.problems):
            return Checked(number, record, Verdict.REJECTED, None, self._capped(list(record.problems)))
        findings = list(record.problems) if record.problems else []
        named, faults = identity.read_identity(record.identity)
        if faults:
            findings += faults
        if faults := identity.check_name(record.policy_name):
            findings += faults
        target = self._target_of(record, named, findings)
        action = Action.PUT if record.action == "put" else self._action_of(record, findings)
        if action is Action.DELETE:
            document, place = "", _place_of(target)
        else:
            document, place = self._document_of(record.policy, named, target, findings)
        if findings:
            findings = self._sifted(findings)
            if any(it.severity is _ERROR for it in findings):
                return Checked(number, record, Verdict.REJECTED, None, self._capped(findings))
        change = Change(
            number,
            record.line,
            target,
            named.text,
            named.name,
            record.policy_name,
            action,
            document,
            sha256(document.encode()).hexdigest() if self._digest else "",
        )
        return self._entered(record, change, place, findings)

    # One record

    def _target_of(self, record: Record, named: Identity, findings: list[Finding]) -> Target:
        run = self._target
        if not (named.account or record.region or record.account):
            target = run
        else:
            region = self._part(record.region, named.region, "region", findings)
            account = self._part(record.account, named.account, "account", findings)
            if (region or run.region) == run.region and (account or run.account) == run.account:
                target = run
            else:
                target = Target(account or run.account, region or run.region)
                if self._fixed_target:
                    self._check_fixed(target, findings)
        if self._require_target and not target.region:
            findings.append(TARGET_UNKNOWN.at("region", "Neither the record nor the run says the Region"))
        elif self._regions and target.region not in self._regions:
            message = f"Region {shown(target.region)} is none of the run's: {', '.join(sorted(self._regions))}"
            findings.append(TARGET_OTHER.at("region", message, "add it with another --region, or give none"))
        if self._require_account and not target.account:
            findings.append(TARGET_UNKNOWN.at("account", "Neither the record nor the run says the account"))
        return target

    def _part(self, cell: str | None, of_arn: str, where: str, findings: list[Finding]) -> str:
        """Region or account of a record: its ARN's, else its column's."""
        value = cell.strip() if cell else ""
        if not value or value == of_arn:
            return of_arn
        check = identity.check_region if where == "region" else identity.check_account
        findings += placed(where, check(value))
        if of_arn:
            message = f"The column {where} says {shown(value)}, the identity's ARN {shown(of_arn)}"
            findings.append(TARGET_CONFLICT.at(where, message))
        return of_arn or value

    def _check_fixed(self, target: Target, findings: list[Finding]) -> None:
        for where, value, ours in (
            ("region", target.region, self._target.region),
            ("account", target.account, self._target.account),
        ):
            if ours and value != ours:
                message = f"The record is for {where} {shown(value)}, the run for {shown(ours)} only"
                findings.append(TARGET_OTHER.at(where, message))

    def _action_of(self, record: Record, findings: list[Finding]) -> Action:
        word = record.action.strip().lower()
        if word == "delete":
            if record.policy.strip():
                findings.append(POLICY_IGNORED.at("policy", "A delete needs no document; it is not looked at"))
            return Action.DELETE
        if word not in ("put", ""):
            hint = did_you_mean(word, ("put", "delete")) or "write put or delete"
            findings.append(ACTION.at("action", f"{shown(record.action)} is neither put nor delete", hint))
        return Action.PUT

    def _document_of(self, text: str, named: Identity, target: Target, findings: list[Finding]) -> tuple[str, int]:
        """The document as it will be sent, and where it belongs."""
        alike = self._shapes.match(text)
        if alike and not findings and target is self._target:
            # Cut and compared, not only cut: an ARN that ends before the name is no known beginning with that name.
            place = self._places.get(alike[0][: -len(named.name)])
            if place is not None and alike[0].endswith(named.name):
                findings += alike[1]
                return self._fitted(text, True, findings), place
        owner = Owner(None if self._has_error(findings, "identity") else named, target)
        is_json = True
        if not text or text.isspace():
            findings.append(POLICY_MISSING.at("policy", "The policy is empty"))
        elif alike and owner.name and not owner.check(alike[0]):
            findings += alike[1]
            self._keep_place(alike[0], owner, target)
        else:
            found, is_json = _examined(text, owner)
            self._shapes.learn(text, owner.arn or owner.accepted, found)
            findings += found
        return self._fitted(text, is_json, findings), _place_of(target, *owner.places)

    def _keep_place(self, arn: str, owner: Owner, target: Target) -> None:
        """Remember where identities belong whose ARN begins like this one, which was right for its owner."""
        if target is self._target and owner.name and arn.endswith(f":identity/{owner.name}"):
            if len(self._places) >= _MAX_PLACES:
                self._places.clear()
            self._places[arn.removesuffix(owner.name)] = _place_of(target, *owner.places)

    def _fitted(self, text: str, is_json: bool, findings: list[Finding]) -> str:
        # No text of so few characters can be too long.
        if 4 * len(text) <= MAX_BYTES:
            return text
        written = grammar.size(text)
        if written <= MAX_BYTES:
            return text
        small = grammar.minify(text) if is_json else ""
        least = grammar.size(small) if is_json else written - sum(map(text.count, " \t\r\n"))
        if least > MAX_BYTES:
            message = f"The document has {least} bytes without blanks, more than {MAX_BYTES}"
            findings.append(grammar.TOO_LONG.at("policy", message))
            return text
        message = f"The document has {written} bytes, more than {MAX_BYTES}; without blanks {least}"
        findings.append(grammar.MINIFIED.at("policy", message, "it is sent without its blanks"))
        return small or text

    # Findings

    def _sifted(self, findings: list[Finding]) -> list[Finding]:
        """Without what was ignored; warnings made errors where that was asked."""
        if self._unwanted:
            findings = [it for it in findings if it.code not in self._unwanted]
        if self._warnings_as_errors:
            findings = [Finding(_ERROR, it.code, it.where, it.message, it.hint) for it in findings]
        return findings

    def _has_error(self, findings: list[Finding], where: str) -> bool:
        return bool(findings) and any(
            it.where == where and it.severity is _ERROR and it.code not in self._unwanted for it in findings
        )

    def _capped(self, findings: list[Finding]) -> tuple[Finding, ...]:
        if len(findings) <= MAX_FINDINGS:
            return tuple(findings)
        findings.sort(key=lambda it: it.severity is not _ERROR)
        message = f"{len(findings) - MAX_FINDINGS} more findings are not listed"
        return (*findings[:MAX_FINDINGS], CAPPED.at("record", message))

    # The batch

    def _entered(self, record: Record, change: Change, place: int, findings: list[Finding]) -> Checked:
        """The verdict on a record that is right by itself, beside the earlier ones."""
        target = change.target
        is_put = change.action is Action.PUT
        is_placed = bool(target.account and target.region)
        noted = self._ledger.note(
            change.number,
            record.line,
            change.key_identity,
            change.policy_name,
            change.document,
            place,
            is_put,
            MAX_NAMES if is_placed and LIMIT.code not in self._unwanted else None,
        )
        if noted.fate is Fate.NEW and (noted.names <= MAX_NAMES or not is_put):
            return Checked(change.number, record, Verdict.VALID, change, self._capped(findings))
        return self._met(record, change, noted, findings)

    def _met(self, record: Record, change: Change, noted: Noted, findings: list[Finding]) -> Checked:
        """The verdict on a record that meets an earlier one, or comes as one too many."""
        checked = Checked(change.number, record, Verdict.VALID)
        what = f"policy {shown(change.policy_name)} of {shown(change.key_identity)}"
        if noted.fate is Fate.DUPLICATE:
            new = DUPLICATE.at("record", f"The same as line {noted.line}; sent once, for that line")
            checked.duplicate_of = noted.number
            checked.status = Verdict.DUPLICATE
        elif noted.fate is Fate.CONFLICT:
            new = CONFLICT.at("record", f"Line {noted.line} has another change of {what}", "keep one of the two")
            other = CONFLICT.at("record", f"Line {record.line} has another change of {what}", "keep one of the two")
            checked.amends = tuple(Amendment(it, Verdict.REJECTED, other) for it in noted.amends)
        else:
            rule = LIMIT if noted.fate is Fate.OVERFULL else LIMIT_LIKELY
            new = rule.at(
                "record", f"Policy number {noted.names} of {shown(change.key_identity)}, more than {MAX_NAMES}"
            )
        findings = [*findings, *self._sifted([new])]
        if any(it.severity is _ERROR for it in findings):
            checked.status = Verdict.REJECTED
        elif checked.status is Verdict.VALID:
            checked.change = change
        checked.findings = self._capped(findings)
        return checked


def _examined(text: str, owner: Owner) -> tuple[list[Finding], bool]:
    """What is wrong with a document, and whether its text is JSON at all."""
    parsed = grammar.parse(text)
    found = list(parsed.findings)
    if type(parsed.value) is dict:
        found += policy.check_policy(parsed.value, owner.check)
    return found, parsed.is_json


def _place_of(target: Target, *said: tuple[str, str]) -> int:
    """A target for the ledger; ``said`` are the accounts and Regions that the document's Resources name."""
    stated = (target.account, target.region)
    account, region = said[0] if len(said) == 1 else ("", "")
    return place_of(stated, (target.account or account, target.region or region))


def check_all(records: Iterable[Record], checker: Checker) -> Iterator[Checked]:
    """The verdicts on ``records``, in their order."""
    return map(checker.check, records)
