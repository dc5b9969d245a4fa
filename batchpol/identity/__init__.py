"""Who: identities, their ARNs, accounts and Regions, and the names of policies.

=========== ==================================================================================
``place``   accounts, Regions, partitions; what is said of a whole run
``known``   the Regions there are, as data
``domain``  domains
``address`` e-mail addresses
``name``    the names of policies
``arn``     an identity in any of its three spellings, and how two of them compare
``owner``   a document's Resource against the identity that the policy is attached to
=========== ==================================================================================

Each module knows the syntax of one value at a time, and nothing of records, documents or the network; its rules stand
as data beside the functions that apply them.
"""

from __future__ import annotations

from batchpol.identity import address, arn, domain, name, owner, place
from batchpol.identity.address import check_address
from batchpol.identity.arn import (
    NAMED,
    UNVERIFIED,
    Identity,
    arn_of,
    canonical_name,
    check_bare,
    is_plain,
    read_arn,
    read_identity,
)
from batchpol.identity.domain import check_domain, is_usual_domain
from batchpol.identity.name import check_name, is_usual_name
from batchpol.identity.owner import PolicyOwner
from batchpol.identity.place import (
    check_account,
    check_cell,
    check_place,
    check_region,
    partition_of,
    require_account,
    require_region,
)

RULES = tuple(dict.fromkeys((*arn.RULES, *domain.RULES, *address.RULES, *place.RULES, *owner.RULES, *name.RULES)))
"""What can be found offline."""

__all__ = [
    "NAMED",
    "RULES",
    "UNVERIFIED",
    "Identity",
    "PolicyOwner",
    "arn_of",
    "canonical_name",
    "check_account",
    "check_address",
    "check_bare",
    "check_cell",
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
    "require_account",
    "require_region",
]
