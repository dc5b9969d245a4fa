"""Accounts, Regions and partitions: their forms, and what is known to exist."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from batchpol.identity import known
from batchpol.model import Finding, Rule, Severity, did_you_mean, is_account_id, rules_in, shown
from batchpol.model.errors import UsageError
from batchpol.model.mends import account_mend, is_nothing, slip_of, stripped

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
    "It has a Region's form, but a word in it is one of a known Region's, misspelt: probably a slip. A new Region, "
    "whose words are known ones, is taken.",
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


class _Partition(NamedTuple):
    region: re.Pattern[str]
    form: str


# By pattern, not by list: a Region that is not in known.py is no error.
_PARTITIONS = {
    "aws": _Partition(re.compile(r"(?!us-iso|us-gov|eu-iso|cn-)[a-z]{2}-[a-z]+-[0-9]{1,2}"), "us-east-1"),
    "aws-us-gov": _Partition(re.compile(r"us-gov-[a-z]+-[0-9]{1,2}"), "us-gov-west-1"),
    "aws-eusc": _Partition(re.compile(r"eusc-[a-z]{2}-[a-z]+-[0-9]{1,2}"), "eusc-de-east-1"),
    "aws-cn": _Partition(re.compile(r"cn-[a-z]+-[0-9]{1,2}"), "cn-north-1"),
    "aws-iso": _Partition(re.compile(r"us-iso-[a-z]+-[0-9]{1,2}"), "us-iso-east-1"),
    "aws-iso-b": _Partition(re.compile(r"us-isob-[a-z]+-[0-9]{1,2}"), "us-isob-east-1"),
    "aws-iso-e": _Partition(re.compile(r"eu-isoe-[a-z]+-[0-9]{1,2}"), "eu-isoe-west-1"),
    "aws-iso-f": _Partition(re.compile(r"us-isof-[a-z]+-[0-9]{1,2}"), "us-isof-south-1"),
}

_REGIONS = {name: said for names in known.REGIONS.values() for name, said in names.items()}
_BEGINNINGS = {name.partition("-")[0] for name in _REGIONS}
_DIRECTIONS = {word for name in _REGIONS for word in name.split("-")[1:-1]}


@lru_cache(maxsize=1024)
def partition_of(region: str) -> str:
    """The partition whose pattern ``region`` follows, or ``""``."""
    return next((name for name, it in _PARTITIONS.items() if it.region.fullmatch(region)), "")


@lru_cache(maxsize=1024)
def check_place(partition: str, region: str) -> tuple[Finding, ...]:
    """Partition and Region of an ARN, each against what exists."""
    if partition not in _PARTITIONS:
        return (PARTITION.at("", f"There is no partition {shown(partition)}", did_you_mean(partition, _PARTITIONS)),)
    found = list(check_region(region, _PARTITIONS[partition]))
    if partition not in known.WITH_SES:
        found.append(PARTITION_UNLISTED.at("", f"SES is not listed in partition {shown(partition)}"))
    return tuple(found)


@lru_cache(maxsize=1024)
def check_region(region: str, partition: _Partition | None = None) -> tuple[Finding, ...]:
    """A Region by its partition's pattern (any partition's, if none is given)."""
    fits = partition.region.fullmatch(region) if partition else partition_of(region)
    if not fits:
        form = f" of this partition (such as {partition.form})" if partition else ""
        other = partition_of(region)
        hint = f"it belongs to partition {other}" if other else _region_mend(region)
        return (REGION.at("", f"{shown(region)} is no Region{form}", hint),)
    if region not in _REGIONS and _is_misspelt(region):
        return (REGION_UNLISTED.at("", f"No Region {shown(region)} is known to this version", _region_mend(region)),)
    return ()


def _is_misspelt(region: str) -> bool:
    """Whether an unknown Region is rather a known one, misspelt, than a new one.

    A new one is called by words that others have, with a number or in a combination of its own.
    """
    first, *directions, _ = region.split("-")
    if not _DIRECTIONS.issuperset(directions):
        return bool(slip_of(region, _REGIONS))
    return first not in _BEGINNINGS and any(sorted(first) == sorted(it) for it in _BEGINNINGS)


def _region_mend(text: str) -> str:
    """What to write instead of something that is no Region, as far as it can be told."""
    word = stripped(text[:200]).casefold().replace("_", "-")
    inside = [name for name in _REGIONS if re.search(rf"(?<![a-z0-9-]){name}(?![a-z0-9-])", word)]
    if len(inside) == 1:
        return f"write {inside[0]}"
    if near := slip_of(word, _REGIONS):
        return f"did you mean {near}?"
    called = [name for name, said in _REGIONS.items() if len(word) > 2 and word in said.casefold()]
    return f"did you mean {called[0]}?" if len(called) == 1 else did_you_mean(word, _REGIONS)


def check_account(account: str) -> tuple[Finding, ...]:
    """An account id: 12 digits."""
    if is_account_id(account):
        return ()
    return (ACCOUNT.at("", f"{shown(account)} is no account id of 12 digits", account_mend(account)),)


def check_cell(where: str, cell: str | None) -> tuple[Finding, ...]:
    """A record's column ``account`` or ``region`` (``where``); it may be empty, and blanks around it do not count."""
    value = (cell or "").strip()
    if not value:
        return ()
    found = check_region(value) if where == "region" else check_account(value)
    mend = "leave it empty" if is_nothing(value) else ""
    return tuple(Finding(it.severity, it.code, where, it.message, mend or it.hint) for it in found)


def require_account(text: str, setting: str = "account") -> None:
    """Refuse what somebody says of a whole run and is no account id; empty for not said.

    Args:
        setting: what it was given as, as the API spells it.

    Raises:
        UsageError: with the mend.
    """
    if text and (found := check_account(text)):
        raise UsageError(f"`{setting}` {found[0].message}", hint=found[0].hint or _WHICH_ACCOUNT)


def require_region(text: str, setting: str = "region") -> None:
    """Refuse what somebody says of a whole run and is no Region; empty for not said.

    Stricter than with a record, where a misspelt Region is a warning: said once, it would be in every record.

    Args:
        setting: what it was given as, as the API spells it.

    Raises:
        UsageError: with the mend.
    """
    if text and (found := check_region(text)):
        raise UsageError(f"`{setting}` {shown(text)} is no Region", hint=found[0].hint or _WHICH_REGION)


_WHICH_ACCOUNT = "aws sts get-caller-identity says the 12 digits of yours"
_WHICH_REGION = "a Region is written as us-east-1 is"
