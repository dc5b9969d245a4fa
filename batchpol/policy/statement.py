"""The document and its statements: which elements there are, what each must be, and what is risky together."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from batchpol.model import Finding, Rule, Severity, did_you_mean, placed, pointer, rules_in, shown
from batchpol.policy import resource as resources
from batchpol.policy.access import check_access
from batchpol.policy.action import Judged, check_action
from batchpol.policy.condition import check_brought, check_condition
from batchpol.policy.example import OWN_ARN, STATEMENT, document, example
from batchpol.policy.principal import check_principal

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_ANATOMY = "SES Developer Guide, Policy anatomy"
_IAM = "IAM policy grammar"
_ANALYZER = "IAM Access Analyzer policy checks"
_ADVICE = "batchpol's advice; SES takes it"

NO_STATEMENT = Rule(
    "policy-statement",
    _ERROR,
    "No Statement, or none in it",
    _ANATOMY + ": Statement is required",
    "A policy has at least one statement: an object, or a list of objects.",
    bad=document(Statement=[]),
    good=document(),
)
ELEMENT = Rule(
    "policy-element",
    _WARNING,
    "An unknown element of the policy",
    _ANALYZER + ": invalid policy element; SES's own answer is not known",
    "A policy has Version, Id and Statement, spelt so.",
    bad=document(Name="sending"),
    good=document(Id="sending"),
)
VERSION = Rule(
    "policy-version",
    _WARNING,
    "A Version that IAM does not know",
    _ANATOMY + ' ("any string"); ' + _IAM,
    "Use 2012-10-17; the only other one is 2008-10-17.",
    bad=document(Version="2023-01-01"),
    good=document(Version="2012-10-17"),
)
STRING = Rule(
    "policy-string",
    _ERROR,
    "Version, Id or Sid is not a string",
    _ANATOMY + ': "any string"',
    "These three are strings.",
    bad=document(Id=1),
    good=document(Id="1"),
)
STATEMENT_TYPE = Rule(
    "statement-type",
    _ERROR,
    "A statement is not an object",
    _IAM,
    "Statement is an object or a list of objects.",
    bad=document(Statement=["Allow"]),
    good=document(),
)
MISSING = Rule(
    "statement-missing",
    _ERROR,
    "A required element is missing",
    _ANATOMY + ": Effect, Principal, Action and Resource are required",
    "Every statement has Effect, Principal, Action and Resource, spelt so: another case is another element.",
    bad=example(Action=None, action="ses:SendEmail"),
    good=example(Action="ses:SendEmail"),
)
STATEMENT_ELEMENT = Rule(
    "statement-element",
    _WARNING,
    "An unknown element of a statement",
    _ANALYZER + ": invalid policy element; SES's own answer is not known",
    "A statement has Sid, Effect, Principal, Action, Resource and Condition, spelt so. A misspelt Condition may "
    "mean a grant without one.",
    bad=example(Conditions={"StringEquals": {"ses:FromAddress": "billing@example.com"}}),
    good=example(Condition={"StringEquals": {"ses:FromAddress": "billing@example.com"}}),
)
BOTH = Rule(
    "statement-both",
    _ERROR,
    "An element and its opposite",
    _IAM,
    "A statement has Action or NotAction, Principal or NotPrincipal, never both.",
    bad=example(NotAction="ses:SendRawEmail"),
    good=example(),
)
NOT_RESOURCE = Rule(
    "statement-not-resource",
    _ERROR,
    "NotResource",
    _ANATOMY + ": each policy has to specify one resource",
    "Everything but one resource is not one resource.",
    bad=example(Resource=None, NotResource=OWN_ARN),
    good=example(Resource=OWN_ARN),
)
NOT_PRINCIPAL = Rule(
    "statement-not-principal",
    _WARNING,
    "NotPrincipal",
    _IAM + "; SES's guide does not have it",
    "Whether SES takes it is not documented. With Allow it lets in everyone but those named.",
    bad=example(Effect="Deny", Principal=None, NotPrincipal={"AWS": "444455556666"}),
    good=example(Effect="Deny", Principal={"AWS": "444455556666"}),
)
NOT_ACTION = Rule(
    "statement-not-action",
    _WARNING,
    "NotAction",
    _IAM + "; SES's guide does not have it",
    "Whether SES takes it is not documented. With Allow it grants everything but what is named.",
    bad=example(Effect="Deny", Action=None, NotAction="ses:SendEmail"),
    good=example(Effect="Deny", Action="ses:SendRawEmail"),
)
SID_REPEATED = Rule(
    "statement-sid",
    _WARNING,
    "The same Sid twice",
    _ANALYZER + ": duplicate Sids; not known of SES",
    "Sids should tell the statements of one policy apart. Empty ones may repeat.",
    bad=document(Statement=[{"Sid": "One", **STATEMENT}] * 2),
    good=document(Statement=[{"Sid": "One", **STATEMENT}, {"Sid": "Two", **STATEMENT}]),
)
EFFECT = Rule(
    "effect-value",
    _ERROR,
    "Effect is neither Allow nor Deny",
    _ANATOMY + ': "Allow" or "Deny"; IAM tells case',
    "Effect is Allow or Deny, spelt so.",
    bad=example(Effect="allow"),
    good=example(Effect="Allow"),
)
ALL_ACTIONS = Rule(
    "risk-all-actions",
    _WARNING,
    "Every action is allowed",
    _ADVICE,
    "ses:* and * allow not only sending, but also deleting the identity and changing its policies.",
    bad=example(Action="ses:*"),
    good=example(Action=["ses:SendEmail", "ses:SendRawEmail"]),
)
MANAGES = Rule(
    "risk-management",
    _WARNING,
    "More than sending is allowed",
    _ADVICE,
    "The statement allows actions that manage the identity: reading or changing its settings, its policies, itself.",
    bad=example(Action=["ses:SendEmail", "ses:DeleteEmailIdentity"]),
    good=example(Action=["ses:SendEmail"]),
)

RULES = rules_in(vars())

TOP = frozenset(("Version", "Id", "Statement"))
_ELEMENTS = (
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
)
ELEMENTS = frozenset(_ELEMENTS)
_USUAL = frozenset(("Sid", "Effect", "Principal", "Action", "Resource", "Condition"))
_EFFECTS = ("Allow", "Deny")
_REQUIRED = frozenset(("Effect", "Principal", "Action", "Resource"))
_OPPOSITES = {"Principal": "NotPrincipal", "Action": "NotAction", "Resource": "NotResource"}

_NO_ACTIONS = Judged()

Own = Callable[[str], tuple[Finding, ...]]


def check_policy(policy: dict[str, Any], own: Own) -> list[Finding]:
    """Everything wrong or doubtful with a parsed policy.

    ``own`` is asked for each Resource what keeps it from being the ARN of the identity the policy belongs to. The
    findings' ``where`` is a JSON pointer into ``policy``.
    """
    found: list[Finding] = []
    if not policy.keys() <= TOP:
        found += _unknown_elements(policy, sorted(TOP), ELEMENT)
    version = policy.get("Version", "2008-10-17")
    if version != "2012-10-17":
        found += _check_version(version)
    if type(policy.get("Id", "")) is not str:
        found.append(STRING.at("/Id", f"Id is {shown(policy['Id'])}"))
    statements = policy.get("Statement")
    if statements is None or statements == []:
        hint = _misspelt("Statement", policy)
        found.append(
            NO_STATEMENT.at("/Statement" if "Statement" in policy else "", "The policy has no Statement", hint)
        )
        return found
    has_variables = version != "2008-10-17"  # an unknown Version is named by itself
    if type(statements) is not list:
        if faults := check_statement(statements, own, has_variables):
            found += placed("/Statement", faults)
        return found
    for index, statement in enumerate(statements):
        if faults := check_statement(statement, own, has_variables):
            found += placed(pointer("Statement", index), faults)
    if len(statements) > 1:
        found += _check_together({i: one for i, one in enumerate(statements) if type(one) is dict})
    return found


def _check_version(version: Any) -> list[Finding]:
    if type(version) is not str:
        return [STRING.at("/Version", f"Version is {shown(version)}", 'write "2012-10-17"')]
    if version != "2008-10-17":
        return [VERSION.at("/Version", f"IAM knows no Version {shown(version)}", 'write "2012-10-17"')]
    return []


def check_statement(statement: Any, own: Own, has_variables: bool) -> list[Finding]:
    """One statement by itself."""
    if type(statement) is not dict:
        return [STATEMENT_TYPE.at("", f"The statement is {shown(statement)}")]
    found: list[Finding] = []
    if not statement.keys() <= _USUAL:
        found += _unusual_elements(statement)
    if not statement.keys() >= _REQUIRED:
        found += _missing_elements(statement)
    actions = _NO_ACTIONS
    is_plain = True
    for element, value in statement.items():
        if element == "Action" or element == "NotAction":
            judged = check_action(value, is_not=element == "NotAction")
            actions = judged if element == "Action" else actions
            faults: list[Finding] | tuple[Finding, ...] = judged.findings
        elif element == "Resource":
            faults = resources.check_resource(value, own)
        elif element == "Principal" or element == "NotPrincipal":
            faults = check_principal(value)
        elif element == "Condition":
            faults = check_condition(value, has_variables=has_variables)
            is_plain = not faults
        elif (element == "Sid" and type(value) is str) or (element == "Effect" and value in _EFFECTS):
            continue
        else:
            faults = _check_plain(element, value)
        if faults:
            found += placed(pointer(element), faults)
    if "Condition" in statement and (
        faults := check_brought(statement["Condition"], actions.lacking, is_plain=is_plain)
    ):
        found += placed("/Condition", faults)
    if statement.get("Effect") == "Allow":
        found += _risks(statement, actions)
    return found


def _check_plain(element: str, value: Any) -> tuple[Finding, ...]:
    """Effect and Sid."""
    if element == "Effect" and value not in _EFFECTS:
        right = value.strip().capitalize() if isinstance(value, str) else ""
        hint = f"write {right}" if right in ("Allow", "Deny") else "write Allow or Deny"
        return (EFFECT.at("", f"Effect is {shown(value)}", hint),)
    if element == "Sid" and type(value) is not str:
        return (STRING.at("", f"Sid is {shown(value)}"),)
    return ()


def _unusual_elements(statement: dict[str, Any]) -> list[Finding]:
    found = _unknown_elements(statement, _ELEMENTS, STATEMENT_ELEMENT)
    for element, opposite in _OPPOSITES.items():
        if element in statement and opposite in statement:
            found.append(BOTH.at(pointer(opposite), f"The statement has both {element} and {opposite}", "keep one"))
    for rule, element in ((NOT_RESOURCE, "NotResource"), (NOT_PRINCIPAL, "NotPrincipal"), (NOT_ACTION, "NotAction")):
        if element in statement:
            found.append(rule.at(pointer(element), f"{element} is not in SES's documentation"))
    return found


def _missing_elements(statement: dict[str, Any]) -> list[Finding]:
    found = []
    for element in ("Effect", "Principal", "Action", "Resource"):
        if element not in statement and _OPPOSITES.get(element) not in statement:
            hint = _misspelt(element, statement)
            found.append(MISSING.at("", f"The statement has no {element}", hint))
    return found


def _unknown_elements(there: dict[str, Any], known: Any, rule: Rule) -> list[Finding]:
    return [
        rule.at(pointer(key), f"{shown(key)} is no element here", did_you_mean(key, known, cutoff=0.7))
        for key in there
        if key not in known
    ]


def _misspelt(element: str, there: dict[str, Any]) -> str:
    """A hint naming the unknown key that was probably meant to be ``element``."""
    unknown = {key.lower(): key for key in list(there)[:50] if key not in ELEMENTS | TOP and len(key) <= 40}
    near = get_close_matches(element.lower(), sorted(unknown), n=1, cutoff=0.7)
    return f"{shown(unknown[near[0]])} should be {element}" if near else ""


def _check_together(statements: dict[int, dict[str, Any]]) -> list[Finding]:
    """What several statements, by their index, must and should have in common."""
    found = []
    sids: set[str] = set()
    distinct: set[str] = set()
    for index, statement in statements.items():
        sid = statement.get("Sid")
        if type(sid) is str and sid:
            if sid in sids:
                found.append(
                    SID_REPEATED.at(pointer("Statement", index, "Sid"), f"The Sid {shown(sid)} is there twice")
                )
            sids.add(sid)
        resource = statement.get("Resource")
        if type(resource) is list and len(resource) == 1:
            resource = resource[0]
        if type(resource) is str and resource.lower() not in distinct:
            if len(distinct) == 1:
                message = f"The statements have different resources, here {shown(resource)}"
                found.append(
                    resources.SEVERAL.at(pointer("Statement", index, "Resource"), message, "keep the identity's own")
                )
            distinct.add(resource.lower())
    return found


def _risks(statement: dict[str, Any], actions: Judged) -> list[Finding]:
    """What an Allow had better not do, though SES takes it."""
    found = check_access(statement)
    if actions.has_all:
        found.append(
            ALL_ACTIONS.at("/Action", "Every action is allowed, deleting the identity too", "name the actions")
        )
    elif actions.manages:
        found.append(MANAGES.at("/Action", "The statement allows more than sending", "is that meant?"))
    return found
