"""One change's way through a lane: order, trying again, giving up, comparing; on a clock that the test owns."""

from __future__ import annotations

import anyio
import pytest

from batchpol.errors import AccessRefused, JournalUnwritable, NoAnswer, PolicyRefused, Throttled
from batchpol.journal import Before, Intent, OutcomeEntry
from batchpol.model import Action, Status
from batchpol.sending.commit import GroupCommit
from batchpol.sending.conduct import Conduct, Patience
from batchpol.sending.gate import Gates
from tests.sending.conftest import change
from tests.sending.simulated import Server, SimulatedSes

pytestmark = pytest.mark.virtual_clock

COMPARE = Conduct(compare=True)


def server_error() -> NoAnswer:
    return NoAnswer("internal", code="InternalFailure", http_status=500)


def expired() -> AccessRefused:
    return AccessRefused("expired", code="ExpiredToken", http_status=403)


def unseen_principal() -> PolicyRefused:
    return PolicyRefused("Invalid principal in policy", code="InvalidPolicy", http_status=400)


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


async def test_an_outage_uses_up_no_records_and_stops_the_lane_in_the_end(bench) -> None:
    silent = {f"name-{number}": [server_error()] * 999 for number in range(3, 100)}
    made = bench(network={"faults": silent}, patience=Patience(max_outage=60))
    outcomes = await made.run([change(number) for number in range(100)])
    assert isinstance(made.lane.stopped, NoAnswer)
    assert "took nothing for 6" in str(made.lane.stopped)
    assert sum(outcome.status is Status.APPLIED for outcome in outcomes.values()) == 3
    tried = [outcome for outcome in outcomes.values() if outcome.status is Status.UNKNOWN]
    assert 0 < len(tried) <= Patience().in_flight, "the other records were not touched"
    assert len(outcomes) == 3 + len(tried)


async def test_a_server_that_comes_back_after_a_minute_loses_nothing(bench) -> None:
    begun = anyio.current_time()
    made = bench(server=Server(down=(begun + 5, begun + 65)))
    outcomes = await made.run([change(number) for number in range(20)])
    assert {outcome.status for outcome in outcomes.values()} == {Status.APPLIED}
    assert len(outcomes) == 20


async def test_a_refused_policy_fails_in_ses_words_and_the_rest_goes_on(bench) -> None:
    refusal = PolicyRefused("Policy document is bad", code="InvalidPolicy", http_status=400, request_id="r-1")
    made = bench(network={"faults": {"name-0": [refusal]}})
    outcomes = await made.run([change(0), change(1)])
    first = outcomes["name-0"]
    assert (first.status, first.error_code, first.message) == (Status.FAILED, "InvalidPolicy", "Policy document is bad")
    assert (first.request_id, first.attempts, first.retryable) == ("r-1", 1, False)
    assert outcomes["name-1"].status is Status.APPLIED


async def test_a_principal_that_appears_later_is_tried_again_at_the_end_at_most_twice(bench) -> None:
    made = bench(network={"faults": {"name-0": [unseen_principal()], "name-1": [unseen_principal()] * 9}})
    outcomes = await made.run([change(number) for number in range(5)])
    names = [arrival.name for arrival in made.server.arrivals]
    assert names[:5] == [f"name-{number}" for number in range(5)]
    assert outcomes["name-0"].status is Status.APPLIED
    assert outcomes["name-1"].status is Status.FAILED
    assert names.count("name-1") == 3


async def test_a_deferred_record_is_read_again_where_reads_and_writes_share_one_quota(bench) -> None:
    server = Server(shared=True)
    network = {"faults": {"name-1": [unseen_principal()]}}
    made = bench(server=server, gates=Gates.at(shared=True), network=network, conduct=COMPARE)
    with anyio.fail_after(60):
        outcomes = await made.run([change(number) for number in range(3)])
    assert {outcome.status for outcome in outcomes.values()} == {Status.APPLIED}
    assert server.refused == 0


async def test_deferring_can_be_switched_off(bench) -> None:
    made = bench(network={"faults": {"name-0": [unseen_principal()]}}, patience=Patience(max_deferrals=0))
    outcomes = await made.run([change(0), change(1)])
    assert outcomes["name-0"].status is Status.FAILED


async def test_refused_credentials_stop_the_lane_and_burn_nothing(bench) -> None:
    made = bench(network={"faults": {"name-2": [expired()]}})
    outcomes = await made.run([change(number) for number in range(50)])
    assert made.lane.stopped is not None
    assert made.lane.stopped.code == "ExpiredToken"
    assert len(made.server.arrivals) == 3
    assert outcomes["name-2"].status is Status.NOT_ATTEMPTED
    assert set(outcomes) == {"name-0", "name-1", "name-2"}


