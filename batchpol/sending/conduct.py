"""The choices of one run for its lanes: what they do besides writing, and how often they try again."""

from __future__ import annotations

from dataclasses import dataclass

from batchpol.errors import SesError, Throttled

BUSY_FACTOR = 10
"""How many times longer, or more often, a lane keeps trying where SES answers that it is too fast: the server is
there, and whoever uses the quota will be done some time."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to try again, and when to give up.

    ``max_attempts`` of one record (ten times as many where all that comes back is "too fast"), after which it is
    ``failed`` or ``unknown`` provided SES answers others. ``max_outage`` seconds without any answer stop the lane,
    resumable. ``in_flight`` is the bound on requests under way at once. ``max_deferrals`` is how often a record whose
    principal SES does not see yet goes to the end of the queue.
    """

    max_attempts: int = 8
    max_outage: float = 120.0
    in_flight: int = 8
    max_deferrals: int = 2

    def attempts(self, error: SesError) -> int:
        """Attempts that one request is worth while this is what comes back."""
        return self.max_attempts * self._factor(error)

    def outage(self, error: SesError) -> float:
        """Seconds of silence that are borne while this is what comes back."""
        return self.max_outage * self._factor(error)

    @staticmethod
    def _factor(error: SesError) -> int:
        return BUSY_FACTOR if isinstance(error, Throttled) else 1


@dataclass(frozen=True, slots=True)
class Conduct:
    """What a lane does besides writing: the choices of one run.

    ``compare`` reads what is there and writes only what differs; ``no_clobber`` only creates, ``only_existing``
    only replaces. ``ownership`` looks identities up, 100 a call; with ``require_verified`` what is not verified is
    not sent. ``verify`` reads back what was written, for up to ``stale`` seconds. ``plan`` writes nothing.
    """

    compare: bool = False
    no_clobber: bool = False
    only_existing: bool = False
    ownership: bool = False
    require_verified: bool = False
    verify: bool = False
    stale: float = 120.0
    plan: bool = False

    @property
    def reads(self) -> bool:
        """Whether every change is compared with what is there."""
        return self.compare or self.no_clobber or self.only_existing or self.plan

    @property
    def only_compares(self) -> bool:
        """Whether what is read is only compared, so that a run without reading comes to the same."""
        return self.compare and not (self.plan or self.no_clobber or self.only_existing)
