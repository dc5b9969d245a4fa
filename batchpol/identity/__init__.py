"""Who: identities, their ARNs, accounts and Regions, and the names of policies."""

from __future__ import annotations

from batchpol.identity.names import (
    RULES,
    UNVERIFIED,
    Identity,
    Owner,
    canonical_name,
    check_account,
    check_address,
    check_bare,
    check_domain,
    check_name,
    check_place,
    check_region,
    is_plain,
    is_usual_domain,
    is_usual_name,
    partition_of,
    read_arn,
    read_identity,
)

__all__ = [
    "RULES",
    "UNVERIFIED",
    "Identity",
    "Owner",
    "canonical_name",
    "check_account",
    "check_address",
    "check_bare",
    "check_domain",
    "check_name",
    "check_place",
    "check_region",
    "is_plain",
    "is_usual_domain",
    "is_usual_name",
    "partition_of",
    "read_arn",
    "read_identity",
]
