"""Whom an Allow lets in: everyone on AWS, every customer of a service, or those whom a Condition names."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any

from batchpol.model import ACCOUNT_ID, Finding, Rule, Severity, rules_in, shown
from batchpol.policy.example import example
from batchpol.policy.keys import known_key, type_of
from batchpol.policy.operators import read_operator
from batchpol.policy.principal import is_everyone, service_in
from batchpol.policy.values import is_usual, text_fault

_WARNING = Severity.WARNING

PUBLIC = Rule(
    "risk-public",
    _WARNING,
    "Everyone on AWS is allowed this: no Condition says who",
    "batchpol's advice, SES takes it; IAM User Guide, AWS JSON policy elements: Principal",
    "An Allow for * lets every AWS account send as this identity, unless an operator such as StringEquals, StringLike, "
    "ArnLike or IpAddress names who: by account, organization, principal, source, VPC or address range. What is sent, "
    "how and when fences nobody in, and neither does what also holds for requests without the key (IfExists, "
    "ForAllValues, Null, Not…), or a pattern that leaves the account open.",
    bad=example(Principal="*", Condition={"StringEquals": {"ses:FromAddress": "billing@example.com"}}),
    good=example(Principal="*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}),
)
SERVICE = Rule(
    "risk-service",
    _WARNING,
    "Every customer of a service is allowed this, through that service",
    "IAM User Guide, The confused deputy problem: aws:SourceArn and aws:SourceAccount for service principals",
    "A service acts for all of its customers. Without aws:SourceAccount or aws:SourceArn (or their organization's "
    "aws:SourceOrgID, aws:SourceOrgPaths), anybody can have it send as this identity.",
    bad=example(Principal={"Service": "cognito-idp.amazonaws.com"}),
    good=example(
        Principal={"Service": "cognito-idp.amazonaws.com"},
        Condition={"StringEquals": {"aws:SourceAccount": "444455556666"}},
    ),
)

RULES = rules_in(vars())

_SOURCE = frozenset(("aws:SourceAccount", "aws:SourceArn", "aws:SourceOrgID", "aws:SourceOrgPaths"))
_WHO = _SOURCE | {
    "aws:PrincipalOrgID",
    "aws:PrincipalOrgPaths",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:SourceVpc",
    "aws:SourceVpce",
    "aws:SourceIp",
}
_ANYBODY = re.compile(r"(?:o-|vpce?-)?[*?]+(?:/.*)?", re.DOTALL)
_OF_THE_RESOURCE = re.compile(r"\$\{aws:Resource[A-Za-z]+\}", re.IGNORECASE)


def check_access(statement: dict[str, Any]) -> list[Finding]:
    """Who is let in by an Allow that says so of more people than its author may think."""
    principal = statement.get("Principal")
    everyone = "/NotPrincipal" if "NotPrincipal" in statement else "/Principal" if is_everyone(principal) else ""
    host = "" if everyone else service_in(principal)
    if not everyone and not host:
        return []
    condition = statement.get("Condition")
    named = set(_named(condition)) if type(condition) is dict else set()
    if everyone and not named & _WHO:
        return [PUBLIC.at(everyone, _who(statement), _mend(condition))]
    if host and not named & _SOURCE:
        hint = "add a Condition on aws:SourceAccount or aws:SourceArn"
        return [SERVICE.at("/Principal/Service", f"Whoever uses {shown(host)} is allowed this, through it", hint)]
    return []


def _who(statement: dict[str, Any]) -> str:
    who = "Every AWS account but those named" if "NotPrincipal" in statement else "Every AWS account"
    return f"{who} is allowed this, and no Condition says who"


def _mend(condition: Any) -> str:
    """Why a Condition that is there fences nobody in."""
    keys = [key for keys in condition.values() if type(keys) is dict for key in keys] if type(condition) is dict else []
    if not keys:
        return ""
    who = [key for key in keys if known_key(key) in _WHO]
    if who:
        return f"as it is written, {shown(who[0])} holds for anybody"
    return f"{shown(keys[0])} does not say who"


def _named(condition: dict[str, Any]) -> Iterable[str]:
    """The keys with which a Condition names who or what is meant, and no one else."""
    for name, keys in condition.items():
        operator = read_operator(name)
        if not operator.needs_key or type(keys) is not dict:
            continue
        for key, values in keys.items():
            listed = values if type(values) is list else [values]
            right = known_key(key)
            if right in _WHO and listed and not _lets_in_anybody(right, listed):
                yield right


def _lets_in_anybody(key: str, values: list[Any]) -> bool:
    """Whether one of the values, of which any is enough, is everybody's; a placeholder is nobody's."""
    texts = [value for value in values if type(value) is str and (is_usual(value) or not text_fault(key, value))]
    if key == "aws:SourceIp":
        return _is_whole_world(texts)
    if type_of(key) == "ARN":
        return any(_is_of_any_account(text) for text in texts)
    return any(_ANYBODY.fullmatch(text) or _is_callers_own(text) for text in texts)


def _is_callers_own(value: str) -> bool:
    """Whether a value is a variable that is filled in with something of the caller's."""
    return "${" in _OF_THE_RESOURCE.sub("", value)


def _is_of_any_account(arn: str) -> bool:
    """Whether a pattern of ARNs leaves open which account they are of; a bucket's has none, but names the bucket."""
    parts = _OF_THE_RESOURCE.sub("own", arn).split(":", 5)
    if len(parts) < 6:
        return ("*" in arn or "${" in arn) and not re.search(ACCOUNT_ID, arn)
    account, resource = parts[4:]
    return "${" in account or _ANYBODY.fullmatch(account or resource) is not None


def _is_whole_world(ranges: list[str]) -> bool:
    """Whether address ranges together are all of IPv4 or of IPv6."""
    networks: dict[int, list[Any]] = {4: [], 6: []}
    for text in ranges:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
        networks[network.version].append(network)
    return any(net.prefixlen == 0 for nets in networks.values() for net in ipaddress.collapse_addresses(nets))
