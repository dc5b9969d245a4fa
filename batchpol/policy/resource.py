"""What a statement is about: the form of ``Resource``. Whether it is the identity's own ARN, the caller knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from batchpol.model import Finding, Rule, Severity, placed, pointer, rules_in, shown
from batchpol.policy.example import OWN_ARN, example

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_ANATOMY = "SES Developer Guide, Policy anatomy: Resource"

TYPE = Rule(
    "resource-type",
    _ERROR,
    "Resource is neither a string nor a list of one string",
    _ANATOMY + "; a list of one: Terraform's acceptance tests against AWS",
    "Each policy has to specify one resource: a string, or a list with one string in it.",
    bad=example(Resource={"arn": OWN_ARN}),
    good=example(Resource=[OWN_ARN]),
)
EMPTY = Rule(
    "resource-empty",
    _ERROR,
    "No resource",
    _ANATOMY,
    "Each policy has to specify one resource.",
    bad=example(Resource=[]),
    good=example(Resource=OWN_ARN),
)
SEVERAL = Rule(
    "resource-several",
    _ERROR,
    "Several resources",
    _ANATOMY,
    "Each policy has to specify one resource, the identity's own ARN, in all of its statements.",
    bad=example(Resource=[OWN_ARN, OWN_ARN.replace("us-east-1", "eu-west-1")]),
    good=example(Resource=OWN_ARN),
)
REPEATED = Rule(
    "resource-repeated",
    _WARNING,
    "The same resource twice in one statement",
    _ANATOMY,
    "One resource is asked for; the same one twice is one, but written twice.",
    bad=example(Resource=[OWN_ARN, OWN_ARN]),
    good=example(Resource=OWN_ARN),
)

RULES = rules_in(vars())


def check_resource(value: Any, own: Callable[[str], tuple[Finding, ...]]) -> tuple[Finding, ...] | list[Finding]:
    """The value of ``Resource``; ``own`` tells what keeps a string from being the identity's own ARN."""
    if type(value) is str:
        return own(value)
    if type(value) is not list:
        return (TYPE.at("", f"Resource is {shown(value)}"),)
    if not value:
        return (EMPTY.at("", "Resource is an empty list"),)
    found: list[Finding] = []
    for index, one in enumerate(value):
        if type(one) is not str:
            found.append(TYPE.at(pointer(index), f"The resource {shown(one)} is no string"))
        elif faults := own(one):
            found += placed(pointer(index), faults)
    distinct = {one for one in value if type(one) is str}
    if len(distinct) > 1:
        found.append(SEVERAL.at("", f"Resource has {len(distinct)} different ARNs", "keep the identity's own"))
    elif distinct and len(value) > 1:
        found.append(REPEATED.at("", f"Resource names {shown(next(iter(distinct)))} {len(value)} times"))
    return found
