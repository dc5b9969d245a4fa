"""The rules about a record and its batch, each as data, and the checks that need no memory of the batch.

The rules about identities, names and documents stand with their own checks, in ``identity`` and ``policy``;
:data:`RULES` has them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from batchpol import identity, policy
from batchpol.identity import PolicyOwner
from batchpol.model import (
    MAX_POLICIES,
    Action,
    Finding,
    Record,
    Rule,
    Severity,
    did_you_mean,
    if_match_of,
    rules_in,
    shown,
)
from batchpol.model.errors import UsageError
from batchpol.model.mends import is_nothing
from batchpol.policy import reader
from batchpol.policy.comparison import ABSENT, well_formed
from batchpol.policy.example import OWN_ARN, example
from batchpol.policy.reader import MAX_BYTES

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_API = "SES API Reference, PutIdentityPolicy"
_BATCHPOL = "batchpol"
_LIMITS = f"SES Developer Guide, Policy anatomy: up to {MAX_POLICIES} policies an identity"
SURELY_FITS = MAX_BYTES // 4
"""Characters of a document that is surely within SES's limit."""
MAX_FINDINGS = 100
"""Findings one record can have; more are only counted."""


def _records(*rows: str) -> str:
    return "\n".join("{" + row + "}" for row in rows)


_DELETE = '"identity": "example.com", "policy_name": "a", "action": "delete"'
_ARN = f'"identity": "{OWN_ARN}", "policy_name": "a", "action": "delete"'
_EXAMPLE = example()


def _put(name: str, arn: bool = True, document: str = _EXAMPLE) -> str:
    spelling = OWN_ARN if arn else "example.com"
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
    f"More than {MAX_POLICIES} policies on one identity",
    _LIMITS,
    f"An identity has at most {MAX_POLICIES} policies; SES refuses the 21st of this batch.",
    bad=_records(*(_put(f"name-{number}") for number in range(MAX_POLICIES + 1))),
    good=_records(*(_put(f"name-{number}") for number in range(MAX_POLICIES))),
)
LIMIT_LIKELY = Rule(
    "batch-limit-likely",
    _WARNING,
    f"More than {MAX_POLICIES} policies on one identity, if all are for one account and Region",
    _LIMITS,
    "As batch-limit, but neither the records nor the run say the account and Region, so they may be for several runs.",
    bad=_records(*(_put(f"name-{number}", arn=False) for number in range(MAX_POLICIES + 1))),
    good=_records(*(_put(f"name-{number}", arn=False) for number in range(MAX_POLICIES))),
)
IF_MATCH = Rule(
    "record-if-match",
    _ERROR,
    "if_match is nothing that could ever be there",
    _BATCHPOL,
    "The column if_match says what must be there for the record to be sent: absent, or digests as batchpol undo "
    "writes them. Anything else matches nothing, so the record would fail each time it is sent.",
    bad=_records(_DELETE + ', "if_match": "yesterday"'),
    good=_records(_DELETE + ', "if_match": "absent"'),
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
    rule.code: rule for rule in (*rules_in(vars()), *identity.RULES, *reader.RULES, *policy.RULES)
}
"""Every rule by its code."""


def codes_of(prefixes: Sequence[str], rules: Mapping[str, Rule] = RULES) -> frozenset[str]:
    """The codes of ``rules`` that ``select`` or ``ignore`` mean: whole ones, or first words (``risk``, ``json-``).

    Raises UsageError for one that means none.
    """
    meant: set[str] = set()
    for prefix in prefixes:
        start = prefix.strip().lower().rstrip("-*")
        codes = {code for code in rules if code == start or code.startswith(start + "-")}
        if not codes:
            areas = {code.partition("-")[0] for code in rules}
            hint = did_you_mean(start, rules.keys() | areas) or f"codes begin with {', '.join(sorted(areas))}"
            raise UsageError(f"there is no finding code {shown(prefix)}", hint=hint)
        meant |= codes
    return frozenset(meant)


