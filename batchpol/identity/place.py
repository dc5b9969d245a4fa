"""Accounts, Regions and partitions: their forms, and what is known to exist."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from batchpol.model import Finding, Rule, Severity, did_you_mean, is_account_id, rules_in, shown

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
ARN_FORM = "Service Authorization Reference, Amazon SES: arn:{partition}:ses:{region}:{account}:identity/{name}"
_ENDPOINTS = "AWS SDK endpoint data (partitions and their Region patterns)"
OWN = "arn:aws:ses:us-east-1:111122223333:identity/example.com"
"""An identity's ARN, for the examples of rules."""

PARTITION = Rule(
    "identity-partition",
    _ERROR,
    "A partition that does not exist",
    _ENDPOINTS,
    "The partition is aws, aws-us-gov, aws-eusc, aws-cn or one of aws-iso….",
    bad="arn:awz:ses:us-east-1:111122223333:identity/example.com",
    good=OWN,
)
PARTITION_UNLISTED = Rule(
    "identity-partition-unlisted",
    _WARNING,
    "A partition in which SES is not listed",
    _ENDPOINTS,
    "AWS publishes no SES endpoint there; lists age, so this is only a warning.",
    bad="arn:aws-cn:ses:cn-north-1:111122223333:identity/example.com",
    good=OWN,
)
REGION = Rule(
    "identity-region",
    _ERROR,
    "A Region of no such form in the partition",
    _ENDPOINTS,
    "Regions follow their partition's pattern: us-east-1 belongs to aws, us-gov-west-1 to aws-us-gov.",
    bad="arn:aws:ses:useast1:111122223333:identity/example.com",
    good=OWN,
)
REGION_UNLISTED = Rule(
    "identity-region-unlisted",
    _WARNING,
    "A Region unknown to this version that resembles a known one",
    _ENDPOINTS,
    "It has a Region's form, but none of this name was known: probably a slip.",
    bad="arn:aws:ses:us-esat-1:111122223333:identity/example.com",
    good=OWN,
)
ACCOUNT = Rule(
    "identity-account",
    _ERROR,
    "Not an account id of 12 digits",
    ARN_FORM,
    "Account ids have exactly 12 digits, leading zeros included (spreadsheets drop them).",
    bad="arn:aws:ses:us-east-1:11112222333:identity/example.com",
    good=OWN,
)

RULES = rules_in(vars())


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


@lru_cache(maxsize=1024)
def partition_of(region: str) -> str:
    """The partition whose pattern ``region`` follows, or ``""``."""
    return next((name for name, it in _PARTITIONS.items() if it.region.fullmatch(region)), "")


@lru_cache(maxsize=1024)
def check_place(partition: str, region: str) -> tuple[Finding, ...]:
    """Partition and Region of an ARN, each against what exists."""
    known = _PARTITIONS.get(partition)
    if known is None:
        return (PARTITION.at("", f"There is no partition {shown(partition)}", did_you_mean(partition, _PARTITIONS)),)
    found = list(check_region(region, known))
    if not known.has_ses:
        found.append(PARTITION_UNLISTED.at("", f"SES is not listed in partition {shown(partition)}"))
    return tuple(found)


@lru_cache(maxsize=1024)
def check_region(region: str, partition: _Partition | None = None) -> tuple[Finding, ...]:
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


def check_account(account: str) -> tuple[Finding, ...]:
    """An account id: 12 digits."""
    if is_account_id(account):
        return ()
    digits = "".join(c for c in account[:40] if c in "0123456789")
    hint = ""
    if len(digits) == 12:
        hint = f"write {digits}"
    elif digits == account and 8 <= len(digits) < 12:
        hint = f"was it {digits:0>12} before a spreadsheet dropped leading zeros?"
    return (ACCOUNT.at("", f"{shown(account)} is no account id of 12 digits", hint),)
