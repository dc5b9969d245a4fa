"""The gate, on a clock that the test owns; asserted is what arrives at the server, never what the gate admits."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time

import anyio
import pytest

from batchpol.sending.gate import Gate
from batchpol.sending.meetings import LEEWAY, Meetings
from batchpol.sending.pace import SPARE, WORTH
from tests.bench.quota import Caller
from tests.sending.conftest import change
from tests.sending.simulated import PUT, Server

pytestmark = pytest.mark.virtual_clock


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_thousand_gated_records_take_a_second_each_and_next_to_no_time(bench) -> None:
    made, begun, started = bench(), now(), time.perf_counter()
    outcomes = await made.run([change(number) for number in range(1000)])
    assert len(outcomes) == 1000
    assert made.server.refused == 0
    assert min(made.server.gaps()) >= 1.0
    assert now() - begun < 1005
    assert time.perf_counter() - started < 5  # a guard against a livelock; the bench prints the figure


@pytest.mark.parametrize(
    ("rtt", "jitter", "utilisation", "refused"),
    [
        (0.08, 0, 0.985, 0),
        (0.08, 0.01, 0.97, 1),
        (0.08, 0.1, 0.87, 4),
        (0.3, 0, 0.98, 0),
        (1.5, 0, 0.95, 1),
        (1.5, 0.01, 0.9, 4),
    ],
)
async def test_sixty_records_waste_next_to_nothing(bench, rtt, jitter, utilisation, refused) -> None:
    walls, refusals = [], []
    for seed in range(9):
        made = bench(network={"rtt": rtt, "jitter": jitter, "seed": seed})
        started = now()
        await made.run([change(number) for number in range(60)])
        walls.append(now() - started - rtt)  # the warm-up's round trip is not the gate's
        refusals.append(made.server.refused)
        assert min(made.server.gaps()) >= 1.0
    assert 59 / statistics.median(walls) >= utilisation
    assert max(refusals) <= refused


async def test_a_few_round_trips_that_vary_are_not_trusted_much() -> None:
    """The first ten requests of a run, with 10 ms of jitter: trusted as later ones are, twice as many are refused."""
    refused = 0
    for seed in range(100):
        server = Server()
        await Caller(server, 10, seed, jitter=0.01).run()
        refused += server.refused
    assert 0 < refused <= 15


async def test_who_leaves_too_late_for_a_meeting_has_waited_for_it_all_the_same() -> None:
    """A busy processor makes all requests late: each that waited for a meeting would miss it, and the next one wait."""

    async def seconds(meetings: Meetings | None) -> float:
        gate, begun = Gate(meetings=meetings), now()
        for _ in range(30):
            passage = await gate.approach()
            await passage.admit()
            await anyio.sleep(3 * LEEWAY)
            passage.departed()
            await anyio.sleep(0.08)
            passage.ended()
        return now() - begun

    alone = await seconds(None)
    for offset in range(6):
        assert 0 < await seconds(Meetings(1.0, offset=offset / 5)) - alone < 0.2 + SPARE + 30 * WORTH


async def test_round_trips_of_over_a_second_keep_a_bounded_few_under_way(bench) -> None:
    made = bench(network={"rtt": 3.4})
    await made.run([change(number) for number in range(30)])
    assert made.ses.most_under_way == 4
    assert made.server.refused == 0
    assert statistics.median(made.server.gaps()) < 1.01


async def test_a_slower_route_is_followed_and_so_is_a_faster_one(bench) -> None:
    made, begun = bench(), now()

    async def reroute() -> None:
        await anyio.sleep(40)
        made.ses.rtt = 0.6
        await anyio.sleep(120)
        made.ses.rtt = 0.08

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reroute)
        await made.run([change(number) for number in range(220)])
    assert made.server.refused <= 1
    slow = [
        gap
        for gap, arrival in zip(made.server.gaps(), made.server.arrivals, strict=False)
        if 90 < arrival.at - begun < 150
    ]
    assert statistics.median(slow) < 1.02, "the smallest round trip is a moving one"


async def test_a_route_that_becomes_slower_than_the_period_does_not_stop_the_lane(bench) -> None:
    made = bench()

    async def reroute() -> None:
        await anyio.sleep(20)
        made.ses.rtt = 2.5

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reroute)
        outcomes = await made.run([change(number) for number in range(120)])
    assert len(outcomes) == 120
    assert statistics.median(made.server.gaps()[-40:]) < 1.02


async def test_two_runs_on_one_quota_both_survive_and_the_pace_recovers(bench) -> None:
    server = Server()
    one, two = bench(server=server, network={"seed": 1}), bench(server=server, network={"seed": 2})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run, [change(number) for number in range(120)])
        tasks.start_soon(two.run, [change(1000 + number) for number in range(120)])
    assert {outcome.status for outcome in one.outcomes + two.outcomes} == {"applied"}
    assert len(one.outcomes + two.outcomes) == 240
    assert sorted(len(made.notes) for made in (one, two))[-1] == 1, "told once"
    assert server.refused < 0.2 * len(server.arrivals)
    assert statistics.median(server.gaps()[-30:]) < 1.05, "narrowed again after the other run was gone"


async def test_reads_and_writes_of_one_quota_are_joined_by_what_the_refusals_show(bench) -> None:
    from batchpol.model.settings import Conduct

    made, begun = bench(server=Server(shared=True), conduct=Conduct()), now()
    await made.run([change(number) for number in range(60)])
    assert made.server.refused <= 5
    assert now() - begun <= 119 / 0.9
    assert made.lane.contact.gates.joined


async def test_joined_from_the_start_nothing_is_refused(bench) -> None:
    from batchpol.model.settings import Conduct
    from batchpol.sending.gates import Gates

    made = bench(server=Server(shared=True), gates=Gates.at(shared=True), conduct=Conduct())
    await made.run([change(number) for number in range(30)])
    assert made.server.refused == 0


async def test_a_new_lane_goes_by_what_others_saw_on_the_same_route(bench) -> None:
    from batchpol.sending.gates import Gates

    known = Gates.at()
    await bench(gates=known).run([change(number) for number in range(10)])

    async def refused(like: Gates | None) -> int:
        made = bench(gates=Gates.at(like=like))
        made.ses.noise = 0.3  # the first request of a lane among hundreds that start: late by anything

        async def settle_down() -> None:
            while not made.server.arrivals:
                await anyio.sleep(0.001)
            made.ses.noise = 0.0

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(settle_down)
            await made.run([change(number) for number in range(5)])
        return made.server.refused

    assert await refused(None) == 1
    assert await refused(known) == 0


async def test_nothing_leaves_before_the_time_a_resumed_run_must_honour(bench) -> None:
    from batchpol.sending.gates import Gates

    begun, gates = now(), Gates.at()
    gates.hold(begun + 5.0)
    made = bench(gates=gates)
    await made.run([change(0)])
    assert made.server.arrivals[0].at >= begun + 5.0 + made.ses.rtt / 2


async def test_a_cancelled_approach_gives_its_turn_back() -> None:
    gate = Gate()
    first = await gate.approach()
    with anyio.move_on_after(0.5) as scope:
        await gate.approach()
    assert scope.cancelled_caught
    first.ended()
    with anyio.fail_after(2):
        second = await gate.approach()
        await second.admit()
        second.departed()
        second.ended()


async def test_every_attempt_passes_the_limiter_even_if_the_pacing_were_wrong() -> None:
    gate, times = Gate(), []
    for _ in range(3):
        passage = await gate.approach()
        await passage.admit()
        passage.departed()
        times.append(now())
        passage.ended()
        gate.pace.due = 0.0
    assert all(later - earlier >= 0.999 for earlier, later in itertools.pairwise(times))


async def test_the_connection_is_warm_before_the_first_attempt(bench) -> None:
    made, begun = bench(), now()
    await made.run([change(0)])
    assert made.ses.warmed == 1
    assert made.server.arrivals[0].kind == PUT
    assert made.server.arrivals[0].at >= begun + made.ses.rtt
