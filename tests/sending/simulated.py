"""SES behind a simulated network, on the loop's own clock: arrivals are measured at the server, never at the gate."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter, deque
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

import anyio

from batchpol.model.errors import AccessRefused, NoAnswer, PolicyRefused, SesError, Throttled, Unreachable
from batchpol.model.settings import Connection
from batchpol.ses import Attempt, Caller

HINT = "give the caller the permissions that `batchpol help permissions` lists, then run the same command again"

PUT, DELETE, READ, LIST, LOOK_UP, PAGE = "put", "delete", "read", "list", "look up", "page"
WRITES = (PUT, DELETE)


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
    away: bool = False
    """Whether no connection comes about then, instead."""
    down_for: Container[str] = (PUT, DELETE, READ, LIST, LOOK_UP, PAGE)
    """What is answered so at that time."""
    page: int = 1000
    """Identities that one answer lists."""
    unverified: set[str] = field(default_factory=set)
    stale: float = 0.0
    """Seconds after a write in which reads show what was before it."""
    _buckets: dict[str, Bucket] = field(default_factory=dict)
    _replaced: list[tuple[float, tuple[str, str], str | None]] = field(default_factory=list)

    def arrive(self, kind: str, name: str) -> None:
        quota = "all" if self.shared else "write" if kind in WRITES else kind
        bucket = self._buckets.setdefault(quota, Bucket(self.period))
        now = asyncio.get_running_loop().time()
        taken = bucket.takes(now)
        self.arrivals.append(Arrival(now, kind, name, taken))
        if self.down[0] <= now < self.down[1] and kind in self.down_for:
            if self.away:
                raise Unreachable("no connection: refused", code="ConnectFailed")
            raise NoAnswer("service unavailable", code="ServiceUnavailable", http_status=503)
        if not taken:
            raise Throttled("Rate exceeded", code="Throttling", http_status=400)

    def write(self, key: tuple[str, str], document: str | None) -> None:
        self._replaced.append((asyncio.get_running_loop().time(), key, self.policies.get(key)))
        if document is None:
            self.policies.pop(key, None)
        else:
            self.policies[key] = document

    def shown(self, key: tuple[str, str]) -> str | None:
        """What a read shows now, which may be the past."""
        since = asyncio.get_running_loop().time() - self.stale
        return next((old for at, whose, old in self._replaced if whose == key and at > since), self.policies.get(key))

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
    look_up_faults: deque[SesError] = field(default_factory=deque)
    credentials: object = None
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
        self.server.write((identity, policy_name), document)
        await self._back()
        return f"request-{len(self.server.arrivals)}"

    async def delete(self, identity: str, policy_name: str, attempt: Attempt | None) -> str:
        await self._cross(DELETE, policy_name, attempt)
        self.server.write((identity, policy_name), None)
        await self._back()
        return f"request-{len(self.server.arrivals)}"

    async def policies(self, identity: str, names: Iterable[str], attempt: Attempt | None) -> dict[str, str]:
        await self._cross(READ, identity, attempt)
        if self.read_faults:
            await self._back()
            raise self.read_faults.popleft()
        found = {name: self.server.shown((identity, name)) for name in names}
        await self._back()
        return {name: document for name, document in found.items() if document is not None}

    async def policy_names(self, identity: str, attempt: Attempt | None) -> list[str]:
        await self._cross(LIST, identity, attempt)
        found = [name for whose, name in self.server.policies if whose == identity]
        await self._back()
        return found

    async def verified(self, identities: Iterable[str], attempt: Attempt | None) -> dict[str, str]:
        asked = list(identities)
        await self._cross(LOOK_UP, str(len(asked)), attempt)
        if self.look_up_faults:
            await self._back()
            raise self.look_up_faults.popleft()
        found = {name: "Pending" if name in self.server.unverified else "Success" for name in asked}
        await self._back()
        return found

    async def identities(self, token: str, attempt: Attempt | None) -> tuple[list[str], str]:
        await self._cross(PAGE, token, attempt)
        start = int(token or 0)
        found = list(dict.fromkeys(identity for identity, _ in self.server.policies))
        await self._back()
        end = start + self.server.page
        return found[start:end], str(end) if end < len(found) else ""

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
            if fault is not None and kind in WRITES:
                raise fault
        except SesError:
            await self._back()
            raise

    async def _back(self) -> None:
        await anyio.sleep(self.rtt / 2 + self._random.random() * self.noise)
        self.under_way -= 1


def server_error() -> NoAnswer:
    return NoAnswer("internal", code="InternalFailure", http_status=500)


def expired() -> AccessRefused:
    return AccessRefused("expired", code="ExpiredToken", http_status=403)


def refused() -> PolicyRefused:
    return PolicyRefused("the policy is refused", code="InvalidPolicy", http_status=400)


def unseen_principal() -> PolicyRefused:
    return PolicyRefused("Invalid principal in policy", code="InvalidPolicy", http_status=400)


def denied(operation: str) -> AccessRefused:
    """As the border to AWS gives it: with a hint of its own."""
    return AccessRefused(f"not allowed to {operation}", code="AccessDenied", http_status=403, hint=HINT)


def kinds(server: Server) -> Counter[str]:
    """How many requests of each kind arrived."""
    return Counter(arrival.kind for arrival in server.arrivals)


@dataclass
class SimulatedAws:
    """A connection to the simulated network, of one account; ``asked`` counts what STS would be asked."""

    server: Server
    network: dict[str, object] = field(default_factory=dict)
    connection: Connection = field(default_factory=lambda: Connection(regions=("us-east-1",)))
    notes: tuple[str, ...] = ()
    asked: int = 0

    async def __aenter__(self) -> SimulatedAws:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    def region(self) -> str:
        return self.connection.regions[0]

    async def caller(self, region: str, account: str = "") -> Caller:
        self.asked += 1
        await anyio.sleep(0.05)
        return Caller("111122223333", "arn:aws:iam::111122223333:user/service")

    async def endpoint(self, region: str) -> str:
        return ""

    async def ses(self, target: object) -> SimulatedSes:
        return SimulatedSes(self.server, **self.network)

    async def renew(self, target: object, used: object) -> None:
        """Nothing is newer."""
