"""SES identities: addresses, domains and ARNs; policy names; Regions and partitions.

Knows the syntax of one value at a time and how two spellings of an identity compare; nothing of records,
documents or the network. Each rule stands as data beside the function that applies it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from batchpol.model import Finding, Rule, Severity, Target, did_you_mean, placed, shown

Findings = tuple[Finding, ...]

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_API = "SES API Reference, PutIdentityPolicy"
_ARN_FORM = "Service Authorization Reference, Amazon SES: arn:{partition}:ses:{region}:{account}:identity/{name}"
_GUIDE = "SES Developer Guide, Creating and verifying identities"
_HOST = "RFC 1034 and RFC 1123 host names; for SES inferred"
_ANATOMY = "SES Developer Guide, Policy anatomy"
_ENDPOINTS = "AWS SDK endpoint data (partitions and their Region patterns)"
_OWN = "arn:aws:ses:us-east-1:111122223333:identity/"

MISSING = Rule(
    "identity-missing",
    _ERROR,
    "No identity",
    _API,
    "Every request names the identity that the policy belongs to.",
    bad="",
    good="example.com",
    always=True,
)
BLANKS = Rule(
    "identity-blanks",
    _WARNING,
    "Blanks around the identity; sent without them",
    "batchpol",
    "No address or domain begins or ends with a blank, so they are taken for leftovers of the spreadsheet.",
    bad=" example.com",
    good="example.com",
)
SYNTAX = Rule(
    "identity-syntax",
    _ERROR,
    "Neither an address nor a domain nor an ARN",
    _API,
    "SES knows three spellings of an identity: an e-mail address, a domain, or the ARN of either. No URL, no "
    "display name, no list, no blanks inside.",
    bad="Jane <jane@example.com>",
    good="jane@example.com",
)
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
ARN = Rule(
    "identity-arn",
    _ERROR,
    "Not the ARN of an SES identity",
    _ARN_FORM,
    "An identity's ARN has exactly this form; other services, other resource types and wildcards name no identity.",
    bad="arn:aws:ses:us-east-1:111122223333:configuration-set/default",
    good=_OWN + "example.com",
)
PARTITION = Rule(
    "identity-partition",
    _ERROR,
    "A partition that does not exist",
    _ENDPOINTS,
    "The partition is aws, aws-us-gov, aws-eusc, aws-cn or one of aws-iso….",
    bad="arn:awz:ses:us-east-1:111122223333:identity/example.com",
    good=_OWN + "example.com",
)
PARTITION_UNLISTED = Rule(
    "identity-partition-unlisted",
    _WARNING,
    "A partition in which SES is not listed",
    _ENDPOINTS,
    "AWS publishes no SES endpoint there; lists age, so this is only a warning.",
    bad="arn:aws-cn:ses:cn-north-1:111122223333:identity/example.com",
    good=_OWN + "example.com",
)
REGION = Rule(
    "identity-region",
    _ERROR,
    "A Region of no such form in the partition",
    _ENDPOINTS,
    "Regions follow their partition's pattern: us-east-1 belongs to aws, us-gov-west-1 to aws-us-gov.",
    bad="arn:aws:ses:useast1:111122223333:identity/example.com",
    good=_OWN + "example.com",
)
REGION_UNLISTED = Rule(
    "identity-region-unlisted",
    _WARNING,
    "A Region unknown to this version that resembles a known one",
    _ENDPOINTS,
    "It has a Region's form, but none of this name was known: probably a slip.",
    bad="arn:aws:ses:us-esat-1:111122223333:identity/example.com",
    good=_OWN + "example.com",
)
ACCOUNT = Rule(
    "identity-account",
    _ERROR,
    "Not an account id of 12 digits",
    _ARN_FORM,
    "Account ids have exactly 12 digits, leading zeros included (spreadsheets drop them).",
    bad="arn:aws:ses:us-east-1:11112222333:identity/example.com",
    good=_OWN + "example.com",
)
RESOURCE_ARN = Rule(
    "resource-arn",
    _ERROR,
    "Resource is not the ARN of an SES identity",
    _ANATOMY,
    "Each policy has to specify one resource, and that has to be the ARN of the identity it is attached to.",
    bad="example.com",
    good=_OWN + "example.com",
)
RESOURCE_WILDCARD = Rule(
    "resource-wildcard",
    _ERROR,
    "A wildcard in Resource",
    _ANATOMY,
    "Resource has to be the one identity's own ARN, so neither * nor a pattern will do.",
    bad="*",
    good=_OWN + "example.com",
)
RESOURCE_MISMATCH = Rule(
    "resource-mismatch",
    _ERROR,
    "Resource is another identity, account, Region or partition",
    _ANATOMY,
    "Resource has to be the ARN of the very identity that the policy is attached to. Account and Region are "
    "compared where the record or the run says them.",
    bad=_OWN + "example.org",
    good=_OWN + "example.com",
)
RESOURCE_CASE = Rule(
    "resource-case",
    _WARNING,
    "Resource spells the domain in another case",
    "SES Developer Guide: domains are case-insensitive; how Resource is compared is not documented",
    "Domains have no case, but SES may compare the ARN as text.",
    bad=_OWN + "Example.com",
    good=_OWN + "example.com",
)
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

RULES = tuple(rule for rule in list(vars().values()) if isinstance(rule, Rule))
"""What can be found offline."""

UNVERIFIED = Rule(
    "identity-unverified",
    _WARNING,
    "The identity is not verified in this account and Region",
    "SES API Reference, PutIdentityPolicy: an error if the identity is not verified; seen to be taken all the same",
    "Looked up with GetIdentityVerificationAttributes; --require-verified sends no such record.",
    bad="example.org, never verified",
    good="example.com, verified",
)
"""Found only by looking the identity up in SES."""


# Partitions and Regions


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


class _Partition(NamedTuple):
    region: re.Pattern[str]
    form: str
    has_ses: bool


_PARTITIONS = {
    "aws": _Partition(re.compile(r"(?!us-iso|us-gov|eu-iso|cn-)[a-z]{2}-[a-z]+-[0-9]{1,2}"), "us-east-1", True),
    "aws-us-gov": _Partition(re.compile(r"us-gov-[a-z]+-[0-9]{1,2}"), "us-gov-west-1", True),
    "aws-eusc": _Partition(re.compile(r"eusc-[a-z]{2}-[a-z]+-[0-9]{1,2}"), "eusc-de-east-1", True),
    "aws-cn": _Partition(re.compile(r"cn-[a-z]+-[0-9]{1,2}"), "cn-north-1", False),
    "aws-iso": _Partition(re.compile(r"us-iso-[a-z]+-[0-9]{1,2}"), "us-iso-east-1", False),
    "aws-iso-b": _Partition(re.compile(r"us-isob-[a-z]+-[0-9]{1,2}"), "us-isob-east-1", False),
    "aws-iso-e": _Partition(re.compile(r"eu-isoe-[a-z]+-[0-9]{1,2}"), "eu-isoe-west-1", False),
    "aws-iso-f": _Partition(re.compile(r"us-isof-[a-z]+-[0-9]{1,2}"), "us-isof-south-1", False),
}

# Only to recognise a slip; a Region that is not here is no error.
_REGIONS = _words(
    """
    af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2
    ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7
    ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2
    eu-west-3 il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2
    us-gov-east-1 us-gov-west-1 eusc-de-east-1 cn-north-1 cn-northwest-1 us-iso-east-1 us-iso-west-1
    us-isob-east-1 us-isob-west-1 eu-isoe-west-1 us-isof-east-1 us-isof-south-1
    """
)

_ACCOUNT = re.compile(r"[0-9]{12}")


@lru_cache(maxsize=1024)
def partition_of(region: str) -> str:
    """The partition whose pattern ``region`` follows, or ``""``."""
    return next((name for name, it in _PARTITIONS.items() if it.region.fullmatch(region)), "")


@lru_cache(maxsize=1024)
def check_place(partition: str, region: str) -> Findings:
    """Partition and Region of an ARN, each against what exists."""
    known = _PARTITIONS.get(partition)
    if known is None:
        return (PARTITION.at("", f"There is no partition {shown(partition)}", did_you_mean(partition, _PARTITIONS)),)
    found = list(check_region(region, known))
    if not known.has_ses:
        found.append(PARTITION_UNLISTED.at("", f"SES is not listed in partition {shown(partition)}"))
    return tuple(found)


@lru_cache(maxsize=1024)
def check_region(region: str, partition: _Partition | None = None) -> Findings:
    """A Region by its partition's pattern (any partition's, if none is given)."""
    fits = partition.region.fullmatch(region) if partition else partition_of(region)
    if not fits:
        form = f" of this partition (such as {partition.form})" if partition else ""
        other = partition_of(region)
        hint = f"it belongs to partition {other}" if other else did_you_mean(region, _REGIONS)
        return (REGION.at("", f"{shown(region)} is no Region{form}", hint),)
    if region not in _REGIONS and (hint := did_you_mean(region, _REGIONS)):
        return (REGION_UNLISTED.at("", f"No Region {shown(region)} is known to this version", hint),)
    return ()


def check_account(account: str) -> Findings:
    """An account id: 12 digits."""
    if _ACCOUNT.fullmatch(account):
        return ()
    digits = "".join(c for c in account[:40] if c in "0123456789")
    hint = ""
    if len(digits) == 12:
        hint = f"write {digits}"
    elif digits == account and 8 <= len(digits) < 12:
        hint = f"was it {digits:0>12} before a spreadsheet dropped leading zeros?"
    return (ACCOUNT.at("", f"{shown(account)} is no account id of 12 digits", hint),)


# Policy names

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_usual_name(name: str) -> bool:
    """Whether this is surely a valid policy name; of those that are not, some are valid all the same (``-``)."""
    return len(name) <= 64 and name.isascii() and name.replace("-", "").replace("_", "").isalnum()


def check_name(name: str) -> Findings:
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


# Domains

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


def _is_plain_domain(domain: str) -> bool:
    """Whether nothing is wrong with a domain in lower case, as with nearly all; any other is taken apart."""
    if not _DOMAIN(domain) or "xn--" in domain:
        return False
    return len(domain) <= 63 or (len(domain) <= 253 and max(map(len, domain.split("."))) <= 63)


def check_domain(domain: str) -> Findings:
    """A domain in lower case."""
    return () if _is_plain_domain(domain) else tuple(_faults_of_domain(domain))


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
        found.append(DOMAIN.at("", f"The domain {shown(domain)} has {shown(strange[:1])} in it", _host_hint(domain)))
    if "_" in label:
        found.append(UNDERSCORE.at("", f"The domain {shown(domain)} has an underscore in it"))
    if label[0] == "-" or label[-1] == "-":
        found.append(DOMAIN.at("", f"The label {shown(label)} begins or ends with a hyphen"))
    elif label.startswith("xn--") and not _is_punycode(label):
        found.append(PUNYCODE.at("", f"The label {shown(label)} is no Punycode"))
    return found


@lru_cache(maxsize=4096)
def _is_punycode(label: str) -> bool:
    import idna

    if len(label) > 63:
        return False
    try:
        idna.decode(label)
    except (idna.IDNAError, UnicodeError):
        return False
    return True


def _punycode_hint(domain: str) -> str:
    import idna

    try:
        return f"write it in Punycode: {idna.encode(domain[:255], uts46=True).decode('ascii')}"
    except (idna.IDNAError, UnicodeError):
        return "an international domain is written in Punycode (xn--…)"


def _host_hint(text: str) -> str:
    """The host of something like a URL, where it would do as a domain."""
    host = re.sub(r"\A[a-z]+:(?://)?|[/?#:].*", "", text[:300], flags=re.IGNORECASE | re.DOTALL)
    return f"did you mean {host}?" if host != text and _is_plain_domain(host.lower()) else ""


# Addresses

_PLAIN_LOCAL = re.compile(r"(?![Xx][Nn]--)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


def check_address(address: str) -> Findings:
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
    """Why this is no local part, in email-validator's words, or ``""``; its domain is checked elsewhere."""
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(f"{local}@a.co", check_deliverability=False, allow_quoted_local=True, allow_smtputf8=False)
    except EmailNotValidError as error:
        return shown(str(error), 200)[1:-1]
    return ""


