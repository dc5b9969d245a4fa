"""What somebody may want to know of a target that is asked, and of a lane; these want nothing."""

from __future__ import annotations

from dataclasses import dataclass

from batchpol.model import Change, Outcome, Target
from batchpol.model.errors import SesError
from batchpol.policy.comparison import Effect


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt at a change: told when it leaves (``ended`` false), and again when it is over.

    ``number`` counts the change's attempts from 1, ``waited`` is the time at the gate in seconds, ``duration_ms`` the
    round trip. ``error`` None at the end means that SES took it.
    """

    change: Change
    number: int
    waited: float
    ended: bool = False
    duration_ms: float | None = None
    request_id: str = ""
    error: SesError | None = None


class ContactObserver:
    """Who wants to know what asking a target comes to. It is told on the event loop, and raises nothing."""

    def noted(self, target: Target, text: str) -> None:
        """Something a person should know, said once."""

    def throttled(self, target: Target) -> None:
        """SES refused a request as too fast; it goes back to the gate."""

    def paced(self, target: Target, period: float) -> None:
        """Requests of one operation leave so many seconds apart from now on: others use the quota, or ceased to."""

    def renewed(self, target: Target) -> None:
        """The credentials had expired, or their session had ended, and there were newer ones."""


class LaneObserver(ContactObserver):
    """Who wants to know what a lane does."""

    def attempted(self, target: Target, attempt: Attempted) -> None:
        """An attempt at a write leaves, or is over."""

    def deferred(self, target: Target, change: Change, seconds: float) -> None:
        """SES does not see the principal of a change yet; it is tried again in so many seconds."""

    def compared(self, change: Change, effect: Effect, present: str | None) -> None:
        """In a plan: what a change would do to the document that is there (None: nothing is)."""

    def settled(self, outcome: Outcome) -> None:
        """A record that was queued has its outcome, durably."""


class LaneObservers(LaneObserver):
    """Several who want to know, told one after the other."""

    def __init__(self, *observers: LaneObserver) -> None:
        self._observers = observers

    def noted(self, target: Target, text: str) -> None:
        for observer in self._observers:
            observer.noted(target, text)

    def throttled(self, target: Target) -> None:
        for observer in self._observers:
            observer.throttled(target)

    def paced(self, target: Target, period: float) -> None:
        for observer in self._observers:
            observer.paced(target, period)

    def renewed(self, target: Target) -> None:
        for observer in self._observers:
            observer.renewed(target)

    def attempted(self, target: Target, attempt: Attempted) -> None:
        for observer in self._observers:
            observer.attempted(target, attempt)

    def deferred(self, target: Target, change: Change, seconds: float) -> None:
        for observer in self._observers:
            observer.deferred(target, change, seconds)

    def compared(self, change: Change, effect: Effect, present: str | None) -> None:
        for observer in self._observers:
            observer.compared(change, effect, present)

    def settled(self, outcome: Outcome) -> None:
        for observer in self._observers:
            observer.settled(outcome)
