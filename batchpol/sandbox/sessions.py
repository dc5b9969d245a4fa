"""Temporary credentials of AssumeRole.

All that the sandbox must know of them stands in their session token, so that they outlive the sandbox that
handed them out and need no table. They are worth nothing anywhere else.
"""

from __future__ import annotations

import base64
import re
import secrets
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from batchpol.sandbox.wire import ACCOUNT_ID, ServiceError

_PREFIX: Final = "batchpol-sandbox."
_ROLE = re.compile(rf"arn:([a-z-]+):iam::({ACCOUNT_ID}):role/(?:[!-~]*/)?([\w+=,.@-]{{1,64}})", re.ASCII)


class Session(msgspec.Struct, frozen=True):
    """Somebody in a role; ``expires`` is in seconds since 1970."""

    partition: str
    account: str
    role: str
    name: str
    role_id: str
    expires: float

    @property
    def arn(self) -> str:
        return f"arn:{self.partition}:sts::{self.account}:assumed-role/{self.role}/{self.name}"

    @property
    def user_id(self) -> str:
        return f"{self.role_id}:{self.name}"


class SessionKeys(NamedTuple):
    access_key: str
    secret_key: str
    token: str
    expiration: str
    """ISO 8601, UTC."""


def open_session(role_arn: str, name: str, expires: float) -> Session:
    """A session in any well-formed role. Raises ServiceError for an ARN that is not a role's."""
    found = _ROLE.fullmatch(role_arn)
    if found is None:
        raise ServiceError("ValidationError", f"{role_arn} is invalid")
    return Session(found[1], found[2], found[3], name, _identifier("AROA"), expires)


def credentials_of(session: Session) -> SessionKeys:
    """New credentials for a session."""
    token = _PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(session)).decode()
    expiration = datetime.fromtimestamp(session.expires, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return SessionKeys(_identifier("ASIA"), secrets.token_urlsafe(30), token, expiration)


def session_of(token: str) -> Session | None:
    """The session of a token; None if no sandbox handed it out."""
    if not token.startswith(_PREFIX):
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(token[len(_PREFIX) :]), type=Session)
    except (ValueError, msgspec.MsgspecError):
        return None


def _identifier(prefix: str) -> str:
    return prefix + base64.b32encode(secrets.token_bytes(10)).decode()
