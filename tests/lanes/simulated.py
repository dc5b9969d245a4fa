"""SES behind a simulated network, on the loop's own clock: arrivals are measured at the server, never at the gate."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import anyio

from batchpol.errors import NoAnswer, SesError, Throttled
from batchpol.ses import Attempt

PUT, DELETE, READ = "put", "delete", "read"


@dataclass
class Bucket:
    """Strict: one request a period, burst 1, refused requests consume nothing."""

    period: float = 1.0
    last: float = float("-inf")

    def takes(self, now: float) -> bool:
        if now - self.last < self.period:
            return False
        self.last = now
        return True


@dataclass
class Arrival:
    at: float
    kind: str
    name: str
    taken: bool


@dataclass
class Server:
    """The far side, shared by everyone who sends: policies, buckets by kind, and the log of arrivals."""

    shared: bool = False
    period: float = 1.0
    policies: dict[tuple[str, str], str] = field(default_factory=dict)
    arrivals: list[Arrival] = field(default_factory=list)
    down: tuple[float, float] = (0.0, 0.0)
    """Loop times between which every request is answered with a 503."""
    _buckets: dict[str, Bucket] = field(default_factory=dict)

    def arrive(self, kind: str, name: str) -> None:
        bucket = self._buckets.setdefault("all" if self.shared else kind, Bucket(self.period))
        now = asyncio.get_running_loop().time()
        taken = bucket.takes(now)
        self.arrivals.append(Arrival(now, kind, name, taken))
        if self.down[0] <= now < self.down[1]:
            raise NoAnswer("service unavailable", code="ServiceUnavailable", http_status=503)
        if not taken:
            raise Throttled("Rate exceeded", code="Throttling", http_status=400)

    @property
    def refused(self) -> int:
        return sum(not arrival.taken for arrival in self.arrivals)

    def gaps(self, kind: str = PUT) -> list[float]:
        """Seconds between requests that were taken, one after the other."""
        times = [arrival.at for arrival in self.arrivals if arrival.taken and arrival.kind == kind]
        return [later - earlier for earlier, later in itertools.pairwise(times)]


@dataclass
class SimulatedSes:
    """What a lane calls; ``rtt`` and ``jitter`` (exponential, before the bucket) in seconds.

    ``faults`` by policy name: what to raise, in order; ``None`` in the list lets one attempt pass. A fault with
    ``http_status`` 0 takes its answer away after ``lost_after`` seconds.
    """

    server: Server
    rtt: float = 0.08
    jitter: float = 0.0
    noise: float = 0.001
    seed: int = 1
    faults: dict[str, list[SesError | None]] = field(default_factory=dict)
    read_faults: deque[SesError] = field(default_factory=deque)
    under_way: int = 0
    most_under_way: int = 0
    warmed: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def warm(self) -> None:
        self.warmed += 1
        await anyio.sleep(self.rtt)

    async def ready(self) -> None:
        """Credentials are always fresh."""

    async def put(self, identity: str, policy_name: str, document: str, attempt: Attempt | None) -> str:
        await self._cross(PUT, policy_name, attempt)
        self.server.policies[identity, policy_name] = document
        await self._back()
        return f"request-{len(self.server.arrivals)}"

    async def delete(self, identity: str, policy_name: str, attempt: Attempt | None) -> str:
        await self._cross(DELETE, policy_name, attempt)
        self.server.policies.pop((identity, policy_name), None)
        await self._back()
        return f"request-{len(self.server.arrivals)}"

    async def policies(self, identity: str, names: Iterable[str], attempt: Attempt | None) -> dict[str, str]:
        await self._cross(READ, identity, attempt)
        if self.read_faults:
            await self._back()
            raise self.read_faults.popleft()
        found = {
            name: self.server.policies[identity, name] for name in names if (identity, name) in self.server.policies
        }
        await self._back()
        return found

    async def _cross(self, kind: str, name: str, attempt: Attempt | None) -> None:
        assert attempt is not None
        await attempt.admit()
        attempt.departed()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        delay = self._random.expovariate(1 / self.jitter) if self.jitter else self._random.random() * self.noise
        await anyio.sleep(self.rtt / 2 + delay)
        try:
            self.server.arrive(kind, name)
            fault = self.faults[name].pop(0) if self.faults.get(name) else None
            if fault is not None and kind != READ:
                raise fault
        except SesError:
            await self._back()
            raise

    async def _back(self) -> None:
        await anyio.sleep(self.rtt / 2 + self._random.random() * self.noise)
        self.under_way -= 1
