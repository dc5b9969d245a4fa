"""Who a statement is about: the rules of ``Principal``."""

from __future__ import annotations

import re
from typing import Any

from batchpol.model import ACCOUNT_ID, Finding, Rule, Severity, is_account_id, placed, pointer, rules_in, shown
from batchpol.model.mends import account_mend, stripped
from batchpol.policy.example import example

Findings = tuple[Finding, ...] | list[Finding]

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_ANATOMY = "SES Developer Guide, Policy anatomy: Principal"
_IAM = "IAM User Guide, AWS JSON policy elements: Principal"
_ANALYZER = "IAM Access Analyzer policy checks"

TYPE = Rule(
    "principal-type",
    _ERROR,
    'Principal is neither "*" nor an object',
    _ANATOMY + "; " + _IAM,
    'Principal is "*" or an object such as {"AWS": "444455556666"} or {"Service": "cognito-idp.amazonaws.com"}, each '
    "with a string or a list of strings.",
    bad=example(Principal="444455556666"),
    good=example(Principal={"AWS": "444455556666"}),
)
EMPTY = Rule(
    "principal-empty",
    _ERROR,
    "No principal",
    _ANATOMY,
    "A statement has at least one valid principal.",
    bad=example(Principal={"AWS": []}),
    good=example(Principal={"AWS": ["444455556666"]}),
)
KEY = Rule(
    "principal-key",
    _ERROR,
    "An unknown kind of principal",
    _ANALYZER + ": invalid principal key",
    "The kinds are AWS and Service, spelt so (IAM also knows Federated and CanonicalUser).",
    bad=example(Principal={"Aws": "444455556666"}),
    good=example(Principal={"AWS": "444455556666"}),
)
KEY_UNLISTED = Rule(
    "principal-key-unlisted",
    _WARNING,
    "A kind of principal that SES does not document",
    _IAM + "; SES documents AWS and Service only",
    "Federated and CanonicalUser belong to IAM's grammar; whether SES takes them is not documented.",
    bad=example(Principal={"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}),
    good=example(Principal={"AWS": "444455556666"}),
)
ACCOUNT = Rule(
    "principal-account",
    _ERROR,
    "Not an account id of 12 digits",
    _ANATOMY + "; " + _IAM,
    "Account ids have exactly 12 digits, leading zeros included, without dashes.",
    bad=example(Principal={"AWS": "4444-5555-6666"}),
    good=example(Principal={"AWS": "444455556666"}),
)
NUMBER = Rule(
    "principal-number",
    _WARNING,
    "An account id written as a number",
    "IAM's grammar lets numbers go without quotes; SES's is not documented",
    "Write account ids as strings: a leading zero cannot be written as a number.",
    bad=example(Principal={"AWS": 444455556666}),
    good=example(Principal={"AWS": "444455556666"}),
)
WILDCARD = Rule(
    "principal-wildcard",
    _ERROR,
    "A wildcard within a principal",
    _IAM + "; " + _ANALYZER + ": unsupported wildcard in principal",
    '"*" alone stands for everyone; within an ARN or a service\'s name no wildcard is allowed.',
    bad=example(Principal={"AWS": "arn:aws:iam::444455556666:role/app-*"}),
    good=example(Principal={"AWS": "arn:aws:iam::444455556666:role/app-1"}),
)
ARN = Rule(
    "principal-arn",
    _ERROR,
    "Not a principal",
    _ANATOMY + "; " + _IAM,
    "An AWS principal is an account id, or the ARN of an account's root, a user, a role, an assumed role or a "
    "federated user. Groups and policies are no principals.",
    bad=example(Principal={"AWS": "arn:aws:iam::444455556666:group/senders"}),
    good=example(Principal={"AWS": "arn:aws:iam::444455556666:user/sender"}),
)
ID = Rule(
    "principal-id",
    _WARNING,
    "A unique id where an ARN is expected",
    _IAM,
    "Ids such as AIDA… or AROA… are what a deleted user or role leaves behind in a policy: nobody is meant any more.",
    bad=example(Principal={"AWS": "AIDACKCEVSQ6C2EXAMPLE"}),
    good=example(Principal={"AWS": "arn:aws:iam::444455556666:user/sender"}),
)
SERVICE = Rule(
    "principal-service",
    _ERROR,
    "Not the host name of a service",
    _ANALYZER + ": invalid service principal format",
    "A service is named by its host name, without a scheme or a path.",
    bad=example(Principal={"Service": "https://cognito-idp.amazonaws.com"}),
    good=example(Principal={"Service": "cognito-idp.amazonaws.com"}),
)
SERVICE_UNUSUAL = Rule(
    "principal-service-unusual",
    _WARNING,
    "A service outside amazonaws.com",
    "AWS documentation: service principals end in amazonaws.com",
    "It has the form of a host name, but not of one of AWS's services; which exist cannot be known offline.",
    bad=example(Principal={"Service": "cognito-idp.amazon.com"}),
    good=example(Principal={"Service": "cognito-idp.amazonaws.com"}),
)

RULES = rules_in(vars())

_NAME = "[A-Za-z0-9_+=,.@-]+"


def arn_pattern(path_character: str) -> str:
    """The regular expression of an IAM or STS principal's ARN, whose path segments have such characters."""
    user_or_role = rf"(?:user|role)/(?:{path_character}+/)*{_NAME}"
    session = rf"assumed-role/{_NAME}/{_NAME}|federated-user/{_NAME}"
    return rf"arn:aws(?:-[a-z]+)*:(?:iam::{ACCOUNT_ID}:(?:root|{user_or_role})|sts::{ACCOUNT_ID}:(?:{session}))"


# IAM's paths have any printable ASCII; but no wildcard is allowed in a principal.
_AWS = re.compile(rf"\*|{ACCOUNT_ID}|{arn_pattern('[!-)+-.0->@-~]')}")
_ONE_COLON = re.compile(rf"(arn:aws(?:-[a-z]+)*:(?:iam|sts)):({ACCOUNT_ID}:.+)")
_UNIQUE_ID = re.compile(r"A[A-Z0-9]{3}[A-Z0-9]{12,124}")
_SERVICE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.amazonaws\.(?:com|com\.cn|eu)")
_HOST = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
KINDS = {"aws": "AWS", "service": "Service", "federated": "Federated", "canonicaluser": "CanonicalUser"}


def check_principal(value: Any) -> Findings:
    """The value of ``Principal`` (or ``NotPrincipal``)."""
    if value == "*":
        return ()
    if type(value) is dict and len(value) == 1 and type(value.get("AWS")) is str and _AWS.fullmatch(value["AWS"]):
        return ()  # as nearly all are
    if type(value) is not dict:
        return (TYPE.at("", f"Principal is {shown(value)}", _hint_for_bare(value)),)
    found: list[Finding] = []
    count = 0
    for kind, entry in value.items():
        values = entry if type(entry) is list else (entry,)
        count += len(values)
        check = _CHECKS.get(kind)
        if check is None:
            found.append(_unknown_kind(kind))
            continue
        for index, one in enumerate(values):
            if faults := check(one):
                found += placed(pointer(kind, index) if values is entry else pointer(kind), faults)
    if not count:
        found.append(EMPTY.at("", "Principal names nobody"))
    return found


def is_everyone(value: Any) -> bool:
    """Whether a Principal includes everyone, of whatever kind (also of one that SES may not take)."""
    if type(value) is not dict:
        return bool(value == "*")
    for listed in value.values():  # noqa: SIM110 - asked of every Allow: any() takes twice the time
        if listed == "*" or (type(listed) is list and "*" in listed):
            return True
    return False


def service_in(value: Any) -> str:
    """A service that a Principal names, or ``""``."""
    if type(value) is not dict or "Service" not in value:
        return ""
    named = value["Service"]
    return next((one for one in (named if type(named) is list else [named]) if type(one) is str), "")


def _hint_for_bare(value: Any) -> str:
    if isinstance(value, str) and _AWS.fullmatch(value):
        return f'write {{"AWS": {shown(value)}}}'
    if isinstance(value, str) and _SERVICE.fullmatch(value):
        return f'write {{"Service": {shown(value)}}}'
    return 'write {"AWS": "…"} or {"Service": "…"}'


def _unknown_kind(kind: str) -> Finding:
    meant = KINDS.get(kind.lower())
    hint = f"did you mean {meant}?" if meant else "the kinds are AWS and Service"
    return KEY.at(pointer(kind), f"{shown(kind)} is no kind of principal", hint)


def _check_aws(value: Any) -> Findings:
    if type(value) is str and _AWS.fullmatch(value):
        return ()
    if type(value) is int and 10**11 <= value < 10**12:
        return (NUMBER.at("", f"The account id {value} is a number", f'write "{value}"'),)
    if type(value) is not str:
        rule = ACCOUNT if isinstance(value, int | float) and not isinstance(value, bool) else TYPE
        mend = account_mend(str(value)) if rule is ACCOUNT else ""
        return (rule.at("", f"The principal {shown(value)} is no string of an account id or ARN", mend),)
    return (_fault_of_aws(value),)


def _fault_of_aws(value: str) -> Finding:
    if "*" in value or "?" in value:
        return WILDCARD.at("", f"The principal {shown(value)} has a wildcard within", "only * alone is allowed")
    if value.startswith("arn:"):
        return ARN.at("", f"{shown(value)} names no principal", _hint_for_arn(value))
    if value[:1].isdecimal() or stripped(value)[:1].isdecimal():
        return ACCOUNT.at("", f"{shown(value)} is no account id of 12 digits", account_mend(value))
    if _UNIQUE_ID.fullmatch(value):
        return ID.at("", f"{shown(value)} is a unique id, as a deleted user or role leaves behind")
    if _SERVICE.fullmatch(value):
        return ARN.at("", f"{shown(value)} is a service", f'write {{"Service": {shown(value)}}}')
    return ARN.at("", f"{shown(value)} names no principal", "an account id of 12 digits, or arn:aws:iam::…")


def _hint_for_arn(arn: str) -> str:
    parts = arn.split(":", 5)
    if len(parts) < 6:
        one_short = _ONE_COLON.fullmatch(arn)
        return (
            f"write {one_short[1]}::{one_short[2]}"[:200]
            if one_short
            else "the form is arn:aws:iam::444455556666:role/name"
        )
    kind = parts[5].partition("/")[0]
    if kind in ("group", "policy", "instance-profile"):
        return f"a {kind} is no principal: name its users or roles"
    if not is_account_id(parts[4]):
        mend = account_mend(parts[4])
        return f"{shown(parts[4], 20)} is no account id of 12 digits" + (f": {mend}" if mend else "")
    if parts[3]:
        return "IAM has no Region: write two colons before the account"
    if parts[2] not in ("iam", "sts"):
        return "principals are of iam or sts"
    return "principals are root, user/…, role/…, assumed-role/…/… or federated-user/…"


def _check_service(value: Any) -> Findings:
    if type(value) is not str:
        return (TYPE.at("", f"The service {shown(value)} is no string"),)
    if _SERVICE.fullmatch(value):
        return ()
    if _HOST.fullmatch(value):
        return (SERVICE_UNUSUAL.at("", f"{shown(value)} is unusual for a service", "such as ses.amazonaws.com"),)
    if "*" in value:
        return (WILDCARD.at("", f"The service {shown(value)} has a wildcard"),)
    host = re.sub(r"\A[a-z]+://|/.*", "", value[:300], flags=re.DOTALL)
    hint = ""
    if _SERVICE.fullmatch(host):
        hint = f"write {host}"
    elif re.fullmatch(r"[a-z0-9-]+", host):
        hint = f"did you mean {host}.amazonaws.com?"
    return (SERVICE.at("", f"{shown(value)} is no host name of a service", hint),)


def _check_other(value: Any) -> Findings:
    if type(value) is not str:
        return (TYPE.at("", f"The principal {shown(value)} is no string"),)
    return (KEY_UNLISTED.at("", f"SES documents no principals of this kind ({shown(value)})"),)


_CHECKS = {"AWS": _check_aws, "Service": _check_service, "Federated": _check_other, "CanonicalUser": _check_other}
