"""What can be set on the sandbox."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchpol.sandbox.catalogue import SES_OPERATIONS, SESV2_OPERATIONS
from batchpol.sandbox.facts import Facts
from batchpol.sandbox.wire import ACCOUNT_ID


@dataclass(frozen=True, slots=True)
class SandboxOptions(Facts):
    """How the sandbox behaves: as the SES that :class:`Facts` describe, on a network that can be set, too.

    Immutable; ``Sandbox.change(rate=...)`` sets another one at run time. Raises ValueError for a number that makes
    no sense.
    """

    latency_ms: float = 0.0
    """The round trip in milliseconds: one half before the limit, the other after it."""
    jitter_ms: float = 0.0
    """Mean, in milliseconds, of an exponential delay on the way in, *before* the limit."""
    jitter_after_ms: float = 0.0
    """The same on the way back."""

    faults: Mapping[str, float] = field(default_factory=dict)
    """Probability of each fault, by its name in ``FAULTS`` or ``name@Operation`` for one operation alone."""
    faults_at: Mapping[str, Container[int]] = field(default_factory=dict)
    """The arrivals that a fault strikes for certain, counted from 1 for each operation: ``{"reset_after": {3, 7}}``."""
    fault_operations: Collection[str] = SES_OPERATIONS | SESV2_OPERATIONS
    """The operations that faults without an ``@`` strike, each only where SES could answer so."""
    stall_seconds: float = 300.0
    """How long a stalled connection is held before it is closed without an answer."""
    seed: int = 0
    """Of the one random generator behind faults and jitter."""

    account: str = "123456789012"
    """The account of every access key that is not in ``accounts`` and was not handed out by AssumeRole."""
    accounts: Mapping[str, str] = field(default_factory=dict)
    """Access key to account."""
    external_id: str | None = None
    """The ExternalId that AssumeRole asks for; None: it asks for none."""
    expired: Collection[str] = ()
    """Access keys that count as expired."""
    credential_seconds: float | None = None
    """Lifetime of the credentials that AssumeRole hands out; None: as long as the caller asks for."""

    denied: Collection[str] = ()
    """Identities for which IAM allows the caller nothing: 403 AccessDenied, past the limit."""
    token_seconds: float | None = None
    """How long the token of a next page of identities is good; None: for ever."""
    late_principals: Mapping[str, float] = field(default_factory=dict)
    """Principal to the number of Puts naming it that are refused before IAM "sees" it (``math.inf``: all)."""

    deleted: Collection[str] = ()
    """ARNs of roles and users that are not there any more."""

    log: Path | None = None
    """File of arrivals, JSON Lines, appended to and flushed line by line."""

    def __post_init__(self) -> None:
        Facts.__post_init__(self)  # super() does not find its way in a class with slots
        for name in ("latency_ms", "jitter_ms", "jitter_after_ms", "stall_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        for account in (self.account, *self.accounts.values()):
            if not re.fullmatch(ACCOUNT_ID, account):
                raise ValueError(f"an account is 12 digits, not {account!r}")
