"""Several targets in one run: each stops alone, and the others can still be stopped."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batchpol.batch.lanes import STS_RATE, Lanes
from batchpol.batch.observer import Observer
from batchpol.batch.options import Options
from batchpol.model import Target
from batchpol.model.settings import Connection, Keeping
from batchpol.model.shard import Shard
from batchpol.sending.stopping import Stoppable
from batchpol.testing import Sandbox
from tests.runs import REGION, apply, check_truth, document, opened, report, row, run, write_input, writes


@pytest.mark.virtual_clock
async def test_workers_of_one_batch_ask_sts_together_no_faster_than_it_takes() -> None:
    came: dict[bool, list[float]] = {True: [], False: []}
    began = asyncio.get_running_loop().time()

    async def enter(shard: Shard, role: str | None) -> None:
        chosen = Options(keeping=Keeping(shard=shard, journal=Path("run1")), connection=Connection(role_arn=role))
        lanes = Lanes(Stoppable(), chosen.targets(), None, chosen, Observer(), lambda: datetime.now(UTC))
        targets = [
            Target(f"{100_000_000_000 + number // 2}", REGION if number % 2 else "eu-west-1") for number in range(100)
        ]
        async for target in lanes.entering(targets):
            if target.region != REGION:  # the first of its account
                came[role is not None].append(asyncio.get_running_loop().time() - began)

    for role in ("arn:aws:iam::{account}:role/Tenant", None):
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(enter(Shard(number, 40), role) for number in range(1, 41)))
    for start in range(5):
        assert sum(start <= at < start + 1 for at in came[True]) <= STS_RATE + 1
    assert min(len(set(came[True])), sum(at < 1 for at in came[True])) > 0.9 * STS_RATE
    assert max(came[False]) < 1


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
