"""The promised calls of the API; this file only has to type-check."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import assert_type

from aiobotocore.session import get_session

import batchpol
from batchpol.validation import Checked


async def tenants() -> AsyncIterator[batchpol.Record]:
    yield batchpol.Record(identity="example.com", policy_name="tenant", policy='{"Statement": []}')


async def onboard() -> None:
    result = await batchpol.apply("tenants.csv", region="eu-west-1", expect_account="111122223333", journal="a.jsonl")
    assert_type(result, batchpol.Result)
    assert_type(result.exit_code, int)
    assert_type(result.summary, batchpol.Summary)
    assert_type(result.summary.counts, dict[batchpol.Status, int])

    await batchpol.apply([{"Identity": "example.com", "PolicyName": "tenant", "Policy": {"Statement": []}}])
    await batchpol.apply(Path("tenants.jsonl"), session=get_session(), max_failures=0.05, reports=["out.csv"])

    await batchpol.apply([], limits=1)  # type: ignore[call-arg]
    await batchpol.apply([], limit="all")  # type: ignore[arg-type]
    await batchpol.plan([], journal="a.jsonl")  # type: ignore[call-arg]
    await batchpol.validate([], select=1)  # type: ignore[arg-type]

    async for outcome in batchpol.stream(tenants(), region="eu-west-1", compare=False):
        assert_type(outcome, batchpol.Outcome)
        assert_type(outcome.status, batchpol.Status)

    planned = await batchpol.plan("tenants.csv", region="eu-west-1", role_arn="arn:aws:iam::{account}:role/Mail")
    assert_type(planned, list[batchpol.Outcome])

    exported = await batchpol.export("all.jsonl", match="*.example", region="eu-west-1")
    assert_type(exported, batchpol.Exported)
    await batchpol.export("all.jsonl", journal="a.jsonl")  # type: ignore[call-arg]

    checked = await batchpol.validate(tenants(), region="eu-west-1", account="111122223333", ignore=["risk"])
    assert_type(checked, list[Checked])
    assert_type(checked[0].findings, tuple[batchpol.Finding, ...])
    assert_type(checked[0].change, batchpol.Change | None)
