"""Values of a ``Condition`` that no request ever has, so that a grant never holds (or a denial, or an exception).

SES takes all of them: what is said here is a warning. A value is named for one reason only, the plainest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from batchpol.model import Rule, Severity, is_account_id, rules_in, shown
from batchpol.model.mends import INVISIBLE, account_mend, stripped
from batchpol.policy import operators
from batchpol.policy.example import example
from batchpol.policy.keys import known_key, type_of

_WARNING = Severity.WARNING
_COGNITO = {"aws:SourceArn": "arn:aws:cognito-idp:us-east-1:444455556666:userpool/us-east-1_a1B2c3D4e"}

PLACEHOLDER = Rule(
    "condition-placeholder",
    _WARNING,
    "A placeholder of a template that was never filled in",
    "IAM User Guide, Policy elements: Variables (${…} is replaced only if it names a key); CloudFormation, Terraform, "
    "Jinja and shells, for theirs",
    "<ACCOUNT_ID>, ${AWS::AccountId}, ${data.aws…}, {{account}}, $ACCOUNT and the like are compared as they stand, and "
    "no request has such text: what the statement grants it grants nobody.",
    bad=example(Condition={"StringEquals": {"aws:SourceAccount": "<ACCOUNT_ID>"}}),
    good=example(Condition={"StringEquals": {"aws:SourceAccount": "444455556666"}}),
)
BLANKS = Rule(
    "condition-blanks",
    _WARNING,
    "Blanks or invisible characters around a value, or within it",
    "IAM User Guide, Condition operators: string operators compare to the letter",
    "The text of a request has no blank at its edges and no zero-width character, so the value never matches.",
    bad=example(Condition={"StringEquals": {"aws:SourceAccount": " 444455556666"}}),
    good=example(Condition={"StringEquals": {"aws:SourceAccount": "444455556666"}}),
)
FORM = Rule(
    "condition-form",
    _WARNING,
    "A value of another form than its key has in any request",
    "IAM User Guide, AWS global condition context keys; SES Developer Guide, Sending authorization policy examples",
    "Accounts have 12 digits, organizations begin with o-, VPCs with vpc- and their endpoints with vpce-, addresses "
    "have an @; an ARN has a Region of a Region's form and an account of 12 digits, and the id of a Cognito user pool "
    "begins with its Region. Anything else never matches.",
    bad=example(Condition={"StringEquals": {"aws:SourceAccount": "4444-5555-6666"}}),
    good=example(Condition={"StringEquals": {"aws:SourceAccount": "444455556666"}}),
)
REGEX = Rule(
    "condition-regex",
    _WARNING,
    "A regular expression",
    "IAM User Guide, Condition operators: StringLike has * for any text and ? for one character",
    "Conditions know no regular expressions: a backslash, ^, $ or [a-z] stands for itself, so the value never matches.",
    bad=example(Condition={"StringLike": {"ses:FromAddress": "^billing@.*$"}}),
    good=example(Condition={"StringLike": {"ses:FromAddress": "billing@*"}}),
)

RULES = rules_in(vars())


class Never(NamedTuple):
    """Why a value never matches: the rule it breaks, what to say of it, and the mend."""

    rule: Rule
    why: str
    mend: str = ""


# Placeholders, blanks, regular expressions: of any key

is_usual = re.compile(r"[A-Za-z0-9*+-][A-Za-z0-9*.+:/ -]*(?:@[A-Za-z0-9*.+:/ -]+)?(?<! )").fullmatch
"""Of nearly all values: that :func:`text_fault` finds nothing."""
is_usual_pattern = re.compile(r"[A-Za-z0-9*+-][A-Za-z0-9*.+:/ -]*@[A-Za-z0-9*.+:/ -]+(?<! )").fullmatch
"""Of most patterns of addresses: that nothing is wrong with them."""
is_usual_address = re.compile(r"[A-Za-z0-9+-][A-Za-z0-9.+:/ -]*@[A-Za-z0-9.+:/ -]+(?<! )").fullmatch
"""The same of addresses that are no patterns."""

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_PLACEHOLDERS = re.compile(
    r"<[A-Za-z][A-Za-z0-9 _.-]*>"  # <ACCOUNT_ID>
    r"|\{\{.*?\}\}|\{%.*?%\}|\{[A-Za-z_][A-Za-z0-9_.-]*\}"  # Jinja, Python
    r"|#\{[^}]*\}|\$\[[^\]]*\]|\$\([^)]*\)"  # Ruby, Octopus, shells
    r"|(?<![A-Za-z0-9])\$[A-Za-z_][A-Za-z0-9_]{2,}"  # $ACCOUNT
    r"|%[A-Za-z_][A-Za-z0-9_]{2,}%|@@[A-Za-z_]+@@|__[A-Za-z][A-Za-z0-9_]*?__"
    r"|\[[A-Z][A-Z0-9 _-]{2,}\]"
    r"|\b(?:YOUR|REPLACE|CHANGE|INSERT|ENTER)_[A-Z0-9_]+\b|\b[A-Z_]*(?:ACCOUNT|POOL|ORG|REGION)_(?:ID|NUMBER|NAME)\b",
    re.DOTALL,
)
_OTHER_VARIABLES = re.compile(r"(?:saml|s3|sts|[a-z0-9-]+(?:\.[a-z0-9-]+)+):[A-Za-z][\w./-]*")
_ESCAPED = frozenset("*?$")
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_REGEX = re.compile(r"\\[.@-]|\\[dDwWsS][*+?{]|\A\^.*\$\Z", re.DOTALL)
_REGEX_OF_ADDRESS = re.compile(r"\A(?:\^|\.[*+])|\$\Z|\\[dDwWsS]|\[[^\]]+\]|\([^)]*\|[^)]*\)|\(\?")


def text_fault(key: str, value: str) -> Never | None:
    """Why no request has this value under any key of the kind, or None."""
    without = _VARIABLE.sub(lambda it: "" if _is_variable(it[1]) else it[0], value)
    if "${" in without or _PLACEHOLDERS.search(without):
        return Never(PLACEHOLDER, "is a placeholder of a template", "fill it in")
    if _INVISIBLE.search(value) or stripped(value) != value:
        mend = f"write {_INVISIBLE.sub('', stripped(value))}"[:200]
        return Never(BLANKS, "has blanks or invisible characters around it or within", mend)
    if _REGEX.search(without) or (key in ADDRESSES and _REGEX_OF_ADDRESS.search(without)):
        return Never(REGEX, "is a regular expression", "StringLike has * for any text and ? for one character")
    return None


def _is_variable(name: str) -> bool:
    """Whether ``${name}`` is a policy variable: a key's name, perhaps with a default behind a comma."""
    name = name.partition(",")[0].strip()
    return name in _ESCAPED or bool(known_key(name)) or _OTHER_VARIABLES.fullmatch(name) is not None


