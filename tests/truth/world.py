"""An SES on the loop's clock that tells stale tales: what holds, what a read shows, and who wrote what when."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from types import TracebackType
from typing import Literal, NamedTuple, Self

import anyio

from batchpol.model import Target
from batchpol.model.errors import AccessRefused, NoAnswer, PolicyRefused, Throttled
from batchpol.model.settings import Connection
from batchpol.ses import Attempt, Caller

ACCOUNT, REGION, OTHER_REGION = "111122223333", "us-east-1", "eu-west-1"


def region_of(identity: str) -> str:
    """The Region in which an identity lives."""
    return OTHER_REGION if identity.startswith("far.") else REGION


Key = tuple[str, str]
"""Identity and policy name."""

Fault = Literal["lost before", "lost after", "error before", "error after", "refused", "not seen", "throttled"]
"""What one write comes to instead of an answer: the answer or the request is lost, SES answers 500 before or after
it took effect, refuses the policy, does not see its principal yet, or finds it too fast."""


class Write(NamedTuple):
    """A write that took effect: when (world time in seconds), what was there just before and after it, and of which
    journal's run it is; of none if it is somebody else's."""

    at: float
    key: Key
    before: str | None
    after: str | None
    journal: str


@dataclass
class World:
    """The far side of all runs of one history. Its clock goes on from run to run, whatever loop they run on."""

    stale: float = 0.0
    """Seconds by which a read may lag behind at most."""
    seed: int = 0
    faults: dict[int, Fault] = field(default_factory=dict)
    """By the ordinal of our write, counted over the whole history."""
    never: frozenset[str] = frozenset()
    """Policy names whose puts SES refuses for good."""
    limit: int = 20
    rtt: float = 0.08
    policies: dict[Key, str] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    refused: int = 0
    sent: int = 0
    others: list[tuple[float, Key, str | None]] = field(default_factory=list)
    """What somebody else writes, and when (world time); taken as its time comes."""
    offset: float = 0.0
    """Seconds by which world time is ahead of the loop's: what the machine has slept."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @property
    def now(self) -> float:
        """World time in seconds."""
        return self.offset + asyncio.get_running_loop().time()

    def pass_time(self, until: float) -> None:
        """Let others write what they have by then."""
        for item in sorted((it for it in self.others if it[0] <= until), key=itemgetter(0)):
            self.others.remove(item)
            at, key, document = item
            self._write(at, key, document)

    def ours(self, key: Key, document: str | None, journal: str) -> None:
        self._write(self.now, key, document, journal)

    def _write(self, at: float, key: Key, document: str | None, journal: str = "") -> None:
        self.writes.append(Write(at, key, self.policies.get(key), document, journal))
        if document is None:
            self.policies.pop(key, None)
        else:
            self.policies[key] = document

    def at(self, key: Key, when: float) -> str | None:
        """What held at that time."""
        later = next((it for it in self.writes if it.key == key and it.at > when), None)
        return self.policies.get(key) if later is None else later.before

    def names(self, identity: str, when: float) -> list[str]:
        keys = {key for key in self.policies if key[0] == identity}
        keys |= {it.key for it in self.writes if it.key[0] == identity}
        return sorted(name for _, name in keys if self.at((identity, name), when) is not None)

    def lag(self) -> float:
        return self._random.choice((0.0, self._random.random(), 1.0)) * self.stale


@dataclass
class WorldSes:
    """SES of one Region, as a lane calls it for the run of a journal."""

    world: World
    region: str
    journal: str

    async def warm(self) -> None:
        await anyio.sleep(self.world.rtt)

    async def ready(self) -> None:
        """Credentials are always fresh."""

    async def put(self, identity: str, policy_name: str, document: str, attempt: Attempt) -> str:
        return await self._write((identity, policy_name), document, attempt)

    async def delete(self, identity: str, policy_name: str, attempt: Attempt) -> str:
        return await self._write((identity, policy_name), None, attempt)

    async def policies(self, identity: str, names: Iterable[str], attempt: Attempt) -> dict[str, str]:
        await self._cross(attempt, identity)
        when = self.world.now - self.world.lag()
        found = {name: self.world.at((identity, name), when) for name in names}
        await anyio.sleep(self.world.rtt / 2)
        return {name: document for name, document in found.items() if document is not None}

    async def policy_names(self, identity: str, attempt: Attempt) -> list[str]:
        await self._cross(attempt, identity)
        found = self.world.names(identity, self.world.now - self.world.lag())
        await anyio.sleep(self.world.rtt / 2)
        return found

    async def verified(self, identities: Iterable[str], attempt: Attempt) -> dict[str, str]:
        await self._cross(attempt, *identities)
        await anyio.sleep(self.world.rtt / 2)
        return dict.fromkeys(identities, "Success")

    async def _cross(self, attempt: Attempt, *identities: str) -> None:
        assert all(region_of(identity) == self.region for identity in identities), f"{identities} are not asked here"
        await attempt.admit()
        attempt.departed()
        left = self.world.now
        await anyio.sleep(self.world.rtt / 2)
        if self.world.now - left > 1:
            raise NoAnswer("the machine slept, and the connection is gone", code="ConnectionReset")
        self.world.pass_time(self.world.now)

    async def _write(self, key: Key, document: str | None, attempt: Attempt) -> str:
        world = self.world
        await self._cross(attempt, key[0])
        world.sent += 1
        fault = world.faults.get(world.sent)
        if document is None and fault in ("refused", "not seen"):  # nobody refuses a delete
            fault = None
        refusal = self._refusal(key, document, fault)
        if refusal is None and fault in (None, "lost after", "error after"):
            world.ours(key, document, self.journal)
        if fault in ("lost before", "lost after"):
            await anyio.sleep(5)
            raise NoAnswer("connection reset", code="ConnectionReset")
        await anyio.sleep(world.rtt / 2)
        if fault in ("error before", "error after"):
            raise NoAnswer("internal failure", code="InternalFailure", http_status=500)
        if fault == "throttled":
            raise Throttled("Rate exceeded", code="Throttling", http_status=400)
        if refusal is not None:
            world.refused += 1
            raise refusal
        return f"request-{world.sent}"

    def _refusal(self, key: Key, document: str | None, fault: Fault | None) -> PolicyRefused | None:
        if document is None:
            return None
        if fault == "refused" or key[1] in self.world.never:
            return PolicyRefused("the policy is refused", code="InvalidPolicy", http_status=400)
        if fault == "not seen":
            return PolicyRefused("invalid principal", code="InvalidPolicy", http_status=400)
        there = {name for whose, name in self.world.policies if whose == key[0]}
        if key[1] not in there and len(there) >= self.world.limit:
            text = f"Number of policies for {key[0]} exceeds max allowed number of policies per resource"
            return PolicyRefused(text, code="InvalidParameterValue", http_status=400)
        return None


class WorldAws:
    """The connection to it, of the run of a journal: one account, two Regions."""

    def __init__(self, world: World, journal: str) -> None:
        self.connection, self.notes = Connection(), list[str]()
        self._ses = {region: WorldSes(world, region, journal) for region in (REGION, OTHER_REGION)}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def region(self) -> str:
        return REGION

    async def caller(self, region: str, account: str = "") -> Caller:
        return Caller(account or ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/Onboarding")

    async def endpoint(self, region: str) -> str:
        return ""

    async def ses(self, target: Target) -> WorldSes:
        if target.account != ACCOUNT:
            raise AccessRefused(f"no credentials of {target}", code="WrongAccount")
        return self._ses[target.region]

    async def renew(self, target: Target, used: object) -> None:
        return None