async def test_renewed_credentials_go_on_with_the_same_record(bench) -> None:
    made = bench(network={"faults": {"name-1": [expired()]}})
    fresh = SimulatedSes(made.server)

    async def renew(old: object) -> SimulatedSes:
        assert old is made.ses
        return fresh

    made.lane.contact.renew = renew
    outcomes = await made.run([change(number) for number in range(3)])
    assert [outcomes[f"name-{number}"].status for number in range(3)] == [Status.APPLIED] * 3
    assert made.lane.contact.ses is fresh


async def test_attempts_under_way_when_credentials_expire_all_go_on_with_the_renewed_ones(bench) -> None:
    """Several come back refused, one after the other; the second must not take the fresh credentials for expired."""
    made = bench(network={"rtt": 3.5, "faults": {f"name-{number}": [expired()] for number in range(4)}})
    fresh = SimulatedSes(made.server)
    asked: list[object] = []

    async def renew(old: object) -> SimulatedSes | None:
        asked.append(old)
        return fresh if old is made.ses else None

    made.lane.contact.renew = renew
    outcomes = await made.run([change(number) for number in range(6)])
    assert [outcomes[f"name-{number}"].status for number in range(6)] == [Status.APPLIED] * 6
    assert made.ses.most_under_way > 1
    assert asked == [made.ses]
    assert made.lane.contact.ses is fresh


async def test_a_read_whose_credentials_expired_goes_on_with_renewed_ones(bench) -> None:
    made = bench(conduct=COMPARE)
    fresh = SimulatedSes(made.server)
    made.ses.read_faults.append(expired())

    async def renew(old: object) -> SimulatedSes:
        return fresh

    made.lane.contact.renew = renew
    outcomes = await made.run([change(number) for number in range(3)])
    assert [outcomes[f"name-{number}"].status for number in range(3)] == [Status.APPLIED] * 3
    assert made.lane.stopped is None


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


async def test_what_is_there_already_costs_no_write(bench) -> None:
    server = Server()
    changes = [change(number) for number in range(3)]
    server.policies = {(changes[1].identity, "name-1"): ' {"Statement": {"Sid": "1"}} '}
    made = bench(server=server, conduct=COMPARE)
    outcomes = await made.run(changes)
    assert [outcomes[f"name-{number}"].status for number in range(3)] == ["applied", "unchanged", "applied"]
    assert [arrival.name for arrival in server.arrivals if arrival.kind == "put"] == ["name-0", "name-2"]


async def test_reading_first_takes_no_longer(bench) -> None:
    made = bench(conduct=COMPARE)
    begun = anyio.current_time()
    await made.run([change(number) for number in range(60)])
    assert anyio.current_time() - begun <= 63
    assert made.server.refused == 0


async def test_twenty_names_of_an_identity_are_read_at_once(bench) -> None:
    made = bench(conduct=COMPARE)
    await made.run([change(number, identity=f"tenant-{number // 20}.example") for number in range(40)])
    assert [arrival.kind for arrival in made.server.arrivals].count("read") == 2


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


@pytest.mark.parametrize(
    ("conduct", "expected", "code"),
    [
        (Conduct(compare=True, no_clobber=True), ["failed", "applied"], "Exists"),
        (Conduct(compare=True, only_existing=True), ["applied", "failed"], "Absent"),
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


async def test_reads_that_are_not_allowed_stop_the_lane_and_name_the_way_out(bench) -> None:
    made = bench(conduct=COMPARE)
    made.ses.read_faults.append(AccessRefused("not allowed", code="AccessDenied", http_status=403))
    await made.run([change(number) for number in range(5)])
    assert made.lane.stopped is not None
    assert "--blind" in made.lane.stopped.hint
    assert [arrival.kind for arrival in made.server.arrivals] == ["read"]


async def test_a_delete_that_finds_nothing_is_unchanged(bench) -> None:
    server = Server()
    changes = [change(0, action=Action.DELETE, document=""), change(1, action=Action.DELETE, document="")]
    server.policies = {(changes[0].identity, "name-0"): '{"old":true}'}
    made = bench(server=server, conduct=COMPARE)
    outcomes = await made.run(changes)
    assert [outcomes["name-0"].status, outcomes["name-1"].status] == ["applied", "unchanged"]
    assert server.policies == {}


async def test_a_record_tells_when_it_left_how_long_it_took_and_by_what_request(bench) -> None:
    made = bench()
    outcome = (await made.run([change(7)]))["name-7"]
    assert outcome.request_id == "request-1"
    assert outcome.duration_ms == pytest.approx(81, abs=2)
    assert outcome.started_at.endswith("+00:00")
    assert outcome.sha256 == change(7).sha256
