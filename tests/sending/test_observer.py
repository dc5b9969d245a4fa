"""Several who want to know what a lane does are each told everything."""

from __future__ import annotations

import inspect
from typing import Any

from batchpol.model import Outcome, Status
from batchpol.policy.comparison import Effect
from batchpol.sending.observer import Attempted, LaneObserver, LaneObservers
from tests.sending.conftest import TARGET, change


class Diary(LaneObserver):
    """Writes down whatever it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def noted(self, *what: Any) -> None:
        self.told.append(("noted", *what))

    def attempted(self, *what: Any) -> None:
        self.told.append(("attempted", *what))

    def throttled(self, *what: Any) -> None:
        self.told.append(("throttled", *what))

    def paced(self, *what: Any) -> None:
        self.told.append(("paced", *what))

    def renewed(self, *what: Any) -> None:
        self.told.append(("renewed", *what))

    def deferred(self, *what: Any) -> None:
        self.told.append(("deferred", *what))

    def compared(self, *what: Any) -> None:
        self.told.append(("compared", *what))

    def settled(self, *what: Any) -> None:
        self.told.append(("settled", *what))


def test_each_is_told_everything_that_there_is_to_tell() -> None:
    outcome = Outcome(number=0, line=2, identity="tenant-0.example", policy_name="name-0", status=Status.APPLIED)
    to_tell = {
        "noted": (TARGET, "somebody else uses this quota"),
        "throttled": (TARGET,),
        "paced": (TARGET, 2.05),
        "renewed": (TARGET,),
        "attempted": (TARGET, Attempted(change(0), 1, 0.5)),
        "compared": (change(0), Effect.UPDATE, "{}"),
        "deferred": (TARGET, change(0), 15.0),
        "settled": (outcome,),
    }
    assert to_tell.keys() == {name for name, _ in inspect.getmembers(LaneObserver, inspect.isfunction)}
    first, second = Diary(), Diary()
    several = LaneObservers(first, second)
    for name, what in to_tell.items():
        getattr(several, name)(*what)
    assert first.told == second.told == [(name, *what) for name, what in to_tell.items()]
