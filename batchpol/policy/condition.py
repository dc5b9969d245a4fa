"""When a statement holds: the rules of ``Condition``, and of what can never hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from batchpol.model import Finding, Rule, Severity, placed, pointer, rules_in, shown
from batchpol.policy import known
from batchpol.policy.action import OF_ACTIONS
from batchpol.policy.example import STATEMENT, document, example
from batchpol.policy.keys import check_key, known_key, type_of
from batchpol.policy.operators import Named, Operator, read_operator
from batchpol.policy.values import form_fault, text_fault
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
            faults = check_key(key)
            if not faults or faults[0].severity is _WARNING:
                faults = *faults, *_check_together(named, key)
            if faults := (*faults, *_check_values(key, values, named, has_variables)):
                found += placed(pointer(name, key), faults)
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


def _check_values(key: str, values: Any, named: Named, has_variables: bool) -> Iterable[Finding]:
    if type(values) is not list:
        return _check_value(key, values, named, has_variables)
    if not values:
        return (EMPTY.at("", "The list of values is empty, so nothing matches"),)
    found: list[Finding] = []
    for index, value in enumerate(values):
        if faults := _check_value(key, value, named, has_variables):
            found += placed(pointer(index), faults)
    return found


def _check_value(key: str, value: Any, named: Named, has_variables: bool) -> tuple[Finding, ...]:
    """One value: what is wrong with it first of all, since one mend is enough."""
    kind, operator = type(value), named.operator
    if kind is not str and kind is not bool and kind is not int and kind is not float:
        return (VALUE_TYPE.at("", f"The value is {shown(value)}"),)
    if operator is None:
        return ()
    if kind is str:
        return _check_text(key, value, named, operator, has_variables)
    takes = operator.takes_boolean if kind is bool else operator.takes_number
    if takes or operator.fault_of_other is None:
        return _check_form(key, str(value), named) if kind is int else ()
    rule, why = operator.fault_of_other
    return (rule.at("", f"{shown(value)} {why}"),)


def _check_text(key: str, value: str, named: Named, operator: Operator, has_variables: bool) -> tuple[Finding, ...]:
    has_variable = "${" in value
    fault = None if has_variable else operator.fault_of_text(value)
    if not (fault and fault[0].severity is _ERROR) and named.compares_text:
        never = text_fault(known_key(key), value)
        if never:
            return (never.rule.at("", f"{shown(value)} {never.why}", never.mend),)
    if fault:
        return (fault[0].at("", f"{shown(value)} {fault[1]}"),)
    if has_variable and not has_variables:
        return (VARIABLE.at("", f"{shown(value)} has a variable", 'write "Version": "2012-10-17"'),)
    return _check_form(key, value, named)


def _check_form(key: str, value: str, named: Named) -> tuple[Finding, ...]:
    if not named.compares_text:
        return ()
    never = form_fault(known_key(key), value, is_pattern=named.takes_patterns)
    return (never.rule.at("", f"{shown(value)} {never.why}", never.mend),) if never else ()


def check_brought(condition: Any, brings: tuple[tuple[str, frozenset[str]], ...]) -> list[Finding]:
    """The keys of a Condition beside the actions of its statement, of which ``brings`` has the keys of each."""
    found: list[Finding] = []
    if type(condition) is not dict:
        return found
    for name, keys in condition.items():
        named = read_operator(name)
        if type(keys) is not dict or named.if_exists or named.name in ("", "Null"):
            continue
        for key in keys:
            right = known_key(key)
            start, slash, _ = right.partition("/")
            if start + slash not in OF_ACTIONS:
                continue
            without = [action for action, of_one in brings if start + slash not in of_one]
            if without:
                message = f"{shown(without[0])} never brings the key {right}"
                found.append(KEY_ABSENT.at(pointer(name, key), message, "give such actions a statement of their own"))
    return found
