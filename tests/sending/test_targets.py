"""What belongs to targets stands once, however many runs share them, at once or one after the other."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import pytest

from batchpol.batch.batch import Batch
from batchpol.model import Target
from batchpol.model.settings import Connection
from batchpol.testing import Sandbox
from tests.faults.credentials import given, keys_file
from tests.runs import ACCOUNT, AWS, PERIOD, REGION, opened, options, row, sandbox, write_input, writes

__all__ = ["sandbox"]


@pytest.fixture
async def batches(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[list[Batch]]:
    """Two batches for one target, each with a journal of its own."""
    with ExitStack() as stack:
        made = []
        for name, numbers in (("one", range(10)), ("two", range(10, 20))):
            (tmp_path / name).mkdir()
            source = write_input(tmp_path / name / "in.jsonl", [row(number) for number in numbers])
            made.append(stack.enter_context(opened(sandbox, source)))
        yield made


async def test_runs_at_once_share_the_pace_and_ask_who_they_are_once(sandbox: Sandbox, batches: list[Batch]) -> None:
    async with batches[0].options.targets(AWS) as targets:
        results = await asyncio.gather(*(batch.run(targets) for batch in batches))
    assert [result.exit_code for result in results] == [0, 0]
    times = [arrival.at for arrival in writes(sandbox)]
    assert len(times) == 20
    assert times[-1] - times[0] >= 19 * PERIOD * 0.95
    first = [int(arrival.identity.removeprefix("tenant-").removesuffix(".example")) < 10 for arrival in writes(sandbox)]
    both = first[max(map(first.index, (True, False))) : 20 - max(map(first[::-1].index, (True, False)))]
    assert len(both) >= 10, "one did not wait until the other was done"
    assert max(len(list(turns)) for _, turns in groupby(both)) <= 2, "they take turns"
    assert Counter(arrival.operation for arrival in sandbox.arrivals)["GetCallerIdentity"] == 1


async def test_a_run_begins_with_the_role_that_the_one_before_assumed(
    sandbox: Sandbox, batches: list[Batch], tmp_path: Path
) -> None:
    connection = replace(options(sandbox, tmp_path).connection, role_arn="arn:aws:iam::{account}:role/Mail")
    async with replace(batches[0].options, connection=connection).targets(AWS) as targets:
        results = [await batch.run(targets) for batch in batches]
    assert [result.exit_code for result in results] == [0, 0]
    asked = Counter(arrival.operation for arrival in sandbox.arrivals)
    assert (asked["AssumeRole"], asked["PutIdentityPolicy"]) == (1, 20)


async def test_a_run_begins_with_the_credentials_that_the_one_before_renewed(
    sandbox: Sandbox, batches: list[Batch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = keys_file(monkeypatch, tmp_path, sandbox)
    async with replace(batches[0].options, connection=Connection(regions=(REGION,))).targets() as targets:
        await targets.ses(Target(ACCOUNT, REGION))
        sandbox.change(expired=[next(it.access_key for it in sandbox.arrivals)])
        file.write_text(given())
        results = [await batch.run(targets) for batch in batches]
    assert [result.exit_code for result in results] == [0, 0]
    refused = [arrival.error_code == "ExpiredToken" for arrival in writes(sandbox)]
    assert any(refused[:-11]), "the first run found that they had expired"
    assert not any(refused[-11:]), "the second one did not have to"


@pytest.mark.parametrize(("ended", "waits"), [(None, 1.0), (0.4, 0.6), (-9.0, 1.0), (2.0, 0.0)])
async def test_every_gate_waits_until_a_period_after_all_that_a_run_before_can_have_asked_for(
    sandbox: Sandbox, tmp_path: Path, ended: float | None, waits: float
) -> None:
    """``ended`` so many periods ago; None was killed, and a clock that was set back is not believed."""
    now = datetime.now(UTC)
    async with options(sandbox, tmp_path).targets(AWS) as targets:
        known = targets.gates(Target(ACCOUNT, REGION))
        targets.heed(None if ended is None else (now - timedelta(seconds=ended * PERIOD)).isoformat(), now)
        begun = asyncio.get_running_loop().time()
        for gates in (known, targets.gates(Target(ACCOUNT, "eu-west-1"))):
            waited = [max(0.0, gate.pace.due - begun) for gate in gates.all]
            assert waited == pytest.approx([waits * PERIOD] * 5, abs=0.3 * PERIOD)
