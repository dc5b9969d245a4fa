"""The names of policies."""

from __future__ import annotations

import re

from batchpol.model import Finding, Rule, Severity, rules_in, shown

_ERROR = Severity.ERROR
_API = "SES API Reference, PutIdentityPolicy"

NAME_MISSING = Rule(
    "name-missing",
    _ERROR,
    "No policy name",
    _API,
    "Every policy has a name, by which it is replaced or deleted later.",
    bad="",
    good="tenant-sending",
    always=True,
)
NAME_CHARACTERS = Rule(
    "name-characters",
    _ERROR,
    "Other characters than A-Z a-z 0-9 _ - in the policy name",
    _API,
    'SES: "Policy names must only include alpha-numeric characters, dashes, and underscores."',
    bad="tenant sending",
    good="tenant-sending",
)
NAME_LONG = Rule(
    "name-long",
    _ERROR,
    "A policy name of more than 64 characters",
    _API,
    'SES: "Member must have length less than or equal to 64".',
    bad="n" * 65,
    good="n" * 64,
)

RULES = rules_in(vars())

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_usual_name(name: str) -> bool:
    """Whether this is surely a valid policy name; of those that are not, some are valid all the same (``-``)."""
    return len(name) <= 64 and name.isascii() and name.replace("-", "").replace("_", "").isalnum()


def check_name(name: str) -> tuple[Finding, ...]:
    """A policy name, exactly as it is: 1 to 64 of ``A-Z a-z 0-9 _ -``."""
    if is_usual_name(name) or _NAME.fullmatch(name):
        return ()
    if not name.strip():
        return (NAME_MISSING.at("policy_name", "The policy name is empty"),)
    found = []
    strange = re.sub(r"[A-Za-z0-9_-]", "", name)
    if strange:
        hint = "remove the blanks around it" if name != name.strip() else "only A-Z a-z 0-9 _ - are allowed"
        odd = shown("".join(sorted(set(strange[:1000]))), 20)
        found.append(NAME_CHARACTERS.at("policy_name", f"The policy name {shown(name)} has {odd} in it", hint))
    if len(name) > 64:
        message = f"The policy name {shown(name)} has {len(name)} characters, more than 64"
        found.append(NAME_LONG.at("policy_name", message))
    return tuple(found)
