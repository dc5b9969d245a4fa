"""What nobody outside AWS knows whether SES refuses it: the sandbox can do either with each.

The names are those of batchpol's findings where there is one; how a thing is recognised is not shared with them.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from batchpol.sandbox.wire import ACCOUNT_ID


class Doubt(NamedTuple):
    """One doubtful thing: a line for a table, and whether the sandbox refuses it unless told otherwise."""

    title: str
    refused: bool = False


DOUBTS: Final[Mapping[str, Doubt]] = MappingProxyType(
    {
        "identity-arn": Doubt("the identity given as its ARN"),
        "identity-trailing-dot": Doubt("a dot at the end of the domain", refused=True),
        "identity-underscore": Doubt("an underscore in the domain"),
        "identity-unusual": Doubt("a domain of one label"),
        "name-long": Doubt("a policy name of more than 64 characters", refused=True),
        "name-characters": Doubt("other characters than A-Z a-z 0-9 _ - in the policy name", refused=True),
        "json-duplicate-key": Doubt("the same key twice in one object"),
        "policy-element": Doubt("an unknown element of the policy"),
        "policy-version": Doubt("a Version that IAM does not know"),
        "statement-element": Doubt("an unknown element of a statement"),
        "statement-sid": Doubt("the same Sid twice"),
        "statement-both": Doubt("an element and its opposite"),
        "statement-not-action": Doubt("NotAction"),
        "statement-not-principal": Doubt("NotPrincipal"),
        "effect-case": Doubt("Allow or Deny in another case", refused=True),
        "principal-key": Doubt("an unknown kind of principal"),
        "principal-key-unlisted": Doubt("Federated or CanonicalUser"),
        "principal-empty": Doubt("no principal in the list"),
        "principal-number": Doubt("an account id written as a number"),
        "principal-wildcard": Doubt("a wildcard within a principal"),
        "principal-arn": Doubt("an AWS principal that is neither account, ARN nor *"),
        "principal-service": Doubt("a service that is no host name"),
        "action-case": Doubt("a known action in another case"),
        "action-unlisted": Doubt("an action that the SES guide does not list"),
        "action-unknown": Doubt("an action that does not exist"),
        "resource-list": Doubt("the one resource in a list"),
        "resource-repeated": Doubt("more than one resource in the list"),
        "resource-case": Doubt("the resource's domain in another case"),
        "resource-wildcard": Doubt("a wildcard in the resource", refused=True),
        "resource-mismatch": Doubt("another identity's ARN as resource", refused=True),
        "condition-empty": Doubt("an operator without a key, or a key without a value"),
        "condition-operator": Doubt("an unknown operator"),
        "condition-operator-case": Doubt("an operator in another case"),
        "condition-key": Doubt("a condition key of neither aws: nor ses:"),
        "condition-key-case": Doubt("a known condition key in another case"),
        "condition-key-prefix": Doubt("the prefix aws: in another case", refused=True),
        "condition-key-unlisted": Doubt("a condition key that the SES guide does not name"),
        "condition-boolean": Doubt("neither true nor false for Bool or Null"),
        "condition-number": Doubt("no number for a numeric operator"),
        "condition-date": Doubt("no date for a date operator"),
        "condition-cidr": Doubt("no address or range for an address operator"),
        "condition-arn": Doubt("no ARN for an ARN operator"),
        "condition-binary": Doubt("no base64 for BinaryEquals"),
        "condition-variable": Doubt("a policy variable without Version 2012-10-17"),
    }
)
"""Every doubtful thing by name."""

_POLICY = {"Version", "Id", "Statement"}
_OPPOSITES = ("Action", "Principal", "Resource")
_STATEMENT = {"Sid", "Effect", "Condition", *_OPPOSITES, *(f"Not{name}" for name in _OPPOSITES)}
_LISTED = (
    "SendEmail SendRawEmail SendTemplatedEmail SendBulkTemplatedEmail BatchGetMetricData CancelExportJob "
    "CreateDeliverabilityTestReport CreateEmailIdentityPolicy CreateExportJob DeleteEmailIdentity "
    "DeleteEmailIdentityPolicy GetDomainStatisticsReport GetEmailIdentity GetEmailIdentityPolicies GetExportJob "
    "ListExportJobs ListRecommendations PutEmailIdentityConfigurationSetAttributes PutEmailIdentityDkimAttributes "
    "PutEmailIdentityDkimSigningAttributes PutEmailIdentityFeedbackAttributes PutEmailIdentityMailFromAttributes "
    "TagResource UntagResource UpdateEmailIdentityPolicy"
)
_UNLISTED = {"SendBulkEmail", "SendBounce", "SendCustomVerificationEmail"}
_ACTIONS = {name.lower(): name for name in (*_LISTED.split(), *_UNLISTED)}
_NAMED_KEYS = (
    "ses:Recipients ses:FromAddress ses:FromDisplayName ses:FeedbackAddress aws:CurrentTime aws:EpochTime "
    "aws:SecureTransport aws:SourceIp aws:SourceVpc aws:SourceVpce aws:UserAgent aws:VpcSourceIp aws:SourceAccount "
    "aws:SourceArn aws:PrincipalOrgID"
)
_KEYS = {name.lower(): name for name in _NAMED_KEYS.split()}
_AWS_PRINCIPAL = re.compile(rf"\*|{ACCOUNT_ID}|arn:[a-z-]+:(?:iam|sts)::{ACCOUNT_ID}:\S+|A(?:ID|RO)A[A-Z0-9]+")


def doubts_of(policy: dict[str, Any], arn: str) -> Iterator[tuple[str, str]]:
    """The doubtful things of a policy for the identity of that ARN, by name, each with what it is about."""
    yield from (("policy-element", name) for name in policy.keys() - _POLICY)
    version = policy.get("Version")
    if version not in (None, "2008-10-17", "2012-10-17"):
        yield "policy-version", str(version)
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    seen = [it["Sid"] for it in statements if it.get("Sid")]
    yield from (("statement-sid", str(sid)) for number, sid in enumerate(seen) if sid in seen[:number])
    for statement in statements:
        yield from _of_statement(statement)
        yield from _of_principal(statement.get("Principal", statement.get("NotPrincipal")))
        yield from (it for action in _listed(statement.get("Action")) for it in _of_action(action))
        yield from _of_resource(statement.get("Resource"), arn)
        yield from _of_condition(statement.get("Condition", {}))
        if version != "2012-10-17" and "${" in json.dumps([statement.get("Condition"), statement.get("Resource")]):
            yield "condition-variable", "${"


def _of_statement(statement: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from (("statement-element", name) for name in statement.keys() - _STATEMENT)
    yield from (("statement-both", name) for name in _OPPOSITES if name in statement and f"Not{name}" in statement)
    if "NotAction" in statement:
        yield "statement-not-action", "NotAction"
    if "NotPrincipal" in statement:
        yield "statement-not-principal", "NotPrincipal"
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield "effect-case", str(statement.get("Effect"))


def _of_principal(principal: Any) -> Iterator[tuple[str, str]]:
    for kind, named in principal.items() if isinstance(principal, dict) else ():
        if kind in ("Federated", "CanonicalUser"):
            yield "principal-key-unlisted", kind
        elif kind not in ("AWS", "Service"):
            yield "principal-key", kind
        if named == []:
            yield "principal-empty", kind
        for value in _listed(named):
            if not isinstance(value, str):
                yield "principal-number", str(value)
            elif kind == "AWS" and value != "*" and re.search(r"[*?]", value):
                yield "principal-wildcard", value
            elif kind == "AWS" and not _AWS_PRINCIPAL.fullmatch(value):
                yield "principal-arn", value
            elif kind == "Service" and not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", value):
                yield "principal-service", value


def _of_action(action: Any) -> Iterator[tuple[str, str]]:
    prefix, _, name = str(action).partition(":")
    if action == "*" or (prefix.lower() == "ses" and re.search(r"[*?]", name)):
        return
    known = _ACTIONS.get(name.lower()) if prefix.lower() == "ses" else None
    if known is None:
        yield "action-unknown", str(action)
    elif (prefix, name) != ("ses", known):
        yield "action-case", str(action)
    elif name in _UNLISTED:
        yield "action-unlisted", str(action)


def _of_resource(resource: Any, arn: str) -> Iterator[tuple[str, str]]:
    if isinstance(resource, list):
        yield ("resource-list" if len(resource) == 1 else "resource-repeated"), f"{len(resource)} resources"
    for value in _listed(resource):
        start, _, name = str(value).partition("/")
        if "@" not in name and f"{start}/{name.lower()}" == arn != value:
            yield "resource-case", str(value)
        elif value != arn:
            kind = "resource-wildcard" if re.search(r"[*?]", str(value)) else "resource-mismatch"
            yield kind, f"Expected the resource to be '{arn}' but was '{value}'."


def _of_condition(condition: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for operator, fields in condition.items():
        plain = operator.removeprefix("ForAllValues:").removeprefix("ForAnyValue:").removesuffix("IfExists")
        known = _SPELLINGS.get(plain.lower())
        if known is None:
            yield "condition-operator", operator
        elif plain != known:
            yield "condition-operator-case", operator
        if not fields or not isinstance(fields, dict):
            yield "condition-empty", operator
            continue
        doubt, takes = _OPERATORS[known] if known else ("", bool)
        for key, values in fields.items():
            yield from _of_key(key)
            if values == []:
                yield "condition-empty", key
            texts = (value if isinstance(value, str) else json.dumps(value) for value in _listed(values))
            yield from ((doubt, text) for text in texts if doubt and not takes(text))


def _of_key(key: str) -> Iterator[tuple[str, str]]:
    prefix = key.partition(":")[0]
    if prefix.lower() == "aws" and prefix != "aws":
        yield "condition-key-prefix", key
    elif prefix not in ("aws", "ses"):
        yield "condition-key", key
    elif key.lower() not in _KEYS:
        yield "condition-key-unlisted", key
    elif key != _KEYS[key.lower()]:
        yield "condition-key-case", key


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _is(reader: Callable[[str], Any]) -> Callable[[str], bool]:
    """Whether a reader takes a value."""

    def takes(value: str) -> bool:
        try:
            reader(value)
        except ValueError:
            return False
        return True

    return takes


def _date(value: str) -> object:
    return float(value) if re.fullmatch(r"[0-9.]+", value) else datetime.fromisoformat(value)


_COMPARED = "{0}Equals {0}NotEquals {0}LessThan {0}LessThanEquals {0}GreaterThan {0}GreaterThanEquals"
_STRINGS = "StringEquals StringNotEquals StringEqualsIgnoreCase StringNotEqualsIgnoreCase StringLike StringNotLike"
_FAMILIES: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    (_STRINGS, "", bool),
    ("Bool Null", "condition-boolean", lambda value: value.lower() in ("true", "false")),
    (_COMPARED.format("Numeric"), "condition-number", _is(float)),
    (_COMPARED.format("Date"), "condition-date", _is(_date)),
    ("IpAddress NotIpAddress", "condition-cidr", _is(lambda value: ipaddress.ip_network(value, strict=False))),
    ("ArnEquals ArnNotEquals ArnLike ArnNotLike", "condition-arn", lambda value: value.startswith("arn:")),
    ("BinaryEquals", "condition-binary", _is(lambda value: base64.b64decode(value, validate=True))),
)
_OPERATORS = {name: (doubt, takes) for names, doubt, takes in _FAMILIES for name in names.split()}
"""Each operator with the doubt about a value that is not of its kind, and how that is told."""
_SPELLINGS = {name.lower(): name for name in _OPERATORS}
