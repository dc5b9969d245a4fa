"""A lane on a simulated network, with a journal in memory that tests can look into."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from batchpol.journal import Entry
from batchpol.model import Action, Change, Outcome, Target
from batchpol.model.settings import Conduct, Patience
from batchpol.sending.commit import GroupCommit
from batchpol.sending.contact import Contact
from batchpol.sending.gates import Gates
from batchpol.sending.lane import Lane
from batchpol.sending.observer import LaneObserver
from batchpol.sending.queue import Job
from tests.sending.simulated import Server, SimulatedSes

TARGET = Target("111122223333", "us-east-1")
BLIND, COMPARE = Conduct(compare=False), Conduct()
PLAN = Conduct(plan=True)
OLD = '{"Statement":[{"Sid":"old"}]}'


def change(
    number: int, identity: str | None = None, action: Action = Action.PUT, document: str | None = None
) -> Change:
    identity = identity or f"tenant-{number}.example"
    text = document if document is not None else f'{{"Statement":[{{"Sid":"{number}"}}]}}'
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Change(number, number + 2, TARGET, identity, identity, f"name-{number}", action, text, digest)


@dataclass
class Seen(LaneObserver):
    """What an observer of a lane was told."""

    outcomes: list[Outcome] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def settled(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def noted(self, target: Target, text: str) -> None:
        self.notes.append(text)


@dataclass
class Bench:
    """A lane under test and what it left behind."""

    server: Server
    ses: SimulatedSes
    lane: Lane
    entries: list[Entry] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    async def run(self, changes: Sequence[Change]) -> dict[str, Outcome]:
        async def feed() -> AsyncIterator[Job]:
            for item in changes:
                yield Job(item)

        await self.lane.run(feed())
        return {outcome.policy_name: outcome for outcome in self.outcomes}


@pytest.fixture
def bench() -> Callable[..., Bench]:
    """Makes a lane: options of the simulated network, then those of the lane."""

    def make(
        *,
        server: Server | None = None,
        gates: Gates | None = None,
        network: dict | None = None,
        patience: Patience | None = None,
        commit: GroupCommit[Entry] | None = None,
        **lane,
    ) -> Bench:
        server = server or Server()
        ses = SimulatedSes(server, **(network or {}))
        seen, entries = Seen(), list[Entry]()

        async def write(batch: list[Entry]) -> None:
            entries.extend(batch)

        built = Lane(
            Contact(TARGET, ses, gates or Gates.at(), patience or Patience(), seen),
            commit or GroupCommit(write),
            seen,
            wall=lambda: datetime.fromtimestamp(asyncio.get_running_loop().wall_time(), UTC),
            **{"conduct": BLIND, **lane},
        )
        return Bench(server, ses, built, entries, seen.outcomes, seen.notes)

    return make
