"""Runs that are killed and taken back, reads that lag behind, one quota for all."""

from __future__ import annotations

import json
import signal
import time

import pytest

from batchpol.batch.batch import Batch
from batchpol.batch.options import Options
from batchpol.model import Record, Status
from batchpol.sending.conduct import Conduct
from batchpol.ses import Connection
from batchpol.testing import Sandbox, SandboxOptions, running_sandbox
from tests.batch.place import FASTER, LIST, LOOK_UP, PUT, READ, Place
from tests.batch.runs import run
from tests.e2e.command import finish, policy, record, start

OLD = {"Sid": "Was"}


def wait_for(sandbox: Sandbox, operation: str, count: int) -> None:
    deadline = time.monotonic() + 30
    while sum(it.operation == operation for it in list(sandbox.arrivals)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("fault", ["stall_before", "stall_after"])
def test_a_run_that_was_killed_after_it_sent_is_taken_back_whatever_took_effect(place: Place, fault: str) -> None:
    """Of what was under way nobody knows whether it took effect; the way back is the same."""
    records = [record(f"t{number}.example") for number in range(8)]
    for number in (1, 3):
        place.put(f"t{number}.example", "tenant", policy(f"t{number}.example", **OLD))
    before = place.there
    place.save("a.jsonl", records)
    place.sandbox.change(faults_at={f"{fault}@{PUT}": range(3, 99)})
    line = ("apply", "a.jsonl", "--yes", *FASTER)
    process = start(*line, cwd=place.folder, env=place.sandbox.environment())
    wait_for(place.sandbox, PUT, 6)
    process.send_signal(signal.SIGKILL)
    assert finish(process).code == -signal.SIGKILL
    assert place.there != before
    place.sandbox.change(faults_at={})
    place.run("undo", "a.journal.jsonl", "-o", "undo.jsonl")
    place.run("validate", "undo.jsonl")
    place.run("apply", "undo.jsonl", "--report", "undone.jsonl")
    assert place.there == before
    assert set(place.statuses("undone.jsonl")) <= {"applied", "unchanged"}


def test_a_run_that_was_killed_and_resumed_with_an_edited_file_is_taken_back(place: Place) -> None:
    place.put("t2.example", "tenant", policy("t2.example", **OLD))
    before = place.there
    records = [record(f"t{number}.example") for number in range(5)]
    place.save("a.jsonl", records)
    place.sandbox.change(faults_at={f"stall_after@{PUT}": range(2, 99)})
    process = start("apply", "a.jsonl", "--yes", *FASTER, cwd=place.folder, env=place.sandbox.environment())
    wait_for(place.sandbox, PUT, 4)
    process.kill()
    finish(process)
    place.sandbox.change(faults_at={f"server_error@{PUT}": range(1, 999)})
    place.save(
        "a.jsonl", [record(f"t{number}.example", policy=policy(f"t{number}.example", Sid="New")) for number in range(5)]
    )
    place.run("apply", "a.jsonl", "--max-attempts", "2", code=None)
    place.sandbox.change(faults_at={})
    place.run("undo", "a.journal.jsonl", "-o", "undo.jsonl")
    place.run("apply", "undo.jsonl")
    assert place.there == before


@pytest.mark.parametrize("seed", range(2))
def test_a_run_among_faults_is_taken_back(place: Place, seed: int) -> None:
    """Lost answers, refusals and breaks, on the way there and on the way back."""
    for number in range(0, 20, 3):
        place.put(f"t{number}.example", "tenant", policy(f"t{number}.example", **OLD))
    before = place.there
    place.save("a.jsonl", [record(f"t{number}.example") for number in range(20)])
    faults = {"server_error": 0.1, "reset_before": 0.1, "reset_after": 0.1, "error_after": 0.1, "throttle": 0.1}
    place.sandbox.change(faults=faults)
    for _ in range(seed):
        place.run("plan", "a.jsonl", code=None)  # draws, so that each seed has faults of its own
    place.run("apply", "a.jsonl", "--max-attempts", "2", code=None)
    place.run("undo", "a.journal.jsonl", "-o", "undo.jsonl")
    place.run("apply", "undo.jsonl", "--max-attempts", "50")
    assert place.there == before


def test_reads_that_lag_behind_are_waited_for(place: Place) -> None:
    place.sandbox.change(stale_seconds=0.4)
    place.save("a.jsonl", [record("a.example", f"name-{number}") for number in range(5)])
    place.run("apply", "a.jsonl", "--verify", "--report", "report.jsonl")
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
    assert place.calls == {LOOK_UP: 1, READ: 1}
    assert place.statuses("report.jsonl") == {"not_attempted": 30}
    place.run("apply", "a.jsonl", "--blind", "--report", "report.jsonl")
    assert place.statuses("report.jsonl") == {"applied": 30}


def batch(sandbox: Sandbox, count: int, conduct: Conduct, period: float) -> Batch:
    """One run, with bounds that the command does not offer."""
    connection = Connection(endpoint_url=sandbox.url, access_key="AKIATEST", secret_key="-")
    options = Options(connection=connection, regions=("us-east-1",), conduct=conduct, period=period)
    names = [f"t{number}.example" for number in range(count)]
    return Batch([Record(name, "tenant", json.dumps(policy(name)), line=1) for name in names], options)


async def test_what_is_never_shown_is_unknown_with_both_digests(ses_sandbox: Sandbox) -> None:
    ses_sandbox.change(stale_seconds=60.0)
    result = await run(batch(ses_sandbox, 1, Conduct(compare=True, verify=True, stale=0.3), 0.002))
    assert result.exit_code == 1
    (cause,) = result.summary.causes
    assert (cause.status, cause.error_code) == (Status.UNKNOWN, "NotAsAsked")
    assert "asked for SHA-256" in cause.examples[0].message
    assert "there is nothing" in cause.examples[0].message


async def test_one_quota_for_all_operations_is_found_out() -> None:
    """Reads, lookups and writes take turns after a few refusals; nothing is lost."""
    with running_sandbox(SandboxOptions(rate=25, shared_quota=True, latency_ms=4)) as sandbox:
        result = await run(batch(sandbox, 25, Conduct(compare=True, ownership=True), 0.04))
        arrivals = [it for it in sandbox.arrivals if it.operation in (PUT, READ, LIST, LOOK_UP)]
    assert result.summary.counts == {Status.APPLIED: 25}
    assert sum(not it.accepted for it in arrivals) <= 5
