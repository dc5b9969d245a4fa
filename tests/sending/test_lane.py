"""One change's way through a lane: its order, trying again, giving up; on a clock that the test owns."""

from __future__ import annotations

import itertools
from dataclasses import replace

import anyio
import pytest

from batchpol.journal import Before, Intent, OutcomeEntry
from batchpol.model import Action, Change, Status
from batchpol.model.errors import JournalUnwritable, PolicyRefused, Throttled
from batchpol.model.settings import Patience
from batchpol.sending.commit import GroupCommit
from batchpol.sending.gates import Gates
from tests.sending.conftest import COMPARE, OLD, change
from tests.sending.simulated import Server, denied, server_error, unseen_principal

pytestmark = pytest.mark.virtual_clock


async def test_the_intent_is_durable_before_the_request_and_the_outcome_after(bench) -> None:
    made = bench()
    seen_at_send: list[int] = []
    arrive = made.server.arrive

    def watched(kind: str, name: str) -> None:
        seen_at_send.append(sum(isinstance(entry, Intent) for entry in made.entries))
        arrive(kind, name)

    made.server.arrive = watched
    await made.run([change(0), change(1)])
    assert seen_at_send == [1, 2]
    assert [type(entry) for entry in made.entries] == [Intent, OutcomeEntry, Intent, OutcomeEntry]


async def test_what_was_refused_as_too_fast_goes_again_before_the_next(bench) -> None:
    made = bench(network={"faults": {"name-1": [Throttled("Rate exceeded", code="Throttling", http_status=400)]}})
    outcomes = await made.run([change(number) for number in range(4)])
    assert [arrival.name for arrival in made.server.arrivals] == ["name-0", "name-1", "name-1", "name-2", "name-3"]
    assert outcomes["name-1"].attempts == 2
    assert outcomes["name-1"].status is Status.APPLIED


async def test_no_answer_is_tried_again_and_a_bounded_number_of_times(bench) -> None:
    made = bench(
        network={"faults": {"name-1": [server_error()] * 99, "name-2": [server_error()]}},
        patience=Patience(max_attempts=4),
    )
    outcomes = await made.run([change(number) for number in range(6)])
    assert outcomes["name-1"].status is Status.UNKNOWN
    assert outcomes["name-1"].retryable
    assert outcomes["name-1"].error_code == "InternalFailure"
    assert 4 <= outcomes["name-1"].attempts <= 6
    assert outcomes["name-2"].attempts == 2
    assert [outcomes[f"name-{number}"].status for number in (0, 2, 3, 4, 5)] == [Status.APPLIED] * 5


async def test_a_lone_record_without_an_answer_ends_too(bench) -> None:
    made = bench(network={"faults": {"name-0": [server_error()] * 99}}, patience=Patience(max_attempts=3))
    outcomes = await made.run([change(0)])
    assert outcomes["name-0"].status is Status.UNKNOWN
    assert outcomes["name-0"].attempts == 3


async def test_the_last_records_without_an_answer_are_an_outage_and_not_their_fate(bench) -> None:
    """Nothing is left that could show whether SES takes others, and all of them come back with a 503."""
    begun = anyio.current_time()
    made = bench(server=Server(down=(begun + 5, float("inf"))), patience=Patience(max_attempts=3, max_outage=60))
    outcomes = await made.run([change(number) for number in range(13)])
    assert made.lane.stopped is not None and "took nothing for 6" in str(made.lane.stopped)
    assert anyio.current_time() - begun < 75
    unknown = [outcome for outcome in outcomes.values() if outcome.status is Status.UNKNOWN]
    assert all(outcome.retryable for outcome in unknown) and len(unknown) == Patience().in_flight


async def test_of_the_last_records_the_one_that_never_succeeds_ends_alone(bench) -> None:
    made = bench(network={"faults": {"name-9": [server_error()] * 99}}, patience=Patience(max_attempts=4))
    outcomes = await made.run([change(number) for number in range(12)])
    assert made.lane.stopped is None
    assert [name for name, outcome in outcomes.items() if outcome.status is Status.UNKNOWN] == ["name-9"]


