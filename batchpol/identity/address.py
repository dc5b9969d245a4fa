"""E-mail addresses."""

from __future__ import annotations

import re

from batchpol.identity.domain import NOT_ASCII, check_domain
from batchpol.model import Finding, Rule, Severity, rules_in, shown

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_API = "SES API Reference, PutIdentityPolicy"

ADDRESS = Rule(
    "identity-address",
    _ERROR,
    "Not a valid e-mail address",
    "RFC 5321 and RFC 5322 address syntax",
    "The part before the @ has no blanks, no dot at either end and no two dots together.",
    bad="jane..doe@example.com",
    good="jane.doe@example.com",
)
ADDRESS_LONG = Rule(
    "identity-address-long",
    _ERROR,
    "More than 64 characters before the @",
    "RFC 5321, 4.5.3.1.1; for SES inferred",
    "The local part of an address has at most 64 characters.",
    bad="a" * 65 + "@example.com",
    good="a" * 64 + "@example.com",
)
ADDRESS_PUNYCODE = Rule(
    "identity-address-punycode",
    _ERROR,
    "Punycode before the @",
    _API + " and VerifyEmailIdentity",
    "Punycode is not permitted in the local part of an address, only in its domain.",
    bad="xn--jrg-sna@example.com",
    good="joerg@example.com",
)
ADDRESS_QUOTED = Rule(
    "identity-address-quoted",
    _WARNING,
    "A quoted local part",
    "RFC 5321; what SES does with it is not documented",
    "The mail standards allow it, few systems do.",
    bad='"jane doe"@example.com',
    good="jane.doe@example.com",
)

RULES = rules_in(vars())

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_PLAIN_LOCAL = re.compile(rf"(?![Xx][Nn]--){_ATOM}+(?:\.{_ATOM}+)*")
_QUOTED_LOCAL = re.compile(r'"(?:[ !#-\[\]-~]|\\[ -~])+"')
"""What may stand before the @, plain and quoted: RFC 5321, 4.1.2."""
_OTHERS = re.compile(rf"(?!{_ATOM}|\.).", re.DOTALL)


def check_address(address: str) -> tuple[Finding, ...]:
    """An e-mail address: its local part, and its domain apart from case."""
    local, _, domain = address.rpartition("@")
    if len(local) <= 64 and _PLAIN_LOCAL.fullmatch(local):
        return check_domain(domain.lower())
    return (*_faults_of_local(local, address), *check_domain(domain.lower()))


def _faults_of_local(local: str, address: str) -> list[Finding]:
    if not local.isascii():
        return [NOT_ASCII.at("", f"The address {shown(address)} has characters beyond ASCII before the @")]
    found = []
    if len(local) > 64:
        message = f"The address {shown(address)} has {len(local)} characters before the @, more than 64"
        found.append(ADDRESS_LONG.at("", message))
    if local.lower().startswith("xn--"):
        found.append(ADDRESS_PUNYCODE.at("", f"The address {shown(address)} has Punycode before the @"))
    if len(local) >= 2 and local[0] == local[-1] == '"':
        found.append(ADDRESS_QUOTED.at("", f"The address {shown(address)} has a quoted local part"))
    if reason := _refusal_of_local(local[:64]):
        found.append(ADDRESS.at("", f"The address {shown(address)} is not valid: {reason}"))
    return found


def _refusal_of_local(local: str) -> str:
    """Why this is no local part, or ``""``."""
    if _QUOTED_LOCAL.fullmatch(local):
        return ""
    if others := {*_OTHERS.findall(local)}:
        return f"{', '.join(map(shown, sorted(others)))} cannot stand before the @"
    if not local:
        return "there must be something before the @"
    if local.startswith(".") or local.endswith("."):
        return "the part before the @ must not begin or end with a dot"
    return "two dots stand together before the @" if ".." in local else ""
