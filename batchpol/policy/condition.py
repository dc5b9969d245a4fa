"""When a statement holds: the rules of ``Condition``."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from batchpol.model import Finding, Rule, Severity, did_you_mean, placed, pointer, rules_in, shown
from batchpol.policy.example import STATEMENT, document, example

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_IAM = "IAM User Guide, AWS JSON policy elements: Condition operators"
_ANATOMY = "SES Developer Guide, Policy anatomy: Condition"
_EXAMPLES = "SES Developer Guide, Sending authorization policy examples"
_ANALYZER = "IAM Access Analyzer policy checks"
_OBSERVED = 'observed on AWS: "Unknown or unapplicable condition field" (Cognito guide, pull request 41)'
_FROM = {"ses:FromAddress": "billing@example.com"}

TYPE = Rule(
    "condition-type",
    _ERROR,
    "Condition is not an object of operators with their keys",
    _IAM,
    'The form is {"StringEquals": {"ses:FromAddress": "billing@example.com"}}.',
    bad=example(Condition=["StringEquals"]),
    good=example(Condition={"StringEquals": _FROM}),
)
OPERATOR = Rule(
    "condition-operator",
    _ERROR,
    "An unknown operator",
    _IAM,
    "Operators are those of IAM, with IfExists at the end (not on Null) and ForAllValues: or ForAnyValue: before.",
    bad=example(Condition={"StringEqual": _FROM}),
    good=example(Condition={"StringEquals": _FROM}),
)
OPERATOR_CASE = Rule(
    "condition-operator-case",
    _WARNING,
    "An operator in another case",
    _IAM + "; whether case matters to SES is not documented",
    "Write operators as IAM documents them.",
    bad=example(Condition={"stringEquals": _FROM}),
    good=example(Condition={"StringEquals": _FROM}),
)
EMPTY = Rule(
    "condition-empty",
    _WARNING,
    "An operator without a key, or a key without a value",
    _IAM,
    "An empty list of values matches nothing, an operator without keys tests nothing. An empty Condition, though, is "
    "harmless.",
    bad=example(Condition={"StringEquals": {"ses:FromAddress": []}}),
    good=example(Condition={"StringEquals": {"ses:FromAddress": ["billing@example.com"]}}),
)
KEY = Rule(
    "condition-key",
    _ERROR,
    "An unknown condition key",
    _OBSERVED,
    "SES checks the names of condition keys and refuses those it does not know.",
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
    "The key is real, but SES's documentation contradicts itself on whether it may be used here.",
    bad=example(Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
    good=example(Condition={"Bool": {"aws:SecureTransport": "true"}}),
)
VALUE_TYPE = Rule(
    "condition-value-type",
    _ERROR,
    "A condition's value is neither text, number nor boolean",
    "IAM policy grammar: condition_value",
    "A value is a string, a number, true or false, or a list of these; no null, no object, no list in a list.",
    bad=example(Condition={"StringEquals": {"ses:FromAddress": None}}),
    good=example(Condition={"StringEquals": _FROM}),
)
DATE = Rule(
    "condition-date",
    _ERROR,
    "Not a date",
    _IAM + "; Access Analyzer: invalid date value",
    "Dates are ISO 8601 (2030-01-31T12:00:00Z) or seconds since 1970. With any other the condition does nothing.",
    bad=example(Condition={"DateLessThan": {"aws:CurrentTime": "31.01.2030"}}),
    good=example(Condition={"DateLessThan": {"aws:CurrentTime": "2030-01-31T12:00Z"}}),
)
CIDR = Rule(
    "condition-cidr",
    _ERROR,
    "Not an IP address or range",
    _ANALYZER + ": type mismatch IP range",
    "Addresses are IPv4 or IPv6, alone or with a prefix length.",
    bad=example(Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/33"}}),
    good=example(Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}),
)
BOOLEAN = Rule(
    "condition-boolean",
    _ERROR,
    "Neither true nor false",
    _IAM,
    "Bool and Null compare with true or false, quoted or not.",
    bad=example(Condition={"Bool": {"aws:SecureTransport": "yes"}}),
    good=example(Condition={"Bool": {"aws:SecureTransport": "true"}}),
)
NUMERIC = Rule(
    "condition-number",
    _ERROR,
    "Not a number",
    _IAM,
    "Numeric operators compare with whole or decimal numbers, quoted or not.",
    bad=example(Condition={"NumericLessThan": {"aws:EpochTime": "soon"}}),
    good=example(Condition={"NumericLessThan": {"aws:EpochTime": "1900000000"}}),
)
ARN = Rule(
    "condition-arn",
    _WARNING,
    "Not an ARN",
    _IAM,
    "Arn operators compare the six parts of an ARN; a value without them never matches.",
    bad=example(Condition={"ArnLike": {"aws:SourceArn": "userpool/pool-1"}}),
    good=example(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:cognito-idp:us-east-1:444455556666:userpool/*"}}),
)
BINARY = Rule(
    "condition-binary",
    _WARNING,
    "Not base64",
    _IAM,
    "BinaryEquals compares with base64 text; any other never matches.",
    bad=example(Condition={"BinaryEquals": {"ses:FromDisplayName": "not base64!"}}),
    good=example(Condition={"BinaryEquals": {"ses:FromDisplayName": "QmlsbGluZw=="}}),
)
LITERAL_WILDCARD = Rule(
    "condition-literal-wildcard",
    _WARNING,
    "A * that stands for itself",
    _EXAMPLES,
    "In StringEquals and its kin an asterisk is only an asterisk; patterns need StringLike.",
    bad=example(Condition={"StringEquals": {"ses:FromAddress": "*@example.com"}}),
    good=example(Condition={"StringLike": {"ses:FromAddress": "*@example.com"}}),
)
VARIABLE = Rule(
    "condition-variable",
    _WARNING,
    "A policy variable without Version 2012-10-17",
    "IAM User Guide, IAM policy elements: Variables",
    "Only with Version 2012-10-17 are ${…} replaced; otherwise they are compared as they stand.",
    bad=document(
        Version="2008-10-17",
        Statement={**STATEMENT, "Condition": {"StringLike": {"ses:FromAddress": "${aws:username}@example.com"}}},
    ),
    good=example(Condition={"StringLike": {"ses:FromAddress": "${aws:username}@example.com"}}),
)

RULES = rules_in(vars())


# Keys


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# SES's own four, the eight that its guide's anatomy page names, and those its examples use.
_DOCUMENTED = _words("""
    ses:Recipients ses:FromAddress ses:FromDisplayName ses:FeedbackAddress
    aws:CurrentTime aws:EpochTime aws:SecureTransport aws:SourceIp aws:SourceVpc aws:SourceVpce aws:UserAgent
    aws:VpcSourceIp aws:SourceAccount aws:SourceArn aws:PrincipalOrgID
