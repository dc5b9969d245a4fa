"""What was written is read back: how often, how long, and what is said of what is not there."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from batchpol.journal import Intent
from batchpol.model import Action, Status
from batchpol.model.settings import Conduct
from batchpol.sending.lane import Lane
from tests.sending.conftest import COMPARE, OLD, change
from tests.sending.simulated import PUT, READ, Server, denied, kinds, refused, server_error

pytestmark = pytest.mark.virtual_clock


async def test_writes_of_one_identity_are_read_back_together(bench) -> None:
    made, begun = bench(conduct=Conduct(compare=False, verify=True)), anyio.current_time()
    outcomes = await made.run([change(number, identity=f"tenant-{number // 20}.example") for number in range(60)])
    assert {outcome.status for outcome in outcomes.values()} == {Status.APPLIED}
    assert kinds(made.server) == {PUT: 60, READ: 3}
    assert anyio.current_time() - begun <= 64


async def test_reading_back_does_not_hold_up_what_is_read_before(bench) -> None:
    """Two reads a record at one a second: twice the time, and no more, however stale the reads are."""
    server = Server(stale=60.0)
    made, begun = bench(server=server, conduct=replace(COMPARE, verify=True, staleness=120.0)), anyio.current_time()
    outcomes = await made.run([change(number) for number in range(60)])
    assert {outcome.status for outcome in outcomes.values()} == {Status.APPLIED}
    assert all(outcome.request_id for outcome in outcomes.values())
    writes = [arrival.at for arrival in server.arrivals if arrival.kind == PUT]
    assert writes[-1] - begun <= 125
    assert anyio.current_time() - begun <= 220


async def test_what_is_not_there_in_the_end_is_unknown_with_both_digests(bench) -> None:
    made = bench(server=Server(stale=500.0), conduct=Conduct(compare=False, verify=True, staleness=90.0))
    begun = anyio.current_time()
    deleted = change(1, action=Action.DELETE, document="")
    made.server.policies[deleted.identity, "name-1"] = OLD
    outcomes = await made.run([change(0), deleted])
    for name, asked, there in (
        ("name-0", change(0).sha256, "there is nothing"),
        ("name-1", "asked for nothing", "there is SHA-256"),
    ):
        assert (outcomes[name].status, outcomes[name].error_code) == (Status.UNKNOWN, "NotAsAsked")
        assert asked in outcomes[name].message
        assert there in outcomes[name].message
        assert outcomes[name].retryable
    assert 90 <= anyio.current_time() - begun <= 95
    assert kinds(made.server)[READ] <= 24, "looked for less and less often"


async def test_nothing_counts_before_it_was_seen(bench) -> None:
    made = bench(server=Server(stale=30.0), conduct=Conduct(compare=False, verify=True))
    await made.run([change(0)])
    seen = [arrival.at for arrival in made.server.arrivals if arrival.kind == READ][-1]
    written = next(arrival.at for arrival in made.server.arrivals if arrival.kind == PUT)
    assert seen - written >= 30
    assert len([entry for entry in made.entries if isinstance(entry, Intent)]) == 1, "it was written once"


async def test_reading_back_that_is_not_allowed_stops_the_lane_at_once(bench) -> None:
    made = bench(conduct=Conduct(compare=False, verify=True))
    made.ses.read_faults.extend(denied("read") for _ in range(99))
    outcomes = await made.run([change(number) for number in range(50)])
    assert made.lane.stopped is not None
    assert "`verify`" in made.lane.stopped.hint
    assert "ses:GetIdentityPolicies" in made.lane.stopped.hint
    assert {outcome.status for outcome in outcomes.values()} == {Status.UNKNOWN}
    assert len(outcomes) == kinds(made.server)[PUT] <= 6


async def test_reading_back_outlives_an_outage_within_its_bound(bench) -> None:
    begun = anyio.current_time()
    made = bench(
        server=Server(down=(begun + 2, begun + 40)), conduct=Conduct(compare=False, verify=True, staleness=120.0)
    )
    outcomes = await made.run([change(0)])
    assert outcomes["name-0"].status is Status.APPLIED


async def test_somebody_elses_write_in_between_is_not_called_applied(bench) -> None:
    made = bench(conduct=Conduct(compare=False, verify=True, staleness=20.0))

    async def somebody() -> None:
        while ("tenant-0.example", "name-0") not in made.server.policies:
            await anyio.sleep(0.1)
        made.server.policies["tenant-0.example", "name-0"] = OLD

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(somebody)
        outcomes = await made.run([change(0)])
    assert outcomes["name-0"].status is Status.UNKNOWN


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_write_that_nobody_answered_is_not_told_by_a_read_that_may_be_older(bench, stopped: bool) -> None:
    """The same document stood there until somebody deleted it just now, and reads still show it."""
    server, begun = Server(stale=60.0), anyio.current_time()
    server.write(("tenant-0.example", "name-0"), change(0).document)
    server.write(("tenant-0.example", "name-0"), None)
    faults = {"name-0": [server_error(), refused()]}
    made = bench(server=server, conduct=Conduct(compare=False, verify=True), network={"faults": faults})
    async with anyio.create_task_group() as tasks:
        if stopped:
            tasks.start_soon(_stop, made.lane, 10)
        outcomes = await made.run([change(0)])
    assert (outcomes["name-0"].status, outcomes["name-0"].attempts) == (Status.UNKNOWN, 2)
    assert (10 if stopped else 120) <= anyio.current_time() - begun <= (12 if stopped else 125)
    assert kinds(server)[READ] == (0 if stopped else 1), "an earlier one could not have told"
    assert any("is read in 120 s" in note for note in made.notes)


async def test_a_write_that_nobody_answered_is_found_by_the_read_that_can_tell(bench) -> None:
    made = bench(conduct=COMPARE, network={"faults": {"name-0": [server_error(), refused()]}})

    async def takes_effect() -> None:
        while not any(arrival.kind == PUT for arrival in made.server.arrivals):
            await anyio.sleep(0.01)
        made.server.write(("tenant-0.example", "name-0"), change(0).document)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(takes_effect)
        outcomes = await made.run([change(0)])
    assert (outcomes["name-0"].status, outcomes["name-0"].request_id) == (Status.APPLIED, "")


async def _stop(lane: Lane, after: float) -> None:
    await anyio.sleep(after)
    lane.stop()