def has_error(findings: Sequence[Finding]) -> bool:
    """Whether one of them rejects its record."""
    # Mostly there are none, and a generator costs more than a look.
    return bool(findings) and any(it.severity is _ERROR for it in findings)


def decided(findings: Sequence[Finding], refuses: Mapping[str, bool] | None) -> Sequence[Finding]:
    """Errors where SES is known to refuse what has a code, and nothing where it is known to take it."""
    if not refuses:
        return findings
    return [
        Finding(_ERROR, it.code, it.where, it.message, it.hint) if refuses.get(it.code) else it
        for it in findings
        if refuses.get(it.code, True) or RULES[it.code].always
    ]


def capped(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """At most :data:`MAX_FINDINGS` of a record's findings, errors first where some are left out."""
    if len(findings) <= MAX_FINDINGS:
        return tuple(findings)
    worst_first = sorted(findings, key=lambda it: it.severity is not _ERROR)
    message = f"{len(findings) - MAX_FINDINGS} more findings are not listed"
    return (*worst_first[:MAX_FINDINGS], CAPPED.at("record", message))


def check_if_match(extra: Mapping[str, str]) -> list[Finding]:
    """Whether what the column ``if_match`` expects could ever be there; it may be missing or empty."""
    expected = if_match_of(extra)
    if not expected or well_formed(expected):
        return []
    hint = f"leave it empty, or as batchpol undo writes it: {ABSENT}, or digests of 64 hexadecimal digits"
    return [IF_MATCH.at("if_match", f"{shown(expected)} can never be there", hint)]


def action_of(record: Record, findings: list[Finding]) -> Action:
    """What a record asks for, however the word is spelled."""
    word = record.action.strip().lower()
    if word == "delete":
        if record.policy.strip():
            findings.append(POLICY_IGNORED.at("policy", "A delete needs no document; it is not looked at"))
        return Action.DELETE
    if word not in ("put", ""):
        hint = "leave it empty" if is_nothing(word) else did_you_mean(word, ("put", "delete")) or "write put or delete"
        findings.append(ACTION.at("action", f"{shown(record.action)} is neither put nor delete", hint))
    return Action.PUT


def place_said(cell: str | None, of_arn: str, where: str, findings: list[Finding]) -> str:
    """``region`` or ``account`` of a record (``where``): its ARN's, else its column's."""
    value = cell.strip() if cell else ""
    if not value or value == of_arn:
        return of_arn
    found = identity.check_cell(where, value)
    findings += found
    if of_arn and not has_error(found):
        message = f"The column {where} says {shown(value)}, the identity's ARN {shown(of_arn)}"
        findings.append(TARGET_CONFLICT.at(where, message))
    return of_arn or value


def check_document(text: str, owner: PolicyOwner) -> tuple[list[Finding], bool]:
    """What is wrong with a document, and whether its text is JSON at all."""
    parsed = reader.parse(text)
    found = list(parsed.findings)
    if type(parsed.value) is dict:
        faults = policy.check_policy(parsed.value, owner.check)
        found += [it for it in faults if it.where not in parsed.faulty] if parsed.faulty else faults
    return found, parsed.is_json


def fitted(text: str, is_json: bool, findings: Sequence[Finding]) -> tuple[str, list[Finding]]:
    """The document as it will be sent, and its findings with what is to be said of its size."""
    written = reader.size(text) if len(text) > SURELY_FITS else 0
    if written <= MAX_BYTES:
        return text, [*findings]
    small = reader.minify(text) if is_json else ""
    least = reader.size(small) if is_json else written - sum(map(text.count, " \t\r\n"))
    if least > MAX_BYTES:
        message = f"The document has {least} bytes without blanks, more than {MAX_BYTES}"
        return text, [*findings, reader.TOO_LONG.at("policy", message)]
    message = f"The document has {written} bytes, more than {MAX_BYTES}; without blanks {least}"
    return small or text, [*findings, reader.MINIFIED.at("policy", message, "it is sent without its blanks")]
