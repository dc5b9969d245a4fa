"""One quota and many who want it, on a virtual clock: ``python -m tests.bench.quota [--seeds 200] [CASE …]``.

Each case is run once a seed: callers, each behind gates of its own and a simulated network, ask one simulated SES that
lets in one request a second. Printed is the median and the worst over all seeds; the exit code is 1 when the worst
misses what is asked of the case. Only the senders are simulated that are not ours.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import anyio

from batchpol.model import Target
from batchpol.model.errors import NoAnswer, SesError, Throttled
from batchpol.sending.contact import Contact
from batchpol.sending.gate import Gate
from batchpol.sending.gates import Gates
from batchpol.sending.meetings import Meetings
from batchpol.ses import Attempt
from batchpol.testing import VirtualClockLoop
from tests.sending.simulated import PUT, Server, SimulatedSes

LATENCY = 0.08
"""Round trip in seconds."""

FRESH = 10_000
"""The first seed. What the pace goes by was chosen with others, so that these show what it comes to, not how it was
chosen."""

KEPT = 10
"""Seconds without a wait that show that somebody is back at the full pace."""

TARGET = Target("111122223333", "us-east-1")


@dataclass
class Caller:
    """One of us: so many records, each read before it is written where ``reads``, through gates of its own."""

    server: Server
    records: int
    seed: int
    jitter: float = 0.0
    reads: bool = False
    lost: float = 0.0
    """The share of answers that get lost."""
    joins: bool = True
    gates: Gates = field(default_factory=lambda: Gates.at(meetings=Meetings(1.0)))
    begun: float = 0.0
    over: float = 0.0
    refused: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._ses = SimulatedSes(self.server, rtt=LATENCY, jitter=self.jitter, seed=self.seed)
        self._contact = Contact(TARGET, self._ses, self.gates)
        if not self.joins:
            for gate in self.gates.all:
                gate.told = lambda _: None

    async def run(self, after: float = 0.0) -> None:
        await anyio.sleep(after)
        self.begun = now()
        read = anyio.Semaphore(0)

        async def read_all() -> None:
            for number in range(self.records):
                await self._until_taken(self.gates.reads, lambda it, n=number: self._ses.policies(f"{n}", (), it))
                read.release()

        async with anyio.create_task_group() as tasks:
            if self.reads:
                tasks.start_soon(read_all)
            for number in range(self.records):
                if self.reads:
                    await read.acquire()
                await self._until_taken(
                    self.gates.writes, lambda it, n=number: self._ses.put("", f"{self.seed}-{n}", "", it)
                )
        self.over = now()

    async def _until_taken(self, gate: Gate, call: Callable[[Attempt], Awaitable[object]]) -> None:
        while True:
            passage, error = await gate.approach(), None
            try:
                await call(Attempt(passage.admit, passage.departed))
                if self._random.random() < self.lost:
                    error = NoAnswer("lost", code="ConnectionClosed")
            except SesError as refusal:
                error = refusal
            self.refused += isinstance(error, Throttled)
            self._contact.answered(gate, passage, error)
            if error is None:
                return


async def other(server: Server, every: float, until: float = float("inf"), after: float = 0.0) -> None:
    """Somebody else who writes at a pace of their own, and does not care what becomes of it."""
    await anyio.sleep(after)
    while now() < until:
        with suppress(Throttled):
            server.arrive(PUT, "other")
        await anyio.sleep(every)


def _wrong_by(seconds: float) -> float:
    return now() + seconds


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(frozen=True)
class Case:
    """What is run with one seed, giving figures; and the worst that each may be (at least, or at most)."""

    title: str
    run: Callable[[int], Awaitable[dict[str, float]]]
    at_most: dict[str, float] = field(default_factory=dict)
    at_least: dict[str, float] = field(default_factory=dict)
    share: float = 1.0
    """Of the seeds that are run: long cases need fewer."""


async def alone(seed: int, records: int) -> dict[str, float]:
    """Beside one who lets nobody in."""
    chance, took = random.Random(seed), []
    await anyio.sleep(chance.random() * 30)
    for gates in (Gates.at(meetings=Meetings(1.0)), Gates.at()):
        server = Server()
        await Caller(server, records, seed, gates=gates).run()
        times = [it.at for it in server.arrivals]
        took.append(times[-1] - times[0])
    return {"of a run without": took[0] / took[1], "utilisation": (records - 1) / took[0]}


async def two_hosts(seed: int, apart: float = 0.001, reads: bool = False, jitter: float = 0.0) -> dict[str, float]:
    """Their clocks differ by ``apart`` seconds."""
    server, chance = Server(), random.Random(seed)
    one, two = (Caller(server, 30, 2 * seed + number, jitter, reads) for number in (1, 2))
    await anyio.sleep(chance.random() * 30)
    wrong = chance.choice((apart, -apart))
    for gate in two.gates.all:
        gate.pace.meetings = gate.pace._meetings = Meetings(1.0, partial(_wrong_by, wrong))
    begun = now()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        tasks.start_soon(two.run, chance.random() * 3)
    took = sorted((one.over - one.begun, two.over - two.begun))
    return {
        "seconds": max(one.over, two.over) - begun,
        "later": took[1] / took[0],
        "refused": server.refused / len(server.arrivals),
    }


async def late(seed: int) -> dict[str, float]:
    """The second one comes when the first has had the quota to itself for minutes."""
    server, chance = Server(), random.Random(seed)
    one, two = Caller(server, 600, 2 * seed + 1), Caller(server, 30, 2 * seed + 2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await two.run(120 + chance.random() * 60)
        tasks.cancel_scope.cancel()
    first = next(it.at for it in server.arrivals if it.taken and it.name.startswith(f"{two.seed}-"))
    return {"waits": first - two.begun, "seconds": two.over - two.begun, "refused": two.refused}


async def every_two_seconds(seed: int) -> dict[str, float]:
    server, chance = Server(), random.Random(seed)
    one, begun = Caller(server, 100, seed), now()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other, server, 2.0, float("inf"), chance.random() * 4)
        await one.run()
        tasks.cancel_scope.cancel()
    theirs = [it.taken for it in server.arrivals if it.name == "other"]
    return {
        "of the other half": 99 / (one.over - begun) / 0.5,
        "of theirs": sum(theirs) / len(theirs),
        "refused": one.refused / (100 + one.refused),
    }


async def flood(seed: int) -> dict[str, float]:
    server, chance = Server(), random.Random(seed)
    begun = now()
    start = 10 + chance.random()
    one = Caller(server, 60, seed, reads=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other, server, 0.1, begun + start + 60, start)
        await one.run()
    end = begun + start + 60
    times = [it.at for it in server.arrivals if it.kind == PUT and it.name != "other" and it.taken]
    waits = [one for one, two in itertools.pairwise(times) if two - one > 1.05]
    full = next(it for it in times if it > end and not any(it <= wait < it + KEPT for wait in waits))
    assert times[-1] > full + KEPT, "the run was over before"
    return {"full pace after": full - end, "refused": one.refused}


async def separate(seed: int, records: int = 600, jitter: float = 0.1, lost: float = 0.0, twice: bool = False) -> dict:
    async def once(joins: bool) -> tuple[float, int]:
        server, chance = Server(), random.Random(seed)
        one, begun = Caller(server, records, seed, jitter, reads=True, lost=lost, joins=joins), now()
        async with anyio.create_task_group() as tasks:
            if twice:
                at = 20 + chance.random() * 400
                tasks.start_soon(other, server, 1.1, begun + at + 2, at)
            await one.run()
        return one.over - begun, server.refused

    with_joins, refused = await once(True)
    without, _ = await once(False)
    return {"of a run without": with_joins / without, "refused": refused}


async def shared(seed: int) -> dict[str, float]:
    server = Server(shared=True)
    one, begun = Caller(server, 60, seed, reads=True), now()
    await one.run()
    return {"refused": server.refused, "utilisation": 119 / (one.over - begun)}


AS_WITHOUT = {"of a run without": 1.03}
"""Wall time, beside that of a run that never joins its gates."""

IN_TURNS = {"seconds": 70, "later": 1.3, "refused": 0.15}

CASES = {
    "alone": Case("60 records, alone", partial(alone, records=60)),
    "alone-600": Case("600 records, alone", partial(alone, records=600), {"of a run without": 1.0015}),
    "hosts": Case("two of us, unseen by each other, 30 records each", two_hosts, IN_TURNS),
    "hosts-read": Case("the same; each is read before it is written", partial(two_hosts, reads=True), IN_TURNS),
    "hosts-jitter": Case("the same; 2 ms of jitter", partial(two_hosts, reads=True, jitter=0.002)),
    **{
        f"hosts-{apart}": Case(f"two of us, clocks {apart} ms apart", partial(two_hosts, apart=apart / 1000))
        for apart in (5, 10, 20, 50)
    },
    "late": Case("the second one comes after minutes", late),
    "half": Case("somebody who sends once every 2 s", every_two_seconds, at_least={"of the other half": 0.9}),
    "flood": Case("somebody who sends 10 a second for a minute", flood, {"full pace after": 10}),
    "jitter": Case("600 records, read and written, separate quotas; 100 ms of jitter", separate, AS_WITHOUT),
    "lost": Case("the same; 3 ms of jitter, 3 % lost answers", partial(separate, jitter=0.003, lost=0.03), AS_WITHOUT),
    "twice": Case("the same; somebody else writes twice", partial(separate, jitter=0.0, twice=True), AS_WITHOUT),
    "long": Case(
        "10,000 records, separate quotas; 3 ms of jitter, 0.05 % lost answers",
        partial(separate, records=10_000, jitter=0.003, lost=0.0005),
        AS_WITHOUT,
        share=0.05,
    ),
    "shared": Case("60 records, read and written, one quota", shared, {"refused": 5}, {"utilisation": 0.9}),
}


def once(name: str, seed: int) -> dict[str, float]:
    """One case with one seed, on a clock of its own."""
    random.seed(seed)
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(CASES[name].run(seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=FRESH, help="seed: %(default)s")
    given = parser.parse_args()
    missed = False
    print("| case | seeds | figure | median | worst | asked | s |\n|---|---|---|---|---|---|---|")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name in given.cases or CASES:
            case, begun = CASES[name], time.perf_counter()
            seeds = max(2, round(given.seeds * case.share))
            found = list(pool.map(once, [name] * seeds, range(given.first, given.first + seeds)))
            took = time.perf_counter() - begun
            for figure in found[0]:
                values = [one[figure] for one in found]
                asked, worst, met = "", max(values), True
                if (bound := case.at_most.get(figure)) is not None:
                    asked, met = f"≤ {bound:g}", worst <= bound
                if (bound := case.at_least.get(figure)) is not None:
                    worst = min(values)
                    asked, met = f"≥ {bound:g}", worst >= bound
                missed |= not met
                print(
                    f"| {case.title} | {seeds} | {figure} | {statistics.median(values):.3f} | {worst:.3f} "
                    f"| {asked}{'' if met else ' **missed**'} | {took:.1f} |",
                    flush=True,
                )
    sys.exit(missed)


if __name__ == "__main__":
    main()
