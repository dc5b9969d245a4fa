"""The ways in which the sandbox misbehaves: one named thing each, and when it strikes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from batchpol.sandbox.catalogue import NAMING, PUTS, SES_OPERATIONS, SESV2_OPERATIONS, STS_OPERATIONS

_EVERYWHERE: Final = SES_OPERATIONS | SESV2_OPERATIONS | STS_OPERATIONS


class Stage(StrEnum):
    """Where on a request's way a fault strikes, in the order of the way."""

    NETWORK = "network"
    """Before SES: the request never gets there, and takes nothing from the limit."""
    CREDENTIALS = "credentials"
    """Who are you? Asked before the limit, of which it takes nothing."""
    LIMIT = "limit"
    """At the limit, of which a refused request takes nothing."""
    SERVICE = "service"
    """Past the limit, before the write: takes its place in the limit, changes nothing."""
    ANSWER = "answer"
    """After the write took effect: only the answer suffers."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave. ``status``, ``code`` and ``message`` are SES's answer where there is one."""

    stage: Stage
    title: str
    """One line for a table: what happens, and whether the write took effect."""
    status: int = 0
    code: str = ""
    message: str = ""
    operations: frozenset[str] = _EVERYWHERE
    """Where SES (or STS) could answer so: the fault strikes nowhere else."""

    @property
    def applied(self) -> bool:
        """Whether a write takes effect (if it is a good one) although the answer suffers."""
        return self.stage is Stage.ANSWER


_EXPIRED = "The security token included in the request is expired"
_INVALID_TOKEN = "The security token included in the request is invalid."  # noqa: S105  (a message)
_BAD_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
_SKEWED = "The difference between the request time and the server's time is too large."
_INTERNAL = "The request processing has failed because of an unknown error, exception or failure."
_BUSY = "The request has failed due to a temporary failure of the server."

FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        "reset_before": Fault(Stage.NETWORK, "connection reset before SES saw the request; not applied"),
        "drop_before": Fault(Stage.NETWORK, "connection closed in good order before SES saw the request; not applied"),
        "portal": Fault(Stage.NETWORK, "a proxy's HTML page with status 200 instead of SES; not applied"),
        "expired_token": Fault(Stage.CREDENTIALS, "403 ExpiredToken; not applied", 403, "ExpiredToken", _EXPIRED),
        "invalid_client_token": Fault(
            Stage.CREDENTIALS,
            "403 InvalidClientTokenId; not applied",
            403,
            "InvalidClientTokenId",
            _INVALID_TOKEN,
        ),
        "bad_signature": Fault(
            Stage.CREDENTIALS,
            "403 SignatureDoesNotMatch; not applied",
            403,
            "SignatureDoesNotMatch",
            _BAD_SIGNATURE,
        ),
        "clock_skew": Fault(
            Stage.CREDENTIALS, "403 RequestTimeTooSkewed; not applied", 403, "RequestTimeTooSkewed", _SKEWED
        ),
        "throttle": Fault(
            Stage.LIMIT,
            "400 Throttling though there is room, as if somebody else used the quota; not applied",
            400,
            "Throttling",
            "Rate exceeded",
        ),
        # Who one is, everybody may ask.
        "access_denied": Fault(
            Stage.SERVICE,
            "403 AccessDenied; not applied",
            403,
            "AccessDenied",
            operations=_EVERYWHERE - {"GetCallerIdentity"},
        ),
        "server_error": Fault(Stage.SERVICE, "500 InternalFailure; not applied", 500, "InternalFailure", _INTERNAL),
        "unavailable": Fault(Stage.SERVICE, "503 ServiceUnavailable; not applied", 503, "ServiceUnavailable", _BUSY),
        "invalid_principal": Fault(
            Stage.SERVICE,
            "400 InvalidPolicy for a principal that IAM does not see yet; not applied",
            400,
            "InvalidPolicy",
            "The policy contains an invalid principal.",
            PUTS,
        ),
        "invalid_identity": Fault(
            Stage.SERVICE,
            "400 InvalidParameterValue for the identity; not applied",
            400,
            "InvalidParameterValue",
            "Invalid identity.",
            NAMING,
        ),
        "stall_before": Fault(Stage.SERVICE, "no answer, ever; not applied"),
        "stall_after": Fault(Stage.ANSWER, "no answer, ever; applied"),
        "reset_after": Fault(Stage.ANSWER, "connection reset instead of the answer; applied"),
        "drop_after": Fault(Stage.ANSWER, "connection closed in good order instead of the answer; applied"),
        "malformed": Fault(Stage.ANSWER, "status 200 with XML that breaks off; applied"),
        "truncated": Fault(Stage.ANSWER, "fewer bytes than Content-Length, then closed; applied"),
        "wrong_type": Fault(Stage.ANSWER, "status 200 with an HTML page of text/html; applied"),
        "bad_gateway": Fault(Stage.ANSWER, "status 502 with a proxy's HTML page; applied"),
        "error_after": Fault(Stage.ANSWER, "500 InternalFailure; applied", 500, "InternalFailure", _INTERNAL),
    }
)
"""Every fault by name, in the order in which they are drawn."""


