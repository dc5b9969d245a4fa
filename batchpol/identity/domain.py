"""Domains, in lower case."""

from __future__ import annotations

import re
from functools import lru_cache

import idna

from batchpol.model import Finding, Rule, Severity, rules_in, shown

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_API = "SES API Reference, PutIdentityPolicy"
_GUIDE = "SES Developer Guide, Creating and verifying identities"
_HOST = "RFC 1034 and RFC 1123 host names; for SES inferred"

NOT_ASCII = Rule(
    "identity-not-ascii",
    _ERROR,
    "Characters beyond ASCII",
    _API + " and VerifyEmailIdentity",
    "An identity is 7-bit ASCII: write an international domain in Punycode. A local part (before the @) cannot "
    "be written otherwise.",
    bad="bücher.example",
    good="xn--bcher-kva.example",
)
DOMAIN = Rule(
    "identity-domain",
    _ERROR,
    "Not a valid domain name",
    _HOST,
    "Labels of letters, digits and hyphens, separated by single dots, none empty, no hyphen at the edge of one.",
    bad="example..com",
    good="example.com",
)
DOMAIN_LONG = Rule(
    "identity-domain-long",
    _ERROR,
    "A label over 63 or a domain over 255 characters",
    _GUIDE,
    "Each label of a domain has at most 63 characters, the whole name at most 255.",
    bad="a" * 64 + ".example.com",
    good="a" * 63 + ".example.com",
)
DOMAIN_LIMIT = Rule(
    "identity-domain-limit",
    _WARNING,
    "A domain of 254 or 255 characters",
    _GUIDE + " (255); the DNS's text form allows 253",
    "SES's guide allows it, the DNS cannot hold it.",
    bad=".".join(["a" * 62] * 4) + ".ab",
    good=".".join(["a" * 62] * 4),
)
TRAILING_DOT = Rule(
    "identity-trailing-dot",
    _ERROR,
    "A dot at the end of the domain",
    "Terraform's AWS provider refuses it; the policy's Resource would have to carry it too",
    "SES identities are written without the root's dot.",
    bad="example.com.",
    good="example.com",
)
UNDERSCORE = Rule(
    "identity-underscore",
    _WARNING,
    "An underscore in the domain",
    _HOST + " (no underscore); the DNS itself allows it",
    "Such names exist, but are no host names; whether SES takes them is not documented.",
    bad="my_tenant.example.com",
    good="my-tenant.example.com",
)
UNUSUAL = Rule(
    "identity-unusual",
    _WARNING,
    "A domain of one label, or ending in digits only",
    _HOST,
    "A mail domain has at least two labels, and the last one is not a number: this looks like a host's short name "
    "or an IP address.",
    bad="10.0.0.1",
    good="example.com",
)
PUNYCODE = Rule(
    "identity-punycode",
    _WARNING,
    "A label that begins with xn-- and is no Punycode",
    "RFC 5891 (IDNA)",
    "The label cannot be turned back into characters, so no registry would have sold it.",
    bad="xn--99999999999.example",
    good="xn--bcher-kva.example",
)

RULES = rules_in(vars())

_LABEL = r"[a-z0-9]+(?:-+[a-z0-9]+)*"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}").fullmatch
_USUAL_DOMAIN = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z]").fullmatch


def is_usual_domain(domain: str) -> bool:
    """Whether this is surely a plain domain; of those that are not, some are plain all the same.

    Worth having because nearly all domains are of this form, every record has one, and the full pattern costs more.
    """
    return (
        _USUAL_DOMAIN(domain) is not None
        and "." in domain
        and ".." not in domain
        and ".-" not in domain
        and "-." not in domain
        and "xn--" not in domain
    )


def is_plain_domain(domain: str) -> bool:
    """Whether nothing is wrong with a domain in lower case, as with nearly all; any other is taken apart."""
    if not _DOMAIN(domain) or "xn--" in domain:
        return False
    return len(domain) <= 63 or (len(domain) <= 253 and max(map(len, domain.split("."))) <= 63)


def check_domain(domain: str) -> tuple[Finding, ...]:
    """A domain in lower case."""
    return () if is_plain_domain(domain) else tuple(_faults_of_domain(domain))


def _faults_of_domain(domain: str) -> list[Finding]:
    if not domain.isascii():
        return [NOT_ASCII.at("", f"The domain {shown(domain)} has characters beyond ASCII", _punycode_hint(domain))]
    found = []
    if domain.endswith(".") and domain != ".":
        domain = domain[:-1]
        found.append(TRAILING_DOT.at("", f"The domain {shown(domain + '.')} ends in a dot", f"write {domain}"[:300]))
    labels = domain.split(".")
    if len(domain) > 255:
        found.append(DOMAIN_LONG.at("", f"The domain {shown(domain)} has {len(domain)} characters, more than 255"))
    elif len(domain) > 253:
        found.append(DOMAIN_LIMIT.at("", f"The domain {shown(domain)} has {len(domain)} characters, more than 253"))
    for label in labels[:128]:
        found += _faults_of_label(label, domain)
    if len(labels) == 1 or labels[-1].isdecimal():
        found.append(UNUSUAL.at("", f"{shown(domain)} is an unusual mail domain"))
    return found


def _faults_of_label(label: str, domain: str) -> list[Finding]:
    if not label:
        return [DOMAIN.at("", f"The domain {shown(domain)} has an empty label (two dots, or one at its edge)")]
    found = []
    if len(label) > 63:
        found.append(DOMAIN_LONG.at("", f"The label {shown(label)} has {len(label)} characters, more than 63"))
    if strange := re.sub(r"[a-z0-9_-]", "", label):
        found.append(DOMAIN.at("", f"The domain {shown(domain)} has {shown(strange[:1])} in it", host_hint(domain)))
    if "_" in label:
        found.append(UNDERSCORE.at("", f"The domain {shown(domain)} has an underscore in it"))
    if label[0] == "-" or label[-1] == "-":
        found.append(DOMAIN.at("", f"The label {shown(label)} begins or ends with a hyphen"))
    elif label.startswith("xn--") and not _is_punycode(label):
        found.append(PUNYCODE.at("", f"The label {shown(label)} is no Punycode"))
    return found


@lru_cache(maxsize=4096)
def _is_punycode(label: str) -> bool:
    if len(label) > 63:
        return False
    try:
        idna.decode(label)
    except (idna.IDNAError, UnicodeError):
        return False
    return True


def _punycode_hint(domain: str) -> str:
    try:
        return f"write it in Punycode: {idna.encode(domain[:255], uts46=True).decode('ascii')}"
    except (idna.IDNAError, UnicodeError):
        return "an international domain is written in Punycode (xn--…)"


def host_hint(text: str) -> str:
    """The host of something like a URL, where it would do as a domain."""
    host = re.sub(r"\A[a-z]+:(?://)?|[/?#:].*", "", text[:300], flags=re.IGNORECASE | re.DOTALL)
    return f"did you mean {host}?" if host != text and is_plain_domain(host.lower()) else ""
