"""Operators of a ``Condition``, and the values that they compare with."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from batchpol.model import Finding, Rule, Severity, did_you_mean, rules_in, shown
from batchpol.policy.example import example

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_IAM = "IAM User Guide, AWS JSON policy elements: Condition operators"
_ANALYZER = "IAM Access Analyzer policy checks"
_EXAMPLES = "SES Developer Guide, Sending authorization policy examples"
_FROM = {"ses:FromAddress": "billing@example.com"}

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

RULES = rules_in(vars())

Fault = tuple[Rule, str]
"""A rule that a value breaks, and what to say of the value."""

_ISO_DATE = re.compile(
    r"([0-9]{4})(?:-?(0[1-9]|1[0-2])(?:-?(0[1-9]|[12][0-9]|3[01])"
    r"(?:[Tt](?:[01][0-9]|2[0-4])(?::?[0-5][0-9](?::?(?:[0-5][0-9]|60)(?:[.,][0-9]+)?)?)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?)?)?)?"
)
_EPOCH = re.compile(r"[0-9]{1,19}(?:\.[0-9]+)?")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_RANGE = re.compile(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?")


def _text_fault(value: str) -> Fault | None:
    return None


def _literal_fault(value: str) -> Fault | None:
    return (LITERAL_WILDCARD, "has an asterisk that stands for itself") if "*" in value else None


def _arn_fault(value: str) -> Fault | None:
    if value == "*" or (value.count(":") >= 5 and value.startswith(("arn:", "*:", "ar*", "a*"))):
        return None
    return (ARN, "is no ARN")


@lru_cache(maxsize=1024)
def _date_fault(value: str) -> Fault | None:
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


def _number_fault(value: str) -> Fault | None:
    return None if _DECIMAL.fullmatch(value) else (NUMERIC, "is no number")


def _boolean_fault(value: str) -> Fault | None:
    return None if value.lower() in ("true", "false") else (BOOLEAN, "is neither true nor false")


def _binary_fault(value: str) -> Fault | None:
    return None if _BASE64.fullmatch(value) else (BINARY, "is no base64")


@lru_cache(maxsize=1024)
def _ip_fault(value: str) -> Fault | None:
    if len(value) <= 64 and _RANGE.fullmatch(value):
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            return (CIDR, "is no IP address or range")
        return None
    return (CIDR, "is no IP address or range")


class Operator(NamedTuple):
    """What an operator makes of its values: which rule they break, if any."""

    fault_of_text: Callable[[str], Fault | None]
    fault_of_other: Fault | None = None
    takes_number: bool = True
    takes_boolean: bool = True


_STRING_LIKE = Operator(_text_fault)
_STRING_EQUALS = Operator(_literal_fault)
_NUMBERS = Operator(_number_fault, (NUMERIC, "is no number"), takes_boolean=False)
_DATES = Operator(_date_fault, (DATE, "is no date"), takes_boolean=False)
_BOOLEANS = Operator(_boolean_fault, (BOOLEAN, "is neither true nor false"), takes_number=False)
_BYTES = Operator(_binary_fault, (BINARY, "is no base64"), takes_number=False, takes_boolean=False)
_RANGES = Operator(_ip_fault, (CIDR, "is no IP address or range"), takes_number=False, takes_boolean=False)
_ARNS = Operator(_arn_fault, (ARN, "is no ARN"), takes_number=False, takes_boolean=False)
_COMPARISONS = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
OPERATORS: dict[str, Operator] = {
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


class Named(NamedTuple):
    """An operator as a Condition names it: its own name, what stands before and behind it, and what is wrong."""

    operator: Operator | None = None
    name: str = ""
    set: str = ""
    """``ForAllValues`` or ``ForAnyValue``, or empty."""
    if_exists: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def compares_text(self) -> bool:
        """Whether it compares text, or ARNs."""
        return self.name.startswith(("String", "Arn"))

    @property
    def takes_patterns(self) -> bool:
        """Whether * and ? stand for other text in its values."""
        return self.name.startswith("Arn") or self.name.endswith("Like")

    @property
    def needs_key(self) -> bool:
        """Whether it holds only for requests that bring the key, with one of the values."""
        return self.name in POSITIVE and not self.if_exists and self.set != "ForAllValues"


POSITIVE = frozenset(("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress"))
"""Operators that name who or what is meant, rather than all others."""


@lru_cache(maxsize=4096)
def read_operator(name: str) -> Named:
    """An operator with its set prefix and ``IfExists``; without an ``operator`` if it is none."""
    if operator := OPERATORS.get(name):
        return Named(operator, name)
    before, colon, base = name.rpartition(":")
    if_exists = base.lower().endswith("ifexists")
    if if_exists:
        base = base[: -len("IfExists")]
    right = _OPERATOR_BY_LOWER.get(base.lower())
    prefix = next((it for it in _SETS if it.lower() == before.lower()), None) if colon else ""
    if right is None or prefix is None or (right == "Null" and if_exists):
        hint = "Null takes no IfExists" if right == "Null" and if_exists else _nearest_operator(name)
        return Named(findings=(OPERATOR.at("", f"{shown(name)} is no condition operator", hint),))
    whole = f"{prefix}{colon}{right}{'IfExists' if if_exists else ''}"
    found = () if whole == name else (OPERATOR_CASE.at("", f"{shown(name)} is in another case", f"write {whole}"),)
    return Named(OPERATORS[right], right, prefix, if_exists, found)


def _nearest_operator(name: str) -> str:
    _, colon, base = name[:80].rpartition(":")
    if colon and base in OPERATORS:
        return f"before the colon only {' or '.join(_SETS)} may stand"
    return did_you_mean(base, OPERATORS)
