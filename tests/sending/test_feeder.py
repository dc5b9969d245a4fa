"""What is read before the writes of a lane: how often, how fast, what it decides, and what trouble with it does."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import anyio
import pytest

from batchpol.identity import UNVERIFIED
from batchpol.journal import Before
from batchpol.model import Action, Status
from batchpol.model.errors import AccessRefused, NoAnswer, PolicyRefused
from batchpol.model.settings import Conduct, Patience
from batchpol.policy.comparison import ABSENT, meaning_digest
from batchpol.sending.gates import Gates
from batchpol.sending.lately import Lately
from tests.sending.conftest import COMPARE, OLD, PLAN, change
from tests.sending.simulated import (
    DELETE,
    LIST,
    LOOK_UP,
    PUT,
    READ,
    Server,
    denied,
    kinds,
    server_error,
    unseen_principal,
)

pytestmark = pytest.mark.virtual_clock


# -- how many, how fast ----------------------------------------------------------------------------------------


async def test_sixty_records_on_sixty_identities_take_no_longer_for_all_that_is_looked_up(bench) -> None:
    made, begun = bench(conduct=COMPARE), anyio.current_time()
    outcomes = await made.run([change(number) for number in range(60)])
    assert anyio.current_time() - begun <= 63
    assert {outcome.status for outcome in outcomes.values()} == {Status.APPLIED}
    assert kinds(made.server) == {PUT: 60, READ: 60, LOOK_UP: 1}
    assert made.server.refused == 0


@pytest.mark.parametrize("there", [False, True])
async def test_two_hundred_records_on_ten_identities_are_planned_in_ten_reads(bench, there) -> None:
    changes = [change(number, identity=f"tenant-{number // 20}.example") for number in range(200)]
    server = Server()
    if there:
        server.policies = {(it.identity, it.policy_name): it.document for it in changes[:190]}
        server.policies |= {(it.identity, it.policy_name): OLD for it in changes[190:]}
    made, begun = bench(server=server, conduct=PLAN), anyio.current_time()
    outcomes = await made.run(changes)
    assert anyio.current_time() - begun <= 12
    # Names are listed only where a policy would come to be: whether there is room for it.
    assert kinds(server) == ({READ: 10, LOOK_UP: 1} if there else {READ: 10, LIST: 10, LOOK_UP: 1})
    assert Counter(outcome.effect for outcome in outcomes.values()) == (
        {"unchanged": 190, "update": 10} if there else {"create": 200}
    )


async def test_five_hundred_domains_cost_five_look_ups(bench) -> None:
    made = bench(conduct=COMPARE)
    outcomes = await made.run([change(number) for number in range(500)])
    assert kinds(made.server)[LOOK_UP] == 5
    assert len(outcomes) == 500


async def test_addresses_of_one_domain_are_looked_up_with_it(bench) -> None:
    made = bench(conduct=COMPARE)
    await made.run([change(number, identity=f"user-{number}@Tenant.Example") for number in range(198)])
    assert [arrival.name for arrival in made.server.arrivals if arrival.kind == LOOK_UP] == ["100", "100"]


async def test_what_was_read_is_seconds_old_when_it_is_replaced(bench) -> None:
    made = bench(conduct=COMPARE, network={"rtt": 0.3})
    await made.run([change(number) for number in range(80)])
    read = {arrival.name: arrival.at for arrival in made.server.arrivals if arrival.kind == READ}
    ages = [
        arrival.at - read[f"tenant-{arrival.name.removeprefix('name-')}.example"]
        for arrival in made.server.arrivals
        if arrival.kind == PUT
    ]
    assert max(ages) <= 6


async def test_an_identity_that_costs_no_write_lets_the_reads_go_on(bench) -> None:
    """A file that was applied already takes one read an identity, and no more time than that."""
    changes = [change(number) for number in range(100)]
    server = Server(policies={(it.identity, it.policy_name): it.document for it in changes})
    made, begun = bench(server=server, conduct=COMPARE), anyio.current_time()
    outcomes = await made.run(changes)
    assert {outcome.status for outcome in outcomes.values()} == {Status.UNCHANGED}
    assert kinds(server) == {READ: 100, LOOK_UP: 1}
    assert anyio.current_time() - begun <= 102


async def test_reading_first_takes_no_longer(bench) -> None:
    made = bench(conduct=Conduct())
    begun = anyio.current_time()
    await made.run([change(number) for number in range(60)])
    assert anyio.current_time() - begun <= 63
    assert made.server.refused == 0


async def test_twenty_names_of_an_identity_are_read_at_once(bench) -> None:
    made = bench(conduct=Conduct())
    await made.run([change(number, identity=f"tenant-{number // 20}.example") for number in range(40)])
    assert [arrival.kind for arrival in made.server.arrivals].count("read") == 2


# -- trouble with reads ----------------------------------------------------------------------------------------


async def test_one_identity_that_cannot_be_read_fails_alone_and_may_be_tried_again(bench) -> None:
    made = bench(conduct=COMPARE)
    read = made.ses.policies

    async def policies(identity, names, attempt):
        found = await read(identity, names, attempt)
        if identity == "tenant-3.example":
            raise server_error()
        return found

    made.ses.policies = policies
    outcomes = await made.run([change(number) for number in range(12)])
    assert outcomes["name-3"].status is Status.FAILED
    assert outcomes["name-3"].retryable
    assert outcomes["name-3"].attempts == 0, "it was never written"
    assert Counter(outcome.status for outcome in outcomes.values()) == {Status.APPLIED: 11, Status.FAILED: 1}


async def test_a_read_that_is_refused_for_good_fails_in_ses_words(bench) -> None:
    made = bench(conduct=COMPARE)
    made.ses.read_faults.append(PolicyRefused("no such identity", code="InvalidParameterValue", http_status=400))
    outcomes = await made.run([change(0), change(1)])
    assert (outcomes["name-0"].status, outcomes["name-0"].message) == (Status.FAILED, "no such identity")
    assert not outcomes["name-0"].retryable
    assert kinds(made.server)[READ] == 2
    assert outcomes["name-1"].status is Status.APPLIED


@pytest.mark.parametrize(
    ("conduct", "blind"),
    [
        (Conduct(), True),
        (Conduct(no_clobber=True), False),
        (Conduct(compare=False, only_existing=True), False),
        (PLAN, False),
    ],
)
async def test_reads_that_are_not_allowed_name_the_way_out_that_there_is(bench, conduct, blind) -> None:
    made = bench(conduct=conduct)
    made.ses.read_faults.extend([denied("read")] * 3)
    outcomes = await made.run([change(number) for number in range(50)])
    assert outcomes == {}
    assert made.lane.stopped is not None
    assert "ses:GetIdentityPolicies" in made.lane.stopped.hint
    assert ("`compare=False`" in made.lane.stopped.hint) is blind
    assert kinds(made.server)[PUT] == 0


async def test_a_lane_that_is_stopped_does_not_wait_for_a_slow_read(bench) -> None:
    made, begun = bench(conduct=COMPARE, network={"rtt": 20.0}), anyio.current_time()

    async def stop() -> None:
        await anyio.sleep(25)
        made.lane.stop()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        outcomes = await made.run([change(number) for number in range(5)])
    assert anyio.current_time() - begun < 26
    assert outcomes == {}
    assert made.lane.stopped is None


async def test_reads_and_writes_and_look_ups_of_one_quota_are_joined(bench) -> None:
    made, begun = bench(server=Server(shared=True), conduct=COMPARE), anyio.current_time()
    outcomes = await made.run([change(number) for number in range(60)])
    assert made.server.refused <= 5
    assert anyio.current_time() - begun <= 120 / 0.9
    assert len(outcomes) == 60


async def test_reads_that_are_not_allowed_stop_the_lane_and_name_the_way_out(bench) -> None:
    made = bench(conduct=Conduct())
    made.ses.read_faults.extend([AccessRefused("not allowed", code="AccessDenied", http_status=403)] * 3)
    await made.run([change(number) for number in range(5)])
    assert made.lane.stopped is not None
    assert "`compare=False`" in made.lane.stopped.hint
    assert [arrival.kind for arrival in made.server.arrivals] == ["look up", "read", "read", "read"]


# -- ownership -------------------------------------------------------------------------------------------------


async def test_what_is_not_verified_is_sent_and_marked(bench) -> None:
    made = bench(server=Server(unverified={"tenant-1.example"}), conduct=COMPARE)
    outcomes = await made.run([change(number) for number in range(3)])
    assert {outcome.status for outcome in outcomes.values()} == {Status.APPLIED}
    marked = {name: [finding.code for finding in outcome.findings] for name, outcome in outcomes.items()}
    assert marked == {"name-0": [], "name-1": [UNVERIFIED.code], "name-2": []}


async def test_what_must_be_verified_and_is_not_is_never_sent(bench) -> None:
    server = Server(unverified={"bad.example", "someone@bad.example", "someone@Good.Example"})
    made = bench(server=server, conduct=replace(COMPARE, require_verified=True))
    changes = [
        change(0, "bad.example"),
        change(1, "bad.example", Action.DELETE, ""),
        change(2, "someone@bad.example"),
        change(3, "someone@Good.Example"),
        change(4, "good.example"),
    ]
    outcomes = await made.run(changes)
    assert [outcomes[f"name-{number}"].status for number in range(5)] == ["rejected"] * 3 + ["applied"] * 2
    assert {outcomes[f"name-{number}"].error_code for number in range(3)} == {UNVERIFIED.code}
    assert [arrival.name for arrival in server.arrivals if arrival.kind in (PUT, DELETE)] == ["name-3", "name-4"]
    assert kinds(server)[READ] == 2


async def test_a_look_up_that_is_not_allowed_is_said_once_and_the_run_goes_on(bench) -> None:
    made = bench(conduct=COMPARE)
    made.ses.look_up_faults.extend(denied("look up") for _ in range(9))
    outcomes = await made.run([change(number) for number in range(250)])
    assert Counter(outcome.status for outcome in outcomes.values()) == {Status.APPLIED: 250}
    assert len(made.notes) == kinds(made.server)[LOOK_UP] == 1
    assert not any(outcome.findings for outcome in outcomes.values())


async def test_a_look_up_that_is_not_allowed_stops_what_must_be_verified(bench) -> None:
    made = bench(conduct=replace(COMPARE, require_verified=True))
    made.ses.look_up_faults.append(denied("look up"))
    assert await made.run([change(number) for number in range(3)]) == {}
    assert made.lane.stopped is not None
    assert "ses:GetIdentityVerificationAttributes" in made.lane.stopped.hint
    assert "`require_verified`" in made.lane.stopped.hint


async def test_a_look_up_that_is_not_answered_is_tried_again(bench) -> None:
    made = bench(server=Server(unverified={"tenant-1.example"}), conduct=COMPARE)
    made.ses.look_up_faults.extend(server_error() for _ in range(3))
    outcomes = await made.run([change(number) for number in range(3)])
    assert [len(outcomes[f"name-{number}"].findings) for number in range(3)] == [0, 1, 0]
    assert made.notes == []


# -- what a write replaces -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("if_match", "status", "last_image"),
    [("", Status.APPLIED, '{"theirs":1}'), (meaning_digest(OLD), Status.FAILED, OLD)],
)
async def test_a_record_that_waited_for_its_principal_is_compared_again(bench, if_match, status, last_image) -> None:
    waiting = replace(change(0), if_match=if_match)
    server = Server(policies={(waiting.identity, "name-0"): OLD})
    made = bench(server=server, conduct=COMPARE, network={"faults": {"name-0": [unseen_principal()]}})

    async def somebody() -> None:
        await anyio.sleep(5)
        server.policies[waiting.identity, "name-0"] = '{"theirs":1}'

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(somebody)
        outcomes = await made.run([waiting, *(change(number) for number in range(1, 12))])
    assert outcomes["name-0"].status is status
    images = [entry.policy for entry in made.entries if isinstance(entry, Before) and entry.n == 0]
    assert images[-1] == last_image
    assert (server.policies[waiting.identity, "name-0"] == waiting.document) is (status is Status.APPLIED)


async def test_its_own_write_is_never_taken_for_what_was_there(bench) -> None:
    """An attempt whose answer was lost may have taken effect; the image from before it stays the one."""
    faults = {"name-0": [NoAnswer("lost", code="ConnectionClosed"), unseen_principal()]}
    server = Server(policies={("tenant-0.example", "name-0"): OLD})
    made = bench(server=server, conduct=COMPARE, network={"faults": faults})
    await made.run([change(number) for number in range(4)])
    assert [entry.policy for entry in made.entries if isinstance(entry, Before) and entry.n == 0] == [OLD]


@pytest.mark.parametrize("conduct", [COMPARE, Conduct(compare=False)], ids=["compare", "blind"])
@pytest.mark.parametrize(
    ("if_match", "status", "code"),
    [
        (meaning_digest(OLD), "applied", ""),
        (f"{ABSENT}, {meaning_digest(OLD)}", "applied", ""),
        (meaning_digest('{"other":1}'), "failed", "Changed"),
        (ABSENT, "failed", "Changed"),
        (f"{ABSENT},", "failed", "BadIfMatch"),
        ("*", "failed", "BadIfMatch"),
        (meaning_digest(OLD).upper(), "failed", "BadIfMatch"),
        (meaning_digest(OLD)[:16], "failed", "BadIfMatch"),
    ],
)
async def test_what_is_there_must_be_what_was_expected(bench, conduct, if_match, status, code) -> None:
    server = Server(policies={("tenant-0.example", "name-0"): OLD})
    made = bench(server=server, conduct=replace(conduct, staleness=0.0))
    outcomes = await made.run([replace(change(0), if_match=if_match), change(1)])
    assert (outcomes["name-0"].status, outcomes["name-0"].error_code) == (status, code)
    assert (server.policies["tenant-0.example", "name-0"] == OLD) is (status == "failed")
    assert outcomes["name-1"].status is Status.APPLIED
    assert kinds(server)[READ] == (2 if conduct.compare else 1), "blind, only what expects something is read"


async def test_what_is_as_asked_already_is_unchanged_whatever_was_expected(bench) -> None:
    done = replace(change(0), if_match=ABSENT)
    server = Server(policies={(done.identity, "name-0"): done.document})
    outcomes = await bench(server=server).run([done])
    assert outcomes["name-0"].status is Status.UNCHANGED


async def test_what_is_there_already_costs_no_write(bench) -> None:
    server = Server()
    changes = [change(number) for number in range(3)]
    server.policies = {(changes[1].identity, "name-1"): ' {"Statement": {"Sid": "1"}} '}
    made = bench(server=server, conduct=Conduct())
    outcomes = await made.run(changes)
    assert [outcomes[f"name-{number}"].status for number in range(3)] == ["applied", "unchanged", "applied"]
    assert [arrival.name for arrival in server.arrivals if arrival.kind == "put"] == ["name-0", "name-2"]


async def test_a_delete_that_finds_nothing_is_unchanged(bench) -> None:
    server = Server()
    changes = [change(0, action=Action.DELETE, document=""), change(1, action=Action.DELETE, document="")]
    server.policies = {(changes[0].identity, "name-0"): '{"old":true}'}
    made = bench(server=server, conduct=Conduct())
    outcomes = await made.run(changes)
    assert [outcomes["name-0"].status, outcomes["name-1"].status] == ["applied", "unchanged"]
    assert server.policies == {}


@pytest.mark.parametrize(
    ("conduct", "expected", "code"),
    [
        (Conduct(no_clobber=True), ["failed", "applied"], "Exists"),
        (Conduct(only_existing=True), ["applied", "failed"], "Absent"),
    ],
)
async def test_only_creating_and_only_replacing(bench, conduct, expected, code) -> None:
    server = Server()
    changes = [change(0), change(1)]
    server.policies = {(changes[0].identity, "name-0"): '{"old":true}'}
    made = bench(server=server, conduct=conduct)
    outcomes = await made.run(changes)
    assert [outcomes["name-0"].status, outcomes["name-1"].status] == expected
    assert {outcome.error_code for outcome in outcomes.values() if outcome.status == "failed"} == {code}


# -- planning --------------------------------------------------------------------------------------------------


async def test_the_policy_that_would_be_one_too_many_is_found_record_by_record(bench) -> None:
    identity = "tenant.example"
    server = Server(policies={(identity, f"name-{number}"): OLD for number in range(1000, 1019)})
    made = bench(server=server, conduct=PLAN)
    gone = replace(change(3, identity, Action.DELETE, ""), policy_name="name-1000")
    outcomes = await made.run([*(change(number, identity) for number in range(3)), gone, change(4, identity)])
    codes = [outcomes[name].error_code for name in ("name-0", "name-1", "name-2", "name-1000", "name-4")]
    assert codes == ["", "TooManyPolicies", "TooManyPolicies", "", ""]
    assert outcomes["name-1"].status is Status.FAILED
    assert outcomes["name-1"].effect == "create"
    assert kinds(server)[PUT] == kinds(server)[DELETE] == 0


async def test_room_is_counted_over_all_records_of_an_identity(bench) -> None:
    """More than twenty records of one identity are read in several calls, and share its room."""
    identity = "tenant.example"
    server = Server(policies={(identity, f"name-{number}"): OLD for number in range(20)})
    deletes = [change(number, identity, Action.DELETE, "") for number in range(20)]
    puts = [change(number, identity) for number in range(20, 41)]
    outcomes = await bench(server=server, conduct=PLAN).run([*deletes, *puts])
    assert [name for name, outcome in outcomes.items() if outcome.error_code] == ["name-40"]


async def test_a_plan_says_what_an_expectation_would_come_to(bench) -> None:
    server = Server(policies={("tenant-0.example", "name-0"): OLD, ("tenant-1.example", "name-1"): OLD})
    changes = [
        replace(change(0), if_match=meaning_digest(OLD)),
        replace(change(1), if_match=ABSENT),
        replace(change(2), if_match=ABSENT),
    ]
    outcomes = await bench(server=server, conduct=PLAN).run(changes)
    assert [outcomes[f"name-{number}"].effect for number in range(3)] == ["update", "update", "create"]
    assert [outcomes[f"name-{number}"].error_code for number in range(3)] == ["", "Changed", ""]


async def test_a_quota_of_its_own_speeds_reads_up_as_well(bench) -> None:
    made, begun = bench(server=Server(period=0.1), gates=Gates.at(0.1), conduct=COMPARE), anyio.current_time()
    await made.run([change(number) for number in range(100)])
    assert anyio.current_time() - begun <= 12
    assert min(b - a for a, b in itertools.pairwise(sorted(a.at for a in made.server.arrivals if a.kind == READ))) > 0.1


async def test_what_a_record_expects_outweighs_a_stale_read(bench) -> None:
    """Taken back at once, while reads still show what was before: nothing is called unchanged by such a read alone."""
    server = Server(stale=20.0)
    server.write(("tenant-0.example", "name-0"), OLD)
    made = bench(server=server, conduct=COMPARE)
    taken_back = replace(change(0, action=Action.DELETE), if_match=meaning_digest(OLD))
    outcomes = await made.run([taken_back])
    assert outcomes["name-0"].status is Status.APPLIED
    assert not server.policies


async def test_our_own_write_outweighs_a_stale_read(bench) -> None:
    """An edit taken back within seconds: what is read looks as asked, and is not what is there."""
    server = Server(stale=20.0, policies={("tenant-0.example", "name-0"): OLD})
    first = bench(server=server, conduct=COMPARE)
    assert (await first.run([change(0)]))["name-0"].effect == "update"
    second = bench(server=server, conduct=COMPARE, lately=first.lane.lately)
    outcomes = await second.run([change(0, document=OLD)])
    assert outcomes["name-0"].status is Status.APPLIED
    assert server.policies["tenant-0.example", "name-0"] == OLD
    [image] = [entry.policy for entry in second.entries if isinstance(entry, Before)]
    assert image == change(0).document, "what is replaced is what we wrote, not what was before it"


async def test_what_stood_before_our_own_delete_tells_nothing_of_what_came_after_it(bench) -> None:
    """Deleted, then put without an answer: reads may still show what was there before both, be it the very same."""
    server, lately = Server(stale=60.0, policies={("tenant-0.example", "name-0"): change(0).document}), Lately()
    server.write(("tenant-0.example", "name-0"), None)
    now = asyncio.get_running_loop().wall_time()
    lately.add(change(0, action=Action.DELETE), now, sure=True)
    for attempt in (1, 2):
        lately.add(change(0), now + attempt, sure=False)
    made = bench(server=server, conduct=COMPARE, lately=lately)
    outcomes = await made.run([change(0)])
    assert (outcomes["name-0"].status, outcomes["name-0"].effect) == (Status.APPLIED, "create")
    assert server.policies["tenant-0.example", "name-0"] == change(0).document


async def test_one_that_nobody_answered_and_that_waited_is_sent_once_more(bench) -> None:
    """What is there may be what stood there before: only a read that is late enough could tell it from ours."""
    server = Server(policies={("tenant-0.example", "name-0"): change(0).document})
    server.write(("tenant-0.example", "name-0"), None)
    made = bench(server=server, conduct=COMPARE, network={"faults": {"name-0": [server_error(), unseen_principal()]}})

    async def falls_behind() -> None:
        while not any(arrival.kind == PUT for arrival in server.arrivals):
            await anyio.sleep(0.01)
        server.stale = 60.0

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(falls_behind)
        outcomes = await made.run([change(0)])
    assert (outcomes["name-0"].status, bool(outcomes["name-0"].request_id)) == (Status.APPLIED, True)
    assert outcomes["name-0"].effect == "create"
    assert [entry.policy for entry in made.entries if isinstance(entry, Before)] == [None], "none of what may be ours"
    assert server.policies["tenant-0.example", "name-0"] == change(0).document


async def test_what_was_read_half_a_minute_before_its_write_is_read_again(bench) -> None:
    """Somebody floods the quota of writes: what is there changes while a change waits for its turn."""
    server = Server(policies={(f"tenant-{n}.example", f"name-{n}"): OLD for n in range(3)})
    server.down, server.down_for = (1000.0, 1060.0), (PUT,)
    made = bench(server=server, conduct=COMPARE, patience=Patience(max_attempts=1000))
    expecting = [replace(change(n), if_match=meaning_digest(OLD)) for n in range(3)]

    async def somebody() -> None:
        await anyio.sleep(10)
        server.write(("tenant-2.example", "name-2"), '{"theirs":1}')

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(somebody)
        outcomes = await made.run(expecting)
    assert server.policies["tenant-2.example", "name-2"] == '{"theirs":1}'
    assert outcomes["name-2"].status in (Status.FAILED, Status.UNKNOWN)


async def overwritten(bench, when: float) -> bool:
    """Whether a lane whose machine sleeps after so many seconds overwrites what somebody wrote meanwhile, with a
    request that left after it awoke."""
    key, slept = ("tenant-0.example", "name-0"), 0.0
    server = Server(policies={key: OLD})
    made = bench(server=server, conduct=COMPARE)
    made.lane.wall = lambda: datetime.fromtimestamp(asyncio.get_running_loop().wall_time() + slept, UTC)

    async def sleeps() -> datetime:
        nonlocal slept
        await anyio.sleep(when)
        server.write(key, '{"theirs":1}')
        slept = 900.0
        return made.lane.wall()

    awoke = asyncio.create_task(sleeps())
    outcomes = await made.run([replace(change(0), if_match=meaning_digest(OLD))])
    left = outcomes["name-0"].started_at
    return server.policies[key] != '{"theirs":1}' and datetime.fromisoformat(left) >= await awoke


async def test_a_machine_that_slept_believes_nothing_that_it_read_before(bench) -> None:
    """Wherever it was: the answer to the read under way, near the gate, in the last stretch before it left."""
    assert [when for when in range(150) if await overwritten(bench, when / 100)] == []


@pytest.mark.parametrize("after", [0.5, 2.97, 3.03, 7.5])
async def test_a_night_asleep_costs_reads_and_no_record(bench, after: float) -> None:
    """The wall clock goes on and the loop's does not: what was read of an identity's six policies is read again."""
    slept = 0.0
    server, changes = Server(), [change(number, f"tenant-{number // 6}.example") for number in range(12)]
    made = bench(server=server, conduct=COMPARE)
    made.lane.wall = lambda: datetime.fromtimestamp(asyncio.get_running_loop().wall_time() + slept, UTC)

    async def night() -> set[str]:
        nonlocal slept
        await anyio.sleep(after)
        slept = 8 * 3600.0
        return {it.name for it in server.arrivals if it.kind == READ}

    asleep = asyncio.create_task(night())
    outcomes = await made.run(changes)
    read_before = await asleep
    assert {it.status for it in outcomes.values()} == {Status.APPLIED}
    written_after = {it.identity for it in outcomes.values() if it.started_at >= "2026-01-01T08"}
    reads = Counter(it.name for it in server.arrivals if it.kind == READ)
    assert written_after & read_before
    assert {name for name in written_after & read_before if reads[name] < 2} == set()
    assert server.refused == 0
    assert min(server.gaps()) >= 1
    assert sum(it.attempts for it in outcomes.values()) <= len(changes) + 1, "one was due as the machine fell asleep"


async def test_what_the_caller_may_not_read_of_one_identity_is_that_ones_failure(bench) -> None:
    made = bench(conduct=COMPARE)
    made.ses.read_faults.extend([denied("read")])
    outcomes = await made.run([change(number) for number in range(5)])
    assert made.lane.stopped is None
    assert {outcome.status for outcome in outcomes.values()} == {Status.APPLIED}, "read again behind the others"
