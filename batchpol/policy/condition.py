"""When a statement holds: the rules of ``Condition``, and of what can never hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from batchpol.model import Finding, Rule, Severity, placed, pointer, rules_in, shown
from batchpol.policy import known
from batchpol.policy.example import STATEMENT, document, example
from batchpol.policy.keys import check_key, known_key, type_of
from batchpol.policy.operators import Named, Operator, read_operator
from batchpol.policy.values import (
    ADDRESSES,
    FORMS,
    form_fault,
    is_usual,
    is_usual_address,
    is_usual_pattern,
    text_fault,
)
from batchpol.policy.window import check_window

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_IAM = "IAM User Guide, AWS JSON policy elements: Condition operators"
_MULTIVALUED = "IAM User Guide, Single-valued vs. multivalued context keys"
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
VALUE_TYPE = Rule(
    "condition-value-type",
    _ERROR,
    "A condition's value is neither text, number nor boolean",
    "IAM policy grammar: condition_value",
    "A value is a string, a number, true or false, or a list of these; no null, no object, no list in a list.",
    bad=example(Condition={"StringEquals": {"ses:FromAddress": None}}),
    good=example(Condition={"StringEquals": _FROM}),
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
SET_MISSING = Rule(
    "condition-set-missing",
    _WARNING,
    "A key of many values without ForAllValues or ForAnyValue",
    _MULTIVALUED,
    "A request has several recipients, tags or paths at once. ForAllValues: says that each of them must match, "
    "ForAnyValue: that one must; without either, IAM does not say what holds.",
    bad=example(Condition={"StringLike": {"ses:Recipients": "*@example.com"}}),
    good=example(Condition={"ForAllValues:StringLike": {"ses:Recipients": "*@example.com"}}),
)
SET_NEEDLESS = Rule(
    "condition-set-needless",
    _WARNING,
    "ForAllValues or ForAnyValue on a key of one value",
    _MULTIVALUED + ': "Do not use condition set operators with single-valued context keys"',
    "These are for keys of many values. On a key of one value, ForAllValues: holds for a request without that key, "
    "too, so that an Allow lets in more than it says.",
    bad=example(Condition={"ForAllValues:StringEquals": _FROM}),
    good=example(Condition={"StringEquals": _FROM}),
)
ADDRESS_OPERATOR = Rule(
    "condition-address-operator",
    _WARNING,
    "A string operator on an IP address",
    _IAM + ": IP address condition operators",
    "IpAddress and NotIpAddress know what lies in a range; string operators compare the range's text with that of an "
    "address, and no address is a range.",
    bad=example(Condition={"StringEquals": {"aws:SourceIp": "203.0.113.0/24"}}),
    good=example(Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}),
)
KEY_ABSENT = Rule(
    "condition-key-absent",
    _WARNING,
    "A condition on a key that the action never brings",
    f"Service Authorization Reference, Amazon SES: condition keys of each action, as of {known.MADE}",
    "Only sending has a sender and recipients. For an action whose requests do not have the key, the condition is "
    "never met, so an Allow never holds; put such actions into a statement of their own.",
    bad=example(Action=["ses:SendEmail", "ses:GetEmailIdentity"], Condition={"StringEquals": _FROM}),
    good=example(Action=["ses:SendEmail", "ses:SendRawEmail"], Condition={"StringEquals": _FROM}),
)

RULES = rules_in(vars())


class _Use(NamedTuple):
    """A key under an operator: what is wrong with the two, and how its values are looked at."""

    findings: tuple[Finding, ...]
    operator: Operator | None
    key: str
    """As AWS writes it; empty for an unknown one."""
    compares_text: bool
    takes_patterns: bool
    has_form: bool
    is_right: Callable[[str], object]
    """Of most texts that are right: that they are, by one look."""


_TRUTHS = frozenset(("true", "false"))
_NONE: frozenset[str] = frozenset()


@lru_cache(maxsize=4096)
def _use_of(name: str, key: str) -> _Use:
    named, found, right = read_operator(name), check_key(key), known_key(key)
    if not any(it.severity is _ERROR for it in found):
        found = *found, *_check_together(named, key)
    compares_text, takes_patterns = named.compares_text, named.takes_patterns
    has_form = compares_text and (right in FORMS or type_of(key) == "ARN")
    is_right: Callable[[str], object] = (_TRUTHS if named.name in ("Bool", "Null") else _NONE).__contains__
    if right in ADDRESSES and named.name.startswith("String"):  # under Arn… an address is never right
        is_right = is_usual_pattern if takes_patterns else is_usual_address
    return _Use(found, named.operator, right, compares_text, takes_patterns, has_form, is_right)


def check_condition(value: Any, *, has_variables: bool) -> list[Finding] | tuple[Finding, ...]:
    """The value of ``Condition``; ``has_variables`` says whether the Version replaces ``${…}``."""
    if type(value) is not dict:
        return (TYPE.at("", f"Condition is {shown(value)}"),)
    found: list[Finding] = []
    has_bound = False
    for name, keys in value.items():
        named = read_operator(name)
        if named.findings:
            found += placed(pointer(name), named.findings)
        if type(keys) is not dict:
            found.append(TYPE.at(pointer(name), f"{shown(name)} has {shown(keys)}, not an object of keys"))
            continue
        if not keys:
            found.append(EMPTY.at(pointer(name), f"{shown(name)} has no keys"))
        has_bound = has_bound or "GreaterThan" in named.name
        for key, values in keys.items():
            use = _use_of(name, key)
            if type(values) is str and use.is_right(values):
                faults: tuple[Finding, ...] = ()
            else:
                check = _check_value if type(values) is not list else _check_values
                faults = check(use, values, has_variables)
            if faults or use.findings:
                found += placed(pointer(name, key), (*use.findings, *faults))
    if has_bound:
        found += check_window(value)
    return found


def _check_together(named: Named, key: str) -> tuple[Finding, ...]:
    """An operator beside a key: whether they are of one kind."""
    kind = type_of(key)
    if not kind or not named.operator or named.name == "Null":
        return ()
    if kind.startswith("ArrayOf"):
        if named.set:
            return ()
        hint = f"write ForAllValues:{named.name} or ForAnyValue:{named.name}"
        return (SET_MISSING.at("", f"{shown(key)} has many values, and {named.name} is for one", hint),)
    if named.set:
        hint = f"write {named.name}{'IfExists' if named.if_exists else ''}"
        return (SET_NEEDLESS.at("", f"{shown(key)} has one value, and {named.set} is for many", hint),)
    if kind == "IPAddress" and named.name.startswith("String"):
        hint = f"write {'NotIpAddress' if 'Not' in named.name else 'IpAddress'}"
        return (ADDRESS_OPERATOR.at("", f"{shown(key)} is an IP address, and {named.name} compares text", hint),)
    return ()


def _check_values(use: _Use, values: list[Any], has_variables: bool) -> tuple[Finding, ...]:
    if not values:
        return (EMPTY.at("", "The list of values is empty, so nothing matches"),)
    found: list[Finding] = []
    for index, value in enumerate(values):
        if faults := _check_value(use, value, has_variables):
            found += placed(pointer(index), faults)
    return tuple(found)


def _check_value(use: _Use, value: Any, has_variables: bool) -> tuple[Finding, ...]:
    """One value: what is wrong with it first of all, since one mend is enough."""
    kind, operator = type(value), use.operator
    if kind is not str and kind is not bool and kind is not int and kind is not float:
        return (VALUE_TYPE.at("", f"The value is {shown(value)}"),)
    if operator is None:
        return ()
    if kind is str:
        return () if use.is_right(value) else _check_text(use, operator, value, has_variables)
    takes = operator.takes_boolean if kind is bool else operator.takes_number
    if takes or operator.fault_of_other is None:
        return _check_form(use, str(value)) if kind is int and use.has_form else ()
    rule, why = operator.fault_of_other
    return (rule.at("", f"{shown(value)} {why}"),)


def _check_text(use: _Use, operator: Operator, value: str, has_variables: bool) -> tuple[Finding, ...]:
    if use.compares_text and not is_usual(value) and (never := text_fault(use.key, value)):
        return (never.rule.at("", f"{shown(value)} {never.why}", never.mend),)
    if "${" in value:
        if not has_variables:
            return (VARIABLE.at("", f"{shown(value)} has a variable", 'write "Version": "2012-10-17"'),)
    elif fault := operator.fault_of_text(value):
        return (fault[0].at("", f"{shown(value)} {fault[1]}"),)
    return _check_form(use, value) if use.has_form else ()


def _check_form(use: _Use, value: str) -> tuple[Finding, ...]:
    never = form_fault(use.key, value, is_pattern=use.takes_patterns)
    return (never.rule.at("", f"{shown(value)} {never.why}", never.mend),) if never else ()


def check_brought(condition: Any, lacking: Mapping[str, str], *, is_plain: bool) -> list[Finding]:
    """The keys of a Condition beside its statement's actions; ``lacking`` has those that an action never brings.

    ``is_plain``: nothing was found about the Condition by itself, so that its keys are as AWS writes them.
    """
    found: list[Finding] = []
    if type(condition) is not dict or (
        is_plain and not [1 for keys in condition.values() for it in keys if it in lacking]
    ):
        return found
    for name, keys in condition.items():
        if type(keys) is not dict:
            continue
        for key in keys:
            right = known_key(key)
            action = lacking.get(right) or ("/" in right and lacking.get(right[: right.index("/") + 1]))
            named = read_operator(name)
            if action and named.name not in ("", "Null") and not named.if_exists:
                message = f"{shown(action)} never brings the key {right}"
                found.append(KEY_ABSENT.at(pointer(name, key), message, "give such actions a statement of their own"))
    return found