# Identities


@dataclass(slots=True)
class Identity:
    """An identity as read: what is sent for it, and how it compares.

    ``name`` is the bare address or domain (lower case for a domain); the other parts are empty but for an ARN.
    """

    text: str
    name: str
    partition: str = ""
    region: str = ""
    account: str = ""


_NAMED = ":identity/"
_HEAD = re.compile(r"arn:([a-z-]+):ses:([a-z0-9-]+):([0-9]{12})")


class _Head(NamedTuple):
    """An identity's ARN up to its name, and what is wrong with partition and Region."""

    partition: str
    region: str
    account: str
    findings: Findings
    has_error: bool


@lru_cache(maxsize=1024)
def _read_head(head: str) -> _Head | None:
    match = _HEAD.fullmatch(head)
    if match is None:
        return None
    partition, region, account = match.groups()
    findings = check_place(partition, region)
    return _Head(partition, region, account, findings, any(it.severity is _ERROR for it in findings))


def is_plain(name: str) -> bool:
    """Whether a bare identity stands in its canonical form, and nothing at all is wrong with it."""
    return (
        is_usual_domain(name)
        or _is_plain_domain(name)
        or ("@" in name and name[:4].lower() != "arn:" and not check_bare(name))
    )


def read_identity(text: str) -> tuple[Identity, Findings]:
    """An identity in any of its three spellings, and everything wrong with it (``where`` is ``identity``)."""
    if is_usual_domain(text) or _is_plain_domain(text):
        return Identity(text, text), ()
    trimmed = text.strip()
    if not trimmed:
        return Identity("", ""), (MISSING.at("identity", "The identity is empty"),)
    if trimmed[:4].lower() == "arn:":
        identity, found = read_arn(trimmed)
    else:
        name = canonical_name(trimmed)
        identity, found = Identity(name, name), check_bare(trimmed)
    if len(trimmed) != len(text):
        found = (BLANKS.at("", f"The identity {shown(text)} has blanks around it"), *found)
    return identity, (tuple(placed("identity", found)) if found else ())


