"""``batchpol.plan``: what apply would do, read and never written."""

from __future__ import annotations

import pytest

import batchpol
from batchpol.testing import Sandbox
from tests.api.conftest import SOON, item, items, puts


async def test_each_record_in_input_order_with_its_effect(ses_sandbox: Sandbox) -> None:
    records = items(3)
    await batchpol.apply(records, period=SOON)
    written = len(puts(ses_sandbox))
    records[1]["Policy"]["Statement"][0]["Action"] = "ses:SendRawEmail"
    gone = {"identity": "tenant002.example", "policy_name": "tenant", "action": "delete"}
    new, bad = item("new.example"), item("bad.example") | {"Policy": "{"}
    planned = await batchpol.plan([new, bad, records[0], records[1], gone], period=SOON)
    assert [it.effect for it in planned] == ["create", "", "unchanged", "update", "delete"]
    assert [it.number for it in planned] == list(range(5))
    assert planned[1].status is batchpol.Status.REJECTED
    assert "Action" in planned[3].message
    assert len(puts(ses_sandbox)) == written


async def test_what_could_not_be_read_says_why(ses_sandbox: Sandbox) -> None:
    ses_sandbox.change(faults={"access_denied@GetIdentityPolicies": 1.0})
    planned = await batchpol.plan(items(2), period=SOON)
    assert [it.effect for it in planned] == ["", ""]
    assert all(it.error_code and it.message for it in planned)


async def test_settings_of_a_write_are_refused() -> None:
    with pytest.raises(batchpol.UsageError, match="plan has no setting journal"):
        await batchpol.plan(items(1), journal="book.jsonl")  # type: ignore[call-arg]
