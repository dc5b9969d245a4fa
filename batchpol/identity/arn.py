"""Identities in their three spellings: an address, a domain, or the ARN of either."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from batchpol.identity.address import check_address
from batchpol.identity.domain import check_domain, host_hint, is_plain_domain, is_usual_domain
from batchpol.identity.place import ARN_FORM, OWN, check_account, check_place
from batchpol.model import ACCOUNT_ID, Finding, Rule, Severity, excerpt, placed, rules_in, shown
from batchpol.model.mends import stripped

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_API = "SES API Reference, PutIdentityPolicy"

MISSING = Rule(
    "identity-missing",
    _ERROR,
    "No identity",
    _API,
    "Every request names the identity that the policy belongs to.",
    bad="",
    good="example.com",
    always=True,
)
BLANKS = Rule(
    "identity-blanks",
    _WARNING,
    "Blanks around the identity; sent without them",
    "batchpol",
    "No address or domain begins or ends with a blank, so they are taken for leftovers of the spreadsheet.",
    bad=" example.com",
    good="example.com",
)
SYNTAX = Rule(
    "identity-syntax",
    _ERROR,
    "Neither an address nor a domain nor an ARN",
    _API,
    "SES knows three spellings of an identity: an e-mail address, a domain, or the ARN of either. No URL, no "
    "display name, no list, no blanks inside.",
    bad="Jane <jane@example.com>",
    good="jane@example.com",
)
ARN = Rule(
    "identity-arn",
    _ERROR,
    "Not the ARN of an SES identity",
    ARN_FORM,
    "An identity's ARN has exactly this form; other services, other resource types and wildcards name no identity.",
    bad="arn:aws:ses:us-east-1:111122223333:configuration-set/default",
    good=OWN,
)

RULES = rules_in(vars())

UNVERIFIED = Rule(
    "identity-unverified",
    _WARNING,
    "The identity is not verified in this account and Region",
    "SES API Reference, PutIdentityPolicy: an error if the identity is not verified; seen to be taken all the same",
    "Looked up with GetIdentityVerificationAttributes; `require_verified` sends no such record.",
    bad="example.org, never verified",
    good="example.com, verified",
)
"""Found only by looking the identity up in SES."""


@dataclass(slots=True)
class Identity:
    """An identity as read: what is sent for it, and how it compares.

    ``name`` is the bare address or domain (lower case for a domain); the other parts are empty but for an ARN.
    """

    text: str
    name: str
    partition: str = ""
    region: str = ""
    account: str = ""


NAMED = ":identity/"
"""What stands before the name in an identity's ARN."""
_HEAD = re.compile(rf"arn:([a-z-]+):ses:([a-z0-9-]+):({ACCOUNT_ID})")


def arn_of(partition: str, region: str, account: str, name: str) -> str:
    """The ARN of the identity with this bare name."""
    return f"arn:{partition}:ses:{region}:{account}{NAMED}{name}"


class Head(NamedTuple):
    """An identity's ARN up to its name, and what is wrong with partition and Region."""

    partition: str
    region: str
    account: str
    findings: tuple[Finding, ...]
    has_error: bool


@lru_cache(maxsize=1024)
def read_head(head: str) -> Head | None:
    match = _HEAD.fullmatch(head)
    if match is None:
        return None
    partition, region, account = match.groups()
    findings = check_place(partition, region)
    return Head(partition, region, account, findings, any(it.severity is _ERROR for it in findings))


def is_plain(name: str) -> bool:
    """Whether a bare identity stands in its canonical form, and nothing at all is wrong with it."""
    return (
        is_usual_domain(name)
        or is_plain_domain(name)
        or ("@" in name and name[:4].lower() != "arn:" and not check_bare(name))
    )


def read_identity(text: str) -> tuple[Identity, tuple[Finding, ...]]:
    """An identity in any of its three spellings, and everything wrong with it (``where`` is ``identity``)."""
    if is_usual_domain(text) or is_plain_domain(text):
        return Identity(text, text), ()
    trimmed = stripped(text)
    if not trimmed:
        return Identity("", ""), (MISSING.at("identity", "The identity is empty"),)
    if trimmed[:4].lower() == "arn:":
        identity, found = read_arn(trimmed)
    else:
        name = canonical_name(trimmed)
        identity, found = Identity(name, name), check_bare(trimmed)
    if len(trimmed) != len(text):
        found = (BLANKS.at("", f"The identity {shown(text)} has blanks around it"), *found)
    return identity, (tuple(placed("identity", found)) if found else ())


def canonical_name(name: str) -> str:
    """A bare identity as SES keeps it: domains have no case, addresses do."""
    return name if "@" in name else name.lower()


_NOT_BARE = re.compile(r"[\s<>,;()\[\]\\]|://|\A[Mm][Aa][Ii][Ll][Tt][Oo]:")

_ADDRESS_INSIDE = re.compile(r"[^\s<>,;:()\[\]\\/]+@[^\s<>,;:()\[\]\\/?]+")


def check_bare(name: str) -> tuple[Finding, ...]:
    """An identity that is no ARN: an address or a domain."""
    found = check_address(name) if "@" in name else check_domain(name.lower())
    if found and name[0] != '"' and _NOT_BARE.search(name):
        inside = _ADDRESS_INSIDE.search(name[:500])
        hint = f"did you mean {excerpt(inside[0])}?" if inside else host_hint(name)
        return (SYNTAX.at("", f"{shown(name)} is no address, domain or ARN", hint),)
    return found


def read_arn(arn: str) -> tuple[Identity, tuple[Finding, ...]]:
    """The ARN of an identity, taken apart, and everything wrong with it (``where`` is empty)."""
    start, _, name = arn.partition(NAMED)
    head = read_head(start)
    if head and name:
        found = head.findings + check_bare(name)
        return Identity(arn, canonical_name(name), head.partition, head.region, head.account), found
    return Identity(arn, arn), tuple(_faults_of_arn(arn))


def _faults_of_arn(arn: str) -> list[Finding]:
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return [ARN.at("", f"{shown(arn)} is no ARN of an SES identity", f"the form is {OWN}")]
    prefix, partition, service, region, account, resource = parts
    found = []
    if prefix != "arn" or service != "ses":
        hint = f"write arn:{partition}:ses:…"[:80] if (prefix + service).lower() == "arnses" else ""
        found.append(ARN.at("", f"{shown(arn)} is not of the form arn:…:ses:…", hint))
    found += check_place(partition, region)
    found += check_account(account)
    kind, slash, name = resource.partition("/")
    if kind != "identity" or not slash or not name:
        found.append(ARN.at("", f"{shown(resource)} is no identity", "an identity's ARN ends in :identity/example.com"))
    else:
        found += check_bare(name)
    return found