class FaultPlan:
    """Says for each arrival which fault strikes it: by its place in the row, else by a seeded probability.

    A key is a fault's name, which strikes any of ``operations``, or ``name@Operation``, which strikes that
    operation alone. ``probabilities`` gives each key's chance for each arrival; ``places`` the arrivals it
    strikes for certain, counted from 1 for each operation (a set, or an open ``range`` for "from then on").

    Either strikes only where SES could answer so. Raises ValueError for an unknown fault or operation, for one that
    a fault cannot strike, and for a probability outside 0 to 1.
    """

    def __init__(
        self,
        probabilities: Mapping[str, float],
        places: Mapping[str, Container[int]],
        operations: Collection[str],
        seed: int,
    ) -> None:
        self._random = random.Random(seed)  # noqa: S311  (repeatable on purpose; keeps no secret)
        self._counts: Counter[str] = Counter()
        self.change(probabilities, places, operations)

    def change(
        self,
        probabilities: Mapping[str, float],
        places: Mapping[str, Container[int]],
        operations: Collection[str],
    ) -> None:
        """Take another plan from now on; the counts and the random generator go on."""
        for key in (*probabilities, *places):
            name, _, only = key.partition("@")
            if name not in FAULTS:
                raise ValueError(f"unknown fault {name!r}; known are {', '.join(FAULTS)}")
            if only and only not in FAULTS[name].operations:
                where = ", ".join(sorted(FAULTS[name].operations))
                raise ValueError(f"{name} cannot strike {only!r}, only {where}")
        for key, chance in probabilities.items():
            if not 0 <= chance <= 1:
                raise ValueError(f"the probability of {key!r} must be between 0 and 1, not {chance!r}")
        order = {name: number for number, name in enumerate(FAULTS)}
        self._probabilities = sorted(
            probabilities.items(), key=lambda item: (order[item[0].partition("@")[0]], item[0])
        )
        self._places = dict(places)
        self._operations = frozenset(operations)

    def draw(self, operation: str) -> tuple[int, str]:
        """The place of this arrival among its operation's (from 1), and the fault's name or ``""``."""
        self._counts[operation] += 1
        place = self._counts[operation]
        for key, places in self._places.items():
            if self._strikes(key, operation) and place in places:
                return place, key.partition("@")[0]
        for key, chance in self._probabilities:
            # One draw for each, hit or not, so that a plan's later entries don't depend on the earlier ones' luck.
            if self._strikes(key, operation) and self._random.random() < chance:
                return place, key.partition("@")[0]
        return place, ""

    def _strikes(self, key: str, operation: str) -> bool:
        name, _, only = key.partition("@")
        return operation == only if only else operation in self._operations & FAULTS[name].operations
