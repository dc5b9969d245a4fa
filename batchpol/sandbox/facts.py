"""What is published nowhere about SES: each field a question, each value one of the SESs that there could be."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from batchpol.sandbox.doubts import DOUBTS

LAGS: Final = ("get-after-put", "get-after-delete", "list-after-put", "list-after-delete")
"""The reads that can be stale, each by a number of seconds of its own."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Which of the possible SESs the sandbox is. The defaults follow the documentation, and the strict side of it.

    Raises ValueError for what makes no sense.
    """

    rate: float = 1.0
    """Requests a second that each operation takes, for each account and Region; 0 is no limit. STS has none."""
    burst: int = 1
    """How many may come at once after a pause."""
    tolerance_ms: float = 0.0
    """By how much a request may come too early. The bucket stays one: what came early is not due sooner again."""
    shared_quota: bool = False
    """One limit for all of SES's operations together instead of one for each."""
    v2_shares_quota: bool = False
    """SESv2's operations take from the limits of their counterparts in SES instead of having limits of their own."""
    throttled_count: bool = False
    """A request that is throttled takes from the limit, too, so that only waiting helps."""
    refused_count: bool = True
    """A request that passed the limit and is refused for what it asks keeps what it took."""

    stale_seconds: float = 0.0
    """How long after a write reads of policies still show what was before."""
    stale_by: Mapping[str, float] = field(default_factory=dict)
    """The same for one of :data:`LAGS` alone."""
    stale_at_random: bool = False
    """Each write lags by a random part of that, instead of all of it."""

    max_length: int = 4096
    """Of a policy; longer ones are refused."""
    length_unit: Literal["bytes", "characters"] = "bytes"
    """What of the text is counted: UTF-8 bytes or characters."""
    length_with_blanks: bool = False
    """The text is counted as it was sent, not as it is kept."""

    max_policies: int = 20
    """Of an identity; a further one is refused."""

    keeps_blanks: bool = False
    """Insignificant blanks of a policy are kept."""
    sorts_keys: bool = False
    """A policy comes back with the keys of its objects in alphabetical order."""
    accounts_as_roots: bool = False
    """A bare account id as a principal comes back as the ARN of the account's root."""
    principals_as_ids: bool = False
    """The ARN of a role or user comes back as its unique id."""
    deleted_as_ids: bool = True
    """That of one which was deleted after a policy named it does."""
    strict_principals: bool = True
    """Refuse a policy that names a role or user which is not there: a deleted one, or one ending in ``.invalid``."""

    require_verified: bool = True
    """Refuse a policy for an identity that does not count as verified (one ending in ``.invalid``)."""
    strict_identities: bool = False
    """An identity that nobody asked to verify is unknown. Otherwise all are known and verified but those above."""
    refused: Collection[str] = frozenset(name for name, doubt in DOUBTS.items() if doubt.refused)
    """The doubtful things, by their names in :data:`~batchpol.sandbox.doubts.DOUBTS`, that are refused."""

    def __post_init__(self) -> None:
        for name in ("rate", "tolerance_ms", "stale_seconds", "max_length", "max_policies"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        if self.burst < 1:
            raise ValueError("burst must be 1 or more")
        if self.length_unit not in ("bytes", "characters"):
            raise ValueError(f"length_unit is bytes or characters, not {self.length_unit!r}")
        for name, seconds in self.stale_by.items():
            if name not in LAGS:
                raise ValueError(f"unknown lag {name!r}; known are {', '.join(LAGS)}")
            if seconds < 0:
                raise ValueError(f"the lag {name} must not be negative")
        for name in self.refused:
            if name not in DOUBTS:
                near = difflib.get_close_matches(name, DOUBTS, n=1)
                raise ValueError(f"unknown doubt {name!r}{f'; did you mean {near[0]}?' if near else ''}")

    def lag(self, read: Literal["get", "list"], write: Literal["put", "delete"]) -> float:
        """Seconds after which a write of this kind can be seen by a read of that kind."""
        return self.stale_by.get(f"{read}-after-{write}", self.stale_seconds)