async def test_a_refused_policy_fails_in_ses_words_and_the_rest_goes_on(bench) -> None:
    refusal = PolicyRefused("Policy document is bad", code="InvalidPolicy", http_status=400, request_id="r-1")
    made = bench(network={"faults": {"name-0": [refusal]}})
    outcomes = await made.run([change(0), change(1)])
    first = outcomes["name-0"]
    assert (first.status, first.error_code, first.message) == (Status.FAILED, "InvalidPolicy", "Policy document is bad")
    assert (first.request_id, first.attempts, first.retryable) == ("r-1", 1, False)
    assert outcomes["name-1"].status is Status.APPLIED


async def test_a_principal_that_appears_later_is_tried_again_after_15_60_and_180_seconds(bench) -> None:
    made = bench(network={"faults": {"name-0": [unseen_principal()], "name-1": [unseen_principal()] * 9}})
    outcomes = await made.run([change(number) for number in range(5)])
    names = [arrival.name for arrival in made.server.arrivals]
    assert names[:5] == [f"name-{number}" for number in range(5)]
    assert outcomes["name-0"].status is Status.APPLIED
    assert outcomes["name-1"].status is Status.FAILED
    times = [arrival.at for arrival in made.server.arrivals if arrival.name == "name-1"]
    assert [round(later - earlier) for earlier, later in itertools.pairwise(times)] == [15, 60, 180]


async def test_a_deferred_record_is_read_again_where_reads_and_writes_share_one_quota(bench) -> None:
    server = Server(shared=True)
    network = {"faults": {"name-1": [unseen_principal()]}}
    made = bench(server=server, gates=Gates.at(shared=True), network=network, conduct=COMPARE)
    with anyio.fail_after(60):
        outcomes = await made.run([change(number) for number in range(3)])
    assert {outcome.status for outcome in outcomes.values()} == {Status.APPLIED}
    assert server.refused == 0


async def test_denied_for_some_is_theirs(bench) -> None:
    """Conditions of IAM on single identities are common: the others go on, also behind one that is denied first."""
    faults = {"name-0": [denied("ses:PutIdentityPolicy")] * 9, "name-3": [denied("ses:PutIdentityPolicy")] * 9}
    made = bench(network={"faults": faults})
    outcomes = await made.run([change(number) for number in range(6)])
    assert made.lane.stopped is None
    for number in range(6):
        outcome = outcomes[f"name-{number}"]
        if number in (0, 3):
            assert (outcome.status, outcome.error_code, outcome.retryable) == (Status.FAILED, "AccessDenied", True)
            assert outcome.attempts >= 1
        else:
            assert outcome.status is Status.APPLIED


async def test_denied_for_all_is_the_runs(bench) -> None:
    made = bench(network={"faults": {f"name-{number}": [denied("ses:PutIdentityPolicy")] * 9 for number in range(30)}})
    await made.run([change(number) for number in range(30)])
    assert made.lane.stopped is not None
    assert len(made.server.arrivals) <= 4, "it burns through no records"


async def test_deferring_can_be_switched_off(bench) -> None:
    made = bench(network={"faults": {"name-0": [unseen_principal()]}}, patience=Patience(defer=False))
    outcomes = await made.run([change(0), change(1)])
    assert outcomes["name-0"].status is Status.FAILED


async def test_records_of_one_identity_keep_their_order_while_others_overtake(bench) -> None:
    made = bench(network={"rtt": 2.5})
    await made.run(
        [change(number, identity="a.example" if number < 6 else f"b{number}.example") for number in range(12)]
    )
    names = [arrival.name for arrival in made.server.arrivals]
    mine = [name for name in names if int(name.removeprefix("name-")) < 6]
    assert mine == [f"name-{number}" for number in range(6)]
    assert names != [f"name-{number}" for number in range(12)], "the lane did not wait for the slow answers"


