"""The operations that the sandbox knows, by the API that has them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SES_OPERATIONS: Final = frozenset(
    {
        "PutIdentityPolicy",
        "GetIdentityPolicies",
        "ListIdentityPolicies",
        "DeleteIdentityPolicy",
        "ListIdentities",
        "VerifyDomainIdentity",
        "VerifyEmailIdentity",
        "DeleteIdentity",
        "GetIdentityVerificationAttributes",
        "GetIdentityNotificationAttributes",
    }
)
"""The operations of SES that the sandbox knows."""

COUNTERPARTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "CreateEmailIdentityPolicy": "PutIdentityPolicy",
        "UpdateEmailIdentityPolicy": "PutIdentityPolicy",
        "DeleteEmailIdentityPolicy": "DeleteIdentityPolicy",
        "GetEmailIdentityPolicies": "GetIdentityPolicies",
        "ListEmailIdentities": "ListIdentities",
        "GetEmailIdentity": "GetIdentityVerificationAttributes",
    }
)
"""SESv2's operations, each with the one of SES that does the same."""

SESV2_OPERATIONS: Final = frozenset(COUNTERPARTS)
"""The operations of SESv2 that the sandbox knows."""

STS_OPERATIONS: Final = frozenset({"GetCallerIdentity", "AssumeRole"})
"""The operations of STS that the sandbox knows."""

PUTS: Final = frozenset({"PutIdentityPolicy", "CreateEmailIdentityPolicy", "UpdateEmailIdentityPolicy"})
"""The operations that bring a policy."""

NAMING: Final = (SES_OPERATIONS | SESV2_OPERATIONS) - {"ListIdentities", "ListEmailIdentities"}
"""The operations that name an identity."""

WRITES: Final = PUTS | {
    "DeleteIdentityPolicy",
    "DeleteEmailIdentityPolicy",
    "VerifyDomainIdentity",
    "VerifyEmailIdentity",
    "DeleteIdentity",
}
"""The operations that change something."""
