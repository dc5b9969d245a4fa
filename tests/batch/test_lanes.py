"""Several targets in one run: each stops alone, and the others can still be stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from batchpol.testing import Sandbox
from tests.runs import REGION, apply, check_truth, document, opened, report, row, run, write_input, writes


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "in.jsonl"


async def test_a_target_that_stops_alone_says_why_in_every_row(sandbox: Sandbox, source: Path) -> None:
    other = "999999999999"
    rows = [row(0), row(1) | {"account": other, "policy": document("tenant-1.example", account=other)}, row(2)]
    rows.append(row(3) | {"account": other, "policy": document("tenant-3.example", account=other)})
    result = await apply(sandbox, write_input(source, rows))
    assert result.exit_code == 3
    assert f"{other}/{REGION} stopped" in result.reason
    found = report(source.parent)
    assert [line["status"] for line in found] == ["applied", "not_attempted", "applied", "not_attempted"]
    assert [line["error_code"] for line in found] == [None, "WrongAccount", None, "WrongAccount"]
    assert "the credentials are of account 123456789012" in found[3]["message"]
    check_truth(sandbox, source.parent, rows)


async def test_a_target_that_stopped_leaves_the_others_stoppable(sandbox: Sandbox, source: Path) -> None:
    rows = [row(0) | {"account": "999999999999", "policy": document("tenant-0.example", account="999999999999")}]
    rows += [row(number) for number in range(1, 40)]
    with opened(sandbox, write_input(source, rows)) as batch:
        running = asyncio.create_task(run(batch))
        while len(writes(sandbox)) < 3:
            await asyncio.sleep(0.01)
        batch.stop("interrupted", 130)
        result = await running
    assert (result.exit_code, result.reason) == (130, "interrupted")
    assert len(writes(sandbox)) < 30
    assert report(source.parent)[0]["error_code"] == "WrongAccount"
    assert report(source.parent)[39]["message"] == "not sent: the run ended before its turn (interrupted)"


async def test_a_target_that_stopped_leaves_the_time_limit_in_force(sandbox: Sandbox, source: Path) -> None:
    rows = [row(0) | {"account": "999999999999", "policy": document("tenant-0.example", account="999999999999")}]
    rows += [row(number) for number in range(1, 60)]
    result = await apply(sandbox, write_input(source, rows), max_duration=0.4)
    assert (result.exit_code, "`max_duration`" in result.reason) == (3, True)
    assert 0 < len(writes(sandbox)) < 40
    assert (await apply(sandbox, write_input(source, rows[1:]))).exit_code == 0
    check_truth(sandbox, source.parent, rows[1:])
