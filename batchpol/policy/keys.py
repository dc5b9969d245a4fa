"""The names of condition keys, and what is known of them."""

from __future__ import annotations

import re
from functools import lru_cache

from batchpol.model import Finding, Rule, Severity, rules_in, shown
from batchpol.model.mends import slip_of
from batchpol.policy import known
from batchpol.policy.example import example

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_ANATOMY = "SES Developer Guide, Policy anatomy: Condition"
_EXAMPLES = "SES Developer Guide, Sending authorization policy examples"
_OBSERVED = 'observed on AWS: "Unknown or unapplicable condition field" (Cognito guide, pull request 41)'
_FROM = {"ses:FromAddress": "billing@example.com"}

KEY = Rule(
    "condition-key",
    _ERROR,
    "A condition key that is a known one misspelt, or has no key's form",
    _OBSERVED,
    "SES checks the names of condition keys and refuses those it does not know. Here the name is one or two letters "
    "from a known one, or no name of a key at all (aws:Name, ses:Name or another service's).",
    bad=example(Condition={"StringEquals": {"ses:FromAdress": "billing@example.com"}}),
    good=example(Condition={"StringEquals": _FROM}),
)
KEY_PREFIX = Rule(
    "condition-key-prefix",
    _ERROR,
    "The prefix aws: in another case",
    _OBSERVED + " for AWS:SourceAccount, cured by aws:SourceAccount",
    "Unlike IAM, SES tells AWS: from aws:.",
    bad=example(Condition={"StringEquals": {"AWS:SourceAccount": "444455556666"}}),
    good=example(Condition={"StringEquals": {"aws:SourceAccount": "444455556666"}}),
)
KEY_CASE = Rule(
    "condition-key-case",
    _WARNING,
    "A condition key in another case",
    "IAM: keys have no case; SES is known to tell AWS: from aws:, the rest is not documented",
    "Write keys as AWS documents them.",
    bad=example(Condition={"StringEquals": {"ses:fromaddress": "billing@example.com"}}),
    good=example(Condition={"StringEquals": _FROM}),
)
KEY_UNLISTED = Rule(
    "condition-key-unlisted",
    _WARNING,
    "A condition key that SES's guide does not name",
    _ANATOMY + ' ("implements only" eight); ' + _EXAMPLES + ' ("any of the AWS-wide keys")',
    "The name has the form of a key's. It is a real one of which SES's documentation contradicts itself on whether it "
    f"may be used here, or none that was known on {known.MADE}, when batchpol's list was made: AWS adds keys.",
    bad=example(Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
    good=example(Condition={"Bool": {"aws:SecureTransport": "true"}}),
)

RULES = rules_in(vars())

TYPES = {key: kind for kind, keys in known.KEYS.items() for key in keys.split()}
"""The type of each known key's values, as AWS names it; keys that go on with a tag's name end in a slash."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# SES's own four, the eight that its guide's anatomy page names, and those its examples use.
DOCUMENTED = _words("""
    ses:Recipients ses:FromAddress ses:FromDisplayName ses:FeedbackAddress
    aws:CurrentTime aws:EpochTime aws:SecureTransport aws:SourceIp aws:SourceVpc aws:SourceVpce aws:UserAgent
    aws:VpcSourceIp aws:SourceAccount aws:SourceArn aws:PrincipalOrgID
""")
_BY_LOWER = {key.lower(): key for key in TYPES}
_FORM = re.compile(r"[a-z0-9][a-z0-9.-]*:[A-Za-z0-9][A-Za-z0-9._-]*(?:/.+)?", re.DOTALL)


@lru_cache(maxsize=4096)
def known_key(key: str) -> str:
    """The known key that this is, whatever its case, as AWS writes it; ``""`` for none."""
    if key in TYPES and key[-1] != "/":
        return key
    start, slash, tag = key.partition("/")
    right = _BY_LOWER.get((start + slash).lower(), "")
    return right + tag if right and bool(tag) == bool(slash) else ""


def type_of(key: str) -> str:
    """The type of a key's values (``String``, ``ArrayOfString``, ``ARN``, ``IPAddress`` …); ``""`` if it is unknown."""
    start, slash, _ = known_key(key).partition("/")
    return TYPES.get(start + slash, "")


@lru_cache(maxsize=4096)
def check_key(key: str) -> tuple[Finding, ...]:
    """The name of a condition key."""
    if key in DOCUMENTED:
        return ()
    prefix, _, name = key.partition(":")
    right = known_key(key)
    if prefix.lower() == "aws" and prefix != "aws":
        right = right or slip_of(key[:200], TYPES) or f"aws:{name[:80]}"
        return (KEY_PREFIX.at("", f"SES does not know the key {shown(key)}", f"write {right}"),)
    if right and right != key:
        return (KEY_CASE.at("", f"The key {shown(key)} is in another case", f"write {right}"),)
    if right:
        return (KEY_UNLISTED.at("", f"SES's guide does not name the key {shown(key)}"),)
    meant = _BY_LOWER.get(f"ses:{key}".lower()) or _BY_LOWER.get(f"aws:{key}".lower())
    if meant:
        return (KEY.at("", f"The key {shown(key)} has no prefix", f"write {meant}"),)
    start, slash, tag = key[:200].partition("/")
    if near := slip_of(start + slash, TYPES):
        hint = f"did you mean {near}{tag}?" if tag or near[-1] != "/" else f"the name of a tag follows: {near}…"
        return (KEY.at("", f"SES does not know the key {shown(key)}", hint),)
    if _FORM.fullmatch(key):
        return (KEY_UNLISTED.at("", f"No condition key {shown(key)} was known on {known.MADE}"),)
    return (KEY.at("", f"{shown(key)} has no form of a condition key", "keys are called aws:Name or ses:Name"),)