# Forms: of some keys


def _address_mend(value: str) -> str:
    if value.count("@") > 1:
        return "write a list, each address a string of its own"
    return f"for a whole domain: StringLike with *@{value}"[:200] if re.fullmatch(r"[\w-]+(\.[\w-]+)+", value) else ""


class KeyForm(NamedTuple):
    """How the values of some keys look: what a whole one is, how it begins, and what anything else is not."""

    is_whole: Callable[[str], object]
    beginning: str
    what: str
    mend: Callable[[str], str] = lambda _: ""


_UNIT = "(?:r-[a-z0-9]{4,32}/)?(?:ou-[a-z0-9]{4,32}-[a-z0-9]{8,32}/)*"
_ACCOUNT = KeyForm(is_account_id, "", "is no account id of 12 digits", account_mend)
_ORGANIZATION = KeyForm(re.compile("o-[a-z0-9]{4,32}").fullmatch, "o-", "is no id of an organization (o-…)")
_PATH = KeyForm(
    re.compile(f"o-[a-z0-9]{{4,32}}/{_UNIT}").fullmatch, "o-", "is no path of an organization (o-…/r-…/ou-…/)"
)
_VPC = KeyForm(re.compile("vpc-[0-9a-f]{8,17}").fullmatch, "vpc-", "is no id of a VPC (vpc-…)")
_ENDPOINT = KeyForm(re.compile("vpce-[0-9a-f]{8,17}").fullmatch, "vpce-", "is no id of a VPC endpoint (vpce-…)")
_REGION_FORM = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}")
_REGION = KeyForm(_REGION_FORM.fullmatch, "", "is no Region")
_ADDRESS = KeyForm(re.compile("[^@]*@[^@]+").fullmatch, "", "is no address", _address_mend)
ADDRESSES = frozenset(("ses:FromAddress", "ses:FeedbackAddress", "ses:Recipients"))
FORMS: dict[str, KeyForm] = {
    **dict.fromkeys(("aws:SourceAccount", "aws:PrincipalAccount", "aws:ResourceAccount", "aws:VpceAccount"), _ACCOUNT),
    **dict.fromkeys(("aws:PrincipalOrgID", "aws:ResourceOrgID", "aws:SourceOrgID", "aws:VpceOrgID"), _ORGANIZATION),
    **dict.fromkeys(("aws:PrincipalOrgPaths", "aws:ResourceOrgPaths", "aws:SourceOrgPaths", "aws:VpceOrgPaths"), _PATH),
    **dict.fromkeys(("aws:SourceVpc", "aws:Ec2InstanceSourceVpc"), _VPC),
    "aws:SourceVpce": _ENDPOINT,
    "aws:RequestedRegion": _REGION,
    **dict.fromkeys(ADDRESSES, _ADDRESS),
}
ACCOUNTS = frozenset(key for key, form in FORMS.items() if form is _ACCOUNT)