""")
# Real, but only in the Service Authorization Reference (ses:) or IAM's list of global keys (aws:).
_UNLISTED = _words("""
    ses:ApiVersion ses:MultiRegionEndpointId ses:TenantName ses:ExportSourceType ses:ReplicaRegion
    aws:AssumedRoot aws:CalledVia aws:CalledViaFirst aws:CalledViaLast aws:ChatbotSourceArn
    aws:Ec2InstanceSourcePrivateIPv4 aws:Ec2InstanceSourceVpc aws:FederatedProvider aws:MultiFactorAuthAge
    aws:MultiFactorAuthPresent aws:PrincipalAccount aws:PrincipalArn aws:PrincipalIsAWSService aws:PrincipalOrgPaths
    aws:PrincipalServiceName aws:PrincipalServiceNamesList aws:PrincipalType aws:referer aws:RequestedRegion
    aws:ResourceAccount aws:ResourceOrgID aws:ResourceOrgPaths aws:SignInSessionArn aws:SourceIdentity aws:SourceOrgID
    aws:SourceOrgPaths aws:SourceVpcArn aws:TagKeys aws:TokenIssueTime aws:userid aws:username aws:ViaAWSService
    aws:VpceAccount aws:VpceOrgID aws:VpceOrgPaths
""")
_TAGGED = ("aws:PrincipalTag/", "aws:RequestTag/", "aws:ResourceTag/")
_KEY_BY_LOWER = {key.lower(): key for key in _DOCUMENTED | _UNLISTED}


@lru_cache(maxsize=4096)
def check_key(key: str) -> tuple[Finding, ...]:
    """The name of a condition key."""
    if key in _DOCUMENTED:
        return ()
    prefix = key.partition(":")[0]
    right = _KEY_BY_LOWER.get(key.lower()) or _tagged(key)
    if prefix.lower() == "aws" and prefix != "aws":
        return (KEY_PREFIX.at("", f"SES does not know the key {shown(key)}", f"write {right or 'aws:' + key[4:84]}"),)
    if right is None:
        return (KEY.at("", f"SES does not know the key {shown(key)}", did_you_mean(key, _KEY_BY_LOWER.values())),)
    if right != key:
        return (KEY_CASE.at("", f"The key {shown(key)} is in another case", f"write {right}"),)
    return (KEY_UNLISTED.at("", f"SES's guide does not name the key {shown(key)}"),)


def _tagged(key: str) -> str | None:
    """The right spelling of a key that ends in the name of a tag, if it is one."""
    for start in _TAGGED:
        if key.lower().startswith(start.lower()) and len(key) > len(start):
            return start + key[len(start) :]
    return None


# Values

_Fault = tuple[Rule, str]
_ISO_DATE = re.compile(
    r"([0-9]{4})(?:-?(0[1-9]|1[0-2])(?:-?(0[1-9]|[12][0-9]|3[01])"
    r"(?:[Tt](?:[01][0-9]|2[0-4])(?::?[0-5][0-9](?::?(?:[0-5][0-9]|60)(?:[.,][0-9]+)?)?)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?)?)?)?"
)
_EPOCH = re.compile(r"[0-9]{1,19}(?:\.[0-9]+)?")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_RANGE = re.compile(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?")


def _text_fault(value: str) -> _Fault | None:
    return None


def _literal_fault(value: str) -> _Fault | None:
    return (LITERAL_WILDCARD, "has an asterisk that stands for itself") if "*" in value else None


def _arn_fault(value: str) -> _Fault | None:
    if value == "*" or (value.count(":") >= 5 and value.startswith(("arn:", "*:", "ar*", "a*"))):
        return None
    return (ARN, "is no ARN")


@lru_cache(maxsize=1024)
def _date_fault(value: str) -> _Fault | None:
    if len(value) <= 40 and (_EPOCH.fullmatch(value) or _is_iso_date(value)):
        return None
    return (DATE, "is no date")


def _is_iso_date(value: str) -> bool:
    match = _ISO_DATE.fullmatch(value)
    if not match:
        return False
    year, month, day = match.groups(default="1")
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _number_fault(value: str) -> _Fault | None:
    return None if _DECIMAL.fullmatch(value) else (NUMERIC, "is no number")


def _boolean_fault(value: str) -> _Fault | None:
    return None if value.lower() in ("true", "false") else (BOOLEAN, "is neither true nor false")


def _binary_fault(value: str) -> _Fault | None:
    return None if _BASE64.fullmatch(value) else (BINARY, "is no base64")


@lru_cache(maxsize=1024)
def _ip_fault(value: str) -> _Fault | None:
    if len(value) <= 64 and _RANGE.fullmatch(value):
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            return (CIDR, "is no IP address or range")
        return None
    return (CIDR, "is no IP address or range")


# Operators


class _Operator(NamedTuple):
    fault_of_text: Callable[[str], _Fault | None]
    fault_of_other: _Fault | None = None
    takes_number: bool = True
    takes_boolean: bool = True


_STRING_LIKE = _Operator(_text_fault)
_STRING_EQUALS = _Operator(_literal_fault)
_NUMBERS = _Operator(_number_fault, (NUMERIC, "is no number"), takes_boolean=False)
_DATES = _Operator(_date_fault, (DATE, "is no date"), takes_boolean=False)
_BOOLEANS = _Operator(_boolean_fault, (BOOLEAN, "is neither true nor false"), takes_number=False)
_BYTES = _Operator(_binary_fault, (BINARY, "is no base64"), takes_number=False, takes_boolean=False)
_RANGES = _Operator(_ip_fault, (CIDR, "is no IP address or range"), takes_number=False, takes_boolean=False)
_ARNS = _Operator(_arn_fault, (ARN, "is no ARN"), takes_number=False, takes_boolean=False)
_COMPARISONS = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
OPERATORS: dict[str, _Operator] = {
    "StringEquals": _STRING_EQUALS,
    "StringNotEquals": _STRING_EQUALS,
    "StringEqualsIgnoreCase": _STRING_EQUALS,
    "StringNotEqualsIgnoreCase": _STRING_EQUALS,
    "StringLike": _STRING_LIKE,
    "StringNotLike": _STRING_LIKE,
    **{f"Numeric{comparison}": _NUMBERS for comparison in _COMPARISONS},
    **{f"Date{comparison}": _DATES for comparison in _COMPARISONS},
    "Bool": _BOOLEANS,
    "BinaryEquals": _BYTES,
    "IpAddress": _RANGES,
    "NotIpAddress": _RANGES,
    "ArnEquals": _ARNS,
    "ArnNotEquals": _ARNS,
    "ArnLike": _ARNS,
    "ArnNotLike": _ARNS,
    "Null": _BOOLEANS,
}
_OPERATOR_BY_LOWER = {name.lower(): name for name in OPERATORS}
_SETS = ("ForAllValues", "ForAnyValue")


@lru_cache(maxsize=4096)
def read_operator(name: str) -> tuple[_Operator | None, tuple[Finding, ...]]:
    """An operator by its name, with its set prefix and ``IfExists``; None for one that is none."""
    if operator := OPERATORS.get(name):
        return operator, ()
    before, colon, base = name.rpartition(":")
    if_exists = base.lower().endswith("ifexists")
    if if_exists:
        base = base[: -len("IfExists")]
    right = _OPERATOR_BY_LOWER.get(base.lower())
    prefix = next((it for it in _SETS if it.lower() == before.lower()), None) if colon else ""
    if right is None or prefix is None or (right == "Null" and if_exists):
        hint = "Null takes no IfExists" if right == "Null" and if_exists else _nearest_operator(name)
        return None, (OPERATOR.at("", f"{shown(name)} is no condition operator", hint),)
    whole = f"{prefix}{colon}{right}{'IfExists' if if_exists else ''}"
    if whole != name:
        return OPERATORS[right], (OPERATOR_CASE.at("", f"{shown(name)} is in another case", f"write {whole}"),)
    return OPERATORS[right], ()


def _nearest_operator(name: str) -> str:
    _, colon, base = name[:80].rpartition(":")
    if colon and base in OPERATORS:
        return f"before the colon only {' or '.join(_SETS)} may stand"
    return did_you_mean(base, OPERATORS)


# The whole


def check_condition(value: Any, *, has_variables: bool) -> list[Finding] | tuple[Finding, ...]:
    """The value of ``Condition``; ``has_variables`` says whether the Version replaces ``${…}``."""
    if type(value) is not dict:
        return (TYPE.at("", f"Condition is {shown(value)}"),)
    found: list[Finding] = []
    for name, keys in value.items():
        operator, faults = read_operator(name)
        if faults:
            found += placed(pointer(name), faults)
        if type(keys) is not dict:
            found.append(TYPE.at(pointer(name), f"{shown(name)} has {shown(keys)}, not an object of keys"))
            continue
        if not keys:
            found.append(EMPTY.at(pointer(name), f"{shown(name)} has no keys"))
        for key, values in keys.items():
            if faults := check_key(key):
                found += placed(pointer(name, key), faults)
            if faults := _check_values(values, operator or _STRING_LIKE, has_variables):
                found += placed(pointer(name, key), faults)
    return found


def _check_values(values: Any, operator: _Operator, has_variables: bool) -> tuple[Finding, ...]:
    if type(values) is not list:
        return _check_value(values, operator, has_variables)
    if not values:
        return (EMPTY.at("", "The list of values is empty, so nothing matches"),)
    found: list[Finding] = []
    for index, value in enumerate(values):
        if faults := _check_value(value, operator, has_variables):
            found += placed(pointer(index), faults)
    return tuple(found)


def _check_value(value: Any, operator: _Operator, has_variables: bool) -> tuple[Finding, ...]:
    kind = type(value)
    if kind is str:
        if "${" in value:
            if has_variables:
                return ()
            return (VARIABLE.at("", f"{shown(value)} has a variable", 'write "Version": "2012-10-17"'),)
        fault = operator.fault_of_text(value)
    elif kind is bool:
        fault = None if operator.takes_boolean else operator.fault_of_other
    elif kind is int or kind is float:
        fault = None if operator.takes_number else operator.fault_of_other
    else:
        return (VALUE_TYPE.at("", f"The value is {shown(value)}"),)
    return (fault[0].at("", f"{shown(value)} {fault[1]}"),) if fault else ()
