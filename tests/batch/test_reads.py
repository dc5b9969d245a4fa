"""Reads in a whole run: they lag behind, are not allowed, share one quota with the writes."""

from __future__ import annotations

import json

from batchpol.batch.batch import Batch
from batchpol.batch.options import Options
from batchpol.model import Record, Status
from batchpol.model.settings import Conduct, Connection, Patience
from batchpol.testing import Sandbox, SandboxOptions, running_sandbox
from tests.e2e.command import policy, record
from tests.place import LIST, LOOK_UP, PUT, READ, Place
from tests.runs import run


def test_reads_that_lag_behind_are_waited_for(place: Place) -> None:
    place.sandbox.change(stale_seconds=0.4)
    place.save("a.jsonl", [record("a.example", f"name-{number}") for number in range(5)])
    place.run("apply", "a.jsonl", "--verify", "--staleness", "60", "--report", "report.jsonl")
    assert place.statuses("report.jsonl") == {"applied": 5}
    assert place.calls[PUT] == 5
    written = max(it.at for it in place.arrivals(PUT))
    assert max(it.at for it in place.arrivals(READ)) - written >= 0.4


def test_reading_back_that_is_not_allowed_stops_and_says_so(place: Place) -> None:
    place.sandbox.change(faults={f"access_denied@{READ}": 1.0})
    place.save("a.jsonl", [record(f"t{number}.example") for number in range(60)])
    ended = place.run("apply", "a.jsonl", "--blind", "--verify", "--report", "report.jsonl", code=3)
    assert "give the caller ses:GetIdentityPolicies, or run without --verify" in ended.err
    assert place.calls[PUT] < 60
    found = place.statuses("report.jsonl")
    assert set(found) == {"unknown", "not_attempted"}
    # What was sent is compared when the run goes on, and not sent again.
    place.sandbox.change(faults={})
    place.forget_arrivals()
    place.run("apply", "a.jsonl", "--report", "report.jsonl")
    assert place.statuses("report.jsonl") == {"applied": 60 - found["unknown"], "unchanged": found["unknown"]}
    assert place.calls[PUT] == 60 - found["unknown"]


def test_reads_that_are_not_allowed_stop_before_anything_is_sent(place: Place) -> None:
    place.sandbox.change(faults={f"access_denied@{READ}": 1.0})
    place.save("a.jsonl", [record(f"t{number}.example") for number in range(30)])
    ended = place.run("apply", "a.jsonl", "--report", "report.jsonl", code=3)
    assert "not authorized to perform: ses:GetIdentityPolicies" in ended.err
    assert "give the caller ses:GetIdentityPolicies, or run with --blind" in ended.err
    assert place.calls == {LOOK_UP: 1, READ: 3}
    assert place.statuses("report.jsonl") == {"not_attempted": 30}
    place.run("apply", "a.jsonl", "--blind", "--report", "report.jsonl")
    assert place.statuses("report.jsonl") == {"applied": 30}


def batch(sandbox: Sandbox, count: int, conduct: Conduct, period: float) -> Batch:
    """One run, with bounds that the command does not offer."""
    connection = Connection(regions=("us-east-1",), endpoint_url=sandbox.url, access_key="AKIATEST", secret_key="-")
    options = Options(connection=connection, conduct=conduct, patience=Patience(period=period))
    names = [f"t{number}.example" for number in range(count)]
    return Batch([Record(name, "tenant", json.dumps(policy(name)), line=1) for name in names], options)


async def test_what_is_never_shown_is_unknown_with_both_digests(ses_sandbox: Sandbox) -> None:
    ses_sandbox.change(stale_seconds=60.0)
    result = await run(batch(ses_sandbox, 1, Conduct(verify=True, staleness=0.3), 0.002))
    assert result.exit_code == 1
    (cause,) = result.summary.causes
    assert (cause.status, cause.error_code) == (Status.UNKNOWN, "NotAsAsked")
    assert "asked for SHA-256" in cause.examples[0].message
    assert "there is nothing" in cause.examples[0].message


async def test_one_quota_for_all_operations_is_found_out() -> None:
    """Reads, lookups and writes take turns after a few refusals; nothing is lost."""
    with running_sandbox(SandboxOptions(rate=25, shared_quota=True, latency_ms=4)) as sandbox:
        result = await run(batch(sandbox, 25, Conduct(staleness=0), 0.04))
        arrivals = [it for it in sandbox.arrivals if it.operation in (PUT, READ, LIST, LOOK_UP)]
    assert result.summary.counts == {Status.APPLIED: 25}
    assert sum(not it.accepted for it in arrivals) <= 5
