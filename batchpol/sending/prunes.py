"""What the input does not have goes only when all that it has for the identity is there.

Where an identity is full, a put that needs room has one policy deleted before it, which is put back if the put is
refused: nobody is left with less than there was.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace
from enum import Enum, auto

from batchpol.model import Action, Change, Status
from batchpol.model.errors import PolicyRefused
from batchpol.policy.comparison import Effect
from batchpol.sending.queue import Job

WITHHELD = PolicyRefused(
    "not pruned: something that the input has for this identity is not there, so that this may still be needed",
    code="PruneWithheld",
)
PUT_BACK = PolicyRefused(
    "put back: it was deleted to make room for a policy that was then not taken", code="PruneWithheld"
)

PAUSE = 2.0
"""Seconds after which a deletion looks again whether the puts of its identity are settled."""


class Turn(Enum):
    """What a deletion comes to when it is its turn."""

    GO = auto()
    WAIT = auto()
    WITHHELD = auto()


class Prunes:
    """Keeps, by identity, how many of the puts of a lane are not settled yet, and whether one came to nothing.

    Args:
        wanted: whether anything is pruned at all; nothing is kept where not.

    Attributes:
        held: deletions that made room, and whose outcome hangs on the put that they made it for.
    """

    def __init__(self, *, wanted: bool = False) -> None:
        self._wanted = wanted
        self.held: list[Job] = []
        self._open: Counter[str] = Counter()
        self._bad: set[str] = set()
        self._room: dict[str, deque[Job]] = {}

    def expect(self, job: Job) -> None:
        """A change of the input has begun its way."""
        if self._wanted and not job.change.prune:
            self._open[job.change.key_identity] += 1

    def settled(self, change: Change, status: Status) -> None:
        """A change has its outcome."""
        identity = change.key_identity
        if change.prune or not self._open[identity]:
            return
        self._open[identity] -= 1
        if not self._open[identity]:
            del self._open[identity]
        if status not in (Status.APPLIED, Status.UNCHANGED):
            self._bad.add(identity)

    def turn(self, change: Change) -> Turn:
        """Whether a deletion may go: not before the puts of its identity, and not where one of them came to nothing."""
        if not change.prune or change.makes_room:
            return Turn.GO
        if change.key_identity in self._bad:
            return Turn.WITHHELD
        return Turn.WAIT if self._open[change.key_identity] else Turn.GO

    def lined_up(self, jobs: list[Job]) -> list[Job]:
        """The jobs of one identity in the order of their going: each that makes room right before a put that needs it.

        What makes room that no put needs is a deletion like the others.
        """
        if not self._wanted or not jobs:
            return jobs
        identity = jobs[0].change.key_identity
        room = self._room.pop(identity, deque())
        room += [job for job in jobs if job.change.makes_room]
        lined = []
        for job in jobs:
            if job.change.makes_room:
                continue
            if room and job.effect is Effect.CREATE:
                job.room = room.popleft()
                lined.append(job.room)
            lined.append(job)
        if room:
            self._room[identity] = room
        return lined

    def left_over(self) -> list[Job]:
        """Deletions that no put needed for room, once all changes have begun their way."""
        left = [job for room in self._room.values() for job in room]
        self._room.clear()
        for job in left:
            job.change = replace(job.change, makes_room=False)
        return left


def taking_back(deletion: Job) -> Job:
    """What puts a policy back that was deleted to make room."""
    change = replace(deletion.change, action=Action.PUT, document=deletion.present or "", if_match="")
    return Job(change, attempts=deletion.attempts, takes_back=deletion)
