"""Stopping a run in this process: what is under way is finished, within a bound, and nothing else leaves."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batchpol.batch.observer import Observer, Preview, Result
from batchpol.journal import FINISHED, Journal
from batchpol.model import Status
from batchpol.testing import Sandbox
from tests.runs import BLIND, COMPARE, apply, check_truth, opened, report, row, run, statuses, write_input, writes

ROWS = [row(number) for number in range(30)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_input(tmp_path / "in.jsonl", ROWS)


async def stopped(
    sandbox: Sandbox, source: Path, *, after: int, abandon: bool = False, **choices: object
) -> tuple[Result, float]:
    """A run that is stopped once so many writes have arrived; its result, and how long it took to end (seconds)."""
    with opened(sandbox, source, **choices) as batch:
        running = asyncio.create_task(run(batch))
        while len(writes(sandbox)) < after:
            await asyncio.sleep(0.005)
        began = time.perf_counter()
        batch.stop("interrupted", 130)
        if abandon:
            batch.abandon()
        return await running, time.perf_counter() - began


@pytest.mark.parametrize("conduct", [BLIND, COMPARE], ids=["blind", "compare"])
async def test_what_is_under_way_is_finished_and_nothing_else_leaves(
    sandbox: Sandbox, source: Path, conduct: object
) -> None:
    sandbox.change(latency_ms=150)
    result, _ = await stopped(sandbox, source, after=5, conduct=conduct)
    sent = len(writes(sandbox))
    assert (result.exit_code, result.reason, result.summary.can_go_on) == (130, "interrupted", True)
    assert sent < 14
    assert sorted(set(statuses(source.parent))) == ["applied", "not_attempted"]
    assert statuses(source.parent).count("applied") == sent, "every request that had left was answered"
    assert report(source.parent)[-1]["message"] == "not sent: the run ended before its turn (interrupted)"
    check_truth(sandbox, source.parent, ROWS)
    sandbox.change(latency_ms=0)
    assert (await apply(sandbox, source, conduct=conduct)).exit_code == 0
    assert len(writes(sandbox)) == 30, "none was written twice"


async def test_a_server_that_is_silent_holds_the_end_up_for_no_longer_than_the_bound(
    sandbox: Sandbox, source: Path
) -> None:
    sandbox.change(faults_at={"stall_before": {4}, "stall_after": {5}})
    result, seconds = await stopped(sandbox, source, after=5, drain=0.4, timeout=60)
    assert result.exit_code == 130
    assert 0.3 < seconds < 2
    found = report(source.parent)
    assert [line["status"] for line in found[:5]] == ["applied"] * 3 + ["unknown"] * 2
    assert {line["error_code"] for line in found[3:5]} == {"NoAnswerRecorded"}
    check_truth(sandbox, source.parent, ROWS)
    assert (await apply(sandbox, source)).exit_code == 0
    check_truth(sandbox, source.parent, ROWS)


async def test_the_second_signal_ends_at_once(sandbox: Sandbox, source: Path) -> None:
    sandbox.change(faults_at={"stall_before": range(4, 100)})
    result, seconds = await stopped(sandbox, source, after=4, abandon=True, drain=60, timeout=60)
    assert result.exit_code == 130
    assert seconds < 1.5
    assert statuses(source.parent)[:4] == ["applied"] * 3 + ["unknown"]
    check_truth(sandbox, source.parent, ROWS)


async def test_a_time_limit_stops_like_a_signal(sandbox: Sandbox, source: Path) -> None:
    result = await apply(sandbox, source, max_duration=0.3)
    assert (result.exit_code, result.summary.can_go_on) == (3, True)
    assert result.reason == "`max_duration` of 0.3 s is over"
    assert set(statuses(source.parent)) == {"applied", "not_attempted"}
    check_truth(sandbox, source.parent, ROWS)
    assert (await apply(sandbox, source)).exit_code == 0


class Asking(Observer):
    """Has somebody who takes their time to say yes."""

    asks = True

    async def planned(self, preview: Preview, journal: Journal) -> bool:
        await asyncio.sleep(0.5)
        return True


@pytest.mark.parametrize(
    ("operation", "observer", "choices"),
    [
        ("GetCallerIdentity", None, {}),
        ("ListIdentityPolicies", None, {"prune": True}),
        ("GetIdentityVerificationAttributes", Asking(), {}),
    ],
    ids=["who we are", "what to prune", "what is not verified"],
)
async def test_a_time_limit_counts_what_is_asked_before_the_first_write(
    sandbox: Sandbox, source: Path, operation: str, observer: Observer | None, choices: dict[str, Any]
) -> None:
    sandbox.change(faults={f"stall_before@{operation}": 1.0})
    began = time.perf_counter()
    with opened(sandbox, source, observer=observer, max_duration=0.3, conduct=replace(COMPARE, **choices)) as batch:
        result = await run(batch)
    assert (result.exit_code, result.reason.partition(" before")[0]) == (3, "`max_duration` of 0.3 s is over")
    assert time.perf_counter() - began < 2
    assert writes(sandbox) == []
    assert result.summary.counts == {Status.NOT_ATTEMPTED: 30}
    sandbox.change(faults={})
    assert (await apply(sandbox, source, conduct=replace(COMPARE, **choices))).exit_code == 0


async def test_a_time_limit_does_not_count_how_long_somebody_thinks(sandbox: Sandbox, source: Path) -> None:
    with opened(sandbox, write_input(source, ROWS[:3]), observer=Asking(), max_duration=0.4) as batch:
        assert (await run(batch)).reason == FINISHED


@pytest.mark.parametrize(("max_failures", "at_most"), [(2, 5), (0.5, 22)], ids=["number", "share"])
async def test_too_many_failures_stop_the_run(
    sandbox: Sandbox, source: Path, max_failures: float, at_most: int
) -> None:
    rows = [row(number, principal="999900009999") for number in range(30)]
    sandbox.change(late_principals={"999900009999": 1000})
    choices = {"patience": {"max_failures": max_failures, "defer": False}}
    result = await apply(sandbox, write_input(source, rows), **choices)
    assert (result.exit_code, "`max_failures`" in result.reason) == (3, True)
    assert len(writes(sandbox)) <= at_most
    assert statuses(source.parent)[-1] == "not_attempted"
    check_truth(sandbox, source.parent, rows)


async def test_a_run_that_is_cancelled_leaves_a_journal_to_go_on_from(sandbox: Sandbox, source: Path) -> None:
    with opened(sandbox, source) as batch:
        running = asyncio.create_task(run(batch))
        while len(writes(sandbox)) < 5:
            await asyncio.sleep(0.005)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert (await apply(sandbox, source)).exit_code == 0
    assert len(writes(sandbox)) <= 31, "at most the one under way was sent again"
    check_truth(sandbox, source.parent, ROWS)