async def test_a_journal_that_cannot_be_written_lets_nothing_leave(bench) -> None:
    entries = []

    async def write(batch: list[object]) -> None:
        if len(entries) >= 4:
            raise JournalUnwritable("disk full")
        entries.extend(batch)

    made = bench(commit=GroupCommit(write))
    with pytest.raises(ExceptionGroup) as caught:
        await made.run([change(number) for number in range(20)])
    assert caught.group_contains(JournalUnwritable)
    assert len(made.server.arrivals) == 2


async def test_a_stopped_lane_finishes_what_is_under_way_and_starts_nothing(bench) -> None:
    made = bench(network={"rtt": 3.0})

    async def stop() -> None:
        await anyio.sleep(5.5)
        made.lane.stop()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        outcomes = await made.run([change(number) for number in range(50)])
    assert len(made.server.arrivals) == len(outcomes) <= 4
    assert {outcome.status for outcome in outcomes.values()} == {Status.APPLIED}


async def test_what_a_write_replaces_is_durable_before_it(bench) -> None:
    server = Server()
    changes = [change(0), change(1)]
    server.policies = {(changes[0].identity, "name-0"): '{"old":true}'}
    made = bench(server=server, conduct=COMPARE)
    await made.run(changes)
    kinds = [(type(entry), entry.n) for entry in made.entries]
    assert kinds.index((Before, 0)) < kinds.index((Intent, 0)) < kinds.index((OutcomeEntry, 0))
    befores = {entry.n: entry.policy for entry in made.entries if isinstance(entry, Before)}
    assert befores == {0: '{"old":true}', 1: None}


async def test_a_record_tells_when_it_left_how_long_it_took_and_by_what_request(bench) -> None:
    made = bench()
    outcome = (await made.run([change(7)]))["name-7"]
    assert outcome.request_id == "request-1"
    assert outcome.duration_ms == pytest.approx(81, abs=2)
    assert outcome.started_at.endswith("+00:00")
    assert outcome.sha256 == change(7).sha256


def full(*names: str) -> Server:
    return Server(policies={("full.example", name): OLD for name in names})


def pruning(*puts: str, room: str = "old") -> list[Change]:
    """What makes room in a full identity, then the puts."""
    made = [replace(change(0, "full.example", Action.DELETE), policy_name=room, prune=True, makes_room=True)]
    return made + [replace(change(n, "full.example"), policy_name=name) for n, name in enumerate(puts, 1)]


@pytest.mark.parametrize(
    "fault", [denied("ses:PutIdentityPolicy"), PolicyRefused("bad", code="InvalidPolicy", http_status=400)], ids=str
)
async def test_what_made_room_is_put_back_whatever_its_successor_failed_of(bench, fault) -> None:
    others = [change(number) for number in range(10, 13)]
    server = full("old")
    made = bench(server=server, conduct=replace(COMPARE, prune=True), network={"faults": {"new": [fault] * 9}})
    outcomes = await made.run([*others, *pruning("new")])
    assert server.policies["full.example", "old"] == OLD
    assert outcomes["new"].status is Status.FAILED
    assert (outcomes["old"].status, outcomes["old"].error_code) == (Status.NOT_ATTEMPTED, "PruneWithheld")


async def test_what_made_room_says_so_where_the_lane_stops_before_its_successor(bench) -> None:
    made = bench(server=full("old"), conduct=replace(COMPARE, prune=True))

    async def stop() -> None:
        while ("full.example", "old") in made.server.policies:
            await anyio.sleep(0.01)
        made.lane.stop()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        outcomes = await made.run(pruning("new"))
    assert outcomes["old"].status is Status.APPLIED, "it is gone, and undo puts it back"


async def test_nothing_is_remembered_of_identities_where_nothing_is_pruned(bench) -> None:
    made = bench(conduct=COMPARE)
    await made.run([change(number) for number in range(50)])
    prunes = made.lane._outcomes.prunes
    assert not (prunes._open or prunes._bad or prunes._room)
