"""What SES refuses of an identity and of a policy's name: its answers, in its words where they are known.

The wording follows what others observed on real AWS; where nobody could be found who states it, the comment
says that the choice is ours. Nothing here is shared with batchpol's own validation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from batchpol.sandbox.doubts import DOUBTS
from batchpol.sandbox.facts import Facts
from batchpol.sandbox.wire import ACCOUNT_ID, Requester, ServiceError

MAX_NAMES: Final = 20
"""Policies that one read may name."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_ARN = re.compile(rf"arn:([a-z-]+):ses:([a-z0-9-]+):({ACCOUNT_ID}):identity/(.+)", re.DOTALL)
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = re.compile(rf"(?=.{{1,255}}\Z){_LABEL}(?:\.{_LABEL})*")
_LOCAL_PART = re.compile(r"[!-?A-~]{1,64}")


def required(form: Mapping[str, str], name: str) -> str:
    """A parameter that must be there and not empty."""
    value = form.get(name, "")
    if not value:
        raise ServiceError("InvalidParameterValue", f"{name} is required.")
    return value


def check_name(name: str, facts: Facts) -> None:
    """Refuse a policy name that SES refuses."""
    if len(name) > 64 and "name-long" in facts.refused:
        raise too_many("policyName", 64)
    if not _NAME.fullmatch(name) and "name-characters" in facts.refused:
        raise ServiceError(
            "InvalidParameterValue",
            "PolicyName is invalid. Policy names must only include alpha-numeric characters, dashes, and underscores.",
        )


def canonical(identity: str) -> str:
    """An identity's one spelling: domains compare without case, addresses as they are."""
    return identity if "@" in identity else identity.lower()


def identity_name(identity: str, caller: Requester, facts: Facts) -> str:
    """The canonical name behind a name or an ARN, which must be of the caller's account and Region."""
    if identity.startswith("arn:"):
        found = _ARN.fullmatch(identity)
        # What SES answers for somebody else's identity is not published; this choice is ours.
        if found is None or found.group(1, 2, 3) != (caller.partition, caller.region, caller.account):
            raise ServiceError("InvalidParameterValue", f"Identity {identity} does not belong to the caller.")
        _refuse_doubt("identity-arn", identity, facts)
        identity = found[4]
    local, at, domain = identity.rpartition("@")
    plain = domain if "identity-trailing-dot" in facts.refused else domain.removesuffix(".")
    if at and not (_LOCAL_PART.fullmatch(local) and _DOMAIN.fullmatch(plain)):
        raise ServiceError("InvalidParameterValue", f"Invalid email address<{identity}>.")
    if not at and not _DOMAIN.fullmatch(plain):
        raise ServiceError("InvalidParameterValue", f"Invalid domain name {identity}.")
    if "_" in domain:
        _refuse_doubt("identity-underscore", identity, facts)
    if "." not in plain:
        _refuse_doubt("identity-unusual", identity, facts)
    return canonical(identity)


def _refuse_doubt(name: str, identity: str, facts: Facts) -> None:
    if name in facts.refused:
        raise ServiceError("InvalidParameterValue", f"Identity {identity} is invalid: {DOUBTS[name].title}.")


def is_verified(identity: str) -> bool:
    """Whether an identity counts as verified here: every one does but those under ``.invalid``.

    An address counts with its domain.
    """
    return not ("." + identity.rpartition("@")[2].lower()).endswith(".invalid")


def identity_arn(identity: str, caller: Requester) -> str:
    return f"arn:{caller.partition}:ses:{caller.region}:{caller.account}:identity/{identity}"


def too_many(name: str, most: int) -> ServiceError:
    return ServiceError(
        "ValidationError",
        f"1 validation error detected: Value at '{name}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {most}",
    )