def form_fault(key: str, value: str, *, is_pattern: bool) -> Never | None:
    """Why no request has this value under just this key, and the mend; None where one may."""
    if type_of(key) == "ARN":
        return _arn_fault(key, value, is_pattern)
    form = FORMS.get(key)
    if form is None or "${" in value or form.is_whole(value) or (is_pattern and _may_match(value, form, key)):
        return None
    return Never(FORM, f"{form.what}, as {key} always is", form.mend(value))


def _may_match(pattern: str, form: KeyForm, key: str) -> bool:
    """Whether some text of this form may fit a pattern with ``*`` and ``?``."""
    start = re.split(r"[*?]", pattern, maxsplit=1)[0]
    if start == pattern:
        return False
    if form is _ACCOUNT:
        least = len(pattern) - pattern.count("*")
        return re.fullmatch(r"[0-9*?]+", pattern) is not None and (least <= 12 if "*" in pattern else least == 12)
    if form is _ADDRESS:
        return pattern.count("@") <= 1 and ("@" in pattern or "*" in pattern or "?" in pattern)
    return start.startswith(form.beginning[: len(start)])


_SESSION = re.compile(r"arn:[a-z-]+:sts:.*:assumed-role/", re.DOTALL)
_POOL = re.compile(r"userpool/([a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2})_")
_SERVICES_WITHOUT_REGION = frozenset(("iam", "sts", "cloudfront", "organizations"))


def _arn_fault(key: str, value: str, is_pattern: bool) -> Never | None:
    """Why no request has this ARN under a key of ARNs."""
    parts = _VARIABLE.sub("*", value).split(":", 5)
    if len(parts) < 6:
        start = re.split(r"[*?]", value, maxsplit=1)[0]
        may_match = is_pattern and "*" in value and start.startswith("arn:"[: len(start)])
        return (
            None
            if may_match or "${" in value
            else Never(operators.ARN, "is no ARN", "the form is arn:aws:service:region:444455556666:name")
        )
    _, _, service, region, account, resource = parts
    if account and account != "aws" and not _is_open(account) and not is_account_id(account):
        return Never(
            FORM, f"has no account id of 12 digits in its fifth part, {shown(account, 40)}", account_mend(account)
        )
    if region and not _is_open(region) and not _REGION_FORM.fullmatch(region):
        return Never(FORM, f"has no Region in its fourth part, {shown(region, 40)}")
    if region and service in _SERVICES_WITHOUT_REGION and not _is_open(region):
        return Never(FORM, f"has a Region, which ARNs of {service} have not")
    pool = _POOL.match(resource) if service == "cognito-idp" else None
    if pool and not _is_open(region) and pool[1] != region:
        return Never(FORM, f"is of no user pool: the id of one in {region} begins with {region}_")
    if key == "aws:PrincipalArn" and _SESSION.match(value):
        hint = "write the role's own ARN, arn:aws:iam::…:role/…"
        return Never(FORM, "is a session of a role, where aws:PrincipalArn has the role", hint)
    return None


def _is_open(part: str) -> bool:
    """Whether a part of an ARN leaves open what it is: by a wildcard, or by a variable, which was replaced by one."""
    return "*" in part or "?" in part