def canonical_name(name: str) -> str:
    """A bare identity as SES keeps it: domains have no case, addresses do."""
    return name if "@" in name else name.lower()


_NOT_BARE = re.compile(r"[\s<>,;()\[\]\\]|://|\A[Mm][Aa][Ii][Ll][Tt][Oo]:")
_ADDRESS_INSIDE = re.compile(r"[^\s<>,;:()\[\]\\/]+@[^\s<>,;:()\[\]\\/?]+")


def check_bare(name: str) -> Findings:
    """An identity that is no ARN: an address or a domain."""
    found = check_address(name) if "@" in name else check_domain(name.lower())
    if found and name[0] != '"' and _NOT_BARE.search(name):
        inside = _ADDRESS_INSIDE.search(name[:500])
        hint = f"did you mean {shown(inside[0])[1:-1]}?" if inside else _host_hint(name)
        return (SYNTAX.at("", f"{shown(name)} is no address, domain or ARN", hint),)
    return found


def read_arn(arn: str) -> tuple[Identity, Findings]:
    """The ARN of an identity, taken apart, and everything wrong with it (``where`` is empty)."""
    start, _, name = arn.partition(_NAMED)
    head = _read_head(start)
    if head and name:
        found = head.findings + check_bare(name)
        return Identity(arn, canonical_name(name), head.partition, head.region, head.account), found
    return Identity(arn, arn), tuple(_faults_of_arn(arn))


def _faults_of_arn(arn: str) -> list[Finding]:
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return [ARN.at("", f"{shown(arn)} is no ARN of an SES identity", f"the form is {_OWN}example.com")]
    prefix, partition, service, region, account, resource = parts
    found = []
    if prefix != "arn" or service != "ses":
        hint = f"write arn:{partition}:ses:…"[:80] if (prefix + service).lower() == "arnses" else ""
        found.append(ARN.at("", f"{shown(arn)} is not of the form arn:…:ses:…", hint))
    found += check_place(partition, region)
    found += check_account(account)
    kind, slash, name = resource.partition("/")
    if kind != "identity" or not slash or not name:
        found.append(ARN.at("", f"{shown(resource)} is no identity", "an identity's ARN ends in :identity/example.com"))
    else:
        found += check_bare(name)
    return found


# Resource against the identity that a policy is attached to


class Owner:
    """The identity a policy is attached to, with as much of its account and Region as is known ("" for not).

    Without an identity (None: its own text is faulty) every identity's ARN will do. ``check`` is handed every
    Resource of the document and remembers in ``places`` which accounts and Regions they name, and in ``accepted``
    the last one that was right.
    """

    __slots__ = ("accepted", "account", "arn", "name", "partition", "places", "region")

    def __init__(self, identity: Identity | None, target: Target) -> None:
        self.account = account = target.account
        self.region = region = target.region
        self.name = identity.name if identity else None
        self.partition = (identity.partition if identity else "") or (partition_of(region) if region else "")
        self.places: set[tuple[str, str]] = set()
        self.arn = self.accepted = ""
        if identity and region and account and self.partition:
            self.arn = f"arn:{self.partition}:ses:{region}:{account}:identity/{identity.name}"

    def check(self, resource: str) -> Findings:
        """A Resource: the owner's own ARN, or what is wrong with it (``where`` is empty)."""
        if resource and resource == self.arn:
            return ()
        start, _, name = resource.partition(_NAMED)
        head = _read_head(start)
        if "*" in resource or "?" in resource:
            return (RESOURCE_WILDCARD.at("", f"Resource {shown(resource)} has a wildcard", self._hint()),)
        if not head or not name or head.has_error:
            return self._unusable(resource)
        wrong = ""
        if name != self.name and self.name and canonical_name(name) != self.name:
            wrong = "identity"
        elif head.account != self.account and self.account:
            wrong = "account"
        elif head.region != self.region and self.region:
            wrong = "Region"
        elif head.partition != self.partition and self.partition:
            wrong = "partition"
        if wrong:
            return (RESOURCE_MISMATCH.at("", f"Resource {shown(resource)} is of another {wrong}", self._hint()),)
        self.places.add((head.account, head.region))
        self.accepted = resource
        doubts = () if head.region == self.region else head.findings
        return doubts if name == (self.name or name) else (*doubts, self._miscased(resource))

    def _unusable(self, resource: str) -> Findings:
        """A Resource that is no identity's ARN at all."""
        errors = [it.message for it in read_arn(resource)[1] if it.severity is _ERROR]
        message = f"Resource {shown(resource)} is no identity's ARN: {'; '.join(dict.fromkeys(errors))[:300]}"
        return (RESOURCE_ARN.at("", message, self._hint()),)

    def _miscased(self, resource: str) -> Finding:
        return RESOURCE_CASE.at("", f"Resource {shown(resource)} spells the domain in another case", self._hint())

    def _hint(self) -> str:
        partition, region, account = self.partition or "aws", self.region or "REGION", self.account or "ACCOUNT"
        name = self.name or "IDENTITY"
        return f"SES needs the Resource arn:{partition}:ses:{region}:{account}:identity/{name}"[:400]
